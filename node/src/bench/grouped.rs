//! Group commit for anything that can put a batch on disk: one thread gathers what waits, commits it as
//! one, answers all. It is the ledger writer's way of working without what a ledger is for.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use super::{BenchFault, Figures, Load, drive};
use crate::store::BATCH_RECORDS_MAX;

/// Puts batches on disk.
pub trait Sink: Send + 'static {
    /// Returns once all of them are synced.
    ///
    /// # Errors
    /// What the disk or the database said.
    fn commit(&mut self, batch: &[Vec<u8>]) -> io::Result<()>;
}

struct Job {
    bytes: Vec<u8>,
    answer: SyncSender<io::Result<()>>,
}

/// A sink that many write to.
pub struct Grouped {
    name: &'static str,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Grouped {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &'static str, sink: impl Sink) -> io::Result<Self> {
        let (jobs, taken) = sync_channel(QUEUE_MAX);
        let thread = thread::Builder::new().name(format!("{name}-writer")).spawn(move || work(sink, &taken))?;
        Ok(Self { name, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Returns once these bytes are on disk.
    ///
    /// # Errors
    /// What the sink said, or that its thread has ended.
    pub fn append(&self, bytes: Vec<u8>) -> Result<(), BenchFault> {
        let stopped = || BenchFault::Stopped(self.name);
        let (answer, answered) = sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(Job { bytes, answer }).map_err(|_| stopped())?;
        answered.recv().map_err(|_| stopped())?.map_err(BenchFault::disk(Path::new(self.name)))
    }
}

impl Drop for Grouped {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the hook, and those who waited were told.
            thread.join().ok();
        }
    }
}

fn work(mut sink: impl Sink, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let all: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).take(BATCH_RECORDS_MAX).collect();
        let (batch, answers): (Vec<_>, Vec<_>) = all.into_iter().map(|job| (job.bytes, job.answer)).unzip();
        let done = sink.commit(&batch);
        for answer in answers {
            let done = done.as_ref().copied().map_err(|fault| io::Error::new(fault.kind(), fault.to_string()));
            answer.send(done).ok(); // somebody who no longer waits changes nothing
        }
    }
}

/// A plain file that was filled with zeros: the least there is to do for a batch.
pub struct RawFile {
    file: File,
    end: u64,
}

impl RawFile {
    /// Makes the file and fills it, so that no write changes its size.
    ///
    /// # Errors
    /// What the disk said.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let zeros = vec![0; FILL];
        let mut at = 0;
        while at < bytes {
            let some = bytes.saturating_sub(at).min(FILL as u64);
            let some = usize::try_from(some).unwrap_or(FILL);
            file.write_all_at(&zeros[..some], at)?;
            at += some as u64;
        }
        file.sync_all()?;
        Ok(Self { file, end: 0 })
    }
}

impl Sink for RawFile {
    fn commit(&mut self, batch: &[Vec<u8>]) -> io::Result<()> {
        let bytes = batch.concat();
        self.file.write_all_at(&bytes, self.end)?;
        self.end += bytes.len() as u64;
        self.file.sync_data()
    }
}

/// The load on a plain file in `folder`, which is made.
///
/// # Errors
/// What the disk said.
pub fn drive_raw(folder: &Path, load: Load) -> Result<Figures, BenchFault> {
    fs::create_dir_all(folder).map_err(BenchFault::disk(folder))?;
    let raw = RawFile::create(&folder.join("file"), load.records * load.bytes as u64);
    drive_sink("a plain file", raw.map_err(BenchFault::disk(folder))?, folder, load)
}

/// The load on a sink that keeps its files in `folder`.
///
/// # Errors
/// What the sink said.
pub fn drive_sink(name: &'static str, sink: impl Sink, folder: &Path, load: Load) -> Result<Figures, BenchFault> {
    let grouped = Grouped::start(name, sink).map_err(BenchFault::disk(folder))?;
    drive(load, folder, |_, record| grouped.append(sample(record, load.bytes)))
}

/// Bytes of a record: its number again and again, never zero, so that what was written can be told from
/// what was filled.
#[must_use]
pub fn sample(record: u64, bytes: usize) -> Vec<u8> {
    record.to_be_bytes().iter().map(|byte| byte | 1).cycle().take(bytes).collect()
}

/// Bytes filled at once.
const FILL: usize = 1 << 20;
/// Appends that may wait: more than any number of writers here.
const QUEUE_MAX: usize = 1024;
