//! What a monitoring system reads, in the text form of OpenMetrics: figures and codes, no id and no name but those
//! of Parties. Nothing is counted here; each reading is taken off the node as it is.

use comity_core::ids::Time;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use super::node::{COUNTED_MAX, LANES, expiries, missing, others};
use crate::{
    api::problem::Problem,
    handle::{Status, View},
    store::disk_room,
    warnings,
};

/// A deadline is at risk when it ends within this, in milliseconds: one working day and its night.
const AT_RISK_MS: u64 = 86_400_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPeer {
    peer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLane {
    peer: String,
    lane: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfThing {
    what: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    code: &'static str,
}

/// Reads all figures.
pub(in crate::api) fn metrics(view: &View, status: &Status, now: Time) -> Result<String, Problem> {
    let mut registry = Registry::with_prefix("comity");
    let labels = vec![("version", env!("CARGO_PKG_VERSION")), ("party", view.us.party.as_str())];
    let labels: Vec<_> = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    registry.register("build", "The program and the Party it speaks for", Info::new(labels));
    node(&mut registry, view, status);
    peers(&mut registry, view, status, now)?;
    deadlines(&mut registry, view, now)?;
    ends(&mut registry, view, now);
    process(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("texts take everything written to them");
    Ok(text)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(whole(value));
    registry.register(name, help, gauge);
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn node(registry: &mut Registry, view: &View, status: &Status) {
    gauge(registry, "ledger_records", "Records on disk", status.size);
    let unsigned = status.size.saturating_sub(status.signed);
    gauge(
        registry,
        "ledger_unsigned_records",
        "Records no checkpoint covers yet; their receipts wait for it",
        unsigned,
    );
    gauge(registry, "read_only", "1 when nothing can be recorded", view.read_only().is_some().into());
    gauge(registry, "start_time_seconds", "When the node started", view.started.0 / 1000);
    if let Some((free, total)) = disk_room(&view.data) {
        gauge(registry, "disk_free_bytes", "What the node may still use of the disk of its data folder", free);
        gauge(registry, "disk_size_bytes", "How large that disk is", total);
    }
    let strangers = Counter::<u64>::default();
    strangers.inc_by(status.strangers);
    registry.register("strangers", "Callers with a key no profile names, turned away since the start", strangers);
}

fn peers(registry: &mut Registry, view: &View, status: &Status, now: Time) -> Result<(), Problem> {
    let (up, cut_off) = (Family::<OfPeer, Gauge>::default(), Family::<OfPeer, Gauge>::default());
    let (owed, oldest) = (Family::<OfLane, Gauge>::default(), Family::<OfLane, Gauge>::default());
    let gaps = Family::<OfLane, Gauge>::default();
    let (misconduct, demoted) = (Family::<OfPeer, Counter>::default(), Family::<OfPeer, Counter>::default());
    for party in &others(view) {
        let of = OfPeer { peer: party.to_string() };
        let link = status.peers.get(party).cloned().unwrap_or_default();
        let conduct = view.conduct.of(party);
        up.get_or_create(&of).set(link.up.into());
        cut_off.get_or_create(&of).set(conduct.until().is_some().into());
        misconduct.get_or_create(&of).inc_by(conduct.count());
        demoted.get_or_create(&of).inc_by(link.demoted);
        for (lane, name) in LANES {
            let of = OfLane { peer: party.to_string(), lane: name };
            let rows = view.index.owed(party, lane, (0, 0), COUNTED_MAX)?;
            let since = rows.iter().map(|(_, row)| row.recorded_ms).min();
            let age = since.map_or(0, |since| now.since(Time(since)) / 1000);
            owed.get_or_create(&of).set(whole(rows.len() as u64));
            oldest.get_or_create(&of).set(whole(age));
            gaps.get_or_create(&of).set(whole(missing(view, party, lane)?));
        }
    }
    registry.register("peer_up", "1 when a link to the peer is up", up);
    registry.register("peer_cut_off", "1 while the peer is cut off for its misconduct", cut_off);
    registry.register("peer_misconduct", "What the peer did against the protocol, as kept over restarts", misconduct);
    registry.register("peer_demoted", "Emergencies beyond the peer's budget since the start", demoted);
    registry.register("owed_events", "Events whose receipt by the peer is pending, at most 10000", owed);
    let unit = Unit::Seconds;
    registry.register_with_unit("owed_oldest_age", "How long the oldest of them has waited", unit, oldest);
    registry.register("missing_deliveries", "Deliveries the peer numbered that have not arrived", gaps);
    Ok(())
}

fn deadlines(registry: &mut Registry, view: &View, now: Time) -> Result<(), Problem> {
    let states = Family::<OfState, Gauge>::default();
    let due = view.index.by_deadline(COUNTED_MAX)?;
    let overdue = due.iter().filter(|(at, _)| *at <= now).count() as u64;
    let soon = due.iter().filter(|(at, _)| *at > now && at.since(now) <= AT_RISK_MS).count() as u64;
    states.get_or_create(&OfState { state: "overdue" }).set(whole(overdue));
    states.get_or_create(&OfState { state: "within-a-day" }).set(whole(soon));
    states.get_or_create(&OfState { state: "later" }).set(whole(due.len() as u64 - overdue - soon));
    registry.register("deadlines", "Open threads by their nearest deadline, at most 10000", states);
    Ok(())
}

fn ends(registry: &mut Registry, view: &View, now: Time) {
    let at = Family::<OfThing, Gauge>::default();
    for (what, until) in expiries(view, now) {
        let gauge = at.get_or_create(&OfThing { what });
        // Of several keys of one role the first to end counts.
        let earlier = gauge.get();
        let until = whole(until.0 / 1000);
        gauge.set(if earlier == 0 { until } else { earlier.min(until) });
    }
    let found = Family::<OfCode, Gauge>::default();
    for warning in warnings::all(view, now) {
        found.get_or_create(&OfCode { code: warning.code }).inc();
    }
    registry.register("warnings", "What there is to look after before it hurts, by code", found);
    registry.register("expiry_timestamp_seconds", "When the charter and each kind of own key end", at);
}

/// Memory and descriptors of this process, where the system shows them.
fn process(registry: &mut Registry) {
    if let Some(bytes) = resident_bytes() {
        gauge(registry, "process_resident_memory_bytes", "Memory of the process", bytes);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge(registry, "process_open_fds", "Descriptors the process holds", open.count() as u64);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
