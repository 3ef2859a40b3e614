//! Ledgers watch each other: our checkpoints are cosigned by the witnesses the charter assigns, we cosign those of others,
//! and every checkpoint a peer shows us must be proven to continue what we held of its ledger.
//!
//! Witnesses are fed on a fixed beat, so that nothing but coarse growth shows. What we hold of a ledger is on disk before we
//! cosign it, and only ever grows; two checkpoints of one size with two roots end all cosigning of that ledger until people
//! have decided. Cosignatures are no records: writing them down would make the ledger grow for ever. Start with [`Room`];
//! then `hold` (what is held and what follows from it), `speak` (asks and answers), `own` (cosignatures of our ledger).
//! `vouch` asks the peers at every start whether the ledger here is all of it. Serves SPEC `[N-*]`.

mod hold;
mod own;
mod speak;
mod vouch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use comity_core::ids::PartyCode;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    handle::Handle,
    keys::Keyring,
    net::{Opener, SideStream},
    time,
};

use hold::Hold;
use own::Own;
use speak::Speaker;
use vouch::Vouching;

/// Streams that peers have opened and nobody serves yet.
const ASKED_MAX: usize = 64;
/// Streams served at once: each Party may have two.
const SERVING_MAX: usize = 64;
/// Streams one Party may open in a minute: an ask each second, as in an exercise, and one when much waits to be proven.
const STREAMS_A_MINUTE_MAX: u32 = 128;
const MINUTE: Duration = Duration::from_secs(60);
/// Peers asked at once: an ask is a few small messages.
const ASKING_MAX: usize = 16;
/// How often is looked whether a peer's checkpoints pile up between two beats.
const LOOK: Duration = Duration::from_secs(1);
/// So many that wait are proven at once, whatever the beat: a quarter of what is kept.
const PILE: usize = 256;

/// A handle to the room.
#[derive(Clone)]
pub struct Bell(mpsc::Sender<(PartyCode, SideStream)>);

impl Bell {
    /// A Party has opened a stream. One too many is dropped, which resets it: it is opened again at the next beat.
    pub fn asked(&self, party: PartyCode, stream: SideStream) {
        if self.0.try_send((party, stream)).is_err() {
            debug!(target: "witness", code = "witness.busy", "not served now");
        }
    }
}

/// A room not yet running.
pub struct Room(mpsc::Receiver<(PartyCode, SideStream)>);

/// The room and its handle.
#[must_use]
pub fn room() -> (Bell, Room) {
    let (ring, asked) = mpsc::channel(ASKED_MAX);
    (Bell(ring), Room(asked))
}

impl Room {
    /// Runs until told to stop.
    pub async fn run(
        self,
        handle: Handle,
        keys: Arc<Keyring>,
        opener: Opener,
        beat: Duration,
        stop: CancellationToken,
    ) {
        let view = Arc::clone(&handle.view);
        let opened = tokio::task::spawn_blocking(move || (Hold::open(&view.desk), Own::open(&view))).await;
        let Ok((hold, own)) = opened else { return };
        let speaker = Arc::new(Speaker {
            handle: handle.clone(),
            keys,
            hold,
            own,
            vouching: Vouching::default(),
            told: Mutex::default(),
        });
        let mut work = Work {
            handle,
            speaker,
            opener,
            busy: BTreeSet::new(),
            asking: JoinSet::new(),
            serving: JoinSet::new(),
            streams: BTreeMap::new(),
            vouched: false,
        };
        work.speaker.publish();
        work.run(self.0, beat, stop).await;
        work.asking.shutdown().await;
        work.serving.shutdown().await;
    }
}

struct Work {
    handle: Handle,
    speaker: Arc<Speaker>,
    opener: Opener,
    /// Whom we ask now.
    busy: BTreeSet<PartyCode>,
    asking: JoinSet<PartyCode>,
    serving: JoinSet<()>,
    /// Streams each Party has opened within this minute.
    streams: BTreeMap<PartyCode, u32>,
    /// Whether the engine was told that no peer holds more of our ledger.
    vouched: bool,
}

impl Work {
    async fn run(
        &mut self,
        mut asked: mpsc::Receiver<(PartyCode, SideStream)>,
        beat: Duration,
        stop: CancellationToken,
    ) {
        let ticking = |every| {
            let mut ticking = interval_at(Instant::now() + every, every);
            ticking.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticking
        };
        let mut status = self.handle.status();
        let (mut beats, mut looks, mut minutes) = (ticking(beat), ticking(LOOK), ticking(MINUTE));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(done) = self.asking.join_next() => self.on_asked(done.ok()).await,
                Some(_) = self.serving.join_next() => {}
                Some((party, stream)) = asked.recv(), if self.serving.len() < SERVING_MAX => self.serve(party, stream),
                Ok(()) = status.changed(), if !self.vouched => self.on_look().await,
                _ = beats.tick() => self.on_beat(),
                _ = looks.tick() => self.on_look().await,
                _ = minutes.tick() => self.streams.clear(),
            }
        }
    }

    /// One too many is dropped, which resets it: proving growth from a thousand sizes costs more than asking for it.
    fn serve(&mut self, party: PartyCode, stream: SideStream) {
        let count = self.streams.entry(party.clone()).or_default();
        *count += 1;
        if *count > STREAMS_A_MINUTE_MAX {
            if *count == STREAMS_A_MINUTE_MAX + 1 {
                self.handle.view().conduct.wrong(&party, "net.too-many-streams", None, time::now());
            }
            return;
        }
        let speaker = Arc::clone(&self.speaker);
        self.serving.spawn(async move { speaker.serve(&party, stream).await });
    }

    async fn on_asked(&mut self, done: Option<PartyCode>) {
        if let Some(party) = done {
            self.busy.remove(&party);
        }
        self.vouch().await;
    }

    /// Lets the ledger be signed beyond what it was, once the peers have been asked. Who is alone has nobody to ask.
    async fn vouch(&mut self) {
        let alone = self.handle.view().trust().charter().parties().len() == 1;
        if !self.vouched && (alone || self.speaker.vouching.is_settled(&self.handle.connected())) {
            self.vouched = true;
            self.handle.ledger_known(Ok(())).await;
        }
    }

    /// Our checkpoint to our witnesses, and to every peer the question whether it only grew, where there is reason to ask.
    fn on_beat(&mut self) {
        self.speaker.begin_beat();
        for party in self.handle.connected() {
            if self.speaker.has_reason(&party) {
                self.ask(party);
            }
        }
    }

    async fn on_look(&mut self) {
        for party in self.handle.connected() {
            if self.speaker.waiting(&party) >= PILE || self.speaker.vouching.is_new(&party) {
                self.ask(party);
            }
        }
        self.vouch().await;
    }

    /// One at a time with each peer. What finds no place now has one at the next beat.
    fn ask(&mut self, party: PartyCode) {
        if self.asking.len() >= ASKING_MAX || !self.busy.insert(party.clone()) {
            return;
        }
        let (speaker, opener) = (Arc::clone(&self.speaker), self.opener.clone());
        self.asking.spawn(async move {
            match opener.witness(&party).await {
                Ok(stream) => speaker.ask(&party, stream).await,
                Err(fault) => {
                    debug!(target: "witness", peer = %party, code = fault.code(), "not asked now");
                    speaker.vouching.asked(&party, false);
                }
            }
            party
        });
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
