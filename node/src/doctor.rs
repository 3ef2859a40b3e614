//! The whole path to each peer, step by step, and whether this node is fit to work: what an operator asks at
//! three in the morning. It looks and asks; it changes nothing.
//!
//! Every finding is a step, whether it is in order, a stable code if it is not (`comity explain` says what to do),
//! and what was seen. Start with [`path`] and [`fitness`].

use comity_core::{
    engine::CLOCK_BEHIND_MS_MAX,
    event::AHEAD_MS_MAX,
    ids::{PartyCode, Time},
    proto::KeyRole,
};

use crate::{
    evidence::Evidence,
    handle::{PeerStatus, Status, View},
    keys::{Held, in_use},
    net::reach,
    store::disk_room,
    time::{self, rfc3339},
    warnings,
};

/// Below this the node says that its disk fills: four segments of the ledger, an hour of the busiest day.
const DISK_LOW: u64 = 256 << 20;
/// Clocks that differ by more than this are worth setting, in milliseconds.
const CLOCKS_APART_MS: u64 = 2_000;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub step: &'static str,
    /// A stable code; empty if all is well.
    pub code: &'static str,
    /// What was seen, for people.
    pub seen: String,
}

fn fine(step: &'static str, seen: impl Into<String>) -> Finding {
    Finding { step, code: "", seen: seen.into() }
}

fn wrong(step: &'static str, code: &'static str, seen: impl Into<String>) -> Finding {
    Finding { step, code, seen: seen.into() }
}

/// Whether this node can do its work by itself: record, sign, listen. Peers do not matter here.
#[must_use]
pub fn fitness(view: &View, status: &Status, now: Time) -> Vec<Finding> {
    let mut found = vec![
        match view.read_only() {
            Some(code) => wrong("ledger", code, "nothing can be recorded"),
            None => fine("ledger", format!("{} records, {} under a signed checkpoint", status.size, status.signed)),
        },
        audit(view),
        match disk_room(&view.data) {
            Some((free, _)) if free < DISK_LOW => wrong("disk", "store.disk-low", format!("{free} bytes free")),
            Some((free, _)) => fine("disk", format!("{free} bytes free")),
            None => fine("disk", "the system does not say"),
        },
        clock(view, now),
        charter(view, now),
        keys(view, now),
        match view.listening.is_empty() {
            true => wrong("listening", "net.not-listening", "no peer can call"),
            false => fine("listening", view.listening.join(" ")),
        },
    ];
    found.extend(eyes(view, now));
    found
}

/// Without an audit tree nothing of a case is shown, and no act done.
fn audit(view: &View) -> Finding {
    let tree = view.audit.ledger();
    match view.audit.fault() {
        Some(fault) => wrong("audit", fault.code(), "nothing of a case is shown, and no act done"),
        None => fine("audit", format!("{} records, {} under a signed checkpoint", tree.size(), tree.signed())),
    }
}

/// Whether what went out on one officer's word has had its second look in time.
fn eyes(view: &View, now: Time) -> Option<Finding> {
    let warning = warnings::second_owed(view, now)?;
    let overdue = warning.code == warnings::SECOND_OVERDUE;
    Some(if overdue { wrong("four eyes", warning.code, warning.detail) } else { fine("four eyes", warning.detail) })
}

/// Our own events stop while the clock is behind the last record.
fn clock(view: &View, now: Time) -> Finding {
    match view.index.applied() {
        Ok((_, recorded)) if recorded.since(now) > CLOCK_BEHIND_MS_MAX => {
            wrong("clock", "engine.clock-behind", format!("the last record is of {}", rfc3339(recorded)))
        }
        Ok(_) => fine("clock", rfc3339(now)),
        Err(fault) => wrong("clock", fault.code(), "the index does not answer"),
    }
}

fn charter(view: &View, now: Time) -> Finding {
    let until = view.trust().charter().expires;
    let seen = format!("until {}", rfc3339(until));
    match warnings::charter(view, now) {
        None => fine("charter", seen),
        Some(warning) => wrong("charter", warning.code, warning.detail),
    }
}

