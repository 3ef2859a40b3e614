//! The cosignatures of our own ledger: gathered over one checkpoint at a time, kept once they are enough.
//!
//! At each beat the newest checkpoint takes the place of the one before, whatever that one still lacks: a witness that is
//! slow cosigns the next. Start with [`Own::begin`] and [`Own::add`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{ids::PartyCode, ledger::LedgerFault};
use tracing::warn;

use crate::{
    handle::{OwnWitnessed, View},
    store::Pending,
    time,
};

/// Our newest checkpoint that a quorum cosigned, on the desk.
const KEY: &[u8] = b"witnessed";

/// What is gathered and what was reached.
pub(super) struct Own(Mutex<State>);

#[derive(Default)]
struct State {
    /// The checkpoint of this beat.
    asked: Option<(u64, Arc<[u8]>)>,
    /// Lines that came for it.
    lines: BTreeMap<PartyCode, String>,
    /// How many records each witness holds of us, as it last said.
    held: BTreeMap<PartyCode, u64>,
    reached: Option<OwnWitnessed>,
}

impl Own {
    /// Reads what is on the desk. A note that is no longer enough, since the charter demands more, is not counted.
    pub(super) fn open(view: &View) -> Self {
        let reached = view.desk.get(KEY).and_then(|note| judged(view, &note).ok().flatten());
        Self(Mutex::new(State { reached, ..State::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on cosignatures over this checkpoint are gathered.
    pub(super) fn begin(&self, size: u64, note: &Arc<[u8]>) {
        let mut state = self.lock();
        if size > 0 && state.asked.as_ref().is_none_or(|(asked, _)| *asked < size) {
            state.asked = Some((size, Arc::clone(note)));
            state.lines.clear();
        }
    }

    /// The checkpoint a witness is to be asked about, and how many records it holds of us; none once it has answered.
    pub(super) fn due(&self, witness: &PartyCode) -> Option<(u64, Arc<[u8]>, u64)> {
        let state = self.lock();
        let (size, note) = state.asked.clone().filter(|_| !state.lines.contains_key(witness))?;
        Some((size, note, state.held.get(witness).copied().unwrap_or(0)))
    }

    /// A witness said how many records it holds of us.
    pub(super) fn holds(&self, witness: &PartyCode, size: u64) {
        self.lock().held.insert(witness.clone(), size);
    }

    /// Takes a witness's lines over a checkpoint of this size. True if the quorum is reached by them.
    ///
    /// # Errors
    /// When they do not verify: then they are nobody's.
    pub(super) fn add(&self, view: &View, witness: &PartyCode, size: u64, lines: &str) -> Result<bool, LedgerFault> {
        let mut state = self.lock();
        let Some((_, note)) = state.asked.clone().filter(|(asked, _)| *asked == size) else { return Ok(false) };
        let together = |lines: &mut dyn Iterator<Item = &String>| {
            [&note[..], lines.map(String::as_bytes).collect::<Vec<_>>().concat().as_slice()].concat()
        };
        let policy = view.trust().policy(&view.us.origin, time::now()).ok_or(LedgerFault::OtherOrigin)?;
        let alone = policy.judge(&together(&mut std::iter::once(&lines.to_owned())))?;
        if !alone.by.contains_key(witness) {
            return Err(LedgerFault::BadSignature);
        }
        state.held.insert(witness.clone(), size);
        state.lines.insert(witness.clone(), lines.to_owned());
        let note = together(&mut state.lines.values());
        let Some(reached) = judged(view, &note)? else { return Ok(false) };
        if let Err(fault) = view.desk.put(KEY, &note).and_then(Pending::wait) {
            warn!(target: "witness", code = fault.code(), "the cosigned checkpoint is in memory only");
        }
        state.reached = Some(reached);
        Ok(true)
    }

    /// The newest that was witnessed as the charter demands.
    pub(super) fn reached(&self) -> Option<OwnWitnessed> {
        self.lock().reached.clone()
    }
}

/// A note of ours, if its cosignatures are enough.
fn judged(view: &View, note: &[u8]) -> Result<Option<OwnWitnessed>, LedgerFault> {
    let policy = view.trust().policy(&view.us.origin, time::now()).ok_or(LedgerFault::OtherOrigin)?;
    let found = policy.judge(note)?;
    let enough = policy.quorum > 0 && found.is_met();
    let size = found.checkpoint().size;
    Ok(enough.then(|| OwnWitnessed { size, note: Arc::from(note), by: found.by, quorum: policy.quorum }))
}
