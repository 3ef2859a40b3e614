//! How peers behave: what each did wrong, and who is cut off for it until when.
//!
//! Every wrong has a weight. Weights add up and fade by half every ten minutes, so that a fault now and then never
//! matters and a storm of them does; at [`CUT_OFF_AT`] the Party is cut off, each time for twice as long, from one
//! minute to an hour. It comes back by itself when that time is over, or when a person says so. Nothing owed
//! is lost meanwhile, on neither side. This room judges and remembers; the network closes the door by what
//! [`Conduct::cut_off`] says, and the desk keeps what [`Conduct::take_changes`] hands out, so that a
//! restart forgives nobody. Start with [`Conduct::wrong`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use comity_core::ids::{PartyCode, Time};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

/// The Parties that are cut off now.
pub type CutOff = BTreeSet<PartyCode>;

/// The score at which a Party is cut off: two grave wrongs within a minute, or fifteen slight ones.
pub const CUT_OFF_AT: f64 = 15.0;
/// In this time a score fades to a half, in milliseconds.
const HALF_MS: f64 = 600_000.0;
/// The first time a Party is cut off, in milliseconds; doubled each time.
const CUT_MS_MIN: u64 = 60_000;
/// The longest. An honest Party with a broken machine must be heard again on the day it is mended.
const CUT_MS_MAX: u64 = 3_600_000;
/// After so long without a cut the next one is the first again, in milliseconds.
const FORGOTTEN_MS: u64 = 86_400_000;
/// Frames kept as proof of one Party's wrongs: the first of each code.
const PROOFS_MAX: usize = 4;
/// Bytes of proofs waiting to be kept: half of what the desk takes at once.
const WAITING_MAX: usize = 2 << 20;
/// Where proofs lie on the desk.
pub const PROOF_PREFIX: &[u8] = b"proof/";

/// Where on the desk the frame lies that first showed this wrong of a Party; eight bytes of time, then the frame.
#[must_use]
pub fn proof_key(party: &PartyCode, code: &str) -> Vec<u8> {
    [PROOF_PREFIX, party.as_str().as_bytes(), b"/", code.as_bytes()].concat()
}

/// How much a wrong weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// What two honest Parties may see when a clock is wrong or a profile is old: shown, never held against.
    None,
    /// What an honest Party with wrong keys or settings may do, and goes on doing until it is told.
    Slight,
    /// What only faulty or hostile software does.
    Grave,
}

impl Severity {
    /// The severity of a wrong by its stable code. One this table does not name is grave.
    #[must_use]
    pub fn of(code: &str) -> Self {
        match code {
            "event.time-ahead" | "event.unknown-author" | "event.unknown-ledger" => Self::None,
            "event.bad-signature"
            | "event.body-sealed"
            | "event.not-for-us"
            | "event.wrong-network"
            | "net.too-many-streams"
            | "profile.roll-back" => Self::Slight,
            _ => Self::Grave,
        }
    }

    const fn weight(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Slight => 1.0,
            Self::Grave => 8.0,
        }
    }
}

/// One kind of wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// The last time, in milliseconds since 1970.
    pub last_ms: u64,
    /// Whether the frame that shows it first is kept on the desk.
    pub proof: bool,
}

/// What is known of one Party.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The score when the last wrong was added.
    score: f64,
    /// When that was.
    at_ms: u64,
    /// How often it was cut off in a row.
    cuts: u32,
    /// Until when it is cut off; nothing if it is not.
    until_ms: Option<u64>,
    /// When it was cut off last.
    cut_ms: u64,
    /// What it did, by code.
    pub wrongs: BTreeMap<String, Seen>,
}

impl Standing {
    /// How many wrongs there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.wrongs.values().map(|seen| seen.count).sum()
    }

    /// Until when it is cut off.
    #[must_use]
    pub fn until(&self) -> Option<Time> {
        self.until_ms.map(Time)
    }

    fn score(&self, now: Time) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a score needs no exact milliseconds")]
        let halves = now.since(Time(self.at_ms)) as f64 / HALF_MS;
        self.score * (-halves).exp2()
    }

    fn add(&mut self, code: &'static str, now: Time) {
        let seen = self.wrongs.entry(code.to_owned()).or_insert(Seen { count: 0, last_ms: 0, proof: false });
        (seen.count, seen.last_ms) = (seen.count.saturating_add(1), now.0);
        (self.score, self.at_ms) = (self.score(now) + Severity::of(code).weight(), now.0);
        if self.until_ms.is_none() && self.score >= CUT_OFF_AT {
            let forgotten = now.since(Time(self.cut_ms)) > FORGOTTEN_MS;
            self.cuts = if forgotten { 1 } else { self.cuts.saturating_add(1) };
            let pause = CUT_MS_MIN.saturating_mul(1 << (self.cuts - 1).min(16)).min(CUT_MS_MAX);
            (self.cut_ms, self.until_ms, self.score) = (now.0, Some(now.0.saturating_add(pause)), 0.0);
        }
    }
}

