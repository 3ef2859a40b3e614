//! Bodies: sealed to their recipients, opened by what each of them keeps. Serves SPEC `[B-*]`.

use prost::Message as _;
use zeroize::Zeroizing;

use super::EventFault;
use crate::{
    crypto::{CryptoFault, DataKey, PublicKey, Seed, derive, hmac_sha256, hpke_open, hpke_seal},
    ids::{Digest, KeyId},
    proto,
    wire::{ENVELOPE_MAX, ascending, strict},
};

/// Body secrets: what opens a sealed body, kept by each member under the request's content key.
pub type BodySecret = Zeroizing<[u8; 32]>;

/// Seals a body to its recipients (SPEC `[B-1]` to `[B-5]`): a fresh secret gives the key and a
/// commitment to it, both bound to the header; the secret is wrapped for each recipient.
///
/// # Errors
/// When a recipient's key is not a seal key.
pub fn seal_body(
    plaintext: &[u8],
    binding: &Digest,
    recipients: &[PublicKey],
    entropy: &[u8; 32],
) -> Result<(Vec<u8>, BodySecret), CryptoFault> {
    let secret = derive(b"comity body secret v1", entropy, "secret");
    let (key, commitment) = body_keys(&secret, binding);
    let wraps = recipients.iter().map(|to| wrap_for(to, binding, &commitment, &secret, entropy));
    let mut wraps = wraps.collect::<Result<Vec<_>, _>>()?;
    wraps.sort_by(|a, b| a.key_id.cmp(&b.key_id));
    let ciphertext = key.seal([0; 12], binding.as_bytes(), plaintext);
    let sealed = proto::SealedBody { commitment: commitment.to_vec(), wraps, ciphertext };
    Ok((sealed.encode_to_vec(), secret))
}

/// Wraps the secret of a body for one more key, as [`seal_body`] does for its recipients.
///
/// # Errors
/// When the key is no seal key, or the body does not read.
pub fn wrap_secret(
    sealed: &[u8],
    binding: &Digest,
    secret: &[u8; 32],
    to: &PublicKey,
    entropy: &[u8; 32],
) -> Result<proto::Wrap, EventFault> {
    let sealed: proto::SealedBody = strict(sealed, ENVELOPE_MAX)?;
    wrap_for(to, binding, &sealed.commitment, secret, entropy).map_err(EventFault::Sealed)
}

fn wrap_for(
    to: &PublicKey,
    binding: &Digest,
    commitment: &[u8],
    secret: &[u8; 32],
    entropy: &[u8; 32],
) -> Result<proto::Wrap, CryptoFault> {
    let id = to.id();
    let fresh = hmac_sha256(entropy, &[b"comity wrap entropy v1\0", id.as_bytes()]);
    let (encapsulated, wrapped) = hpke_seal(to, &wrap_info(binding), &wrap_aad(&id, commitment), secret, fresh)?;
    Ok(proto::Wrap { key_id: id.as_bytes().to_vec(), encapsulated, wrapped })
}

/// Recovers the body secret with a seal key and checks the commitment (SPEC `[B-5]`).
///
/// # Errors
/// When there is no wrap for this key, it does not open, or the commitment is to another secret.
pub fn unwrap_body(sealed: &[u8], binding: &Digest, key: &KeyId, seed: &Seed) -> Result<BodySecret, EventFault> {
    let ours = |named: &KeyId| named == key;
    unwrap_body_with(sealed, binding, ours, |_, info, aad, encapsulated, wrapped| {
        hpke_open(seed, info, aad, encapsulated, wrapped)
    })
}

/// The same for whoever holds several keys, where opening a wrap (key, info, associated data, encapsulated,
/// wrapped) is somebody else's work: a key folder's or a token's. The first wrap to one of `ours` counts.
///
/// # Errors
/// As [`unwrap_body`].
pub fn unwrap_body_with(
    sealed: &[u8],
    binding: &Digest,
    ours: impl Fn(&KeyId) -> bool,
    open: impl FnOnce(&KeyId, &[u8], &[u8], &[u8], &[u8]) -> Result<BodySecret, CryptoFault>,
) -> Result<BodySecret, EventFault> {
    let sealed: proto::SealedBody = strict(sealed, ENVELOPE_MAX)?;
    if !ascending(sealed.wraps.iter().map(|wrap| &wrap.key_id)) {
        return Err(EventFault::Header("the wraps of a body must rise by key id"));
    }
    let mut named = sealed.wraps.iter().filter_map(|wrap| Some((KeyId::from_slice(&wrap.key_id).ok()?, wrap)));
    let (key, wrap) = named.find(|(key, _)| ours(key)).ok_or(EventFault::Sealed(CryptoFault::BadKey))?;
    let aad = wrap_aad(&key, &sealed.commitment);
    let opened = open(&key, &wrap_info(binding), &aad, &wrap.encapsulated, &wrap.wrapped);
    let secret = opened.map_err(EventFault::Sealed)?;
    let (_, commitment) = body_keys(&secret, binding);
    if sealed.commitment == commitment { Ok(secret) } else { Err(EventFault::Sealed(CryptoFault::DoesNotOpen)) }
}

/// Opens a body with its secret; the commitment is checked first.
///
/// # Errors
/// When secret, binding or ciphertext do not belong together, or the content is not a body.
pub fn open_body(sealed: &[u8], binding: &Digest, secret: &[u8; 32]) -> Result<proto::Body, EventFault> {
    open_sealed(sealed, binding, secret)
}

/// The same for whatever else is sealed as bodies are: a page of item keys (SPEC `[T-4]`).
///
/// # Errors
/// As [`open_body`].
pub fn open_sealed<M: prost::Message + Default>(
    sealed: &[u8],
    binding: &Digest,
    secret: &[u8; 32],
) -> Result<M, EventFault> {
    let sealed: proto::SealedBody = strict(sealed, ENVELOPE_MAX)?;
    let (key, commitment) = body_keys(secret, binding);
    if sealed.commitment != commitment {
        return Err(EventFault::Sealed(CryptoFault::DoesNotOpen));
    }
    let plaintext = key.open([0; 12], binding.as_bytes(), &sealed.ciphertext).map_err(EventFault::Sealed)?;
    Ok(strict(&plaintext, ENVELOPE_MAX)?)
}

pub(crate) fn body_keys(secret: &[u8; 32], binding: &Digest) -> (DataKey, [u8; 32]) {
    let key = DataKey::new(*derive(binding.as_bytes(), secret, "comity body key v1"));
    (key, *derive(binding.as_bytes(), secret, "comity body commitment v1"))
}

fn wrap_info(binding: &Digest) -> Vec<u8> {
    [b"comity wrap v1\0", &binding.as_bytes()[..]].concat()
}

fn wrap_aad(key: &KeyId, commitment: &[u8]) -> Vec<u8> {
    [key.as_bytes(), commitment].concat()
}
