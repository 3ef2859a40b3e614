//! The two tasks of a link, one per stream: the author's side sends deliveries and reads answers,
//! the recipient's side reads deliveries and writes answers in whatever order they come.
//!
//! Each task ends with a [`LinkEnd`] and is then reported to the loop, which alone decides what
//! follows. Every queue here is as long as the window, and a frame only enters a queue with a
//! [`Place`] in the window, so none can overflow. Start with [`author`] and [`recipient`].

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use comity_core::{
    ids::PartyCode,
    wire::{ANSWER_MAX, DELIVERY_MAX},
};
use libp2p::swarm::ConnectionId;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader, BufWriter},
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};

use super::{
    LinkEnd, NetEvent, SendFault,
    budget::Deliveries,
    frame::{Head, buffered, flush, read_body, read_head, write_frame},
    window::{Place, WINDOW, Window},
};

/// What a link task knows about itself.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) party: PartyCode,
    pub(super) connection: ConnectionId,
    pub(super) peer: String,
    pub(super) address: String,
    pub(super) hybrid: bool,
}

/// The report of a link task.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) party: PartyCode,
    pub(super) connection: ConnectionId,
    pub(super) side: Side,
    pub(super) why: LinkEnd,
}

/// Which of the two tasks. A recipient has a number, because a peer may open a stream anew before
/// the task of the old one has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Author,
    Recipient(u64),
}

/// The links that take frames now: what `Net::send` looks into.
#[derive(Debug, Default)]
pub(super) struct Roads(RwLock<BTreeMap<PartyCode, Road>>);

#[derive(Debug)]
struct Road {
    urgent: mpsc::Sender<Parcel>,
    ordinary: mpsc::Sender<Parcel>,
    window: Window,
}

#[derive(Debug)]
struct Parcel {
    frame: Vec<u8>,
    place: Place,
}

impl Roads {
    /// Takes a frame into the window of a Party's link. What was taken before the link ended is
    /// always followed by a `Down` event.
    pub(super) fn send(&self, party: &PartyCode, frame: Vec<u8>, urgent: bool) -> Result<(), SendFault> {
        if frame.is_empty() || frame.len() > DELIVERY_MAX {
            return Err(SendFault::TooLarge);
        }
        let roads = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let road = roads.get(party).ok_or(SendFault::NotConnected)?;
        let place = road.window.try_place(frame.len(), urgent).ok_or(SendFault::Full)?;
        let queue = if urgent { &road.urgent } else { &road.ordinary };
        queue.try_send(Parcel { frame, place }).map_err(|_| SendFault::NotConnected)
    }

    fn open(&self, party: &PartyCode) -> (mpsc::Receiver<Parcel>, mpsc::Receiver<Parcel>) {
        let (urgent, urgent_out) = mpsc::channel(WINDOW);
        let (ordinary, ordinary_out) = mpsc::channel(WINDOW);
        let road = Road { urgent, ordinary, window: Window::new() };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(party.clone(), road);
        (urgent_out, ordinary_out)
    }

    fn close(&self, party: &PartyCode) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(party);
    }
}

/// The author's side: `Up`, then deliveries out and answers in, then `Down`.
pub(super) async fn author<S: AsyncRead + AsyncWrite>(
    stream: S,
    facts: Facts,
    roads: &Roads,
    events: mpsc::Sender<NetEvent>,
    stop: oneshot::Receiver<LinkEnd>,
) -> Ended {
    let party = facts.party.clone();
    let connection = facts.connection;
    let (urgent, ordinary) = roads.open(&party);
    let up = NetEvent::Up { party: facts.party, peer: facts.peer, address: facts.address, hybrid: facts.hybrid };
    let mut told = false;
    let talk = async {
        events.send(up).await.map_err(|_| LinkEnd::Stopping)?;
        told = true;
        let (from, to) = buffered(stream);
        let pending = Pending::default();
        tokio::select! {
            end = write_deliveries(to, urgent, ordinary, &pending) => end,
            end = read_answers(from, &party, &pending, &events) => end,
        }
    };
    let why = tokio::select! {
        biased;
        why = stopped(stop) => why,
        end = talk => reason(end),
    };
    roads.close(&party);
    if told {
        // A caller that no longer listens needs no farewell.
        let _ = events.send(NetEvent::Down { party: party.clone(), why: why.code() }).await;
    }
    Ended { party, connection, side: Side::Author, why }
}

async fn write_deliveries<W: AsyncWrite + Unpin>(
    mut to: BufWriter<W>,
    mut urgent: mpsc::Receiver<Parcel>,
    mut ordinary: mpsc::Receiver<Parcel>,
    pending: &Pending,
) -> Result<Infallible, LinkEnd> {
    for number in 1.. {
        let parcel = tokio::select! {
            biased;
            Some(parcel) = urgent.recv() => parcel,
            Some(parcel) = ordinary.recv() => parcel,
            else => break,
        };
        pending.wait(number, parcel.place);
        write_frame(&mut to, number, &parcel.frame).await?;
        if urgent.is_empty() && ordinary.is_empty() {
            flush(&mut to).await?;
        }
    }
    Err(LinkEnd::Closed)
}

async fn read_answers<R: AsyncRead + Unpin>(
    mut from: BufReader<R>,
    party: &PartyCode,
    pending: &Pending,
    events: &mpsc::Sender<NetEvent>,
) -> Result<Infallible, LinkEnd> {
    loop {
        while timeout(PATIENCE_CHECK, from.fill_buf()).await.is_err() {
            pending.check_patience()?;
        }
        let head = read_head(&mut from, 0, ANSWER_MAX).await?.ok_or(LinkEnd::Closed)?;
        let place = pending.answered(head.number).ok_or(LinkEnd::Unasked)?;
        let frame = read_body(&mut from, head).await?;
        let slot = events.reserve().await.map_err(|_| LinkEnd::Stopping)?;
        // Freed before the event is seen, so that whoever sees it can send at once.
        drop(place);
        slot.send(match frame.is_empty() {
            true => NetEvent::Unanswered { party: party.clone() },
            false => NetEvent::Answer { party: party.clone(), frame },
        });
        pending.progress();
    }
}

