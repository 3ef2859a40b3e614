//! The engine under any sequence of inputs: two nodes that ask each other, and a third Party that signs what it likes.
//!
//! ```text
//! XA engine ⇄ XB engine        frames kept, doubled, in any order; disks, keys and clocks that fail
//! XC        → either           authentic events of any content, under any slip
//! ```
//!
//! A byte says what happens next, the bytes after it how. No input makes a step fail. At any time nothing is
//! applied twice and slip numbers have no gap; once all is mended, everything asked was answered, and neither
//! engine owes the other anything.

use std::collections::BTreeSet;

use comity_core::{
    carry::Stored,
    case::Case,
    crypto::{pae, sha256},
    engine::{Act, Custody, Input},
    event::{BodyRef, EVENT_TYPE, Event, Header, Slip, event_id, seal_body, thread_id},
    ids::{AuthorityId, Digest, EventId, LedgerIndex, Origin, PartyCode, RequestId, ThreadId, Time},
    ledger::{Checkpoint, Tree, leaf_hash},
    procedure::{Side, next_steps},
    proto::{ActorKind, Body, CustodyAct, EventRow, Lane},
    record::{Moment, Slips, event_sent},
    rules::{Form, Pattern},
};
use prost::Message as _;

use super::{
    Reader,
    known::{self, FOUNDED, NOW, RULES, keys, network, party},
    law::{filled, spoiled},
    node::{Frame, Node},
};

/// Things that happen in one run: enough to open, answer and end a request twice over.
const STEPS_MAX: usize = 128;
/// Requests of one run: few, so that acts meet each other.
const REQUESTS: u8 = 3;
/// Frames that can still arrive.
const AIR_MAX: usize = 64;
/// Rounds in which all must have been mended; a retry waits at most 30 s, a round takes 31.
const ROUNDS_MAX: usize = 200;

struct World {
    now: Time,
    nodes: [Node; 2],
    air: Vec<(PartyCode, usize, Frame)>,
    acts: u64,
    forged: u64,
}

/// Commands, arrivals, links, ticks and failures as the input says, then all is mended.
pub(crate) fn engine(data: &[u8]) {
    let mut input = Reader(data);
    let nodes = ["XA", "XB"].map(|code| Node::new(code, NOW));
    let mut world = World { now: NOW, nodes, air: Vec::new(), acts: 0, forged: 0 };
    world.link(0, true);
    world.link(1, true);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.happen(&mut input);
    }
    world.nodes.iter().for_each(Node::check);
    world.mend();
    world.nodes.iter().for_each(Node::check);
}

impl World {
    fn happen(&mut self, input: &mut Reader<'_>) {
        let byte = input.byte();
        let at = usize::from(byte & 1);
        match byte >> 1 & 15 {
            0 | 1 => self.command(at, input),
            2 => self.turns(at, input.byte()),
            3 => self.nodes[at].write(usize::from(input.byte() % 4)),
            4 => self.nodes[at].sync(),
            5 => self.flow(),
            6 => self.arrive(input.byte()),
            7 => self.pass_time(input.byte()),
            8 => self.link(at, input.byte() & 1 == 1),
            9 => self.fail(at, input.byte()),
            10 => self.forge(at, input),
            11 => self.custody(at, input),
            12 => self.nodes[at].restart(usize::from(input.byte() % 4), self.now),
            13 => self.busy(at, input.byte()),
            14 => self.nodes[at].tell(Input::Tick),
            _ => self.nodes[at].check(),
        }
        self.take_off();
    }

    fn other(at: usize) -> usize {
        1 - at
    }

    fn turns(&mut self, at: usize, how: u8) {
        for _ in 0..=how >> 1 & 7 {
            self.nodes[at].turn(self.now, how & 1 == 1);
        }
    }

    /// Everything that needs no time, once over, in order.
    fn flow(&mut self) {
        for node in &mut self.nodes {
            while node.turn(self.now, false) {}
            node.write(usize::MAX);
            node.sync();
            while node.turn(self.now, false) {}
        }
        self.take_off();
        for _ in 0..self.air.len() {
            self.arrive(0);
        }
    }

    fn take_off(&mut self) {
        for from in 0..2 {
            for (to, frame) in std::mem::take(&mut self.nodes[from].out) {
                // What is for XC is lost: it answers nothing.
                let Some(to) = self.nodes.iter().position(|node| node.code == to.as_str()) else { continue };
                if self.air.len() < AIR_MAX {
                    self.air.push((party(self.nodes[from].code), to, frame));
                }
            }
        }
    }

