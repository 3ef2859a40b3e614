//! Evidence between two real nodes: difficult folders, kills at every durable step, a bad disk, a giver
//! that lies, and what stands in place of a hand-over that was disputed.
//!
//! ```text
//! arvia --- MLA-STORED ---> belmar      belmar puts folders under seal and hands them over
//!       <=== evidence ====
//! ```

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use comity::bench::process::memory_kib;
use serde_json::json;

use crate::handover::{Case, bytes};
use crate::rig::{Node, fresh_id, now, pause, tell, wait_until};

/// The durable steps of the vault that an intake or a fetch meets.
pub(crate) const POINTS: [&str; 5] = [
    "evidence.pack-synced",
    "evidence.pack-shelved",
    "evidence.slots-written",
    "evidence.items-kept",
    "evidence.group-kept",
];
/// Those that a taker meets.
const TAKEN: [&str; 4] =
    ["evidence.slots-written", "evidence.group-kept:3", "evidence.pack-synced", "evidence.pack-shelved"];
/// A group of the transfer.
const GROUP: u64 = 16 << 10;

/// The memory of a running process that no file stands behind.
struct Memory {
    process: u32,
    base: u64,
    most: u64,
}

impl Memory {
    fn new(node: &Node) -> Self {
        let process = node.process();
        let base = anonymous_kib(process);
        Self { process, base, most: base }
    }

    /// In KiB, the most seen until now.
    fn growth(&mut self) -> u64 {
        self.most = self.most.max(anonymous_kib(self.process));
        self.most - self.base
    }
}

fn anonymous_kib(process: u32) -> u64 {
    memory_kib(process, "RssAnon").expect("it runs")
}

/// 10 GiB: one of 4 GiB, some of 1 GiB, and many smaller ones.
fn large(folder: &Path) {
    fs::create_dir(folder).expect("made");
    let mut left = LONG_BYTES;
    let sizes = [4 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30].into_iter().chain((0..).map(|n| 1 << (14 + n % 14)));
    let block = bytes(1 << 20, 7);
    for (n, size) in sizes.enumerate() {
        let size = left.min(size);
        let mut file = io::BufWriter::new(fs::File::create(folder.join(format!("{n:04}"))).expect("made"));
        let mut to_come = size;
        while to_come > 0 {
            let piece = block.len().min(usize::try_from(to_come).expect("small"));
            let mark = (n as u64).rotate_left(32) ^ to_come;
            let head = mark.to_le_bytes();
            let at = head.len().min(piece);
            file.write_all(&head[..at]).and_then(|()| file.write_all(&block[at..piece])).expect("written");
            to_come -= piece as u64;
        }
        left -= size;
        if left == 0 {
            return;
        }
    }
}

/// Every file below a folder with its bytes, links as nothing.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).expect("reads").filter_map(Result::ok) {
            let kind = entry.file_type().expect("known");
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                let name = entry.path().strip_prefix(folder).expect("below").to_owned();
                found.insert(name, fs::read(entry.path()).expect("reads"));
            }
        }
    }
    found
}

fn difficult(folder: &Path) {
    let deep = (0..40).fold(folder.to_owned(), |path, n| path.join(format!("level {n}")));
    fs::create_dir_all(&deep).expect("made");
    fs::create_dir(folder.join("empty folder")).expect("made");
    let write = |name: &OsStr, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("written");
    write(OsStr::new("empty"), b"");
    write(OsStr::new("with space and 'quotes\" & $ ; *"), b"1");
    write(OsStr::new("line\nbreak\tand tab"), b"2");
    write(OsStr::new("\u{202e}gpj.exe"), b"3");
    write(OsStr::new("مستند"), b"4");
    write(OsStr::new("文件"), b"5");
    write(OsStr::new("-rf"), b"6");
    write(&OsString::from_vec(b"no text \xff\xfe".to_vec()), b"7");
    write(OsStr::new("large.bin"), &bytes(5 << 20, 1));
    fs::write(deep.join("deep"), bytes(70_000, 2)).expect("written");
    fs::create_dir(folder.join("many")).expect("made");
    for n in 0..300 {
        fs::write(folder.join(format!("many/{n:04}")), bytes(n * 61, n as u64)).expect("written");
    }
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link out")).expect("linked");
    std::os::unix::fs::symlink("large.bin", folder.join("link in")).expect("linked");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("pipe"), rustix::fs::Mode::RUSR).expect("made");
}

