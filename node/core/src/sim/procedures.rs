//! Every procedure that is offered, carried from its first act to its ends by two nodes: sealed, signed, recorded, delivered,
//! opened, checked, recorded there, receipted, act by act, and after each act both stand where the table says.
//!
//! The ways are those the tests of the law find in the tables: to each state in which a request ends the longest of the
//! shortest threads, and one to each refusal. What an act says is drafted anew on its form for the moment it is taken at, so that
//! a form that cannot say what a guard looks at shows here. Once in fair weather; once with frames lost, doubled, late and
//! overtaken, full disks, and a node that dies in the middle.

use std::collections::BTreeMap;

use super::{
    scenarios::{exchange, hand_over, state, work},
    *,
};
use crate::{
    crypto::sha256,
    event::{Event, Header},
    ids::{Digest, EventId},
    ledger::{Salt, Tree, leaf_entry, leaf_hash, signatures_digest},
    procedure::{
        Act as Said, Standing,
        tests::play::{HOUR, URGENCY, bound, fit, folded, offered, set, walked},
    },
    proto::{ActorKind, Fact, Value},
    rules::sample::shipped,
};

/// Two nodes whose only acts are those of the story, and whose links hold: what is broken is chosen by the story and the air.
const PLAN: Plan = Plan { nodes: 2, steps: 0, requests: 0, calm: u64::MAX / 4, hostile: false };
/// Steps until an act is on record and known to who acts next.
const STEPS_MAX: usize = 200_000;
/// How often a full disk may turn a command away.
const TRIES_MAX: usize = 200;

/// What is done one after the other, and where the table says each leaves the request.
struct Way {
    acts: Vec<Said>,
    states: Vec<String>,
}

/// The ways of a procedure: to each of its ends, and to each refusal.
fn ways(procedure: &ProcedureCode) -> Vec<Way> {
    let family = shipped().family(procedure).expect("offered");
    let walked = walked(procedure);
    let mut longest: BTreeMap<(&str, &str), &Vec<Said>> = BTreeMap::new();
    for ((state, ..), acts) in &walked.ways {
        let Some(last) = acts.last() else { continue };
        let refuses = ["refuse", "deny"].iter().any(|word| last.step.as_str().starts_with(word));
        if refuses || family.is_final(state) {
            let key = if refuses { (state.as_str(), last.step.as_str()) } else { (state.as_str(), "") };
            let known = longest.entry(key).or_insert(acts);
            *known = if acts.len() > known.len() { acts } else { known };
        }
    }
    let is_end = |end: &str| longest.keys().any(|(state, _)| *state == end);
    assert!(is_end("withdrawn"), "{procedure}: nothing withdraws it");
    let is_refused = |(state, step): &(&str, &str)| !step.is_empty() || state.contains("refused");
    let may_refuse = family.rows.iter().any(|row| row.step.as_str() == "refuse");
    assert!(!may_refuse || longest.keys().any(is_refused), "{procedure}: nothing comes of its refusal");
    let ends_well = |(state, step): &(&str, &str)| *state != "withdrawn" && step.is_empty();
    assert!(longest.keys().any(ends_well), "{procedure}: it never ends otherwise");
    longest.into_values().map(|acts| Way { acts: acts.clone(), states: states(procedure, acts) }).collect()
}

fn states(procedure: &ProcedureCode, acts: &[Said]) -> Vec<String> {
    (1..=acts.len()).map(|count| folded(procedure, &acts[..count]).course.state().to_string()).collect()
}

/// Two nodes that every instrument binds that can bind, on a day by which the last of them applies, with power in every
/// procedure. Who is asked declared what the tests of the law take for granted.
fn world(seed: u64) -> Sim {
    static BOOK: std::sync::OnceLock<Book> = std::sync::OnceLock::new();
    world_of(seed, BOOK.get_or_init(|| book(&[])))
}

