//! Deliveries, receipts and refusals between three Parties of an exercise, whole and spoiled.
//!
//! ```text
//! XA (author) --- delivery ---> XB (recipient)
//!      \------- delivery ---> XC (recipient, of whom XB learns nothing)
//! ```

use std::{ops::Range, sync::LazyLock};

use super::*;
use crate::{
    carry,
    crypto::PublicKey,
    founding::{
        RoleKeys, sign_profile,
        tests::{CODES, START, code, key_id, keys, network, payload, profile_bytes, root, trust},
    },
    ids::LedgerIndex,
    ledger::{Checkpoint, Salt, Tree, leaf_entry, leaf_hash},
    profile::{PROFILE_TYPE, document_id},
    proto::{Answer, Body, Field, RefusalAnswer, Retry, Text, Value, answer::Outcome, value::Kind},
    record::{self, About, Moment, Record, SignedRefusal, Slips},
};

pub(crate) const NOW: Time = Time(START.0 + 86_400_000);
/// Where every record of these tests stands, in a ledger of [`SIZE`].
pub(crate) const PLACE: u64 = 2;
const SIZE: u64 = 5;

pub(crate) static TRUST: LazyLock<Trust> = LazyLock::new(trust);

pub(crate) fn origin(party: &str) -> Origin {
    Origin::of(&code(party), &network(), 1)
}

pub(crate) fn header() -> Header {
    let recipients = vec![code("XB"), code("XC")];
    let request = RequestId::new([7; 16]);
    let members = recipients.iter().cloned().chain([code("XA")]).collect();
    Header {
        network: network(),
        exercise: true,
        request,
        thread: thread_id(&network(), &request, &members),
        procedure: ProcedureCode::parse("PRES").expect("code"),
        step: StepCode::parse("request").expect("code"),
        author: code("XA"),
        authority: AuthorityId::parse("central").expect("id"),
        actor: ActorKind::Authority,
        origin: origin("XA"),
        parents: vec![EventId::new([1; 32]), EventId::new([2; 32])],
        recipients,
        time: NOW,
        body: BodyRef { digest: Digest::new([0; 32]), size: 0 },
    }
}

pub(crate) fn body() -> Body {
    let text = Text { lang: "en".into(), text: "Preserve the traffic data of one account.".into() };
    let field = |key: &str, kind| Field { key: key.into(), values: vec![Value { kind: Some(kind) }] };
    let fields = vec![field("facts.summary", Kind::Text(text)), field("urgent", Kind::Flag(true))];
    Body { form: "PRES/request".into(), form_version: 1, fields }
}

fn seal_keys(recipients: &[PartyCode]) -> Vec<PublicKey> {
    recipients.iter().filter_map(|to| TRUST.seal_key(to, NOW)).cloned().collect()
}

/// Seals [`body`] into the header and signs it with `by`.
pub(crate) fn sealed(mut header: Header, by: &RoleKeys) -> (Event, BodySecret) {
    let plaintext = body().encode_to_vec();
    let recipients = seal_keys(&header.recipients);
    let (body, secret) = seal_body(&plaintext, &header.binding(), &recipients, &[9; 32]).expect("sealed");
    header.body = BodyRef { digest: sha256(&[&body]), size: body.len() as u64 };
    (signed(header, body, by), secret)
}

pub(crate) fn signed(header: Header, body: Vec<u8>, by: &RoleKeys) -> Event {
    let bytes = header.to_wire();
    let signatures = by.record.sign_pair(&pae(EVENT_TYPE, &bytes)).expect("signed");
    Event { id: event_id(&bytes), header, bytes, signatures, body }
}

pub(crate) fn slips(recipients: &[PartyCode]) -> Slips {
    let row = |to: &PartyCode| (to.clone(), Slip { ledger: 1, lane: Lane::Normal, number: 1 });
    Slips { secret: [5; 32], rows: recipients.iter().map(row).collect() }
}

