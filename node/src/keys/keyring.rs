//! The keys of one node, opened: what signs, what opens, and the node's own data keys.
//!
//! Each role has one or more generations. Which of them signs is decided at the moment of use, by the own
//! profile in force; a body opens with whichever seal key it names.

use std::{collections::BTreeMap, path::Path};

use comity_core::{
    crypto::{CryptoFault, DataKey, PublicKey, Seed, Signer, hpke_open},
    event::{BodySecret, EventFault, unwrap_body_with},
    founding::PublicRoleKeys,
    ids::{Digest, KeyId, NetworkName, PartyCode, Time},
    profile::{FROZEN_MS, Profile, node_of, signing_message},
    proto::{KeyRole, Signature},
};
use zeroize::Zeroizing;

use super::{
    KeyFault, Passphrase,
    file::Content,
    folder::{self, Slot},
    generation::{Family, NODE},
    held::{self, Held},
    kek::{self, KeyEncryption},
    token::Token,
};

/// Those of which there is one for ever.
const NODE_SECRETS: [&str; 2] = ["data-ledger", "data-desk"];

/// The node's own symmetric keys. They never leave the machine, not even wrapped.
pub struct NodeSecrets {
    /// Encrypts the node part of every ledger frame.
    pub ledger: DataKey,
    /// Wrap the data keys of requests in their slots: by generation, the newest last. Never empty.
    pub kek: BTreeMap<u32, DataKey>,
    /// Encrypts the desk.
    pub desk: DataKey,
}

/// The keys of one role that were made together.
struct Generation {
    held: Held,
    private: Private,
}

enum Private {
    Pair(Box<dyn Signer>),
    Seed(Seed),
}

impl Generation {
    /// Reads a generation out of what its files hold, in order, and of its token if it has one.
    fn read(
        dir: &Path,
        family: &Family,
        number: u32,
        plaintexts: &mut impl Iterator<Item = Zeroizing<Vec<u8>>>,
    ) -> Result<Self, KeyFault> {
        let role = family.role;
        if let Some(folder) = family.token_folder(dir, number) {
            let quantum = family.quantum(dir, number, &plaintexts.next().unwrap_or_default())?;
            let signer = Token::open(&folder, role, quantum)?;
            let held = Held { role, number, public: signer.public().map(Clone::clone).to_vec(), in_token: true };
            return Ok(Self { held, private: Private::Pair(Box::new(signer)) });
        }
        let seeds = family.seeds(dir, number, plaintexts)?;
        let held = Held { role, number, public: family.public(&seeds), in_token: false };
        let private = match family.pair(&seeds) {
            Some(pair) => Private::Pair(Box::new(pair)),
            None => Private::Seed(seeds.into_iter().next().ok_or(KeyFault::UnknownRole)?),
        };
        Ok(Self { held, private })
    }

    fn id(&self) -> Option<KeyId> {
        self.held.public.first().map(PublicKey::id)
    }
}

/// Everything a running node signs and opens with.
pub struct Keyring {
    /// By role in the order of [`NODE`], the oldest of a role first.
    generations: Vec<Generation>,
    /// Oldest first, never empty.
    key_encryption: Vec<KeyEncryption>,
    secrets: NodeSecrets,
    public: Vec<PublicKey>,
}

impl Keyring {
    /// Draws new keys and writes them to the folder `dir`, which must be absent or empty. They count as made at `at`.
    ///
    /// # Errors
    /// [`KeyFault::Exists`], or what the disk refused; nothing is left half made.
    pub fn create(dir: &Path, passphrase: &Passphrase, at: Time) -> Result<Self, KeyFault> {
        let mut entries = Vec::new();
        for family in &NODE {
            entries.extend(family.draw(1)?);
        }
        for name in NODE_SECRETS {
            entries.push((secret(name), Zeroizing::new(folder::random::<32>()?.to_vec())));
        }
        entries.push(kek::draw(1)?);
        let (name, text) = kek::made(1, at);
        folder::create(dir, passphrase, &entries, &[(&name, &text)])?;
        let first = NODE.each_ref().map(|family| (family, vec![1]));
        let made = vec![KeyEncryption { number: 1, made: Some(at) }];
        Self::from_plaintexts(dir, &first, made, entries.into_iter().map(|(_, plaintext)| plaintext))
    }

