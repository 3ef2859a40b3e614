//! Documents under `examples/`, and pages of `deploy/runbooks/`, run as they are written: each `$ command` of a
//! `console` block is run in one temporary folder, and its output compared with what stands below it.
//!
//! What differs from run to run is masked: `<id>` is hexadecimal digits, `<number>` digits, `<time>` a
//! time or date, `<text>` anything to the next word written. Spaces count once. A command that only looks is
//! repeated until its output is the one expected, for what it looks at may be on its way. A command that ends in `&`
//! goes on beside the others and is ended at the end; a node is waited for until it is ready. `kill` waits until what it
//! ends has ended.
//!
//! Pages of runbooks begin where trouble does, in a network that runs: it is founded once by `examples/network/found.sh`,
//! and each walk gets a copy. Pages of one walk happen to one network, one after the other.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use crate::rig::{CODES, copy, free_addresses, pause, place_of_this_process};

/// A minute for what is on its way.
const LOOKS_MAX: u32 = 600;
/// Verbs that change nothing.
const LOOKING: [&str; 9] =
    [" show", " list", " status", " inbox", " peers", " verify", " forms", " doctor", "/receipted.sh"];
/// The data folders that documents use, in the order of the Parties.
const FOLDERS: [&str; 4] = ["arvia", "belmar", "corvia", "dorvia"];
/// Parties of the network that runbooks begin with.
const FOUNDED: usize = 3;

#[test]
fn the_first_request_runs_as_written() {
    walk("examples/first-request.md");
}

#[test]
fn operations_run_as_written() {
    walk("examples/operations.md");
}

#[test]
fn a_treaty_of_two_parties_is_one_file() {
    walk("examples/treaty.md");
}

#[test]
fn a_founding_runs_as_written() {
    walk("examples/founding.md");
}

#[test]
fn a_network_lives_as_written() {
    let mut place = Place::new(Where::Settings);
    place.read("examples/network.md");
}

#[test]
fn runbooks_of_a_nodes_keys_run_as_written() {
    Place::running().follow(&["stolen-record-key", "stolen-transport-key", "lost-record-key", "stolen-witness-key"]);
}

#[test]
fn runbooks_of_proofs_and_seals_run_as_written() {
    Place::running().follow(&["turned-seal-key", "stolen-checkpoint-key", "suspend-a-party", "secretariat-gone"]);
}

#[test]
fn runbooks_of_the_charter_run_as_written() {
    Place::running().follow(&["lost-root-key", "lost-charter-signer", "changed-threshold", "handover-to-the-parties"]);
}

#[test]
fn the_runbook_of_a_restored_ledger_runs_as_written() {
    Place::running().follow(&["restored-ledger"]);
}

#[test]
fn the_runbook_of_a_backup_runs_as_written() {
    Place::running().follow(&["put-a-backup-back"]);
}

#[test]
fn the_runbook_of_the_key_encryption_key_runs_as_written() {
    Place::running().follow(&["turn-the-key-encryption-key"]);
}

#[test]
fn the_runbook_of_officers_runs_as_written() {
    Place::running().follow(&["officer-leaves"]);
}

#[test]
fn every_runbook_is_walked_and_listed() {
    let pages = root().join("deploy/runbooks");
    let listed = fs::read_to_string(pages.join("README.md")).expect("reads");
    let walked = include_str!("walkthrough.rs");
    for page in fs::read_dir(pages).expect("reads") {
        let page = page.expect("an entry").file_name().into_string().expect("text");
        let name = page.strip_suffix(".md").expect("pages only");
        assert!(name == "README" || listed.contains(&format!("({page})")), "README.md does not list {page}");
        assert!(name == "README" || walked.contains(&format!("\"{name}\"")), "no test walks {page}");
    }
}

/// A command and what it should print.
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

/// From where nodes know their own address, and those of others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// From here, in the place of the fixed ports of an exercise.
    Here,
    /// From their settings, and from directories: the document writes `$XA` for Arvia's address, and so on.
    Settings,
}

struct Place {
    folder: tempfile::TempDir,
    addresses: [String; FOLDERS.len()],
    told: Where,
    running: Vec<Child>,
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the node lies in the workspace")
}

fn walk(document: &str) {
    Place::new(Where::Here).read(document);
}

