//! A Party that requires two officers, as its clients see it: what is refused, what is to be signed, what counts, and that
//! what was approved is done once. SPEC `[O-*]`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use comity_core::{
    crypto::Seed,
    ids::{AuthorityId, NetworkName, OfficerId, PartyCode, ProcedureCode, RequestId, StepCode, unhex},
    officer::{Approval, Kind, Matter, ROLL_TYPE},
    procedure::Side,
    profile::document_id,
    proto,
    rules::Code,
};
use prost::Message as _;

use super::{
    town::{contents, credential, text},
    *,
};
use crate::time::now;

/// What waits, as an officer's own device reads it.
fn matter(waiting: &Value) -> (Matter, [u8; 32]) {
    let get = |key: &str| waiting[key].as_str().expect("a text");
    let body = STANDARD.decode(get("body")).expect("base64");
    let recipients = waiting["recipients"].as_array().expect("a list").iter();
    let matter = Matter {
        network: NetworkName::parse(get("network")).expect("a name"),
        party: PartyCode::parse(get("party")).expect("a code"),
        command_id: *get("command_id").parse::<RequestId>().expect("an id").as_bytes(),
        request: get("request_id").parse().expect("an id"),
        authority: AuthorityId::parse(get("authority")).expect("an id"),
        procedure: ProcedureCode::parse(get("procedure")).expect("a code"),
        step: StepCode::parse(get("step")).expect("a code"),
        recipients: recipients.map(|code| PartyCode::parse(code.as_str().expect("text")).expect("code")).collect(),
        body,
        side: if get("side") == "requesting" { Side::Requesting } else { Side::Requested },
        emergency: waiting["emergency"] == true,
    };
    (matter, unhex(get("salt"), "salt").expect("hex").try_into().expect("32 bytes"))
}

fn signed(waiting: &Value, officer: &str, kind: Kind, key: &Seed) -> Value {
    let (matter, salt) = matter(waiting);
    let mut approval = Approval::of(&matter, salt, OfficerId::parse(officer).expect("an id"), kind, now());
    approval.reason = (kind == Kind::BreakGlass).then(|| Code::parse("life-or-safety").expect("a code"));
    assert_eq!(approval.digest.to_string(), waiting["digest"].as_str().expect("a digest"), "over the very bytes");
    let wire = approval.sign(key).to_wire();
    json!({ "approval": STANDARD.encode(wire.approval), "signature": STANDARD.encode(wire.signature) })
}

async fn approve(town: &Town, waiting: &Value, officer: &str, kind: Kind) -> Answer {
    town.post("/v1/approvals", &signed(waiting, officer, kind, &credential(officer))).await
}

async fn install(town: &Town, envelope: &[u8]) -> Answer {
    let named = proto::Envelope::decode(envelope).expect("an envelope");
    let id = document_id(ROLL_TYPE, &named.header);
    town.put(&format!("/v1/rolls/{id}"), &json!({ "envelope": STANDARD.encode(envelope) }), &[]).await
}

async fn approvals_on_record(town: &Town) -> Vec<Value> {
    let audit = town.get("/v1/audit?limit=500").await.body;
    let entries = audit["entries"].as_array().expect("a list").clone();
    entries.into_iter().filter(|entry| entry["kind"] == "approval").collect()
}

fn nothing_out(town: &Town) {
    assert_eq!(town.view().ledger.size(), FOUNDED, "nothing was recorded, so nothing left");
}

