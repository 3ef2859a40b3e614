//! What it takes to show that a record stands in a ledger, and that a ledger only ever grew.
//!
//! Decides: how a record becomes a leaf, how leaves become a root, what a signed checkpoint must
//! carry, and whether a proof holds. Never touches disk or network, never reads a clock, and never
//! looks into the records themselves: a leaf tells a stranger nothing (SPEC `[L-*]`).
//!
//! Start with [`leaf`], then [`tree`], then [`checkpoint`]; [`proof`] puts the three together.
//! Hashing follows RFC 6962 and RFC 9162, checkpoints follow C2SP tlog-checkpoint, signed-note and
//! tlog-cosignature, so that tools we did not write can check all of it.

pub mod checkpoint;
mod context;
mod fault;
mod fork;
mod growth;
mod lately;
pub mod leaf;
mod line;
mod note;
mod policy;
pub mod proof;
pub mod tile;
pub mod tree;

pub use checkpoint::{Checkpoint, VerifiedCheckpoint};
pub use context::{Context, SLIPS_MAX};
pub use fault::LedgerFault;
pub use fork::{FORK_FILE_MAX, Fork, Forked};
pub use growth::{NotContinued, continues};
pub use lately::LatelyVerified;
pub use leaf::{LeafEntry, Salt, leaf_entry, leaf_hash, signatures_digest, slip_digest, slip_nonce};
pub use line::verifier_key;
pub use note::{LINES_MAX, NOTE_MAX};
pub use policy::{Policy, WitnessKeys, Witnessed};
pub use proof::{Appended, ProvenRecord, RecordProof};
pub use tile::{Resource, TILE_WIDTH, Tile, TileId, bundle_bytes, bundle_entries};
pub use tree::{Edge, PATH_MAX, Tiles, Tree, verify_consistency, verify_inclusion};
