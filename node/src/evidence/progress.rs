//! How far long work is: counted by those who do it, read by those who wait for it.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use comity_core::ids::Time;

use crate::time;

/// A rate is taken over this long: short enough to follow a line that slows, long enough not to jump.
const RATE_MS: u64 = 5_000;
/// Looks kept for the rate: one each quarter of a second.
const LOOK_MS: u64 = 250;

/// What long work is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The manifest is being fetched.
    Manifest,
    /// A person has to accept the terms first.
    Terms,
    /// The other side is not reached; it goes on by itself.
    Waiting,
    /// Bytes are moving, or being read again.
    Working,
    /// A person stopped it; nothing is lost.
    Paused,
    /// All is here, and both digests of every item hold.
    Done,
    /// It cannot go on without a person.
    Failed,
}

impl Stage {
    /// The word in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Terms => "awaiting_terms",
            Self::Waiting => "waiting",
            Self::Working => "working",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// True if it goes on by itself.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        match self {
            Self::Manifest | Self::Terms | Self::Waiting | Self::Working => true,
            Self::Paused | Self::Done | Self::Failed => false,
        }
    }
}

/// A look at long work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What it is at.
    pub stage: Stage,
    /// Why it waits or failed: a stable code; empty otherwise.
    pub code: &'static str,
    /// The same in words; empty otherwise.
    pub detail: String,
    /// Items done.
    pub items: u64,
    /// Of so many.
    pub items_all: u64,
    /// Bytes of sealed objects done.
    pub bytes: u64,
    /// Of so many.
    pub bytes_all: u64,
    /// Bytes that came over the network since this process began, verified.
    pub fetched: u64,
    /// Bytes a second lately; zero if nothing moves.
    pub rate: u64,
}

impl Look {
    /// Seconds until it is done at the present rate; none if nothing moves.
    #[must_use]
    pub fn seconds_left(&self) -> Option<u64> {
        let left = self.bytes_all.saturating_sub(self.bytes);
        (self.rate > 0 && self.stage == Stage::Working).then(|| left.div_ceil(self.rate))
    }
}

/// Long work's counters.
#[derive(Debug)]
pub(super) struct Progress {
    items: AtomicU64,
    items_all: AtomicU64,
    bytes: AtomicU64,
    bytes_all: AtomicU64,
    fetched: AtomicU64,
    at: Mutex<At>,
}

#[derive(Debug)]
struct At {
    stage: Stage,
    code: &'static str,
    detail: String,
    looks: VecDeque<(Time, u64)>,
}

impl Progress {
    pub(super) fn new(stage: Stage) -> Self {
        let at = At { stage, code: "", detail: String::new(), looks: VecDeque::new() };
        Self {
            items: AtomicU64::new(0),
            items_all: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            bytes_all: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
            at: Mutex::new(at),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.at().stage
    }

    /// What it is at from now on, and why.
    pub(super) fn set(&self, stage: Stage, code: &'static str, detail: &str) {
        let mut at = self.at();
        (at.stage, at.code, at.detail) = (stage, code, detail.to_owned());
        at.looks.clear();
    }

    /// How much there is to do, and how much of it is done already.
    pub(super) fn measure(&self, items: (u64, u64), bytes: (u64, u64)) {
        self.items.store(items.0, Ordering::Relaxed);
        self.items_all.store(items.1, Ordering::Relaxed);
        self.bytes.store(bytes.0, Ordering::Relaxed);
        self.bytes_all.store(bytes.1, Ordering::Relaxed);
    }

    pub(super) fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Verified bytes came over the network.
    pub(super) fn fetched(&self, bytes: u64) {
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
        self.moved(bytes);
    }

    pub(super) fn finished_item(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn look(&self) -> Look {
        let (now, bytes) = (time::now(), self.bytes.load(Ordering::Relaxed));
        let mut at = self.at();
        let rate = at.rate(now, bytes);
        Look {
            stage: at.stage,
            code: at.code,
            detail: at.detail.clone(),
            items: self.items.load(Ordering::Relaxed),
            items_all: self.items_all.load(Ordering::Relaxed),
            bytes,
            bytes_all: self.bytes_all.load(Ordering::Relaxed),
            fetched: self.fetched.load(Ordering::Relaxed),
            rate,
        }
    }

    fn at(&self) -> std::sync::MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl At {
    /// Bytes a second since the oldest look that still counts.
    fn rate(&mut self, now: Time, bytes: u64) -> u64 {
        if self.stage != Stage::Working {
            return 0;
        }
        while self.looks.front().is_some_and(|(at, _)| now.since(*at) > RATE_MS) {
            self.looks.pop_front();
        }
        let since = self.looks.front().copied();
        if self.looks.back().is_none_or(|(at, _)| now.since(*at) >= LOOK_MS) {
            self.looks.push_back((now, bytes));
        }
        let Some((at, before)) = since.filter(|(at, _)| now > *at) else { return 0 };
        bytes.saturating_sub(before).saturating_mul(1_000) / now.since(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_seconds() {
        let mut at = At { stage: Stage::Working, code: "", detail: String::new(), looks: VecDeque::new() };
        assert_eq!(at.rate(Time(1_000), 0), 0);
        assert_eq!(at.rate(Time(2_000), 500), 500);
        assert_eq!(at.rate(Time(20_000), 500), 0, "what is long past does not count");
        assert_eq!(at.rate(Time(21_000), 2_500), 2_000);
        at.stage = Stage::Paused;
        assert_eq!(at.rate(Time(22_000), 9_999), 0);
    }

    #[test]
    fn time_left_needs_something_that_moves() {
        let progress = Progress::new(Stage::Working);
        progress.measure((0, 1), (0, 1_000));
        progress.moved(400);
        let look = Look { rate: 100, ..progress.look() };
        assert_eq!(look.seconds_left(), Some(6));
        assert_eq!(Look { rate: 0, ..look.clone() }.seconds_left(), None);
        assert_eq!(Look { stage: Stage::Paused, ..look }.seconds_left(), None);
    }
}
