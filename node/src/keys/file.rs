//! One key file as text: what is written around an encrypted key, and how it is checked before and
//! after it opens. No disk here.
//!
//! ```text
//! Comity key file 1
//! name: record-ml-dsa-65
//! check: <HMAC-SHA-256 under the folder's secret, hexadecimal>
//! digest: <SHA-256 over name, kind, check and ciphertext, hexadecimal>
//! -----BEGIN ENCRYPTED PRIVATE KEY-----
//! <PKCS#8 EncryptedPrivateKeyInfo: PBES2 with scrypt and AES-256-CBC>
//! -----END ENCRYPTED PRIVATE KEY-----
//! ```
//!
//! The lines above the PEM block are ones its readers skip (RFC 7468, section 2). `digest` tells damage
//! from a wrong passphrase before anything is opened. `check` authenticates name and ciphertext, which
//! CBC does not. A file is accepted only if writing it again gives the same bytes.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use comity_core::{
    crypto::{Seed, derive, hmac_sha256, sha256},
    ids::{Digest, hex},
};
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding,
    der::{Decode as _, Encode as _, asn1::OctetStringRef, pem},
    pkcs5::{EncryptionScheme, pbes2, scrypt},
};
use zeroize::Zeroizing;

/// Far above what a key file needs (about 700 bytes), far below what would hurt to read.
pub(super) const FILE_BYTES_MAX: u64 = 8 * 1024;

const HEAD: &str = "Comity key file 1";
const CHECK_LABEL: &[u8] = b"comity key file check v1\0";
const DIGEST_LABEL: &[u8] = b"comity key file digest v1\0";
/// Domain of everything derived from a folder's secret.
const FOLDER_SALT: &[u8] = b"comity key folder v1";

/// What the ciphertext holds, told by the PEM label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// PKCS#8 `PrivateKeyInfo`.
    PrivateKey,
    /// 32 bare bytes: a symmetric key, or the folder's secret.
    Secret,
}

impl Content {
    fn label(self) -> &'static str {
        match self {
            Self::PrivateKey => "ENCRYPTED PRIVATE KEY",
            Self::Secret => "COMITY ENCRYPTED SECRET",
        }
    }
}

/// How hard a password is to try, as log2 of scrypt's N; r is 8 and p is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// For what a person remembers: 128 MiB and about half a second a try (N = 2^17, the first choice of
    /// OWASP's password storage guidance).
    Passphrase = 17,
    /// For 256 random bits, which no work factor makes safer: 1 MiB and a few milliseconds.
    Random = 10,
}

impl Cost {
    fn params(self) -> scrypt::Params {
        scrypt::Params::new(self as u8, 8, 1).expect("both costs are within scrypt's limits")
    }
}

/// The 256 random bits every password and check in one folder follows from.
pub(super) struct FolderSecret(Seed);

impl FolderSecret {
    pub(super) const fn new(seed: Seed) -> Self {
        Self(seed)
    }

    pub(super) const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The password of one file. It depends on the name, so that no file opens in another's place.
    pub(super) fn password(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(hex(&derive(FOLDER_SALT, self.expose(), &format!("password {name}"))[..]))
    }

    fn check(&self, name: &str, der: &[u8]) -> [u8; 32] {
        let key = derive(FOLDER_SALT, self.expose(), &format!("check {name}"));
        hmac_sha256(&key, &[CHECK_LABEL, der])
    }
}

/// Fresh random bytes of one file.
pub(super) struct Fresh {
    pub(super) salt: [u8; 16],
    pub(super) iv: [u8; 16],
}

/// A key file whose digest holds. Whether it belongs to the folder, [`Self::open`] says.
pub(super) struct KeyFile {
    name: String,
    content: Content,
    check: [u8; 32],
    der: Vec<u8>,
}

