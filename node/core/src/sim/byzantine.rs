//! What a hostile node does. Its engine is an honest one; between it and the network sits somebody who
//! has its keys, withholds, spoils and repeats its frames, and makes new ones. It knows more than a real
//! one could: what its victim holds and what the time is there.

use std::collections::BTreeSet;

use prost::Message as _;

use super::{
    Kind, ProcedureCode, RequestId, Side, Sim, StepCode,
    count::What,
    forge::{Draft, Forge},
    marked_body, next_steps,
    node::Frame,
};
use crate::{
    case::Case,
    event::Slip,
    ids::{EventId, PartyCode},
    ledger::signatures_digest,
    proto::{Body, EventRow, Field, Lane, RecordKind, Value},
};

/// A kind of false frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trick {
    Withheld,
    Flipped,
    Truncated,
    Replayed,
    Misdirected,
    Sibling,
    SiblingApart,
    OffLedger,
    BadSlip,
    Impostor,
    AbsurdHeader,
    AbsurdBody,
    FalseReceipt,
    FalseAnswer,
}

impl Trick {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Withheld => "withheld",
            Self::Flipped => "a bit flipped",
            Self::Truncated => "cut short or too long",
            Self::Replayed => "old frame again",
            Self::Misdirected => "old frame to another Party",
            Self::Sibling => "sibling to one Party",
            Self::SiblingApart => "siblings to two Parties",
            Self::OffLedger => "not in its own ledger",
            Self::BadSlip => "slip that is not in order",
            Self::Impostor => "signed by who may not",
            Self::AbsurdHeader => "absurd header, signed",
            Self::AbsurdBody => "absurd body, signed",
            Self::FalseReceipt => "false receipt",
            Self::FalseAnswer => "false answer",
        }
    }
}

/// Old frames kept to be used again.
const HEARD_MAX: usize = 64;
/// Requests of its own making; more only make the run longer.
const OPENED_MAX: usize = 12;

/// A node in the wrong hands.
pub(super) struct Hostile {
    pub(super) node: usize,
    /// Frames it sent and got: from whom, to whom.
    heard: Vec<(usize, usize, Frame)>,
    /// Requests of its own making, and with whom.
    opened: Vec<(RequestId, usize)>,
}

impl Hostile {
    pub(super) fn new(node: usize) -> Self {
        Self { node, heard: Vec::new(), opened: Vec::new() }
    }
}

impl Sim {
    /// What leaves of a frame: of honest nodes the frame itself, of a hostile one whatever it likes.
    pub(super) fn twist(&mut self, from: usize, to: usize, frame: Frame) -> Vec<(Frame, Option<Trick>)> {
        let Some(hostile) = &mut self.hostile else { return vec![(frame, None)] };
        if ![from, to].contains(&hostile.node) {
            return vec![(frame, None)];
        }
        if hostile.heard.len() == HEARD_MAX {
            hostile.heard.swap_remove(self.chance.place(HEARD_MAX));
        }
        hostile.heard.push((from, to, frame.clone()));
        if from != hostile.node {
            return vec![(frame, None)];
        }
        match self.chance.below(10) {
            0..=1 => {
                self.count.fate(Trick::Withheld, "never sent".to_owned());
                Vec::new()
            }
            2 => vec![self.flipped(frame)],
            3 => vec![self.truncated(frame)],
            4 => vec![(frame.clone(), None), self.flipped(frame)],
            _ => vec![(frame, None)],
        }
    }