/// SPEC `[M-2]`, `[T-2]`: nothing moves before its time, and then everything arrives as it was.
#[test]
fn a_difficult_folder_arrives_byte_for_byte() {
    let case = Case::new();
    let home = case.federation.folder.path().to_owned();
    let folder = home.join("difficult");
    difficult(&folder);
    let sealed = case.seal(&folder, 1);
    let all = files(&folder);
    assert_eq!(sealed["items"], all.len());
    let by_hand = json!({ "command_id": fresh_id(), "step": "deliver", "authority": "central", "fields": {} });
    let (status, problem) = case.belmar().post(&format!("/v1/requests/{}/steps", case.id), &by_hand).expect("answers");
    assert_eq!((status, &problem["code"]), (422, &json!("api.made-by-node")));
    let delivery =
        case.deliver(&sealed, "deliver", &["outcome=executed_full", "terms.codes=C-USE", "terms.text=Only here"]);

    case.ask_to_fetch(&delivery);
    assert_eq!(case.wait_for_stage(&delivery, "awaiting_terms")["code"], "evidence.terms-not-accepted");
    let (_, listed) = case.typed(case.arvia(), &["show", &case.id]);
    assert_eq!(listed["list"].as_array().map(Vec::len), Some(all.len()), "the manifest may be read before");
    let early = case.typed(case.arvia(), &["take-custody", &case.id]);
    assert_eq!((early.0, &early.1["code"]), (1, &json!("evidence.incomplete")));
    case.accept_terms(&delivery);
    let done = case.wait_for_stage(&delivery, "done");
    let count = |name: &str| done[name].as_u64().expect("a count");
    let manifest = count("fetched") - count("bytes_all");
    assert!((1..1 << 20).contains(&manifest), "each byte once, and the manifest: {manifest}");
    let early = case.export(&home.join("early"));
    assert_eq!((early.0, &early.1["code"]), (1, &json!("evidence.not-in-custody")));
    case.take_custody(&delivery);

    let received = home.join("received");
    assert_eq!(case.export(&received).0, 0);
    assert!(files(&received) == all, "the same names with the same bytes");
    assert!(received.join("empty folder").is_dir());
    assert!(received.join("link out").symlink_metadata().is_err(), "links are listed and not made");
    let beside = listed["beside"].as_array().expect("a list");
    let kinds: Vec<&str> = beside.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    assert_eq!(kinds, ["empty_folder", "symbolic_link", "symbolic_link", "special"]);
    assert_eq!(case.typed(case.arvia(), &["verify", &case.id]).0, 0);
    assert_eq!(case.export(&received).1["code"], "cli.folder-in-use", "nothing is written over");
    wait_until("both sides have it in custody", || case.state_at(case.belmar()) == "acknowledged");
}

/// Killed at each durable step, an intake leaves nothing and a fetch goes on by itself; less than 1 MiB of
/// what was verified comes twice.
#[test]
fn killed_at_each_durable_step_it_completes() {
    let mut case = Case::new();
    let folder = case.federation.folder.path().join("files");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("large"), bytes(3 << 20, 3)).expect("written");
    for n in 0..50 {
        fs::write(folder.join(format!("small {n}")), bytes(9_000, n)).expect("written");
    }
    for point in ["evidence.pack-synced", "evidence.pack-shelved", "evidence.slots-written", "evidence.items-kept"] {
        case.kill_and_start(1, &[("COMITY_CRASH_AT", point)]);
        let path = folder.to_str().expect("a plain path");
        let (code, lost) = case.typed(case.belmar(), &["add", &case.id, path, "--set", "exhibit.number=1"]);
        // The form is not complete: what was put in is discarded before anything is written.
        assert_eq!((code, &lost["code"]), (1, &json!("form.incomplete")), "{lost}");
        let before = case.federation.nodes[1].data.join("vault/objects");
        assert_eq!(case.try_to_seal(&folder).0, 75, "{point}: the node does not answer any more");
        wait_until(&format!("killed at {point}"), || case.federation.nodes[1].has_ended());
        case.kill_and_start(1, &[]);
        let held = case.belmar().look(&format!("/v1/requests/{}/evidence", case.id));
        assert_eq!(held["manifests"], json!([]), "{point}: nothing counts that was not sealed");
        let left = fs::read_dir(&before).into_iter().flatten().filter_map(Result::ok);
        let left = left.flat_map(|shelf| fs::read_dir(shelf.path()).into_iter().flatten()).count();
        assert_eq!(left, 0, "{point}: and nothing of it lies around");
    }
    case.federation.linked();
    let delivery = case.handed_over(&folder);
    for point in TAKEN {
        case.kill_and_start(0, &[("COMITY_CRASH_AT", point)]);
        case.ask_to_fetch(&delivery);
        wait_until(&format!("killed at {point}"), || case.federation.nodes[0].has_ended());
    }
    case.kill_and_start(0, &[]);
    let done = case.wait_for_stage(&delivery, "done");
    assert!(done["fetched"].as_u64() <= done["bytes_all"].as_u64());
    case.take_custody(&delivery);
    let received = case.federation.folder.path().join("received");
    assert_eq!(case.export(&received).0, 0);
    assert!(files(&received) == files(&folder));
}