    /// Opens the folder `dir` with all generations that lie in it.
    ///
    /// # Errors
    /// Names the file that is missing, too open or damaged, or says that the passphrase is wrong.
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, KeyFault> {
        let mut found = Vec::new();
        for family in &NODE {
            found.push((family, family.line().numbers(dir)?));
        }
        let mut slots = Vec::new();
        for (family, number) in found.iter().flat_map(|(family, numbers)| numbers.iter().map(move |n| (family, *n))) {
            let in_token = usize::from(family.token_folder(dir, number).is_some());
            slots.extend(family.slots(number).split_off(in_token));
        }
        slots.extend(NODE_SECRETS.map(secret));
        let key_encryption = KeyEncryption::held(dir)?;
        slots.extend(key_encryption.iter().map(|one| kek::slot(one.number)));
        Self::from_plaintexts(dir, &found, key_encryption, folder::open(dir, passphrase, &slots)?.into_iter())
    }

    /// Adds a new generation of a role to the folder `dir` and gives its number; the classical half of a pair may
    /// be made and kept by a token. A node that runs takes it up at its next start. What was there is never
    /// touched; a crash leaves all of the generation or nothing.
    ///
    /// # Errors
    /// As [`Self::open`]; [`KeyFault::UnknownRole`] when a node holds no keys of this role,
    /// [`KeyFault::NotForTokens`] when it is not one of pairs, or what the token said.
    pub fn roll(dir: &Path, passphrase: &Passphrase, role: KeyRole, token: Option<&Token>) -> Result<u32, KeyFault> {
        Family::of(role).ok_or(KeyFault::UnknownRole)?.add(dir, passphrase, token)
    }

    /// Destroys a generation in the folder `dir` this keyring was opened from. A node that runs forgets it at its
    /// next start.
    ///
    /// # Errors
    /// [`KeyFault::UnknownGeneration`]; [`KeyFault::StillAllowed`] while the own profile lets it be used now or
    /// later; [`KeyFault::StillNeeded`] when it is the newest of its role, which the next profile may name, or a
    /// seal key that ended so lately that bodies sealed to it may be on their way.
    pub fn retire(&self, dir: &Path, profile: &Profile, role: KeyRole, number: u32, at: Time) -> Result<(), KeyFault> {
        let family = Family::of(role).ok_or(KeyFault::UnknownRole)?;
        let held = self.of(role).map(|generation| &generation.held);
        let generation = held.clone().find(|held| held.number == number);
        let generation = generation.ok_or(KeyFault::UnknownGeneration { role: family.name, number })?;
        let named = (family.name, number);
        if held.clone().all(|other| other.number <= number) {
            return Err(KeyFault::still_needed(named, "it is the newest of its role"));
        }
        let ended = generation.dates(profile).map(|(_, until)| until);
        if ended.is_some_and(|until| at < until) {
            return Err(KeyFault::StillAllowed { role: named.0, number });
        }
        // One that the profile names no longer may have ended just now: only dates could tell.
        if role == KeyRole::Seal && ended.is_none_or(|until| at < until.plus_ms(FROZEN_MS)) {
            return Err(KeyFault::still_needed(
                named,
                "what was sealed to it may be on its way until 14 days after its last date, which the profile must give",
            ));
        }
        let ids: Vec<String> = generation.public.iter().map(|key| key.id().to_string()).collect();
        family.line().destroy(dir, number, &format!("destroyed by `comity key retire`; key ids: {}\n", ids.join(" ")))
    }

    /// Takes down that a generation in the folder `dir` is lost: one of its files is gone, and nothing signs or opens
    /// without it. What is left of it is destroyed, and the others open again.
    ///
    /// # Errors
    /// [`KeyFault::UnknownGeneration`]; [`KeyFault::StillNeeded`] while all its files are there.
    pub fn forget(dir: &Path, role: KeyRole, number: u32) -> Result<(), KeyFault> {
        let family = Family::of(role).ok_or(KeyFault::UnknownRole)?;
        if !family.line().numbers(dir)?.contains(&number) {
            return Err(KeyFault::UnknownGeneration { role: family.name, number });
        }
        let in_token = usize::from(family.token_folder(dir, number).is_some());
        if family.slots(number).iter().skip(in_token).all(|slot| slot.is_in(dir)) {
            return Err(KeyFault::still_needed((family.name, number), "its files are all there: it is not lost"));
        }
        family.line().destroy(dir, number, "lost, as told to `comity key retire --lost`\n")
    }

