//! `event.json`, `body.json`, `delivery.json`, `thread.json`: what Parties send each other.

use prost::Message as _;

use super::{
    bad, computed, file,
    material::{Material, REVOKED, named, raw},
    ok,
    shapes::{Bytes, Case, File, Input, Known},
};
use crate::{
    event::tests::{NOW, origin},
    ids::{Time, hex},
    proto::{self, Answer, Retry, answer::Outcome},
};

/// Six minutes: beyond what an author's clock may be ahead.
const SIX_MINUTES: u64 = 6 * 60 * 1000;
/// Beyond the record keys of the founding, within the grace after its charter.
const KEYS_OVER: u64 = 800 * 86_400_000;
/// Beyond that grace.
const THREE_YEARS: u64 = 3 * 365 * 86_400_000;

pub(super) fn files(m: &Material) -> Vec<File> {
    vec![
        file("event", "Headers, ids, and envelopes under the trust of material.json.", {
            [ids(m), headers(m), envelopes(m)].concat()
        }),
        file("body", "Key schedule, wraps and sealed bodies.", bodies(m)),
        file(
            "delivery",
            "Slips, deliveries to XB, and what XB answers.",
            [slips(m), deliveries(m), answers(m), revoked(m)].concat(),
        ),
        file("thread", "What a recipient says to an authentic event from what it knows of its thread.", threads()),
    ]
}

fn ids(m: &Material) -> Vec<Case> {
    let id = |name: &str, network: &str, request: u8, members: &[&str]| {
        let members = members.iter().map(|&member| member.to_owned()).collect();
        let input = Input::ThreadId { network: network.into(), request: raw([request; 16]), members };
        computed(m, name, &["E-4"], input)
    };
    vec![
        id("a request between two", "test.comity.test", 7, &["XA", "XB"]),
        id("members count as a set", "test.comity.test", 7, &["XB", "XA"]),
        id("among three", "test.comity.test", 7, &["XA", "XB", "XC"]),
        id("another request", "test.comity.test", 8, &["XA", "XB"]),
        id("another network", "other.test", 7, &["XA", "XB"]),
    ]
}

fn headers(m: &Material) -> Vec<Case> {
    let read = |header| Input::ReadHeader { header };
    let wire = proto::Header::decode(m.of("header")).expect("a header");
    let changed = |change: &dyn Fn(&mut proto::Header)| {
        let mut header = wire.clone();
        change(&mut header);
        read(raw(header.encode_to_vec()))
    };
    let rule = |name: &str, input| bad(name, &["E-2"], input, "event.bad-header", "");
    let word = |name: &str, input| bad(name, &["E-2", "K-3"], input, "event.bad-name", "");
    let loose = |name: &str, more: &[u8]| {
        let header = raw([m.of("header"), more].concat());
        bad(name, &["E-2", "W-1"], read(header), "event.malformed", "wire.not-canonical")
    };
    vec![
        computed(m, "a header", &["E-1", "E-2", "E-4", "B-2"], read(named("header"))),
        computed(m, "a header without parents", &["E-2"], changed(&|h| h.parents.clear())),
        computed(m, "the body's digest changes the id and not the binding", &["E-1", "B-2"], {
            changed(&|h| (h.body_digest, h.body_size) = (vec![3; 32], 1))
        }),
        loose("an unknown field at the end", &[0x98, 0x06, 0x01]),
        loose("the procedure twice", &[0x2a, 4, b'P', b'R', b'E', b'S']),
        rule("no suite", changed(&|h| h.suite = 0)),
        rule("an unknown suite", changed(&|h| h.suite = 2)),
        rule("no actor", changed(&|h| h.actor = 0)),
        rule("an unknown actor", changed(&|h| h.actor = 5)),
        rule("no recipients", changed(&|h| h.recipients.clear())),
        rule(
            "33 members",
            changed(&|h| h.recipients = (0..32_u8).map(|n| format!("Y{}", char::from(b'A' + n))).collect()),
        ),
        rule("65 parents", changed(&|h| h.parents = (0..65).map(|n| vec![n; 32]).collect())),
        rule("recipients that fall", changed(&|h| h.recipients.reverse())),
        rule("a recipient twice", changed(&|h| h.recipients[1] = "XB".into())),
        rule("parents that fall", changed(&|h| h.parents.reverse())),
        rule("a parent twice", changed(&|h| h.parents[1] = h.parents[0].clone())),
        rule("the author among the recipients", changed(&|h| h.author = "XB".into())),
        bad(
            "the thread id of other members",
            &["E-2", "E-4"],
            changed(&|h| h.recipients.truncate(1)),
            "event.bad-header",
            "",
        ),
        bad(
            "the thread id of another request",
            &["E-2", "E-4"],
            changed(&|h| h.request_id = vec![8; 16]),
            "event.bad-header",
            "",
        ),
        word("a request id of 15 bytes", changed(&|h| h.request_id.truncate(15))),
        word("a parent of 31 bytes", changed(&|h| h.parents[0].truncate(31))),
        word("no body digest", changed(&|h| h.body_digest.clear())),
        word("a Party code in small letters", changed(&|h| h.author = "xa".into())),
        word("a procedure in small letters", changed(&|h| h.procedure = "pres".into())),
        word("a step in capitals", changed(&|h| h.step = "Request".into())),
        word("an authority with a space", changed(&|h| h.authority = "central authority".into())),
        word("an origin without a number", changed(&|h| h.origin = "xa.test.comity.test/ledger/".into())),
        word("a network with an empty label", changed(&|h| h.network = "test..test".into())),
    ]
}

