//! Checkpoints: the size and root of a ledger, signed by its Party with both algorithms.
//!
//! Decides the bytes of a checkpoint, how it is signed and cosigned, and when that counts: an Ed25519 line
//! and an ML-DSA-44 line, each by a known key of the checkpoint or witness role. Never decides whose keys
//! are known or whether a ledger forked. The form is a C2SP signed note without extension lines; lines by
//! others than those asked about are passed over. Start with [`Checkpoint::sign`] and [`VerifiedCheckpoint::verify`]. Serves
//! SPEC `[L-*]`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    LedgerFault,
    line::{halves, sign_pair},
    note::Note,
};
use crate::{
    crypto::{PublicKey, Signer},
    ids::{Digest, Origin, Time, WitnessName},
    proto::KeyRole,
};

/// The size and root of one ledger at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger.
    pub origin: Origin,
    /// The number of its leaves, never zero.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The three lines that are signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// Signs with both algorithms and gives the note. `now` goes into the ML-DSA-44 line, in
    /// seconds, as the moment at which no larger tree was signed.
    ///
    /// # Errors
    /// When the tree has no leaves, or the signer is not a checkpoint pair.
    pub fn sign(&self, signer: &dyn Signer, now: Time) -> Result<String, LedgerFault> {
        let lines = self.lines(KeyRole::Checkpoint, self.origin.as_str(), signer, now)?;
        Ok(format!("{}\n{lines}", self.text()))
    }

    /// Signs as a witness: two lines that may be added to a note of this checkpoint. They state that at `now` no larger
    /// tree of this ledger, and none that contradicts it, had been seen (C2SP tlog-cosignature). Whoever signs so has
    /// that on disk before.
    ///
    /// # Errors
    /// When the tree has no leaves, or the signer is not a witness pair.
    pub fn cosign(&self, witness: &WitnessName, signer: &dyn Signer, now: Time) -> Result<String, LedgerFault> {
        self.lines(KeyRole::Witness, witness.as_str(), signer, now)
    }

    fn lines(&self, role: KeyRole, name: &str, signer: &dyn Signer, now: Time) -> Result<String, LedgerFault> {
        if self.size == 0 {
            return Err(LedgerFault::Empty);
        }
        if signer.public().iter().any(|key| key.role != role) {
            return Err(LedgerFault::CannotSign);
        }
        sign_pair(self, name, signer, now)
    }
}

/// A checkpoint both of whose required signatures were checked, with the bytes they came in.
///
/// The check costs two signature verifications; [`super::LatelyVerified`] spares them where one note serves many
/// proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    signed: Time,
    note: Vec<u8>,
}

impl VerifiedCheckpoint {
    /// Reads a note strictly and checks it: it must be of `origin` and carry at least one Ed25519
    /// and one ML-DSA-44 line by `keys` of the checkpoint role. Keys of other roles are passed
    /// over. Every line in a known key's name must verify.
    ///
    /// # Errors
    /// When the form is broken, the origin differs, a half is missing or a line does not verify.
    pub fn verify<'k>(
        note: &[u8],
        origin: &Origin,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Result<Self, LedgerFault> {
        let (checkpoint, read) = read(note)?;
        if checkpoint.origin != *origin {
            return Err(LedgerFault::OtherOrigin);
        }
        let own = keys.into_iter().filter(|key| key.role == KeyRole::Checkpoint);
        let signed = match halves(&read, origin.as_str(), own, &checkpoint)? {
            (Some(_), Some(signed)) => signed,
            (None, _) => return Err(LedgerFault::NoEd25519),
            (Some(_), None) => return Err(LedgerFault::NoMlDsa),
        };
        Ok(Self { checkpoint, signed, note: note.to_vec() })
    }

    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// When, by the signer's own clock, in whole seconds: of several ML-DSA-44 lines the latest.
    #[must_use]
    pub fn signed(&self) -> Time {
        self.signed
    }