/// What the desk has to keep.
#[derive(Debug, Default)]
pub struct Changes {
    /// Standings as they are now.
    pub standings: Vec<(PartyCode, Standing)>,
    /// Frames that show a wrong: whose, which code, the bytes as they came.
    pub proofs: Vec<(PartyCode, &'static str, Vec<u8>)>,
}

#[derive(Default)]
struct Book {
    parties: BTreeMap<PartyCode, Standing>,
    changed: BTreeSet<PartyCode>,
    proofs: Vec<(PartyCode, &'static str, Vec<u8>)>,
}

/// The conduct of all peers. Shared; every call is short and none waits.
pub struct Conduct {
    book: Mutex<Book>,
    cut: watch::Sender<CutOff>,
    news: Notify,
}

impl Conduct {
    /// As it was kept; whose time is over by `now` is let in again.
    #[must_use]
    pub fn new(kept: BTreeMap<PartyCode, Standing>, now: Time) -> Self {
        let book = Mutex::new(Book { parties: kept, ..Book::default() });
        let conduct = Self { book, cut: watch::Sender::default(), news: Notify::new() };
        conduct.release(now);
        conduct
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A Party did what no honest one does. `proof` is the frame that shows it, if there is one.
    pub fn wrong(&self, party: &PartyCode, code: &'static str, proof: Option<&[u8]>, now: Time) {
        tracing::warn!(target: "net", peer = %party, code, "misconduct");
        let mut book = self.book();
        let waiting: usize = book.proofs.iter().map(|(_, _, bytes)| bytes.len()).sum();
        let standing = book.parties.entry(party.clone()).or_default();
        standing.add(code, now);
        let kept = standing.wrongs.values().filter(|seen| seen.proof).count();
        let fits = |proof: &&[u8]| kept < PROOFS_MAX && waiting + proof.len() <= WAITING_MAX;
        let wanted = standing.wrongs.get_mut(code).filter(|seen| !seen.proof);
        if let (Some(seen), Some(proof)) = (wanted, proof.filter(fits)) {
            seen.proof = true;
            book.proofs.push((party.clone(), code, proof.to_vec()));
        }
        book.changed.insert(party.clone());
        if self.publish(&book) {
            tracing::warn!(target: "net", peer = %party, code = "net.cut-off", "cut off for its misconduct");
        }
        self.news.notify_one();
    }

    /// Lets a Party in again at once; its wrongs stay on the list. False if it was not cut off.
    pub fn readmit(&self, party: &PartyCode) -> bool {
        let mut book = self.book();
        let Some(standing) = book.parties.get_mut(party).filter(|standing| standing.until_ms.is_some()) else {
            return false;
        };
        (standing.until_ms, standing.score) = (None, 0.0);
        book.changed.insert(party.clone());
        self.publish(&book);
        self.news.notify_one();
        true
    }

    /// Lets in again whose time is over, and returns when the next one's is.
    pub fn release(&self, now: Time) -> Option<Time> {
        let mut book = self.book();
        let Book { parties, changed, .. } = &mut *book;
        for (party, standing) in parties.iter_mut() {
            if standing.until().is_some_and(|until| until <= now) {
                standing.until_ms = None;
                changed.insert(party.clone());
            }
        }
        self.publish(&book);
        book.parties.values().filter_map(Standing::until).min()
    }

    /// Tells who is cut off by the book, while nobody else may write in it. True if that is news.
    fn publish(&self, book: &Book) -> bool {
        let out = book.parties.iter().filter(|(_, standing)| standing.until_ms.is_some());
        let cut: CutOff = out.map(|(party, _)| party.clone()).collect();
        self.cut.send_if_modified(|told| {
            let news = *told != cut;
            *told = cut;
            news
        })
    }

    /// Who is cut off, now and from now on.
    #[must_use]
    pub fn cut_off(&self) -> watch::Receiver<CutOff> {
        self.cut.subscribe()
    }

    /// What is known of one Party.
    #[must_use]
    pub fn of(&self, party: &PartyCode) -> Standing {
        self.book().parties.get(party).cloned().unwrap_or_default()
    }

    /// Returns when there may be something to keep.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// What was not handed out before.
    pub fn take_changes(&self) -> Changes {
        let mut book = self.book();
        let changed = std::mem::take(&mut book.changed);
        let standing = |party: PartyCode| book.parties.get(&party).cloned().map(|standing| (party, standing));
        let standings = changed.into_iter().filter_map(standing).collect();
        Changes { standings, proofs: std::mem::take(&mut book.proofs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn party() -> PartyCode {
        PartyCode::parse("XB").expect("code")
    }

    fn is_out(conduct: &Conduct) -> bool {
        conduct.cut_off().borrow().contains(&party())
    }

    fn now(minutes: u64) -> Time {
        Time(1_800_000_000_000 + minutes * MINUTE)
    }

    #[test]
    fn grave_wrongs_cut_off_and_time_lets_in_again() {
        let conduct = Conduct::new(BTreeMap::new(), now(0));
        conduct.wrong(&party(), "net.bad-length", None, now(0));
        assert!(!is_out(&conduct));
        conduct.wrong(&party(), "net.bad-length", None, now(0));
        assert!(is_out(&conduct));
        assert_eq!(conduct.release(now(0)), Some(now(1)));
        assert!(is_out(&conduct));
        assert_eq!(conduct.release(now(1)), None);
        assert!(!is_out(&conduct));
        assert_eq!(conduct.of(&party()).count(), 2, "what was done stays on the list");
    }

    #[test]
    fn each_cut_is_longer_up_to_an_hour_and_a_quiet_day_is_forgotten() {
        let conduct = Conduct::new(BTreeMap::new(), now(0));
        let mut at = now(0);
        let cut = |at: Time| {
            (0..2).for_each(|_| conduct.wrong(&party(), "event.malformed", None, at));
            let until = conduct.of(&party()).until().expect("cut off");
            assert_eq!(conduct.release(until), None);
            (until, until.since(at) / MINUTE)
        };
        let mut lengths = Vec::new();
        for _ in 0..8 {
            let (until, minutes) = cut(at);
            (at, _) = (until, lengths.push(minutes));
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(cut(at.plus_ms(FORGOTTEN_MS + 1)).1, 1);
    }

    #[test]
    fn a_fault_now_and_then_never_matters() {
        let conduct = Conduct::new(BTreeMap::new(), now(0));
        (0..200).for_each(|n| conduct.wrong(&party(), "net.bad-length", None, now(n * 12)));
        assert!(!is_out(&conduct), "one grave wrong in twelve minutes");
        (0..14).for_each(|_| conduct.wrong(&party(), "event.bad-signature", None, now(5_000)));
        assert!(!is_out(&conduct));
        conduct.wrong(&party(), "event.time-ahead", None, now(5_000));
        assert!(!is_out(&conduct), "a wrong clock is shown and not held against anybody");
        conduct.wrong(&party(), "event.bad-signature", None, now(5_000));
        assert!(is_out(&conduct));
    }

    #[test]
    fn a_person_lets_in_and_a_restart_does_not() {
        let conduct = Conduct::new(BTreeMap::new(), now(0));
        assert!(!conduct.readmit(&party()));
        (0..2).for_each(|_| conduct.wrong(&party(), "event.malformed", Some(b"frame"), now(0)));
        let changes = conduct.take_changes();
        assert_eq!(changes.proofs, [(party(), "event.malformed", b"frame".to_vec())], "the first of a code");
        let kept: BTreeMap<_, _> = changes.standings.into_iter().collect();
        let text = serde_json::to_string(&kept[&party()]).expect("written");
        let read: Standing = serde_json::from_str(&text).expect("read");
        assert_eq!(read, kept[&party()]);
        let again = Conduct::new(kept, now(0));
        assert!(is_out(&again));
        assert!(again.readmit(&party()) && !is_out(&again) && !again.readmit(&party()));
        again.wrong(&party(), "event.malformed", None, now(0));
        assert!(!is_out(&again), "whom a person let in begins anew");
    }

    #[test]
    fn proofs_are_few_and_small_together() {
        let conduct = Conduct::new(BTreeMap::new(), now(0));
        let big = vec![0; WAITING_MAX / 2 + 1];
        for code in ["event.malformed", "event.bad-slip"] {
            conduct.wrong(&party(), code, Some(&big), now(0));
        }
        assert_eq!(conduct.take_changes().proofs.len(), 1);
        for code in ["event.bad-name", "event.bad-header", "event.bad-slip", "event.not-for-us", "event.body-mismatch"]
        {
            conduct.wrong(&party(), code, Some(b"x"), now(0));
        }
        assert_eq!(conduct.take_changes().proofs.len(), PROOFS_MAX - 1);
    }
}
