//! Checkpoints: the size and root of a ledger, signed by its Party with both algorithms.
//!
//! Decides the bytes of a checkpoint, how it is signed, and when it counts: an Ed25519 line and an
//! ML-DSA-44 line, each by a known key of the checkpoint role. Never decides whose keys are known
//! or whether a ledger forked. The form is a C2SP signed note without extension lines; the
//! ML-DSA-44 line is a C2SP tlog-cosignature by the ledger itself. Lines by others (cosignatures)
//! are passed over. Start with [`Checkpoint::sign`] and [`VerifiedCheckpoint::verify`]. Serves
//! SPEC `[C-*]`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::LedgerFault;
use crate::{
    crypto::{HybridSigner, PublicKey, sha256},
    ids::{Digest, Origin, Time},
    proto::{Algorithm, KeyRole},
};

/// The longest note read: text, and [`LINES_MAX`] lines of which half carry ML-DSA-44 signatures
/// (3.4 KiB each in base64).
pub const NOTE_MAX: usize = 64 << 10;
/// The most signature lines read: signed-note asks for at least 16; seven witnesses with two
/// algorithms, and the ledger's own pair beside that of the keys before, make 18.
pub const LINES_MAX: usize = 32;

/// signed-note: a plain Ed25519 signature over the text.
const TYPE_ED25519: u8 = 0x01;
/// tlog-cosignature: a timestamped ML-DSA-44 signature.
const TYPE_ML_DSA_44: u8 = 0x06;
/// tlog-cosignature: what separates these messages from all others an ML-DSA-44 key may sign.
const COSIGNED_LABEL: &[u8; 12] = b"subtree/v1\n\0";
/// What a signature line begins with: an em dash and a space.
const LINE_START: &str = "\u{2014} ";

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
    pub fn sign(&self, signer: &HybridSigner, now: Time) -> Result<String, LedgerFault> {
        if self.size == 0 {
            return Err(LedgerFault::Empty);
        }
        let [classical, quantum] = signer.public();
        if quantum.algorithm != Algorithm::MlDsa44 || [classical, quantum].iter().any(|key| line_type(key).is_none()) {
            return Err(LedgerFault::CannotSign);
        }
        let text = self.text();
        let seconds = now.0 / 1000;
        let message = cosigned_message(self.origin.as_str(), self, seconds);
        let signature = signer.sign_ml_dsa(&message).map_err(|_| LedgerFault::CannotSign)?;
        let timestamped = [&seconds.to_be_bytes()[..], &signature].concat();
        let first = note_line(&self.origin, classical, &signer.sign_ed25519(text.as_bytes()));
        let second = note_line(&self.origin, quantum, &timestamped);
        Ok(format!("{text}\n{first}{second}"))
    }
}

/// A checkpoint both of whose required signatures were checked, with the bytes they came in.
///
/// The check costs two signature verifications. One note often serves a whole batch of proofs, so
/// keep the last one of each peer and compare [`Self::note`] with the next; drop it when the
/// peer's keys change.
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
        let read = Note::parse(note)?;
        if read.checkpoint.origin != *origin {
            return Err(LedgerFault::OtherOrigin);
        }
        let (mut classical, mut quantum) = (false, None);
        for key in keys {
            let Some(line) = read.line_by(key)? else { continue };
            match line.check(key, &read.checkpoint)? {
                None => classical = true,
                time => quantum = quantum.max(time),
            }
        }
        let signed = match (classical, quantum) {
            (true, Some(signed)) => signed,
            (false, _) => return Err(LedgerFault::NoEd25519),
            (true, None) => return Err(LedgerFault::NoMlDsa),
        };
        Ok(Self { checkpoint: read.checkpoint, signed, note: note.to_vec() })
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
}

/// Reads a note strictly without checking any signature: enough to learn which origin's keys to
/// look up, and nothing to rely on.
///
/// # Errors
/// When the form is broken.
pub fn parse_unverified(note: &[u8]) -> Result<Checkpoint, LedgerFault> {
    Note::parse(note).map(|read| read.checkpoint)
}

/// A note that is well formed and not yet checked.
struct Note<'n> {
    checkpoint: Checkpoint,
    lines: Vec<Line<'n>>,
}

/// One signature line.
struct Line<'n> {
    name: &'n str,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl<'n> Note<'n> {
    fn parse(note: &'n [u8]) -> Result<Self, LedgerFault> {
        if note.len() > NOTE_MAX {
            return Err(LedgerFault::NoteTooLarge);
        }
        let note = std::str::from_utf8(note).map_err(|_| LedgerFault::NoteMalformed("not UTF-8"))?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(LedgerFault::NoteMalformed("control character"));
        }
        let (text, lines) = note.split_once("\n\n").ok_or(LedgerFault::NoteMalformed("no blank line"))?;
        let checkpoint = parse_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(LedgerFault::NoteMalformed("no final newline"))?;
        if lines.split('\n').count() > LINES_MAX {
            return Err(LedgerFault::TooManySignatures);
        }
        Ok(Self { checkpoint, lines: lines.split('\n').map(Line::parse).collect::<Result<_, _>>()? })
    }

    /// The one line in a key's name, if the key is one that signs checkpoints.
    fn line_by(&self, key: &PublicKey) -> Result<Option<&Line<'n>>, LedgerFault> {
        let origin = self.checkpoint.origin.as_str();
        let Some(key_id) = line_type(key).map(|kind| note_key_id(origin, kind, &key.bytes)) else {
            return Ok(None);
        };
        let mut named = self.lines.iter().filter(|line| line.name == origin && line.key_id == key_id);
        match (named.next(), named.next()) {
            (_, Some(_)) => Err(LedgerFault::RepeatedSignature),
            (line, None) => Ok(line),
        }
    }
}