/// A key of each role this node signs, opens or connects with; and those it holds that the profile does not name.
fn keys(view: &View, now: Time) -> Finding {
    let trust = view.trust();
    let Some(profile) = trust.profile(&view.us.party, now) else {
        return wrong("keys", "trust.no-own-profile", "no profile of this Party is in force");
    };
    let used = |role| in_use(view.keys.iter(), role, profile, now);
    let needed = [KeyRole::Record, KeyRole::Checkpoint, KeyRole::Seal, KeyRole::Transport];
    if let Some(role) = needed.into_iter().find(|role| used(*role).is_none()) {
        let name = view.keys.iter().find(|held| held.role == role).map_or("needed", Held::role_name);
        return wrong("keys", "keys.none-in-force", format!("none of the {name} keys held here is allowed now"));
    }
    let first = match profile.expiries(now).map(|(_, until)| until).min() {
        Some(until) => format!("the first ends {}", rfc3339(until)),
        None => "none ends".to_owned(),
    };
    let with = |word: &str, fits: &dyn Fn(&Held) -> bool| {
        let names =
            view.keys.iter().filter(|held| fits(held)).map(|held| format!("{} {}", held.role_name(), held.number));
        let names: Vec<_> = names.collect();
        if names.is_empty() { String::new() } else { format!("; {word}: {}", names.join(", ")) }
    };
    let ended = with("ended", &|held| held.dates(profile).is_some_and(|(_, until)| until <= now));
    let unnamed = with("not in the profile", &|held| held.dates(profile).is_none());
    fine("keys", format!("{first}{ended}{unnamed}"))
}

/// The way to one peer, from its profile to its clock.
pub async fn path(view: &View, status: &Status, evidence: &Evidence, party: &PartyCode) -> Vec<Finding> {
    let now = time::now();
    let unknown = PeerStatus::default();
    let link = status.peers.get(party).unwrap_or(&unknown);
    let mut found = vec![match view.trust().profile(party, now) {
        Some(profile) => fine("profile", format!("version {}", profile.version)),
        None => wrong("profile", "profile.none", "this Party cannot act and is not let in"),
    }];
    let conduct = view.conduct.of(party);
    found.push(match conduct.until() {
        Some(until) => wrong("conduct", "net.cut-off", format!("cut off until {}", rfc3339(until))),
        None => fine("conduct", format!("{} wrongs seen", conduct.count())),
    });
    found.extend(addresses(view, party).await);
    if !link.up {
        let code = if link.why.is_empty() { "net.not-connected" } else { link.why };
        found.push(wrong("link", code, format!("down since {}", rfc3339(link.since))));
        return found;
    }
    found.push(fine("link", format!("admitted both ways, {}", link.address)));
    found.push(match link.hybrid {
        true => fine("keys exchanged", "X25519MLKEM768"),
        false => wrong("keys exchanged", "net.not-hybrid", "a classical group, which a quantum computer may open"),
    });
    match evidence.clock(party).await {
        Ok(told) => {
            found.push(fine("round trip", format!("{} ms", told.round_ms)));
            let seen =
                format!("{} ms {}", told.ahead_ms.unsigned_abs(), if told.ahead_ms < 0 { "behind" } else { "ahead" });
            found.push(match told.ahead_ms.unsigned_abs() {
                apart if apart > AHEAD_MS_MAX => wrong("clock", "event.time-ahead", seen),
                apart if apart > CLOCKS_APART_MS.max(told.round_ms) => wrong("clock", "net.clocks-apart", seen),
                _ => fine("clock", seen),
            });
        }
        Err(fault) => found.push(wrong("round trip", fault.code(), "the peer did not answer")),
    }
    found
}

async fn addresses(view: &View, party: &PartyCode) -> Vec<Finding> {
    let Some(addresses) = view.addresses.get(party).filter(|addresses| !addresses.is_empty()) else {
        return vec![fine("address", "none is set; the peer must call")];
    };
    let mut found = Vec::new();
    for address in addresses {
        let at = reach(address).await;
        if at.code == "net.unknown-name" || at.code == "net.bad-address" {
            found.push(wrong("name", at.code, address));
            continue;
        }
        found.push(fine("name", format!("{address} is {}", at.resolved.join(", "))));
        found.push(match at.connected_ms {
            Some(ms) => fine("port", format!("answers after {ms} ms")),
            None => wrong("port", at.code, address),
        });
    }
    found
}
