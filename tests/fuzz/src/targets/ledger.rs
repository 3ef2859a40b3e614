//! Proofs, checkpoints and the tree, as peers send them.

use comity_core::{
    crypto::{PublicKey, sha256},
    ids::{Digest, LedgerIndex, Origin},
    ledger::{
        Context, Fork, LeafEntry, PATH_MAX, RecordProof, Resource, Salt, TILE_WIDTH, Tile, Tree, VerifiedCheckpoint,
        bundle_bytes, bundle_entries, checkpoint::parse_unverified, leaf_entry, leaf_hash, verify_consistency,
        verify_inclusion,
    },
    proto::{self, RecordKind},
    wire::{PROOF_MAX, strict},
};

use super::{
    Reader,
    known::{digest, keys, material},
};

fn origin() -> Origin {
    Origin::parse("xa.test.comity.test/ledger/1").expect("an origin")
}

fn checkpoint_keys() -> [&'static PublicKey; 2] {
    keys("XA").roles.checkpoint.public()
}

/// A signed note: what reads says what its text says, and counts only under both known signatures.
pub(crate) fn checkpoint(data: &[u8]) {
    let read = parse_unverified(data);
    if let Ok(read) = &read {
        assert!(read.size > 0);
        assert!(
            data.starts_with(format!("{}\n", read.text()).as_bytes()),
            "the text is the one written for what it says"
        );
    }
    let Ok(verified) = VerifiedCheckpoint::verify(data, &origin(), checkpoint_keys()) else { return };
    assert_eq!(read.as_ref(), Ok(verified.checkpoint()));
    assert_eq!(verified.note(), data);
    let size = verified.checkpoint().size;
    assert!(matches!(size, 5 | 7), "no other size was signed: {size}");
    assert_eq!(verified.signed().0 % 1000, 0);
}

/// What is read of a ledger that others publish: paths, bundles, proofs and forks as files. Each has one form.
pub(crate) fn published(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(resource) = Resource::parse(&text) {
        assert_eq!(resource.to_string(), text, "a path has one form");
    }
    for width in [1, 2, TILE_WIDTH] {
        if let Ok(entries) = bundle_entries(data, width) {
            assert_eq!(bundle_bytes(&entries), data, "a bundle has one form");
        }
        if let Ok(tile) = Tile::from_bytes(data, width) {
            assert_eq!(tile.to_bytes(width), data);
        }
    }
    if let Ok(proof) = RecordProof::from_text(&text, &Digest::new([1; 32])) {
        assert_eq!(RecordProof::from_text(&proof.to_text(), &Digest::new([1; 32])), Ok(proof));
    }
    if let Ok((fork, documents)) = Fork::parse(data) {
        assert_eq!(fork.to_file(documents), data, "a fork has one form");
        assert!(fork.verify(checkpoint_keys()).is_err(), "this ledger never forked");
    }
}

/// A proof of a record, a context, a stored leaf: one encoding each, and no proof but the known one holds.
pub(crate) fn proof(data: &[u8]) {
    if let Ok(context) = Context::from_bytes(data) {
        assert_eq!(context.to_bytes(), data, "a context has one encoding");
    }
    if let Ok(leaf) = LeafEntry::from_slice(data) {
        assert_eq!(leaf.as_bytes()[..], *data);
    }
    let Ok(proof) = RecordProof::parse(data) else { return };
    let wire: proto::RecordProof = strict(data, PROOF_MAX).expect("a proof is read strictly");
    let path: Vec<Digest> = wire.path.iter().map(|node| Digest::from_slice(node).expect("checked")).collect();
    assert!(path.len() <= PATH_MAX);
    let salt = Salt(wire.salt[..].try_into().expect("checked"));
    let again =
        RecordProof::build(proof.record_id(), &wire.context, &salt, LedgerIndex(wire.index), &path, proof.note());
    assert_eq!(again, data, "a proof has one encoding");
    let Ok(verified) = VerifiedCheckpoint::verify(proof.note(), &origin(), checkpoint_keys()) else { return };
    for kind in [RecordKind::EventSent, RecordKind::EventReceived] {
        let Ok(proven) = proof.verify(proof.record_id(), kind, &verified) else { continue };
        assert_eq!((data, kind), (material("proof"), RecordKind::EventSent), "nothing else was proved");
        assert_eq!((proven.context(), proven.index().0), (proof.context(), wire.index));
    }
}

/// A tree of leaves from the input: its own proofs hold, and no changed or foreign one does.
pub(crate) fn tree(data: &[u8]) {
    let mut input = Reader(data);
    foreign(&mut Reader(input.piece()));
    let (index, from, to) = (input.u16(), input.u16(), input.u16());
    let change = input.byte();
    let mut tree = Tree::new();
    let mut leaves = Vec::new();
    // One leaf for each byte, and a few are enough to have every shape of path.
    for byte in input.0.iter().take(300) {
        leaves.push(leaf_hash(&leaf_entry(&Salt([*byte; 32]), &digest("event-id"), b"")));
        tree.push(leaves[leaves.len() - 1]);
    }
    let to = u64::from(to) % (tree.size() + 2);
    let from = u64::from(from) % (to + 2);
    let index = LedgerIndex(u64::from(index) % (to + 2));
    let Ok(root) = tree.root_at(to) else {
        assert!(to > tree.size() && tree.inclusion(index, to).is_err() && tree.consistency(from, to).is_err());
        return;
    };
    match tree.inclusion(index, to) {
        Err(_) => assert!(index.0 >= to),
        Ok(path) => {
            let leaf = &leaves[usize::try_from(index.0).expect("few")];
            assert_eq!(verify_inclusion(leaf, index, to, &path, &root), Ok(()));
            let wrong = changed(&path, change);
            assert!(wrong == path || verify_inclusion(leaf, index, to, &wrong, &root).is_err());
        }
    }
    match tree.consistency(from, to) {
        Err(_) => assert!(from > to),
        Ok(path) => {
            let before = tree.root_at(from).expect("an earlier size");
            assert_eq!(verify_consistency(from, &before, to, &root, &path), Ok(()));
            let wrong = changed(&path, change);
            assert!(wrong == path || verify_consistency(from, &before, to, &root, &wrong).is_err());
        }
    }
}

/// A path one node of which is another, is missing, or stands twice.
fn changed(path: &[Digest], change: u8) -> Vec<Digest> {
    let mut path = path.to_vec();
    let place = usize::from(change >> 2) % (path.len() + 1);
    match change & 3 {
        0 => path.insert(place, sha256(&[&[change]])),
        1 if place < path.len() => path[place] = sha256(&[path[place].as_bytes()]),
        2 if place < path.len() => drop(path.remove(place)),
        _ => {}
    }
    path
}

/// Paths, sizes and places as a stranger may state them: nothing is proved, and nothing goes on for long.
fn foreign(input: &mut Reader<'_>) {
    let (one, other, root) = (input.u64(), input.u64(), Digest::new(input.array()));
    let mut path = Vec::new();
    while !input.is_empty() {
        path.push(Digest::new(input.array()));
    }
    let leaf = digest("event-id");
    if verify_inclusion(&leaf, LedgerIndex(one), other, &path, &root).is_ok() {
        assert!(other > one && (!path.is_empty() || root == leaf), "a root nobody can know");
    }
    if verify_consistency(one, &leaf, other, &root, &path).is_ok() {
        assert!(one <= other && (one != other || root == leaf));
    }
}
