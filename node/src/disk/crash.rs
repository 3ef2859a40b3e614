//! Named places where a test can end the process as a power cut would: between two durable steps.
//!
//! `COMITY_CRASH_AT=store.batch-written` aborts at the first arrival there, `…:3` at the third.
//! Unset, which is always so outside tests, a point costs one relaxed load.

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

/// The variable that arms a point.
const VARIABLE: &str = "COMITY_CRASH_AT";

/// The points of store and vault: beside each, its source says what a crash there leaves.
pub const POINTS: [&str; 27] = [
    "store.segment-filled",
    "store.segment-created",
    "store.outline-created",
    "store.slots-created",
    "store.slot-written",
    "store.slot-synced",
    "store.slot-turned",
    "store.slots-turned",
    "store.batch-written",
    "store.batch-synced",
    "store.checkpoint-written",
    "store.checkpoint-synced",
    "store.desk-written",
    "store.desk-synced",
    "store.desk-copied",
    "store.desk-renamed",
    "store.tail-cut",
    "store.slot-destroyed",
    "store.index-cleared",
    "audit.batch-written",
    "audit.batch-synced",
    "evidence.pack-synced",
    "evidence.pack-shelved",
    "evidence.slots-written",
    "evidence.items-kept",
    "evidence.group-kept",
    "evidence.slot-destroyed",
];

const UNREAD: u8 = 0;
const UNARMED: u8 = 1;
const ARMED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNREAD);
static POINT: OnceLock<Option<Point>> = OnceLock::new();

struct Point {
    name: String,
    left: AtomicU64,
}

/// Ends the process here if the environment asks for it.
pub(crate) fn crash_point(name: &str) {
    if STATE.load(Ordering::Relaxed) != UNARMED {
        arrive(name);
    }
}

#[cold]
fn arrive(name: &str) {
    let point = POINT.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text)));
    STATE.store(if point.is_some() { ARMED } else { UNARMED }, Ordering::Relaxed);
    let Some(point) = point else { return };
    if point.name == name && point.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn parse(text: &str) -> Point {
    let (name, hit) = match text.split_once(':') {
        Some((name, hit)) => (name, hit.parse().unwrap_or(1)),
        None => (text, 1),
    };
    Point { name: name.to_owned(), left: AtomicU64::new(hit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: &str, hit: u64) {
        let point = parse(text);
        assert_eq!((point.name.as_str(), point.left.into_inner()), (name, hit));
    }

    #[test]
    fn a_point_may_name_its_hit() {
        check("store.batch-written", "store.batch-written", 1);
        check("store.batch-written:3", "store.batch-written", 3);
    }
}
