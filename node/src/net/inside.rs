//! A behaviour for whoever is let in, and for nobody in the lobby: a stranger speaks the roster protocol and learns
//! neither our version nor how fast we answer.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

/// The connections of strangers.
#[derive(Debug, Clone, Default)]
pub(super) struct Lobby(Arc<Mutex<BTreeSet<ConnectionId>>>);

impl Lobby {
    /// Gives a connection a place, if fewer than `max` have one.
    pub(super) fn enter(&self, connection: ConnectionId, max: usize) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.len() < max && places.insert(connection)
    }

    pub(super) fn leave(&self, connection: ConnectionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&connection);
    }

    pub(super) fn holds(&self, connection: ConnectionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&connection)
    }
}

/// A behaviour that knows nothing of the lobby.
pub(super) struct Inside<B> {
    inner: B,
    lobby: Lobby,
}

impl<B: NetworkBehaviour> Inside<B> {
    pub(super) fn new(inner: B, lobby: Lobby) -> Self {
        Self { inner, lobby }
    }
}

type Handler<B> = Either<THandler<B>, dummy::ConnectionHandler>;

impl<B: NetworkBehaviour> NetworkBehaviour for Inside<B> {
    type ConnectionHandler = Handler<B>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.lobby.holds(connection) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_inbound_connection(connection, peer, local, remote).map(Either::Left)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port).map(Either::Left)
    }

    /// The gate lets go of a connection before this hears that it closed; to close what never was open does nothing.
    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(open) if self.lobby.holds(open.connection_id) => {}
            other => self.inner.on_swarm_event(other),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            Either::Right(event) => nothing(event),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx).map(|event| event.map_in(Either::Left))
    }
}

fn nothing(event: <dummy::ConnectionHandler as ConnectionHandler>::ToBehaviour) {
    let never: Infallible = event;
    match never {}
}
