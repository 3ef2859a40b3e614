//! `comity ledger …`: what the signed ledger is, and whether it is whole.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    show::{local, number, or_dash, pairs, short, text},
};
use crate::{
    keys::{Keyring, Passphrase, Purpose},
    store::{Folder, Ledger, LedgerKeys},
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Its name, size and newest signed checkpoint; or one record of it.
    Show {
        /// The record's index, counted from 0.
        index: Option<u64>,
    },
    /// Read every record again and check every frame, leaf, commit and root. Asks the node, or reads the
    /// folder of a node that is stopped.
    Verify {
        /// For a stopped node: read the passphrase from this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// The command.
pub(crate) async fn ledger(command: Command, context: &Context) -> Done {
    let client = context.client()?;
    match command {
        Command::Show { index: None } => context.out.either(&client.get("/v1/ledger").await?, shown),
        Command::Show { index: Some(index) } => {
            context.out.either(&client.get(&format!("/v1/ledger/{index}")).await?, record);
        }
        Command::Verify { passphrase_file } => {
            let verified = match client.post_empty("/v1/ledger/verify").await {
                Err(CliFault::NoNode { .. }) => verify_folder(passphrase_file.as_deref(), context)?,
                answered => answered?,
            };
            context.out.either(&verified, verdict);
            return Ok(if is_whole(&verified) { Verdict::Fine } else { Verdict::Finding });
        }
    }
    Ok(Verdict::Fine)
}

/// Whether a verification found nothing wrong.
pub(crate) fn is_whole(verified: &Value) -> bool {
    verified["ok"] == true
}

/// Verifies the ledger of a node that is not running, in the words of the API.
fn verify_folder(passphrase_file: Option<&std::path::Path>, context: &Context) -> Result<Value, CliFault> {
    let settings = context.settings(&[])?;
    context.out.say(&format!("No node answers; reading {} itself.", settings.data.join("ledger").display()));
    let _folder = Folder::claim(&settings.data)?;
    let passphrase = Passphrase::obtain(passphrase_file, Purpose::Open)?;
    let keys = Keyring::open(&settings.data.join("keys"), &passphrase)?;
    let secrets = keys.secrets();
    let ledger_keys = LedgerKeys { node: secrets.ledger.clone(), kek: secrets.kek.clone() };
    let (ledger, opened) = Ledger::open(&settings.data.join("ledger"), ledger_keys, None)?;
    let fault = |code: &str, detail: String| json!({ "schema": "comity/verification/v1", "ok": false, "code": code, "detail": detail });
    if let Some(damage) = opened.read_only {
        return Ok(fault(damage.code(), damage.to_string()));
    }
    Ok(match ledger.verify(&mut |_| {}) {
        Ok(found) => json!({
            "schema": "comity/verification/v1", "ok": true,
            "records": found.records, "commits": found.commits, "erased": found.erased,
        }),
        Err(wrong) => fault(wrong.code(), wrong.to_string()),
    })
}

fn shown(ledger: &Value) -> String {
    let rows = [
        ("Ledger", text(ledger, "/origin").to_owned()),
        ("Records", number(ledger, "/size").to_string()),
        ("Signed", number(ledger, "/signed").to_string()),
    ];
    // The signatures are two thousand characters that only programs read.
    let (note, signatures) = text(ledger, "/checkpoint").split_once("\n\n").unwrap_or_default();
    let signed = format!("\n{} signatures (in full: --json)", signatures.lines().count());
    format!("{}\n\n{}{signed}", pairs(&rows), or_dash(note))
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
        return format!("whole: {records} records in {commits} commits, every frame, leaf, commit and root holds");
    }
    let (code, detail) = (text(verified, "/code"), text(verified, "/detail"));
    format!("NOT WHOLE: {code}: {}", detail.strip_prefix(&format!("{code}: ")).unwrap_or(detail))
}
