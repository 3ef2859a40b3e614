//! Who may name whom. In core each room uses only rooms below it and touches nothing outside; in
//! the node rooms meet in `runtime`, and each outside package lives behind one wall.

use super::{
    none,
    source::{Source, is_word, item_end, line_of, words},
    sources,
};

/// Rooms of core from the floor up. A room uses strictly lower ones only. The ledger proves records
/// and never reads acts: it stands below `event`, which checks an author's own proof.
const CORE_LEVELS: [(&str, u8); 23] = [
    // The generated shapes stand below everything.
    ("proto", 0),
    ("ids", 1),
    ("crypto", 2),
    ("wire", 2),
    // The format of one sealed item; nothing of who may open it.
    ("object", 3),
    ("rules", 3),
    ("ledger", 4),
    // Judges a Party's checkpoints under its keys.
    ("profile", 5),
    // Who at a Party may approve what leaves it; its roll is signed under the profile. No event is needed to know that.
    ("officer", 6),
    ("event", 6),
    ("founding", 7),
    // Seals keys as bodies are sealed, and is named by the records of custody.
    ("manifest", 7),
    ("record", 8),
    ("clock", 9),
    // What applies between two Parties; tables ask it, it asks no table.
    ("law", 10),
    ("procedure", 11),
    ("case", 12),
    ("index", 13),
    ("outbox", 14),
    ("engine", 15),
    // Reads what travels into the engine's inputs, so it stands above it; the engine never frames bytes.
    ("carry", 16),
    // Compiled into tests only, so they may see everything below and nothing may see them.
    ("sim", 17),
    ("vectors", 17),
];

/// What core does not have. Words are matched whole.
const CORE_ABSENT: [&str; 18] = [
    "HashMap",
    "HashSet",
    "async",
    "await",
    "fs",
    "net",
    "env",
    "thread",
    "process",
    "tokio",
    "SystemTime",
    "Instant",
    "OsRng",
    "getrandom",
    "SystemRandom",
    "Zoned",
    "sled",
    "libp2p",
];

/// Rooms of the node and what each may name. A room that names none is handed what it needs.
const NODE_ROOMS: [(&str, &[&str]); 25] = [
    ("time", &[]),
    ("words", &[]),
    // What peers did wrong and who is cut off for it; told by whoever sees it.
    ("conduct", &[]),
    ("telemetry", &[]),
    // A setting says how log lines look; format and level are the types `telemetry` parses itself.
    ("config", &["telemetry"]),
    ("keys", &[]),
    // The rule files: those of the build, and those a data folder adds.
    ("law", &[]),
    // The calls that change files, and the places where a test ends the process between two of them.
    ("disk", &[]),
    // Opens the index within the one guard that telemetry's panic hook spares.
    ("store", &["disk", "telemetry"]),
    // Who was shown what and did what here: a second ledger. No room that speaks to peers names it.
    ("audit", &["store"]),
    ("net", &[]),
    // What may be asked of a running node: it lends the store's own reading types, and the public halves of
    // the keys held.
    ("handle", &["audit", "conduct", "keys", "store"]),
    // Measures the store next to a plain file.
    ("bench", &["store"]),
    // Looks at threads and has statements signed through the handle, opens what is sealed to us with the
    // keys, and holds streams of the network; room on the disk and the desk are the store's.
    ("evidence", &["disk", "handle", "keys", "net", "store"]),
    // Copies what the node keeps and puts it back: everything that writes or reads files of a node.
    ("backup", &["audit", "conduct", "config", "disk", "evidence", "handle", "keys", "store"]),
    // A ledger as others read it: handed bytes, or reading a folder. It knows no node.
    ("tlog", &[]),
    // Reads what is known of Parties against the clock, and what a person should know before it hurts.
    ("duty", &[]),
    ("warnings", &["handle"]),
    // Hands documents to the engine through the handle, reads them from where they are kept, and speaks over the
    // network's streams; signs our own head.
    ("roster", &["handle", "keys", "net", "store"]),
    // Judges checkpoints against what it keeps on the desk, signs with the keys, speaks over the network's streams.
    ("witness", &["handle", "keys", "net", "store"]),
    // Looks at everything an operator asks about and tries the way to each peer.
    ("doctor", &["evidence", "handle", "keys", "net", "store", "warnings"]),
    // Acts and looks through the handle; the store's faults are named to give each its HTTP status.
    ("api", &["audit", "backup", "conduct", "doctor", "duty", "evidence", "handle", "roster", "store", "warnings"]),
    // Documents by file, before any node runs: opens key folders, writes the settings of a new node, reads PeerIds;
    // drafts authorities for the procedures that are offered.
    ("ceremony", &["config", "keys", "law", "net"]),
    // Where rooms meet. It does not know the two that come in from outside, `api` and `cli`.
    (
        "runtime",
        &[
            "audit", "backup", "conduct", "config", "evidence", "handle", "keys", "law", "net", "roster", "store",
            "witness",
        ],
    ),
    // Starts everything and reports every room's faults; reads a stopped node's folder. It has no
    // handle: a running node is asked over its API only.
    (
        "cli",
        &[
            "api",
            "audit",
            "backup",
            "bench",
            "ceremony",
            "config",
            "keys",
            "law",
            "net",
            "runtime",
            "store",
            "telemetry",
            "tlog",
        ],
    ),
];

