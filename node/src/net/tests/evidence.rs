//! Evidence streams between whole networks: who gets one, how many, how they end, and what a slow
//! reader costs.

use tokio::io::AsyncRead;

use super::{super::side::Opening, *};

impl Node {
    /// The next evidence stream of a Party.
    async fn evidence(&mut self, who: (&str, u8)) -> SideStream {
        self.wait("an evidence stream", |event| match event {
            NetEvent::Evidence { party, stream } if party == code(who) => Some(stream),
            _ => None,
        })
        .await
    }
}

/// Arvia and Belmar, both up.
async fn joined() -> (Node, Node) {
    let (mut arvia, mut belmar) = pair().await;
    tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
    (arvia, belmar)
}

/// A stream from one to the other, both its ends.
async fn stream(from: (&Node, (&str, u8)), to: (&mut Node, (&str, u8))) -> (SideStream, SideStream) {
    let near = from.0.net.evidence(&code(to.1)).await.expect("opened");
    (near, to.0.evidence(from.1).await)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

/// Writes `len` bytes and expects as many back, in step.
async fn there_and_back(stream: SideStream, len: usize) {
    let sent = pattern(len);
    let (mut from, mut to) = tokio::io::split(stream);
    let mut got = vec![0; len];
    let (wrote, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut got));
    wrote.and(read.map(drop)).expect("carried");
    assert!(got == sent);
}

async fn echo(stream: SideStream) {
    let (mut from, mut to) = tokio::io::split(stream);
    // It ends when the other side drops the stream.
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// Waits until a stream fails; what it still gives before is dropped.
async fn fails<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Error {
    let mut piece = [0; 4096];
    let failed = async {
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => panic!("an end, where there should be an error"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    };
    soon("a stream to fail", failed).await
}

#[tokio::test]
async fn streams_cross_both_ways_while_deliveries_flow() {
    let (mut arvia, mut belmar) = joined().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (near, far) = stream((&arvia, ARVIA), (&mut belmar, BELMAR)).await;
        tasks.spawn(there_and_back(near, 2 << 20));
        tasks.spawn(echo(far));
        let (near, far) = stream((&belmar, BELMAR), (&mut arvia, ARVIA)).await;
        tasks.spawn(there_and_back(near, 2 << 20));
        tasks.spawn(echo(far));
    }
    tokio::join!(arvia.exchange(BELMAR, 300, 300), belmar.exchange(ARVIA, 300, 300));
    soon("the streams to end", async {
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no panic");
        }
    })
    .await;
    assert!(arvia.events.try_recv().is_err() && belmar.events.try_recv().is_err(), "and no link went down for it");
}

#[tokio::test]
async fn several_tasks_open_at_once_and_the_ninth_is_told() {
    let (arvia, mut belmar) = joined().await;
    let (opener, to) = (arvia.net.opener(), code(BELMAR));
    let opened = futures::future::join_all((0..EVIDENCE_MAX).map(|_| opener.evidence(&to))).await;
    let mut opened: Vec<_> = opened.into_iter().map(|stream| stream.expect("opened")).collect();
    assert_eq!(opener.evidence(&to).await.err(), Some(SendFault::StreamsFull));
    assert_eq!(opener.evidence(&code(CORVIA)).await.err(), Some(SendFault::NotConnected));
    let mut taken = Vec::new();
    while taken.len() < EVIDENCE_MAX {
        taken.push(belmar.evidence(ARVIA).await);
    }
    // A place is free again on both sides when both have let go.
    drop((opened.pop(), taken));
    let (mut near, mut far) = stream((&arvia, ARVIA), (&mut belmar, BELMAR)).await;
    near.write_all(b"yes").await.expect("written");
    let mut got = [0; 3];
    soon("three bytes", far.read_exact(&mut got)).await.expect("read");
    assert_eq!(got, *b"yes");

    arvia.net.stop().await;
    assert_eq!(opener.evidence(&to).await.err(), Some(SendFault::NotConnected), "an opener outlives the network");
}

