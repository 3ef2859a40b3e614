//! Two engines and more under one seed: virtual time, loss, delay, duplication, reordering, cuts,
//! crashes with torn tails, lost indexes and full disks.
//!
//! After every few steps: nothing acknowledged is gone, nothing is in a ledger twice, the index is what
//! its ledger says. After healing: everything owed was answered, both ledgers tell one story, both
//! sides stand in one state. A failure prints its seed and the command that replays it; the seed
//! then joins [`REGRESSIONS`].

mod node;
mod scenarios;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::{
    case::Case,
    engine::{Act, Done},
    founding::tests as founded,
    ids::{AuthorityId, EventId, PartyCode, ProcedureCode, RequestId, StepCode, ThreadId, Time},
    procedure::{Side, next_steps},
    proto::{EventRow, Lane, RecordKind},
    rules::sample,
};
use node::{Frame, SimNode, World};

/// Seeds that once found a defect.
const REGRESSIONS: &[u64] = &[
    6, // a late wish to retry, after the receipt, led to a second receipt
];
/// Seeds of an ordinary test run; the long run takes thousands.
const SEEDS: u64 = 16;
/// Checks look at whole ledgers, so not after every step.
const CHECK_EVERY: usize = 10;
/// Steps under faults, then steps to heal in.
const STEPS: usize = 1_200;
/// Requests of a run: few, so that acts meet each other.
const REQUESTS_MAX: usize = 4;
const HEALING: usize = 20_000;

struct Chance(ChaCha20Rng);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

struct InFlight {
    at: Time,
    from: usize,
    to: usize,
    frame: Frame,
}

/// A command given, until its reply; given again after a crash, as a client would.
#[derive(Clone)]
struct Given {
    node: usize,
    act: Act,
}

struct Sim {
    chance: Chance,
    now: Time,
    nodes: Vec<SimNode>,
    air: Vec<InFlight>,
    links: BTreeMap<(usize, usize), bool>,
    faults: bool,
    requests: Vec<(RequestId, usize)>,
    waiting: BTreeMap<(usize, u64), Given>,
    acknowledged: BTreeMap<[u8; 16], (usize, Done)>,
    world: World,
}

