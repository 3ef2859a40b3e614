//! The contract, held against real nodes: what a client sees of a request that crosses, and of every
//! kind of mistake.

mod audit;
mod officers;
mod operations;
mod town;

use std::collections::BTreeSet;

use comity_core::{ids::unhex, ledger::RecordProof};
use serde_json::{Value, json};
use town::{Answer, Federation, Town, contents, text};

/// Records of a ledger that holds nothing but the charter and the profiles of two Parties.
const FOUNDED: u64 = 3;
const REQUEST: &str = "000102030405060708090a0b0c0d0e0f";
const PARALLEL: &str = "0f0e0d0c0b0a09080706050403020100";

fn new_request(id: &str) -> Value {
    json!({
        "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central",
        "lane": "normal", "fields": contents(),
    })
}

#[track_caller]
fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["type"], format!("urn:comity:problem:{code}"));
    assert_eq!(answer.body["status"], status);
    assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
    let detail = answer.body["detail"].as_str().expect("a detail");
    assert!(!detail.is_empty() && !detail.starts_with(code), "{detail}");
}

/// Follows a node's feed from a cursor until an item of this kind comes; gives it and the next cursor.
async fn follow(town: &Town, mut cursor: String, kind: &str) -> (Value, String) {
    for _ in 0..20 {
        let after = if cursor.is_empty() { String::new() } else { format!("&after={cursor}") };
        let page = town.get(&format!("/v1/events?wait=30&limit=1{after}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        cursor = page.body["cursor"].as_str().expect("a cursor").to_owned();
        if let Some(item) = page.body["events"].as_array().expect("a list").iter().find(|item| item["kind"] == kind) {
            return (item.clone(), cursor);
        }
    }
    panic!("no {kind} came");
}

#[test]
fn the_contract_is_the_committed_one() {
    let (_, mut contract) = super::described();
    contract.info.version = "masked".to_owned();
    let json = contract.to_pretty_json().expect("JSON");
    assert!(json.starts_with("{\n  \"openapi\": \"3.1.0\""));
    insta::assert_snapshot!("openapi", json);
}

#[test]
fn every_route_is_in_the_contract_with_its_problem() {
    let (_, contract) = super::described();
    let contract = serde_json::to_value(&contract).expect("JSON");
    let paths: Vec<&String> = contract["paths"].as_object().expect("paths").keys().collect();
    let expected = [
        "/v1/approvals",
        "/v1/approvals/{command_id}",
        "/v1/approvals/{command_id}/act",
        "/v1/approvals/{command_id}/withdraw",
        "/v1/audit",
        "/v1/audit/checkpoint",
        "/v1/audit/tlog/{path}",
        "/v1/audit/verify",
        "/v1/audit/{index}/tlog-proof",
        "/v1/backups",
        "/v1/backups/verify",
        "/v1/deliveries/{event_id}",
        "/v1/deliveries/{event_id}/custody",
        "/v1/deliveries/{event_id}/fetch",
        "/v1/deliveries/{event_id}/pause",
        "/v1/documents",
        "/v1/drafts",
        "/v1/drafts/{request_id}",
        "/v1/drafts/{request_id}/send",
        "/v1/erasures",
        "/v1/events",
        "/v1/forms/{procedure}/{step}",
        "/v1/forms/{procedure}/{step}/check",
        "/v1/forms/{procedure}/{step}/schema",
        "/v1/health",
        "/v1/inbox",
        "/v1/law",
        "/v1/ledger",
        "/v1/ledger/tlog/{path}",
        "/v1/ledger/verify",
        "/v1/ledger/{index}",
        "/v1/ledger/{index}/proof",
        "/v1/ledger/{index}/tlog-proof",
        "/v1/lots",
        "/v1/lots/{lot_id}",
        "/v1/lots/{lot_id}/changed",
        "/v1/lots/{lot_id}/files",
        "/v1/lots/{lot_id}/seal",
        "/v1/lots/{lot_id}/unsealed",
        "/v1/manifests/{manifest}",
        "/v1/manifests/{manifest}/items/{item}/content",
        "/v1/manifests/{manifest}/verification",
        "/v1/metrics",
        "/v1/openapi.json",
        "/v1/outbox",
        "/v1/parties",
        "/v1/parties/{party}",
        "/v1/peers",
        "/v1/peers/{party}",
        "/v1/peers/{party}/examine",
        "/v1/peers/{party}/fork",
        "/v1/peers/{party}/proofs/{code}",
        "/v1/peers/{party}/readmit",
        "/v1/procedures",
        "/v1/ready",
        "/v1/requests",
        "/v1/requests/{request_id}",
        "/v1/requests/{request_id}/deliveries",
        "/v1/requests/{request_id}/erasure",
        "/v1/requests/{request_id}/evidence",
        "/v1/requests/{request_id}/hold",
        "/v1/requests/{request_id}/lots",
        "/v1/requests/{request_id}/steps",
        "/v1/retention",
        "/v1/roll",
        "/v1/rolls/{roll_id}",
        "/v1/status",
    ];
    assert_eq!(paths, expected);
    let mut ids = BTreeSet::new();
    for (path, methods) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{method} {path}");
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id), "{method} {path}: its operation id is taken");
        }
    }
}