/// The book of such nodes, where who is asked acts in these names; in any, if in none.
fn book(actors: &[ActorKind]) -> Book {
    let instruments = shipped().instruments().filter(|row| !row.model).map(|row| row.code.as_str());
    let offered = offered();
    let procedures: Vec<&str> = offered.iter().map(ProcedureCode::as_str).collect();
    let declared = bound().reservations;
    let declared: Vec<&str> = declared.iter().map(crate::rules::Code::as_str).collect();
    founded::book_under(&instruments.collect::<Vec<_>>(), &procedures, &declared, actors)
}

fn world_of(seed: u64, book: &Book) -> Sim {
    let mut sim = Sim::within(seed, PLAN, book.clone());
    let latest = shipped().instruments().filter_map(|row| row.applies_from.as_deref()).max().unwrap_or_default();
    while crate::clock::day(sim.now).as_str() < latest {
        sim.now = sim.now.plus_ms(DAY_MS);
    }
    let now = sim.now;
    pass(&mut sim, now);
    sim
}

/// Who takes an act: the first node asks, the second is asked.
fn node_of(act: &Said) -> usize {
    usize::from(act.side == Side::Requested)
}

fn opened(sim: &mut Sim, number: u8) -> RequestId {
    let id = RequestId::new([number; 16]);
    sim.requests.push(Request { id, opener: 0, other: 1 });
    id
}

/// What the node believes of a request.
fn standing(sim: &Sim, node: usize, procedure: &ProcedureCode, request: &RequestId) -> Standing {
    let rows = sim.rows(&sim.nodes[node], request);
    let case = rows.map(|rows| Case::of(&rows).expect("reads"));
    let standing = case.and_then(|case| case.standing(&sim.world.rules, sim.now).expect("a known procedure"));
    standing.unwrap_or_else(|| folded(procedure, &[]))
}

/// What the last act of a thread says, as the node recorded it.
fn recorded(sim: &Sim, node: usize, request: &RequestId) -> Option<Vec<Fact>> {
    sim.rows(&sim.nodes[node], request)?.pop().map(|row| row.facts)
}

/// The act drafted on its form for this moment; where it must wait, the moment is later.
fn drafted(sim: &mut Sim, procedure: &ProcedureCode, request: &RequestId, way: &Said) -> (Said, Body) {
    let node = node_of(way);
    let form = shipped().form(procedure, &way.step).expect("every step has a form");
    loop {
        let standing = standing(sim, node, procedure, request);
        let body = marked_body(form, sim.now);
        let (author, parents) = (sim.nodes[node].party.clone(), standing.heads.clone());
        let (time, facts) = (sim.now, form.facts(&body));
        let mut act = Said { id: EventId::new([0; 32]), author, parents, time, recorded: time, facts, ..way.clone() };
        let urgency = way.facts.iter().find(|fact| fact.key == URGENCY).and_then(|fact| fact.value.clone()?.kind);
        fit(&mut act, &standing);
        if let Some(urgency) = urgency {
            set(&mut act, URGENCY, urgency);
        }
        if act.time <= sim.now {
            let body = saying(form, body, &act.facts);
            return (act, body);
        }
        pass(sim, act.time);
    }
}

/// The body with these facts in its fields, and none besides.
fn saying(form: &Form, mut body: Body, facts: &[Fact]) -> Body {
    let is_listed = |key: &str, list: &str| {
        let place = key.strip_prefix(list).and_then(|rest| rest.strip_prefix('.'));
        place.is_some_and(|place| place.bytes().all(|byte| byte.is_ascii_digit()))
    };
    for field in &mut body.fields {
        let Some(rule) = form.field(&field.key).filter(|rule| rule.fact) else { continue };
        let said = facts.iter().filter(|fact| fact.key == rule.key || is_listed(&fact.key, &rule.key));
        field.values = said.filter_map(|fact| fact.value.clone()).collect::<Vec<Value>>();
    }
    body.fields.retain(|field| !field.values.is_empty());
    body
}

