//! From one charter to the next: who must have signed it, what it may not change, and when a change of a Party's
//! root keys takes effect. Serves SPEC `[C-4]` to `[C-7]`.
//!
//! The rules of TUF's root role, and one more: nobody but a Party changes that Party's root keys. Who does it all
//! the same re-founds that Party, which everybody is told, and waits. Start with [`Charter::next`].

use std::{collections::BTreeSet, sync::Arc};

use prost::Message as _;

use super::{CHARTER_TYPE, Charter, Document, Kind, Opened, ProfileFault, Quorum, Signers, charter, document_id, read};
use crate::{
    ids::{DAY_MS, Digest, PartyCode, Time},
    proto,
};

/// How long root keys wait that their Party did not agree to.
pub const REFOUNDING_MS: u64 = 30 * DAY_MS;

/// Who made a version follow the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mandate {
    /// The charter's own signers.
    Signers,
    /// Two thirds of the Parties that take part, after the version before had expired.
    Parties,
}

/// A version that follows another, accepted.
#[derive(Debug, Clone)]
pub struct Succession {
    /// The version itself.
    pub charter: Arc<Charter>,
    /// Who made it follow.
    pub mandate: Mandate,
    /// Parties whose root keys it changes without them: everybody is alarmed, and the keys wait.
    pub refounded: BTreeSet<PartyCode>,
    /// When it was seen first: from then on waits are counted, however often it comes again.
    pub seen: Time,
}

impl Charter {
    /// Opens the version after this one, as a node does that sees it at this time.
    ///
    /// # Errors
    /// When it does not follow this one, or lacks a signature it needs.
    pub fn next(&self, envelope: &[u8], seen: Time) -> Result<Succession, ProfileFault> {
        self.judge(read(envelope, CHARTER_TYPE, "charter")?, seen)
    }

    pub(super) fn judge(&self, opened: Opened<proto::Charter>, seen: Time) -> Result<Succession, ProfileFault> {
        let Opened { wire, id, message, signatures } = opened;
        let issued = Time(wire.issued_ms);
        let mut next = self.follows(wire, id)?;
        let roots = self.parties.values().map(|party| party.root_at(seen));
        let known = [&self.signers, &next.signers].into_iter().chain(roots);
        let signed = Signers::of(&message, &signatures, known).map_err(|_| ProfileFault::Threshold)?;
        let mandate = self.mandate(&next.signers, &signed, issued, seen)?;
        let refounded = self.hand_on(&mut next, &signed, issued.max(seen));
        Ok(Succession { charter: Arc::new(next), mandate, refounded, seen })
    }

    /// Checks what can be checked of the version after this one before anybody has signed it.
    ///
    /// # Errors
    /// When its content is not as it must be, or it does not follow this one.
    pub fn check_next(&self, wire: &proto::Charter) -> Result<(), ProfileFault> {
        let id = document_id(CHARTER_TYPE, &wire.encode_to_vec());
        self.follows(wire.clone(), id).map(|_| ())
    }

    /// Reads what would be the version after this one if those signed who must.
    fn follows(&self, wire: proto::Charter, id: Digest) -> Result<Self, ProfileFault> {
        let previous = wire.previous.clone();
        let signers = charter::signers(&wire)?;
        let next = Self::from_wire(wire, id, signers)?;
        if next.network != self.network || next.exercise != self.exercise {
            return Err(ProfileFault::OtherNetwork);
        }
        match next.version {
            version if version <= self.version => return Err(ProfileFault::RollBack),
            version if version > self.version + 1 => return Err(ProfileFault::Gap { from: self.version + 1 }),
            _ => {}
        }
        if previous != self.id.as_bytes() {
            return Err(ProfileFault::OtherChain);
        }
        if self.parties.keys().any(|party| !next.parties.contains_key(party)) {
            return Err(ProfileFault::Content("a Party that leaves stays in the charter, as withdrawn"));
        }
        Ok(next)
    }

    /// Opens the version after this one again, for signatures that were missing when it was taken: a Party that agrees
    /// after all ends the wait of its keys. Judged as when it was seen first, so that it comes to what it had come to if
    /// nothing had been missing. None if nothing is new; what was agreed to before stays so.
    ///
    /// # Errors
    /// As [`Self::next`], and when it is another document of the same number: proof of a fork.
    pub fn next_again(&self, held: &Succession, envelope: &[u8]) -> Result<Option<Succession>, ProfileFault> {
        self.judge_again(held, read(envelope, CHARTER_TYPE, "charter")?)
    }

    pub(super) fn judge_again(
        &self,
        held: &Succession,
        opened: Opened<proto::Charter>,
    ) -> Result<Option<Succession>, ProfileFault> {
        let mut again = self.judge(opened, held.seen)?;
        if again.charter.id != held.charter.id {
            let Charter { version, id, .. } = *again.charter;
            return Err(ProfileFault::Fork(Box::new(Document { kind: Kind::Charter, party: None, version, id })));
        }
        let mut agreed = false;
        for (code, party) in &mut Arc::make_mut(&mut again.charter).parties {
            let before = held.charter.parties.get(code).and_then(|party| party.waiting.as_ref());
            agreed |= before.is_some() && party.waiting.is_none();
            if before.is_none() {
                party.waiting = None;
            }
        }
        again.refounded.retain(|code| held.refounded.contains(code));
        Ok(agreed.then_some(again))
    }

    /// Its own threshold, and that of the version before or, after that expired, two thirds of the Parties.
    fn mandate(&self, signers: &Quorum, signed: &Signers, issued: Time, seen: Time) -> Result<Mandate, ProfileFault> {
        if !signers.met_by(signed) {
            return Err(ProfileFault::Threshold);
        }
        if self.signers.met_by(signed) {
            return Ok(Mandate::Signers);
        }
        let taking_part = self.parties.values().filter(|party| party.takes_part(seen));
        let (mut all, mut agreed) = (0_usize, 0_usize);
        for party in taking_part {
            all += 1;
            agreed += usize::from(party.root_at(seen).met_by(signed));
        }
        if agreed == 0 || agreed * 3 < all * 2 {
            return Err(ProfileFault::Threshold);
        }
        if self.expires > seen || self.expires > issued {
            return Err(ProfileFault::NotExpired);
        }
        Ok(Mandate::Parties)
    }

    /// Lets each Party's root keys go on, change with its consent, or wait; gives those that wait anew.
    fn hand_on(&self, next: &mut Self, signed: &Signers, now: Time) -> BTreeSet<PartyCode> {
        let mut refounded = BTreeSet::new();
        for (code, before) in &self.parties {
            let Some(party) = next.parties.get_mut(code) else { continue };
            let in_force = before.root_at(now);
            if party.root == *in_force || in_force.met_by(signed) {
                continue;
            }
            if before.root == party.root {
                party.waiting.clone_from(&before.waiting);
            } else {
                party.waiting = Some((in_force.clone(), now.plus_ms(REFOUNDING_MS)));
                refounded.insert(code.clone());
            }
        }
        refounded
    }
}

#[cfg(test)]
mod tests;
