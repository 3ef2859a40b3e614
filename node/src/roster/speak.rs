//! The rounds of an exchange: what we hold, what they hold, and the documents that make up the difference.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use comity_core::{
    engine::NotDone,
    ids::PartyCode,
    profile::{Kind, Lacked, News, Trust, claimed},
    proto::{RosterAnswer, RosterAsk, RosterHeld},
    wire::DOCUMENT_MAX,
};
use prost::Message as _;
use tokio::time::timeout;
use tracing::debug;

use super::shelf;
use crate::{
    handle::Handle,
    net::{Line, MessageFault, receive, send},
    time,
};

/// Documents offered to a peer before it is known what it lacks.
pub(super) const OFFERS_MAX: usize = 32;
/// Rounds of one exchange: what is left then comes with the next one.
const ROUNDS_MAX: usize = 256;
/// Bytes of documents handed over in one round: the largest there is.
const ROUND_BYTES_MAX: usize = DOCUMENT_MAX;
/// A message of either side: its documents, and what it holds of 200 Parties.
const MESSAGE_MAX: usize = ROUND_BYTES_MAX + (256 << 10);
/// Documents of one exchange that may be judged in vain, refused or known already: of each Party two and more. Whoever
/// hands over more of them wants our time and nothing else.
const VAIN_MAX: usize = 1024;
/// All that a stranger may send or be sent: its own documents, and a charter of some dozen Parties.
const LOBBY_BYTES_MAX: usize = 256 << 10;
/// Documents a stranger may have judged: checking signatures is work for somebody nobody knows.
const LOBBY_DOCUMENTS_MAX: usize = 16;
/// A visit altogether.
const VISIT: Duration = Duration::from_secs(10);

/// Why an exchange ended early. Nothing follows from it but the next one.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Message(#[from] MessageFault),
    #[error("too much of what it hands over is known or does not hold")]
    Vain,
}

/// What an exchange is about: a running node's documents, or those of a book in memory.
pub(super) trait Holdings: Send + Sync {
    /// All that is known now.
    fn trust(&self) -> Arc<Trust>;

    /// Whose node this is.
    fn us(&self) -> &PartyCode;

    /// Documents of these names, until they are more than `max` bytes together; and how many names were passed.
    fn fetch(&self, lacked: Vec<Lacked>, max: usize) -> impl Future<Output = (Vec<Vec<u8>>, usize)> + Send;

    /// Takes a document in, or says why not.
    fn take(&self, envelope: Vec<u8>) -> impl Future<Output = Result<News, NotDone>> + Send;

    /// A peer did what no honest one does.
    fn wrong(&self, party: &PartyCode, code: &'static str, proof: Option<&[u8]>);
}

impl Holdings for Handle {
    fn trust(&self) -> Arc<Trust> {
        self.view().trust()
    }

    fn us(&self) -> &PartyCode {
        &self.view().us.party
    }

    async fn fetch(&self, lacked: Vec<Lacked>, max: usize) -> (Vec<Vec<u8>>, usize) {
        let view = Arc::clone(&self.view);
        tokio::task::spawn_blocking(move || shelf::fetch(&view, &lacked, max)).await.unwrap_or_default()
    }

    async fn take(&self, envelope: Vec<u8>) -> Result<News, NotDone> {
        self.document(envelope).await
    }

    fn wrong(&self, party: &PartyCode, code: &'static str, proof: Option<&[u8]>) {
        self.view().conduct.wrong(party, code, proof, time::now());
    }
}

/// Speaks with one after another; holds nothing of any of them.
pub(super) struct Speaker<H> {
    holdings: H,
}

/// What has passed in one exchange, so that nothing passes twice whatever the other side says.
#[derive(Default)]
struct Passed {
    /// What was handed over: what was not taken then will not be taken now.
    handed: BTreeSet<Lacked>,
    /// How many documents of theirs were judged in vain.
    vain: usize,
}

impl<H: Holdings> Speaker<H> {
    pub(super) fn new(holdings: H) -> Self {
        Self { holdings }
    }

