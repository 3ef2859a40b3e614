//! A network of network namespaces: one for each node, and one more that holds the bridge between them, so
//! that no name outside is used but those of the namespaces. All of it goes with the [`Lan`], and also
//! when the process that made it is killed. Needs root and `ip`; where they are missing it says so.
//!
//! ```text
//! arvia   belmar   corvia   …      10.77.0.1, .2, .3 …   fd77::1, ::2, ::3 …
//!    \______ | _______/
//!          bridge                  in a namespace of its own
//! ```

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::rig::{CODES, Federation, Node};

/// Every node listens here: each has addresses of its own.
const PORT: u16 = 4810;

/// What removes things when whoever made them ends, whichever way: a shell that waits for the end of its
/// standard input, and that no interrupt of the terminal reaches.
pub(crate) struct Janitor {
    shell: Child,
}

impl Janitor {
    /// Will run this script.
    pub(crate) fn new(script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("cat >/dev/null; {script}")]).process_group(0);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { shell: shell.expect("sh starts") }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// The namespaces and the bridge.
pub(crate) struct Lan {
    /// Process and count, so that no two have one name.
    name: String,
    _janitor: Janitor,
}

impl Lan {
    /// A network with a place for each of `count` nodes, or why there can be none here.
    pub(crate) fn of(count: usize) -> Result<Self, String> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let name = format!("comity-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let places = (0..count).map(|place| format!("{name}-{place}")).chain([name.clone()]);
        let script: String = places.map(|place| format!("ip netns del {place}; ")).collect();
        let lan = Self { _janitor: Janitor::new(&script), name };
        lan.make(&["netns", "add", &lan.name])?;
        lan.make(&["-n", &lan.name, "link", "add", "bridge", "type", "bridge"])?;
        lan.make(&["-n", &lan.name, "link", "set", "bridge", "up"])?;
        (0..count).try_for_each(|place| lan.join(place))?;
        Ok(lan)
    }

    fn join(&self, place: usize) -> Result<(), String> {
        let (hub, inside, port) = (self.name.as_str(), self.namespace(place), format!("port{place}"));
        self.make(&["netns", "add", &inside])?;
        self.make(&["-n", &inside, "link", "set", "lo", "up"])?;
        let pair = ["type", "veth", "peer", "name", &port, "netns", hub];
        self.make(&[&["-n", &inside, "link", "add", "eth0"], &pair[..]].concat())?;
        self.make(&["-n", hub, "link", "set", &port, "master", "bridge", "up"])?;
        self.make(&["-n", &inside, "link", "set", "eth0", "up"])?;
        self.make(&["-n", &inside, "addr", "add", &format!("{}/24", address(place)), "dev", "eth0"])?;
        self.make(&["-n", &inside, "addr", "add", &format!("{}/64", address6(place)), "dev", "eth0", "nodad"])
    }

    fn namespace(&self, place: usize) -> String {
        format!("{}-{place}", self.name)
    }

    fn make(&self, arguments: &[&str]) -> Result<(), String> {
        let done = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
        let done = done.map_err(|cause| format!("no network namespaces: ip does not start: {cause}"))?;
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        let command = arguments.join(" ");
        done.status.success().then_some(()).ok_or_else(|| format!("no network namespaces: ip {command}: {said}"))
    }

    #[track_caller]
    fn must(&self, arguments: &[&str]) {
        self.make(arguments).expect("it went for the network itself");
    }

    /// Takes the cable of a node out, or puts it in again.
    #[track_caller]
    pub(crate) fn cable(&self, place: usize, up: bool) {
        self.must(&["-n", &self.name, "link", "set", &format!("port{place}"), if up { "up" } else { "down" }]);
    }

    /// What `from` sends to `to` is lost from now on, or no more. The other direction stays as it is.
    #[track_caller]
    pub(crate) fn way(&self, from: usize, to: usize, open: bool) {
        let (inside, to) = (self.namespace(from), format!("{}/32", address(to)));
        self.must(&["-n", &inside, "route", if open { "del" } else { "add" }, "blackhole", &to]);
    }

    /// Gives a node its second address instead of its first.
    #[track_caller]
    pub(crate) fn readdress(&self, place: usize) {
        let inside = self.namespace(place);
        self.must(&["-n", &inside, "addr", "del", &format!("{}/24", address(place)), "dev", "eth0"]);
        self.must(&["-n", &inside, "addr", "add", &format!("{}/24", moved(place)), "dev", "eth0"]);
    }

    /// Has all nodes of a federation live here from their next start on. Peers know both addresses of each;
    /// from and to the last of them they use IPv6.
    pub(crate) fn house(&self, federation: &mut Federation, six: Option<usize>) {
        let count = federation.nodes.len();
        for (place, node) in federation.nodes.iter_mut().enumerate() {
            let by_six = |other: usize| six.is_some_and(|six| six == place || six == other);
            let known = |other: usize| match by_six(other) {
                true => at6(&address6(other)),
                false => format!("{},{}", at(&address(other)), at(&moved(other))),
            };
            for other in (0..count).filter(|other| *other != place) {
                node.set(&format!("COMITY_PEERS__{}__ADDRESSES", CODES[other]), &known(other));
            }
            // Where it listens does not change when its address does.
            node.set("COMITY_LISTEN", &format!("{},{}", at("0.0.0.0"), at6("::")));
            node.set("COMITY_LOG", "net=debug");
            node.house(&self.namespace(place));
        }
    }
}

/// Deliveries a node has sent to a Party since it was founded, as it logs them in detail.
pub(crate) fn deliveries(node: &Node, to: &str) -> usize {
    let of = format!("delivery sent peer={to} ");
    node.log().lines().filter(|line| line.contains(&of)).count()
}

fn address(place: usize) -> String {
    format!("10.77.0.{}", place + 1)
}

/// Where a node is after its address has changed.
fn moved(place: usize) -> String {
    format!("10.77.0.{}", place + 101)
}

fn address6(place: usize) -> String {
    format!("fd77::{}", place + 1)
}

fn at(address: &str) -> String {
    format!("/ip4/{address}/tcp/{PORT}")
}

fn at6(address: &str) -> String {
    format!("/ip6/{address}/tcp/{PORT}")
}
