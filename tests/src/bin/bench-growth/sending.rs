//! Requests from one node to others in turn, so many under way at once, each until its receipt was seen in the
//! author's feed. Start at [`send`].

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use comity::bench::rank;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Loose,
    rig::{Node, Voice, fresh_id, pause, smallest_request},
};

/// Under way at once.
pub(crate) const IN_FLIGHT: usize = 64;
/// Calls of the API at once: half of what it takes, so that none is turned away. A request is under way
/// longer than its call.
const CALLS: usize = 32;
/// A node that was busy all the same is asked again after this.
const AGAIN: Duration = Duration::from_millis(5);
/// A receipt that does not come within this never comes.
const RECEIPT_WAIT: Duration = Duration::from_secs(60);

/// What was sent.
pub(crate) struct Sent {
    pub(crate) per_s: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Sends so many requests and waits until all are receipted.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
pub(crate) fn send(author: &Node, to: &[&'static str], events: u64) -> Result<Sent, Loose> {
    let (receipts, done, next) = (Receipts::default(), AtomicBool::new(false), AtomicU64::new(0));
    let (acquire, release) = sync_channel(CALLS);
    let release = Mutex::new(release);
    let began = Instant::now();
    let waits = thread::scope(|scope| {
        scope.spawn(|| receipts.read(&author.voice(), &done));
        let write = || {
            let (voice, mut waits) = (author.voice(), Vec::new());
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= events {
                    return Ok(waits);
                }
                let place = usize::try_from(n % to.len() as u64).unwrap_or(0);
                let asked = Instant::now();
                acquire.send(())?;
                let event = open(&voice, to[place])?;
                release.lock().unwrap_or_else(PoisonError::into_inner).recv()?;
                waits.push(receipts.of(&event)?.saturating_duration_since(asked));
            }
        };
        let writers: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(write)).collect();
        let waits: Result<Vec<_>, Loose> =
            writers.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect();
        done.store(true, Ordering::Relaxed);
        waits
    })?;
    let mut waits: Vec<Duration> = waits.concat();
    waits.sort_unstable();
    let took = receipts.last().unwrap_or(began).saturating_duration_since(began);
    Ok(Sent { per_s: waits.len() as f64 / took.as_secs_f64(), p50: rank(&waits, 50), p99: rank(&waits, 99) })
}

/// Has the node record a request; gives its event.
fn open(voice: &Voice, to: &str) -> Result<String, Loose> {
    let body = json!({
        "request_id": fresh_id(), "procedure": "PRES", "recipients": [to], "authority": "central",
        "fields": smallest_request(),
    });
    loop {
        match voice.ask("POST", "/v1/requests", Some(&body)) {
            Some((200 | 201, done)) => return Ok(done["event_id"].as_str().ok_or("no event")?.to_owned()),
            Some((503 | 504 | 409, _)) | None => pause(AGAIN), // busy, late or in progress
            Some((status, problem)) => return Err(format!("{status} {problem}").into()),
        }
    }
}

/// Receipts as they are read, and who waits for them.
#[derive(Default)]
struct Receipts {
    seen: Mutex<Seen>,
    more: Condvar,
}

#[derive(Default)]
struct Seen {
    at: BTreeMap<String, Instant>,
    last: Option<Instant>,
}

impl Receipts {
    /// Reads the feed until all is done.
    fn read(&self, voice: &Voice, done: &AtomicBool) {
        let mut after = String::new();
        while !done.load(Ordering::Relaxed) {
            let Some((200, page)) = voice.ask("GET", &format!("/v1/events?wait=1&limit=500{after}"), None) else {
                pause(AGAIN);
                continue;
            };
            let at = Instant::now();
            let items = page["events"].as_array().into_iter().flatten();
            let events = items.filter(|item| item["kind"] == "receipt").filter_map(|item| item["event_id"].as_str());
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for event in events {
                seen.at.insert(event.to_owned(), at);
                seen.last = Some(at);
            }
            drop(seen);
            self.more.notify_all();
            after = format!("&after={}", page["cursor"].as_str().unwrap_or_default());
        }
    }

    /// When the receipt for an event was read.
    fn of(&self, event: &str) -> Result<Instant, Loose> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |seen: &mut Seen| !seen.at.contains_key(event);
        let waited = self.more.wait_timeout_while(seen, RECEIPT_WAIT, missing);
        let (mut seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        seen.at.remove(event).ok_or_else(|| "a receipt did not come within a minute".into())
    }

    fn last(&self) -> Option<Instant> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).last
    }
}
