//! `comity verify PATH`: what a file of a ceremony is, and whether it holds.

use std::path::{Path, PathBuf};

use comity_core::ids::Digest;
use serde_json::{Value, json};

use super::{Context, Done, Verdict, fault::CliFault, paper::BesideArgs, show::local};
use crate::{
    ceremony::{self, Beside, CeremonyFault, Document, Outcome, Standing, fingerprint_block, next_steps, shown},
    time, tlog,
};

/// What to look at.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 it holds, 1 it does not, 2 it is nothing this command knows, or a file it is judged beside is missing.")]
pub(crate) struct Args {
    /// A charter, profile, directory, suspension or kit, or the proof of a fork.
    path: PathBuf,
    /// The fingerprint given by hand: 64 digits, or 24 words.
    #[arg(long, value_name = "DIGITS-OR-WORDS", num_args = 1..=24)]
    fingerprint: Vec<String>,
    #[command(flatten)]
    beside: BesideArgs,
}

/// The command.
pub(crate) fn verify(args: &Args, context: &Context) -> Done {
    let pinned = match args.fingerprint.is_empty() {
        true => None,
        false => Some(ceremony::read_fingerprint(&args.fingerprint.join(" "))?),
    };
    if let Some(proof) = tlog::fork_in(&args.path) {
        return verify_fork(&proof, pinned, context);
    }
    if ceremony::is_kit(&args.path)? {
        return verify_kit(&args.path, pinned, context);
    }
    let document = Document::read(&args.path)?;
    compare(&document, pinned)?;
    let beside = Beside::read(&args.beside.files(), time::now())?;
    let standing = Standing::of(&document, &beside)?;
    let holds = match standing.outcome {
        Outcome::Holds(_) => true,
        Outcome::Incomplete => false,
        // Signed by those it names: what a Party that is given its fingerprint relies on.
        Outcome::NotKnown => ceremony::open_alone(&document).is_ok(),
    };
    let verdict = if holds { "It holds." } else { "It does NOT hold: signatures are missing." };
    let text = |_: &Value| {
        let (said, next) = (shown(&document, &beside, &standing), next_steps(&document, &standing));
        format!("{said}\n{}\n\n{verdict}{}", if holds { "" } else { &next }, compared(document.paper.party(), pinned))
    };
    context.out.either(&told(document.paper.kind(), &document.id(), holds, pinned), text);
    Ok(if holds { Verdict::Fine } else { Verdict::Finding })
}

fn verify_fork(proof: &[u8], pinned: Option<Digest>, context: &Context) -> Done {
    let needs = || CliFault::BadArgument {
        what: "--fingerprint".to_owned(),
        why: "the proof of a fork is checked from the fingerprint of the charter on paper".to_owned(),
    };
    let (party, forked) = tlog::check_fork(proof, pinned.ok_or_else(needs)?, time::now())?;
    let roots = forked.roots.map(|(root, at)| (root.to_string(), time::rfc3339(at)));
    let told = json!({
        "schema": "comity/verification/v1", "ok": true, "kind": "fork", "party": party.as_str(), "pinned": true,
        "origin": forked.origin.as_str(), "size": forked.size,
        "roots": roots.each_ref().map(|(root, at)| json!({ "root": root, "signed": at })),
    });
    let text = |_: &Value| {
        let [one, other] = roots.each_ref().map(|(root, at)| format!("  {root}, signed {}", local(at)));
        format!(
            "Fork of {}\n\nParty {party} has signed two ledgers of {} records:\n{one}\n{other}\n\n\
             It holds: both were signed by its keys, and one of them is not what others were shown.",
            forked.origin, forked.size
        )
    };
    context.out.either(&told, text);
    Ok(Verdict::Fine)
}

fn compare(document: &Document, pinned: Option<Digest>) -> Result<(), CeremonyFault> {
    let found = document.id();
    if pinned.is_none_or(|pinned| pinned == found) {
        return Ok(());
    }
    Err(CeremonyFault::OtherFingerprint { path: document.path.clone(), found: found.to_string() })
}

/// What the verdict rests on.
fn compared(party: Option<&str>, pinned: Option<Digest>) -> &'static str {
    match (pinned, party) {
        (Some(_), _) => " Its fingerprint is the one given.",
        (None, Some(_)) => {
            " It was judged under the charter given: compare that charter's fingerprint with the printed minutes."
        }
        (None, None) => {
            " Compare the fingerprint with the printed minutes: a file of somebody else's making holds as well."
        }
    }
}

fn verify_kit(path: &Path, pinned: Option<Digest>, context: &Context) -> Done {
    let (documents, left_out) = ceremony::check_kit(path, time::now())?;
    compare(&documents[0], pinned)?;
    let id = documents[0].id();
    let list: Vec<String> = documents.iter().map(|document| format!("  {}", document.named())).collect();
    let block = fingerprint_block("Fingerprint of its charter", &id);
    let wrong: String =
        left_out.iter().map(|(document, fault)| format!("\n  {} does NOT hold: {fault}", document.named())).collect();
    let verdict = if left_out.is_empty() { "It holds." } else { "Its charters hold; who joins leaves this out:" };
    let text = |_: &Value| format!("Kit of\n{}\n{block}\n{verdict}{wrong}{}", list.join("\n"), compared(None, pinned));
    context.out.either(&told("kit", &id, left_out.is_empty(), pinned), text);
    Ok(if left_out.is_empty() { Verdict::Fine } else { Verdict::Finding })
}

fn told(kind: &str, id: &Digest, ok: bool, pinned: Option<Digest>) -> Value {
    json!({
        "schema": "comity/verification/v1", "ok": ok, "kind": kind, "id": id.to_string(), "pinned": pinned.is_some(),
    })
}
