//! `comity profile …`: what a Party declares of itself - profile, directory, suspension - by file and without a node.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Subcommand;
use comity_core::{
    founding::PublicRoleKeys,
    ids::{Digest, PartyCode},
    profile::Charter,
    proto,
};

use super::{
    Context, Done, Verdict,
    charter::written,
    fault::CliFault,
    key::Role,
    paper::{self, BesideArgs},
};
use crate::{
    ceremony::{self, Beside, CeremonyFault, DirectoryDraft, Files, Paper, ProfileDraft},
    keys::{Keyring, Passphrase, Purpose},
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a draft to edit: of a first profile, of the version after one, or of a directory.
    Draft(Draft),
    /// Check a draft and make of it the proposal that is signed.
    Propose(Propose),
    /// What a profile, directory or suspension says, and who has signed it.
    Show(paper::Show),
    /// Sign a copy with a root key, or a directory with the node's keys.
    Sign(paper::Sign),
    /// Bring signed copies together into one document.
    Collect(paper::Collect),
    /// Make a suspension: when signed by any one root key, nobody speaks for the Party any more.
    Suspend(Suspend),
    /// Write the minutes of a signing, to be printed and filled in by hand.
    Minutes(paper::Minutes),
}

/// What a draft begins from.
#[derive(clap::Args)]
pub(crate) struct Draft {
    /// The Party, for its first profile.
    #[arg(long, value_name = "CODE", required_unless_present_any = ["after", "directory"])]
    party: Option<String>,
    /// Draft a directory, which is signed by the node, instead of a profile.
    #[arg(long, requires = "profile")]
    directory: bool,
    /// Name the keys and the PeerId of this node, from its folder of keys.
    #[arg(long, value_name = "DATA/keys", conflicts_with = "directory")]
    keys: Option<PathBuf>,
    /// Revoke, from now on, every other key of this role that the profile names, other nodes' too: only the newest one
    /// held here goes on.
    #[arg(long, value_name = "ROLE", requires = "keys", requires = "after")]
    revoke: Vec<Role>,
    /// Why they are revoked, as a code such as turned, lost or stolen.
    #[arg(long, value_name = "CODE", default_value = "turned")]
    reason: String,
    /// Name a ledger in the place of the one that is written, which was restored: it begins with so many of its records,
    /// under this root, both as `comity ledger verify` says of what is left.
    #[arg(long, value_name = "SIZE:ROOT", requires = "after")]
    succeed: Option<Beginning>,
    /// Read the passphrase of those keys from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
    /// Where the draft goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What a ledger begins with that takes the place of another.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    size: u64,
    root: Digest,
}

impl FromStr for Beginning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').ok_or("it must read SIZE:ROOT, as `comity ledger verify` says it")?;
        let size = parts.0.parse().ok().filter(|size| *size > 0).ok_or("the size must be a number above zero")?;
        let root = parts.1.parse().map_err(|_| "the root must be 64 hexadecimal digits")?;
        Ok(Self { size, root })
    }
}