impl KeyFile {
    /// Encrypts `plaintext` and binds it to its name and folder.
    pub(super) fn seal(
        name: &str,
        content: Content,
        plaintext: &[u8],
        password: &[u8],
        cost: Cost,
        fresh: &Fresh,
        folder: &FolderSecret,
    ) -> Self {
        let params = pbes2::Parameters::generate_scrypt_aes256cbc(cost.params(), &fresh.salt, fresh.iv)
            .expect("a salt of 16 bytes fits");
        let der = encrypt(params, password, plaintext);
        Self { name: name.to_owned(), content, check: folder.check(name, &der), der }
    }

    /// The file's whole text.
    pub(super) fn to_text(&self) -> String {
        let block =
            pem::encode_string(self.content.label(), LineEnding::LF, &self.der).expect("the label is plain text");
        format!("{HEAD}\nname: {}\ncheck: {}\ndigest: {}\n{block}", self.name, hex(&self.check), self.digest())
    }

    /// Reads a file that should have this name and content.
    ///
    /// # Errors
    /// When it was written otherwise or changed since, in any bit.
    pub(super) fn parse(name: &str, content: Content, bytes: &[u8]) -> Result<Self, &'static str> {
        const NOT_OURS: &str = "is not a key file of this version, or its first lines were changed";
        let text = std::str::from_utf8(bytes).map_err(|_| NOT_OURS)?;
        let begins = text.find("-----BEGIN ").ok_or(NOT_OURS)?;
        let (head, block) = text.split_at(begins);
        let check = head.lines().find_map(|line| line.strip_prefix("check: ")).ok_or(NOT_OURS)?;
        let check = *check.parse::<Digest>().map_err(|_| NOT_OURS)?.as_bytes();
        let (label, der) =
            pem::decode_vec(block.as_bytes()).map_err(|_| "is not whole: its PEM block does not read")?;
        if label != content.label() {
            return Err("holds another kind of key than its name says");
        }
        let file = Self { name: name.to_owned(), content, check, der };
        if file.to_text() == text { Ok(file) } else { Err("does not match its own digest: it was changed") }
    }

    /// Opens the file. `None` when the password is wrong, which for a file other than the lock means
    /// that it comes from elsewhere.
    ///
    /// # Errors
    /// When it asks for other work than `cost`, so that a changed file cannot ask for all memory.
    pub(super) fn open(&self, password: &[u8], cost: Cost) -> Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
        const OTHER: &str = "is encrypted in another way than this version writes";
        let info = EncryptedPrivateKeyInfoRef::from_der(&self.der).map_err(|_| OTHER)?;
        if !is_as_written(&info.encryption_algorithm, cost) {
            return Err(OTHER);
        }
        let ciphertext: &[u8] = info.encrypted_data.as_ref();
        Ok(info.encryption_algorithm.decrypt(password, ciphertext).ok().map(Zeroizing::new))
    }

    /// Whether name and ciphertext were written under this folder's secret.
    pub(super) fn belongs_to(&self, folder: &FolderSecret) -> bool {
        verify_slices_are_equal(&self.check, &folder.check(&self.name, &self.der)).is_ok()
    }

    fn digest(&self) -> Digest {
        let label = self.content.label().as_bytes();
        sha256(&[DIGEST_LABEL, self.name.as_bytes(), b"\0", label, b"\0", &self.check, &self.der])
    }
}

/// PKCS#8 `EncryptedPrivateKeyInfo` in DER.
fn encrypt(params: pbes2::Parameters, password: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let encrypted = params.encrypt(password, plaintext).expect("AES-CBC encrypts any length");
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: params.into(),
        encrypted_data: OctetStringRef::new(&encrypted).expect("a key is within DER's limit"),
    };
    info.to_der().expect("a key of this size encodes")
}