impl Sim {
    fn new(seed: u64, nodes: usize) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let world = World { trust: Arc::new(founded::trust()), rules: Arc::new(sample::shipped().clone()) };
        let now = founded::START.plus_ms(1_000);
        let mut sim = Self {
            chance: Chance(ChaCha20Rng::from_seed(bytes)),
            now,
            nodes: founded::CODES.iter().take(nodes).map(|code| SimNode::new(code, &world, now)).collect(),
            air: Vec::new(),
            links: BTreeMap::new(),
            faults: true,
            requests: Vec::new(),
            waiting: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            world,
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
            self.air.retain(|flight| (flight.from.min(flight.to), flight.from.max(flight.to)) != (a, b));
        }
    }

    fn is_up(&self, a: usize, b: usize) -> bool {
        self.links.get(&(a.min(b), a.max(b))) == Some(&true)
    }

    /// One thing happens.
    fn step(&mut self) {
        let node = usize::try_from(self.chance.below(self.nodes.len() as u64)).expect("small");
        match self.chance.below(if self.faults { 64 } else { 48 }) {
            0..=19 => self.turn(node),
            20..=26 => self.nodes[node].write(3),
            27..=33 => self.nodes[node].sync(),
            34..=43 => self.arrive(),
            44..=47 => self.pass_time(),
            48..=57 => self.give_command(node),
            58..=59 => self.crash(node),
            60..=61 => {
                let other = (node + 1) % self.nodes.len();
                let up = self.is_up(node, other);
                self.set_link(node.min(other), node.max(other), !up);
            }
            _ => self.nodes[node].disk_full = self.chance.one_in(3),
        }
        self.carry();
        self.collect_replies();
    }

    fn turn(&mut self, node: usize) {
        for _ in 0..self.chance.below(4) {
            let entropy = self.chance.bytes();
            self.nodes[node].turn(self.now, entropy);
        }
    }

    /// Frames leave: lost, doubled or delayed as chance will have it.
    fn carry(&mut self) {
        for from in 0..self.nodes.len() {
            for (to, frame) in self.nodes[from].sent() {
                let to = self.nodes.iter().position(|node| node.party == to).expect("a node of the network");
                if !self.is_up(from, to) || self.faults && self.chance.one_in(8) {
                    continue;
                }
                if self.faults && self.chance.one_in(6) {
                    self.fly(from, to, copy(&frame));
                }
                self.fly(from, to, frame);
            }
        }
    }

    fn fly(&mut self, from: usize, to: usize, frame: Frame) {
        let at = self.now.plus_ms(self.chance.below(400));
        self.air.push(InFlight { at, from, to, frame });
    }

    fn arrive(&mut self) {
        let landed: Vec<usize> = (0..self.air.len()).filter(|i| self.air[*i].at <= self.now).collect();
        let Some(pick) = landed.get(usize::try_from(self.chance.below(landed.len().max(1) as u64)).expect("small"))
        else {
            return;
        };
        let flight = self.air.swap_remove(*pick);
        let from = self.nodes[flight.from].party.clone();
        self.nodes[flight.to].receive(&from, &flight.frame, self.now);
    }

    fn pass_time(&mut self) {
        let most = if self.chance.one_in(50) { 3_600_000 } else { 200 };
        self.now = self.now.plus_ms(self.chance.below(most));
        for node in &mut self.nodes {
            if node.wake.is_some_and(|at| at <= self.now) {
                node.tick();
            }
        }
    }

    fn crash(&mut self, node: usize) {
        let torn = usize::try_from(self.chance.below(4)).expect("small");
        let lose_index = self.chance.one_in(2);
        self.nodes[node].crash(torn, lose_index);
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

    fn give_command(&mut self, node: usize) {
        let act = if self.requests.is_empty() || self.requests.len() < REQUESTS_MAX && self.chance.one_in(4) {
            let request = RequestId::new(self.chance.bytes());
            self.requests.push((request, node));
            self.act(node, request, "request")
        } else {
            let pick = usize::try_from(self.chance.below(self.requests.len() as u64)).expect("small");
            let (request, opener) = self.requests[pick];
            let step = self.open_step(node, &request, opener == node);
            self.act(node, request, &step)
        };
        self.give(Given { node, act });
    }

    /// A step the node believes it may take; now and then any.
    fn open_step(&mut self, node: usize, request: &RequestId, opened: bool) -> String {
        let any: &[&str] = if opened { &["withdraw", "release", "extend"] } else { &["preserve", "confirm-extension"] };
        let side = if opened { Side::Requesting } else { Side::Requested };
        let rows = self.rows(&self.nodes[node], request);
        let standing = rows.and_then(|rows| Case::of(&rows).ok()?.standing(&self.world.rules, self.now).ok()?);
        let open: Vec<&str> = match standing {
            Some(standing) if !self.chance.one_in(8) => {
                let ends = self.chance.one_in(6);
                let rows = next_steps(&standing, side);
                let steps = rows.iter().map(|row| row.step);
                steps.filter(|step| ends || !["withdraw", "release", "cannot-preserve"].contains(step)).collect()
            }
            Some(_) | None => any.to_vec(),
        };
        let pick = usize::try_from(self.chance.below(open.len().max(1) as u64)).expect("small");
        open.get(pick).map_or("note", |step| step).to_owned()
    }

    fn rows(&self, node: &SimNode, request: &RequestId) -> Option<Vec<EventRow>> {
        let thread: ThreadId = *node.index.threads_of(request).expect("answers").first()?;
        Some(node.index.events(&thread).expect("answers"))
    }

    fn act(&mut self, node: usize, request: RequestId, step: &str) -> Act {
        let procedure = ProcedureCode::parse("PRES").expect("code");
        let step = StepCode::parse(step).expect("code");
        let form = self.world.rules.form(&procedure, &step).expect("every step has a form");
        let other = self.nodes[(node + 1) % self.nodes.len()].party.clone();
        Act {
            command_id: self.chance.bytes(),
            request,
            recipients: if step.as_str() == "request" { [other].into() } else { BTreeSet::new() },
            body: sample::full_at(form, self.now),
            procedure,
            step,
            authority: AuthorityId::parse("central").expect("id"),
            lane: if self.chance.one_in(4) { Lane::Emergency } else { Lane::Normal },
        }
    }

    fn collect_replies(&mut self) {
        for node in 0..self.nodes.len() {
            for (ticket, result) in std::mem::take(&mut self.nodes[node].replies) {
                let Some(given) = self.waiting.remove(&(node, ticket)) else { continue };
                if let Ok(done) = result {
                    let before = self.acknowledged.insert(given.act.command_id, (node, done.clone()));
                    assert!(before.is_none_or(|(_, before)| before == done), "one command has one result");
                }
            }
        }
    }

    fn check_always(&self) {
        for (node, done) in self.acknowledged.values() {
            let place = usize::try_from(done.index.0).expect("small");
            let record = self.nodes[*node].ledger().get(place).expect("an acknowledged act stays in the ledger");
            assert_eq!(record.node.record_id, done.event.as_bytes(), "and at its place");
        }
        for node in &self.nodes {
            let mut seen = BTreeSet::new();
            for record in node.ledger() {
                assert!(seen.insert(&record.node.record_id), "{}: nothing is applied twice", node.party);
            }
            let answers = node.ledger().iter().filter(|record| !record.node.answers.is_empty());
            let mut answered = BTreeSet::new();
            for record in answers {
                let node_part = &record.node;
                assert!(
                    answered.insert((&node_part.answers, &node_part.peer)),
                    "{}: one answer ends a debt",
                    node.party
                );
            }
            let mut commands = BTreeSet::new();
            let own = node.ledger().iter().filter(|record| record.kind == RecordKind::EventSent);
            for record in own {
                assert!(commands.insert(&record.node.command_id), "{}: no command has two effects", node.party);
            }
            let times: Vec<u64> = node.ledger().iter().map(|record| record.node.recorded_ms).collect();
            assert!(times.is_sorted(), "{}: the time of record never falls", node.party);
        }
    }

    fn heal(&mut self) {
        self.faults = false;
        for node in &mut self.nodes {
            node.disk_full = false;
        }
        self.each_pair(|sim, a, b| sim.set_link(a, b, true));
        for _ in 0..HEALING {
            self.step();
            if self.is_quiet() {
                return;
            }
        }
        panic!("after healing, everything owed must be answered");
    }

    fn is_quiet(&self) -> bool {
        self.air.is_empty() && self.nodes.iter().all(|node| node.is_idle() && self.owes_nothing(node))
    }

    fn owes_nothing(&self, node: &SimNode) -> bool {
        let peers = self.nodes.iter().map(|peer| &peer.party);
        let lanes = [Lane::Emergency, Lane::Normal];
        peers
            .flat_map(|peer| lanes.map(|lane| (peer, lane)))
            .all(|(peer, lane)| node.index.owed(peer, lane, 0, 1).expect("the index answers").is_empty())
    }

    fn check_healed(&self) {
        for node in &self.nodes {
            assert_eq!(node.rebuilt().pairs(), node.index.pairs(), "{}: the index is what the ledger says", node.party);
            self.check_numbers(node);
        }
        for (request, _) in &self.requests {
            let stories: BTreeSet<String> = self.nodes.iter().filter_map(|node| self.story(node, request)).collect();
            assert!(stories.len() <= 1, "all members tell one story of {request}: {stories:#?}");
        }
    }

    /// Slip numbers have no gaps: sent 1 to n, and as many received or refused.
    fn check_numbers(&self, node: &SimNode) {
        let peers = self.nodes.iter().filter(|peer| peer.party != node.party);
        for (peer, lane) in peers.flat_map(|peer| [Lane::Emergency, Lane::Normal].map(|lane| (peer, lane))) {
            let sent = node.index.last_number(&peer.party, lane).expect("answers");
            let seen = peer.index.numbers(&node.party, lane).expect("answers");
            assert_eq!((seen.highest, seen.count), (sent, sent), "{} to {}", node.party, peer.party);
        }
    }

    /// What a node would tell of a request: its events and where it stands.
    fn story(&self, node: &SimNode, request: &RequestId) -> Option<String> {
        let rows = self.rows(node, request)?;
        let case = Case::of(&rows).expect("reads");
        let standing = case.standing(&self.world.rules, self.now).expect("a known procedure")?;
        let events: BTreeSet<String> = rows
            .iter()
            .filter(|row| !row.void)
            .map(|row| EventId::from_slice(&row.event_id).expect("id").to_string())
            .collect();
        Some(format!("{:?} {:?} {:?}", standing.name(), standing.set_aside, events))
    }

    fn parties_of_record(&self) -> Vec<(PartyCode, usize)> {
        self.nodes.iter().map(|node| (node.party.clone(), node.ledger().len())).collect()
    }
}

