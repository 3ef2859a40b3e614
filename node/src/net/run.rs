//! The loop: the one task that owns the swarm, the peers and the link tasks.
//!
//! It never waits for an answer inside the loop that would produce it: events of its own wait in a
//! bounded list until the caller has room, frames never pass through here at all (link tasks hand
//! them over directly). Start with [`Run::run`]; every arm is one `on_…`.

mod dial;
mod side;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use comity_core::ids::PartyCode;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Stream, Swarm,
    core::ConnectedPoint,
    identify, ping,
    swarm::{ConnectionId, SwarmEvent},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{compat::FuturesAsyncReadCompatExt as _, sync::CancellationToken};

use self::dial::{dial_end, entropy};
use self::side::Visit;
use super::{
    LinkEnd, NetEvent, NetFault, SendFault, SideStream,
    gate::{Ask, Passage, Protocol, What},
    ground::{Ground, GroundEvent, Handshakes},
    link::{self, Ended, Facts, Roads, Side},
    peer::{Author, Link, Peer, Recipient},
    roster::{Roster, bare, dialable},
};

/// What handles and the loop share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) roads: Roads,
    pub(super) listening: RwLock<BTreeSet<String>>,
}

/// What a handle asks of the loop.
pub(super) enum Order {
    /// Admit and dial by this roster; the sender is told when it is in force.
    Admit(Roster, oneshot::Sender<()>),
    /// Open a side stream to this Party.
    Open(Protocol, PartyCode, oneshot::Sender<Result<SideStream, SendFault>>),
}

pub(super) struct Run {
    swarm: Swarm<Ground>,
    own: PeerId,
    peers: BTreeMap<PartyCode, Peer>,
    /// To whom each connection belongs that we have not given up.
    homes: BTreeMap<ConnectionId, PartyCode>,
    tasks: JoinSet<Ended>,
    /// Events waiting for room.
    telling: VecDeque<NetEvent>,
    events: mpsc::Sender<NetEvent>,
    shared: Arc<Shared>,
    handshakes: Handshakes,
    recipients: u64,
    strangers: (Instant, u32),
    /// Strangers in the lobby, and ourselves in that of another.
    lobby: BTreeMap<ConnectionId, Visit>,
    visits: Arc<Semaphore>,
    silence: Duration,
}

impl Run {
    pub(super) fn new(
        swarm: Swarm<Ground>,
        handshakes: Handshakes,
        events: mpsc::Sender<NetEvent>,
        shared: Arc<Shared>,
        silence: Duration,
    ) -> Self {
        Self {
            own: *swarm.local_peer_id(),
            swarm,
            peers: BTreeMap::new(),
            homes: BTreeMap::new(),
            tasks: JoinSet::new(),
            telling: VecDeque::new(),
            events,
            shared,
            handshakes,
            recipients: 0,
            strangers: (Instant::now(), 0),
            lobby: BTreeMap::new(),
            visits: Arc::new(Semaphore::new(VISITS_MAX)),
            silence,
        }
    }

    /// Opens the listening addresses and waits until each is known in full.
    pub(super) async fn listen(&mut self, addresses: &[String]) -> Result<(), NetFault> {
        let mut waiting = BTreeMap::new();
        for text in addresses {
            let fault = |why: String| NetFault::CannotListen(text.clone(), why);
            let id = self.swarm.listen_on(dialable(text)?).map_err(|error| fault(error.to_string()))?;
            waiting.insert(id.to_string(), fault("the system did not confirm it in time".to_owned()));
        }
        let confirmed = async {
            while !waiting.is_empty() {
                let event = self.swarm.select_next_some().await;
                match &event {
                    SwarmEvent::NewListenAddr { listener_id, .. } => {
                        waiting.remove(&listener_id.to_string());
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                        if let Some(NetFault::CannotListen(text, _)) = waiting.remove(&listener_id.to_string()) {
                            return Err(NetFault::CannotListen(text, error.to_string()));
                        }
                    }
                    _ => {}
                }
                self.on_swarm(event);
            }
            Ok(())
        };
        let confirmed = timeout(LISTEN, confirmed).await;
        confirmed.unwrap_or_else(|_| waiting.pop_first().map_or(Ok(()), |(_, fault)| Err(fault)))
    }

