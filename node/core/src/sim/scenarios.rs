//! Single stories told without chance: what must happen when acts cross, arrive twice, arrive
//! before what they follow, or are refused.

use super::*;
use crate::{
    engine::Custody,
    ids::{Digest, PartyCode},
    manifest::Statement,
    proto::CustodyAct,
};

/// Two nodes; the stories give the commands.
pub(super) const PLAN: Plan = Plan { nodes: 2, steps: 0, requests: 1, calm: 1, hostile: false };

/// Lets one node work until it has nothing left to do, and takes what it sends.
pub(super) fn work(sim: &mut Sim, node: usize) -> Vec<(PartyCode, Frame)> {
    let mut sent = Vec::new();
    loop {
        let entropy = sim.chance.bytes();
        let busy = sim.nodes[node].turn(sim.now, entropy);
        sim.nodes[node].write(usize::MAX);
        sim.nodes[node].sync();
        sent.extend(sim.nodes[node].sent());
        if !busy && sim.nodes[node].is_idle() {
            return sent;
        }
    }
}

/// Two nodes, no faults, links up, and nothing said yet.
pub(super) fn quiet() -> Sim {
    let mut sim = Sim::new(1, PLAN);
    sim.faults = false;
    for node in 0..2 {
        let sent = work(&mut sim, node);
        assert!(sent.is_empty(), "nothing is owed yet");
    }
    sim
}

pub(super) fn hand_over(sim: &mut Sim, from: usize, frames: &[(PartyCode, Frame)]) {
    let author = sim.nodes[from].party.clone();
    for (_, frame) in frames {
        sim.nodes[1 - from].receive(&author, frame, None, sim.now);
    }
}

/// Acts, and lets everything be delivered and answered.
pub(super) fn act(sim: &mut Sim, node: usize, request: RequestId, step: &str) -> Result<Done, crate::engine::NotDone> {
    let frames = act_only(sim, node, request, step)?;
    hand_over(sim, node, &frames.1);
    exchange(sim, 1 - node);
    Ok(frames.0)
}

/// Acts without anything reaching the other side.
pub(super) fn act_only(
    sim: &mut Sim,
    node: usize,
    request: RequestId,
    step: &str,
) -> Result<(Done, Vec<(PartyCode, Frame)>), crate::engine::NotDone> {
    sim.now = sim.now.plus_ms(1_000);
    let command = sim.act(node, request, step);
    sim.nodes[node].command(command);
    let frames = work(sim, node);
    let (_, result) = sim.nodes[node].replies.pop().expect("every command has a reply");
    Ok((result?, frames))
}

/// Frames go to and fro, beginning with what `node` says, until nobody has anything to say.
pub(super) fn exchange(sim: &mut Sim, mut node: usize) {
    for silent in 0.. {
        let frames = work(sim, node);
        if frames.is_empty() && silent > 2 {
            return;
        }
        hand_over(sim, node, &frames);
        node = 1 - node;
    }
}

pub(super) fn state(sim: &Sim, node: usize, request: &RequestId) -> String {
    let thread = sim.nodes[node].index.threads_of(request).expect("answers")[0];
    sim.nodes[node].index.thread(&thread).expect("answers").expect("known").state
}

pub(super) fn open(sim: &mut Sim) -> RequestId {
    let request = RequestId::new([7; 16]);
    sim.requests.push(Request { id: request, opener: 0, other: 1 });
    act(sim, 0, request, "request").expect("the request is sent");
    assert_eq!(state(sim, 1, &request), "requested");
    request
}

#[test]
fn a_request_and_its_answer_cross_and_are_receipted() {
    let mut sim = quiet();
    let request = open(&mut sim);
    act(&mut sim, 1, request, "acknowledge").expect("taken up");
    act(&mut sim, 1, request, "preserve").expect("preserved");
    for node in 0..2 {
        assert_eq!(state(&sim, node, &request), "preserved");
        assert!(sim.owes_nothing(&sim.nodes[node]));
    }
    sim.check_always();
    sim.check_healed();
}

