//! The network: carries frames between nodes whose transport keys the roster names.
//!
//! It decides who may connect, over what kind of TLS, when to dial and how much may be in flight.
//! It never looks into a frame or an evidence stream, keeps nothing on disk, and never promises
//! delivery: whoever owes something keeps owing it until an answer says otherwise, and sends it
//! again after `Down` and `Up`. This is the only room that names libp2p. Serves design 3 (admission)
//! and 4 (protocols).
//!
//! Start with [`start`] and [`NetEvent`]; then `run` (the loop), `link` (the two tasks of a link),
//! `evidence` (streams that are handed out), `gate` (admission), `tls` (the handshake), `muxer`
//! (many streams over one connection), `frame` (the bytes on the wire).

mod budget;
mod crowd;
mod fault;
mod frame;
mod gate;
mod ground;
mod inside;
mod link;
mod message;
mod muxer;
mod peer;
mod reach;
mod roster;
mod run;
mod side;
mod tls;
mod window;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use comity_core::{crypto::Seed, ids::PartyCode};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{
    fault::{LinkEnd, NetFault, SendFault},
    link::Reply,
    message::{Line, MESSAGE, MessageFault, receive, send},
    reach::{Reach, reach},
    roster::{Roster, can_dial, peer_id_of, transport_key_of},
    side::{EVIDENCE_MAX, Opener, SideStream},
    window::{WINDOW, WINDOW_BYTES},
};
use self::{
    gate::Protocol,
    ground::{Handshakes, Pulse},
    run::{Order, Run, Shared},
    tls::Tls,
};

/// How the network is to be run.
#[derive(Debug, Clone)]
pub struct NetSettings {
    /// Multiaddrs to listen on, such as `/ip4/0.0.0.0/tcp/7400`; port 0 takes a free one.
    pub listen: Vec<String>,
    /// Refuse every peer that cannot exchange keys with X25519MLKEM768.
    pub require_hybrid: bool,
    /// Name and version shown to admitted peers.
    pub agent: String,
    /// Parties that are neither dialled nor let in, and whose links are closed, as it changes.
    pub cut_off: watch::Receiver<BTreeSet<PartyCode>>,
}

/// What the network tells its caller. Take them promptly: the links wait for it.
#[derive(Debug)]
pub enum NetEvent {
    /// From now on frames to this Party are taken. Always followed by `Down` before the next `Up`.
    Up {
        /// Who.
        party: PartyCode,
        /// Its PeerId.
        peer: String,
        /// Where it is.
        address: String,
        /// Whether keys were exchanged with X25519MLKEM768.
        hybrid: bool,
    },
    /// The link is gone; every frame not answered by now must be sent again on the next one.
    Down {
        /// Who.
        party: PartyCode,
        /// A `net.*` code, see [`LinkEnd`].
        why: &'static str,
    },
    /// A Party delivers a frame.
    Delivery {
        /// Who.
        party: PartyCode,
        /// What; at most `DELIVERY_MAX` bytes.
        frame: Vec<u8>,
        /// The way back.
        reply: Reply,
    },
    /// A Party answers one of our frames; a place in the window is free again.
    Answer {
        /// Who.
        party: PartyCode,
        /// What; at most `ANSWER_MAX` bytes.
        frame: Vec<u8>,
    },
    /// A Party took one of our frames and will not answer it on this link; a place is free again.
    Unanswered {
        /// Who.
        party: PartyCode,
    },
    /// A Party opened an evidence stream; at most [`EVIDENCE_MAX`] of them are open at once. It may
    /// come before `Up`, and it ends with its connection, whatever `Down` says.
    Evidence {
        /// Who.
        party: PartyCode,
        /// The stream; dropped, it is reset.
        stream: SideStream,
    },
    /// Somebody opened a roster stream: a Party, or a stranger in the lobby, who is let in for nothing else, for a few
    /// seconds, and may have documents that name it.
    Roster {
        /// Who; none if a stranger.
        party: Option<PartyCode>,
        /// The stream; dropped, it is reset.
        stream: SideStream,
    },
    /// A Party opened a witness stream; at most two of them are open at once.
    Witness {
        /// Who.
        party: PartyCode,
        /// The stream; dropped, it is reset.
        stream: SideStream,
    },
    /// We are a stranger to a Party that we reached: nothing but a roster stream is open to us there, and this is it.
    Lobby {
        /// Whose.
        party: PartyCode,
        /// The stream, once the Party agrees to it.
        stream: oneshot::Receiver<Result<SideStream, SendFault>>,
    },
    /// A Party broke the protocol of the link, or opened more streams than agreed.
    Misconduct {
        /// Who.
        party: PartyCode,
        /// A `net.*` code, see [`LinkEnd`].
        code: &'static str,
        /// How often since it was last told.
        count: u32,
    },
    /// Somebody with a key the roster does not name was turned away.
    Stranger {
        /// Its PeerId.
        peer: String,
        /// Where it called from.
        address: String,
    },
    /// A dial did not become a link.
    DialFailed {
        /// Whom we wanted.
        party: PartyCode,
        /// Where.
        address: String,
        /// A `net.*` code, see [`LinkEnd`].
        code: &'static str,
        /// Dials without success since the last contact.
        attempt: u32,
        /// Milliseconds until the next one.
        next_ms: u64,
    },
}