/// A receiver that dies in the middle of a large item finds what it had verified, all but less than 1 MiB.
#[test]
fn verified_bytes_are_not_fetched_twice() {
    let mut case = Case::new();
    let folder = case.federation.folder.path().join("files");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("large"), bytes(12 << 20, 4)).expect("written");
    let delivery = case.handed_over(&folder);
    for groups in [50, 200, 100] {
        let held_before = case.progress(&delivery)["bytes"].as_u64().unwrap_or(0);
        case.kill_and_start(0, &[("COMITY_CRASH_AT", &format!("evidence.group-kept:{groups}"))]);
        case.ask_to_fetch(&delivery);
        wait_until("killed in the middle", || case.federation.nodes[0].has_ended());
        // Stopped at once, so that what it finds can be told from what it fetches.
        case.kill_and_start(0, &[("COMITY_PEERS__XB__ADDRESSES", "/ip4/127.0.0.1/tcp/9")]);
        let mut found = 0;
        wait_until("it has looked at what it has", || {
            let progress = case.progress(&delivery);
            found = progress["bytes"].as_u64().unwrap_or(0);
            progress["stage"] == "waiting" && progress["bytes_all"].as_u64() > Some(12 << 20)
        });
        let verified = held_before + (groups - 1) * GROUP;
        assert!(found + (1 << 20) > verified, "{groups}: {found} of {verified} found again");
    }
    // The giver may die too: what the taker has stays.
    case.kill_and_start(0, &[]);
    case.kill_and_start(1, &[]);
    let done = case.wait_for_stage(&delivery, "done");
    assert!(done["fetched"].as_u64() < done["bytes_all"].as_u64(), "not all of it came again");
}

#[test]
fn a_fetch_stands_still_when_told_and_goes_on_when_asked() {
    let case = Case::new();
    let folder = case.federation.folder.path().join("files");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("file"), bytes(100_000, 5)).expect("written");
    let delivery = case.deliver(&case.seal(&folder, 0), "deliver", &["outcome=executed_full"]);
    case.ask_to_fetch(&delivery);
    case.wait_for_stage(&delivery, "awaiting_terms");
    let (code, paused) = case.typed(case.arvia(), &["pause", &case.id]);
    assert_eq!((code, &paused["progress"]["stage"]), (0, &json!("paused")));
    case.accept_terms(&delivery);
    assert_eq!(case.progress(&delivery)["stage"], "paused");
    let (code, done) = case.typed(case.arvia(), &["fetch", &case.id]);
    assert_eq!((code, &done["progress"]["stage"]), (0, &json!("done")), "{done}");
}

/// The one pack of a node that holds items, not their hashes.
fn pack_of(node: &Node) -> PathBuf {
    let shelves = fs::read_dir(node.data.join("vault/objects")).expect("reads");
    let packs = shelves.flat_map(|shelf| fs::read_dir(shelf.expect("entry").path()).expect("reads"));
    let mut packs = packs.map(|pack| pack.expect("entry").path()).filter(|path| path.extension().is_none());
    packs.next().expect("a pack")
}