    /// Destroys a generation of the key-encryption key in the folder `dir` this keyring was opened from. Of the ledger's
    /// slots, `live` are wrapped under it; `promised` is the generation that all of them were last promised to be
    /// wrapped under.
    ///
    /// # Errors
    /// [`KeyFault::UnknownGeneration`]; [`KeyFault::StillNeeded`] while it is the newest, wraps anything, or may yet:
    /// until a start has promised a newer one.
    pub fn retire_key_encryption(&self, dir: &Path, number: u32, live: u64, promised: u32) -> Result<(), KeyFault> {
        KeyEncryption::retire(&self.key_encryption, dir, number, live, promised)
    }

    /// The generations of the key-encryption key, the oldest first; at least one.
    #[must_use]
    pub fn key_encryption(&self) -> &[KeyEncryption] {
        &self.key_encryption
    }

    /// All generations: by role, the oldest first.
    pub fn held(&self) -> impl Iterator<Item = &Held> + Clone {
        self.generations.iter().map(|generation| &generation.held)
    }

    /// The seed of the transport identity, for the one library that must hold it: of the newest that the profile
    /// names.
    #[must_use]
    pub fn transport_seed(&self, profile: &Profile) -> Option<&Seed> {
        // A profile names nodes without dates.
        match &self.in_use(KeyRole::Transport, profile, Time(0))?.private {
            Private::Seed(seed) => Some(seed),
            Private::Pair(_) => None,
        }
    }

    /// What goes into the profile of a Party: all public keys, and the node under its newest transport key, proved by it.
    ///
    /// # Errors
    /// [`KeyFault::CannotSign`] when the library refuses, which no input causes.
    pub fn for_profile(&self, network: &NetworkName, party: &PartyCode) -> Result<PublicRoleKeys, KeyFault> {
        let keys = self.public.iter().filter(|key| key.role != KeyRole::Transport).cloned().collect();
        let newest = self.of(KeyRole::Transport).last().and_then(|generation| match &generation.private {
            Private::Seed(seed) => Some(node_of(network, party, seed)),
            Private::Pair(_) => None,
        });
        Ok(PublicRoleKeys { keys, node: newest.transpose().map_err(|_| KeyFault::CannotSign)? })
    }

    /// Signs an event, refusal or statement of custody. `pae` is the pre-authentication encoding, never bare bytes.
    ///
    /// # Errors
    /// [`KeyFault::NoneInForce`] when the own profile allows no record key held here at this time;
    /// [`KeyFault::CannotSign`] when the library refuses, which no input causes.
    pub fn sign_event(&self, pae: &[u8], profile: &Profile, at: Time) -> Result<Vec<Signature>, KeyFault> {
        let (_, signer) = self.signer(KeyRole::Record, profile, at)?;
        signer.sign_pair(pae).map_err(|_| KeyFault::CannotSign)
    }

    /// Signs a directory or head, by its document id.
    ///
    /// # Errors
    /// As [`Self::sign_event`].
    pub fn sign_directory(&self, document: &Digest, profile: &Profile, at: Time) -> Result<Vec<Signature>, KeyFault> {
        self.directory_signer(profile, at)?.sign_pair(&signing_message(document)).map_err(|_| KeyFault::CannotSign)
    }

    /// The pair that signs what changes weekly now.
    ///
    /// # Errors
    /// As [`Self::sign_event`].
    pub fn directory_signer(&self, profile: &Profile, at: Time) -> Result<&dyn Signer, KeyFault> {
        self.signer(KeyRole::Directory, profile, at).map(|(_, signer)| signer)
    }

    /// The pair that signs checkpoints now, with the number of its generation; `comity_core::ledger` knows over
    /// which bytes.
    ///
    /// # Errors
    /// As [`Self::sign_event`].
    pub fn checkpoint_signer(&self, profile: &Profile, at: Time) -> Result<(u32, &dyn Signer), KeyFault> {
        self.signer(KeyRole::Checkpoint, profile, at)
    }

