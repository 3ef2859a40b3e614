//! Erasures told without chance: what stands in the way of one, what is left behind it, and what a crash at any of its steps
//! leaves. SPEC `[F-10]`.

use super::{
    scenarios::{act, act_only, exchange, hand_over, open, quiet, state, work},
    *,
};
use crate::{
    clock::kept_until,
    engine::{Custody, NotDone},
    ids::Digest,
    proto::{CustodyAct, ErasureRow},
};

const EARLY: &str = "court-order";
const OVER: &str = "retention-over";

/// Asks a node to erase, and lets it work until it has said what became of that.
fn erase(sim: &mut Sim, node: usize, request: RequestId, ground: &str) -> Result<ErasureRow, NotDone> {
    sim.nodes[node].erase(request, ground);
    let sent = work(sim, node);
    assert!(sent.is_empty(), "nobody else is told of an erasure");
    sim.nodes[node].erased.pop().expect("every wish has an answer")
}

fn refused(sim: &mut Sim, node: usize, request: RequestId, ground: &str) -> &'static str {
    erase(sim, node, request, ground).expect_err("it is not done").code
}

fn hold(sim: &mut Sim, node: usize, request: RequestId, reason: Option<&str>) -> Result<bool, &'static str> {
    sim.nodes[node].hold(request, reason);
    work(sim, node);
    let held = sim.nodes[node].held.pop().expect("every wish has an answer");
    held.map(|hold| hold.is_some()).map_err(|refused| refused.code)
}

/// Power comes back and the line with it.
fn crash(sim: &mut Sim, node: usize, lose_index: bool) {
    sim.nodes[node].crash(0, lose_index);
    sim.set_link(0, 1, false);
    sim.set_link(0, 1, true);
    exchange(sim, node);
}

/// A request that was asked for and withdrawn, known to both.
fn ended(sim: &mut Sim) -> RequestId {
    let request = open(sim);
    act(sim, 0, request, "withdraw").expect("withdrawn");
    assert_eq!(state(sim, 1, &request), "withdrawn");
    request
}

/// The index is what the ledger says, whose keys are gone as far as they are; and it knows nothing of the request.
#[track_caller]
fn is_gone(sim: &Sim, node: usize, request: &RequestId) {
    let node = &sim.nodes[node];
    assert_eq!(node.rebuilt().pairs(), node.index.pairs(), "an index built anew is the same");
    assert!(node.index.threads_of(request).expect("answers").is_empty());
    assert_eq!(node.index.erasures_begun().expect("answers"), [], "nothing is left to be done");
    let row = node.index.erasure(request).expect("answers").expect("erased");
    assert!(row.erased_index > row.intent_index, "{row:?}");
    let kinds: Vec<RecordKind> = node.ledger().iter().map(|record| record.kind).collect();
    let of = |kind: RecordKind| kinds.iter().filter(|other| **other == kind).count();
    assert_eq!((of(RecordKind::ErasureIntent), of(RecordKind::Erasure)), (1, 1), "each once");
    let keyless = node.ledger().iter().filter(|record| node.is_destroyed(record)).count();
    assert_eq!(keyless, node.ledger().iter().filter(|record| record.request == Some(*request)).count());
    let thread = sim.thread(&sim.requests[0]);
    assert!(node.index.thread(&thread).expect("answers").is_none());
    assert!(node.index.events(&thread).expect("answers").is_empty());
    let rows = node.index.ended(&ProcedureCode::parse("PRES").expect("code"), Time(u64::MAX), 9).expect("answers");
    assert!(rows.is_empty() && node.index.by_deadline(9).expect("answers").is_empty());
}

#[test]
fn an_erased_request_is_gone_here_and_stands_there() {
    let mut sim = quiet();
    let request = ended(&mut sim);
    let before = sim.nodes[1].index.clone();
    let row = erase(&mut sim, 0, request, EARLY).expect("erased");
    assert_eq!(row.ground, EARLY);
    is_gone(&sim, 0, &request);
    assert_eq!(erase(&mut sim, 0, request, OVER), Ok(row), "asked again, under any ground, it was done once");
    assert_eq!(sim.nodes[1].index.pairs(), before.pairs(), "the other side is not touched");
    sim.check_always();
    sim.check_healed();
}

