//! The lobby: what a PeerId gets that no roster names, how long, and how it comes in when one does.

use super::{super::side::Opening, *};

/// Arvia, who knows Belmar only.
async fn arvia() -> Node {
    Node::of(ARVIA, roster(&[(BELMAR, &[])])).await
}

/// Somebody unknown who speaks every protocol, connected.
struct Stranger {
    swarm: Swarm<Ground>,
    arvia: libp2p::PeerId,
    connection: libp2p::swarm::ConnectionId,
}

impl Stranger {
    async fn at(n: u8, address: &str) -> Self {
        let who = ("XZ", n);
        let tls = Tls::new(&roster::identity(&seed(who)), true).expect("certified");
        let all = &[Protocol::Deliver, Protocol::Evidence, Protocol::Roster];
        let mut swarm = rogue(who, tls, all, roster(&[(ARVIA, &[])]), address);
        loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } = swarm.select_next_some().await {
                return Self { swarm, arvia: peer_id, connection: connection_id };
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        self.swarm.behaviour_mut().gate.open(self.arvia, self.connection, ask);
    }

    /// Asks for a side stream.
    fn side(&mut self, protocol: Protocol) -> oneshot::Receiver<Result<SideStream, SendFault>> {
        let (answer, answered) = oneshot::channel();
        let place = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().expect("its own");
        self.ask(Ask::Side(protocol, Opening { answer, place }));
        answered
    }

    /// Lives on until this is answered.
    async fn until<T>(&mut self, answered: oneshot::Receiver<T>) -> T {
        let mut answered = answered;
        soon("an answer", async {
            loop {
                tokio::select! {
                    answer = &mut answered => return answer.expect("answered"),
                    _ = self.swarm.select_next_some() => {}
                }
            }
        })
        .await
    }

    /// Lives on until Arvia closes the connection.
    async fn closed(&mut self) {
        soon("the end of the connection", async {
            while !matches!(self.swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
        })
        .await;
    }
}

impl Node {
    /// The next roster stream of a stranger.
    async fn visitor(&mut self) -> SideStream {
        self.wait("a stranger's stream", |event| match event {
            NetEvent::Roster { party: None, stream } => Some(stream),
            NetEvent::Roster { .. } | NetEvent::Up { .. } | NetEvent::Evidence { .. } => panic!("a stranger got in"),
            _ => None,
        })
        .await
    }
}

/// [P-9].
#[tokio::test]
async fn a_stranger_gets_one_roster_stream_and_nothing_else() {
    let mut arvia = arvia().await;
    let mut stranger = Stranger::at(40, &arvia.address()).await;
    let evidence = stranger.side(Protocol::Evidence);
    assert_eq!(stranger.until(evidence).await.err(), Some(SendFault::NoProtocol));
    stranger.ask(Ask::Deliver);
    soon("a refusal", async {
        loop {
            let event = stranger.swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(GroundEvent::Gate(Passage { what, .. })) = event {
                assert!(matches!(what, What::Unopened), "{what:?}");
                break;
            }
        }
    })
    .await;
    let one = stranger.side(Protocol::Roster);
    let mut one = stranger.until(one).await.expect("opened");
    let serving = tokio::spawn(async move {
        loop {
            stranger.swarm.select_next_some().await;
        }
    });
    one.write_all(b"who I am").await.expect("written");
    let mut theirs = arvia.visitor().await;
    let mut read = [0; 8];
    soon("eight bytes", theirs.read_exact(&mut read)).await.expect("read");
    assert_eq!(&read, b"who I am");
    serving.abort();
}

/// [P-9]: one stream each, or one stranger would have the places of all.
#[tokio::test]
async fn a_second_stream_of_a_stranger_is_reset() {
    let mut arvia = arvia().await;
    let mut stranger = Stranger::at(40, &arvia.address()).await;
    let one = stranger.side(Protocol::Roster);
    let _one = stranger.until(one).await.expect("opened");
    let _theirs = arvia.visitor().await;
    let two = stranger.side(Protocol::Roster);
    let mut two = stranger.until(two).await.expect("negotiated");
    let reset = async {
        let mut byte = [0];
        loop {
            tokio::select! {
                read = two.read(&mut byte) => break read.expect_err("reset").kind(),
                _ = stranger.swarm.select_next_some() => {}
            }
        }
    };
    assert_eq!(soon("a reset", reset).await, std::io::ErrorKind::ConnectionReset);
}

/// Two at once of one address, ten seconds each: then there is room for others.
#[tokio::test]
async fn the_lobby_has_few_places_and_visits_end() {
    let mut arvia = arvia().await;
    let began = tokio::time::Instant::now();
    let (mut inside, mut streams) = (Vec::new(), Vec::new());
    for n in 40..42 {
        let mut stranger = Stranger::at(n, &arvia.address()).await;
        let stream = stranger.side(Protocol::Roster);
        streams.push((stranger.until(stream).await.expect("opened"), arvia.visitor().await));
        inside.push(stranger);
    }
    let mut third = Stranger::at(48, &arvia.address()).await;
    third.closed().await;
    assert!(began.elapsed() < Duration::from_secs(9), "turned away, not sat out");
    let closed = inside.iter_mut().map(|stranger| Box::pin(stranger.closed()));
    futures::future::join_all(closed).await;
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(16)).contains(&took), "{took:?}");
    drop(streams);
    let mut next = Stranger::at(49, &arvia.address()).await;
    let stream = next.side(Protocol::Roster);
    let _stream = next.until(stream).await.expect("opened");
    arvia.visitor().await;
}

/// A Party whose keys all rolled shows who it is and is up as soon as the roster names it.
#[tokio::test]
async fn a_stranger_that_a_roster_names_comes_in_by_the_door() {
    let mut arvia = arvia().await;
    let mut corvia = Node::of(CORVIA, roster(&[(ARVIA, &[arvia.address()])])).await;
    let stream = corvia
        .wait("a lobby", |event| match event {
            NetEvent::Lobby { party, stream } if party == code(ARVIA) => Some(stream),
            NetEvent::Up { .. } => panic!("not yet"),
            _ => None,
        })
        .await;
    let mut stream = soon("a stream", stream).await.expect("answered").expect("opened");
    stream.write_all(b"it is I").await.expect("written");
    let mut theirs = arvia.visitor().await;
    let mut read = [0; 7];
    soon("seven bytes", theirs.read_exact(&mut read)).await.expect("read");
    arvia.net.set_roster(roster(&[(BELMAR, &[]), (CORVIA, &[])])).await.expect("runs");
    tokio::join!(arvia.up(CORVIA), corvia.up(ARVIA));
    tokio::join!(arvia.exchange(CORVIA, 20, 20), corvia.exchange(ARVIA, 20, 20));
}