#[test]
fn whatever_the_contract_refers_to_is_in_it() {
    let (_, contract) = super::described();
    let contract = serde_json::to_value(&contract).expect("JSON");
    let mut left = vec![&contract];
    let mut seen = 0;
    while let Some(value) = left.pop() {
        if let Some(place) = value["$ref"].as_str() {
            assert!(contract.pointer(place.trim_start_matches('#')).is_some(), "{place}");
            seen += 1;
        }
        left.extend(value.as_object().into_iter().flat_map(|members| members.values()));
        left.extend(value.as_array().into_iter().flatten());
    }
    assert!(seen > 20, "the contract refers to its schemas");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_crosses_and_is_answered() {
    let federation = Federation::of_two().await;
    let Federation { arvia, belmar, .. } = &federation;
    let sent = arvia.post("/v1/requests", &new_request(REQUEST)).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    assert_eq!((&sent.body["request_id"], &sent.body["index"]), (&json!(REQUEST), &json!(FOUNDED)));
    assert_eq!(sent.header("location"), format!("/v1/requests/{REQUEST}"));
    let again = arvia.post("/v1/requests", &new_request(REQUEST)).await;
    assert_eq!((again.status, &again.body), (201, &sent.body));

    let (came, belmar_cursor) = follow(belmar, String::new(), "event-received").await;
    assert_eq!(
        (&came["request_id"], &came["step"], &came["author"]),
        (&json!(REQUEST), &json!("request"), &json!("XA"))
    );
    let (receipt, arvia_cursor) = follow(arvia, String::new(), "receipt").await;
    assert_eq!((&receipt["peer"], &receipt["event_id"]), (&json!("XB"), &sent.body["event_id"]));

    let ours = arvia.get(&format!("/v1/requests/{REQUEST}")).await.body;
    assert_eq!((&ours["our_side"], &ours["standing"]["turn"]), (&json!("requesting"), &json!("requested")));
    assert_eq!(ours["standing"]["state"], "requested");
    let event = &ours["events"][0];
    assert_eq!((&event["own"], &event["fields"]), (&json!(true), &contents()));
    let held = &event["receipts"][0];
    assert_eq!(
        (&held["party"], &held["delivery"], &held["peer_index"]),
        (&json!("XB"), &json!("receipted"), &json!(FOUNDED))
    );

    let theirs = belmar.get(&format!("/v1/requests/{REQUEST}")).await.body;
    assert_eq!(theirs["events"][0]["fields"], contents());
    let open = theirs["standing"]["next_steps"].as_array().expect("steps");
    assert!(open.contains(&json!("acknowledge")), "{open:?}");
    answer_as_belmar(belmar).await;
    follow(belmar, belmar_cursor, "receipt").await;
    follow(arvia, arvia_cursor, "event-received").await;
    let ours = arvia.get(&format!("/v1/requests/{REQUEST}")).await.body;
    assert_eq!(ours["standing"]["state"], "acknowledged");
    lists_agree(arvia, belmar).await;
    proves(arvia).await;
    federation.close().await;
}

/// Belmar tries what it may not do, and acknowledges.
async fn answer_as_belmar(belmar: &Town) {
    let path = format!("/v1/requests/{REQUEST}/steps");
    let step = |id: &str, step: &str, authority: &str, fields: Value| json!({ "command_id": id, "step": step, "authority": authority, "fields": fields });
    let handling = json!({ "handling.reference": text("B 7"), "handling.role": text("Duty officer") });
    let one = "11111111111111111111111111111111";
    let withdraw = json!({ "release.reason": "no-longer-needed" });
    let wrong = belmar.post(&path, &step(one, "acknowledge", "police", handling.clone())).await;
    check(&wrong, 403, "profile.no-power");
    let wrong = belmar.post(&path, &step(one, "acknowledge", "central", json!({ "handling.role": 7 }))).await;
    check(&wrong, 422, "form.incomplete");
    let fields: Vec<_> = wrong.body["errors"].as_array().expect("errors").iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["handling.role", "handling.reference"]);
    let wrong = belmar.post(&path, &step(one, "dance", "central", json!({}))).await;
    check(&wrong, 422, "form.unknown");
    let form = belmar.get("/v1/forms/PRES/withdraw").await.body;
    let reason = form["fields"].as_array().expect("fields").iter().find(|field| field["key"] == "release.reason");
    let reason = reason.map_or(withdraw, |field| json!({ "release.reason": field["codes"]["codes"][0]["code"] }));
    let wrong = belmar.post(&path, &step(one, "withdraw", "central", reason)).await;
    assert_eq!(wrong.status, 409, "{}", wrong.body);
    assert!(wrong.code().starts_with("procedure."), "{}", wrong.body);
    let done = belmar.post(&path, &step(one, "acknowledge", "central", handling.clone())).await;
    assert_eq!(done.status, 201, "{}", done.body);
    let again = belmar.post(&path, &step(one, "acknowledge", "central", handling)).await;
    assert_eq!((again.status, &again.body), (201, &done.body));
    let note = step(one, "note", "central", json!({ "message": text("Hello") }));
    check(&belmar.post(&path, &note).await, 422, "api.command-reused");
}

