//! Adding one holder's signatures to a copy of a document.

use std::path::{Path, PathBuf};

use comity_core::{
    crypto::PublicKey,
    ids::KeyId,
    profile::{ProfileFault, signing_message},
    proto::Signature,
};

use super::{
    Beside, CeremonyFault, Document, Holder, Paper, Standing,
    holder::mark,
    standing::{is_alone, key_ids},
};
use crate::keys::{KeyFault, Keyring, OfflineKeys, OfflineSigner, Passphrase};

/// Signs a copy of the document with the keys in a folder: root or charter keys, or a node's for a directory. Gives the
/// copy, to be written to `out`, and the mark of who signed.
///
/// # Errors
/// When the document does not hold as it stands, or the holder has no part in it or has signed it before.
pub(crate) fn sign(
    document: &Document,
    beside: &Beside,
    folder: &Path,
    out: PathBuf,
    passphrase: &Passphrase,
) -> Result<(Document, String), CeremonyFault> {
    let standing = Standing::of(document, beside)?;
    let id = document.id();
    let (pair, signatures) = match keys_in(folder)? {
        Keys::Offline(which) => {
            let signer = OfflineSigner::open(folder, which, passphrase)?;
            let pair = Holder::of(signer.public()).ids();
            check(document, beside, &standing, &pair)?;
            (pair, signer.sign(&id)?)
        }
        Keys::Node => {
            let keys = Keyring::open(folder, passphrase)?;
            let signer = keys.directory_signer(beside.profile("directory")?, beside.now)?;
            let pair = signer.public().map(PublicKey::id);
            check_directory(document, &pair)?;
            (pair, signer.sign_pair(&signing_message(&id)).map_err(|_| KeyFault::CannotSign)?)
        }
    };
    let signed = document.clone().with(&signatures).at(out);
    check_signed(&signed, beside, &pair, &signatures)?;
    Ok((signed, mark(&pair)))
}

pub(super) enum Keys {
    Offline(OfflineKeys),
    Node,
}

/// Which keys a folder holds, told by the names of files that are there whatever is in a token or was turned.
pub(super) fn keys_in(folder: &Path) -> Result<Keys, CeremonyFault> {
    let has = |name: &str| folder.join(name).is_file();
    match () {
        () if has("root-ml-dsa-65.pem") => Ok(Keys::Offline(OfflineKeys::Root)),
        () if has("charter-ml-dsa-65.pem") => Ok(Keys::Offline(OfflineKeys::Charter)),
        () if has("data-ledger.pem") => Ok(Keys::Node),
        () => Err(CeremonyFault::NoKeys(folder.to_owned())),
    }
}

fn check(document: &Document, beside: &Beside, standing: &Standing, pair: &[KeyId; 2]) -> Result<(), CeremonyFault> {
    let key = mark(pair);
    if standing.has(pair) {
        return Err(CeremonyFault::SignedAlready { key });
    }
    if standing.may_sign(pair) {
        return Ok(());
    }
    if is_alone(document, beside) {
        return Err(needs_before());
    }
    Err(CeremonyFault::NotASigner { key })
}

/// A node signs what changes weekly and nothing else.
fn check_directory(document: &Document, pair: &[KeyId; 2]) -> Result<(), CeremonyFault> {
    let key = mark(pair);
    if !matches!(document.paper, Paper::Directory(_)) {
        return Err(CeremonyFault::NotASigner { key });
    }
    let signed = key_ids(&document.signatures).iter().any(|id| pair.contains(id));
    if signed { Err(CeremonyFault::SignedAlready { key }) } else { Ok(()) }
}

/// What was signed must hold as far as it goes, before anybody gets it.
fn check_signed(
    signed: &Document,
    beside: &Beside,
    pair: &[KeyId; 2],
    signatures: &[Signature],
) -> Result<(), CeremonyFault> {
    match Standing::of(signed, beside) {
        Ok(_) => Ok(()),
        Err(CeremonyFault::Document { source: ProfileFault::NotDirectoryKey, .. })
            if signatures.len() == pair.len() =>
        {
            Err(CeremonyFault::NotASigner { key: mark(pair) })
        }
        Err(other) => Err(other),
    }
}

/// Who else may sign a later charter cannot be told without the one before.
pub(super) fn needs_before() -> CeremonyFault {
    CeremonyFault::Needs { kind: "later charter", other: "the charter before it", option: "--after" }
}
