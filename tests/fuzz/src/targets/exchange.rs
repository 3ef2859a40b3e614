//! What one node sends another on a deliver stream: events, deliveries, answers, sealed bodies.

use comity_core::{
    carry::{event_named_by, read_answer, read_delivery},
    event::{Event, Header, PeerAnswer, event_id, open_body, open_sealed, seal_body, slip_bytes},
    ids::{Digest, EventId, ItemId, Origin},
    manifest::KeyPage,
    proto::{self, RecordKind},
    wire::{ENVELOPE_MAX, HEADER_MAX, strict},
};
use prost::Message as _;

use super::{
    Reader,
    known::{NOW, PARTIES, TRUST, digest, keys, material, party},
};

/// A header and an envelope: what reads is written again to the same bytes, and its id is that of its bytes.
pub(crate) fn event(data: &[u8]) {
    if let Ok(header) = Header::from_wire(data) {
        assert_eq!(header.to_wire(), data, "a header has one encoding");
        let again = Header { body: header.body, ..header.clone() };
        assert_eq!(again.binding(), header.binding());
        assert!(header.members().len() == header.recipients.len() + 1);
    }
    if let Ok(event) = Event::from_envelope(data) {
        assert_eq!(event.to_envelope(), data, "an envelope has one encoding");
        assert_eq!(event.id, event_id(&event.bytes));
        assert_eq!(event.header.to_wire(), event.bytes);
        if let Ok(verified) = event.verify(&TRUST, NOW) {
            assert_eq!(verified.get().id, known_event(), "nobody but the known author signs");
        }
    }
}

fn known_event() -> EventId {
    EventId::new(*digest("event-id").as_bytes())
}

/// A delivery from XA as XB reads it. Nothing but the known event was ever signed, so nothing else is accepted.
pub(crate) fn delivery(data: &[u8]) {
    let unwrap = |sealed: &[u8], binding: &Digest| keys("XB").unwrap(sealed, binding);
    let Ok(read) = read_delivery(data, &party("XA"), &party("XB"), &TRUST, NOW, unwrap) else { return };
    let arrival = read.arrival().expect("nothing of XB was ever given back");
    let delivery = arrival.delivery.get();
    assert_eq!(delivery.event.id, known_event(), "nothing else was signed");
    assert_eq!(event_named_by(data), Some(delivery.event.id));
    assert_eq!(arrival.delivery.at(), NOW);
    let (_, body) = arrival.opened.expect("the known body opens");
    assert_eq!(body.encode_to_vec(), material("body"));
    let known: proto::Delivery = strict(material("delivery"), data.len()).expect("as long as the known one");
    let read: proto::Delivery = strict(data, data.len()).expect("accepted strictly");
    assert!(read.slip == known.slip, "the slip is the one bound in the proof");
}

/// An answer from XB, or a receipt or refusal alone, as XA reads it.
pub(crate) fn answer(data: &[u8]) {
    let sent = || (RecordKind::EventSent, digest("signatures-digest"));
    let signatures = |event: &EventId| (*event == known_event()).then(sent);
    let Ok((event, answer)) = read_answer(data, &party("XB"), &party("XA"), &TRUST, NOW, signatures) else { return };
    let read: proto::Answer = strict(data, data.len()).expect("accepted strictly");
    assert_eq!(read.event_id, event.as_bytes());
    let is_code = |code: &str| code.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789-.".contains(&byte));
    match answer.get() {
        PeerAnswer::Receipt { proof, .. } => {
            assert_eq!((event, &proof[..]), (known_event(), material("receipt")), "nothing else was receipted");
        }
        PeerAnswer::Refusal { code, proof, .. } => {
            assert_eq!((event, &proof[..]), (known_event(), material("refusal-proof")), "nothing else was refused");
            assert!(is_code(code), "{code}");
        }
        PeerAnswer::Retry { code, .. } => assert!(is_code(code) && code.len() <= 64, "{code}"),
        PeerAnswer::Erased => {}
    }
}

/// Sealed bodies: foreign bytes open to nothing, and what was sealed here opens to what it was, if it is a body.
pub(crate) fn sealed(data: &[u8]) {
    let mut input = Reader(data);
    let how = input.byte();
    let binding = digest("binding");
    let bytes = input.0;
    if how & 1 == 0 {
        // As from a peer.
        if let Ok(secret) = keys("XB").unwrap(bytes, &binding) {
            assert_eq!(secret[..], material("body-secret")[..], "nothing else was ever wrapped");
        }
        let secret = material("body-secret").try_into().expect("32 bytes");
        if let Ok(body) = open_body(bytes, &binding, secret) {
            assert_eq!(body.encode_to_vec(), material("body"), "nothing else was ever sealed");
        }
        let page = KeyPage { delivery: known_event(), manifest: binding, own: how & 2 == 0, first: u64::from(how) };
        let unwrap = |sealed: &[u8], binding: &Digest| keys("XB").unwrap(sealed, binding);
        assert!(page.open(bytes, &[ItemId::new([how; 16])], unwrap).is_err(), "no page of keys was ever sealed");
    } else {
        // As from a Party that seals what it likes.
        let to = TRUST.seal_key(&party(PARTIES[usize::from(how >> 1) % 2]), NOW).cloned().expect("a seal key");
        let (sealed, secret) = seal_body(bytes, &binding, std::slice::from_ref(&to), &[how; 32]).expect("sealed");
        let opened = open_body(&sealed, &binding, &secret);
        assert_eq!(opened.is_ok(), strict::<proto::Body>(bytes, ENVELOPE_MAX).is_ok());
        assert!(
            opened.is_ok_and(|body| body.encode_to_vec() == bytes)
                || strict::<proto::Body>(bytes, ENVELOPE_MAX).is_err()
        );
        let keys = open_sealed::<proto::ItemKeys>(&sealed, &binding, &secret);
        assert_eq!(keys.is_ok(), strict::<proto::ItemKeys>(bytes, ENVELOPE_MAX).is_ok());
        assert!(open_body(&sealed, &digest("event-id"), &secret).is_err(), "a body opens in its own event only");
    }
    slip(bytes);
}

/// A slip has one encoding.
fn slip(bytes: &[u8]) {
    let Ok(wire) = strict::<proto::Slip>(bytes, HEADER_MAX) else { return };
    let Ok(origin) = Origin::parse(&wire.origin) else { return };
    let Ok(to) = wire.to.parse() else { return };
    let Ok(nonce) = wire.nonce[..].try_into() else { return };
    if wire.lane == wire.lane() as i32 {
        let slip = comity_core::event::Slip { ledger: 1, lane: wire.lane(), number: wire.number };
        assert_eq!(slip_bytes(&origin, &to, &slip, nonce), bytes);
    }
}

/// The targets are not content because everything is refused.
#[cfg(test)]
#[test]
fn the_known_bytes_are_accepted() {
    let unwrap = |sealed: &[u8], binding: &Digest| keys("XB").unwrap(sealed, binding);
    let arrival = read_delivery(material("delivery"), &party("XA"), &party("XB"), &TRUST, NOW, unwrap);
    assert!(arrival.is_ok_and(|read| read.arrival().is_some_and(|arrival| arrival.opened.is_ok())));
    let outcome = Some(proto::answer::Outcome::Receipt(material("receipt").to_vec()));
    let receipt = proto::Answer { event_id: material("event-id").to_vec(), outcome }.encode_to_vec();
    let signatures = |_: &EventId| Some((RecordKind::EventSent, digest("signatures-digest")));
    assert!(read_answer(&receipt, &party("XB"), &party("XA"), &TRUST, NOW, signatures).is_ok());
}
