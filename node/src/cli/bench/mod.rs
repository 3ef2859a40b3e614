//! `comity bench …`: how fast this machine is at what a node does, beside what bounds it.
//!
//! Nothing here touches a node's own data: what is measured is founded in a folder of its own and removed
//! at the end. Figures of a busy or virtual machine say little; the ratios beside them say more.

mod exchange;
mod ledger;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;

use super::{Context, Done, Verdict, fault::CliFault, found, request::fresh_id, show::short};

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Appends to the ledger, beside the same bytes in a plain file that is synced as often.
    Ledger(ledger::Args),
    /// Requests between two nodes until their receipts are recorded, beside the signatures, seals,
    /// hashes and syncs they cannot do without.
    Exchange(exchange::Args),
}

/// The command.
pub(crate) async fn bench(command: Command, context: &Context) -> Done {
    let measured = match command {
        Command::Ledger(args) => ledger::measure(&args, context)?,
        Command::Exchange(args) => exchange::measure(&args, context).await?,
    };
    context.out.either(&measured.object, |_| measured.text.clone());
    Ok(Verdict::Fine)
}

/// Figures, for programs and for people.
struct Measured {
    object: serde_json::Value,
    text: String,
}

/// A folder of its own below one that was named, or where temporary files lie.
fn place(dir: Option<&Path>) -> Result<PathBuf, CliFault> {
    let parent = dir.map_or_else(std::env::temp_dir, Path::to_owned);
    let place = parent.join(format!("comity-bench-{}", short(&fresh_id())));
    found::folder(&place)?;
    place.canonicalize().map_err(found::disk("find", &place))
}

fn remove(place: &Path) -> Result<(), CliFault> {
    std::fs::remove_dir_all(place).map_err(found::disk("remove", place))
}

/// Milliseconds with two places.
fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
