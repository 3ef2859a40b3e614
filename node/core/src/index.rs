//! The index: what can be asked quickly about the ledger, and nothing that is not in it.
//!
//! It is an ordered set of byte pairs with two homes (memory here, an embedded database in the
//! node). [`Index::apply`] is the only way in: it turns one record into one atomic batch, in daily
//! work and when rebuilding alike, and the batch carries the position it brings the index to. So
//! the index is always an exact prefix of the ledger and may be thrown away at any time. It holds
//! ids, codes, times and numbers; no text, no secret, no sole copy. States and deadlines in it are as the rules were that
//! each record was applied with, so the position also says which these were ([`Index::is_under`]).
//! What goes when a request is erased, and what stays, is in `erasure`.

mod erasure;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use crate::{
    case::Case,
    clock::Reckoning,
    crypto::sha256,
    event::{Header, Slip},
    ids::{Digest, EventId, LedgerIndex, PartyCode, RequestId, ThreadId, Time},
    procedure::{self, whose_turn},
    profile::Kind,
    proto::{
        AnswerRow, AppliedRow, CasePart, DocumentRow, EventRow, Lane, LedgersRow, NodePart, NumbersRow, OwedRow,
        RecordKind, SeenRow, SlipRow, ThreadRow,
    },
    rules::Rules,
};

/// Why the index cannot answer. It can always be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexFault {
    /// The embedded database failed.
    #[error("index.unavailable: the index did not answer; nothing is lost; restart the node to rebuild it")]
    Unavailable,
    /// A row does not read back.
    #[error("index.damaged: a row of the index does not read; nothing is lost; delete the index folder and restart")]
    Damaged,
    /// A record was applied out of order.
    #[error("index.out-of-order: record {got} was applied where {want} was expected; restart the node to rebuild it")]
    OutOfOrder {
        /// The position expected.
        want: u64,
        /// The position given.
        got: u64,
    },
}

impl IndexFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable => "index.unavailable",
            Self::Damaged => "index.damaged",
            Self::OutOfOrder { .. } => "index.out-of-order",
        }
    }
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key.
    Delete(Vec<u8>),
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// An ordered map of bytes: where the index lives.
pub trait Pairs {
    /// The value of a key.
    ///
    /// # Errors
    /// When the home of the pairs fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault>;

    /// At most `max` pairs with `from <= key < until`, ascending.
    ///
    /// # Errors
    /// When the home of the pairs fails.
    fn range(&self, from: &[u8], until: &[u8], max: usize) -> Result<Vec<Pair>, IndexFault>;

    /// Applies all changes or none.
    ///
    /// # Errors
    /// When the home of the pairs fails.
    fn apply(&mut self, batch: &[Change]) -> Result<(), IndexFault>;
}

/// Pairs in memory: for simulation, tests and small tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryPairs(BTreeMap<Vec<u8>, Vec<u8>>);

impl Pairs for MemoryPairs {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        Ok(self.0.get(key).cloned())
    }

    fn range(&self, from: &[u8], until: &[u8], max: usize) -> Result<Vec<Pair>, IndexFault> {
        if from >= until {
            return Ok(Vec::new());
        }
        let rows = self.0.range(from.to_vec()..until.to_vec()).take(max);
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn apply(&mut self, batch: &[Change]) -> Result<(), IndexFault> {
        for change in batch {
            match change {
                Change::Put(key, value) => drop(self.0.insert(key.clone(), value.clone())),
                Change::Delete(key) => drop(self.0.remove(key)),
            }
        }
        Ok(())
    }
}

/// A record as the index reads it: the case part is gone once its request is erased.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    /// Where it stands.
    pub index: LedgerIndex,
    /// One of the closed list.
    pub kind: RecordKind,
    /// What is known for ever.
    pub node: &'a NodePart,
    /// What goes with the request.
    pub case: Option<&'a CasePart>,
}

/// Events read of one thread at a time: a bound on memory, far above the 100 of a large case.
pub const THREAD_EVENTS_MAX: usize = 10_000;