/// Files of the node that belong to no room: they name what there is.
const NODE_ROOTS: [&str; 2] = ["lib", "main"];

/// Rooms every room may name: each is a handful of plain functions without a life of its own.
const NODE_FLOOR: [&str; 2] = ["time", "words"];

/// Packages with a wall around them.
const NODE_WALLS: [(&str, &str); 4] =
    [("sled", "store"), ("libp2p", "net"), ("libp2p_stream", "net"), ("yamux", "net")];

/// Types whose `now()` reads the system clock.
const CLOCKS: [&str; 4] = ["SystemTime", "Instant", "Timestamp", "Zoned"];

const CORE: &str = "node/core/src/";
const NODE: &str = "node/src/";

#[test]
fn core_rooms_use_only_lower_rooms() {
    none(&over(CORE, core_order), "core: a room uses only rooms below it (CORE_LEVELS)");
}

#[test]
fn the_tables_name_rooms_that_exist() {
    let read = sources();
    let exists =
        |base: &str, room: &str| read.iter().any(|s| s.path.starts_with(base) && room_of(&s.path, base) == room);
    // The shapes are generated from `proto/` and have no file here.
    let core = CORE_LEVELS.iter().map(|(room, _)| *room).filter(|room| *room != "proto" && !exists(CORE, room));
    let node = NODE_ROOMS.iter().map(|(room, _)| *room).filter(|room| !exists(NODE, room));
    none(&core.chain(node).map(String::from).collect::<Vec<_>>(), "a room in a table has sources");
}

#[test]
fn core_touches_nothing() {
    none(&over(CORE, core_purity), "core: no hash order, waiting, files, sockets, clock or randomness of its own");
}

#[test]
fn node_rooms_meet_in_runtime() {
    none(&over(NODE, node_meeting), "node: a room names only those it may (NODE_ROOMS)");
}

#[test]
fn node_packages_stay_behind_their_walls() {
    none(&over(NODE, node_walls), "node: sled is named in store, libp2p in net, and nowhere else");
}

#[test]
fn only_time_reads_the_system_clock() {
    none(&over(NODE, node_clock), "node: only time.rs asks what time it is");
}

#[test]
fn nothing_is_unbounded_dropped_or_unwrapped() {
    let of_node = over(NODE, habits);
    none(
        &[of_node, over(CORE, habits), over("proto/src/", habits)].concat(),
        "no unbounded queue, lost task or unwrap",
    );
}

fn over(folder: &str, rule: fn(&Source) -> Vec<String>) -> Vec<String> {
    let read = sources();
    let mut inside = read.iter().filter(|s| s.path.starts_with(folder)).peekable();
    assert!(inside.peek().is_some(), "{folder} holds no source: the rule would pass for nothing");
    inside.flat_map(rule).collect()
}

