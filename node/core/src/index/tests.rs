//! Under which law an index was made.

use super::*;
use crate::rules::{SHIPPED, sample};

fn applied(index: &mut Index<MemoryPairs>, rules: &Rules) {
    let (size, _) = index.applied().expect("reads");
    let node = NodePart { recorded_ms: 7, ..NodePart::default() };
    let record = RecordView { index: LedgerIndex(size), kind: RecordKind::WitnessNote, node: &node, case: None };
    index.apply(record, rules).expect("applied");
}

/// The position and the law stand in one row, so that whatever a crash leaves of a rebuilding is known for what it is.
#[test]
fn an_index_says_under_which_law_it_was_made() {
    let shipped = sample::shipped();
    let other = Rules::parse(&[SHIPPED, &[("more", "# nothing")]].concat()).expect("reads");
    let mut index = Index::new(MemoryPairs::default());
    let check = |index: &Index<MemoryPairs>, expected: [bool; 2]| {
        assert_eq!([shipped, &other].map(|rules| index.is_under(rules)), expected.map(Ok));
    };
    check(&index, [true, true]);
    applied(&mut index, shipped);
    check(&index, [true, false]);
    applied(&mut index, shipped);
    let mut anew = Index::new(MemoryPairs::default());
    applied(&mut anew, &other);
    check(&anew, [false, true]);

    // As a build wrote it that did not know of this.
    let before = AppliedRow { size: 2, recorded_ms: 7, law: Vec::new() };
    let mut pairs = index.into_pairs();
    pairs.apply(&[put(b"a".to_vec(), &before)]).expect("applied");
    check(&Index::new(pairs), [false, false]);
}
