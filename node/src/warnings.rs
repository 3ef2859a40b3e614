//! What a person should know before it hurts: what expires within sixty days, whom we have not heard of, who was
//! suspended or re-founded, who signed two of one number. Read from what is known, never kept: it is gone when its reason is.

use std::collections::BTreeMap;

use comity_core::{
    crypto::role_name,
    ids::{DAY_MS, PartyCode, RequestId, Time},
    profile::{Freshness, Kind},
    proto::KeyRole,
};

use crate::{
    handle::{View, hold_of, last_backup, owed},
    time::rfc3339,
};

/// People are warned this long before something expires: a treaty secretariat meets every other month.
pub const AHEAD_MS: u64 = 60 * DAY_MS;

/// Backups are made daily: one may fail, and the next, and be noticed on Monday.
const BACKUP_MS: u64 = 4 * DAY_MS;

/// Requests counted: beyond it the number says "at least".
const COUNTED_MAX: usize = 1_000;

/// Witnesses are asked every minute: after so long they do not merely rest.
const UNWITNESSED_MS: u64 = 10 * 60 * 1000;

/// One thing to look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable code.
    pub code: &'static str,
    /// Whose; none if it is the network's.
    pub party: Option<PartyCode>,
    /// What there is, in words.
    pub detail: String,
}

/// All of them now, the network's first.
#[must_use]
pub fn all(view: &View, now: Time) -> Vec<Warning> {
    let mut found: Vec<Warning> =
        charter(view, now).into_iter().chain(forked(view)).chain(rebuilt(view)).chain(unrecorded(view)).collect();
    found.extend(key_encryption(view, now));
    found.extend(kept_long_enough(view, now));
    found.extend(backup(view, now));
    found.extend(second_owed(view, now));
    found.extend(no_roll(view, now));
    let trust = view.trust();
    for party in trust.charter().parties().keys() {
        found.extend(of(view, party, now));
    }
    found
}

/// Whether the index was built anew at this start: nothing is lost, but somebody should know why.
fn rebuilt(view: &View) -> Option<Warning> {
    let why = view.index.pairs().rebuilt()?;
    Some(Warning { code: "store.index-rebuilt", party: None, detail: format!("built anew from the ledger: {why}") })
}

/// Whether the key that wraps the data keys of requests is older than a month, or nobody knows how old. The one in use
/// counts: a new one is taken up by a start.
fn key_encryption(view: &View, now: Time) -> Option<Warning> {
    let key = view.key_encryption.filter(|key| key.is_due(now))?;
    let age = key.made.map_or("is of unknown age".to_owned(), |made| format!("was made {}", rfc3339(made)));
    let detail =
        format!("generation {} of the key-encryption key {age}; see: comity key roll key-encryption", key.number);
    Some(Warning { code: "keys.key-encryption-due", party: Some(view.us.party.clone()), detail })
}

/// Whether it cannot be recorded any more who is shown what.
fn unrecorded(view: &View) -> Option<Warning> {
    let detail = "nothing of a case is shown, and no act done; the node only receives".to_owned();
    view.audit.fault().map(|fault| Warning { code: fault.code(), party: None, detail })
}

/// What there is of the charter in force.
#[must_use]
pub fn charter(view: &View, now: Time) -> Option<Warning> {
    let trust = view.trust();
    let charter = trust.charter();
    let (expires, lapses) = (charter.expires, charter.lapses);
    let (code, detail) = match now {
        now if now >= lapses => ("charter.lapsed", format!("its grace was over {}", rfc3339(lapses))),
        now if now >= expires => {
            let until = rfc3339(lapses);
            ("charter.expired", format!("nobody new is accepted; what is under way goes on until {until}"))
        }
        now if expires.since(now) < AHEAD_MS => ("charter.expires-soon", format!("it expires {}", rfc3339(expires))),
        _ => return None,
    };
    Some(Warning { code, party: None, detail })
}

