//! The ledger's side of the writer: appends become one batch of sealed frames and one root.
//!
//! The order is the promise: key slots on disk, then a place for the batch, then the batch, and
//! only then anyone is told or shown; copies of the tree come last. Start with [`LedgerBook::commit`].

use std::sync::{Arc, PoisonError, RwLock};

use comity_core::{
    ids::{Digest, LedgerIndex},
    ledger::{Edge, leaf_hash},
    record::Record,
};
use prost::Message as _;

use super::{
    StoreFault,
    frame::Batch,
    ledger::Committed,
    record::{self, NODE_SLOT, Opener},
    segments::{Shelf, Tail},
    slots::RequestKeys,
    tiles::TileFolder,
    writer::Book,
};

/// What a record takes beyond its parts: frame head, leaf, slot and kind, and nonce and tag of three
/// sealed parts, generously.
const OVERHEAD: usize = 256;

/// The writer's view of the ledger.
pub(super) struct LedgerBook {
    tail: Tail,
    shelf: Arc<Shelf>,
    edge: Arc<RwLock<Edge>>,
    tiles: Arc<TileFolder>,
    opener: Opener,
}

/// One append with the keys it needs, or why it is refused alone.
type Keyed = Result<Vec<(Record, u32, RequestKeys)>, StoreFault>;

impl LedgerBook {
    pub(super) fn new(
        tail: Tail,
        shelf: Arc<Shelf>,
        (edge, tiles): (Arc<RwLock<Edge>>, Arc<TileFolder>),
        opener: Opener,
    ) -> Self {
        Self { tail, shelf, edge, tiles, opener }
    }

    fn keyed(&self, records: Vec<Record>) -> Keyed {
        let keyed = records.into_iter().map(|record| {
            let (slot, keys) = match record.request {
                None => (NODE_SLOT, self.opener.own()),
                Some(request) => self.opener.slots.ensure(request)?,
            };
            Ok((record, slot, keys))
        });
        keyed.collect()
    }

    /// Grows the tree. Only ever done right before the write: if that fails the writer ends, so a
    /// tree that ran ahead of the disk is never built upon.
    fn plant(&self, leaves: &[Digest]) -> Digest {
        let mut edge = self.edge.write().unwrap_or_else(PoisonError::into_inner);
        for leaf in leaves {
            edge.push(*leaf, |id, tile| self.tiles.take(id, tile));
        }
        edge.root()
    }
}

impl Book for LedgerBook {
    type Entry = Vec<Record>;
    type Done = Committed;

    fn bytes(entry: &Self::Entry) -> usize {
        let one =
            |record: &Record| OVERHEAD + record.node.encoded_len() + record.case.encoded_len() + record.body.len();
        entry.iter().map(one).sum()
    }

    fn records(entry: &Self::Entry) -> usize {
        entry.len()
    }

    fn room(&self) -> usize {
        self.tail.room()
    }

    fn commit(&mut self, entries: Vec<Self::Entry>) -> Result<Vec<Result<Committed, StoreFault>>, StoreFault> {
        let entries: Vec<Keyed> = entries.into_iter().map(|records| self.keyed(records)).collect();
        if let Some(fatal) = entries.iter().filter_map(|entry| entry.as_ref().err()).find(|fault| fault.is_fatal()) {
            return Err(fatal.clone());
        }
        // Before any record that needs them: a record without its slot could never be opened.
        self.opener.slots.sync()?;
        let mut batch = Batch::default();
        let mut leaves = Vec::new();
        let mut answers = Vec::new();
        for entry in entries {
            let first = self.tail.size() + batch.count();
            answers.push(entry.map(|records| {
                let count = records.len() as u64;
                for (record, slot, keys) in records {
                    leaves.push(leaf_hash(&record.leaf));
                    let index = self.tail.size() + batch.count();
                    batch.push(&record::seal(record, index, slot, &self.opener.node, &keys));
                }
                (first, count)
            }));
        }
        if !leaves.is_empty() {
            if let Some(closed) = self.tail.reserve(batch.len())? {
                // What an open needs of it, written by the thread that knows it: a file of some 70 KiB every 12,000 records.
                self.shelf.close(&closed, self.edge.read().unwrap_or_else(PoisonError::into_inner).to_bytes());
            }
            let root = self.plant(&leaves);
            self.shelf.extend(self.tail.commit(batch, *root.as_bytes())?);
        }
        let size = self.tail.size();
        let root = self.edge.read().unwrap_or_else(PoisonError::into_inner).root();
        let done = |(first, count)| Committed { first: LedgerIndex(first), count, size, root };
        Ok(answers.into_iter().map(|answer| answer.map(done)).collect())
    }

    fn settle(&mut self) {
        self.tiles.settle();
    }
}