/// [O-1] to [O-4], [O-6].
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_without_two_officers() {
    let (federation, rolls) = Federation::of_two_with_officers(&[&|_| {}, &|_| {}]).await;
    let Federation { arvia, belmar, .. } = &federation;
    let refused = arvia.post("/v1/requests", &new_request(REQUEST)).await;
    check(&refused, 409, "approval.no-roll");
    assert_eq!(arvia.get("/v1/roll").await.code(), "api.no-roll");
    assert_eq!(install(arvia, &rolls[1]).await.status, 200);
    check(&install(arvia, &rolls[0]).await, 409, "profile.roll-back");
    let roll = arvia.get("/v1/roll").await.body;
    assert_eq!((&roll["version"], &roll["counts"], &roll["required"]), (&json!(2), &json!(true), &json!(true)));

    let refused = arvia.post("/v1/requests", &new_request(REQUEST)).await;
    check(&refused, 409, "approval.needed");
    let waiting = refused.body["approval"].clone();
    assert_eq!(waiting["fields"], contents());
    check(&approve(arvia, &waiting, "four", Kind::First).await, 409, "approval.not-on-roll");
    let stolen = arvia.post("/v1/approvals", &signed(&waiting, "one", Kind::First, &credential("two"))).await;
    check(&stolen, 409, "approval.bad-signature");
    check(&approve(arvia, &waiting, "one", Kind::BreakGlass).await, 409, "approval.no-emergency");
    check(&approve(arvia, &waiting, "one", Kind::Later).await, 409, "approval.wrong-kind");
    let mut other = waiting.clone();
    let body = proto::Body { form: "PRES/request".to_owned(), ..proto::Body::default() }.encode_to_vec();
    other["body"] = STANDARD.encode(&body).into();
    let salt = unhex(waiting["salt"].as_str().expect("a salt"), "salt").expect("hex");
    other["digest"] = comity_core::crypto::sha256(&[&salt, &body]).to_string().into();
    check(&approve(arvia, &other, "one", Kind::First).await, 409, "approval.other-body");
    check(&arvia.post("/v1/approvals", &json!({ "approval": "", "signature": "" })).await, 422, "approval.malformed");

    let first = approve(arvia, &waiting, "one", Kind::First).await;
    assert_eq!((first.status, &first.body["ready"]), (200, &json!(false)), "{}", first.body);
    check(&approve(arvia, &waiting, "one", Kind::Second).await, 409, "approval.same-officer");
    check(&arvia.post("/v1/requests", &new_request(REQUEST)).await, 409, "approval.needed");
    nothing_out(arvia);
    let second = approve(arvia, &waiting, "two", Kind::Second).await;
    assert_eq!((second.status, &second.body["ready"]), (200, &json!(true)), "{}", second.body);
    nothing_out(arvia);
    let mut changed = new_request(REQUEST);
    changed["fields"]["necessity"] = text("They will be deleted tomorrow.");
    check(&arvia.post("/v1/requests", &changed).await, 409, "approval.other-body");
    check(&arvia.post("/v1/requests", &new_request(REQUEST)).await, 409, "approval.needed");
    nothing_out(arvia);
    let waiting = arvia.get(&format!("/v1/approvals/{REQUEST}")).await.body;
    assert_eq!(waiting["approvals"], json!([]), "what was approved was something else");
    for (officer, kind) in [("one", Kind::First), ("three", Kind::Second)] {
        assert_eq!(approve(arvia, &waiting, officer, kind).await.status, 200);
    }
    let sent = arvia.post("/v1/requests", &new_request(REQUEST)).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    let again = arvia.post("/v1/requests", &new_request(REQUEST)).await;
    assert_eq!((again.status, &again.body), (201, &sent.body), "done once");
    let again = arvia.post(&format!("/v1/approvals/{REQUEST}/act"), &Value::Null).await;
    assert_eq!((again.status, &again.body["event_id"]), (201, &sent.body["event_id"]));
    assert_eq!(arvia.get("/v1/approvals").await.body["waiting"], json!([]));
    follow(belmar, String::new(), "event-received").await;

    let approvals = approvals_on_record(arvia).await;
    let of = |officer: &str, event: Option<&Value>| {
        let fits = |entry: &&Value| {
            let approval = &entry["approval"];
            approval["officer"] == officer && event.is_none_or(|event| approval["event_id"] == *event)
        };
        approvals.iter().filter(fits).count()
    };
    assert_eq!(["one", "two", "three"].map(|officer| of(officer, None)), [3, 1, 2]);
    let event = Some(&sent.body["event_id"]);
    assert_eq!(["one", "two", "three"].map(|officer| of(officer, event)), [1, 0, 1], "{approvals:?}");
    assert!(approvals.iter().all(|entry| entry["request_id"] == REQUEST));
    federation.close().await;
}

