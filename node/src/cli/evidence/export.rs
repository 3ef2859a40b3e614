//! `comity evidence export`: the items of a manifest as files below a new folder.
//!
//! Names are made as the manifest has them, below that folder and nowhere else: folders are made one by
//! one, files must be new, nothing is followed, and links are not made again (they stand in the
//! manifest). Every file is hashed on its way out and held against the manifest.

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File, FileTimes, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use comity_core::{
    ids::{hex, unhex},
    manifest::ItemPath,
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{new_folder, one_of, watch::Bar};
use crate::cli::{
    Context, Done, Verdict,
    client::{Client, Line, lost},
    fault::CliFault,
    found::disk,
    request::whole_id,
    show::{bytes, list, number, text},
};

/// What exporting needs.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The request; its first digits are enough.
    id: String,
    /// The folder, which must be new or empty.
    folder: PathBuf,
    /// The manifest; its first digits are enough. Left out: the only one.
    #[arg(long, value_name = "MANIFEST")]
    manifest: Option<String>,
}

/// The command.
pub(super) async fn export(args: &Args, client: &Client, context: &Context) -> Done {
    let id = whole_id(&args.id, client).await?;
    let evidence = client.get(&format!("/v1/requests/{id}/evidence")).await?;
    let rows: Vec<&Value> = list(&evidence, "/manifests").iter().collect();
    let row = one_of(&rows, "/manifest", args.manifest.as_deref(), "manifests of the request")?;
    new_folder(&args.folder)?;
    let exported = write_all(text(row, "/manifest"), &args.folder, client, !context.out.json).await?;
    context.out.either(&exported, |exported| {
        format!(
            "{} files, {}, each as the manifest says, in {}",
            number(exported, "/items"),
            bytes(number(exported, "/bytes")),
            args.folder.display()
        )
    });
    for entry in list(&exported, "/beside") {
        if text(entry, "/kind") != "empty_folder" {
            context.out.say(&format!("not made: {} ({})", text(entry, "/path"), text(entry, "/kind")));
        }
    }
    Ok(Verdict::Fine)
}

/// Writes every item of a manifest below a folder.
pub(crate) async fn write_all(manifest: &str, folder: &Path, client: &Client, shown: bool) -> Result<Value, CliFault> {
    let whole = client.get(&format!("/v1/manifests/{manifest}")).await?;
    let bar = Bar::new(shown, "writing", number(&whole, "/bytes"));
    let mut line = client.line().await?;
    for item in list(&whole, "/list") {
        let path = below(folder, item)?;
        let route = format!("/v1/manifests/{manifest}/items/{}/content", text(item, "/item_id"));
        write_one(&mut line, &route, &path, item, &bar).await?;
    }
    for entry in list(&whole, "/beside") {
        if text(entry, "/kind") == "empty_folder" {
            let path = below(folder, entry)?;
            make_folder(&path)?;
        }
    }
    bar.done();
    Ok(whole)
}

/// The place of an entry below the folder, with all folders on the way made.
fn below(folder: &Path, entry: &Value) -> Result<PathBuf, CliFault> {
    let bad = |why: String| CliFault::BadAnswer(format!("a path of the manifest: {why}"));
    let names = list(entry, "/names").iter().map(|name| unhex(name.as_str().unwrap_or_default(), "name"));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(|why| bad(why.to_string()))?;
    let path = ItemPath::new(names).map_err(|why| bad(why.to_owned()))?;
    let mut at = folder.to_owned();
    let (last, above) = path.names().split_last().ok_or_else(|| bad("it has no name".to_owned()))?;
    for name in above {
        at.push(OsStr::from_bytes(name));
        make_folder(&at)?;
    }
    at.push(OsStr::from_bytes(last));
    Ok(at)
}

/// Makes a folder; one that is there must be one, and no link to one.
fn make_folder(path: &Path) -> Result<(), CliFault> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(fault)
            if fault.kind() == io::ErrorKind::AlreadyExists
                && path.symlink_metadata().is_ok_and(|facts| facts.is_dir()) =>
        {
            Ok(())
        }
        Err(fault) => Err(disk("make", path)(fault)),
    }
}

async fn write_one(line: &mut Line, route: &str, path: &Path, item: &Value, bar: &Bar) -> Result<(), CliFault> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(disk("make", path))?;
    let written = fill(line, route, &file, path, bar).await;
    let not_whole = |why: String| CliFault::NotWhole { path: path.display().to_string(), why };
    let written = written.and_then(|digest| match digest == text(item, "/sha256") {
        true => Ok(()),
        false => Err(not_whole("its SHA-256 is not that of the manifest".to_owned())),
    });
    if written.is_err() {
        // What is not whole is not left behind; the reason is what counts.
        drop(std::fs::remove_file(path));
        return written;
    }
    let modified_ms = item["modified_ms"].as_i64().unwrap_or_default();
    let since = Duration::from_millis(modified_ms.unsigned_abs());
    let modified = match modified_ms {
        ..0 => SystemTime::UNIX_EPOCH.checked_sub(since),
        0.. => SystemTime::UNIX_EPOCH.checked_add(since),
    };
    if let Some(modified) = modified {
        file.set_times(FileTimes::new().set_modified(modified)).map_err(disk("date", path))?;
    }
    Ok(())
}

async fn fill(line: &mut Line, route: &str, mut file: &File, path: &Path, bar: &Bar) -> Result<String, CliFault> {
    let mut body = line.download(route).await?;
    let mut sha256 = Sha256::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(lost)?.into_data() {
            sha256.update(&piece);
            file.write_all(&piece).map_err(disk("write", path))?;
            bar.moved(piece.len() as u64);
        }
    }
    Ok(hex(&sha256.finalize()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_written_elsewhere() {
        let home = tempfile::tempdir().expect("folder");
        let entry = |names: &[&[u8]]| json!({ "names": names.iter().map(|name| hex(name)).collect::<Vec<_>>() });
        let good = below(home.path(), &entry(&[b"a b", b"c\n"])).expect("below");
        assert_eq!(good, home.path().join("a b").join("c\n"));
        for bad in [&[&b".."[..], b"x"][..], &[b"a/b"], &[b""], &[], &[b".", b"x"]] {
            assert!(below(home.path(), &entry(bad)).is_err(), "{bad:?}");
        }
        std::os::unix::fs::symlink("/tmp", home.path().join("link")).expect("linked");
        assert!(below(home.path(), &entry(&[b"link", b"x"])).is_err(), "a link is not followed");
    }
}
