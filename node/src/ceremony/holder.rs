//! Who holds a pair of keys: the small file of its public half, and the marks by which people tell holders apart.

use std::path::Path;

use comity_core::{
    crypto::{PublicKey, role_name, sha256},
    ids::{Digest, KeyId, hex, unhex},
    proto::{Algorithm, HybridKey, KeyRole},
};
use serde::{Deserialize, Serialize};

use super::{
    CeremonyFault, files,
    sign::{Keys, keys_in},
};
use crate::{
    keys::{OfflineKeys, OfflineSigner, Passphrase, Token},
    words,
};

/// The format of the file.
pub(crate) const HOLDER_SCHEMA: &str = "comity/holder-key/v1";
/// Two keys in hexadecimal are 4 KiB.
const FILE_MAX: usize = 16 << 10;
/// So many words tell a handful of holders apart; whoever must be sure compares all of them.
const WORDS_OF_A_MARK: usize = 3;

/// The public half of an offline pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) role: KeyRole,
    pub(crate) key: HybridKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    role: String,
    ed25519: String,
    ml_dsa_65: String,
}

impl Holder {
    /// Of a pair just made or opened.
    pub(crate) fn of(pair: [&PublicKey; 2]) -> Self {
        let key = HybridKey { ed25519: pair[0].bytes.clone(), ml_dsa_65: pair[1].bytes.clone() };
        Self { role: pair[0].role, key }
    }

    /// Makes a new pair in the folder and writes its public half beside it.
    pub(crate) fn create(
        folder: &Path,
        which: OfflineKeys,
        passphrase: &Passphrase,
        token: Option<&Token>,
    ) -> Result<Self, CeremonyFault> {
        let path = files::beside(folder, ".pub");
        files::refuse_existing(&path)?;
        let made = match token {
            Some(token) => OfflineSigner::create_in_token(folder, which, passphrase, token)?,
            None => OfflineSigner::create(folder, which, passphrase)?,
        };
        let holder = Self::of(made.public());
        files::write_new(&path, holder.to_text().as_bytes())?;
        Ok(holder)
    }

    /// Writes the public half of a pair that has lost it, for example in a crash just after the pair was made.
    pub(crate) fn restore(folder: &Path, passphrase: &Passphrase) -> Result<Self, CeremonyFault> {
        let Keys::Offline(which) = keys_in(folder)? else { return Err(CeremonyFault::NoKeys(folder.to_owned())) };
        let holder = Self::of(OfflineSigner::open(folder, which, passphrase)?.public());
        files::write_new(&files::beside(folder, ".pub"), holder.to_text().as_bytes())?;
        Ok(holder)
    }

    /// Reads a `.pub` file, also when the folder it belongs to is named.
    pub(crate) fn read(path: &Path) -> Result<Self, CeremonyFault> {
        let path = if path.is_dir() { files::beside(path, ".pub") } else { path.to_owned() };
        let text = files::read_text(&path, FILE_MAX)?;
        Self::parse(&text).map_err(|why| CeremonyFault::Holder { path, why })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|why| why.to_string().trim_end().to_owned())?;
        if file.schema != HOLDER_SCHEMA {
            return Err(format!("its schema is not {HOLDER_SCHEMA}"));
        }
        let role = role_of(&file.role).ok_or("its role is neither root nor charter")?;
        let bytes = |text: &str, kind| unhex(text, kind).map_err(|why| why.to_string());
        let key =
            HybridKey { ed25519: bytes(&file.ed25519, "ed25519")?, ml_dsa_65: bytes(&file.ml_dsa_65, "ml_dsa_65")? };
        let holder = Self { role, key };
        let fits = holder.keys().iter().all(PublicKey::fits_its_role);
        if fits { Ok(holder) } else { Err("a key has not the length of its algorithm".to_owned()) }
    }

    pub(crate) fn to_text(&self) -> String {
        let comment = format!("# The public half of a pair of keys, for others to have. Fingerprint {}\n", self.mark());
        let file = File {
            schema: HOLDER_SCHEMA.to_owned(),
            role: role_name(self.role).to_owned(),
            ed25519: hex(&self.key.ed25519),
            ml_dsa_65: hex(&self.key.ml_dsa_65),
        };
        comment + &toml::to_string(&file).expect("four texts are TOML")
    }

    fn keys(&self) -> [PublicKey; 2] {
        let key = |algorithm, bytes: &[u8]| PublicKey { role: self.role, algorithm, bytes: bytes.to_vec() };
        [key(Algorithm::Ed25519, &self.key.ed25519), key(Algorithm::MlDsa65, &self.key.ml_dsa_65)]
    }

    /// The ids of both keys.
    pub(crate) fn ids(&self) -> [KeyId; 2] {
        self.keys().map(|key| key.id())
    }

    /// As people tell this holder from others.
    pub(crate) fn mark(&self) -> String {
        mark(&self.ids())
    }
}

/// The fingerprint of a holder: SHA-256 over the ids of both keys, Ed25519 first.
pub(crate) fn fingerprint(pair: &[KeyId; 2]) -> Digest {
    sha256(&[pair[0].as_bytes(), pair[1].as_bytes()])
}

/// The beginning of a holder's fingerprint, in digits and words.
pub(crate) fn mark(pair: &[KeyId; 2]) -> String {
    let fingerprint = fingerprint(pair);
    let words: Vec<String> = words::of(&fingerprint).split(' ').take(WORDS_OF_A_MARK).map(str::to_owned).collect();
    format!("{} ({})", fingerprint.short(), words.join(" "))
}

/// The name of an algorithm in files and on paper.
pub(super) fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "ed25519",
        Algorithm::MlDsa65 => "ml-dsa-65",
        Algorithm::MlDsa44 => "ml-dsa-44",
        Algorithm::Mlkem768X25519 => "mlkem768-x25519",
        Algorithm::Unspecified => "unspecified",
    }
}

fn role_of(name: &str) -> Option<KeyRole> {
    [KeyRole::Root, KeyRole::Charter].into_iter().find(|role| role_name(*role) == name)
}

#[cfg(test)]
pub(super) mod tests {
    use comity_core::crypto::{HybridSigner, Seed};

    use super::*;

    /// A pair that depends on nothing but its name.
    pub(crate) fn signer(name: &str, role: KeyRole) -> HybridSigner {
        let seed = |half: &str| Seed::new(*sha256(&[name.as_bytes(), half.as_bytes()]).as_bytes());
        HybridSigner::new(role, &seed("a"), Algorithm::MlDsa65, &seed("b")).expect("keys")
    }

    #[test]
    fn a_public_half_reads_back_and_nothing_else_does() {
        let holder = Holder::of(signer("one", KeyRole::Root).public());
        let text = holder.to_text();
        assert_eq!(Holder::parse(&text), Ok(holder.clone()));
        for (from, to) in [
            ("holder-key/v1", "holder-key/v2"),
            ("role = \"root\"", "role = \"seal\""),
            ("ed25519 = \"", "ed25519 = \"00"),
            ("role = ", "extra = 1\nrole = "),
            ("ml_dsa_65", "ml_dsa_44"),
        ] {
            assert!(Holder::parse(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(holder.mark().starts_with(&fingerprint(&holder.ids()).short()));
    }
}