/// Custody statements read of one manifest: it is sealed once, released and verified once a delivery.
const STATEMENTS_MAX: usize = 1_000;

/// Rows read at a time where all of a kind are looked at.
const PAGE: usize = 1_024;
/// Bytes of an event id and of a thread id in a key.
const EVENT_ID: usize = 32;
const THREAD_ID: usize = 32;

/// Documents of one kind and Party: number and place of each.
type Numbered = Vec<(u64, u64)>;

/// What the law of an index is digested with. The number goes up with a build in which the same records and the same rule
/// files give other rows than before: then the index is built anew, as under another law.
const LAW: &[u8] = b"comity index law v1\0";

/// Documents read of one kind and Party: a directory a week for sixty years.
const DOCUMENTS_MAX: usize = 3_200;

/// Questions and changes over some pairs.
#[derive(Debug, Clone, Default)]
pub struct Index<P> {
    pairs: P,
}

impl<P: Pairs> Index<P> {
    /// An index over these pairs.
    pub fn new(pairs: P) -> Self {
        Self { pairs }
    }

    /// The pairs themselves.
    pub fn pairs(&self) -> &P {
        &self.pairs
    }

    /// Gives the pairs back.
    pub fn into_pairs(self) -> P {
        self.pairs
    }

    /// How far the index follows the ledger, and the time of the last record applied.
    ///
    /// # Errors
    /// When the pairs fail or do not read.
    pub fn applied(&self) -> Result<(u64, Time), IndexFault> {
        let row: AppliedRow = self.row(b"a")?.unwrap_or_default();
        Ok((row.size, Time(row.recorded_ms)))
    }

