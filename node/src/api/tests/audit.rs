//! Who is recorded, and that nothing is shown or done of which there is no record.

use comity_core::{
    ids::Time,
    record::{self, Asked, Moment},
};
use serde_json::{Value, json};

use super::{FOUNDED, Federation, PARALLEL, REQUEST, Town, check, follow, new_request};
use crate::{audit::AuditFault, store::StoreFault};

async fn entries(town: &Town, query: &str) -> Vec<Value> {
    let answer = town.get(&format!("/v1/audit{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["entries"].as_array().expect("a list").clone()
}

fn calls(entries: &[Value]) -> Vec<String> {
    let text = |entry: &Value, key: &str| entry[key].as_str().expect("text").to_owned();
    let call = |entry| format!("{} {} {}", text(entry, "kind"), text(entry, "method"), text(entry, "route"));
    entries.iter().map(call).collect()
}

/// an act with its request, an access with its outcome, each under the id its answer had; what shows
/// no contents leaves no record.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_shown_what_is_recorded() {
    let federation = Federation::of_two().await;
    let Federation { arvia, belmar, .. } = &federation;
    let sent = arvia.post("/v1/requests", &new_request(REQUEST)).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    follow(belmar, String::new(), "event-received").await;
    follow(arvia, String::new(), "receipt").await;
    let path = format!("/v1/requests/{REQUEST}");
    let shown = arvia.get(&path).await;
    let missing = arvia.get(&format!("/v1/requests/{PARALLEL}")).await;
    check(&missing, 404, "api.unknown-request");
    let head = arvia.ask("HEAD", &path, &[], "").await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    let named = arvia.get("/v1/requests/a%20name").await;
    check(&named, 400, "api.bad-parameter");
    let proof = arvia.get(&format!("/v1/ledger/{FOUNDED}/tlog-proof")).await;
    assert_eq!(proof.status, 200);
    for quiet in ["/v1/status", "/v1/requests", "/v1/inbox", "/v1/events", "/v1/ledger/1", "/v1/audit/tlog/tile/0/000"]
    {
        arvia.get(quiet).await;
    }

    let found = entries(arvia, "").await;
    let show = "GET /v1/requests/{request_id}";
    let expected = [
        "access GET /v1/ledger/{index}/tlog-proof".to_owned(),
        format!("access {show}"),
        format!("access HEAD {}", &show[4..]),
        format!("access {show}"),
        format!("access {show}"),
        "act POST /v1/requests".to_owned(),
    ];
    assert_eq!(calls(&found), expected);
    let user = rustix::process::getuid().as_raw();
    assert!(found.iter().all(|entry| entry["user"] == user), "{found:?}");
    assert_eq!(found[0]["request_id"], REQUEST);
    assert_eq!((&found[1]["ids"]["request_id"], &found[1]["code"]), (&json!(""), &json!("api.bad-parameter")));
    assert_eq!((&found[3]["status"], &found[3]["code"]), (&json!(404), &json!("api.unknown-request")));
    assert_eq!((&found[4]["status"], &found[4]["ids"]["request_id"]), (&json!(200), &json!(REQUEST)));
    assert_eq!(found[4]["call"], shown.header("x-request-id"));
    assert_eq!((&found[5]["request_id"], &found[5]["status"]), (&json!(REQUEST), &Value::Null));
    assert_eq!(found[5]["call"], sent.header("x-request-id"));
    pages_agree(arvia).await;
    stays_here(arvia, belmar).await;
    federation.close().await;
}

/// Reading the list is recorded; of one request only what concerns it is listed, page after page.
async fn pages_agree(town: &Town) {
    assert_eq!(calls(&entries(town, "?limit=1").await), ["access GET /v1/audit"]);
    let (mut cursor, mut found) = (String::new(), Vec::new());
    for _ in 0..20 {
        let page = town.get(&format!("/v1/audit?request={REQUEST}&limit=1{cursor}")).await.body;
        found.extend(page["entries"].as_array().expect("a list").iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|entry| entry["request_id"] == REQUEST));
    check(&town.get("/v1/audit?cursor=AA").await, 400, "api.bad-cursor");
    check(&town.get("/v1/audit?request=x").await, 400, "api.bad-parameter");
    let verified = town.post("/v1/audit/verify", &json!({})).await.body;
    assert_eq!((&verified["ok"], &verified["erased"]), (&json!(true), &json!(0)), "{verified}");
}

/// no ledger has a leaf of it, so that nothing of it is delivered, witnessed or exported with one.
async fn stays_here(arvia: &Town, belmar: &Town) {
    let sizes = async |town: &Town| town.get("/v1/ledger").await.body["size"].clone();
    let before = (sizes(arvia).await, sizes(belmar).await);
    for _ in 0..5 {
        assert_eq!(arvia.get(&format!("/v1/requests/{REQUEST}")).await.status, 200);
    }
    assert_eq!((sizes(arvia).await, sizes(belmar).await), before);
    assert_eq!(entries(belmar, "").await, [] as [Value; 0]);
    let view = arvia.view();
    assert!(view.trust().party_of(view.audit.origin()).is_none(), "no profile names it");
}

/// many readers at once share the syncs of the disk, and each is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_readers_is_recorded() {
    let federation = Federation::of_two().await;
    let arvia = &federation.arvia;
    assert_eq!(arvia.post("/v1/requests", &new_request(REQUEST)).await.status, 201);
    let path = format!("/v1/requests/{REQUEST}");
    let answers = futures::future::join_all((0..40).map(|_| arvia.get(&path))).await;
    let mut told: Vec<String> = answers.iter().map(|answer| answer.header("x-request-id")).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    let found = entries(arvia, "?limit=40").await;
    let mut recorded: Vec<String> =
        found.iter().map(|entry| entry["call"].as_str().expect("text").to_owned()).collect();
    told.sort();
    recorded.sort();
    assert_eq!(told, recorded);
    federation.close().await;
}

