//! Whole networks on loopback: Arvia (XA), Belmar (XB), Corvia (XC), and a rogue that holds one of
//! their keys but not their code. Ports are the system's choice; every wait is for a condition.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use comity_core::{
    crypto::PublicKey,
    proto::{Algorithm, KeyRole},
    wire::DELIVERY_MAX,
};
use futures::StreamExt as _;
use libp2p::{Multiaddr, Swarm, multiaddr::Protocol as Part, swarm::SwarmEvent, swarm::dial_opts::DialOpts};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

mod evidence;
mod hostile;
mod lobby;

use super::{
    gate::UNNAMED_OF_ONE_MAX,
    gate::{Ask, Passage, What},
    ground::{Ground, GroundEvent},
    *,
};

const ARVIA: (&str, u8) = ("XA", 1);
const BELMAR: (&str, u8) = ("XB", 2);
const CORVIA: (&str, u8) = ("XC", 3);

fn code((code, _): (&str, u8)) -> PartyCode {
    PartyCode::parse(code).expect("code")
}

fn seed((_, n): (&str, u8)) -> Seed {
    Seed::new([n; 32])
}

fn roster(entries: &[((&str, u8), &[String])]) -> Roster {
    let entry = |(who, addresses): &((&str, u8), &[String])| {
        let key = PublicKey::of(KeyRole::Transport, Algorithm::Ed25519, &seed(*who)).expect("key");
        (code(*who), vec![key.bytes.try_into().expect("32 bytes")], addresses.to_vec())
    };
    Roster::new(entries.iter().map(entry)).expect("roster")
}

fn settings(listen: &str, require_hybrid: bool) -> NetSettings {
    let (_, cut_off) = watch::channel(BTreeSet::new());
    NetSettings { listen: vec![listen.to_owned()], require_hybrid, agent: "comity/test".to_owned(), cut_off }
}

const ANY_PORT: &str = "/ip4/127.0.0.1/tcp/0";

struct Node {
    net: Net,
    events: mpsc::Receiver<NetEvent>,
}

impl Node {
    async fn on(who: (&str, u8), listen: &str, roster: Roster) -> Self {
        let (events, events_out) = mpsc::channel(64);
        let net = start(settings(listen, true), &seed(who), roster, events).await.expect("starts");
        Self { net, events: events_out }
    }

    async fn of(who: (&str, u8), roster: Roster) -> Self {
        Self::on(who, ANY_PORT, roster).await
    }

    fn address(&self) -> String {
        self.net.listen_addresses().into_iter().next().expect("listens")
    }

    /// Takes events until one fits; the others are dropped.
    async fn wait<T>(&mut self, what: &str, mut fits: impl FnMut(NetEvent) -> Option<T>) -> T {
        let wait = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = fits(event) {
                    return found;
                }
            }
        };
        soon(what, wait).await
    }

    async fn up(&mut self, who: (&str, u8)) -> bool {
        self.wait("up", |event| match event {
            NetEvent::Up { party, hybrid, .. } if party == code(who) => Some(hybrid),
            _ => None,
        })
        .await
    }

    async fn down(&mut self, who: (&str, u8)) -> &'static str {
        self.wait("down", |event| match event {
            NetEvent::Down { party, why } if party == code(who) => Some(why),
            _ => None,
        })
        .await
    }

    async fn dial_failed(&mut self) -> &'static str {
        self.wait("a failed dial", |event| match event {
            NetEvent::DialFailed { code, .. } => Some(code),
            _ => None,
        })
        .await
    }

    /// Sends `frames` as the window allows, answers whatever comes with its reverse, and returns
    /// when all own answers and `expected` deliveries are there. Sends again after a `Down`.
    async fn exchange(&mut self, with: (&str, u8), frames: u32, expected: u32) {
        let mut owed: Vec<u32> = (0..frames).rev().collect();
        let mut sent = BTreeSet::new();
        let mut got = BTreeSet::new();
        while !(owed.is_empty() && sent.is_empty() && got.len() == expected as usize) {
            while let Some(n) = owed.pop() {
                match self.net.send(&code(with), n.to_be_bytes().to_vec()) {
                    Ok(()) => {
                        sent.insert(n);
                    }
                    Err(_) => {
                        owed.push(n);
                        break;
                    }
                }
            }
            match soon("an exchange", self.events.recv()).await.expect("the network runs") {
                NetEvent::Delivery { party, mut frame, reply } => {
                    assert_eq!(party, code(with));
                    got.insert(u32::from_be_bytes(frame[..].try_into().expect("four bytes")));
                    frame.reverse();
                    // If the link is gone, the peer delivers again.
                    let _ = reply.send(frame);
                }
                NetEvent::Answer { party, mut frame } if party == code(with) => {
                    frame.reverse();
                    assert!(sent.remove(&u32::from_be_bytes(frame[..].try_into().expect("four bytes"))));
                }
                NetEvent::Down { party, .. } if party == code(with) => owed.extend(std::mem::take(&mut sent)),
                _ => {}
            }
        }
    }
}

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Arvia listens; Belmar dials it.
async fn pair() -> (Node, Node) {
    let arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let belmar = Node::of(BELMAR, roster(&[(ARVIA, &[arvia.address()])])).await;
    (arvia, belmar)
}

