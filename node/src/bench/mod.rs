//! Speed, measured beside what bounds it: the ledger next to a plain file that is synced as often.
//!
//! Decides how load is put on and how figures are taken; never decides whether they are good enough.
//! All ways of one comparison get the same bytes from the same number of writers, in turn, since a small
//! machine changes its speed from one minute to the next. Start with [`drive`]; [`ledger`] is ours, and
//! [`Grouped`] gives anything else that can put a batch on disk the same group commit.

pub mod grouped;
pub mod ledger;
pub mod poured;
pub mod primitives;
pub mod process;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use crate::store::StoreFault;
pub use grouped::{Grouped, RawFile, Sink};

/// What is put on: so many records, by so many writers who each wait for their answer, of so many bytes.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Records in all.
    pub records: u64,
    /// Writers at once; each has one append in flight.
    pub writers: usize,
    /// Bytes of a record.
    pub bytes: usize,
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Answers in a second.
    pub per_s: f64,
    /// Half of the appends were answered within this.
    pub p50: Duration,
    /// All but one in a hundred.
    pub p99: Duration,
    /// Bytes on disk for each byte of the records, once all are answered.
    pub disk: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchFault {
    /// A file or folder of the benchmark.
    #[error("bench.disk: nothing was measured: {path} did not take what was written ({cause}). Choose another folder with --dir", path = .path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The ledger refused or failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Nobody is left to answer.
    #[error("bench.stopped: nothing was measured: the writer of {0} ended before all was written. Try again")]
    Stopped(&'static str),
    /// Ctrl-C.
    #[error(
        "bench.interrupted: nothing was measured: it was interrupted, and what it had made is removed. Start it again"
    )]
    Interrupted,
}

impl BenchFault {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "bench.disk",
            Self::Store(fault) => fault.code(),
            Self::Stopped(_) => "bench.stopped",
            Self::Interrupted => "bench.interrupted",
        }
    }

    /// For the calls on one path.
    pub fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |cause| Self::Disk { path, cause }
    }
}

/// Puts the load on `append`, which gets the writer's number and the record's and returns once that record
/// is on disk. `folder` is where the bytes then lie.
///
/// # Errors
/// The first fault of any writer.
pub fn drive(
    load: Load,
    folder: &Path,
    append: impl Fn(usize, u64) -> Result<(), BenchFault> + Sync,
) -> Result<Figures, BenchFault> {
    let next = AtomicU64::new(0);
    let began = Instant::now();
    let waits = thread::scope(|scope| {
        let writer = |number| {
            let (next, append) = (&next, &append);
            scope.spawn(move || write(load.records, next, |record| append(number, record)))
        };
        let writers: Vec<_> = (0..load.writers).map(writer).collect();
        writers.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect::<Result<Vec<_>, _>>()
    })?;
    let took = began.elapsed();
    let mut waits: Vec<Duration> = waits.concat();
    waits.sort_unstable();
    let payload = load.records * load.bytes as u64;
    Ok(Figures {
        per_s: ratio(load.records, 1) / took.as_secs_f64(),
        p50: rank(&waits, 50),
        p99: rank(&waits, 99),
        disk: ratio(disk_bytes(folder)?, payload),
    })
}

fn write(
    records: u64,
    next: &AtomicU64,
    append: impl Fn(u64) -> Result<(), BenchFault>,
) -> Result<Vec<Duration>, BenchFault> {
    let mut waits = Vec::new();
    loop {
        let record = next.fetch_add(1, Ordering::Relaxed);
        if record >= records {
            return Ok(waits);
        }
        let began = Instant::now();
        append(record)?;
        waits.push(began.elapsed());
    }
}

/// The wait that so many in a hundred do not exceed; zero of none.
#[must_use]
pub fn rank(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

/// One of several runs: for each figure its median.
///
/// # Panics
/// Of no runs there is no median.
#[must_use]
pub fn median(runs: &[Figures]) -> Figures {
    Figures {
        per_s: middle(runs, |run| run.per_s),
        p50: middle(runs, |run| run.p50),
        p99: middle(runs, |run| run.p99),
        disk: middle(runs, |run| run.disk),
    }
}

/// The median of one figure of several runs.
///
/// # Panics
/// Of no runs there is none.
#[must_use]
pub fn middle<R, T: Copy + PartialOrd>(runs: &[R], of: impl Fn(&R) -> T) -> T {
    let mut all: Vec<T> = runs.iter().map(of).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    all[all.len() / 2]
}

/// Bytes the files below a folder take on disk.
///
/// # Errors
/// When it does not read.
pub fn disk_bytes(folder: &Path) -> Result<u64, BenchFault> {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = 0;
    for entry in fs::read_dir(folder).map_err(BenchFault::disk(folder))? {
        let path = entry.map_err(BenchFault::disk(folder))?.path();
        let meta = fs::symlink_metadata(&path).map_err(BenchFault::disk(&path))?;
        sum += if meta.is_dir() { disk_bytes(&path)? } else { meta.blocks() * 512 };
    }
    Ok(sum)
}

/// One number beside another.
#[allow(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
pub(crate) fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_of_those_that_waited() {
        let waits: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(rank(&waits, 50), Duration::from_millis(100));
        assert_eq!(rank(&waits, 99), Duration::from_millis(198));
        assert_eq!(rank(&waits[..1], 99), Duration::from_millis(1));
        assert_eq!(rank(&[], 99), Duration::ZERO);
    }

    #[test]
    fn every_record_is_on_disk_once_whoever_writes_it() {
        let home = tempfile::tempdir().expect("folder");
        let load = Load { records: 500, writers: 7, bytes: 1024 };
        let raw = home.path().join("raw");
        grouped::drive_raw(&raw, load).expect("measured");
        let written = fs::read(raw.join("file")).expect("read");
        assert_eq!(written.iter().filter(|byte| **byte != 0).count(), 500 * 1024);
        let ours = home.path().join("ours");
        ledger::drive_ledger(&ours, load).expect("measured");
        let again = ledger::reopen(&ours).expect("whole");
        assert_eq!(again.verified.records, 500);
    }
}
