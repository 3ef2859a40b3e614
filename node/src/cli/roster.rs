//! `comity roster …`: the signed documents that say who is who, handed to a node and read out of it as files: how a
//! document is published, and how a site without a line keeps up.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use comity_core::{
    proto,
    wire::{DOCUMENT_MAX, strict},
};
use serde_json::Value;

use super::{Context, Done, Verdict, client::Client, fault::CliFault, found::disk, peer::written, show::text};

/// A bundle of everything: charters of some years for two hundred Parties.
const BUNDLE_BYTES_MAX: u64 = 512 << 20;

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Hand signed documents to the node: it judges and records each, and tells it to its peers.
    Import {
        /// Files: a charter, profile, directory, suspension or head, or a bundle of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write all that is newest into one file, for a site without a line or a Party that joins.
    Export {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
}

/// The command.
pub(crate) async fn roster(command: Command, context: &Context) -> Done {
    let client = context.client()?;
    match command {
        Command::Import { files } => import(&files, &client, context).await,
        Command::Export { file } => {
            let bundle = client.bytes("/v1/documents").await?;
            written(&file, &bundle, context)?;
            Ok(Verdict::Fine)
        }
    }
}

async fn import(files: &[PathBuf], client: &Client, context: &Context) -> Done {
    let mut verdict = Verdict::Fine;
    for file in files {
        for envelope in envelopes(file)? {
            let answer = client.line().await?.upload("/v1/documents", std::iter::once(Ok(envelope))).await;
            match answer {
                Ok(taken) => context.out.either(&taken, said),
                Err(CliFault::Problem(problem)) => {
                    verdict = Verdict::Finding;
                    let refused = CliFault::Problem(problem);
                    if context.out.json {
                        context.out.object(&refused.to_json());
                    }
                    context.out.say(&refused);
                }
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(verdict)
}

/// The documents of a file, one or many.
fn envelopes(file: &Path) -> Result<Vec<Vec<u8>>, CliFault> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(disk("open", file))?;
    opened.take(BUNDLE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(disk("read", file))?;
    if comity_core::profile::claimed(&bytes).is_ok() {
        return Ok(vec![bytes]);
    }
    let max = usize::try_from(BUNDLE_BYTES_MAX).unwrap_or(usize::MAX);
    match strict::<proto::Bundle>(&bytes, max) {
        Ok(bundle) if !bundle.envelopes.is_empty() => Ok(bundle.envelopes),
        Ok(_) | Err(_) if bytes.len() <= DOCUMENT_MAX => Ok(vec![bytes]), // the node says what is wrong with it
        Ok(_) | Err(_) => {
            let why = "it is neither a document nor a bundle of documents".to_owned();
            Err(CliFault::BadArgument { what: file.display().to_string(), why })
        }
    }
}

fn said(taken: &Value) -> String {
    let of = match text(taken, "/party") {
        "" => String::new(),
        party => format!(" of {party}"),
    };
    let known = if taken["news"] == true { "taken in" } else { "was known" };
    format!("{}{of}, version {}: {known}", text(taken, "/kind"), taken["version"])
}