#[tokio::test]
async fn a_thousand_frames_cross_each_way_with_answers() {
    let (mut arvia, mut belmar) = pair().await;
    assert!(arvia.up(BELMAR).await && belmar.up(ARVIA).await, "both hybrid");
    tokio::join!(arvia.exchange(BELMAR, 1000, 1000), belmar.exchange(ARVIA, 1000, 1000));
    tokio::join!(arvia.net.stop(), belmar.net.stop());
}

#[tokio::test]
async fn large_frames_cross_and_a_slow_answerer_slows_only_the_sender() {
    let (mut arvia, mut belmar) = pair().await;
    arvia.up(BELMAR).await;
    belmar.up(ARVIA).await;
    let mut taken = 0;
    while arvia.net.send(&code(BELMAR), vec![7; DELIVERY_MAX]).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, WINDOW_BYTES / DELIVERY_MAX, "the window is what may wait, and no more");
    let mut held = Vec::new();
    while held.len() < taken {
        let (frame, reply) = belmar
            .wait("a delivery", |event| match event {
                NetEvent::Delivery { frame, reply, .. } => Some((frame, reply)),
                _ => None,
            })
            .await;
        assert_eq!(frame.len(), DELIVERY_MAX);
        held.push(reply);
    }
    assert_eq!(arvia.net.send(&code(BELMAR), vec![7; DELIVERY_MAX]), Err(SendFault::Full), "unanswered is not gone");
    held.drain(..).for_each(|reply| reply.send(vec![1]).expect("taken"));
    for _ in 0..taken {
        arvia.wait("an answer", |event| matches!(event, NetEvent::Answer { .. }).then_some(())).await;
    }
    arvia.net.send(&code(BELMAR), vec![7; DELIVERY_MAX]).expect("room again");
}

