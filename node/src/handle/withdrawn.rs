//! Acts that were withdrawn while they waited for officers: rows of the desk, and the one way to make one.
//!
//! What is withdrawn leaves its place among what waits and becomes a row without contents, in one change of the desk; from
//! then on its command does nothing, whoever approves it late or asks for it again. Only what has no effect yet can be
//! withdrawn: not what is on disk, not what is on its way there, and not what went out under break-glass, whose debt
//! stays. Who withdrew it is on record in the audit tree before, as of any act. Serves SPEC `[O-7]`. Start with
//! [`View::withdraw`].

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use comity_core::{
    engine::{ERASURE_STEP, NotDone},
    ids::{RequestId, Time},
    officer::Signed,
    proto::{PreparedAct, WithdrawnAct},
    wire::strict,
};
use prost::Message as _;
use zeroize::Zeroizing;

use super::{
    EyesFault, View,
    eyes::{approvals_of, key, prepared, read},
};
use crate::store::{Desk, DeskChange};

/// Where acts that were withdrawn lie on the desk, each under its command.
pub(crate) const WITHDRAWN_PREFIX: &[u8] = b"withdrawn/";
/// As many as may wait. An approval counts for a day, and nobody withdraws so many in one; of more, the oldest are
/// forgotten, and one of these would need all its approvals anew.
const WITHDRAWN_MAX: usize = 1_000;
/// A reason of a few sentences in each of several scripts; the desk is held in memory.
pub const REASON_BYTES_MAX: usize = 1_000;
/// A row is the head of an act, its recipients and a reason.
const ROW_MAX: usize = 64 << 10;

/// Whoever changes what waits for officers, one at a time, and which of it is on its way through the engine.
#[derive(Default)]
pub(crate) struct Eyes {
    pub(super) one_at_a_time: tokio::sync::Mutex<()>,
    /// As many as calls are under way; each call holds one.
    under_way: UnderWay,
}

type UnderWay = Arc<Mutex<BTreeMap<[u8; 16], usize>>>;

/// An act on its way through the engine with what officers have said of it: while there is one of these, it is not withdrawn.
#[must_use]
pub struct Claim {
    command: [u8; 16],
    under_way: UnderWay,
}

impl Claim {
    /// The engine's answer was that it is not done. When it could not answer any more, nobody knows before the next start
    /// whether the act is on disk: then nothing is withdrawn in this life of the node.
    pub fn refused(self, refused: &NotDone) {
        if refused.code == "engine.stopped" {
            mem::forget(self);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(calls) = under_way.get_mut(&self.command) {
            *calls -= 1;
            if *calls == 0 {
                under_way.remove(&self.command);
            }
        }
    }
}

impl Eyes {
    fn claim(&self, command: [u8; 16]) -> Claim {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner).entry(command).or_default() += 1;
        Claim { command, under_way: Arc::clone(&self.under_way) }
    }

    fn is_under_way(&self, command: &[u8; 16]) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).contains_key(command)
    }
}

pub(super) fn withdrawn_key(command: &[u8]) -> Vec<u8> {
    [WITHDRAWN_PREFIX, command].concat()
}

fn read_withdrawn(value: &[u8]) -> Option<WithdrawnAct> {
    strict(value, ROW_MAX).ok()
}

/// The acts that were withdrawn, in the order of their commands.
#[must_use]
pub fn withdrawn(desk: &Desk) -> Vec<WithdrawnAct> {
    desk.range(WITHDRAWN_PREFIX).iter().filter_map(|(_, value)| read_withdrawn(value)).collect()
}

/// The act that was withdrawn under a command.
#[must_use]
pub fn withdrawn_as(desk: &Desk, command: &[u8; 16]) -> Option<WithdrawnAct> {
    read_withdrawn(&desk.get(&withdrawn_key(command))?)
}

/// Where on the desk is said why acts of a request were withdrawn. A row that does not read might say it.
#[must_use]
pub(crate) fn withdrawn_in(rows: &[(Vec<u8>, impl AsRef<[u8]>)], request: &RequestId) -> Vec<Vec<u8>> {
    let of = |value: &[u8]| read_withdrawn(value).is_none_or(|row| row.request_id == request.as_bytes());
    let rows = rows.iter().filter(|(key, value)| key.starts_with(WITHDRAWN_PREFIX) && of(value.as_ref()));
    rows.map(|(key, _)| key.clone()).collect()
}