async fn lists_agree(arvia: &Town, belmar: &Town) {
    let count = |answer: &Answer, key: &str| answer.body[key].as_array().expect("a list").len();
    let list = arvia.get("/v1/requests?state=acknowledged&procedure=PRES").await;
    assert_eq!((count(&list, "requests"), &list.body["next_cursor"]), (1, &Value::Null));
    assert_eq!(list.body["requests"][0]["turn"], "requested");
    assert_eq!(count(&arvia.get("/v1/requests?state=preserved").await, "requests"), 0);
    assert_eq!(count(&belmar.get("/v1/inbox").await, "requests"), 1);
    assert_eq!(count(&arvia.get("/v1/inbox").await, "requests"), 0);
    assert_eq!(count(&arvia.get("/v1/outbox").await, "peers"), 0);
    let status = arvia.get("/v1/status").await.body;
    assert_eq!(
        (&status["party"], &status["exercise"], &status["read_only"]),
        (&json!("XA"), &json!(true), &Value::Null)
    );
    let peer = &status["peers"][0];
    assert_eq!(
        (&peer["party"], &peer["up"], &peer["hybrid"], &peer["owed"]["count"]),
        (&json!("XB"), &json!(true), &json!(true), &json!(0))
    );
    assert!(status["disk"]["free_bytes"].as_u64().is_some() && status["next_expiry"]["at"].is_string());
    assert_eq!(count(&arvia.get("/v1/peers").await, "peers"), 1);
}