/// A draft to propose.
#[derive(clap::Args)]
pub(crate) struct Propose {
    /// The draft.
    draft: PathBuf,
    #[command(flatten)]
    beside: BesideArgs,
    /// Where the proposal goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Whom to suspend, and why.
#[derive(clap::Args)]
pub(crate) struct Suspend {
    /// The charter in force.
    #[arg(long, value_name = "FILE")]
    charter: PathBuf,
    /// The Party.
    #[arg(long, value_name = "CODE")]
    party: String,
    /// Why, as a code such as key-lost or node-taken.
    #[arg(long, value_name = "CODE")]
    reason: String,
    /// Its newest profile: only a later one ends the suspension. Else profiles/CODE.dsse beside the charter.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// The version of its newest profile, where the file is not at hand; with its id, as `comity party show` says both.
    #[arg(long, value_name = "N", conflicts_with = "profile", requires = "profile_id")]
    profile_version: Option<u64>,
    /// The id of that profile, in digits or words.
    #[arg(long, value_name = "DIGITS-OR-WORDS", num_args = 1..=24, requires = "profile_version")]
    profile_id: Vec<String>,
    /// Where the proposal goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The command.
pub(crate) fn profile(command: &Command, context: &Context) -> Done {
    match command {
        Command::Draft(args) => draft(args, context),
        Command::Propose(args) => {
            let paper = read_draft(&args.draft)?;
            paper::propose(paper, &args.draft, &args.beside.files(), &args.out, context)
        }
        Command::Show(args) => paper::show(args, context),
        Command::Sign(args) => paper::sign(args, context),
        Command::Collect(args) => paper::collect(args, context),
        Command::Suspend(args) => suspend(args, context),
        Command::Minutes(args) => paper::minutes(args, context),
    }
}

/// A draft says by its schema whether it is a directory.
fn read_draft(path: &Path) -> Result<Paper, CeremonyFault> {
    if ceremony::is_directory_draft(path)? {
        return DirectoryDraft::read(path).map(Paper::Directory);
    }
    Ok(Paper::Profile(Box::new(ProfileDraft::read(path)?)))
}

fn draft(args: &Draft, context: &Context) -> Done {
    let beside = Beside::read(&args.beside.files(), ceremony::now_in_seconds())?;
    let text =
        if args.directory { directory(&beside)?.to_text() } else { profile_draft(args, &beside, context)?.to_text() };
    ceremony::write(&args.out, text.as_bytes())?;
    let files = if args.directory { " --charter CHARTER --profile PROFILE" } else { " --charter CHARTER" };
    written(&args.out, "profile", files, context);
    Ok(Verdict::Fine)
}

fn directory(beside: &Beside) -> Result<DirectoryDraft, CliFault> {
    let profile = beside.profile("directory")?;
    match &beside.before {
        Some(before) => Ok(DirectoryDraft::next(before.directory()?, profile.id(), beside.now)),
        None => Ok(DirectoryDraft::first(profile, beside.now)),
    }
}

fn profile_draft(args: &Draft, beside: &Beside, context: &Context) -> Result<ProfileDraft, CliFault> {
    let charter = beside.charter("profile")?;
    let keys = args.keys.as_deref().map(|folder| {
        let passphrase = Passphrase::obtain(args.passphrase_file.as_deref(), Purpose::Open)?;
        Keyring::open(folder, &passphrase)
    });
    let keys = keys.transpose()?;
    let named = |code: &PartyCode| match &keys {
        Some(keys) => keys.for_profile(&charter.network, code),
        None => Ok(PublicRoleKeys { keys: Vec::new(), node: None }),
    };
    if let Some(before) = &beside.before {
        let wire = before.profile()?;
        let code = PartyCode::parse(&wire.party).map_err(|why| before.fault(why.into()))?;
        let mut draft = ProfileDraft::next(wire, before.id(), beside.now);
        draft.add_keys(&named(&code)?, beside.now);
        if let Some(Beginning { size, root }) = args.succeed {
            draft.succeed(&charter.network, &code, size, root);
        }
        let held = keys.as_ref().map_or(&[][..], Keyring::public_keys);
        for role in &args.revoke {
            for key in draft.revoke((*role).into(), held, &args.reason, beside.now) {
                context.out.say(&format!(
                    "Key {} is revoked as well. It is not in that folder: lost, or of another node of the Party.",
                    key.short()
                ));
            }
        }
        return Ok(draft);
    }
    let (code, name) = party(charter, args.party.as_deref().unwrap_or_default())?;
    Ok(ProfileDraft::first(&charter.network, &code, &name, &named(&code)?, charter.exercise, beside.now))
}

/// A Party the charter names, and its name there.
fn party(charter: &Charter, code: &str) -> Result<(PartyCode, String), CliFault> {
    let bad = |why: String| CliFault::BadArgument { what: "--party".to_owned(), why };
    let code = PartyCode::parse(&code.to_ascii_uppercase()).map_err(|why| bad(why.to_string()))?;
    let party = charter.parties().get(&code).ok_or_else(|| bad(format!("the charter does not name {code}")))?;
    Ok((code, party.name.clone()))
}

fn suspend(args: &Suspend, context: &Context) -> Done {
    let file = format!("{}.dsse", args.party.to_ascii_uppercase());
    let beside_charter = args.charter.with_file_name("profiles").join(file);
    let newest = args.profile.clone().or_else(|| Some(beside_charter).filter(|path| path.is_file()));
    let profile = newest.filter(|_| args.profile_version.is_none());
    let files = Files { charter: Some(args.charter.clone()), profile, ..Files::default() };
    let beside = Beside::read(&files, ceremony::now_in_seconds())?;
    let charter = beside.charter("suspension")?;
    let (code, _) = party(charter, &args.party)?;
    let (version, id) = match args.profile_version {
        Some(version) => (version, ceremony::read_fingerprint(&args.profile_id.join(" "))?),
        None => {
            let profile = beside.profile("suspension")?;
            if profile.party != code {
                let why = format!("that profile is of {}", profile.party);
                return Err(CliFault::BadArgument { what: "--profile".to_owned(), why });
            }
            (profile.version, profile.id())
        }
    };
    let wire = proto::Suspension {
        network: charter.network.to_string(),
        party: code.to_string(),
        issued_ms: beside.now.0,
        profile_version: version,
        reason: args.reason.clone(),
        profile: id.as_bytes().to_vec(),
    };
    let files = Files { profile: None, ..files };
    paper::propose(Paper::Suspension(wire), &args.out, &files, &args.out, context)
}
