//! Between what rests and what travels: deliveries and answers put together from stored records,
//! and read back into what the engine takes in.
//!
//! Pure functions for workers: they hold no state, so they run beside each other. Nothing signed is
//! encoded anew; stored bytes are only framed. Serves SPEC `[D-*]`.

use prost::Message as _;

use crate::{
    crypto::PublicKey,
    engine::{Arrival, Returning},
    event::{
        BodySecret, Delivery, EVENT_TYPE, Event, EventFault, Header, PeerAnswer, Returned, Verified, check_delivery,
        check_receipt, check_refusal, check_return, event_id, open_body, unproved_answer, wrap_secret,
    },
    ids::{Digest, EventId, LedgerIndex, PartyCode, RequestId, Time},
    ledger::{RecordProof, Salt},
    profile::Trust,
    proto::{self, CasePart, Lane, NodePart, RecordKind, answer::Outcome},
    record::Slips,
    wire::{ANSWER_MAX, DELIVERY_MAX, ENVELOPE_MAX, strict},
};

/// A stored record with its path to the newest checkpoint.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// What is known for ever.
    pub node: &'a NodePart,
    /// What goes with the request.
    pub case: &'a CasePart,
    /// The sealed body.
    pub body: &'a [u8],
    /// Where it stands.
    pub index: LedgerIndex,
    /// Its audit path at the checkpoint's size.
    pub path: &'a [Digest],
    /// The checkpoint.
    pub note: &'a [u8],
}

impl Stored<'_> {
    /// The record's proof under the checkpoint.
    #[must_use]
    pub fn proof(&self) -> Option<Vec<u8>> {
        let record_id = Digest::from_slice(&self.node.record_id).ok()?;
        let salt = Salt(self.case.salt[..].try_into().ok()?);
        Some(RecordProof::build(&record_id, &self.case.context, &salt, self.index, self.path, self.note))
    }

    /// The delivery of an own event to one of its recipients; nothing if it is not one.
    #[must_use]
    pub fn delivery(&self, to: &PartyCode) -> Option<Vec<u8>> {
        let origin = Header::from_wire(&self.case.header).ok()?.origin;
        let slip = Slips::from_node_part(self.node)?.bytes(&origin, to)?;
        let delivery = proto::Delivery { envelope: self.envelope(), slip, proof: self.proof()?, wrap: None };
        Some(delivery.encode_to_vec())
    }

    /// An event received here, given back to its author, whose ledger has lost it: with our proof that it was here, and what
    /// opens its body wrapped for the author's seal key, since an author seals to others only.
    #[must_use]
    pub fn given_back(&self, secret: &[u8; 32], to: &PublicKey, entropy: &[u8; 32]) -> Option<Vec<u8>> {
        let binding = Header::from_wire(&self.case.header).ok()?.binding();
        let wrap = wrap_secret(self.body, &binding, secret, to, entropy).ok()?;
        let (slip, proof) = (Vec::new(), self.proof()?);
        Some(proto::Delivery { envelope: self.envelope(), slip, proof, wrap: Some(wrap) }.encode_to_vec())
    }

    fn envelope(&self) -> Vec<u8> {
        let envelope = proto::Envelope {
            payload_type: EVENT_TYPE.into(),
            header: self.case.header.clone(),
            signatures: self.case.signatures.clone(),
            body: self.body.to_vec(),
        };
        envelope.encode_to_vec()
    }

    /// The receipt for a received event, or for one of our own that was given back.
    #[must_use]
    pub fn receipt(&self) -> Option<Vec<u8>> {
        answer(&self.node.record_id, Outcome::Receipt(self.proof()?))
    }

    /// The answer that carries a refusal given.
    #[must_use]
    pub fn refusal(&self) -> Option<Vec<u8>> {
        let envelope = proto::Envelope {
            payload_type: self.case.payload_type.clone(),
            header: self.case.header.clone(),
            signatures: self.case.signatures.clone(),
            body: Vec::new(),
        };
        let refusal = proto::RefusalAnswer { envelope: envelope.encode_to_vec(), proof: self.proof()? };
        answer(&self.node.answers, Outcome::Refusal(refusal))
    }
}

/// The answer that asks to be tried again.
#[must_use]
pub fn retry(event: &EventId, code: &str, after_ms: u32) -> Vec<u8> {
    let outcome = Outcome::Retry(proto::Retry { code: code.to_owned(), after_ms });
    proto::Answer { event_id: event.as_bytes().to_vec(), outcome: Some(outcome) }.encode_to_vec()
}