    /// The exact bytes that were checked.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// When a witness had cosigned by its own clock, if the note carries a line of each algorithm by `keys` of the witness
    /// role: the later of the two times. Keys of other roles are passed over.
    ///
    /// # Errors
    /// When a line in the name of a known key does not verify, or there are two.
    pub fn cosigned<'k>(
        &self,
        witness: &WitnessName,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Result<Option<Time>, LedgerFault> {
        let (checkpoint, read) = read(&self.note)?;
        let theirs = keys.into_iter().filter(|key| key.role == KeyRole::Witness);
        let (classical, quantum) = halves(&read, witness.as_str(), theirs, &checkpoint)?;
        Ok(classical.zip(quantum).map(|(one, other)| one.max(other)))
    }
}

/// Reads a note strictly without checking any signature: enough to learn which origin's keys to
/// look up, and nothing to rely on.
///
/// # Errors
/// When the form is broken.
pub fn parse_unverified(note: &[u8]) -> Result<Checkpoint, LedgerFault> {
    read(note).map(|(checkpoint, _)| checkpoint)
}

/// The note's form and its text, read; no signature checked.
fn read(note: &[u8]) -> Result<(Checkpoint, Note<'_>), LedgerFault> {
    let note = Note::parse(note)?;
    Ok((parse_text(note.text)?, note))
}

