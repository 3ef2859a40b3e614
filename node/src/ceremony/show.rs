//! A document in words that can be read aloud, and as one object for programs.

use comity_core::crypto::role_name;
use comity_core::{
    ids::{Digest, hex},
    profile::SUSPENSION_TYPE,
    proto::KeyRole,
};
use serde_json::{Value, json};

use super::{
    Beside, CharterDraft, DirectoryDraft, Document, Outcome, Paper, ProfileDraft, Standing,
    holder::mark,
    rows::{changes, rows},
    standing::{Part, Seat},
};
use crate::words;

/// Words in a line: what one breath reads and the other side writes down.
const WORDS_IN_A_LINE: usize = 6;

/// Everything about a document, for people.
pub(crate) fn shown(document: &Document, beside: &Beside, standing: &Standing) -> String {
    let mut text = format!("{}\n\n", title(document));
    for (what, said) in rows(&document.paper) {
        text += &format!("{what}: {said}\n");
    }
    text += &format!("\n{}\n", fingerprint_block(fingerprint_name(document), &document.id()));
    text += &signatures(document, standing);
    text += &told_changes(document, beside).map(|told| format!("\n{told}")).unwrap_or_default();
    for said in warnings(standing).into_iter().chain(lacks(&document.paper)) {
        text += &format!("\n{said}\n");
    }
    text += &format!("\n{}", state(document, standing));
    text
}

/// What it is, in one line.
pub(super) fn title(document: &Document) -> String {
    let version = |version: u64| format!(", version {version}");
    let (of, version) = match &document.paper {
        Paper::Charter(wire) => (wire.network.clone(), version(wire.version)),
        Paper::Profile(wire) => (wire.party.clone(), version(wire.version)),
        Paper::Directory(wire) => (wire.party.clone(), version(wire.version)),
        Paper::Suspension(wire) => (wire.party.clone(), String::new()),
        Paper::Head(wire) => (wire.party.clone(), String::new()),
    };
    format!("{} of {of}{version}", capital(document.paper.kind()))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn fingerprint_name(document: &Document) -> &'static str {
    match document.paper {
        Paper::Charter(_) => "Fingerprint",
        Paper::Profile(_) | Paper::Directory(_) | Paper::Suspension(_) | Paper::Head(_) => "Document id",
    }
}

/// A fingerprint in digits and as 24 words.
pub(crate) fn fingerprint_block(name: &str, fingerprint: &Digest) -> String {
    let words = words::of(fingerprint);
    let words: Vec<&str> = words.split(' ').collect();
    let lines: Vec<String> = words.chunks(WORDS_IN_A_LINE).map(|line| format!("  {}", line.join(" "))).collect();
    format!("{name}: {fingerprint}\nIn words:\n{}\n", lines.join("\n"))
}

/// Whose signatures count, who has signed and who has not.
pub(super) fn signatures(document: &Document, standing: &Standing) -> String {
    let mut text = "Signatures\n".to_owned();
    for seat in &standing.seats {
        let (signed, needed) = (standing.count(seat), seat.needed);
        text += &format!("  {}: {signed} of {needed} needed\n", capital(&part(&seat.part)));
        for pair in seat.quorum.holders() {
            let state = if standing.has(pair) { "signed    " } else { "not signed" };
            text += &format!("    {state}  key {}\n", mark(pair));
        }
    }
    if standing.seats.is_empty() {
        let signed =
            if document.signatures.is_empty() { "not signed yet" } else { "signed by a directory key of its Party" };
        text += &format!("  {signed}\n");
    }
    if standing.unknown > 0 {
        text += &format!("  and {} by keys that can be told only with --after\n", standing.unknown);
    }
    text
}

fn part(part: &Part) -> String {
    match part {
        Part::Signers => "the charter's signers".to_owned(),
        Part::Before => "the signers of the version before".to_owned(),
        Part::Consent(party) => format!("Party {party}, agreeing to the change of its root keys"),
        Part::Party(party) => format!("Party {party}, since the version before has expired"),
        Part::Root(party) => format!("the root keys of Party {party}"),
        Part::Brake(party) => format!("any one root key of Party {party}"),
    }
}

