//! Who must sign a document: so many of a set of hybrid keys. And who has: [`Signers`].

use std::collections::{BTreeMap, BTreeSet};

use super::{ProfileFault, signing_message};
use crate::{
    crypto::PublicKey,
    ids::{Digest, KeyId},
    proto::{self, Algorithm, KeyRole},
    wire::ascending,
};

/// A set of hybrid keys of which a threshold must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    holders: Vec<[PublicKey; 2]>,
    /// Of each holder's two keys.
    ids: Vec<[KeyId; 2]>,
    threshold: usize,
}

impl Quorum {
    /// Reads a quorum whose keys serve `role`.
    ///
    /// # Errors
    /// When empty, out of order, or with a threshold it can never meet.
    pub fn from_wire(quorum: &proto::Quorum, role: KeyRole) -> Result<Self, ProfileFault> {
        let threshold = quorum.threshold as usize;
        if threshold == 0 || threshold > quorum.keys.len() {
            return Err(ProfileFault::Content("a threshold must be between 1 and the number of keys"));
        }
        if !ascending(quorum.keys.iter().map(|key| &key.ed25519)) {
            return Err(ProfileFault::Content("the keys of a quorum must rise and not repeat"));
        }
        let quantum: BTreeSet<_> = quorum.keys.iter().map(|key| &key.ml_dsa_65).collect();
        if quantum.len() < quorum.keys.len() {
            return Err(ProfileFault::Content("the keys of a quorum must rise and not repeat"));
        }
        let half = |algorithm, bytes: &[u8]| PublicKey { role, algorithm, bytes: bytes.to_vec() };
        let holders: Vec<[PublicKey; 2]> = quorum
            .keys
            .iter()
            .map(|key| [half(Algorithm::Ed25519, &key.ed25519), half(Algorithm::MlDsa65, &key.ml_dsa_65)])
            .collect();
        if !holders.iter().flatten().all(PublicKey::fits_its_role) {
            return Err(ProfileFault::Content("a key of a quorum has not the length of its algorithm"));
        }
        let ids = holders.iter().map(|pair| [pair[0].id(), pair[1].id()]).collect();
        Ok(Self { holders, ids, threshold })
    }

    /// True if this wire form is of just these keys and this threshold.
    pub(super) fn is(&self, wire: &proto::Quorum) -> bool {
        let same = |(pair, key): (&[PublicKey; 2], &proto::HybridKey)| {
            pair[0].bytes == key.ed25519 && pair[1].bytes == key.ml_dsa_65
        };
        self.threshold == wire.threshold as usize
            && self.holders.len() == wire.keys.len()
            && self.holders.iter().zip(&wire.keys).all(same)
    }

    /// True if enough distinct holders signed the document of this id with both halves and nobody else signed.
    #[must_use]
    pub fn signed(&self, document: &Digest, signatures: &[proto::Signature]) -> bool {
        Signers::of(document, signatures, [self]).is_ok_and(|signers| self.met_by(&signers))
    }

    /// True if a key id is of one of its halves.
    pub(super) fn knows(&self, key_id: &[u8]) -> bool {
        self.ids.iter().flatten().any(|id| id.as_bytes() == key_id)
    }

    /// True if enough distinct holders are among those who signed.
    #[must_use]
    pub fn met_by(&self, signers: &Signers) -> bool {
        self.ids.iter().filter(|pair| signers.holds(pair)).count() >= self.threshold
    }

    /// The ids of each holder's two keys, Ed25519 first.
    #[must_use]
    pub fn holders(&self) -> &[[KeyId; 2]] {
        &self.ids
    }

    /// How many of its holders must sign.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}

/// The keys that signed a document, each of them a half of a holder who signed with both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers(BTreeSet<KeyId>);

/// Why the signatures of a document do not count, not even those among them that are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerFault {
    /// They do not ascend by key id, or one comes twice.
    Order,
    /// A holder's signature does not verify: the document or the signature was changed.
    Wrong([KeyId; 2]),
    /// Of a key whose other half did not sign.
    Half(KeyId),
    /// Of a key that is in none of the quorums.
    Stranger(KeyId),
}

impl Signers {
    /// True if nobody signed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if this holder signed, with both halves.
    #[must_use]
    pub fn holds(&self, pair: &[KeyId; 2]) -> bool {
        pair.iter().all(|half| self.0.contains(half))
    }

    /// These and those others, whose signatures of the same document were verified as well.
    pub(super) fn and(mut self, others: &Self) -> Self {
        self.0.extend(&others.0);
        self
    }