pub(crate) fn moment() -> Moment<'static> {
    Moment { trust: &TRUST, recorded: NOW, salt: [6; 32] }
}

/// The proof of a record in a small ledger of `party`.
pub(crate) fn proof(party: &str, record: &Record) -> Vec<u8> {
    proof_with(party, &record.node.record_id, &record.case.context)
}

fn proof_with(party: &str, record_id: &[u8], context: &[u8]) -> Vec<u8> {
    let (salt, record_id) = (Salt([6; 32]), Digest::from_slice(record_id).expect("id"));
    let mut tree = Tree::new();
    for n in 0..SIZE {
        let own = leaf_hash(&leaf_entry(&salt, &record_id, context));
        tree.push(if n == PLACE { own } else { sha256(&[&n.to_be_bytes()]) });
    }
    let checkpoint = Checkpoint { origin: origin(party), size: SIZE, root: tree.root() };
    let note = checkpoint.sign(&keys(party).checkpoint, NOW).expect("signed");
    let path = tree.inclusion(LedgerIndex(PLACE), SIZE).expect("path");
    RecordProof::build(&record_id, context, &salt, LedgerIndex(PLACE), &path, note.as_bytes())
}

pub(crate) fn sent(event: Event, secret: BodySecret) -> Record {
    let slips = slips(&event.header.recipients);
    record::event_sent(&moment(), event, Vec::new(), &slips, [4; 16], secret)
}

/// What XA sends to `to` for an event of its own.
pub(crate) fn delivery_of(event: &Event, secret: &BodySecret, to: &str) -> proto::Delivery {
    let record = sent(event.clone(), secret.clone());
    let slip = slips(&event.header.recipients).bytes(&event.header.origin, &code(to)).expect("a recipient");
    proto::Delivery { envelope: event.to_envelope(), slip, proof: proof("XA", &record), wrap: None }
}

fn good() -> (Event, BodySecret, proto::Delivery) {
    static GOOD: LazyLock<(Event, BodySecret, proto::Delivery)> = LazyLock::new(|| {
        let (event, secret) = sealed(header(), &keys("XA"));
        let delivery = delivery_of(&event, &secret, "XB");
        (event, secret, delivery)
    });
    GOOD.clone()
}

/// What XB says to bytes from XA.
fn judge(bytes: &[u8]) -> Result<Delivery, EventFault> {
    let delivery = strict(bytes, crate::wire::DELIVERY_MAX)?;
    check_delivery(&delivery, &code("XA"), &code("XB"), &TRUST, NOW).map(Verified::into_inner)
}

fn check(change: impl FnOnce(&mut proto::Delivery), expected: Result<(), &str>) {
    let (_, _, mut delivery) = good();
    change(&mut delivery);
    assert_eq!(judge(&delivery.encode_to_vec()).map(|_| ()).map_err(|fault| fault.code()), expected);
}

/// Signs a changed header as XA would, puts it into XA's ledger and delivers it.
fn check_signed(change: impl FnOnce(&mut Header), expected: Result<(), &str>) {
    let mut changed = header();
    change(&mut changed);
    changed.thread = thread_id(&changed.network, &changed.request, &changed.members());
    let (event, secret) = sealed(changed, &keys("XA"));
    let delivery =
        delivery_of(&event, &secret, if event.header.recipients.contains(&code("XB")) { "XB" } else { "XC" });
    assert_eq!(judge(&delivery.encode_to_vec()).map(|_| ()).map_err(|fault| fault.code()), expected);
}

