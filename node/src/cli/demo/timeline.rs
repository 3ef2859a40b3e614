//! What the demo tells while it happens: for people as lines, for programs as one object each.

use std::path::Path;

use comity_core::ids::Digest;
use serde_json::{Value, json};

use super::{Node, Places, story::Act};
use crate::{
    cli::{
        found::{Member, Network},
        ledger::{is_whole, verdict},
        out::Out,
        show::{bytes, list, local, number, or_dash, short, text},
    },
    time,
};

/// Speaks to people or programs.
pub(super) struct Timeline {
    out: Out,
}

impl Timeline {
    pub(super) const fn new(out: Out) -> Self {
        Self { out }
    }

    /// Whether a person looks on, who wants to see how far long work is.
    pub(super) const fn is_watched(&self) -> bool {
        !self.out.json
    }

    fn tell(&self, what: &str, object: Value, lines: &str) {
        if !self.out.json {
            return self.out.line(&lines);
        }
        let mut object = object;
        object["schema"] = Value::from("comity/demo-event/v1");
        object["what"] = Value::from(what);
        self.out.object(&object);
    }

    pub(super) fn opened(&self, root: &Path) {
        let root = super::shown(root);
        self.tell("opened", json!({ "folder": root }), &format!("Everything of this demo lies in {root}"));
    }

    pub(super) fn goes_on(&self) {
        self.tell("goes-on", json!({}), "The network was founded before: same keys, same ledgers.");
    }

    pub(super) fn founded(&self, network: &Network, fingerprint: &Digest) {
        let party = |member: &Member| json!({ "party": member.code.as_str(), "name": member.name });
        let names: Vec<String> =
            network.parties.iter().map(|member| format!("{} ({})", member.name, member.code)).collect();
        self.tell(
            "founded",
            json!({
                "network": network.name.as_str(), "fingerprint": fingerprint.to_string(),
                "parties": network.parties.iter().map(party).collect::<Vec<_>>(),
            }),
            &format!(
                "Exercise network {} founded by {}.\nCharter fingerprint: {}",
                network.name,
                names.join(", "),
                super::spaced(fingerprint)
            ),
        );
    }

    pub(super) fn linked(&self, nodes: &[Node]) {
        let names: Vec<&str> = nodes.iter().map(|node| node.name).collect();
        self.tell(
            "linked",
            json!({ "nodes": nodes.iter().map(|node| node.code).collect::<Vec<_>>() }),
            &format!("Three processes run and reach each other over TLS 1.3: {}.", names.join(", ")),
        );
    }

    pub(super) fn begins(&self, nodes: &[Node]) {
        let lines = format!(
            "\n{} asks {} to preserve data (PRES, Budapest Convention art. 29), every field of the form filled in:\n",
            nodes[0].name, nodes[1].name
        );
        self.tell("begins", json!({ "procedure": "PRES" }), &lines);
    }

    pub(super) fn follows(&self, nodes: &[Node]) {
        let lines = format!(
            "\n{} asks {} for the data (MLA-STORED, art. 31); the preservation then holds until that is decided:\n",
            nodes[0].name, nodes[1].name
        );
        self.tell("follows", json!({ "procedure": "MLA-STORED" }), &lines);
    }

    pub(super) fn sealed(&self, node: &Node, sealed: &Value, unsealed: usize, ms: u64) {
        let beside = if unsealed == 0 { String::new() } else { format!(", {unsealed} entries only listed") };
        let lines = format!(
            "          {} puts {} file(s) under seal, {}{beside}; manifest {}, its statement is index {} of its ledger",
            node.name,
            number(sealed, "/items"),
            bytes(number(sealed, "/bytes")),
            short(text(sealed, "/digest")),
            number(sealed, "/index")
        );
        self.tell("sealed", json!({ "party": node.code, "sealed": sealed, "unsealed": unsealed, "ms": ms }), &lines);
    }

    pub(super) fn held_back(&self, node: &Node, code: &str) {
        let lines = format!("          {} may read the manifest, and nothing else yet ({code})", node.name);
        self.tell("held-back", json!({ "party": node.code, "code": code }), &lines);
    }

    pub(super) fn fetched(&self, node: &Node, delivery: &Value, ms: u64) {
        let progress = &delivery["progress"];
        let size = number(progress, "/bytes_all");
        let lines = format!(
            "          {} has fetched and verified {} item(s), {}, in {}.{:03} s ({}/s)",
            node.name,
            number(progress, "/items"),
            bytes(size),
            ms / 1_000,
            ms % 1_000,
            bytes(size.saturating_mul(1_000) / ms.max(1))
        );
        self.tell("fetched", json!({ "party": node.code, "progress": progress, "ms": ms }), &lines);
    }

