//! The tree beside another implementation, and its edge beside the whole.

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

type Oracle = MemoryBackedTree<Sha256, Vec<u8>>;

/// Sizes to this one cover every shape of the upper levels: past 64 a seventh begins.
const SIZES: u64 = 70;

fn leaf(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

fn hash(leaf: &[u8]) -> Digest {
    sha256(&[&[0], leaf])
}

fn tree(size: u64) -> Tree {
    let mut tree = Tree::new();
    for n in 0..size {
        assert_eq!(tree.push(hash(&leaf(n))), LedgerIndex(n));
    }
    tree
}

fn oracle(size: u64) -> Oracle {
    let mut oracle = Oracle::new();
    (0..size).for_each(|n| oracle.push(leaf(n)));
    oracle
}

fn bytes(path: &[Digest]) -> Vec<u8> {
    path.iter().flat_map(|node| *node.as_bytes()).collect()
}

fn at(n: u64) -> usize {
    usize::try_from(n).expect("small")
}

#[test]
fn roots_are_the_published_ones() {
    // The leaves and roots of the Certificate Transparency reference trees.
    let leaves: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    let mut tree = Tree::new();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(tree.root().to_string(), empty);
    for one in leaves {
        tree.push(hash(one));
    }
    let check = |size, root: &str| assert_eq!(tree.root_at(size).expect("held").to_string(), root, "{size}");
    check(0, empty);
    check(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    check(2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    check(3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
    check(8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

#[test]
fn every_inclusion_path_is_what_another_implementation_makes_and_accepts() {
    let tree = tree(SIZES);
    for size in 1..=SIZES {
        let oracle = oracle(size);
        let root = tree.root_at(size).expect("held");
        assert_eq!(oracle.root().as_bytes()[..], root.as_bytes()[..], "{size}");
        for n in 0..size {
            let path = tree.inclusion(LedgerIndex(n), size).expect("path");
            assert_eq!(oracle.prove_inclusion(at(n)).as_bytes(), bytes(&path), "{n} in {size}");
            let ours = InclusionProof::<Sha256>::from_bytes(bytes(&path));
            RootHash::<Sha256>::new((*root.as_bytes()).into(), size)
                .verify_inclusion(&leaf(n), n, &ours)
                .expect("accepted elsewhere");
            assert_eq!(verify_inclusion(&hash(&leaf(n)), LedgerIndex(n), size, &path, &root), Ok(()));
        }
    }
}

#[test]
fn every_consistency_path_is_what_another_implementation_makes_and_accepts() {
    let tree = tree(SIZES);
    for to in 1..=SIZES {
        let oracle = oracle(to);
        let new = tree.root_at(to).expect("held");
        for from in 1..=to {
            let old = tree.root_at(from).expect("held");
            let path = tree.consistency(from, to).expect("path");
            assert_eq!(oracle.prove_consistency(at(to - from)).as_bytes(), bytes(&path), "{from} to {to}");
            let ours = ConsistencyProof::<Sha256>::try_from_bytes(bytes(&path)).expect("digests");
            RootHash::<Sha256>::new((*new.as_bytes()).into(), to)
                .verify_consistency(&RootHash::new((*old.as_bytes()).into(), from), &ours)
                .expect("accepted elsewhere");
            assert_eq!(verify_consistency(from, &old, to, &new, &path), Ok(()), "{from} to {to}");
        }
    }
}

/// Three rows of tiles are not reached by tests of every pair; these sizes are walked by themselves.
#[test]
fn every_size_to_a_thousand_is_proved_as_another_implementation_does() {
    let mut oracle = Oracle::new();
    let mut tree = Tree::new();
    for size in 1..=1000 {
        oracle.push(leaf(size - 1));
        tree.push(hash(&leaf(size - 1)));
        let root = tree.root();
        assert_eq!(oracle.root().as_bytes()[..], root.as_bytes()[..], "{size}");
        for n in [0, size / 3, size / 2, size * 7 / 11, size - 1] {
            let path = tree.inclusion(LedgerIndex(n), size).expect("path");
            assert_eq!(oracle.prove_inclusion(at(n)).as_bytes(), bytes(&path), "{n} in {size}");
            assert_eq!(verify_inclusion(&hash(&leaf(n)), LedgerIndex(n), size, &path, &root), Ok(()));
        }
        for from in [1, size / 3, size / 2, size.next_power_of_two() / 2, size - 1, size] {
            let Some(from) = Some(from).filter(|from| *from > 0) else { continue };
            let path = tree.consistency(from, size).expect("path");
            assert_eq!(oracle.prove_consistency(at(size - from)).as_bytes(), bytes(&path), "{from} to {size}");
            let older = tree.root_at(from).expect("held");
            assert_eq!(verify_consistency(from, &older, size, &root, &path), Ok(()), "{from} to {size}");
        }
    }
}

/// One tree that grows, asked at sizes nobody chose: 20,000 leaves, or `COMITY_TREE_LEAVES`, as the full run sets it
/// to ten million.
#[test]
fn random_sizes_are_proved_as_another_implementation_does() {
    let leaves = std::env::var("COMITY_TREE_LEAVES").map_or(20_000, |text| text.parse().expect("a number"));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut sizes: Vec<u64> = (0..24).map(|_| 1 + random(leaves)).chain([leaves]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let (mut tree, mut oracle, mut roots) = (Tree::new(), Oracle::new(), Vec::new());
    for size in sizes {
        for n in tree.size()..size {
            oracle.push(leaf(n));
            tree.push(hash(&leaf(n)));
        }
        let root = tree.root();
        assert_eq!(oracle.root().as_bytes()[..], root.as_bytes()[..], "{size}");
        for n in (0..20).map(|_| random(size)) {
            let path = tree.inclusion(LedgerIndex(n), size).expect("path");
            assert_eq!(oracle.prove_inclusion(at(n)).as_bytes(), bytes(&path), "{n} in {size}");
            assert_eq!(verify_inclusion(&hash(&leaf(n)), LedgerIndex(n), size, &path, &root), Ok(()));
        }
        for (from, older) in &roots {
            let path = tree.consistency(*from, size).expect("path");
            assert_eq!(oracle.prove_consistency(at(size - from)).as_bytes(), bytes(&path), "{from} to {size}");
            assert_eq!(verify_consistency(*from, older, size, &root, &path), Ok(()));
            assert_eq!(tree.root_at(*from), Ok(*older));
        }
        roots.push((size, root));
    }
}

#[test]
fn an_edge_is_known_by_its_growing_tiles() {
    for size in [0, 1, 255, 256, 257, 600, 65_536, 65_793] {
        let tree = tree(size);
        let growing = |row| {
            let id = tree.edge.growing(usize::from(row));
            let width = id.width_in(size);
            let bytes = if width == 0 { Ok(vec![]) } else { tree.tile_bytes(id, width) };
            Tile::from_bytes(&bytes.expect("held"), width).expect("reads")
        };
        let rows = (0..8_u8).take_while(|row| TileId { row: *row, number: 0 }.width_in(size) > 0);
        let rows: Vec<Tile> = rows.map(growing).collect();
        let edge = Edge::of_tiles(size, rows.clone()).expect("fits");
        assert_eq!((edge.root(), edge.size()), (tree.root(), size));
        let bytes = edge.to_bytes();
        let again = Edge::from_bytes(size, &bytes).expect("reads");
        assert_eq!((again.root(), again.to_bytes()), (tree.root(), bytes.clone()));
        assert!(Edge::from_bytes(size + 1, &bytes).is_err(), "{size}");
        assert!(Edge::from_bytes(size, &[&bytes[..], &[0]].concat()).is_err(), "{size}");
        assert!(size == 0 || Edge::from_bytes(size, &bytes[1..]).is_err(), "{size}");
        assert!(Edge::of_tiles(size + 1, rows.clone()).is_err(), "{size}");
        assert!(size == 0 || Edge::of_tiles(size, rows[..rows.len() - 1].to_vec()).is_err(), "{size}");
    }
}

#[test]
fn a_tile_is_given_as_wide_as_it_was() {
    let tree = tree(600);
    let tile = |row, number, width| tree.tile_bytes(TileId { row, number }, width);
    let leaves: Vec<u8> = (256..512).flat_map(|n| *hash(&leaf(n)).as_bytes()).collect();
    assert_eq!(tile(0, 1, 256), Ok(leaves.clone()));
    assert_eq!(tile(0, 1, 7), Ok(leaves[..224].to_vec()));
    assert_eq!(tile(0, 2, 88).map(|bytes| bytes.len()), Ok(88 * 32));
    assert_eq!(tile(1, 0, 1), Ok(tree.root_at(256).expect("held").as_bytes().to_vec()));
    for (row, number, width) in [(0, 2, 89), (0, 3, 1), (1, 0, 3), (1, 0, 0), (2, 0, 1), (60, 0, 1), (0, u64::MAX, 1)] {
        assert_eq!(tile(row, number, width), Err(LedgerFault::BadTile), "{row} {number} {width}");
    }
}

#[test]
fn inclusion_is_refused_for_any_other_leaf_index_length_or_root() {
    let tree = tree(SIZES);
    for size in 1..=SIZES {
        let root = tree.root_at(size).expect("held");
        for n in 0..size {
            let path = tree.inclusion(LedgerIndex(n), size).expect("path");
            let verify = |leaf: &Digest, index, path: &[Digest], root: &Digest| {
                verify_inclusion(leaf, LedgerIndex(index), size, path, root)
            };
            let good = hash(&leaf(n));
            assert_eq!(verify(&root, n, &path, &good).is_ok(), size == 1, "roles swapped");
            assert_eq!(verify(&hash(b"other"), n, &path, &root), Err(LedgerFault::WrongRoot));
            assert_eq!(verify(&good, n, &path, &hash(b"other")), Err(LedgerFault::WrongRoot));
            for other in (0..size + 2).filter(|other| *other != n) {
                assert!(verify(&good, other, &path, &root).is_err(), "{n} as {other} in {size}");
            }
            let longer = [&path[..], &[good]].concat();
            assert_eq!(verify(&good, n, &longer, &root), Err(LedgerFault::PathLength(path.len() + 1)));
            if let Some((_, shorter)) = path.split_last() {
                assert_eq!(verify(&good, n, shorter, &root), Err(LedgerFault::PathLength(shorter.len())));
            }
        }
    }
}

#[test]
fn growth_is_refused_for_any_other_root_or_length() {
    let tree = tree(SIZES);
    let other = hash(b"other");
    for to in 1..=SIZES {
        let new = tree.root_at(to).expect("held");
        for from in 1..to {
            let old = tree.root_at(from).expect("held");
            let path = tree.consistency(from, to).expect("path");
            let verify = |old: &Digest, new: &Digest, path: &[Digest]| verify_consistency(from, old, to, new, path);
            assert!(verify(&other, &new, &path).is_err());
            assert_eq!(verify(&old, &other, &path), Err(LedgerFault::WrongRoot));
            assert!(verify(&new, &old, &path).is_err());
            let longer = [&path[..], &[old]].concat();
            assert_eq!(verify(&old, &new, &longer), Err(LedgerFault::PathLength(longer.len())));
            let shorter = &path[..path.len() - 1];
            assert_eq!(verify(&old, &new, shorter), Err(LedgerFault::PathLength(shorter.len())));
            for n in 0..path.len() {
                let mut forged = path.clone();
                forged[n] = other;
                assert!(verify(&old, &new, &forged).is_err(), "{n} of {from} to {to}");
            }
        }
    }
}

#[test]
fn a_forked_history_does_not_pass_as_growth() {
    let honest = tree(40);
    let mut forked = tree(20);
    for n in 0..20 {
        forked.push(hash(&leaf(n + 1000)));
    }
    let path = forked.consistency(30, 40).expect("path");
    let (old, new) = (honest.root_at(30).expect("held"), forked.root());
    assert_eq!(verify_consistency(30, &old, 40, &new, &path), Err(LedgerFault::WrongOldRoot));
}

#[test]
fn equal_and_empty_trees_need_no_path() {
    let (empty, one, two) = (sha256(&[]), hash(b"one"), hash(b"two"));
    let check = |from, old, to, new, path: &[Digest], expected| {
        assert_eq!(verify_consistency(from, &old, to, &new, path), expected, "{from} to {to}");
    };
    check(5, one, 5, one, &[], Ok(()));
    check(5, one, 5, two, &[], Err(LedgerFault::WrongRoot));
    check(5, one, 5, one, &[two], Err(LedgerFault::PathLength(1)));
    check(0, empty, 5, one, &[], Ok(()));
    check(0, empty, 0, empty, &[], Ok(()));
    check(0, two, 5, one, &[], Err(LedgerFault::WrongOldRoot));
    check(0, empty, 0, one, &[], Err(LedgerFault::WrongRoot));
    check(0, empty, 5, one, &[two], Err(LedgerFault::PathLength(1)));
    check(6, one, 5, two, &[], Err(LedgerFault::Shrinks { from: 6, to: 5 }));
    check(4, one, 5, two, &[], Err(LedgerFault::PathLength(0)));
    assert_eq!(tree(5).consistency(0, 5), Ok(vec![]));
    assert_eq!(tree(5).consistency(5, 5), Ok(vec![]));
}

#[test]
fn a_tree_answers_only_within_its_size() {
    let tree = tree(5);
    let beyond = |size| LedgerFault::SizeBeyondTree { size, held: 5 };
    assert_eq!(tree.root_at(6), Err(beyond(6)));
    assert_eq!(tree.inclusion(LedgerIndex(0), u64::MAX), Err(beyond(u64::MAX)));
    assert_eq!(tree.inclusion(LedgerIndex(5), 5), Err(LedgerFault::IndexBeyondSize { index: 5, size: 5 }));
    assert_eq!(tree.inclusion(LedgerIndex(0), 0), Err(LedgerFault::IndexBeyondSize { index: 0, size: 0 }));
    assert_eq!(tree.consistency(1, 6), Err(beyond(6)));
    assert_eq!(tree.consistency(4, 3), Err(LedgerFault::Shrinks { from: 4, to: 3 }));
}

#[test]
fn the_largest_sizes_neither_overflow_nor_pass() {
    let one = hash(b"one");
    let inclusion = |index, size, nodes| verify_inclusion(&one, LedgerIndex(index), size, &vec![one; nodes], &one);
    for index in [0, 1, u64::MAX / 2, u64::MAX - 2, u64::MAX - 1] {
        for nodes in 0..=66 {
            assert!(inclusion(index, u64::MAX, nodes).is_err());
        }
    }
    assert_eq!(inclusion(0, u64::MAX, 64), Err(LedgerFault::WrongRoot));
    assert_eq!(inclusion(0, u64::MAX, 65), Err(LedgerFault::PathLength(65)));
    for index in [5, 6, u64::MAX] {
        assert_eq!(inclusion(index, 5, 3), Err(LedgerFault::IndexBeyondSize { index, size: 5 }));
    }
    assert_eq!(inclusion(0, 0, 0), Err(LedgerFault::IndexBeyondSize { index: 0, size: 0 }));
    for from in [1, 2, 3, 1 << 63, (1 << 63) + 1, u64::MAX - 1] {
        for nodes in 0..=66 {
            let path = vec![one; nodes];
            assert!(verify_consistency(from, &one, u64::MAX, &hash(b"two"), &path).is_err());
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_peer_sends_is_judged_without_panic(
        index: u64, from: u64, to: u64, nodes in 0_usize..70, fill: u8,
    ) {
        let (path, one) = (vec![Digest::new([fill; 32]); nodes], hash(b"one"));
        prop_assert!(verify_inclusion(&one, LedgerIndex(index), to, &path, &hash(b"two")).is_err());
        let grown = verify_consistency(from, &one, to, &hash(b"two"), &path);
        prop_assert!(grown.is_err());
    }

    #[test]
    fn one_changed_bit_in_a_path_is_refused(size in 2_u64..400, index: u64, place: usize, bit in 0_u8..8) {
        let (tree, index) = (tree(size), index % size);
        let mut path: Vec<[u8; 32]> =
            tree.inclusion(LedgerIndex(index), size).expect("path").iter().map(|n| *n.as_bytes()).collect();
        let (node, byte) = (place / 32 % path.len(), place % 32);
        path[node][byte] ^= 1 << bit;
        let path: Vec<Digest> = path.into_iter().map(Digest::new).collect();
        let judged = verify_inclusion(&hash(&leaf(index)), LedgerIndex(index), size, &path, &tree.root());
        prop_assert_eq!(judged, Err(LedgerFault::WrongRoot));
    }
}
