//! `comity charter …`: the ceremonies of a network's charter, by file and without a node.

use std::path::PathBuf;

use clap::Subcommand;
use comity_core::ids::{NetworkName, PartyCode};
use serde_json::{Value, json};

use super::{Context, Done, Verdict, fault::CliFault, paper, rehearse};
use crate::{
    ceremony::{self, CharterDraft, Document, Files, NewNetwork, Paper},
    time, words,
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a draft to edit: of a new network, or of the version after one.
    Draft(Draft),
    /// Check a draft and make of it the proposal that is signed.
    Propose(Propose),
    /// What a charter says, who has signed it, and what changes.
    Show(paper::Show),
    /// Sign a copy with an officer's keys.
    Sign(paper::Sign),
    /// Bring signed copies together into one charter.
    Collect(paper::Collect),
    /// Write the minutes of a signing, to be printed and filled in by hand.
    Minutes(paper::Minutes),
    /// Put the newest documents of the network into one file for its Parties.
    Kit(Kit),
    /// Run through a founding with keys that are thrown away.
    Rehearse(rehearse::Args),
}

/// What a draft begins from.
#[derive(clap::Args)]
pub(crate) struct Draft {
    /// The charter in force: the draft says the same, as the next version, but for what is named beside it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["network", "exercise"])]
    after: Option<PathBuf>,
    /// The name of a new network, part of every ledger's name.
    #[arg(long, value_name = "NAME", required_unless_present = "after")]
    network: Option<String>,
    /// Mark it as an exercise: nothing in it has legal effect.
    #[arg(long)]
    exercise: bool,
    /// A Party of it, or one that joins: ISO 3166-1 code and name, and the .pub file of a root key (else root-CODE.pub).
    #[arg(long, value_name = "CODE:NAME[:FILE]")]
    party: Vec<String>,
    /// The .pub file of an officer who signs the charter. All of them: the next version keeps none that is not named.
    #[arg(long, value_name = "FILE")]
    signer: Vec<String>,
    /// How many officers must sign; two, or as many as before.
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,
    /// All root keys of a Party from the next version on, as .pub files.
    #[arg(long, value_name = "CODE:FILE,FILE", requires = "after")]
    root: Vec<String>,
    /// An instrument that binds all of them, or those that join, from now on.
    #[arg(long, value_name = "CODE")]
    instrument: Vec<String>,
    /// Where the draft goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A draft to propose.
#[derive(clap::Args)]
pub(crate) struct Propose {
    /// The draft.
    draft: PathBuf,
    /// The charter in force, which the draft follows.
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
    /// Where the proposal goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What goes into a kit.
#[derive(clap::Args)]
pub(crate) struct Kit {
    /// The newest charter.
    #[arg(long, value_name = "FILE")]
    charter: PathBuf,
    /// The newest profiles, directories, suspensions and heads.
    #[arg(long, value_name = "FILES", num_args = 1..)]
    profiles: Vec<PathBuf>,
    /// Where the kit goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The command.
pub(crate) fn charter(command: &Command, context: &Context) -> Done {
    match command {
        Command::Draft(args) => draft(args, context),
        Command::Propose(args) => {
            let paper = Paper::Charter(Box::new(CharterDraft::read(&args.draft)?));
            let files = Files { after: args.after.clone(), ..Files::default() };
            paper::propose(paper, &args.draft, &files, &args.out, context)
        }
        Command::Show(args) => paper::show(args, context),
        Command::Sign(args) => paper::sign(args, context),
        Command::Collect(args) => paper::collect(args, context),
        Command::Minutes(args) => paper::minutes(args, context),
        Command::Kit(args) => kit(args, context),
        Command::Rehearse(args) => rehearse::rehearse(args, context),
    }
}

fn draft(args: &Draft, context: &Context) -> Done {
    let draft = match &args.after {
        Some(before) => {
            let before = Document::read(before)?;
            let mut next = CharterDraft::next(before.charter()?, before.id(), ceremony::now_in_seconds());
            next.signed_by(&args.signer, args.threshold);
            next.admit(&args.party.iter().map(|text| party(text)).collect::<Result<Vec<_>, _>>()?, &args.instrument);
            for text in &args.root {
                let (code, files) =
                    text.split_once(':').ok_or_else(|| bad(text, "it must be CODE:FILE,FILE".to_owned()))?;
                let files: Vec<String> = files.split(',').map(str::to_owned).collect();
                if !next.root_of(&code.to_ascii_uppercase(), &files) {
                    return Err(bad(text, format!("the charter does not name {code}")));
                }
            }
            next
        }
        None => first(args)?,
    };
    ceremony::write(&args.out, draft.to_text().as_bytes())?;
    written(&args.out, "charter", args.after.as_ref().map_or("", |_| " --after OLD"), context);
    Ok(Verdict::Fine)
}

/// Says what comes after a draft.
pub(crate) fn written(out: &std::path::Path, noun: &str, beside: &str, context: &Context) {
    let path = out.display();
    let next = format!(
        "Next:\n  1. You: edit {path}, where every field is explained.\n  \
         2. You: comity {noun} propose {path}{beside} --out proposal.dsse"
    );
    let object = json!({ "schema": "comity/draft/v1", "file": path.to_string(), "next": next });
    context.out.either(&object, |_: &Value| format!("{path} written.\n{next}"));
}

fn bad(what: &str, why: String) -> CliFault {
    CliFault::BadArgument { what: what.to_owned(), why }
}

/// Code, name, and the `.pub` file of a root key.
fn party(text: &str) -> Result<(PartyCode, String, String), CliFault> {
    let mut parts = text.splitn(3, ':');
    let code = parts.next().unwrap_or_default().to_ascii_uppercase();
    let code = PartyCode::parse(&code).map_err(|why| bad(text, why.to_string()))?;
    let name = parts.next().unwrap_or(code.as_str()).to_owned();
    let root = parts.next().map_or_else(|| format!("root-{code}.pub"), str::to_owned);
    Ok((code, name, root))
}

fn first(args: &Draft) -> Result<CharterDraft, CliFault> {
    let name = args.network.as_deref().unwrap_or_default();
    let name = NetworkName::parse(name).map_err(|why| bad("--network", why.to_string()))?;
    let network = NewNetwork {
        name: &name,
        exercise: args.exercise,
        signers: &args.signer,
        threshold: args.threshold.unwrap_or(2),
        parties: &args.party.iter().map(|text| party(text)).collect::<Result<Vec<_>, CliFault>>()?,
        instruments: &args.instrument,
    };
    Ok(CharterDraft::first(&network, ceremony::now_in_seconds()))
}

fn kit(args: &Kit, context: &Context) -> Done {
    let charter = Document::read(&args.charter)?;
    let fingerprint = charter.id();
    let others = args.profiles.iter().map(|path| Document::read(path)).collect::<Result<Vec<_>, _>>()?;
    let documents = others.len() + 1;
    ceremony::write(&args.out, &ceremony::kit(charter, others, time::now())?)?;
    let path = args.out.display();
    let next = format!(
        "Next:\n  1. The secretariat: send {path} to each Party, and the printed minutes by another way.\n  \
         2. Each Party: comity init --join {path} --party CODE --data DIR --fingerprint WORDS-FROM-THE-MINUTES"
    );
    let object = json!({
        "schema": "comity/kit/v1", "file": path.to_string(), "documents": documents,
        "fingerprint": fingerprint.to_string(), "words": words::of(&fingerprint), "next": next,
    });
    let block = ceremony::fingerprint_block("Fingerprint of its charter", &fingerprint);
    context.out.either(&object, |_: &Value| format!("{path} holds {documents} document(s).\n{block}\n{next}"));
    Ok(Verdict::Fine)
}