#[tokio::test]
async fn a_stranger_gets_no_stream() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let corvia = Node::of(CORVIA, roster(&[(ARVIA, &[arvia.address()])])).await;
    arvia
        .wait("a stranger", |event| match event {
            NetEvent::Stranger { .. } => Some(()),
            NetEvent::Up { .. } | NetEvent::Evidence { .. } => panic!("a stranger got in"),
            _ => None,
        })
        .await;
    assert_eq!(corvia.net.evidence(&code(ARVIA)).await.err(), Some(SendFault::NotConnected));
    assert_eq!(arvia.net.evidence(&code(CORVIA)).await.err(), Some(SendFault::NotConnected));
}

#[tokio::test]
async fn a_stream_ends_with_its_admission_and_with_the_node() {
    let (mut arvia, mut belmar) = joined().await;
    let (near, mut far) = stream((&arvia, ARVIA), (&mut belmar, BELMAR)).await;
    let (mut from, mut to) = tokio::io::split(near);
    let waiting = tokio::spawn(async move { fails(&mut from).await });
    arvia.net.set_roster(Roster::default()).await.expect("runs");
    assert_eq!(waiting.await.expect("no panic").kind(), std::io::ErrorKind::ConnectionAborted);
    assert!(to.write_all(b"too late").await.is_err());
    fails(&mut far).await;
    assert!(far.write_all(b"too late").await.is_err());

    arvia.net.set_roster(roster(&[(BELMAR, &[])])).await.expect("runs");
    tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
    let (mut near, mut far) = stream((&arvia, ARVIA), (&mut belmar, BELMAR)).await;
    far.write_all(b"buffered").await.expect("written");
    belmar.net.stop().await;
    fails(&mut far).await;
    fails(&mut near).await;
    assert!(near.write_all(b"too late").await.is_err());
}

#[tokio::test]
async fn a_silent_line_takes_its_streams_along() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let (proxy, muted) = proxy(&arvia.address()).await;
    let quick = Pulse { every: Duration::from_millis(50), silence: Duration::from_millis(800) };
    let (events, events_out) = mpsc::channel(64);
    let tls = Tls::new(&roster::identity(&seed(BELMAR)), true).expect("certified");
    let to = roster(&[(ARVIA, &[proxy])]);
    let net = begin(settings(ANY_PORT, true), &seed(BELMAR), tls, quick, to, events).await.expect("starts");
    let mut belmar = Node { net, events: events_out };
    tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
    let (near, _far) = stream((&belmar, BELMAR), (&mut arvia, ARVIA)).await;
    let (mut from, mut to) = tokio::io::split(near);
    muted.store(true, Ordering::SeqCst);
    // One half waits to read, the other fills the dead line until it waits to write.
    let writing = async { while to.write_all(&[7; 4096]).await.is_ok() {} };
    tokio::join!(fails(&mut from), soon("the writer to fail", writing));
    muted.store(false, Ordering::SeqCst);
    belmar.up(ARVIA).await;
}

#[tokio::test]
async fn a_slow_reader_stops_the_writer() {
    let (arvia, mut belmar) = joined().await;
    let (mut near, mut far) = stream((&arvia, ARVIA), (&mut belmar, BELMAR)).await;
    const WHOLE: usize = 64 << 20;
    let sent = pattern(1 << 20);
    let mut written = 0;
    // Nobody reads: what is taken is bounded by the window.
    while let Ok(wrote) = timeout(Duration::from_secs(1), near.write(&sent[written % sent.len()..])).await {
        written += wrote.expect("written");
    }
    assert!((64 << 10..=1 << 20).contains(&written), "{written} bytes in flight");
    let writer = async move {
        while written < WHOLE {
            let at = written % sent.len();
            written += near.write(&sent[at..sent.len().min(at + WHOLE - written)]).await.expect("written");
        }
        near.shutdown().await.expect("shut down");
    };
    let reader = async {
        let (mut got, mut piece) = (0, vec![0; 1 << 20]);
        let expected = pattern(1 << 20);
        while got < WHOLE {
            let at = got % piece.len();
            let read = far.read(&mut piece[at..]).await.expect("read");
            assert!(read > 0 && piece[at..at + read] == expected[at..at + read]);
            got += read;
        }
        assert_eq!(far.read(&mut piece).await.expect("an end"), 0);
    };
    soon("64 MiB", async { tokio::join!(writer, reader) }).await;
}