/// The written rule: what the requested side decided without knowing of the withdrawal is applied
/// first; the withdrawal then releases the data.
#[test]
fn withdrawal_against_preservation_releases_on_both_sides() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let (_, withdrawal) = act_only(&mut sim, 0, request, "withdraw").expect("withdrawn");
    let (_, preservation) = act_only(&mut sim, 1, request, "preserve").expect("preserved");
    hand_over(&mut sim, 0, &withdrawal);
    hand_over(&mut sim, 1, &preservation);
    exchange(&mut sim, 0);
    for node in 0..2 {
        assert_eq!(state(&sim, node, &request), "released");
    }
    sim.check_healed();
}

#[test]
fn a_copy_replayed_after_the_index_is_gone_is_applied_once() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let (_, frames) = act_only(&mut sim, 0, request, "note").expect("noted");
    hand_over(&mut sim, 0, &frames);
    let first = work(&mut sim, 1);
    let size = sim.nodes[1].ledger().len();
    sim.nodes[1].crash(0, true);
    hand_over(&mut sim, 0, &frames);
    let second = work(&mut sim, 1);
    assert_eq!(sim.nodes[1].ledger().len(), size, "nothing is recorded again");
    let proof = |frames: &[(PartyCode, Frame)]| {
        let Some((_, Frame::Answer(bytes))) = frames.last() else { panic!("an answer") };
        let answer = <crate::proto::Answer as prost::Message>::decode(&bytes[..]).expect("an answer");
        let Some(crate::proto::answer::Outcome::Receipt(proof)) = answer.outcome else { panic!("a receipt") };
        <crate::proto::RecordProof as prost::Message>::decode(&proof[..]).expect("a proof")
    };
    let (first, second) = (proof(&first), proof(&second));
    assert_eq!((first.index, first.salt, first.context), (second.index, second.salt, second.context));
}

#[test]
fn an_event_before_its_parent_waits_and_is_lost_to_nobody() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let (_, parent) = act_only(&mut sim, 0, request, "question").expect("asked");
    let (_, child) = act_only(&mut sim, 0, request, "note").expect("noted");
    let size = sim.nodes[1].ledger().len();
    hand_over(&mut sim, 0, &child);
    let answers = work(&mut sim, 1);
    assert_eq!(sim.nodes[1].ledger().len(), size, "it is not recorded before its parent");
    hand_over(&mut sim, 1, &answers);
    hand_over(&mut sim, 0, &parent);
    exchange(&mut sim, 1);
    sim.now = sim.now.plus_ms(120_000);
    sim.nodes[0].tick();
    exchange(&mut sim, 0);
    assert_eq!(sim.nodes[1].ledger().iter().filter(|record| record.kind == RecordKind::EventReceived).count(), 3);
    sim.check_healed();
}

/// SPEC `[D-4]`: what overtakes its parent within a window is sent once all the same, and receipted in order; only a
/// parent that does not come in time is asked for.
#[test]
fn a_thread_that_arrives_backwards_is_sent_once() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let steps = ["question", "note", "note", "note"];
    let line: Vec<_> = steps.map(|step| act_only(&mut sim, 0, request, step).expect("done").1).into();
    let [rest @ .., last] = &line[..] else { unreachable!("four") };
    hand_over(&mut sim, 0, last);
    assert!(work(&mut sim, 1).is_empty(), "it waits for its parent");
    rest.iter().rev().for_each(|frames| hand_over(&mut sim, 0, frames));
    let answers = work(&mut sim, 1);
    assert_eq!(answers.len(), steps.len(), "one answer for each delivery");
    hand_over(&mut sim, 1, &answers);
    assert!(work(&mut sim, 0).is_empty(), "nothing is sent again");
    assert!(sim.owes_nothing(&sim.nodes[0]));

    let _ = act_only(&mut sim, 0, request, "note").expect("noted");
    let (_, orphan) = act_only(&mut sim, 0, request, "note").expect("noted");
    hand_over(&mut sim, 0, &orphan);
    assert!(work(&mut sim, 1).is_empty());
    sim.now = sim.now.plus_ms(2_000);
    sim.nodes[1].tick();
    let answers = work(&mut sim, 1);
    let [(_, Frame::Answer(bytes))] = &answers[..] else { panic!("one answer") };
    let answer = <crate::proto::Answer as prost::Message>::decode(&bytes[..]).expect("an answer");
    let Some(crate::proto::answer::Outcome::Retry(retry)) = answer.outcome else { panic!("a retry") };
    assert_eq!(retry.code, "engine.parent-missing");
}

