//! What lasts: the ledger's segment files, the data keys, the desk, and the index beside them.
//!
//! Decides when something counts as stored: after the sync that covers it, never before. Never
//! decides what is to be stored or in which order events may come; that is core's. The segment
//! files are the truth, the index may be thrown away at any time. Serves SPEC `[F-*]`.
//!
//! Start with [`Ledger`]. Below it: `book` and `record` (what goes into frames), `slots` (data
//! keys), `notes` (the newest checkpoint), `tiles` (the tree), `writer` (group commit), `segments`, `opening`, `outline` and
//! `scan` (a log of opaque payloads), `walk` (all of it once more), `copy` (what a backup takes), `frame` (the bytes). [`Desk`] is a second user of the same log; `pairs` is the only file that names sled;
//! [`Folder`] is the lock.

mod book;
mod copy;
mod desk;
mod fault;
mod filler;
mod folder;
mod frame;
mod ledger;
mod look;
#[cfg(test)]
mod matrix;
mod notes;
mod opening;
mod outline;
mod pairs;
mod record;
mod scan;
mod seal;
mod segments;
mod slots;
mod tiles;
mod walk;
mod writer;

pub use copy::{Content, LedgerCopy, Part, erase_slots, slots_part};
pub use desk::{Desk, DeskChange, DeskOpened};
pub use fault::{Damage, DamageKind, StoreFault};
pub use folder::{Folder, RESERVE_BYTES, disk_room};
pub use ledger::{Committed, Ledger, LedgerKeys, Opened};
pub use look::LookOver;
pub use pairs::{PairsOpened, SledPairs};
pub use record::StoredRecord;
pub use slots::{SlotsSeen, look_at_slots};
pub use walk::Verified;
pub use writer::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Pending};

/// Fresh random bytes for keys, nonces and marks.
///
/// # Panics
/// When the system has no entropy to give, which it has from shortly after boot on.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives entropy once it has booted");
    bytes
}