    fn flipped(&mut self, mut frame: Frame) -> (Frame, Option<Trick>) {
        let (Frame::Delivery(bytes) | Frame::Answer(bytes)) = &mut frame;
        let place = self.chance.place(bytes.len());
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << self.chance.below(8);
        }
        self.count.one(What::FalseFrames);
        (frame, Some(Trick::Flipped))
    }

    fn truncated(&mut self, mut frame: Frame) -> (Frame, Option<Trick>) {
        let (Frame::Delivery(bytes) | Frame::Answer(bytes)) = &mut frame;
        if self.chance.one_in(4) {
            bytes.push(0);
        } else {
            bytes.truncate(self.chance.place(bytes.len()));
        }
        self.count.one(What::FalseFrames);
        (frame, Some(Trick::Truncated))
    }

    /// A hostile node sends something nobody asked for.
    pub(super) fn invent(&mut self) {
        let Some(node) = self.hostile.as_ref().map(|hostile| hostile.node) else { return };
        let to = self.other_than(node);
        let frames = match self.chance.below(12) {
            0 => self.replayed(to).into_iter().collect(),
            1..=3 => self.siblings(node, to),
            4 => self.siblings_apart(node, to),
            5 => vec![(to, self.off_ledger(node, to), Trick::OffLedger)],
            6 => vec![(to, self.bad_slip(node, to), Trick::BadSlip)],
            7 => vec![(to, self.impostor(node, to), Trick::Impostor)],
            8 => vec![(to, self.absurd_header(node, to), Trick::AbsurdHeader)],
            9 => vec![(to, self.absurd_body(node, to), Trick::AbsurdBody)],
            10 => vec![(to, self.false_receipt(node, to), Trick::FalseReceipt)],
            _ => vec![(to, self.false_answer(node, to), Trick::FalseAnswer)],
        };
        for (to, frame, trick) in frames {
            self.count.one(What::FalseFrames);
            self.post(node, to, frame, Some(trick));
        }
    }

    pub(super) fn collect_fates(&mut self) {
        for node in &mut self.nodes {
            std::mem::take(&mut node.fates).into_iter().for_each(|(trick, code)| self.count.fate(trick, code));
        }
    }

    pub(super) fn replayed(&mut self, to: usize) -> Option<(usize, Frame, Trick)> {
        let hostile = self.hostile.as_ref().expect("asked before");
        let (_, receiver, frame) = self.chance.pick(&hostile.heard)?.clone();
        let trick = if receiver == to { Trick::Replayed } else { Trick::Misdirected };
        Some((to, frame, trick))
    }

    fn forge(&mut self, node: usize, to: usize) -> Forge<'_> {
        let (hostile, victim) = (&self.nodes[node], &self.nodes[to]);
        Forge {
            party: hostile.party.clone(),
            origin: hostile.origin().clone(),
            keys: hostile.keys.clone(),
            trust: self.world.trust.clone(),
            now: victim.clock(self.now),
            chance: &mut self.chance,
        }
    }

    /// An event that its victim might take: the next lawful step of a thread between the two, or a new one.
    fn draft(&mut self, node: usize, to: usize) -> (Draft, Vec<EventRow>) {
        let hostile = self.hostile.as_mut().expect("asked before");
        let known =
            self.requests.iter().filter(|known| [known.opener, known.other].iter().all(|n| [node, to].contains(n)));
        let opened = hostile.opened.iter().filter(|(_, with)| *with == to).map(|(id, _)| *id);
        let shared: Vec<RequestId> = known.map(|known| known.id).chain(opened).collect();
        let full = hostile.opened.len() >= OPENED_MAX;
        let picked = self.chance.pick(&shared).copied().filter(|_| full || !self.chance.one_in(4));
        let request = picked.unwrap_or_else(|| RequestId::new(self.chance.bytes()));
        if picked.is_none() && !full {
            hostile.opened.push((request, to));
        }
        let rows = self.rows(&self.nodes[to], &request).unwrap_or_default();
        let place = self.nodes[node].ledger().len() as u64 + self.chance.below(4);
        let mut draft = Draft {
            request,
            recipients: vec![self.nodes[to].party.clone()],
            parents: Vec::new(),
            procedure: ProcedureCode::parse("PRES").expect("code"),
            step: StepCode::parse("request").expect("code"),
            slip: Slip { ledger: 1, lane: Lane::Normal, number: 1 + self.chance.below(8) },
            place: if self.chance.one_in(6) { self.chance.below(1 << 62) } else { place },
        };
        let standing = Case::of(&rows).ok().and_then(|case| case.standing(&self.world.rules, self.now).ok()?);
        if let Some(standing) = standing {
            let asks = rows.first().is_some_and(|row| row.author == self.nodes[node].party.as_str());
            let side = if asks { Side::Requesting } else { Side::Requested };
            let steps: Vec<&str> = next_steps(&standing, side).iter().map(|row| row.step).collect();
            draft.step = StepCode::parse(self.chance.pick(&steps).unwrap_or(&"note")).expect("code");
            draft.parents = standing.heads;
        }
        (draft, rows)
    }

    fn body_of(&self, draft: &Draft, to: usize) -> Body {
        let form = self.world.rules.form(&draft.procedure, &draft.step).expect("every step has a form");
        marked_body(form, self.nodes[to].clock(self.now))
    }

    /// A draft with a body, whole.
    fn whole(&mut self, node: usize, to: usize, draft: &Draft) -> Frame {
        let body = self.body_of(draft, to).encode_to_vec();
        let party = self.nodes[to].party.clone();
        Frame::Delivery(self.forge(node, to).delivery(draft, &body, &party).encode_to_vec())
    }

    /// Two events with one place, one slip number and the same parents to one Party, or a second one
    /// beside what it took before.
    pub(super) fn siblings(&mut self, node: usize, to: usize) -> Vec<(usize, Frame, Trick)> {
        let (mut draft, rows) = self.draft(node, to);
        let author = self.nodes[node].party.to_string();
        let taken: Vec<&EventRow> = rows.iter().filter(|row| row.author == author && !row.void).collect();
        let mut count = 2;
        let beside = !self.chance.one_in(3);
        if let Some(row) = self.chance.pick(&taken).filter(|_| beside) {
            count = 1;
            let record = &self.nodes[to].ledger()[usize::try_from(row.index).expect("small")];
            draft.slip.number = record.node.slips[0].number;
            draft.parents = row.parents.iter().map(|id| EventId::from_slice(id).expect("id")).collect();
            draft.place = row.peer_index + self.chance.below(2);
        }
        (0..count).map(|_| (to, self.whole(node, to, &draft), Trick::Sibling)).collect()
    }

    /// One slip number and place for two Parties: in a thread of all three, or of two each under one request id.
    pub(super) fn siblings_apart(&mut self, node: usize, to: usize) -> Vec<(usize, Frame, Trick)> {
        let third = self.other_than(node);
        let (mut draft, _) = self.draft(node, to);
        let (one, other) = (self.nodes[to].party.clone(), self.nodes[third].party.clone());
        let apart = self.chance.one_in(2);
        [to, third]
            .map(|victim| {
                let both: BTreeSet<PartyCode> = [one.clone(), other.clone()].into();
                let alone: BTreeSet<PartyCode> = [self.nodes[victim].party.clone()].into();
                draft.recipients = if apart { alone } else { both }.into_iter().collect();
                (victim, self.whole(node, victim, &draft), Trick::SiblingApart)
            })
            .into()
    }

    pub(super) fn off_ledger(&mut self, node: usize, to: usize) -> Frame {
        let (draft, _) = self.draft(node, to);
        let body = self.body_of(&draft, to).encode_to_vec();
        let party = self.nodes[to].party.clone();
        let mut forge = self.forge(node, to);
        let good = forge.delivery(&draft, &body, &party);
        Frame::Delivery(forge.off_ledger(good, &party).encode_to_vec())
    }

    pub(super) fn bad_slip(&mut self, node: usize, to: usize) -> Frame {
        let (draft, _) = self.draft(node, to);
        let body = self.body_of(&draft, to).encode_to_vec();
        let party = self.nodes[to].party.clone();
        let mut forge = self.forge(node, to);
        let good = forge.delivery(&draft, &body, &party);
        Frame::Delivery(forge.bad_slip(good).encode_to_vec())
    }

    pub(super) fn impostor(&mut self, node: usize, to: usize) -> Frame {
        let (draft, _) = self.draft(node, to);
        let body = self.body_of(&draft, to).encode_to_vec();
        let (victim, third) = (self.nodes[to].party.clone(), self.other_than(node));
        let third = self.nodes[third].party.clone();
        Frame::Delivery(self.forge(node, to).impostor(&draft, &body, &victim, &third).encode_to_vec())
    }

    pub(super) fn absurd_header(&mut self, node: usize, to: usize) -> Frame {
        let (draft, _) = self.draft(node, to);
        let body = self.body_of(&draft, to).encode_to_vec();
        let party = self.nodes[to].party.clone();
        Frame::Delivery(self.forge(node, to).absurd_header(&draft, &body, &party).encode_to_vec())
    }

    pub(super) fn absurd_body(&mut self, node: usize, to: usize) -> Frame {
        let (draft, _) = self.draft(node, to);
        let mut body = self.body_of(&draft, to);
        for _ in 0..=self.chance.below(2) {
            self.spoil(&mut body);
        }
        let plain = if self.chance.one_in(16) { self.chance.bytes::<32>().to_vec() } else { body.encode_to_vec() };
        let party = self.nodes[to].party.clone();
        Frame::Delivery(self.forge(node, to).delivery(&draft, &plain, &party).encode_to_vec())
    }

    /// Makes one part of a body absurd.
    fn spoil(&mut self, body: &mut Body) {
        let place = self.chance.place(body.fields.len());
        match self.chance.below(12) {
            0 => body.fields.clear(),
            1 => body.form.clear(),
            2 => body.form_version = u32::MAX,
            3 => body.fields.extend(body.fields.clone()),
            4 => body.fields.reverse(),
            5 => body.fields.extend((0..5_000).map(|n| Field { key: format!("zz.{n:04}"), values: Vec::new() })),
            _ => {
                // Mostly the fields that mean something to the machine.
                let machine = |field: &&mut Field| {
                    let plain = |value: &Value| matches!(value.kind, Some(Kind::Text(_) | Kind::Code(_)) | None);
                    !field.values.iter().all(plain)
                };
                let any = self.chance.one_in(3);
                let mut fields: Vec<&mut Field> =
                    body.fields.iter_mut().filter(|field| any || machine(field)).collect();
                let place = place % fields.len().max(1);
                if let Some(field) = fields.get_mut(place) {
                    let extreme = self.chance.place(4);
                    spoil_field(field, extreme);
                }
            }
        }
    }

    /// A receipt for an event of the victim, which need not have been for us, or for none at all.
    pub(super) fn false_receipt(&mut self, node: usize, to: usize) -> Frame {
        let (event, signatures) = self.an_event_of(to);
        Frame::Answer(self.forge(node, to).false_receipt(&event, signatures))
    }

    pub(super) fn false_answer(&mut self, node: usize, to: usize) -> Frame {
        let (event, _) = self.an_event_of(to);
        let author = self.nodes[to].party.clone();
        Frame::Answer(self.forge(node, to).false_answer(&event, &author))
    }

    fn an_event_of(&mut self, node: usize) -> (EventId, crate::ids::Digest) {
        let sent = self.nodes[node].ledger().iter().filter(|record| record.kind == RecordKind::EventSent);
        let sent: Vec<(EventId, crate::ids::Digest)> = sent
            .map(|record| {
                let event = EventId::from_slice(&record.node.record_id).expect("id");
                (event, signatures_digest(&record.case.signatures))
            })
            .collect();
        let invented = || (EventId::new([7; 32]), signatures_digest(&[]));
        self.chance.pick(&sent).copied().unwrap_or_else(invented)
    }
}

fn spoil_field(field: &mut Field, extreme: usize) {
    for value in &mut field.values {
        match &mut value.kind {
            Some(Kind::TimeMs(ms)) => *ms = [0, 1, i64::MAX as u64, u64::MAX][extreme],
            Some(Kind::Integer(n)) => *n = [i64::MIN, -1, 0, i64::MAX][extreme],
            Some(Kind::Flag(flag)) => *flag = !*flag,
            Some(Kind::Date(date)) => *date = ["", "0000-00-00", "9999-12-31", "-9999-01-01"][extreme].to_owned(),
            Some(Kind::Code(code)) => *code = ["", "\u{0}", "ZZZZZZ", "../../x"][extreme].to_owned(),
            Some(Kind::Text(text)) => {
                text.text = ["", "\u{202e}", "x", "y"][extreme].repeat([1, 1, 300_000, 20_000][extreme])
            }
            None => value.kind = Some(Kind::Flag(true)),
        }
    }
}
