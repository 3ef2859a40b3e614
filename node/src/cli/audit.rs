//! `comity audit …`: who was shown what and did what at this node, and whether that is whole.

use std::{iter, path::PathBuf};

use clap::Subcommand;
use comity_core::ids::RequestId;
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    ledger::{FromWhere, Tree, bar, export, verify},
    peer::written,
    show::{list, local, number, or_dash, short, table, text},
};

/// Rows asked for at once: the most an answer gives.
const PAGE: usize = 500;

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Accesses to contents and acts, the newest first. Reading this list is recorded too.
    List {
        /// Only those that concern this request.
        #[arg(long, value_name = "ID")]
        request: Option<RequestId>,
        /// At most so many.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
    },
    /// Write the proof of one record as a C2SP tlog-proof, which other tools can check.
    Proof {
        /// The record's index, counted from 0.
        index: u64,
        /// The file to write, by custom ending in .tlog-proof; it must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the audit tree into a folder in the layout of C2SP tlog-tiles, with the documents its keys follow from. It
    /// shows no record.
    Export {
        /// The folder to make; nothing may be there.
        folder: PathBuf,
    },
    /// Check that the audit tree is whole.
    ///
    /// Alone: every frame, leaf, commit and root, by the node itself, or in the folder of a node that is stopped. With a
    /// charter's fingerprint: from outside, believing nothing else, a folder that was exported or the node that runs.
    Verify(FromWhere),
}

/// The command.
pub(crate) async fn audit(command: Command, context: &Context) -> Done {
    match command {
        Command::List { request, limit } => {
            let entries = entries(&context.client()?, request, limit).await?;
            let answer = json!({ "schema": "comity/audit/v1", "entries": entries });
            context.out.either(&answer, |_| {
                let rows: Vec<_> = entries.iter().map(row).collect();
                table(["INDEX", "AT", "USER", "KIND", "ANSWERED", "REQUEST", "CALL"], &rows)
            });
        }
        Command::Proof { index, out } => {
            let proof = context.client()?.bytes(&format!("/v1/audit/{index}/tlog-proof")).await?;
            written(&out, &proof, context)?;
        }
        Command::Export { folder } => {
            let bar = bar("exporting", context);
            let (size, _) = export(&context.client()?, Tree::Audit, &folder, &bar).await?;
            let written = json!({ "schema": "comity/exported/v1", "folder": folder, "records": size });
            context.out.either(&written, |_| format!("{size} records in {}", folder.display()));
        }
        Command::Verify(from) => return verify(Tree::Audit, from, context).await,
    }
    Ok(Verdict::Fine)
}

/// The newest records, page after page.
async fn entries(client: &Client, request: Option<RequestId>, limit: usize) -> Result<Vec<Value>, CliFault> {
    let mut entries = Vec::new();
    let mut cursor = None;
    while entries.len() < limit {
        let rows = PAGE.min(limit - entries.len());
        let asked = iter::once(format!("limit={rows}"))
            .chain(request.iter().map(|id| format!("request={id}")))
            .chain(cursor.iter().map(|cursor| format!("cursor={cursor}")));
        let page = client.get(&format!("/v1/audit?{}", asked.collect::<Vec<_>>().join("&"))).await?;
        entries.extend(list(&page, "/entries").iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    Ok(entries)
}

fn row(entry: &Value) -> [String; 7] {
    let answered = match (entry["status"].as_u64(), text(entry, "/code")) {
        (None, _) => "-".to_owned(), // an act: what became of it the ledger says
        (Some(status), "") => status.to_string(),
        (Some(_), code) => code.to_owned(),
    };
    [
        number(entry, "/index").to_string(),
        local(text(entry, "/at")),
        number(entry, "/user").to_string(),
        text(entry, "/kind").to_owned(),
        answered,
        or_dash(short(text(entry, "/request_id"))).to_owned(),
        format!("{} {}", text(entry, "/method"), text(entry, "/route")),
    ]
}