/// [O-1]: drafts, steps and erasures take the same road.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_road_around_two_officers() {
    let (federation, rolls) = Federation::of_two_with_officers(&[&|_| {}]).await;
    let arvia = &federation.arvia;
    assert_eq!(install(arvia, &rolls[0]).await.status, 200);
    let draft = format!("/v1/drafts/{REQUEST}");
    let mut body = new_request(REQUEST);
    body["lane"] = json!("emergency");
    assert_eq!(arvia.put(&draft, &body, &[]).await.status, 200);
    let refused = arvia.post(&format!("{draft}/send"), &Value::Null).await;
    check(&refused, 409, "approval.needed");
    nothing_out(arvia);
    assert_eq!(arvia.get(&draft).await.status, 200, "the draft stays");
    done_by_two(arvia, &refused.body["approval"]).await;
    assert_eq!(arvia.get(&draft).await.status, 404, "and goes when it is sent");
    let size = arvia.view().ledger.size();
    let step = |step: &str, fields: Value| json!({ "command_id": PARALLEL, "step": step, "authority": "central", "fields": fields });
    let steps = format!("/v1/requests/{REQUEST}/steps");
    let note = step("note", json!({ "message": text("Please hurry.") }));
    let refused = arvia.post(&steps, &note).await;
    check(&refused, 409, "approval.needed");
    done_by_two(arvia, &refused.body["approval"]).await;
    let done = arvia.post(&steps, &note).await;
    assert_eq!(done.status, 201, "{}", done.body);
    let mut end = step("withdraw", json!({ "release.reason": "not-needed" }));
    end["command_id"] = json!("11111111111111111111111111111111");
    let refused = arvia.post(&steps, &end).await;
    check(&refused, 409, "approval.needed");
    done_by_two(arvia, &refused.body["approval"]).await;
    follow(arvia, String::new(), "receipt").await;
    assert!(arvia.view().ledger.size() > size);
    let mut late = step("note", json!({ "message": text("planted-in-what-waits") }));
    late["command_id"] = json!("22222222222222222222222222222222");
    check(&arvia.post(&steps, &late).await, 409, "approval.needed");
    let erasure = format!("/v1/requests/{REQUEST}/erasure");
    let wanted = json!({ "ground": "court-order" });
    let refused = settled_refusal(arvia, &erasure, &wanted).await;
    check(&refused, 409, "approval.needed");
    let waiting = &refused.body["approval"];
    assert_eq!(
        (&waiting["step"], &waiting["fields"]),
        (&json!("erasure"), &json!({ "erasure.ground": "court-order" }))
    );
    done_by_two(arvia, waiting).await;
    assert_eq!(arvia.post(&erasure, &wanted).await.status, 200, "erased, and once");
    assert_eq!(arvia.get("/v1/approvals").await.body["waiting"], json!([]), "what waited went with the request");
    federation.close().await;
}

/// Asks until nothing is owed any more, and gives the first other answer.
async fn settled_refusal(town: &Town, path: &str, body: &Value) -> Answer {
    let mut cursor = String::new();
    for _ in 0..10 {
        let answer = town.post(path, body).await;
        if answer.code() != "erase.owed" {
            return answer;
        }
        (_, cursor) = follow(town, cursor, "receipt").await;
    }
    panic!("something is owed for ever");
}

async fn done_by_two(town: &Town, waiting: &Value) {
    for (officer, kind) in [("one", Kind::First), ("two", Kind::Second)] {
        let taken = approve(town, waiting, officer, kind).await;
        assert_eq!(taken.status, 200, "{}", taken.body);
    }
    let command = waiting["command_id"].as_str().expect("an id");
    let done = town.post(&format!("/v1/approvals/{command}/act"), &Value::Null).await;
    assert!([200, 201].contains(&done.status), "{}", done.body);
}