/// Two charters of one number.
fn forked(view: &View) -> Option<Warning> {
    let forks = view.index.documents(Kind::Charter, None, 0, true).unwrap_or_default();
    let (number, _) = forks.first()?;
    let detail = format!("two of number {number} were signed; compare fingerprints with the others");
    Some(Warning { code: "charter.fork", party: None, detail })
}

/// Requests that need not be kept any more: a person decides on each.
fn kept_long_enough(view: &View, now: Time) -> Option<Warning> {
    let over = view.kept_long_enough(now, COUNTED_MAX).unwrap_or_default();
    let free = over.iter().filter(|(_, row, _)| !is_held(view, &row.request_id)).count();
    let more = if over.len() == COUNTED_MAX { "at least " } else { "" };
    let detail = format!("{more}{free} may be erased, their time of retention is over; see: comity request retention");
    let party = Some(view.us.party.clone());
    (free > 0).then_some(Warning { code: "request.retention-over", party, detail })
}

/// Whether there is a backup of the last days. In an exercise nobody needs one, until somebody makes the first.
fn backup(view: &View, now: Time) -> Option<Warning> {
    let detail = match last_backup(&view.desk) {
        Some(made) if now.since(made) < BACKUP_MS => return None,
        Some(made) => format!("the newest is of {}; see: comity backup create", rfc3339(made)),
        None if view.trust().charter().exercise => return None,
        None => "none was made yet; see: comity backup create".to_owned(),
    };
    Some(Warning { code: "backup.overdue", party: Some(view.us.party.clone()), detail })
}

/// The code of a second approval that was not given in time.
pub(crate) const SECOND_OVERDUE: &str = "approval.second-overdue";

/// What went out on one officer's word, and waits for that of another. Past its time nothing stops by itself, and a
/// person must look.
#[must_use]
pub fn second_owed(view: &View, now: Time) -> Option<Warning> {
    let owed = owed(&view.desk);
    let first = owed.iter().map(|row| row.due).min()?;
    let count = owed.len();
    let see = "see: comity request approvals";
    let (code, detail) = match first {
        due if due <= now => {
            (SECOND_OVERDUE, format!("{count} went out under break-glass; the first was due {}; {see}", rfc3339(due)))
        }
        due => ("approval.second-owed", format!("{count} went out under break-glass; due {}; {see}", rfc3339(due))),
    };
    Some(Warning { code, party: Some(view.us.party.clone()), detail })
}

/// Whether two officers are required and nobody can be one.
fn no_roll(view: &View, now: Time) -> Option<Warning> {
    let trust = view.trust();
    let profile = trust.declared(&view.us.party).filter(|profile| profile.requires_four_eyes())?;
    let stands = view.roll(profile, now).is_some_and(|roll| roll.stands(profile, now));
    let detail =
        "two officers are required and no roll of them counts; nothing can leave; see: comity officer roll".to_owned();
    (!stands).then(|| Warning { code: "approval.no-roll", party: Some(view.us.party.clone()), detail })
}

fn is_held(view: &View, request: &[u8]) -> bool {
    RequestId::from_slice(request).is_ok_and(|request| hold_of(&view.desk, &request).is_some())
}

/// Whether our witnesses keep up with us.
fn own_ledger(view: &View, now: Time) -> Vec<Warning> {
    let trust = view.trust();
    let (assigned, quorum) = trust.charter().witnesses(&view.us.party);
    let signed = view.ledger.size();
    let witnessing = view.witnessing();
    let own = witnessing.own.as_ref();
    let reached = own.and_then(|own| own.by.values().max().copied()).unwrap_or(view.started);
    let behind = quorum > 0 && signed > own.map_or(0, |own| own.size) && now.since(reached) > UNWITNESSED_MS;
    let mut found = Vec::new();
    let mut warn = |code, detail| found.push(Warning { code, party: Some(view.us.party.clone()), detail });
    if witnessing.forks.iter().any(|fork| trust.party_of(fork.origin()) == Some(&view.us.party)) {
        warn(
            "ledger.forked",
            "two checkpoints signed by this Party's keys contradict each other: who else has them?".to_owned(),
        );
    }
    if behind {
        let count = assigned.len();
        warn("ledger.not-witnessed", format!("{quorum} of its {count} witnesses must cosign; see comity ledger show"));
    }
    let we_witness =
        trust.charter().parties().keys().any(|party| trust.charter().witnesses(party).0.contains(&view.us.party));
    let keyed = trust.profile(&view.us.party, now).is_none_or(|own| own.keys(KeyRole::Witness, now).next().is_some());
    if we_witness && !keyed {
        warn("witness.no-key", "the charter makes it a witness, and its profile names no witness key".to_owned());
    }
    found
}

