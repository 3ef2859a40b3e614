//! The known bytes of `proto/vectors`: that the files are what these modules write, and that the
//! real functions say of every case what the file expects.
//!
//! `shapes` is what a file holds, `material` makes the bytes that need signatures (ML-DSA signing is
//! hedged, so they are made once and kept), `cases` write the files from them, `judge` calls the
//! functions under test. To write all files anew: `COMITY_BLESS=1 cargo test -p comity-core vectors`; with `COMITY_BLESS=more`
//! material that is there already stays as it is. Those below `v1/` are of version 1 and are never written again.

// `judge` sorts inputs by kind once; the functions it sorts them to say that nothing else may come.
#![allow(clippy::wildcard_enum_match_arm)]

mod evidence_cases;
mod exchange_cases;
mod floor_cases;
mod judge;
mod ledger_cases;
mod material;
mod officer_cases;
mod rest;
mod shapes;
mod thread;
mod trust_cases;

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Once};

use self::{
    judge::{judge, said},
    material::{Material, MaterialFile},
    shapes::{Case, Expect, File, Input},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto/vectors")
}

fn files(m: &Material) -> Vec<File> {
    [
        floor_cases::files(m),
        trust_cases::files(m),
        exchange_cases::files(m),
        ledger_cases::files(m),
        evidence_cases::files(m),
        officer_cases::files(m),
    ]
    .concat()
}

/// The material as kept; made anew first, with every file, when blessing.
fn kept() -> Material {
    static BLESSED: Once = Once::new();
    BLESSED.call_once(|| {
        if let Some(how) = std::env::var_os("COMITY_BLESS") {
            let fresh = material::fresh();
            let fresh = if how == "more" { fresh.but(&read::<MaterialFile>("material.json")) } else { fresh };
            write("material.json", &fresh.file());
            files(&fresh).iter().for_each(|file| write(&format!("{}.json", file.family), file));
        }
    });
    Material::read(&read::<MaterialFile>("material.json"))
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = folder().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write(name: &str, value: &impl serde::Serialize) {
    let mut text = serde_json::to_string_pretty(value).expect("JSON");
    text.push('\n');
    fs::write(folder().join(name), text).expect("written");
}

/// A case that must pass with these outputs.
fn ok<const N: usize>(name: &str, clauses: &[&str], input: Input, outputs: [(&str, String); N]) -> Case {
    let outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    case(name, clauses, input, Expect::Ok(outputs))
}

/// A case that must be refused with this code, and this one beneath it if that is not empty.
fn bad(name: &str, clauses: &[&str], input: Input, code: &str, cause: &str) -> Case {
    let cause = (!cause.is_empty()).then(|| cause.to_owned());
    case(name, clauses, input, Expect::Refused { code: code.into(), cause })
}

/// A case whose outputs are computed here and kept in the file; it must pass.
fn computed(m: &Material, name: &str, clauses: &[&str], input: Input) -> Case {
    let expect = said(judge(m, &input));
    assert!(matches!(expect, Expect::Ok(_)), "{name}: {expect:?}");
    case(name, clauses, input, expect)
}

fn case(name: &str, clauses: &[&str], input: Input, expect: Expect) -> Case {
    Case { name: name.into(), clauses: clauses.iter().map(|tag| format!("[{tag}]")).collect(), input, expect }
}

fn file(family: &str, about: &str, cases: Vec<Case>) -> File {
    File { family: family.into(), about: about.into(), cases }
}

#[test]
fn every_case_is_judged_as_its_file_says() {
    let m = kept();
    let mut wrong = Vec::new();
    for expected in files(&m) {
        let kept: File = read(&format!("{}.json", expected.family));
        for case in &kept.cases {
            let found = said(judge(&m, &case.input));
            if found != case.expect {
                wrong.push(format!("{}: {}: {found:?}, expected {:?}", kept.family, case.name, case.expect));
            }
        }
        assert!(
            kept == expected,
            "{}.json is stale. Run: COMITY_BLESS=1 cargo test -p comity-core vectors",
            kept.family
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Known bytes of version 1, as they were when it was closed: read under their own material, made by nothing any more.
#[test]
fn every_case_of_version_1_is_still_judged_as_it_was() {
    let m = Material::read(&read::<MaterialFile>("v1/material.json"));
    let mut cases = 0;
    for entry in fs::read_dir(folder().join("v1")).expect("is there") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        if name == "material.json" {
            continue;
        }
        let kept: File = read(&format!("v1/{name}"));
        for case in &kept.cases {
            assert_eq!(said(judge(&m, &case.input)), case.expect, "{name}: {}", case.name);
            cases += 1;
        }
    }
    assert!(cases > 400, "{cases}");
}

#[test]
fn names_are_unique_and_all_material_is_used() {
    let m = kept();
    let mut used = String::new();
    for file in files(&m) {
        let names: BTreeSet<&String> = file.cases.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), file.cases.len(), "{}", file.family);
        assert!(file.cases.iter().any(|case| matches!(case.expect, Expect::Ok(_))), "{} has a good case", file.family);
        used.push_str(&serde_json::to_string(&file).expect("JSON"));
    }
    let unused: Vec<&String> = m.bytes.keys().filter(|name| !used.contains(&format!("\"{name}\""))).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn an_unknown_word_in_a_file_is_refused() {
    let good = r#"{"name":"n","clauses":[],"input":{"pae":{"payload_type":"t","payload":"00"}},"expect":{"ok":{}}}"#;
    assert!(serde_json::from_str::<Case>(good).is_ok());
    for word in ["name", "payload_type", "ok", "payload"] {
        let spoiled = good.replacen(&format!("\"{word}\""), &format!("\"{word}\":1,\"x\""), 1);
        assert!(serde_json::from_str::<Case>(&spoiled).is_err(), "{word}");
    }
}
