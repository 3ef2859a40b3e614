//! The keys of one node, opened: what signs, what opens, and the node's own data keys.

use std::{collections::BTreeMap, path::Path};

use comity_core::{
    crypto::{CryptoFault, DataKey, HybridSigner, PublicKey, Seed, hpke_open},
    event::{BodySecret, EventFault, unwrap_body_with},
    ids::{Digest, KeyId},
    proto::{Algorithm, KeyRole, Signature},
};
use zeroize::Zeroizing;

use super::{
    KeyFault, Passphrase, encoding,
    file::Content,
    folder::{self, Entry, Slot},
};

/// A private key's place: file name, role and algorithm, in the order of [`Keyring::public_keys`].
type Place = (&'static str, KeyRole, Algorithm);

/// One key per role, never shared between roles; hybrid where a signature must last.
const NODE: [Place; 8] = [
    ("transport-ed25519", KeyRole::Transport, Algorithm::Ed25519),
    ("record-ed25519", KeyRole::Record, Algorithm::Ed25519),
    ("record-ml-dsa-65", KeyRole::Record, Algorithm::MlDsa65),
    ("checkpoint-ed25519", KeyRole::Checkpoint, Algorithm::Ed25519),
    ("checkpoint-ml-dsa-44", KeyRole::Checkpoint, Algorithm::MlDsa44),
    ("directory-ed25519", KeyRole::Directory, Algorithm::Ed25519),
    ("directory-ml-dsa-65", KeyRole::Directory, Algorithm::MlDsa65),
    ("seal-mlkem768-x25519", KeyRole::Seal, Algorithm::Mlkem768X25519),
];

const NODE_SECRETS: [&str; 3] = ["data-ledger", "data-kek", "data-desk"];

const ROOT: [Place; 2] =
    [("root-ed25519", KeyRole::Root, Algorithm::Ed25519), ("root-ml-dsa-65", KeyRole::Root, Algorithm::MlDsa65)];

const CHARTER: [Place; 2] = [
    ("charter-ed25519", KeyRole::Charter, Algorithm::Ed25519),
    ("charter-ml-dsa-65", KeyRole::Charter, Algorithm::MlDsa65),
];

/// The node's own symmetric keys. They never leave the machine, not even wrapped.
pub struct NodeSecrets {
    /// Encrypts the node part of every ledger frame.
    pub ledger: DataKey,
    /// Wraps the data keys of requests in their slots.
    pub kek: DataKey,
    /// Encrypts the desk.
    pub desk: DataKey,
}

/// Everything a running node signs and opens with.
///
/// When record and checkpoint keys can live in a token (PKCS#11), `record` and `checkpoint` become the
/// second and first holders of a `Signer` trait with `sign_pair(role, message)`; with files alone
/// there is one implementation, and a trait would only hide it.
pub struct Keyring {
    transport: Seed,
    record: HybridSigner,
    checkpoint: HybridSigner,
    directory: HybridSigner,
    /// By key id, since a node keeps the seal keys of earlier quarters to open what was sealed to them.
    seals: BTreeMap<KeyId, Seed>,
    secrets: NodeSecrets,
    public: Vec<PublicKey>,
}

impl Keyring {
    /// Draws new keys and writes them to the folder `dir`, which must be absent or empty.
    ///
    /// # Errors
    /// [`KeyFault::Exists`], or what the disk refused; nothing is left half made.
    pub fn create(dir: &Path, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let mut entries = new_keys(&NODE)?;
        for name in NODE_SECRETS {
            entries.push((secret(name), Zeroizing::new(folder::random::<32>()?.to_vec())));
        }
        folder::create(dir, passphrase, &entries)?;
        Self::from_plaintexts(dir, entries.into_iter().map(|(_, plaintext)| plaintext))
    }

    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// Names the file that is missing, too open or damaged, or says that the passphrase is wrong.
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let slots: Vec<Slot> = NODE.iter().map(key).chain(NODE_SECRETS.map(secret)).collect();
        Self::from_plaintexts(dir, folder::open(dir, passphrase, &slots)?.into_iter())
    }

    /// The seed of the transport identity, for the one library that must hold it.
    #[must_use]
    pub fn transport_seed(&self) -> &Seed {
        &self.transport
    }

    /// Signs an event, receipt or refusal. `pae` is the pre-authentication encoding, never bare bytes.
    ///
    /// # Errors
    /// [`KeyFault::CannotSign`] when the library refuses, which no input causes.
    pub fn sign_event(&self, pae: &[u8]) -> Result<Vec<Signature>, KeyFault> {
        self.record.sign_pair(pae).map_err(|_| KeyFault::CannotSign)
    }

    /// Signs the part of the profile that changes weekly.
    ///
    /// # Errors
    /// As [`Self::sign_event`].
    pub fn sign_directory(&self, pae: &[u8]) -> Result<Vec<Signature>, KeyFault> {
        self.directory.sign_pair(pae).map_err(|_| KeyFault::CannotSign)
    }

    /// The pair that signs checkpoints; `comity_core::ledger` knows over which bytes.
    #[must_use]
    pub fn checkpoint_signer(&self) -> &HybridSigner {
        &self.checkpoint
    }

    /// The seal key bodies are wrapped for now.
    #[must_use]
    pub fn seal_key(&self) -> Option<KeyId> {
        self.seals.keys().next().copied()
    }

    /// Opens a 32-byte secret wrapped for one of this node's seal keys.
    ///
    /// # Errors
    /// [`KeyFault::UnknownKey`] when the key is not held here, [`KeyFault::DoesNotOpen`] when the wrap
    /// or its binding differ in any bit.
    pub fn open_wrap(
        &self,
        key_id: &KeyId,
        info: &[u8],
        aad: &[u8],
        encapsulated: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, KeyFault> {
        let seed = self.seals.get(key_id).ok_or(KeyFault::UnknownKey { id: *key_id })?;
        hpke_open(seed, info, aad, encapsulated, wrapped).map_err(|_| KeyFault::DoesNotOpen)
    }

    /// Opens what was sealed to this node, bound to this digest: the body of an event, or a page of keys.
    ///
    /// # Errors
    /// When there is no wrap for our key, or anything about it differs in any bit.
    pub fn unwrap(&self, sealed: &[u8], binding: &Digest) -> Result<BodySecret, EventFault> {
        let key = self.seal_key().ok_or(EventFault::Sealed(CryptoFault::BadKey))?;
        unwrap_body_with(sealed, binding, &key, |info, aad, encapsulated, wrapped| {
            self.open_wrap(&key, info, aad, encapsulated, wrapped).map_err(|_| CryptoFault::DoesNotOpen)
        })
    }

    /// The public halves, for the profile: one per role and algorithm, in a fixed order.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        &self.public
    }

    /// The node's own symmetric keys.
    #[must_use]
    pub fn secrets(&self) -> &NodeSecrets {
        &self.secrets
    }

    /// Plaintexts in the order of [`NODE`] and [`NODE_SECRETS`].
    fn from_plaintexts(dir: &Path, mut plaintexts: impl Iterator<Item = Zeroizing<Vec<u8>>>) -> Result<Self, KeyFault> {
        let [transport, record, record_pq, checkpoint, checkpoint_pq, directory, directory_pq, seal] =
            read_keys(dir, &NODE, &mut plaintexts)?;
        let [ledger, kek, desk] = read_secrets(dir, &mut plaintexts)?;
        let transport_public = public(KeyRole::Transport, Algorithm::Ed25519, &transport);
        let seal_public = public(KeyRole::Seal, Algorithm::Mlkem768X25519, &seal);
        let record = pair(KeyRole::Record, &record, Algorithm::MlDsa65, &record_pq);
        let checkpoint = pair(KeyRole::Checkpoint, &checkpoint, Algorithm::MlDsa44, &checkpoint_pq);
        let directory = pair(KeyRole::Directory, &directory, Algorithm::MlDsa65, &directory_pq);
        let signers = [&record, &checkpoint, &directory].into_iter().flat_map(HybridSigner::public).cloned();
        Ok(Self {
            public: [transport_public].into_iter().chain(signers).chain([seal_public.clone()]).collect(),
            transport,
            record,
            checkpoint,
            directory,
            seals: BTreeMap::from([(seal_public.id(), seal)]),
            secrets: NodeSecrets { ledger, kek, desk },
        })
    }
}

