//! `wire.json`, `keys.json`, `signatures.json`: what everything else stands on.

use prost::Message as _;

use super::{
    bad, computed, file,
    material::{Material, named, raw},
    ok,
    shapes::{Bytes, Case, File, Input, Key, Sig},
};
use crate::{
    founding::tests::named_seed,
    ids::hex,
    proto::{Algorithm, Answer, KeyRole, Slip, answer::Outcome},
};

pub(super) fn files(m: &Material) -> Vec<File> {
    vec![
        file("wire", "Strict reading of messages of the given shape, at most `max` bytes long.", wire()),
        file("keys", "Public keys from 32-byte seeds, and their ids.", keys(m)),
        file(
            "signatures",
            "Pre-authentication encoding, Ed25519 and ML-DSA verification, hybrid pairs.",
            [pae(m), single(m), pairs(m)].concat(),
        ),
    ]
}

fn strict(shape: &str, max: usize, bytes: impl AsRef<[u8]>) -> Input {
    Input::Strict { shape: shape.into(), max, bytes: raw(bytes) }
}

fn wire() -> Vec<Case> {
    let slip = Slip { origin: "a".into(), to: "XB".into(), lane: 2, number: 7, nonce: vec![1; 16] }.encode_to_vec();
    let with = |more: &[u8]| strict("Slip", 99, [&slip[..], more].concat());
    let erased = |yes| Answer { event_id: Vec::new(), outcome: Some(Outcome::Erased(yes)) }.encode_to_vec();
    let good = |name: &str, input| ok(name, &["W-1"], input, []);
    let loose = |name: &str, input| bad(name, &["W-1"], input, "wire.not-canonical", "");
    let broken = |name: &str, input| bad(name, &["W-1"], input, "wire.undecodable", "");
    vec![
        good("a message", strict("Slip", 99, &slip)),
        good("a message of no bytes", strict("Slip", 99, [])),
        good("exactly as long as allowed", strict("Slip", slip.len(), &slip)),
        bad("one byte longer than allowed", &["W-2"], strict("Slip", slip.len() - 1, &slip), "wire.too-large", ""),
        loose("an unknown field", with(&[0x98, 0x06, 0x01])),
        loose("a singular field twice, equal", strict("Slip", 99, [0x20, 7, 0x20, 7])),
        loose("a singular field twice, different", strict("Slip", 99, [0x20, 6, 0x20, 7])),
        loose("the whole message twice", with(&slip)),
        loose("fields that fall", strict("Slip", 99, [0x20, 7, 0x18, 2])),
        loose("a loose varint", strict("Slip", 99, [0x20, 0x87, 0x00])),
        loose("a loose tag", strict("Slip", 99, [0xa0, 0x00, 7])),
        loose("a loose length", strict("Slip", 99, [0x0a, 0x81, 0x00, b'a'])),
        loose("an explicit zero", strict("Slip", 99, [0x20, 0])),
        loose("an explicit empty string", strict("Slip", 99, [0x0a, 0])),
        loose("a 32-bit enum with more bits", strict("Slip", 99, [0x18, 0x82, 0x80, 0x80, 0x80, 0x10])),
        good("an unknown number of an enum, judged by meaning later", strict("Slip", 99, [0x18, 99])),
        good("a negative number of an enum in ten bytes", {
            strict("Slip", 99, [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
        }),
        loose("a negative number of an enum in five bytes", strict("Slip", 99, [0x18, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        loose("a flag of two", strict("Header", 99, [0x10, 2])),
        good("a flag", strict("Header", 99, [0x10, 1])),
        loose("a flag that says no", strict("Header", 99, [0x10, 0])),
        good("a member of a oneof at its default is written", strict("Answer", 99, erased(false))),
        good("a member of a oneof", strict("Answer", 99, erased(true))),
        loose("two members of a oneof", strict("Answer", 99, [0x12, 0, 0x28, 1])),
        good("an empty message inside a message is written", strict("Charter", 99, [0x42, 0])),
        loose("an unknown field inside a message", strict("Charter", 99, [0x42, 3, 0x98, 0x06, 0x01])),
        broken("a byte missing at the end", strict("Slip", 99, &slip[..slip.len() - 1])),
        broken("text that is not UTF-8", strict("Slip", 99, [0x0a, 1, 0xff])),
        broken("another wire type", strict("Slip", 99, [0x25, 7, 0, 0, 0])),
        broken("a group never ended", strict("Slip", 99, [0x9b, 0x06])),
        broken("a varint of eleven bytes", strict("Slip", 99, [[0x20].as_slice(), &[0x80; 10], &[1]].concat())),
        broken("field number zero", strict("Slip", 99, [0x00, 0x00])),
    ]
}

fn key(role: KeyRole, algorithm: Algorithm, public_key: Bytes) -> Key {
    Key { role: role as i32, algorithm: algorithm as i32, public_key }
}

fn keys(m: &Material) -> Vec<Case> {
    let of = |name: &str, role: KeyRole, algorithm: Algorithm, seed: &str| {
        let seed = raw(named_seed(seed).expose());
        computed(m, name, &["K-1", "K-2"], Input::PublicKey { role: role as i32, algorithm: algorithm as i32, seed })
    };
    let id = |name: &str, role: KeyRole| {
        let key = key(role, Algorithm::Ed25519, raw([1; 32]));
        computed(m, name, &["K-2"], Input::KeyId { key })
    };
    vec![
        of("Ed25519", KeyRole::Record, Algorithm::Ed25519, "XA record-ed25519"),
        of("ML-DSA-65", KeyRole::Record, Algorithm::MlDsa65, "XA record-ml-dsa-65"),
        of("ML-DSA-44", KeyRole::Checkpoint, Algorithm::MlDsa44, "XA checkpoint-ml-dsa-44"),
        of("MLKEM768-X25519", KeyRole::Seal, Algorithm::Mlkem768X25519, "XB seal"),
        bad(
            "no algorithm",
            &["K-1"],
            Input::PublicKey { role: KeyRole::Record as i32, algorithm: 0, seed: raw([1; 32]) },
            "crypto.bad-key",
            "",
        ),
        id("one key as record key", KeyRole::Record),
        id("the same key as checkpoint key has another id", KeyRole::Checkpoint),
    ]
}

fn pae(m: &Material) -> Vec<Case> {
    let pae = |name: &str, payload_type: &str, payload: &[u8], pae: &[u8]| {
        let input = Input::Pae { payload_type: payload_type.into(), payload: raw(payload) };
        ok(name, &["S-1"], input, [("pae", hex(pae))])
    };
    let fingerprint = m.of("charter-fingerprint");
    let of_charter = [b"DSSEv1 37 application/vnd.comity.document-id.v1 32 ", fingerprint].concat();
    vec![
        pae("the published example", "http://example.com/HelloWorld", b"hello world", {
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        }),
        pae("nothing of no type", "", b"", b"DSSEv1 0  0 "),
        pae("lengths count bytes, not letters", "\u{e9}", b" 1 ", b"DSSEv1 2 \xc3\xa9 3  1 "),
        pae("what is signed of the charter", "application/vnd.comity.document-id.v1", fingerprint, &of_charter),
    ]
}

fn single(m: &Material) -> Vec<Case> {
    let one = m.of("xa-record-ed25519-key").to_vec();
    let ed25519 = || key(KeyRole::Record, Algorithm::Ed25519, named("xa-record-ed25519-key"));
    let ml_dsa = || key(KeyRole::Record, Algorithm::MlDsa65, named("xa-record-ml-dsa-65-key"));
    let seed = raw(named_seed("XA record-ed25519").expose());
    let (classical, quantum) = halves(m);
    let [classical, quantum] = [classical, quantum].map(|half| format!("pair-over-act-{half}-signature"));
    let verify = |key, message: &[u8], signature| Input::Verify { key, message: raw(message), signature };
    let forged = |name: &str, input| bad(name, &["S-2"], input, "crypto.bad-signature", "");
    let no_key = |name: &str, key| bad(name, &["S-2"], verify(key, b"act", raw([0; 64])), "crypto.bad-key", "");
    let last = m.of(&quantum).len() - 1;
    let weak = |low: u8, fill: u8, high: u8| {
        let mut bytes = [fill; 32];
        (bytes[0], bytes[31]) = (low, high);
        key(KeyRole::Record, Algorithm::Ed25519, raw(bytes))
    };
    // The identity as R and S = 0 satisfy the equation for the identity as key and any message.
    let identity = [[1].as_slice(), &[0; 31]].concat();
    let trivial = raw([&identity[..], &[0; 32]].concat());
    vec![
        ok(
            "Ed25519 signs to the same bytes everywhere",
            &["S-2"],
            Input::SignEd25519 { seed, message: raw(b"act") },
            [("signature", hex(m.of(&classical)))],
        ),
        ok("Ed25519", &["S-2"], verify(ed25519(), b"act", named(&classical)), []),
        forged("Ed25519 over another message", verify(ed25519(), b"ace", named(&classical))),
        forged("Ed25519 with R changed", verify(ed25519(), b"act", m.flipped(&classical, 0))),
        forged("Ed25519 with S changed", verify(ed25519(), b"act", m.flipped(&classical, 32))),
        forged("Ed25519 with S not reduced", verify(ed25519(), b"act", raw(plus_order(m.of(&classical))))),
        forged("Ed25519 of 63 bytes", verify(ed25519(), b"act", raw(&m.of(&classical)[..63]))),
        forged("a small-order key and the signature that fits every message", verify(weak(1, 0, 0), b"act", trivial)),
        no_key("a key whose y is the prime plus one", weak(0xee, 0xff, 0x7f)),
        no_key("a key whose y is the prime plus three", weak(0xf0, 0xff, 0xff)),
        no_key("a key that is no point", weak(2, 0, 0)),
        no_key("a key of 31 bytes", key(KeyRole::Record, Algorithm::Ed25519, raw(&one[..31]))),
        ok("ML-DSA-65", &["S-2"], verify(ml_dsa(), b"act", named(&quantum)), []),
        forged("ML-DSA-65 over another message", verify(ml_dsa(), b"ace", named(&quantum))),
        forged("ML-DSA-65 with its first byte changed", verify(ml_dsa(), b"act", m.flipped(&quantum, 0))),
        forged("ML-DSA-65 with its last byte changed", verify(ml_dsa(), b"act", m.flipped(&quantum, last))),
        forged("ML-DSA-65 one byte short", verify(ml_dsa(), b"act", raw(&m.of(&quantum)[..last]))),
        bad(
            "a seal key signs nothing",
            &["S-2"],
            verify(key(KeyRole::Seal, Algorithm::Mlkem768X25519, raw([0; 1216])), b"act", raw([0; 64])),
            "crypto.bad-key",
            "",
        ),
    ]
}

/// Which of the pair is Ed25519 and which ML-DSA: they are kept in the order of their key ids.
fn halves(m: &Material) -> (&'static str, &'static str) {
    let first_is_classical = m.of("pair-over-act-first-signature").len() == 64;
    if first_is_classical { ("first", "second") } else { ("second", "first") }
}

/// The signature with the group's order added to S: the same equation, other bytes.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut out = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in out[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    out
}

fn pairs(m: &Material) -> Vec<Case> {
    let sig = |half: &str| Sig {
        key_id: named(&format!("pair-over-act-{half}-key-id")),
        signature: named(&format!("pair-over-act-{half}-signature")),
    };
    let known = || {
        vec![
            key(KeyRole::Record, Algorithm::Ed25519, named("xa-record-ed25519-key")),
            key(KeyRole::Record, Algorithm::MlDsa65, named("xa-record-ml-dsa-65-key")),
        ]
    };
    let pair = |keys, signatures| Input::VerifyPair { keys, message: raw(b"act"), signatures };
    let refused = |name: &str, input, code: &str| bad(name, &["S-3"], input, code, "");
    let spoiled = |half: &str| Sig { signature: m.flipped(&format!("pair-over-act-{half}-signature"), 9), ..sig(half) };
    let as_checkpoint = |mut keys: Vec<Key>| {
        keys[0].role = KeyRole::Checkpoint as i32;
        keys
    };
    vec![
        computed(m, "both halves", &["S-3"], pair(known(), vec![sig("first"), sig("second")])),
        refused("the first half alone", pair(known(), vec![sig("first")]), "crypto.not-hybrid"),
        refused("the second half alone", pair(known(), vec![sig("second")]), "crypto.not-hybrid"),
        refused("no half", pair(known(), vec![]), "crypto.not-hybrid"),
        refused("one half twice", pair(known(), vec![sig("first"), sig("first")]), "crypto.not-hybrid"),
        refused("key ids that fall", pair(known(), vec![sig("second"), sig("first")]), "crypto.not-hybrid"),
        refused(
            "a third signature",
            pair(known(), vec![sig("first"), sig("second"), sig("second")]),
            "crypto.not-hybrid",
        ),
        refused("first half forged", pair(known(), vec![spoiled("first"), sig("second")]), "crypto.bad-signature"),
        refused("second half forged", pair(known(), vec![sig("first"), spoiled("second")]), "crypto.bad-signature"),
        refused("nobody is known", pair(vec![], vec![sig("first"), sig("second")]), "crypto.bad-key"),
        refused(
            "the key is known in another role",
            pair(as_checkpoint(known()), vec![sig("first"), sig("second")]),
            "crypto.bad-key",
        ),
    ]
}
