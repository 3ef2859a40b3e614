//! What a document says, as rows of two texts that can be read aloud; and what differs between two of them.

use std::collections::BTreeMap;

use comity_core::{
    crypto::role_name,
    ids::{KeyId, hex},
    profile::{Quorum, witness_quorum},
    proto::{self, KeyRole},
    rules::{Side, actor_name},
};

use super::{
    Paper,
    draft::{
        plain,
        profile::{key_id, node_text},
    },
    holder::{algorithm_name, mark},
};

/// What it is about, and what is said of it.
pub(super) type Row = (String, String);

/// These differ between any two versions and say nothing of what changed.
const ALWAYS_NEW: [&str; 3] = ["Version", "Issued", "Follows"];

/// Everything a document says.
pub(super) fn rows(paper: &Paper) -> Vec<Row> {
    match paper {
        Paper::Charter(wire) => charter(wire),
        Paper::Profile(wire) => profile(wire),
        Paper::Directory(wire) => directory(wire),
        Paper::Suspension(wire) => vec![
            row("Network", &wire.network),
            row("Party", &wire.party),
            row("Issued", plain(wire.issued_ms)),
            row(
                "Effect",
                format!(
                    "nobody speaks for {} from then on by its profile, version {}; the next one its root keys sign ends that",
                    wire.party, wire.profile_version
                ),
            ),
            row("Profile", hex(&wire.profile)),
            row("Reason", &wire.reason),
        ],
        Paper::Head(wire) => vec![
            row("Network", &wire.network),
            row("Party", &wire.party),
            row("Issued", plain(wire.issued_ms)),
            row("Newest profile", format!("version {}, {}", wire.profile_version, hex(&wire.profile))),
            row("Newest directory", format!("version {}, {}", wire.directory_version, hex(&wire.directory))),
        ],
    }
}