    /// True if all of them are holders in these quorums: what was verified of them once holds then too.
    pub(super) fn are_of<'q>(&self, quorums: impl IntoIterator<Item = &'q Quorum>) -> bool {
        let pairs = quorums.into_iter().flat_map(|quorum| &quorum.ids).filter(|pair| self.holds(pair));
        let known: BTreeSet<KeyId> = pairs.flatten().copied().collect();
        known == self.0
    }

    /// Verifies every signature of the document of this id, whose signers may be of these quorums (SPEC `[S-4]`).
    ///
    /// # Errors
    /// When one is wrong, comes twice, is a stranger's, or lacks its other half.
    pub fn of<'q>(
        document: &Digest,
        signatures: &[proto::Signature],
        quorums: impl IntoIterator<Item = &'q Quorum>,
    ) -> Result<Self, SignerFault> {
        let message = signing_message(document);
        if !ascending(signatures.iter().map(|signature| &signature.key_id)) {
            return Err(SignerFault::Order);
        }
        let mut known = BTreeSet::new();
        let named: BTreeMap<&[u8], &[u8]> =
            signatures.iter().map(|signature| (&signature.key_id[..], &signature.signature[..])).collect();
        let mut signers = BTreeSet::new();
        for quorum in quorums {
            for (pair, ids) in quorum.holders.iter().zip(&quorum.ids) {
                // One whose keys stand in two quorums signs once.
                if signers.contains(&ids[0]) && signers.contains(&ids[1]) {
                    continue;
                }
                known.extend(ids.iter().copied());
                let signature = |half: usize| named.get(&ids[half].as_bytes()[..]);
                let (Some(one), Some(other)) = (signature(0), signature(1)) else { continue };
                let verifies = pair[0].verify(&message, one).is_ok() && pair[1].verify(&message, other).is_ok();
                if !verifies {
                    return Err(SignerFault::Wrong(*ids));
                }
                signers.extend(ids.iter().copied());
            }
        }
        let uncounted = |id: &KeyId| !signers.contains(id);
        let named = signatures.iter().filter_map(|signature| KeyId::from_slice(&signature.key_id).ok());
        match named.clone().find(uncounted) {
            Some(id) if known.contains(&id) => Err(SignerFault::Half(id)),
            Some(id) => Err(SignerFault::Stranger(id)),
            None if named.count() < signatures.len() => Err(SignerFault::Order),
            None => Ok(Self(signers)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::HybridSigner, founding::tests::root};

    const DOCUMENT: Digest = Digest::new([7; 32]);

    fn quorum(holders: &[&HybridSigner], threshold: u32) -> Quorum {
        let key = |holder: &&HybridSigner| {
            let [ed25519, ml_dsa_65] = holder.public().map(|key| key.bytes.clone());
            proto::HybridKey { ed25519, ml_dsa_65 }
        };
        let mut keys: Vec<proto::HybridKey> = holders.iter().map(key).collect();
        keys.sort_by(|a, b| a.ed25519.cmp(&b.ed25519));
        Quorum::from_wire(&proto::Quorum { keys, threshold }, KeyRole::Root).expect("a quorum")
    }

    /// [S-4]: so many distinct holders, both halves of each, and nobody else; and it can be told what is wrong.
    #[test]
    fn who_signed_is_known_and_what_does_not_count_is_named() {
        let [one, two, other] = ["one", "two", "other"].map(|name| root(name, KeyRole::Root));
        let quorum = quorum(&[&one, &two], 2);
        let ids = |holder: &HybridSigner| holder.public().map(PublicKey::id);
        let signed = |holders: &[&HybridSigner]| {
            let pairs =
                holders.iter().flat_map(|holder| holder.sign_pair(&signing_message(&DOCUMENT)).expect("signed"));
            let mut all: Vec<proto::Signature> = pairs.collect();
            all.sort_by(|a, b| a.key_id.cmp(&b.key_id));
            all
        };
        let of = |signatures: &[proto::Signature]| Signers::of(&DOCUMENT, signatures, [&quorum]);

        assert!(of(&[]).expect("nobody").is_empty());
        let first = of(&signed(&[&one])).expect("one");
        assert!(first.holds(&ids(&one)) && !first.holds(&ids(&two)) && !quorum.met_by(&first));
        assert!(quorum.met_by(&of(&signed(&[&one, &two])).expect("both")));
        assert_eq!((quorum.threshold(), quorum.holders().len()), (2, 2));

        let both = signed(&[&one, &two]);
        let with = |change: fn(&mut Vec<proto::Signature>)| {
            let mut changed = both.clone();
            change(&mut changed);
            of(&changed).expect_err("does not count")
        };
        assert_eq!(with(|all| all.reverse()), SignerFault::Order);
        assert_eq!(with(|all| all.insert(0, all[0].clone())), SignerFault::Order);
        assert!(matches!(with(|all| drop(all.pop())), SignerFault::Half(_)));
        assert!(matches!(with(|all| all[3].key_id.truncate(31)), SignerFault::Half(_)), "an id cut short is no id");
        assert!(matches!(with(|all| all[1].signature[3] ^= 1), SignerFault::Wrong(_)));
        let stranger = of(&signed(&[&one, &other])).expect_err("a stranger");
        assert!(matches!(stranger, SignerFault::Stranger(id) if ids(&other).contains(&id)));
    }
}
