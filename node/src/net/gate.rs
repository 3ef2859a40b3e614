//! The gate: which PeerIds may stay connected, and the streams of those that do.
//!
//! A connection that answers at another Party's address is refused right after its handshake, before any stream
//! exists. One that comes from a PeerId the roster does not name gets a place in the lobby, if there is one: it may
//! speak the roster protocol and nothing else, for a few seconds, since it may be a Party whose transport keys all
//! rolled, or one that has just joined. For the others the gate opens and accepts the streams of each [`Protocol`] on the connection it is told,
//! and hands them to the loop with the connection they belong to; only an side stream of ours
//! goes straight to whoever asked for it. `libp2p-stream` would do nearly this, but picks any
//! connection of a peer, drops inbound streams when its one-place channel is full, and keeps a
//! sender for every connection that ever was.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    future::{Ready, ready},
    iter, slice,
    task::{Context, Poll},
};

use comity_core::ids::PartyCode;
use libp2p::{
    Multiaddr, PeerId, Stream,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    SendFault,
    crowd::Crowd,
    inside::Lobby,
    roster::Roster,
    side::{EVIDENCE_MAX, Opening, ROSTER_MAX, WITNESS_MAX},
};

/// What a stream is for. Its name is what the two sides agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Deliveries and their answers.
    Deliver,
    /// Evidence.
    Evidence,
    /// Documents of charter and Parties.
    Roster,
    /// Checkpoints and what proves and witnesses them.
    Witness,
}

impl AsRef<str> for Protocol {
    fn as_ref(&self) -> &str {
        match self {
            Self::Deliver => "/comity/deliver/1",
            Self::Evidence => "/comity/evidence/1",
            Self::Roster => "/comity/roster/1",
            Self::Witness => "/comity/witness/1",
        }
    }
}

/// Something about the streams of one connection.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) connection: ConnectionId,
    pub(super) what: What,
}

/// What came through.
#[derive(Debug)]
pub(super) enum What {
    /// The deliver stream we asked for.
    Opened(Stream),
    /// The deliver stream we asked for could not be opened.
    Unopened,
    /// Nor could the roster stream on which we would have shown who we are.
    Unshown,
    /// A deliver stream the peer opened.
    Accepted(Stream),
    /// A side stream the peer opened, and what cuts it with its connection.
    Side(Protocol, Stream, CancellationToken),
    /// The peer opened more streams at once than agreed; they were reset.
    Excess,
}

/// Why the gate did not let a connection through.
#[derive(Debug, thiserror::Error)]
#[error("this peer is not admitted")]
pub(super) struct Unadmitted;

/// Why a connection of somebody who is admitted was not let through.
#[derive(Debug, thiserror::Error)]
#[error("this Party has as many connections as it may have")]
pub(super) struct Enough;

/// Why a connection of a Party that is cut off was not let through.
#[derive(Debug, thiserror::Error)]
#[error("this Party is cut off")]
pub(super) struct Barred;

/// Connections of one Party, all its PeerIds together and the ones being closed included: more than a flapping
/// line leaves behind, few enough that a hostile one gains nothing. A Party names as many PeerIds as it likes, and
/// the end of a connection may wait for a peer that no longer reads.
const PER_PARTY_MAX: usize = 16;

/// Connections of one address whose handshake is under way: a quarter of all such places. An office behind one
/// address with more nodes than this waits a moment, since an honest handshake takes milliseconds.
pub(super) const UNNAMED_OF_ONE_MAX: usize = 16;

/// Strangers at once: each has ten seconds and one stream. A Party whose keys all rolled comes in at the next try.
const LOBBY_MAX: usize = 8;
/// Of one address: a quarter, so that one machine never keeps a Party out that has to show its new keys.
const LOBBY_OF_ONE_MAX: usize = 2;
/// What a stranger may speak.
const LOBBY: [Protocol; 1] = [Protocol::Roster];

/// Admission and streams.
pub(super) struct Gate {
    /// What a connection may be used for.
    offer: &'static [Protocol],
    roster: Roster,
    /// Parties nobody of which is let through, whatever the roster says.
    cut_off: BTreeSet<PartyCode>,
    /// Connections the other side opened whose handshake is under way.
    crowd: Crowd,
    /// Whose each connection is, until the library says that it is closed.
    held: BTreeMap<ConnectionId, PartyCode>,
    /// Connections of strangers, and where they come from.
    lobby: Lobby,
    visitors: Crowd,
    /// Whom we expect at the other end of a dial; one row per dial in progress.
    expected: BTreeMap<ConnectionId, PartyCode>,
    /// Requests to open a stream; at most one deliver stream per connection, and [`EVIDENCE_MAX`]
    /// evidence streams per Party.
    asked: VecDeque<(PeerId, ConnectionId, Ask)>,
    /// Streams on their way to the loop, which takes them before anything new is polled.
    passed: VecDeque<Passage>,
}

