//! Faults of the system beneath a whole node: its calls fail or kill it, its disk is read-only, its clock is wrong.
//!
//! The calls of one file are made to fail by `strace`, as the kernel would answer them; every call in every way is tried
//! in process, by the fault matrix of the store. Clocks are set by `faketime`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::rig::{Federation, Node, fresh_id, preservation, tell, wait_until};
use crate::skip;

/// Requests asked for before a fault that never comes is given up.
const REQUESTS_MAX: usize = 60;

pub(crate) fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

fn opening() -> Value {
    preservation(&fresh_id())
}

/// Everything acknowledged is there, where it was said to be, and the ledger holds.
#[track_caller]
fn all_there(node: &Node, acknowledged: &[Value]) {
    for done in acknowledged {
        let id = done["request_id"].as_str().expect("an id");
        assert_eq!(node.look(&format!("/v1/requests/{id}"))["events"][0]["event_id"], done["event_id"]);
    }
    node.verifies();
}

/// The fault, of which call of the thread that writes this file.
fn inject(node: &mut Node, file: &str, fault: &str) {
    let path = node.data.join(file);
    let (path, fault) = (path.to_str().expect("a path").to_owned(), format!("inject={fault}"));
    node.under(&[
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        &path,
        "-e",
        "trace=fdatasync,pwrite64",
        "-e",
        &fault,
    ]);
}

/// Faults of the writer's calls, and what the log says of them.
const WRITER: [(&str, &str); 6] = [
    ("fdatasync:error=EIO:when=1", "store.write-failed"),
    ("fdatasync:error=EIO:when=4", "store.write-failed"),
    ("fdatasync:error=ENOSPC:when=2", "store.write-failed"),
    ("pwrite64:error=EIO:when=3", "store.write-failed"),
    ("pwrite64:error=EROFS:when=2+", "store.write-failed"),
    ("fdatasync:signal=KILL:when=3", ""),
];

#[test]
fn a_writer_whose_calls_fail_ends_the_node_and_loses_nothing() {
    if !is_there("strace") {
        return skip("strace is not installed");
    }
    let mut federation = Federation::stopped(2);
    let mut acknowledged = Vec::new();
    for (fault, code) in WRITER {
        let arvia = &mut federation.nodes[0];
        inject(arvia, "ledger/segments/000000.seg", fault);
        arvia.start(&[]);
        if arvia.answers_or_ended() {
            for _ in 0..REQUESTS_MAX {
                match arvia.post("/v1/requests", &opening()) {
                    Some((200 | 201, done)) => acknowledged.push(done),
                    Some((503 | 504, _)) | None => {} // the node is ending
                    other => panic!("{fault}: {other:?}"),
                }
                if arvia.has_ended() {
                    break;
                }
            }
        }
        wait_until(&format!("{fault} ends it"), || arvia.has_ended());
        let said = arvia.log();
        assert!(said.contains(code), "{fault}: {said}");
        arvia.kill();
        arvia.under(&[]);
        arvia.start(&[]);
        assert!(arvia.answers_or_ended(), "{fault}: it starts again");
        all_there(arvia, &acknowledged);
        assert_eq!(arvia.stop(), 0);
    }
    tell(&format!(
        "{} faults of the writer's calls, {} requests acknowledged, none lost",
        WRITER.len(),
        acknowledged.len()
    ));
    assert!(!acknowledged.is_empty(), "some were acknowledged before");
}

