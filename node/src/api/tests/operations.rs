//! What an operator's tools ask, of two real nodes.

use std::time::Duration;

use comity_core::{
    ids::{Digest, PartyCode},
    ledger::{Checkpoint, Fork},
    proto::{WitnessAnswer, WitnessAsk, witness_answer::Outcome, witness_ask::What},
    wire::DELIVERY_MAX,
};
use serde_json::{Value, json};

use super::{FOUNDED, Federation, Town, check};
use crate::{
    net::{NetEvent, receive, send},
    time,
    tlog::check_fork,
};

/// Looks at the one peer of a node until it is as wanted.
async fn until(town: &Town, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until_at(town, "/v1/peers", what, |peers| fits(&peers["peers"][0])).await["peers"][0].clone()
}

async fn until_at(town: &Town, path: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let body = town.get(path).await.body;
            if fits(&body) {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

fn codes(found: &Value) -> Vec<(String, Value)> {
    let steps = found["steps"].as_array().expect("steps").iter();
    steps.map(|step| (step["step"].as_str().expect("a name").to_owned(), step["code"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fit_node_says_so_and_gives_its_figures() {
    let federation = Federation::of_two().await;
    let arvia = &federation.arvia;
    let health = arvia.get("/v1/health").await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("pass")));
    let ready = arvia.get("/v1/ready").await;
    assert_eq!((ready.status, &ready.body["ok"]), (200, &json!(true)), "{}", ready.body);
    let steps: Vec<String> = codes(&ready.body).into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, ["ledger", "audit", "disk", "clock", "charter", "keys", "listening"]);
    until(arvia, "a link", |peer| peer["up"] == true).await;
    let figures = arvia.get("/v1/metrics").await;
    assert!(figures.header("content-type").starts_with("application/openmetrics-text"));
    let text = figures.body.as_str().expect("text");
    for line in [
        "comity_peer_up{peer=\"XB\"} 1",
        "comity_owed_events{peer=\"XB\",lane=\"emergency\"} 0",
        "comity_owed_oldest_age_seconds{peer=\"XB\",lane=\"normal\"} 0",
        "comity_peer_misconduct_total{peer=\"XB\"} 0",
        "comity_deadlines{state=\"overdue\"} 0",
        "comity_read_only 0",
        "comity_strangers_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is in:\n{text}");
    }
    assert!(text.contains("comity_expiry_timestamp_seconds{what=\"seal key\"} "));
    assert!(text.ends_with("# EOF\n"));
    federation.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_to_a_peer_is_tried_step_by_step() {
    let federation = Federation::of_two().await;
    let (arvia, belmar) = (&federation.arvia, &federation.belmar);
    until(arvia, "a link", |peer| peer["up"] == true).await;
    let found = arvia.post("/v1/peers/XB/examine", &json!({})).await.body;
    assert_eq!(found["ok"], true, "{found}");
    let expected = ["profile", "conduct", "name", "port", "link", "keys exchanged", "round trip", "clock"];
    let steps: Vec<String> = codes(&found).into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, expected);
    let called = belmar.post("/v1/peers/XA/examine", &json!({})).await.body;
    assert_eq!(
        (&called["ok"], &called["steps"][2]["step"]),
        (&json!(true), &json!("address")),
        "no address is set there"
    );
    check(&arvia.post("/v1/peers/XQ/examine", &json!({})).await, 404, "api.unknown-party");
    check(&arvia.post("/v1/peers/nobody/examine", &json!({})).await, 400, "api.bad-parameter");
    federation.close().await;
}

/// SPEC `[T-5]` is asked of a peer that is there; one that is cut off is not asked, and returns by a person's word.
#[tokio::test(flavor = "multi_thread")]
async fn who_broke_the_protocol_is_cut_off_and_let_in_by_a_person() {
    let federation = Federation::of_two().await;
    let arvia = &federation.arvia;
    until(arvia, "a link", |peer| peer["up"] == true).await;
    check(&arvia.post("/v1/peers/XB/readmit", &json!({})).await, 409, "api.not-cut-off");
    let party = PartyCode::parse("XB").expect("code");
    for _ in 0..2 {
        arvia.view().conduct.wrong(&party, "event.malformed", Some(b"what came"), time::now());
    }
    let out = until(arvia, "the link's end", |peer| peer["up"] == false).await;
    assert_eq!((&out["misconduct"], &out["why"]), (&json!(2), &json!("net.cut-off")));
    assert!(out["cut_off_until"].is_string());
    let found = arvia.post("/v1/peers/XB/examine", &json!({})).await.body;
    let wrong: Vec<Value> = codes(&found).into_iter().map(|(_, code)| code).filter(Value::is_string).collect();
    assert_eq!(wrong, ["net.cut-off", "net.cut-off"], "{found}");
    let kept = |shown: &Value| shown["wrongs"][0]["proof"] == true;
    let shown = until_at(arvia, "/v1/peers/XB", "the frame is kept", kept).await;
    assert_eq!(shown["wrongs"][0]["code"], "event.malformed");
    let proof = arvia.get("/v1/peers/XB/proofs/event.malformed").await;
    assert_eq!(proof.body, "what came");
    check(&arvia.get("/v1/peers/XB/proofs/event.bad-slip").await, 404, "api.no-such-proof");
    assert_eq!(arvia.post("/v1/peers/XB/readmit", &json!({})).await.status, 200);
    let back = until(arvia, "the link's return", |peer| peer["up"] == true).await;
    assert_eq!((&back["misconduct"], &back["cut_off_until"]), (&json!(2), &Value::Null));
    federation.close().await;
}

/// Deliveries that are none: bare noise, messages nested a thousand deep, one as large as may be.
#[tokio::test(flavor = "multi_thread")]
async fn noise_is_answered_by_cutting_off_and_nothing_of_it_is_recorded() {
    let (arvia, rogue, mut events, _folder) = Federation::with_rogue().await;
    let party = PartyCode::parse("XA").expect("code");
    let nested = (0..1_000_u32).fold(vec![8, 1], |inner, _| {
        let mut outer = vec![10];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        [outer, inner].concat()
    });
    let noise = [b"\xff\xff\xff".to_vec(), nested, vec![0xa5; DELIVERY_MAX]];
    let (mut up, mut sent, mut left) = (false, 0, 0);
    let cut = async {
        loop {
            match events.recv().await.expect("the network runs") {
                NetEvent::Up { .. } => up = true,
                NetEvent::Down { .. } => (up, left) = (false, left + 1),
                _ => {}
            }
            let look = arvia.get("/v1/peers").await.body["peers"][0].clone();
            if look["cut_off_until"].is_string() && left > 0 {
                return look;
            }
            while up && sent < 30 && rogue.net.send(&party, noise[sent % noise.len()].clone()).is_ok() {
                sent += 1;
            }
        }
    };
    let look = tokio::time::timeout(Duration::from_secs(20), cut).await.expect("it is cut off");
    assert!(look["misconduct"].as_u64().is_some_and(|count| count >= 2), "{look}");
    let kept = |shown: &Value| shown["wrongs"][0]["proof"] == true;
    let shown = until_at(&arvia, "/v1/peers/XB", "the frame is kept", kept).await;
    assert_eq!(shown["wrongs"][0]["code"], "event.malformed");
    assert_eq!(arvia.get("/v1/ledger").await.body["size"], FOUNDED, "nothing of it is recorded");
    let proof = arvia.get("/v1/peers/XB/proofs/event.malformed").await.body;
    assert!(proof.as_str().is_some_and(|proof| !proof.is_empty()), "the frame is kept");
    rogue.net.stop().await;
    arvia.close().await;
}

/// SPEC `[N-2]`: a fork that a peer shows is taken in, people see it, and it is handed on as a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_a_peer_shows_is_seen_and_handed_on() {
    let (arvia, rogue, mut events, _folder) = Federation::with_rogue().await;
    let (xa, xb) = (PartyCode::parse("XA").expect("code"), PartyCode::parse("XB").expect("code"));
    until(&arvia, "a link", |peer| peer["up"] == true).await;
    let reading = tokio::spawn(async move { while events.recv().await.is_some() {} });
    check(&arvia.get("/v1/peers/XB/fork").await, 404, "api.no-such-fork");
    let trust = arvia.view().trust();
    let profile = trust.profile(&xb, time::now()).expect("a profile");
    let (_, signer) = rogue.keys.checkpoint_signer(profile, time::now()).expect("held");
    let note = |root: u8| {
        let origin = profile.ledger().origin.clone();
        let checkpoint = Checkpoint { origin, size: 9, root: Digest::new([root; 32]) };
        checkpoint.sign(signer, time::now()).expect("signed").into_bytes()
    };
    let fork = Fork::of(&note(1), &note(2)).expect("a fork");
    let opener = rogue.net.opener();
    let ask = WitnessAsk { what: Some(What::Fork(fork.to_wire())) };
    let asked = async {
        loop {
            // The link is up for Arvia first; and the two dial each other, so that one connection may give way. Where both
            // do, the next comes within half a minute.
            if let Ok(mut stream) = opener.witness(&xa).await
                && send(&mut stream, &ask).await.is_ok()
                && let Ok(Some(answer)) = receive::<WitnessAnswer>(&mut stream, 1 << 20).await
            {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), asked).await.expect("an answer");
    assert_eq!(answer.outcome, Some(Outcome::Fork(true)));
    let seen = until(&arvia, "the fork", |peer| peer["ledger"]["forked"] == true).await;
    assert_eq!(seen["up"], true, "exchange goes on until people decide");
    let file = arvia.get("/v1/peers/XB/fork").await.bytes;
    let (whose, forked) = check_fork(&file, rogue.fingerprint, time::now()).expect("holds");
    assert_eq!((whose, forked.size), (xb, 9));
    let warned = arvia.get("/v1/status").await.body["warnings"].to_string();
    assert!(warned.contains("ledger.forked"), "{warned}");
    reading.abort();
    arvia.close().await;
}
