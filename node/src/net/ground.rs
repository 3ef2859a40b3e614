//! What we stand on: sockets, handshake, multiplexer and the library's behaviours, put together
//! once. Admission itself is in `gate`, the loop that owns the result in `run`.
//!
//! There is TCP and TLS 1.3 and nothing else: no Noise, no QUIC, no relay, no discovery.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    connection_limits::{self, ConnectionLimits},
    core::{
        ConnectedPoint,
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns, identify,
    identity::Keypair,
    ping,
    swarm::{Config, NetworkBehaviour},
    tcp,
};
use multistream_select::{Negotiated, dialer_select_proto, listener_select_proto};

use super::{
    LinkEnd,
    gate::{Gate, Protocol},
    inside::{Inside, Lobby},
    muxer::Muxer,
    roster::bare,
    side::EVIDENCE_MAX,
    tls::Tls,
};

/// The behaviours of a node. Their order is the order in which they may refuse a connection.
#[derive(NetworkBehaviour)]
pub(super) struct Ground {
    limits: connection_limits::Behaviour,
    pub(super) gate: Gate,
    identify: Inside<identify::Behaviour>,
    ping: Inside<ping::Behaviour>,
}

/// How often a peer is asked for a sign of life, and how long it may give none. The library's own
/// verdict on a ping comes too late (it forgives the first failure, then waits 10 s for a new
/// stream), so the loop keeps the time since the last answered ping itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    pub(super) every: Duration,
    pub(super) silence: Duration,
}

impl Pulse {
    /// A dead peer is left after 18 s, two pings without an answer. For 196 peers this is 22 pings a second, each some
    /// 400 microseconds of processor time with the answer to theirs: what an idle network costs is pings.
    pub(super) const STEADY: Self = Self { every: Duration::from_secs(9), silence: Duration::from_secs(18) };
}

/// Builds the swarm for an identity that offers these protocols.
pub(super) fn lay(
    identity: &Keypair,
    tls: Tls,
    offer: &'static [Protocol],
    agent: String,
    pulse: Pulse,
    handshakes: Handshakes,
) -> Swarm<Ground> {
    let about = identify::Config::new("/comity/1".to_owned(), identity.public())
        .with_agent_version(agent)
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    let limits = ConnectionLimits::default().with_max_pending_incoming(Some(PENDING_MAX));
    let pings = ping::Config::new().with_interval(pulse.every).with_timeout(pulse.silence);
    let lobby = Lobby::default();
    let ground = Ground {
        limits: connection_limits::Behaviour::new(limits),
        gate: Gate::new(offer, lobby.clone()),
        identify: Inside::new(identify::Behaviour::new(about), lobby.clone()),
        ping: Inside::new(ping::Behaviour::new(pings), lobby),
    };
    let config = Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE)
        .with_max_negotiating_inbound_streams(NEGOTIATING_MAX);
    Swarm::new(transport(tls, handshakes), ground, identity.public().to_peer_id(), config)
}

/// TCP, names if the system can resolve them, then our handshake.
fn transport(tls: Tls, handshakes: Handshakes) -> Boxed<(PeerId, StreamMuxerBox)> {
    let sockets = || tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    match dns::tokio::Transport::system(sockets()) {
        Ok(named) => secured(named, tls, handshakes),
        Err(error) => {
            tracing::warn!(target: "net", code = "net.no-resolver", %error, "names in addresses cannot be resolved");
            secured(sockets(), tls, handshakes)
        }
    }
}

fn secured<T>(sockets: T, tls: Tls, handshakes: Handshakes) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: libp2p::Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
    T::Error: Send + Sync,
{
    let shaken = sockets
        .and_then(move |socket, end| async move { secure(socket, &end, &tls, &handshakes).await })
        .map_err(|error| error.right_or(LinkEnd::Unreachable));
    TransportTimeout::new(shaken, HANDSHAKE).boxed()
}

