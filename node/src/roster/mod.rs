//! Who is who, told around: documents of charter and Parties to and from the peers, the network's list of whom to let in,
//! and once a day our own head.
//!
//! This room decides nothing of a document: each is handed to the engine, which judges, records and counts it. With a
//! peer there is one exchange at a time, begun when it comes up, when something is new, and now and then; in its rounds
//! each side says what it holds and hands over what the other lacks, so that who was away catches up and who
//! pushes pulls too. Start with [`Registrar`]; then `speak` (the rounds), `shelf` (documents by name), `head`.

mod head;
mod shelf;
mod speak;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use comity_core::{
    engine::Change,
    ids::{PartyCode, Time},
    profile::{Document, Held, Kind, Lacked, News, Trust},
    wire::DOCUMENT_MAX,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    handle::Handle,
    keys::Keyring,
    net::{Admission, NetFault, Opener, Roster, SendFault, SideStream},
    time,
};

pub use shelf::{HEAD_PREFIX, keep_head, newest, proving};

/// Things waiting to be told: a burst of documents, or every peer at once.
const TOLD_MAX: usize = 512;
/// Exchanges we begin at once: each may hold some MiB, and none is urgent to the second.
const ASKING_MAX: usize = 16;
/// Exchanges others begin at once: each Party may have two, and strangers eight.
const SERVING_MAX: usize = 64;
/// One of the peers is asked this often, in case something was never told.
const LOOK: Duration = Duration::from_secs(3600);
/// A stranger is admitted, and a Party shut out, this long after its time at the latest; a head that could not be issued
/// is tried again after it.
const ADMIT: Duration = Duration::from_secs(60);

/// What the registrar is told.
enum Told {
    Change(Box<Change>),
    Contradicted(Document, Arc<[u8]>),
    Up(PartyCode),
    Asked(Option<PartyCode>, SideStream),
    Lobby(PartyCode, oneshot::Receiver<Result<SideStream, SendFault>>),
}

/// A handle to the room. What it is told when it is full is dropped: the next exchange finds it out.
#[derive(Clone)]
pub struct Registrar(mpsc::Sender<Told>);

impl Registrar {
    /// Something is known that was not.
    pub fn changed(&self, change: Change) {
        self.tell(Told::Change(Box::new(change)));
    }

    /// There are two documents of one number, and this one is kept as the proof.
    pub fn contradicted(&self, document: Document, envelope: Arc<[u8]>) {
        self.tell(Told::Contradicted(document, envelope));
    }

    /// A peer is reached.
    pub fn up(&self, party: PartyCode) {
        self.tell(Told::Up(party));
    }

    /// A Party, or a stranger, has opened a stream.
    pub fn asked(&self, party: Option<PartyCode>, stream: SideStream) {
        self.tell(Told::Asked(party, stream));
    }

    /// A Party does not know us yet, and lets us show who we are.
    pub fn lobby(&self, party: PartyCode, stream: oneshot::Receiver<Result<SideStream, SendFault>>) {
        self.tell(Told::Lobby(party, stream));
    }

    fn tell(&self, told: Told) {
        if self.0.try_send(told).is_err() {
            debug!(target: "roster", code = "roster.busy", "not told now");
        }
    }
}

/// A room not yet running: its handle must be known before the rooms it uses are.
pub struct Room {
    told: mpsc::Receiver<Told>,
}

/// The room and its handle.
#[must_use]
pub fn room() -> (Registrar, Room) {
    let (tell, told) = mpsc::channel(TOLD_MAX);
    (Registrar(tell), Room { told })
}

impl Room {
    /// Runs until told to stop.
    pub async fn run(
        self,
        handle: Handle,
        keys: Arc<Keyring>,
        opener: Opener,
        admission: Admission,
        stop: CancellationToken,
    ) {
        let work = Work {
            desk: Arc::new(speak::Speaker::new(handle.clone())),
            handle,
            keys,
            opener,
            admission,
            due: BTreeMap::new(),
            busy: BTreeSet::new(),
            asking: JoinSet::new(),
            serving: JoinSet::new(),
            admitted: None,
            look: Instant::now() + LOOK,
            looked: None,
            head_after: Instant::now(),
        };
        work.run(self.told, stop).await;
    }
}

/// The loop and what it owns.
struct Work {
    handle: Handle,
    keys: Arc<Keyring>,
    opener: Opener,
    admission: Admission,
    desk: Arc<speak::Speaker<Handle>>,
    /// With whom an exchange is to begin, and what is new for them.
    due: BTreeMap<PartyCode, Vec<Arc<[u8]>>>,
    /// With whom one is under way.
    busy: BTreeSet<PartyCode>,
    asking: JoinSet<PartyCode>,
    serving: JoinSet<()>,
    /// Whom the network lets in, as it was told last.
    admitted: Option<Roster>,
    look: Instant,
    looked: Option<PartyCode>,
    /// Our head is not issued before, unless something of ours is new.
    head_after: Instant,
}