/// The ledger's answers agree with each other, and the proof reads as the wire format says.
async fn proves(town: &Town) {
    let ledger = town.get("/v1/ledger").await.body;
    let size = ledger["size"].as_u64().expect("a size");
    assert!(ledger["checkpoint"].as_str().expect("a note").starts_with("xa.api.test/ledger/1\n"));
    let record = town.get(&format!("/v1/ledger/{FOUNDED}")).await.body;
    assert_eq!((&record["kind"], &record["step"]), (&json!("event-sent"), &json!("request")));
    let proof = town.get(&format!("/v1/ledger/{FOUNDED}/proof")).await.body;
    let bytes = unhex(proof["proof"].as_str().expect("hexadecimal"), "proof").expect("hexadecimal");
    let read = RecordProof::parse(&bytes).expect("a proof");
    assert_eq!(json!(read.record_id().to_string()), record["record_id"]);
    check_files(town, &ledger, FOUNDED).await;
    check(&town.get(&format!("/v1/ledger/{size}")).await, 404, "store.no-such-record");
    check(&town.get("/v1/ledger/first").await, 400, "api.bad-parameter");
    let verified = town.post("/v1/ledger/verify", &json!({})).await.body;
    assert_eq!((&verified["ok"], &verified["records"]), (&json!(true), &json!(size)));
}

