//! Hashes, signatures and seals, each under a purpose label, and nothing of our own invention.
//!
//! Policy says which algorithms are required, never the message: [`verify_pair`] takes both halves
//! of a hybrid signature or fails. Every private key is a 32-byte seed ([`Seed`]); where seeds rest
//! is not decided here. Serves SPEC `[K-*]`, `[S-*]`, `[B-*]`.

use aws_lc_rs::{
    aead, hkdf, hmac,
    signature::{KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, PqdsaKeyPair},
    signature::{PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm, UnparsedPublicKey},
};
use ed25519_dalek::Signer as _;
use hpke::{Deserializable as _, Kem as _, Serializable as _};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    ids::{Digest, KeyId},
    proto::{Algorithm, KeyRole, RoleKey, Signature},
};

type Kem = hpke::kem::XWing;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::AesGcm256;

/// What a cryptographic check found wrong. Deliberately says no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoFault {
    /// A public key is not one of its algorithm.
    #[error("crypto.bad-key: a key is not valid for its algorithm")]
    BadKey,
    /// A signature does not verify.
    #[error("crypto.bad-signature: a signature does not verify")]
    BadSignature,
    /// A required half of a hybrid signature is missing, or there are others besides.
    #[error("crypto.not-hybrid: exactly one Ed25519 and one ML-DSA signature are required")]
    NotHybrid,
    /// A ciphertext does not open under this key and binding.
    #[error("crypto.does-not-open: the ciphertext does not open under this key and binding")]
    DoesNotOpen,
}

impl CryptoFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::BadKey => "crypto.bad-key",
            Self::BadSignature => "crypto.bad-signature",
            Self::NotHybrid => "crypto.not-hybrid",
            Self::DoesNotOpen => "crypto.does-not-open",
        }
    }
}

/// SHA-256 of the concatenation of the parts.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    Digest::new(hash.finalize().into())
}

/// HMAC-SHA-256 of the concatenation of the parts.
#[must_use]
pub fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut tag = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| tag.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(tag.sign().as_ref());
    out
}

/// HKDF-SHA-256 (RFC 5869), 32 bytes out.
#[must_use]
pub fn derive(salt: &[u8], secret: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out[..]))
        .expect("32 bytes are within what HKDF-SHA-256 can give");
    out
}

/// The DSSE pre-authentication encoding: what every envelope signature is over (SPEC `[S-1]`).
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A private key of any algorithm: the seed everything else follows from. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Takes 32 bytes of entropy or of an opened key file.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The seed's bytes, for writing a key file.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A public key with the algorithm and role it is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    /// What the key may be used for; one role each.
    pub role: KeyRole,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Raw public key bytes.
    pub bytes: Vec<u8>,
}

/// The name of a role in files and on paper.
#[must_use]
pub const fn role_name(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Root => "root",
        KeyRole::Charter => "charter",
        KeyRole::Directory => "directory",
        KeyRole::Transport => "transport",
        KeyRole::Record => "record",
        KeyRole::Checkpoint => "checkpoint",
        KeyRole::Witness => "witness",
        KeyRole::Seal => "seal",
        KeyRole::Recovery => "recovery",
        KeyRole::Officer => "officer",
        KeyRole::Unspecified => "unspecified",
    }
}

/// The key as a profile names it; whether it is valid is not checked.
impl From<&RoleKey> for PublicKey {
    fn from(wire: &RoleKey) -> Self {
        Self { role: wire.role(), algorithm: wire.algorithm(), bytes: wire.public_key.clone() }
    }
}

impl PublicKey {
    /// SHA-256 over label, fixed-width role and algorithm codes and the key (SPEC `[K-2]`).
    #[must_use]
    pub fn id(&self) -> KeyId {
        let codes = [(self.role as u32).to_be_bytes(), (self.algorithm as u32).to_be_bytes()].concat();
        KeyId::new(*sha256(&[b"comity key v1\0", &codes, &self.bytes]).as_bytes())
    }

