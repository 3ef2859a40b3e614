//! A Party that requires four eyes: nothing leaves it, and nothing is erased at it, without two officers, whatever road it
//! is asked on and whatever crashes. SPEC `[O-1]` to `[O-5]`.

use super::{
    node::SimNode,
    scenarios::{PLAN, act, exchange, hand_over, open, state, work},
    *,
};
use crate::{
    engine::{NotDone, ToApprove},
    ids::OfficerId,
    officer::{Approval, Kind as Eye, Signed, tests as house},
    profile::Profile,
    proto,
    rules::Code,
};

/// As [`quiet`](super::scenarios::quiet), but the first Party's root keys have declared that it takes two officers.
fn strict() -> Sim {
    let mut sim = Sim::new(1, PLAN);
    sim.faults = false;
    for node in 0..2 {
        work(&mut sim, node);
    }
    for node in 0..2 {
        let profile = house::signed_profile(&own_profile(&sim));
        sim.nodes[node].document(profile);
        work(&mut sim, node);
        assert!(sim.nodes[node].documented.pop().expect("an answer").1.is_ok(), "the profile holds");
    }
    sim
}

fn own_profile(sim: &Sim) -> proto::Profile {
    let before = sim.world.trust.declared(&founded::code("XA")).expect("founded").id();
    let mut draft = house::profile_draft("XA", Some("required"));
    (draft.version, draft.previous) = (2, before.as_bytes().to_vec());
    draft
}

fn roll(sim: &Sim, version: u64, change: impl Fn(&mut proto::Roll)) -> Vec<u8> {
    let profile = house::signed_profile(&own_profile(sim));
    let profile = Profile::open(&profile, sim.world.trust.charter(), founded::START).expect("holds");
    let officers = ["one", "three", "two"].map(house::officer).to_vec();
    let mut wire = proto::Roll { version, ..house::roll_draft(&profile, officers) };
    change(&mut wire);
    house::signed_roll(&wire)
}

fn install(sim: &mut Sim, envelope: Vec<u8>) -> Result<u64, &'static str> {
    sim.nodes[0].roll(envelope);
    let sent = work(sim, 0);
    assert!(sent.is_empty(), "nobody else is told of a roll");
    sim.nodes[0].rolled.pop().expect("an answer").map_err(|refused| refused.code)
}

/// A strict Party with a roll.
fn manned() -> Sim {
    let mut sim = strict();
    let first = roll(&sim, 1, |_| {});
    assert_eq!(install(&mut sim, first), Ok(1));
    sim
}

/// Has an act done, or refused; nothing may leave then.
fn ask(sim: &mut Sim, act: &Act) -> Result<Done, NotDone> {
    sim.now = sim.now.plus_ms(1_000);
    let size = sim.nodes[0].ledger().len();
    sim.nodes[0].command(act.clone());
    let frames = work(sim, 0);
    let (_, result) = sim.nodes[0].replies.pop().expect("every command has a reply");
    if result.is_err() {
        assert!(frames.is_empty(), "nothing leaves");
        assert_eq!(sim.nodes[0].ledger().len(), size, "nothing is recorded");
    }
    hand_over(sim, 0, &frames);
    exchange(sim, 1);
    result
}

fn refused(sim: &mut Sim, act: &Act) -> &'static str {
    ask(sim, act).expect_err("it is not done").code
}

fn wanted(sim: &mut Sim, act: &Act) -> ToApprove {
    *ask(sim, act).expect_err("it is not done").wanted.expect("what is to be signed")
}

fn sign(sim: &Sim, wanted: &ToApprove, who: &str, kind: Eye) -> Signed {
    let officer = OfficerId::parse(who).expect("an id");
    let mut approval = Approval::of(&wanted.matter, wanted.salt, officer, kind, sim.now);
    approval.reason = (kind == Eye::BreakGlass).then(|| Code::parse("life-or-safety").expect("a code"));
    approval.sign(&house::credential(who))
}

fn opening(sim: &mut Sim) -> Act {
    let request = RequestId::new([7; 16]);
    sim.requests.push(Request { id: request, opener: 0, other: 1 });
    let mut act = sim.act(0, request, "request");
    urgency(&mut act, "normal");
    act
}

