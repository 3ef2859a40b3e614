//! The ledger as a node uses it - records encrypted under the keys of their requests, hashed into the tree,
//! one sync for all that wait - without the index, the engine and the network.

use std::{fs, hint::black_box, path::Path, time::Duration};

use comity_core::{
    crypto::DataKey,
    ids::{Digest, LedgerIndex, RequestId},
    ledger::{Salt, leaf_entry},
    proto::{CasePart, NodePart, RecordKind},
    record::Record,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{BenchFault, Figures, Load, drive, grouped::sample};
use crate::store::{Ledger, LedgerKeys, Verified};

/// Bytes of a record that stand in its signed header; the rest is body.
const HEADER: usize = 320;

/// The load on a ledger in `folder`, which is made. Each writer's records are of a request of its own.
///
/// # Errors
/// What the store said.
pub fn drive_ledger(folder: &Path, load: Load) -> Result<Figures, BenchFault> {
    fs::create_dir_all(folder).map_err(BenchFault::disk(folder))?;
    let (ledger, _) = Ledger::open(folder, keys(), None)?;
    drive(load, folder, |writer, n| {
        ledger.append(vec![record(writer, n, load.bytes)])?.wait()?;
        Ok(())
    })
}

/// What opening and verifying a ledger took.
#[derive(Debug, Clone, Copy)]
pub struct Again {
    /// From the call until it could be read and written.
    pub open: Duration,
    /// From then until every checksum, leaf and root had been recomputed.
    pub verify: Duration,
    /// What was verified.
    pub verified: Verified,
}

/// Opens the ledger of [`drive_ledger`] again and verifies all of it.
///
/// # Errors
/// When it is not whole.
pub fn reopen(folder: &Path) -> Result<Again, BenchFault> {
    let reopened = Reopened::open(folder)?;
    let (verify, verified) = reopened.verify()?;
    Ok(Again { open: reopened.open, verify, verified })
}

/// A ledger of [`drive_ledger`], open again.
pub struct Reopened {
    ledger: Ledger,
    /// From the call until it could be read and written.
    pub open: Duration,
}

impl Reopened {
    /// Opens it.
    ///
    /// # Errors
    /// What the store said.
    pub fn open(folder: &Path) -> Result<Self, BenchFault> {
        let began = Instant::now();
        let (ledger, _) = Ledger::open(folder, keys(), None)?;
        Ok(Self { ledger, open: began.elapsed() })
    }

    /// What each of so many proofs took, of records from everywhere, ascending.
    ///
    /// # Panics
    /// When the tree does not reach what the ledger holds.
    #[must_use]
    pub fn proofs(&self, count: usize) -> Vec<Duration> {
        let size = self.ledger.size();
        let one = |n: u64| {
            let index = LedgerIndex(n.wrapping_mul(SPREAD) % size.max(1));
            let began = Instant::now();
            black_box(self.ledger.prove(index, size).expect("the index is below the size"));
            began.elapsed()
        };
        let mut took: Vec<Duration> = (0..size.min(count as u64)).map(one).collect();
        took.sort_unstable();
        took
    }

    /// Recomputes every checksum, leaf and root; what that took.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn verify(&self) -> Result<(Duration, Verified), BenchFault> {
        let began = Instant::now();
        let verified = self.ledger.verify(&mut |_| ())?;
        Ok((began.elapsed(), verified))
    }
}

/// A prime that sends neighbours far apart.
const SPREAD: u64 = 2_654_435_761;

/// Keys of no node: what they protect is worth nothing.
fn keys() -> LedgerKeys {
    LedgerKeys { node: DataKey::new([1; 32]), kek: [(1, DataKey::new([2; 32]))].into() }
}

fn record(writer: usize, n: u64, bytes: usize) -> Record {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    let mut request = [0; 16];
    request[..8].copy_from_slice(&writer.to_be_bytes());
    let salt = Salt(id);
    let context = b"a benchmark".to_vec();
    let header = sample(n, HEADER.min(bytes));
    Record {
        kind: RecordKind::EventSent,
        request: Some(RequestId::new(request)),
        leaf: leaf_entry(&salt, &Digest::new(id), &context),
        node: NodePart { record_id: id.to_vec(), recorded_ms: n, ..NodePart::default() },
        body: sample(n, bytes - header.len()),
        case: CasePart { salt: id.to_vec(), context, header, ..CasePart::default() },
        secret: Some(Zeroizing::new(id)),
    }
}
