//! `ledger.json`, `checkpoint.json`, `files.json`: leaves, trees, proofs, signed notes, and the
//! bytes of a node's own files.

use prost::Message as _;

use super::{
    bad, computed, file,
    material::{Material, named, raw},
    ok,
    rest::crc32c,
    shapes::{Bytes, Case, Change, File, Input, Key, Named, Sig},
};
use crate::{
    crypto::{DataKey, sha256},
    event::tests::origin,
    ids::{LedgerIndex, hex},
    ledger::Tree,
    proto::{self, Algorithm, KeyRole},
};

pub(super) fn files(m: &Material) -> Vec<File> {
    vec![
        file("ledger", "Leaves, roots, paths, contexts and whole proofs.", {
            [leaves(m), trees(m), growth(), contexts(m), proofs(m)].concat()
        }),
        file("checkpoint", "Signed notes under the checkpoint keys of XA.", checkpoints(m)),
        file("files", "A node's own files. Local to a node: no peer ever sees these bytes.", local(m)),
    ]
}

fn leaves(m: &Material) -> Vec<Case> {
    let leaf = |salt: [u8; 32], context| Input::Leaf { salt: raw(salt), record_id: named("event-id"), context };
    let sig = |id: u8, signature: &[u8]| Sig { key_id: raw([id; 32]), signature: raw(signature) };
    vec![
        computed(m, "a leaf", &["L-1"], leaf([6; 32], named("context"))),
        computed(m, "the same record under another salt", &["L-1"], leaf([7; 32], named("context"))),
        computed(m, "the same record with its context changed", &["L-1"], leaf([6; 32], m.flipped("context", 1))),
        computed(m, "no signatures", &["L-2"], Input::SignaturesDigest { signatures: vec![] }),
        computed(m, "two signatures", &["L-2"], {
            Input::SignaturesDigest { signatures: vec![sig(1, b"ab"), sig(2, b"c")] }
        }),
        computed(m, "the same bytes cut elsewhere", &["L-2"], {
            Input::SignaturesDigest { signatures: vec![sig(1, b"a"), sig(2, b"bc")] }
        }),
        computed(m, "the id of a taken receipt's record", &["L-3"], {
            Input::RecordId { payload_type: "application/vnd.comity.receipt.v1".into(), payload: named("receipt") }
        }),
        computed(m, "the id of a record that a receipt was erased", &["L-3"], {
            let payload = raw([m.of("event-id"), b"XB"].concat());
            Input::RecordId { payload_type: "application/vnd.comity.erased.v1".into(), payload }
        }),
    ]
}

fn tree(size: u8) -> Tree {
    let mut tree = Tree::new();
    for n in 0..size {
        tree.push(sha256(&[&[0, n]]));
    }
    tree
}

fn path(nodes: &[crate::ids::Digest]) -> Vec<Bytes> {
    nodes.iter().map(|node| raw(node.as_bytes())).collect()
}

fn trees(m: &Material) -> Vec<Case> {
    let root = |size: u8| Input::Root { leaves: (0..size).map(|n| raw(sha256(&[&[0, n]]).as_bytes())).collect() };
    let inclusion = |index: u8, size: u8| {
        let (tree, nodes) = (tree(size), tree(size).inclusion(LedgerIndex(index.into()), size.into()).expect("held"));
        Input::Inclusion {
            leaf: raw(sha256(&[&[0, index]]).as_bytes()),
            index: index.into(),
            size: size.into(),
            path: path(&nodes),
            root: raw(tree.root().as_bytes()),
        }
    };
    let at = |index: u64, size: u64| {
        let Input::Inclusion { leaf, path, root, .. } = inclusion(6, 11) else { unreachable!("just made") };
        Input::Inclusion { leaf, index, size, path, root }
    };
    let along = |change: &dyn Fn(&mut Vec<Bytes>)| {
        let mut input = inclusion(6, 11);
        if let Input::Inclusion { path, .. } = &mut input {
            change(path);
        }
        input
    };
    let mut other_root = inclusion(6, 11);
    if let Input::Inclusion { root, .. } = &mut other_root {
        *root = raw([9; 32]);
    }
    let mut cases: Vec<Case> = [0, 1, 2, 3, 7, 8, 11]
        .map(|size| computed(m, &format!("root of {size} leaves"), &["L-4"], root(size)))
        .to_vec();
    for (index, size) in [(0, 1), (0, 2), (6, 7), (6, 11), (10, 11)] {
        cases.push(ok(&format!("leaf {index} of {size}"), &["L-5"], inclusion(index, size), []));
    }
    let wrong = |name: &str, input, code: &str| bad(name, &["L-5"], input, code, "");
    cases.extend([
        wrong("another root", other_root, "proof.wrong-root"),
        wrong("another index", at(7, 11), "proof.wrong-root"),
        wrong("two nodes exchanged", along(&|path| path.swap(0, 1)), "proof.wrong-root"),
        wrong("a node too few", along(&|path| drop(path.pop())), "proof.path-length"),
        wrong("a node too many", along(&|path| path.push(raw([9; 32]))), "proof.path-length"),
        wrong("65 nodes", along(&|path| *path = vec![raw([9; 32]); 65]), "proof.path-length"),
        wrong("an index equal to the size", at(11, 11), "ledger.index-beyond-size"),
        wrong("a size of none", at(0, 0), "ledger.index-beyond-size"),
    ]);
    cases
}

