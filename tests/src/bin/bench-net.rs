//! What the multiplexer costs: the same bytes over loopback through plain TLS, through TLS and yamux
//! as libp2p's own wrapper sets it, and through two whole `Net`s; interleaved, medians, ratios.
//!
//! `cargo run --release -p comity-tests --bin bench-net [MiB] [rounds] [part of a name]`. Figures and
//! their reading are in `node/BENCHMARKS.md`. `bench-net apart [MiB]` is plain TLS alone, between two
//! processes, as one JSON object, for `tests/bench/files --memory`. It measures and asserts nothing. Plain TLS is always
//! measured, because the others are given beside it.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "bench-net/apart.rs"]
mod apart;
#[path = "bench-net/plain.rs"]
mod plain;

use std::{io, time::Duration};

use comity::net::{Net, NetEvent, NetSettings, Roster, SideStream};
use comity_core::{
    crypto::{PublicKey, Seed},
    ids::PartyCode,
    proto::{Algorithm, KeyRole},
};
use plain::Cipher;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::Instant,
};

type Loose = Box<dyn std::error::Error + Send + Sync>;

/// Bytes written and read at once.
const PIECE: usize = 256 << 10;

/// What is measured, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tls(Cipher),
    /// TLS and yamux with frames of so many KiB; nothing between the layers.
    Yamux(Cipher, usize),
    /// Two whole networks and so many evidence streams.
    Net(usize),
}

const WAYS: [Way; 9] = [
    Way::Tls(Cipher::Aes),
    Way::Tls(Cipher::ChaCha),
    Way::Yamux(Cipher::ChaCha, 16),
    Way::Yamux(Cipher::Aes, 16),
    Way::Yamux(Cipher::Aes, 64),
    Way::Yamux(Cipher::Aes, 128),
    Way::Yamux(Cipher::Aes, 256),
    Way::Net(1),
    Way::Net(4),
];

impl Way {
    fn name(self) -> String {
        match self {
            Self::Tls(cipher) => format!("plain TLS, {cipher:?}"),
            Self::Yamux(cipher, 16) => format!("TLS {cipher:?}, yamux, 16 KiB frames (stock)"),
            Self::Yamux(cipher, kib) => format!("TLS {cipher:?}, yamux, {kib} KiB frames"),
            Self::Net(1) => "Net, one evidence stream".to_owned(),
            Self::Net(streams) => format!("Net, {streams} evidence streams"),
        }
    }
}

/// One transfer.
#[derive(Debug, Clone, Copy)]
struct Figure {
    gb_per_s: f64,
    cpu_s_per_gb: f64,
}

impl Figure {
    fn of(bytes: usize, took: Duration, used: Duration) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let gb = bytes as f64 / 1e9;
        Self { gb_per_s: gb / took.as_secs_f64(), cpu_s_per_gb: used.as_secs_f64() / gb }
    }
}

fn main() -> Result<(), Loose> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("apart").is_some() {
        return runtime.block_on(apart::run(arguments));
    }
    let mib: usize = arguments.next().map(|mib| mib.parse()).transpose()?.unwrap_or(1024);
    let rounds = arguments.next().map(|rounds| rounds.parse()).transpose()?.unwrap_or(5);
    let part = arguments.next().unwrap_or_default();
    let ways: Vec<Way> = WAYS.into_iter().filter(|way| *way == WAYS[0] || way.name().contains(&part)).collect();
    runtime.block_on(run(&ways, mib << 20, rounds))
}

async fn run(ways: &[Way], bytes: usize, rounds: usize) -> Result<(), Loose> {
    let pair = Pair::start().await?;
    let mut figures = vec![Vec::new(); ways.len()];
    for _ in 0..rounds {
        for (way, figures) in ways.iter().zip(&mut figures) {
            figures.push(once(&pair, *way, bytes).await?);
        }
    }
    let medians: Vec<Figure> = figures.iter().map(|figures| median(figures)).collect();
    let plain = medians[0];
    println!("| Way | GB/s | CPU s/GB, both sides | rate beside plain TLS | CPU beside plain TLS |");
    println!("|---|---|---|---|---|");
    for (way, figure) in ways.iter().zip(medians) {
        let Figure { gb_per_s, cpu_s_per_gb } = figure;
        let (rate, cpu) = (gb_per_s / plain.gb_per_s, cpu_s_per_gb / plain.cpu_s_per_gb);
        println!("| {} | {gb_per_s:.2} | {cpu_s_per_gb:.2} | {rate:.2} | {cpu:.2} |", way.name());
    }
    tokio::join!(pair.near.stop(), pair.far.stop());
    Ok(())
}