fn envelopes(m: &Material) -> Vec<Case> {
    let at = |of: &str, now_ms| Input::VerifyEvent { envelope: named(of), now_ms };
    let now = |of: &str| at(of, NOW.0);
    let flipped = |part: &[u8], n| Input::VerifyEvent { envelope: m.flipped_in("envelope", part, n), now_ms: NOW.0 };
    let sealed = m.of("sealed-body").to_vec();
    let parts = proto::Envelope::decode(m.of("envelope")).expect("an envelope");
    let typed = |name: &str| {
        let envelope = proto::Envelope { payload_type: name.into(), ..parts.clone() };
        Input::VerifyEvent { envelope: raw(envelope.encode_to_vec()), now_ms: NOW.0 }
    };
    let signed =
        |name: &str, input, cause: &str| bad(name, &["E-5", "S-3", "P-4"], input, "event.bad-signature", cause);
    let refused = |name: &str, input, code: &str| bad(name, &["E-5"], input, code, "");
    let bad_signature = "crypto.bad-signature";
    vec![
        computed(m, "an event", &["E-3", "E-5"], now("envelope")),
        computed(m, "five minutes before its author's time", &["E-5"], at("envelope", NOW.0 - 300_000)),
        refused("six minutes before its author's time", at("envelope", NOW.0 - SIX_MINUTES), "event.time-ahead"),
        refused("after the key's time, in the charter's grace", at("envelope", NOW.0 + KEYS_OVER), "event.key-ended"),
        refused("after the charter's grace", at("envelope", NOW.0 + THREE_YEARS), "event.unknown-author"),
        bad("before the suite is in force", &["E-5"], at("envelope", 1), "event.bad-header", ""),
        bad("another payload type", &["E-3"], typed("application/vnd.comity.event.v2"), "event.bad-header", ""),
        bad("a byte of the body changed", &["E-3"], flipped(&sealed, 900), "event.body-mismatch", ""),
        bad(
            "the last byte of the body changed",
            &["E-3"],
            flipped(&sealed, sealed.len() - 1),
            "event.body-mismatch",
            "",
        ),
        signed("a byte of the authority changed", flipped(b"central", 0), bad_signature),
        signed("a byte of the first signature changed", flipped(&parts.signatures[0].signature, 40), bad_signature),
        signed("a byte of the second signature changed", flipped(&parts.signatures[1].signature, 40), bad_signature),
        signed("a byte of a key id changed", flipped(&parts.signatures[1].key_id, 31), "crypto.bad-key"),
        signed("a stranger's valid keys", now("envelope-by-a-stranger"), "crypto.bad-key"),
        signed("half a pair", now("envelope-half-signed"), "crypto.not-hybrid"),
        signed("signatures that fall", now("envelope-signatures-fall"), "crypto.not-hybrid"),
        signed("signatures over another payload type", now("envelope-signed-as-refusal"), bad_signature),
        refused("for another network", now("envelope-other-network"), "event.wrong-network"),
        refused("not marked as an exercise", now("envelope-not-exercise"), "event.wrong-network"),
        refused("in another Party's ledger", now("envelope-other-origin"), "event.bad-header"),
        refused("by a Party the charter does not name", now("envelope-author-xd"), "event.unknown-author"),
    ]
}