    /// Runs until stopped, or until nobody takes events any more.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut cut_off: watch::Receiver<BTreeSet<PartyCode>>,
        stop: CancellationToken,
    ) {
        let events = self.events.clone();
        cut_off.mark_changed(); // what was decided before is taken in like what comes
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = events.closed() => break,
                Some(ended) = self.tasks.join_next() => self.on_ended(ended),
                Some(order) = orders.recv() => self.on_order(order),
                // Whoever decides this may go before us; then what was decided last holds.
                Ok(()) = cut_off.changed() => {
                    let parties = cut_off.borrow_and_update().clone();
                    self.set_cut_off(parties);
                }
                slot = events.reserve(), if !self.telling.is_empty() => match slot {
                    Ok(slot) => self.on_room(slot),
                    Err(_) => break,
                },
                event = self.swarm.select_next_some() => self.on_swarm(event),
                () = sleep_until(due) => self.on_due(),
            }
        }
        self.close().await;
    }

    fn on_room(&mut self, slot: mpsc::Permit<'_, NetEvent>) {
        if let Some(event) = self.telling.pop_front() {
            slot.send(event);
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Admit(roster, done) => {
                self.set_roster(roster);
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Order::Open(protocol, party, answer) => self.on_wanted(protocol, &party, answer),
        }
    }

    pub(super) fn set_roster(&mut self, roster: Roster) {
        let now = Instant::now();
        let mut addresses: BTreeMap<_, _> = roster.others(&self.own).map(|(p, a)| (p.clone(), a.clone())).collect();
        self.swarm.behaviour_mut().gate.set_roster(roster);
        self.close_unnamed();
        self.show_in();
        for (party, peer) in &mut self.peers {
            let new = addresses.remove(party).unwrap_or_default();
            if peer.addresses != new {
                peer.addresses = new;
                peer.contact(now);
            }
        }
        for (party, new) in addresses {
            let barred = self.swarm.behaviour().gate.bars(&party);
            let mut peer = Peer::new(now, barred);
            peer.addresses = new;
            self.peers.insert(party, peer);
        }
        self.purge();
    }

    /// Closes what links these Parties have, and dials again those that are let in.
    fn set_cut_off(&mut self, parties: BTreeSet<PartyCode>) {
        let now = Instant::now();
        for (party, peer) in &mut self.peers {
            let was = std::mem::replace(&mut peer.barred, parties.contains(party));
            if was && !peer.barred {
                peer.contact(now);
            }
        }
        let barred = self.peers.values().filter(|peer| peer.barred).flat_map(Peer::links);
        let ids: Vec<ConnectionId> = barred.map(|link| link.id).collect();
        self.swarm.behaviour_mut().gate.set_cut_off(parties);
        for id in ids {
            self.give_up(id, LinkEnd::CutOff);
        }
    }

    fn close_unnamed(&mut self) {
        let roster = self.swarm.behaviour().gate.roster();
        let links = self.peers.iter().flat_map(|(party, peer)| peer.links().map(move |link| (party, link)));
        let unnamed = links.filter(|(party, link)| roster.party(&link.peer) != Some(*party));
        for id in unnamed.map(|(_, link)| link.id).collect::<Vec<_>>() {
            self.give_up(id, LinkEnd::Removed);
        }
    }

    /// Lets go of Parties that left the roster, once nothing of theirs runs any more.
    fn purge(&mut self) {
        let roster = self.swarm.behaviour().gate.roster();
        let named: BTreeSet<_> = roster.others(&self.own).map(|(party, _)| party.clone()).collect();
        self.peers.retain(|party, peer| named.contains(party) || !peer.is_quiet());
    }

    fn on_swarm(&mut self, event: SwarmEvent<GroundEvent>) {
        match event {
            SwarmEvent::Behaviour(GroundEvent::Gate(passage)) => self.on_passage(passage),
            SwarmEvent::Behaviour(GroundEvent::Ping(ping)) => self.on_ping(&ping),
            SwarmEvent::Behaviour(GroundEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                let agent: String = info.agent_version.chars().filter(|c| !c.is_control()).take(64).collect();
                tracing::debug!(target: "net", peer = %peer_id, agent, "identified");
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.lobby.remove(&connection_id);
                self.give_up(connection_id, LinkEnd::Closed);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, dial_end(&error));
            }
            SwarmEvent::IncomingConnectionError { peer_id, send_back_addr, error, .. } => {
                self.on_turned_away(peer_id, &send_back_addr, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(&address, true),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_listening(&address, false),
            SwarmEvent::ListenerClosed { addresses, .. } => {
                tracing::warn!(target: "net", code = "net.listener-closed", ?addresses, "no longer listening");
                addresses.iter().for_each(|address| self.on_listening(address, false));
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(target: "net", code = "net.listener-error", %error, "accepting failed");
            }
            _ => {} // the library's own steps need nothing from us
        }
    }

    fn on_ping(&mut self, ping: &ping::Event) {
        let peer = self.homes.get(&ping.connection).and_then(|party| self.peers.get_mut(party));
        match (&ping.result, peer) {
            (Ok(_), Some(peer)) => peer.heard(ping.connection, Instant::now()),
            // Nobody answers a stranger. A peer without pings is left once it has been silent for long enough.
            (Err(ping::Failure::Unsupported), _) => {}
            (Err(_), _) => self.give_up(ping.connection, LinkEnd::Silent),
            (Ok(_), None) => {} // of a connection already given up
        }
    }

    fn on_listening(&mut self, address: &Multiaddr, open: bool) {
        let mut listening = self.shared.listening.write().unwrap_or_else(PoisonError::into_inner);
        let _ = if open { listening.insert(address.to_string()) } else { listening.remove(&address.to_string()) };
    }

    fn on_connected(&mut self, peer_id: PeerId, id: ConnectionId, end: &ConnectedPoint) {
        let now = Instant::now();
        let address = bare(end.get_remote_address());
        let hybrid = self.handshakes.take(&peer_id, &address);
        let Some(party) = self.swarm.behaviour().gate.roster().party(&peer_id).cloned() else {
            return self.on_stranger(peer_id, id, &address);
        };
        let barred = self.swarm.behaviour().gate.bars(&party);
        let peer = self.peers.entry(party.clone()).or_insert_with(|| Peer::new(now, barred));
        if peer.dialing.as_ref().is_some_and(|(dial, _)| *dial == id) {
            peer.dialing = None;
        }
        if end.is_listener() {
            peer.contact(now);
        }
        let dialled = end.is_dialer();
        let link = Link { id, peer: peer_id, address, hybrid, dialled, on_trial: dialled, since: now, heard: now };
        let loser = peer.welcome(link, self.own < peer_id);
        self.homes.insert(id, party.clone());
        if let Some(loser) = loser {
            self.give_up(loser, LinkEnd::Replaced);
        }
        self.advance(&party);
    }

    /// Forgets a connection at once, whatever the other end of a dead line may say later.
    fn give_up(&mut self, id: ConnectionId, why: LinkEnd) {
        let Some(party) = self.homes.remove(&id) else { return };
        tracing::debug!(target: "net", party = %party, code = why.code(), "connection given up");
        self.swarm.close_connection(id);
        let Some(peer) = self.peers.get_mut(&party) else { return };
        let gone = peer.part(id);
        let from = gone.as_ref().map(|link| link.peer);
        if let Some(from) = from.filter(|from| peer.recipients.get(from).is_some_and(|r| r.connection == id)) {
            // A task that has just ended needs no telling.
            let _ = peer.recipients.remove(&from).map(|recipient| recipient.stop.send(why));
        }
        stop_author(peer, id, why);
        match gone {
            Some(link)
                if link.on_trial && peer.used().is_none() && !matches!(why, LinkEnd::Removed | LinkEnd::CutOff) =>
            {
                let why = if why == LinkEnd::Closed { LinkEnd::Refused } else { why };
                self.dial_failed(&party, &link.address, why);
            }
            _ => peer.pause(Instant::now(), entropy()),
        }
        self.advance(&party);
    }

    /// Brings our stream to the connection it belongs on.
    fn advance(&mut self, party: &PartyCode) {
        let Some(peer) = self.peers.get_mut(party) else { return };
        let used = peer.used().map(|link| (link.peer, link.id));
        match &peer.author {
            Author::Opening(id) | Author::Running(id, _) | Author::Outside(id)
                if used.is_none_or(|(_, used)| used != *id) =>
            {
                let id = *id;
                stop_author(peer, id, LinkEnd::Replaced);
            }
            Author::Idle | Author::Opening(_) | Author::Running(..) | Author::Ending | Author::Outside(_) => {}
        }
        if let (Author::Idle, Some((peer_id, id))) = (&peer.author, used) {
            peer.author = Author::Opening(id);
            self.swarm.behaviour_mut().gate.open(peer_id, id, Ask::Deliver);
        }
    }

    fn on_passage(&mut self, Passage { connection, what }: Passage) {
        let Some(party) = self.homes.get(&connection).cloned() else {
            if let What::Side(Protocol::Roster, stream, cut) = what {
                self.on_visit(connection, stream, cut);
            }
            return;
        };
        let opening = |peer: &Peer| matches!(peer.author, Author::Opening(id) if id == connection);
        match what {
            What::Accepted(stream) => self.on_accepted(party, connection, stream),
            What::Side(protocol, stream, cut) => self.on_side(protocol, party, stream, cut),
            What::Excess => self.misconduct(&party, LinkEnd::TooManyStreams),
            What::Opened(stream) => {
                // A stream that comes after we changed our mind is dropped.
                if self.peers.get(&party).is_some_and(opening) {
                    self.on_opened(party, connection, stream);
                }
            }
            What::Unshown => self.give_up(connection, LinkEnd::NoDeliver),
            What::Unopened => {
                if self.peers.get(&party).is_some_and(opening) {
                    self.on_unopened(&party, connection);
                }
            }
        }
    }

    fn on_opened(&mut self, party: PartyCode, connection: ConnectionId, stream: Stream) {
        let Some((peer, facts)) = self.facts(&party, connection) else { return };
        peer.proven(connection, Instant::now());
        let (stop, stopped) = oneshot::channel();
        peer.author = Author::Running(connection, stop);
        let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
        self.tasks.spawn(async move { link::author(stream.compat(), facts, &shared.roads, events, stopped).await });
    }

    fn on_accepted(&mut self, party: PartyCode, connection: ConnectionId, stream: Stream) {
        let number = self.recipients;
        self.recipients += 1;
        let Some((peer, facts)) = self.facts(&party, connection) else { return };
        if !peer.streams.take(Instant::now()) {
            return self.misconduct(&party, LinkEnd::TooManyStreams); // dropped, the stream is reset
        }
        let (stop, stopped) = oneshot::channel();
        let Some(from) = peer.link(connection).map(|link| link.peer) else { return };
        let old = peer.recipients.insert(from, Recipient { connection, number, stop });
        // A task that has just ended needs no telling.
        let _ = old.map(|old| old.stop.send(LinkEnd::Replaced));
        let (window, budget) = (peer.inbound.clone(), peer.deliveries.clone());
        let events = self.events.clone();
        self.tasks.spawn(link::recipient(stream.compat(), facts, number, (window, budget), events, stopped));
    }

    fn facts(&mut self, party: &PartyCode, connection: ConnectionId) -> Option<(&mut Peer, Facts)> {
        let peer = self.peers.get_mut(party)?;
        let link = peer.link(connection)?;
        let facts = Facts {
            party: party.clone(),
            connection,
            peer: link.peer.to_string(),
            address: link.address.to_string(),
            hybrid: link.hybrid,
        };
        Some((peer, facts))
    }

    fn on_ended(&mut self, ended: Result<Ended, JoinError>) {
        let Ended { party, connection, side, why } = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return, // cancelled, because we are stopping
        };
        tracing::debug!(target: "net", party = %party, code = why.code(), ?side, "stream ended");
        if let Some(peer) = self.peers.get_mut(&party) {
            match side {
                Side::Author => peer.author = Author::Idle,
                Side::Recipient(number) => peer.recipients.retain(|_, recipient| recipient.number != number),
            }
        }
        // A peer may end its own stream and open it elsewhere; anything else ends the connection.
        let mild = matches!(side, Side::Recipient(_)) && matches!(why, LinkEnd::Closed | LinkEnd::Replaced);
        if !mild && self.homes.contains_key(&connection) && why != LinkEnd::Replaced {
            self.on_fault(&party, connection, why);
        }
        self.advance(&party);
        self.purge();
    }

    fn on_fault(&mut self, party: &PartyCode, connection: ConnectionId, why: LinkEnd) {
        if why.is_misconduct() {
            self.misconduct(party, why);
            if let Some(peer) = self.peers.get_mut(party) {
                peer.wronged();
            }
        }
        self.give_up(connection, why);
    }

    /// Told without fail: what waits already is only counted up, so that a flood takes one place for each code.
    fn misconduct(&mut self, of: &PartyCode, why: LinkEnd) {
        let same = self.telling.iter_mut().find_map(|event| match event {
            NetEvent::Misconduct { party, code, count } if party == of && *code == why.code() => Some(count),
            _ => None,
        });
        match same {
            Some(count) => *count = count.saturating_add(1),
            None => self.telling.push_back(NetEvent::Misconduct { party: of.clone(), code: why.code(), count: 1 }),
        }
    }

    fn tell(&mut self, event: NetEvent) {
        if self.telling.len() < TELLING_MAX {
            self.telling.push_back(event);
        } else {
            tracing::warn!(target: "net", code = "net.events-dropped", "nobody takes network events");
        }
    }

    /// Stops the tasks, then closes connections politely, but not for long.
    async fn close(mut self) {
        self.tasks.shutdown().await;
        let mut open: BTreeSet<_> = std::mem::take(&mut self.homes).into_keys().collect();
        open.retain(|id| self.swarm.close_connection(*id));
        let closed = async {
            while !open.is_empty() {
                if let SwarmEvent::ConnectionClosed { connection_id, .. } = self.swarm.select_next_some().await {
                    open.remove(&connection_id);
                }
            }
        };
        // A line that does not close in time is dropped with the swarm.
        let _ = timeout(CLOSE, closed).await;
    }
}

fn stop_author(peer: &mut Peer, id: ConnectionId, why: LinkEnd) {
    match std::mem::replace(&mut peer.author, Author::Idle) {
        Author::Opening(at) | Author::Outside(at) if at == id => {}
        Author::Running(at, stop) if at == id => {
            // If the task has just ended, its report is on the way all the same.
            let _ = stop.send(why);
            peer.author = Author::Ending;
        }
        other => peer.author = other,
    }
}

/// Roster streams of strangers at once: as many as there may be strangers.
const VISITS_MAX: usize = 8;
/// Events of the loop waiting for a slow caller. Beyond it they are only logged: none of them
/// carries an obligation, and an evidence stream among them is reset.
const TELLING_MAX: usize = 256;
/// How long the system may take to confirm a listening address.
const LISTEN: Duration = Duration::from_secs(5);
/// How long a stop may wait for connections to close politely.
const CLOSE: Duration = Duration::from_secs(1);
