//! `object.json`, `manifest.json`: sealed objects and their roots; manifests and custody statements.

use prost::Message as _;

use super::{
    bad, computed, file,
    judge::{Codes, Verdict, out},
    material::{Material, raw},
    shapes::{Case, File, Input},
};
use crate::{
    crypto::sha256,
    ids::{Digest, EventId, ItemId, hex},
    manifest::{
        Manifest, ManifestFault, Statement, manifest_digest,
        tests::{manifest, statement},
    },
    object::{
        CHUNK, HEADER, ItemKey, ObjectFault, Opener, SEALED_CHUNK, Sealer, TreeBuilder, chunk_offset, header,
        plain_size,
    },
    proto::{self, CustodyAct},
};

const ITEM: [u8; 16] = [5; 16];
const KEY: [u8; 32] = [6; 32];

pub(super) fn files(m: &Material) -> Vec<File> {
    vec![
        file("object", "Sealed objects whole, chunks of long ones, roots and hashes.", {
            [sealed(m), opened(m), trees(m)].concat()
        }),
        file("manifest", "Manifests and custody statements, as bytes.", [manifests(m), statements(m)].concat()),
    ]
}

/// Bytes that differ from place to place: byte i is i mod 251.
fn counted(size: u64) -> impl Iterator<Item = u8> {
    (0..size).map(|at| u8::try_from(at % 251).expect("below 251"))
}

fn sealed(m: &Material) -> Vec<Case> {
    let seal = |size| Input::SealObject { item: raw(ITEM), key: raw(KEY), size };
    let sizes = [("nothing", 0), ("one byte", 1), ("a chunk but one", 65_535), ("a chunk", 65_536), ("two", 65_537)];
    let named = sizes.map(|(what, size)| computed(m, &format!("sealed: {what}"), &["V-1", "V-2", "V-3"], seal(size)));
    named.to_vec()
}

fn opened(m: &Material) -> Vec<Case> {
    let object = seal(&ITEM, &KEY, 3).concat();
    let open = |item: [u8; 16], key: [u8; 32], object: &[u8]| Input::OpenObject {
        item: raw(item),
        key: raw(key),
        object: raw(object),
    };
    let flipped = |at: usize| {
        let mut changed = object.clone();
        changed[at] ^= 1;
        changed
    };
    let refused = |name: &str, clause: &str, item, key, object: &[u8], code: &str| {
        bad(name, &[clause], open(item, key, object), code, "")
    };
    vec![
        computed(m, "opened", &["V-1", "V-2"], open(ITEM, KEY, &object)),
        refused("another beginning", "V-1", ITEM, KEY, &flipped(0), "object.bad-header"),
        refused("another version", "V-1", ITEM, KEY, &flipped(8), "object.bad-header"),
        refused("another item's", "V-1", [9; 16], KEY, &object, "object.other-item"),
        refused("under another key", "V-1", ITEM, [7; 32], &object, "object.wrong-key"),
        refused("the commitment changed", "V-1", ITEM, KEY, &flipped(63), "object.wrong-key"),
        refused("a byte of the chunk changed", "V-2", ITEM, KEY, &flipped(64), "object.bad-chunk"),
        refused("a byte of the tag changed", "V-2", ITEM, KEY, &flipped(object.len() - 1), "object.bad-chunk"),
        refused("one byte cut off", "V-2", ITEM, KEY, &object[..object.len() - 1], "object.bad-chunk"),
        refused("cut into the tag", "V-1", ITEM, KEY, &object[..HEADER + 15], "object.bad-size"),
    ]
}

fn trees(m: &Material) -> Vec<Case> {
    let sizes = [0, 1, 1024, 1025, 16_384, 16_385, 32_768, 49_153, 1 << 20, (3 << 20) + 7];
    let tree = |size| computed(m, &format!("the root of {size} bytes"), &["V-3"], Input::ObjectRoot { size });
    sizes.into_iter().map(tree).collect()
}

fn manifests(m: &Material) -> Vec<Case> {
    let bytes = |change: &dyn Fn(&mut proto::Manifest)| {
        let mut wire = proto::Manifest::decode(&manifest().to_wire()[..]).expect("reads");
        change(&mut wire);
        Input::ReadManifest { bytes: raw(wire.encode_to_vec()) }
    };
    let path = |names: &'static [&'static [u8]]| {
        bytes(&move |wire| wire.items[1].path = names.iter().map(|name| name.to_vec()).collect())
    };
    let bad_path = |name: &str, input| bad(name, &["M-2"], input, "manifest.bad-path", "");
    vec![
        computed(m, "a manifest", &["M-1", "M-3"], bytes(&|_| {})),
        computed(m, "a name that is no text", &["M-2"], path(&[b"mail\xff\n"])),
        bad_path("a path that leads upwards", path(&[b"mail", b"..", b"x"])),
        bad_path("a path with a slash in a name", path(&[b"mail/x"])),
        bad_path("a path with a zero byte", path(&[b"mail\0"])),
        bad_path("an empty path", path(&[])),
        bad("items out of order", &["M-2"], bytes(&|wire| wire.items.swap(0, 1)), "manifest.bad-order", ""),
        bad(
            "an item twice",
            &["M-1"],
            bytes(&|wire| wire.items[1].item_id = wire.items[0].item_id.clone()),
            "manifest.bad-content",
            "",
        ),
        bad("no record", &["M-1"], bytes(&|wire| wire.record = None), "manifest.bad-content", ""),
        bad("no bytes", &["M-1"], Input::ReadManifest { bytes: raw([0xff]) }, "manifest.malformed", "wire.undecodable"),
    ]
}

