//! Whether the ledger here is all of it: the peers are asked at every start, before it is signed beyond what it was.
//!
//! A folder that was put back from a copy looks whole from within, and to sign on from there would be a fork. The peers know
//! better: each is asked once in a run for the largest checkpoint of this ledger it has seen. One that tells is enough; one
//! that hides what it holds, or answers nothing, delays the others by a minute at most. Start with [`Vouching::is_settled`]
//! and [`judge`]. Serves SPEC `[N-5]`.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use comity_core::{
    ids::PartyCode,
    ledger::{LedgerFault, VerifiedCheckpoint},
};

use crate::{
    handle::View,
    store::{Damage, DamageKind},
};

/// Who was asked in this run.
#[derive(Default)]
pub(super) struct Vouching(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    tried: BTreeSet<PartyCode>,
    answered: BTreeSet<PartyCode>,
}

impl Vouching {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for a peer that has not said yet what it holds.
    pub(super) fn is_due(&self, peer: &PartyCode) -> bool {
        !self.lock().answered.contains(peer)
    }

    /// True for a peer that was not even asked.
    pub(super) fn is_new(&self, peer: &PartyCode) -> bool {
        !self.lock().tried.contains(peer)
    }

    /// A peer was asked; it answered or it did not.
    pub(super) fn asked(&self, peer: &PartyCode, answered: bool) {
        let mut asked = self.lock();
        asked.tried.insert(peer.clone());
        if answered {
            asked.answered.insert(peer.clone());
        }
    }

    /// True once somebody has answered and everybody who is connected was asked.
    pub(super) fn is_settled(&self, connected: &[PartyCode]) -> bool {
        let asked = self.lock();
        !asked.answered.is_empty() && connected.iter().all(|peer| asked.tried.contains(peer))
    }
}

/// What the largest checkpoint of our ledger that a peer has seen says about the one here: nothing, or that it is not all
/// of it, or another.
///
/// # Errors
/// When no key of ours signed it.
pub(super) fn judge(view: &View, note: &[u8]) -> Result<Option<Damage>, LedgerFault> {
    if note.is_empty() {
        return Ok(None);
    }
    let trust = view.trust();
    let keys = trust.declared(&view.us.party).map(|own| own.ever_signed()).ok_or(LedgerFault::OtherOrigin)?;
    let seen = VerifiedCheckpoint::verify(note, &view.us.origin, keys)?;
    let (seen, size) = (seen.checkpoint(), view.ledger.size());
    let damage = |kind, record| Some(Damage { kind, record, segment: 0, offset: 0 });
    if seen.size > size {
        return Ok(damage(DamageKind::Missing { known: seen.size }, size));
    }
    let same = view.ledger.root_at(seen.size).is_ok_and(|root| root == seen.root);
    Ok(if same { None } else { damage(DamageKind::Root, seen.size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(code: &str) -> PartyCode {
        PartyCode::parse(code).expect("a code")
    }

    /// [N-5]: silence of all is no answer; silence of one holds nobody up for ever.
    #[test]
    fn one_answer_and_everybody_asked_is_enough() {
        let (asked, both) = (Vouching::default(), ["XB", "XC"].map(party));
        assert!(!asked.is_settled(&both) && !asked.is_settled(&[]));
        asked.asked(&both[0], false);
        asked.asked(&both[1], false);
        assert!(!asked.is_settled(&both), "nobody has answered");
        asked.asked(&both[1], true);
        assert!(asked.is_settled(&both));
        assert!(asked.is_due(&both[0]) && !asked.is_new(&both[0]) && !asked.is_due(&both[1]));
        assert!(!asked.is_settled(&["XB", "XC", "XD"].map(party)), "who comes before it is settled is asked too");
    }
}