fn bodies(m: &Material) -> Vec<Case> {
    let open = |seed: &str, binding, sealed| Input::OpenBody { seed: named(seed), binding, sealed };
    let of_xb = |sealed| open("xb-seal-seed", named("binding"), sealed);
    let wire = proto::SealedBody::decode(m.of("sealed-body")).expect("a body");
    let own = own_wrap(m, &wire);
    let changed = |change: &dyn Fn(&mut proto::SealedBody)| {
        let mut body = wire.clone();
        change(&mut body);
        of_xb(raw(body.encode_to_vec()))
    };
    let flipped = |part: &[u8], n| of_xb(m.flipped_in("sealed-body", part, n));
    let shut =
        |name: &str, clause: &str, input| bad(name, &[clause], input, "event.body-sealed", "crypto.does-not-open");
    let opened = [("secret", hex(m.of("body-secret"))), ("body", hex(m.of("body")))];
    let wrap = &wire.wraps[own];
    let info = [b"comity wrap v1\0".as_slice(), m.of("binding")].concat();
    let aad = [&wrap.key_id[..], &wire.commitment].concat();
    let hpke = Input::HpkeOpen {
        seed: named("xb-seal-seed"),
        info: raw(info),
        aad: raw(aad),
        encapsulated: raw(&wrap.encapsulated),
        wrapped: raw(&wrap.wrapped),
    };
    vec![
        computed(m, "a key from a secret", &["B-3"], {
            Input::Derive { salt: raw([1; 32]), secret: raw([2; 32]), purpose: "comity body key v1".into() }
        }),
        computed(m, "key and commitment", &["B-3"], {
            Input::BodyKeys { secret: named("body-secret"), binding: named("binding") }
        }),
        ok("a wrap as plain HPKE", &["B-4"], hpke, [("secret", hex(m.of("body-secret")))]),
        ok("for XB", &["B-1", "B-5", "B-6"], of_xb(named("sealed-body")), opened.clone()),
        ok("for XC", &["B-1", "B-5"], open("xc-seal-seed", named("binding"), named("sealed-body")), opened),
        shut("lifted into another event", "B-2", open("xb-seal-seed", raw([3; 32]), named("sealed-body"))),
        shut("a byte of the commitment changed", "B-5", flipped(&wire.commitment, 0)),
        shut("a byte of the ciphertext changed", "B-3", flipped(&wire.ciphertext, 0)),
        shut("a byte of the tag changed", "B-3", flipped(&wire.ciphertext, wire.ciphertext.len() - 1)),
        shut("a byte of the ML-KEM ciphertext changed", "B-4", flipped(&wrap.encapsulated, 0)),
        shut("a byte of the X25519 key changed", "B-4", flipped(&wrap.encapsulated, 1100)),
        shut("a byte of the wrapped secret changed", "B-4", flipped(&wrap.wrapped, 0)),
        shut("an encapsulated key one byte short", "B-4", changed(&|b| b.wraps[own].encapsulated.truncate(1119))),
        shut("the ciphertext of nothing", "B-3", changed(&|b| b.ciphertext.clear())),
        bad("no wrap for us", &["B-5"], changed(&|b| drop(b.wraps.remove(own))), "event.body-sealed", "crypto.bad-key"),
        bad("wraps that fall", &["B-1"], changed(&|b| b.wraps.reverse()), "event.bad-header", ""),
        bad("no body", &["B-5"], of_xb(raw([])), "event.body-sealed", "crypto.bad-key"),
        bad(
            "an unknown field",
            &["B-1", "W-1"],
            of_xb(raw([m.of("sealed-body"), &[0x98, 0x06, 0x01]].concat())),
            "event.malformed",
            "wire.not-canonical",
        ),
    ]
}

/// Which wrap is XB's: they stand in the order of their key ids.
fn own_wrap(m: &Material, body: &proto::SealedBody) -> usize {
    let key = m.trust().seal_key(&crate::founding::tests::code("XB"), NOW).expect("a key").id();
    body.wraps.iter().position(|wrap| wrap.key_id == key.as_bytes()).expect("a wrap for XB")
}

