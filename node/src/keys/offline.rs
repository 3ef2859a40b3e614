//! The pairs that a node in service never opens: root and charter keys, each in a folder of its own, both halves
//! in files or the classical one in a token.

use std::path::Path;

use comity_core::{
    crypto::{PublicKey, Signer},
    ids::Digest,
    profile::signing_message,
    proto::Signature,
};
use zeroize::Zeroizing;

use super::{
    KeyFault, Passphrase,
    folder::{self, Slot},
    generation::{CHARTER, Family, ROOT},
    token::{self, Token},
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
        folder::create(dir, passphrase, &entries, &[])?;
        Self::from_plaintexts(dir, which, entries.into_iter().map(|(_, plaintext)| plaintext))
    }

    /// Draws a new pair whose classical half the token makes and keeps; the folder `dir`, which must be absent or
    /// empty, gets the other half and says which token it is. The PIN is read from the token's file, or asked.
    ///
    /// # Errors
    /// As [`Self::create`]; [`KeyFault::NoToken`], [`KeyFault::WrongPin`], or what the token said.
    pub fn create_in_token(
        dir: &Path,
        which: OfflineKeys,
        passphrase: &Passphrase,
        token: &Token,
    ) -> Result<Self, KeyFault> {
        if folder::holds_something(dir)? {
            return Err(KeyFault::Exists { path: dir.to_owned() });
        }
        let family = which.family();
        let entries = family.draw(1)?.split_off(1);
        token.create(family.role, |text| folder::create(dir, passphrase, &entries, &[(token::FILE, text)]))?;
        Self::open(dir, which, passphrase)
    }

    /// Opens the folder `dir`, and the token in which it says that its classical half is.
    ///
    /// # Errors
    /// As [`super::Keyring::open`] and [`Self::create_in_token`]; [`KeyFault::NotInToken`] when the token does not
    /// hold the key.
    pub fn open(dir: &Path, which: OfflineKeys, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let family = which.family();
        let slots: Vec<Slot> = family.slots(1);
        if token::is_named_in(dir) {
            let plaintexts = folder::open(dir, passphrase, &slots[1..])?;
            let quantum = family.quantum(dir, 1, plaintexts.first().map_or(&[], |plaintext| &plaintext[..]))?;
            return Ok(Self(Box::new(Token::open(dir, family.role, quantum)?)));
        }
        Self::from_plaintexts(dir, which, folder::open(dir, passphrase, &slots)?.into_iter())
    }

    /// Signs a charter, profile or suspension, by its document id.
    ///
    /// # Errors
    /// [`KeyFault::CannotSign`] when whoever holds the keys refuses.
    pub fn sign(&self, document: &Digest) -> Result<Vec<Signature>, KeyFault> {
        self.0.sign_pair(&signing_message(document)).map_err(|_| KeyFault::CannotSign)
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