    /// The pair that cosigns checkpoints of others now.
    ///
    /// # Errors
    /// As [`Self::sign_event`].
    pub fn witness_signer(&self, profile: &Profile, at: Time) -> Result<&dyn Signer, KeyFault> {
        self.signer(KeyRole::Witness, profile, at).map(|(_, signer)| signer)
    }

    /// Opens a 32-byte secret wrapped for one of this node's seal keys, of whichever generation.
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
        let named = |generation: &&Generation| generation.id().as_ref() == Some(key_id);
        match self.of(KeyRole::Seal).find(named).map(|generation| &generation.private) {
            Some(Private::Seed(seed)) => {
                hpke_open(seed, info, aad, encapsulated, wrapped).map_err(|_| KeyFault::DoesNotOpen)
            }
            Some(Private::Pair(_)) | None => Err(KeyFault::UnknownKey { id: *key_id }),
        }
    }

    /// Opens what was sealed to this node, bound to this digest: the body of an event, or a page of keys.
    ///
    /// # Errors
    /// When there is no wrap for a key of ours, or anything about it differs in any bit.
    pub fn unwrap(&self, sealed: &[u8], binding: &Digest) -> Result<BodySecret, EventFault> {
        let ours = |key: &KeyId| self.of(KeyRole::Seal).any(|generation| generation.id().as_ref() == Some(key));
        unwrap_body_with(sealed, binding, ours, |key, info, aad, encapsulated, wrapped| {
            self.open_wrap(key, info, aad, encapsulated, wrapped).map_err(|_| CryptoFault::DoesNotOpen)
        })
    }

    /// The public halves, for the profile: by role and generation, in a fixed order.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        &self.public
    }

    /// The node's own symmetric keys.
    #[must_use]
    pub fn secrets(&self) -> &NodeSecrets {
        &self.secrets
    }

    fn of(&self, role: KeyRole) -> impl Iterator<Item = &Generation> + Clone {
        self.generations.iter().filter(move |generation| generation.held.role == role)
    }

    fn in_use(&self, role: KeyRole, profile: &Profile, at: Time) -> Option<&Generation> {
        let number = held::in_use(self.held(), role, profile, at)?.number;
        self.of(role).find(|generation| generation.held.number == number)
    }

    fn signer(&self, role: KeyRole, profile: &Profile, at: Time) -> Result<(u32, &dyn Signer), KeyFault> {
        let none = || KeyFault::NoneInForce { role: Family::of(role).map_or("", |family| family.name) };
        match self.in_use(role, profile, at) {
            Some(Generation { held, private: Private::Pair(pair) }) => Ok((held.number, pair.as_ref())),
            Some(Generation { private: Private::Seed(_), .. }) | None => Err(none()),
        }
    }

    /// Plaintexts in the order of what was found, then of [`NODE_SECRETS`], then of key-encryption keys.
    fn from_plaintexts(
        dir: &Path,
        found: &[(&Family, Vec<u32>)],
        key_encryption: Vec<KeyEncryption>,
        mut plaintexts: impl Iterator<Item = Zeroizing<Vec<u8>>>,
    ) -> Result<Self, KeyFault> {
        let mut generations = Vec::new();
        for (family, number) in found.iter().flat_map(|(family, numbers)| numbers.iter().map(move |n| (family, *n))) {
            generations.push(Generation::read(dir, family, number, &mut plaintexts)?);
        }
        let mut read = |name| kek::data_key(dir, &secret(name), plaintexts.next());
        let [ledger, desk] = NODE_SECRETS;
        let (ledger, desk) = (read(ledger)?, read(desk)?);
        let kek = kek::read(dir, &key_encryption, &mut plaintexts)?;
        let public = generations.iter().flat_map(|generation| generation.held.public.iter().cloned()).collect();
        Ok(Self { generations, key_encryption, secrets: NodeSecrets { ledger, kek, desk }, public })
    }
}

fn secret(name: &'static str) -> Slot {
    Slot { within: None, name: name.to_owned(), content: Content::Secret }
}

#[cfg(test)]
mod tests;