fn is_as_written(scheme: &EncryptionScheme, cost: Cost) -> bool {
    let EncryptionScheme::Pbes2(params) = scheme else { return false };
    let pbes2::Kdf::Scrypt(kdf) = &params.kdf else { return false };
    matches!(params.encryption, pbes2::EncryptionScheme::Aes256Cbc { .. })
        && (kdf.cost_parameter, kdf.block_size, kdf.parallelization) == (1 << (cost as u8), 8, 1)
        && kdf.key_length.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "record-ed25519";

    fn folder(n: u8) -> FolderSecret {
        FolderSecret::new(Seed::new([n; 32]))
    }

    fn sealed(cost: Cost) -> KeyFile {
        let fresh = Fresh { salt: [1; 16], iv: [2; 16] };
        KeyFile::seal(NAME, Content::Secret, &[7; 32], b"password", cost, &fresh, &folder(1))
    }

    #[test]
    fn what_is_written_reads_and_opens() {
        let text = sealed(Cost::Random).to_text();
        let file = KeyFile::parse(NAME, Content::Secret, text.as_bytes()).expect("reads");
        assert!(file.belongs_to(&folder(1)) && !file.belongs_to(&folder(2)));
        let opened = file.open(b"password", Cost::Random).expect("as written").expect("opens");
        assert_eq!(opened[..], [7; 32]);
        let wrong = file.open(b"passw0rd", Cost::Random).expect("as written");
        assert!(wrong.is_none_or(|garbage| garbage[..] != [7; 32]));
    }

    #[test]
    fn every_changed_bit_is_found_without_a_password() {
        let text = sealed(Cost::Random).to_text().into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                assert!(KeyFile::parse(NAME, Content::Secret, &changed).is_err(), "byte {at} bit {bit}");
            }
            assert!(KeyFile::parse(NAME, Content::Secret, &text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_file_reads_under_its_own_name_and_kind_only() {
        let text = sealed(Cost::Random).to_text();
        assert!(KeyFile::parse("checkpoint-ed25519", Content::Secret, text.as_bytes()).is_err());
        assert!(KeyFile::parse(NAME, Content::PrivateKey, text.as_bytes()).is_err());
    }

    #[test]
    fn a_file_cannot_ask_for_more_work_than_we_write() {
        assert!(sealed(Cost::Random).open(b"password", Cost::Passphrase).is_err());
    }

    /// Made by OpenSSL 3.0 from the Ed25519 seed of bytes 0 to 31 under `password`:
    /// `openssl pkcs8 -topk8 -scrypt -scrypt_N 1024 -v2 aes-256-cbc -outform DER`.
    const BY_OPENSSL: &str = "\
        308193304f06092a864886f70d01050d3042302106092b06010401da47040b301404083ba3107cff3795fa0202040002\
        0108020101301d060960864801650304012a0410b4daba34cd642bda1a1f6d2693cda0ea0440488eeda19676e2a1bb77\
        d58b2a9e8f0afbcbabda2c782a63a05a428dc2583a07f6ff2e1b2c1bda5ccff21c8bd5e2aafca67a0bf3e1379a7f5d6c\
        61b9d948096f";

    #[test]
    fn a_file_written_by_openssl_opens_and_is_written_again_byte_for_byte() {
        use comity_core::{ids::unhex, proto::Algorithm};
        let der = unhex(BY_OPENSSL, "DER").expect("hexadecimal");
        let file = KeyFile { name: NAME.to_owned(), content: Content::PrivateKey, check: [0; 32], der: der.clone() };
        let opened = file.open(b"password", Cost::Random).expect("as we write").expect("opens");
        let seed = super::super::encoding::from_pkcs8(Algorithm::Ed25519, &opened).expect("an Ed25519 key");
        assert_eq!(seed.expose()[..], (0..32).collect::<Vec<u8>>());

        let info = EncryptedPrivateKeyInfoRef::from_der(&der).expect("decodes");
        let params = info.encryption_algorithm.pbes2().expect("PBES2").clone();
        assert_eq!(encrypt(params, b"password", &opened), der);
    }
}