    /// True if the role uses the algorithm and the key has that algorithm's length (SPEC `[K-1]`).
    #[must_use]
    pub fn fits_its_role(&self) -> bool {
        let length = match self.algorithm {
            Algorithm::Ed25519 => 32,
            Algorithm::MlDsa65 => 1952,
            Algorithm::MlDsa44 => 1312,
            Algorithm::Mlkem768X25519 => 1216,
            Algorithm::Unspecified => return false,
        };
        let used: &[Algorithm] = match self.role {
            KeyRole::Root | KeyRole::Charter | KeyRole::Directory | KeyRole::Record => {
                &[Algorithm::Ed25519, Algorithm::MlDsa65]
            }
            KeyRole::Checkpoint | KeyRole::Witness => &[Algorithm::Ed25519, Algorithm::MlDsa44],
            KeyRole::Transport | KeyRole::Officer => &[Algorithm::Ed25519],
            KeyRole::Seal | KeyRole::Recovery => &[Algorithm::Mlkem768X25519],
            KeyRole::Unspecified => &[],
        };
        used.contains(&self.algorithm) && self.bytes.len() == length
    }

    /// The public half of a seed.
    ///
    /// # Errors
    /// When the algorithm is unspecified.
    pub fn of(role: KeyRole, algorithm: Algorithm, seed: &Seed) -> Result<Self, CryptoFault> {
        let bytes = match algorithm {
            Algorithm::Ed25519 => ed25519_dalek::SigningKey::from_bytes(&seed.0).verifying_key().to_bytes().to_vec(),
            Algorithm::MlDsa65 => ml_dsa(&ML_DSA_65_SIGNING, seed)?.public_key().as_ref().to_vec(),
            Algorithm::MlDsa44 => ml_dsa(&ML_DSA_44_SIGNING, seed)?.public_key().as_ref().to_vec(),
            Algorithm::Mlkem768X25519 => Kem::sk_to_pk(&kem_key(seed)?).to_bytes().to_vec(),
            Algorithm::Unspecified => return Err(CryptoFault::BadKey),
        };
        Ok(Self { role, algorithm, bytes })
    }

    /// Checks one signature over `message`. Ed25519 strictly (RFC 8032 with the cofactorless
    /// equation, canonical encodings only and no small-order points), ML-DSA with the empty context
    /// (FIPS 204). SPEC `[S-2]`.
    ///
    /// # Errors
    /// When the key cannot sign or the signature does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptoFault> {
        match self.algorithm {
            Algorithm::Ed25519 => {
                let key: [u8; 32] = self.bytes[..].try_into().map_err(|_| CryptoFault::BadKey)?;
                if !reduced(&key) {
                    return Err(CryptoFault::BadKey);
                }
                let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| CryptoFault::BadKey)?;
                let signature =
                    ed25519_dalek::Signature::from_slice(signature).map_err(|_| CryptoFault::BadSignature)?;
                key.verify_strict(message, &signature).map_err(|_| CryptoFault::BadSignature)
            }
            Algorithm::MlDsa65 => verify_ml_dsa(&ML_DSA_65, &self.bytes, message, signature),
            Algorithm::MlDsa44 => verify_ml_dsa(&ML_DSA_44, &self.bytes, message, signature),
            Algorithm::Mlkem768X25519 | Algorithm::Unspecified => Err(CryptoFault::BadKey),
        }
    }
}

/// True if these bytes are a public key of Ed25519: the canonical encoding of a point that is not of small order.
#[must_use]
pub fn is_ed25519_key(bytes: &[u8; 32]) -> bool {
    reduced(bytes) && ed25519_dalek::VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}

/// Signs with a seed. ML-DSA signing is hedged: the library adds entropy of its own, so two
/// signatures over one message differ and both verify.
///
/// # Errors
/// When the algorithm does not sign.
pub fn sign(algorithm: Algorithm, seed: &Seed, message: &[u8]) -> Result<Vec<u8>, CryptoFault> {
    let ml_dsa_sign = |kind: &'static PqdsaSigningAlgorithm| {
        let mut signature = vec![0; kind.signature_len()];
        ml_dsa(kind, seed)?.sign(message, &mut signature).map_err(|_| CryptoFault::BadKey)?;
        Ok(signature)
    };
    match algorithm {
        Algorithm::Ed25519 => Ok(ed25519_dalek::SigningKey::from_bytes(&seed.0).sign(message).to_bytes().to_vec()),
        Algorithm::MlDsa65 => ml_dsa_sign(&ML_DSA_65_SIGNING),
        Algorithm::MlDsa44 => ml_dsa_sign(&ML_DSA_44_SIGNING),
        Algorithm::Mlkem768X25519 | Algorithm::Unspecified => Err(CryptoFault::BadKey),
    }
}

