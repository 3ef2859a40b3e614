//! What comes back from a node's own disk: parts of records, and the index, which anybody with the disk can change.

use comity_core::{
    carry::Stored,
    case::Case,
    clock::Reckoning,
    engine::{Engine, Identity, Input},
    ids::{Digest, EventId, LedgerIndex, Origin, RequestId, ThreadId, Time},
    index::{Change, Index, IndexFault, MemoryPairs, Pairs as _, RecordView},
    proto::{CasePart, Lane, NodePart, RecordKind},
    record::Slips,
};
use prost::Message as _;

use super::{
    Reader,
    known::{BOOK, NOW, RULES, material, party},
};

/// Records in order: each is followed whole or not at all, and the same records give the same index again.
pub(crate) fn record(data: &[u8]) {
    let mut input = Reader(data);
    let (mut index, mut followed) = (Index::new(MemoryPairs::default()), Vec::new());
    while !input.is_empty() && followed.len() < 32 {
        let how = input.byte();
        let (node, case) = (input.piece(), input.piece());
        let (Ok(node), Ok(case)) = (NodePart::decode(node), CasePart::decode(case)) else { continue };
        let kind = RecordKind::try_from(i32::from(how & 15)).unwrap_or_default();
        frames(&node, &case);
        let record = (kind, node, (how & 16 == 0).then_some(case));
        let place = LedgerIndex(followed.len() as u64 + u64::from(how >> 7));
        let before = index.pairs().clone();
        match index.apply(view(&record, place), &RULES) {
            Ok(()) => followed.push(record),
            Err(_) => assert!(*index.pairs() == before, "a record is followed whole or not at all"),
        }
        assert_eq!(index.applied().expect("reads").0, followed.len() as u64);
    }
    let mut again = Index::new(MemoryPairs::default());
    for (place, record) in (0..).map(LedgerIndex).zip(&followed) {
        again.apply(view(record, place), &RULES).expect("it was followed before");
    }
    assert!(again.pairs() == index.pairs(), "an index is what its records say");
    ask(&index);
}

type Kept = (RecordKind, NodePart, Option<CasePart>);

fn view((kind, node, case): &Kept, index: LedgerIndex) -> RecordView<'_> {
    RecordView { index, kind: *kind, node, case: case.as_ref() }
}

/// What would be sent of a record.
fn frames(node: &NodePart, case: &CasePart) {
    let path = [Digest::new([1; 32])];
    let stored = Stored { node, case, body: b"body", index: LedgerIndex(1), path: &path, note: material("checkpoint") };
    let sent = [stored.receipt(), stored.refusal(), stored.delivery(&party("XB"))];
    assert!(sent.iter().flatten().all(|frame| !frame.is_empty()));
    if let Some(slips) = Slips::from_node_part(node) {
        assert_eq!(slips.rows.len(), node.slips.len());
    }
}

fn origin() -> Origin {
    Origin::parse("xb.test.comity.test/ledger/1").expect("an origin")
}

/// An index with any pairs at all: every question is answered or refused, and an engine over it opens or does not.
pub(crate) fn index(data: &[u8]) {
    let mut input = Reader(data);
    let mut pairs = MemoryPairs::default();
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let length = usize::from(input.byte());
        let (key, value) = (input.take(length).to_vec(), input.piece().to_vec());
        pairs.apply(&[Change::Put(key, value)]).expect("memory takes all");
    }
    ask(&Index::new(pairs));
}

/// Asks all that can be asked, about whatever the keys name.
fn ask(index: &Index<MemoryPairs>) {
    let pairs = index.pairs().range(b"", &[0xff; 64], 1_000).expect("memory answers");
    damaged(index.applied());
    damaged(index.by_deadline(10));
    damaged(index.threads(None, 10));
    for (key, _) in &pairs {
        let Some((_, rest)) = key.split_first() else { continue };
        let thirty_two: [u8; 32] = Reader(rest).array();
        let sixteen: [u8; 16] = Reader(rest).array();
        let (event, thread) = (EventId::new(thirty_two), ThreadId::new(thirty_two));
        damaged(index.seen(&event));
        damaged(index.thread(&thread));
        damaged(index.threads(Some(&thread), 3));
        damaged(index.threads_of(&RequestId::new(sixteen)));
        damaged(index.command(&sixteen));
        damaged(index.custody(&Digest::new(thirty_two)));
        damaged(index.answer(&event, &party("XA")));
        let Some(rows) = damaged(index.events(&thread)) else { continue };
        let Ok(case) = Case::of(&rows) else { continue };
        let standing = case.standing(&RULES, NOW);
        assert_eq!(standing, case.standing(&RULES, NOW));
        let plain = Reckoning::utc();
        for clock in case.clocks(&RULES, &plain, NOW) {
            drop((clock.alerts(RULES.alerts(), Time(0), NOW), clock.next_alert(RULES.alerts(), NOW)));
        }
        drop(case.heads(&RULES));
    }
    for (peer, lane) in ["XA", "XC"].iter().flat_map(|peer| [Lane::Emergency, Lane::Normal].map(|lane| (peer, lane))) {
        damaged(index.owed(&party(peer), lane, (0, 0), 100));
        damaged(index.last_number(&party(peer), lane, 1));
        damaged(index.numbers(&party(peer), lane, 1));
    }
    open(index);
}

/// What is not an answer is damage, and nothing else.
fn damaged<T>(answer: Result<T, IndexFault>) -> Option<T> {
    assert!(!matches!(answer, Err(IndexFault::Unavailable | IndexFault::OutOfOrder { .. })));
    answer.ok()
}

fn open(index: &Index<MemoryPairs>) {
    let us = Identity { party: party("XB"), origin: origin() };
    let Ok(mut engine) = Engine::open(us, BOOK.clone(), RULES.clone(), index, Time(0), u64::MAX) else { return };
    for input in [Input::Up(party("XA")), Input::CheckpointSigned(u64::MAX), Input::Tick, Input::Down(party("XA"))] {
        if let Err(fault) = engine.step(NOW, [1; 32], input, index) {
            assert_eq!(fault.code(), "index.damaged");
            return;
        }
    }
}