/// Socket to authenticated, multiplexed connection.
async fn secure<C>(
    socket: C,
    end: &ConnectedPoint,
    tls: &Tls,
    handshakes: &Handshakes,
) -> Result<(PeerId, StreamMuxerBox), LinkEnd>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let dialing = end.is_dialer();
    let socket = agree(socket, "/tls/1.0.0", dialing).await?;
    let shaken = tls.shake(socket, dialing).await.inspect_err(|end_code| {
        tracing::debug!(target: "net", code = end_code.code(), address = %end.get_remote_address(), "handshake");
    })?;
    let stream = agree(shaken.stream, "/yamux/1.0.0", dialing).await?;
    handshakes.note(shaken.peer, end.get_remote_address(), shaken.hybrid);
    Ok((shaken.peer, StreamMuxerBox::new(Muxer::new(stream, dialing))))
}

async fn agree<C>(io: C, protocol: &'static str, dialing: bool) -> Result<Negotiated<C>, LinkEnd>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let agreed = if dialing {
        dialer_select_proto(io, [protocol], Version::V1Lazy).await
    } else {
        listener_select_proto(io, [protocol]).await
    };
    agreed.map(|(_, io)| io).map_err(|_| LinkEnd::Handshake)
}

/// Which key exchange each young connection used. The library has no place for it between the
/// handshake and the moment a connection is established, so it waits here, a bounded while.
#[derive(Debug, Clone, Default)]
pub(super) struct Handshakes(Arc<Mutex<VecDeque<(PeerId, Multiaddr, bool)>>>);

impl Handshakes {
    fn note(&self, peer: PeerId, address: &Multiaddr, hybrid: bool) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == HANDSHAKES_MAX {
            waiting.pop_front();
        }
        waiting.push_back((peer, bare(address), hybrid));
    }

    /// Takes the note for a connection; a lost note counts as classical, the lesser claim.
    pub(super) fn take(&self, peer: &PeerId, address: &Multiaddr) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = bare(address);
        let at = waiting.iter().position(|(p, a, _)| p == peer && *a == address);
        at.and_then(|at| waiting.remove(at)).is_some_and(|(_, _, hybrid)| hybrid)
    }
}

/// Our own code inside a transport error, if it is there.
pub(super) fn end_of(error: &io::Error) -> LinkEnd {
    use libp2p::core::transport::timeout::TransportTimeoutError as Timeout;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Timeout<LinkEnd>>()) {
        Some(Timeout::Timeout) => LinkEnd::DialTimeout,
        Some(Timeout::Other(end)) => *end,
        Some(Timeout::TimerError(_)) | None => LinkEnd::Unreachable,
    }
}

/// TCP connect, TLS and multiplexer together; over the slowest honest path it is under 3 s.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that have not yet shown who they are. Each costs a socket and some KiB for at most
/// [`HANDSHAKE`]; half of all Parties may come back in the same second.
const PENDING_MAX: u32 = 64;
/// Inbound streams being negotiated on one connection: all its evidence streams at once, and
/// deliver, ping and identify. More wait in the multiplexer.
const NEGOTIATING_MAX: usize = EVIDENCE_MAX + 8;
/// A connection without a deliver stream closes after this long.
const IDLE: Duration = Duration::from_secs(10);
/// Notes of handshakes kept: more than can be between handshake and establishment at once.
const HANDSHAKES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_note_is_the_lesser_claim() {
        let (notes, peer) = (Handshakes::default(), PeerId::random());
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/9".parse().expect("address");
        notes.note(peer, &address, true);
        assert!(!notes.take(&PeerId::random(), &address));
        assert!(notes.take(&peer, &address) && !notes.take(&peer, &address));
        notes.note(peer, &address, true);
        (0..HANDSHAKES_MAX).for_each(|_| notes.note(PeerId::random(), &address, true));
        assert!(!notes.take(&peer, &address));
        assert_eq!(notes.0.lock().expect("not poisoned").len(), HANDSHAKES_MAX);
    }
}