/// Both halves of a hybrid signature of one role, wherever their private keys rest: in memory
/// ([`HybridSigner`]), or the classical one in a token of its own that never gives it out.
pub trait Signer: Send + Sync {
    /// Both public halves: Ed25519 first.
    fn public(&self) -> [&PublicKey; 2];

    /// Signs one message with Ed25519.
    ///
    /// # Errors
    /// When whoever holds the key refuses; no message causes it.
    fn sign_ed25519(&self, message: &[u8]) -> Result<[u8; 64], CryptoFault>;

    /// Signs one message with ML-DSA.
    ///
    /// # Errors
    /// As [`Self::sign_ed25519`].
    fn sign_ml_dsa(&self, message: &[u8]) -> Result<Vec<u8>, CryptoFault>;

    /// Both signatures over one message, ascending by key id, as an envelope carries them.
    ///
    /// # Errors
    /// As [`Self::sign_ed25519`].
    fn sign_pair(&self, message: &[u8]) -> Result<Vec<Signature>, CryptoFault> {
        let [classical, quantum] = self.public().map(|key| key.id().as_bytes().to_vec());
        let mut pair = vec![
            Signature { key_id: classical, signature: self.sign_ed25519(message)?.to_vec() },
            Signature { key_id: quantum, signature: self.sign_ml_dsa(message)? },
        ];
        pair.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        Ok(pair)
    }
}

/// The ML-DSA half of a pair, expanded once and ready to sign.
pub struct MlDsaSigner {
    public: PublicKey,
    pair: PqdsaKeyPair,
}

impl MlDsaSigner {
    /// Prepares the key. `kind` is 65 for events and documents, 44 for checkpoints.
    ///
    /// # Errors
    /// When `kind` is not an ML-DSA algorithm.
    pub fn new(role: KeyRole, kind: Algorithm, seed: &Seed) -> Result<Self, CryptoFault> {
        let signing = match kind {
            Algorithm::MlDsa65 => &ML_DSA_65_SIGNING,
            Algorithm::MlDsa44 => &ML_DSA_44_SIGNING,
            Algorithm::Ed25519 | Algorithm::Mlkem768X25519 | Algorithm::Unspecified => {
                return Err(CryptoFault::BadKey);
            }
        };
        Ok(Self { public: PublicKey::of(role, kind, seed)?, pair: ml_dsa(signing, seed)? })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs one message.
    ///
    /// # Errors
    /// When the library refuses, which no input causes.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoFault> {
        let mut signature = vec![0; self.pair.algorithm().signature_len()];
        self.pair.sign(message, &mut signature).map_err(|_| CryptoFault::BadKey)?;
        Ok(signature)
    }
}

/// A hybrid pair of one role: Ed25519 and ML-DSA seeds ready to sign, the ML-DSA key expanded once.
pub struct HybridSigner {
    ed25519: (PublicKey, ed25519_dalek::SigningKey),
    ml_dsa: MlDsaSigner,
}

impl HybridSigner {
    /// Prepares both halves. `ml_dsa` is 65 for events and documents, 44 for checkpoints.
    ///
    /// # Errors
    /// When `ml_dsa` is not an ML-DSA algorithm.
    pub fn new(role: KeyRole, ed25519: &Seed, ml_dsa_kind: Algorithm, ml_dsa_seed: &Seed) -> Result<Self, CryptoFault> {
        Ok(Self {
            ed25519: (
                PublicKey::of(role, Algorithm::Ed25519, ed25519)?,
                ed25519_dalek::SigningKey::from_bytes(&ed25519.0),
            ),
            ml_dsa: MlDsaSigner::new(role, ml_dsa_kind, ml_dsa_seed)?,
        })
    }

