//! A full disk: the node refuses with a clear code, goes on answering, and loses nothing; when there
//! is room again it goes on by itself.
//!
//! The disk is a small memory file system mounted for one test, which needs root.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use comity::store::disk_room;
use serde_json::json;

use crate::rig::{Federation, fresh_id, smallest_request, wait_until};

/// Room for the first segments, and for the reserve the node keeps free (64 MiB).
const SIZE: &str = "size=200m,mode=0700";
/// What is left when the disk counts as full: less than the reserve.
const LEFT_BYTES: u64 = 32 << 20;

/// A mounted memory file system, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).expect("made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    /// Takes all room but a little.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).expect("made");
        let block = vec![1_u8; 1 << 20];
        while disk_room(&self.0).expect("the system says").0 > LEFT_BYTES {
            file.write_all(&block).expect("there is room");
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()), "unmounted");
    }
}

#[test]
fn a_full_disk_refuses_clearly_and_loses_nothing() {
    let mut federation = Federation::stopped(2);
    let data = federation.nodes[0].data.clone();
    let aside = data.with_extension("aside");
    fs::rename(&data, &aside).expect("moved");
    let Some(disk) = SmallDisk::mount(&data) else {
        return crate::skip("mounting a small disk needs root");
    };
    let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(&data).status();
    assert!(copied.is_ok_and(|status| status.success()), "copied");
    federation.nodes.iter_mut().for_each(|node| node.start(&[]));
    federation.linked();

    let (arvia, belmar) = (&federation.nodes[0], &federation.nodes[1]);
    let opening = || {
        json!({
            "request_id": fresh_id(), "procedure": "PRES", "recipients": ["XB"], "authority": "central",
            "fields": smallest_request(),
        })
    };
    let mut acknowledged = vec![arvia.insist("/v1/requests", &opening())];
    let filler = disk.fill();
    let refused = opening();
    let (status, problem) = arvia.post("/v1/requests", &refused).expect("it answers");
    assert_eq!((status, problem["code"].as_str()), (507, Some("store.disk-full")), "{problem}");
    assert_eq!(arvia.look("/v1/status")["read_only"], serde_json::Value::Null, "it goes on answering");

    fs::remove_file(filler).expect("removed");
    wait_until("there is room again", || match arvia.post("/v1/requests", &refused) {
        Some((200 | 201, done)) => {
            acknowledged.push(done);
            true
        }
        Some((507, _)) => false,
        other => panic!("neither done nor full: {other:?}"),
    });
    for done in &acknowledged {
        let id = done["request_id"].as_str().expect("an id");
        wait_until("Belmar holds it", || {
            belmar.get(&format!("/v1/requests/{id}")).is_some_and(|(status, _)| status == 200)
        });
        assert_eq!(arvia.look(&format!("/v1/requests/{id}"))["events"][0]["event_id"], done["event_id"]);
    }
    drop(federation);
    drop(disk);
}
