//! The keys of those who can open backups: each in a folder of its own, on a machine that meets no node.

use std::path::Path;

use comity_core::crypto::{CryptoFault, PublicKey, Seed, hpke_open};
use zeroize::Zeroizing;

use super::{KeyFault, Passphrase, folder, generation::RECOVERY};

/// A key that opens what was sealed to its public half.
pub struct RecoveryKey {
    seed: Seed,
    public: PublicKey,
}

impl RecoveryKey {
    /// Draws a new key and writes it to the folder `dir`, which must be absent or empty.
    ///
    /// # Errors
    /// As [`super::Keyring::create`].
    pub fn create(dir: &Path, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let entries = RECOVERY.draw(1)?;
        folder::create(dir, passphrase, &entries, &[])?;
        Self::from_plaintexts(dir, entries.into_iter().map(|(_, plaintext)| plaintext))
    }

    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// As [`super::Keyring::open`].
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        Self::from_plaintexts(dir, folder::open(dir, passphrase, &RECOVERY.slots(1))?.into_iter())
    }

    /// Whether a folder holds such a key.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        RECOVERY.slots(1).iter().all(|slot| slot.is_in(dir))
    }

    /// The half that others may have.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Opens what was sealed to it ([`comity_core::crypto::hpke_seal`]).
    ///
    /// # Errors
    /// When it was not, or is not what was sealed.
    pub fn unwrap(
        &self,
        (info, aad): (&[u8], &[u8]),
        encapsulated: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, CryptoFault> {
        hpke_open(&self.seed, info, aad, encapsulated, wrapped)
    }

    fn from_plaintexts(dir: &Path, mut plaintexts: impl Iterator<Item = Zeroizing<Vec<u8>>>) -> Result<Self, KeyFault> {
        let mut seeds = RECOVERY.seeds(dir, 1, &mut plaintexts)?;
        let public = RECOVERY.public(&seeds).pop().ok_or(KeyFault::UnknownRole)?;
        Ok(Self { seed: seeds.pop().ok_or(KeyFault::UnknownRole)?, public })
    }
}