/// [O-5]: one in an emergency, and what is owed then is seen until it is given.
#[tokio::test(flavor = "multi_thread")]
async fn glass_is_broken_and_mended() {
    let (federation, rolls) = Federation::of_two_with_officers(&[&|_| {}]).await;
    let arvia = &federation.arvia;
    assert_eq!(install(arvia, &rolls[0]).await.status, 200);
    let mut request = new_request(REQUEST);
    request["fields"]["urgency.level"] = json!("emergency");
    request["fields"]["urgency.reason"] = text("A hospital is held to ransom.");
    request["fields"]["urgency.basis"] = json!("life-or-safety");
    let waiting = arvia.post("/v1/requests", &request).await.body["approval"].clone();
    assert_eq!(waiting["emergency"], true);
    let glass = approve(arvia, &waiting, "one", Kind::BreakGlass).await;
    assert_eq!((glass.status, &glass.body["ready"]), (200, &json!(true)), "{}", glass.body);
    let sent = arvia.post("/v1/requests", &request).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    let owed = async || {
        let status = arvia.get("/v1/status").await.body;
        let all = status["warnings"].as_array().expect("a list").clone();
        all.into_iter().filter(|warning| warning["code"] == "approval.second-owed").count()
    };
    assert_eq!(owed().await, 1);
    assert!(arvia.get("/v1/metrics").await.text().contains("approval.second-owed"));
    let waiting = arvia.get(&format!("/v1/approvals/{REQUEST}")).await.body;
    assert_eq!(waiting["event_id"], sent.body["event_id"]);
    assert_eq!(waiting["fields"], request["fields"], "the second sees what went out");
    check(&approve(arvia, &waiting, "two", Kind::Second).await, 409, "approval.wrong-kind");
    check(&approve(arvia, &waiting, "one", Kind::Later).await, 409, "approval.same-officer");
    let later = approve(arvia, &waiting, "two", Kind::Later).await;
    assert_eq!(later.status, 200, "{}", later.body);
    assert_eq!(owed().await, 0);
    assert_eq!(arvia.get("/v1/approvals").await.body["waiting"], json!([]));
    let approvals = approvals_on_record(arvia).await;
    let kinds: Vec<_> = approvals.iter().map(|entry| entry["approval"]["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["later", "break-glass", "break-glass"], "the newest first");
    assert_eq!(approvals[2]["approval"]["reason"], "life-or-safety");
    federation.close().await;
}

/// [O-4]: who is away does not count, and a deputy does.
#[tokio::test(flavor = "multi_thread")]
async fn absences_and_deputies_count_at_once() {
    let away = |roll: &mut proto::Roll| {
        roll.absences = vec![proto::Absence { officer: "two".to_owned(), from_ms: 1, until_ms: 0 }];
        roll.officers[1].authority = "central".to_owned();
        roll.officers[1].sides = vec![2];
    };
    let deputy = |roll: &mut proto::Roll| {
        away(roll);
        let row = |by: &str| proto::Deputy { of: "two".to_owned(), by: by.to_owned(), from_ms: 1, until_ms: 0 };
        roll.deputies = vec![row("three")];
    };
    let (federation, rolls) = Federation::of_two_with_officers(&[&away, &deputy]).await;
    let arvia = &federation.arvia;
    assert_eq!(install(arvia, &rolls[0]).await.status, 200);
    let waiting = arvia.post("/v1/requests", &new_request(REQUEST)).await.body["approval"].clone();
    assert_eq!(approve(arvia, &waiting, "one", Kind::First).await.status, 200);
    check(&approve(arvia, &waiting, "two", Kind::Second).await, 409, "approval.absent");
    check(&approve(arvia, &waiting, "three", Kind::Second).await, 409, "approval.no-power");
    assert_eq!(install(arvia, &rolls[1]).await.status, 200);
    assert_eq!(approve(arvia, &waiting, "three", Kind::Second).await.status, 200);
    assert_eq!(arvia.post("/v1/requests", &new_request(REQUEST)).await.status, 201);
    federation.close().await;
}

async fn withdraw(town: &Town, command: &str, reason: &str) -> Answer {
    town.post(&format!("/v1/approvals/{command}/withdraw"), &json!({ "reason": reason })).await
}

/// [O-7]: what waits is withdrawn once, on record, and its command does nothing any more on any road.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_withdrawn_and_stays_so() {
    let (federation, rolls) = Federation::of_two_with_officers(&[&|_| {}]).await;
    let arvia = &federation.arvia;
    assert_eq!(install(arvia, &rolls[0]).await.status, 200);
    check(&withdraw(arvia, REQUEST, "Asked twice.").await, 404, "approval.unknown");
    let waiting = arvia.post("/v1/requests", &new_request(REQUEST)).await.body["approval"].clone();
    assert_eq!(approve(arvia, &waiting, "one", Kind::First).await.status, 200);
    for bad in ["", "  ", "two\nlines", &"x".repeat(1_001)] {
        check(&withdraw(arvia, REQUEST, bad).await, 400, "api.bad-parameter");
    }
    let done = withdraw(arvia, REQUEST, "Asked twice.").await;
    assert_eq!((done.status, &done.body["reason"]), (200, &json!("Asked twice.")), "{}", done.body);
    let again = withdraw(arvia, REQUEST, "Another reason.").await;
    assert_eq!((again.status, &again.body), (200, &done.body), "withdrawn once");

    // A late approval, the act, a look, and who asks with the same id again.
    check(&approve(arvia, &waiting, "two", Kind::Second).await, 409, "approval.withdrawn");
    check(&arvia.post(&format!("/v1/approvals/{REQUEST}/act"), &Value::Null).await, 409, "approval.withdrawn");
    check(&arvia.get(&format!("/v1/approvals/{REQUEST}")).await, 409, "approval.withdrawn");
    check(&arvia.post("/v1/requests", &new_request(REQUEST)).await, 409, "approval.withdrawn");
    let mut other = new_request("99999999999999999999999999999999");
    other["command_id"] = json!(REQUEST);
    check(&arvia.post("/v1/requests", &other).await, 409, "approval.withdrawn");
    let lists = arvia.get("/v1/approvals").await.body;
    assert_eq!((&lists["waiting"], &lists["withdrawn"]), (&json!([]), &json!([done.body])));
    nothing_out(arvia);

    let audit = arvia.get("/v1/audit?limit=500").await.body;
    let entries = audit["entries"].as_array().expect("a list").iter();
    let on_record = entries.filter(|entry| entry["route"].as_str().is_some_and(|route| route.ends_with("/withdraw")));
    let of: Vec<_> = on_record.map(|entry| (&entry["kind"], &entry["request_id"])).collect();
    assert!(of.iter().filter(|of| **of == (&json!("act"), &json!(REQUEST))).count() >= 2, "{of:?}");
    assert!(!audit.to_string().contains("Asked twice"), "the reason is on the desk alone");

    // Under another command it is another matter.
    let mut fresh = new_request(REQUEST);
    fresh["command_id"] = json!(PARALLEL);
    let refused = arvia.post("/v1/requests", &fresh).await;
    check(&refused, 409, "approval.needed");
    done_by_two(arvia, &refused.body["approval"]).await;
    check(&withdraw(arvia, PARALLEL, "Too late.").await, 409, "approval.done");
    federation.close().await;
}

/// [O-7]: what is on its way is not withdrawn, and what went out on the word of one stays owed.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_or_is_going_is_not_withdrawn() {
    let (federation, rolls) = Federation::of_two_with_officers(&[&|_| {}]).await;
    let arvia = &federation.arvia;
    assert_eq!(install(arvia, &rolls[0]).await.status, 200);
    let mut request = new_request(REQUEST);
    request["fields"]["urgency.level"] = json!("emergency");
    request["fields"]["urgency.reason"] = text("A hospital is held to ransom.");
    request["fields"]["urgency.basis"] = json!("life-or-safety");
    let waiting = arvia.post("/v1/requests", &request).await.body["approval"].clone();
    assert_eq!(approve(arvia, &waiting, "one", Kind::BreakGlass).await.status, 200);
    let (id, command): (RequestId, _) =
        (REQUEST.parse().expect("an id"), *REQUEST.parse::<RequestId>().expect("an id").as_bytes());
    let view = arvia.view();
    let (said, first) = view.begin(&id, &command).await.expect("it waits");
    let (_, second) = view.begin(&id, &command).await.expect("it waits");
    assert!(said.len() == 1 && first.is_some() && second.is_some());
    check(&withdraw(arvia, REQUEST, "No.").await, 409, "approval.under-way");
    drop(first);
    check(&withdraw(arvia, REQUEST, "No.").await, 409, "approval.under-way");
    drop(second);
    assert_eq!(arvia.post("/v1/requests", &request).await.status, 201);
    check(&withdraw(arvia, REQUEST, "No.").await, 409, "approval.second-owed");
    let waiting = arvia.get(&format!("/v1/approvals/{REQUEST}")).await.body;
    assert_eq!(approve(arvia, &waiting, "two", Kind::Later).await.status, 200, "still owed, and given");
    check(&withdraw(arvia, REQUEST, "No.").await, 409, "approval.done");
    federation.close().await;
}