fn core_order(source: &Source) -> Vec<String> {
    let room = room_of(&source.path, CORE);
    if room == "lib" {
        return Vec::new();
    }
    let level = |name: &str| CORE_LEVELS.iter().find(|(n, _)| *n == name).map(|(_, level)| *level);
    let Some(own) = level(&room) else { return vec![format!("{}: room `{room}` has no level", source.path)] };
    let wrong = |(at, name): (usize, String)| {
        let fine = name == room || level(&name).is_some_and(|l| l < own);
        (!fine).then(|| breach(source, at, &format!("`{room}` may not use `{name}`")))
    };
    crate_uses(source, CORE).into_iter().filter_map(wrong).collect()
}

fn core_purity(source: &Source) -> Vec<String> {
    let word = |word: &'static str| {
        // `std::fs` and its kin are what is meant, not a variable that happens to be called `env`.
        let is_module = word.bytes().all(|b| b.is_ascii_lowercase()) && !["async", "await"].contains(&word);
        let meant = move |at: &usize| !is_module || is_path(&source.product, *at, word);
        words(&source.product, word).filter(meant).map(move |at| breach(source, at, &format!("core has no `{word}`")))
    };
    let now = source.product.match_indices("::now(").map(|(at, _)| breach(source, at, "time is handed in"));
    CORE_ABSENT.into_iter().flat_map(word).chain(now).collect()
}

fn node_meeting(source: &Source) -> Vec<String> {
    let room = room_of(&source.path, NODE);
    if NODE_ROOTS.contains(&room.as_str()) {
        return Vec::new();
    }
    let may = NODE_ROOMS.iter().find(|(name, _)| *name == room).map(|(_, may)| *may);
    let Some(may) = may else { return vec![format!("{}: room `{room}` stands in no table", source.path)] };
    let wrong = |(at, name): (usize, String)| {
        let fine = name == room || NODE_FLOOR.contains(&name.as_str()) || may.contains(&name.as_str());
        (!fine).then(|| breach(source, at, &format!("`{room}` may not name `{name}`")))
    };
    crate_uses(source, NODE).into_iter().filter_map(wrong).collect()
}

fn node_walls(source: &Source) -> Vec<String> {
    let room = room_of(&source.path, NODE);
    let outside = |(package, wall): (&'static str, &'static str)| {
        let found = words(&source.product, package).filter(|at| is_path(&source.product, *at, package));
        found
            .map(move |at| breach(source, at, &format!("`{package}` may be named in `{wall}` only")))
            .collect::<Vec<_>>()
    };
    NODE_WALLS.into_iter().filter(|(_, wall)| *wall != room).flat_map(outside).collect()
}

fn node_clock(source: &Source) -> Vec<String> {
    if room_of(&source.path, NODE) == "time" {
        return Vec::new();
    }
    let code = &source.product;
    let tokio_instant = imports_from(code, "tokio", "Instant") && !imports_from(code, "std", "Instant");
    let reads = |(at, _): (usize, &str)| {
        let path_start =
            code[..at].rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').map_or(0, |i| i + 1);
        let path = &code[path_start..at];
        let kind = path.rsplit("::").next().unwrap_or(path);
        let timer = kind == "Instant" && tokio_instant && !path.starts_with("std::");
        (CLOCKS.contains(&kind) && !timer).then(|| breach(source, at, &format!("`{path}::now` outside time.rs")))
    };
    code.match_indices("::now(").filter_map(reads).collect()
}

fn habits(source: &Source) -> Vec<String> {
    let code = &source.product;
    let found = |part: &'static str, why: &'static str| {
        code.match_indices(part).map(move |(at, _)| breach(source, at, why)).collect::<Vec<_>>()
    };
    let dropped = |spawn: &'static str| {
        let lost = move |(at, _): &(usize, &str)| {
            let starts = code[..*at].trim_end().ends_with(['{', '}', ';']);
            starts && code[..item_end(code, *at)].ends_with(';')
        };
        code.match_indices(spawn).filter(lost).map(|(at, _)| breach(source, at, "a task nobody holds")).collect()
    };
    let spawns: [Vec<String>; 3] = ["tokio::spawn(", "std::thread::spawn(", "thread::spawn("].map(dropped);
    let unbounded = found("unbounded", "every queue has an end");
    [unbounded, found(".unwrap()", "say why it holds: expect"), spawns.concat()].concat()
}

