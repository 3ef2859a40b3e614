//! What people do wrong: each is answered with a code, a reason and a way out, and nothing is lost.

use std::{fs, process::Stdio};

use serde_json::json;

use crate::rig::{Federation, comity, fresh_id, private, run, smallest_request};

/// Runs `comity run` on a node's folder until it ends by itself.
fn start(data: &std::path::Path, passphrase: &std::path::Path) -> (i32, String) {
    let mut command = comity();
    command.args(["run", "--until-stdin-closes", "--listen", "/ip4/127.0.0.1/tcp/0", "--data"]).arg(data);
    command.arg("--passphrase-file").arg(passphrase);
    let output = command.stdin(Stdio::null()).output().expect("runs");
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).expect("text"))
}

/// An error has its code first, and says what to do.
#[track_caller]
fn check((code, said): (i32, String), exit: i32, begins: &str, contains: &str) {
    assert_eq!(code, exit, "{said}");
    assert!(said.lines().any(|line| line.starts_with(begins)), "{begins} not in {said}");
    assert!(said.contains(contains), "{contains} not in {said}");
}

#[test]
fn a_wrong_start_says_why() {
    let federation = Federation::stopped(1);
    let data = &federation.nodes[0].data;
    let passphrase = federation.folder.path().join("passphrase");
    let wrong = federation.folder.path().join("wrong");

    private(&wrong, b"a horse of another colour\n");
    check(start(data, &wrong), 2, "keys.wrong-passphrase: ", "try again");

    let settings = fs::read_to_string(data.join("comity.toml")).expect("reads");
    private(&data.join("comity.toml"), format!("{settings}colour = \"red\"\nlog.level = \"loud\"\n").as_bytes());
    let said = start(data, &passphrase);
    check(said.clone(), 2, "config.mistakes: ", "config.unknown-key: ");
    assert!(said.1.contains("colour") && said.1.contains("config.bad-value"), "all mistakes at once: {}", said.1);

    private(&data.join("comity.toml"), settings.as_bytes());
    check(start(&federation.folder.path().join("nowhere"), &passphrase), 2, "config.no-file: ", "comity init");

    let pinned =
        |line: &str| if line.starts_with("charter = ") { line.replace(['1', '2', '3'], "0") } else { line.to_owned() };
    let other: Vec<String> = settings.lines().map(pinned).collect();
    private(&data.join("comity.toml"), other.join("\n").as_bytes());
    check(start(data, &passphrase), 2, "", "fingerprint");

    private(&data.join("comity.toml"), settings.as_bytes());
    let (code, said) = start(data, &passphrase);
    assert_eq!(code, 0, "nothing was lost: it starts again and stops when its input is closed: {said}");
}

#[test]
fn one_folder_has_one_process() {
    let mut federation = Federation::of(1);
    let passphrase = federation.folder.path().join("passphrase");
    check(start(&federation.nodes[0].data, &passphrase), 75, "store.", "process");
    assert_eq!(federation.nodes[0].look("/v1/status")["read_only"], serde_json::Value::Null, "the first is unharmed");
    assert_eq!(federation.nodes[0].stop(), 0);
}

#[test]
fn a_form_without_a_field_is_not_signed() {
    let federation = Federation::of(1);
    let node = &federation.nodes[0];
    let mut fields = smallest_request();
    fields["data.description"].take();
    fields.as_object_mut().expect("fields").remove("data.description");
    fields["data.categories"] = json!(["everything"]);
    let id = fresh_id();
    let file = federation.folder.path().join("request.json");
    private(&file, fields.to_string().as_bytes());
    let data = node.data.to_str().expect("a plain path");
    let file = file.to_str().expect("a plain path");

    let (code, out, err) = run(&["request", "new", "PRES", "--to", "XB", "--id", &id, "--file", file, "--data", data]);
    assert_eq!(code, 0, "a draft may lack anything: {err}");
    assert!(out.contains("form.missing-field: data.description"), "and says what: {out}");
    let (code, _, err) = run(&["request", "send", &id[..], "--data", data]);
    check((code, err.clone()), 1, "form.incomplete: ", "  form.missing-field: data.description: ");
    assert!(err.contains("form.unknown-code: data.categories"), "all mistakes at once: {err}");
    let (code, out, _) = run(&["--json", "request", "send", &id[..], "--data", data]);
    let error: serde_json::Value = serde_json::from_str(&out).expect("one object");
    assert_eq!((code, &error["code"], &error["schema"]), (1, &json!("form.incomplete"), &json!("comity/error/v1")));
    assert_eq!(node.look("/v1/ledger")["size"], 4, "charter and profiles: nothing was signed");

    let set = ["--set", "data.description=Logs", "--set", "data.categories=traffic"];
    let (code, out, err) = run(&[&["request", "edit", &id[..12]], &set[..], &["--data", data]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("complete"), "{out}");
    let (code, _, err) = run(&["request", "send", &id, "--data", data]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = run(&["request", "act", &id, "preserve", "--data", data]);
    check((code, err), 1, "form.incomplete: ", "measure.taken");
}

#[test]
fn wrong_use_is_2_and_no_node_is_75() {
    let federation = Federation::stopped(1);
    let data = federation.nodes[0].data.to_str().expect("a plain path");
    let said = |arguments: &[&str]| {
        let (code, _, err) = run(arguments);
        (code, err)
    };
    check(said(&["status", "--data", data]), 75, "cli.no-node: ", "comity run");
    check(said(&["status", "--data", "/nowhere"]), 2, "cli.no-folder: ", "--data");
    check(said(&["explain", "form.missing-feild"]), 2, "cli.unknown-code: ", "form.missing-field");
    check(said(&["request", "dance"]), 2, "error: ", "Usage");
    let (code, out, _) = run(&["explain", "form.missing-field"]);
    assert_eq!(code, 0);
    assert!(out.contains("What:") && out.contains("Why:") && out.contains("Do:"), "{out}");
}
