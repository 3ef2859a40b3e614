//! The shapes that travel and rest: Rust types generated from `wire/*.proto`.
//!
//! This crate decides nothing. It holds the generated code (committed, checked fresh by a test),
//! `SPEC.md` with the numbered clauses that give the bytes their meaning, and `vectors/` with
//! known bytes, good and bad. Start with `SPEC.md`.
//!
//! To write the generated code again after changing `wire/`: `COMITY_BLESS=1 cargo test -p comity-proto`.

#![warn(missing_docs)]

/// Version 1 of every shape, as generated.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[rustfmt::skip]
pub mod v1;

#[cfg(test)]
mod fresh {
    use std::{fs, path::Path};

    const FILES: [&str; 8] = [
        "keys.proto",
        "charter.proto",
        "event.proto",
        "evidence.proto",
        "witness.proto",
        "store.proto",
        "backup.proto",
        "officer.proto",
    ];

    #[test]
    fn generated_code_is_what_the_wire_files_say() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shapes = protox::compile(FILES, [here.join("wire")]).expect("wire files compile");
        let out = std::env::temp_dir().join(format!("comity-proto-{}", std::process::id()));
        fs::create_dir_all(&out).expect("temporary folder");
        prost_build::Config::new().out_dir(&out).compile_fds(shapes).expect("code generation");
        let fresh = fs::read_to_string(out.join("comity.v1.rs")).expect("generated file");
        fs::remove_dir_all(&out).expect("temporary folder removed");
        let kept = here.join("src/v1.rs");
        if std::env::var_os("COMITY_BLESS").is_some() {
            fs::write(&kept, &fresh).expect("generated code written");
        }
        assert!(
            fs::read_to_string(&kept).is_ok_and(|code| code == fresh),
            "src/v1.rs is stale. Run: COMITY_BLESS=1 cargo test -p comity-proto"
        );
    }
}
