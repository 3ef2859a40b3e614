//! Whole nodes as real processes: founded, started, asked, killed and started again.
//!
//! Nothing here knows the inside of the node: it uses the command line and the local API as anybody
//! could. Every folder is temporary, every port is free when it is taken, and whatever is started ends
//! with the test, also when that fails. Start at [`Federation::of`].

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::DirBuilderExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A condition is looked at so often.
const BEAT: Duration = Duration::from_millis(20);
/// And so many times, which is a minute: for a debug build beside other tests on two cores.
const LOOKS_MAX: u32 = 3_000;
/// A long run is worth a wait of ten minutes.
const LONG_LOOKS_MAX: u32 = 10 * LOOKS_MAX;
/// The Parties that recur in tests, in this order, and all other codes that ISO 3166 leaves to its users.
#[rustfmt::skip]
pub(crate) const CODES: [&str; 40] = [
    "XA", "XB", "XC", "XD", "XE", "XF", "XG", "XH", "XI", "XJ", "XK", "XL", "XM", "XN", "XO", "XP", "XQ", "XR", "XS",
    "XT", "XU", "XV", "XW", "XX", "XY", "XZ", "QM", "QN", "QO", "QP", "QQ", "QR", "QS", "QT", "QU", "QV", "QW", "QX",
    "QY", "QZ",
];
/// The first of them have names; the others are called by their codes.
const NAMES: [&str; 5] = ["arvia", "belmar", "corvia", "dorvia", "estria"];
/// So many are founded unless more nodes are asked for.
const FOUNDED: usize = 3;
const PASSPHRASE: &str = "correct horse battery staple\n";

/// The program under test: what cargo built beside an integration test, or what a long run names here.
pub(crate) static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
/// Where a long run has all its files; a test leaves this open.
pub(crate) static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// The name of a Party's folder.
pub(crate) fn name_of(code: &str) -> String {
    name(CODES.iter().position(|known| *known == code).expect("a Party of exercises"))
}

fn name(place: usize) -> String {
    NAMES.get(place).map_or_else(|| CODES[place].to_ascii_lowercase(), |name| (*name).to_owned())
}

fn program() -> &'static Path {
    let built = option_env!("CARGO_BIN_EXE_comity").map(PathBuf::from);
    PROGRAM.get_or_init(|| built.expect("a long run names the program"))
}

/// The program under test.
pub(crate) fn comity() -> Command {
    cleared(Command::new(program()))
}

/// Without settings of ours that whoever runs this may have.
fn cleared(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COMITY_")) {
        command.env_remove(name);
    }
    command.env("TZ", "UTC");
    command
}

/// Runs the program and gives back what it said and its exit code.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = comity().args(arguments).stdin(Stdio::null()).output().expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Looks until the condition holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let looks = if FOLDER.get().is_some() { LONG_LOOKS_MAX } else { LOOKS_MAX };
    for _ in 0..looks {
        if condition() {
            return;
        }
        pause(BEAT);
    }
    panic!("{what}: did not happen within {:?}", BEAT * looks);
}

/// Milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a long run says how long it took, and takes its seed from when it began"
)]
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("not so late")
}

/// Between two looks, and nowhere else.
#[expect(clippy::disallowed_methods, reason = "between two looks at a condition, never for luck")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// 16 bytes that no other call gives, as hexadecimal.
pub(crate) fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let process = u64::from(std::process::id());
    format!("{process:016x}{:016x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Nodes that trust each other.
pub(crate) struct Federation {
    pub(crate) nodes: Vec<Node>,
    pub(crate) folder: TempDir,
}

/// One Party's node, running or not.
pub(crate) struct Node {
    pub(crate) code: &'static str,
    pub(crate) data: PathBuf,
    passphrase: PathBuf,
    environment: Vec<(String, String)>,
    /// What the program is started by, if not directly.
    under: Vec<String>,
    child: Option<Child>,
}

impl Federation {
    /// Founds Arvia, Belmar and Corvia, or as many more as are asked for, and starts the nodes of the first
    /// `count`, all linked.
    pub(crate) fn of(count: usize) -> Self {
        let mut federation = Self::stopped(count);
        federation.start();
        federation
    }

    /// Starts all and waits until all are linked.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.start(&[]));
        for node in &mut self.nodes {
            assert!(node.answers_or_ended(), "{} starts", node.code);
        }
        self.linked();
    }

    /// The same, with nothing running yet.
    pub(crate) fn stopped(count: usize) -> Self {
        Self::laid_out(count, |folder, parties| copy(&founded(parties), folder))
    }

    /// Nothing running yet, in a network of its own: the treaty in this file is in force there and law at every node.
    pub(crate) fn under(count: usize, treaty: &str) -> Self {
        Self::laid_out(count, |folder, parties| {
            let file = folder.join("treaty.toml");
            fs::write(&file, treaty).expect("written");
            found(folder, parties, &["--rules", file.to_str().expect("a plain path")]);
        })
    }

    fn laid_out(count: usize, lay_out: impl FnOnce(&Path, usize)) -> Self {
        let parties = count.max(FOUNDED);
        let within = FOLDER.get().cloned().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("comity-it-").tempdir_in(within).expect("folder");
        lay_out(folder.path(), parties);
        let addresses: [String; CODES.len()] = free_addresses();
        let node = |place: usize| {
            let others = (0..parties).filter(|other| *other != place);
            let peer = |other: usize| (format!("COMITY_PEERS__{}__ADDRESSES", CODES[other]), addresses[other].clone());
            let own = ("COMITY_LISTEN".to_owned(), addresses[place].clone());
            Node {
                code: CODES[place],
                data: folder.path().join("exercise").join(name(place)),
                passphrase: folder.path().join("passphrase"),
                environment: others.map(peer).chain([own]).collect(),
                under: Vec::new(),
                child: None,
            }
        };
        Self { nodes: (0..count).map(node).collect(), folder }
    }

    /// Waits until every running node has a link to every other one.
    #[track_caller]
    pub(crate) fn linked(&self) {
        let peers = self.nodes.len() - 1;
        for node in &self.nodes {
            wait_until(&format!("{} is linked", node.code), || node.links() == peers);
        }
    }
}

