//! Does what a case asks for with the real functions and says what came of it.

use std::collections::BTreeMap;

use prost::Message as _;

use super::{
    evidence_cases,
    material::Material,
    officer_cases, rest,
    shapes::{Bytes, Expect, Input, Key, Seen, Sig},
    thread,
};
use crate::{
    crypto::{CryptoFault, PublicKey, Seed, derive, hpke_open, pae, sha256, sign, verify_pair},
    event::{
        Delivery, Event, EventFault, Header, PeerAnswer, Slip, Verified, body_keys, check_delivery, check_receipt,
        check_refusal, event_id, open_body, slip_bytes, tests::NOW, thread_id, unproved_answer, unwrap_body,
    },
    ids::{Digest, EventId, LedgerIndex, NetworkName, Origin, PartyCode, RequestId, Time, hex},
    ledger::{
        Context, LedgerFault, RecordProof, Salt, Tree, VerifiedCheckpoint, leaf_entry, leaf_hash, signatures_digest,
        slip_digest, slip_nonce, verify_consistency, verify_inclusion,
    },
    profile::{
        Book, CHARTER_TYPE, Charter, Directory, Freshness, Head, Party, Profile, ProfileFault, Suspension, document_id,
    },
    proto::{self, Algorithm, Answer, Envelope, KeyRole, Lane, RecordKind, RefusalAnswer, Signature},
    wire::{DELIVERY_MAX, DOCUMENT_MAX, WireFault, strict},
};

/// Outputs by name, or the codes of a refusal.
pub(super) type Verdict = Result<BTreeMap<String, String>, Codes>;

/// A code and what lies beneath it.
pub(super) struct Codes(pub(super) &'static str, pub(super) Option<&'static str>);

pub(super) fn said(verdict: Verdict) -> Expect {
    match verdict {
        Ok(outputs) => Expect::Ok(outputs),
        Err(Codes(code, cause)) => Expect::Refused { code: code.into(), cause: cause.map(Into::into) },
    }
}

impl From<WireFault> for Codes {
    fn from(fault: WireFault) -> Self {
        Self(fault.code(), None)
    }
}

impl From<CryptoFault> for Codes {
    fn from(fault: CryptoFault) -> Self {
        Self(fault.code(), None)
    }
}

impl From<LedgerFault> for Codes {
    fn from(fault: LedgerFault) -> Self {
        let cause = match &fault {
            LedgerFault::ProofMalformed(wire) | LedgerFault::ContextMalformed(wire) => Some(wire.code()),
            _ => None,
        };
        Self(fault.code(), cause)
    }
}

impl From<ProfileFault> for Codes {
    fn from(fault: ProfileFault) -> Self {
        let cause = if let ProfileFault::Wire(wire) = &fault { Some(wire.code()) } else { None };
        Self(fault.code(), cause)
    }
}

impl From<EventFault> for Codes {
    fn from(fault: EventFault) -> Self {
        let cause = match &fault {
            EventFault::Wire(wire) => Some(wire.code()),
            EventFault::Signature(crypto) | EventFault::Sealed(crypto) => Some(crypto.code()),
            EventFault::NotInLedger(ledger) => Some(ledger.code()),
            _ => None,
        };
        Self(fault.code(), cause)
    }
}