fn slips(m: &Material) -> Vec<Case> {
    let slip = |name: &str, to: &str, lane, number| {
        let origin = origin("XA").to_string();
        let input = Input::Slip { origin, to: to.into(), lane, number, nonce: raw([1; 16]) };
        computed(m, name, &["D-1", "D-2"], input)
    };
    vec![
        slip("the first slip to XB", "XB", 2, 1),
        slip("an urgent slip", "XB", 1, 1),
        slip("slip 300 to XC", "XC", 2, 300),
        computed(m, "the nonce for XB", &["D-2"], Input::SlipNonce { secret: raw([5; 32]), to: "XB".into() }),
        computed(m, "the nonce for XC", &["D-2"], Input::SlipNonce { secret: raw([5; 32]), to: "XC".into() }),
        computed(m, "a frame on a stream", &["D-8"], Input::DeliverFrame { number: 256, payload: raw(b"ab") }),
        computed(m, "an empty answer", &["D-8"], Input::DeliverFrame { number: 1, payload: raw([]) }),
    ]
}

fn deliveries(m: &Material) -> Vec<Case> {
    let check = |peer: &str, us: &str, delivery| Input::CheckDelivery {
        peer: peer.into(),
        us: us.into(),
        now_ms: NOW.0,
        delivery,
    };
    let to_xb = |delivery| check("XA", "XB", delivery);
    let proof = proto::RecordProof::decode(m.of("proof")).expect("a proof");
    let flipped = |part: &[u8], n| to_xb(m.flipped_in("delivery", part, n));
    let refused = |name: &str, input, code: &str, cause: &str| bad(name, &["D-3"], input, code, cause);
    let unproven = |name: &str, input, cause: &str| refused(name, input, "event.not-in-ledger", cause);
    let slip = m.of("slip").to_vec();
    let ends_in = |part: &[u8]| part.len() - 1;
    vec![
        computed(m, "from XA to XB", &["D-3"], to_xb(named("delivery"))),
        refused("no bytes", to_xb(raw([])), "event.bad-header", ""),
        refused(
            "an unknown field",
            to_xb(raw([m.of("delivery"), &[0x98, 0x06, 0x01]].concat())),
            "event.malformed",
            "wire.not-canonical",
        ),
        refused("from a Party that is not its author", check("XC", "XB", named("delivery")), "event.not-the-peer", ""),
        refused("to a Party that is no recipient", check("XA", "XD", named("delivery")), "event.not-for-us", ""),
        refused("to another recipient than the slip says", check("XA", "XC", named("delivery")), "event.bad-slip", ""),
        refused("with the slip of another recipient", to_xb(named("delivery-with-slip-of-xc")), "event.bad-slip", ""),
        refused(
            "a number above the records there are",
            to_xb(named("delivery-with-a-number-above")),
            "event.bad-slip",
            "",
        ),
        refused("the last byte of the slip's nonce changed", flipped(&slip, ends_in(&slip)), "event.bad-slip", ""),
        refused("the letters of the slip's origin changed", flipped(&slip, 2), "event.bad-slip", ""),
        refused(
            "a proof of other signatures",
            to_xb(named("delivery-with-other-signatures")),
            "event.other-signatures",
            "",
        ),
        unproven("a proof of a record received", to_xb(named("delivery-with-xbs-proof")), "proof.other-kind"),
        unproven("a byte of the salt changed", flipped(&proof.salt, 0), "proof.wrong-root"),
        unproven("a byte of the context changed", flipped(&proof.context, 4), "proof.wrong-root"),
        unproven("a byte of the path changed", flipped(&proof.path[0], 0), "proof.wrong-root"),
        unproven("the size in the checkpoint changed", flipped(b"\n5\n", 1), "checkpoint.bad-signature"),
    ]
}

