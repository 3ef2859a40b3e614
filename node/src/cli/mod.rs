//! The `comity` command: noun, then verb. Arguments come in, an exit code goes out.
//!
//! Commands ask a running node over its local API and decide nothing themselves; offline are `init`, `key`, `charter`,
//! `profile`, `verify`, `explain` and `ledger verify` on a folder whose node is stopped. `run` is the node. Results go to
//! standard output, talk to standard error, `--json` prints one object with a `schema`.
//! Start at [`main`]; `request` is what officers use, `demo` shows everything once.

mod audit;
mod backup;
mod bench;
mod charter;
mod client;
mod demo;
mod doctor;
mod evidence;
mod explain;
mod fault;
mod fields;
mod forms;
mod found;
mod init;
mod key;
mod law;
mod ledger;
mod nodes;
mod officer;
mod out;
mod paper;
mod party;
mod peer;
mod profile;
mod rehearse;
mod request;
mod roster;
mod run;
mod show;
mod status;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::{client::Client, fault::CliFault, out::Out};
use crate::config::{Flag, Settings};

/// Something was found that a person should look at.
const FINDING: u8 = 1;
/// The command was not used as it is meant, or settings are wrong: trying again changes nothing.
const WRONG_USE: u8 = 2;
/// Not ready: trying again may help (EX_TEMPFAIL of sysexits).
const TRY_AGAIN: u8 = 75;

/// What a command that did its work has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// All is well.
    Fine,
    /// The work was done and something is not as it should be.
    Finding,
}

type Done = Result<Verdict, CliFault>;

/// Evidence exchange between States, node to node.
#[derive(Parser)]
#[command(name = "comity", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    /// The node's data folder: where comity.toml, its keys, ledger and socket lie.
    #[arg(long, global = true, env = "COMITY_DATA", default_value = "comity-data", value_name = "DIR")]
    data: PathBuf,
    /// Print results as JSON, each object with a `schema`.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 fine, 1 a finding, 2 wrong use, 75 not ready: try again.
To see everything once: comity demo --once";

#[derive(Subcommand)]
enum Command {
    /// Found an exercise network, run three nodes, carry one request through.
    Demo(demo::Args),
    /// Make one Party's data folder from a founding kit, or found a whole network for exercises.
    Init(init::Args),
    /// Run the node of a data folder until it is stopped.
    Run(run::Args),
    /// How the node is: ledger, peers, what is owed, disk, what expires next.
    Status,
    /// The other Parties' nodes and whether they are reached.
    Peers,
    /// One peer: how it behaves, and letting it in again.
    #[command(subcommand)]
    Peer(peer::Command),
    /// The Parties: who speaks for each, and who is on duty there now.
    #[command(subcommand)]
    Party(party::Command),
    /// Signed documents of charter and Parties: hand them to the node, read them out.
    #[command(subcommand)]
    Roster(roster::Command),
    /// Is this node fit, and the whole path to each peer; what to do where it is not.
    Doctor {
        /// Only the path to this Party.
        party: Option<String>,
    },
    /// Figures for a monitoring system, as OpenMetrics text.
    Metrics,
    /// Gather what helps to find a fault into one file: settings, findings, figures; no secret, no case.
    Support {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
    /// Requests: draft, send, answer, follow.
    #[command(subcommand)]
    Request(request::Command),
    /// Evidence: put under seal, hand over, fetch, verify, read out.
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// The procedures and the forms of their steps.
    Forms(forms::Args),
    /// Which law applies between two Parties, and whether rule files of one's own read.
    #[command(subcommand)]
    Law(law::Command),
    /// The signed ledger: what it is, and whether it is whole.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Who was shown what and did what at this node.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Backups: take one, prove it, put it back.
    #[command(subcommand)]
    Backup(backup::Command),
    /// Keys: the pairs of officers, and the generations of this node's own.
    #[command(subcommand)]
    Key(key::Command),
    /// The charter of a network: draft, propose, sign, collect. Works without a node.
    #[command(subcommand)]
    Charter(charter::Command),
    /// The profile of a Party, its directory and its suspension: likewise.
    #[command(subcommand)]
    Profile(profile::Command),
    /// The officers of this Party who approve what leaves it.
    #[command(subcommand)]
    Officer(officer::Command),
    /// What a charter, profile, directory, suspension or kit is, and whether it holds.
    Verify(verify::Args),
    /// How fast this machine is at what a node does, beside what bounds it.
    #[command(subcommand)]
    Bench(bench::Command),
    /// What a code in an error message means and what to do.
    Explain {
        /// For example `form.missing-field`.
        code: String,
    },
}

/// What every command may need.
struct Context {
    data: PathBuf,
    out: Out,
}

impl Context {
    /// Settings of the data folder: its file, then the environment, then these flags.
    fn settings(&self, flags: &[Flag]) -> Result<Settings, CliFault> {
        // `COMITY_DATA` has chosen the file already; read again it would count from the file's folder.
        let environment = std::env::vars_os().filter(|(name, _)| name.as_os_str() != "COMITY_DATA");
        Ok(Settings::load(&self.data.join("comity.toml"), environment, flags)?)
    }

