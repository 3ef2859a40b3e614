//! The tree itself: what a record says and proves, who takes part in a crowd, and what a failing disk refuses.

use std::{fs, sync::Arc};

use comity_core::{
    crypto::{HybridSigner, Seed},
    ids::Digest,
    ledger::{RecordProof, Salt, VerifiedCheckpoint},
    profile::Book,
    proto::{Algorithm, KeyRole},
    record::Outcome,
};
use tempfile::TempDir;

use super::*;
use crate::witness::sample;

fn key() -> DataKey {
    DataKey::new([9; 32])
}

fn network() -> NetworkName {
    NetworkName::parse("demo.test").expect("a name")
}

fn party() -> PartyCode {
    PartyCode::parse("XA").expect("a code")
}

fn trust() -> Trust {
    let (signed, fingerprint) = sample::charter();
    let mut book = Book::found(&signed, fingerprint).expect("holds");
    book.accept(&sample::profile("XA", "XA"), sample::NOW).expect("accepted");
    book.trust()
}

fn open(home: &TempDir) -> (Audit, Opened) {
    let (ledger, opened) = open_ledger(home.path(), &key()).expect("opens");
    (Audit::new(ledger, &party(), &network()).expect("reads"), opened)
}

fn asked(call: u64, outcome: Option<Outcome>) -> Asked {
    Asked {
        user: 1000,
        call: call.to_string(),
        method: "GET".to_owned(),
        route: "/v1/requests/{request_id}".to_owned(),
        ids: vec![("request_id".to_owned(), "07".repeat(16))],
        request: Some(comity_core::ids::RequestId::new([7; 16])),
        outcome,
    }
}

fn given() -> Option<Outcome> {
    Some(Outcome { status: 200, code: String::new() })
}

fn signer() -> HybridSigner {
    let seeds = [Seed::new([1; 32]), Seed::new([2; 32])];
    HybridSigner::new(KeyRole::Checkpoint, &seeds[0], Algorithm::MlDsa44, &seeds[1]).expect("keys")
}

/// what was recorded is read after a reopen, and one record is proven without the others.
#[tokio::test]
async fn a_record_says_who_asked_and_is_proven_alone() {
    let home = tempfile::tempdir().expect("folder");
    let trust = trust();
    let (audit, _) = open(&home);
    audit.record(&trust, asked(1, given())).await.expect("recorded");
    audit.record(&trust, asked(2, None)).await.expect("recorded");
    audit
        .record(&trust, asked(3, Some(Outcome { status: 404, code: "api.unknown-request".to_owned() })))
        .await
        .expect("recorded");
    audit.sign(&signer(), sample::NOW).expect("signed");
    drop(audit);
    let (audit, opened) = open(&home);
    assert_eq!((opened.size, opened.read_only, audit.ledger().signed()), (3, None, 3));
    let read: Vec<Audited> = (0..3).map(|index| audit.read(LedgerIndex(index)).expect("reads")).collect();
    let kinds: Vec<RecordKind> = read.iter().map(|audited| audited.kind).collect();
    assert_eq!(kinds, [RecordKind::Access, RecordKind::Act, RecordKind::Access]);
    let AuditEntry { user, method, route, request_id, status, .. } = &read[0].entry;
    assert_eq!((*user, &method[..], &route[..], *status), (1000, "GET", "/v1/requests/{request_id}", 200));
    assert_eq!((&request_id[..], read[2].entry.code.as_str()), (&[7; 16][..], "api.unknown-request"));
    assert_eq!(read[0].entry.origin, "xa.demo.test/audit");
    assert!(read.is_sorted_by_key(|audited| audited.entry.time_ms));

    let note = audit.ledger().checkpoint().expect("kept");
    let signer = signer();
    let checkpoint = VerifiedCheckpoint::verify(&note, audit.origin(), signer.public()).expect("holds");
    let stored = audit.ledger().read(LedgerIndex(1)).expect("reads");
    let case = stored.case.expect("under the node's own key");
    let salt = Salt(case.salt.try_into().expect("32 bytes"));
    let id = Digest::from_slice(&stored.node.record_id).expect("a digest");
    let path = audit.ledger().prove(LedgerIndex(1), 3).expect("a path");
    let proof = RecordProof::of(id, case.context, salt, LedgerIndex(1), path, note.clone()).expect("a proof");
    let proven = proof.verify(&id, RecordKind::Act, &checkpoint);
    proven.expect("stands there");
}

