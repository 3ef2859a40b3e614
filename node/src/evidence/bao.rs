//! Verified groups of an object: written by who holds it, checked by who takes it (SPEC `[T-3]`).
//!
//! Both sides check against the root: the giver before it sends, so that its own bad disk never makes
//! a liar of it, the taker before it keeps anything.

use std::io::{self, Read, Write};

use bao_tree::{
    BaoTree, BlockSize, ChunkNum, ChunkRanges, TreeNode,
    io::{
        BaoContentItem, DecodeError, EncodeError, Parent,
        outboard::PostOrderOutboard,
        sync::{DecodeResponseIter, ReadAt, encode_ranges_validated},
    },
};
use comity_core::{ids::Digest, object::GROUP};

use super::vault::StoredObject;

/// 16 chunks of 1 KiB make a group.
const BLOCK: BlockSize = BlockSize::from_chunk_log(4);
const CHUNKS_PER_GROUP: u64 = 16;

/// Groups of an object of this size.
pub(super) const fn groups(size: u64) -> u64 {
    size.div_ceil(GROUP as u64)
}

fn ranges(first: u64) -> ChunkRanges {
    ChunkRanges::from(ChunkNum(first.saturating_mul(CHUNKS_PER_GROUP))..)
}

/// Why verified groups did not come through.
#[derive(Debug)]
pub(super) enum GroupFault {
    /// A group or node is not of the tree under this root.
    Wrong {
        /// The first byte that is not proved.
        offset: u64,
    },
    /// The stream or the disk failed.
    Io(io::Error),
}

impl From<io::Error> for GroupFault {
    fn from(fault: io::Error) -> Self {
        Self::Io(fault)
    }
}

struct Body<'a>(&'a StoredObject);

impl ReadAt for Body<'_> {
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(at, buffer)
    }
}

struct Hashes<'a>(&'a StoredObject);

impl ReadAt for Hashes<'_> {
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.outboard_read_at(at, buffer)
    }
}

/// Writes the groups from `first` on, each checked before it is written.
///
/// # Errors
/// [`GroupFault::Wrong`] when what rests here is not what the root says.
pub(super) fn write_groups(object: &StoredObject, first: u64, to: impl Write) -> Result<(), GroupFault> {
    let tree = BaoTree::new(object.size(), BLOCK);
    let root = bao_tree::blake3::Hash::from_bytes(*object.root().as_bytes());
    let hashes = PostOrderOutboard { root, tree, data: Hashes(object) };
    encode_ranges_validated(Body(object), hashes, &ranges(first), to).map_err(|fault| match fault {
        EncodeError::LeafHashMismatch(chunk) => GroupFault::Wrong { offset: chunk.to_bytes() },
        EncodeError::ParentHashMismatch(node) => GroupFault::Wrong { offset: node.chunk_range().start.to_bytes() },
        EncodeError::Io(fault) => GroupFault::Io(fault),
        EncodeError::ParentWrite(_) | EncodeError::LeafWrite(_) => {
            GroupFault::Io(io::Error::from(io::ErrorKind::ConnectionReset))
        }
        EncodeError::SizeMismatch => GroupFault::Wrong { offset: 0 },
    })
}

/// Reads the groups from `first` on and gives each, with its hash, to `take` once it is proved.
///
/// # Errors
/// [`GroupFault::Wrong`] at the first that is not under the root; whatever `take` says.
pub(super) fn read_groups<E: From<GroupFault>>(
    root: &Digest,
    size: u64,
    first: u64,
    from: impl Read,
    mut take: impl FnMut(&[u8], &Digest) -> Result<(), E>,
) -> Result<(), E> {
    let wanted = ranges(first);
    // What is still to come, the next on top: the decoder holds the same and does not show it.
    let mut hashes = vec![*root];
    let root = bao_tree::blake3::Hash::from_bytes(*root.as_bytes());
    for item in DecodeResponseIter::new(root, BaoTree::new(size, BLOCK), from, &wanted) {
        let item = item.map_err(unproved)?;
        let hash = hashes.pop().ok_or(GroupFault::Wrong { offset: size })?;
        match item {
            BaoContentItem::Leaf(leaf) => take(&leaf.data, &hash)?,
            BaoContentItem::Parent(Parent { node, pair: (left, right) }) => {
                hashes.push(Digest::new(*right.as_bytes()));
                if first.saturating_mul(CHUNKS_PER_GROUP) < middle(node) {
                    hashes.push(Digest::new(*left.as_bytes()));
                }
            }
        }
    }
    Ok(())
}

