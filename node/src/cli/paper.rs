//! What charters and profiles have in common on the command line: show, propose, sign, collect, minutes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Context, Done, Verdict};
use crate::{
    ceremony::{
        self, Beside, CeremonyFault, Document, Files, Outcome, Paper, Standing, next_steps, refuse_existing, shown,
        shown_json, warnings,
    },
    keys::{Passphrase, Purpose},
    time,
};

/// What a document is judged beside.
#[derive(clap::Args)]
pub(crate) struct BesideArgs {
    /// The version before, signed: to see what changes, and to count its signers.
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
    /// The charter in force, for everything that is of one Party.
    #[arg(long, value_name = "FILE")]
    charter: Option<PathBuf>,
    /// The profile a directory belongs to.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

impl BesideArgs {
    pub(crate) fn files(&self) -> Files {
        Files { after: self.after.clone(), charter: self.charter.clone(), profile: self.profile.clone() }
    }
}

/// One file to look at.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// The document.
    file: PathBuf,
    #[command(flatten)]
    beside: BesideArgs,
}

/// One file to sign a copy of.
#[derive(clap::Args)]
pub(crate) struct Sign {
    /// The proposal, or a copy others have signed.
    file: PathBuf,
    /// The folder of keys to sign with: root or charter keys, or DATA/keys for a directory.
    #[arg(long, value_name = "FOLDER")]
    keys: PathBuf,
    /// Where the signed copy goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Read the passphrase of the keys from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
}

/// A proposal and the copies that were signed.
#[derive(clap::Args)]
pub(crate) struct Collect {
    /// The proposal.
    proposal: PathBuf,
    /// The signed copies.
    signed: Vec<PathBuf>,
    /// Where the complete document goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    beside: BesideArgs,
}

/// A document to put on paper.
#[derive(clap::Args)]
pub(crate) struct Minutes {
    /// The document.
    file: PathBuf,
    /// Where the minutes go, as .md or .txt; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    beside: BesideArgs,
}

/// `… show`.
pub(crate) fn show(args: &Show, context: &Context) -> Done {
    let (document, beside) = read(&args.file, &args.beside.files())?;
    let standing = Standing::of(&document, &beside)?;
    tell(&document, &beside, &standing, context);
    Ok(if warnings(&standing).is_empty() { Verdict::Fine } else { Verdict::Finding })
}

/// `… propose`: writes an envelope nobody has signed, if what can be checked holds.
pub(crate) fn propose(paper: Paper, draft: &Path, files: &Files, out: &Path, context: &Context) -> Done {
    let beside = Beside::read(files, time::now())?;
    if matches!(&paper, Paper::Charter(wire) if wire.version > 1) && beside.before.is_none() {
        return Err(
            CeremonyFault::Needs { kind: "later charter", other: "the one before it", option: "--after" }.into()
        );
    }
    let document = Document::unsigned(draft, paper);
    beside.check(&document)?;
    let document = document.at(out.to_owned());
    let standing = Standing::of(&document, &beside)?;
    ceremony::write(out, &document.envelope())?;
    tell(&document, &beside, &standing, context);
    Ok(Verdict::Fine)
}

/// `… sign`.
pub(crate) fn sign(args: &Sign, context: &Context) -> Done {
    let (document, beside) = read(&args.file, &args.beside.files())?;
    let standing = Standing::of(&document, &beside)?;
    refuse_existing(&args.out)?;
    // Before the passphrase is asked for: it is the consent to what stands here.
    if context.out.json {
        context.out.say(&shown(&document, &beside, &standing));
    } else {
        context.out.line(&shown(&document, &beside, &standing));
    }
    let passphrase = Passphrase::obtain(args.passphrase_file.as_deref(), Purpose::Open)?;
    let (signed, mark) = ceremony::sign(&document, &beside, &args.keys, args.out.clone(), &passphrase)?;
    let standing = Standing::of(&signed, &beside)?;
    ceremony::write(&args.out, &signed.envelope())?;
    if context.out.json {
        context.out.object(&with_file(&signed, &beside, &standing));
        return Ok(Verdict::Fine);
    }
    let path = args.out.display();
    context.out.line(&format!(
        "\nSigned with key {mark}.\n{path} holds {} signature(s).\nNext:\n  1. You: hand {path} to whoever collects.",
        signed.signatures.len() / 2 // each holder signs with two keys
    ));
    Ok(Verdict::Fine)
}

/// `… collect`: a finding while signatures are missing; then nothing is written.
pub(crate) fn collect(args: &Collect, context: &Context) -> Done {
    let (proposal, beside) = read(&args.proposal, &args.beside.files())?;
    let copies = args.signed.iter().map(|path| Document::read(path)).collect::<Result<Vec<_>, _>>()?;
    refuse_existing(&args.out)?;
    let (document, standing) = ceremony::collect(&proposal, &copies, &beside, args.out.clone())?;
    let complete = matches!(standing.outcome, Outcome::Holds(_));
    if complete {
        ceremony::write(&args.out, &document.envelope())?;
    }
    let document = if complete { document } else { document.at(args.proposal.clone()) };
    tell(&document, &beside, &standing, context);
    if !complete {
        context.out.say(&"Nothing was written: collect again when the missing copies are here.");
    }
    Ok(if complete && warnings(&standing).is_empty() { Verdict::Fine } else { Verdict::Finding })
}

/// `… minutes`.
pub(crate) fn minutes(args: &Minutes, context: &Context) -> Done {
    let (document, beside) = read(&args.file, &args.beside.files())?;
    let standing = Standing::of(&document, &beside)?;
    ceremony::write(&args.out, ceremony::minutes(&document, &beside, &standing).as_bytes())?;
    let path = args.out.display();
    let text = |_: &Value| {
        format!(
            "{path} written.\nNext:\n  1. The secretariat: print it, fill in place and offices by hand, have it signed."
        )
    };
    context.out.either(&with_file(&document.at(args.out.clone()), &beside, &standing), text);
    Ok(Verdict::Fine)
}

fn read(file: &Path, files: &Files) -> Result<(Document, Beside), CeremonyFault> {
    Ok((Document::read(file)?, Beside::read(files, time::now())?))
}

fn tell(document: &Document, beside: &Beside, standing: &Standing, context: &Context) {
    let text = |_: &Value| format!("{}\n{}", shown(document, beside, standing), next_steps(document, standing));
    context.out.either(&with_file(document, beside, standing), text);
}

fn with_file(document: &Document, beside: &Beside, standing: &Standing) -> Value {
    let mut object = shown_json(document, beside, standing);
    object["file"] = document.path.display().to_string().into();
    object["next"] = next_steps(document, standing).into();
    object
}
