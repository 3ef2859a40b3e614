//! A rehearsal: a founding and a first profile, step by step, with keys that are thrown away.
//!
//! Every step is the command as an officer would type it, read by the same parser and run by the same code; only the
//! exercise mark and the folder tell it from the real thing.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use zeroize::Zeroizing;

use super::{Cli, Context, Done, Verdict, dispatch, fault::CliFault, found};
use crate::ceremony::{CeremonyFault, Document};

/// As many officers as a table seats: a rehearsal with more shows nothing new and takes a key derivation each.
const OFFICERS_MAX: usize = 9;
/// The Parties of the rehearsal.
const PARTIES: [(&str, &str); 2] = [("XA", "Arvia"), ("XB", "Belmar")];

/// How it is rehearsed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A new folder for everything, to be thrown away afterwards.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// How many officers hold charter keys.
    #[arg(long, value_name = "N", default_value_t = 3)]
    officers: usize,
    /// How many of them must sign.
    #[arg(long, value_name = "N", default_value_t = 2)]
    threshold: usize,
}

/// The command.
pub(crate) fn rehearse(args: &Args, context: &Context) -> Done {
    let bad = |why: &str| CliFault::BadArgument { what: "--officers and --threshold".to_owned(), why: why.to_owned() };
    if args.officers == 0 || args.officers > OFFICERS_MAX {
        return Err(bad("a rehearsal has 1 to 9 officers"));
    }
    if args.threshold == 0 || args.threshold > args.officers {
        return Err(bad("the threshold is from 1 to the number of officers"));
    }
    if found::holds_something(&args.out)? {
        return Err(CeremonyFault::Exists(args.out.clone()).into());
    }
    found::folder(&args.out)?;
    let rehearsal = Rehearsal { folder: &args.out, context, step: 0 };
    rehearsal.run(args.officers, args.threshold)?;
    let folder = args.out.display();
    context.out.say(&format!(
        "\nRehearsed. The minutes are {folder}/minutes.md and {folder}/minutes-XA.md.\n\
         Next:\n  1. Everybody: read the minutes together.\n  2. The secretariat: throw {folder} away; its keys are worth nothing."
    ));
    Ok(Verdict::Fine)
}

struct Rehearsal<'r> {
    folder: &'r Path,
    context: &'r Context,
    step: usize,
}

impl Rehearsal<'_> {
    fn run(mut self, officers: usize, threshold: usize) -> Result<(), CliFault> {
        let passphrase = self.path("passphrase");
        found::write(Path::new(&passphrase), throw_away()?.as_bytes())?;
        let locked = ["--passphrase-file", &passphrase];
        self.founding(officers, threshold, &locked)?;
        self.first_profile(&locked)
    }

    fn founding(&mut self, officers: usize, threshold: usize, locked: &[&str]) -> Result<(), CliFault> {
        let officer = |n: usize| format!("officer-{n}");
        for n in 1..=officers {
            self.step(&["key", "create", &self.path(&officer(n)), "--role", "charter"], locked)?;
        }
        for (code, _) in PARTIES {
            self.step(&["key", "create", &self.path(&format!("root-{code}")), "--role", "root"], locked)?;
        }
        let [draft, proposal, charter] = ["charter.toml", "proposal.dsse", "charter.dsse"].map(|name| self.path(name));
        let threshold_text = threshold.to_string();
        let parties = PARTIES.map(|(code, name)| format!("{code}:{name}"));
        let signers: Vec<String> = (1..=officers).map(|n| format!("{}.pub", officer(n))).collect();
        let mut drafting = vec!["charter", "draft", "--network", "rehearsal.comity.test", "--exercise"];
        drafting.extend(["--instrument", "BC", "--threshold", &threshold_text, "--out", &draft]);
        drafting.extend(parties.iter().flat_map(|party| ["--party", party]));
        drafting.extend(signers.iter().flat_map(|signer| ["--signer", signer]));
        self.step(&drafting, &[])?;
        self.step(&["charter", "propose", &draft, "--out", &proposal], &[])?;
        let signed: Vec<String> = (1..=threshold).map(|n| self.path(&format!("signed-{n}.dsse"))).collect();
        for (n, out) in (1..).zip(&signed) {
            self.step(&["charter", "sign", &proposal, "--keys", &self.path(&officer(n)), "--out", out], locked)?;
        }
        let mut collecting = vec!["charter", "collect", &proposal];
        collecting.extend(signed.iter().map(String::as_str));
        collecting.extend(["--out", &charter]);
        self.step(&collecting, &[])?;
        self.step(&["charter", "minutes", &charter, "--out", &self.path("minutes.md")], &[])?;
        self.step(&["charter", "kit", "--charter", &charter, "--out", &self.path("kit.comity")], &[])
    }

    fn first_profile(&mut self, locked: &[&str]) -> Result<(), CliFault> {
        let [charter, kit, data] = ["charter.dsse", "kit.comity", "arvia"].map(|name| self.path(name));
        let [proposal, signed] = ["profile-XA.dsse", "profile-XA-signed.dsse"].map(|name| self.path(name));
        let fingerprint = Document::read(Path::new(&charter))?.id();
        let words = crate::words::of(&fingerprint);
        let mut joining = vec!["init", "--join", &kit, "--party", "XA", "--data", &data, "--fingerprint"];
        joining.extend(words.split(' '));
        self.step(&joining, locked)?;
        let (draft, profile) = (format!("{data}/profile.toml"), format!("{data}/charter/profiles/XA.dsse"));
        let under = ["--charter", &charter];
        self.step(&["profile", "propose", &draft, "--out", &proposal], &under)?;
        let root = self.path("root-XA");
        let signing = [&["profile", "sign", &proposal, "--keys", &root, "--out", &signed], locked].concat();
        self.step(&signing, &under)?;
        self.step(&["profile", "collect", &proposal, &signed, "--out", &profile], &under)?;
        self.step(&["profile", "minutes", &profile, "--out", &self.path("minutes-XA.md")], &under)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Shows a command as it is typed, runs it, and says how it ended.
    fn step(&mut self, words: &[&str], more: &[&str]) -> Result<(), CliFault> {
        self.step += 1;
        let words = [words, more].concat();
        self.context.out.say(&format!("\n{}. $ comity {}", self.step, words.join(" ")));
        let parsed = Cli::try_parse_from(["comity"].into_iter().chain(words));
        let parsed = parsed.map_err(|why| CliFault::BadArgument { what: "a step".to_owned(), why: why.to_string() })?;
        let context = Context { data: parsed.data, out: self.context.out };
        match dispatch(parsed.command, &context)? {
            Verdict::Fine => self.context.out.say(&"-> done"),
            Verdict::Finding => self.context.out.say(&"-> done, with a finding"),
        }
        Ok(())
    }
}

/// A passphrase nobody needs to keep.
fn throw_away() -> Result<Zeroizing<String>, CliFault> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(&mut bytes[..]).map_err(|cause| CliFault::Disk {
        doing: "read",
        path: PathBuf::from("the system's random source"),
        cause: std::io::Error::other(cause.to_string()),
    })?;
    Ok(Zeroizing::new(comity_core::ids::hex(&bytes[..])))
}
