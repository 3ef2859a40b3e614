//! `comity ledger …`: what the signed ledger is, and whether it is whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use comity_core::{
    ids::{Digest, PartyCode, Time, hex},
    ledger::{Resource, TILE_WIDTH, checkpoint},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    peer::written,
    show::{list, local, number, or_dash, pairs, short, text},
};
use crate::{
    audit, ceremony,
    keys::{Keyring, NodeSecrets, Passphrase, Purpose},
    store::{Folder, Ledger, LedgerKeys, Opened, StoreFault},
    time,
    tlog::{self, Checked, DOCUMENTS, POLICY},
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Its name, size and newest signed checkpoint; or one record of it.
    Show {
        /// The record's index, counted from 0.
        index: Option<u64>,
    },
    /// Write the proof of one record as a C2SP tlog-proof, which other tools can check.
    Proof {
        /// The record's index, counted from 0.
        index: u64,
        /// The file to write, by custom ending in .tlog-proof; it must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the ledger into a folder in the layout of C2SP tlog-tiles, with the documents its keys follow from. It shows
    /// no name, kind or partner of any record.
    Export {
        /// The folder to make; nothing may be there.
        folder: PathBuf,
    },
    /// Check that the ledger is whole.
    ///
    /// Alone: every frame, leaf, commit and root, by the node itself, or in the folder of a node that is stopped. With a
    /// charter's fingerprint: from outside, believing nothing else, a folder that was exported or the node that runs.
    Verify(FromWhere),
}

/// From where a tree is verified.
#[derive(Args)]
pub(crate) struct FromWhere {
    /// A folder it was exported into.
    #[arg(requires = "fingerprint")]
    folder: Option<PathBuf>,
    /// The fingerprint of the charter as the printed minutes have it: 64 digits, or 24 words.
    #[arg(long, value_name = "DIGITS-OR-WORDS", num_args = 1..=24)]
    fingerprint: Vec<String>,
    /// For a stopped node: read the passphrase from this file instead of asking for it.
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    passphrase_file: Option<PathBuf>,
}

/// The two trees of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// What was exchanged with peers.
    Ledger,
    /// Who was shown what and did what here.
    Audit,
}

impl Tree {
    const fn route(self) -> &'static str {
        match self {
            Self::Ledger => "/v1/ledger",
            Self::Audit => "/v1/audit",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Audit => audit::FOLDER,
        }
    }

    fn open(self, data: &Path, secrets: &NodeSecrets) -> Result<(Ledger, Opened), StoreFault> {
        let keys = || LedgerKeys { node: secrets.ledger.clone(), kek: secrets.kek.clone() };
        match self {
            Self::Ledger => Ledger::open(&data.join(self.folder()), keys(), None),
            Self::Audit => audit::open_ledger(data, &secrets.ledger),
        }
    }
}

/// The command.
pub(crate) async fn ledger(command: Command, context: &Context) -> Done {
    match command {
        Command::Show { index: None } => {
            context.out.either(&context.client()?.get("/v1/ledger").await?, shown);
        }
        Command::Show { index: Some(index) } => {
            let found = context.client()?.get(&format!("/v1/ledger/{index}")).await?;
            context.out.either(&found, record);
        }
        Command::Proof { index, out } => {
            let proof = context.client()?.bytes(&format!("/v1/ledger/{index}/tlog-proof")).await?;
            written(&out, &proof, context)?;
        }
        Command::Export { folder } => {
            let bar = bar("exporting", context);
            let (size, without_policy) = export(&context.client()?, Tree::Ledger, &folder, &bar).await?;
            if without_policy {
                context
                    .out
                    .say(&"No policy file: the keys of witnesses whom the charter demands are not known here yet.");
            }
            let written = json!({ "schema": "comity/exported/v1", "folder": folder, "records": size });
            context.out.either(&written, |_| format!("{size} records in {}", folder.display()));
        }
        Command::Verify(from) => return verify(Tree::Ledger, from, context).await,
    }
    Ok(Verdict::Fine)
}

pub(crate) async fn verify(tree: Tree, from: FromWhere, context: &Context) -> Done {
    let FromWhere { folder, fingerprint, passphrase_file } = from;
    if !fingerprint.is_empty() {
        let fingerprint = ceremony::read_fingerprint(&fingerprint.join(" "))?;
        return match folder {
            Some(folder) => verify_export(&folder, fingerprint, context),
            None => verify_live(tree, fingerprint, context).await,
        };
    }
    let verified = match context.client()?.post_empty(&format!("{}/verify", tree.route())).await {
        Err(CliFault::NoNode { .. }) => verify_folder(tree, passphrase_file.as_deref(), context)?,
        answered => answered?,
    };
    context.out.either(&verified, verdict);
    Ok(if is_whole(&verified) { Verdict::Fine } else { Verdict::Finding })
}