/// The answer to an event that was receipted and erased since.
#[must_use]
pub fn erased(event: &EventId) -> Vec<u8> {
    proto::Answer { event_id: event.as_bytes().to_vec(), outcome: Some(Outcome::Erased(true)) }.encode_to_vec()
}

fn answer(event: &[u8], outcome: Outcome) -> Option<Vec<u8>> {
    Some(proto::Answer { event_id: event.to_vec(), outcome: Some(outcome) }.encode_to_vec())
}

/// What a peer's delivery turned out to be.
pub enum Delivered {
    /// An event of its own.
    Arrival(Arrival),
    /// One of ours.
    Returning(Returning),
}

impl Delivered {
    /// The event of the peer, if it is one.
    #[must_use]
    pub fn arrival(self) -> Option<Arrival> {
        match self {
            Self::Arrival(arrival) => Some(arrival),
            Self::Returning(_) => None,
        }
    }
}

/// Checks a delivery and opens its body with `unwrap` (sealed body, binding) -> secret, which may
/// be a token's work.
///
/// # Errors
/// When the delivery is not authentic; a body that does not open, or a key that has ended, is part of the arrival
/// instead, because that is answered with a refusal.
pub fn read_delivery(
    bytes: &[u8],
    peer: &PartyCode,
    us: &PartyCode,
    trust: &Trust,
    now: Time,
    unwrap: impl FnOnce(&[u8], &Digest) -> Result<BodySecret, EventFault>,
) -> Result<Delivered, EventFault> {
    let delivery: proto::Delivery = strict(bytes, DELIVERY_MAX)?;
    // Who delivers an event of its own has sealed it already: with a wrap beside its body it is one of ours.
    if let Some(wrap) = &delivery.wrap {
        let returned = check_return(&delivery, peer, us, trust, now)?;
        return open_return(returned, wrap, unwrap).map(Delivered::Returning);
    }
    let delivery = check_delivery(&delivery, peer, us, trust, now)?;
    let Delivery { event, key_ended, .. } = delivery.get();
    let binding = event.header.binding();
    let usable = if *key_ended { Err(EventFault::KeyEnded) } else { one_wrap_each(event) };
    let opened = usable.and_then(|()| unwrap(&event.body, &binding)).and_then(|secret| {
        let body = open_body(&event.body, &binding, &secret)?;
        Ok((secret, body))
    });
    Ok(Delivered::Arrival(Arrival { delivery, opened }))
}

/// A return whose body does not open is no proof of anything, and recorded no more than one that is not ours.
fn open_return(
    returned: Verified<Returned>,
    wrap: &proto::Wrap,
    unwrap: impl FnOnce(&[u8], &Digest) -> Result<BodySecret, EventFault>,
) -> Result<Returning, EventFault> {
    let event = &returned.get().event;
    let binding = event.header.binding();
    let sealed: proto::SealedBody = strict(&event.body, ENVELOPE_MAX)?;
    let for_us = proto::SealedBody { wraps: vec![wrap.clone()], ciphertext: Vec::new(), ..sealed };
    let secret = unwrap(&for_us.encode_to_vec(), &binding)?;
    let body = open_body(&event.body, &binding, &secret)?;
    Ok(Returning { returned, secret, body })
}

/// A body is sealed to the recipients its header names and to nobody besides (SPEC `[B-4]`).
fn one_wrap_each(event: &Event) -> Result<(), EventFault> {
    let sealed: proto::SealedBody = strict(&event.body, ENVELOPE_MAX)?;
    if sealed.wraps.len() == event.header.recipients.len() {
        Ok(())
    } else {
        Err(EventFault::Header("a body must have one wrap for each recipient and no other"))
    }
}

/// Checks a peer's answer. `delivered` gives the kind of our record of the event and the digest of its signatures, if we
/// sent it or gave it back.
///
/// # Errors
/// When the answer is about no event of ours, or does not prove what it says.
pub fn read_answer(
    bytes: &[u8],
    peer: &PartyCode,
    us: &PartyCode,
    trust: &Trust,
    now: Time,
    delivered: impl FnOnce(&EventId) -> Option<(RecordKind, Digest)>,
) -> Result<(EventId, Verified<PeerAnswer>), EventFault> {
    let answer: proto::Answer = strict(bytes, ANSWER_MAX)?;
    let event = EventId::from_slice(&answer.event_id)?;
    let profile = trust.profile(peer, now).ok_or(EventFault::UnknownAuthor)?;
    let checked = match &answer.outcome {
        Some(Outcome::Receipt(proof)) => {
            let (kind, signatures) = match delivered(&event) {
                Some((RecordKind::EventSent, signatures)) => (RecordKind::EventReceived, signatures),
                Some((RecordKind::EventReceived, signatures)) => (RecordKind::EventSent, signatures),
                Some(_) | None => return Err(EventFault::Header("the receipt is for nothing we delivered")),
            };
            check_receipt(proof, &event, kind, &signatures, profile, now)?
        }
        Some(Outcome::Refusal(refusal)) => check_refusal(refusal, &event, us, profile, trust, now)?,
        Some(Outcome::Retry(_) | Outcome::Erased(_)) | None => unproved_answer(&answer, now)?,
    };
    Ok((event, checked))
}