pub(super) fn out<const N: usize>(pairs: [(&str, String); N]) -> Verdict {
    Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Judges one case's input.
// tidy: a table
pub(super) fn judge(m: &Material, input: &Input) -> Verdict {
    match input {
        Input::Strict { .. } => read_strictly(m, input),
        Input::PublicKey { .. }
        | Input::KeyId { .. }
        | Input::Pae { .. }
        | Input::SignEd25519 { .. }
        | Input::Verify { .. }
        | Input::VerifyPair { .. }
        | Input::Derive { .. }
        | Input::HpkeOpen { .. } => floor(m, input),
        Input::OpenCharter { .. }
        | Input::OpenProfile { .. }
        | Input::NextCharter { .. }
        | Input::OpenDirectory { .. }
        | Input::OpenHead { .. }
        | Input::OpenSuspension { .. } => trust(m, input),
        Input::Walk { documents, party, at_ms } => walk(m, documents, &code(party), Time(*at_ms)),
        Input::ThreadId { .. }
        | Input::ReadHeader { .. }
        | Input::VerifyEvent { .. }
        | Input::BodyKeys { .. }
        | Input::OpenBody { .. } => event(m, input),
        Input::Slip { .. }
        | Input::SlipNonce { .. }
        | Input::CheckDelivery { .. }
        | Input::CheckReceipt { .. }
        | Input::DeliveryAfter { .. }
        | Input::ReceiptAfter { .. }
        | Input::CheckRefusal { .. }
        | Input::UnprovedAnswer { .. }
        | Input::DeliverFrame { .. } => exchange(m, input),
        Input::JudgeThread { index, parents, known, elsewhere } => thread::judge(*index, parents, known, elsewhere),
        Input::Leaf { .. }
        | Input::SignaturesDigest { .. }
        | Input::RecordId { .. }
        | Input::Root { .. }
        | Input::Inclusion { .. }
        | Input::Consistency { .. }
        | Input::ReadContext { .. }
        | Input::VerifyProof { .. }
        | Input::VerifyCheckpoint { .. } => ledger(m, input),
        Input::SealObject { .. }
        | Input::OpenObject { .. }
        | Input::ObjectRoot { .. }
        | Input::ReadManifest { .. }
        | Input::ReadCustody { .. } => evidence_cases::judge(m, input),
        Input::OpenRoll { .. } | Input::ReadApproval { .. } | Input::CheckApprovals { .. } => {
            officer_cases::judge(m, input)
        }
        Input::LogFrame { .. }
        | Input::SegmentHead { .. }
        | Input::Running { .. }
        | Input::OpenPart { .. }
        | Input::KeySlot { .. }
        | Input::SlotPromise { .. } => rest::judge(m, input),
    }
}

fn read_strictly(m: &Material, input: &Input) -> Verdict {
    let Input::Strict { shape, max, bytes } = input else { unreachable!("sorted by judge") };
    let bytes = m.bytes(bytes);
    match shape.as_str() {
        "Slip" => strict::<proto::Slip>(&bytes, *max).map(|_| ())?,
        "Header" => strict::<proto::Header>(&bytes, *max).map(|_| ())?,
        "Answer" => strict::<Answer>(&bytes, *max).map(|_| ())?,
        "Envelope" => strict::<Envelope>(&bytes, *max).map(|_| ())?,
        "Charter" => strict::<proto::Charter>(&bytes, *max).map(|_| ())?,
        other => panic!("no vector reads the shape {other}"),
    }
    out([])
}

fn key(m: &Material, key: &Key) -> PublicKey {
    PublicKey {
        role: KeyRole::try_from(key.role).expect("a role"),
        algorithm: Algorithm::try_from(key.algorithm).expect("an algorithm"),
        bytes: m.bytes(&key.public_key),
    }
}

fn keys(m: &Material, all: &[Key]) -> Vec<PublicKey> {
    all.iter().map(|one| key(m, one)).collect()
}

fn signatures(m: &Material, all: &[Sig]) -> Vec<Signature> {
    all.iter().map(|one| Signature { key_id: m.bytes(&one.key_id), signature: m.bytes(&one.signature) }).collect()
}

fn seed(m: &Material, bytes: &Bytes) -> Seed {
    Seed::new(m.array(bytes))
}

fn digest(m: &Material, bytes: &Bytes) -> Digest {
    Digest::new(m.array(bytes))
}

fn code(text: &str) -> PartyCode {
    PartyCode::parse(text).expect("a Party code")
}

fn origin(text: &str) -> Origin {
    Origin::parse(text).expect("an origin")
}

fn floor(m: &Material, input: &Input) -> Verdict {
    match input {
        Input::PublicKey { role, algorithm, seed: from } => {
            let (role, algorithm) = (KeyRole::try_from(*role), Algorithm::try_from(*algorithm));
            let key = PublicKey::of(role.expect("a role"), algorithm.expect("an algorithm"), &seed(m, from))?;
            out([("public_key", hex(&key.bytes)), ("key_id", key.id().to_string())])
        }
        Input::KeyId { key: of } => out([("key_id", key(m, of).id().to_string())]),
        Input::Pae { payload_type, payload } => out([("pae", hex(&pae(payload_type, &m.bytes(payload))))]),
        Input::SignEd25519 { seed: by, message } => {
            out([("signature", hex(&sign(Algorithm::Ed25519, &seed(m, by), &m.bytes(message))?))])
        }
        Input::Verify { key: by, message, signature } => {
            key(m, by).verify(&m.bytes(message), &m.bytes(signature))?;
            out([])
        }
        Input::VerifyPair { keys: known, message, signatures: pair } => {
            let known = keys(m, known);
            let pair = signatures(m, pair);
            let [one, two] = verify_pair(known.iter(), Algorithm::MlDsa65, &m.bytes(message), &pair)?;
            out([("ed25519", one.id().to_string()), ("ml_dsa_65", two.id().to_string())])
        }
        Input::Derive { salt, secret, purpose } => {
            out([("key", hex(&derive(&m.bytes(salt), &m.array(secret), purpose)[..]))])
        }
        Input::HpkeOpen { seed: to, info, aad, encapsulated, wrapped } => {
            let [info, aad, encapsulated, wrapped] = [info, aad, encapsulated, wrapped].map(|part| m.bytes(part));
            out([("secret", hex(&hpke_open(&seed(m, to), &info, &aad, &encapsulated, &wrapped)?[..]))])
        }
        _ => unreachable!("sorted by judge"),
    }
}

fn next_charter(m: &Material, before: &Bytes, envelope: &Bytes, seen: Time) -> Verdict {
    // Opened under what its own bytes say, since it is the version after it that is judged.
    let before = m.bytes(before);
    let wire: Envelope = strict(&before, DOCUMENT_MAX)?;
    let before = Charter::open(&before, document_id(CHARTER_TYPE, &wire.header))?;
    let next = before.next(&m.bytes(envelope), seen)?;
    let refounded = next.refounded.iter().map(|party| {
        let from = next.charter.parties().get(party).and_then(Party::refounded).unwrap_or_default();
        format!("{party} {}", from.0)
    });
    out([
        ("id", next.charter.id().to_string()),
        ("version", next.charter.version.to_string()),
        ("mandate", format!("{:?}", next.mandate).to_lowercase()),
        ("refounded", refounded.collect::<Vec<_>>().join(" ")),
    ])
}

fn trust(m: &Material, input: &Input) -> Verdict {
    match input {
        Input::OpenCharter { envelope, fingerprint } => {
            let charter = Charter::open(&m.bytes(envelope), digest(m, fingerprint))?;
            let parties: Vec<&str> = charter.parties().keys().map(PartyCode::as_str).collect();
            out([
                ("id", charter.id().to_string()),
                ("network", charter.network.to_string()),
                ("exercise", charter.exercise.to_string()),
                ("version", charter.version.to_string()),
                ("parties", parties.join(" ")),
            ])
        }
        Input::OpenProfile { envelope } => {
            let profile = Profile::open(&m.bytes(envelope), m.trust().charter(), NOW)?;
            let ledgers: Vec<&str> = profile.ledgers().iter().map(|ledger| ledger.origin.as_str()).collect();
            out([
                ("id", profile.id().to_string()),
                ("party", profile.party.to_string()),
                ("version", profile.version.to_string()),
                ("ledgers", ledgers.join(" ")),
                ("nodes", profile.nodes().iter().map(|node| hex(node)).collect::<Vec<_>>().join(" ")),
            ])
        }
        Input::NextCharter { before, envelope, seen_ms } => next_charter(m, before, envelope, Time(*seen_ms)),
        Input::OpenDirectory { profile, envelope, now_ms } => {
            let profile = Profile::open(&m.bytes(profile), m.trust().charter(), NOW)?;
            let directory = Directory::open(&m.bytes(envelope), &profile, Time(*now_ms))?;
            let nodes: Vec<String> = directory.addresses().keys().map(|node| hex(node)).collect();
            out([
                ("id", directory.id().to_string()),
                ("version", directory.version.to_string()),
                ("nodes", nodes.join(" ")),
                ("holidays", directory.holidays().join(" ")),
            ])
        }
        Input::OpenHead { profile, envelope, now_ms } => {
            let profile = Profile::open(&m.bytes(profile), m.trust().charter(), NOW)?;
            let head = Head::open(&m.bytes(envelope), &profile, Time(*now_ms))?;
            let directory = head.directory.map(|(version, id)| format!("{version} {id}")).unwrap_or_default();
            let held = head.names(&profile, None)?;
            out([
                ("issued_ms", head.issued.0.to_string()),
                ("profile", format!("{} {}", head.profile.0, head.profile.1)),
                ("directory", directory),
                ("held_alone", format!("{held:?}").to_lowercase()),
            ])
        }
        Input::OpenSuspension { envelope, now_ms } => {
            let stopped = Suspension::open(&m.bytes(envelope), m.trust().charter(), Time(*now_ms))?;
            out([
                ("party", stopped.party.to_string()),
                ("profile_version", stopped.profile_version.to_string()),
                ("profile", stopped.profile.to_string()),
                ("from_ms", stopped.from.0.to_string()),
                ("reason", stopped.reason),
                ("id", stopped.id.to_string()),
            ])
        }
        _ => unreachable!("sorted by judge"),
    }
}

fn event(m: &Material, input: &Input) -> Verdict {
    match input {
        Input::ThreadId { network, request, members } => {
            let network = NetworkName::parse(network).expect("a network");
            let members = members.iter().map(|member| code(member)).collect();
            out([("thread_id", thread_id(&network, &RequestId::new(m.array(request)), &members).to_string())])
        }
        Input::ReadHeader { header } => {
            let bytes = m.bytes(header);
            let header = Header::from_wire(&bytes)?;
            out([
                ("event_id", event_id(&bytes).to_string()),
                ("thread_id", header.thread.to_string()),
                ("binding", header.binding().to_string()),
            ])
        }
        Input::VerifyEvent { envelope, now_ms } => {
            let event = Event::from_envelope(&m.bytes(envelope))?.verify(m.trust(), Time(*now_ms))?.into_inner();
            out([
                ("event_id", event.id.to_string()),
                ("signatures_digest", signatures_digest(&event.signatures).to_string()),
            ])
        }
        Input::BodyKeys { secret, binding } => {
            let (key, commitment) = body_keys(&m.array(secret), &digest(m, binding));
            out([("key", hex(key.expose())), ("commitment", hex(&commitment))])
        }
        Input::OpenBody { seed: by, binding, sealed } => {
            let (seed, binding, sealed) = (seed(m, by), digest(m, binding), m.bytes(sealed));
            let key = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &seed)?;
            let secret = unwrap_body(&sealed, &binding, &key.id(), &seed)?;
            let body = open_body(&sealed, &binding, &secret)?;
            out([("secret", hex(&secret[..])), ("body", hex(&body.encode_to_vec()))])
        }
        _ => unreachable!("sorted by judge"),
    }
}

