//! One record proven to stand in one ledger, and the token that says a record is on disk.
//!
//! Decides whether a proof holds under a checkpoint that was verified before. Never verifies
//! signatures itself: that costs more than all the hashing, and one checkpoint serves many proofs
//! (see [`VerifiedCheckpoint`]). One shape serves as receipt, as the author's own proof on
//! delivery, and beside a refusal. Start with [`RecordProof::parse`]. Serves SPEC `[L-*]`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;

use super::{
    Checkpoint, Context, LedgerFault, NOTE_MAX, PATH_MAX, Salt, VerifiedCheckpoint, leaf_entry, leaf_hash,
    verify_inclusion,
};
use crate::{
    ids::{Digest, LedgerIndex, Time},
    proto::{self, RecordKind},
    wire::{PROOF_MAX, WireFault, strict},
};

/// The first line of a C2SP tlog-proof.
const TEXT_HEAD: &str = "c2sp.org/tlog-proof@v1";

/// A proof as text: its checkpoint may bear the lines of seven witnesses, which none that travels does.
const TEXT_MAX: usize = NOTE_MAX + PROOF_MAX;

/// A proof as read: well formed, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProof {
    record_id: Digest,
    context: Context,
    context_bytes: Vec<u8>,
    salt: Salt,
    index: LedgerIndex,
    path: Vec<Digest>,
    note: Vec<u8>,
}

impl RecordProof {
    /// Writes a proof: the record's id, exact context bytes and salt, its index, the path to the
    /// root of the checkpoint, and that checkpoint's note.
    #[must_use]
    pub fn build(
        record_id: &Digest,
        context_bytes: &[u8],
        salt: &Salt,
        index: LedgerIndex,
        path: &[Digest],
        note: &[u8],
    ) -> Vec<u8> {
        proto::RecordProof {
            record_id: record_id.as_bytes().to_vec(),
            context: context_bytes.to_vec(),
            salt: salt.0.to_vec(),
            index: index.0,
            path: path.iter().map(|node| node.as_bytes().to_vec()).collect(),
            checkpoint: note.to_vec(),
        }
        .encode_to_vec()
    }

    /// A proof of these parts, for whoever made them: it is not judged, may be longer than what travels, and may be of a record
    /// of an audit tree.
    ///
    /// # Errors
    /// When the context is not acceptable.
    pub fn of(
        record_id: Digest,
        context_bytes: Vec<u8>,
        salt: Salt,
        index: LedgerIndex,
        path: Vec<Digest>,
        note: Vec<u8>,
    ) -> Result<Self, LedgerFault> {
        let context = Context::of_the_house(&context_bytes)?;
        Ok(Self { record_id, context, context_bytes, salt, index, path, note })
    }

    /// Reads a proof strictly.
    ///
    /// # Errors
    /// When the bytes are too long or not canonical, a part has the wrong length, the path is
    /// longer than [`PATH_MAX`], or the context is not acceptable.
    pub fn parse(bytes: &[u8]) -> Result<Self, LedgerFault> {
        let wire: proto::RecordProof = strict(bytes, PROOF_MAX).map_err(LedgerFault::ProofMalformed)?;
        if wire.path.len() > PATH_MAX {
            return Err(LedgerFault::PathLength(wire.path.len()));
        }
        let digest = |bytes: &[u8], part| Digest::from_slice(bytes).map_err(|_| LedgerFault::ProofField(part));
        Ok(Self {
            record_id: digest(&wire.record_id, "record id")?,
            context: Context::from_bytes(&wire.context)?,
            context_bytes: wire.context,
            salt: wire.salt.try_into().map(Salt).map_err(|_| LedgerFault::ProofField("salt"))?,
            index: LedgerIndex(wire.index),
            path: wire.path.iter().map(|node| digest(node, "path")).collect::<Result<_, _>>()?,
            note: wire.checkpoint,
        })
    }