/// Serves a rogue's swarm and hands out what its gate lets through.
async fn passage(rogue: &mut Swarm<Ground>) -> What {
    loop {
        if let SwarmEvent::Behaviour(GroundEvent::Gate(Passage { what, .. })) = rogue.select_next_some().await {
            return what;
        }
    }
}

#[tokio::test]
async fn a_peer_without_the_protocol_is_named() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[])])).await;
    let tls = Tls::new(&roster::identity(&seed(BELMAR)), true).expect("certified");
    let mut belmar = rogue(BELMAR, tls, &[Protocol::Deliver], roster(&[(ARVIA, &[])]), &arvia.address());
    let old = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(passage(&mut belmar).await);
        }
    });
    arvia.up(BELMAR).await;
    let fault = soon("an answer", arvia.net.evidence(&code(BELMAR))).await.err();
    assert_eq!(fault, Some(SendFault::NoProtocol));
    arvia.net.send(&code(BELMAR), vec![1]).expect("the link is none the worse for it");
    old.abort();
}

#[tokio::test]
async fn a_peer_that_opens_too_many_has_the_others_reset_and_hurts_nobody() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[]), (CORVIA, &[])])).await;
    let mut corvia = Node::of(CORVIA, roster(&[(ARVIA, &[arvia.address()])])).await;
    tokio::join!(arvia.up(CORVIA), corvia.up(ARVIA));
    let tls = Tls::new(&roster::identity(&seed(BELMAR)), true).expect("certified");
    let both = &[Protocol::Deliver, Protocol::Evidence];
    let mut belmar = rogue(BELMAR, tls, both, roster(&[(ARVIA, &[])]), &arvia.address());
    let (peer, connection) = loop {
        if let SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } = belmar.select_next_some().await {
            break (peer_id, connection_id);
        }
    };
    let places = Arc::new(tokio::sync::Semaphore::new(64));
    let ask = |belmar: &mut Swarm<Ground>| {
        let (answer, answered) = oneshot::channel();
        let place = Arc::clone(&places).try_acquire_owned().expect("its own limit is higher");
        let opening = Opening { answer, place };
        belmar.behaviour_mut().gate.open(peer, connection, Ask::Side(Protocol::Evidence, opening));
        answered
    };
    let asked: Vec<_> = (0..EVIDENCE_MAX + 4).map(|_| ask(&mut belmar)).collect();
    let serve = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            tokio::select! {
                what = passage(&mut belmar) => kept.push(what),
            }
        }
    });
    let mut theirs = Vec::new();
    for answered in asked {
        theirs.push(soon("an answer", answered).await.expect("answered").expect("negotiated"));
    }
    let mut taken = Vec::new();
    while taken.len() < EVIDENCE_MAX {
        taken.push(arvia.evidence(BELMAR).await);
    }
    let reset = theirs.iter_mut().map(|stream| Box::pin(fails(stream)));
    let (error, ..) = futures::future::select_all(reset).await;
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    // Nobody reads the eight that stall, and nobody else waits for them.
    tokio::join!(arvia.exchange(CORVIA, 100, 100), corvia.exchange(ARVIA, 100, 100));
    let (near, far) = stream((&corvia, CORVIA), (&mut arvia, ARVIA)).await;
    let (echoing, carried) = (tokio::spawn(echo(far)), there_and_back(near, 1 << 20));
    soon("a stream to somebody else", carried).await;
    echoing.await.expect("no panic");
    serve.abort();
}
