//! Whom backups are sealed to: the public halves of recovery keys, in small files that may be copied freely.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use comity_core::{
    crypto::PublicKey,
    ids::{KeyId, hex, unhex},
    proto::{Algorithm, KeyRole},
};
use serde::{Deserialize, Serialize};

use super::BackupFault;

/// The format of the file.
pub const RECIPIENT_SCHEMA: &str = "comity/recovery-key/v1";
/// A key in hexadecimal is below 3 KiB.
const FILE_MAX: u64 = 16 << 10;
/// Fewer could all be lost in one accident.
const RECIPIENTS_MIN: usize = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    mlkem768_x25519: String,
}

/// The file of a public half.
#[must_use]
pub fn recipient_text(key: &PublicKey) -> String {
    let file = File { schema: RECIPIENT_SCHEMA.to_owned(), mlkem768_x25519: hex(&key.bytes) };
    let comment = format!("# The public half of a recovery key: backups are sealed to it. Key id {}\n", key.id());
    comment + &toml::to_string(&file).expect("two texts are TOML")
}

/// Reads the file of a public half.
///
/// # Errors
/// [`BackupFault::BadRecipient`] with what is wrong.
pub fn read_recipient(path: &Path) -> Result<PublicKey, BackupFault> {
    let bad = |why: String| BackupFault::BadRecipient { path: path.to_owned(), why };
    let size = fs::metadata(path).map_err(|fault| bad(fault.to_string()))?.len();
    if size > FILE_MAX {
        return Err(bad("it is too long".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|fault| bad(fault.to_string()))?;
    let file: File = toml::from_str(&text).map_err(|fault| bad(fault.to_string().trim_end().to_owned()))?;
    if file.schema != RECIPIENT_SCHEMA {
        return Err(bad(format!("its schema is not {RECIPIENT_SCHEMA}")));
    }
    let bytes = unhex(&file.mlkem768_x25519, "mlkem768_x25519").map_err(|fault| bad(fault.to_string()))?;
    let key = PublicKey { role: KeyRole::Recovery, algorithm: Algorithm::Mlkem768X25519, bytes };
    if key.fits_its_role() { Ok(key) } else { Err(bad("the key has not the length of its algorithm".to_owned())) }
}

/// Reads all files and puts the keys in order; each counts once.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<BTreeMap<KeyId, PublicKey>, BackupFault> {
    let keys = paths.iter().map(|path| read_recipient(path).map(|key| (key.id(), key)));
    let keys: BTreeMap<KeyId, PublicKey> = keys.collect::<Result<_, _>>()?;
    if keys.len() < RECIPIENTS_MIN { Err(BackupFault::TooFewRecipients(keys.len())) } else { Ok(keys) }
}