/// Which offline keys a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineKeys {
    /// A Party's root pair: signs profiles.
    Root,
    /// A charter signer's pair.
    Charter,
}

impl OfflineKeys {
    const fn places(self) -> &'static [Place; 2] {
        match self {
            Self::Root => &ROOT,
            Self::Charter => &CHARTER,
        }
    }
}

/// A hybrid pair that a node in service never opens: root or charter keys, in a folder of their own.
pub struct OfflineSigner(HybridSigner);

impl OfflineSigner {
    /// Draws a new pair and writes it to the folder `dir`, which must be absent or empty.
    ///
    /// # Errors
    /// As [`Keyring::create`].
    pub fn create(dir: &Path, which: OfflineKeys, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let entries = new_keys(which.places())?;
        folder::create(dir, passphrase, &entries)?;
        Self::from_plaintexts(dir, which, entries.into_iter().map(|(_, plaintext)| plaintext))
    }

    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn open(dir: &Path, which: OfflineKeys, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let slots: Vec<Slot> = which.places().iter().map(key).collect();
        Self::from_plaintexts(dir, which, folder::open(dir, passphrase, &slots)?.into_iter())
    }

    /// Signs a charter or profile, as its pre-authentication encoding.
    ///
    /// # Errors
    /// As [`Keyring::sign_event`].
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
        let [classical, quantum] = read_keys(dir, which.places(), &mut plaintexts)?;
        let (_, role, _) = which.places()[0];
        Ok(Self(pair(role, &classical, Algorithm::MlDsa65, &quantum)))
    }
}

