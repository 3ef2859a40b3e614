//! A seed as PKCS#8 private-key bytes, in the form each algorithm's own document fixes.
//!
//! Ed25519: RFC 8410, an octet string within the octet string. ML-DSA: RFC 9881, the seed-only choice
//! `[0]`. MLKEM768-X25519: the X-Wing draft, the bare 32-byte seed. No public half is stored: version 1
//! of the structure is what the most tools read, and the public half follows from the seed.

use comity_core::{crypto::Seed, proto::Algorithm};
use pkcs8::{
    AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef,
    der::{Encode as _, asn1::OctetStringRef},
};
use zeroize::Zeroizing;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const X_WING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62253.25722");

const SEED_LEN: usize = 32;

/// PKCS#8 `PrivateKeyInfo` in DER. `None` when the algorithm is unspecified.
pub(super) fn to_pkcs8(algorithm: Algorithm, seed: &Seed) -> Option<Zeroizing<Vec<u8>>> {
    // The tag and length that stand before the seed inside the private key's octet string.
    let (oid, head): (_, &[u8]) = match algorithm {
        Algorithm::Ed25519 => (ED25519, &[0x04, 0x20]),
        Algorithm::MlDsa44 => (ML_DSA_44, &[0x80, 0x20]),
        Algorithm::MlDsa65 => (ML_DSA_65, &[0x80, 0x20]),
        Algorithm::Mlkem768X25519 => (X_WING, &[]),
        Algorithm::Unspecified => return None,
    };
    let inner = Zeroizing::new([head, seed.expose()].concat());
    let octets = OctetStringRef::new(&inner).expect("34 bytes are within DER's limit");
    let info = PrivateKeyInfoRef::new(AlgorithmIdentifierRef { oid, parameters: None }, octets);
    Some(Zeroizing::new(info.to_der().expect("a key of 34 bytes encodes")))
}

/// Reads back exactly what [`to_pkcs8`] writes for this algorithm, and nothing else: the seed stands
/// last, and writing it again must give the same bytes.
pub(super) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Option<Seed> {
    let seed = seed_from(der.get(der.len().checked_sub(SEED_LEN)?..)?)?;
    let again = to_pkcs8(algorithm, &seed)?;
    (again[..] == *der).then_some(seed)
}

/// A seed out of exactly 32 bytes.
pub(super) fn seed_from(bytes: &[u8]) -> Option<Seed> {
    let bytes = Zeroizing::new(<[u8; SEED_LEN]>::try_from(bytes).ok()?);
    Some(Seed::new(*bytes))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, PqdsaKeyPair};
    use comity_core::{crypto::PublicKey, ids::hex, proto::KeyRole};

    use super::*;

    const ALL: [Algorithm; 4] = [Algorithm::Ed25519, Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::Mlkem768X25519];

    /// Bytes 0 to 31, as in the examples of RFC 9881.
    fn seed() -> Seed {
        Seed::new(std::array::from_fn(|n| u8::try_from(n).expect("below 32")))
    }

    fn check(algorithm: Algorithm, head: &str) {
        let der = to_pkcs8(algorithm, &seed()).expect("encodes");
        assert_eq!(hex(&der), format!("{head}{}", hex(seed().expose())), "{algorithm:?}");
    }

    #[test]
    fn bytes_are_those_of_the_documents() {
        check(Algorithm::Ed25519, "302e020100300506032b657004220420");
        check(Algorithm::MlDsa44, "3034020100300b060960864801650304031104228020");
        check(Algorithm::MlDsa65, "3034020100300b060960864801650304031204228020");
        check(Algorithm::Mlkem768X25519, "3034020100300d060b2b0601040183e62d81c87a0420");
    }

    #[test]
    fn a_second_reader_finds_the_same_public_key() {
        let ours = |algorithm| PublicKey::of(KeyRole::Record, algorithm, &seed()).expect("key").bytes;
        let der = |algorithm| to_pkcs8(algorithm, &seed()).expect("encodes");
        let theirs = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(Algorithm::Ed25519)).expect("reads");
        assert_eq!(theirs.public_key().as_ref(), ours(Algorithm::Ed25519));
        for (algorithm, kind) in [(Algorithm::MlDsa44, &ML_DSA_44_SIGNING), (Algorithm::MlDsa65, &ML_DSA_65_SIGNING)] {
            let theirs = PqdsaKeyPair::from_pkcs8(kind, &der(algorithm)).expect("reads");
            assert_eq!(theirs.public_key().as_ref(), ours(algorithm));
        }
    }

    #[test]
    fn only_the_algorithm_asked_for_is_read() {
        for written in ALL {
            let der = to_pkcs8(written, &seed()).expect("encodes");
            for asked in ALL {
                let read = from_pkcs8(asked, &der).map(|read| read.expose() == seed().expose());
                assert_eq!(read, (asked == written).then_some(true), "{written:?} read as {asked:?}");
            }
            assert!(from_pkcs8(written, &der[1..]).is_none());
            assert!(from_pkcs8(written, &[&der[..], &[0]].concat()).is_none());
        }
        assert!(from_pkcs8(Algorithm::Ed25519, &[]).is_none());
        assert!(to_pkcs8(Algorithm::Unspecified, &seed()).is_none());
    }
}
