//! One Party as the loop sees it: its connections, which of them is in use, and when to dial next.
//! No sockets here; time is handed in.
//!
//! Both sides may dial at once, and a peer may come back before its old connection is known dead.
//! Nobody dials whom it believes connected; therefore a younger connection wins, and one dialled
//! from the same side closes the older at once. Only if the two were dialled from the two sides
//! within [`TWINS`] does the first stay; and of such a pair only the side with the smaller PeerId
//! closes one, so that the two sides can never close one each.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

use super::{
    LinkEnd,
    budget::{Budget, Deliveries, STREAMS_BURST, STREAMS_PER_SECOND},
    gate::Protocol,
    side::{EVIDENCE_MAX, ROSTER_MAX, WITNESS_MAX},
    window::Window,
};

/// A Party's state.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addresses: Vec<Multiaddr>,
    /// Cut off: nobody of it is let in, and it is not dialled.
    pub(super) barred: bool,
    pub(super) dialing: Option<(ConnectionId, Multiaddr)>,
    pub(super) author: Author,
    /// The streams of its nodes to us, the newest of each; a Party may run more than one.
    pub(super) recipients: BTreeMap<PeerId, Recipient>,
    /// Deliveries of this Party we have not answered, over all its streams, old and new.
    pub(super) inbound: Window,
    /// What of them it may send in a second, likewise.
    pub(super) deliveries: Deliveries,
    /// Deliver streams it may open.
    pub(super) streams: Budget,
    /// Places for evidence streams we open, and for those the Party opens, over all connections.
    evidence: Places,
    /// And for roster streams.
    roster: Places,
    /// And for witness streams.
    witness: Places,
    links: Vec<Link>,
    used: Option<ConnectionId>,
    attempt: u32,
    due: Instant,
}

/// Places for side streams of one kind.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) ours: Arc<Semaphore>,
    pub(super) theirs: Arc<Semaphore>,
}

impl Places {
    fn new(max: usize) -> Self {
        Self { ours: Arc::new(Semaphore::new(max)), theirs: Arc::new(Semaphore::new(max)) }
    }
}

/// An open connection.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    pub(super) hybrid: bool,
    /// We dialled it, not they.
    pub(super) dialled: bool,
    /// We dialled it, and no deliver stream has been up on it yet.
    pub(super) on_trial: bool,
    pub(super) since: Instant,
    /// When it last answered a ping.
    pub(super) heard: Instant,
}

/// Our own stream to the Party: at most one.
#[derive(Debug)]
pub(super) enum Author {
    /// None.
    Idle,
    /// Asked for on this connection.
    Opening(ConnectionId),
    /// Its task runs.
    Running(ConnectionId, oneshot::Sender<LinkEnd>),
    /// Its task was told to stop and has not reported yet.
    Ending,
    /// We are a stranger there: this connection is for the roster, and ends.
    Outside(ConnectionId),
}

/// A node's stream to us.
#[derive(Debug)]
pub(super) struct Recipient {
    pub(super) connection: ConnectionId,
    pub(super) number: u64,
    pub(super) stop: oneshot::Sender<LinkEnd>,
}

impl Peer {
    pub(super) fn new(now: Instant, barred: bool) -> Self {
        Self {
            addresses: Vec::new(),
            barred,
            dialing: None,
            author: Author::Idle,
            recipients: BTreeMap::new(),
            inbound: Window::new(),
            deliveries: Deliveries::new(now),
            streams: Budget::new(STREAMS_PER_SECOND, STREAMS_BURST, now),
            evidence: Places::new(EVIDENCE_MAX),
            roster: Places::new(ROSTER_MAX),
            witness: Places::new(WITNESS_MAX),
            links: Vec::new(),
            used: None,
            attempt: 0,
            due: now,
        }
    }

    /// The connection our stream belongs on.
    pub(super) fn used(&self) -> Option<&Link> {
        self.used.and_then(|id| self.link(id))
    }

    /// Places for side streams of a protocol; none for deliver streams.
    pub(super) fn places(&self, protocol: Protocol) -> Option<&Places> {
        match protocol {
            Protocol::Evidence => Some(&self.evidence),
            Protocol::Roster => Some(&self.roster),
            Protocol::Witness => Some(&self.witness),
            Protocol::Deliver => None,
        }
    }

    /// The same, if our stream is up on it: then the peer has let us in.
    pub(super) fn up(&self) -> Option<&Link> {
        self.used().filter(|link| matches!(self.author, Author::Running(id, _) if id == link.id))
    }

