//! `comity run`: the node itself. Reads settings, unlocks the keys, starts the runtime and the API,
//! and stops all of it in order when it is asked to.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Context, Done, Verdict, fault::CliFault, found::disk};
use crate::{
    api,
    config::{Flag, Settings},
    keys::{Keyring, Passphrase, Purpose},
    runtime, telemetry,
};

/// So long may workers finish after the node has stopped.
const WORKERS_WAIT: Duration = Duration::from_secs(5);

/// What `run` can be told; each flag but the passphrase overrides a setting.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Read the passphrase from this file. Otherwise: the systemd credential `comity-passphrase`, or a prompt.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Where peers may reach this node, separated by commas.
    #[arg(long, value_name = "ADDRESSES")]
    listen: Option<String>,
    /// How log lines look: text or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// How much is logged: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Stop when standard input closes: whoever started this ends, and so does the node.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Args {
    fn flags(&self) -> Vec<Flag> {
        let flags = [
            ("--listen", "listen", &self.listen),
            ("--log-format", "log.format", &self.log_format),
            ("--log-level", "log.level", &self.log_level),
        ];
        let given = flags.into_iter().filter_map(|(name, key, value)| Some((name, key, value.clone()?)));
        given.map(|(name, key, value)| Flag { name, key, value }).collect()
    }
}

/// The command.
pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let settings = context.settings(&args.flags())?;
    telemetry::start(settings.log_format, settings.log_level, std::env::var("COMITY_LOG").ok().as_deref())?;
    telemetry::install_panic_hook();
    keep_memory_private();
    let passphrase = Passphrase::obtain(args.passphrase_file.as_deref(), Purpose::Open)?;
    let keys = Keyring::open(&settings.data.join("keys"), &passphrase)?;
    drop(passphrase);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(disk("start threads of", Path::new("this process")))?;
    let ended = runtime.block_on(serve(&settings, keys, args.until_stdin_closes, context));
    // A worker that waits for a slow disk may hold no one up: what it writes is replayed at the next start.
    runtime.shutdown_timeout(WORKERS_WAIT);
    ended
}

/// From here on keys may be in memory: no core file is written of this process, and no other of this user may look
/// into it or attach to it.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let closed = setrlimit(Resource::Core, none).and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(fault) = closed {
        tracing::warn!(target: "runtime", code = "cli.core-dumps", %fault, "a core file of this process is possible");
    }
}

/// The node and its API, until it is asked to stop or cannot go on.
async fn serve(settings: &Settings, keys: Keyring, until_stdin_closes: bool, context: &Context) -> Done {
    let stop = CancellationToken::new();
    let asked = asked_to_stop(until_stdin_closes)?;
    let mut node = runtime::start(settings, keys).await?;
    let api = api::serve(node.handle(), node.evidence(), node.backups(), &settings.api_socket, stop.clone()).await?;
    context.out.say(&ready_line(settings, &node));
    let ended = tokio::select! {
        () = asked => Ok(()),
        ended = node.ended() => ended,
    };
    stop.cancel();
    // Answers under way go out while the node can still give them.
    drop(api.await);
    if ended.is_ok() {
        node.stop().await?;
    }
    ended?;
    Ok(Verdict::Fine)
}

/// One line for whoever waits for the node, a person or a service manager.
fn ready_line(settings: &Settings, node: &runtime::Node) -> String {
    let handle = node.handle();
    let listening = handle.view().listening.join(" ");
    format!(
        "ready: {} in {}, api {}, peers {listening}",
        settings.party,
        settings.network,
        settings.api_socket.display()
    )
}

/// SIGTERM, SIGINT, or the end of standard input if that is what holds us.
fn asked_to_stop(until_stdin_closes: bool) -> Result<impl Future<Output = ()>, CliFault> {
    let listen = |kind| signal(kind).map_err(disk("listen for signals of", Path::new("the system")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let closed = CancellationToken::new();
    let watcher = until_stdin_closes.then(|| watch_stdin(closed.clone())).transpose()?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = closed.cancelled() => {}
        }
        drop(watcher);
    })
}

/// A thread of its own, since reading standard input cannot be called off; it ends with the process.
fn watch_stdin(closed: CancellationToken) -> Result<std::thread::JoinHandle<()>, CliFault> {
    let watch = move || {
        // Whatever comes before the end, and a reading fault, mean nothing else than the end.
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        closed.cancel();
    };
    let named = std::thread::Builder::new().name("stdin".to_owned());
    named.spawn(watch).map_err(disk("start a thread of", Path::new("this process")))
}