#[test]
fn a_delivery_passes_whole_and_its_body_opens() {
    let (event, secret, delivery) = good();
    let read = judge(&delivery.encode_to_vec()).expect("passes");
    assert_eq!((read.event.id, &read.event.header), (event.id, &event.header));
    assert_eq!(read.event.to_envelope(), delivery.envelope);
    assert_eq!(read.slip, Slip { ledger: 1, lane: Lane::Normal, number: 1 });
    assert_eq!((read.proven.index(), read.proven.recorded()), (LedgerIndex(PLACE), NOW));
    let binding = read.event.header.binding();
    for party in ["XB", "XC"] {
        let key = TRUST.seal_key(&code(party), NOW).expect("key").id();
        let opened = unwrap_body(&read.event.body, &binding, &key, &keys(party).seal).expect("unwraps");
        assert_eq!(*opened, *secret);
        assert_eq!(open_body(&read.event.body, &binding, &opened), Ok(body()));
    }
}

/// The range of a part within the delivery's bytes.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = whole.windows(part.len()).position(|window| window == part).expect("stands in the delivery");
    start..start + part.len()
}

/// [D-3]: whatever byte is changed, the delivery is refused, and each part with a code of its own.
#[test]
fn one_changed_byte_anywhere_is_refused_with_its_code() {
    let (event, _, delivery) = good();
    let good = delivery.encode_to_vec();
    let proof = proto::RecordProof::decode(&delivery.proof[..]).expect("decodes");
    let regions: Vec<(&str, Range<usize>, &[&str])> = vec![
        ("first signature", place(&good, &event.signatures[0].signature), &["event.bad-signature"]),
        ("second signature", place(&good, &event.signatures[1].signature), &["event.bad-signature"]),
        ("first key id", place(&good, &event.signatures[0].key_id), &["event.bad-signature"]),
        ("second key id", place(&good, &event.signatures[1].key_id), &["event.bad-signature"]),
        ("body", place(&good, &event.body), &["event.body-mismatch"]),
        ("slip", place(&good, &delivery.slip), &["event.bad-slip", "event.malformed"]),
        ("record id", place(&delivery.proof, &proof.record_id), &["event.not-in-ledger"]),
        ("context", place(&good, &proof.context), &["event.not-in-ledger"]),
        ("salt", place(&good, &proof.salt), &["event.not-in-ledger"]),
        ("path", place(&good, &proof.path[0]), &["event.not-in-ledger"]),
        ("checkpoint", place(&good, &proof.checkpoint), &["event.not-in-ledger"]),
    ];
    let proof_at = place(&good, &delivery.proof).start;
    // Of the long opaque parts every fifth byte: each costs a signature to refuse.
    let opaque = [0, 1, 4, 10].map(|part: usize| regions[part].1.clone());
    let chosen = (0..good.len()).filter(|n| n % 5 == 0 || !opaque.iter().any(|part| part.contains(n)));
    for n in chosen {
        let mut changed = good.clone();
        changed[n] ^= 1 << (n % 8);
        let found = judge(&changed).map(|_| "accepted").unwrap_or_else(|fault| fault.code());
        assert_ne!(found, "accepted", "byte {n}");
        for (name, range, expected) in &regions {
            let range = if *name == "record id" { range.start + proof_at..range.end + proof_at } else { range.clone() };
            assert!(!range.contains(&n) || expected.contains(&found), "byte {n} of {name}: {found}");
        }
    }
}

#[test]
fn a_header_says_what_it_may() {
    check_signed(|_| (), Ok(()));
    check_signed(|h| h.parents.clear(), Ok(()));
    check_signed(|h| h.network = NetworkName::parse("other.test").expect("name"), Err("event.wrong-network"));
    check_signed(|h| h.exercise = false, Err("event.wrong-network"));
    check_signed(|h| h.origin = origin("XB"), Err("event.bad-header"));
    // [L-14]: a later profile may name it.
    check_signed(|h| h.origin = Origin::of(&code("XA"), &network(), 2), Err("event.unknown-ledger"));
    check_signed(|h| h.recipients = vec![code("XC")], Err("event.not-for-us"));
    check_signed(|h| h.recipients = vec![code("XA"), code("XB")], Err("event.bad-header"));
    check_signed(|h| h.recipients = vec![code("XC"), code("XB")], Err("event.bad-header"));
    check_signed(|h| h.parents = vec![EventId::new([2; 32]); 2], Err("event.bad-header"));
    check_signed(|h| h.actor = ActorKind::Unspecified, Err("event.bad-header"));
    check_signed(|h| h.time = NOW.plus_ms(AHEAD_MS_MAX), Ok(()));
    check_signed(|h| h.time = NOW.plus_ms(AHEAD_MS_MAX + 1), Err("event.time-ahead"));
}