/// Fetches the files of a node's ledger under its newest checkpoint, one after the other, into a new folder. Says how many
/// records that are, and whether there is no policy yet.
pub(crate) async fn export(
    client: &Client,
    tree: Tree,
    folder: &Path,
    bar: &ProgressBar,
) -> Result<(u64, bool), CliFault> {
    let unfinished = tlog::Folder::begin(folder)?;
    let fetch = async |name: &str| client.bytes(&format!("{}/tlog/{name}", tree.route())).await;
    let note = fetch("checkpoint").await?;
    let size = checkpoint::parse_unverified(&note).map_err(|fault| CliFault::BadAnswer(fault.to_string()))?.size;
    bar.set_length(size);
    for resource in Resource::tiles(size).chain(Resource::entries(size)) {
        unfinished.put(&resource.to_string(), &fetch(&resource.to_string()).await?)?;
        if let Resource::Entries(number, _) = resource {
            bar.set_position(number * TILE_WIDTH);
        }
    }
    unfinished.put(DOCUMENTS, &fetch(DOCUMENTS).await?)?;
    let without_policy = match fetch(POLICY).await {
        Ok(policy) => {
            unfinished.put(POLICY, &policy)?;
            false
        }
        Err(CliFault::Problem(problem)) if problem.is("api.no-such-file") => true,
        Err(fault) => return Err(fault),
    };
    // The checkpoint last: who finds it finds all it speaks of.
    unfinished.put("checkpoint", &note)?;
    bar.finish_and_clear();
    unfinished.finish()?;
    Ok((size, without_policy))
}

/// A bar on standard error, if somebody looks at it.
pub(crate) fn bar(what: &'static str, context: &Context) -> ProgressBar {
    let target = if context.out.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len} entries, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(0), target).with_style(style).with_message(what)
}

/// A folder that is removed when it is no longer looked at.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0)); // what stays is public, and in a folder for what may go
    }
}

/// Checks a running node from outside: as what it exports.
async fn verify_live(tree: Tree, fingerprint: Digest, context: &Context) -> Done {
    let client = context.client()?;
    let mut mark = [0; 8];
    getrandom::fill(&mut mark).expect("the system gives entropy once it has booted");
    let folder = std::env::temp_dir().join(format!("comity-ledger-{}", hex(&mark)));
    let passing = Passing(folder);
    export(&client, tree, &passing.0, &bar("reading", context)).await?;
    verify_export(&passing.0, fingerprint, context)
}

fn verify_export(folder: &Path, fingerprint: Digest, context: &Context) -> Done {
    let bar = bar("checking", context);
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let checked = tlog::check(&tlog::Folder::at(folder), fingerprint, time::now(), &mut progress);
    bar.finish_and_clear();
    let told = told(&checked?);
    context.out.either(&told, checked_text);
    let fine = told["witnessed"] == true && told["policy_fits"] != false;
    Ok(if fine { Verdict::Fine } else { Verdict::Finding })
}

fn told(checked: &Checked) -> Value {
    let at = |at: Time| time::rfc3339(at);
    let checkpoint = checked.witnessed.checkpoint();
    let by = |(party, when): (&PartyCode, &Time)| json!({ "party": party.as_str(), "at": at(*when) });
    let by: Vec<Value> = checked.witnessed.by.iter().map(by).collect();
    json!({
        "schema": "comity/verification/v1", "ok": true, "kind": "ledger", "party": checked.party.as_str(),
        "origin": checkpoint.origin.as_str(), "records": checkpoint.size, "root": checkpoint.root.to_string(),
        "signed": at(checked.witnessed.verified.signed()), "charter": checked.charter,
        "charter_expires": at(checked.charter_expires), "witnessed": checked.witnessed.is_met(), "witnesses": by,
        "witnesses_assigned": checked.policy.witnesses.len(), "witnesses_needed": checked.policy.quorum,
        "policy_fits": checked.policy_fits, "left_out": checked.left_out,
    })
}

fn checked_text(told: &Value) -> String {
    let needed = number(told, "/witnesses_needed");
    let by: Vec<String> = list(told, "/witnesses")
        .iter()
        .map(|one| format!("{} at {}", text(one, "/party"), local(text(one, "/at"))))
        .collect();
    let witnesses = match (needed, by.as_slice()) {
        (0, _) => "none is assigned to this ledger".to_owned(),
        (_, []) => format!("none of the {needed} it needs"),
        (_, by) => format!("{}; {needed} are needed", by.join(", ")),
    };
    let rows = [
        ("Ledger", text(told, "/origin").to_owned()),
        ("Records", number(told, "/records").to_string()),
        ("Signed", local(text(told, "/signed"))),
        ("Witnessed", witnesses),
        ("Charter", format!("version {}, until {}", number(told, "/charter"), local(text(told, "/charter_expires")))),
    ];
    let mut said = format!("{}\n\nwhole: every entry lies under the root that its Party signed", pairs(&rows));
    for code in list(told, "/left_out") {
        said +=
            &format!("\nA document was left out, for it does not hold any more: {}", code.as_str().unwrap_or_default());
    }
    if told["witnessed"] == false {
        said += "\nNOT WITNESSED: the Party could still show another ledger to others";
    }
    if told["policy_fits"] == false {
        said += "\nOTHER POLICY: the policy file does not say what the documents say; do not use it";
    }
    said
}