/// The first folder or file below the sources' root, without `.rs`.
fn room_of(path: &str, base: &str) -> String {
    let inner = path.strip_prefix(base).unwrap_or(path);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs").to_owned()
}

/// Rooms this file names through `crate::`, or through as many `super::` as lead to the root.
fn crate_uses(source: &Source, base: &str) -> Vec<(usize, String)> {
    let inner = source.path.strip_prefix(base).unwrap_or(&source.path).trim_end_matches(".rs");
    let depth = inner.trim_end_matches("/mod").split('/').count();
    let to_root = "super::".repeat(depth);
    let mut uses = names_after(&source.product, "crate::");
    let supers = names_after(&source.product, &to_root).into_iter();
    uses.extend(supers.filter(|(_, name)| is_room(name, base)));
    uses
}

fn is_room(name: &str, base: &str) -> bool {
    if base == CORE {
        return CORE_LEVELS.iter().any(|(room, _)| *room == name);
    }
    NODE_ROOMS.iter().any(|(room, _)| *room == name)
}

/// Names that follow a path prefix: `p::a::b` gives `a`, `p::{a, b::c}` gives `a` and `b`.
fn names_after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let starts_path = |at: usize| at == 0 || !(is_word(code.as_bytes()[at - 1]) || code.as_bytes()[at - 1] == b':');
    let places = code.match_indices(prefix).map(|(at, _)| at).filter(|at| starts_path(*at));
    places.flat_map(|at| first_names(code, at + prefix.len())).collect()
}

fn first_names(code: &str, from: usize) -> Vec<(usize, String)> {
    let name = |at: usize| code[at..].bytes().take_while(|b| is_word(*b)).map(char::from).collect::<String>();
    if !code[from..].starts_with('{') {
        return Some((from, name(from))).filter(|(_, n)| !n.is_empty()).into_iter().collect();
    }
    let mut depth = 0;
    let mut out = Vec::new();
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (byte == b'{' || byte == b',') {
            let start = at + 1 + code[at + 1..].bytes().take_while(u8::is_ascii_whitespace).count();
            out.extend(Some((start, name(start))).filter(|(_, n)| !n.is_empty()));
        }
    }
    out
}

/// True if a `use` statement that starts at `package` brings in `name`, however deep in groups.
fn imports_from(code: &str, package: &str, name: &str) -> bool {
    words(code, "use").any(|at| {
        let import = &code[at..at + code[at..].find(';').unwrap_or(0)];
        let from = import.trim_start_matches("use").trim_start().strip_prefix(package);
        from.is_some_and(|rest| rest.starts_with("::") && words(rest, name).next().is_some())
    })
}

/// True if the word at `at` is part of a path or an import, not a local name.
fn is_path(code: &str, at: usize, word: &str) -> bool {
    let before = code[..at].trim_end();
    let follows = code[at + word.len()..].starts_with("::") || before.ends_with("use");
    let imported = before.ends_with("std::") || (before.ends_with(['{', ',']) && in_group_of(before, "std::"));
    let outside = !["fs", "net", "env", "thread", "process"].contains(&word);
    imported || (follows && (outside || !before.ends_with("::")))
}

/// True if the innermost open brace at the end of `before` belongs to `prefix{`.
fn in_group_of(before: &str, prefix: &str) -> bool {
    let mut depth = 0;
    let open = before.bytes().rposition(|byte| {
        depth += i32::from(byte == b'}') - i32::from(byte == b'{');
        depth < 0
    });
    open.is_some_and(|at| before[..at].ends_with(prefix))
}