/// A preservation that the requesting side cannot accept is refused there, becomes void on both
/// sides, and its slip number is consumed.
#[test]
fn a_refused_event_is_void_on_both_sides() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let other_law = Arc::new(crate::rules::Rules::parse(&[]).unwrap_or_else(|_| sample::shipped().clone()));
    assert!(other_law.procedures().next().is_none(), "a law without procedures refuses every step");
    sim.nodes[0].adopt(other_law);
    let (_, frames) = act_only(&mut sim, 1, request, "note").expect("noted");
    hand_over(&mut sim, 1, &frames);
    let refusal = work(&mut sim, 0);
    hand_over(&mut sim, 0, &refusal);
    let _ = work(&mut sim, 1);
    let given = sim.nodes[0].ledger().last().expect("a record");
    let taken = sim.nodes[1].ledger().last().expect("a record");
    assert_eq!((given.kind, taken.kind), (RecordKind::RefusalGiven, RecordKind::RefusalTaken));
    assert_eq!((given.node.code.as_str(), taken.node.code.as_str()), ("procedure.unknown", "procedure.unknown"));
    assert!(sim.owes_nothing(&sim.nodes[1]), "a refusal ends the debt");
    let rows = sim.rows(&sim.nodes[1], &request).expect("rows");
    assert_eq!(rows.iter().map(|row| row.void).collect::<Vec<_>>(), [false, true]);
    assert_eq!(state(&sim, 1, &request), "requested");
}

/// An act was being signed when the refusal of its parent came: it stands after the refusal and is void from the
/// start, whatever the other side says of it.
#[test]
fn an_act_on_top_of_a_refused_one_is_void_from_the_start() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let law = sample::shipped().clone();
    sim.nodes[0].adopt(Arc::new(crate::rules::Rules::parse(&[]).unwrap_or_else(|_| law.clone())));
    let (_, frames) = act_only(&mut sim, 1, request, "note").expect("noted");
    hand_over(&mut sim, 1, &frames);
    let refusal = work(&mut sim, 0);
    let command = sim.act(1, request, "note");
    sim.nodes[1].command(command);
    hand_over(&mut sim, 0, &refusal);
    let crossed = work(&mut sim, 1);
    let void =
        |sim: &Sim| sim.rows(&sim.nodes[1], &request).expect("rows").iter().map(|row| row.void).collect::<Vec<_>>();
    assert_eq!(void(&sim), [false, true, true]);
    let (_, third) = act_only(&mut sim, 1, request, "note").expect("noted");
    sim.check_lines(1);
    sim.nodes[0].adopt(Arc::new(law));
    hand_over(&mut sim, 1, &[crossed, third].concat());
    exchange(&mut sim, 0);
    assert_eq!(void(&sim), [false, true, true, false]);
    sim.check_healed();
}

#[test]
fn one_command_given_twice_has_one_effect() {
    let mut sim = quiet();
    let request = RequestId::new([9; 16]);
    let command = sim.act(0, request, "request");
    sim.nodes[0].command(command.clone());
    let _ = work(&mut sim, 0);
    sim.nodes[0].command(command);
    let _ = work(&mut sim, 0);
    let results: Vec<_> = sim.nodes[0].replies.iter().map(|(_, result)| result.clone().expect("done")).collect();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0].event, results[1].event);
    assert_eq!((results[0].before, results[1].before), (false, true));
    assert_eq!(sim.nodes[0].ledger().len(), 1);
}