impl Work {
    async fn run(mut self, mut told: mpsc::Receiver<Told>, stop: CancellationToken) {
        self.admit().await;
        self.say_head().await;
        loop {
            self.begin();
            let wake = self.wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.asking.join_next() => self.on_asked(done.ok()),
                Some(_) = self.serving.join_next() => {}
                Some(told) = told.recv() => self.on_told(told).await,
                () = sleep_until(wake) => self.on_due().await,
            }
        }
        self.asking.shutdown().await;
        self.serving.shutdown().await;
    }

    async fn on_told(&mut self, told: Told) {
        match told {
            Told::Up(party) => drop(self.due.entry(party).or_default()),
            Told::Change(change) => self.on_change(*change).await,
            Told::Contradicted(document, envelope) => self.on_contradicted(&document, envelope).await,
            Told::Asked(party, stream) if self.serving.len() < SERVING_MAX => {
                let desk = Arc::clone(&self.desk);
                self.serving.spawn(async move { desk.serve(party, stream).await });
            }
            Told::Asked(party, _) => debug!(target: "roster", peer = ?party, "too many exchanges at once"),
            Told::Lobby(party, stream) => {
                let desk = Arc::clone(&self.desk);
                self.serving.spawn(async move {
                    if let Ok(Ok(stream)) = stream.await {
                        desk.introduce(&party, stream).await;
                    }
                });
            }
        }
    }

    async fn on_change(&mut self, change: Change) {
        let Change { news, document, envelope, .. } = change;
        let party = document.party.as_ref().map_or("", PartyCode::as_str);
        info!(target: "roster", kind = document.kind.name(), party, version = document.version, "known from now on");
        if let News::Charter { refounded, .. } = &news {
            for party in refounded {
                warn!(target: "roster", code = "charter.refounded", party = %party, "root keys changed without their Party");
            }
        }
        if document.kind != Kind::Head {
            let (view, named, bytes) = (Arc::clone(&self.handle.view), document.clone(), Arc::clone(&envelope));
            let copied = tokio::task::spawn_blocking(move || shelf::copy_out(&view.data, &named, &bytes)).await;
            drop(copied); // a copy more or less: the room goes on
            self.admit().await;
        }
        let us = self.handle.view().us.party.clone();
        let own = document.party.as_ref() == Some(&us);
        // A head is told by its own Party alone; everything else by whoever learns of it.
        if document.kind != Kind::Head || own {
            self.offer(&envelope);
        }
        if let News::Head(party, Held::Behind) = news {
            self.due.entry(party).or_default();
        }
        if own && document.kind != Kind::Head {
            self.say_head().await;
        }
    }

    /// Every peer is to see both of the two, whichever of them it knows: as often as something is proved here, once.
    async fn on_contradicted(&mut self, document: &Document, envelope: Arc<[u8]>) {
        let party = document.party.as_ref().map_or("", PartyCode::as_str);
        warn!(target: "roster", code = "profile.fork", kind = document.kind.name(), party, version = document.version, "two of one number");
        self.offer(&envelope);
        let (view, held) = (Arc::clone(&self.handle.view), beside(&self.handle.view().trust(), document));
        let found = tokio::task::spawn_blocking(move || shelf::fetch(&view, &held, DOCUMENT_MAX).0).await;
        for envelope in found.unwrap_or_default() {
            self.offer(&envelope.into());
        }
    }

    /// Hands a document to every peer that is reached, in the next exchange with it.
    fn offer(&mut self, envelope: &Arc<[u8]>) {
        for peer in self.handle.connected() {
            let offers = self.due.entry(peer).or_default();
            if offers.len() < speak::OFFERS_MAX {
                offers.push(Arc::clone(envelope));
            }
        }
    }

    /// Begins what is due, one exchange with each peer.
    fn begin(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let connected: BTreeSet<PartyCode> = self.handle.connected().into_iter().collect();
        while self.asking.len() < ASKING_MAX {
            let ready = |party: &&PartyCode| !self.busy.contains(*party);
            let Some(party) = self.due.keys().find(ready).cloned() else { break };
            let offers = self.due.remove(&party).unwrap_or_default();
            if !connected.contains(&party) {
                continue; // it is asked when it comes up
            }
            self.busy.insert(party.clone());
            let (desk, opener) = (Arc::clone(&self.desk), self.opener.clone());
            self.asking.spawn(async move {
                match opener.roster(&party).await {
                    Ok(stream) => desk.ask(&party, stream, offers).await,
                    Err(fault) => debug!(target: "roster", peer = %party, code = fault.code(), "no exchange now"),
                }
                party
            });
        }
    }

    fn on_asked(&mut self, done: Option<PartyCode>) {
        if let Some(party) = done {
            self.busy.remove(&party);
        }
    }

    fn wake(&self) -> Instant {
        let now = time::now();
        let change = self.handle.view().trust().next_change(now).map(|at| after(now, at));
        let due = [change, self.head_due()].into_iter().flatten();
        due.chain([self.look, Instant::now() + ADMIT]).min().unwrap_or(self.look)
    }

    /// When our head is due; one that could not be issued is not tried again at once.
    fn head_due(&self) -> Option<Instant> {
        let view = self.handle.view();
        let due = head::due(&view.trust(), &view.us.party)?;
        Some(after(time::now(), due).max(self.head_after))
    }

    async fn on_due(&mut self) {
        self.admit().await;
        if self.head_due().is_some_and(|at| at <= Instant::now()) {
            self.say_head().await;
        }
        if self.look <= Instant::now() {
            self.look = Instant::now() + LOOK;
            let connected = self.handle.connected();
            let after = |party: &&PartyCode| self.looked.as_ref().is_none_or(|looked| *party > looked);
            self.looked = connected.iter().find(after).or(connected.first()).cloned();
            self.due.extend(self.looked.clone().map(|party| (party, Vec::new())));
        }
    }

    /// Tells the network whom to let in now, if that is news.
    async fn admit(&mut self) {
        let view = self.handle.view();
        let roster = match admitted(&view.trust(), &view.addresses, time::now()) {
            Ok(roster) => roster,
            Err(fault) => {
                return warn!(target: "roster", code = fault.code(), "the network keeps the list it has: {fault}");
            }
        };
        if self.admitted.as_ref() == Some(&roster) {
            return;
        }
        if self.admission.set_roster(roster.clone()).await.is_ok() {
            self.admitted = Some(roster);
        }
    }

    /// Issues our head, and lets it go the way of every document.
    async fn say_head(&mut self) {
        self.head_after = Instant::now() + ADMIT;
        let view = self.handle.view();
        if let Some(envelope) = head::issue(&view.trust(), &view.us.party, &self.keys, time::now())
            && let Err(fault) = self.handle.document(envelope).await
        {
            warn!(target: "roster", code = fault.code, "our head was not issued: {}", fault.detail);
        }
    }
}