impl Gate {
    /// A gate nobody passes until it has a roster.
    pub(super) fn new(offer: &'static [Protocol], lobby: Lobby) -> Self {
        Self {
            offer,
            roster: Roster::default(),
            cut_off: BTreeSet::new(),
            crowd: Crowd::new(UNNAMED_OF_ONE_MAX),
            held: BTreeMap::new(),
            lobby,
            visitors: Crowd::new(LOBBY_OF_ONE_MAX),
            expected: BTreeMap::new(),
            asked: VecDeque::new(),
            passed: VecDeque::new(),
        }
    }

    /// From now on admits by this roster. Closing what it no longer names is for the loop.
    pub(super) fn set_roster(&mut self, roster: Roster) {
        self.roster = roster;
    }

    /// From now on lets nobody of these Parties through. Closing their connections is for the loop.
    pub(super) fn set_cut_off(&mut self, parties: BTreeSet<PartyCode>) {
        self.cut_off = parties;
    }

    /// Whether a Party is cut off.
    pub(super) fn bars(&self, party: &PartyCode) -> bool {
        self.cut_off.contains(party)
    }

    /// Whether a connection is a stranger's.
    pub(super) fn is_stranger(&self, connection: ConnectionId) -> bool {
        self.lobby.holds(connection)
    }

    /// The roster in force.
    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The connection to come must be one of this Party's.
    pub(super) fn expect(&mut self, connection: ConnectionId, party: PartyCode) {
        self.expected.insert(connection, party);
    }

    /// Asks for a stream on a connection.
    pub(super) fn open(&mut self, peer: PeerId, connection: ConnectionId, ask: Ask) {
        self.asked.push_back((peer, connection, ask));
    }

    fn admit(&mut self, connection: ConnectionId, peer: &PeerId, from: &Multiaddr) -> Result<Door, ConnectionDenied> {
        let expected = self.expected.remove(&connection);
        let called = expected.is_none();
        let party = self.roster.party(peer).filter(|party| expected.is_none_or(|expected| expected == **party));
        let Some(party) = party else {
            if called && self.offer.contains(&Protocol::Roster) && self.welcome(connection, from) {
                return Ok(Door::new(&LOBBY));
            }
            return Err(ConnectionDenied::new(Unadmitted));
        };
        if self.bars(party) {
            return Err(ConnectionDenied::new(Barred));
        }
        if self.held.values().filter(|other| *other == party).count() >= PER_PARTY_MAX {
            return Err(ConnectionDenied::new(Enough));
        }
        self.held.insert(connection, party.clone());
        Ok(Door::new(self.offer))
    }

    /// Gives a stranger a place in the lobby, if there is one and its address has not had its part.
    fn welcome(&mut self, connection: ConnectionId, from: &Multiaddr) -> bool {
        let welcome = self.visitors.enter(connection, from).is_ok() && self.lobby.enter(connection, LOBBY_MAX);
        if !welcome {
            self.visitors.leave(connection);
        }
        welcome
    }

    /// The connection ended, or another part of the network would not have it.
    fn ended(&mut self, connection: ConnectionId) {
        self.held.remove(&connection);
        self.lobby.leave(connection);
        self.visitors.leave(connection);
        self.expected.remove(&connection);
        self.crowd.leave(connection);
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = Door;
    type ToSwarm = Passage;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.crowd.enter(connection, from).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<Door, ConnectionDenied> {
        self.crowd.leave(connection);
        self.admit(connection, &peer, from)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        at: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Door, ConnectionDenied> {
        self.admit(connection, &peer, at)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::DialFailure(failed) => self.ended(failed.connection_id),
            FromSwarm::ListenFailure(failed) => self.ended(failed.connection_id),
            FromSwarm::ConnectionClosed(closed) => self.ended(closed.connection_id),
            _ => {} // what is open is the loop's
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, connection: ConnectionId, what: THandlerOutEvent<Self>) {
        self.passed.push_back(Passage { connection, what });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Passage, THandlerInEvent<Self>>> {
        if let Some(passage) = self.passed.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(passage));
        }
        match self.asked.pop_front() {
            Some((peer_id, connection, event)) => {
                let handler = NotifyHandler::One(connection);
                Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event })
            }
            None => Poll::Pending,
        }
    }
}