#[test]
fn only_the_author_with_both_halves_is_believed() {
    let whole = |event: &Event, secret| delivery_of(event, secret, "XB").encode_to_vec();
    let (stranger, secret) = sealed(header(), &keys("XC"));
    let found = judge(&whole(&stranger, &secret)).expect_err("a stranger's valid key");
    assert_eq!(found, EventFault::Signature(CryptoFault::BadKey));
    let (mut event, secret, _) = good();
    event.signatures.pop();
    let found = judge(&whole(&event, &secret)).expect_err("half a pair");
    assert_eq!(found, EventFault::Signature(CryptoFault::NotHybrid));
    let (event, secret, delivery) = good();
    let from_xc = check_delivery(&delivery, &code("XC"), &code("XB"), &TRUST, NOW);
    assert_eq!(from_xc.err(), Some(EventFault::NotThePeer));
    let mut foreign = header();
    foreign.author = code("XD");
    foreign.thread = thread_id(&foreign.network, &foreign.request, &foreign.members());
    let foreign = signed(foreign, event.body.clone(), &keys("XD"));
    let foreign = Event { header: Header { body: event.header.body, ..foreign.header }, ..foreign };
    let foreign = signed(foreign.header, event.body.clone(), &keys("XD"));
    let delivery = delivery_of(&foreign, &secret, "XB");
    let found = check_delivery(&delivery, &code("XD"), &code("XB"), &TRUST, NOW);
    assert_eq!(found.err(), Some(EventFault::UnknownAuthor));
}

#[test]
fn keys_and_suites_count_only_in_their_time() {
    let (_, _, delivery) = good();
    let at = |now| check_delivery(&delivery, &code("XA"), &code("XB"), &TRUST, now).map(|_| ());
    assert_eq!(at(NOW), Ok(()));
    let day = 86_400_000;
    let keys_over = at(NOW.plus_ms(800 * day));
    assert_eq!(keys_over, Err(EventFault::NotInLedger(LedgerFault::NoEd25519)), "in the charter's grace");
    assert_eq!(at(NOW.plus_ms(3 * 365 * day)), Err(EventFault::UnknownAuthor), "[C-7]: the charter has lapsed");
    assert_eq!(at(Time(START.0 - 1)).map_err(|fault| fault.code()), Err("event.bad-header"), "before the suite");
}

#[test]
fn a_body_lifted_into_another_event_does_not_open() {
    let (event, _, _) = good();
    let mut other = header();
    other.step = StepCode::parse("extend").expect("code");
    other.body = event.header.body;
    let other = signed(other, event.body.clone(), &keys("XA"));
    let key = TRUST.seal_key(&code("XB"), NOW).expect("key").id();
    let lifted = unwrap_body(&other.body, &other.header.binding(), &key, &keys("XB").seal);
    assert_eq!(lifted.err(), Some(EventFault::Sealed(CryptoFault::DoesNotOpen)));
    let (_, secret, _) = good();
    let known = open_body(&other.body, &other.header.binding(), &secret);
    assert_eq!(known, Err(EventFault::Sealed(CryptoFault::DoesNotOpen)));
}

