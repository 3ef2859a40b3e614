//! Two engines and up to thirty under one seed: virtual time, loss, delay, duplication, reordering,
//! cuts both ways and one way, partitions, crashes with torn tails, lost indexes, full and slow disks,
//! clocks that are off and that jump, and a hostile node with keys of its own.
//!
//! After every few steps: nothing acknowledged is gone, nothing is in a ledger twice, the index is what
//! its ledger says. After healing: everything owed was answered, both ledgers tell one story, both
//! sides stand in one state. At no time does a frame show what a body says, or does a node learn of a
//! thread it is no member of. With a hostile node all of this holds between the others, and of its
//! siblings each takes one at most.
//!
//! A failure prints its seed and the command that replays it; the seed then joins [`REGRESSIONS`].
//! The long run prints what it did:
//!
//! ```text
//! COMITY_SIM_SEEDS=2000 cargo test --release -p comity-core sim:: -- --nocapture
//! ```
//!
//! `faults` breaks things, `letting_go` erases and holds, `byzantine` and `forge` lie, `check` asks for the promises, `count` counts,
//! `scenarios`, `erasures`, `eyes`, `succession` and `lies` tell single stories, `procedures` carries each procedure to its ends.

mod byzantine;
mod check;
mod count;
mod documents;
mod erasures;
mod eyes;
mod faults;
mod forge;
mod letting_go;
mod lies;
mod long;
mod node;
mod procedures;
mod scenarios;
mod succession;

use std::{collections::BTreeMap, sync::Arc};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::{
    case::Case,
    engine::{Act, Done},
    event::thread_id,
    founding::tests as founded,
    ids::{AuthorityId, DAY_MS, ProcedureCode, RequestId, StepCode, ThreadId, Time},
    procedure::{Side, next_steps},
    profile::Book,
    proto::{Body, EventRow, Lane, RecordKind, value::Kind},
    rules::{Form, sample},
};
use byzantine::{Hostile, Trick};
use check::MARKER;
use count::{Count, What};
use faults::Weather;
use node::{Frame, SimNode, World};

/// Checks look at whole ledgers, so not after every step.
const CHECK_EVERY: usize = 10;
/// Steps to heal in, for each node.
const HEALING: usize = 20_000;
struct Chance(ChaCha20Rng);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A place below `n`; zero if there is none.
    fn place(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n.max(1) as u64)).expect("small")
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> Option<&'t T> {
        items.get(self.place(items.len()))
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// One kind of run.
#[derive(Clone, Copy)]
struct Plan {
    nodes: usize,
    /// Steps under faults; then it heals.
    steps: usize,
    /// Requests: few, so that acts meet each other.
    requests: usize,
    /// One command or crash where a small network has so many.
    calm: u64,
    /// True if the last node is hostile.
    hostile: bool,
}

struct InFlight {
    at: Time,
    from: usize,
    to: usize,
    frame: Frame,
    trick: Option<Trick>,
    number: u64,
}

/// A command given, until its reply; given again after a crash, as a client would.
#[derive(Clone)]
struct Given {
    node: usize,
    act: Act,
}

/// A request and the two nodes it is between.
#[derive(Clone, Copy)]
struct Request {
    id: RequestId,
    opener: usize,
    other: usize,
}

struct Sim {
    chance: Chance,
    now: Time,
    nodes: Vec<SimNode>,
    air: Vec<InFlight>,
    flown: u64,
    links: BTreeMap<(usize, usize), bool>,
    weather: Weather,
    faults: bool,
    /// True in the season in which requests that have ended are let go of, among fewer acts.
    letting_go: bool,
    /// Some frames that once were sent.
    heard: Vec<(usize, usize, Frame)>,
    plan: Plan,
    hostile: Option<Hostile>,
    requests: Vec<Request>,
    waiting: BTreeMap<(usize, u64), Given>,
    acknowledged: BTreeMap<[u8; 16], (usize, Done)>,
    world: World,
    count: Count,
}

impl Sim {
    fn new(seed: u64, plan: Plan) -> Self {
        Self::within(seed, plan, founded::book_of(plan.nodes))
    }