    /// Whether all its rows were made under these rules. If not it is to be built anew: where requests stand and what is due in
    /// it may be as another law has it. One without a record is under any.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn is_under(&self, rules: &Rules) -> Result<bool, IndexFault> {
        let row: AppliedRow = self.row(b"a")?.unwrap_or_default();
        Ok(row.size == 0 || row.law == law(rules))
    }

    /// True if it was begun, by a record or by a [`beginning`].
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn is_begun(&self) -> Result<bool, IndexFault> {
        Ok(self.row::<AppliedRow>(b"a")?.is_some())
    }

    /// Where an event stands, if this ledger holds it or a refusal of it.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn seen(&self, event: &EventId) -> Result<Option<SeenRow>, IndexFault> {
        self.row(&key(b'e', &[event.as_bytes()]))
    }

    /// The events of a thread in ledger order.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn events(&self, thread: &ThreadId) -> Result<Vec<EventRow>, IndexFault> {
        self.rows(&key(b't', &[thread.as_bytes()]), &[], THREAD_EVENTS_MAX)?
            .into_iter()
            .map(|(_, row)| Ok(row))
            .collect()
    }

    /// Where a thread stands.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadRow>, IndexFault> {
        self.row(&key(b'q', &[thread.as_bytes()]))
    }

    /// The threads after `after` in id order, at most `max`.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn threads(&self, after: Option<&ThreadId>, max: usize) -> Result<Vec<(ThreadId, ThreadRow)>, IndexFault> {
        let after = after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
        let rows = self.rows(b"q", &after, max.saturating_add(1))?;
        let threads = rows.into_iter().map(|(rest, row)| Ok((thread_of(&rest)?, row)));
        threads
            .filter(|row: &Result<(ThreadId, ThreadRow), IndexFault>| {
                row.as_ref().map_or(true, |(id, _)| id.as_bytes()[..] > after[..])
            })
            .take(max)
            .collect()
    }

    /// Threads of a request here: one unless there are linked audiences.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn threads_of(&self, request: &RequestId) -> Result<Vec<ThreadId>, IndexFault> {
        let prefix = key(b'r', &[request.as_bytes()]);
        let rows = self.pairs.range(&prefix, &until(&prefix), THREAD_EVENTS_MAX)?;
        rows.iter().map(|(key, _)| thread_of(&key[prefix.len()..])).collect()
    }

    /// Threads with a running clock, soonest deadline first.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn by_deadline(&self, max: usize) -> Result<Vec<(Time, ThreadId)>, IndexFault> {
        let rows = self.pairs.range(b"c", b"d", max)?;
        rows.iter().map(|(key, _)| Ok((Time(number_of(&key[1..])?), thread_of(&key[9..])?))).collect()
    }

    /// Deliveries owed to a Party in a lane after the place `after` (ledger and number), in order.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn owed(
        &self,
        to: &PartyCode,
        lane: Lane,
        after: (u32, u64),
        max: usize,
    ) -> Result<Vec<(Slip, OwedRow)>, IndexFault> {
        let prefix = lane_key(b'o', to, lane);
        let rows = self.rows(&prefix, &numbered(after.0, after.1.saturating_add(1)), max)?;
        let slip = |rest: &[u8]| {
            let (ledger, number) = rest.split_first_chunk::<4>().ok_or(IndexFault::Damaged)?;
            Ok(Slip { ledger: u32::from_be_bytes(*ledger), lane, number: number_of(number)? })
        };
        rows.into_iter().map(|(rest, row)| Ok((slip(&rest)?, row))).collect()
    }

    /// The last slip number given out to a Party in a lane, in this ledger of ours.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn last_number(&self, to: &PartyCode, lane: Lane, ledger: u32) -> Result<u64, IndexFault> {
        self.pairs.get(&ledger_key(b'n', to, lane, ledger))?.map_or(Ok(0), |value| number_of(&value))
    }

    /// Slip numbers seen from a ledger of a Party in a lane.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn numbers(&self, from: &PartyCode, lane: Lane, ledger: u32) -> Result<NumbersRow, IndexFault> {
        Ok(self.row(&ledger_key(b'g', from, lane, ledger))?.unwrap_or_default())
    }

    /// How many ledgers of a Party are known, each after the first having taken the place of one that was restored.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn ledgers(&self, of: &PartyCode) -> Result<u32, IndexFault> {
        Ok(self.row::<LedgersRow>(&key(b'l', &[of.as_str().as_bytes()]))?.map_or(1, |row| row.count))
    }

    /// The event a command caused, if it was carried out.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn command(&self, id: &[u8; 16]) -> Result<Option<EventId>, IndexFault> {
        let value = self.pairs.get(&key(b'k', &[id]))?;
        value.map(|id| EventId::from_slice(&id).map_err(|_| IndexFault::Damaged)).transpose()
    }

    /// Our custody statements about a manifest, in ledger order: their record ids.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn custody(&self, manifest: &Digest) -> Result<Vec<Digest>, IndexFault> {
        let prefix = key(b'm', &[manifest.as_bytes()]);
        let rows = self.pairs.range(&prefix, &until(&prefix), STATEMENTS_MAX)?;
        rows.iter().map(|(_, id)| Digest::from_slice(id).map_err(|_| IndexFault::Damaged)).collect()
    }

    /// What a Party answered to an event of ours.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn answer(&self, event: &EventId, party: &PartyCode) -> Result<Option<AnswerRow>, IndexFault> {
        self.row(&key(b'p', &[event.as_bytes(), party.as_str().as_bytes()]))
    }

    /// The documents of a kind and Party (none: charters) from this number on, ascending by number and then by when they
    /// were seen; those that prove a fork apart.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn documents(
        &self,
        kind: Kind,
        party: Option<&PartyCode>,
        from: u64,
        forks: bool,
    ) -> Result<Vec<(u64, DocumentRow)>, IndexFault> {
        let record = if forks { RecordKind::ForkProof } else { RecordKind::RosterChange };
        let prefix = document_key(record, kind.name(), party.map_or("", PartyCode::as_str));
        let rows = self.rows(&prefix, &from.to_be_bytes(), DOCUMENTS_MAX)?;
        rows.into_iter().map(|(rest, row)| Ok((number_of(&rest)?, row))).collect()
    }

    /// Where the documents stand from which all that is known of charter and Parties follows, ascending: every charter, of
    /// each Party the newest profile and directory with the profile it belongs to, and whatever suspends it.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn standing_documents(&self) -> Result<Vec<LedgerIndex>, IndexFault> {
        let prefix = key(b'd', &[&[RecordKind::RosterChange as u8]]);
        let mut of: BTreeMap<(Vec<u8>, Kind), Numbered> = BTreeMap::new();
        for (rest, row) in self.rows::<DocumentRow>(&prefix, &[], usize::MAX)? {
            let mut parts = rest.splitn(3, |byte| *byte == b'/');
            let (Some(kind), Some(party), Some(number)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(IndexFault::Damaged);
            };
            let kind = std::str::from_utf8(kind).ok().and_then(Kind::named).ok_or(IndexFault::Damaged)?;
            of.entry((party.to_vec(), kind)).or_default().push((number_of(number)?, row.index));
        }
        let mut standing = BTreeSet::new();
        for ((party, kind), rows) in &of {
            let others = |kind| of.get(&(party.clone(), kind)).map(Vec::as_slice).unwrap_or_default();
            let newest = others(Kind::Profile).last().map_or(0, |(version, _)| *version);
            match kind {
                Kind::Charter => standing.extend(rows.iter().map(|(_, index)| *index)),
                Kind::Profile => standing.extend(rows.last().map(|(_, index)| *index)),
                Kind::Directory => {
                    // Numbered anew under each profile: the newest is the one recorded last.
                    let Some(directory) = rows.iter().map(|(_, index)| index).max() else { continue };
                    let before = others(Kind::Profile).iter().rfind(|(_, index)| index < directory);
                    standing.extend(before.map(|(_, index)| *index).into_iter().chain([*directory]));
                }
                Kind::Suspension => {
                    let lasting = rows.iter().filter(|(version, _)| *version >= newest);
                    standing.extend(lasting.map(|(_, index)| *index));
                }
                Kind::Head => {}
            }
        }
        Ok(standing.into_iter().map(LedgerIndex).collect())
    }

    /// Follows the ledger by one record, atomically.
    ///
    /// # Errors
    /// When the record is not the next one, or the pairs fail.
    pub fn apply(&mut self, record: RecordView<'_>, rules: &Rules) -> Result<(), IndexFault> {
        let (size, last) = self.applied()?;
        if record.index.0 != size {
            return Err(IndexFault::OutOfOrder { want: size, got: record.index.0 });
        }
        let recorded_ms = record.node.recorded_ms.max(last.0);
        let mut batch = vec![put(b"a".to_vec(), &AppliedRow { size: size + 1, recorded_ms, law: law(rules) })];
        match record.kind {
            RecordKind::EventSent => self.apply_sent(&record, rules, &mut batch)?,
            RecordKind::EventReceived => self.apply_received(&record, rules, &mut batch)?,
            RecordKind::Receipt => self.apply_answer(&record, &mut batch)?,
            RecordKind::RefusalTaken => {
                self.apply_answer(&record, &mut batch)?;
                self.apply_void(&record, rules, &mut batch)?;
            }
            RecordKind::RefusalGiven => self.apply_refusal_given(&record, &mut batch)?,
            RecordKind::Custody => Self::apply_custody(&record, &mut batch),
            RecordKind::ForkProof => Self::apply_document(&record, &mut batch),
            RecordKind::RosterChange | RecordKind::Succession => {
                Self::apply_document(&record, &mut batch);
                self.apply_ledgers(&record, &mut batch)?;
            }
            RecordKind::ErasureIntent => self.apply_intent(&record, &mut batch)?,
            RecordKind::Erasure => self.apply_erasure(&record, &mut batch)?,
            // The last two stand in the audit tree, which the index does not follow.
            RecordKind::Unspecified
            | RecordKind::WitnessNote
            | RecordKind::Access
            | RecordKind::Act
            | RecordKind::Approval => {}
        }
        self.pairs.apply(&batch)
    }

    fn apply_custody(record: &RecordView<'_>, batch: &mut Vec<Change>) {
        let node = record.node;
        batch.push(seen(record, &node.record_id));
        batch.push(Change::Put(key(b'k', &[&node.command_id]), node.record_id.clone()));
        if record.case.is_none() {
            return;
        }
        let place = key(b'm', &[&node.manifest, &record.index.0.to_be_bytes()]);
        batch.push(Change::Put(place, node.record_id.clone()));
        batch.push(Change::Put(key(b'w', &[&node.request_id, &node.manifest]), Vec::new()));
    }

    fn apply_document(record: &RecordView<'_>, batch: &mut Vec<Change>) {
        let node = record.node;
        let row =
            DocumentRow { index: record.index.0, document_id: node.record_id.clone(), recorded_ms: node.recorded_ms };
        let kind = if record.kind == RecordKind::ForkProof { record.kind } else { RecordKind::RosterChange };
        let of = document_key(kind, &node.code, &node.peer);
        batch.push(put([&of[..], &node.version.to_be_bytes(), &record.index.0.to_be_bytes()].concat(), &row));
        batch.push(seen(record, &node.record_id));
    }

    /// A Party's profile names a ledger that took the place of one before: what that Party had recorded from there on is
    /// lost to it. Its receipts for events of ours count no more, these are owed again; its events are given back.
    fn apply_ledgers(&self, record: &RecordView<'_>, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let Ok(party) = PartyCode::parse(&record.node.peer) else { return Ok(()) };
        let known = self.ledgers(&party)?;
        let new = record.node.begins.get(known as usize - 1..).unwrap_or_default();
        let Some(from) = new.iter().min().copied() else { return Ok(()) };
        let count = known.saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX));
        batch.push(put(key(b'l', &[party.as_str().as_bytes()]), &LedgersRow { count }));
        self.each_row(b"p", |rest, answer: AnswerRow| {
            let of = rest.strip_suffix(party.as_str().as_bytes()).filter(|event| event.len() == EVENT_ID);
            let lost = answer.kind() == RecordKind::Receipt && answer.peer_index >= from;
            match of {
                Some(event) if lost => self.owe_again(record, &party, event, &answer, batch),
                Some(_) | None => Ok(()),
            }
        })?;
        self.each_row(b"t", |rest, row: EventRow| {
            let received = row.kind() == RecordKind::EventReceived && row.author == party.as_str();
            if received && !row.void && row.peer_index >= from {
                let slip = SlipRow { lane: Lane::Return as i32, number: row.index, ..SlipRow::default() };
                batch.push(put(owed_key(&party, &slip), &owed(record, &row.event_id, row.index, &rest[..THREAD_ID])));
                batch.push(put([b"t", rest].concat(), &EventRow { lost: true, ..row }));
            }
            Ok(())
        })
    }

    fn owe_again(
        &self,
        record: &RecordView<'_>,
        party: &PartyCode,
        event: &[u8],
        answer: &AnswerRow,
        batch: &mut Vec<Change>,
    ) -> Result<(), IndexFault> {
        batch.push(Change::Delete(key(b'p', &[event, party.as_str().as_bytes()])));
        let id = EventId::from_slice(event).map_err(|_| IndexFault::Damaged)?;
        let seen = self.seen(&id)?.ok_or(IndexFault::Damaged)?;
        let slip = answer.slip.as_ref().filter(|slip| slip.lane() != Lane::Return);
        let stands = self.pairs.get(&event_key(&thread_of(&seen.thread_id)?, seen.index))?.is_some();
        if let Some(slip) = slip.filter(|_| stands) {
            batch.push(put(owed_key(party, slip), &owed(record, event, seen.index, &seen.thread_id)));
        }
        Ok(())
    }

    fn apply_sent(&self, record: &RecordView<'_>, rules: &Rules, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let node = record.node;
        if !node.command_id.is_empty() {
            batch.push(Change::Put(key(b'k', &[&node.command_id]), node.record_id.clone()));
        }
        for slip in &node.slips {
            let to = PartyCode::parse(&slip.to).map_err(|_| IndexFault::Damaged)?;
            batch.push(put(owed_key(&to, slip), &owed(record, &node.record_id, record.index.0, &node.thread_id)));
            let last = ledger_key(b'n', &to, slip.lane(), slip.ledger);
            batch.push(Change::Put(last, slip.number.to_be_bytes().to_vec()));
        }
        self.apply_event(record, rules, batch)
    }

    fn apply_received(
        &self,
        record: &RecordView<'_>,
        rules: &Rules,
        batch: &mut Vec<Change>,
    ) -> Result<(), IndexFault> {
        self.count_number(record, batch)?;
        self.apply_event(record, rules, batch)
    }

    fn apply_event(&self, record: &RecordView<'_>, rules: &Rules, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let node = record.node;
        batch.push(seen(record, &node.record_id));
        let Some(mut row) = event_row(record)? else { return Ok(()) }; // erased: the ids above are all that stays
        let thread = ThreadId::from_slice(&node.thread_id).map_err(|_| IndexFault::Damaged)?;
        let mut rows = self.events(&thread)?;
        // The refusal of a parent may have come while this one was being signed.
        row.void = rows.iter().any(|other| other.void && row.parents.contains(&other.event_id));
        batch.push(put(event_key(&thread, row.index), &row));
        batch.push(Change::Put(key(b'r', &[&node.request_id, &node.thread_id]), Vec::new()));
        rows.push(row);
        self.stand(&thread, &rows, rules, batch)
    }

    /// A refused event of ours is void, and so is all that descends from it.
    fn apply_void(&self, record: &RecordView<'_>, rules: &Rules, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let Ok(thread) = ThreadId::from_slice(&record.node.thread_id) else { return Ok(()) };
        let mut rows = self.events(&thread)?;
        let mut void = BTreeSet::from([record.node.answers.clone()]);
        for row in &mut rows {
            let fell = void.contains(&row.event_id) || row.parents.iter().any(|parent| void.contains(parent));
            if fell && !row.void {
                row.void = true;
                batch.push(put(event_key(&thread, row.index), row));
            }
            if fell {
                void.insert(row.event_id.clone());
            }
        }
        self.stand(&thread, &rows, rules, batch)
    }

    fn apply_answer(&self, record: &RecordView<'_>, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let node = record.node;
        let answer = AnswerRow {
            index: record.index.0,
            kind: record.kind as i32,
            recorded_ms: node.recorded_ms,
            peer_index: node.peer_index,
            code: node.code.clone(),
            slip: node.slips.first().cloned(),
        };
        if record.case.is_some() {
            batch.push(put(key(b'p', &[&node.answers, node.peer.as_bytes()]), &answer));
        }
        let (peer, slip) = peer_slip(node)?;
        batch.push(Change::Delete(owed_key(&peer, slip)));
        if slip.lane() == Lane::Return { self.apply_taken_back(record, slip.number, batch) } else { Ok(()) }
    }

    /// The author of an event received here has it again, at another place.
    fn apply_taken_back(&self, record: &RecordView<'_>, index: u64, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let Ok(thread) = thread_of(&record.node.thread_id) else { return Ok(()) }; // erased: nothing stands there
        let place = event_key(&thread, index);
        let row: Option<EventRow> = self.row(&place)?;
        if let Some(row) = row.filter(|row| row.lost) {
            batch.push(put(place, &EventRow { lost: false, peer_index: record.node.peer_index, ..row }));
        }
        Ok(())
    }

    fn apply_refusal_given(&self, record: &RecordView<'_>, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        batch.push(seen(record, &record.node.answers));
        self.count_number(record, batch)
    }

    fn count_number(&self, record: &RecordView<'_>, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let (peer, slip) = peer_slip(record.node)?;
        let numbers = self.numbers(&peer, slip.lane(), slip.ledger)?;
        let numbers = NumbersRow { highest: numbers.highest.max(slip.number), count: numbers.count + 1 };
        batch.push(put(ledger_key(b'g', &peer, slip.lane(), slip.ledger), &numbers));
        Ok(())
    }

    /// Writes where the thread stands now, and moves it in the order of deadlines.
    fn stand(
        &self,
        thread: &ThreadId,
        rows: &[EventRow],
        rules: &Rules,
        batch: &mut Vec<Change>,
    ) -> Result<(), IndexFault> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        if let Some(old) = self.thread(thread)? {
            batch.extend(places_in_time(&old, thread).map(Change::Delete));
        }
        let case = Case::of(rows).map_err(|_| IndexFault::Damaged)?;
        let standing = case.standing(rules, Time(0)).map_err(|_| IndexFault::Damaged)?;
        let (state, turn, closes) = match &standing {
            Some(standing) if !case.is_void() => (standing.name(), whose_turn(standing), standing.closes()),
            Some(_) | None => ("void", None, Some(Time(0))),
        };
        let clocks = standing.iter().flat_map(|standing| procedure::clocks(rules, standing, &Reckoning::utc()));
        let due = clocks.map(|clock| clock.due.0).min().unwrap_or(0);
        let mut members: Vec<String> = first.recipients.iter().chain([&first.author]).cloned().collect();
        members.sort();
        let row = ThreadRow {
            request_id: first.request_id.clone(),
            procedure: first.procedure.clone(),
            members,
            requesting: first.author.clone(),
            state: state.to_owned(),
            turn: turn.map_or(0, |side| crate::proto::Side::from(side) as u32),
            due_ms: due,
            opened_ms: first.recorded_ms,
            updated_ms: last.recorded_ms,
            last_index: last.index,
            // What was recorded after its end is kept as long as if it had ended then.
            ended_ms: closes.map_or(0, |closes| closes.0.max(last.recorded_ms)),
        };
        batch.push(put(key(b'q', &[thread.as_bytes()]), &row));
        batch.extend(places_in_time(&row, thread).map(|place| Change::Put(place, Vec::new())));
        Ok(())
    }

    fn row<M: Message + Default>(&self, key: &[u8]) -> Result<Option<M>, IndexFault> {
        self.pairs.get(key)?.map(|value| M::decode(&value[..]).map_err(|_| IndexFault::Damaged)).transpose()
    }

    /// Every row under a prefix, a page at a time: there may be millions.
    fn each_row<M: Message + Default>(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], M) -> Result<(), IndexFault>,
    ) -> Result<(), IndexFault> {
        let mut from = prefix.to_vec();
        loop {
            let page = self.pairs.range(&from, &until(prefix), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = [&last[..], &[0]].concat();
            for (key, value) in &page {
                each(&key[prefix.len()..], M::decode(&value[..]).map_err(|_| IndexFault::Damaged)?)?;
            }
        }
    }

    /// Rows under a prefix from `from` on: (the key's rest, the row).
    fn rows<M: Message + Default>(
        &self,
        prefix: &[u8],
        from: &[u8],
        max: usize,
    ) -> Result<Vec<(Vec<u8>, M)>, IndexFault> {
        let rows = self.pairs.range(&[prefix, from].concat(), &until(prefix), max)?;
        let read = |(key, value): (Vec<u8>, Vec<u8>)| {
            Ok((key[prefix.len()..].to_vec(), M::decode(&value[..]).map_err(|_| IndexFault::Damaged)?))
        };
        rows.into_iter().map(read).collect()
    }
}

