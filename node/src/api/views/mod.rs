//! The shapes the API answers with, and how they are read off the node.
//!
//! They are for reading only and never come back as input. Every object a client may keep on its own
//! says its `schema`. Ids are whole, times are texts.

pub(super) mod audit;
pub(super) mod backup;
pub(super) mod erasure;
pub(super) mod evidence;
pub(super) mod law;
pub(super) mod ledger;
pub(super) mod metrics;
pub(super) mod node;
pub(super) mod officers;
pub(super) mod parties;
pub(super) mod peers;
pub(super) mod requests;
pub(super) mod schema;
pub(super) mod standing;

use comity_core::{ids::Time, rules::Side};

/// A time, unless there is none: zero stands for none where rows are stored.
fn at(ms: u64) -> Option<String> {
    (ms != 0).then(|| crate::time::rfc3339(Time(ms)))
}

/// A side in a word, as rows and documents that were checked hold it.
fn side(wire: i32) -> &'static str {
    Side::read(wire).map_or("none", Side::as_str)
}