/// Tells one connection to open a stream. It travels with the stream through negotiation, so any
/// number may be under way at once.
#[derive(Debug)]
pub(super) enum Ask {
    /// The deliver stream.
    Deliver,
    /// A side stream, for whoever waits for it.
    Side(Protocol, Opening),
    /// A roster stream where we are a stranger.
    Show(Opening),
}

impl Ask {
    fn offer(&self) -> Offer {
        match self {
            Self::Deliver => Offer(&[Protocol::Deliver]),
            Self::Side(Protocol::Evidence, _) => Offer(&[Protocol::Evidence]),
            Self::Side(Protocol::Witness, _) => Offer(&[Protocol::Witness]),
            Self::Side(Protocol::Roster, _) | Self::Show(_) => Offer(&[Protocol::Roster]),
            Self::Side(Protocol::Deliver, _) => Offer(&[]),
        }
    }

    fn opened(self, stream: Stream, cut: &CancellationToken) -> Option<What> {
        match self {
            Self::Deliver => return Some(What::Opened(stream)),
            Self::Side(_, opening) | Self::Show(opening) => opening.opened(stream, cut.clone()),
        }
        None
    }

    fn failed(self, why: &StreamUpgradeError<Infallible>) -> Option<What> {
        match (self, why) {
            (Self::Deliver, _) => return Some(What::Unopened),
            (Self::Show(opening), _) => {
                opening.failed(SendFault::NoProtocol);
                return Some(What::Unshown);
            }
            (Self::Side(_, opening), StreamUpgradeError::NegotiationFailed) => opening.failed(SendFault::NoProtocol),
            (Self::Side(_, opening), StreamUpgradeError::Timeout) => opening.failed(SendFault::NoAnswer),
            (Self::Side(_, opening), _) => opening.failed(SendFault::NotConnected),
        }
        None
    }
}

/// The protocols a stream may be for. Agreeing on one is all there is to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer(&'static [Protocol]);

impl UpgradeInfo for Offer {
    type Info = Protocol;
    type InfoIter = iter::Copied<slice::Iter<'static, Protocol>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.iter().copied()
    }
}

impl<S: Send + 'static> InboundUpgrade<S> for Offer {
    type Output = (Protocol, S);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: S, agreed: Protocol) -> Self::Future {
        ready(Ok((agreed, stream)))
    }
}

impl<S: Send + 'static> OutboundUpgrade<S> for Offer {
    type Output = (Protocol, S);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: S, agreed: Protocol) -> Self::Future {
        ready(Ok((agreed, stream)))
    }
}

/// The streams of one connection.
pub(super) struct Door {
    offer: &'static [Protocol],
    asked: VecDeque<Ask>,
    passed: VecDeque<What>,
    /// Whether excess is on its way to the loop: it is told once, until the loop has taken it.
    excess: bool,
    /// Cuts the side streams of this connection when it ends, however it ends.
    cut: CancellationToken,
}

impl Door {
    fn new(offer: &'static [Protocol]) -> Self {
        Self { offer, asked: VecDeque::new(), passed: VecDeque::new(), excess: false, cut: CancellationToken::new() }
    }

    /// Beyond the limit an inbound stream is dropped, which resets it: the peer is not playing fair.
    /// Each protocol has places of its own, so that none crowds out a deliver stream.
    fn accept(&mut self, protocol: Protocol, stream: Stream) {
        let of = |what: &What| match what {
            What::Side(protocol, ..) => Some(*protocol),
            What::Accepted(_) => Some(Protocol::Deliver),
            What::Opened(_) | What::Unopened | What::Unshown | What::Excess => None,
        };
        let waiting = self.passed.iter().filter(|what| of(what) == Some(protocol)).count();
        let (places, what) = match protocol {
            Protocol::Deliver => (WAITING_MAX, What::Accepted(stream)),
            Protocol::Evidence => (EVIDENCE_MAX, What::Side(protocol, stream, self.cut.clone())),
            Protocol::Roster => (ROSTER_MAX, What::Side(protocol, stream, self.cut.clone())),
            Protocol::Witness => (WITNESS_MAX, What::Side(protocol, stream, self.cut.clone())),
        };
        if waiting < places {
            self.passed.push_back(what);
        } else if !self.excess {
            self.passed.push_back(What::Excess);
            self.excess = true;
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

/// Deliver streams waiting to be handed over on one connection. A peer needs one; a second may
/// cross the end of the first.
const WAITING_MAX: usize = 4;

impl ConnectionHandler for Door {
    type FromBehaviour = Ask;
    type ToBehaviour = What;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Ask;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        SubstreamProtocol::new(Offer(self.offer), ())
    }

    fn on_behaviour_event(&mut self, ask: Ask) {
        self.asked.push_back(ask);
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Offer, Ask, What>> {
        if let Some(what) = self.passed.pop_front() {
            self.excess &= !matches!(what, What::Excess);
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(what));
        }
        if let Some(ask) = self.asked.pop_front() {
            let protocol = SubstreamProtocol::new(ask.offer(), ask);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    /// Called once the connection is given up, before anything waits for a line that may be dead.
    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Option<What>> {
        self.cut.cancel();
        Poll::Ready(None)
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Offer, (), Ask>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (agreed, stream), .. }) => {
                self.accept(agreed, stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (_, stream), info }) => {
                self.passed.extend(info.opened(stream, &self.cut));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.passed.extend(info.failed(&error));
            }
            _ => {} // protocol lists and address changes mean nothing here
        }
    }
}

#[cfg(test)]
mod tests {
    use comity_core::{
        crypto::{PublicKey, Seed},
        proto::{Algorithm, KeyRole},
    };
    use libp2p::{core::ConnectedPoint, swarm::ConnectionClosed};

