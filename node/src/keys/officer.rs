//! The keys of officers who approve what leaves: each in a folder of its own, which no node ever opens.

use std::path::Path;

use comity_core::{
    crypto::{PublicKey, Seed},
    officer::{Approval, Signed},
};
use zeroize::Zeroizing;

use super::{KeyFault, Passphrase, folder, generation::OFFICER};

/// An officer's own credential.
pub struct OfficerKey {
    seed: Seed,
    public: PublicKey,
}

impl OfficerKey {
    /// Draws a new key and writes it to the folder `dir`, which must be absent or empty.
    ///
    /// # Errors
    /// As [`super::Keyring::create`].
    pub fn create(dir: &Path, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let entries = OFFICER.draw(1)?;
        folder::create(dir, passphrase, &entries, &[])?;
        Self::from_plaintexts(dir, entries.into_iter().map(|(_, plaintext)| plaintext))
    }

    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// As [`super::Keyring::open`].
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        Self::from_plaintexts(dir, folder::open(dir, passphrase, &OFFICER.slots(1))?.into_iter())
    }

    /// Whether a folder holds such a key.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        OFFICER.slots(1).iter().all(|slot| slot.is_in(dir))
    }

    /// The half that the roll names.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs an approval.
    #[must_use]
    pub fn sign(&self, approval: Approval) -> Signed {
        approval.sign(&self.seed)
    }

    fn from_plaintexts(dir: &Path, mut plaintexts: impl Iterator<Item = Zeroizing<Vec<u8>>>) -> Result<Self, KeyFault> {
        let mut seeds = OFFICER.seeds(dir, 1, &mut plaintexts)?;
        let public = OFFICER.public(&seeds).pop().ok_or(KeyFault::UnknownRole)?;
        Ok(Self { seed: seeds.pop().ok_or(KeyFault::UnknownRole)?, public })
    }
}