/// Appends until the disk has no room for the next segment.
fn fill(town: &Town) {
    let view = town.view();
    let trust = view.trust();
    let asked = |call: String| Asked {
        user: 0,
        call,
        method: "GET".to_owned(),
        route: "/v1/requests/{request_id}".to_owned(),
        ids: Vec::new(),
        request: None,
        outcome: None,
    };
    // By large steps, and then where only single records still fit.
    for count in [256, 1] {
        let is_full = (0..1_000).any(|n| {
            let moment = Moment { trust: &trust, recorded: Time(n), salt: [7; 32] };
            let one = |m: u64| record::audit(&moment, (&view.us.party, view.audit.origin()), asked(format!("{n} {m}")));
            match view.audit.ledger().append((0..count).map(one).collect()).expect("submitted").wait() {
                Ok(_) => false,
                Err(StoreFault::DiskFull) => true,
                Err(other) => panic!("{other}"),
            }
        });
        assert!(is_full, "the disk is full at last");
    }
}

/// contents and acts are refused while their record has no room, and given again once it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_shows_nothing_and_does_nothing() {
    let federation = Federation::of_two().await;
    let arvia = &federation.arvia;
    assert_eq!(arvia.post("/v1/requests", &new_request(REQUEST)).await.status, 201);
    let path = format!("/v1/requests/{REQUEST}");
    let faults = arvia.view().audit.ledger().faults().clone();
    faults.set_space(Some(0));
    tokio::task::block_in_place(|| fill(arvia));
    let refused = arvia.get(&path).await;
    check(&refused, 507, "audit.disk-full");
    assert_eq!(refused.header("retry-after"), "60");
    assert!(!refused.text().contains("hospital"), "nothing of the case is in the answer");
    check(&arvia.get("/v1/audit").await, 507, "audit.disk-full");
    let size = arvia.view().ledger.size();
    check(&arvia.post("/v1/requests", &new_request(PARALLEL)).await, 507, "audit.disk-full");
    assert_eq!(arvia.get("/v1/requests").await.status, 200);
    check(&arvia.put(&format!("/v1/drafts/{PARALLEL}"), &json!({}), &[]).await, 507, "audit.disk-full");
    faults.set_space(None);
    assert_eq!(arvia.get(&path).await.status, 200);
    check(&arvia.get(&format!("/v1/drafts/{PARALLEL}")).await, 404, "api.unknown-draft");
    check(&arvia.get(&format!("/v1/requests/{PARALLEL}")).await, 404, "api.unknown-request");
    assert!(arvia.view().ledger.size() >= size);
    federation.close().await;
}

