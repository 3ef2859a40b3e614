//! Deliveries that wait to be read: emergencies first, as long as their author has not used them up.
//!
//! A Party says itself what is an emergency, so each has a budget of them. One beyond it is read in its turn with
//! the ordinary ones and counted; it stays the emergency it was signed as, and nothing of it is
//! dropped. What waits here holds its place in the window of its link, so a Party has at most 64 of them.

use std::collections::{BTreeMap, VecDeque};

use comity_core::{
    ids::{PartyCode, Time},
    proto::Lane,
};

use crate::net::Reply;

/// Deliveries waiting at most; beyond them the network is not asked for more.
pub(super) const WAITING_MAX: usize = 256;
/// Deliveries read at once: enough for the cores, half of all workers, and few enough that an emergency soon has
/// its turn.
pub(super) const READING_MAX: usize = 8;
/// Emergencies of one Party that go first without a pause between them.
const BURST: u64 = 16;
/// After so many milliseconds one more may.
const EARNED_MS: u64 = 30_000;

/// A delivery, its author, and the way back.
pub(super) struct Waiting {
    pub(super) party: PartyCode,
    pub(super) frame: Vec<u8>,
    pub(super) reply: Reply,
}

/// The two queues.
#[derive(Default)]
pub(super) struct Arrivals {
    first: VecDeque<Waiting>,
    then: VecDeque<Waiting>,
    /// Until when the emergencies of each Party are paid for.
    paid: BTreeMap<PartyCode, Time>,
}

impl Arrivals {
    pub(super) fn has_room(&self) -> bool {
        self.first.len() + self.then.len() < WAITING_MAX
    }

    /// Takes a delivery in. True if it calls itself an emergency and has to wait like any other.
    pub(super) fn push(&mut self, waiting: Waiting, lane: Lane, now: Time) -> bool {
        let urgent = lane == Lane::Emergency;
        let goes_first = urgent && self.pays(&waiting.party, now);
        let queue = if goes_first { &mut self.first } else { &mut self.then };
        queue.push_back(waiting);
        urgent && !goes_first
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.first.pop_front().or_else(|| self.then.pop_front())
    }

    /// Every emergency is paid for with the time of one; a Party may be ahead by a burst.
    fn pays(&mut self, party: &PartyCode, now: Time) -> bool {
        let paid = self.paid.entry(party.clone()).or_insert(now);
        let next = (*paid).max(now).plus_ms(EARNED_MS);
        let fits = next.since(now) <= BURST * EARNED_MS;
        if fits {
            *paid = next;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(code: &str, frame: u8) -> Waiting {
        Waiting { party: PartyCode::parse(code).expect("code"), frame: vec![frame], reply: Reply::none() }
    }

    #[test]
    fn an_emergency_goes_before_a_flood_that_calls_itself_one() {
        let (mut arrivals, now) = (Arrivals::default(), Time(1_800_000_000_000));
        assert!(!arrivals.push(waiting("XC", 200), Lane::Normal, now));
        let demoted = (0..100).filter(|n| arrivals.push(waiting("XB", *n), Lane::Emergency, now)).count();
        assert_eq!(demoted as u64, 100 - BURST);
        assert!(!arrivals.push(waiting("XC", 201), Lane::Emergency, now), "another Party has its own budget");
        let order: Vec<u8> = std::iter::from_fn(|| arrivals.pop()).map(|waiting| waiting.frame[0]).collect();
        let burst = u8::try_from(BURST).expect("small");
        let expected: Vec<u8> = (0..burst).chain([201, 200]).chain(burst..100).collect();
        assert_eq!(order, expected, "nothing is dropped");
    }

    #[test]
    fn the_budget_comes_back_with_time() {
        let (mut arrivals, now) = (Arrivals::default(), Time(1_800_000_000_000));
        let mut flood = |at: Time| (0..100).filter(|n| !arrivals.push(waiting("XB", *n), Lane::Emergency, at)).count();
        assert_eq!(flood(now) as u64, BURST);
        assert_eq!(flood(now.plus_ms(EARNED_MS)), 1);
        assert_eq!(flood(now.plus_ms(1000 * EARNED_MS)) as u64, BURST);
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut arrivals, now) = (Arrivals::default(), Time(0));
        (0..WAITING_MAX)
            .for_each(|_| assert!(arrivals.has_room() && !arrivals.push(waiting("XB", 0), Lane::Normal, now)));
        assert!(!arrivals.has_room());
    }
}