/// whoever is told that it is recorded finds it, in a crowd as alone, and times never run backwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_recorded_whole_and_in_order() {
    let home = tempfile::tempdir().expect("folder");
    let (trust, (audit, _)) = (Arc::new(trust()), open(&home));
    let audit = Arc::new(audit);
    let readers = (0..200).map(|call| {
        let (audit, trust) = (Arc::clone(&audit), Arc::clone(&trust));
        tokio::spawn(async move { audit.record(&trust, asked(call, given())).await })
    });
    for told in futures::future::join_all(readers).await {
        told.expect("no panic").expect("recorded");
    }
    let read: Vec<AuditEntry> = (0..200).map(|index| audit.read(LedgerIndex(index)).expect("reads").entry).collect();
    assert!(read.is_sorted_by_key(|entry| entry.time_ms));
    let mut calls: Vec<u64> = read.iter().map(|entry| entry.call.parse().expect("a number")).collect();
    calls.sort_unstable();
    assert_eq!(calls, (0..200).collect::<Vec<u64>>());
    assert_eq!(audit.ledger().verify(&mut |_| ()).expect("whole").records, 200);
}

/// a checkpoint that counts more than is here is damage: nothing more is recorded, and nothing signed.
#[tokio::test]
async fn what_was_cut_off_behind_a_checkpoint_is_noticed() {
    let home = tempfile::tempdir().expect("folder");
    let trust = trust();
    let (audit, _) = open(&home);
    audit.record(&trust, asked(1, given())).await.expect("recorded");
    audit.sign(&signer(), sample::NOW).expect("signed");
    drop(audit);
    fs::remove_dir_all(home.path().join(FOLDER).join("segments")).expect("removed");
    let (audit, opened) = open(&home);
    assert_eq!(opened.read_only.expect("noticed").code(), "store.records-missing");
    let refused = audit.record(&trust, asked(2, given())).await.expect_err("refused");
    assert_eq!(refused.code(), "audit.damaged");
    assert!(refused.to_string().contains("store.records-missing"), "{refused}");
    audit.sign(&signer(), sample::NOW).expect("nothing to sign");
    assert_eq!(audit.ledger().signed(), 1);
}

/// its key is its own: neither the ledger's nor another node's opens it.
#[test]
fn another_key_does_not_open_it() {
    let home = tempfile::tempdir().expect("folder");
    assert_ne!(super::key(&key()).expose(), key().expose());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("starts");
    let (audit, _) = open(&home);
    runtime.block_on(audit.record(&trust(), asked(1, None))).expect("recorded");
    drop(audit);
    let other = open_ledger(home.path(), &DataKey::new([8; 32])).err().expect("refused");
    assert_eq!(other.code(), "store.wrong-key");
    let ledgers = Ledger::open_audit(&home.path().join(FOLDER), &key()).err().expect("refused");
    assert_eq!(ledgers.code(), "store.wrong-key");
}

#[test]
fn every_text_begins_with_its_own_code() {
    let all = [
        AuditFault::DiskFull,
        AuditFault::Busy,
        AuditFault::Damaged("store.bad-frame"),
        AuditFault::NotWritten("store.stopped"),
    ];
    for fault in all {
        assert!(fault.to_string().starts_with(&format!("{}: ", fault.code())), "{fault}");
    }
}