/// The ledger as others read it: the layout of tlog-tiles, and what its keys follow from.
async fn check_files(town: &Town, ledger: &Value, index: u64) {
    let note = town.get("/v1/ledger/tlog/checkpoint").await;
    assert!(note.text().starts_with(ledger["origin"].as_str().expect("a name")), "{}", note.text());
    let size: u64 = note.text().lines().nth(1).expect("size").parse().expect("number");
    let tile = town.get(&format!("/v1/ledger/tlog/tile/0/000.p/{size}")).await;
    let entries = town.get(&format!("/v1/ledger/tlog/tile/entries/000.p/{size}")).await;
    assert_eq!((tile.bytes.len() as u64, entries.bytes.len() as u64), (size * 32, size * 35));
    assert!(town.get("/v1/ledger/tlog/policy").await.text().ends_with("\nquorum ledger-ml-dsa-44-1\n"));
    assert!(!town.get("/v1/ledger/tlog/documents").await.bytes.is_empty());
    let proof = town.get(&format!("/v1/ledger/{index}/tlog-proof")).await;
    assert!(proof.text().starts_with("c2sp.org/tlog-proof@v1\nextra "), "{}", proof.text());
    for path in ["", "tile/0/001", "tile/0/000.p/255", "tile/0/0", "tile/data/000", "..%2Fcheckpoint", "checkpoint/"] {
        let answer = town.get(&format!("/v1/ledger/tlog/{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_kept_changed_and_sent() {
    let federation = Federation::of_two().await;
    let arvia = &federation.arvia;
    let path = format!("/v1/drafts/{REQUEST}");
    check(&arvia.get(&path).await, 404, "api.unknown-draft");
    let begun =
        arvia.put(&path, &json!({ "procedure": "PRES", "recipients": ["XB"] }), &[("if-none-match", "*")]).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    assert!(begun.body["errors"].as_array().expect("errors").len() > 10);
    let tag = begun.header("etag");
    assert_eq!(begun.body["etag"], tag);
    check(&arvia.put(&path, &json!({}), &[("if-none-match", "*")]).await, 412, "api.draft-exists");
    check(&arvia.put(&path, &json!({}), &[("if-match", "\"stale\"")]).await, 412, "api.draft-changed");
    check(&arvia.put(&path, &json!({ "colour": 1 }), &[]).await, 400, "api.unknown-field");
    check(&arvia.put(&path, &json!({ "request_id": PARALLEL }), &[]).await, 400, "api.bad-parameter");
    check(&arvia.ask("POST", &format!("{path}/send"), &[], "").await, 422, "api.draft-unfinished");

    let mut whole = new_request(REQUEST);
    whole["fields"]["offence.codes"] = json!(["no-such-offence"]);
    let kept = arvia.put(&path, &whole, &[("if-match", &tag)]).await;
    assert_eq!((kept.status, &kept.body["errors"][0]["field"]), (200, &json!("offence.codes")));
    assert_ne!(kept.header("etag"), tag);
    check(&arvia.ask("POST", &format!("{path}/send"), &[("if-match", &tag)], "").await, 412, "api.draft-changed");
    check(&arvia.post(&format!("{path}/send"), &json!({})).await, 422, "form.incomplete");
    arvia.put(&path, &new_request(REQUEST), &[]).await;
    let listed = arvia.get("/v1/drafts").await.body;
    assert_eq!(listed["drafts"][0]["request_id"], REQUEST);
    let shown = arvia.get(&path).await;
    assert_eq!((&shown.body["fields"], &shown.body["errors"]), (&contents(), &json!([])));

    let sent = arvia.post(&format!("{path}/send"), &json!({})).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    check(&arvia.get(&path).await, 404, "api.unknown-draft");
    check(&arvia.post(&format!("{path}/send"), &json!({})).await, 404, "api.unknown-draft");
    let other = format!("/v1/drafts/{PARALLEL}");
    arvia.put(&other, &json!({}), &[]).await;
    assert_eq!(arvia.ask("DELETE", &other, &[], "").await.status, 204);
    check(&arvia.ask("DELETE", &other, &[], "").await, 404, "api.unknown-draft");
    federation.close().await;
}

/// A request in a language the other Party does not take is warned of, and sent; a translation, signed as an act of its own,
/// ends the warning on both sides.
#[tokio::test(flavor = "multi_thread")]
async fn a_language_is_warned_of_until_a_translation_is_sent() {
    let federation = Federation::of_two().await;
    let (arvia, belmar) = (&federation.arvia, &federation.belmar);
    let mut request = new_request(REQUEST);
    request["fields"]["language.original"] = json!("de");
    let contents = json!({ "fields": request["fields"], "to": "XB" });
    let looked = arvia.post("/v1/forms/PRES/request/check", &contents).await.body;
    assert_eq!((&looked["complete"], &looked["verdict"]), (&json!(true), &json!("warns")));
    assert_eq!(looked["warnings"][0]["code"], "law.language-not-taken", "{looked}");
    let nobody = arvia.post("/v1/forms/PRES/request/check", &json!({ "fields": request["fields"] })).await.body;
    assert_eq!((&nobody["verdict"], &nobody["warnings"]), (&json!("fine"), &json!([])));
    let path = format!("/v1/drafts/{REQUEST}");
    let kept = arvia.put(&path, &request, &[]).await.body;
    assert_eq!((&kept["errors"], &kept["warnings"]), (&json!([]), &looked["warnings"]));
    let sent = arvia.post(&format!("{path}/send"), &json!({})).await;
    assert_eq!(sent.status, 201, "{}", sent.body);

    let shown = format!("/v1/requests/{REQUEST}");
    let ours = arvia.get(&shown).await.body;
    assert_eq!(ours["standing"]["warnings"], looked["warnings"]);
    let original = ours["events"][0]["event_id"].clone();
    let translation = json!({
        "command_id": "22222222222222222222222222222222", "step": "translation", "authority": "central",
        "fields": {
            "translation.of": original, "translation.language": "en",
            "translation.fields": ["offence.facts", "necessity"],
            "translation.texts": [text("Somebody entered a network."), text("They will be deleted.")],
            "translation.translator": text("Sworn translator"), "translation.certified": false,
        },
    });
    let mut misspelt = translation.clone();
    misspelt["fields"]["translation.fields"] = json!(["offence.facts", "offence.codes"]);
    let refused = arvia.post(&format!("{shown}/steps"), &misspelt).await;
    check(&refused, 409, "procedure.guard");
    assert!(refused.body.to_string().contains("offence.codes is no text of PRES/request"), "{}", refused.body);
    let done = arvia.post(&format!("{shown}/steps"), &translation).await;
    assert_eq!(done.status, 201, "{}", done.body);
    let expected = json!([{ "of": original, "language": "en", "event_id": done.body["event_id"] }]);
    let (_, cursor) = follow(belmar, String::new(), "event-received").await;
    follow(belmar, cursor, "event-received").await;
    let theirs = belmar.get(&shown).await.body;
    for (side, body) in [("ours", arvia.get(&shown).await.body), ("theirs", theirs)] {
        assert_eq!(body["standing"]["translations"], expected, "{side}");
        assert_eq!(body["standing"]["warnings"], json!([]), "{side}");
    }
    federation.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_a_problem_with_a_code() {
    let federation = Federation::of_two().await;
    let arvia = &federation.arvia;
    let json_type = [("content-type", "application/json")];
    let post = |body: &'static str| arvia.ask("POST", "/v1/requests", &json_type, body);
    check(&arvia.get("/v2/anything").await, 404, "api.unknown-route");
    check(&arvia.ask("DELETE", "/v1/status", &[], "").await, 405, "api.wrong-method");
    check(&arvia.get("/v1/requests/XYZ").await, 400, "api.bad-parameter");
    check(&arvia.get(&format!("/v1/requests/{REQUEST}")).await, 404, "api.unknown-request");
    check(&arvia.get("/v1/requests?limit=0").await, 400, "api.bad-parameter");
    check(&arvia.get("/v1/requests?colour=red").await, 400, "api.bad-parameter");
    check(&arvia.get("/v1/requests?cursor=x").await, 400, "api.bad-cursor");
    check(&arvia.get("/v1/events?after=x").await, 400, "api.bad-cursor");
    check(&arvia.get("/v1/events?wait=600").await, 400, "api.bad-parameter");
    check(&arvia.get("/v1/forms/PRES/dance").await, 404, "api.unknown-form");
    check(&post("{").await, 400, "api.bad-json");
    check(&post("{}").await, 400, "api.wrong-shape");
    check(&post("{\"colour\": 1}").await, 400, "api.unknown-field");
    check(&arvia.ask("POST", "/v1/requests", &[], "{}").await, 415, "api.wrong-type");
    let huge = format!("\"{}\"", "x".repeat(super::BODY_BYTES_MAX));
    check(&arvia.ask("POST", "/v1/requests", &json_type, &huge).await, 413, "api.too-large");

    let with = |key: &str, value: Value| {
        let mut request = new_request(REQUEST);
        request[key] = value;
        request
    };
    check(&arvia.post("/v1/requests", &with("procedure", json!("MLA"))).await, 422, "form.unknown");
    check(&arvia.post("/v1/requests", &with("recipients", json!([]))).await, 422, "request.unknown");
    check(&arvia.post("/v1/requests", &with("recipients", json!(["xb"]))).await, 400, "api.bad-parameter");
    check(&arvia.post("/v1/requests", &with("authority", json!("police"))).await, 403, "profile.no-power");
    let wrong = arvia.post("/v1/requests", &with("fields", json!({}))).await;
    check(&wrong, 422, "form.incomplete");
    assert_eq!(wrong.body["errors"][0]["code"], "form.missing-field");
    check(&arvia.get("/v1/ledger/9/proof").await, 404, "store.no-such-record");
    let contract = arvia.get("/v1/openapi.json").await;
    assert_eq!((contract.status, &contract.body["openapi"]), (200, &json!("3.1.0")));
    federation.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_readers_have_their_places_and_do_not_hold_up_the_end() {
    let federation = Federation::of_two().await;
    let arvia = &federation.arvia;
    let founded = arvia.get("/v1/events").await.body;
    let told = founded["events"].as_array().expect("a list");
    assert!(told.len() == 3 && told.iter().all(|event| event["kind"] == "roster-change"), "{told:?}");
    assert_eq!(founded["epoch"], "xa.api.test/ledger/1");
    let next = founded["cursor"].as_str().expect("a cursor");
    // One more than there are places: that one is refused says that all others wait.
    let readers = (0..=super::guard::WAITING_MAX).map(async |_| {
        let answer = arvia.get(&format!("/v1/events?wait=55&after={next}")).await;
        if answer.status != 200 {
            check(&answer, 503, "api.too-many-waiting");
            assert_eq!(answer.header("retry-after"), "5");
            assert_eq!(arvia.get("/v1/status").await.status, 200);
            arvia.let_go();
        }
        answer
    });
    let answers = futures::future::join_all(readers).await;
    let told: Vec<&Value> =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| &answer.body["events"]).collect();
    assert_eq!(told, vec![&json!([]); super::guard::WAITING_MAX]);
    federation.close().await;
}