/// A giver serves eight streams and a fetch takes four: the third waits for its turn, not for a fault.
#[test]
fn more_fetches_than_the_giver_has_streams_take_turns() {
    let case = Case::new();
    let deliveries: Vec<String> = (0..4).map(|n| case.part_handed_over(4 << 20, n)).collect();
    deliveries.iter().for_each(|delivery| case.ask_to_fetch(delivery));
    wait_until("all is fetched", || {
        let looks = deliveries.iter().map(|delivery| case.progress(delivery));
        let done = |look: serde_json::Value| {
            assert_eq!(look["code"].as_str().unwrap_or_default(), "", "{look}");
            look["stage"] == "done"
        };
        looks.map(done).filter(|done| *done).count() == deliveries.len()
    });
}

/// A giver with a bad disk says so, names the place, and sends nothing wrong.
#[test]
fn a_changed_byte_at_the_giver_is_named_and_never_sent() {
    let case = Case::new();
    let folder = case.federation.folder.path().join("files");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("evidence.bin"), bytes(200_000, 6)).expect("written");
    let delivery = case.handed_over(&folder);
    let pack = pack_of(case.belmar());
    let mut changed = fs::read(&pack).expect("reads");
    changed[100_000] ^= 1;
    fs::write(&pack, changed).expect("written");
    case.ask_to_fetch(&delivery);
    let failed = case.wait_for_stage(&delivery, "failed");
    assert_eq!(failed["code"], "evidence.denied");
    assert!(failed["detail"].as_str().expect("text").contains("evidence.damaged"), "{failed}");
    let (code, verified) = case.typed(case.belmar(), &["verify", &case.id]);
    assert_eq!((code, &verified["findings"][0]["code"]), (1, &json!("object.bad-chunk")));
    assert_eq!(verified["findings"][0]["path"], "evidence.bin");
    let peers = case.arvia().look("/v1/status");
    assert!(peers["peers"].as_array().expect("a list").iter().all(|peer| peer["misconduct"] == 0), "{peers}");
}

/// SPEC `[T-3]`: a giver whose object is not the one it signed is cut off at the first wrong group, by name; the
/// hand-over is disputed, and what comes in its place arrives.
#[test]
fn a_lying_giver_is_cut_off_and_its_hand_over_replaced() {
    let mut case = Case::new();
    let folder = case.federation.folder.path().join("files");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("evidence.bin"), b"what was found").expect("written");
    let delivery = case.handed_over(&folder);
    // The keys are bound to the true root, so the giver begins to lie after it has released them: slots are
    // written for the manifest, when it is whole, and for the keys of its items.
    case.kill_and_start(0, &[("COMITY_CRASH_AT", "evidence.slots-written:3")]);
    case.ask_to_fetch(&delivery);
    wait_until("the keys are here and nothing else", || case.federation.nodes[0].has_ended());
    case.federation.nodes[1].kill();
    lie(&case.federation.nodes[1]);
    case.kill_and_start(1, &[]);
    case.kill_and_start(0, &[]);
    case.ask_to_fetch(&delivery);
    let failed = case.wait_for_stage(&delivery, "failed");
    assert_eq!(failed["code"], "evidence.wrong-group", "{failed}");
    wait_until("it is counted", || {
        let status = case.arvia().look("/v1/status");
        status["peers"].as_array().expect("a list").iter().any(|peer| peer["misconduct"] == 1)
    });
    let reason = json!({
        "delivery": delivery, "dispute.reasons": ["digest-mismatch"],
        "dispute.explanation": { "lang": "en", "text": "evidence.bin differs from its root" },
    });
    case.step(case.arvia(), "dispute", &reason);
    wait_until("the giver sees it", || case.state_at(case.belmar()) == "disputed");
    let again = case.deliver(&case.seal(&folder, 0), "redeliver", &[&format!("delivery={delivery}")]);
    case.accept_terms(&again);
    case.ask_to_fetch(&again);
    case.wait_for_stage(&again, "done");
    case.take_custody(&again);
    wait_until("both sides are done", || case.state_at(case.belmar()) == "acknowledged");
}