fn growth() -> Vec<Case> {
    let grown = |from: u8, to: u8| Input::Consistency {
        from: from.into(),
        from_root: raw(tree(from).root().as_bytes()),
        to: to.into(),
        to_root: raw(tree(to).root().as_bytes()),
        path: path(&tree(to).consistency(from.into(), to.into()).expect("held")),
    };
    let changed = |from: u8, to: u8, old: Option<u8>, new: Option<u8>, nodes: Option<usize>| {
        let mut input = grown(from, to);
        if let Input::Consistency { from_root, to_root, path, .. } = &mut input {
            old.into_iter().for_each(|fill| *from_root = raw([fill; 32]));
            new.into_iter().for_each(|fill| *to_root = raw([fill; 32]));
            nodes.into_iter().for_each(|nodes| path.resize(nodes, raw([9; 32])));
        }
        input
    };
    let mut backwards = grown(4, 7);
    if let Input::Consistency { from, to, .. } = &mut backwards {
        std::mem::swap(from, to);
    }
    let good = [(0, 5), (1, 5), (4, 7), (6, 11), (8, 8)];
    let mut cases = good.map(|(from, to)| ok(&format!("from {from} to {to}"), &["L-6"], grown(from, to), [])).to_vec();
    let wrong = |name: &str, input, code: &str| bad(name, &["L-6"], input, code, "");
    cases.extend([
        wrong("another old root", changed(6, 11, Some(9), None, None), "proof.wrong-old-root"),
        wrong("another new root", changed(6, 11, None, Some(9), None), "proof.wrong-root"),
        wrong("equal sizes with other roots", changed(8, 8, None, Some(9), None), "proof.wrong-root"),
        wrong("equal sizes with a path", changed(8, 8, None, None, Some(1)), "proof.path-length"),
        wrong("a path too short", changed(6, 11, None, None, Some(1)), "proof.path-length"),
        wrong("a path too long", changed(6, 11, None, None, Some(9)), "proof.path-length"),
        wrong("growth backwards", backwards, "ledger.shrinks"),
    ]);
    cases
}

fn contexts(m: &Material) -> Vec<Case> {
    let read = |context| Input::ReadContext { context };
    let changed = |change: &dyn Fn(&mut proto::Context)| {
        let mut context = proto::Context::decode(m.of("context")).expect("a context");
        change(&mut context);
        read(raw(context.encode_to_vec()))
    };
    let field = |name: &str, input| bad(name, &["L-7"], input, "context.bad-field", "");
    let loose = [m.of("context"), &[0x98, 0x06, 0x01]].concat();
    vec![
        computed(m, "a context", &["L-7"], read(named("context"))),
        computed(m, "a context without slips", &["L-7"], changed(&|c| c.slips.clear())),
        bad("a context with an unknown field", &["L-7"], read(raw(loose)), "context.malformed", "wire.not-canonical"),
        field("no bytes", read(raw([]))),
        field("no kind", changed(&|c| c.kind = 0)),
        field("an unknown kind", changed(&|c| c.kind = 15)),
        field("no charter", changed(&|c| c.charter.clear())),
        field("a profile of 31 bytes", changed(&|c| c.profile.truncate(31))),
        field("signatures of 33 bytes", changed(&|c| c.signatures.push(0))),
        field("an empty slip", changed(&|c| c.slips[0].clear())),
        field("257 slips", changed(&|c| c.slips = vec![vec![1; 32]; 257])),
    ]
}

fn checkpoint_keys(party: &str) -> Vec<Key> {
    let key = |algorithm: Algorithm, name: &str| Key {
        role: KeyRole::Checkpoint as i32,
        algorithm: algorithm as i32,
        public_key: named(&format!("{party}-checkpoint-{name}-key")),
    };
    vec![key(Algorithm::Ed25519, "ed25519"), key(Algorithm::MlDsa44, "ml-dsa-44")]
}