/// Time goes on until then.
fn pass(sim: &mut Sim, until: Time) {
    sim.now = sim.now.max(until);
    sim.nodes.iter_mut().for_each(SimNode::tick);
}

/// The command for an act; in words, if its form cannot say it.
fn command(sim: &mut Sim, procedure: &ProcedureCode, request: RequestId, way: &Said) -> Result<(Said, Act), String> {
    let (act, body) = drafted(sim, procedure, &request, way);
    let form = shipped().form(procedure, &way.step).expect("every step has a form");
    let mistakes = form.check(&body);
    if !mistakes.is_empty() {
        return Err(format!("{}: {mistakes:?}", form.id()));
    }
    if form.facts(&body) != act.facts {
        return Err(format!("{}: its body does not say {:?}", form.id(), act.facts));
    }
    let opens = sim.rows(&sim.nodes[0], &request).is_none();
    let urgent = way.facts.iter().any(|fact| fact.key == URGENCY && fact.value == Some(code("emergency")));
    let command = Act {
        command_id: sim.chance.bytes(),
        request,
        recipients: opens.then(|| sim.nodes[1].party.clone()).into_iter().collect(),
        body,
        procedure: procedure.clone(),
        step: way.step.clone(),
        authority: AuthorityId::parse("central").expect("id"),
        lane: if urgent { Lane::Emergency } else { Lane::Normal },
        approvals: Vec::new(),
    };
    Ok((act, command))
}

fn code(text: &str) -> Value {
    Value { kind: Some(Kind::Code(text.to_owned())) }
}

/// In fair weather: one act, delivered and receipted before the next.
fn take(sim: &mut Sim, procedure: &ProcedureCode, request: RequestId, way: &Said) -> Result<(), String> {
    let node = node_of(way);
    let now = sim.now.plus_ms(HOUR);
    pass(sim, now);
    exchange(sim, node);
    let (act, command) = command(sim, procedure, request, way)?;
    let command_id = command.command_id;
    sim.nodes[node].command(command);
    let frames = work(sim, node);
    let (_, result) = sim.nodes[node].replies.pop().expect("every command has a reply");
    let done = result.map_err(|not_done| format!("{} {}", not_done.detail, not_done.code))?;
    sim.acknowledged.insert(command_id, (node, done));
    hand_over(sim, node, &frames);
    exchange(sim, 1 - node);
    let told = [0, 1].map(|node| recorded(sim, node, &request));
    if told != [Some(act.facts.clone()), Some(act.facts)] {
        return Err(format!("both record what was said: {told:?}"));
    }
    Ok(())
}

fn carried(sim: &mut Sim, procedure: &ProcedureCode, request: RequestId, way: &Way) -> Result<(), String> {
    for (act, expected) in way.acts.iter().zip(&way.states) {
        let at = format!("{procedure}, {} to {expected}", act.step);
        take(sim, procedure, request, act).map_err(|why| format!("{at}: {why}"))?;
        stands(sim, &request, expected).map_err(|why| format!("{at}: {why}"))?;
    }
    Ok(())
}

/// Both sides stand there, tell one story, and set nothing aside.
fn stands(sim: &Sim, request: &RequestId, expected: &str) -> Result<(), String> {
    let states = [0, 1].map(|node| state(sim, node, request));
    let stories = [0, 1].map(|node| sim.story(&sim.nodes[node], request));
    let aside = [0, 1].map(|node| {
        let rows = sim.rows(&sim.nodes[node], request).expect("known");
        let void = rows.iter().any(|row| row.void);
        let standing = Case::of(&rows).expect("reads").standing(&sim.world.rules, sim.now);
        void || !standing.expect("known").expect("begun").set_aside.is_empty()
    });
    if states.iter().all(|state| state == expected) && stories[0] == stories[1] && aside == [false, false] {
        return Ok(());
    }
    Err(format!("stands at {states:?}: {stories:#?}"))
}