    use super::*;

    fn key(n: u8) -> [u8; 32] {
        let key = PublicKey::of(KeyRole::Transport, Algorithm::Ed25519, &Seed::new([n; 32])).expect("key");
        key.bytes.try_into().expect("32 bytes")
    }

    fn peer(n: u8) -> PeerId {
        super::super::roster::identity(&Seed::new([n; 32])).public().to_peer_id()
    }

    fn closed(gate: &mut Gate, n: u8) {
        let address = Multiaddr::empty();
        let endpoint = ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address };
        gate.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer(n),
            connection_id: ConnectionId::new_unchecked(n.into()),
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
    }

    /// [P-9]: the lobby is for many addresses, and one takes its part of it and no more.
    #[test]
    fn one_address_never_fills_the_lobby() {
        let mut gate = Gate::new(&[Protocol::Deliver, Protocol::Roster], Lobby::default());
        let call = |gate: &mut Gate, n: u8, host: u8| {
            let from: Multiaddr = format!("/ip4/192.0.2.{host}/tcp/4001").parse().expect("address");
            let id = ConnectionId::new_unchecked(n.into());
            let admitted = gate.handle_established_inbound_connection(id, peer(n), &Multiaddr::empty(), &from);
            admitted.is_ok() && gate.is_stranger(id)
        };
        let loud = (1..=20).filter(|n| call(&mut gate, *n, 1)).count();
        assert_eq!(loud, LOBBY_OF_ONE_MAX);
        let others = (21..=40).filter(|n| call(&mut gate, *n, n / 2)).count();
        assert_eq!(loud + others, LOBBY_MAX);
        closed(&mut gate, 1);
        assert!(call(&mut gate, 41, 1) && !call(&mut gate, 42, 1) && !call(&mut gate, 43, 99), "one place was free");
        closed(&mut gate, 42);
        closed(&mut gate, 21);
        assert!(call(&mut gate, 44, 99), "who was turned away had no place to give back");
    }

    /// A Party with many PeerIds has no more connections than one with a single one.
    #[test]
    fn connections_are_counted_for_the_party() {
        let party = |code: &str| PartyCode::parse(code).expect("code");
        let many = (1..=40).map(key).collect();
        let entries = [(party("XA"), many, Vec::new()), (party("XB"), vec![key(90)], Vec::new())];
        let mut gate = Gate::new(&[Protocol::Deliver], Lobby::default());
        gate.set_roster(Roster::new(entries).expect("roster"));
        let address = Multiaddr::empty();
        let id = |n: u8| ConnectionId::new_unchecked(n.into());
        let call = |gate: &mut Gate, n: u8| {
            let admitted = gate.handle_established_inbound_connection(id(n), peer(n), &address, &address);
            admitted.err().map(|denied| denied.downcast::<Enough>().is_ok())
        };
        let admitted = (1..=40).filter(|n| call(&mut gate, *n).is_none()).count();
        assert_eq!(admitted, PER_PARTY_MAX);
        assert_eq!(call(&mut gate, 40), Some(true), "turned away for their number, not as strangers");
        assert_eq!(call(&mut gate, 90), None, "another Party has its own places");
        closed(&mut gate, 3);
        assert_eq!(call(&mut gate, 40), None, "a place is free once the old connection is gone");
        assert_eq!(call(&mut gate, 39), Some(true));
    }
}