fn exchange(m: &Material, input: &Input) -> Verdict {
    let profile = |by: &str, now: &u64| m.trust().profile(&code(by), Time(*now)).expect("a profile");
    match input {
        Input::Slip { origin: from, to, lane, number, nonce } => {
            let slip = Slip { ledger: 1, lane: Lane::try_from(*lane).expect("a lane"), number: *number };
            let bytes = slip_bytes(&origin(from), &code(to), &slip, m.array(nonce));
            out([("slip", hex(&bytes)), ("digest", slip_digest(&bytes).to_string())])
        }
        Input::SlipNonce { secret, to } => out([("nonce", hex(&slip_nonce(&m.array(secret), &code(to))))]),
        Input::CheckDelivery { peer, us, now_ms, delivery } => {
            let delivery = strict(&m.bytes(delivery), DELIVERY_MAX).map_err(EventFault::from)?;
            delivered(check_delivery(&delivery, &code(peer), &code(us), m.trust(), Time(*now_ms))?)
        }
        Input::DeliveryAfter { profile, peer, us, now_ms, delivery } => {
            let trust = m.trust_after(profile);
            let delivery = strict(&m.bytes(delivery), DELIVERY_MAX).map_err(EventFault::from)?;
            delivered(check_delivery(&delivery, &code(peer), &code(us), &trust, Time(*now_ms))?)
        }
        Input::CheckReceipt { by, event, signatures, now_ms, proof } => {
            let (event, signatures) = (EventId::new(m.array(event)), digest(m, signatures));
            let checked = check_receipt(
                &m.bytes(proof),
                &event,
                RecordKind::EventReceived,
                &signatures,
                profile(by, now_ms),
                Time(*now_ms),
            )?;
            answer(checked)
        }
        Input::ReceiptAfter { profile, by, event, signatures, now_ms, proof } => {
            let (event, signatures, now) = (EventId::new(m.array(event)), digest(m, signatures), Time(*now_ms));
            let trust = m.trust_after(profile);
            let by = trust.profile(&code(by), now).expect("a profile");
            answer(check_receipt(&m.bytes(proof), &event, RecordKind::EventReceived, &signatures, by, now)?)
        }
        Input::CheckRefusal { by, event, author, now_ms, envelope, proof } => {
            let answered = RefusalAnswer { envelope: m.bytes(envelope), proof: m.bytes(proof) };
            let (event, now) = (EventId::new(m.array(event)), Time(*now_ms));
            answer(check_refusal(&answered, &event, &code(author), profile(by, now_ms), m.trust(), now)?)
        }
        Input::UnprovedAnswer { answer: bytes } => {
            let read = strict::<Answer>(&m.bytes(bytes), crate::wire::ANSWER_MAX).map_err(EventFault::Wire)?;
            answer(unproved_answer(&read, Time(0))?)
        }
        Input::DeliverFrame { number, payload } => {
            let payload = m.bytes(payload);
            let length = u32::try_from(payload.len()).expect("short");
            let frame = [&length.to_be_bytes()[..], &number.to_be_bytes(), &payload].concat();
            out([("frame", hex(&frame))])
        }
        _ => unreachable!("sorted by judge"),
    }
}