fn breach(source: &Source, at: usize, what: &str) -> String {
    format!("{}:{}: {what}", source.path, line_of(&source.product, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&Source) -> Vec<String>, path: &str, text: &str, breaches: usize) {
        let found = rule(&Source::new(path, text));
        assert_eq!(found.len(), breaches, "{path}: {text}\n{found:?}");
    }

    #[test]
    fn order_in_core() {
        let check = |room: &str, text: &str, n| check(core_order, &format!("node/core/src/{room}"), text, n);
        check("event.rs", "use crate::{ids::EventId, crypto::{sign, pae}, proto};", 0);
        check("event.rs", "use crate::{ids::{A, B}, ledger::Tree, record::Record, engine};", 2);
        check("ids.rs", "fn f() { crate::crypto::sha256(&[]) }", 1);
        check("crypto.rs", "use crate::wire::strict;", 1);
        check("ledger/tree.rs", "use crate::{event::Event, profile::Profile, wire::strict};", 2);
        check("ledger/tree.rs", "use super::super::engine::Engine;", 1);
        check("ids.rs", "use super::engine::Engine;", 1);
        check("attic.rs", "", 1);
        check("ids.rs", "// crate::engine\n#[cfg(test)]\nmod tests { use crate::engine::Engine; }", 0);
    }

    #[test]
    fn purity_of_core() {
        let check = |text: &str, n| check(core_purity, "node/core/src/x.rs", text, n);
        check("use std::collections::{BTreeMap, HashMap};", 1);
        check("use std::{fmt, fs}; use std::net::IpAddr;", 2);
        check("async fn f() { g().await }", 2);
        check("let t = jiff::Timestamp::now();", 1);
        check("let net = self.net(); process.env(thread);", 0);
        check("#[cfg(test)]\nmod tests { use std::collections::HashSet; }", 0);
    }

    #[test]
    fn meeting_in_the_node() {
        let check = |room: &str, text: &str, n| check(node_meeting, &format!("node/src/{room}"), text, n);
        check("api/routes.rs", "use crate::{time, api::views, handle::Handle, store::StoreFault};", 0);
        check("api/routes.rs", "use crate::handle::Handle; use crate::net::Link;", 1);
        check("api/routes.rs", "use super::super::runtime::Node;", 1);
        check("store/pairs.rs", "use crate::{time, store::Fault, config::Settings};", 1);
        check("runtime/turn.rs", "use crate::{store, net, keys::Keyring};", 0);
        check("runtime/turn.rs", "use crate::{store, net, api};", 1);
        check("cli/run.rs", "use crate::{api, config, runtime}; use crate::handle::Handle;", 1);
        check("attic.rs", "", 1);
        check("main.rs", "use crate::{cli, store, net};", 0);
    }

    #[test]
    fn walls_in_the_node() {
        check(node_walls, "node/src/store/pairs.rs", "use sled::Db;", 0);
        check(node_walls, "node/src/index.rs", "fn f(db: &sled::Db) {}", 1);
        check(node_walls, "node/src/store/pairs.rs", "use libp2p::PeerId; use libp2p_stream as s;", 2);
        check(node_walls, "node/src/telemetry.rs", "let filter = \"libp2p=warn\";", 0);
    }

    #[test]
    fn clock_of_the_node() {
        check(node_clock, "node/src/time.rs", "std::time::SystemTime::now();", 0);
        check(node_clock, "node/src/net/dial.rs", "let a = SystemTime::now(); let b = jiff::Zoned::now();", 2);
        check(node_clock, "node/src/net/dial.rs", "use tokio::time::{sleep, Instant}; fn f() { Instant::now(); }", 0);
        check(node_clock, "node/src/net/dial.rs", "use tokio::{a, time::{Instant, b}}; fn f() { Instant::now(); }", 0);
        check(node_clock, "node/src/net/dial.rs", "use std::{a, time::{Instant, b}}; fn f() { Instant::now(); }", 1);
        check(node_clock, "node/src/net/dial.rs", "use std::time::Instant; fn f() { Instant::now(); }", 1);
        check(node_clock, "node/src/net/dial.rs", "let now = time::now();", 0);
    }

    #[test]
    fn habits_of_the_house() {
        let check = |text: &str, n| check(habits, "node/src/x.rs", text, n);
        check("let (a, b) = mpsc::unbounded_channel();", 1);
        check("fn f() { tokio::spawn(async { g(); }); }", 1);
        check("fn f() { let task = tokio::spawn(g()); task.await }", 0);
        check("fn f() -> Task { tokio::spawn(g()) }", 0);
        check("a.unwrap(); b.unwrap_or(c); // d.unwrap()", 1);
        check("#[test]\nfn f() { a.unwrap(); }", 0);
    }
}