/// [B-5]: a wrap that opens to another secret than the commitment is to is found at once.
#[test]
fn a_wrap_to_another_secret_is_refused() {
    let (event, _, _) = good();
    let binding = event.header.binding();
    let to = TRUST.seal_key(&code("XB"), NOW).expect("key");
    let mut body = proto::SealedBody::decode(&event.body[..]).expect("decodes");
    let other = wrap_secret(&event.body, &binding, &[1; 32], to, &[2; 32]).expect("wrapped");
    let ours = body.wraps.iter_mut().find(|wrap| wrap.key_id == other.key_id).expect("ours");
    *ours = other;
    let opened = unwrap_body(&body.encode_to_vec(), &binding, &to.id(), &keys("XB").seal);
    assert_eq!(opened.err(), Some(EventFault::Sealed(CryptoFault::DoesNotOpen)));
}

#[test]
fn a_changed_byte_of_a_sealed_body_does_not_open() {
    let (event, secret, _) = good();
    let binding = event.header.binding();
    let key = TRUST.seal_key(&code("XB"), NOW).expect("key").id();
    let seal = keys("XB").seal;
    for n in 0..event.body.len() {
        let mut changed = event.body.clone();
        changed[n] ^= 1 << (n % 8);
        let opened = unwrap_body(&changed, &binding, &key, &seal).and_then(|s| open_body(&changed, &binding, &s));
        // A byte of another recipient's wrap changes nothing here; the header's digest covers it.
        assert!(opened.is_err() || opened == Ok(body()), "byte {n}");
        let known = open_body(&changed, &binding, &secret);
        assert!(known.is_err() || known == Ok(body()), "byte {n}");
    }
    let nobody = unwrap_body(&event.body, &binding, &crate::ids::KeyId::new([0; 32]), &seal);
    assert_eq!(nobody.err(), Some(EventFault::Sealed(CryptoFault::BadKey)));
}

/// The delivery with a changed slip and context, which stand in XA's ledger.
pub(crate) fn with_slip(
    delivery: &proto::Delivery,
    change: impl FnOnce(&mut proto::Slip, &mut proto::Context),
) -> proto::Delivery {
    let mut slip = proto::Slip::decode(&delivery.slip[..]).expect("decodes");
    let proof = proto::RecordProof::decode(&delivery.proof[..]).expect("decodes");
    let mut context = proto::Context::decode(&proof.context[..]).expect("decodes");
    context.slips[0].clear();
    change(&mut slip, &mut context);
    let slip = slip.encode_to_vec();
    if context.slips[0].is_empty() {
        context.slips[0] = slip_digest(&slip).as_bytes().to_vec();
    }
    let proof = proof_with("XA", &proof.record_id, &context.encode_to_vec());
    proto::Delivery { slip, proof, ..delivery.clone() }
}

fn check_slip_of(change: impl FnOnce(&mut proto::Slip, &mut proto::Context), expected: Result<(), &str>) {
    check(|delivery| *delivery = with_slip(delivery, change), expected);
}

/// [D-1], [D-2].
#[test]
fn a_slip_is_whole_and_bound() {
    let bad = Err("event.bad-slip");
    check_slip_of(|_, _| (), Ok(()));
    check_slip_of(|slip, _| slip.number = 0, bad);
    check_slip_of(|slip, _| slip.number = PLACE + 1, Ok(()));
    check_slip_of(|slip, _| slip.number = PLACE + 2, bad);
    check_slip_of(|slip, _| slip.number = u64::MAX, bad);
    check_slip_of(|slip, _| slip.lane = 0, bad);
    check_slip_of(|slip, _| slip.lane = 3, bad);
    check_slip_of(|slip, _| slip.to = "XC".into(), bad);
    check_slip_of(|slip, _| slip.origin = origin("XB").to_string(), bad);
    check_slip_of(|slip, _| slip.nonce.truncate(15), bad);
    check_slip_of(|slip, _| slip.nonce.clear(), bad);
    check_slip_of(|_, context| context.slips[0] = vec![1; 32], bad);
    check_slip_of(|_, context| context.slips.truncate(1), bad);
    check_slip_of(|_, context| context.slips.push(vec![1; 32]), bad);
    check_slip_of(|_, context| context.slips[0] = context.slips[1].clone(), bad);
    let (event, _, _) = good();
    let others = slips(&event.header.recipients).bytes(&origin("XA"), &code("XC")).expect("slip");
    check(|delivery| delivery.slip = others, bad);
    check(|delivery| delivery.slip.clear(), bad);
}