/// A running network. Dropped without [`Net::stop`], it stops all the same, without waiting.
#[derive(Debug)]
pub struct Net {
    peer: String,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    stop: DropGuard,
    task: JoinHandle<()>,
}

/// Starts listening and dialling. `events` is best a few hundred long; when it is full, links wait.
///
/// # Errors
/// When TLS secrets would be logged, an address is wrong or taken, or the key cannot certify.
pub async fn start(
    settings: NetSettings,
    transport: &Seed,
    roster: Roster,
    events: mpsc::Sender<NetEvent>,
) -> Result<Net, NetFault> {
    tls::refuse_key_log(std::env::var_os("SSLKEYLOGFILE").as_deref())?;
    let tls = Tls::new(&roster::identity(transport), settings.require_hybrid)?;
    begin(settings, transport, tls, Pulse::STEADY, roster, events).await
}

async fn begin(
    settings: NetSettings,
    transport: &Seed,
    tls: Tls,
    pulse: Pulse,
    roster: Roster,
    events: mpsc::Sender<NetEvent>,
) -> Result<Net, NetFault> {
    let identity = roster::identity(transport);
    let handshakes = Handshakes::default();
    let cut_off = settings.cut_off;
    let swarm = ground::lay(&identity, tls, &PROTOCOLS, settings.agent, pulse, handshakes.clone());
    let shared = Arc::new(Shared::default());
    let mut run = Run::new(swarm, handshakes, events, Arc::clone(&shared), pulse.silence);
    run.set_roster(roster);
    run.listen(&settings.listen).await?;
    let (orders, orders_in) = mpsc::channel(ORDERS_MAX);
    let stop = CancellationToken::new();
    let task = tokio::spawn(run.run(orders_in, cut_off, stop.clone()));
    let peer = identity.public().to_peer_id().to_string();
    Ok(Net { peer, shared, orders, stop: stop.drop_guard(), task })
}

impl Net {
    /// Where the node listens now, with real ports.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<String> {
        self.shared.listening.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Our own PeerId.
    #[must_use]
    pub fn peer_id(&self) -> &str {
        &self.peer
    }

    /// As [`Admission::set_roster`].
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn set_roster(&self, roster: Roster) -> Result<(), NetFault> {
        self.admission().set_roster(roster).await
    }

    /// Takes a frame into the window of a Party's link. Never waits.
    ///
    /// # Errors
    /// When there is no link, its window is full, or the frame is empty or too large.
    pub fn send(&self, party: &PartyCode, frame: Vec<u8>) -> Result<(), SendFault> {
        self.shared.roads.send(party, frame, false)
    }

    /// As [`Net::send`], ahead of all ordinary frames still waiting, with places of its own.
    ///
    /// # Errors
    /// As [`Net::send`].
    pub fn send_urgent(&self, party: &PartyCode, frame: Vec<u8>) -> Result<(), SendFault> {
        self.shared.roads.send(party, frame, true)
    }

    /// Opens an evidence stream, as [`Opener::evidence`].
    ///
    /// # Errors
    /// As [`Opener::evidence`].
    pub async fn evidence(&self, party: &PartyCode) -> Result<SideStream, SendFault> {
        self.opener().evidence(party).await
    }

    /// A handle for tasks that open streams on their own.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener(self.orders.clone())
    }

    /// A handle for whoever tells who may connect.
    #[must_use]
    pub fn admission(&self) -> Admission {
        Admission(self.orders.clone())
    }

    /// Closes all connections and returns when the ports are free. No event follows.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Says who may connect. Clones are cheap and keep nothing alive.
#[derive(Debug, Clone)]
pub struct Admission(mpsc::Sender<Order>);

impl Admission {
    /// Admits and dials by a new roster; connections it no longer names are closed.
    ///
    /// # Errors
    /// When the network has stopped.
    pub async fn set_roster(&self, roster: Roster) -> Result<(), NetFault> {
        let (done, in_force) = oneshot::channel();
        self.0.send(Order::Admit(roster, done)).await.map_err(|_| NetFault::Stopped)?;
        in_force.await.map_err(|_| NetFault::Stopped)
    }
}

/// What a node offers on each admitted connection.
const PROTOCOLS: [Protocol; 4] = [Protocol::Deliver, Protocol::Evidence, Protocol::Roster, Protocol::Witness];
/// Orders waiting for the loop, each answered within a turn of it; a caller beyond them waits.
const ORDERS_MAX: usize = 8;

#[cfg(test)]
mod tests;