#[test]
fn nothing_can_be_added_to_what_is_erased() {
    let mut sim = quiet();
    let request = ended(&mut sim);
    let size = |sim: &Sim| sim.nodes[0].ledger().len();
    erase(&mut sim, 0, request, EARLY).expect("erased");
    let after = size(&sim);
    for step in ["note", "request"] {
        assert_eq!(act_only(&mut sim, 0, request, step).err().expect("refused").code, "request.erased", "{step}");
    }
    let statement = Custody {
        command_id: [3; 16],
        request,
        authority: AuthorityId::parse("central").expect("id"),
        act: CustodyAct::Seal,
        manifest: Digest::new([4; 32]),
        items: 1,
        bytes: 1,
        delivery: None,
    };
    sim.nodes[0].custody(statement);
    work(&mut sim, 0);
    let (_, stated) = sim.nodes[0].replies.pop().expect("a reply");
    assert_eq!(stated.expect_err("refused").code, "request.erased");
    assert_eq!(hold(&mut sim, 0, request, Some("proceedings")), Err("request.erased"));
    assert_eq!(size(&sim), after, "nothing is recorded of any of it");
}

/// A command carried out before the erasure gives its first answer still; so does a delivery, whose proof is gone.
#[test]
fn second_arrivals_are_answered_after_an_erasure() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let (done, frames) = act_only(&mut sim, 0, request, "withdraw").expect("withdrawn");
    hand_over(&mut sim, 0, &frames);
    exchange(&mut sim, 1);
    erase(&mut sim, 1, request, EARLY).expect("erased");
    for lose_index in [false, true] {
        crash(&mut sim, 1, lose_index);
        let size = sim.nodes[1].ledger().len();
        hand_over(&mut sim, 0, &frames);
        let answers = work(&mut sim, 1);
        let Some((_, Frame::Answer(answer))) = answers.last() else { panic!("an answer") };
        assert_eq!(*answer, crate::carry::erased(&done.event));
        assert_eq!(sim.nodes[1].ledger().len(), size, "nothing is recorded twice");
    }
}

/// [D-4]: whoever does not know that a request was erased elsewhere, and acts in it, is told so on record; its act is void.
#[test]
fn a_late_act_is_refused_on_record() {
    for lose_index in [false, true] {
        let mut sim = quiet();
        let request = ended(&mut sim);
        erase(&mut sim, 0, request, EARLY).expect("erased");
        crash(&mut sim, 0, lose_index);
        let note = act(&mut sim, 1, request, "note").expect("it does not know");
        let answer = sim.nodes[1].index.answer(&note.event, &sim.nodes[0].party.clone()).expect("answers");
        let answer = answer.expect("answered");
        assert_eq!((answer.kind(), &answer.code[..]), (RecordKind::RefusalTaken, "event.request-erased"));
        let rows = sim.nodes[1].index.events(&note.thread).expect("answers");
        assert!(rows.iter().any(|row| row.event_id == note.event.as_bytes() && row.void));
        assert_eq!(sim.nodes[0].rebuilt().pairs(), sim.nodes[0].index.pairs());
        // From then on this side may erase it too: nothing is owed.
        erase(&mut sim, 1, request, EARLY).expect("erased");
        sim.check_always();
        sim.check_healed();
    }
}

/// A peer's word that it erased what it had receipted ends the debt.
#[test]
fn a_receipt_that_came_too_late_is_answered_by_the_word_alone() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let (done, frames) = act_only(&mut sim, 0, request, "withdraw").expect("withdrawn");
    hand_over(&mut sim, 0, &frames);
    drop(work(&mut sim, 1)); // the receipt is lost on its way
    assert_eq!(refused(&mut sim, 0, request, EARLY), "erase.owed");
    erase(&mut sim, 1, request, EARLY).expect("it has answered as far as it knows");
    sim.now = sim.now.plus_ms(3_600_000);
    sim.nodes[0].tick();
    exchange(&mut sim, 0);
    let answer = sim.nodes[0].index.answer(&done.event, &sim.nodes[1].party.clone()).expect("answers");
    assert_eq!(answer.expect("answered").kind(), RecordKind::Receipt);
    assert!(sim.owes_nothing(&sim.nodes[0]));
    erase(&mut sim, 0, request, EARLY).expect("nothing is owed any more");
    is_gone(&sim, 0, &request);
}