/// Of each role the key that lasts longest counts: while one is left, the others may end.
fn own_keys(view: &View, now: Time) -> Vec<Warning> {
    let trust = view.trust();
    let Some(profile) = trust.profile(&view.us.party, now) else { return Vec::new() };
    let mut last = BTreeMap::new();
    for (role, at) in profile.expiries(now) {
        let longest = last.entry(role).or_insert(at);
        *longest = at.max(*longest);
    }
    let soon = last.into_iter().filter(|(_, at)| at.since(now) < AHEAD_MS);
    let warning = |(role, at): (KeyRole, Time)| Warning {
        code: "keys.expire-soon",
        party: Some(view.us.party.clone()),
        detail: format!("the last {} key of this Party ends {}", role_name(role), rfc3339(at)),
    };
    soon.map(warning).collect()
}

/// What there is of one Party; of our own also its keys.
#[must_use]
pub fn of(view: &View, party: &PartyCode, now: Time) -> Vec<Warning> {
    let trust = view.trust();
    let own = *party == view.us.party;
    let mut found =
        if own { own_keys(view, now).into_iter().chain(own_ledger(view, now)).collect() } else { Vec::new() };
    let mut warn = |code, detail| found.push(Warning { code, party: Some(party.clone()), detail });
    if let Some(named) = trust.charter().parties().get(party) {
        if let Some(at) = named.refounded() {
            let when = if now < at { "count from" } else { "count since" };
            warn(
                "charter.refounded",
                format!("its root keys were changed without it; the new ones {when} {}", rfc3339(at)),
            );
        }
        match named.leaves() {
            (_, Some(at)) if at <= now => warn("charter.withdrawn", format!("since {}", rfc3339(at))),
            (Some(at), _) if at <= now => warn("charter.suspended", format!("by the charter, since {}", rfc3339(at))),
            _ => {}
        }
    }
    if let Some(ledger) = view.witnessing().peers.get(party) {
        if ledger.forked {
            warn(
                "ledger.forked",
                "two checkpoints it signed contradict each other; nothing of it is cosigned".to_owned(),
            );
        }
        if ledger.rolled_back {
            let size = ledger.size;
            warn("ledger.rolled-back", format!("its ledger shows fewer than the {size} records it has signed before"));
        }
    }
    if let Some(suspension) = trust.suspension(party, now) {
        let reason = &suspension.reason;
        warn("profile.suspended", format!("by its own root keys, since {}: {reason}", rfc3339(suspension.from)));
    }
    let heard = trust.heard(party).map(rfc3339).unwrap_or_default();
    match trust.freshness(party, now) {
        Freshness::Fresh => {}
        Freshness::Stale => warn("profile.stale", format!("not heard of since {heard}")),
        Freshness::Frozen => warn("profile.frozen", format!("not heard of since {heard}; nothing of it is accepted")),
    }
    for kind in [Kind::Profile, Kind::Directory, Kind::Head] {
        let forks = view.index.documents(kind, Some(party), 0, true).unwrap_or_default();
        if let Some((number, _)) = forks.first() {
            warn("profile.fork", format!("it has signed two of number {number} ({})", kind.name()));
        }
    }
    found
}
