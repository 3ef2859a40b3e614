//! `comity bench …`: how fast this machine is at what a node does, beside what bounds it.
//!
//! Nothing here touches a node's own data: what is measured is founded in a folder of its own and removed
//! at the end. Figures of a busy or virtual machine say little; the ratios beside them say more.

mod evidence;
mod exchange;
mod ledger;

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::Subcommand;

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    found,
    nodes::{Exercise, Node, Party},
    request::fresh_id,
    show::short,
};
use crate::bench::{BenchFault, process::processor};

const PARTIES: [Party; 2] = [("XA", "Arvia", "UTC"), ("XB", "Belmar", "UTC")];
const NETWORK: &str = "bench.comity.test";

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Appends to the ledger, beside the same bytes in a plain file that is synced as often.
    ///
    /// Beside databases it is measured by a program of the source tree, so that this one need not carry them:
    /// cargo run --release -p comity-tests --bin bench-ledger
    Ledger(ledger::Args),
    /// Requests between two nodes until their receipts are recorded, beside the signatures, seals,
    /// hashes and syncs they cannot do without.
    Exchange(exchange::Args),
    /// Evidence from one node to the other until it is on disk and verified, beside the same bytes written and
    /// synced, and beside the ciphers and hashes it cannot do without.
    Evidence(evidence::Args),
}

/// The command.
pub(crate) async fn bench(command: Command, context: &Context) -> Done {
    let measured = match command {
        Command::Ledger(args) => ledger::measure(&args, context)?,
        Command::Exchange(args) => exchange::measure(&args, context).await?,
        Command::Evidence(args) => evidence::measure(&args, context).await?,
    };
    context.out.either(&measured.object, |_| measured.text.clone());
    Ok(Verdict::Fine)
}

/// Figures, for programs and for people.
struct Measured {
    object: serde_json::Value,
    text: String,
}

/// Where the two nodes of a benchmark lie.
struct Ground {
    place: PathBuf,
    network: PathBuf,
    passphrase: PathBuf,
    logs: PathBuf,
}

impl Ground {
    /// Has a network of two founded in a folder of its own, measures, and removes the folder. What failed leaves its
    /// logs.
    async fn lend(
        dir: Option<&Path>,
        context: &Context,
        measure: impl AsyncFnOnce(&Self) -> Result<Measured, CliFault>,
    ) -> Result<Measured, CliFault> {
        let place = place(dir)?;
        let [network, passphrase, logs] = ["network", "passphrase", "logs"].map(|name| place.join(name));
        let ground = Self { place, network, passphrase, logs };
        found::folder(&ground.logs)?;
        context.out.say(&"Founding a network of two.");
        ground.exercise().found()?;
        let measured = tokio::select! {
            measured = measure(&ground) => measured?,
            // However the wait for it ends: whoever types it wants an end, and the nodes end with the future above.
            _ = tokio::signal::ctrl_c() => {
                remove(&ground.place)?;
                return Err(BenchFault::Interrupted.into());
            }
        };
        remove(&ground.place)?;
        Ok(measured)
    }

    fn exercise(&self) -> Exercise<'_> {
        let Self { network, passphrase, logs, .. } = self;
        Exercise { name: NETWORK, parties: &PARTIES, network, passphrase, logs }
    }

    /// Starts both nodes, lets `run` have them once they are linked, and stops them.
    async fn with_nodes<T>(&self, run: impl AsyncFnOnce(&[Node; 2]) -> Result<T, CliFault>) -> Result<T, CliFault> {
        let nodes: Result<[Node; 2], _> = self.exercise().start()?.try_into();
        let mut nodes = nodes.map_err(|_| CliFault::BadAnswer("two Parties have two nodes".into()))?;
        let run = async {
            for node in &mut nodes {
                node.is_linked(1).await?;
            }
            run(&nodes).await
        }
        .await;
        for node in nodes {
            node.stop().await;
        }
        run
    }
}

/// Processor time a node has used.
fn cpu(node: &Node) -> Result<Duration, CliFault> {
    processor(node.process().unwrap_or(0)).map_err(found::disk("read", Path::new("/proc")))
}

/// Cores of this machine.
fn cores() -> u32 {
    thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
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