    /// Asks a peer, and hands it what it lacks.
    pub(super) async fn ask(&self, party: &PartyCode, mut stream: impl Line, offers: Vec<Arc<[u8]>>) {
        let mut offered: Vec<Vec<u8>> = fitting(offers.iter().map(|offer| offer.to_vec()), ROUND_BYTES_MAX);
        let mut passed = Passed::default();
        let ended = async {
            for _ in 0..ROUNDS_MAX {
                let ask = RosterAsk { held: Some(self.held()), offered: std::mem::take(&mut offered) };
                send(&mut stream, &ask).await?;
                let answer: RosterAnswer = receive(&mut stream, MESSAGE_MAX).await?.ok_or(MessageFault::Wrong)?;
                let theirs = self.same_network(answer.held)?;
                let news = self.take(Some(party), answer.envelopes, &mut passed).await?;
                offered = self.lacked_by(&theirs, &mut passed).await;
                if offered.is_empty() && news == 0 {
                    break;
                }
            }
            Ok::<_, Ended>(())
        };
        if let Err(ended) = ended.await {
            self.ended(Some(party), &ended);
        }
    }

    /// Answers a peer until it has asked enough; a stranger once, and shows it nothing of others.
    pub(super) async fn serve(&self, party: Option<PartyCode>, mut stream: impl Line) {
        let ended = match &party {
            Some(party) => self.rounds(party, &mut stream).await,
            None => timeout(VISIT, self.visit(&mut stream)).await.unwrap_or(Err(MessageFault::Slow.into())),
        };
        if let Err(ended) = ended {
            self.ended(party.as_ref(), &ended);
        }
    }

    async fn rounds(&self, party: &PartyCode, stream: &mut impl Line) -> Result<(), Ended> {
        let mut passed = Passed::default();
        for _ in 0..ROUNDS_MAX {
            let Some(ask) = receive::<RosterAsk>(stream, MESSAGE_MAX).await? else { return Ok(()) };
            let theirs = self.same_network(ask.held)?;
            self.take(Some(party), ask.offered, &mut passed).await?;
            let envelopes = self.lacked_by(&theirs, &mut passed).await;
            send(stream, &RosterAnswer { held: Some(self.held()), envelopes }).await?;
        }
        Ok(())
    }

    async fn visit(&self, stream: &mut impl Line) -> Result<(), Ended> {
        let (mut bytes, mut documents) = (LOBBY_BYTES_MAX, LOBBY_DOCUMENTS_MAX);
        for _ in 0..2 {
            let Some(mut ask) = receive::<RosterAsk>(stream, bytes).await? else { return Ok(()) };
            bytes = bytes.saturating_sub(ask.encoded_len());
            self.same_network(ask.held)?;
            ask.offered.truncate(documents);
            documents -= ask.offered.len();
            self.take(None, ask.offered, &mut Passed::default()).await?;
            let held = RosterHeld { parties: Vec::new(), ..self.held() };
            send(stream, &RosterAnswer { held: Some(held), envelopes: Vec::new() }).await?;
        }
        Ok(())
    }