/// Mute lines from one address take the places of that address and no others.
#[tokio::test]
async fn mute_lines_from_one_address_keep_nobody_out() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let address: Multiaddr = arvia.address().parse().expect("address");
    let port = address.iter().find_map(|part| if let Part::Tcp(port) = part { Some(port) } else { None });
    let mut mute = tokio::task::JoinSet::new();
    for _ in 0..4 * UNNAMED_OF_ONE_MAX {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 9], 0).into()).expect("another loopback address");
        let mut line = socket.connect(([127, 0, 0, 1], port.expect("TCP")).into()).await.expect("connected");
        // Whatever Arvia says first, the line ends only when Arvia closes it.
        mute.spawn(async move { while !matches!(line.read(&mut [0; 64]).await, Ok(0) | Err(_)) {} });
    }
    while mute.len() > UNNAMED_OF_ONE_MAX {
        soon("the crowd to be turned away", mute.join_next()).await;
    }
    let mut belmar = Node::of(BELMAR, roster(&[(ARVIA, &[arvia.address()])])).await;
    arvia.up(BELMAR).await;
    belmar.up(ARVIA).await;
    assert_eq!(mute.len(), UNNAMED_OF_ONE_MAX);
    assert!(mute.try_join_next().is_none(), "the mute lines still have their places");
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let mut corvia = Node::of(CORVIA, roster(&[(ARVIA, &[arvia.address()])])).await;
    let seen = arvia
        .wait("a stranger", |event| match event {
            NetEvent::Stranger { peer, address } => Some((peer, address)),
            NetEvent::Up { .. } | NetEvent::Delivery { .. } => panic!("a stranger got in"),
            _ => None,
        })
        .await;
    assert_eq!(seen.0, corvia.net.peer_id());
    assert!(seen.1.starts_with("/ip4/127.0.0.1/tcp/"), "{}", seen.1);
    assert_eq!(corvia.dial_failed().await, "net.refused");
    assert_eq!(corvia.net.send(&code(ARVIA), vec![1]), Err(SendFault::NotConnected));
    // Named by the next roster, it is let in without a restart of anyone.
    arvia.net.set_roster(roster(&[(BELMAR, &[]), (CORVIA, &[])])).await.expect("runs");
    tokio::join!(arvia.up(CORVIA), corvia.up(ARVIA));
    // And put out again.
    arvia.net.set_roster(roster(&[(BELMAR, &[])])).await.expect("runs");
    let (here, _) = tokio::join!(arvia.down(CORVIA), corvia.down(ARVIA));
    assert_eq!(here, "net.removed");
}

#[tokio::test]
async fn a_restart_on_the_same_address_is_found_quickly() {
    let (mut arvia, mut belmar) = pair().await;
    let address = arvia.address();
    for _ in 0..3 {
        tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
        arvia.net.stop().await;
        assert_eq!(belmar.down(ARVIA).await, "net.closed");
        assert_eq!(belmar.dial_failed().await, "net.unreachable");
        let back = tokio::time::Instant::now();
        arvia = Node::on(ARVIA, &address, roster(&[(BELMAR, &[])])).await;
        tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
        assert!(back.elapsed() < Duration::from_secs(5), "the pause starts small after each contact");
        tokio::join!(arvia.exchange(BELMAR, 10, 10), belmar.exchange(ARVIA, 10, 10));
        arvia.net.stop().await;
        belmar.down(ARVIA).await;
        arvia = Node::on(ARVIA, &address, roster(&[(BELMAR, &[])])).await;
    }
}

#[tokio::test]
async fn a_caller_ends_the_pause_of_the_called() {
    let mut arvia = Node::of(ARVIA, Roster::default()).await;
    let nowhere = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let nowhere = format!("/ip4/127.0.0.1/tcp/{}", nowhere.port());
    arvia.net.set_roster(roster(&[(BELMAR, &[nowhere])])).await.expect("runs");
    for attempt in 1..=4 {
        let next = arvia
            .wait("a failed dial", |event| match event {
                NetEvent::DialFailed { attempt, next_ms, code: "net.unreachable", .. } => Some((attempt, next_ms)),
                _ => None,
            })
            .await;
        assert_eq!(next.0, attempt);
        assert!((125 << attempt..=250 << attempt).contains(&next.1), "{next:?}");
    }
    let mut belmar = Node::of(BELMAR, roster(&[(ARVIA, &[arvia.address()])])).await;
    tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
    belmar.net.stop().await;
    let first = arvia
        .wait("a failed dial", |event| match event {
            NetEvent::DialFailed { attempt, .. } => Some(attempt),
            _ => None,
        })
        .await;
    assert_eq!(first, 1, "contact resets the count");
}

#[tokio::test]
async fn both_dial_at_once_and_every_frame_crosses() {
    for _ in 0..5 {
        let mut arvia = Node::of(ARVIA, Roster::default()).await;
        let mut belmar = Node::of(BELMAR, Roster::default()).await;
        let (to_arvia, to_belmar) = ([arvia.address()], [belmar.address()]);
        let (a, b) = (roster(&[(BELMAR, &to_belmar)]), roster(&[(ARVIA, &to_arvia)]));
        let (a, b) = tokio::join!(arvia.net.set_roster(a), belmar.net.set_roster(b));
        a.and(b).expect("both run");
        tokio::join!(arvia.exchange(BELMAR, 200, 200), belmar.exchange(ARVIA, 200, 200));
        tokio::join!(arvia.net.stop(), belmar.net.stop());
    }
}

