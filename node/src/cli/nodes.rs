//! A network on this machine for demo and benchmark: founded once, its nodes started as processes of this
//! same program, waited for, stopped. Whatever is started here ends with the command: each child stops
//! when its standard input closes, which the system does even when the command is killed.
//! Start at [`Exercise`].

use std::{
    fs::{self, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use comity_core::ids::{NetworkName, PartyCode};
use serde_json::Value;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::{
    client::Client,
    fault::CliFault,
    found::{self, Founded, Network, disk, found},
    init::exercise_member,
    request::fresh_id,
    show::{list, text},
};
use crate::{
    keys::{Passphrase, Purpose},
    time,
};

/// For a debug build on a busy two-core machine; a release build needs a second or two.
pub(super) const WAIT: Duration = Duration::from_secs(120);
/// A condition is looked at so often.
const BEAT: Duration = Duration::from_millis(40);
/// A node has so long to stop by itself.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// So much of a log is shown when a node ends on its own.
const LAST_WORDS_BYTES: usize = 2_000;

/// A Party of an exercise: code, name and time zone.
pub(super) type Party = (&'static str, &'static str, &'static str);

/// An exercise network and where its files lie.
pub(super) struct Exercise<'a> {
    pub(super) name: &'static str,
    pub(super) parties: &'a [Party],
    /// A data folder for each Party.
    pub(super) network: &'a Path,
    /// Holds the one passphrase of all keys.
    pub(super) passphrase: &'a Path,
    pub(super) logs: &'a Path,
}

impl Exercise<'_> {
    /// Passphrase and network, each made once; none if the network stands already.
    pub(super) fn found(&self) -> Result<Option<(Network, Founded)>, CliFault> {
        if !self.passphrase.exists() {
            let text = Zeroizing::new(format!("{}{}\n", fresh_id(), fresh_id()));
            found::write(self.passphrase, text.as_bytes())?;
        }
        if found::holds_something(self.network)? {
            return Ok(None);
        }
        let passphrase = Passphrase::obtain(Some(self.passphrase), Purpose::Create)?;
        let member = |(&(code, name, zone), address): (&Party, String)| {
            exercise_member(PartyCode::parse(code).expect("two capitals"), name, zone, address)
        };
        let parties = self.parties.iter().zip(free_addresses(self.parties.len())?).map(member).collect();
        let network =
            Network { name: NetworkName::parse(self.name).expect("dotted labels"), parties, rules: Vec::new() };
        let founded = found(&network, self.network, &passphrase, time::now())?;
        Ok(Some((network, founded)))
    }

    /// Starts a node for each Party, on addresses nobody listens on.
    pub(super) fn start(&self) -> Result<Vec<Node>, CliFault> {
        let addresses = free_addresses(self.parties.len())?;
        let start = |(&(code, name, _), address): (&Party, &String)| {
            let others = self.parties.iter().zip(&addresses).filter(|((other, ..), _)| *other != code);
            Node::start(Start {
                code,
                name,
                data: self.network.join(name.to_ascii_lowercase()),
                passphrase: self.passphrase,
                logs: self.logs,
                address,
                peers: others.map(|((other, ..), address)| (*other, address.as_str())).collect(),
            })
        };
        self.parties.iter().zip(&addresses).map(start).collect()
    }
}

/// One node of it.
pub(super) struct Node {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) data: PathBuf,
    pub(super) client: Client,
    log: PathBuf,
    child: Child,
}

/// What a node is started with.
struct Start<'a> {
    code: &'static str,
    name: &'static str,
    data: PathBuf,
    passphrase: &'a Path,
    logs: &'a Path,
    address: &'a str,
    /// Code and address of each other Party.
    peers: Vec<(&'static str, &'a str)>,
}

impl Node {
    /// Starts a process of this same program. Its addresses come through its environment, so that an old
    /// folder runs on new ports.
    fn start(start: Start<'_>) -> Result<Self, CliFault> {
        let program = std::env::current_exe().map_err(disk("find", Path::new("this program")))?;
        let log = start.logs.join(format!("{}.log", start.name.to_ascii_lowercase()));
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
        let file = file.map_err(disk("open", &log))?;
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("COMITY_") && name != "COMITY_LOG");
            if ours {
                command.env_remove(name);
            }
        }
        for (code, address) in &start.peers {
            command.env(format!("COMITY_PEERS__{code}__ADDRESSES"), address);
        }
        command.env("COMITY_LISTEN", start.address);
        // An exercise is over before the beat of a node in earnest comes twice.
        command.env("COMITY_WITNESS__BEAT", "1s");
        command.arg("run").arg("--data").arg(&start.data).arg("--passphrase-file").arg(start.passphrase);
        command.arg("--until-stdin-closes");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        let child = command.spawn().map_err(disk("start", &program))?;
        let client = Client::new(start.data.join("api.sock"));
        Ok(Self { code: start.code, name: start.name, data: start.data, client, log, child })
    }

    /// Waits until the node answers and every link to its peers is up.
    pub(super) async fn is_linked(&mut self, peers: usize) -> Result<(), CliFault> {
        let what = format!("links of {} to {peers} peers", self.name);
        let logs = self.log.clone();
        wait_until(&what, &logs, async || {
            self.still_runs()?;
            Ok(self.client.get("/v1/status").await.is_ok_and(|status| links(&status) == peers))
        })
        .await
    }

    /// The number of the process, while it runs.
    pub(super) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error if the process ended.
    fn still_runs(&mut self) -> Result<(), CliFault> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let words = fs::read(&self.log).unwrap_or_default();
                let words =
                    String::from_utf8_lossy(&words[words.len().saturating_sub(LAST_WORDS_BYTES)..]).into_owned();
                Err(CliFault::NodeEnded { party: self.name.to_owned(), how: status.to_string(), words })
            }
            Err(cause) => Err(disk("watch", &self.data)(cause)),
        }
    }

    /// Asks the process to stop by closing its standard input; ends it if it does not.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(STOP_WAIT, self.child.wait()).await.is_err() {
            drop(self.child.kill().await);
        }
    }
}

fn links(status: &Value) -> usize {
    list(status, "/peers").iter().filter(|peer| peer["up"] == true && !text(peer, "/party").is_empty()).count()
}

/// Looks again and again until the condition holds; never waits for luck, and not for ever.
pub(super) async fn wait_until(
    what: &str,
    logs: &Path,
    mut condition: impl AsyncFnMut() -> Result<bool, CliFault>,
) -> Result<(), CliFault> {
    let looking = async {
        while !condition().await? {
            tokio::time::sleep(BEAT).await;
        }
        Ok(())
    };
    let stalled = CliFault::DemoStalled { what: what.to_owned(), seconds: WAIT.as_secs(), logs: logs.to_owned() };
    tokio::time::timeout(WAIT, looking).await.unwrap_or(Err(stalled))
}

/// So many addresses on this machine that nobody listens on now.
fn free_addresses(count: usize) -> Result<Vec<String>, CliFault> {
    // All are held until all are known, so that none is given twice.
    let held = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>();
    let held = held.map_err(disk("listen on", Path::new("127.0.0.1")))?;
    let address = |listener: &TcpListener| listener.local_addr().map(|at| format!("/ip4/127.0.0.1/tcp/{}", at.port()));
    let addresses = held.iter().map(address).collect::<Result<Vec<_>, _>>();
    addresses.map_err(disk("listen on", Path::new("127.0.0.1")))
}