/// What is kept on the desk is promised too: a draft, what a witness holds. A desk that can keep nothing more ends the node.
#[test]
fn a_desk_whose_sync_fails_ends_the_node_too() {
    if !is_there("strace") {
        return skip("strace is not installed");
    }
    let mut federation = Federation::stopped(1);
    let arvia = &mut federation.nodes[0];
    arvia.start(&[]);
    assert!(arvia.answers_or_ended());
    assert_eq!(arvia.stop(), 0);
    inject(arvia, "desk/000000/000000.seg", "fdatasync:error=EIO:when=2");
    arvia.start(&[]);
    let mut kept = Vec::new();
    if arvia.answers_or_ended() {
        let voice = arvia.voice();
        for _ in 0..REQUESTS_MAX {
            let id = fresh_id();
            if let Some((200 | 201, _)) =
                voice.ask("PUT", &format!("/v1/drafts/{id}"), Some(&json!({ "procedure": "PRES" })))
            {
                kept.push(id);
            }
            if arvia.has_ended() {
                break;
            }
        }
    }
    wait_until("it ends", || arvia.has_ended());
    assert!(arvia.log().contains("store.write-failed"), "{}", arvia.log());
    arvia.kill();
    arvia.under(&[]);
    arvia.start(&[]);
    assert!(arvia.answers_or_ended());
    for id in kept {
        assert_eq!(arvia.get(&format!("/v1/drafts/{id}")).map(|(status, _)| status), Some(200));
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let done = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// A folder of memory, gone when dropped.
struct Memory<'p>(&'p Path);

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

/// As after `errors=remount-ro`: the node does not start, says why, changes nothing, and starts once the disk is writable.
#[test]
fn a_node_on_a_read_only_disk_says_so_and_loses_nothing() {
    let mut federation = Federation::of(2);
    let mut acknowledged = vec![federation.nodes[0].insist("/v1/requests", &opening())];
    let arvia = &mut federation.nodes[0];
    assert_eq!(arvia.stop(), 0);
    let data = arvia.data.clone();
    let aside = data.with_extension("aside");
    fs::rename(&data, &aside).expect("moved");
    fs::create_dir(&data).expect("made");
    if !mount(&["-t", "tmpfs", "-o", "size=300m,mode=0700", "tmpfs"], &data) {
        return skip("mounting needs root");
    }
    let _memory = Memory(&data);
    let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(&data).status();
    assert!(copied.is_ok_and(|status| status.success()), "copied");
    assert!(mount(&["-o", "remount,ro"], &data), "nobody writes there now");
    arvia.start(&[]);
    wait_until("it does not start", || arvia.has_ended());
    let said = arvia.log();
    assert!(said.contains("Read-only file system") && said.contains("store.unreadable"), "{said}");
    arvia.kill();
    assert!(mount(&["-o", "remount,rw"], &data), "the disk is well again");
    arvia.start(&[]);
    assert!(arvia.answers_or_ended());
    acknowledged.push(arvia.insist("/v1/requests", &opening()));
    all_there(arvia, &acknowledged);
    drop(federation);
}

/// A clock an hour ahead, then right again and so an hour behind the last record, then ahead of it: the node starts, says
/// so, and no record is earlier than the one before. Before its keys are valid it does not start.
#[test]
fn a_clock_that_jumps_is_named_and_turns_no_record_back() {
    if !is_there("faketime") {
        return skip("faketime is not installed");
    }
    let mut federation = Federation::stopped(1);
    let arvia = &mut federation.nodes[0];
    let start = |arvia: &mut Node, ahead: Option<&str>| {
        let under: Vec<&str> =
            ahead.into_iter().flat_map(|ahead| ["faketime", "--exclude-monotonic", "-f", ahead]).collect();
        arvia.under(&under);
        arvia.start(&[]);
        arvia.answers_or_ended().then(|| arvia.post("/v1/requests", &opening()).expect("it answers"))
    };
    let mut acknowledged = Vec::new();
    for (ahead, is_behind) in
        [(None, false), (Some("+1h"), false), (None, true), (Some("+2h"), false), (Some("+1h"), true)]
    {
        let (status, said) = start(arvia, ahead).unwrap_or_else(|| panic!("{ahead:?}: {}", arvia.log()));
        let (_, fitness) = arvia.voice().ask("GET", "/v1/ready", None).expect("answers");
        assert_eq!(fitness.to_string().contains("engine.clock-behind"), is_behind, "{ahead:?}: {fitness}");
        if is_behind {
            assert_eq!(said["code"], "engine.clock-behind", "{ahead:?}: {status} {said}");
        } else {
            assert!(matches!(status, 200 | 201), "{ahead:?}: {said}");
            acknowledged.push(said);
        }
        all_there(arvia, &acknowledged);
        assert_eq!(arvia.stop(), 0);
    }
    assert!(start(arvia, Some("-1d")).is_none(), "its keys are not valid yet");
    arvia.kill();
    let (_, said) = start(arvia, Some("+3h")).expect("it starts");
    acknowledged.push(said);
    all_there(arvia, &acknowledged);
    let feed = arvia.look("/v1/events?limit=100");
    let records = feed["events"].as_array().into_iter().flatten().filter(|item| item["index"].is_u64());
    let times: Vec<&str> = records.filter_map(|item| item["at"].as_str()).collect();
    assert!(times.len() >= acknowledged.len() && times.is_sorted(), "{feed}");
}