/// What differs from the version before, if that was given.
pub(super) fn told_changes(document: &Document, beside: &Beside) -> Option<String> {
    let before = beside.before.as_ref()?;
    let mut text = "What changes from the version before\n".to_owned();
    let changes = changes(&before.paper, &document.paper);
    if changes.is_empty() {
        text += "  nothing but dates and numbers\n";
    }
    for change in changes {
        text += &format!("  {change}\n");
    }
    if beside.before_unproved {
        text += &format!(
            "NOTE: who signed the version before cannot be checked here: its Party's root keys have changed since, or a\n\
             stranger wrote it. Its id is {}: compare it with what a node of this network holds\n\
             (comity party show PARTY).\n",
            before.id()
        );
    }
    Some(text)
}

/// What everybody must be told before signing or using it.
pub(crate) fn warnings(standing: &Standing) -> Vec<String> {
    let alarm = |party| {
        format!(
            "WARNING: the root keys of Party {party} are changed WITHOUT ITS CONSENT. This is a re-founding of that Party:\n\
             every node raises an alarm, and the new keys count only after 30 days. Ask Party {party} by another way\n\
             whether it knows; if it agrees, its root keys must sign as well."
        )
    };
    standing.without_consent().map(alarm).collect()
}

/// What a profile lacks that its node cannot do without.
fn lacks(paper: &Paper) -> Option<String> {
    let Paper::Profile(wire) = paper else { return None };
    let roles = [KeyRole::Record, KeyRole::Checkpoint, KeyRole::Directory, KeyRole::Seal];
    let missing = roles.into_iter().filter(|role| !wire.keys.iter().any(|key| key.role() == *role));
    let node = wire.nodes.is_empty().then_some("node");
    let missing: Vec<&str> = node.into_iter().chain(missing.map(role_name)).collect();
    let list = missing.join(", ");
    (!missing.is_empty()).then(|| {
        format!("NOTE: no {list} is named here: no node can work under this profile. Draft it with --keys DATA/keys.")
    })
}

/// Whether it is complete, in one sentence.
pub(super) fn state(document: &Document, standing: &Standing) -> String {
    let kind = document.paper.kind();
    match &standing.outcome {
        Outcome::Holds(_) => format!("This {kind} is complete: everybody has signed who must."),
        Outcome::Incomplete => format!("This {kind} is not complete: {}.", missing(standing)),
        Outcome::NotKnown => {
            format!(
                "Whether this {kind} is complete cannot be said without the version before it: give it with --after."
            )
        }
    }
}

fn missing(standing: &Standing) -> String {
    let voluntary = |seat: &&Seat| !matches!(seat.part, Part::Consent(_) | Part::Party(_));
    let open = standing.seats.iter().filter(voluntary).filter(|seat| !standing.met(seat));
    let mut said: Vec<String> =
        open.map(|seat| format!("{} more of {}", seat.needed - standing.count(seat), part(&seat.part))).collect();
    if standing.seats.iter().any(|seat| matches!(seat.part, Part::Party(_))) {
        said.push(
            "or, since the version before has expired, two thirds of its Parties instead of its signers".to_owned(),
        );
    }
    if said.is_empty() { "a signature is missing".to_owned() } else { format!("missing are {}", said.join(", ")) }
}

/// What comes next, and for whom.
pub(crate) fn next_steps(document: &Document, standing: &Standing) -> String {
    let path = document.path.display();
    let steps: Vec<String> = match (&standing.outcome, &document.paper) {
        (Outcome::Holds(_), Paper::Charter(wire)) => {
            let mut steps = vec![
                "Everybody present: read the 24 words aloud and compare.".to_owned(),
                format!("The secretariat: comity charter minutes {path} --out minutes.md, print, sign by hand."),
                format!(
                    "The secretariat: comity charter kit --charter {path} --out kit.comity, and send it to every Party."
                ),
            ];
            if wire.version > 1 {
                steps.push(format!(
                    "The operator of any Party's node: comity roster import {path}, and that node tells all the others."
                ));
            }
            steps.push(
                "Each Party that joins: comity init --join kit.comity, with the fingerprint from the minutes."
                    .to_owned(),
            );
            steps
        }
        (Outcome::Holds(_), Paper::Profile(wire)) => vec![
            format!(
                "The operator of {}, where the node runs: comity roster import {path}, and it tells all the others.",
                wire.party
            ),
            format!(
                "Before its first start: put {path} into the node's folder as charter/profiles/{}.dsse instead.",
                wire.party
            ),
            "The operator: hand the same file to the secretariat for the next kit.".to_owned(),
        ],
        (Outcome::Holds(_), Paper::Suspension(wire)) => vec![
            format!(
                "The operator of any Party's node, at once: comity roster import {path}, and that node tells all the \
                 others: from then on nobody speaks for {}.",
                wire.party
            ),
            format!("The holders of {}'s root keys: find out what happened; a new profile ends it.", wire.party),
        ],
        (Outcome::Holds(_), Paper::Directory(_) | Paper::Head(_)) => {
            vec![
                format!("The operator, where the node runs: comity roster import {path}, and it tells all the others."),
                "The operator: hand the same file to the secretariat for the next kit.".to_owned(),
            ]
        }
        (Outcome::Incomplete | Outcome::NotKnown, paper) => signing_steps(paper, &path.to_string()),
    };
    let numbered = (1..).zip(steps).map(|(n, step): (u32, _)| format!("  {n}. {step}"));
    format!("Next:\n{}", numbered.collect::<Vec<_>>().join("\n"))
}