/// The network of the runbooks, founded once for all tests of this process; nothing runs in it.
fn founded() -> &'static Path {
    static FOUNDED: OnceLock<PathBuf> = OnceLock::new();
    FOUNDED.get_or_init(|| {
        let place = Place::new(Where::Here);
        let output = place.shell("sh examples/network/found.sh").output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let kept = place_of_this_process().join("runbooks");
        fs::create_dir(&kept).expect("made once");
        fs::remove_file(place.folder.path().join("examples")).expect("a link");
        fs::remove_file(place.folder.path().join("comity")).expect("a link");
        copy(place.folder.path(), &kept);
        kept
    })
}

impl Place {
    fn new(told: Where) -> Self {
        let folder = tempfile::Builder::new().prefix("comity-walk-").tempdir().expect("folder");
        symlink(root().join("examples"), folder.path().join("examples")).expect("linked");
        symlink(env!("CARGO_BIN_EXE_comity"), folder.path().join("comity")).expect("linked");
        Self { folder, addresses: free_addresses(), told, running: Vec::new() }
    }

    /// The network of the runbooks, with all its nodes.
    fn running() -> Self {
        let mut place = Self::new(Where::Here);
        copy(founded(), place.folder.path());
        for folder in &FOLDERS[..FOUNDED] {
            let command = format!("comity run --data {folder} --passphrase-file passphrase");
            place.start(&command, Some(&format!("{folder}.pid")), folder);
        }
        place
    }

    fn follow(&mut self, pages: &[&str]) {
        for page in pages {
            self.read(&format!("deploy/runbooks/{page}.md"));
        }
    }

    fn read(&mut self, document: &str) {
        let text = fs::read_to_string(root().join(document)).expect("the document reads");
        let steps = steps(&text);
        assert!(!steps.is_empty(), "{document} has no commands");
        for step in &steps {
            let at = format!("{document}:{}: {}", step.line, step.command);
            match beside(&step.command) {
                Some((node, pid)) if node.starts_with("comity run") => self.start(node, pid, &at),
                Some((command, _)) => {
                    let child =
                        self.shell(&format!("exec {command}")).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
                    self.running.push(child.expect("starts"));
                }
                None => self.check(step, &at),
            }
            if step.command.starts_with("kill ") {
                self.ended(&at);
            }
        }
    }

    /// The document's own shell: the program is found by its name, and COMITY_… of this test do not reach it.
    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(self.folder.path()).env("TZ", "UTC").env("HOME", self.folder.path());
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", self.folder.path().display()));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COMITY_")) {
            shell.env_remove(name);
        }
        shell.envs(CODES.iter().zip(&self.addresses));
        shell
    }

    /// A node, on ports that are free now instead of the fixed ones of its settings.
    fn start(&mut self, command: &str, pid: Option<&str>, at: &str) {
        let own = FOLDERS.iter().position(|folder| command.contains(folder)).expect("a folder of a Party");
        // `exec`, so that ending the child ends the node and not only its shell.
        let mut shell = self.shell(&format!("exec {command}"));
        if self.told == Where::Here {
            shell.env("COMITY_LISTEN", &self.addresses[own]);
            for (_, (code, address)) in CODES.iter().zip(&self.addresses).enumerate().filter(|(n, _)| *n != own) {
                shell.env(format!("COMITY_PEERS__{code}__ADDRESSES"), address);
            }
        }
        let mut node = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut said = BufReader::new(node.stderr.take().expect("piped"));
        let mut line = String::new();
        let mut all = String::new();
        while !line.starts_with("ready: ") {
            line.clear();
            assert_ne!(said.read_line(&mut line).expect("reads"), 0, "{at}: it ended before it was ready:\n{all}");
            all += &line;
        }
        // The rest of its log must be read, or the node would wait for a reader.
        let log = self.folder.path().join(FOLDERS[own]).with_extension("log");
        let mut log = File::options().append(true).create(true).open(log).expect("a log");
        drop(std::thread::spawn(move || drop(std::io::copy(&mut said, &mut log))));
        if let Some(file) = pid {
            fs::write(self.folder.path().join(file), node.id().to_string()).expect("written");
        }
        self.running.push(node);
    }

    /// Waits until one more of what runs has ended.
    fn ended(&mut self, at: &str) {
        for _ in 0..LOOKS_MAX {
            let ended = |child: &mut Child| child.try_wait().expect("known child").is_some();
            if let Some(place) = self.running.iter_mut().position(ended) {
                drop(self.running.remove(place).wait());
                return;
            }
            pause(Duration::from_millis(100));
        }
        panic!("{at}: nothing ended");
    }

    fn check(&self, step: &Step, at: &str) {
        let looks = LOOKING.iter().any(|verb| step.command.contains(verb));
        let mut printed = String::new();
        for _ in 0..if looks { LOOKS_MAX } else { 1 } {
            let output = self.shell(&step.command).stdin(Stdio::null()).output().expect("runs");
            printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            if agree(&step.expected, &printed) {
                return;
            }
            pause(Duration::from_millis(100));
        }
        panic!("{at}\n--- the document says\n{}\n--- it printed\n{printed}", step.expected.join("\n"));
    }
}

