//! Fingerprints as words, to be read aloud and compared by people.
//!
//! The word list and checksum of BIP-39: 256 bits make 24 common English words, no two alike in their first four
//! letters, and a word heard wrong does not pass. Any other implementation of it gives the same words.

use bip39::Mnemonic;
use comity_core::ids::Digest;

/// The 24 words of a fingerprint.
#[must_use]
pub fn of(fingerprint: &Digest) -> String {
    Mnemonic::from_entropy(fingerprint.as_bytes()).expect("32 bytes always have 24 words").to_string()
}

/// The fingerprint of 24 words, however they are spaced and capitalised; none if a word or the checksum is wrong.
#[must_use]
pub fn read(words: &str) -> Option<Digest> {
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    Digest::from_slice(&Mnemonic::parse_normalized(&words.join(" ")).ok()?.to_entropy()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_public_list() {
        let zero = Digest::new([0; 32]);
        assert_eq!(of(&zero), [["abandon"; 23].join(" "), "art".to_owned()].join(" "), "a vector of BIP-39");
        assert_eq!(read(&of(&zero).replace(' ', "\n ").to_uppercase()), Some(zero));
    }

    #[test]
    fn a_wrong_word_does_not_pass() {
        let fingerprint = Digest::new([0xa5; 32]);
        let words = of(&fingerprint);
        assert_eq!(read(&words), Some(fingerprint));
        let mut swapped: Vec<&str> = words.split(' ').collect();
        swapped[3] = "zoo";
        for wrong in [swapped.join(" "), format!("{words} zoo"), words.replacen(' ', " comity ", 1), String::new()] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
