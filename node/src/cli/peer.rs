//! `comity peer …`: how one peer behaves, and letting it in again.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    found::disk,
    show::{list, local, number, table, text},
    status::peer_table,
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Its link, and what it did against the protocol, by code.
    Show {
        /// The Party, for example XB.
        party: String,
    },
    /// Let a peer in again that is cut off, before its time is over. What it did stays on the list.
    Readmit {
        /// The Party.
        party: String,
    },
    /// Read out the frame that first showed a wrong, as it came over the line.
    Proof {
        /// The Party.
        party: String,
        /// The code, as `comity peer show` lists it.
        code: String,
        /// The file to write; it must not exist.
        file: PathBuf,
    },
    /// Read out the proof that a Party's ledger has forked, for others to check with `comity verify FILE --fingerprint …`.
    Fork {
        /// The Party.
        party: String,
        /// The file to write; it must not exist.
        file: PathBuf,
    },
}

/// The command.
pub(crate) async fn peer(command: Command, context: &Context) -> Done {
    let client = context.client()?;
    match command {
        Command::Show { party } => {
            context.out.either(&client.get(&format!("/v1/peers/{party}")).await?, shown);
        }
        Command::Readmit { party } => {
            let path = format!("/v1/peers/{party}/readmit");
            context.out.either(&client.post_empty(&path).await?, |_| format!("{party} is let in again"));
        }
        Command::Proof { party, code, file } => {
            let frame = client.bytes(&format!("/v1/peers/{party}/proofs/{code}")).await?;
            written(&file, &frame, context)?;
        }
        Command::Fork { party, file } => {
            let proof = client.bytes(&format!("/v1/peers/{party}/fork")).await?;
            written(&file, &proof, context)?;
        }
    }
    Ok(Verdict::Fine)
}

/// Writes a new file and says so.
pub(super) fn written(file: &std::path::Path, bytes: &[u8], context: &Context) -> Result<(), CliFault> {
    write_new(file, bytes).map_err(disk("write", file))?;
    let written = json!({ "schema": "comity/written/v1", "file": file, "bytes": bytes.len() });
    context.out.either(&written, |_| format!("{} bytes in {}", bytes.len(), file.display()));
    Ok(())
}

/// A new file that only its owner reads, on disk when this returns.
pub(super) fn write_new(file: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    new.write_all(bytes)?;
    new.sync_all()
}

fn shown(shown: &Value) -> String {
    let link = peer_table(&json!({ "peers": [shown["peer"]] }));
    let wrongs = list(shown, "/wrongs");
    if wrongs.is_empty() {
        return format!("{link}\n\nNothing against the protocol was seen.");
    }
    let row = |wrong: &Value| {
        let proof = if wrong["proof"] == true { "kept" } else { "-" };
        let last = local(text(wrong, "/last"));
        [text(wrong, "/code").to_owned(), number(wrong, "/count").to_string(), last, proof.to_owned()]
    };
    let rows: Vec<_> = wrongs.iter().map(row).collect();
    format!("{link}\n\n{}", table(["WRONG", "TIMES", "LAST", "FRAME"], &rows))
}