/// The three lines, without the newline that ends the last.
fn parse_text(text: &str) -> Result<Checkpoint, LedgerFault> {
    let mut lines = text.split('\n');
    let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next()) else {
        return Err(LedgerFault::NoteMalformed("not three lines of text"));
    };
    let origin = Origin::of_tree(origin).map_err(|_| LedgerFault::NoteMalformed("origin line"))?;
    let size = size
        .parse::<u64>()
        .ok()
        .filter(|parsed| parsed.to_string() == size)
        .ok_or(LedgerFault::NoteMalformed("size line"))?;
    let root = STANDARD.decode(root).ok().and_then(|root| Digest::from_slice(&root).ok());
    let root = root.ok_or(LedgerFault::NoteMalformed("root line"))?;
    if size == 0 { Err(LedgerFault::Empty) } else { Ok(Checkpoint { origin, size, root }) }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        crypto::{HybridSigner, Seed, sha256},
        ledger::note::{LINES_MAX, NOTE_MAX},
        proto::Algorithm,
    };

    const NOW: Time = Time(1_800_000_000_500);

    pub(in crate::ledger) fn origin() -> Origin {
        Origin::parse("xa.demo.test/ledger/1").expect("origin")
    }

    pub(in crate::ledger) fn signer(n: u8) -> HybridSigner {
        pair(KeyRole::Checkpoint, Algorithm::MlDsa44, n)
    }

    pub(in crate::ledger) fn pair(role: KeyRole, ml_dsa: Algorithm, n: u8) -> HybridSigner {
        HybridSigner::new(role, &Seed::new([n; 32]), ml_dsa, &Seed::new([n + 1; 32])).expect("keys")
    }

    pub(in crate::ledger) fn checkpoint() -> Checkpoint {
        Checkpoint { origin: origin(), size: 7, root: Digest::new([9; 32]) }
    }

    fn note() -> String {
        checkpoint().sign(&signer(1), NOW).expect("signed")
    }

    fn verify(note: &[u8], signers: &[&HybridSigner]) -> Result<VerifiedCheckpoint, LedgerFault> {
        VerifiedCheckpoint::verify(note, &origin(), signers.iter().flat_map(|signer| signer.public()))
    }

    /// Reads `note` under the keys that sign [`note`].
    fn check(note: impl AsRef<[u8]>, expected: Result<(), LedgerFault>) {
        let found = verify(note.as_ref(), &[&signer(1)]).map(|_| ());
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(note.as_ref()));
    }

    /// Text, Ed25519 line and ML-DSA-44 line, each with its newline.
    fn parts(note: &str) -> [String; 3] {
        let (text, lines) = note.split_once("\n\n").expect("blank line");
        let (first, second) = lines.split_once('\n').expect("two lines");
        [format!("{text}\n"), format!("{first}\n"), second.to_owned()]
    }

    fn line_bytes(line: &str) -> Vec<u8> {
        STANDARD.decode(line.trim_end().rsplit_once(' ').expect("encoded").1).expect("base64")
    }

    fn line(name: &str, bytes: &[u8]) -> String {
        format!("\u{2014} {name} {}\n", STANDARD.encode(bytes))
    }

    #[test]
    fn what_is_signed_verifies_and_keeps_its_bytes() {
        let note = note();
        let verified = verify(note.as_bytes(), &[&signer(1)]).expect("verifies");
        assert_eq!(verified.checkpoint(), &checkpoint());
        assert_eq!(verified.signed(), Time(1_800_000_000_000));
        assert_eq!(verified.note(), note.as_bytes());
        assert_eq!(parse_unverified(note.as_bytes()), Ok(checkpoint()));
    }

    #[test]
    fn the_text_is_three_lines() {
        let root = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
        assert_eq!(checkpoint().text(), format!("xa.demo.test/ledger/1\n7\n{root}\n"));
    }

    #[test]
    fn the_ed25519_line_verifies_elsewhere() {
        let note = note();
        let signer = signer(1);
        let key = [&[1], &signer.public()[0].bytes[..]].concat();
        let key_id = signed_note::key_id(origin().as_str(), &key);
        let verifier_key = format!("{}+{key_id:08x}+{}", origin(), STANDARD.encode(&key));
        let verifier = signed_note::StandardVerifier::new(&verifier_key).expect("verifier key");
        let read = signed_note::Note::from_bytes(note.as_bytes()).expect("read elsewhere");
        let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
        let (verified, others) = read.verify(&known).expect("verifies elsewhere");
        assert_eq!((verified.len(), others.len()), (1, 1));
        assert_eq!(read.text(), checkpoint().text().as_bytes());
        assert_eq!(read.to_bytes(), note.as_bytes());
    }

    #[test]
    fn the_ml_dsa_line_verifies_elsewhere() {
        use ml_dsa::signature::Verifier as _;
        let [_, _, second] = parts(&note());
        let bytes = line_bytes(&second);
        let key = &signer(1).public()[1].bytes.clone();
        assert_eq!(bytes[..4], sha256(&[b"xa.demo.test/ledger/1\n\x06", key]).as_bytes()[..4]);
        assert_eq!(bytes[4..12], 1_800_000_000_u64.to_be_bytes());
        assert_eq!(bytes.len(), 4 + 8 + 2420);
        let message = [
            &b"subtree/v1\n\0"[..],
            b"\x15xa.demo.test/ledger/1",
            &1_800_000_000_u64.to_be_bytes(),
            b"\x15xa.demo.test/ledger/1",
            &0_u64.to_be_bytes(),
            &7_u64.to_be_bytes(),
            &[9; 32],
        ]
        .concat();
        let key = ml_dsa::EncodedVerifyingKey::<ml_dsa::MlDsa44>::try_from(&key[..]).expect("1312 bytes");
        let key = ml_dsa::VerifyingKey::<ml_dsa::MlDsa44>::decode(&key);
        let signature = ml_dsa::Signature::<ml_dsa::MlDsa44>::try_from(&bytes[12..]).expect("decodes");
        key.verify(&message, &signature).expect("verifies elsewhere");
    }

    #[test]
    fn both_lines_are_required() {
        let [text, first, second] = parts(&note());
        check(format!("{text}\n{first}{second}"), Ok(()));
        check(format!("{text}\n{second}{first}"), Ok(()));
        check(format!("{text}\n{first}"), Err(LedgerFault::NoMlDsa));
        check(format!("{text}\n{second}"), Err(LedgerFault::NoEd25519));
        check(format!("{text}\n{first}{first}{second}"), Err(LedgerFault::RepeatedSignature));
        check(&text, Err(LedgerFault::NoteMalformed("no blank line")));
        check(format!("{text}\n"), Err(LedgerFault::NoteMalformed("no final newline")));
        check(format!("{text}\n\n"), Err(LedgerFault::NoteMalformed("signature line")));
    }

    #[test]
    fn only_checkpoint_keys_of_the_right_name_count() {
        let own = note();
        assert_eq!(verify(own.as_bytes(), &[]), Err(LedgerFault::NoEd25519));
        assert_eq!(verify(own.as_bytes(), &[&signer(5)]), Err(LedgerFault::NoEd25519));
        for role in [KeyRole::Record, KeyRole::Witness, KeyRole::Root] {
            let same_keys = pair(role, Algorithm::MlDsa44, 1);
            assert_eq!(verify(own.as_bytes(), &[&same_keys]), Err(LedgerFault::NoEd25519));
        }
        let signer = signer(1);
        let [classical, quantum] = signer.public();
        let under = |key| VerifiedCheckpoint::verify(own.as_bytes(), &origin(), [key]).map(|_| ());
        assert_eq!(under(classical), Err(LedgerFault::NoMlDsa));
        assert_eq!(under(quantum), Err(LedgerFault::NoEd25519));
        let other = Origin::parse("xb.demo.test/ledger/1").expect("origin");
        let found = VerifiedCheckpoint::verify(own.as_bytes(), &other, signer.public());
        assert_eq!(found, Err(LedgerFault::OtherOrigin));
    }

    #[test]
    fn lines_by_others_are_passed_over_and_rotation_verifies() {
        let [text, first, second] = parts(&note());
        let [_, newer_first, newer_second] = parts(&checkpoint().sign(&signer(5), Time(NOW.0 + 9000)).expect("signed"));
        let cosigned = line("witness.example/w1", &[7; 76]);
        let all = format!("{text}\n{cosigned}{newer_first}{first}{newer_second}{second}");
        check(&all, Ok(()));
        let both = verify(all.as_bytes(), &[&signer(1), &signer(5)]).expect("both pairs verify");
        assert_eq!(both.signed(), Time(1_800_000_009_000));
        // A line in a known key's name must verify even when another pair would do.
        let mut bytes = line_bytes(&newer_second);
        bytes[100] ^= 1;
        let spoiled = format!("{text}\n{first}{second}{}", line(origin().as_str(), &bytes));
        assert!(verify(spoiled.as_bytes(), &[&signer(1)]).is_ok());
        assert_eq!(verify(spoiled.as_bytes(), &[&signer(1), &signer(5)]), Err(LedgerFault::BadSignature));
    }

    #[test]
    fn halves_of_different_checkpoints_do_not_combine() {
        let [text, first, second] = parts(&note());
        let other = Checkpoint { size: 8, ..checkpoint() }.sign(&signer(1), NOW).expect("signed");
        let [_, other_first, other_second] = parts(&other);
        check(format!("{text}\n{first}{other_second}"), Err(LedgerFault::BadSignature));
        check(format!("{text}\n{other_first}{second}"), Err(LedgerFault::BadSignature));
    }

    #[test]
    fn the_time_is_signed_and_bounded() {
        let [text, first, second] = parts(&note());
        for seconds in [0, 1_800_000_001, u64::MAX] {
            let mut bytes = line_bytes(&second);
            bytes[4..12].copy_from_slice(&seconds.to_be_bytes());
            check(format!("{text}\n{first}{}", line(origin().as_str(), &bytes)), Err(LedgerFault::BadSignature));
        }
        let short = &line_bytes(&second)[..11];
        check(format!("{text}\n{first}{}", line(origin().as_str(), short)), Err(LedgerFault::BadSignature));
    }

    #[test]
    fn the_form_is_strict() {
        let own = note();
        let bad = |from: &str, to: &str, why| check(own.replacen(from, to, 1), Err(LedgerFault::NoteMalformed(why)));
        bad("\n7\n", "\n07\n", "size line");
        bad("\n7\n", "\n+7\n", "size line");
        bad("\n7\n", "\n 7\n", "size line");
        bad("\n7\n", "\n\u{0667}\n", "size line");
        bad("\n7\n", "\n18446744073709551616\n", "size line");
        bad("CQk=\n", "CQl=\n", "root line");
        bad("CQk=\n", "CQk\n", "root line");
        bad("CQkJ", "CQk", "root line");
        bad("CQk=\n", "CQk=\nextension\n", "not three lines of text");
        bad("\n7\n", "\n", "not three lines of text");
        bad("xa.demo", "XA.demo", "origin line");
        bad("\n7\n", "\n7\r\n", "control character");
        bad("\n\n\u{2014} ", "\n\n- ", "signature line");
        bad("\n\n\u{2014} ", "\n\n\u{2014}  ", "signature line");
        bad("\n\n\u{2014} xa", "\n\n\u{2014} x+a", "signature line");
        bad("\n\n\u{2014} xa", "\n\n\u{2014} x\u{a0}a", "signature line");
        bad("\n\n", "\n\n\n", "signature line");
        check(own.replacen("\n7\n", "\n0\n", 1), Err(LedgerFault::Empty));
        check(own.trim_end(), Err(LedgerFault::NoteMalformed("no final newline")));
        check([&own, "\n"].concat(), Err(LedgerFault::NoteMalformed("signature line")));
        check([&own, "x\n"].concat(), Err(LedgerFault::NoteMalformed("signature line")));
        check([own.as_bytes(), &[0xff]].concat(), Err(LedgerFault::NoteMalformed("not UTF-8")));
        check("", Err(LedgerFault::NoteMalformed("no blank line")));
        check("\n\n\n", Err(LedgerFault::NoteMalformed("signature line")));
        check("\n\n\u{2014} x AAAAAAA=\n", Err(LedgerFault::NoteMalformed("not three lines of text")));
    }

    #[test]
    fn size_and_lines_are_bounded() {
        let padding = line("witness.example/w1", &[7; 76]);
        check([note(), padding.repeat(LINES_MAX - 2)].concat(), Ok(()));
        check([note(), padding.repeat(LINES_MAX - 1)].concat(), Err(LedgerFault::TooManySignatures));
        check(vec![b'\n'; NOTE_MAX + 1], Err(LedgerFault::NoteTooLarge));
        // Eighteen ML-DSA-44 lines under the longest names fit, which is more than ever meet.
        let longest = line(&"w".repeat(160), &[7; 2432]);
        assert!(longest.len() * 18 <= NOTE_MAX, "{}", longest.len() * 18);
    }

    #[test]
    fn only_a_checkpoint_pair_signs_and_only_something() {
        let sign = |signer: &HybridSigner| checkpoint().sign(signer, NOW).map(|_| ());
        assert_eq!(sign(&pair(KeyRole::Record, Algorithm::MlDsa44, 1)), Err(LedgerFault::CannotSign));
        assert_eq!(sign(&pair(KeyRole::Checkpoint, Algorithm::MlDsa65, 1)), Err(LedgerFault::CannotSign));
        assert_eq!(sign(&signer(1)), Ok(()));
        let empty = Checkpoint { size: 0, ..checkpoint() };
        assert_eq!(empty.sign(&signer(1), NOW), Err(LedgerFault::Empty));
    }

    #[test]
    fn one_changed_bit_in_any_byte_is_refused() {
        let signer = signer(1);
        let good = note().into_bytes();
        for place in 0..good.len() {
            let mut changed = good.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(verify(&changed, &[&signer]).is_err(), "byte {place}");
        }
    }

    proptest! {
        #[test]
        fn any_size_root_and_time_survive(size in 1_u64.., root: [u8; 32], seconds in 0_u64..(u64::MAX / 1000)) {
            let own = Checkpoint { origin: origin(), size, root: Digest::new(root) };
            let note = own.sign(&signer(1), Time(seconds * 1000)).expect("signed");
            let verified = verify(note.as_bytes(), &[&signer(1)]).expect("verifies");
            prop_assert_eq!(verified.checkpoint(), &own);
            prop_assert_eq!(verified.signed(), Time(seconds * 1000));
        }

        #[test]
        fn noise_is_read_without_panic(noise: Vec<u8>, cut: usize) {
            prop_assert!(parse_unverified(&noise).is_err());
            let good = note().into_bytes();
            let cut = cut % good.len();
            let spliced = [&good[..cut], &noise, &good[cut..]].concat();
            if !noise.is_empty() {
                prop_assert!(verify(&spliced, &[&signer(1)]).is_err());
            }
        }
    }
}
