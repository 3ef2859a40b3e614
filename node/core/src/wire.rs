//! The strict-reading rule (SPEC `[W-1]`): bytes are accepted only if decoding and encoding them
//! again gives the same bytes. Unknown fields, repeated singular fields, trailing bytes, explicit
//! defaults and loose varints are all refused by this one comparison.

use prost::Message;

/// Why bytes are not an acceptable message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// Longer than its limit; nothing was decoded.
    #[error("wire.too-large: the bytes exceed the limit for this shape")]
    TooLarge,
    /// Not a protobuf message of this shape.
    #[error("wire.undecodable: the bytes are not a message of this shape")]
    Undecodable,
    /// Decodes, but its canonical encoding differs.
    #[error("wire.not-canonical: the bytes are not the canonical encoding of their content")]
    NotCanonical,
}

impl WireFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "wire.too-large",
            Self::Undecodable => "wire.undecodable",
            Self::NotCanonical => "wire.not-canonical",
        }
    }
}

/// Decodes under the strict-reading rule, after checking the limit.
///
/// # Errors
/// When the bytes are too long, do not decode, or are not canonical.
pub fn strict<M: Message + Default>(bytes: &[u8], max: usize) -> Result<M, WireFault> {
    if bytes.len() > max {
        return Err(WireFault::TooLarge);
    }
    let message = M::decode(bytes).map_err(|_| WireFault::Undecodable)?;
    if message.encode_to_vec() == bytes { Ok(message) } else { Err(WireFault::NotCanonical) }
}

/// True if the sequence rises without repeats: the only order lists in signed shapes may have.
pub fn ascending<T: PartialOrd>(items: impl IntoIterator<Item = T>) -> bool {
    let mut items = items.into_iter();
    let Some(mut last) = items.next() else { return true };
    items.all(|item| {
        let rises = last < item;
        last = item;
        rises
    })
}

/// The longest text a document may hold in one place: a sentence or two.
pub const TEXT_MAX: usize = 1_000;

/// True if people can be shown all of these as they are, and none is longer than [`TEXT_MAX`].
pub fn showable<'t>(texts: impl IntoIterator<Item = &'t String>) -> bool {
    texts.into_iter().all(|text| text.len() <= TEXT_MAX && text.chars().all(is_showable))
}

/// True unless it is a control character, or turns the direction of what follows, or breaks the line (Unicode category Cc,
/// the bidirectional controls, U+2028, U+2029).
#[must_use]
pub fn is_showable(letter: char) -> bool {
    let turns = matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !turns && !letter.is_control()
}

/// An envelope with header, signatures and body: request papers above this travel as attachments.
pub const ENVELOPE_MAX: usize = 1 << 20;
/// A header is names, ids and digests; the largest honest one is under 8 KiB.
pub const HEADER_MAX: usize = 64 << 10;
/// A delivery is an envelope, a slip and one proof (at most 64 path nodes and one checkpoint).
pub const DELIVERY_MAX: usize = ENVELOPE_MAX + (32 << 10);
/// An answer is one proof and at most one refusal.
pub const ANSWER_MAX: usize = 64 << 10;
/// A proof: path of at most 64 nodes, context, salt and one signed checkpoint.
pub const PROOF_MAX: usize = 24 << 10;
/// A charter for 200 Parties with witnesses and 20 instruments is under 2 MiB.
pub const DOCUMENT_MAX: usize = 4 << 20;
/// A manifest of the most items it may list, with long paths: it is read whole, so memory bounds it.
pub const MANIFEST_MAX: usize = 32 << 20;
/// A custody statement is ids, counts and digests.
pub const CUSTODY_MAX: usize = 4 << 10;
/// An ask names one object or one page of keys.
pub const ASK_MAX: usize = 256;
/// A grant holds at most one page of sealed keys.
pub const GRANT_MAX: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Slip;

    fn check(bytes: &[u8], expected: Result<(), WireFault>) {
        assert_eq!(strict::<Slip>(bytes, 64).map(|_| ()), expected, "{bytes:02x?}");
    }

    #[test]
    fn only_canonical_bytes_pass() {
        let good = Slip { origin: "a".into(), number: 7, ..Slip::default() }.encode_to_vec();
        check(&good, Ok(()));
        check(&[&good[..], &[0x98, 0x06, 0x01]].concat(), Err(WireFault::NotCanonical)); // unknown field 99
        check(&[&good[..], &good[..]].concat(), Err(WireFault::NotCanonical)); // repeated singular
        check(&[0x20, 0x87, 0x00], Err(WireFault::NotCanonical)); // loose varint
        check(&[0x20, 0x00], Err(WireFault::NotCanonical)); // explicit default
        check(&good[..good.len() - 1], Err(WireFault::Undecodable));
        check(&[0; 65], Err(WireFault::TooLarge));
    }

    #[test]
    fn what_would_deceive_the_eye_is_not_shown() {
        let check = |text: &str, shown| assert_eq!(showable([&text.to_owned()]), shown, "{text:?}");
        for text in ["", "Ministère de la Justice", "法務省", "وزارة العدل", &"x".repeat(TEXT_MAX)] {
            check(text, true);
        }
        for text in [
            "a\u{1b}[2K",
            "a\nb",
            "a\u{7f}",
            "a\u{9b}31m",
            "a\u{202e}b",
            "a\u{2066}b",
            "\u{2028}",
            &"x".repeat(TEXT_MAX + 1),
        ] {
            check(text, false);
        }
    }

    #[test]
    fn ascending_refuses_repeats() {
        assert!(ascending([1, 2, 3]) && ascending::<u8>([]));
        assert!(!ascending([1, 1]) && !ascending([2, 1]));
    }
}