fn statements(m: &Material) -> Vec<Case> {
    let input = |whole: &Statement| Input::ReadCustody { bytes: raw(whole.to_wire()) };
    let acts = [("seal", CustodyAct::Seal), ("release", CustodyAct::Release), ("verify", CustodyAct::Verify)];
    let good = acts.map(|(name, act)| computed(m, &format!("a statement: {name}"), &["M-4"], input(&statement(act))));
    let lacking = Statement { acceptance: None, ..statement(CustodyAct::Release) };
    let spare = Statement { delivery: Some(EventId::new([8; 32])), ..statement(CustodyAct::Seal) };
    let refused = |name: &str, whole: &Statement| bad(name, &["M-4"], input(whole), "manifest.bad-content", "");
    let rest =
        vec![refused("a release of nothing accepted", &lacking), refused("a seal that names a delivery", &spare)];
    [good.to_vec(), rest].concat()
}

/// Header and chunks of an object of counted bytes.
fn seal(item: &[u8; 16], key: &[u8; 32], size: u64) -> Vec<Vec<u8>> {
    let (item, key) = (ItemId::new(*item), ItemKey::new(*key));
    let plain: Vec<u8> = counted(size).collect();
    let mut pieces: Vec<Vec<u8>> = plain.chunks(CHUNK).map(<[u8]>::to_vec).collect();
    if pieces.is_empty() {
        pieces.push(Vec::new());
    }
    let mut sealer = Sealer::new(item, &key);
    let last = pieces.len() - 1;
    pieces.iter_mut().enumerate().for_each(|(at, piece)| sealer.seal(piece, at == last));
    [vec![header(&item, &key).to_vec()], pieces].concat()
}

fn tree(bytes: &[u8]) -> (Digest, Vec<u8>) {
    let (mut builder, mut hashes) = (TreeBuilder::default(), Vec::new());
    builder.update(bytes, &mut hashes);
    (builder.finish(&mut hashes), hashes)
}

/// Outputs that would be long stand as their SHA-256.
pub(super) fn judge(m: &Material, input: &Input) -> Verdict {
    match input {
        Input::SealObject { item, key, size } => {
            let parts = seal(&m.array(item), &m.array(key), *size);
            let object = parts.concat();
            out([
                ("header", hex(&parts[0])),
                ("object_sha256", sha256(&[&object]).to_string()),
                ("object_size", object.len().to_string()),
                ("root", tree(&object).0.to_string()),
                ("hashes", hex(&tree(&object).1)),
            ])
        }
        Input::OpenObject { item, key, object } => {
            let plain = open(ItemId::new(m.array(item)), &ItemKey::new(m.array(key)), &m.bytes(object))?;
            out([("plain", hex(&plain))])
        }
        Input::ObjectRoot { size } => {
            let (root, hashes) = tree(&counted(*size).collect::<Vec<u8>>());
            out([("root", root.to_string()), ("hashes_sha256", sha256(&[&hashes]).to_string())])
        }
        Input::ReadManifest { bytes } => {
            let bytes = m.bytes(bytes);
            let read = Manifest::from_wire(&bytes)?;
            out([
                ("digest", manifest_digest(&bytes).to_string()),
                ("items", read.items.len().to_string()),
                ("bytes", read.bytes().to_string()),
            ])
        }
        Input::ReadCustody { bytes } => {
            let read = Statement::from_wire(&m.bytes(bytes))?;
            out([("manifest", read.manifest.to_string()), ("items", read.items.to_string())])
        }
        _ => unreachable!("sorted by judge"),
    }
}

fn open(item: ItemId, key: &ItemKey, object: &[u8]) -> Result<Vec<u8>, ObjectFault> {
    let size = object.len() as u64;
    plain_size(size)?;
    let head = object.first_chunk::<HEADER>().ok_or(ObjectFault::Size(size))?;
    let opener = Opener::new(head, size, item, key)?;
    let mut plain = Vec::new();
    for index in 0..opener.chunks() {
        let from = usize::try_from(chunk_offset(index)).expect("small");
        let until = (from + usize::try_from(SEALED_CHUNK).expect("small")).min(object.len());
        plain.extend_from_slice(opener.open(index, &mut object[from..until].to_vec())?);
    }
    Ok(plain)
}

impl From<ObjectFault> for Codes {
    fn from(fault: ObjectFault) -> Self {
        Self(fault.code(), None)
    }
}

impl From<ManifestFault> for Codes {
    fn from(fault: ManifestFault) -> Self {
        let cause = if let ManifestFault::Wire(wire) = &fault { Some(wire.code()) } else { None };
        Self(fault.code(), cause)
    }
}