async fn once(pair: &Pair, way: Way, bytes: usize) -> Result<Figure, Loose> {
    match way {
        Way::Tls(cipher) => {
            let (near, far) = plain::tls(cipher).await?;
            measure(vec![(near, far)], bytes).await
        }
        Way::Yamux(cipher, kib) => {
            let (near, far, drivers) = plain::yamux(cipher, kib << 10).await?;
            let figure = measure(vec![(near, far)], bytes).await;
            drop(drivers);
            figure
        }
        Way::Net(streams) => {
            let mut ends = Vec::new();
            for _ in 0..streams {
                ends.push(pair.stream().await?);
            }
            measure(ends, bytes).await
        }
    }
}

/// Sends `bytes` over all pairs of ends together.
async fn measure<N, F>(ends: Vec<(N, F)>, bytes: usize) -> Result<Figure, Loose>
where
    N: AsyncWrite + Send + Unpin + 'static,
    F: AsyncRead + Send + Unpin + 'static,
{
    let share = bytes / ends.len();
    let (began, cpu) = (Instant::now(), processor());
    let mut tasks = tokio::task::JoinSet::new();
    for (near, far) in ends {
        tasks.spawn(async move { give(near, share).await.map(Some) });
        tasks.spawn(async move { take(far, share).await.map(|()| None) });
    }
    let mut held = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        held.push(ended??);
    }
    Ok(Figure::of(bytes, began.elapsed(), processor() - cpu))
}

/// Writes so many bytes. The end is to be held until the other side has all: dropped earlier it would be reset.
async fn give<N: AsyncWrite + Unpin>(mut near: N, mut left: usize) -> io::Result<N> {
    let piece = vec![7; PIECE];
    while left > 0 {
        let some = left.min(PIECE);
        near.write_all(&piece[..some]).await?;
        left -= some;
    }
    near.flush().await?;
    Ok(near)
}

/// Reads so many bytes.
async fn take(mut far: impl AsyncRead + Unpin, mut left: usize) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let some = left.min(PIECE);
        left -= match far.read(&mut piece[..some]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
    }
    Ok(())
}

/// Processor time of this process, all threads.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn median(figures: &[Figure]) -> Figure {
    let middle = |of: fn(&Figure) -> f64| {
        let mut all: Vec<f64> = figures.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Figure { gb_per_s: middle(|f| f.gb_per_s), cpu_s_per_gb: middle(|f| f.cpu_s_per_gb) }
}

/// Two networks that are up.
struct Pair {
    near: Net,
    far: Net,
    to: PartyCode,
    coming: tokio::sync::Mutex<mpsc::Receiver<NetEvent>>,
    _quiet: mpsc::Receiver<NetEvent>,
}

impl Pair {
    async fn start() -> Result<Self, Loose> {
        let (arvia, belmar) = (PartyCode::parse("XA")?, PartyCode::parse("XB")?);
        let (events, mut quiet) = mpsc::channel(64);
        let near = node(1, roster(&belmar, 2, &[])?, events).await?;
        let (events, mut coming) = mpsc::channel(64);
        let far = node(2, roster(&arvia, 1, &near.listen_addresses())?, events).await?;
        for events in [&mut quiet, &mut coming] {
            while !matches!(events.recv().await.ok_or("a network ended")?, NetEvent::Up { .. }) {}
        }
        Ok(Self { near, far, to: belmar, coming: coming.into(), _quiet: quiet })
    }

    async fn stream(&self) -> Result<(SideStream, SideStream), Loose> {
        let near = self.near.evidence(&self.to).await?;
        let mut coming = self.coming.lock().await;
        loop {
            if let NetEvent::Evidence { stream, .. } = coming.recv().await.ok_or("a network ended")? {
                return Ok((near, stream));
            }
        }
    }
}

async fn node(key: u8, roster: Roster, events: mpsc::Sender<NetEvent>) -> Result<Net, Loose> {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let (_, cut_off) = tokio::sync::watch::channel(std::collections::BTreeSet::new());
    let settings = NetSettings { listen, require_hybrid: true, agent: "bench".to_owned(), cut_off };
    Ok(comity::net::start(settings, &Seed::new([key; 32]), roster, events).await?)
}

fn roster(party: &PartyCode, key: u8, addresses: &[String]) -> Result<Roster, Loose> {
    let key = PublicKey::of(KeyRole::Transport, Algorithm::Ed25519, &Seed::new([key; 32])).map_err(|_| "a key")?;
    let key = <[u8; 32]>::try_from(key.bytes).map_err(|_| "a key of 32 bytes")?;
    Ok(Roster::new([(party.clone(), vec![key], addresses.to_vec())])?)
}