    /// Both public halves: Ed25519 first.
    #[must_use]
    pub fn public(&self) -> [&PublicKey; 2] {
        [&self.ed25519.0, &self.ml_dsa.public]
    }

    /// Both signatures over one message, ascending by key id, as an envelope carries them.
    ///
    /// # Errors
    /// When the library refuses, which no input causes.
    pub fn sign_pair(&self, message: &[u8]) -> Result<Vec<Signature>, CryptoFault> {
        Signer::sign_pair(self, message)
    }
}

impl Signer for HybridSigner {
    fn public(&self) -> [&PublicKey; 2] {
        self.public()
    }

    fn sign_ed25519(&self, message: &[u8]) -> Result<[u8; 64], CryptoFault> {
        Ok(self.ed25519.1.sign(message).to_bytes())
    }

    fn sign_ml_dsa(&self, message: &[u8]) -> Result<Vec<u8>, CryptoFault> {
        self.ml_dsa.sign(message)
    }
}

/// Checks that `signatures` are exactly one valid signature by an Ed25519 key and one by an ML-DSA
/// key out of `keys` (SPEC `[S-3]`). Returns the two keys, Ed25519 first.
///
/// # Errors
/// When either half is missing, a third is present, a key is unknown, or one does not verify.
pub fn verify_pair<'k>(
    keys: impl Iterator<Item = &'k PublicKey> + Clone,
    ml_dsa_kind: Algorithm,
    message: &[u8],
    signatures: &[Signature],
) -> Result<[&'k PublicKey; 2], CryptoFault> {
    let named = |signature: &Signature| keys.clone().find(|key| key.id().as_bytes()[..] == signature.key_id[..]);
    let [a, b] = signatures else { return Err(CryptoFault::NotHybrid) };
    if a.key_id >= b.key_id {
        return Err(CryptoFault::NotHybrid);
    }
    let (a, b) = named(a).zip(named(b)).map(|keys| ((keys.0, a), (keys.1, b))).ok_or(CryptoFault::BadKey)?;
    let (classical, quantum) = if a.0.algorithm == Algorithm::Ed25519 { (a, b) } else { (b, a) };
    if classical.0.algorithm != Algorithm::Ed25519 || quantum.0.algorithm != ml_dsa_kind {
        return Err(CryptoFault::NotHybrid);
    }
    for (key, signature) in [classical, quantum] {
        key.verify(message, &signature.signature)?;
    }
    Ok([classical.0, quantum.0])
}

/// AES-256-GCM under one key for many pieces, in place: the key's schedule is made once.
pub struct ChunkCipher(aead::LessSafeKey);

impl ChunkCipher {
    /// A cipher under this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("AES-256 keys have 32 bytes");
        Self(aead::LessSafeKey::new(key))
    }

    /// Encrypts in place and appends the tag. The nonce must never repeat for this key.
    pub fn seal(&self, nonce: [u8; 12], binding: &[u8], piece: &mut Vec<u8>) {
        self.0
            .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(binding), piece)
            .expect("AES-GCM seals anything below 64 GiB");
    }

    /// Opens in place; the plaintext is the beginning of `sealed`.
    ///
    /// # Errors
    /// When key, nonce, binding or ciphertext differ in any bit.
    pub fn open<'p>(&self, nonce: [u8; 12], binding: &[u8], sealed: &'p mut [u8]) -> Result<&'p mut [u8], CryptoFault> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, aead::Aad::from(binding), sealed).map_err(|_| CryptoFault::DoesNotOpen)
    }
}

/// A key for AES-256-GCM. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// Takes 32 bytes of entropy or of an opened slot.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, for wrapping it.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts under a nonce that must never repeat for this key; `binding` is authenticated.
    #[must_use]
    pub fn seal(&self, nonce: [u8; 12], binding: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = plaintext.to_vec();
        ChunkCipher::new(&self.0).seal(nonce, binding, &mut out);
        out
    }

    /// Opens what [`Self::seal`] made.
    ///
    /// # Errors
    /// When key, nonce, binding or ciphertext differ in any bit.
    pub fn open(&self, nonce: [u8; 12], binding: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoFault> {
        let mut out = Zeroizing::new(ciphertext.to_vec());
        let len = ChunkCipher::new(&self.0).open(nonce, binding, &mut out)?.len();
        out.truncate(len);
        Ok(out)
    }
}

