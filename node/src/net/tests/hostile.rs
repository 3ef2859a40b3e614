//! What a Party with a valid key may try, and what it gets.

use std::collections::VecDeque;

use super::*;

/// A node that tells by hand who is cut off.
async fn guarded(who: (&str, u8), roster: Roster) -> (Node, watch::Sender<BTreeSet<PartyCode>>) {
    let (decide, cut_off) = watch::channel(BTreeSet::new());
    let (events, events_out) = mpsc::channel(64);
    let settings = NetSettings { cut_off, ..settings(ANY_PORT, true) };
    let net = start(settings, &seed(who), roster, events).await.expect("starts");
    (Node { net, events: events_out }, decide)
}

/// Who is cut off loses its links, cannot come back by dialling, and is back at once when let in.
#[tokio::test]
async fn who_is_cut_off_stays_out_until_it_is_let_in() {
    let (mut arvia, decide) = guarded(ARVIA, roster(&[(BELMAR, &[]), (CORVIA, &[])])).await;
    let mut belmar = Node::of(BELMAR, roster(&[(ARVIA, &[arvia.address()])])).await;
    tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
    decide.send_modify(|cut| assert!(cut.insert(code(BELMAR))));
    let (here, there) = tokio::join!(arvia.down(BELMAR), belmar.down(ARVIA));
    assert_eq!((here, there), ("net.cut-off", "net.closed"));
    assert_eq!(belmar.dial_failed().await, "net.refused");
    assert_eq!(arvia.net.send(&code(BELMAR), vec![1]), Err(SendFault::NotConnected));
    let mut corvia = Node::of(CORVIA, roster(&[(ARVIA, &[arvia.address()])])).await;
    tokio::join!(arvia.up(CORVIA), corvia.up(ARVIA));
    decide.send_modify(|cut| assert!(cut.remove(&code(BELMAR))));
    tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA));
    tokio::join!(arvia.exchange(BELMAR, 20, 20), belmar.exchange(ARVIA, 20, 20));
}

/// Nobody is dialled who would not be let in, also when the roster changes meanwhile.
#[tokio::test]
async fn who_is_cut_off_is_not_dialled() {
    let mut belmar = Node::of(BELMAR, roster(&[(ARVIA, &[])])).await;
    let (mut arvia, decide) = guarded(ARVIA, Roster::default()).await;
    decide.send_modify(|cut| assert!(cut.insert(code(BELMAR))));
    arvia.net.set_roster(roster(&[(BELMAR, &[belmar.address()])])).await.expect("runs");
    let mut corvia = Node::of(CORVIA, roster(&[(ARVIA, &[])])).await;
    arvia.net.set_roster(roster(&[(BELMAR, &[belmar.address()]), (CORVIA, &[corvia.address()])])).await.expect("runs");
    arvia
        .wait("Corvia, dialled when Belmar was due as well", |event| match event {
            NetEvent::Up { party, .. } if party == code(CORVIA) => Some(()),
            NetEvent::Up { .. } | NetEvent::DialFailed { .. } => panic!("Belmar was dialled"),
            _ => None,
        })
        .await;
    decide.send_modify(|cut| assert!(cut.remove(&code(BELMAR))));
    tokio::join!(arvia.up(BELMAR), belmar.up(ARVIA), corvia.up(ARVIA));
}

/// More deliver streams than anybody needs are reset and told as misconduct; the link of others stands.
#[tokio::test]
async fn a_flood_of_streams_is_misconduct_and_hurts_nobody_else() {
    let mut arvia = Node::of(ARVIA, roster(&[(BELMAR, &[]), (CORVIA, &[])])).await;
    let mut corvia = Node::of(CORVIA, roster(&[(ARVIA, &[arvia.address()])])).await;
    tokio::join!(arvia.up(CORVIA), corvia.up(ARVIA));
    let tls = Tls::new(&roster::identity(&seed(BELMAR)), true).expect("certified");
    let mut belmar = rogue(BELMAR, tls, &[Protocol::Deliver], roster(&[(ARVIA, &[])]), &arvia.address());
    let flood = tokio::spawn(async move {
        let (mut kept, mut accepted) = (VecDeque::new(), Vec::new());
        loop {
            match belmar.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                    let gate = &mut belmar.behaviour_mut().gate;
                    (0..4).for_each(|_| gate.open(peer_id, connection_id, Ask::Deliver));
                }
                SwarmEvent::Behaviour(GroundEvent::Gate(Passage { what: What::Opened(stream), connection })) => {
                    kept.push_back(stream);
                    kept.truncate(8);
                    kept.rotate_right(1);
                    let peer = belmar.connected_peers().next().copied();
                    peer.into_iter().for_each(|peer| belmar.behaviour_mut().gate.open(peer, connection, Ask::Deliver));
                }
                SwarmEvent::Behaviour(GroundEvent::Gate(Passage { what: What::Accepted(stream), .. })) => {
                    accepted.push(stream); // kept, or Arvia would leave the connection
                }
                _ => {}
            }
        }
    });
    let code_of = arvia
        .wait("misconduct", |event| match event {
            NetEvent::Misconduct { party, code: wrong, count } if party == code(BELMAR) => Some((wrong, count)),
            _ => None,
        })
        .await;
    assert_eq!(code_of.0, "net.too-many-streams");
    assert!(code_of.1 > 0);
    tokio::join!(arvia.exchange(CORVIA, 100, 100), corvia.exchange(ARVIA, 100, 100));
    assert!(!flood.is_finished());
    flood.abort();
}