#[test]
fn what_is_not_in_the_authors_ledger_is_not_accepted() {
    let (event, secret, _) = good();
    let missing = Err("event.not-in-ledger");
    check(|delivery| delivery.proof.clear(), missing);
    let record = sent(event.clone(), secret.clone());
    check(|delivery| delivery.proof = proof("XC", &record), missing);
    let received = received(&event, &secret);
    check(|delivery| delivery.proof = proof("XA", &received), missing);
    let other = proof_with("XA", &[3; 32], &record.case.context);
    check(|delivery| delivery.proof = other, missing);
    let again = signed(event.header.clone(), event.body.clone(), &keys("XA"));
    assert_eq!(again.id, event.id);
    check(|delivery| delivery.envelope = again.to_envelope(), Err("event.other-signatures"));
}

/// XB's record of the event.
pub(crate) fn received(event: &Event, secret: &BodySecret) -> Record {
    let delivery = judge(&delivery_of(event, secret, "XB").encode_to_vec()).expect("passes");
    record::event_received(&moment(), delivery, Vec::new(), secret.clone())
}

fn profile(party: &str) -> &'static Profile {
    TRUST.profile(&code(party), NOW).expect("profile")
}

/// What is known once this Party has revoked its record keys from this time on.
fn revoking(party: &str, from: Time) -> Trust {
    let first = payload(&profile_bytes(party, party));
    let mut draft = proto::Profile::decode(&first[..]).expect("a profile");
    (draft.version, draft.previous) = (2, document_id(PROFILE_TYPE, &first).as_bytes().to_vec());
    let record = draft.keys.iter().filter(|key| key.role() == KeyRole::Record);
    let revoke =
        |key| proto::Revocation { key_id: key_id(key).as_bytes().to_vec(), from_ms: from.0, reason: "stolen".into() };
    draft.revocations = record.map(revoke).collect();
    let signed = sign_profile(&draft, &[&root(party, KeyRole::Root)]).expect("signed");
    let charter = TRUST.charter();
    let profiles = CODES.map(|other| if other == party { signed.clone() } else { profile_bytes(other, other) });
    let open = |bytes: &Vec<u8>| Profile::open(bytes, charter, from).expect("a profile");
    Trust::new(charter.clone(), profiles.iter().map(open).collect()).expect("trust")
}

/// [E-5]: an act that comes after its keys were revoked is its author's still, and goes on to be refused; nothing opens its
/// body. Keys that are not its author's, or a signature that is wrong, prove nothing as before.
#[test]
fn an_act_whose_keys_have_ended_is_authentic_and_not_admitted() {
    let from = NOW.plus_ms(3_600_000);
    let trust = revoking("XA", from);
    let (event, secret, delivery) = good();
    let read = |delivery: &proto::Delivery, at| {
        let never = |_: &[u8], _: &Digest| Ok(secret.clone());
        let read = carry::read_delivery(&delivery.encode_to_vec(), &code("XA"), &code("XB"), &trust, at, never);
        read.map(|delivered| delivered.arrival().expect("an event of XA"))
    };
    let admitted = read(&delivery, Time(from.0 - 1)).expect("authentic");
    assert!(admitted.opened.is_ok() && !admitted.delivery.get().key_ended);
    let ended = read(&delivery, from).expect("authentic");
    assert!(ended.delivery.get().key_ended);
    assert_eq!(ended.opened.map(|_| ()).map_err(|fault| fault.code()), Err("event.key-ended"));
    assert_eq!(event.clone().verify(&trust, from).map(|_| ()).map_err(|fault| fault.code()), Err("event.key-ended"));
    let code_of = |event: &Event| {
        let delivery = proto::Delivery { envelope: event.to_envelope(), ..delivery.clone() };
        read(&delivery, from).map(|_| ()).map_err(|fault| fault.code())
    };
    let mut wrong = event.clone();
    wrong.signatures[0].signature[3] ^= 1;
    assert_eq!(code_of(&wrong), Err("event.bad-signature"));
    assert_eq!(code_of(&signed(event.header, event.body, &keys("XC"))), Err("event.bad-signature"));
}