/// Whether a verification found nothing wrong.
pub(crate) fn is_whole(verified: &Value) -> bool {
    verified["ok"] == true
}

/// Verifies the ledger of a node that is not running, in the words of the API.
fn verify_folder(tree: Tree, passphrase_file: Option<&Path>, context: &Context) -> Result<Value, CliFault> {
    let settings = context.settings(&[])?;
    context.out.say(&format!("No node answers; reading {} itself.", settings.data.join(tree.folder()).display()));
    let _folder = Folder::claim(&settings.data)?;
    let passphrase = Passphrase::obtain(passphrase_file, Purpose::Open)?;
    let keys = Keyring::open(&settings.data.join("keys"), &passphrase)?;
    let (ledger, opened) = tree.open(&settings.data, keys.secrets())?;
    let fault = |code: &str, detail: String| json!({ "schema": "comity/verification/v1", "ok": false, "code": code, "detail": detail });
    if let Some(damage) = opened.read_only {
        return Ok(fault(damage.code(), damage.to_string()));
    }
    let bar = bar("checking", context);
    bar.set_length(opened.size);
    let found = ledger.verify(&mut |done| bar.set_position(done));
    bar.finish_and_clear();
    Ok(match found {
        Ok(found) => json!({
            "schema": "comity/verification/v1", "ok": true,
            "records": found.records, "commits": found.commits, "erased": found.erased, "root": opened.root.to_string(),
        }),
        Err(wrong) => fault(wrong.code(), wrong.to_string()),
    })
}

fn shown(ledger: &Value) -> String {
    let rows = [
        ("Ledger", text(ledger, "/origin").to_owned()),
        ("Records", number(ledger, "/size").to_string()),
        ("Signed", number(ledger, "/signed").to_string()),
        ("Witnessed", witnessed(ledger)),
    ];
    // The signatures are two thousand characters that only programs read.
    let (note, signatures) = text(ledger, "/checkpoint").split_once("\n\n").unwrap_or_default();
    let signed = format!("\n{} signatures (in full: --json)", signatures.lines().count());
    format!("{}\n\n{}{signed}", pairs(&rows), or_dash(note))
}

fn witnessed(ledger: &Value) -> String {
    let (assigned, needed) = (number(ledger, "/witnesses_assigned"), number(ledger, "/witnesses_needed"));
    let by: Vec<&str> = list(ledger, "/witnessed/by").iter().map(|one| text(one, "/party")).collect();
    match (assigned, by.as_slice()) {
        (0, _) => "no witness is assigned".to_owned(),
        (_, []) => format!("not yet; {needed} of {assigned} witnesses must cosign"),
        (_, by) => {
            let size = number(ledger, "/witnessed/size");
            format!("{size} by {}; {needed} of {assigned} must", by.join(", "))
        }
    }
}

fn record(record: &Value) -> String {
    let act = [text(record, "/author"), text(record, "/procedure"), text(record, "/step")].join(" ");
    let rows = [
        ("Index", number(record, "/index").to_string()),
        ("Kind", text(record, "/kind").to_owned()),
        ("Recorded", local(text(record, "/recorded"))),
        ("Record id", text(record, "/record_id").to_owned()),
        ("Act", or_dash(act.trim()).to_owned()),
        ("Request", or_dash(text(record, "/request_id")).to_owned()),
        ("Peer", or_dash(text(record, "/peer")).to_owned()),
        ("Answers", or_dash(short(text(record, "/answers"))).to_owned()),
        ("Leaf", text(record, "/leaf").to_owned()),
    ];
    pairs(&rows)
}

/// What a verification found, for people.
pub(crate) fn verdict(verified: &Value) -> String {
    let (records, commits) = (number(verified, "/records"), number(verified, "/commits"));
    if is_whole(verified) {
        let whole = format!("whole: {records} records in {commits} commits, every frame, leaf, commit and root holds");
        return match text(verified, "/root") {
            "" => whole,
            root => format!("{whole}\n{records}:{root}"),
        };
    }
    let (code, detail) = (text(verified, "/code"), text(verified, "/detail"));
    format!("NOT WHOLE: {code}: {}", detail.strip_prefix(&format!("{code}: ")).unwrap_or(detail))
}