    pub(super) fn compared(&self, node: &Node, files: usize, differ: &[String]) {
        let lines = match differ.first() {
            None => format!(
                "          {} reads them out: {files} file(s), each byte for byte what was handed over",
                node.name
            ),
            Some(first) => format!("          {} of {files} file(s) DIFFER, {first} the first", differ.len()),
        };
        self.tell("compared", json!({ "party": node.code, "files": files, "differ": differ }), &lines);
    }

    pub(super) fn signed(&self, author: &Node, act: &Act, done: &Value) {
        let (event, index) = (text(done, "/event_id"), number(done, "/index"));
        let at = time::rfc3339(time::now());
        self.tell(
            "signed",
            json!({
                "at": at, "party": author.code, "authority": act.authority, "step": act.step,
                "event_id": event, "index": index,
            }),
            &format!(
                "{}  {} ({}) signs `{}`: event {}, index {index} of its ledger",
                clock_time(&at),
                author.name,
                act.authority,
                act.step,
                short(event)
            ),
        );
    }

    pub(super) fn receipted(&self, author: &Node, other: &Node, receipt: &Value, thread: &Value) {
        let clocks = list(thread, "/standing/clocks");
        let (state, turn) = (text(thread, "/standing/state"), text(thread, "/standing/turn"));
        let clock = |clock: &Value| format!("\n          clock {}", crate::cli::request::clock(clock));
        self.tell(
            "receipted",
            json!({ "by": other.code, "to": author.code, "receipt": receipt, "state": state, "turn": turn, "clocks": clocks }),
            &format!(
                "          {} holds it at index {} of its ledger; its signed receipt is index {} of {}'s\n          \
                 now {state}; turn: {}{}",
                other.name,
                number(receipt, "/peer_index"),
                number(receipt, "/index"),
                author.name,
                or_dash(turn),
                clocks.iter().map(clock).collect::<String>()
            ),
        );
    }

    pub(super) fn verified(&self, node: &Node, verified: &Value) {
        let lines =
            format!("{}{}'s ledger: {}", if node.code == "XA" { "\n" } else { "" }, node.name, verdict(verified));
        self.tell("verified", json!({ "party": node.code, "ok": is_whole(verified), "verified": verified }), &lines);
    }

    pub(super) fn witnessed(&self, node: &Node, ledger: &Value) {
        let by: Vec<&str> = list(ledger, "/witnessed/by").iter().map(|one| text(one, "/party")).collect();
        let size = number(ledger, "/witnessed/size");
        let lines = format!("{}'s ledger: cosigned by {}, all {size} records", node.name, by.join(" and "));
        self.tell("witnessed", json!({ "party": node.code, "size": size, "by": by }), &lines);
    }

    pub(super) fn outsider(&self, node: &Node, size: u64, learned: bool) {
        let lines = if learned {
            format!("{} LEARNED of a request it is no member of", node.name)
        } else {
            format!(
                "{} learned nothing: {size} records in its ledger, none of this request, no request known",
                node.name
            )
        };
        self.tell("outsider", json!({ "party": node.code, "size": size, "learned": learned }), &lines);
    }

    pub(super) fn ended(&self, ok: bool, places: Option<&Places>) {
        let kept = places.map(|places| [&places.outside, &places.report].map(|path| super::shown(path)));
        let proofs = kept.iter().map(|[outside, report]| {
            format!(" For checking with other tools, proofs lie in {outside}.\nThe case on one page: {report}")
        });
        let lines = if ok {
            format!("\nAll as it should be.{}", proofs.collect::<String>())
        } else {
            "\nNOT as it should be: see above".to_owned()
        };
        let [outside, report] = kept.map_or([Value::Null, Value::Null], |kept| kept.map(Value::from));
        self.tell("ended", json!({ "ok": ok, "outside": outside, "report": report }), &lines);
    }

    pub(super) fn invitation(&self, nodes: &[Node], request: &str) {
        let [a, b, _] = nodes else { return };
        let (one, two) = (super::shown(&a.data), super::shown(&b.data));
        let lines = format!(
            "\nThe nodes stay up until Ctrl-C. To try next:\n  \
             comity --data {one} status\n  \
             comity --data {one} request show {}\n  \
             comity --data {two} request inbox\n  \
             comity --data {one} evidence list {}\n  \
             curl --unix-socket {one}/api.sock http://comity/v1/status\n  \
             curl --unix-socket {two}/api.sock http://comity/v1/requests/{request}\n  \
             curl --unix-socket {one}/api.sock 'http://comity/v1/events?wait=30'",
            short(request),
            short(request)
        );
        self.tell(
            "stays",
            json!({ "data": nodes.iter().map(|node| super::shown(&node.data)).collect::<Vec<_>>() }),
            &lines,
        );
    }
}

/// Hours, minutes and seconds on this machine's clock.
fn clock_time(at: &str) -> String {
    local(at).split(' ').nth(1).unwrap_or_default().to_owned()
}
