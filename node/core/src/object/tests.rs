use bao_tree::{BlockSize, io::outboard::PostOrderMemOutboard};
use proptest::prelude::*;

use super::*;

pub(crate) const ITEM: ItemId = ItemId::new([7; 16]);

pub(crate) fn key(byte: u8) -> ItemKey {
    ItemKey::new([byte; 32])
}

/// The object of some plaintext.
pub(crate) fn sealed(item: ItemId, key: &ItemKey, plain: &[u8]) -> Vec<u8> {
    let mut object = header(&item, key).to_vec();
    let mut sealer = Sealer::new(item, key);
    let count = chunks(plain.len() as u64);
    for index in 0..count {
        let from = usize::try_from(index).expect("small") * CHUNK;
        let mut chunk = plain[from..plain.len().min(from + CHUNK)].to_vec();
        sealer.seal(&mut chunk, index + 1 == count);
        object.extend_from_slice(&chunk);
    }
    object
}

/// The plaintext of an object.
pub(crate) fn opened(item: ItemId, key: &ItemKey, object: &[u8]) -> Result<Vec<u8>, ObjectFault> {
    let size = object.len() as u64;
    let head = object.first_chunk::<HEADER>().ok_or(ObjectFault::Size(size))?;
    let opener = Opener::new(head, size, item, key)?;
    let mut plain = Vec::new();
    for (index, chunk) in (0..).zip(object[HEADER..].chunks(CHUNK + TAG)) {
        plain.extend_from_slice(opener.open(index, &mut chunk.to_vec())?);
    }
    Ok(plain)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 31 % 251).expect("below 251")).collect()
}

/// SPEC `[V-1]`, `[V-2]`.
#[test]
fn what_is_sealed_opens_and_has_the_size_it_says() {
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5] {
        let object = sealed(ITEM, &key(1), &bytes(len));
        assert_eq!(object_size(len as u64), Some(object.len() as u64), "{len}");
        assert_eq!(plain_size(object.len() as u64), Ok(len as u64), "{len}");
        assert_eq!(opened(ITEM, &key(1), &object), Ok(bytes(len)), "{len}");
    }
}

#[test]
fn sizes_that_no_object_has_are_refused() {
    let full = object_size(CHUNK as u64).expect("small");
    for size in [0, 63, 64, 79, full + 1, full + 16] {
        assert_eq!(plain_size(size), Err(ObjectFault::Size(size)), "{size}");
    }
    assert_eq!(plain_size(80), Ok(0));
    assert_eq!(plain_size(full + 17), Ok(CHUNK as u64 + 1));
    let ten_tib = 10 << 40;
    assert_eq!(object_size(ten_tib).map(plain_size), Some(Ok(ten_tib)));
    assert_eq!(object_size(u64::MAX), None);
    assert!(plain_size(u64::MAX).is_err() || object_size(plain_size(u64::MAX).unwrap()) == Some(u64::MAX));
}

/// SPEC `[V-2]`.
#[test]
fn nothing_is_cut_moved_added_or_exchanged() {
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: ObjectFault| {
        let mut object = sealed(ITEM, &key(1), &bytes(2 * CHUNK + 9));
        change(&mut object);
        assert_eq!(opened(ITEM, &key(1), &object), Err(expected));
    };
    let chunk = CHUNK + TAG;
    let second = chunk_offset(1);
    check(&|object| object[0] ^= 1, ObjectFault::Header);
    check(&|object| object[9] ^= 1, ObjectFault::Header);
    check(&|object| object[20] ^= 1, ObjectFault::OtherItem);
    check(&|object| object[40] ^= 1, ObjectFault::WrongKey);
    check(&|object| object[HEADER] ^= 1, ObjectFault::Chunk { offset: 64 });
    check(&|object| object.truncate(HEADER + 2 * chunk), ObjectFault::Chunk { offset: second });
    check(&|object| object.truncate(HEADER + chunk), ObjectFault::Chunk { offset: 64 });
    check(&|object| object.push(0), ObjectFault::Chunk { offset: chunk_offset(2) });
    let swap = |object: &mut Vec<u8>| {
        let (first, rest) = object[HEADER..].split_at_mut(chunk);
        first.swap_with_slice(&mut rest[..chunk]);
    };
    check(&swap, ObjectFault::Chunk { offset: 64 });
    let object = sealed(ITEM, &key(1), b"x");
    assert_eq!(opened(ITEM, &key(2), &object), Err(ObjectFault::WrongKey));
    assert_eq!(opened(ItemId::new([8; 16]), &key(1), &object), Err(ObjectFault::OtherItem));
    let mut other = sealed(ItemId::new([8; 16]), &key(1), b"x");
    other[..HEADER].copy_from_slice(&object[..HEADER]);
    assert_eq!(opened(ITEM, &key(1), &other), Err(ObjectFault::Chunk { offset: 64 }));
}

fn check_tree(len: usize, piece: usize) {
    let data = bytes(len);
    let (mut tree, mut outboard) = (TreeBuilder::default(), Vec::new());
    data.chunks(piece).for_each(|piece| tree.update(piece, &mut outboard));
    let root = tree.finish(&mut outboard);
    assert_eq!(root.as_bytes(), blake3::hash(&data).as_bytes(), "{len}");
    assert_eq!(outboard.len() as u64, outboard_size(len as u64), "{len}");
    let other = PostOrderMemOutboard::create(&data, BlockSize::from_chunk_log(4));
    assert_eq!(outboard, other.data, "{len}");
    // Whoever proved a group has its hash; the rest of the one another stopped in has none.
    for stopped in [0, piece.min(len)] {
        let (mut tree, mut same) = (TreeBuilder::default(), Vec::new());
        tree.update(&data[..stopped], &mut same);
        let rest = stopped.next_multiple_of(GROUP).min(len);
        tree.update(&data[stopped..rest], &mut same);
        let groups = data[rest..].chunks(GROUP).zip(rest / GROUP..);
        groups.for_each(|(group, number)| tree.update_proved(group, &hash_of(len, number, group), &mut same));
        assert_eq!((tree.finish(&mut same), &same), (root, &outboard), "{len} from {stopped}");
    }
}

fn hash_of(len: usize, number: usize, group: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset((number * GROUP) as u64).update(group);
    Digest::new(if len <= GROUP { *hasher.finalize().as_bytes() } else { hasher.finalize_non_root() })
}

/// SPEC `[V-3]`: against an implementation that is not ours.
#[test]
fn the_tree_is_the_one_everybody_makes() {
    for groups in 0..18 {
        for rest in [0, 1, 1023, 1024, 1025, GROUP - 1] {
            check_tree(groups * GROUP + rest, 10_000);
        }
    }
    check_tree(3 * GROUP + 7, 1);
    check_tree(100 * GROUP + 7, GROUP);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_size_in_any_pieces(len in 0usize..600_000, piece in 1usize..70_000) {
        check_tree(len, piece);
    }

    /// Every changed bit is noticed.
    #[test]
    fn no_changed_bit_opens(len in 0usize..200_000, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut object = sealed(ITEM, &key(1), &bytes(len));
        let at = at.index(object.len());
        object[at] ^= 1 << bit;
        prop_assert!(opened(ITEM, &key(1), &object).is_err());
    }
}