/// [D-6]: a refusal is the peer's word while its ledger proves it, also when the key that signed it was revoked since, or
/// from a time before: a revocation is published later than its date.
#[test]
fn a_refusal_outlives_the_keys_that_signed_it() {
    let (event, _, _) = good();
    let judge = |revoked: Time, at: Time| {
        let trust = revoking("XB", revoked);
        let (by, refusal) = (trust.profile(&code("XB"), at).expect("profile"), refused(&event, |_| {}));
        check_refusal(&refusal, &event.id, &code("XA"), by, &trust, at).map(|_| ()).map_err(|fault| fault.code())
    };
    let after = NOW.plus_ms(3_600_000);
    for revoked in [after.plus_ms(1), after, NOW] {
        assert_eq!(judge(revoked, after), Ok(()), "revoked from {}", revoked.0);
    }
}

/// [D-5].
#[test]
fn a_receipt_is_for_one_event_with_its_signatures() {
    let (event, secret, delivery) = good();
    let receipt = proof("XB", &received(&event, &secret));
    let digest = signatures_digest(&event.signatures);
    let judge = |bytes: &[u8], id: EventId, digest: &Digest, by: &str| {
        check_receipt(bytes, &id, RecordKind::EventReceived, digest, profile(by), NOW)
            .map(Verified::into_inner)
            .map_err(|fault| fault.code())
    };
    let Ok(PeerAnswer::Receipt { proof, proven }) = judge(&receipt, event.id, &digest, "XB") else { panic!("holds") };
    assert_eq!((&proof, proven.index(), proven.recorded()), (&receipt, LedgerIndex(PLACE), NOW));
    let check = |bytes: &[u8], id, digest: &Digest, by, expected: &str| {
        assert_eq!(judge(bytes, id, digest, by).map(|_| ()), Err(expected));
    };
    check(&receipt, EventId::new([3; 32]), &digest, "XB", "event.not-in-ledger");
    check(&receipt, event.id, &digest, "XC", "event.not-in-ledger");
    check(&receipt, event.id, &Digest::new([0; 32]), "XB", "event.other-signatures");
    check(&delivery.proof, event.id, &digest, "XA", "event.not-in-ledger");
    for n in 0..receipt.len() {
        let mut changed = receipt.clone();
        changed[n] ^= 1 << (n % 8);
        check(&changed, event.id, &digest, "XB", "event.not-in-ledger");
    }
}

/// XB's refusal of the event, as `change` has it, signed and in XB's ledger.
pub(crate) fn refused(event: &Event, change: impl FnOnce(&mut proto::Refusal)) -> RefusalAnswer {
    let bytes = record::refusal_bytes(&TRUST, &code("XB"), &origin("XB"), event, "form.incomplete", NOW);
    let mut wire = proto::Refusal::decode(&bytes[..]).expect("decodes");
    change(&mut wire);
    let bytes = wire.encode_to_vec();
    let signatures = keys("XB").record.sign_pair(&pae(REFUSAL_TYPE, &bytes)).expect("signed");
    let (peer, slip) = (code("XA"), Slip { ledger: 1, lane: Lane::Normal, number: 1 });
    let about = About { event: event.id, thread: None, peer: &peer, slip: &slip, peer_index: LedgerIndex(0) };
    let refusal = SignedRefusal {
        kind: RecordKind::RefusalGiven,
        code: wire.code,
        bytes: bytes.clone(),
        signatures: signatures.clone(),
        proof: Vec::new(),
    };
    let record = record::refusal(&moment(), &about, &code("XB"), refusal);
    let envelope = crate::profile::document(REFUSAL_TYPE, bytes, signatures);
    RefusalAnswer { envelope, proof: proof("XB", &record) }
}