fn signing_steps(paper: &Paper, path: &str) -> Vec<String> {
    let (noun, who, beside) = match paper {
        Paper::Charter(wire) if wire.version > 1 => ("charter", "charter signer, old and new", " --after OLD"),
        Paper::Charter(_) => ("charter", "charter signer", ""),
        Paper::Profile(_) => ("profile", "holder of a root key", " --charter CHARTER"),
        Paper::Suspension(_) => ("profile", "one holder of a root key", " --charter CHARTER"),
        Paper::Directory(_) | Paper::Head(_) => {
            let line = format!(
                "The operator: comity profile sign {path} --charter CHARTER --profile PROFILE --keys DATA/keys --out directory-signed.dsse"
            );
            return vec![line];
        }
    };
    vec![
        format!("Whoever collects: carry {path} to each {who}."),
        format!(
            "Each of them, on a machine of their own: comity {noun} sign {path}{beside} --keys FOLDER --out signed-1.dsse"
        ),
        format!("Whoever collects: comity {noun} collect {path} signed-1.dsse ...{beside} --out final.dsse"),
    ]
}

/// The same as one object.
pub(crate) fn shown_json(document: &Document, beside: &Beside, standing: &Standing) -> Value {
    let seat = |seat: &Seat| {
        let holder = |pair: &[_; 2]| json!({ "fingerprint": super::holder_fingerprint(pair).to_string(), "signed": standing.has(pair) });
        json!({
            "part": part(&seat.part), "needed": seat.needed, "signed": standing.count(seat),
            "holders": seat.quorum.holders().iter().map(holder).collect::<Vec<_>>(),
        })
    };
    let outcome = match standing.outcome {
        Outcome::Holds(_) => "complete",
        Outcome::Incomplete => "incomplete",
        Outcome::NotKnown => "needs-the-version-before",
    };
    json!({
        "schema": "comity/ceremony/v1",
        "kind": document.paper.kind(),
        "id": document.id().to_string(),
        "words": words::of(&document.id()),
        "content": content(document),
        "seats": standing.seats.iter().map(seat).collect::<Vec<_>>(),
        "unknown_signatures": standing.unknown,
        "outcome": outcome,
        "without_consent": standing.without_consent().map(ToString::to_string).collect::<Vec<_>>(),
        "changes": beside.before.as_ref().map(|before| changes(&before.paper, &document.paper)),
    })
}

/// In the shape of its draft; what has no draft, as rows.
fn content(document: &Document) -> Value {
    let drafted = match &document.paper {
        Paper::Charter(wire) => serde_json::to_value(CharterDraft::of(wire)),
        Paper::Profile(wire) => serde_json::to_value(ProfileDraft::of(wire)),
        Paper::Directory(wire) => serde_json::to_value(DirectoryDraft::of(wire)),
        Paper::Suspension(wire) => Ok(json!({
            "schema": SUSPENSION_TYPE, "network": wire.network, "party": wire.party,
            "profile_version": wire.profile_version, "profile": hex(&wire.profile), "reason": wire.reason, "issued_ms": wire.issued_ms,
        })),
        Paper::Head(_) => Ok(json!(rows(&document.paper))),
    };
    drafted.unwrap_or_default()
}
