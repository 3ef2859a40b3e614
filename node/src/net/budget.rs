//! What one Party may ask of us over time: tokens that come back at a steady rate.
//!
//! Windows bound what is in flight; a budget bounds what passes in a second, so that a Party which
//! answers nothing but asks for ever - the same delivery a thousand times, a stream opened and dropped -
//! leaves the others their part of this machine. Time is handed in.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Tokens of one kind.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: f64,
    at: Instant,
    per_second: f64,
    burst: f64,
}

impl Budget {
    /// A full one.
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let (per_second, burst) = (f64::from(per_second), f64::from(burst));
        Self { tokens: burst, at: now, per_second, burst }
    }

    fn refill(&mut self, now: Instant) {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.tokens, self.at) = ((self.tokens + earned).min(self.burst), now.max(self.at));
    }

    /// Takes one token if one is there.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let has = self.tokens >= 1.0;
        self.tokens -= if has { 1.0 } else { 0.0 };
        has
    }

    /// Takes so many, on credit if need be, and returns how long whoever took them must wait.
    fn spend(&mut self, count: u32, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= f64::from(count);
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.per_second)
    }
}

/// What a Party may deliver, over all its streams: more than a ledger of ours takes in, so that an honest
/// backlog is never slowed, and no more than a part of what one core can check.
#[derive(Debug, Clone)]
pub(super) struct Deliveries(Arc<Mutex<(Budget, Budget)>>);

impl Deliveries {
    pub(super) fn new(now: Instant) -> Self {
        let frames = Budget::new(FRAMES_PER_SECOND, FRAMES_BURST, now);
        let kibibytes = Budget::new(KIB_PER_SECOND, KIB_BURST, now);
        Self(Arc::new(Mutex::new((frames, kibibytes))))
    }

    /// How long to wait before a delivery of this length is read.
    pub(super) fn wait_for(&self, len: usize, now: Instant) -> Duration {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (frames, kibibytes) = &mut *budgets;
        let size = u32::try_from(len.div_ceil(1024)).unwrap_or(u32::MAX);
        frames.spend(1, now).max(kibibytes.spend(size, now))
    }
}

/// Deliveries of one Party in a second, and how many may come at once after a pause.
const FRAMES_PER_SECOND: u32 = 2048;
const FRAMES_BURST: u32 = 8192;
/// KiB of them.
const KIB_PER_SECOND: u32 = 32 << 10;
const KIB_BURST: u32 = 64 << 10;
/// Deliver streams a Party may open: an honest one opens one on each connection.
pub(super) const STREAMS_PER_SECOND: u32 = 1;
/// The same at once: many connections that flap for half a minute.
pub(super) const STREAMS_BURST: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_up_to_the_burst() {
        let start = Instant::now();
        let mut budget = Budget::new(2, 3, start);
        assert_eq!((0..9).filter(|_| budget.take(start)).count(), 3);
        assert!(!budget.take(start + Duration::from_millis(499)));
        assert!(budget.take(start + Duration::from_millis(500)));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..9).filter(|_| budget.take(later)).count(), 3);
    }

    #[test]
    fn a_backlog_is_not_slowed_and_a_flood_is() {
        let start = Instant::now();
        let deliveries = Deliveries::new(start);
        let waits: Vec<_> = (0..FRAMES_BURST).map(|_| deliveries.wait_for(1024, start)).collect();
        assert!(waits.iter().all(Duration::is_zero), "a burst passes");
        let second = (0..FRAMES_PER_SECOND).map(|_| deliveries.wait_for(1024, start)).max().expect("some");
        assert_eq!(second.as_millis(), 1000, "then so many a second");
        let deliveries = Deliveries::new(start);
        let (mib, bursts) = (1 << 20, KIB_BURST / 1024);
        assert!((0..bursts).all(|_| deliveries.wait_for(mib, start).is_zero()));
        assert!(!deliveries.wait_for(mib, start).is_zero(), "bytes count as well as frames");
    }
}