#[test]
fn an_incomplete_form_is_not_recorded_and_names_its_fields() {
    let mut sim = quiet();
    let mut command = sim.act(0, RequestId::new([9; 16]), "request");
    command.body.fields.retain(|field| field.key != "necessity");
    sim.nodes[0].command(command);
    let _ = work(&mut sim, 0);
    let (_, result) = sim.nodes[0].replies.pop().expect("a reply");
    let refused = result.expect_err("not done");
    assert_eq!(refused.code, "form.incomplete");
    assert_eq!(refused.fields.iter().map(|(field, _, _)| field.as_str()).collect::<Vec<_>>(), ["necessity"]);
    assert!(sim.nodes[0].ledger().is_empty());
}

#[test]
fn clocks_raise_their_alarms_once() {
    let mut sim = quiet();
    let request = open(&mut sim);
    act(&mut sim, 1, request, "acknowledge").expect("taken up");
    act(&mut sim, 1, request, "preserve").expect("preserved");
    sim.now = sim.now.plus_ms(200 * 24 * 3_600_000);
    for _ in 0..2 {
        sim.nodes[1].tick();
        let _ = work(&mut sim, 1);
    }
    let percents: Vec<u8> = sim.nodes[1]
        .notices
        .iter()
        .map(|notice| match notice {
            crate::engine::Notice::Clock { percent, .. } => *percent,
        })
        .collect();
    assert_eq!(percents.len() % 4, 0, "every clock raises 50, 80, 95 and 100, once: {percents:?}");
    assert!(percents.starts_with(&[50, 80, 95, 100]), "{percents:?}");
}

/// Own events stop while the clock is over two minutes behind the last record; a peer's are still
/// received, at a time of record that does not fall.
#[test]
fn a_clock_far_behind_stops_own_events_only() {
    let mut sim = quiet();
    sim.now = sim.now.plus_ms(3_600_000); // well after the founding
    let request = open(&mut sim);
    let right = sim.now;
    sim.now = Time(right.0 - 180_000);
    let command = sim.act(0, request, "note");
    sim.nodes[0].command(command);
    let _ = work(&mut sim, 0);
    let (_, result) = sim.nodes[0].replies.pop().expect("a reply");
    assert_eq!(result.expect_err("not done").code, "engine.clock-behind");
    sim.now = right;
    let (_, frames) = act_only(&mut sim, 1, request, "note").expect("noted");
    sim.now = Time(right.0 - 180_000);
    hand_over(&mut sim, 1, &frames);
    let _ = work(&mut sim, 0);
    let received = sim.nodes[0].ledger().last().expect("a record");
    assert_eq!(received.kind, RecordKind::EventReceived);
    sim.check_always();
}

/// A mark that lies in the past when its event arrives is raised at once, not never.
#[test]
fn a_mark_already_past_is_raised_on_arrival() {
    let mut sim = quiet();
    let request = open(&mut sim);
    act(&mut sim, 1, request, "acknowledge").expect("taken up");
    let (_, frames) = act_only(&mut sim, 1, request, "preserve").expect("preserved");
    sim.now = sim.now.plus_ms(80 * 24 * 3_600_000);
    hand_over(&mut sim, 1, &frames);
    let _ = work(&mut sim, 0);
    assert!(!sim.nodes[0].notices.is_empty(), "more than half of the clock has run");
}

