//! Officers and their roll by file: the small file of an officer's public key, and signing the roll with a node's own keys.

use std::path::{Path, PathBuf};

use comity_core::{
    ids::{hex, unhex},
    officer::{ROLL_TYPE, Roll},
    profile::{document, document_id, signing_message},
    proto,
    wire::{DOCUMENT_MAX, strict},
};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::{Beside, CeremonyFault, files};
use crate::keys::{KeyFault, Keyring, Passphrase};

/// The format of the file.
pub(crate) const OFFICER_SCHEMA: &str = "comity/officer-key/v1";
/// A key in hexadecimal and two words.
const FILE_MAX: usize = 4 << 10;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    ed25519: String,
}

/// The file of an officer's public key.
pub(crate) fn public_text(key: &[u8]) -> String {
    let file = File { schema: OFFICER_SCHEMA.to_owned(), ed25519: hex(key) };
    let comment = "# The public half of an officer's key, for the roll of the Party.\n".to_owned();
    comment + &toml::to_string(&file).expect("two texts are TOML")
}

/// A key as a draft names it: in digits, or by its file in this folder.
pub(super) fn key_of(named: &str, folder: &Path) -> Result<Vec<u8>, CeremonyFault> {
    match unhex(named, "key") {
        Ok(key) => Ok(key),
        Err(_) => read_public(&folder.join(named)),
    }
}

/// Reads the file of an officer's public key.
pub(crate) fn read_public(path: &Path) -> Result<Vec<u8>, CeremonyFault> {
    let bad = |why: String| CeremonyFault::Holder { path: path.to_owned(), why };
    let text = files::read_text(path, FILE_MAX)?;
    let file: File = toml::from_str(&text).map_err(|why| bad(why.to_string().trim_end().to_owned()))?;
    if file.schema != OFFICER_SCHEMA {
        return Err(bad(format!("its schema is not {OFFICER_SCHEMA}")));
    }
    unhex(&file.ed25519, "ed25519").map_err(|why| bad(why.to_string()))
}

/// A signed roll, read as it lies in a file. Whether it counts the node says.
pub(crate) fn read_roll(path: &Path) -> Result<(Vec<u8>, proto::Roll), CeremonyFault> {
    let none = || CeremonyFault::NoDocument(path.to_owned());
    let bytes = files::read(path, DOCUMENT_MAX)?;
    let envelope: proto::Envelope = strict(&bytes, DOCUMENT_MAX).map_err(|_| none())?;
    if envelope.payload_type != ROLL_TYPE {
        return Err(none());
    }
    let wire = strict(&envelope.header, DOCUMENT_MAX).map_err(|_| none())?;
    Ok((bytes, wire))
}

/// Checks a roll beside the profile it belongs to, before it is signed.
///
/// # Errors
/// When it says what the profile does not bear out.
pub(crate) fn check_roll(draft: &Path, wire: &proto::Roll, beside: &Beside) -> Result<(), CeremonyFault> {
    let source = |source| CeremonyFault::Document { path: draft.to_owned(), source };
    Roll::check(wire, beside.profile("roll of officers")?).map_err(source)
}

/// Signs a roll with the directory key in a node's folder of keys.
///
/// # Errors
/// When it does not hold, or the profile names no such key that may sign now.
pub(crate) fn sign_roll(
    wire: &proto::Roll,
    beside: &Beside,
    folder: &Path,
    out: PathBuf,
    passphrase: &Passphrase,
) -> Result<Vec<u8>, CeremonyFault> {
    let profile = beside.profile("roll of officers")?;
    let keys = Keyring::open(folder, passphrase)?;
    let payload = wire.encode_to_vec();
    let message = signing_message(&document_id(ROLL_TYPE, &payload));
    let signer = keys.directory_signer(profile, beside.now)?;
    let signatures = signer.sign_pair(&message).map_err(|_| KeyFault::CannotSign)?;
    let envelope = document(ROLL_TYPE, payload, signatures);
    Roll::open(&envelope, profile, beside.now).map_err(|source| CeremonyFault::Document { path: out, source })?;
    Ok(envelope)
}