    fn client(&self) -> Result<Client, CliFault> {
        if !self.data.join("comity.toml").exists() {
            return Err(CliFault::NoFolder(self.data.clone()));
        }
        Ok(Client::new(self.settings(&[])?.api_socket))
    }
}

/// Reads the arguments of this process and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(other) => {
            // Help and version come this way too, on standard output and with code 0.
            drop(other.print());
            return ExitCode::from(if other.use_stderr() { WRONG_USE } else { 0 });
        }
    };
    let context = Context { data: cli.data, out: Out { json: cli.json } };
    match dispatch(cli.command, &context) {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Finding) => ExitCode::from(FINDING),
        Err(fault) => {
            if context.out.json {
                context.out.object(&fault.to_json());
            }
            context.out.say(&fault);
            ExitCode::from(fault.exit())
        }
    }
}

fn dispatch(command: Command, context: &Context) -> Done {
    match command {
        Command::Explain { code } => explain::explain(&code, context.out),
        Command::Init(args) => init::init(&args, context),
        Command::Run(args) => run::run(&args, context),
        Command::Key(command) => key::key(command, context),
        Command::Charter(command) => charter::charter(&command, context),
        Command::Profile(command) => profile::profile(&command, context),
        Command::Officer(command) => officer::officer(&command, context),
        Command::Verify(args) => verify::verify(&args, context),
        Command::Demo(args) => wait_for(demo::demo(&args, context)),
        Command::Bench(command) => wait_for(bench::bench(command, context)),
        Command::Status => wait_for(status::status(context)),
        Command::Peers => wait_for(status::peers(context)),
        Command::Peer(command) => wait_for(peer::peer(command, context)),
        Command::Party(command) => wait_for(party::party(command, context)),
        Command::Roster(command) => wait_for(roster::roster(command, context)),
        Command::Doctor { party } => wait_for(doctor::doctor(party.as_deref(), context)),
        Command::Metrics => wait_for(doctor::metrics(context)),
        Command::Support { file } => wait_for(doctor::support(&file, context)),
        Command::Request(command) => wait_for(request::request(command, context)),
        Command::Evidence(command) => wait_for(evidence::evidence(command, context)),
        Command::Forms(args) => wait_for(forms::forms(&args, context)),
        Command::Law(command) => wait_for(law::law(command, context)),
        Command::Backup(command) => backup::backup(command, context),
        Command::Ledger(command) => wait_for(ledger::ledger(command, context)),
        Command::Audit(command) => wait_for(audit::audit(command, context)),
    }
}

/// One thread is enough to ask a node something.
fn wait_for(work: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let disk = |cause| CliFault::Disk { doing: "wait on", path: PathBuf::from("the system"), cause };
    runtime.map_err(disk)?.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }
}