fn proofs(m: &Material) -> Vec<Case> {
    let wire = proto::RecordProof::decode(m.of("proof")).expect("a proof");
    let verify = |proof, record_id, kind, origin_of: &str, keys_of: &str| Input::VerifyProof {
        proof,
        record_id,
        kind,
        origin: origin(origin_of).to_string(),
        keys: checkpoint_keys(keys_of),
    };
    let own = |proof| verify(proof, named("event-id"), 1, "XA", "xa");
    let changed = |change: &dyn Fn(&mut proto::RecordProof)| {
        let mut proof = wire.clone();
        change(&mut proof);
        own(raw(proof.encode_to_vec()))
    };
    let wrong = |name: &str, input, code: &str| bad(name, &["L-9"], input, code, "");
    let flipped = |part: &[u8], n| own(m.flipped_in("proof", part, n));
    let loose = raw([m.of("proof"), &[0x98, 0x06, 0x01]].concat());
    vec![
        computed(m, "a proof", &["L-9"], own(named("proof"))),
        wrong("about another record", verify(named("proof"), raw([3; 32]), 1, "XA", "xa"), "proof.other-record"),
        wrong("of another kind", verify(named("proof"), named("event-id"), 2, "XA", "xa"), "proof.other-kind"),
        wrong("of another ledger", verify(named("proof"), named("event-id"), 1, "XB", "xa"), "checkpoint.other-origin"),
        wrong(
            "under keys of another",
            verify(named("proof"), named("event-id"), 1, "XA", "xb"),
            "checkpoint.no-ed25519",
        ),
        wrong("a byte of the record id changed", flipped(&wire.record_id, 0), "proof.other-record"),
        wrong("a byte of the recorded time changed", flipped(&wire.context, 4), "proof.wrong-root"),
        wrong("a byte of the salt changed", flipped(&wire.salt, 0), "proof.wrong-root"),
        wrong("a byte of the path changed", flipped(&wire.path[1], 5), "proof.wrong-root"),
        wrong("another place", changed(&|proof| proof.index = 3), "proof.wrong-root"),
        wrong("a place beyond the size", changed(&|proof| proof.index = 5), "ledger.index-beyond-size"),
        wrong("a salt of 31 bytes", changed(&|proof| proof.salt.truncate(31)), "proof.bad-field"),
        wrong("no record id", changed(&|proof| proof.record_id.clear()), "proof.bad-field"),
        wrong("a node of 31 bytes", changed(&|proof| proof.path[0].truncate(31)), "proof.bad-field"),
        wrong("65 nodes in a path", changed(&|proof| proof.path = vec![vec![1; 32]; 65]), "proof.path-length"),
        bad("a proof with an unknown field", &["L-9"], own(loose), "proof.malformed", "wire.not-canonical"),
    ]
}

