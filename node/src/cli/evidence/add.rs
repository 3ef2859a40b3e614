//! `comity evidence add`: a folder becomes a lot under seal, file by file.

use std::path::PathBuf;

use comity_core::manifest::{ItemPath, show_name};
use serde_json::{Value, json};

use super::{
    Contents,
    walk::{Entry, modified_ms, open, walk},
    watch::Bar,
};
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    fields::Fields,
    found::disk,
    request::{fresh_id, whole_id},
    show::{bytes, number, short, text},
};

/// Read and sent at once.
const PIECE: usize = 256 << 10;

/// What adding needs.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The request; its first digits are enough.
    id: String,
    /// The folder or file.
    path: PathBuf,
    /// The authority that puts it under seal, as the Party's profile names it.
    #[arg(long, value_name = "ID", default_value = "central")]
    authority: String,
    /// The items this was made from, by their ids.
    #[arg(long, value_name = "ITEM", value_delimiter = ',')]
    derived_from: Vec<String>,
    #[command(flatten)]
    contents: Contents,
}

/// The command.
pub(super) async fn add(args: &Args, client: &Client, context: &Context) -> Done {
    let id = whole_id(&args.id, client).await?;
    let thread = client.get(&format!("/v1/requests/{id}")).await?;
    let fields = args.contents.fields(text(&thread, "/procedure"), "seal", client).await?;
    let entries = walk(&args.path)?;
    let sealed = seal(client, &id, &args.authority, &args.derived_from, &entries, fields, !context.out.json).await?;
    let unsealed = entries.iter().filter(|entry| matches!(entry, Entry::Unsealed(..))).count();
    context.out.either(&sealed, |sealed| {
        format!(
            "{} items, {}, under seal: manifest {}, statement at index {} of this ledger\nSHA-256 of the manifest: {}",
            number(sealed, "/items"),
            bytes(number(sealed, "/bytes")),
            short(text(sealed, "/manifest")),
            number(sealed, "/index"),
            text(sealed, "/digest"),
        )
    });
    for entry in &entries {
        if let Entry::Unsealed(path, kind, _) = entry {
            context.out.say(&format!("not under seal, only listed: {path} ({kind})"));
        }
    }
    Ok(if unsealed == 0 { Verdict::Fine } else { Verdict::Finding })
}

/// Opens a lot, puts everything into it, and has it sealed. A lot that fails is discarded.
pub(crate) async fn seal(
    client: &Client,
    request: &str,
    authority: &str,
    derived_from: &[String],
    entries: &[Entry],
    fields: Fields,
    shown: bool,
) -> Result<Value, CliFault> {
    let lot = client.post(&format!("/v1/requests/{request}/lots"), &json!({ "authority": authority })).await?;
    let lot = text(&lot, "/lot_id").to_owned();
    let filled = fill(client, &lot, derived_from, entries, shown).await;
    let sealed = match filled {
        Ok(()) => {
            let body = json!({ "command_id": fresh_id(), "fields": fields });
            client.post(&format!("/v1/lots/{lot}/seal"), &body).await
        }
        Err(fault) => Err(fault),
    };
    if sealed.is_err() {
        // What went wrong is said; that the lot is gone already is no second fault.
        drop(client.delete(&format!("/v1/lots/{lot}")).await);
    }
    sealed
}

async fn fill(
    client: &Client,
    lot: &str,
    derived_from: &[String],
    entries: &[Entry],
    shown: bool,
) -> Result<(), CliFault> {
    let bar = Bar::new(shown, "encrypting", entries.iter().map(Entry::size).sum());
    let mut line = client.line().await?;
    for entry in entries {
        match entry {
            Entry::File(path, at) => {
                let (file, facts) = open(path).map_err(disk("read", path))?;
                let query = format!(
                    "/v1/lots/{lot}/files?path={}&modified_ms={}&derived_from={}",
                    quoted(at),
                    modified_ms(&facts),
                    derived_from.join(",")
                );
                let counted = bar.reads(file);
                line.upload(&query, pieces(counted)).await?;
                let after = path.symlink_metadata();
                let same =
                    after.is_ok_and(|after| (after.len(), modified_ms(&after)) == (facts.len(), modified_ms(&facts)));
                if !same {
                    client.post(&format!("/v1/lots/{lot}/changed"), &json!({ "path": at.to_string() })).await?;
                }
            }
            Entry::Unsealed(at, kind, target) => {
                let body = json!({ "path": at.to_string(), "kind": kind, "target": show_name(target) });
                client.post(&format!("/v1/lots/{lot}/unsealed"), &body).await?;
            }
        }
    }
    bar.done();
    Ok(())
}

/// A reader in pieces.
fn pieces(mut from: impl std::io::Read + Send + 'static) -> impl Iterator<Item = std::io::Result<Vec<u8>>> + Send {
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut piece = vec![0; PIECE];
        match from.read(&mut piece) {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some(Ok(piece))
            }
            Err(fault) => {
                ended = true;
                Some(Err(fault))
            }
        }
    })
}

/// A path as it stands in a query.
fn quoted(path: &ItemPath) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.to_string().bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_whole() {
        let path = ItemPath::parse("a b/ü&x=1\\x0a").expect("path");
        assert_eq!(quoted(&path), "a%20b/%C3%BC%26x%3D1%5Cx0a");
    }

    #[test]
    fn pieces_end_with_the_reader() {
        let long = vec![7; PIECE + 1];
        let read: Vec<usize> = pieces(std::io::Cursor::new(long)).map(|piece| piece.expect("read").len()).collect();
        assert_eq!(read, [PIECE, 1]);
        assert_eq!(pieces(std::io::empty()).count(), 0);
    }
}