    /// The proof as a C2SP tlog-proof: what a tool that knows the record and a policy can check offline. `extra` is the
    /// salt and behind it the context, exactly as the leaf binds it; the record's id is for the reader to know.
    #[must_use]
    pub fn to_text(&self) -> String {
        let extra = STANDARD.encode([&self.salt.0[..], &self.context_bytes].concat());
        let path: String = self.path.iter().map(|node| STANDARD.encode(node.as_bytes()) + "\n").collect();
        let note = String::from_utf8_lossy(&self.note);
        format!("{TEXT_HEAD}\nextra {extra}\nindex {}\n{path}\n{note}", self.index.0)
    }

    /// Reads a tlog-proof of the record with this id.
    ///
    /// # Errors
    /// When it breaks the form, lacks `extra`, or the context is not acceptable.
    pub fn from_text(text: &str, record_id: &Digest) -> Result<Self, LedgerFault> {
        let bad = |part| move || LedgerFault::ProofField(part);
        if text.len() > TEXT_MAX {
            return Err(LedgerFault::ProofMalformed(WireFault::TooLarge));
        }
        let (head, note) = text.split_once("\n\n").ok_or_else(bad("checkpoint"))?;
        let mut lines = head.split('\n');
        lines.next().filter(|line| *line == TEXT_HEAD).ok_or_else(bad("first line"))?;
        let extra = lines.next().and_then(|line| STANDARD.decode(line.strip_prefix("extra ")?).ok());
        let extra = extra.ok_or_else(bad("extra"))?;
        let (salt, context) = extra.split_first_chunk::<32>().ok_or_else(bad("extra"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(|text| text.parse::<u64>().ok().filter(|index| index.to_string() == text));
        let node = |line: &str| STANDARD.decode(line).ok().and_then(|node| Digest::from_slice(&node).ok());
        let path: Option<Vec<_>> = lines.map(node).collect();
        let path = path.filter(|path| path.len() <= PATH_MAX).ok_or_else(bad("path"))?;
        let index = LedgerIndex(index.ok_or_else(bad("index"))?);
        Self::of(*record_id, context.to_vec(), Salt(*salt), index, path, note.as_bytes().to_vec())
    }

    /// The record this proof claims to be about.
    #[must_use]
    pub fn record_id(&self) -> &Digest {
        &self.record_id
    }

    /// The checkpoint's bytes, to verify or to compare with one verified before.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// The circumstances the proof claims.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Judges the proof: about this record, of this kind, in the tree of this checkpoint, which
    /// must be the very one the proof carries.
    ///
    /// # Errors
    /// When record, kind or checkpoint are others, or the path does not lead to the root.
    pub fn verify(
        &self,
        record_id: &Digest,
        kind: RecordKind,
        verified: &VerifiedCheckpoint,
    ) -> Result<ProvenRecord, LedgerFault> {
        if self.record_id != *record_id {
            return Err(LedgerFault::OtherRecord);
        }
        if self.context.kind != kind {
            return Err(LedgerFault::OtherKind);
        }
        if self.note != verified.note() {
            return Err(LedgerFault::OtherCheckpoint);
        }
        let checkpoint = verified.checkpoint();
        let leaf = leaf_hash(&leaf_entry(&self.salt, &self.record_id, &self.context_bytes));
        verify_inclusion(&leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok(ProvenRecord { index: self.index, context: self.context.clone(), checkpoint: checkpoint.clone() })
    }
}

/// A record that stands in a ledger under a verified checkpoint. Only [`RecordProof::verify`]
/// makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRecord {
    index: LedgerIndex,
    context: Context,
    checkpoint: Checkpoint,
}

impl ProvenRecord {
    /// Its place in the ledger.
    #[must_use]
    pub fn index(&self) -> LedgerIndex {
        self.index
    }

    /// When it was recorded, as the leaf binds it.
    #[must_use]
    pub fn recorded(&self) -> Time {
        self.context.recorded
    }

    /// The circumstances the leaf binds.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The ledger, size and root it was proven under.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// The token without which nothing is sent: a record of ours is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    index: LedgerIndex,
    size: u64,
}

impl Appended {
    /// States that the record at `index` is on disk in a ledger that now has `size` records.
    ///
    /// For the store alone, after the flush that covers the record has returned (and for the
    /// store's twin in simulations). Called anywhere else it is a lie that can lose an
    /// acknowledged record.
    ///
    /// # Panics
    /// When the index is not below the size: the store miscounted and must not go on.
    #[must_use]
    pub fn on_disk(index: LedgerIndex, size: u64) -> Self {
        assert!(index.0 < size, "an appended record lies below the ledger's size");
        Self { index, size }
    }

    /// The record's place.
    #[must_use]
    pub fn index(&self) -> LedgerIndex {
        self.index
    }

    /// The ledger's size once the batch with this record was on disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        ledger::{
            Tree,
            checkpoint::tests::{origin, signer},
        },
        wire::WireFault,
    };

