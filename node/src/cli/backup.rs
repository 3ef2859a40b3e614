//! `comity backup …`: copies of a node's folder, and having a node again from one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    show::{local, number, pairs, text},
    wait_for,
};
use crate::{
    backup::{self, Checked, NodeKey, PutBack, Restore},
    keys::{Keyring, Passphrase, Purpose, RecoveryKey},
    time::rfc3339,
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Have the running node make a backup as its settings say: of what is new since the last one.
    Create {
        /// Begin a new chain with a copy of everything.
        #[arg(long)]
        full: bool,
    },
    /// Read a backup whole and prove each piece of it.
    ///
    /// Alone: the newest one, by the running node. With a folder: any, by whoever has a recovery key and the key folder.
    Verify {
        /// The folder of backups, or of one chain.
        #[arg(requires = "recovery")]
        folder: Option<PathBuf>,
        #[command(flatten)]
        opening: Opening,
    },
    /// Put a backup back into an empty data folder. Into one that is thrown away afterwards it is a rehearsal.
    Restore {
        /// The folder of backups, or of one chain.
        #[arg(requires = "recovery")]
        folder: PathBuf,
        #[command(flatten)]
        opening: Opening,
        /// The list of erasures, from its second place.
        #[arg(long, value_name = "FILE")]
        erasures: PathBuf,
        /// The data folder to be. Default: that of --data.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// What opens a backup.
#[derive(Args)]
pub(crate) struct Opening {
    /// The folder of a recovery key.
    #[arg(long, value_name = "DIR")]
    recovery: Option<PathBuf>,
    /// The node's key folder. Default: keys in the data folder.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Which backup of its chain. Default: the newest.
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,
    /// Read the passphrase of the node's keys from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase of the recovery key from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    recovery_passphrase_file: Option<PathBuf>,
}

impl Opening {
    fn open(&self, context: &Context) -> Result<(RecoveryKey, Keyring), CliFault> {
        let needed = || CliFault::BadArgument { what: "--recovery".to_owned(), why: "it is needed here".to_owned() };
        let recovery = self.recovery.as_deref().ok_or_else(needed)?;
        let say = |what: &str| context.out.say(&what);
        if self.recovery_passphrase_file.is_none() {
            say("The recovery key:");
        }
        let passphrase = Passphrase::obtain(self.recovery_passphrase_file.as_deref(), Purpose::Open)?;
        let recovery = RecoveryKey::open(recovery, &passphrase)?;
        if self.passphrase_file.is_none() {
            say("The keys of the node:");
        }
        let folder = self.keys.clone().unwrap_or_else(|| context.data.join("keys"));
        let passphrase = Passphrase::obtain(self.passphrase_file.as_deref(), Purpose::Open)?;
        Ok((recovery, Keyring::open(&folder, &passphrase)?))
    }
}

/// The command.
pub(crate) fn backup(command: Command, context: &Context) -> Done {
    match command {
        Command::Create { full } => {
            let client = context.client()?.patient();
            return wait_for(async {
                let made = client.post("/v1/backups", &json!({ "full": full })).await?;
                context.out.either(&made, shown);
                Ok(Verdict::Fine)
            });
        }
        Command::Verify { folder: Some(folder), opening } => {
            let (recovery, keys) = opening.open(context)?;
            let node = |generation| backup::node_key(&keys, generation);
            let checked = verify(&folder, opening.number, &recovery, &node)?;
            context.out.either(&checked, whole);
        }
        Command::Verify { .. } => {
            let client = context.client()?.patient();
            return wait_for(async {
                context.out.either(&client.post_empty("/v1/backups/verify").await?, whole);
                Ok(Verdict::Fine)
            });
        }
        Command::Restore { folder, opening, erasures, to } => {
            let (recovery, keys) = opening.open(context)?;
            let to = to.unwrap_or_else(|| context.data.clone());
            let wanted = Restore {
                from: &folder,
                number: opening.number,
                recovery: &recovery,
                keys: &keys,
                erasures: &erasures,
                to: &to,
            };
            // Drives the vault; everything else waits for disks on this thread.
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime =
                runtime.map_err(|cause| CliFault::Disk { doing: "wait on", path: "the system".into(), cause })?;
            let put = backup::restore(&wanted, runtime.handle().clone())?;
            context.out.either(&told(&put, &to), |_| put_back(&put, &to));
        }
    }
    Ok(Verdict::Fine)
}

fn verify(
    folder: &Path,
    number: Option<u64>,
    recovery: &RecoveryKey,
    node: &dyn Fn(u32) -> Option<NodeKey>,
) -> Result<Value, CliFault> {
    let Checked { number, made, size, root, files, bytes } = backup::verify(folder, number, recovery, node)?;
    Ok(json!({
        "schema": "comity/backup-verification/v1", "number": number, "made": rfc3339(made), "size": size,
        "root": root.to_string(), "files": files, "bytes": bytes,
    }))
}

fn shown(made: &Value) -> String {
    pairs(&[
        ("Backup", format!("{} in {}", number(made, "/number"), text(made, "/chain"))),
        ("Made", local(text(made, "/made"))),
        ("Ledger", format!("{} records, root {}", number(made, "/size"), text(made, "/root"))),
        (
            "Files",
            format!(
                "{}, {} bytes, of which {} are new",
                number(made, "/files"),
                number(made, "/bytes"),
                number(made, "/written")
            ),
        ),
        ("Erasures", format!("{} in the list", number(made, "/erasures"))),
    ])
}

fn whole(checked: &Value) -> String {
    format!(
        "whole: backup {} of {}, {} files, {} bytes, a ledger of {} records",
        number(checked, "/number"),
        local(text(checked, "/made")),
        number(checked, "/files"),
        number(checked, "/bytes"),
        number(checked, "/size"),
    )
}

fn told(put: &PutBack, to: &Path) -> Value {
    json!({
        "schema": "comity/restored/v1", "folder": to, "made": rfc3339(put.made), "origin": put.origin, "size": put.size,
        "root": put.root.to_string(), "erased_records": put.erased_records, "erasures": put.erasures,
        "files": put.files, "bytes": put.bytes,
    })
}

fn put_back(put: &PutBack, to: &Path) -> String {
    let facts = pairs(&[
        ("Folder", to.display().to_string()),
        ("Made", local(&rfc3339(put.made))),
        ("Ledger", format!("{}, {} records, all verified", put.origin, put.size)),
        ("Root", put.root.to_string()),
        (
            "Erased",
            format!("{} requests in the list; the keys of {} records are destroyed", put.erasures, put.erased_records),
        ),
        ("Files", format!("{}, {} bytes", put.files, put.bytes)),
    ]);
    format!(
        "{facts}\n\nIts node records nothing until the Party's profile names the ledger that follows this one:\n  \
         comity profile draft PROFILE --succeed {}:{}\nSee deploy/runbooks/restored-ledger.md.",
        put.size, put.root
    )
}