/// when the record cannot be written, or the tree is damaged, nothing is shown; peers are still received from.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_audit_tree_the_node_only_receives() {
    for damaged in [false, true] {
        let federation = Federation::of_two().await;
        let Federation { arvia, belmar, .. } = &federation;
        assert_eq!(arvia.post("/v1/requests", &new_request(REQUEST)).await.status, 201);
        follow(belmar, String::new(), "event-received").await;
        let audit = &belmar.view().audit;
        let expected = if damaged {
            let damage = StoreFault::Damaged(harm(belmar)).code();
            assert_eq!(damage, "store.bad-frame");
            assert_eq!(belmar.post("/v1/audit/verify", &json!({})).await.body["code"], damage);
            AuditFault::Damaged(damage)
        } else {
            audit.ledger().faults().fail_writes(true);
            AuditFault::NotWritten("store.write-failed")
        };
        let path = format!("/v1/requests/{REQUEST}");
        check(&belmar.get(&path).await, 503, expected.code());
        audit.ledger().faults().fail_writes(false);
        check(&belmar.get(&path).await, 503, expected.code());
        let hold = json!({ "reason": "court" });
        check(&belmar.put(&format!("{path}/hold"), &hold, &[]).await, 503, expected.code());
        let ready = belmar.get("/v1/ready").await;
        assert!(ready.status == 503 && ready.text().contains(expected.code()), "{}", ready.body);
        let status = belmar.get("/v1/status").await;
        assert!(status.status == 200 && status.text().contains(expected.code()), "{}", status.body);
        let before = belmar.view().ledger.size();
        assert_eq!(arvia.post("/v1/requests", &new_request(PARALLEL)).await.status, 201);
        let cursor = belmar.get("/v1/events?limit=500").await.body["cursor"].as_str().expect("a cursor").to_owned();
        if belmar.view().ledger.size() == before {
            follow(belmar, cursor, "event-received").await;
        }
        assert!(belmar.view().ledger.size() > before, "it receives");
        federation.close().await;
    }
}

/// Flips a bit of a record on disk, and has it found.
fn harm(town: &Town) -> crate::store::Damage {
    use std::os::unix::fs::FileExt as _;
    let view = town.view();
    tokio::task::block_in_place(|| {
        let moment = Moment { trust: &view.trust(), recorded: Time(1), salt: [7; 32] };
        let asked = Asked {
            user: 0,
            call: String::new(),
            method: String::new(),
            route: String::new(),
            ids: Vec::new(),
            request: None,
            outcome: None,
        };
        let one = record::audit(&moment, (&view.us.party, view.audit.origin()), asked);
        for _ in 0..2 {
            view.audit.ledger().append(vec![one.clone()]).expect("submitted").wait().expect("appended");
        }
        let path = view.data.join("audit/segments/000000.seg");
        let file = std::fs::OpenOptions::new().write(true).open(path).expect("opens");
        file.write_all_at(&[0xff; 4], 64 + 40).expect("written");
        match view.audit.ledger().verify(&mut |_| ()) {
            Err(StoreFault::Damaged(damage)) => damage,
            other => panic!("{other:?}"),
        }
    })
}