/// A command that goes on beside the others, and the file its number is written to: `COMMAND & echo $! > FILE`.
fn beside(command: &str) -> Option<(&str, Option<&str>)> {
    if let Some(command) = command.strip_suffix('&') {
        return Some((command.trim(), None));
    }
    let (command, file) = command.split_once("& echo $! > ")?;
    Some((command.trim(), Some(file.trim())))
}

/// The commands of all `console` blocks. A command goes on in the next line after `\`.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    let mut goes_on = false;
    for (line, text) in (1..).zip(text.lines()) {
        if text.starts_with("```") {
            inside = text == "```console";
            continue;
        }
        let command = text.strip_prefix("$ ").or(goes_on.then_some(text));
        match (inside, command) {
            (true, Some(command)) => {
                let part = command.trim_end_matches('\\');
                match steps.last_mut().filter(|_| goes_on) {
                    Some(step) => step.command += part.trim_start(),
                    None => steps.push(Step { line, command: part.to_owned(), expected: Vec::new() }),
                }
                goes_on = command.ends_with('\\');
            }
            (true, None) => steps.last_mut().expect("output follows a command").expected.push(text.to_owned()),
            (false, _) => {}
        }
    }
    steps
}

fn agree(expected: &[String], printed: &str) -> bool {
    let lines = |lines: Vec<&str>| {
        let lines = lines.into_iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let expected = lines(expected.iter().map(String::as_str).collect());
    let printed = lines(printed.lines().collect());
    expected.len() == printed.len() && expected.iter().zip(&printed).all(|(pattern, line)| fits(pattern, line))
}

/// Whether a line is as the pattern says.
fn fits(pattern: &str, line: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('<') else { return pattern == line };
    let Some((mask, rest)) = rest.split_once('>') else { return pattern == line };
    let allowed: fn(char) -> bool = match mask {
        "id" => |c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase(),
        "number" => |c| c.is_ascii_digit(),
        "time" => |c| c.is_ascii_digit() || "-:+. TZ".contains(c),
        "text" => |_| true,
        _ => return pattern == line,
    };
    let Some(line) = line.strip_prefix(before) else { return false };
    let most = line.find(|c| !allowed(c)).unwrap_or(line.len());
    // The longest first: what follows decides how much the mask covers.
    let ends = (1..=most).rev().filter(|end| line.is_char_boundary(*end));
    ends.into_iter().any(|end| fits(rest, &line[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, line: &str, expected: bool) {
        assert_eq!(fits(pattern, line), expected, "{pattern} / {line}");
    }

    #[test]
    fn masks_cover_what_they_name_and_nothing_else() {
        check("plain", "plain", true);
        check("plain", "plan", false);
        check("event <id>, index 0", "event 3f9a01c2, index 0", true);
        check("event <id>, index 0", "event 3f9a01c2, index 1", false);
        check("event <id>", "event XYZ", false);
        check("event <id>", "event ", false);
        check("<number> records", "12 records", true);
        check("until <time> UTC", "until 2026-11-23 22:11:57 +00:00 UTC", true);
        check("in <text> now", "in /tmp/a b now", true);
        check("<id> <text>", "0a anything", true);
        check("a < b", "a < b", true);
    }

    #[test]
    fn commands_are_found_with_their_output() {
        let text =
            "# T\n\n```console\n$ a b \\\n    c\nout 1\n\nout 2\n$ d &\n```\n$ not this\n```sh\n$ nor this\n```\n";
        let found = steps(text);
        let commands: Vec<_> = found.iter().map(|step| step.command.as_str()).collect();
        assert_eq!(commands, ["a b c", "d &"]);
        assert_eq!(found[0].expected, ["out 1", "", "out 2"]);
        let runs: Vec<_> = ["d &", "e f & echo $! > pid", "g"].into_iter().map(beside).collect();
        assert_eq!(runs, [Some(("d", None)), Some(("e f", Some("pid"))), None]);
    }
}
