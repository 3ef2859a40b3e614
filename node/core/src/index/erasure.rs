//! What the index drops when a request is erased, what it says of it from then on, and which requests have ended.
//!
//! With the intent the index drops whatever it knows of the request from case parts, or needs only while the request lives.
//! A record whose case part is gone writes no such row either: so an index built anew is the same, wherever
//! between intent and erasure the keys were destroyed. What stays is what every record must find: event ids,
//! command ids, numbers, debts. Serves SPEC `[F-10]`.

use super::{
    Change, Index, IndexFault, Pairs, RecordView, ended_key, key, number_of, places_in_time, put, thread_of, until,
};
use crate::{
    ids::{ProcedureCode, RequestId, ThreadId, Time},
    proto::{ErasureRow, EventRow},
};

impl<P: Pairs> Index<P> {
    /// That a request is erased, or being erased.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn erasure(&self, request: &RequestId) -> Result<Option<ErasureRow>, IndexFault> {
        self.row(&key(b'x', &[request.as_bytes()]))
    }

    /// Requests after `after` in id order that are erased or being erased, at most `max`.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn erasures(&self, after: Option<&RequestId>, max: usize) -> Result<Vec<(RequestId, ErasureRow)>, IndexFault> {
        // The first key behind an id is that id with a zero byte more.
        let from = after.map(|id| [&id.as_bytes()[..], &[0]].concat()).unwrap_or_default();
        let rows = self.rows(b"x", &from, max)?;
        rows.into_iter().map(|(rest, row)| Ok((request_of(&rest)?, row))).collect()
    }

    /// Requests whose erasure has begun and is not done.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn erasures_begun(&self) -> Result<Vec<RequestId>, IndexFault> {
        let rows = self.pairs.range(b"y", b"z", usize::MAX)?;
        rows.iter().map(|(key, _)| request_of(&key[1..])).collect()
    }

    /// Threads of a procedure that ended before `until`, the earliest first.
    ///
    /// # Errors
    /// As [`Self::applied`].
    pub fn ended(
        &self,
        procedure: &ProcedureCode,
        until: Time,
        max: usize,
    ) -> Result<Vec<(Time, ThreadId)>, IndexFault> {
        let prefix = ended_key(procedure.as_str());
        let rows = self.pairs.range(&prefix, &[&prefix[..], &until.0.to_be_bytes()].concat(), max)?;
        let read = |rest: &[u8]| Ok((Time(number_of(rest)?), thread_of(rest.get(8..).unwrap_or_default())?));
        rows.iter().map(|(key, _)| read(&key[prefix.len()..])).collect()
    }

    /// From here on the request is nothing but erased: what goes is gone before its keys are.
    pub(super) fn apply_intent(&self, record: &RecordView<'_>, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let node = record.node;
        let request = request_of(&node.request_id)?;
        for thread in self.threads_of(&request)? {
            self.drop_thread(&thread, batch)?;
        }
        self.drop_all(&key(b'r', &[request.as_bytes()]), batch)?;
        let manifests = key(b'w', &[request.as_bytes()]);
        for (place, _) in self.pairs.range(&manifests, &until(&manifests), usize::MAX)? {
            self.drop_all(&key(b'm', &[&place[manifests.len()..]]), batch)?;
            batch.push(Change::Delete(place));
        }
        let row = ErasureRow {
            intent: node.record_id.clone(),
            intent_index: record.index.0,
            intent_ms: node.recorded_ms,
            ground: node.code.clone(),
            ..ErasureRow::default()
        };
        batch.push(put(key(b'x', &[request.as_bytes()]), &row));
        batch.push(Change::Put(key(b'y', &[request.as_bytes()]), Vec::new()));
        Ok(())
    }

    pub(super) fn apply_erasure(&self, record: &RecordView<'_>, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let node = record.node;
        let request = request_of(&node.request_id)?;
        let begun = self.erasure(&request)?.ok_or(IndexFault::Damaged)?;
        let row = ErasureRow { erased_index: record.index.0, erased_ms: node.recorded_ms, ..begun };
        batch.push(put(key(b'x', &[request.as_bytes()]), &row));
        batch.push(Change::Delete(key(b'y', &[request.as_bytes()])));
        Ok(())
    }

    fn drop_thread(&self, thread: &ThreadId, batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        if let Some(row) = self.thread(thread)? {
            batch.extend(places_in_time(&row, thread).map(Change::Delete));
        }
        batch.push(Change::Delete(key(b'q', &[thread.as_bytes()])));
        for (place, row) in self.rows::<EventRow>(&key(b't', &[thread.as_bytes()]), &[], usize::MAX)? {
            self.drop_all(&key(b'p', &[&row.event_id]), batch)?;
            batch.push(Change::Delete(key(b't', &[thread.as_bytes(), &place])));
        }
        Ok(())
    }

    fn drop_all(&self, prefix: &[u8], batch: &mut Vec<Change>) -> Result<(), IndexFault> {
        let rows = self.pairs.range(prefix, &until(prefix), usize::MAX)?;
        batch.extend(rows.into_iter().map(|(place, _)| Change::Delete(place)));
        Ok(())
    }
}

fn request_of(bytes: &[u8]) -> Result<RequestId, IndexFault> {
    RequestId::from_slice(bytes).map_err(|_| IndexFault::Damaged)
}
