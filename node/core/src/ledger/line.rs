//! Signature lines over checkpoints: what each key signs, and whether its line holds.
//!
//! A ledger signs with a plain Ed25519 note signature and an ML-DSA-44 cosignature in its own name; a witness with two
//! cosignatures. Which is which follows from the key's role and algorithm, never from the line. C2SP signed-note and
//! tlog-cosignature. Start with [`sign_pair`] and [`halves`]. Serves SPEC `[L-8]` and `[L-11]`.

use super::{
    Checkpoint, LedgerFault,
    note::{self, Line, Note},
};
use crate::{
    crypto::{PublicKey, Signer},
    ids::Time,
    proto::{Algorithm, KeyRole},
};

/// tlog-cosignature: what separates these messages from all others an ML-DSA-44 key may sign.
const SUBTREE_LABEL: &[u8; 12] = b"subtree/v1\n\0";

/// What a key of a ledger or a witness signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// signed-note: the text alone.
    Note,
    /// tlog-cosignature with Ed25519: a time and the text.
    Cosignature,
    /// tlog-cosignature with ML-DSA-44: cosigner, time and tree.
    Subtree,
}

impl Form {
    /// How a key signs checkpoints, if it does.
    fn of(key: &PublicKey) -> Option<Self> {
        let own = key.role == KeyRole::Checkpoint;
        match key.algorithm {
            Algorithm::Ed25519 if own => Some(Self::Note),
            Algorithm::Ed25519 if key.role == KeyRole::Witness => Some(Self::Cosignature),
            Algorithm::MlDsa44 if own || key.role == KeyRole::Witness => Some(Self::Subtree),
            Algorithm::Ed25519
            | Algorithm::MlDsa44
            | Algorithm::MlDsa65
            | Algorithm::Mlkem768X25519
            | Algorithm::Unspecified => None,
        }
    }

    /// The signature type as it stands in key ids and verifier keys.
    const fn byte(self) -> u8 {
        match self {
            Self::Note => 0x01,
            Self::Cosignature => 0x04,
            Self::Subtree => 0x06,
        }
    }

    fn message(self, name: &str, checkpoint: &Checkpoint, seconds: u64) -> Vec<u8> {
        match self {
            Self::Note => checkpoint.text().into_bytes(),
            Self::Cosignature => format!("cosignature/v1\ntime {seconds}\n{}", checkpoint.text()).into_bytes(),
            Self::Subtree => subtree_message(name, checkpoint, seconds),
        }
    }
}

/// tlog-cosignature's `cosigned_message` for a whole tree: label, cosigner, time, origin, start
/// (zero), end, root. Names are preceded by their length in one byte.
fn subtree_message(cosigner: &str, checkpoint: &Checkpoint, seconds: u64) -> Vec<u8> {
    let mut message = SUBTREE_LABEL.to_vec();
    let put_name = |message: &mut Vec<u8>, name: &str| {
        message.push(u8::try_from(name.len()).expect("origins and names of witnesses are at most 160 bytes long"));
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

/// The verifier key of a ledger's or witness's key under its name, as C2SP signed-note writes it; none for a key that
/// signs no checkpoints.
#[must_use]
pub fn verifier_key(name: &str, key: &PublicKey) -> Option<String> {
    Form::of(key).map(|form| note::verifier_key(name, form.byte(), &key.bytes))
}

/// Both lines of a pair over a checkpoint, the Ed25519 one first.
///
/// # Errors
/// When the pair is none that signs checkpoints, or whoever holds it refuses.
pub(super) fn sign_pair(
    checkpoint: &Checkpoint,
    name: &str,
    signer: &dyn Signer,
    now: Time,
) -> Result<String, LedgerFault> {
    let [classical, quantum] = signer.public();
    let forms = Form::of(classical).zip(Form::of(quantum)).filter(|(_, second)| *second == Form::Subtree);
    let (first, second) = forms.ok_or(LedgerFault::CannotSign)?;
    let seconds = now.0 / 1000;
    let refused = |_| LedgerFault::CannotSign;
    let line = |key: &PublicKey, form: Form, signature: &[u8]| {
        let signature = match form {
            Form::Note => signature.to_vec(),
            Form::Cosignature | Form::Subtree => [&seconds.to_be_bytes(), signature].concat(),
        };
        note::line(name, note::key_id(name, form.byte(), &key.bytes), &signature)
    };
    let one = signer.sign_ed25519(&first.message(name, checkpoint, seconds)).map_err(refused)?;
    let other = signer.sign_ml_dsa(&second.message(name, checkpoint, seconds)).map_err(refused)?;
    Ok(line(classical, first, &one) + &line(quantum, second, &other))
}

/// The latest time at which each algorithm signed in this name, Ed25519 first; none if no known key of it did. A plain
/// note signature states no time, which is told as the earliest. Every line in a known key's name must verify.
///
/// # Errors
/// When one does not, or a key has two.
pub(super) fn halves<'k>(
    read: &Note<'_>,
    name: &str,
    keys: impl IntoIterator<Item = &'k PublicKey>,
    checkpoint: &Checkpoint,
) -> Result<(Option<Time>, Option<Time>), LedgerFault> {
    let (mut classical, mut quantum) = (None, None);
    for key in keys {
        let Some(form) = Form::of(key) else { continue };
        let Some(line) = read.line_by(name, note::key_id(name, form.byte(), &key.bytes))? else { continue };
        let at = Some(check(line, form, key, checkpoint)?);
        match form {
            Form::Note | Form::Cosignature => classical = classical.max(at),
            Form::Subtree => quantum = quantum.max(at),
        }
    }
    Ok((classical, quantum))
}

/// Checks a line under the key it names and gives the time it states.
fn check(line: &Line<'_>, form: Form, key: &PublicKey, checkpoint: &Checkpoint) -> Result<Time, LedgerFault> {
    let bad = LedgerFault::BadSignature;
    let (seconds, signature) = match form {
        Form::Note => (0, &line.signature[..]),
        Form::Cosignature | Form::Subtree => {
            let (seconds, signature) = line.signature.split_first_chunk::<8>().ok_or(bad.clone())?;
            (u64::from_be_bytes(*seconds), signature)
        }
    };
    // Within what tlog-cosignature allows, and no farther than our milliseconds count.
    let moment = seconds.checked_mul(1000).map(Time).ok_or(bad.clone())?;
    key.verify(&form.message(line.name, checkpoint, seconds), signature).map_err(|_| bad)?;
    Ok(moment)
}