fn checkpoints(m: &Material) -> Vec<Case> {
    let verify = |note| Input::VerifyCheckpoint { note, origin: origin("XA").to_string(), keys: checkpoint_keys("xa") };
    let wrong = |name: &str, note, code: &str| bad(name, &["L-8"], verify(note), code, "");
    let text = String::from_utf8(m.of("checkpoint").to_vec()).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let put = |from: &str, to: &str| {
        let at = text.find(from).expect("stands in the note");
        let change = vec![Change { at, put: hex(to.as_bytes()) }];
        Bytes::Named(Named { of: "checkpoint".into(), change })
    };
    // A letter of base64 changed for another: the line still decodes, to other bytes.
    let in_line = |line: usize, letter: usize| {
        let at = lines[line].len() - letter;
        let new = if lines[line].as_bytes()[at] == b'A' { "B" } else { "A" };
        put(&lines[line][at..], new)
    };
    let other_keys = Input::VerifyCheckpoint {
        note: named("checkpoint"),
        origin: origin("XA").to_string(),
        keys: checkpoint_keys("xb"),
    };
    let other_origin = Input::VerifyCheckpoint {
        note: named("checkpoint"),
        origin: origin("XB").to_string(),
        keys: checkpoint_keys("xa"),
    };
    vec![
        computed(m, "both lines", &["L-8"], verify(named("checkpoint"))),
        computed(m, "a line by a stranger is passed over", &["L-8"], verify(named("checkpoint-with-a-strangers-line"))),
        wrong("the size changed", put("\n7\n", "\n8\n"), "checkpoint.bad-signature"),
        wrong("the root changed", put("CQkJ", "CgkJ"), "checkpoint.bad-signature"),
        wrong("the origin changed", put("xa.test", "xb.test"), "checkpoint.other-origin"),
        wrong("the Ed25519 line changed", in_line(4, 20), "checkpoint.bad-signature"),
        wrong("the ML-DSA-44 line changed", in_line(5, 20), "checkpoint.bad-signature"),
        wrong(
            "the time in the ML-DSA-44 line changed",
            in_line(5, lines[5].len() - lines[5].rfind(' ').expect("space") - 15),
            "checkpoint.bad-signature",
        ),
        wrong(
            "the name in the Ed25519 line changed",
            put(&lines[4]["\u{2014} ".len()..], "xb"),
            "checkpoint.no-ed25519",
        ),
        wrong("no Ed25519 line", named("checkpoint-without-ed25519"), "checkpoint.no-ed25519"),
        wrong("no ML-DSA-44 line", named("checkpoint-without-ml-dsa"), "checkpoint.no-ml-dsa"),
        wrong("one line twice", named("checkpoint-line-twice"), "checkpoint.repeated-signature"),
        wrong("two ML-DSA-44 lines by one key", named("checkpoint-two-times"), "checkpoint.repeated-signature"),
        wrong("a size with a leading zero", named("checkpoint-size-with-zero"), "checkpoint.malformed"),
        wrong("a tree without leaves", named("checkpoint-empty"), "checkpoint.empty"),
        wrong("an extension line", named("checkpoint-with-extension"), "checkpoint.malformed"),
        wrong("no final newline", raw(text.trim_end()), "checkpoint.malformed"),
        wrong("no dash before a name", put("\u{2014} ", "abc "), "checkpoint.malformed"),
        wrong("33 lines", raw([&text, "\u{2014} w AAAAAAA=\n".repeat(31).as_str()].concat()), {
            "checkpoint.too-many-signatures"
        }),
        bad("keys of another Party", &["L-8"], other_keys, "checkpoint.no-ed25519", ""),
        bad("the origin of another Party", &["L-8"], other_origin, "checkpoint.other-origin", ""),
    ]
}

fn local(m: &Material) -> Vec<Case> {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the published check value");
    let mark = [7; 15].iter().chain(&[0x87]).copied().collect::<Vec<u8>>();
    let commit = [&2_u64.to_le_bytes()[..], &[5; 32], &[6; 32], &mark].concat();
    let numbers = [&1_i32.to_be_bytes()[..], &3_u32.to_be_bytes(), &41_u64.to_be_bytes()].concat();
    let part = |label: &str| {
        let sealed = DataKey::new([1; 32]).seal([2; 12], &[&numbers, label.as_bytes()].concat(), b"part");
        raw([&[2; 12], &sealed[..]].concat())
    };
    let open = |kind, slot, index, part: &str, stored| Input::OpenPart {
        key: raw([1; 32]),
        kind,
        slot,
        index,
        part: part.into(),
        stored,
    };
    let moved = |name: &str, input| bad(name, &["F-4"], input, "crypto.does-not-open", "");
    vec![
        computed(m, "a record frame", &["F-1"], Input::LogFrame { kind: 1, payload: raw(b"one") }),
        computed(m, "a record frame without payload", &["F-1"], Input::LogFrame { kind: 1, payload: raw([]) }),
        computed(m, "a commit frame", &["F-2"], Input::LogFrame { kind: 2, payload: raw(commit) }),
        computed(m, "the running hash", &["F-2"], {
            Input::Running { before: raw([0; 32]), frames: raw(b"frames"), size: 2, root: raw([5; 32]) }
        }),
        computed(m, "the head of segment 3", &["F-3"], Input::SegmentHead { number: 3, size: 4096, mark: raw(mark) }),
        computed(m, "a part in its place", &["F-4"], open(1, 3, 41, "case", part("case"))),
        moved("a part of another kind", open(2, 3, 41, "case", part("case"))),
        moved("a part in another slot", open(1, 4, 41, "case", part("case"))),
        moved("a part at another index", open(1, 3, 42, "case", part("case"))),
        moved("a part under another label", open(1, 3, 41, "node", part("case"))),
        computed(
            m,
            "a live key slot",
            &["F-5"],
            Input::KeySlot {
                kek: raw([1; 32]),
                generation: 2,
                slot: 3,
                request: raw([7; 16]),
                nonce: raw([2; 12]),
                proof: raw([3; 32]),
                content: raw([4; 32]),
            },
        ),
        computed(m, "the promise in slot 0", &["F-5"], Input::SlotPromise { generation: 2 }),
        moved("a part shorter than a nonce", open(1, 3, 41, "case", raw([2; 11]))),
    ]
}