    /// In a network that was founded otherwise.
    fn within(seed: u64, plan: Plan, book: Book) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let world = World { trust: Arc::new(book.trust()), book, rules: Arc::new(sample::shipped().clone()) };
        // Clocks that jump back must not come to lie before the founding.
        let now = founded::START.plus_ms(DAY_MS);
        let mut sim = Self {
            chance: Chance(ChaCha20Rng::from_seed(bytes)),
            now,
            nodes: founded::codes(plan.nodes).iter().map(|code| SimNode::new(code, &world, now)).collect(),
            air: Vec::new(),
            flown: 0,
            links: BTreeMap::new(),
            weather: Weather::fair(plan.nodes),
            faults: true,
            letting_go: false,
            heard: Vec::new(),
            plan,
            hostile: plan.hostile.then(|| Hostile::new(plan.nodes - 1)),
            requests: Vec::new(),
            waiting: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            world,
            count: Count::default(),
        };
        sim.each_pair(|sim, a, b| sim.set_link(a, b, true));
        sim
    }

    fn each_pair(&mut self, mut act: impl FnMut(&mut Self, usize, usize)) {
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                act(self, a, b);
            }
        }
    }

    fn set_link(&mut self, a: usize, b: usize, up: bool) {
        if self.links.insert((a, b), up) == Some(up) {
            return;
        }
        let (one, other) = (self.nodes[a].party.clone(), self.nodes[b].party.clone());
        self.nodes[a].link(&other, up);
        self.nodes[b].link(&one, up);
        if !up {
            let before = self.air.len();
            self.air.retain(|flight| (flight.from.min(flight.to), flight.from.max(flight.to)) != (a, b));
            self.count.add(What::Lost, before - self.air.len());
        }
    }

    fn is_up(&self, a: usize, b: usize) -> bool {
        self.links.get(&(a.min(b), a.max(b))) == Some(&true)
    }

    fn is_honest(&self, node: usize) -> bool {
        self.hostile.as_ref().is_none_or(|hostile| hostile.node != node)
    }

    fn other_than(&mut self, node: usize) -> usize {
        (node + 1 + self.chance.place(self.nodes.len() - 1)) % self.nodes.len()
    }

    /// One thing happens.
    fn step(&mut self) {
        self.count.one(What::Steps);
        let node = self.chance.place(self.nodes.len());
        match self.chance.below(if self.faults { 68 } else { 48 }) {
            0..=19 => self.turn(node),
            20..=33 if self.weather.is_stuck(node, self.now) => (),
            20..=26 => self.nodes[node].write(3),
            27..=33 => self.nodes[node].sync(),
            34..=43 => self.arrive(),
            44..=47 => self.pass_time(),
            48..=57 if self.chance.one_in(self.plan.calm) => {
                // Who does not know that the other side has erased a request acts in it still.
                if self.letting_go && !self.chance.one_in(5) {
                    self.let_go();
                } else {
                    self.give_command();
                }
            }
            58 if self.chance.one_in(2 * self.plan.calm) => self.crash(node),
            59 if self.chance.one_in(self.plan.calm) => self.let_go(),
            60..=61 if self.chance.one_in(self.plan.calm) => self.break_something(node),
            63 => {
                self.nodes[node].disk_full = self.chance.one_in(4);
                self.nodes[node].note_fails = self.nodes[node].disk_full && self.chance.one_in(4);
                self.count.add(What::FullDisks, usize::from(self.nodes[node].disk_full));
            }
            64..=67 => self.invent(),
            _ => (),
        }
        self.carry();
        self.collect_replies();
        self.collect_erasures();
        self.collect_holds();
        self.collect_fates();
    }

    fn turn(&mut self, node: usize) {
        for _ in 0..self.chance.place(4 + self.nodes[node].backlog() / 4) {
            let entropy = self.chance.bytes();
            self.nodes[node].turn(self.now, entropy);
        }
    }

    /// Frames leave: lost, doubled or delayed as chance will have it, or made false by a hostile node.
    fn carry(&mut self) {
        for from in 0..self.nodes.len() {
            for (to, frame) in self.nodes[from].sent() {
                let to = self.nodes.iter().position(|node| node.party == to).expect("a node of the network");
                self.count.one(match frame {
                    Frame::Delivery(_) => What::Deliveries,
                    Frame::Answer(_) => What::Answers,
                });
                self.count.add(What::UnderFaults, usize::from(self.faults));
                self.check_frame(from, to, &frame);
                self.overhear(from, to, &frame);
                for (frame, trick) in self.twist(from, to, frame) {
                    self.post(from, to, frame, trick);
                }
            }
        }
    }

    fn post(&mut self, from: usize, to: usize, frame: Frame, trick: Option<Trick>) {
        let lost = !self.is_up(from, to) || self.weather.is_deaf(from, to) || self.faults && self.chance.one_in(8);
        if lost {
            return self.count.one(What::Lost);
        }
        if self.faults && self.chance.one_in(6) {
            self.count.one(What::Doubled);
            self.fly(from, to, frame.clone(), trick);
        }
        self.fly(from, to, frame, trick);
    }

    fn fly(&mut self, from: usize, to: usize, frame: Frame, trick: Option<Trick>) {
        let at = self.now.plus_ms(self.chance.below(200));
        self.flown += 1;
        self.air.push(InFlight { at, from, to, frame, trick, number: self.flown });
    }

    /// Frames arrive in any order: more at a time when many have landed, as lines and nodes would.
    fn arrive(&mut self) {
        let landed: Vec<usize> = (0..self.air.len()).filter(|i| self.air[*i].at <= self.now).collect();
        let many = landed.len().min(1 + landed.len() / 4);
        let mut picked: Vec<usize> = (0..many).filter_map(|_| self.chance.pick(&landed).copied()).collect();
        picked.sort_unstable();
        picked.dedup();
        for place in picked.into_iter().rev() {
            self.land(place);
        }
    }

    fn land(&mut self, place: usize) {
        let flight = self.air.swap_remove(place);
        let earlier =
            |other: &InFlight| (other.from, other.to) == (flight.from, flight.to) && other.number < flight.number;
        self.count.add(What::Overtaken, usize::from(self.air.iter().any(earlier)));
        let from = self.nodes[flight.from].party.clone();
        self.nodes[flight.to].receive(&from, &flight.frame, flight.trick, self.now);
    }

    fn pass_time(&mut self) {
        // After healing hours go by sooner: whose clock was an hour ahead must be caught up with.
        let long = self.chance.one_in(if self.faults { 50 } else { 20 });
        let most = if long { 3_600_000 } else { 200 };
        self.now = self.now.plus_ms(self.chance.below(most));
        for node in &mut self.nodes {
            if node.wake.is_some_and(|at| at <= self.now) {
                node.tick();
            }
        }
        self.mend();
    }

    fn crash(&mut self, node: usize) {
        let torn = self.chance.place(4);
        let lose_index = self.chance.one_in(2);
        self.count.one(What::Crashes);
        self.count.add(What::ErasuresCut, self.nodes[node].index.erasures_begun().expect("answers").len());
        self.count.add(What::IndexesLost, usize::from(lose_index));
        self.nodes[node].crash(torn, lose_index);
        let node_after = &self.nodes[node];
        assert_eq!(
            node_after.rebuilt().pairs(),
            node_after.index.pairs(),
            "a crash leaves the index and the ledger alike"
        );
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.is_up(node, other) {
                self.set_link(node.min(other), node.max(other), false);
                self.set_link(node.min(other), node.max(other), true);
            }
        }
        let again: Vec<(usize, u64)> = self.waiting.keys().filter(|(at, _)| *at == node).copied().collect();
        for key in again {
            if let Some(given) = self.waiting.remove(&key) {
                self.give(given);
            }
        }
    }

    fn give(&mut self, given: Given) {
        let ticket = self.nodes[given.node].command(given.act.clone());
        self.waiting.insert((given.node, ticket), given);
    }

    fn give_command(&mut self) {
        self.count.one(What::Commands);
        let new = self.requests.is_empty() || self.requests.len() < self.plan.requests && self.chance.one_in(4);
        let (node, act) = if new {
            let opener = self.chance.place(self.nodes.len());
            let request = Request { id: RequestId::new(self.chance.bytes()), opener, other: self.other_than(opener) };
            self.requests.push(request);
            (opener, self.act(opener, request.id, "request"))
        } else {
            let request = self.requests[self.chance.place(self.requests.len())];
            let node = self.who_acts(&request);
            let step = self.open_step(node, &request.id, request.opener == node);
            (node, self.act(node, request.id, &step))
        };
        self.give(Given { node, act });
    }

    /// A member that knows of the request, else who opens it; now and then anybody.
    fn who_acts(&mut self, request: &Request) -> usize {
        let anybody = self.chance.place(self.nodes.len());
        if self.chance.one_in(20) {
            return anybody;
        }
        let node = if self.chance.one_in(2) { request.opener } else { request.other };
        let knows = self.rows(&self.nodes[node], &request.id).is_some();
        if knows { node } else { request.opener }
    }

    /// A step the node believes it may take; now and then any.
    fn open_step(&mut self, node: usize, request: &RequestId, opened: bool) -> String {
        let any: &[&str] = if opened { &["withdraw", "release", "extend"] } else { &["preserve", "confirm-extension"] };
        let side = if opened { Side::Requesting } else { Side::Requested };
        let rows = self.rows(&self.nodes[node], request);
        if opened && rows.is_none() {
            return "request".to_owned();
        }
        let standing = rows.and_then(|rows| Case::of(&rows).ok()?.standing(&self.world.rules, self.now).ok()?);
        let open: Vec<&str> = match &standing {
            Some(standing) if !self.chance.one_in(8) => {
                let ends = self.chance.one_in(6);
                let rows = next_steps(standing, side);
                let steps = rows.iter().map(|row| row.step);
                steps.filter(|step| ends || !["withdraw", "release", "cannot-preserve"].contains(step)).collect()
            }
            Some(_) | None => any.to_vec(),
        };
        (*self.chance.pick(&open).unwrap_or(&"note")).to_owned()
    }

    fn rows(&self, node: &SimNode, request: &RequestId) -> Option<Vec<EventRow>> {
        let thread: ThreadId = *node.index.threads_of(request).expect("answers").first()?;
        Some(node.index.events(&thread).expect("answers"))
    }

    fn thread(&self, request: &Request) -> ThreadId {
        let members = [request.opener, request.other].map(|node| self.nodes[node].party.clone());
        thread_id(&founded::network(), &request.id, &members.into())
    }

    fn act(&mut self, node: usize, request: RequestId, step: &str) -> Act {
        let procedure = ProcedureCode::parse("PRES").expect("code");
        let step = StepCode::parse(step).expect("code");
        let form = self.world.rules.form(&procedure, &step).expect("every step has a form");
        let known = self.requests.iter().find(|known| known.id == request && known.opener == node);
        let other = known.map_or((node + 1) % self.nodes.len(), |known| known.other);
        let opens = step.as_str() == "request";
        let body = marked_body(form, self.nodes[node].clock(self.now));
        Act {
            command_id: self.chance.bytes(),
            request,
            recipients: opens.then(|| self.nodes[other].party.clone()).into_iter().collect(),
            body,
            procedure,
            step,
            authority: AuthorityId::parse("central").expect("id"),
            lane: if self.chance.one_in(4) { Lane::Emergency } else { Lane::Normal },
            approvals: Vec::new(),
        }
    }

    fn collect_replies(&mut self) {
        for node in 0..self.nodes.len() {
            for (ticket, result) in std::mem::take(&mut self.nodes[node].replies) {
                let Some(given) = self.waiting.remove(&(node, ticket)) else { continue };
                let done = match result {
                    Ok(done) => done,
                    Err(refused) => {
                        self.count.not_done(refused.code);
                        continue;
                    }
                };
                let before = self.acknowledged.insert(given.act.command_id, (node, done.clone()));
                self.count.add(What::Acts, usize::from(before.is_none()));
                assert!(before.is_none_or(|(_, before)| before == done), "one command has one result");
            }
        }
    }

    fn season(&mut self, steps: usize) {
        self.faults = true;
        for step in 0..steps {
            self.step();
            if step % CHECK_EVERY == 0 {
                self.check_always();
            }
        }
        self.heal();
        self.check_always();
        self.check_healed();
    }

    fn heal(&mut self) {
        self.faults = false;
        self.clear_up();
        for step in 0..HEALING * self.nodes.len() {
            self.step();
            if step % self.nodes.len() == 0 && self.is_quiet() {
                return;
            }
        }
        panic!("after healing, everything owed must be answered: {}", self.unrest());
    }

    fn count_records(&mut self) {
        for node in &self.nodes {
            let of = |kind: RecordKind| node.ledger().iter().filter(move |record| record.kind == kind);
            let late = of(RecordKind::RefusalGiven).filter(|record| record.node.code == "event.request-erased");
            self.count.add(What::Refusals, of(RecordKind::RefusalGiven).count());
            self.count.add(What::Erasures, of(RecordKind::Erasure).count());
            self.count.add(What::LateActs, late.count());
            self.count.add(What::LateCopies, node.told_erased);
            self.count.add(What::Records, node.ledger().len());
        }
    }
}

/// A full body whose every text that has room for it says who may read it.
fn marked_body(form: &Form, now: Time) -> Body {
    let mut body = sample::full_at(form, now);
    for value in body.fields.iter_mut().flat_map(|field| &mut field.values) {
        if let Some(Kind::Text(text)) = &mut value.kind {
            MARKER.clone_into(&mut text.text);
        }
    }
    if form.check(&body).is_empty() { body } else { sample::full_at(form, now) }
}

/// A season of acts, and one in which what has ended by then is let go of, each under faults until it heals.
fn run(seed: u64, plan: Plan) -> Count {
    let mut sim = Sim::new(seed, plan);
    sim.set_clocks();
    sim.season(plan.steps);
    sim.end_some();
    sim.heal();
    sim.letting_go = true;
    sim.season(plan.steps / 2);
    sim.count_records();
    sim.count.one(What::Runs);
    sim.count
}