#[test]
fn each_guard_has_its_code() {
    let mut sim = quiet();
    let stranger = RequestId::new([9; 16]);
    assert_eq!(refused(&mut sim, 0, stranger, EARLY), "request.unknown");
    assert_eq!(hold(&mut sim, 0, stranger, Some("proceedings")), Err("request.unknown"));
    let request = open(&mut sim);
    assert_eq!(refused(&mut sim, 0, request, "because"), "erase.unknown-ground");
    assert_eq!(refused(&mut sim, 0, request, EARLY), "erase.not-ended");
    let (_, withdrawal) = act_only(&mut sim, 0, request, "withdraw").expect("withdrawn");
    assert_eq!(refused(&mut sim, 0, request, OVER), "erase.too-early");
    assert_eq!(refused(&mut sim, 0, request, EARLY), "erase.owed");
    hand_over(&mut sim, 0, &withdrawal);
    exchange(&mut sim, 1);
    assert_eq!(hold(&mut sim, 0, request, Some("because")), Err("hold.unknown-reason"));
    assert_eq!(hold(&mut sim, 0, request, None), Err("hold.none"));
    assert_eq!(hold(&mut sim, 0, request, Some("proceedings")), Ok(true));
    assert_eq!(refused(&mut sim, 0, request, EARLY), "erase.held");
    crash(&mut sim, 0, true);
    assert_eq!(refused(&mut sim, 0, request, EARLY), "erase.held", "a hold outlasts a crash and the index");
    assert_eq!(hold(&mut sim, 0, request, Some("proceedings")), Ok(true), "held twice is held once");
    assert_eq!(hold(&mut sim, 0, request, None), Ok(false));
    let size = sim.nodes[0].ledger().len();
    // An act of the same request is being sealed when the wish comes.
    let note = sim.act(0, request, "note");
    sim.nodes[0].command(note);
    sim.nodes[0].erase(request, EARLY);
    let sent = work(&mut sim, 0);
    assert_eq!(sim.nodes[0].erased.pop().expect("answered").expect_err("refused").code, "erase.under-way");
    assert_eq!(sim.nodes[0].ledger().len(), size + 1, "the note alone");
    hand_over(&mut sim, 0, &sent);
    exchange(&mut sim, 1);
    erase(&mut sim, 0, request, EARLY).expect("nothing stands in the way");
    is_gone(&sim, 0, &request);
}

/// The figure of the rules, to the moment; and the request is listed from then on, not before, and never erased by itself.
#[test]
fn retention_is_over_when_the_rules_say() {
    let mut sim = quiet();
    let request = ended(&mut sim);
    let procedure = ProcedureCode::parse("PRES").expect("code");
    let rule = sim.world.rules.retention(&procedure).expect("shipped").clone();
    let row = sim.nodes[0].index.thread(&sim.thread(&sim.requests[0])).expect("answers").expect("known");
    assert_eq!(row.ended_ms, row.updated_ms);
    let over = kept_until(Time(row.ended_ms), &rule);
    let listed = |sim: &Sim| {
        let since = crate::clock::ended_long_ago(sim.now, &rule);
        let ended = sim.nodes[0].index.ended(&procedure, since, 9).expect("answers");
        ended.iter().filter(|(ended, _)| kept_until(*ended, &rule) <= sim.now).count()
    };
    sim.now = Time(over.0 - 1);
    assert_eq!((refused(&mut sim, 0, request, OVER), listed(&sim)), ("erase.too-early", 0));
    sim.now = over;
    sim.nodes[0].tick();
    work(&mut sim, 0);
    assert_eq!(listed(&sim), 1);
    assert!(sim.nodes[0].index.erasure(&request).expect("answers").is_none(), "nothing goes by itself");
    erase(&mut sim, 0, request, OVER).expect("its time is over");
    assert_eq!(listed(&sim), 0);
    is_gone(&sim, 0, &request);
}

/// A preservation nobody ends lapses, and is kept from then on.
#[test]
fn what_lapses_has_ended_when_it_lapsed() {
    let mut sim = quiet();
    let request = open(&mut sim);
    act(&mut sim, 1, request, "acknowledge").expect("taken up");
    act(&mut sim, 1, request, "preserve").expect("preserved");
    let row = sim.nodes[0].index.thread(&sim.thread(&sim.requests[0])).expect("answers").expect("known");
    assert!(row.ended_ms > row.updated_ms, "it will lapse later: {row:?}");
    assert_eq!(refused(&mut sim, 0, request, EARLY), "erase.not-ended");
    sim.now = Time(row.ended_ms);
    assert_eq!(refused(&mut sim, 0, request, OVER), "erase.too-early");
    erase(&mut sim, 0, request, EARLY).expect("it has lapsed");
    is_gone(&sim, 0, &request);
}