#[tokio::test]
async fn somebody_else_at_the_address_is_not_taken_for_the_party() {
    let arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let mut belmar = Node::of(BELMAR, roster(&[(CORVIA, &[arvia.address()]), (ARVIA, &[])])).await;
    assert_eq!(belmar.dial_failed().await, "net.wrong-peer");
    assert_eq!(belmar.net.send(&code(CORVIA), vec![1]), Err(SendFault::NotConnected));
}

#[tokio::test]
async fn a_silent_line_is_noticed_and_left() {
    let arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let (proxy, muted) = proxy(&arvia.address()).await;
    let quick = Pulse { every: Duration::from_millis(50), silence: Duration::from_millis(800) };
    let (events, events_out) = mpsc::channel(64);
    let tls = Tls::new(&roster::identity(&seed(BELMAR)), true).expect("certified");
    let to = roster(&[(ARVIA, &[proxy])]);
    let net = begin(settings(ANY_PORT, true), &seed(BELMAR), tls, quick, to, events).await.expect("starts");
    let mut belmar = Node { net, events: events_out };
    belmar.up(ARVIA).await;
    muted.store(true, Ordering::SeqCst);
    assert_eq!(belmar.down(ARVIA).await, "net.silent");
    muted.store(false, Ordering::SeqCst);
    belmar.up(ARVIA).await;
}

/// A line to `address` that can go dead: bytes are swallowed, nothing is closed.
async fn proxy(address: &str) -> (String, Arc<AtomicBool>) {
    let port: u16 = address.rsplit('/').next().expect("a port").parse().expect("a number");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().expect("bound").port());
    let muted = Arc::new(AtomicBool::new(false));
    let mute = Arc::clone(&muted);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            // A connection that was muted once stays dead, as a dead route does.
            let dead = Arc::new(AtomicBool::new(false));
            tokio::spawn(carry(near_in, far_out, Arc::clone(&mute), Arc::clone(&dead)));
            tokio::spawn(carry(far_in, near_out, Arc::clone(&mute), dead));
        }
    });
    (own, muted)
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mute: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 4096];
    while let Ok(read) = from.read(&mut buffer).await {
        dead.fetch_or(mute.load(Ordering::SeqCst), Ordering::SeqCst);
        if dead.load(Ordering::SeqCst) {
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// A peer with an admitted key and code of its own.
fn rogue(who: (&str, u8), tls: Tls, offer: &'static [Protocol], admits: Roster, dials: &str) -> Swarm<Ground> {
    let identity = roster::identity(&seed(who));
    let mut swarm = ground::lay(&identity, tls, offer, "rogue".to_owned(), Pulse::STEADY, Handshakes::default());
    swarm.behaviour_mut().gate.set_roster(admits);
    let dial = DialOpts::unknown_peer_id().address(dials.parse().expect("address")).allocate_new_port().build();
    swarm.dial(dial).expect("dials");
    swarm
}

#[tokio::test]
async fn an_oversize_frame_closes_the_link_and_nothing_else() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[]), (CORVIA, &[])])).await;
    let mut corvia = Node::of(CORVIA, roster(&[(ARVIA, &[arvia.address()])])).await;
    tokio::join!(arvia.up(CORVIA), corvia.up(ARVIA));
    let tls = Tls::new(&roster::identity(&seed(BELMAR)), true).expect("certified");
    let mut belmar = rogue(BELMAR, tls, &[Protocol::Deliver], roster(&[(ARVIA, &[])]), &arvia.address());
    let rude = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            match belmar.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                    belmar.behaviour_mut().gate.open(peer_id, connection_id, Ask::Deliver);
                }
                SwarmEvent::Behaviour(GroundEvent::Gate(Passage { what: What::Accepted(stream), .. })) => {
                    kept.push(stream.compat());
                }
                SwarmEvent::Behaviour(GroundEvent::Gate(Passage { what: What::Opened(stream), .. })) => {
                    let mut stream = stream.compat();
                    let len = u32::try_from(DELIVERY_MAX + 1).expect("small");
                    stream.write_u32(len).await.expect("written");
                    stream.write_u64(1).await.expect("written");
                    stream.flush().await.expect("flushed");
                    kept.push(stream);
                }
                SwarmEvent::ConnectionClosed { .. } => return,
                _ => {}
            }
        }
    });
    let wrong = arvia
        .wait("misconduct", |event| match event {
            NetEvent::Misconduct { party, code: wrong, .. } if party == code(BELMAR) => Some(wrong),
            NetEvent::Delivery { .. } => panic!("a forbidden frame got through"),
            _ => None,
        })
        .await;
    assert_eq!(wrong, "net.bad-length");
    soon("the rogue to be cut off", rude).await.expect("no panic");
    tokio::join!(arvia.exchange(CORVIA, 100, 100), corvia.exchange(ARVIA, 100, 100));
}

