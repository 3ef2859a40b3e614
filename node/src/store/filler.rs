//! Prepares the next segment while the writer fills the present one: zero-filling a file inline
//! stalls appends for tens of milliseconds. One named thread per log, one segment ahead.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use super::{
    Damage, DamageKind, StoreFault,
    frame::{self, Mark, SEGMENT_HEAD},
    segments::{create_segment, segment_path},
};
use crate::disk::{Disk, DiskFile};

/// The writer's side.
pub(super) struct Filler {
    orders: Option<SyncSender<u32>>,
    ready: Receiver<(u32, Result<DiskFile, StoreFault>)>,
    asked: Option<u32>,
    thread: Option<JoinHandle<()>>,
}

impl Filler {
    /// Starts the thread.
    pub(super) fn start(disk: Disk, folder: PathBuf, name: &str, size: u64, mark: Mark) -> Self {
        // One order at a time, answered before the next: one place each is all that is ever used.
        let (orders, taken) = sync_channel(1);
        let (done, ready) = sync_channel(1);
        let work = move || {
            for number in taken {
                if done.send((number, prepare(&disk, &folder, number, size, mark))).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(format!("{name}-fill")).spawn(work).ok();
        Self { orders: Some(orders), ready, asked: None, thread }
    }

    /// Asks for a segment without waiting for it.
    pub(super) fn ask(&mut self, number: u32) {
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(number).is_ok());
        self.asked = sent.then_some(number);
    }

    /// The segment asked for, once it is there. If preparing it ahead failed, it is tried once
    /// more now: the disk may have room again.
    pub(super) fn take(&mut self, number: u32) -> Result<DiskFile, StoreFault> {
        self.wait(number).or_else(|fault| {
            tracing::warn!(target: "store", code = fault.code(), segment = number, "not prepared ahead");
            self.wait(number)
        })
    }

    fn wait(&mut self, number: u32) -> Result<DiskFile, StoreFault> {
        if self.asked.is_none() {
            self.ask(number);
        }
        let (made, file) = self.ready.recv().map_err(|_| StoreFault::Stopped)?;
        self.asked = None;
        assert!(made == number, "the filler prepares what it was asked for");
        file
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was already reported by the hook; nothing of the log depends on it.
            thread.join().ok();
        }
    }
}

/// Makes the segment, or takes up the one that an earlier run prepared.
fn prepare(disk: &Disk, folder: &Path, number: u32, size: u64, mark: Mark) -> Result<DiskFile, StoreFault> {
    let path = segment_path(folder, number);
    if !path.exists() {
        return create_segment(disk, folder, number, size, mark);
    }
    // It got its name after it was synced, so it is all there; and the walk at the start saw that
    // it is blank behind its head.
    let file = disk.open(&path).map_err(StoreFault::unreadable(&path))?;
    let mut head = [0; SEGMENT_HEAD];
    file.read_at(&mut head, 0).map_err(StoreFault::unreadable(&path))?;
    if head == frame::segment_head(number, size, mark) {
        return Ok(file);
    }
    let damage = Damage { kind: DamageKind::Segment, record: 0, segment: number, offset: 0 };
    Err(StoreFault::Damaged(damage))
}