fn event_row(record: &RecordView<'_>) -> Result<Option<EventRow>, IndexFault> {
    let Some(case) = record.case else { return Ok(None) };
    let header = Header::from_wire(&case.header).map_err(|_| IndexFault::Damaged)?;
    Ok(Some(EventRow {
        event_id: record.node.record_id.clone(),
        kind: record.kind as i32,
        procedure: header.procedure.to_string(),
        step: header.step.to_string(),
        author: header.author.to_string(),
        authority: header.authority.to_string(),
        parents: header.parents.iter().map(|id| id.as_bytes().to_vec()).collect(),
        recipients: header.recipients.iter().map(PartyCode::to_string).collect(),
        time_ms: header.time.0,
        recorded_ms: record.node.recorded_ms,
        void: false,
        facts: case.facts.clone(),
        request_id: header.request.as_bytes().to_vec(),
        index: record.index.0,
        peer_index: record.node.peer_index,
        lost: false,
    }))
}

/// The row of an index under these rules that follows no record yet.
#[must_use]
pub fn beginning(rules: &Rules) -> Change {
    put(b"a".to_vec(), &AppliedRow { size: 0, recorded_ms: 0, law: law(rules) })
}

/// The peer of a record and the slip received or answered.
fn peer_slip(node: &NodePart) -> Result<(PartyCode, &SlipRow), IndexFault> {
    let peer = PartyCode::parse(&node.peer).map_err(|_| IndexFault::Damaged)?;
    Ok((peer, node.slips.first().ok_or(IndexFault::Damaged)?))
}

