//! What 196 peers cost that are connected and say nothing: memory and processor time of one node's network beside
//! the same network with nobody connected.
//!
//! ```text
//! cargo run --release -p comity-tests --bin bench-idle -- 196 60
//! ```
//!
//! The peers live in a second process of this program, each with a network of its own, and end with it. Memory
//! is what the system counts as resident; it is read after a minute of rest, as processor time is.

use std::{
    collections::BTreeSet,
    io::Read as _,
    process::{Command, Stdio},
    time::Duration,
};

use comity::{
    bench::process::memory_kib,
    net::{Net, NetEvent, NetSettings, Roster},
};
use comity_core::{
    crypto::{PublicKey, Seed},
    ids::PartyCode,
    proto::{Algorithm, KeyRole},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, watch};

type Loose = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Loose> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match &arguments[..] {
        [peers, count, address] if peers == "peers" => runtime.block_on(crowd(count.parse()?, address)),
        rest => {
            let count = rest.first().map(|count| count.parse()).transpose()?.unwrap_or(196);
            let seconds = rest.get(1).map(|seconds| seconds.parse()).transpose()?.unwrap_or(60);
            runtime.block_on(measure(count, Duration::from_secs(seconds)))
        }
    }
}

async fn measure(count: u16, rest: Duration) -> Result<(), Loose> {
    let named: Result<Vec<_>, Loose> = (1..=count).map(|n| Ok((code(n)?, vec![key(n)?], Vec::new()))).collect();
    let (events, mut told) = mpsc::channel(64);
    let net = start(0, Roster::new(named?)?, events).await?;
    let alone = figures(rest).await?;
    let mut crowd = Command::new(std::env::current_exe()?);
    crowd.args(["peers", &count.to_string(), &net.listen_addresses()[0]]);
    let mut crowd = crowd.stdin(Stdio::piped()).spawn()?;
    let mut up = BTreeSet::new();
    while up.len() < count.into() {
        match told.recv().await.ok_or("the network ended")? {
            NetEvent::Up { party, .. } => drop(up.insert(party)),
            NetEvent::Down { party, .. } => drop(up.remove(&party)),
            _ => {}
        }
    }
    let together = tokio::select! {
        figures = figures(rest) => figures?,
        event = lost(&mut told) => return Err(format!("a peer was lost while nothing happened: {event:?}").into()),
    };
    drop(crowd.stdin.take());
    crowd.wait()?;
    net.stop().await;
    println!("| Network | memory, MiB | processor, % of a core |");
    println!("|---|---|---|");
    println!("| nobody connected | {:.1} | {:.2} |", alone.0, alone.1);
    println!("| {count} peers connected and idle | {:.1} | {:.2} |", together.0, together.1);
    println!("| the difference | {:.1} | {:.2} |", together.0 - alone.0, together.1 - alone.1);
    Ok(())
}

async fn lost(told: &mut mpsc::Receiver<NetEvent>) -> Option<NetEvent> {
    loop {
        match told.recv().await {
            Some(NetEvent::Down { party, why }) => return Some(NetEvent::Down { party, why }),
            Some(_) => {}
            None => return None,
        }
    }
}

/// Memory in MiB and processor time in percent, over a rest.
#[allow(clippy::cast_precision_loss, reason = "no process has so much")]
async fn figures(rest: Duration) -> Result<(f64, f64), Loose> {
    let before = processor();
    tokio::time::sleep(rest).await;
    let used = processor().saturating_sub(before);
    let kib = memory_kib(std::process::id(), "VmRSS")?;
    Ok((kib as f64 / 1024.0, 100.0 * used.as_secs_f64() / rest.as_secs_f64()))
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The peers, until standard input closes.
async fn crowd(count: u16, address: &str) -> Result<(), Loose> {
    let mut peers = Vec::new();
    for n in 1..=count {
        let (events, mut told) = mpsc::channel(8);
        let roster = Roster::new([(code(0)?, vec![key(0)?], vec![address.to_owned()])])?;
        peers.push(start(n, roster, events).await?);
        tokio::spawn(async move { while told.recv().await.is_some() {} });
    }
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

async fn start(n: u16, roster: Roster, events: mpsc::Sender<NetEvent>) -> Result<Net, Loose> {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let (_, cut_off) = watch::channel(BTreeSet::new());
    let settings = NetSettings { listen, require_hybrid: true, agent: "bench".to_owned(), cut_off };
    Ok(comity::net::start(settings, &seed(n), roster, events).await?)
}

fn seed(n: u16) -> Seed {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    Seed::new(bytes)
}

fn key(n: u16) -> Result<[u8; 32], Loose> {
    let key = PublicKey::of(KeyRole::Transport, Algorithm::Ed25519, &seed(n)).map_err(|_| "a key")?;
    key.bytes.try_into().map_err(|_| "a key of 32 bytes".into())
}

/// `AA`, `AB` and so on.
fn code(n: u16) -> Result<PartyCode, Loose> {
    let letter = |n: u16| char::from(b'A' + u8::try_from(n % 26).unwrap_or(0));
    Ok(PartyCode::parse(&format!("{}{}", letter(n / 26), letter(n)))?)
}