/// Wraps a 32-byte secret for the holder of a seal key: HPKE base mode (RFC 9180) with
/// MLKEM768-X25519 (KEM 0x647a), HKDF-SHA-256, AES-256-GCM. Returns (encapsulated, wrapped).
///
/// # Errors
/// When `to` is not a seal key.
pub fn hpke_seal(
    to: &PublicKey,
    info: &[u8],
    aad: &[u8],
    secret: &[u8; 32],
    entropy: [u8; 32],
) -> Result<(Vec<u8>, Vec<u8>), CryptoFault> {
    use rand_core::SeedableRng as _;
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&to.bytes).map_err(|_| CryptoFault::BadKey)?;
    let mut rng = rand_chacha::ChaCha20Rng::from_seed(entropy);
    let (encapsulated, mut context) =
        hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(&hpke::OpModeS::Base, &key, info, &mut rng)
            .map_err(|_| CryptoFault::BadKey)?;
    let wrapped = context.seal(secret, aad).map_err(|_| CryptoFault::BadKey)?;
    Ok((encapsulated.to_bytes().to_vec(), wrapped))
}

/// Opens what [`hpke_seal`] made for the public half of `seed`.
///
/// # Errors
/// When seed, info, associated data or either part differ in any bit.
pub fn hpke_open(
    seed: &Seed,
    info: &[u8],
    aad: &[u8],
    encapsulated: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<[u8; 32]>, CryptoFault> {
    let failed = |_| CryptoFault::DoesNotOpen;
    let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).map_err(failed)?;
    let mut context =
        hpke::setup_receiver::<Aead, Kdf, Kem>(&hpke::OpModeR::Base, &kem_key(seed)?, &encapsulated, info)
            .map_err(failed)?;
    let opened = Zeroizing::new(context.open(wrapped, aad).map_err(failed)?);
    let mut secret = Zeroizing::new([0; 32]);
    if opened.len() != secret.len() {
        return Err(CryptoFault::DoesNotOpen);
    }
    secret.copy_from_slice(&opened);
    Ok(secret)
}

/// True if the y coordinate is below 2^255 - 19 (RFC 8032 section 5.1.3), so that one key has one
/// encoding. The library reduces instead of refusing.
fn reduced(key: &[u8; 32]) -> bool {
    let largest = key[31] & 0x7f == 0x7f && key[1..31].iter().all(|byte| *byte == 0xff);
    !largest || key[0] < 0xed
}

fn ml_dsa(kind: &'static PqdsaSigningAlgorithm, seed: &Seed) -> Result<PqdsaKeyPair, CryptoFault> {
    PqdsaKeyPair::from_seed(kind, &seed.0).map_err(|_| CryptoFault::BadKey)
}

fn kem_key(seed: &Seed) -> Result<<Kem as hpke::Kem>::PrivateKey, CryptoFault> {
    <Kem as hpke::Kem>::PrivateKey::from_bytes(&seed.0).map_err(|_| CryptoFault::BadKey)
}