/// Changes the object of the first item, and its root in the catalogue so that the node believes it.
fn lie(node: &Node) {
    const FRAME: usize = 64;
    const SLOT: usize = 256;
    let pack = pack_of(node);
    let mut bytes = fs::read(&pack).expect("reads");
    let size = u64::from_le_bytes(bytes[32..40].try_into().expect("eight"));
    let end = FRAME + usize::try_from(size).expect("small");
    bytes[end - 1] ^= 1;
    let root = bao_tree::blake3::hash(&bytes[FRAME..end]);
    let item = bytes[16..32].to_vec();
    fs::write(&pack, &bytes).expect("written");
    let slots = node.data.join("vault/keys/000000.items");
    let mut all = fs::read(&slots).expect("reads");
    let slot = all.chunks_mut(SLOT).find(|slot| slot[4..20] == item).expect("its slot");
    slot[68..100].copy_from_slice(root.as_bytes());
    let crc = crc32c::crc32c(&slot[..SLOT - 4]);
    slot[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
    fs::write(&slots, all).expect("written");
}

/// How often the long run kills a node, and how much it carries.
const KILLS: u64 = 20;
const LONG_BYTES: u64 = 10 << 30;

/// The long run, by name only: `cargo test --release -p comity --test it -- --ignored --nocapture
/// evidence::ten_gibibytes`. Neither node grows by 64 MiB, no kill costs 1 MiB of what was verified,
/// and every byte arrives.
#[test]
#[ignore = "a long run: 10 GiB, and 40 GiB of disk"]
fn ten_gibibytes_pass_through_twenty_kills() {
    let mut case = Case::new();
    let home = case.federation.folder.path().to_owned();
    let folder = home.join("files");
    large(&folder);
    let mut grown = [Memory::new(case.arvia()), Memory::new(case.belmar())];
    let began = now();
    let delivery = case.deliver(&case.seal(&folder, 0), "deliver", &["outcome=executed_full"]);
    tell(&format!("sealed: {} s; the giver grew by {} KiB", (now() - began) / 1000, grown[1].growth()));
    case.accept_terms(&delivery);
    let began = now();
    let mut random = now();
    tell(&format!("seed of the kills: {random}"));
    case.ask_to_fetch(&delivery);
    let mut found = None;
    let mut worst = 0;
    for kill in 0..KILLS {
        // At a random place of what is still to come, so that the last kill falls near the end.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = LONG_BYTES / (KILLS + 1);
        let place = kill * share + (random >> 33) % share;
        let mut last = (0, 0);
        wait_until("it comes so far", || {
            let (bytes, fetched) = case.moved(&delivery);
            found = found.or_else(|| (fetched > 1 << 20).then(|| bytes - fetched));
            last = (bytes, fetched);
            bytes >= place
        });
        let side = usize::from(random >> 63 == 1);
        worst = worst.max(found.unwrap_or(0).saturating_sub(last.0 - last.1));
        case.federation.nodes[side].kill();
        case.federation.nodes[side].start(&[]);
        assert!(case.federation.nodes[side].answers_or_ended(), "it starts again");
        grown[side] = Memory::new(&case.federation.nodes[side]);
        if side == 0 {
            wait_until("it goes on", || case.moved(&delivery).1 > 1 << 20);
            let (bytes, fetched) = case.moved(&delivery);
            found = Some(bytes - fetched);
            worst = worst.max(last.0.saturating_sub(bytes - fetched));
        }
        let whose = case.federation.nodes[side].code;
        tell(&format!("kill {kill} of {whose} at {} MiB; at most {worst} bytes lost by one so far", last.0 >> 20));
    }
    let mut done = false;
    while !done {
        pause(Duration::from_millis(100));
        done = case.progress(&delivery)["stage"] == "done";
        grown.iter_mut().for_each(|memory| {
            memory.growth();
        });
    }
    tell(&format!("fetched with {KILLS} kills: {} s", (now() - began) / 1000));
    assert!(worst < 1 << 20, "{worst} bytes of what was verified came twice");
    case.take_custody(&delivery);
    let received = home.join("received");
    assert_eq!(case.export(&received).0, 0);
    let names = |folder: &Path| fs::read_dir(folder).expect("reads").map(|entry| entry.expect("reads").file_name());
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (names(&folder).collect(), names(&received).collect());
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    for name in ours {
        let same = std::process::Command::new("cmp").arg(folder.join(&name)).arg(received.join(&name)).status();
        assert!(same.expect("compares").success(), "{name:?}");
    }
    for (memory, whose) in grown.iter_mut().zip(["the taker", "the giver"]) {
        let growth = memory.growth();
        tell(&format!("{whose} grew by {growth} KiB since its last start"));
        assert!(growth < 64 << 10, "{whose}: {growth} KiB");
    }
}