/// Says how urgent a request is.
fn urgency(act: &mut Act, level: &str) {
    let field = act.body.fields.iter_mut().find(|field| field.key == "urgency.level").expect("the form has it");
    field.values = vec![proto::Value { kind: Some(Kind::Code(level.to_owned())) }];
    if level == "normal" {
        act.body.fields.retain(|field| field.key != "urgency.reason" && field.key != "urgency.basis");
    }
}

/// [O-1], [O-4]: whatever the step, what leaves has two officers; the other Party needs none of it and sees none of it.
#[test]
fn nothing_leaves_without_two_officers() {
    let mut sim = manned();
    let mut act = opening(&mut sim);
    let wanted = wanted(&mut sim, &act);
    assert_eq!(wanted.matter.body, prost::Message::encode_to_vec(&act.body), "what is sealed is what is shown");
    assert!(!wanted.matter.emergency);
    let [one, two] = ["one", "two"].map(|who| sign(&sim, &wanted, who, Eye::First));
    act.approvals = vec![one.clone()];
    assert_eq!(refused(&mut sim, &act), "approval.needed");
    act.approvals = vec![one.clone(), one.clone()];
    assert_eq!(refused(&mut sim, &act), "approval.same-officer");
    let other = Act { body: sim.act(0, act.request, "note").body, ..act.clone() };
    assert_eq!(refused(&mut sim, &other), "form.incomplete", "what is no act of the procedure is not even looked at");
    act.approvals = vec![one, two];
    let done = ask(&mut sim, &act).expect("sent");
    assert_eq!(state(&sim, 1, &act.request), "requested");
    let again = ask(&mut sim, &Act { approvals: Vec::new(), ..act.clone() }).expect("done before");
    assert_eq!((again.event, again.before), (done.event, true), "what was done is answered again, and not done again");

    let mut note = sim.act(0, act.request, "note");
    note.approvals.clone_from(&act.approvals);
    assert_eq!(refused(&mut sim, &note), "approval.other-body", "the approvals of one act serve no other");
    let replay = Act { command_id: [9; 16], ..act.clone() };
    assert!(["approval.other-body", "procedure.wrong-state"].contains(&refused(&mut sim, &replay)), "nor it twice");
    scenarios::act(&mut sim, 1, act.request, "acknowledge").expect("the other Party requires nothing");
    sim.check_always();
    sim.check_healed();
}

/// [O-2]: without a roll nobody can approve; one of a lower number is refused; it survives a crash.
#[test]
fn a_roll_is_installed_kept_and_never_rolled_back() {
    let mut sim = strict();
    let act = opening(&mut sim);
    assert_eq!(refused(&mut sim, &act), "approval.no-roll");
    let (first, second) = (roll(&sim, 1, |_| {}), roll(&sim, 2, |wire| drop(wire.officers.remove(0))));
    sim.nodes[0].roll_fails = true;
    assert_eq!(install(&mut sim, first.clone()), Err("store.busy"));
    assert_eq!(refused(&mut sim, &act), "approval.no-roll", "what is not on disk does not count");
    sim.nodes[0].roll_fails = false;
    assert_eq!(install(&mut sim, first.clone()), Ok(1));
    assert_eq!(install(&mut sim, first.clone()), Ok(1), "the same once more");
    assert_eq!(install(&mut sim, second.clone()), Ok(2));
    assert_eq!(install(&mut sim, first.clone()), Err("profile.roll-back"));
    let stranger = roll_of_a_stranger(&sim);
    assert_eq!(install(&mut sim, stranger), Err("profile.not-directory-key"));
    assert_eq!(install(&mut sim, vec![1, 2, 3]), Err("profile.malformed"));
    sim.nodes[0].crash(0, true);
    work(&mut sim, 0);
    assert_eq!(install(&mut sim, first), Err("profile.roll-back"), "also after a crash");
    let wanted = wanted(&mut sim, &act);
    let by = |who: &str| sign(&sim, &wanted, who, Eye::First);
    let with = |approvals: Vec<Signed>| Act { approvals, ..act.clone() };
    let (left, stayed) = (with(vec![by("one"), by("two")]), with(vec![by("three"), by("two")]));
    assert_eq!(refused(&mut sim, &left), "approval.not-on-roll", "who has left does not count");
    ask(&mut sim, &stayed).expect("sent");
}