/// The chunk the right half of what a node covers begins with.
fn middle(node: TreeNode) -> u64 {
    let covered = node.chunk_range();
    covered.start.0.midpoint(covered.end.0)
}

fn unproved(fault: DecodeError) -> GroupFault {
    match fault {
        DecodeError::LeafHashMismatch(chunk) => GroupFault::Wrong { offset: chunk.to_bytes() },
        DecodeError::ParentHashMismatch(node) => GroupFault::Wrong { offset: node.chunk_range().start.to_bytes() },
        DecodeError::ParentNotFound(_) | DecodeError::LeafNotFound(_) => {
            GroupFault::Io(io::Error::from(io::ErrorKind::UnexpectedEof))
        }
        DecodeError::Io(fault) => GroupFault::Io(fault),
    }
}

#[cfg(test)]
mod tests {
    use comity_core::object::{GROUP, TreeBuilder};

    use super::*;

    /// An object, its root, and what a giver sends of it from a group on.
    fn sent(len: usize, first: u64) -> (Vec<u8>, Digest, Vec<u8>) {
        let object: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
        let (mut tree, mut hashes) = (TreeBuilder::default(), Vec::new());
        tree.update(&object, &mut hashes);
        let root = tree.finish(&mut hashes);
        let known = bao_tree::blake3::Hash::from_bytes(*root.as_bytes());
        let outboard = PostOrderOutboard { root: known, tree: BaoTree::new(len as u64, BLOCK), data: &hashes[..] };
        let mut stream = Vec::new();
        encode_ranges_validated(&object[..], outboard, &ranges(first), &mut stream).expect("encoded");
        (object, root, stream)
    }

    fn read(root: &Digest, len: usize, first: u64, stream: &[u8]) -> (Vec<u8>, Result<(), GroupFault>) {
        let mut kept = Vec::new();
        let read = read_groups(root, len as u64, first, stream, |group, hash| {
            assert_eq!(*hash, hash_of(len, first + (kept.len() / GROUP) as u64, group));
            kept.extend_from_slice(group);
            Ok::<(), GroupFault>(())
        });
        (kept, read)
    }

    /// The chaining value of a group, or the root where it is the only one.
    fn hash_of(len: usize, number: u64, group: &[u8]) -> Digest {
        use bao_tree::blake3::{Hasher, hazmat::HasherExt as _};
        let mut hasher = Hasher::new();
        hasher.set_input_offset(number * GROUP as u64).update(group);
        let hash = if len <= GROUP { *hasher.finalize().as_bytes() } else { hasher.finalize_non_root() };
        Digest::new(hash)
    }

    /// SPEC `[T-3]`.
    #[test]
    fn groups_come_through_from_any_one_on() {
        for len in [1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 5 * GROUP + 7, 8 * GROUP, 11 * GROUP] {
            for first in 0..groups(len as u64) {
                let (object, root, stream) = sent(len, first);
                let (kept, read) = read(&root, len, first, &stream);
                assert!(read.is_ok(), "{len} {first}");
                assert_eq!(kept, object[usize::try_from(first).expect("small") * GROUP..], "{len} {first}");
            }
        }
    }

    /// SPEC `[T-3]`: nothing that is not proved is ever kept, wherever the wrong byte is.
    #[test]
    fn a_wrong_byte_is_noticed_before_its_group_is_kept() {
        let len = 3 * GROUP + 100;
        let (object, root, stream) = sent(len, 0);
        for at in (0..stream.len()).step_by(997).chain([0, 63, 64, stream.len() - 1]) {
            let mut changed = stream.clone();
            changed[at] ^= 1;
            let (kept, read) = read(&root, len, 0, &changed);
            let Err(GroupFault::Wrong { offset }) = read else { panic!("{at}: {read:?}") };
            assert!(object.starts_with(&kept) && kept.len() as u64 <= offset + GROUP as u64, "{at}");
        }
        let (_, torn) = read(&root, len, 0, &stream[..stream.len() - 1]);
        assert!(matches!(torn, Err(GroupFault::Io(_))), "{torn:?}");
        let (_, other) = read(&Digest::new([1; 32]), len, 0, &stream);
        assert!(matches!(other, Err(GroupFault::Wrong { offset: 0 })), "{other:?}");
    }
}