fn seen(record: &RecordView<'_>, event: &[u8]) -> Change {
    let row = SeenRow {
        index: record.index.0,
        kind: record.kind as i32,
        thread_id: record.node.thread_id.clone(),
        peer: record.node.peer.clone(),
    };
    put(key(b'e', &[event]), &row)
}

fn law(rules: &Rules) -> Vec<u8> {
    sha256(&[LAW, rules.digest().as_bytes()]).as_bytes().to_vec()
}

fn put(key: Vec<u8>, row: &impl Message) -> Change {
    Change::Put(key, row.encode_to_vec())
}

fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[kind], &parts.concat()[..]].concat()
}

fn document_key(record: RecordKind, kind: &str, party: &str) -> Vec<u8> {
    key(b'd', &[&[record as u8], kind.as_bytes(), b"/", party.as_bytes(), b"/"])
}

fn lane_key(kind: u8, party: &PartyCode, lane: Lane) -> Vec<u8> {
    key(kind, &[party.as_str().as_bytes(), &[lane as u8]])
}

/// A lane of one ledger.
fn ledger_key(kind: u8, party: &PartyCode, lane: Lane, ledger: u32) -> Vec<u8> {
    [&lane_key(kind, party, lane)[..], &ledger.to_be_bytes()].concat()
}