fn answers(m: &Material) -> Vec<Case> {
    let receipt = |by: &str, proof, event, signatures| Input::CheckReceipt {
        by: by.into(),
        event,
        signatures,
        now_ms: NOW.0,
        proof,
    };
    let own = |proof| receipt("XB", proof, named("event-id"), named("signatures-digest"));
    let refusal = |by: &str, author: &str, event, envelope, proof| Input::CheckRefusal {
        by: by.into(),
        event,
        author: author.into(),
        now_ms: NOW.0,
        envelope,
        proof,
    };
    let taken = |envelope, proof| refusal("XB", "XA", named("event-id"), envelope, proof);
    let given = || (named("refusal-envelope"), named("refusal-proof"));
    let wire = proto::RecordProof::decode(m.of("receipt")).expect("a proof");
    let envelope = proto::Envelope::decode(m.of("refusal-envelope")).expect("an envelope");
    let changed = |part: &[u8], n| taken(m.flipped_in("refusal-envelope", part, n), named("refusal-proof"));
    let wrong = |name: &str, clause: &str, input, code: &str, cause: &str| bad(name, &[clause], input, code, cause);
    let not_about = |name: &str, input| wrong(name, "D-6", input, "event.bad-header", "");
    let of_another = receipt("XB", named("receipt"), raw([3; 32]), named("signatures-digest"));
    let of_others = receipt("XB", named("receipt"), named("event-id"), raw([0; 32]));
    let by_xc = receipt("XC", named("receipt"), named("event-id"), named("signatures-digest"));
    let mut cases = vec![
        computed(m, "a receipt", &["D-5"], own(named("receipt"))),
        wrong("a receipt for another event", "D-5", of_another, "event.not-in-ledger", "proof.other-record"),
        wrong("a receipt for other signatures", "D-5", of_others, "event.other-signatures", ""),
        wrong("a receipt by another Party", "D-5", by_xc, "event.not-in-ledger", "checkpoint.other-origin"),
        wrong(
            "the author's own proof as a receipt",
            "D-5",
            own(named("proof")),
            "event.not-in-ledger",
            "checkpoint.other-origin",
        ),
        wrong(
            "a byte of a receipt's time changed",
            "D-5",
            own(m.flipped_in("receipt", &wire.context, 4)),
            "event.not-in-ledger",
            "proof.wrong-root",
        ),
        computed(m, "a refusal", &["D-6"], taken(given().0, given().1)),
        not_about("a refusal of another event", refusal("XB", "XA", raw([3; 32]), given().0, given().1)),
        not_about("a refusal of another author's event", refusal("XB", "XC", named("event-id"), given().0, given().1)),
        not_about("a refusal by another Party", refusal("XC", "XA", named("event-id"), given().0, given().1)),
        not_about("a refusal whose code is free text", {
            taken(named("refusal-with-a-text-envelope"), named("refusal-with-a-text-proof"))
        }),
        wrong(
            "a byte of a refusal's code changed",
            "D-6",
            changed(b"form.incomplete", 5),
            "event.not-in-ledger",
            "proof.other-record",
        ),
        wrong(
            "a byte of a refusal's signature changed",
            "D-6",
            changed(&envelope.signatures[0].signature, 40),
            "event.bad-signature",
            "crypto.bad-signature",
        ),
        wrong(
            "a receipt beside a refusal",
            "D-6",
            taken(given().0, named("receipt")),
            "event.not-in-ledger",
            "proof.other-record",
        ),
    ];
    cases.extend(unproved(m));
    cases
}

/// What a revocation ends and what it leaves: the event and the receipt are of an hour before it. Whoever holds the
/// revoking profile takes neither from then on, whatever time they state; what was received before is judged as of
/// the time it was received.
fn revoked(m: &Material) -> Vec<Case> {
    let delivery = |now: Time| Input::DeliveryAfter {
        profile: named("profile-xa-revokes-record-keys"),
        peer: "XA".into(),
        us: "XB".into(),
        now_ms: now.0,
        delivery: named("delivery"),
    };
    let receipt = |now: Time| Input::ReceiptAfter {
        profile: named("profile-xb-revokes-checkpoint-keys"),
        by: "XB".into(),
        event: named("event-id"),
        signatures: named("signatures-digest"),
        now_ms: now.0,
        proof: named("receipt"),
    };
    let before = Time(REVOKED.0 - 1);
    let dated_before = "dated before its keys were revoked and delivered after";
    let proof = "event.not-in-ledger";
    vec![
        bad(dated_before, &["P-4", "E-5", "D-4"], delivery(REVOKED), "event.key-ended", ""),
        computed(m, "received before its keys were revoked", &["P-4", "D-3"], delivery(before)),
        bad("a receipt that comes after its keys were revoked", &["P-4", "D-5"], receipt(REVOKED), proof, {
            "checkpoint.no-ed25519"
        }),
        computed(m, "a receipt received before its keys were revoked", &["P-4", "D-5"], receipt(before)),
    ]
}