/// Documents one after another, held against all that came before: what is known then of one Party.
fn walk(m: &Material, documents: &[Seen], party: &PartyCode, at: Time) -> Verdict {
    let mut book = Book::found(m.of("charter"), Digest::from_slice(m.of("charter-fingerprint")).expect("a digest"))?;
    for Seen { envelope, seen_ms } in documents {
        book.accept(&m.bytes(envelope), Time(*seen_ms))?;
    }
    let trust = book.trust();
    let freshness = match trust.freshness(party, at) {
        Freshness::Fresh => "fresh",
        Freshness::Stale => "stale",
        Freshness::Frozen => "frozen",
    };
    let refounded = trust.charter().parties().get(party).and_then(Party::refounded);
    out([
        ("charter", trust.charter().version.to_string()),
        ("profile", trust.declared(party).map_or(0, |profile| profile.version).to_string()),
        ("directory", trust.own_directory(party).map_or(0, |directory| directory.version).to_string()),
        ("acts", trust.profile(party, at).is_some().to_string()),
        ("freshness", freshness.to_owned()),
        ("refounded_ms", refounded.map_or(0, |from| from.0).to_string()),
    ])
}

fn delivered(checked: Verified<Delivery>) -> Verdict {
    let checked = checked.get();
    if checked.key_ended {
        return Err(Codes(EventFault::KeyEnded.code(), None));
    }
    out([
        ("event_id", checked.event.id.to_string()),
        ("lane", (checked.slip.lane as i32).to_string()),
        ("number", checked.slip.number.to_string()),
        ("index", checked.proven.index().0.to_string()),
        ("recorded_ms", checked.proven.recorded().0.to_string()),
    ])
}