fn key((name, _, _): &Place) -> Slot {
    Slot { name, content: Content::PrivateKey }
}

fn secret(name: &'static str) -> Slot {
    Slot { name, content: Content::Secret }
}

fn new_keys(places: &[Place]) -> Result<Vec<Entry>, KeyFault> {
    let draw = |place: &Place| {
        let seed = Seed::new(*folder::random()?);
        let plaintext = encoding::to_pkcs8(place.2, &seed).expect("the tables name real algorithms only");
        Ok((key(place), plaintext))
    };
    places.iter().map(draw).collect()
}

fn read_keys<const N: usize>(
    dir: &Path,
    places: &[Place; N],
    plaintexts: &mut impl Iterator<Item = Zeroizing<Vec<u8>>>,
) -> Result<[Seed; N], KeyFault> {
    let read = |(name, _, algorithm): &Place| {
        let plaintext = plaintexts.next().unwrap_or_default();
        let wrong = || folder::damaged(dir, name, "holds a key of another algorithm than its name says");
        encoding::from_pkcs8(*algorithm, &plaintext).ok_or_else(wrong)
    };
    let seeds = places.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(seeds.try_into().unwrap_or_else(|_| unreachable!("one seed was read for each place")))
}

fn read_secrets(
    dir: &Path,
    plaintexts: &mut impl Iterator<Item = Zeroizing<Vec<u8>>>,
) -> Result<[DataKey; 3], KeyFault> {
    let mut read = |name| {
        let seed = encoding::seed_from(&plaintexts.next().unwrap_or_default());
        let wrong = || folder::damaged(dir, name, "does not hold a key of 32 bytes");
        seed.map(|seed| DataKey::new(*seed.expose())).ok_or_else(wrong)
    };
    let [ledger, kek, desk] = NODE_SECRETS;
    Ok([read(ledger)?, read(kek)?, read(desk)?])
}

fn public(role: KeyRole, algorithm: Algorithm, seed: &Seed) -> PublicKey {
    PublicKey::of(role, algorithm, seed).expect("every seed has a public half under the algorithms of the tables")
}

fn pair(role: KeyRole, classical: &Seed, ml_dsa: Algorithm, quantum: &Seed) -> HybridSigner {
    HybridSigner::new(role, classical, ml_dsa, quantum).expect("the callers name ML-DSA algorithms only")
}

#[cfg(test)]
mod tests;
