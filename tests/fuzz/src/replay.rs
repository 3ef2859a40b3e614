//! Replays the fuzzer's corpora in the ordinary tests: whatever an input once showed stays shown.
//!
//! A target of `comity-core`, so that it runs in the quick bell and on the stable compiler; the fuzzer's own
//! package lies outside the workspace.

mod targets;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use targets::TARGETS;

/// Inputs of one target and their bytes: few enough to replay and to keep in the repository.
const FILES_MAX: usize = 60;
const BYTES_MAX: usize = 200 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus")
}

/// The entries of a folder by name.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let read = fs::read_dir(folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()));
    let mut found: Vec<(String, PathBuf)> = read
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort();
    found
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let corpora: BTreeSet<String> = entries(&corpus()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(targets, corpora);
    for (target, folder) in entries(&corpus()) {
        let files = entries(&folder);
        let bytes: usize = files.iter().map(|(_, path)| fs::read(path).expect("reads").len()).sum();
        assert!((1..=FILES_MAX).contains(&files.len()), "{target} has {} inputs", files.len());
        assert!(bytes <= BYTES_MAX, "{target} has {bytes} bytes");
    }
}

#[test]
fn every_kept_input_keeps_every_promise() {
    for (name, target) in TARGETS {
        for (file, path) in entries(&corpus().join(name)) {
            let _replay = Replay(name, file);
            target(&fs::read(path).expect("reads"));
        }
    }
}

/// Prints which input it was if the target panics.
struct Replay(&'static str, String);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input tests/fuzz/corpus/{}/{} failed", self.0, self.1);
        }
    }
}