fn verify_ml_dsa(
    kind: &'static PqdsaVerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoFault> {
    UnparsedPublicKey::new(kind, key).verify(message, signature).map_err(|_| CryptoFault::BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(n: u8) -> Seed {
        Seed::new([n; 32])
    }

    fn signer() -> HybridSigner {
        HybridSigner::new(KeyRole::Record, &seed(1), Algorithm::MlDsa65, &seed(2)).expect("keys")
    }

    #[test]
    fn both_halves_are_required_and_checked() {
        let signer = signer();
        let keys: Vec<PublicKey> = signer.public().into_iter().cloned().collect();
        let check = |signatures: &[Signature], message: &[u8]| {
            verify_pair(keys.iter(), Algorithm::MlDsa65, message, signatures).map(|_| ())
        };
        let pair = signer.sign_pair(b"act").expect("signed");
        assert_eq!(check(&pair, b"act"), Ok(()));
        assert_eq!(check(&pair, b"ace"), Err(CryptoFault::BadSignature));
        assert_eq!(check(&pair[..1], b"act"), Err(CryptoFault::NotHybrid));
        assert_eq!(check(&[pair[0].clone(), pair[0].clone()], b"act"), Err(CryptoFault::NotHybrid));
        assert_eq!(check(&[pair[1].clone(), pair[0].clone()], b"act"), Err(CryptoFault::NotHybrid));
        for half in 0..2 {
            let mut forged = pair.clone();
            forged[half].signature[9] ^= 1;
            assert_eq!(check(&forged, b"act"), Err(CryptoFault::BadSignature));
        }
    }

    #[test]
    fn ml_dsa_agrees_with_a_second_implementation() {
        use ml_dsa::signature::Verifier as _;
        let ours = PublicKey::of(KeyRole::Record, Algorithm::MlDsa65, &seed(7)).expect("key");
        let theirs = ml_dsa::SigningKey::<ml_dsa::MlDsa65>::from_seed(&[7; 32].into());
        let theirs = ml_dsa::signature::Keypair::verifying_key(&theirs);
        assert_eq!(theirs.encode()[..], ours.bytes[..]);
        let signature = sign(Algorithm::MlDsa65, &seed(7), b"act").expect("signed");
        let signature = ml_dsa::Signature::<ml_dsa::MlDsa65>::try_from(&signature[..]).expect("decodes");
        theirs.verify(b"act", &signature).expect("verifies elsewhere");
        theirs.verify(b"ace", &signature).expect_err("and only the signed message");
    }

    #[test]
    fn a_wrap_opens_only_as_bound() {
        let to = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &seed(3)).expect("key");
        let (enc, wrapped) = hpke_seal(&to, b"info", b"aad", &[9; 32], [4; 32]).expect("sealed");
        let open = |n: u8, info: &[u8], aad: &[u8]| hpke_open(&seed(n), info, aad, &enc, &wrapped).map(|s| *s);
        assert_eq!(open(3, b"info", b"aad"), Ok([9; 32]));
        for wrong in [open(5, b"info", b"aad"), open(3, b"inf0", b"aad"), open(3, b"info", b"aae")] {
            assert_eq!(wrong, Err(CryptoFault::DoesNotOpen));
        }
    }

    #[test]
    fn data_keys_bind_nonce_and_context() {
        let key = DataKey::new([1; 32]);
        let sealed = key.seal([0; 12], b"frame 4", b"text");
        assert_eq!(key.open([0; 12], b"frame 4", &sealed).expect("opens")[..], b"text"[..]);
        assert!(key.open([1; 12], b"frame 4", &sealed).is_err());
        assert!(key.open([0; 12], b"frame 5", &sealed).is_err());
    }

    #[test]
    fn a_key_has_one_encoding() {
        for low in 0xed..=0xff {
            for high in [0x7f, 0xff] {
                let mut bytes = vec![0xff; 32];
                (bytes[0], bytes[31]) = (low, high);
                let key = PublicKey { role: KeyRole::Record, algorithm: Algorithm::Ed25519, bytes };
                assert_eq!(key.verify(b"act", &[0; 64]), Err(CryptoFault::BadKey), "[S-2] {low:x} {high:x}");
            }
        }
    }

    #[test]
    fn roles_have_their_algorithms() {
        let fits = |role, algorithm, len| PublicKey { role, algorithm, bytes: vec![1; len] }.fits_its_role();
        assert!(fits(KeyRole::Record, Algorithm::MlDsa65, 1952) && fits(KeyRole::Checkpoint, Algorithm::MlDsa44, 1312));
        assert!(!fits(KeyRole::Record, Algorithm::MlDsa44, 1312) && !fits(KeyRole::Seal, Algorithm::Ed25519, 32));
        assert!(!fits(KeyRole::Record, Algorithm::Ed25519, 31) && !fits(KeyRole::Unspecified, Algorithm::Ed25519, 32));
    }

    #[test]
    fn key_ids_tell_roles_apart() {
        let of = |role| PublicKey::of(role, Algorithm::Ed25519, &seed(1)).expect("key").id();
        assert_ne!(of(KeyRole::Record), of(KeyRole::Checkpoint));
    }

    #[test]
    fn pae_is_the_published_form() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