/// When a time of the calendar comes, as the loop counts.
fn after(now: Time, at: Time) -> Instant {
    Instant::now() + Duration::from_millis(at.since(now))
}

/// What is known here that a document contradicts: of a head, what it names.
fn beside(trust: &Trust, document: &Document) -> Vec<Lacked> {
    let Document { kind, party, version, .. } = document;
    let named = |kind, version| Lacked { kind, party: party.clone(), version };
    let profile = party.as_ref().and_then(|party| trust.declared(party)).map(|held| named(Kind::Profile, held.version));
    let directory = party.as_ref().and_then(|party| trust.directory(party));
    let directory = directory.map(|held| named(Kind::Directory, held.version));
    match kind {
        Kind::Charter | Kind::Suspension => vec![named(*kind, *version)],
        Kind::Profile => profile.into_iter().collect(),
        Kind::Directory => directory.into_iter().collect(),
        Kind::Head => profile.into_iter().chain(directory).collect(),
    }
}

/// Every chartered Party that takes part now, with its PeerIds, and where it is: as the settings say, else as it
/// says itself.
///
/// # Errors
/// When an address of the settings cannot be dialled.
pub fn admitted(trust: &Trust, settings: &BTreeMap<PartyCode, Vec<String>>, now: Time) -> Result<Roster, NetFault> {
    let entry = |party: &PartyCode| {
        let profile = trust.profile(party, now)?;
        let own = || {
            let directory = trust.own_directory(party)?;
            let of = profile.nodes().iter().filter_map(|node| directory.addresses().get(node));
            Some(of.flatten().filter(|address| crate::net::can_dial(address)).cloned().collect())
        };
        let addresses = settings.get(party).filter(|named| !named.is_empty()).cloned();
        let addresses: Vec<String> = addresses.or_else(own).unwrap_or_default();
        Some((party.clone(), profile.nodes().to_vec(), addresses))
    };
    Roster::new(trust.charter().parties().keys().filter_map(entry))
}