/// Each leaf can be recomputed, each event is signed by its author, and a checkpoint of the node covers them.
fn verify(sim: &Sim, node: usize) {
    let (node, trust) = (&sim.nodes[node], &sim.world.trust);
    let profile = trust.profile(&node.party, sim.now).expect("a profile");
    let checkpoint = profile.verify_checkpoint(node.note(), sim.now).expect("signed by the node");
    let checkpoint = checkpoint.checkpoint();
    let mut tree = Tree::new();
    for record in node.ledger() {
        let (part, case) = (&record.node, &record.case);
        let id = Digest::from_slice(&part.record_id).expect("an id");
        let salt = Salt(case.salt[..].try_into().expect("32 bytes"));
        assert_eq!(leaf_entry(&salt, &id, &case.context), record.leaf, "the leaf is that of the record");
        tree.push(leaf_hash(&record.leaf));
        if [RecordKind::EventSent, RecordKind::EventReceived].contains(&record.kind) {
            let header = Header::from_wire(&case.header).expect("a header");
            assert_eq!(header.body.digest, sha256(&[&record.body]), "the body is the one that was signed");
            let (id, bytes) = (crate::event::event_id(&case.header), case.header.clone());
            assert_eq!(id.as_bytes()[..], part.record_id[..]);
            let context = crate::ledger::Context::from_bytes(&case.context).expect("a context");
            assert_eq!(context.signatures, signatures_digest(&case.signatures));
            let event = Event { header, id, bytes, signatures: case.signatures.clone(), body: record.body.clone() };
            event.verify(trust, Time(part.recorded_ms)).expect("signed by its author");
        }
    }
    let size = tree.size();
    assert!(checkpoint.size > 0 && checkpoint.size <= size);
    assert_eq!(tree.root_at(checkpoint.size).expect("held"), checkpoint.root);
}

fn checked(sim: &mut Sim) {
    sim.check_always();
    sim.check_healed();
    [0, 1].iter().for_each(|node| verify(sim, *node));
}

#[test]
fn each_procedure_is_carried_to_its_ends() {
    let mut wrongs = Vec::new();
    for procedure in offered() {
        let mut sim = world(1);
        sim.faults = false;
        let before = wrongs.len();
        for (number, way) in (1..).zip(ways(&procedure)) {
            let request = opened(&mut sim, number);
            wrongs.extend(carried(&mut sim, &procedure, request, &way).err());
        }
        if wrongs.len() == before {
            checked(&mut sim);
        }
    }
    assert!(wrongs.is_empty(), "{} of the ways: {wrongs:#?}", wrongs.len());
}

/// [P-4]: what a court decides is signed through an authority that was declared to act as one.
#[test]
fn a_step_is_taken_through_an_authority_that_acts_in_that_name() {
    let procedure = ProcedureCode::parse("EXTR").expect("code");
    let ways = ways(&procedure);
    let by_court = |act: &Said| {
        crate::procedure::actor_of(shipped(), &procedure, &act.step, act.side) == Ok(ActorKind::ReviewBody)
    };
    let way = ways.iter().find(|way| way.acts.iter().any(by_court)).expect("one goes before a court");
    let before = way.acts.iter().position(by_court).expect("found above");
    let carry = |actors: &[ActorKind]| {
        let mut sim = world_of(7, &book(actors));
        let request = opened(&mut sim, 1);
        let until = Way { acts: way.acts[..before].to_vec(), states: way.states.clone() };
        carried(&mut sim, &procedure, request, &until).unwrap_or_else(|why| panic!("{why}"));
        take(&mut sim, &procedure, request, &way.acts[before])
    };
    let refused = carry(&[ActorKind::Authority]).expect_err("it is no court");
    assert!(refused.contains("profile.no-power") && refused.contains("review-body"), "{refused}");
    assert_eq!(carry(&[ActorKind::Authority, ActorKind::ReviewBody]), Ok(()));
    assert_eq!(carry(&[]), Ok(()), "who declared no name acts in any");

    // A node that believes otherwise of itself is refused by the other side.
    let (mut sim, other) = (world_of(7, &book(&[])), book(&[ActorKind::Authority]));
    let rules = Arc::clone(&sim.world.rules);
    let world = World { trust: Arc::new(other.trust()), book: other, rules };
    sim.nodes[0] = SimNode::new("XA", &world, sim.now);
    sim.set_link(0, 1, false);
    sim.set_link(0, 1, true);
    let request = opened(&mut sim, 1);
    let until = Way { acts: way.acts[..before].to_vec(), states: way.states.clone() };
    carried(&mut sim, &procedure, request, &until).unwrap_or_else(|why| panic!("{why}"));
    let seen = sim.rows(&sim.nodes[0], &request).expect("known").len();
    take(&mut sim, &procedure, request, &way.acts[before]).expect_err("the other side does not record it");
    assert_eq!(sim.rows(&sim.nodes[0], &request).expect("known").len(), seen);
    let refused = sim.rows(&sim.nodes[1], &request).expect("known").pop().expect("an act");
    assert!(refused.void && refused.step == way.acts[before].step.as_str(), "{refused:?}");
}

