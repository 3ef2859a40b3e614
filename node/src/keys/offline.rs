//! The pairs that a node in service never opens: root and charter keys, each in a folder of its own.

use std::path::Path;

use comity_core::{
    crypto::{PublicKey, Signer},
    proto::Signature,
};
use zeroize::Zeroizing;

use super::{
    KeyFault, Passphrase,
    folder::{self, Slot},
    generation::{CHARTER, Family, ROOT},
};

/// Which offline keys a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineKeys {
    /// A Party's root pair: signs profiles.
    Root,
    /// A charter signer's pair.
    Charter,
}

impl OfflineKeys {
    const fn family(self) -> &'static Family {
        match self {
            Self::Root => &ROOT,
            Self::Charter => &CHARTER,
        }
    }
}

/// A hybrid pair that a node in service never opens: root or charter keys, in a folder of their own.
pub struct OfflineSigner(Box<dyn Signer>);

impl OfflineSigner {
    /// Draws a new pair and writes it to the folder `dir`, which must be absent or empty.
    ///
    /// # Errors
    /// As [`super::Keyring::create`].
    pub fn create(dir: &Path, which: OfflineKeys, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let entries = which.family().draw(1)?;
        folder::create(dir, passphrase, &entries)?;
        Self::from_plaintexts(dir, which, entries.into_iter().map(|(_, plaintext)| plaintext))
    }

    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// As [`super::Keyring::open`].
    pub fn open(dir: &Path, which: OfflineKeys, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let slots: Vec<Slot> = which.family().slots(1);
        Self::from_plaintexts(dir, which, folder::open(dir, passphrase, &slots)?.into_iter())
    }

    /// Signs a charter or profile, as its pre-authentication encoding.
    ///
    /// # Errors
    /// [`KeyFault::CannotSign`] when whoever holds the keys refuses.
    pub fn sign(&self, pae: &[u8]) -> Result<Vec<Signature>, KeyFault> {
        self.0.sign_pair(pae).map_err(|_| KeyFault::CannotSign)
    }

    /// Both public halves: Ed25519 first.
    #[must_use]
    pub fn public(&self) -> [&PublicKey; 2] {
        self.0.public()
    }

    fn from_plaintexts(
        dir: &Path,
        which: OfflineKeys,
        mut plaintexts: impl Iterator<Item = Zeroizing<Vec<u8>>>,
    ) -> Result<Self, KeyFault> {
        let family = which.family();
        let pair = family.pair(&family.seeds(dir, 1, &mut plaintexts)?).ok_or(KeyFault::CannotSign)?;
        Ok(Self(Box::new(pair)))
    }
}