/// What was withdrawn does nothing any more. An erasure has one command for ever and may be asked for anew: then it is put
/// before officers anew, and what they said of the one before is of another salt.
pub(super) fn not_withdrawn(desk: &Desk, command: &[u8; 16]) -> Result<(), EyesFault> {
    match withdrawn_as(desk, command) {
        Some(row) if row.step != ERASURE_STEP => Err(EyesFault::Withdrawn),
        Some(_) | None => Ok(()),
    }
}

impl View {
    /// What officers have said of an act that is asked for under its command, and the claim that nobody withdraws it until it
    /// is done or refused.
    ///
    /// # Errors
    /// When it was withdrawn.
    pub async fn begin(
        &self,
        request: &RequestId,
        command: &[u8; 16],
    ) -> Result<(Vec<Signed>, Option<Claim>), EyesFault> {
        not_withdrawn(&self.desk, command)?;
        let key = key(request.as_bytes(), command);
        // Most acts wait for nobody, and these do not wait for each other here.
        if self.desk.get(&key).is_none() {
            return Ok((Vec::new(), None));
        }
        let _one_at_a_time = self.eyes.one_at_a_time.lock().await;
        not_withdrawn(&self.desk, command)?;
        let row = self.desk.get(&key).and_then(|value| read(&value)).filter(|row| row.event_id.is_empty());
        Ok(row.map_or_else(Default::default, |row| (approvals_of(&row), Some(self.eyes.claim(*command)))))
    }

    /// Withdraws an act that waits for officers. Withdrawn again, it is withdrawn once, for the first reason. Run it to its
    /// end: a row that is on its way to the disk must not be changed by others.
    ///
    /// # Errors
    /// When it is done or being done, went out under break-glass, is unknown, or the desk does not take it.
    pub async fn withdraw(&self, command: &[u8; 16], reason: &str, now: Time) -> Result<WithdrawnAct, EyesFault> {
        let _one_at_a_time = self.eyes.one_at_a_time.lock().await;
        if let Some(before) = withdrawn_as(&self.desk, command) {
            return Ok(before);
        }
        let waiting: Vec<_> = prepared(&self.desk).into_iter().filter(|row| row.command_id == command).collect();
        let Some(row) = waiting.first() else {
            return Err(if self.done(command)?.is_some() { EyesFault::Done } else { EyesFault::Unknown });
        };
        for row in &waiting {
            self.may_be_withdrawn(row, command)?;
        }
        let withdrawn = WithdrawnAct {
            withdrawn_ms: now.0,
            command_id: row.command_id.clone(),
            request_id: row.request_id.clone(),
            authority: row.authority.clone(),
            procedure: row.procedure.clone(),
            step: row.step.clone(),
            recipients: row.recipients.clone(),
            prepared_ms: row.prepared_ms,
            reason: reason.to_owned(),
        };
        let gone = waiting.iter().map(|row| key(&row.request_id, &row.command_id)).chain(self.forgotten());
        let put = DeskChange::Put(withdrawn_key(command), Zeroizing::new(withdrawn.encode_to_vec()));
        // In one change: a crash leaves the act that waits, or the one that was withdrawn.
        self.desk.apply(gone.map(DeskChange::Delete).chain([put]).collect())?.await?;
        Ok(withdrawn)
    }

    fn may_be_withdrawn(&self, row: &PreparedAct, command: &[u8; 16]) -> Result<(), EyesFault> {
        if !row.event_id.is_empty() {
            return Err(EyesFault::SecondOwed);
        }
        if self.eyes.is_under_way(command) {
            return Err(EyesFault::UnderWay);
        }
        let request = RequestId::from_slice(&row.request_id).map_err(|_| EyesFault::Unknown)?;
        // On disk, and not settled yet.
        let became = self.became(&request, command, &row.step)?;
        if became.is_some() { Err(EyesFault::Done) } else { Ok(()) }
    }

    /// The oldest rows, where one more would be too many.
    fn forgotten(&self) -> Vec<Vec<u8>> {
        let mut rows = withdrawn(&self.desk);
        rows.sort_by_key(|row| row.withdrawn_ms);
        let many = (rows.len() + 1).saturating_sub(WITHDRAWN_MAX);
        rows.iter().take(many).map(|row| withdrawn_key(&row.command_id)).collect()
    }
}
