//! One named thread that writes one log: gathers what waits, commits it as one batch, answers all.
//!
//! Decides how much goes into a batch and what a failure means for those who wait. What an entry
//! is and how it becomes bytes is the [`Book`]'s affair. Start with [`Writer::submit`].

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use super::StoreFault;

/// Records in one batch: with 64 writers a sync is shared by at most so many, and a proof batch
/// signs once for them.
pub const BATCH_RECORDS_MAX: usize = 256;
/// Bytes in one batch, and in one append: four envelopes of the largest size.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// Appends that may wait. At 256 a batch an emergency behind all of them waits four syncs, a few
/// milliseconds, which is why this queue has no second lane.
const QUEUE_MAX: usize = 1024;
/// Bytes that may wait: sixteen full batches, so that a flood of large records cannot take the memory.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// What a writer keeps: turns entries into one batch on disk.
pub(super) trait Book: Send + 'static {
    /// One append.
    type Entry: Send + 'static;
    /// Its answer.
    type Done: Send + 'static;

    /// Bytes an entry will take in the log, about; never much less than in truth.
    fn bytes(entry: &Self::Entry) -> usize;
    /// Records in an entry.
    fn records(entry: &Self::Entry) -> usize;
    /// Bytes that still fit where the log stands.
    fn room(&self) -> usize;
    /// Puts all entries on disk as one batch, or refuses single ones; returns after the sync.
    ///
    /// # Errors
    /// A passing fault refuses all of them with nothing written; a fatal one ends the writer.
    fn commit(&mut self, entries: Vec<Self::Entry>) -> Result<Vec<Result<Self::Done, StoreFault>>, StoreFault>;
    /// What nobody has to wait for, once all were answered.
    fn settle(&mut self) {}
}

struct Job<B: Book> {
    entry: B::Entry,
    bytes: usize,
    answer: oneshot::Sender<Result<B::Done, StoreFault>>,
}

/// The handle to a writer. Dropping it finishes what was submitted and ends the thread.
pub(super) struct Writer<B: Book> {
    jobs: Option<mpsc::Sender<Job<B>>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Book> Writer<B> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(name: &str, book: B) -> Result<Self, StoreFault> {
        let (jobs, taken) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let gauge = Arc::clone(&waiting);
        let thread = thread::Builder::new()
            .name(format!("{name}-writer"))
            .spawn(move || Loop { book, jobs: taken, waiting: gauge, held: None }.run())
            .map_err(StoreFault::writing("starting the writer thread"))?;
        Ok(Self { jobs: Some(jobs), waiting, thread: Some(thread) })
    }

    /// Hands an entry to the writer. The answer comes after the sync.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] when too much waits, [`StoreFault::TooLarge`] when it can never fit,
    /// [`StoreFault::Stopped`] when the writer has ended.
    pub(super) fn submit(&self, entry: B::Entry) -> Result<Pending<B::Done>, StoreFault> {
        let bytes = B::bytes(&entry);
        if bytes > BATCH_BYTES_MAX || B::records(&entry) > BATCH_RECORDS_MAX {
            return Err(StoreFault::TooLarge { bytes, max: BATCH_BYTES_MAX });
        }
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StoreFault::Busy);
        }
        let (answer, pending) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(StoreFault::Stopped)?;
        jobs.try_send(Job { entry, bytes, answer }).map_err(|refused| {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(_) => StoreFault::Busy,
                mpsc::error::TrySendError::Closed(_) => StoreFault::Stopped,
            }
        })?;
        Ok(Pending(pending))
    }
}

impl<B: Book> Drop for Writer<B> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the hook, and those who waited were told `Stopped`.
            thread.join().ok();
        }
    }
}

/// An answer that comes once the append is on disk, or refused.
#[must_use = "an append counts only once its answer is there"]
pub struct Pending<T>(oneshot::Receiver<Result<T, StoreFault>>);

impl<T> Pending<T> {
    /// Waits for it outside any runtime.
    ///
    /// # Errors
    /// As the append.
    pub fn wait(self) -> Result<T, StoreFault> {
        self.0.blocking_recv().unwrap_or(Err(StoreFault::Stopped))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, StoreFault>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(task).map(|answer| answer.unwrap_or(Err(StoreFault::Stopped)))
    }
}

struct Loop<B: Book> {
    book: B,
    jobs: mpsc::Receiver<Job<B>>,
    waiting: Arc<AtomicUsize>,
    /// Taken from the queue, but it did not fit into the batch before.
    held: Option<Job<B>>,
}

impl<B: Book> Loop<B> {
    fn run(mut self) {
        while let Some(first) = self.held.take().or_else(|| self.jobs.blocking_recv()) {
            let (entries, answers) = self.gather(first);
            let done = self.book.commit(entries);
            if let Err(fault) = self.answer(done, answers) {
                return self.end(&fault);
            }
            self.book.settle();
        }
    }

    /// Everything that waits, up to the limits; no more than fits here if the first does.
    fn gather(&mut self, first: Job<B>) -> (Vec<B::Entry>, Vec<Answer<B>>) {
        let room = self.book.room();
        let bytes_max = if first.bytes <= room { BATCH_BYTES_MAX.min(room) } else { BATCH_BYTES_MAX };
        let (mut bytes, mut records) = (0, 0);
        let (mut entries, mut answers) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(job) = next {
            let more = B::records(&job.entry);
            if !entries.is_empty() && (bytes + job.bytes > bytes_max || records + more > BATCH_RECORDS_MAX) {
                self.held = Some(job);
                break;
            }
            bytes += job.bytes;
            records += more;
            self.waiting.fetch_sub(job.bytes, Ordering::Relaxed);
            entries.push(job.entry);
            answers.push(job.answer);
            next = self.jobs.try_recv().ok();
        }
        (entries, answers)
    }

    /// Tells all who wait. The error is one after which nothing may be written any more. Somebody
    /// who no longer waits changes nothing: the batch is on disk, or it is not.
    fn answer(
        &self,
        done: Result<Vec<Result<B::Done, StoreFault>>, StoreFault>,
        answers: Vec<Answer<B>>,
    ) -> Result<(), StoreFault> {
        match done {
            Ok(done) => {
                assert!(done.len() == answers.len(), "a book answers every entry");
                for (answer, done) in answers.into_iter().zip(done) {
                    answer.send(done).ok();
                }
                Ok(())
            }
            Err(fault) => {
                for answer in answers {
                    answer.send(Err(fault.clone())).ok();
                }
                if fault.is_fatal() { Err(fault) } else { Ok(()) }
            }
        }
    }

    /// Refuses everything from now on.
    fn end(mut self, fault: &StoreFault) {
        tracing::error!(target: "store", code = fault.code(), "the writer ends");
        self.jobs.close();
        let rest = self.held.take().into_iter().chain(std::iter::from_fn(|| self.jobs.blocking_recv()));
        for job in rest {
            job.answer.send(Err(StoreFault::Stopped)).ok();
        }
    }
}

type Answer<B> = oneshot::Sender<Result<<B as Book>::Done, StoreFault>>;
