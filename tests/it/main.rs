//! The one integration binary: everything that looks at the house as a whole or runs whole nodes.
//! One binary, because each further one would link the network stack again.

mod audit;
mod backup;
mod bench;
mod ceremony;
mod crash;
mod demo;
mod deploy;
mod disk;
mod erasure;
mod evidence;
mod faults;
mod frozen;
mod index;
mod mistakes;
mod namespaces;
mod officers;
mod roster;
mod rotation;
mod secrets;
mod tidy;
mod token;
mod walkthrough;
mod witness;

// What the long runs use as well.
#[path = "../src/backlog.rs"]
mod backlog;
#[path = "../src/handover.rs"]
mod handover;
#[path = "../src/lan.rs"]
mod lan;
#[path = "../src/officials.rs"]
mod officials;
#[path = "../src/rig.rs"]
mod rig;
#[path = "../src/story.rs"]
mod story;

/// Says aloud that a test could not run here. Where nothing may be left out (`COMITY_NO_SKIP=1`,
/// as the full run sets it), that is a failure.
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    let strict = std::env::var_os("COMITY_NO_SKIP").is_some_and(|set| set == "1");
    assert!(!strict, "SKIPPED: {why} (COMITY_NO_SKIP=1 allows no skipping)");
}