/// Steps until it is so.
fn until(sim: &mut Sim, what: &str, is: impl Fn(&Sim) -> bool) {
    for _ in 0..STEPS_MAX {
        if is(sim) {
            return;
        }
        sim.step();
    }
    panic!("{what}: {}\n{}", sim.unrest(), sim.count);
}

/// In foul weather: an act is given as soon as who takes it knows of those before, and again until it is done; now and then
/// somebody dies meanwhile.
fn force(
    sim: &mut Sim,
    procedure: &ProcedureCode,
    request: RequestId,
    way: &Said,
    (before, dies): (usize, Option<usize>),
) {
    let node = node_of(way);
    let at = format!("{procedure}, {}", way.step);
    until(sim, &at, |sim| sim.rows(&sim.nodes[node], &request).map_or(0, |rows| rows.len()) == before);
    let (_, act) = command(sim, procedure, request, way).unwrap_or_else(|why| panic!("{at}: {why}"));
    let id = act.command_id;
    for again in 0..TRIES_MAX {
        sim.give(Given { node, act: act.clone() });
        if let Some(dies) = dies.filter(|_| again == 0) {
            (0..sim.chance.place(40)).for_each(|_| sim.step());
            sim.crash(dies);
        }
        until(sim, &at, |sim| sim.waiting.values().all(|given| given.act.command_id != id));
        if sim.acknowledged.contains_key(&id) {
            return;
        }
    }
    panic!("{at}: not done\n{}", sim.count);
}

#[test]
fn each_procedure_is_carried_to_its_ends_under_faults() {
    let mut met = Count::default();
    for (seed, procedure) in (1..).zip(offered()) {
        let mut sim = world(seed);
        let ways = ways(&procedure);
        for (number, way) in (1..).zip(&ways) {
            let request = opened(&mut sim, number);
            let dies = sim.chance.place(2);
            for (before, act) in way.acts.iter().enumerate() {
                let dies = (before == way.acts.len() / 2).then_some(dies);
                force(&mut sim, &procedure, request, act, (before, dies));
            }
        }
        sim.heal();
        for (request, way) in sim.requests.clone().iter().zip(&ways) {
            let expected = way.states.last().expect("a way has acts");
            stands(&sim, &request.id, expected).unwrap_or_else(|why| panic!("{procedure}, {expected}: {why}"));
        }
        checked(&mut sim);
        met.merge(&sim.count);
    }
    let met = [What::Lost, What::Doubled, What::Overtaken, What::Crashes].map(|what| (what, met.of(what)));
    assert!(met.iter().all(|(_, many)| *many > 0), "all that goes wrong on the way was met: {met:?}");
}