/// [O-7]: a request must be erasable: asked for anew, its erasure waits anew, and what was said before does not count.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_was_withdrawn_is_asked_for_anew() {
    let (federation, rolls) = Federation::of_two_with_officers(&[&|_| {}]).await;
    let arvia = &federation.arvia;
    assert_eq!(install(arvia, &rolls[0]).await.status, 200);
    let asked = async |body: &Value, path: &str| settled_refusal(arvia, path, body).await.body["approval"].clone();
    done_by_two(arvia, &asked(&new_request(REQUEST), "/v1/requests").await).await;
    let steps = format!("/v1/requests/{REQUEST}/steps");
    let step = |command: &str, step: &str, fields: Value| json!({ "command_id": command, "step": step, "authority": "central", "fields": fields });
    let note = step(PARALLEL, "note", json!({ "message": text("Please hurry.") }));
    check(&arvia.post(&steps, &note).await, 409, "approval.needed");
    assert_eq!(withdraw(arvia, PARALLEL, "planted-in-a-reason").await.status, 200);
    let end = step("11111111111111111111111111111111", "withdraw", json!({ "release.reason": "not-needed" }));
    done_by_two(arvia, &asked(&end, &steps).await).await;

    let erasure = format!("/v1/requests/{REQUEST}/erasure");
    let wanted = json!({ "ground": "court-order" });
    let waiting = asked(&wanted, &erasure).await;
    let command = waiting["command_id"].as_str().expect("an id").to_owned();
    assert_eq!(approve(arvia, &waiting, "one", Kind::First).await.status, 200);
    assert_eq!(withdraw(arvia, &command, "The court has not decided.").await.status, 200);
    check(&arvia.post(&format!("/v1/approvals/{command}/act"), &Value::Null).await, 409, "approval.withdrawn");
    check(&approve(arvia, &waiting, "two", Kind::Second).await, 409, "approval.withdrawn");
    let anew = asked(&wanted, &erasure).await;
    assert_eq!((&anew["command_id"], &anew["approvals"]), (&json!(command), &json!([])));
    check(&approve(arvia, &waiting, "two", Kind::Second).await, 409, "approval.other-body");
    done_by_two(arvia, &anew).await;
    assert_eq!(arvia.get("/v1/approvals").await.body["withdrawn"], json!([]), "what was said goes with the request");
    federation.close().await;
}
