//! How much may be unanswered at once, in frames and in bytes: the one bound from which the bounds
//! of all queues of a link follow.
//!
//! A [`Place`] is held from the moment a frame is taken until its answer is through, on both sides;
//! so a slow answerer stops the reader, and a stopped reader stops the author.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames unanswered at once in one direction. At 64 in flight one stream carries an order of
/// magnitude more than a ledger can take in, so more would only be memory.
pub const WINDOW: usize = 64;
/// Places in the window only urgent frames may take, so that a flood of ordinary ones never
/// delays an emergency by a full window.
pub(super) const URGENT_ONLY: usize = 8;
/// Bytes unanswered at once in one direction: seven of the largest deliveries, or 64 of 128 KiB.
pub const WINDOW_BYTES: usize = 8 << 20;

/// The places of one direction.
#[derive(Debug, Clone)]
pub(super) struct Window {
    frames: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A frame's place in the window; freed when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _frame: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { frames: Arc::new(Semaphore::new(WINDOW)), bytes: Arc::new(Semaphore::new(WINDOW_BYTES)) }
    }

    /// A place now, or none. Ordinary frames leave [`URGENT_ONLY`] places free.
    pub(super) fn try_place(&self, len: usize, urgent: bool) -> Option<Place> {
        if !urgent && self.frames.available_permits() <= URGENT_ONLY {
            return None;
        }
        let frame = Arc::clone(&self.frames).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(weight(len)).ok()?;
        Some(Place { _frame: frame, _bytes: bytes })
    }

    /// Waits for a place: this wait is the back-pressure.
    pub(super) async fn place(&self, len: usize) -> Place {
        let never = "the window's semaphores are never closed";
        let frame = Arc::clone(&self.frames).acquire_owned().await.expect(never);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(weight(len)).await.expect(never);
        Place { _frame: frame, _bytes: bytes }
    }
}

fn weight(len: usize) -> u32 {
    u32::try_from(len.min(WINDOW_BYTES)).expect("the window is under 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_bytes_and_urgency_bound_the_window() {
        let window = Window::new();
        let mut held: Vec<_> = std::iter::from_fn(|| window.try_place(1, false)).collect();
        assert_eq!(held.len(), WINDOW - URGENT_ONLY);
        held.extend(std::iter::from_fn(|| window.try_place(1, true)));
        assert_eq!(held.len(), WINDOW);
        held.pop();
        assert!(window.try_place(1, false).is_none() && window.try_place(1, true).is_some());

        let window = Window::new();
        let half = window.try_place(WINDOW_BYTES / 2 + 1, false);
        assert!(half.is_some() && window.try_place(WINDOW_BYTES / 2, false).is_none());
        drop(half);
        assert!(window.try_place(WINDOW_BYTES / 2, false).is_some(), "a refused place costs nothing");
    }
}