    pub(super) fn link(&self, id: ConnectionId) -> Option<&Link> {
        self.links.iter().find(|link| link.id == id)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// Connections whose pings are watched: all but one on which we are a stranger, where nobody answers them.
    pub(super) fn watched(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| !matches!(self.author, Author::Outside(id) if id == link.id))
    }

    /// True when nothing would be lost by forgetting this Party.
    pub(super) fn is_quiet(&self) -> bool {
        self.links.is_empty() && self.dialing.is_none() && matches!(self.author, Author::Idle)
    }

    /// Takes in a new connection and returns the one to close, if any. `decides` is true on the
    /// side with the smaller PeerId.
    pub(super) fn welcome(&mut self, new: Link, decides: bool) -> Option<ConnectionId> {
        let id = new.id;
        let now = new.since;
        let same_peer = self.used().is_some_and(|old| old.peer == new.peer);
        let same_side = self.used().is_some_and(|old| old.dialled == new.dialled);
        let twins = !same_side && self.used().is_some_and(|old| now.duration_since(old.since) < TWINS);
        self.links.push(new);
        let Some(old) = self.used else {
            self.used = Some(id);
            return None;
        };
        let loser = if twins { id } else { old };
        self.used = Some(if twins { old } else { id });
        if same_peer && (decides || same_side) {
            return Some(loser);
        }
        let crowded = self.links.len() > LINKS_MAX;
        let oldest = self.links.iter().find(|link| Some(link.id) != self.used).map(|link| link.id);
        oldest.filter(|_| crowded)
    }

    /// Forgets a connection; the youngest of the others is used next.
    pub(super) fn part(&mut self, id: ConnectionId) -> Option<Link> {
        let at = self.links.iter().position(|link| link.id == id)?;
        let gone = self.links.remove(at);
        if self.used == Some(id) {
            self.used = self.links.last().map(|link| link.id);
        }
        Some(gone)
    }

    /// A deliver stream is up on this connection: the peer lets us in.
    pub(super) fn proven(&mut self, id: ConnectionId, now: Instant) {
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
            link.on_trial = false;
        }
        self.contact(now);
    }

    /// The peer answered a ping.
    pub(super) fn heard(&mut self, id: ConnectionId, now: Instant) {
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
            link.heard = now;
        }
    }

    /// The Party was heard of, or its addresses changed: the next dial need not wait.
    pub(super) fn contact(&mut self, now: Instant) {
        self.attempt = 0;
        self.due = now;
    }

    /// The link ended: dial again, after a pause that two sides rarely choose alike.
    pub(super) fn pause(&mut self, now: Instant, entropy: u32) {
        self.due = now + back_off(self.attempt, entropy);
    }

    /// A dial failed: dial again, later than last time. Returns the pause.
    pub(super) fn failed(&mut self, now: Instant, entropy: u32) -> Duration {
        self.attempt = self.attempt.saturating_add(1);
        let pause = back_off(self.attempt, entropy);
        self.due = now + pause;
        pause
    }

    /// The peer broke the protocol: be in no hurry.
    pub(super) fn wronged(&mut self) {
        self.attempt = self.attempt.max(WRONGED_ATTEMPT);
    }

    /// Dials without success since the last contact.
    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When to dial, if at all.
    pub(super) fn due(&self) -> Option<Instant> {
        let idle = self.links.is_empty() && self.dialing.is_none() && !self.barred;
        (idle && !self.addresses.is_empty()).then_some(self.due)
    }

    /// The address whose turn it is; all have their turn.
    pub(super) fn next_address(&self) -> Option<&Multiaddr> {
        let turn = usize::try_from(self.attempt).unwrap_or(0) % self.addresses.len().max(1);
        self.addresses.get(turn)
    }
}

/// Half to all of 250 ms doubled per attempt, at most 30 s.
fn back_off(attempt: u32, entropy: u32) -> Duration {
    let whole = PAUSE_MIN.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX);
    whole / 2 + (whole / 2).mul_f64(f64::from(entropy) / f64::from(u32::MAX))
}