/// Whoever asks between the sync of the intent and the engine's hearing of it is not told that it is done.
#[test]
fn an_erasure_that_has_only_begun_is_not_said_to_be_done() {
    let mut sim = quiet();
    let request = ended(&mut sim);
    sim.nodes[0].erase(request, EARLY);
    let entropy = sim.chance.bytes();
    sim.nodes[0].turn(sim.now, entropy);
    sim.nodes[0].erase(request, EARLY);
    sim.nodes[0].write(1);
    sim.nodes[0].sync();
    work(&mut sim, 0);
    let mut said = std::mem::take(&mut sim.nodes[0].erased);
    assert_eq!(said.remove(0).expect_err("it has begun, no more").code, "erase.under-way");
    assert!(said.remove(0).is_ok(), "who asked first is told once it is done");
    is_gone(&sim, 0, &request);
}

/// Where an erasure may be interrupted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    IntentPutOut,
    IntentWritten,
    IntentSynced,
    KeysStay,
    KeysDestroyed,
    ErasureWritten,
    ErasureSynced,
}

/// Brings an erasure to a point and cuts the power there, then starts again and lets it work.
fn interrupted_at(cut: Cut, torn: usize, lose_index: bool) -> (Sim, RequestId) {
    let mut sim = quiet();
    let request = ended(&mut sim);
    sim.nodes[0].keys_stay = cut == Cut::KeysStay;
    sim.nodes[0].erase(request, EARLY);
    let step = |sim: &mut Sim| {
        let entropy = sim.chance.bytes();
        sim.nodes[0].turn(sim.now, entropy);
    };
    let stages: &[fn(&mut SimNode)] = match cut {
        Cut::IntentPutOut => &[],
        Cut::IntentWritten => &[|node| node.write(1)],
        Cut::IntentSynced | Cut::KeysDestroyed | Cut::KeysStay => &[|node| node.write(1), SimNode::sync],
        Cut::ErasureWritten => &[|node| node.write(1), SimNode::sync, |_| (), |node| node.write(1)],
        Cut::ErasureSynced => &[|node| node.write(1), SimNode::sync, |_| (), |node| node.write(1), SimNode::sync],
    };
    step(&mut sim);
    for stage in stages {
        stage(&mut sim.nodes[0]);
        // Before this step the engine has not yet learnt of the intent, and nothing is destroyed.
        if cut != Cut::IntentSynced {
            step(&mut sim);
            step(&mut sim);
        }
    }
    sim.nodes[0].crash(torn, lose_index);
    sim.nodes[0].keys_stay = false;
    work(&mut sim, 0);
    (sim, request)
}

/// After the intent is on disk it is done at the next start, whatever was lost; before it, nothing has happened.
#[test]
fn an_erasure_is_finished_at_the_next_start() {
    let mut begun = 0;
    for cut in [
        Cut::IntentPutOut,
        Cut::IntentWritten,
        Cut::IntentSynced,
        Cut::KeysStay,
        Cut::KeysDestroyed,
        Cut::ErasureWritten,
        Cut::ErasureSynced,
    ] {
        for (torn, lose_index) in [(0, false), (0, true), (9, false), (9, true)] {
            let (mut sim, request) = interrupted_at(cut, torn, lose_index);
            let lost = cut == Cut::IntentPutOut || cut == Cut::IntentWritten && torn == 0;
            if lost {
                assert!(sim.nodes[0].index.erasure(&request).expect("answers").is_none(), "{cut:?}");
                assert_eq!(sim.nodes[0].rebuilt().pairs(), sim.nodes[0].index.pairs());
                erase(&mut sim, 0, request, EARLY).expect("asked again");
            } else {
                begun += 1;
            }
            is_gone(&sim, 0, &request);
            sim.check_always();
            sim.check_healed();
        }
    }
    assert_eq!(begun, 7 * 4 - 4 - 2);
}

/// What cannot be destroyed now is said so, and goes on by itself.
#[test]
fn what_cannot_be_destroyed_now_is_tried_again() {
    let mut sim = quiet();
    let request = ended(&mut sim);
    sim.nodes[0].keys_stay = true;
    assert_eq!(refused(&mut sim, 0, request, EARLY), "store.busy");
    assert_eq!(act_only(&mut sim, 0, request, "note").err().expect("refused").code, "request.erased");
    assert_eq!(refused(&mut sim, 0, request, EARLY), "store.busy", "asked again, it is tried at once");
    sim.nodes[0].keys_stay = false;
    sim.now = sim.now.plus_ms(60_000);
    sim.nodes[0].tick();
    work(&mut sim, 0);
    is_gone(&sim, 0, &request);
}

