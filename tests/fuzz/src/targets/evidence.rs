//! Evidence: manifests, custody statements, sealed objects.

use comity_core::{
    ids::ItemId,
    manifest::{ITEM_BYTES_MAX, ITEMS_MAX, Manifest, Statement},
    object::{
        self, CHUNK, HEADER, ItemKey, Opener, SEALED_CHUNK, TAG, TreeBuilder, chunk_offset, chunks, object_size,
        outboard_size, plain_size, seal_chunk,
    },
};

use super::Reader;

/// A manifest or statement that reads is written again to the same bytes, and leads nowhere but down.
pub(crate) fn manifest(data: &[u8]) {
    if let Ok(statement) = Statement::from_wire(data) {
        assert_eq!(statement.to_wire(), data, "a statement has one encoding");
    }
    let Ok(manifest) = Manifest::from_wire(data) else { return };
    assert_eq!(manifest.to_wire(), data, "a manifest has one encoding");
    let entries = manifest.items.len() + manifest.unsealed.len();
    assert!((1..=ITEMS_MAX).contains(&entries));
    assert!(manifest.bytes() >= manifest.items.iter().map(|item| item.size).max().unwrap_or(0));
    assert!(manifest.items.iter().all(|item| item.size <= ITEM_BYTES_MAX));
    let paths = manifest.items.iter().map(|item| &item.path).chain(manifest.unsealed.iter().map(|entry| &entry.path));
    let paths: Vec<_> = paths.collect();
    for (place, one) in paths.iter().enumerate() {
        let clash = paths.iter().skip(place + 1).find(|other| one.holds(other) || other.holds(one));
        assert!(clash.is_none(), "{one} and {clash:?} have room beside each other");
    }
}

/// A sealed object: sizes of any number, foreign headers and chunks, and what was sealed here in any pieces.
pub(crate) fn object(data: &[u8]) {
    let mut input = Reader(data);
    let (size, index) = (input.u64(), input.u64());
    sizes(size);
    let item = ItemId::new([input.byte(); 16]);
    let key = ItemKey::new([7; 32]);
    let mut header: [u8; HEADER] = input.array();
    if header[0] & 1 == 0 {
        let at = usize::from(header[1]) % HEADER;
        let flip = header[2];
        header = object::header(&item, &key);
        header[at] ^= flip;
    }
    let good = header == object::header(&item, &key);
    match Opener::new(&header, size, item, &key) {
        Err(_) => assert!(!good || plain_size(size).is_err()),
        Ok(opener) => {
            assert!(good && opener.chunks() == chunks(plain_size(size).expect("checked")));
            chunk(&opener, index % opener.chunks(), &item, &key, input.0);
        }
    }
    tree(data);
}

fn sizes(any: u64) {
    if let Ok(plain) = plain_size(any) {
        assert_eq!(object_size(plain), Some(any));
        assert!(chunk_offset(chunks(plain) - 1) < any, "the last chunk begins within the object");
        assert!(any - chunk_offset(chunks(plain) - 1) <= SEALED_CHUNK);
    }
    if let Some(object) = object_size(any) {
        assert_eq!(plain_size(object), Ok(any));
    }
    assert!(outboard_size(any) <= any / 128, "hashes are a small part");
}

/// Foreign bytes open nowhere; what was sealed opens at its place and nowhere else, and in no changed bit.
fn chunk(opener: &Opener, index: u64, item: &ItemId, key: &ItemKey, plain: &[u8]) {
    let mut foreign = plain.to_vec();
    assert!(opener.open(index, &mut foreign).is_err(), "nothing was sealed there");
    let plain = &plain[..plain.len().min(CHUNK)];
    let last = index + 1 == opener.chunks();
    let full = [plain, &vec![0; CHUNK - plain.len()]].concat();
    let sealed = seal_chunk(item, key, index, last, if last { plain } else { &full });
    let mut whole = sealed.clone();
    let opened = opener.open(index, &mut whole).expect("what was sealed opens");
    assert!(opened.starts_with(plain));
    let mut flipped = sealed.clone();
    let at = plain.first().map_or(0, |byte| usize::from(*byte) % sealed.len());
    flipped[at] ^= 1;
    assert!(opener.open(index, &mut flipped).is_err());
    if opener.chunks() > 1 {
        assert!(opener.open((index + 1) % opener.chunks(), &mut sealed.clone()).is_err(), "a chunk opens at its place");
    }
    assert!(opener.open(index, &mut sealed[..TAG - 1].to_vec()).is_err());
}

/// The root of bytes does not depend on the pieces they come in, and is that of BLAKE3.
fn tree(data: &[u8]) {
    let mut input = Reader(data);
    let repeat = usize::from(input.byte() % 5);
    let step = usize::from(input.u16()) + 1;
    let bytes = input.0.repeat(1 + repeat * 40);
    let (mut whole, mut pieces) = (TreeBuilder::default(), TreeBuilder::default());
    let (mut hashes, mut same) = (Vec::new(), Vec::new());
    whole.update(&bytes, &mut hashes);
    bytes.chunks(step).for_each(|piece| pieces.update(piece, &mut same));
    let root = whole.finish(&mut hashes);
    assert_eq!((root, &hashes), (pieces.finish(&mut same), &same));
    assert_eq!(hashes.len() as u64, outboard_size(bytes.len() as u64));
}