/// Short enough that a restart is hardly noticed, long enough not to be a flood.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// An emergency must not wait longer than this for a peer that came back without calling.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// After misconduct the first pause is 4 to 8 s, the fifth doubling.
const WRONGED_ATTEMPT: u32 = 5;
/// Two connections established within this time were dialled at once by the two sides.
const TWINS: Duration = Duration::from_secs(5);
/// Connections kept for one Party while the other side has not decided which to close.
const LINKS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Even ids are dialled by us, odd ones by them.
    fn link(id: usize, peer: PeerId, since: Instant) -> Link {
        let address = "/ip4/127.0.0.1/tcp/1".parse().expect("address");
        Link {
            id: ConnectionId::new_unchecked(id),
            peer,
            address,
            hybrid: true,
            dialled: id.is_multiple_of(2),
            on_trial: false,
            since,
            heard: since,
        }
    }

    fn used(peer: &Peer) -> Option<usize> {
        (0..9).find(|id| peer.used().is_some_and(|link| link.id == ConnectionId::new_unchecked(*id)))
    }

    #[test]
    fn pauses_double_and_stay_within_bounds() {
        for (attempt, whole) in [(0, 250), (1, 500), (4, 4_000), (7, 30_000), (40, 30_000), (u32::MAX, 30_000)] {
            let whole = Duration::from_millis(whole);
            assert_eq!(back_off(attempt, 0), whole / 2);
            assert_eq!(back_off(attempt, u32::MAX), whole);
        }
    }

    #[test]
    fn contact_resets_the_pause_and_addresses_take_turns() {
        let now = Instant::now();
        let mut peer = Peer::new(now, false);
        assert_eq!(peer.due(), None, "nothing to dial");
        peer.addresses = ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"].map(|a| a.parse().expect("address")).into();
        assert_eq!(peer.due(), Some(now));
        let first = peer.next_address().cloned();
        let pauses: Vec<_> = (0..9).map(|_| peer.failed(now, u32::MAX).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert_ne!(peer.next_address().cloned(), first);
        peer.contact(now);
        assert_eq!((peer.due(), peer.attempt()), (Some(now), 0));
        peer.barred = true;
        assert_eq!(peer.due(), None, "nobody dials whom it would not let in");
        peer.barred = false;
        peer.wronged();
        peer.pause(now, 0);
        assert_eq!(peer.due(), Some(now + Duration::from_secs(4)));
    }

    #[test]
    fn twins_keep_the_first_and_only_one_side_closes() {
        let (now, id) = (Instant::now(), PeerId::random());
        for decides in [true, false] {
            let mut peer = Peer::new(now, false);
            assert_eq!(peer.welcome(link(1, id, now), decides), None);
            let close = peer.welcome(link(2, id, now), decides);
            assert_eq!(close, decides.then(|| ConnectionId::new_unchecked(2)));
            assert_eq!(used(&peer), Some(1));
            peer.part(ConnectionId::new_unchecked(1));
            assert_eq!(used(&peer), Some(2), "the other one is there when the first goes");
            peer.part(ConnectionId::new_unchecked(2));
            assert_eq!((used(&peer), peer.is_quiet()), (None, true));
        }
    }

    #[test]
    fn a_returning_peer_wins_over_its_old_connection() {
        let (now, id) = (Instant::now(), PeerId::random());
        for decides in [true, false] {
            let mut peer = Peer::new(now, false);
            peer.welcome(link(1, id, now), decides);
            let close = peer.welcome(link(3, id, now), decides);
            assert_eq!(close, Some(ConnectionId::new_unchecked(1)), "dialled twice by them: the first is dead");
            assert_eq!(used(&peer), Some(3));

            let mut peer = Peer::new(now, false);
            peer.welcome(link(1, id, now), decides);
            let close = peer.welcome(link(2, id, now + TWINS), decides);
            assert_eq!(close, decides.then(|| ConnectionId::new_unchecked(1)));
            assert_eq!(used(&peer), Some(2));
        }
    }

    #[test]
    fn a_party_with_many_nodes_keeps_few_connections() {
        let now = Instant::now();
        let mut peer = Peer::new(now, false);
        let closes: Vec<_> = (1..6).map(|n| peer.welcome(link(n, PeerId::random(), now), false)).collect();
        assert_eq!(closes[..LINKS_MAX], [None; LINKS_MAX]);
        assert_eq!(closes[LINKS_MAX], Some(ConnectionId::new_unchecked(1)), "the oldest not in use");
    }

    #[test]
    fn a_spare_node_of_the_same_party_is_not_closed() {
        let now = Instant::now();
        let mut peer = Peer::new(now, false);
        peer.welcome(link(1, PeerId::random(), now), true);
        assert_eq!(peer.welcome(link(2, PeerId::random(), now + TWINS), true), None);
        assert_eq!(used(&peer), Some(2));
    }
}