/// Deliveries on the wire without an answer yet, at most a window of them.
#[derive(Debug, Default)]
struct Pending(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    places: BTreeMap<u64, Place>,
    /// When the peer last owed us nothing or did something about it.
    since: Option<Instant>,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, number: u64, place: Place) {
        let mut waiting = self.lock();
        if waiting.places.is_empty() {
            waiting.since = Some(Instant::now());
        }
        waiting.places.insert(number, place);
    }

    fn answered(&self, number: u64) -> Option<Place> {
        self.lock().places.remove(&number)
    }

    fn progress(&self) {
        self.lock().since = Some(Instant::now());
    }

    fn check_patience(&self) -> Result<(), LinkEnd> {
        let waiting = self.lock();
        let late = waiting.since.is_some_and(|since| since.elapsed() > PATIENCE);
        if late && !waiting.places.is_empty() { Err(LinkEnd::Stalled) } else { Ok(()) }
    }
}

/// The recipient's side: deliveries in, answers out.
pub(super) async fn recipient<S: AsyncRead + AsyncWrite>(
    stream: S,
    facts: Facts,
    number: u64,
    (window, budget): (Window, Deliveries),
    events: mpsc::Sender<NetEvent>,
    stop: oneshot::Receiver<LinkEnd>,
) -> Ended {
    let (from, to) = buffered(stream);
    let (answers, answered) = mpsc::channel(WINDOW);
    let why = tokio::select! {
        biased;
        why = stopped(stop) => why,
        end = write_answers(to, answered) => reason(end),
        end = read_deliveries(from, &facts.party, (&window, &budget), &events, &answers) => reason(end),
    };
    Ended { party: facts.party, connection: facts.connection, side: Side::Recipient(number), why }
}

async fn read_deliveries<R: AsyncRead + Unpin>(
    mut from: BufReader<R>,
    party: &PartyCode,
    (window, budget): (&Window, &Deliveries),
    events: &mpsc::Sender<NetEvent>,
    answers: &mpsc::Sender<Answer>,
) -> Result<Infallible, LinkEnd> {
    for expected in 1.. {
        let head = read_head(&mut from, 1, DELIVERY_MAX).await?.ok_or(LinkEnd::Closed)?;
        let Head { len, number } = head;
        if number != expected {
            return Err(LinkEnd::OutOfStep);
        }
        let place = window.place(len).await;
        let wait = budget.wait_for(len, Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let frame = read_body(&mut from, head).await?;
        let reply = Reply(Some(Owed { number, place, answers: answers.clone() }));
        let delivery = NetEvent::Delivery { party: party.clone(), frame, reply };
        events.send(delivery).await.map_err(|_| LinkEnd::Stopping)?;
    }
    Err(LinkEnd::OutOfStep)
}

async fn write_answers<W: AsyncWrite + Unpin>(
    mut to: BufWriter<W>,
    mut answers: mpsc::Receiver<Answer>,
) -> Result<Infallible, LinkEnd> {
    while let Some(answer) = answers.recv().await {
        write_frame(&mut to, answer.number, &answer.frame).await?;
        if answers.is_empty() {
            flush(&mut to).await?;
        }
    }
    Err(LinkEnd::Closed)
}

#[derive(Debug)]
struct Answer {
    number: u64,
    frame: Vec<u8>,
    _place: Place,
}

/// The way back to the author of a delivery. Dropped unused, it tells the peer that no answer
/// comes on this link, and frees the place the delivery held on both sides.
#[derive(Debug)]
#[must_use = "a dropped reply is a delivery without an answer"]
pub struct Reply(Option<Owed>);

#[derive(Debug)]
struct Owed {
    number: u64,
    place: Place,
    answers: mpsc::Sender<Answer>,
}

impl Owed {
    fn pay(self, frame: Vec<u8>) -> Result<(), SendFault> {
        let answer = Answer { number: self.number, frame, _place: self.place };
        // As long as the window, and each answer in it holds a place: it is never full.
        self.answers.try_send(answer).map_err(|_| SendFault::NotConnected)
    }
}

impl Reply {
    /// The way back to nobody.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Sends the answer. Never waits.
    ///
    /// # Errors
    /// When the link has ended meanwhile (the peer will deliver again), or the answer is empty or
    /// above its limit (the peer is told that none comes).
    pub fn send(mut self, frame: Vec<u8>) -> Result<(), SendFault> {
        if frame.is_empty() || frame.len() > ANSWER_MAX {
            return Err(SendFault::TooLarge);
        }
        self.0.take().map_or(Err(SendFault::NotConnected), |owed| owed.pay(frame))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // If the link is gone, so is the peer's wait for this answer.
        let _ = self.0.take().map(|owed| owed.pay(Vec::new()));
    }
}

async fn stopped(stop: oneshot::Receiver<LinkEnd>) -> LinkEnd {
    stop.await.unwrap_or(LinkEnd::Closed)
}

fn reason(end: Result<Infallible, LinkEnd>) -> LinkEnd {
    match end {
        Ok(never) => match never {},
        Err(why) => why,
    }
}

/// A peer that owes answers and gives none for this long is stalled, however well it pings. A
/// ledger waiting for a slow disk answers within seconds, and "try later" is an answer too.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often patience is looked at while nothing arrives.
const PATIENCE_CHECK: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