fn answer(checked: Verified<PeerAnswer>) -> Verdict {
    match checked.into_inner() {
        PeerAnswer::Receipt { proven, .. } => out([
            ("outcome", "receipt".into()),
            ("index", proven.index().0.to_string()),
            ("recorded_ms", proven.recorded().0.to_string()),
        ]),
        PeerAnswer::Refusal { code, proven, .. } => {
            out([("outcome", "refusal".into()), ("code", code), ("index", proven.index().0.to_string())])
        }
        PeerAnswer::Retry { code, after_ms } => {
            out([("outcome", "retry".into()), ("code", code), ("after_ms", after_ms.to_string())])
        }
        PeerAnswer::Erased => out([("outcome", "erased".into())]),
    }
}

fn ledger(m: &Material, input: &Input) -> Verdict {
    let path = |nodes: &[Bytes]| nodes.iter().map(|node| digest(m, node)).collect::<Vec<_>>();
    match input {
        Input::Leaf { salt, record_id, context } => {
            let entry = leaf_entry(&Salt(m.array(salt)), &digest(m, record_id), &m.bytes(context));
            out([("entry", hex(entry.as_bytes())), ("leaf_hash", leaf_hash(&entry).to_string())])
        }
        Input::SignaturesDigest { signatures: all } => {
            out([("digest", signatures_digest(&signatures(m, all)).to_string())])
        }
        Input::RecordId { payload_type, payload } => {
            out([("record_id", sha256(&[&pae(payload_type, &m.bytes(payload))]).to_string())])
        }
        Input::Root { leaves } => {
            let mut tree = Tree::new();
            for leaf in path(leaves) {
                tree.push(leaf);
            }
            out([("root", tree.root().to_string())])
        }
        Input::Inclusion { leaf, index, size, path: nodes, root } => {
            let (leaf, root) = (digest(m, leaf), digest(m, root));
            verify_inclusion(&leaf, LedgerIndex(*index), *size, &path(nodes), &root)?;
            out([])
        }
        Input::Consistency { from, from_root, to, to_root, path: nodes } => {
            verify_consistency(*from, &digest(m, from_root), *to, &digest(m, to_root), &path(nodes))?;
            out([])
        }
        Input::ReadContext { context } => {
            let context = Context::from_bytes(&m.bytes(context))?;
            out([
                ("kind", (context.kind as i32).to_string()),
                ("recorded_ms", context.recorded.0.to_string()),
                ("signatures", context.signatures.to_string()),
                ("slips", context.slips.len().to_string()),
            ])
        }
        Input::VerifyProof { proof, record_id, kind, origin: of, keys: known } => {
            let proof = RecordProof::parse(&m.bytes(proof))?;
            let known = keys(m, known);
            let verified = VerifiedCheckpoint::verify(proof.note(), &origin(of), known.iter())?;
            let kind = RecordKind::try_from(*kind).expect("a kind");
            let proven = proof.verify(&digest(m, record_id), kind, &verified)?;
            out([("index", proven.index().0.to_string()), ("recorded_ms", proven.recorded().0.to_string())])
        }
        Input::VerifyCheckpoint { note, origin: of, keys: known } => {
            let known = keys(m, known);
            let verified = VerifiedCheckpoint::verify(&m.bytes(note), &origin(of), known.iter())?;
            let checkpoint = verified.checkpoint();
            out([
                ("size", checkpoint.size.to_string()),
                ("root", checkpoint.root.to_string()),
                ("signed_ms", verified.signed().0.to_string()),
            ])
        }
        _ => unreachable!("sorted by judge"),
    }
}