    /// Shows a Party that does not know us the charters it lacks and what is ours.
    pub(super) async fn introduce(&self, party: &PartyCode, mut stream: impl Line) {
        let introduced = async {
            let held = || Some(RosterHeld { parties: Vec::new(), ..self.held() });
            send(&mut stream, &RosterAsk { held: held(), offered: Vec::new() }).await?;
            let answer: RosterAnswer = receive(&mut stream, LOBBY_BYTES_MAX).await?.ok_or(MessageFault::Wrong)?;
            let theirs = self.same_network(answer.held)?;
            let us = self.holdings.us();
            let mut lacked = self.holdings.trust().lacking(&theirs);
            lacked.retain(|lacked| lacked.party.as_ref().is_none_or(|party| party == us));
            let (offered, _) = self.holdings.fetch(lacked, LOBBY_BYTES_MAX - (64 << 10)).await;
            send(&mut stream, &RosterAsk { held: held(), offered }).await?;
            receive::<RosterAnswer>(&mut stream, LOBBY_BYTES_MAX).await?;
            Ok::<_, Ended>(())
        };
        match timeout(VISIT, introduced).await.unwrap_or(Err(MessageFault::Slow.into())) {
            Ok(()) => debug!(target: "roster", peer = %party, "introduced"),
            Err(ended) => self.ended(Some(party), &ended),
        }
    }

    fn held(&self) -> RosterHeld {
        self.holdings.trust().held()
    }

    fn same_network(&self, theirs: Option<RosterHeld>) -> Result<RosterHeld, MessageFault> {
        let network = self.holdings.trust().charter().network.clone();
        theirs.filter(|theirs| theirs.network == network.as_str()).ok_or(MessageFault::Wrong)
    }

    /// What the other side lacks by what it says it holds, and was not handed before: as much as one message takes.
    async fn lacked_by(&self, theirs: &RosterHeld, passed: &mut Passed) -> Vec<Vec<u8>> {
        let mut lacked = self.holdings.trust().lacking(theirs);
        lacked.retain(|lacked| !passed.handed.contains(lacked));
        if lacked.is_empty() {
            return Vec::new();
        }
        let (envelopes, names) = self.holdings.fetch(lacked.clone(), ROUND_BYTES_MAX).await;
        passed.handed.extend(lacked.into_iter().take(names));
        envelopes
    }

    /// Hands documents to the engine one after another. Returns how many were news.
    async fn take(
        &self,
        from: Option<&PartyCode>,
        envelopes: Vec<Vec<u8>>,
        passed: &mut Passed,
    ) -> Result<usize, Ended> {
        let mut news = 0;
        for envelope in envelopes {
            let kind = claimed(&envelope).map(|named| named.kind);
            match self.holdings.take(envelope.clone()).await {
                Ok(News::Known) => passed.vain += 1,
                Ok(_) => news += 1,
                Err(refused) => {
                    self.refused(from, kind.ok(), &refused, &envelope);
                    passed.vain += 1;
                }
            }
            if passed.vain >= VAIN_MAX {
                return Err(Ended::Vain);
            }
        }
        Ok(news)
    }

    /// What no honest node hands over counts against the peer that did; what depends on who has seen what is only told:
    /// an older document may have been overtaken by the newer one on another way.
    fn refused(&self, from: Option<&PartyCode>, kind: Option<Kind>, refused: &NotDone, envelope: &[u8]) {
        let kind = kind.map_or("", Kind::name);
        debug!(target: "roster", peer = ?from, code = refused.code, kind, "a document was not accepted");
        let wrong = matches!(
            refused.code,
            "profile.malformed" | "profile.bad-name" | "profile.bad-content" | "profile.wrong-type"
        );
        if let Some(party) = from.filter(|_| wrong) {
            self.holdings.wrong(party, refused.code, Some(envelope));
        }
    }

    fn ended(&self, party: Option<&PartyCode>, ended: &Ended) {
        debug!(target: "roster", peer = ?party, %ended, "exchange ended early");
        if let (Some(party), Ended::Message(MessageFault::Wrong)) = (party, ended) {
            self.holdings.wrong(party, "roster.malformed", None);
        }
    }
}

/// As many of these as fit.
fn fitting(envelopes: impl Iterator<Item = Vec<u8>>, max: usize) -> Vec<Vec<u8>> {
    let mut bytes = 0;
    envelopes
        .take_while(|envelope| {
            bytes += envelope.len();
            bytes <= max
        })
        .collect()
}

#[cfg(test)]
mod tests;