/// A request id stands for one request to one Party: it is never sealed to somebody else.
#[test]
fn a_request_id_is_not_used_for_somebody_else() {
    let mut sim = Sim::new(1, Plan { nodes: 3, ..PLAN });
    sim.faults = false;
    let request = RequestId::new([7; 16]);
    let opening = sim.act(0, request, "request");
    sim.nodes[0].command(opening.clone());
    let _ = work(&mut sim, 0);
    let mut check = |recipients: &[&str], id: [u8; 16], expected: &str| {
        let recipients = recipients.iter().map(|party| founded::code(party)).collect();
        let command_id = sim.chance.bytes();
        let act = Act { command_id, recipients, request: RequestId::new(id), ..opening.clone() };
        sim.nodes[0].command(act);
        let _ = work(&mut sim, 0);
        let (_, result) = sim.nodes[0].replies.pop().expect("a reply");
        assert_eq!(result.expect_err("not done").code, expected);
    };
    check(&["XC"], [7; 16], "request.id-taken");
    check(&["XB", "XC"], [8; 16], "request.not-two-sided");
    check(&[], [8; 16], "request.unknown");
}

/// [M-4]: of two statements about one manifest each names the one before it; the second of two that are wanted at once
/// is wanted again.
#[test]
fn statements_about_one_manifest_follow_each_other() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let manifest = Digest::new([3; 32]);
    let wanted = |command: u8| Custody {
        command_id: [command; 16],
        request,
        authority: AuthorityId::parse("central").expect("id"),
        act: CustodyAct::Seal,
        manifest,
        items: 1,
        bytes: 1,
        delivery: None,
    };
    for command in [1, 2] {
        sim.nodes[0].custody(wanted(command));
    }
    work(&mut sim, 0);
    let mut replies = std::mem::take(&mut sim.nodes[0].replies).into_iter().map(|(_, reply)| reply);
    assert_eq!(replies.next().expect("a reply").expect_err("the first is under way").code, "engine.busy");
    let first = replies.next().expect("a reply").expect("done");
    sim.nodes[0].custody(wanted(2));
    work(&mut sim, 0);
    let (_, second) = sim.nodes[0].replies.pop().expect("a reply");
    let second = second.expect("done");
    let place = usize::try_from(second.index.0).expect("small");
    let statement = Statement::from_wire(&sim.nodes[0].ledger()[place].case.header).expect("reads");
    assert_eq!(statement.previous.map(|id| *id.as_bytes()), Some(*first.event.as_bytes()));
}

/// A clock that was ahead and is set right must not make a peer wait for as long as it was ahead.
#[test]
fn a_clock_set_back_delays_no_debt() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let back = 3_600_000;
    let look = |sim: &mut Sim| {
        sim.now = sim.now.plus_ms(31_000); // the node looks up this often at the latest
        sim.nodes[0].tick();
        work(sim, 0)
    };
    let (_, lost) = act_only(&mut sim, 0, request, "note").expect("noted");
    sim.nodes[0].ahead -= back;
    let unanswered = look(&mut sim);
    assert_eq!((lost.len(), unanswered.len()), (1, 1), "an unanswered delivery is made again");
    let Frame::Delivery(bytes) = &unanswered[0].1 else { panic!("a delivery") };
    let event = crate::carry::event_named_by(bytes).expect("an event");
    let peer = sim.nodes[1].party.clone();
    let busy = Frame::Answer(crate::carry::retry(&event, "engine.busy", 1_000));
    sim.nodes[0].receive(&peer, &busy, None, sim.now);
    assert!(work(&mut sim, 0).is_empty());
    sim.nodes[0].ahead -= back;
    assert_eq!(look(&mut sim).len(), 1, "one that was to be tried again is tried again");
}

/// The same for a checkpoint that could not be kept.
#[test]
fn a_clock_set_back_delays_no_checkpoint() {
    let mut sim = quiet();
    let request = open(&mut sim);
    sim.nodes[0].note_fails = true;
    let (_, unsigned) = act_only(&mut sim, 0, request, "note").expect("noted");
    assert!(unsigned.is_empty(), "what no checkpoint covers is not sent");
    sim.nodes[0].note_fails = false;
    sim.nodes[0].ahead -= 3_600_000;
    sim.now = sim.now.plus_ms(31_000);
    sim.nodes[0].tick();
    assert_eq!(work(&mut sim, 0).len(), 1, "it is signed and sent");
}