    /// A frame arrives, perhaps not for the last time.
    fn arrive(&mut self, how: u8) {
        let Some(pick) = usize::from(how >> 2).checked_rem(self.air.len()) else { return };
        let (from, to, frame) = if how & 1 == 1 { self.air[pick].clone() } else { self.air.remove(pick) };
        self.nodes[to].receive(&from, &frame, self.now);
    }

    fn pass_time(&mut self, how: u8) {
        let steps = [1, 200, 31_000, 3_600_000, 86_400_000, 5 * 86_400_000];
        let step = steps[usize::from(how >> 2) % steps.len()];
        // A clock may be set back, by less than matters to who signed what.
        self.now = if how & 3 == 3 { Time(self.now.0 - step.min(60_000)) } else { self.now.plus_ms(step) };
        if how & 1 == 0 {
            self.nodes.iter_mut().for_each(|node| node.tell(Input::Tick));
        }
    }

    fn link(&mut self, at: usize, up: bool) {
        let peer = party(self.nodes[Self::other(at)].code);
        self.nodes[at].tell(if up { Input::Up(peer) } else { Input::Down(peer) });
    }

    fn fail(&mut self, at: usize, what: u8) {
        let failing = &mut self.nodes[at].failing;
        (failing.disk, failing.keys, failing.checkpoint) = (what & 1 == 1, what & 2 == 2, what & 4 == 4);
    }

    /// The line could not take a delivery, of an event the other side may have or not.
    fn busy(&mut self, at: usize, which: u8) {
        let peer = party(self.nodes[Self::other(at)].code);
        let record = self.nodes[at].synced.get(usize::from(which)).map(|record| record.node.record_id.clone());
        let event = record.and_then(|id| EventId::from_slice(&id).ok()).unwrap_or(EventId::new([which; 32]));
        self.nodes[at].tell(Input::LinkBusy(peer, event));
    }

    fn request(which: u8) -> RequestId {
        RequestId::new([which % REQUESTS; 16])
    }

    fn rows(&self, at: usize, request: &RequestId) -> Vec<EventRow> {
        let index = &self.nodes[at].index;
        let thread: Option<ThreadId> = index.threads_of(request).expect("answers").first().copied();
        thread.map_or_else(Vec::new, |thread| index.events(&thread).expect("answers"))
    }