fn unproved(m: &Material) -> Vec<Case> {
    let read = |answer: Bytes| Input::UnprovedAnswer { answer };
    let answer = |outcome| read(raw(Answer { event_id: m.of("event-id").to_vec(), outcome }.encode_to_vec()));
    let retry = |code: &str| answer(Some(Outcome::Retry(Retry { code: code.into(), after_ms: 250 })));
    let wrong = |name: &str, input| bad(name, &["D-7"], input, "event.bad-header", "");
    vec![
        computed(m, "try again", &["D-7"], retry("engine.busy")),
        computed(m, "receipted once, erased since", &["D-7"], answer(Some(Outcome::Erased(true)))),
        wrong("not erased", answer(Some(Outcome::Erased(false)))),
        wrong("no outcome", answer(None)),
        wrong("try again for a reason in free text", retry("come back later")),
        wrong("try again for no reason", retry("")),
        bad(
            "an answer with an unknown field",
            &["D-7", "W-1"],
            read(raw([0x98, 0x06, 0x01])),
            "event.malformed",
            "wire.not-canonical",
        ),
    ]
}

/// What is known of a thread: id, parents, and where the arriving event's author holds it. Capital
/// letters are events of that author. A place of `None` is not known.
type Thread<'a> = &'a [(&'a str, &'a str, Option<u64>)];

fn thread(index: u64, parents: &str, known: Thread<'_>, void: &str, elsewhere: &str) -> Input {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let known = known.iter().map(|(id, parents, at_author)| Known {
        id: (*id).into(),
        parents: words(parents),
        same_author: id.chars().all(char::is_uppercase),
        at_author: *at_author,
        void: words(void).contains(&(*id).to_owned()),
    });
    Input::JudgeThread { index, parents: words(parents), known: known.collect(), elsewhere: words(elsewhere) }
}

fn threads() -> Vec<Case> {
    let good = |name: &str, input| ok(name, &["D-4"], input, []);
    let wrong = |name: &str, input, code: &str| bad(name, &["D-4"], input, code, "");
    let line: Thread<'_> = &[("A", "", Some(3)), ("b", "A", Some(5))];
    let fork: Thread<'_> = &[("a", "", Some(3)), ("b", "a", Some(5)), ("c", "a", None)];
    let own: Thread<'_> = &[("a", "", Some(3)), ("B", "a", Some(5))];
    vec![
        good("the first event", thread(4, "", &[], "", "")),
        good("on the latest event", thread(7, "b", line, "", "")),
        good("written before the author held the latest event", thread(4, "A", line, "", "")),
        good("beside an event the author may not have seen", thread(7, "b", fork, "", "")),
        good("joining two branches", thread(7, "b c", fork, "", "")),
        good("beside a void event", thread(7, "A", line, "b", "")),
        good("beside a void event of its own author", thread(7, "a", own, "B", "")),
        wrong("a parent that has not arrived", thread(7, "x", line, "", ""), "engine.parent-missing"),
        wrong("a parent of another thread", thread(7, "x", line, "", "x"), "event.parent-elsewhere"),
        wrong("a void parent", thread(7, "b", line, "b", ""), "event.void-parent"),
        wrong("a second opening", thread(7, "", line, "", ""), "event.second-opening"),
        wrong("blind to an event its author had receipted", thread(7, "A", line, "", ""), "event.blind"),
        wrong("blind to a branch its author had receipted", thread(7, "c", fork, "", ""), "event.blind"),
        wrong("blind to an event of its own author", thread(7, "a", own, "", ""), "event.blind"),
        wrong("an older event, after a younger one that did not descend from it", thread(4, "a", own, "", ""), {
            "event.blind"
        }),
        wrong("another event at the same place of its author's ledger", thread(5, "a", own, "", ""), "event.blind"),
        wrong("on an event its author wrote later", thread(4, "B", own, "", ""), "event.blind"),
    ]
}