fn numbered(ledger: u32, number: u64) -> Vec<u8> {
    [&ledger.to_be_bytes()[..], &number.to_be_bytes()].concat()
}

fn owed_key(to: &PartyCode, slip: &SlipRow) -> Vec<u8> {
    [lane_key(b'o', to, slip.lane()), numbered(slip.ledger, slip.number)].concat()
}

fn owed(record: &RecordView<'_>, event: &[u8], index: u64, thread: &[u8]) -> OwedRow {
    OwedRow { event_id: event.to_vec(), index, recorded_ms: record.node.recorded_ms, thread_id: thread.to_vec() }
}

fn event_key(thread: &ThreadId, index: u64) -> Vec<u8> {
    key(b't', &[thread.as_bytes(), &index.to_be_bytes()])
}

/// Where a thread stands in the order of deadlines, and in that of ends within its procedure.
fn places_in_time(row: &ThreadRow, thread: &ThreadId) -> impl Iterator<Item = Vec<u8>> + use<> {
    let due = (row.due_ms != 0).then(|| key(b'c', &[&row.due_ms.to_be_bytes(), thread.as_bytes()]));
    let ended = (row.ended_ms != 0)
        .then(|| [&ended_key(&row.procedure)[..], &row.ended_ms.to_be_bytes(), thread.as_bytes()].concat());
    due.into_iter().chain(ended)
}

fn ended_key(procedure: &str) -> Vec<u8> {
    key(b'z', &[procedure.as_bytes(), b"/"])
}

/// The first key after all keys with this prefix. Prefixes begin with a letter, so one exists.
fn until(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

fn number_of(bytes: &[u8]) -> Result<u64, IndexFault> {
    let first = bytes.first_chunk::<8>().ok_or(IndexFault::Damaged)?;
    Ok(u64::from_be_bytes(*first))
}

fn thread_of(bytes: &[u8]) -> Result<ThreadId, IndexFault> {
    ThreadId::from_slice(bytes).map_err(|_| IndexFault::Damaged)
}