    /// A form for the next act: one the law has open here, or any.
    fn form(&self, at: usize, request: &RequestId, how: u8) -> &'static Form {
        let forms = || RULES.forms().filter(|form| !form.is_record());
        let any = || forms().nth(usize::from(how >> 1) % forms().count()).expect("one of them");
        let rows = self.rows(at, request);
        let case = Case::of(&rows).expect("rows of our own");
        let Ok(Some(standing)) = case.standing(&RULES, self.now) else {
            let opening = |form: &&Form| form.step().as_str() == "request";
            let openings = || forms().filter(opening);
            return if how & 1 == 1 {
                any()
            } else {
                openings().nth(usize::from(how >> 1) % openings().count()).expect("one")
            };
        };
        let side = if case.side_of(&party(self.nodes[at].code)) == Side::Requesting {
            Side::Requesting
        } else {
            Side::Requested
        };
        let open = next_steps(&standing, side);
        let Some(row) = usize::from(how >> 1).checked_rem(open.len()).and_then(|pick| open.get(pick)) else {
            return any();
        };
        let procedure = rows[0].procedure.parse().expect("a code");
        if how & 1 == 1 { any() } else { RULES.form(&procedure, &row.code()).unwrap_or_else(any) }
    }

    /// A body as an officer fills it in, naming events of the thread where it must, then perhaps spoiled.
    fn body(&self, at: usize, request: &RequestId, form: &Form, input: &mut Reader<'_>) -> Body {
        let mut body = filled(form, self.now);
        let rows = self.rows(at, request);
        let pick = input.byte();
        let event = usize::from(pick).checked_rem(rows.len()).and_then(|pick| rows.get(pick));
        let event = event.and_then(|row| EventId::from_slice(&row.event_id).ok());
        for field in &mut body.fields {
            let rule = form.field(&field.key).expect("a field of the form");
            let pattern = form.codes(rule).and_then(|list| list.pattern);
            let named = match (pattern, event) {
                (Some(Pattern::Event), Some(event)) => event.to_string(),
                (Some(Pattern::Digest), _) => digest(0).to_string(),
                (Some(Pattern::Party), _) => self.nodes[Self::other(at)].code.to_owned(),
                _ => continue,
            };
            let kind = Some(comity_core::proto::value::Kind::Code(named));
            field.values = vec![comity_core::proto::Value { kind }];
        }
        if pick & 128 == 128 { spoiled(body, input) } else { body }
    }

    fn command(&mut self, at: usize, input: &mut Reader<'_>) {
        let (which, how, lane) = (input.byte(), input.byte(), input.byte());
        let request = Self::request(which);
        let form = self.form(at, &request, how);
        let body = self.body(at, &request, form, input);
        self.acts += 1;
        // Now and then the same command again.
        let command = if lane & 2 == 2 { self.acts - 1 } else { self.acts };
        let other = party(self.nodes[Self::other(at)].code);
        let recipients: BTreeSet<PartyCode> = match lane >> 4 {
            0 => BTreeSet::new(),
            1 => [party("XC")].into(),
            2 => [other, party("XC")].into(),
            3 => [party("XZ")].into(),
            _ => [other].into(),
        };
        self.nodes[at].command(Act {
            command_id: u128::from(command).to_be_bytes(),
            request,
            recipients,
            procedure: form.procedure().clone(),
            step: form.step().clone(),
            authority: AuthorityId::parse(if lane & 4 == 4 { "nobody" } else { "central" }).expect("an id"),
            body,
            lane: if lane & 1 == 1 { Lane::Emergency } else { Lane::Normal },
            approvals: Vec::new(),
        });
    }

    fn custody(&mut self, at: usize, input: &mut Reader<'_>) {
        let (which, how) = (input.byte(), input.byte());
        let request = Self::request(which);
        let rows = self.rows(at, &request);
        let event = usize::from(how >> 2).checked_rem(rows.len()).and_then(|pick| rows.get(pick));
        let acts = [CustodyAct::Seal, CustodyAct::Release, CustodyAct::Verify, CustodyAct::Unspecified];
        // Nobody asks for the last: the evidence room has no such act.
        let act = acts[usize::from(how & 3) % 3];
        self.acts += 1;
        self.nodes[at].custody(Custody {
            command_id: u128::from(self.acts).to_be_bytes(),
            request,
            authority: AuthorityId::parse("central").expect("an id"),
            act,
            manifest: digest(which >> 7),
            items: u64::from(how),
            bytes: u64::from(which),
            delivery: event.and_then(|row| EventId::from_slice(&row.event_id).ok()),
        });
    }

    /// XC signs an event of any content, in a ledger of its own, and delivers it.
    fn forge(&mut self, at: usize, input: &mut Reader<'_>) {
        let (which, how, rest) = (input.byte(), input.byte(), input.byte());
        let request = if which & 64 == 64 { RequestId::new([0xc0 | which; 16]) } else { Self::request(which) };
        let form = self.form(at, &request, how);
        let plain = self.body(at, &request, form, input);
        let header = self.forged_header(at, request, form, rest);
        let recipients = header.recipients.clone();
        let (event, secret) = signed(header, &plain, rest & 16 == 0);
        self.forged += 1;
        let lane = if rest & 32 == 32 { Lane::Emergency } else { Lane::Normal };
        let number = if rest & 64 == 64 { u64::MAX - u64::from(which) } else { 1 + u64::from(which) };
        let row = |to: &PartyCode| (to.clone(), Slip { ledger: 1, lane, number });
        let slips = Slips { secret: [5; 32], rows: recipients.iter().map(row).collect() };
        let moment = Moment { trust: &FOUNDED, recorded: self.now, salt: [6; 32] };
        let record = event_sent(&moment, event, Vec::new(), &slips, [4; 16], secret);
        // Where it stands in its author's ledger says what its author had seen.
        let place = self.forged % 8 + u64::from(which >> 7);
        let mut tree = Tree::new();
        for leaf in 0..=place {
            tree.push(if leaf == place { leaf_hash(&record.leaf) } else { sha256(&[&leaf.to_be_bytes()]) });
        }
        let index = LedgerIndex(place);
        let path = tree.inclusion(index, tree.size()).expect("it stands there");
        let checkpoint = Checkpoint { origin: origin(), size: tree.size(), root: tree.root() };
        let note = known::note("XC", &checkpoint, self.now);
        let (node, case, body) = (&record.node, &record.case, &record.body[..]);
        let stored = Stored { node, case, body, index, path: &path, note: &note };
        let us = party(self.nodes[at].code);
        let frame = Frame::Delivery(stored.delivery(&us).expect("an event for them"));
        let authentic = self.nodes[at].receive(&party("XC"), &frame, self.now);
        assert_eq!(authentic, number <= place + 1, "it is, but for a number above the records there are");
        if rest & 128 == 128 {
            self.nodes[at].receive(&party("XC"), &frame, self.now);
        }
    }

    fn forged_header(&self, at: usize, request: RequestId, form: &Form, rest: u8) -> Header {
        let rows = self.rows(at, &request);
        let parents = rows.iter().take(8).enumerate().filter(|(place, _)| rest >> (place % 4) & 1 == 1);
        let mut parents: Vec<EventId> =
            parents.filter_map(|(_, row)| EventId::from_slice(&row.event_id).ok()).collect();
        if rest & 15 == 15 {
            parents.push(EventId::new([rest; 32]));
        }
        parents.sort();
        let mut recipients = vec![party(self.nodes[at].code)];
        if rest & 12 == 12 {
            recipients.push(party(self.nodes[Self::other(at)].code));
            recipients.sort();
        }
        let members = recipients.iter().cloned().chain([party("XC")]).collect();
        Header {
            network: network(),
            exercise: true,
            request,
            thread: thread_id(&network(), &request, &members),
            procedure: form.procedure().clone(),
            step: form.step().clone(),
            author: party("XC"),
            authority: AuthorityId::parse("central").expect("an id"),
            actor: ActorKind::Authority,
            origin: origin(),
            parents,
            recipients,
            time: self.now,
            body: BodyRef { digest: Digest::new([0; 32]), size: 0 },
        }
    }

    /// All that failed works again, all that waits happens.
    fn mend(&mut self) {
        for at in 0..2 {
            self.fail(at, 0);
            self.link(at, false);
            self.link(at, true);
        }
        for _ in 0..ROUNDS_MAX {
            self.flow();
            if self.air.is_empty() && self.nodes.iter().all(Node::is_settled) && self.debts() == 0 {
                let unanswered = self.nodes.iter().filter(|node| node.owes_replies()).map(|node| node.code);
                assert_eq!(unanswered.collect::<Vec<_>>(), [""; 0], "every command has its reply");
                return;
            }
            self.now = self.now.plus_ms(31_000);
            self.nodes.iter_mut().for_each(|node| node.tell(Input::Tick));
        }
        panic!("{} debts and {} frames are left after all was mended", self.debts(), self.air.len());
    }

    /// What the two engines still owe each other.
    fn debts(&self) -> usize {
        let owed = |at: usize, lane| {
            let peer = party(self.nodes[Self::other(at)].code);
            self.nodes[at].index.owed(&peer, lane, (0, 0), 1_000).expect("answers").len()
        };
        [0, 1].iter().flat_map(|at| [Lane::Emergency, Lane::Normal].map(|lane| owed(*at, lane))).sum()
    }
}

fn origin() -> Origin {
    Origin::of(&party("XC"), &network(), 1)
}

fn digest(which: u8) -> Digest {
    Digest::new([which; 32])
}

/// The event of XC, its body sealed to its recipients or to nobody who can open it.
fn signed(mut header: Header, plain: &Body, opens: bool) -> (Event, comity_core::event::BodySecret) {
    let to = |party: &PartyCode| FOUNDED.seal_key(party, header.time).cloned();
    let recipients: Vec<_> = header.recipients.iter().filter_map(to).collect();
    let binding = if opens { header.binding() } else { digest(9) };
    let (body, secret) = seal_body(&plain.encode_to_vec(), &binding, &recipients, &[9; 32]).expect("sealed");
    header.body = BodyRef { digest: sha256(&[&body]), size: body.len() as u64 };
    let bytes = header.to_wire();
    let signatures = known::sign("XC", &keys("XC").roles.record, &pae(EVENT_TYPE, &bytes));
    (Event { id: event_id(&bytes), header, bytes, signatures, body }, secret)
}
