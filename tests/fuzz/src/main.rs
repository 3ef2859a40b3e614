//! The fuzzer's process. `COMITY_FUZZ_TARGET` names the one target it runs; `run` sets it.

#![no_main]

mod targets;

use std::{env, sync::LazyLock};

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = env::var("COMITY_FUZZ_TARGET").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("COMITY_FUZZ_TARGET must name a target, not {name:?}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