/// A full disk refuses the intent, and nothing has happened; one that fills behind it delays the end.
#[test]
fn a_full_disk_begins_nothing_and_loses_nothing() {
    let mut sim = quiet();
    let request = ended(&mut sim);
    sim.nodes[0].disk_full = true;
    assert_eq!(refused(&mut sim, 0, request, EARLY), "store.disk-full");
    sim.nodes[0].disk_full = false;
    assert_eq!(state(&sim, 0, &request), "withdrawn");
    act(&mut sim, 0, request, "note").expect("the thread is free again");
    sim.nodes[0].erase(request, EARLY);
    for _ in 0..2 {
        let entropy = sim.chance.bytes();
        sim.nodes[0].turn(sim.now, entropy);
        sim.nodes[0].write(1);
        sim.nodes[0].sync();
    }
    sim.nodes[0].disk_full = true;
    work(&mut sim, 0);
    assert_eq!(sim.nodes[0].erased.pop().expect("answered").expect_err("not yet").code, "store.disk-full");
    sim.nodes[0].disk_full = false;
    sim.now = sim.now.plus_ms(60_000);
    sim.nodes[0].tick();
    work(&mut sim, 0);
    is_gone(&sim, 0, &request);
}

/// What waits for a thread while its erasure is being recorded is told, not lost.
#[test]
fn who_waits_behind_an_erasure_is_told() {
    let mut sim = quiet();
    let request = ended(&mut sim);
    let (note, frames) = act_only(&mut sim, 1, request, "note").expect("noted");
    sim.nodes[0].erase(request, EARLY);
    let wish = sim.act(0, request, "note");
    sim.nodes[0].command(wish);
    hand_over(&mut sim, 1, &frames);
    let answers = work(&mut sim, 0);
    let (_, refused) = sim.nodes[0].replies.pop().expect("answered");
    assert_eq!(refused.expect_err("refused").code, "request.erased");
    assert!(sim.nodes[0].erased.pop().expect("answered").is_ok());
    hand_over(&mut sim, 0, &answers);
    work(&mut sim, 1);
    let answer = sim.nodes[1].index.answer(&note.event, &sim.nodes[0].party.clone()).expect("answers");
    assert_eq!(answer.expect("answered").code, "event.request-erased");
    is_gone(&sim, 0, &request);
}

/// With a tenth of many requests erased, an index built anew answers the same, whichever keys are gone.
#[test]
fn an_index_with_a_tenth_erased_is_rebuilt_the_same() {
    let mut sim = quiet();
    let ids: Vec<RequestId> = (0..40).map(|n| RequestId::new([n + 1; 16])).collect();
    for (n, id) in ids.iter().enumerate() {
        sim.requests.push(Request { id: *id, opener: 0, other: 1 });
        act(&mut sim, 0, *id, "request").expect("sent");
        if n % 2 == 0 {
            act(&mut sim, 1, *id, "acknowledge").expect("taken up");
            act(&mut sim, 1, *id, "preserve").expect("preserved");
        }
        if n % 5 == 0 {
            let last = if n % 2 == 0 { "release" } else { "withdraw" };
            act(&mut sim, 0, *id, last).expect("ended");
        }
    }
    let mut erased = 0;
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| n % 10 == 5 || n % 20 == 10) {
        erase(&mut sim, n % 2, *id, EARLY).expect("erased");
        erased += 1;
    }
    assert_eq!(erased, 6);
    for node in &sim.nodes {
        assert_eq!(node.rebuilt().pairs(), node.index.pairs());
        let rows = node.index.erasures(None, 99).expect("answers");
        assert!(!rows.is_empty() && rows.is_sorted_by_key(|(request, _)| *request));
        let second = node.index.erasures(Some(&rows[0].0), 99).expect("answers");
        assert_eq!(second, rows[1..], "a page goes on behind the one before");
        let left = ids.iter().filter(|id| !node.index.threads_of(id).expect("answers").is_empty()).count();
        assert_eq!(left + rows.len(), ids.len(), "all others are there");
    }
    for node in 0..2 {
        crash(&mut sim, node, true);
    }
    for id in [ids[1], ids[2], ids[4]] {
        act(&mut sim, 0, id, "note").expect("it goes on");
    }
    sim.check_always();
    sim.check_healed();
}