impl<'n> Line<'n> {
    fn parse(line: &'n str) -> Result<Self, LedgerFault> {
        let malformed = LedgerFault::NoteMalformed("signature line");
        let read = || {
            let (name, encoded) = line.strip_prefix(LINE_START)?.split_once(' ')?;
            let signature = STANDARD.decode(encoded).ok()?;
            let (key_id, signature) = signature.split_first_chunk::<4>()?;
            let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
            (named && !signature.is_empty()).then(|| Self { name, key_id: *key_id, signature: signature.to_vec() })
        };
        read().ok_or(malformed)
    }

    /// Checks the line under the key it names. An ML-DSA-44 line gives the time it states.
    fn check(&self, key: &PublicKey, checkpoint: &Checkpoint) -> Result<Option<Time>, LedgerFault> {
        let bad = |_| LedgerFault::BadSignature;
        if key.algorithm == Algorithm::Ed25519 {
            key.verify(checkpoint.text().as_bytes(), &self.signature).map_err(bad)?;
            return Ok(None);
        }
        let (seconds, signature) = self.signature.split_first_chunk::<8>().ok_or(LedgerFault::BadSignature)?;
        let seconds = u64::from_be_bytes(*seconds);
        // Within what tlog-cosignature allows, and no farther than our milliseconds count.
        let moment = seconds.checked_mul(1000).map(Time).ok_or(LedgerFault::BadSignature)?;
        key.verify(&cosigned_message(self.name, checkpoint, seconds), signature).map_err(bad)?;
        Ok(Some(moment))
    }
}

/// The three lines, without the newline that ends the last.
fn parse_text(text: &str) -> Result<Checkpoint, LedgerFault> {
    let mut lines = text.split('\n');
    let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next()) else {
        return Err(LedgerFault::NoteMalformed("not three lines of text"));
    };
    let origin = Origin::parse(origin).map_err(|_| LedgerFault::NoteMalformed("origin line"))?;
    let size = size
        .parse::<u64>()
        .ok()
        .filter(|parsed| parsed.to_string() == size)
        .ok_or(LedgerFault::NoteMalformed("size line"))?;
    let root = STANDARD.decode(root).ok().and_then(|root| Digest::from_slice(&root).ok());
    let root = root.ok_or(LedgerFault::NoteMalformed("root line"))?;
    if size == 0 { Err(LedgerFault::Empty) } else { Ok(Checkpoint { origin, size, root }) }
}

/// How a key signs notes, if it is one of the checkpoint role.
fn line_type(key: &PublicKey) -> Option<u8> {
    match (key.role == KeyRole::Checkpoint, key.algorithm) {
        (true, Algorithm::Ed25519) => Some(TYPE_ED25519),
        (true, Algorithm::MlDsa44) => Some(TYPE_ML_DSA_44),
        (true, Algorithm::MlDsa65 | Algorithm::Mlkem768X25519 | Algorithm::Unspecified) | (false, _) => None,
    }
}

/// signed-note's key id: a hint that finds the key, never a proof.
fn note_key_id(name: &str, kind: u8, key: &[u8]) -> [u8; 4] {
    let digest = sha256(&[name.as_bytes(), b"\n", &[kind], key]);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

fn note_line(origin: &Origin, key: &PublicKey, signature: &[u8]) -> String {
    let kind = line_type(key).expect("the signer was checked to be a checkpoint pair");
    let key_id = note_key_id(origin.as_str(), kind, &key.bytes);
    format!("{LINE_START}{origin} {}\n", STANDARD.encode([&key_id[..], signature].concat()))
}

/// tlog-cosignature's `cosigned_message` for a whole tree: label, cosigner, time, origin, start
/// (zero), end, root. Names are preceded by their length in one byte.
fn cosigned_message(cosigner: &str, checkpoint: &Checkpoint, seconds: u64) -> Vec<u8> {
    let mut message = COSIGNED_LABEL.to_vec();
    let put_name = |message: &mut Vec<u8>, name: &str| {
        message.push(u8::try_from(name.len()).expect("origins are at most 160 bytes long"));
        message.extend_from_slice(name.as_bytes());
    };
    put_name(&mut message, cosigner);
    message.extend_from_slice(&seconds.to_be_bytes());
    put_name(&mut message, checkpoint.origin.as_str());
    message.extend_from_slice(&0_u64.to_be_bytes());
    message.extend_from_slice(&checkpoint.size.to_be_bytes());
    message.extend_from_slice(checkpoint.root.as_bytes());
    message
}
