//! Evidence streams, ours and theirs: counted here, carried elsewhere.

use std::sync::Arc;

use comity_core::ids::PartyCode;
use libp2p::Stream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    super::{EvidenceStream, NetEvent, SendFault, evidence::Opening, gate::Ask},
    Run,
};

impl Run {
    /// Somebody wants a stream: it is asked for on the connection in use, and answered from there.
    pub(super) fn on_wanted(&mut self, party: &PartyCode, answer: oneshot::Sender<Result<EvidenceStream, SendFault>>) {
        let Some((peer, link)) = self.peers.get(party).and_then(|peer| Some((peer, peer.up()?))) else {
            // Whoever asked may have gone, here and below.
            let _ = answer.send(Err(SendFault::NotConnected));
            return;
        };
        match Arc::clone(&peer.evidence_out).try_acquire_owned() {
            Ok(place) => {
                let (peer_id, id, ask) = (link.peer, link.id, Ask::Evidence(Opening { answer, place }));
                self.swarm.behaviour_mut().gate.open(peer_id, id, ask);
            }
            Err(_) => {
                let _ = answer.send(Err(SendFault::StreamsFull));
            }
        }
    }

    /// A Party opened a stream. One beyond its places is dropped, which resets it.
    pub(super) fn on_evidence(&mut self, party: PartyCode, stream: Stream, cut: CancellationToken) {
        let Some(peer) = self.peers.get(&party) else { return };
        let Ok(place) = Arc::clone(&peer.evidence_in).try_acquire_owned() else {
            tracing::debug!(target: "net", party = %party, "evidence stream beyond the limit");
            return;
        };
        let stream = EvidenceStream::new(stream, cut, place);
        self.tell(NetEvent::Evidence { party, stream });
    }
}