/// What is new, gone or changed from one version to the next, in words.
pub(super) fn changes(before: &Paper, after: &Paper) -> Vec<String> {
    let map = |paper| -> BTreeMap<String, String> { rows(paper).into_iter().collect() };
    let (old, new) = (map(before), map(after));
    let told = |what: &&String| !ALWAYS_NEW.contains(&what.as_str());
    let mut said = Vec::new();
    for what in new.keys().filter(told) {
        match old.get(what) {
            None => said.push(format!("New: {what}: {}", new[what])),
            Some(before) if *before != new[what] => {
                said.push(format!("Changed: {what}: from \"{before}\" to \"{}\"", new[what]));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|(what, _)| told(what) && !new.contains_key(*what));
    said.extend(gone.map(|(what, before)| format!("Gone: {what} (it was: {before})")));
    said
}

fn row(what: impl Into<String>, said: impl Into<String>) -> Row {
    (what.into(), said.into())
}

fn charter(wire: &proto::Charter) -> Vec<Row> {
    let exercise = if wire.exercise { "an EXERCISE: nothing in it has legal effect" } else { "in earnest" };
    let mut rows = vec![
        row("Network", format!("{}, {exercise}", wire.network)),
        row("Version", wire.version.to_string()),
        row("Issued", plain(wire.issued_ms)),
        row("Expires", format!("{}, then {} days of grace", plain(wire.expires_ms), wire.grace_days)),
    ];
    rows.extend(follows(&wire.previous));
    let (holders, needed) = holders(wire.signers.as_ref(), KeyRole::Charter);
    rows.push(row("Threshold of the charter", format!("{needed} of {} signers must sign", holders.len())));
    rows.extend(holders.iter().map(|holder| row(format!("Signer {holder}"), "signs the charter")));
    for party in &wire.parties {
        let until = date(", suspended from ", party.suspended_ms) + &date(", withdrawn from ", party.withdrawn_ms);
        rows.push(row(
            format!("Party {}", party.code),
            format!("{}, takes part from {}{until}", party.name, plain(party.joined_ms)),
        ));
        rows.push(row(format!("Root keys of {}", party.code), root(party.root.as_ref())));
    }
    rows.extend(wire.instruments.iter().map(instrument));
    rows.extend(wire.exceptions.iter().map(exception));
    rows.extend(wire.suites.iter().map(|suite| {
        row(
            format!("Suite {}", suite.id),
            format!("allowed from {}{}", plain(suite.from_ms), date(" until ", suite.until_ms)),
        )
    }));
    rows.extend(wire.witnesses.iter().map(|duty| {
        let count = duty.witnesses.len();
        let quorum = witness_quorum(duty);
        let away = count.saturating_sub(quorum);
        let (who, faulty) = (duty.witnesses.join(", "), duty.faulty);
        let said = format!("{who}; {quorum} of {count} must sign, so {faulty} may be faulty and {away} may be away");
        row(format!("Witnesses of {}", duty.party), said)
    }));
    rows
}

fn instrument(status: &proto::InstrumentStatus) -> Row {
    let listed = |name, codes: &[String]| {
        if codes.is_empty() { String::new() } else { format!("; {name} {}", codes.join(", ")) }
    };
    let said = [
        format!("in force from {}", plain(status.in_force_ms)),
        date(" until ", status.until_ms),
        listed("reservations", &status.reservations),
        listed("declarations", &status.declarations),
    ];
    row(format!("Instrument {} for {}", status.instrument, status.party), said.concat())
}

fn exception(row_: &proto::PairException) -> Row {
    let said = match row_.in_force_ms {
        0 => "not in force".to_owned(),
        from => format!("in force from {} only", plain(from)),
    };
    row(format!("Instrument {} between {} and {}", row_.instrument, row_.party_a, row_.party_b), said)
}

fn profile(wire: &proto::Profile) -> Vec<Row> {
    let mut rows = vec![
        row("Network", &wire.network),
        row("Party", &wire.party),
        row("Version", wire.version.to_string()),
        row("Issued", plain(wire.issued_ms)),
    ];
    rows.extend(follows(&wire.previous));
    for authority in &wire.authorities {
        let name = format!("{}, time zone {}", authority.name, authority.time_zone);
        rows.push(row(format!("Authority {}", authority.id), name));
        if !authority.actors.is_empty() {
            let names: Vec<&str> = authority.actors().map(actor_name).collect();
            rows.push(row(format!("{} acts as", authority.id), names.join(", ")));
        }
        rows.extend(authority.powers.iter().map(|power| self::power(&authority.id, power)));
    }
    rows.extend(wire.languages.iter().map(|rule| {
        let procedure = if rule.procedure.is_empty() { "every procedure" } else { &rule.procedure };
        let urgent = if rule.urgent { ", urgent" } else { "" };
        row(format!("Languages for {procedure}{urgent}"), rule.languages.join(", "))
    }));
    rows.extend(wire.declarations.iter().map(|said| row(format!("Declaration {}", said.code), &said.value)));
    rows.extend(
        wire.nodes.iter().map(|node| row(format!("Node {}", node_text(&node.peer_id)), "speaks for the Party")),
    );
    rows.extend((1..).zip(&wire.ledgers).map(ledger));
    rows.extend(wire.keys.iter().map(key));
    rows.extend(wire.revocations.iter().map(|gone| {
        let key = KeyId::from_slice(&gone.key_id).map_or_else(|_| hex(&gone.key_id), |id| id.short());
        row(format!("Revoked key {key}"), format!("from {}, reason {}", plain(gone.from_ms), gone.reason))
    }));
    rows
}

fn ledger((number, ledger): (u32, &proto::Ledger)) -> Row {
    let follows = match ledger.root.is_empty() {
        true => String::new(),
        false => format!(
            ", in the place of the one before, from its first {} records with root {}",
            ledger.size,
            hex(&ledger.root)
        ),
    };
    row(format!("Ledger {number}"), format!("{}{follows}", ledger.origin))
}

fn power(authority: &str, power: &proto::Power) -> Row {
    let side = Side::read(power.side).map_or("no", Side::as_str);
    let dates = format!("from {}{}", plain(power.from_ms), date(" until ", power.until_ms));
    row(format!("Power of {authority} in {} on the {side} side", power.procedure), dates)
}

fn key(key: &proto::RoleKey) -> Row {
    let what = format!("{} key {}", role_name(key.role()), key_id(key).short());
    row(
        what,
        format!(
            "{}, from {} until {}",
            algorithm_name(key.algorithm()),
            plain(key.not_before_ms),
            plain(key.not_after_ms)
        ),
    )
}

fn directory(wire: &proto::Directory) -> Vec<Row> {
    let mut rows = vec![
        row("Network", &wire.network),
        row("Party", &wire.party),
        row("Version", wire.version.to_string()),
        row("Issued", plain(wire.issued_ms)),
        row("Of profile", hex(&wire.profile)),
    ];
    rows.extend(wire.contacts.iter().map(|contact| {
        let parts = [&contact.email, &contact.phone, &contact.hours, &contact.languages.join(", ")];
        let said: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        row(format!("Contact {} of {}", contact.office, contact.authority), said.join("; "))
    }));
    rows.extend(
        wire.addresses.iter().map(|address| {
            row(format!("Addresses of node {}", node_text(&address.node)), address.multiaddrs.join(", "))
        }),
    );
    rows.extend(wire.holidays.iter().map(|day| row(format!("Holiday {day}"), "nobody works")));
    rows
}

fn follows(previous: &[u8]) -> Option<Row> {
    (!previous.is_empty()).then(|| row("Follows", hex(previous)))
}

fn date(before: &str, ms: u64) -> String {
    if ms == 0 { String::new() } else { format!("{before}{}", plain(ms)) }
}

fn root(quorum: Option<&proto::Quorum>) -> String {
    let (holders, needed) = holders(quorum, KeyRole::Root);
    format!("{needed} of {} must sign: {}", holders.len(), holders.join(", "))
}

fn holders(quorum: Option<&proto::Quorum>, role: KeyRole) -> (Vec<String>, u32) {
    let Some(wire) = quorum else { return (Vec::new(), 0) };
    let marks = Quorum::from_wire(wire, role).map(|quorum| quorum.holders().iter().map(mark).collect());
    (marks.unwrap_or_default(), wire.threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceremony::tests::{charter, full_charter, profile as a_profile};

    #[test]
    fn no_two_rows_are_about_the_same() {
        for paper in [Paper::Charter(Box::new(full_charter())), Paper::Profile(Box::new(a_profile()))] {
            let all = rows(&paper);
            let distinct: BTreeMap<&String, &String> = all.iter().map(|(what, said)| (what, said)).collect();
            assert_eq!(distinct.len(), all.len(), "{all:?}");
        }
    }

    #[test]
    fn a_change_is_said_in_words() {
        let check = |change: fn(&mut proto::Charter), expected: &str| {
            let mut next = charter();
            (next.version, next.previous, next.issued_ms) = (2, vec![1; 32], next.issued_ms + 1);
            change(&mut next);
            let said = changes(&Paper::Charter(Box::new(charter())), &Paper::Charter(Box::new(next)));
            assert!(
                said.iter().any(|line| line.starts_with(expected)) || said.is_empty() && expected.is_empty(),
                "{said:?}"
            );
        };
        check(|_| {}, "");
        check(|next| next.parties[0].name = "Other".into(), "Changed: Party XA: from \"Arvia");
        check(|next| drop(next.instruments.remove(0)), "Gone: Instrument BC for XA");
        check(|next| next.instruments[0].until_ms = 1, "Changed: Instrument BC for XA: ");
        check(|next| next.suites.push(proto::SuiteDates { id: 9, from_ms: 1, until_ms: 0 }), "New: Suite 9: allowed");
        check(|next| next.parties[1].withdrawn_ms = 5, "Changed: Party XB: ");
        check(|next| next.parties[1].root = next.parties[0].root.clone(), "Changed: Root keys of XB: ");
        check(|next| next.signers.as_mut().expect("signers").threshold = 1, "Changed: Threshold of the charter: ");
        check(|next| drop(next.signers.as_mut().expect("signers").keys.pop()), "Gone: Signer ");
    }
}
