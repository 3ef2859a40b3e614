//! What is owed to whom, and when it is tried again.
//!
//! The debts themselves are in the index (events sent, no answer yet), which follows the ledger;
//! here is only the plan: who is reachable, what is under way, what waits before another try.
//! Nothing of it survives a restart and nothing needs to. Emergencies go first; within a lane the
//! order is that of the slip numbers. Delay is bounded and forgotten on contact.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::Slip,
    ids::{EventId, LedgerIndex, PartyCode, Time},
    index::{Index, IndexFault, Pairs},
    proto::Lane,
};

/// Deliveries under way to one peer: enough to fill a long path at 1 KiB each, and few enough that
/// a peer's restart repeats little.
pub const WINDOW: usize = 64;
/// The first wait after a peer asked to be tried again.
const RETRY_MS_MIN: u64 = 250;
/// The longest wait: a peer that is reachable never waits longer for what is owed to it.
const RETRY_MS_MAX: u64 = 30_000;
/// A delivery unanswered for this long on a live link is tried again.
const ANSWER_MS_MAX: u64 = 60_000;
/// Places of the window that only emergencies may take.
const URGENT_ONLY: usize = 8;
/// Events of one peer that wait for another try. They hold no place of the window; beyond this many
/// only emergencies are taken up.
const LATER_MAX: usize = 1_024;

const LANES: [Lane; 3] = [Lane::Emergency, Lane::Return, Lane::Normal];

/// One delivery to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The event owed.
    pub event: EventId,
    /// Where it stands in our ledger.
    pub index: LedgerIndex,
    /// Under which slip.
    pub slip: Slip,
}

#[derive(Debug, Clone)]
struct Flight {
    due: Due,
    since: Time,
    answered: bool,
}

#[derive(Debug, Clone)]
struct Later {
    due: Due,
    at: Time,
}

#[derive(Debug, Clone, Default)]
struct Line {
    up: bool,
    /// How far each lane was looked through: ledger and number.
    cursors: [(u32, u64); 3],
    flights: BTreeMap<EventId, Flight>,
    later: BTreeMap<EventId, Later>,
    tries: BTreeMap<EventId, u32>,
}

/// The plan for all peers.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    lines: BTreeMap<PartyCode, Line>,
}

impl Outbox {
    /// The peer is reachable: begin again from the oldest debt, without delay.
    pub fn up(&mut self, peer: &PartyCode) {
        let line = self.lines.entry(peer.clone()).or_default();
        line.flights.retain(|_, flight| flight.answered);
        *line = Line { up: true, flights: std::mem::take(&mut line.flights), ..Line::default() };
    }

    /// The peer is gone: what was under way is owed as before.
    pub fn down(&mut self, peer: &PartyCode) {
        self.up(peer);
        if let Some(line) = self.lines.get_mut(peer) {
            line.up = false;
        }
    }

    /// More may be owed to a peer than was looked for: begin again from the oldest debt.
    pub fn look_again(&mut self, peer: &PartyCode) {
        if let Some(line) = self.lines.get_mut(peer) {
            line.cursors = Default::default();
        }
    }

    /// The peers that are reachable.
    #[must_use]
    pub fn reachable(&self) -> Vec<PartyCode> {
        self.lines.iter().filter(|(_, line)| line.up).map(|(peer, _)| peer.clone()).collect()
    }

