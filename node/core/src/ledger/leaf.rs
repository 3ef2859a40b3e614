//! From a record to its leaf: the blinded entry a ledger shows to strangers, and the digests that
//! go into it.
//!
//! Decides the bytes of leaf entries, of the digest over signatures, and of slip nonces and
//! digests (SPEC `[L-*]`, `[D-*]`). Never draws a salt: entropy is handed in. Start with
//! [`leaf_entry`].

use std::fmt;

use super::LedgerFault;
use crate::{
    crypto::{hmac_sha256, sha256},
    ids::{Digest, PartyCode},
    proto::Signature,
};

/// The first byte of every leaf entry: the version of the recipe below.
const LEAF_VERSION: u8 = 1;
/// RFC 6962 section 2.1: leaves are hashed under 0x00, so that no inner node can pass for one.
const LEAF_PREFIX: [u8; 1] = [0x00];

/// 32 random bytes that blind one leaf. Destroying them (with the request's proof key) leaves the
/// tree whole and the record unprovable, which is what erasure needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl fmt::Debug for Salt {
    /// Says nothing: a salt in a log would undo an erasure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// What stands in the ledger for a record: version byte and HMAC-SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafEntry([u8; 33]);

impl LeafEntry {
    /// Reads a stored entry.
    ///
    /// # Errors
    /// When the length or the version byte is another.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, LedgerFault> {
        let entry: [u8; 33] = bytes.try_into().map_err(|_| LedgerFault::BadLeaf)?;
        if entry[0] == LEAF_VERSION { Ok(Self(entry)) } else { Err(LedgerFault::BadLeaf) }
    }

    /// The bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }
}

/// The entry of a record: `0x01 || HMAC-SHA-256(salt, "comity leaf v1\0" || record id ||
/// SHA-256(context))`. Revealing salt, record id and context proves it; the entry alone tells
/// nothing, not even that two ledgers hold the same record.
#[must_use]
pub fn leaf_entry(salt: &Salt, record_id: &Digest, context_bytes: &[u8]) -> LeafEntry {
    let context = sha256(&[context_bytes]);
    let tag = hmac_sha256(&salt.0, &[b"comity leaf v1\0", record_id.as_bytes(), context.as_bytes()]);
    let mut entry = [LEAF_VERSION; 33];
    entry[1..].copy_from_slice(&tag);
    LeafEntry(entry)
}

/// The RFC 6962 hash of an entry: what goes into the tree.
#[must_use]
pub fn leaf_hash(entry: &LeafEntry) -> Digest {
    sha256(&[&LEAF_PREFIX, &entry.0])
}

/// One digest over signatures in the order given, each bound to its key id and length. Of no
/// signatures at all it is still a digest: that of records nobody else signed.
#[must_use]
pub fn signatures_digest(signatures: &[Signature]) -> Digest {
    let mut bytes = b"comity signatures v1\0".to_vec();
    for one in signatures {
        let length = u32::try_from(one.signature.len()).expect("signatures come from messages below 4 GiB");
        bytes.extend_from_slice(&one.key_id);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&one.signature);
    }
    sha256(&[&bytes])
}

/// The nonce of the slip to one recipient. Derived, so that each recipient can be shown its own
/// slip while the other digests in the context tell it nothing.
#[must_use]
pub fn slip_nonce(slip_secret: &[u8; 32], to: &PartyCode) -> [u8; 16] {
    let tag = hmac_sha256(slip_secret, &[b"comity slip nonce v1\0", to.as_str().as_bytes()]);
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&tag[..16]);
    nonce
}

/// The digest by which an author's context binds a slip.
#[must_use]
pub fn slip_digest(slip_bytes: &[u8]) -> Digest {
    sha256(&[b"comity slip v1\0", slip_bytes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::hex;

    fn entry(salt: u8, id: u8, context: &[u8]) -> LeafEntry {
        leaf_entry(&Salt([salt; 32]), &Digest::new([id; 32]), context)
    }

    #[test]
    fn an_entry_follows_the_written_recipe() {
        let mut message = b"comity leaf v1\0".to_vec();
        message.extend([2; 32]);
        message.extend(sha256(&[b"context"]).as_bytes());
        let mut expected = vec![1];
        expected.extend(hmac_sha256(&[1; 32], &[&message]));
        assert_eq!(entry(1, 2, b"context").as_bytes()[..], expected[..]);
        assert_eq!(leaf_hash(&entry(1, 2, b"context")), sha256(&[&[0], &expected]));
    }

    #[test]
    fn salt_id_and_context_each_change_the_entry() {
        let one = entry(1, 2, b"context");
        for other in [entry(3, 2, b"context"), entry(1, 3, b"context"), entry(1, 2, b"contexu"), entry(1, 2, b"")] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn only_version_one_entries_are_read() {
        let good = *entry(1, 2, b"context").as_bytes();
        let check = |bytes: &[u8], good: bool| assert_eq!(LeafEntry::from_slice(bytes).is_ok(), good, "{bytes:?}");
        check(&good, true);
        check(&good[..32], false);
        check(&[&good[..], &[0]].concat(), false);
        check(&[&[2], &good[1..]].concat(), false);
        check(&[], false);
    }

    fn signature(key_id: u8, signature: &[u8]) -> Signature {
        Signature { key_id: vec![key_id; 32], signature: signature.to_vec() }
    }

    #[test]
    fn signatures_are_bound_to_keys_order_and_length() {
        let one = signatures_digest(&[signature(1, b"ab"), signature(2, b"c")]);
        let others: [&[Signature]; 5] = [
            &[signature(1, b"a"), signature(2, b"bc")],
            &[signature(2, b"c"), signature(1, b"ab")],
            &[signature(1, b"ab")],
            &[signature(1, b"ab"), signature(3, b"c")],
            &[],
        ];
        for other in others {
            assert_ne!(one, signatures_digest(other));
        }
        let bytes = [b"comity signatures v1\0", &[7; 32][..], &[0, 0, 0, 2], b"ab"].concat();
        assert_eq!(signatures_digest(&[signature(7, b"ab")]), sha256(&[&bytes]));
    }

    #[test]
    fn each_recipient_has_its_own_nonce() {
        let party = |code| PartyCode::parse(code).expect("code");
        assert_eq!(slip_nonce(&[1; 32], &party("XA")), slip_nonce(&[1; 32], &party("XA")));
        assert_ne!(slip_nonce(&[1; 32], &party("XA")), slip_nonce(&[1; 32], &party("XB")));
        assert_ne!(slip_nonce(&[1; 32], &party("XA")), slip_nonce(&[2; 32], &party("XA")));
        assert_eq!(slip_nonce(&[1; 32], &party("XA")), hmac_sha256(&[1; 32], &[b"comity slip nonce v1\0XA"])[..16]);
        assert_eq!(slip_digest(b"slip"), sha256(&[b"comity slip v1\0slip"]));
    }

    #[test]
    fn a_salt_does_not_print() {
        assert_eq!(format!("{:?}", Salt([0xab; 32])), "Salt(..)");
        assert!(!format!("{:?}", Salt([0xab; 32])).contains(&hex(&[0xab])));
    }
}