fn roll_of_a_stranger(sim: &Sim) -> Vec<u8> {
    let payload = founded::payload(&roll(sim, 9, |_| {}));
    crate::founding::sign(crate::officer::ROLL_TYPE, payload, &[&house::directory_key("XB")]).expect("signed")
}

/// [O-5]: an emergency goes out on one, who says so; without an emergency it does not.
#[test]
fn glass_is_broken_for_an_emergency() {
    let mut sim = manned();
    let mut act = opening(&mut sim);
    let calm = wanted(&mut sim, &act);
    act.approvals = vec![sign(&sim, &calm, "one", Eye::BreakGlass)];
    assert_eq!(refused(&mut sim, &act), "approval.no-emergency");
    let mut act = sim.act(0, act.request, "request");
    urgency(&mut act, "emergency");
    let urgent = wanted(&mut sim, &act);
    assert!(urgent.matter.emergency);
    act.approvals = vec![sign(&sim, &urgent, "one", Eye::BreakGlass)];
    ask(&mut sim, &act).expect("sent");
    // It is an emergency from then on, whatever the step.
    let mut note = sim.act(0, act.request, "note");
    let urgent = wanted(&mut sim, &note);
    note.approvals = vec![sign(&sim, &urgent, "two", Eye::BreakGlass)];
    ask(&mut sim, &note).expect("sent");
}

/// [O-4]: an erasure needs two as well, and no emergency makes it one.
#[test]
fn nothing_is_erased_without_two_officers() {
    let mut sim = manned();
    let mut act = opening(&mut sim);
    let opening = wanted(&mut sim, &act);
    act.approvals = ["one", "two"].map(|who| sign(&sim, &opening, who, Eye::First)).to_vec();
    ask(&mut sim, &act).expect("sent");
    let mut end = sim.act(0, act.request, "withdraw");
    let ending = wanted(&mut sim, &end);
    end.approvals = ["one", "two"].map(|who| sign(&sim, &ending, who, Eye::First)).to_vec();
    ask(&mut sim, &end).expect("withdrawn");
    let erase = |sim: &mut Sim, ground: &str| {
        sim.nodes[0].erase(act.request, ground);
        work(sim, 0);
        sim.nodes[0].erased.pop().expect("an answer")
    };
    let wanted = *erase(&mut sim, "court-order").expect_err("not yet").wanted.expect("what is to be signed");
    assert!(has_threads(&sim.nodes[0], &act.request), "nothing was erased");
    let one = sign(&sim, &wanted, "one", Eye::First);
    sim.nodes[0].approvals = vec![one.clone(), sign(&sim, &wanted, "two", Eye::Second)];
    assert_eq!(erase(&mut sim, "data-subject").err().map(|refused| refused.code), Some("erase.unknown-ground"));
    sim.nodes[0].approvals[1] = sign(&sim, &wanted, "one", Eye::BreakGlass);
    assert_eq!(erase(&mut sim, "court-order").err().map(|refused| refused.code), Some("approval.no-emergency"));
    sim.nodes[0].approvals = end.approvals.clone();
    assert_eq!(erase(&mut sim, "court-order").err().map(|refused| refused.code), Some("approval.other-body"));
    sim.nodes[0].approvals = vec![one, sign(&sim, &wanted, "two", Eye::Second)];
    erase(&mut sim, "court-order").expect("erased");
    assert!(!has_threads(&sim.nodes[0], &act.request));
}

fn has_threads(node: &SimNode, request: &RequestId) -> bool {
    !node.index.threads_of(request).expect("answers").is_empty()
}

/// [O-1]: where the profile does not ask for it nothing changes.
#[test]
fn who_requires_nothing_goes_on_as_before() {
    let mut sim = scenarios::quiet();
    let request = open(&mut sim);
    act(&mut sim, 0, request, "note").expect("sent");
}