    const SIZE: u64 = 11;
    const PLACE: LedgerIndex = LedgerIndex(6);

    /// A ledger of eleven records with the proof of the seventh.
    struct Fixture {
        record_id: Digest,
        context: Context,
        wire: proto::RecordProof,
        verified: VerifiedCheckpoint,
    }

    static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
        let record_id = Digest::new([0x51; 32]);
        let context = Context {
            kind: RecordKind::EventReceived,
            recorded: Time(1_800_000_000_007),
            charter: Digest::new([1; 32]),
            profile: Digest::new([2; 32]),
            signatures: Digest::new([3; 32]),
            slips: vec![Digest::new([4; 32])],
        };
        let salt = Salt([0x77; 32]);
        let mut tree = Tree::new();
        for n in 0..SIZE {
            let own = leaf_hash(&leaf_entry(&salt, &record_id, &context.to_bytes()));
            tree.push(if n == PLACE.0 { own } else { Digest::new([0x80 | n.to_be_bytes()[7]; 32]) });
        }
        let checkpoint = Checkpoint { origin: origin(), size: SIZE, root: tree.root() };
        let note = checkpoint.sign(&signer(1), Time(1_800_000_001_000)).expect("signed");
        let verified = VerifiedCheckpoint::verify(note.as_bytes(), &origin(), signer(1).public()).expect("verifies");
        let path = tree.inclusion(PLACE, SIZE).expect("path");
        let bytes = RecordProof::build(&record_id, &context.to_bytes(), &salt, PLACE, &path, note.as_bytes());
        let wire = proto::RecordProof::decode(&bytes[..]).expect("decodes");
        Fixture { record_id, context, wire, verified }
    });

    fn judge(bytes: &[u8]) -> Result<ProvenRecord, LedgerFault> {
        RecordProof::parse(bytes)?.verify(&FIXTURE.record_id, RecordKind::EventReceived, &FIXTURE.verified)
    }

    fn check(change: impl Fn(&mut proto::RecordProof), expected: Result<(), LedgerFault>) {
        let mut wire = FIXTURE.wire.clone();
        change(&mut wire);
        assert_eq!(judge(&wire.encode_to_vec()).map(|_| ()), expected);
    }

    #[test]
    fn a_proof_says_where_when_and_under_what() {
        let proven = judge(&FIXTURE.wire.encode_to_vec()).expect("holds");
        assert_eq!(proven.index(), PLACE);
        assert_eq!(proven.recorded(), Time(1_800_000_000_007));
        assert_eq!(proven.context(), &FIXTURE.context);
        assert_eq!(proven.checkpoint(), FIXTURE.verified.checkpoint());
    }

    #[test]
    fn what_was_parsed_builds_the_same_bytes() {
        let bytes = FIXTURE.wire.encode_to_vec();
        let proof = RecordProof::parse(&bytes).expect("parses");
        assert_eq!((proof.record_id(), proof.context()), (&FIXTURE.record_id, &FIXTURE.context));
        assert_eq!(proof.note(), FIXTURE.verified.note());
        let again = RecordProof::build(
            &proof.record_id,
            &proof.context_bytes,
            &proof.salt,
            proof.index,
            &proof.path,
            &proof.note,
        );
        assert_eq!(again, bytes);
    }

    /// [L-12]
    #[test]
    fn a_proof_as_text_is_the_same_proof() {
        let proof = RecordProof::parse(&FIXTURE.wire.encode_to_vec()).expect("parses");
        let text = proof.to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "c2sp.org/tlog-proof@v1");
        assert!(lines[1].starts_with("extra d3d3d3"), "the salt comes first: {}", lines[1]);
        assert_eq!(lines[2], "index 6");
        assert_eq!((lines[3 + proof.path.len()], lines[4 + proof.path.len()]), ("", origin().as_str()));
        assert!(text.ends_with(std::str::from_utf8(proof.note()).expect("text")));
        assert_eq!(RecordProof::from_text(&text, &FIXTURE.record_id), Ok(proof));
        let other = RecordProof::from_text(&text, &Digest::new([0; 32])).expect("reads");
        let found = other.verify(&Digest::new([0; 32]), RecordKind::EventReceived, &FIXTURE.verified);
        assert_eq!(found, Err(LedgerFault::WrongRoot));
    }

    #[test]
    fn a_text_is_read_in_its_one_form() {
        let text = RecordProof::parse(&FIXTURE.wire.encode_to_vec()).expect("parses").to_text();
        let check = |from: &str, to: &str, part| {
            let found = RecordProof::from_text(&text.replacen(from, to, 1), &FIXTURE.record_id);
            assert_eq!(found, Err(LedgerFault::ProofField(part)), "{from:?} to {to:?}");
        };
        check("@v1", "@v2", "first line");
        check("extra ", "extra  ", "extra");
        check("\nextra ", "\n", "extra");
        check("index 6", "index 06", "index");
        check("index 6", "index +6", "index");
        check("index 6", "place 6", "index");
        check("index 6\n", "index 6\nAAAA\n", "path");
        check("index 6\n", &format!("index 6\n{}", (STANDARD.encode([0; 32]) + "\n").repeat(PATH_MAX)), "path");
        let long = text + &"x".repeat(TEXT_MAX);
        let found = RecordProof::from_text(&long, &FIXTURE.record_id);
        assert_eq!(found, Err(LedgerFault::ProofMalformed(WireFault::TooLarge)));
        assert_eq!(RecordProof::from_text("", &FIXTURE.record_id), Err(LedgerFault::ProofField("checkpoint")));
    }

    #[test]
    fn a_proof_serves_one_record_kind_and_checkpoint() {
        let proof = RecordProof::parse(&FIXTURE.wire.encode_to_vec()).expect("parses");
        let verify = |id: u8, kind, verified| proof.verify(&Digest::new([id; 32]), kind, verified).map(|_| ());
        let good = &FIXTURE.verified;
        assert_eq!(verify(0x51, RecordKind::EventReceived, good), Ok(()));
        assert_eq!(verify(0x52, RecordKind::EventReceived, good), Err(LedgerFault::OtherRecord));
        assert_eq!(verify(0x51, RecordKind::EventSent, good), Err(LedgerFault::OtherKind));
        // The same tree signed a second later is another note: it is verified for itself.
        let note = good.checkpoint().sign(&signer(1), Time(1_800_000_002_000)).expect("signed");
        let other = VerifiedCheckpoint::verify(note.as_bytes(), &origin(), signer(1).public()).expect("verifies");
        assert_eq!(verify(0x51, RecordKind::EventReceived, &other), Err(LedgerFault::OtherCheckpoint));
    }

    #[test]
    fn every_part_is_required_and_bounded() {
        check(|_| (), Ok(()));
        check(|p| p.record_id.clear(), Err(LedgerFault::ProofField("record id")));
        check(|p| p.salt.truncate(31), Err(LedgerFault::ProofField("salt")));
        check(|p| p.salt.push(0), Err(LedgerFault::ProofField("salt")));
        check(|p| p.path[1].clear(), Err(LedgerFault::ProofField("path")));
        check(|p| p.path.resize(65, vec![0; 32]), Err(LedgerFault::PathLength(65)));
        check(|p| p.path.resize(64, vec![0; 32]), Err(LedgerFault::PathLength(64)));
        check(|p| p.path.clear(), Err(LedgerFault::PathLength(0)));
        check(|p| p.context.clear(), Err(LedgerFault::ContextField("kind")));
        check(|p| p.context.push(0xff), Err(LedgerFault::ContextMalformed(WireFault::Undecodable)));
        check(|p| p.checkpoint.clear(), Err(LedgerFault::OtherCheckpoint));
        check(|p| p.checkpoint.resize(PROOF_MAX, b'x'), Err(LedgerFault::ProofMalformed(WireFault::TooLarge)));
        check(|p| p.path.swap(0, 1), Err(LedgerFault::WrongRoot));
        check(|p| p.index = SIZE, Err(LedgerFault::IndexBeyondSize { index: SIZE, size: SIZE }));
        check(|p| p.index = u64::MAX, Err(LedgerFault::IndexBeyondSize { index: u64::MAX, size: SIZE }));
        check(|p| p.index = 7, Err(LedgerFault::WrongRoot));
        check(|p| p.index = 10, Err(LedgerFault::PathLength(4)));
    }

    #[test]
    fn a_context_moved_back_in_time_is_another_leaf() {
        let moved = Context { recorded: Time(1_700_000_000_000), ..FIXTURE.context.clone() };
        check(|p| p.context = moved.to_bytes(), Err(LedgerFault::WrongRoot));
    }

    #[test]
    fn the_largest_honest_proof_fits_its_limit() {
        let context = Context { slips: vec![Digest::new([4; 32]); super::super::SLIPS_MAX], ..FIXTURE.context.clone() };
        let path = [Digest::new([1; 32]); PATH_MAX];
        let note = FIXTURE.verified.note();
        let bytes = RecordProof::build(&FIXTURE.record_id, &context.to_bytes(), &Salt([1; 32]), PLACE, &path, note);
        assert!(bytes.len() < PROOF_MAX, "{}", bytes.len());
        assert!(RecordProof::parse(&bytes).is_ok());
    }

    #[test]
    fn one_changed_bit_anywhere_is_refused() {
        let good = FIXTURE.wire.encode_to_vec();
        for bit in 0..good.len() * 8 {
            let mut changed = good.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(judge(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_token_lies_below_its_size() {
        let token = Appended::on_disk(LedgerIndex(3), 4);
        assert_eq!((token.index(), token.size()), (LedgerIndex(3), 4));
        assert!(std::panic::catch_unwind(|| Appended::on_disk(LedgerIndex(4), 4)).is_err());
    }

    proptest! {
        #[test]
        fn any_proof_survives_writing_and_reading(
            id: [u8; 32], salt: [u8; 32], index: u64, nodes in 0_usize..=PATH_MAX, note in "[ -~]{0,200}",
        ) {
            let path = vec![Digest::new(id); nodes];
            let context = FIXTURE.context.to_bytes();
            let bytes = RecordProof::build(
                &Digest::new(id), &context, &Salt(salt), LedgerIndex(index), &path, note.as_bytes(),
            );
            let proof = RecordProof::parse(&bytes).expect("parses");
            prop_assert_eq!(proof.record_id(), &Digest::new(id));
            prop_assert_eq!((proof.salt, proof.index), (Salt(salt), LedgerIndex(index)));
            prop_assert_eq!((proof.path.len(), &proof.note[..]), (nodes, note.as_bytes()));
            prop_assert!(proof.verify(&Digest::new(id), RecordKind::EventReceived, &FIXTURE.verified).is_err());
        }

        #[test]
        fn noise_is_read_without_panic(noise: Vec<u8>) {
            prop_assert!(judge(&noise).is_err());
            let text = String::from_utf8_lossy(&noise);
            prop_assert!(RecordProof::from_text(&text, &FIXTURE.record_id).is_err());
        }
    }
}