/// A delivery of which only the slip is read: the rest is passed over without being copied.
#[derive(Clone, PartialEq, prost::Message)]
struct OnlySlip {
    #[prost(bytes = "vec", tag = "2")]
    slip: Vec<u8>,
}

/// The lane a delivery claims, checked in nothing: only to know what to read first.
#[must_use]
pub fn lane_named_by(delivery: &[u8]) -> Lane {
    let delivery = OnlySlip::decode(delivery).ok();
    let slip = delivery.and_then(|delivery| proto::Slip::decode(&delivery.slip[..]).ok());
    slip.map_or(Lane::Normal, |slip| slip.lane())
}

/// The event a delivery claims to be about, checked in nothing: only to tell an author which of its
/// copies was turned away.
#[must_use]
pub fn event_named_by(delivery: &[u8]) -> Option<EventId> {
    let delivery: proto::Delivery = strict(delivery, DELIVERY_MAX).ok()?;
    let envelope: proto::Envelope = strict(&delivery.envelope, ENVELOPE_MAX).ok()?;
    Some(event_id(&envelope.header))
}

/// The request a delivery claims to belong to, checked in nothing: only to find what is kept of it.
#[must_use]
pub fn request_named_by(delivery: &[u8]) -> Option<RequestId> {
    let delivery = proto::Delivery::decode(delivery).ok()?;
    let envelope = proto::Envelope::decode(&delivery.envelope[..]).ok()?;
    let header = proto::Header::decode(&envelope.header[..]).ok()?;
    RequestId::from_slice(&header.request_id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::{PublicKey, sha256},
        event::{
            BodyRef, seal_body,
            tests::{NOW, TRUST, body, delivery_of, header, signed},
            unwrap_body,
        },
        founding::tests::{code, keys},
        proto::{Algorithm, KeyRole},
    };

    /// An event for Belmar and Corvia whose body is sealed to these; as Belmar opens it. SPEC `[B-4]`.
    fn check(sealed_to: &[&str], expected: Result<(), &str>) {
        let mut header = header();
        let seal_key = |party: &&str| TRUST.seal_key(&code(party), NOW).cloned();
        let recipients: Vec<PublicKey> = sealed_to.iter().filter_map(seal_key).collect();
        let (sealed, secret) =
            seal_body(&body().encode_to_vec(), &header.binding(), &recipients, &[9; 32]).expect("sealed");
        header.body = BodyRef { digest: sha256(&[&sealed]), size: sealed.len() as u64 };
        let delivery = delivery_of(&signed(header, sealed, &keys("XA")), &secret, "XB").encode_to_vec();
        let own = keys("XB").seal;
        let id = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &own).expect("key").id();
        let unwrap = |body: &[u8], binding: &Digest| unwrap_body(body, binding, &id, &own);
        let read = read_delivery(&delivery, &code("XA"), &code("XB"), &TRUST, NOW, unwrap).expect("authentic");
        let arrival = read.arrival().expect("an event of the peer");
        assert_eq!(arrival.opened.map(|_| ()).map_err(|fault| fault.code()), expected, "{sealed_to:?}");
    }

    /// The tag is that of the wire files, and noise is no emergency.
    #[test]
    fn the_lane_is_read_without_the_rest() {
        for lane in [Lane::Emergency, Lane::Normal] {
            let slip = proto::Slip { lane: lane.into(), ..proto::Slip::default() }.encode_to_vec();
            let delivery =
                proto::Delivery { envelope: vec![7; 99], slip, proof: vec![7; 99], wrap: None }.encode_to_vec();
            assert_eq!(lane_named_by(&delivery), lane);
        }
        assert_eq!(lane_named_by(b"\xff\xff"), Lane::Normal);
    }

    #[test]
    fn a_body_is_sealed_to_its_recipients_and_nobody_besides() {
        check(&["XB", "XC"], Ok(()));
        check(&["XB"], Err("event.bad-header"));
        check(&["XB", "XC", "XA"], Err("event.bad-header"));
    }
}