#[tokio::test]
async fn an_enforcing_node_refuses_classical_peers_both_ways() {
    let old = || tls::tests::classical_only(&roster::identity(&seed(BELMAR)));
    let (events, events_out) = mpsc::channel(64);
    let (any, named) = (settings(ANY_PORT, false), roster(&[(ARVIA, &[])]));
    let net = begin(any, &seed(BELMAR), old(), Pulse::STEADY, named, events).await.expect("starts");
    let belmar = Node { net, events: events_out };
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[belmar.address()])])).await;
    assert_eq!(arvia.dial_failed().await, "net.not-hybrid");

    let mut corvia = Node::of(CORVIA, roster(&[(BELMAR, &[])])).await;
    let mut caller = rogue(BELMAR, old(), &[Protocol::Deliver], roster(&[(CORVIA, &[])]), &corvia.address());
    soon("the refusal", async {
        loop {
            match caller.select_next_some().await {
                SwarmEvent::OutgoingConnectionError { .. } | SwarmEvent::ConnectionClosed { .. } => return,
                _ => {}
            }
        }
    })
    .await;
    assert!(corvia.events.try_recv().is_err(), "nothing came of it");

    // The same peer is served, and marked, where hybrid is only preferred.
    let (events, events_out) = mpsc::channel(64);
    let named = roster(&[(BELMAR, &[belmar.address()])]);
    let net = start(settings(ANY_PORT, false), &seed(ARVIA), named, events).await.expect("starts");
    let mut lenient = Node { net, events: events_out };
    assert!(!lenient.up(BELMAR).await, "not hybrid, and said so");
}

#[tokio::test]
async fn wrong_addresses_and_taken_ports_stop_the_start() {
    let begin = async |listen: &str| {
        let (events, _out) = mpsc::channel(1);
        start(settings(listen, true), &seed(ARVIA), Roster::default(), events).await.map_err(|fault| fault.code())
    };
    assert_eq!(begin("/ip4/127.0.0.1/udp/1/quic-v1").await.err(), Some("net.bad-address"));
    assert_eq!(begin("/ip4/203.0.113.1/tcp/0").await.err(), Some("net.cannot-listen"));
    let first = begin(ANY_PORT).await.expect("starts");
    first.stop().await;
}

#[tokio::test]
async fn a_key_log_in_the_environment_stops_the_start() {
    const NAME: &str = "SSLKEYLOGFILE";
    if std::env::var_os(NAME).is_some() {
        let (events, _out) = mpsc::channel(1);
        let fault = start(settings(ANY_PORT, true), &seed(ARVIA), Roster::default(), events).await.err();
        assert_eq!(fault, Some(NetFault::KeyLogSet));
        return;
    }
    // The environment belongs to the whole process, so this test runs once more in one of its own.
    let this = std::env::current_exe().expect("known");
    let test = "net::tests::a_key_log_in_the_environment_stops_the_start";
    let mut again = tokio::process::Command::new(this);
    let again = again.args(["--exact", test]).env(NAME, "/dev/null").output().await.expect("runs");
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
}