/// [D-6].
#[test]
fn a_refusal_is_signed_recorded_and_about_one_event() {
    let (event, ..) = good();
    let judge = |answer: &RefusalAnswer| {
        check_refusal(answer, &event.id, &code("XA"), profile("XB"), &TRUST, NOW).map(Verified::into_inner)
    };
    let refusal = refused(&event, |_| ());
    let Ok(PeerAnswer::Refusal { code: found, .. }) = judge(&refusal) else { panic!("holds") };
    assert_eq!(found, "form.incomplete");
    let bad = |change: fn(&mut proto::Refusal)| {
        assert_eq!(judge(&refused(&event, change)).map(|_| ()).map_err(|fault| fault.code()), Err("event.bad-header"));
    };
    bad(|refusal| refusal.network = "other.test".into());
    bad(|refusal| refusal.event_id = vec![3; 32]);
    bad(|refusal| refusal.author = "XC".into());
    bad(|refusal| refusal.refuser = "XC".into());
    bad(|refusal| refusal.origin = "xb.test.comity.test/ledger/2".into());
    bad(|refusal| refusal.code = "an\u{1b}[31m alarm".into());
    bad(|refusal| refusal.code = String::new());
    bad(|refusal| refusal.code = format!("form.{}", "x".repeat(60)));
    for n in 0..refusal.envelope.len() {
        let mut changed = refusal.clone();
        changed.envelope[n] ^= 1 << (n % 8);
        assert!(judge(&changed).is_err(), "byte {n} of the envelope");
    }
    for n in 0..refusal.proof.len() {
        let mut changed = refusal.clone();
        changed.proof[n] ^= 1 << (n % 8);
        assert_eq!(judge(&changed).map(|_| ()).map_err(|fault| fault.code()), Err("event.not-in-ledger"), "byte {n}");
    }
    let again = refused(&event, |_| ()).envelope;
    let other = RefusalAnswer { envelope: again, ..refusal };
    assert_eq!(judge(&other).map(|_| ()), Err(EventFault::OtherSignatures));
}

/// [D-7].
#[test]
fn answers_without_proof_say_little() {
    let judge = |outcome| {
        let answer = Answer { event_id: vec![1; 32], outcome };
        unproved_answer(&answer, NOW).map(Verified::into_inner).map_err(|fault| fault.code())
    };
    let retry = |code: &str| Some(Outcome::Retry(Retry { code: code.into(), after_ms: 250 }));
    let Ok(PeerAnswer::Retry { code, after_ms: 250 }) = judge(retry("engine.busy")) else { panic!("is read") };
    assert_eq!(code, "engine.busy");
    assert!(matches!(judge(Some(Outcome::Erased(true))), Ok(PeerAnswer::Erased)));
    for code in ["", "busy", "engine.", ".busy", "Engine.busy", "engine.busy\n", "engine busy", "a.b.c"] {
        assert_eq!(judge(retry(code)).map(|_| ()), Err("event.bad-header"), "{code:?}");
    }
    for outcome in [None, Some(Outcome::Erased(false)), Some(Outcome::Receipt(Vec::new()))] {
        assert_eq!(judge(outcome).map(|_| ()), Err("event.bad-header"));
    }
}

/// Two erased receipts are two records.
#[test]
fn records_of_erased_receipts_differ() {
    let (peer, slip) = (code("XB"), Slip { ledger: 1, lane: Lane::Normal, number: 1 });
    let of = |event: u8| {
        let event = EventId::new([event; 32]);
        let about = About { event, thread: None, peer: &peer, slip: &slip, peer_index: LedgerIndex(0) };
        record::receipt(&moment(), &about, Vec::new()).node.record_id
    };
    assert_ne!(of(1), of(2));
}
