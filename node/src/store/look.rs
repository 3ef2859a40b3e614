//! A thread of the lowest priority that looks a ledger over while the node works.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::StoreFault;

/// Everything else goes first: what is looked for has lain there unseen, and can wait.
const LEAST_PRIORITY: i32 = 19;

/// A walk under way; dropping it ends it.
pub struct LookOver {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LookOver {
    /// Starts the thread. The work is told when to end early.
    pub(super) fn start(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Result<Self, StoreFault> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let looking = move || {
            // For this thread only, as Linux counts. One that stays as it was is faster, no more.
            rustix::process::setpriority_process(None, LEAST_PRIORITY).ok();
            work(&told);
        };
        let thread = thread::Builder::new().name("ledger-look".to_owned()).spawn(looking);
        let thread = thread.map_err(StoreFault::writing("starting the thread that looks the ledger over"))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Has it end soon: behind the segment it reads.
    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all is walked.
    #[cfg(test)]
    pub(super) fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

impl Drop for LookOver {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the hook; whoever drops this is leaving.
            thread.join().ok();
        }
    }
}