fn copy(frame: &Frame) -> Frame {
    match frame {
        Frame::Delivery(bytes) => Frame::Delivery(bytes.clone()),
        Frame::Answer(bytes) => Frame::Answer(bytes.clone()),
    }
}

fn run(seed: u64, nodes: usize) -> Vec<(PartyCode, usize)> {
    let mut sim = Sim::new(seed, nodes);
    for step in 0..STEPS {
        sim.step();
        if step % CHECK_EVERY == 0 {
            sim.check_always();
        }
    }
    sim.heal();
    sim.check_always();
    sim.check_healed();
    sim.parties_of_record()
}

/// Prints how to replay a seed if the run under it panics.
struct Replay(u64);

impl Drop for Replay {
    #[expect(clippy::print_stderr, reason = "a failing test says how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0} failed. Replay: COMITY_SIM_SEED={0} cargo test -p comity-core sim::", self.0);
        }
    }
}

fn seeds() -> Vec<u64> {
    let set = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match (set("COMITY_SIM_SEED"), set("COMITY_SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => REGRESSIONS.iter().copied().chain(0..count.unwrap_or(SEEDS)).collect(),
    }
}

#[test]
fn two_engines_keep_every_promise_under_faults() {
    let mut records = 0;
    for seed in seeds() {
        let _replay = Replay(seed);
        records += run(seed, 2).iter().map(|(_, count)| count).sum::<usize>();
    }
    assert!(records > 0, "the runs recorded something");
}

#[test]
fn three_engines_keep_every_promise_under_faults() {
    for seed in seeds().into_iter().take(6) {
        let _replay = Replay(seed);
        run(seed, 3);
    }
}
