//! What is fuzzed: one function for each reader of bytes from peers, files or people, and one for the engine.
//!
//! A target takes any bytes and panics when a promise does not hold. The fuzzer and an ordinary test call the same
//! functions, and they use nothing of core but what a node uses.

mod documents;
mod engine;
mod evidence;
mod exchange;
mod known;
mod law;
mod ledger;
mod node;
mod roster;
mod store;
mod text;
mod wire;

/// A function that reads any bytes.
pub(crate) type Target = fn(&[u8]);

/// Every target by name; its corpus lies in `corpus/<name>`.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("answer", exchange::answer),
    ("body", law::body),
    ("checkpoint", ledger::checkpoint),
    ("clock", law::clock),
    ("delivery", exchange::delivery),
    ("document", documents::document),
    ("engine", engine::engine),
    ("event", exchange::event),
    ("index", store::index),
    ("manifest", evidence::manifest),
    ("names", text::names),
    ("object", evidence::object),
    ("proof", ledger::proof),
    ("published", ledger::published),
    ("record", store::record),
    ("roster", roster::roster),
    ("rules", law::rules),
    ("sealed", exchange::sealed),
    ("tree", ledger::tree),
    ("wire", wire::wire),
];

/// Takes numbers and pieces off the front of an input; what is missing reads as zero or nothing.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.take(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    /// At most so many bytes.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece as long as the two bytes before it say.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let count = usize::from(self.u16());
        self.take(count)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
