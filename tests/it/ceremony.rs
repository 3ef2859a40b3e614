//! Ceremonies by file, as officers run them: each step the binary itself, each file carried from hand to hand.
//!
//! Three officers, of whom two must sign, found a network of four Parties. Keys are made once for all tests, for each
//! pair costs a slow key derivation; what a test writes goes into a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use comity_core::profile::{Kind, claimed};
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::rig::{private, run};

const OFFICERS: [&str; 4] = ["officer-1", "officer-2", "officer-3", "officer-4"];
const ROOTS: [&str; 5] = ["root-XA", "root-XB", "root-XC", "root-XD", "root-XE"];

/// The keys everybody brings, and the charter two officers have signed.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// Makes the keys and founds the network, once.
fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let desk = Desk { folder: tempfile::tempdir().expect("folder") };
        private(&desk.folder.path().join("passphrase"), b"correct horse battery staple\n");
        for (names, role) in [(&OFFICERS[..], "charter"), (&ROOTS[..], "root")] {
            for name in names {
                let made =
                    ["key", "create", &desk.at(name), "--role", role, "--passphrase-file", &desk.at("passphrase")];
                fine(&made);
            }
        }
        let mut draft = words("charter draft --network four.comity.test --exercise --threshold 2 --instrument BC");
        draft.extend(words("--party XA:Arvia --party XB:Belmar --party XC:Corvia --party XD:Dorvia"));
        draft.extend(words("--signer officer-1.pub --signer officer-2.pub --signer officer-3.pub --out"));
        fine(&[&draft[..], &[&desk.at("charter.toml")]].concat());
        let next = fine(&["charter", "propose", &desk.at("charter.toml"), "--out", &desk.at("proposal.dsse")]);
        assert!(next.contains("0 of 2 needed") && next.contains("Next:"), "{next}");
        for n in 1..=2 {
            sign(desk.at("proposal.dsse"), &format!("officer-{n}"), desk.at(&format!("signed-{n}.dsse")), &desk);
        }
        let done = fine(&[
            "charter",
            "collect",
            &desk.at("proposal.dsse"),
            &desk.at("signed-1.dsse"),
            &desk.at("signed-2.dsse"),
            "--out",
            &desk.at("charter.dsse"),
        ]);
        assert!(done.contains("This charter is complete"), "{done}");
        fine(&["charter", "kit", "--charter", &desk.at("charter.dsse"), "--out", &desk.at("kit.comity")]);
        desk
    })
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// Runs a command that must succeed, and gives what it said.
#[track_caller]
fn fine(arguments: &[&str]) -> String {
    let (code, out, err) = run(arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

/// Runs a command that must fail with this exit code, and say this.
#[track_caller]
fn fails(arguments: &[&str], exit: i32, says: &str) {
    let (code, out, err) = run(arguments);
    assert_eq!(code, exit, "{arguments:?}: {out}{err}");
    assert!(err.contains(says) || out.contains(says), "{says} not in: {out}{err}");
}

fn sign(what: String, who: &str, out: String, desk: &Desk) {
    let keys = desk.at(who);
    let passphrase = desk.at("passphrase");
    fine(&["charter", "sign", &what, "--keys", &keys, "--out", &out, "--passphrase-file", &passphrase]);
}

/// A later charter: drafted after the first one, changed, and proposed.
fn second(folder: &Path, change: impl Fn(String) -> String, desk: &Desk) -> PathBuf {
    let [draft, changed, proposal] = ["draft.toml", "charter-2.toml", "proposal-2.dsse"].map(|name| folder.join(name));
    let [plain, changed_text, out] = [&draft, &changed, &proposal].map(|path| path.display().to_string());
    fine(&["charter", "draft", "--after", &desk.at("charter.dsse"), "--out", &plain]);
    let text = change(fs::read_to_string(&draft).expect("reads"));
    fs::write(&changed, text).expect("written");
    fine(&["charter", "propose", &changed_text, "--after", &desk.at("charter.dsse"), "--out", &out]);
    proposal
}

/// Puts a `.pub` file in the place of the root keys of a Party in a draft.
fn new_roots(text: String, party: &str, file: &str) -> String {
    let mut table: toml::Table = toml::from_str(&text).expect("a draft");
    let parties = table["party"].as_array_mut().expect("Parties");
    let named = |entry: &&mut toml::Value| entry["code"].as_str() == Some(party);
    let entry = parties.iter_mut().find(named).expect("the Party");
    entry["root"]["keys"] = vec![file.to_owned()].into();
    toml::to_string(&table).expect("a draft")
}

#[test]
fn three_officers_found_a_network_of_four_parties() {
    let desk = desk();
    let shown = fine(&["charter", "show", &desk.at("charter.dsse")]);
    for part in ["Party XD: Dorvia", "2 of 3 signers must sign", "an EXERCISE", "Instrument BC for XC", "In words:"] {
        assert!(shown.contains(part), "{part} not in {shown}");
    }
    let object: Value =
        serde_json::from_str(&fine(&["--json", "charter", "show", &desk.at("charter.dsse")])).expect("one");
    assert_eq!((&object["schema"], &object["outcome"]), (&"comity/ceremony/v1".into(), &"complete".into()));
    let fingerprint = object["id"].as_str().expect("text");
    fine(&["verify", &desk.at("charter.dsse"), "--fingerprint", fingerprint]);
    fine(&["verify", &desk.at("kit.comity"), "--fingerprint", object["words"].as_str().expect("text")]);
    fails(&["verify", &desk.at("charter.dsse"), "--fingerprint", &"00".repeat(32)], 1, "ceremony.other-fingerprint: ");
    fails(&["verify", &desk.at("proposal.dsse")], 1, "does NOT hold");
    fails(&["verify", &desk.at("charter.toml")], 2, "ceremony.no-document: ");

    let folder = tempfile::tempdir().expect("folder");
    let minutes = folder.path().join("minutes.md");
    fine(&["charter", "minutes", &desk.at("charter.dsse"), "--out", minutes.to_str().expect("plain")]);
    let minutes = fs::read_to_string(minutes).expect("reads");
    assert!(minutes.contains(fingerprint) && minutes.contains("Place: ___"), "{minutes}");
    let key = fine(&["key", "show", &desk.at("officer-1")]);
    assert!(key.contains("Role: charter") && key.contains("In words:"), "{key}");
}

#[test]
fn what_does_not_count_is_refused_and_said() {
    let desk = desk();
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let collect = |copies: &[&str], out: &str| {
        let mut arguments = vec!["charter".to_owned(), "collect".to_owned(), desk.at("proposal.dsse")];
        arguments.extend(copies.iter().map(|copy| (*copy).to_owned()));
        arguments.extend(["--out".to_owned(), out.to_owned()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&arguments)
    };
    let check = |copies: &[&str], says: &str| {
        let (code, out, err) = collect(copies, &at("never.dsse"));
        assert_eq!(code, 1, "{says}: {out}{err}");
        assert!(out.contains(says) || err.contains(says), "{says} not in: {out}{err}");
        assert!(!folder.path().join("never.dsse").exists(), "{says}: nothing is written");
    };
    let [one, two] = ["signed-1.dsse", "signed-2.dsse"].map(|name| desk.at(name));
    check(&[&one], "1 more of the charter's signers");
    check(&[&one, &one], "1 more of the charter's signers");
    // One officer who signs twice, with other bytes each time, counts once.
    sign(desk.at("proposal.dsse"), "officer-1", at("again.dsse"), desk);
    check(&[&one, &at("again.dsse")], "1 of 2 needed");

    let mut tampered = fs::read(&two).expect("reads");
    let last = tampered.len() - 10;
    tampered[last] ^= 1;
    fs::write(at("tampered.dsse"), &tampered).expect("written");
    check(&[&one, &at("tampered.dsse")], "ceremony.bad-signature: ");

    let passphrase = desk.at("passphrase");
    let stranger = desk.at("officer-4");
    let out = at("stranger.dsse");
    let proposal = desk.at("proposal.dsse");
    let signing = ["charter", "sign", &proposal, "--keys", &stranger, "--out", &out, "--passphrase-file", &passphrase];
    fails(&signing, 2, "ceremony.not-a-signer: ");
    let again =
        ["charter", "sign", &one, "--keys", &desk.at("officer-1"), "--out", &out, "--passphrase-file", &passphrase];
    fails(&again, 2, "ceremony.signed-already: ");

    // A wrong file, a file that is there, a name that is not.
    let other = second(folder.path(), |text| text.replacen("grace_days = 180", "grace_days = 90", 1), desk);
    check(&[&one, &other.display().to_string()], "ceremony.other-content: ");
    fails(&["charter", "collect", &proposal, &one, &two, "--out", &one], 2, "ceremony.exists: ");
    fails(&["charter", "show", &at("nowhere.dsse")], 2, "ceremony.unreadable: ");
    fails(&["key", "create", &desk.at("officer-1"), "--role", "root", "--passphrase-file", &passphrase], 2, "exists: ");
    let draft = desk.at("charter.toml");
    let text = fs::read_to_string(&draft).expect("reads").replacen("grace_days", "days_of_grace", 1);
    fs::write(at("wrong.toml"), text).expect("written");
    fails(&["charter", "propose", &at("wrong.toml"), "--out", &at("x.dsse")], 2, "line ");
}

/// [C-5]: both thresholds sign. [C-6]: root keys changed without their Party are shown for what they are.
#[test]
fn the_next_charter_is_signed_by_old_and_new() {
    let desk = desk();
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let replaced = |text: String| {
        let mut table: toml::Table = toml::from_str(&text).expect("a draft");
        let officers = ["officer-2", "officer-3", "officer-4"].map(|name| desk.at(&format!("{name}.pub")));
        table["signers"]["keys"] = officers.to_vec().into();
        let parties = table["party"].as_array_mut().expect("Parties");
        let mut estria = parties[0].clone();
        estria["code"] = "XE".into();
        estria["name"] = "Estria".into();
        estria["root"]["keys"] = vec![desk.at("root-XE.pub")].into();
        parties.push(estria);
        toml::to_string(&table).expect("a draft")
    };
    let proposal = second(folder.path(), replaced, desk).display().to_string();
    let (first, passphrase) = (desk.at("charter.dsse"), desk.at("passphrase"));
    let signed = |who: &str| {
        let (out, keys) = (at(&format!("{who}.dsse")), desk.at(who));
        let arguments = ["charter", "sign", &proposal, "--after", &first, "--keys", &keys, "--out", &out];
        fine(&[&arguments[..], &["--passphrase-file", &passphrase]].concat());
        out
    };
    let [one, two, four] = ["officer-1", "officer-2", "officer-4"].map(signed);
    let out = at("charter-2.dsse");
    let collect = ["charter", "collect", &proposal, "--after", &first, "--out", &out];
    fails(&[&collect[..], &[&two, &four]].concat(), 1, "1 more of the signers of the version before");
    fails(&[&collect[..], &[&one, &two]].concat(), 1, "1 more of the charter's signers");
    fails(&["charter", "collect", &proposal, &one, &two, &four, "--out", &out], 2, "ceremony.needs-other: ");
    let done = fine(&[&collect[..], &[&one, &two, &four]].concat());
    assert!(done.contains("This charter is complete") && done.contains("Gone: Signer"), "{done}");

    // Its fingerprint, given by hand, is enough for a Party that joins now, also one that had its folder before.
    assert!(done.contains("New: Party XE: Estria"), "{done}");
    let kit = at("kit.comity");
    fine(&["charter", "kit", "--charter", &out, "--out", &kit]);
    fine(&["verify", &kit]);
    fine(&["verify", &out]);
    let data = at("estria");
    let join = |kit: &str, charter: &str| {
        let object: Value = serde_json::from_str(&fine(&["--json", "charter", "show", charter])).expect("one");
        let print = object["id"].as_str().expect("text").to_owned();
        let arguments = ["init", "--join", kit, "--party", "XE", "--data", &data, "--passphrase-file", &passphrase];
        (fine(&[&arguments[..], &["--fingerprint", &print]].concat()), print)
    };
    let lock = || fs::read(format!("{data}/keys/lock.pem")).expect("reads");
    assert!(join(&desk.at("kit.comity"), &first).0.contains("does not name this Party yet"));
    let (keys, draft) = (lock(), format!("{data}/profile.toml"));
    let edited = fs::read_to_string(&draft).expect("reads").replacen("Central Authority", "Ministry", 1);
    fs::write(&draft, edited).expect("written");
    let (said, print) = join(&kit, &out);
    assert!(said.contains("profile propose") && said.contains("estria.before"), "{said}");
    assert_eq!(lock(), keys, "its keys are kept");
    assert!(fs::read_to_string(format!("{data}/comity.toml")).expect("reads").contains(&print));
    let proposed = fine(&["profile", "propose", &draft, "--charter", &out, "--out", &at("profile-XE.dsse")]);
    assert!(proposed.contains("Ministry") && !proposed.contains("NOTE: "), "{proposed}");
}

/// [C-6]: a secretariat cannot become a State unseen.
#[test]
fn a_hostile_secretariat_is_seen() {
    let desk = desk();
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let hostile = |text: String| new_roots(text, "XB", &desk.at("root-XD.pub"));
    let proposal = second(folder.path(), hostile, desk).display().to_string();
    let (first, passphrase) = (desk.at("charter.dsse"), desk.at("passphrase"));
    const ALARM: &str = "root keys of Party XB are changed WITHOUT ITS CONSENT";
    fails(&["charter", "show", &proposal, "--after", &first], 1, ALARM);
    let sign = |who: &str| {
        let (out, keys) = (at(&format!("{who}.dsse")), desk.at(who));
        let arguments = ["charter", "sign", &proposal, "--after", &first, "--keys", &keys, "--out", &out];
        let said = fine(&[&arguments[..], &["--passphrase-file", &passphrase]].concat());
        assert!(said.contains(ALARM) || who == "root-XB", "who signs is told: {said}");
        out
    };
    let [one, two] = ["officer-1", "officer-2"].map(sign);
    let out = at("hostile.dsse");
    let collect = ["charter", "collect", &proposal, "--after", &first, &one, &two];
    fails(&[&collect[..], &["--out", &out]].concat(), 1, "re-founding");
    let minutes = at("minutes.txt");
    fine(&["charter", "minutes", &out, "--after", &first, "--out", &minutes]);
    assert!(fs::read_to_string(&minutes).expect("reads").contains(ALARM));

    let agreed = sign("root-XB");
    let said = fine(&[&collect[..], &[&agreed, "--out", &at("agreed.dsse")]].concat());
    assert!(!said.contains(ALARM), "with the Party's own keys it is an ordinary change: {said}");
}

#[test]
fn a_party_joins_from_a_kit_and_declares_itself() {
    let desk = desk();
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let [charter, kit, passphrase, data] =
        [desk.at("charter.dsse"), desk.at("kit.comity"), desk.at("passphrase"), at("arvia")];
    let object: Value = serde_json::from_str(&fine(&["--json", "charter", "show", &charter])).expect("one");
    let fingerprint = object["words"].as_str().expect("text").to_owned();
    let join = |print: &str, party: &str, data: &str| {
        let arguments = ["init", "--join", &kit, "--party", party, "--data", data, "--passphrase-file", &passphrase];
        run(&[&arguments[..], &["--fingerprint"], &words(print)].concat())
    };
    let (code, _, err) = join(&fingerprint.replacen(' ', " zebra ", 1), "XA", &data);
    assert!(code == 2, "{err}");
    let mut wrong = words(&fingerprint);
    wrong[5] = if wrong[5] == "zoo" { "zebra" } else { "zoo" };
    let (code, _, err) = join(&wrong.join(" "), "XA", &data);
    assert!(code == 2 && err.contains("ceremony.no-fingerprint: "), "{err}");
    let (code, _, err) = join(&"00".repeat(32), "XA", &data);
    assert!(code == 1 && err.contains("ceremony.other-fingerprint: "), "{err}");
    assert!(!Path::new(&data).exists(), "nothing is made under a wrong fingerprint");

    let (code, said, err) = join(&fingerprint, "XA", &data);
    assert_eq!(code, 0, "{err}");
    assert!(said.contains("comity profile propose"), "{said}");
    let (code, _, err) = join(&fingerprint, "XA", &data);
    assert!(code == 2 && err.contains("ceremony.exists: "), "the kit is no newer: {err}");
    let (code, said, _) = join(&fingerprint, "XE", &at("estria"));
    assert!(code == 0 && said.contains("does not name this Party yet") && said.contains(".pub"), "{said}");

    let lacks = |data: &str| -> Vec<String> {
        let (code, said, err) = run(&["--json", "doctor", "--data", data]);
        assert_eq!(code, 1, "{err}");
        let found: Value = serde_json::from_str(&said).expect("one object");
        let steps = found["node"]["steps"].as_array().expect("steps").iter();
        steps.filter_map(|step| step["code"].as_str()).map(str::to_owned).collect()
    };
    assert_eq!(lacks(&data), ["trust.no-own-profile", "cli.no-node"]);
    assert_eq!(lacks(&at("estria")), ["profile.not-chartered", "trust.no-own-profile", "cli.no-node"]);

    let (draft, proposal, copy) = (format!("{data}/profile.toml"), at("profile.dsse"), at("signed.dsse"));
    let profile = format!("{data}/charter/profiles/XA.dsse");
    let under = ["--charter", &charter];
    fine(&[&["profile", "propose", &draft, "--out", &proposal], &under[..]].concat());
    let signing = |keys: &str, out: &str| {
        let signing = ["profile", "sign", &proposal, "--keys", keys, "--out", out, "--passphrase-file", &passphrase];
        run(&[&signing[..], &under].concat())
    };
    let (code, _, err) = signing(&desk.at("root-XB"), &copy);
    assert!(code == 2 && err.contains("ceremony.not-a-signer: "), "{err}");
    assert_eq!(signing(&desk.at("root-XA"), &copy).0, 0);
    fine(&[&["profile", "collect", &proposal, &copy, "--out", &profile], &under[..]].concat());
    fine(&[&["verify", &profile], &under[..]].concat());
    fails(&["verify", &profile], 2, "ceremony.needs-other: ");
    assert_eq!(lacks(&data), ["cli.no-node"], "all that is missing is that it runs");
    starts(&data, &passphrase);
    weekly_and_emergency(&data, &profile, &charter, &passphrase, &desk.at("root-XA"), &at);
}

/// What the ceremony made is what a node runs on.
fn starts(data: &str, passphrase: &str) {
    let listen = ["--listen", "/ip4/127.0.0.1/tcp/0"];
    let arguments = ["run", "--until-stdin-closes", "--data", data, "--passphrase-file", passphrase];
    fine(&[&arguments[..], &listen].concat());
}

/// The Party's directory, signed by its node, and the brake, by one root key; all of it in the next kit.
fn weekly_and_emergency(
    data: &str,
    profile: &str,
    charter: &str,
    passphrase: &str,
    root: &str,
    at: &dyn Fn(&str) -> String,
) {
    let beside = ["--charter", charter, "--profile", profile];
    let [draft, proposal, directory] = ["directory.toml", "directory.dsse", "directory-signed.dsse"].map(at);
    fine(&[&["profile", "draft", "--directory", "--out", &draft], &beside[..]].concat());
    let text = fs::read_to_string(&draft).expect("reads");
    let found = "multiaddrs = [\"/dns/node.xa.test/tcp/4810\"]";
    fs::remove_file(&draft).expect("removed");
    fs::write(&draft, text.replacen("multiaddrs = []", found, 1)).expect("written");
    fine(&[&["profile", "propose", &draft, "--out", &proposal], &beside[..]].concat());
    fails(&[&["verify", &proposal], &beside[..]].concat(), 1, "does NOT hold");
    let keys = format!("{data}/keys");
    let locked = ["--passphrase-file", passphrase];
    fine(&[&["profile", "sign", &proposal, "--keys", &keys, "--out", &directory], &locked[..], &beside].concat());
    fine(&[&["verify", &directory], &beside[..]].concat());

    let [brake, stopped] = ["suspension.dsse", "suspension-signed.dsse"].map(at);
    let under = ["--charter", charter];
    let suspend =
        ["profile", "suspend", "--party", "XA", "--reason", "key-lost", "--profile", profile, "--out", &brake];
    fine(&[&suspend[..], &under].concat());
    fine(&[&["profile", "sign", &brake, "--keys", root, "--out", &stopped], &locked[..], &under].concat());
    fine(&[&["verify", &stopped], &under[..]].concat());

    let kit = at("kit.comity");
    fine(&["charter", "kit", "--charter", charter, "--out", &kit, "--profiles", &directory, profile]);
    let said = fine(&["verify", &kit]);
    assert!(said.contains("directory of XA") && said.contains("profile of XA"), "{said}");
    let object: Value = serde_json::from_str(&fine(&["--json", "charter", "show", charter])).expect("one");
    let print = object["id"].as_str().expect("text");
    let other = at("belmar");
    let join = ["init", "--join", &kit, "--party", "XB", "--data", &other, "--fingerprint", print];
    fine(&[&join[..], &locked].concat());
    // What does not hold of a Party is left out by who joins, and named.
    let bundle = fs::read(&kit).expect("reads");
    let mut bundle = comity_core::proto::Bundle::decode(&bundle[..]).expect("a kit");
    let forged = bundle.envelopes.iter_mut().find(|one| claimed(one).is_ok_and(|named| named.kind == Kind::Profile));
    let forged = forged.expect("a profile");
    let mut envelope = comity_core::proto::Envelope::decode(&forged[..]).expect("an envelope");
    envelope.signatures[0].signature[5] ^= 1;
    *forged = envelope.encode_to_vec();
    let spoilt = at("spoilt.comity");
    fs::write(&spoilt, bundle.encode_to_vec()).expect("written");
    fails(&["verify", &spoilt], 1, "profile of XA does NOT hold: profile.threshold-not-met");
    let without = at("without");
    let join = ["init", "--join", &spoilt, "--party", "XB", "--data", &without, "--fingerprint", print];
    let (code, _, said) = run(&[&join[..], &locked].concat());
    assert!(
        code == 0 && said.contains("Left out of the kit, until it comes from the network: profile of XA: "),
        "{said}"
    );
    assert!(!Path::new(&without).join("charter/profiles/XA.dsse").exists());

    // A Party whose node is made anew finds its profile in the kit; the next one does not go over it.
    let rebuilt = at("rebuilt");
    let join = ["init", "--join", &kit, "--party", "XA", "--data", &rebuilt, "--fingerprint", print];
    let said = fine(&[&join[..], &locked].concat());
    assert!(said.contains("charter/profiles/XA-next.dsse") && !said.contains("profiles/XA.dsse"), "{said}");
    let settings = fs::read_to_string(format!("{other}/comity.toml")).expect("reads");
    assert!(settings.contains("peers.XA.addresses = [\"/dns/node.xa.test/tcp/4810\"]"), "{settings}");
    assert!(Path::new(&other).join("charter/directories/XA.dsse").is_file());
}

#[test]
fn a_rehearsal_runs_the_same_steps_and_leaves_minutes() {
    let folder = tempfile::tempdir().expect("folder");
    let out = folder.path().join("rehearsal").display().to_string();
    let (code, said, talk) = run(&["charter", "rehearse", "--out", &out, "--officers", "2", "--threshold", "1"]);
    assert_eq!(code, 0, "{said}{talk}");
    for step in
        ["$ comity charter propose", "$ comity charter sign", "$ comity init --join", "$ comity profile collect"]
    {
        assert!(talk.contains(step), "{step} not in {talk}");
    }
    let minutes = fs::read_to_string(format!("{out}/minutes.md")).expect("reads");
    assert!(minutes.contains("an EXERCISE"), "{minutes}");
    fails(&["charter", "rehearse", "--out", &out], 2, "ceremony.exists: ");

    // A public half that is lost comes back from its keys, and is the same.
    let [keys, public, passphrase] = ["officer-1", "officer-1.pub", "passphrase"].map(|name| format!("{out}/{name}"));
    let before = fs::read(&public).expect("reads");
    fs::remove_file(&public).expect("removed");
    fine(&["key", "show", &keys, "--passphrase-file", &passphrase]);
    assert_eq!(fs::read(&public).expect("written again"), before);
    fails(&["charter", "rehearse", "--out", "x", "--officers", "2", "--threshold", "3"], 2, "cli.bad-argument: ");
}