impl Node {
    /// From its next start on it runs in this network namespace.
    pub(crate) fn house(&mut self, namespace: &str) {
        self.under(&["ip", "netns", "exec", namespace]);
    }

    /// From its next start on it is started by this command, which is given the program and its arguments.
    pub(crate) fn under(&mut self, command: &[&str]) {
        self.under = command.iter().map(|word| (*word).to_owned()).collect();
    }

    /// One more setting, from its next start on; the later of two of one name counts.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// What it has logged since it was founded.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    /// Starts the process with more in its environment. It stops when its standard input closes.
    pub(crate) fn start(&mut self, environment: &[(&str, &str)]) {
        assert!(self.child.is_none(), "{} runs already", self.code);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.data.with_extension("log")).expect("log");
        let mut command = match self.under.split_first() {
            None => comity(),
            Some((outer, words)) => {
                let mut inside = cleared(Command::new(outer));
                inside.args(words).arg(program());
                inside
            }
        };
        command.args(["run", "--until-stdin-closes", "--data"]).arg(&self.data);
        command.arg("--passphrase-file").arg(&self.passphrase);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.envs(environment.iter().copied());
        self.child = Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().expect("starts"));
    }

    /// Waits until the process is up and answers, or has ended.
    #[track_caller]
    pub(crate) fn answers_or_ended(&mut self) -> bool {
        let mut answers = false;
        wait_until(&format!("{} answers or ends", self.code), || {
            answers = self.get("/v1/status").is_some_and(|(status, _)| status == 200);
            answers || self.has_ended()
        });
        answers
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("known child").is_some())
    }

    /// The running process.
    pub(crate) fn process(&self) -> u32 {
        self.child.as_ref().map(Child::id).expect("it runs")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Asks the process to stop and waits for it; gives its exit code.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> i32 {
        let mut child = self.child.take().expect("it runs");
        drop(child.stdin.take());
        let mut code = None;
        wait_until(&format!("{} stops", self.code), || {
            code = child.try_wait().expect("known child");
            code.is_some()
        });
        code.and_then(|status| status.code()).unwrap_or(-1)
    }

    pub(crate) fn links(&self) -> usize {
        let Some((200, status)) = self.get("/v1/status") else { return 0 };
        status["peers"].as_array().into_iter().flatten().filter(|peer| peer["up"] == true).count()
    }

    /// What asks this node's API, also while the node itself is being killed.
    pub(crate) fn voice(&self) -> Voice {
        Voice { socket: self.data.join("api.sock") }
    }

    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        self.voice().ask("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.voice().ask("POST", path, Some(body))
    }

    /// A body that must be there.
    #[track_caller]
    pub(crate) fn look(&self, path: &str) -> Value {
        let (status, body) = self.get(path).unwrap_or_else(|| panic!("{} does not answer {path}", self.code));
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// What it says once it has read its ledger whole, which holds. Asked without a body: one that is not read may cost the
    /// answer when the connection closes.
    #[track_caller]
    pub(crate) fn verifies(&self) -> Value {
        let (_, verified) = self.voice().ask("POST", "/v1/ledger/verify", None).expect("answers");
        assert_eq!(verified["ok"], true, "{}: {verified}", self.code);
        verified
    }

    /// Asks again until the node answers with success; a refusal fails the test.
    #[track_caller]
    pub(crate) fn insist(&self, path: &str, body: &Value) -> Value {
        let mut last = Value::Null;
        wait_until(&format!("{} does {path}", self.code), || match self.post(path, body) {
            Some((200 | 201, done)) => {
                last = done;
                true
            }
            Some((503 | 504 | 409, _)) | None => false, // busy, late, in progress, or not up
            Some((status, problem)) => panic!("{path}: {status} {problem}"),
        });
        last
    }
}

/// A way to a node's API.
pub(crate) struct Voice {
    socket: PathBuf,
}

impl Voice {
    /// What the API answers: status and body, or nothing if it does not.
    /// HTTP by hand, so that a mistake of our client cannot hide one of our server.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let body = body.map(ToString::to_string).unwrap_or_default();
        let typed = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: comity\r\nConnection: close\r\n{typed}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let text = String::from_utf8(answer).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A request for preservation to Belmar, as the API takes it.
pub(crate) fn preservation(id: &str) -> Value {
    json!({ "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central", "fields": smallest_request() })
}

/// What a test asks Belmar to preserve: the smallest request its form allows.
pub(crate) fn smallest_request() -> Value {
    let text = |text: &str| json!({ "lang": "en", "text": text });
    json!({
        "reference.case": text("1"), "reference.date": "2026-03-01", "reference.kind": "new",
        "reference.instrument": "BC", "reference.article": text("29"),
        "requesting.authority": text("Central Authority of Arvia"), "requesting.role": text("Duty officer"),
        "requesting.address": text("Arvia City"), "requesting.phone": [text("+00 1 555 0100")],
        "requesting.email": [text("central@justice.arvia.test")], "requesting.hours": text("24/7"),
        "requesting.time-zone": "UTC", "requesting.reply-by": ["this-node"],
        "second.authority": text("Contact Point"), "second.role": text("Duty officer"), "second.phone": [text("+00 1 555 0124")],
        "requested.authority": text("Central Authority of Belmar"),
        "investigating.authority": text("Prosecution Office of Arvia"), "proceedings.stage": "investigation",
        "offence.codes": ["CC-01"], "offence.provisions": [text("Section 118a")], "penalty.life": false,
        "penalty.most-months": 60, "offence.facts": text("Somebody entered a hospital's network."),
        "urgency.level": "normal",
        "data.description": text("Logs"), "data.categories": ["traffic"], "data.relation": text("Commands came from there."),
        "data.whole-period": true, "custodian.name": text("Harbour Hosting Company"), "necessity": text("They will be deleted."),
        "follow-up.intended": true, "follow-up.kinds": ["disclosure"], "path.wanted": false,
        "confidentiality.level": "ordinary", "confidentiality.user-may-be-told": false, "language.original": "en",
        "signatory.role": text("Head"), "signatory.legal-authority": text("Act on Cooperation"),
    })
}

/// A network of so many founded once for all tests of this process; each gets a copy.
fn founded(parties: usize) -> PathBuf {
    static FOUNDED: Mutex<BTreeMap<usize, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut founded = FOUNDED.lock().expect("founding does not panic");
    let once = || {
        let folder = place_of_this_process().join(parties.to_string());
        fs::create_dir(&folder).expect("made once");
        found(&folder, parties, &[]);
        folder
    };
    founded.entry(parties).or_insert_with(once).clone()
}

/// Founds a network of so many in a folder, with more arguments.
fn found(folder: &Path, parties: usize, more: &[&str]) {
    let passphrase = folder.join("passphrase");
    private(&passphrase, PASSPHRASE.as_bytes());
    let named: Vec<String> = (0..parties).map(|place| format!("{}:{}", CODES[place], name(place))).collect();
    let mut init = comity();
    init.args(["init", "--parties", &named.join(","), "--found"]).arg(folder.join("exercise")).args(more);
    let output = init.arg("--passphrase-file").arg(&passphrase).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder below `target` for what outlives a test; those of processes that have ended are removed.
pub(crate) fn place_of_this_process() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let target = option_env!("CARGO_TARGET_TMPDIR").map(PathBuf::from);
        let all = FOLDER.get().cloned().or(target).expect("a long run names its folder").join("founded");
        fs::create_dir_all(&all).expect("made");
        for entry in fs::read_dir(&all).expect("reads").filter_map(Result::ok) {
            if !Path::new("/proc").join(entry.file_name()).exists() {
                fs::remove_dir_all(entry.path()).expect("removed");
            }
        }
        let own = all.join(std::process::id().to_string());
        fs::create_dir(&own).expect("no process of this number is left");
        own
    })
}

/// Writes a file that only its owner may read.
pub(crate) fn private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).expect("written");
}

/// Copies a folder with everything in it, for its owner alone.
pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&to).expect("made");
            copy(&entry.path(), &to);
        } else {
            private(&to, &fs::read(entry.path()).expect("reads"));
        }
    }
}

/// Addresses on this machine that nobody listens on now.
pub(crate) fn free_addresses<const N: usize>() -> [String; N] {
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    let port = |listener: &TcpListener| listener.local_addr().map(|at| at.port());
    held.each_ref().map(|listener| format!("/ip4/127.0.0.1/tcp/{}", port(listener).expect("bound")))
}

/// Says something aloud in a test's output.
pub(crate) fn tell(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