    /// What to deliver to a peer now, out of the debts the index holds below `signed` (the size our
    /// newest checkpoint covers).
    ///
    /// # Errors
    /// When the index does not answer.
    pub fn next<P: Pairs>(
        &mut self,
        peer: &PartyCode,
        index: &Index<P>,
        signed: u64,
        now: Time,
    ) -> Result<Vec<Due>, IndexFault> {
        let Some(line) = self.lines.get_mut(peer).filter(|line| line.up) else { return Ok(Vec::new()) };
        line.expire(now);
        let mut due = line.again(now);
        for (lane, cursor) in LANES.into_iter().zip(0..) {
            let places = match lane {
                Lane::Emergency => WINDOW,
                Lane::Return | Lane::Normal | Lane::Unspecified if line.later.len() >= LATER_MAX => 0,
                Lane::Return | Lane::Normal | Lane::Unspecified => WINDOW - URGENT_ONLY,
            };
            let room = places.saturating_sub(line.flights.len() + due.len());
            for (slip, owed) in index.owed(peer, lane, line.cursors[cursor], room)? {
                if owed.index >= signed {
                    break;
                }
                line.cursors[cursor] = (slip.ledger, slip.number);
                let event = EventId::from_slice(&owed.event_id).map_err(|_| IndexFault::Damaged)?;
                if !line.flights.contains_key(&event) && !line.later.contains_key(&event) {
                    due.push(Due { event, index: LedgerIndex(owed.index), slip });
                }
            }
        }
        let flights = due.iter().map(|due| (due.event, Flight { due: due.clone(), since: now, answered: false }));
        line.flights.extend(flights);
        Ok(due)
    }

    /// The peer answered for good: the debt ends once our record of the answer is on disk.
    /// Returns the delivery, or nothing if it was not under way or is answered already.
    pub fn answered(&mut self, peer: &PartyCode, event: &EventId) -> Option<Due> {
        let line = self.lines.get_mut(peer)?;
        let flight = line.flights.get_mut(event).filter(|flight| !flight.answered)?;
        flight.answered = true;
        Some(flight.due.clone())
    }

    /// The record of the answer is on disk, or could not be made: the place in the window is free.
    pub fn settled(&mut self, peer: &PartyCode, event: &EventId, recorded: bool) {
        let Some(line) = self.lines.get_mut(peer) else { return };
        line.tries.remove(event);
        let freed = line.flights.remove(event).is_some();
        if freed && !recorded {
            line.cursors = Default::default(); // look for it again from the start
        }
    }

    /// The peer asked to be tried again. After an answer for good, a late copy of such a wish means nothing.
    pub fn retry(&mut self, peer: &PartyCode, event: &EventId, after_ms: u64, now: Time) {
        let Some(line) = self.lines.get_mut(peer) else { return };
        let under_way = line.flights.get(event).is_some_and(|flight| !flight.answered);
        let Some(flight) = under_way.then(|| line.flights.remove(event)).flatten() else { return };
        let tries = line.tries.entry(*event).or_default();
        let wait = RETRY_MS_MIN.saturating_mul(1 << (*tries).min(10)).max(after_ms).min(RETRY_MS_MAX);
        *tries += 1;
        line.later.insert(*event, Later { due: flight.due, at: now.plus_ms(wait) });
    }

    /// When something is to be tried again at the earliest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        let up = self.lines.values().filter(|line| line.up);
        up.flat_map(|line| {
            let unanswered = line.flights.values().filter(|flight| !flight.answered);
            let expiry = unanswered.map(|flight| flight.since.plus_ms(ANSWER_MS_MAX));
            line.later.values().map(|later| later.at).chain(expiry)
        })
        .min()
    }
}

impl Line {
    /// What began in the future began before the clock was set back: nobody knows how long ago.
    fn expire(&mut self, now: Time) {
        let old = |since: Time| since.plus_ms(ANSWER_MS_MAX) <= now || since > now;
        let late = |flight: &Flight| !flight.answered && old(flight.since);
        let late: BTreeSet<EventId> =
            self.flights.iter().filter(|(_, flight)| late(flight)).map(|(event, _)| *event).take(LATER_MAX).collect();
        for event in late {
            if let Some(flight) = self.flights.remove(&event) {
                self.later.insert(event, Later { due: flight.due, at: now });
            }
        }
    }

    /// A wait beyond the longest was planned before the clock was set back: it is over.
    fn again(&mut self, now: Time) -> Vec<Due> {
        let over = |at: Time| at <= now || at > now.plus_ms(RETRY_MS_MAX);
        let ripe: Vec<EventId> =
            self.later.iter().filter(|(_, later)| over(later.at)).map(|(event, _)| *event).collect();
        let mut due: Vec<Due> =
            ripe.iter().filter_map(|event| self.later.remove(event)).map(|later| later.due).collect();
        due.sort_by_key(|due| (due.slip.lane as i32, due.slip.ledger, due.slip.number));
        due
    }
}
