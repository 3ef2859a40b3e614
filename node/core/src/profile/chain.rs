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
    /// Who has signed it. With this it can be judged again without its bytes, and nothing is verified twice.
    signed: Signers,
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
        let Opened { wire, id, signatures } = opened;
        let next = self.follows(wire, id)?;
        let signed = Signers::of(&id, &signatures, self.may_sign(&next, seen));
        self.succeeded(next, signed.map_err(|_| ProfileFault::Threshold)?, seen)
    }

    /// Judges what followed this one before some Party agreed to it after all: for that it may count for more now.
    pub(super) fn followed(&self, held: &Succession) -> Result<Succession, ProfileFault> {
        let next = held.charter.agreed();
        if !held.signed.are_of(self.may_sign(&next, held.seen)) {
            return Err(ProfileFault::Threshold);
        }
        self.succeeded(next, held.signed.clone(), held.seen)
    }

    /// The quorums whose holders may sign the version after this one, seen at this time.
    fn may_sign<'c>(&'c self, next: &'c Self, seen: Time) -> impl Iterator<Item = &'c Quorum> {
        let roots = self.parties.values().map(move |party| party.root_at(seen));
        [&self.signers, &next.signers].into_iter().chain(roots)
    }

    fn succeeded(&self, mut next: Self, signed: Signers, seen: Time) -> Result<Succession, ProfileFault> {
        let mandate = self.mandate(&next.signers, &signed, next.issued, seen)?;
        let refounded = self.hand_on(&mut next, &signed, seen);
        Ok(Succession { charter: Arc::new(next), mandate, refounded, seen, signed })
    }

    /// This version as it says itself, whoever may have to wait.
    fn agreed(&self) -> Self {
        let mut agreed = self.clone();
        agreed.parties.values_mut().for_each(|party| party.waiting = None);
        agreed
    }

    fn nobody_waits(&self) -> bool {
        self.parties.values().all(|party| party.waiting.is_none())
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
        let next = Self::from_wire(wire, id, signers, Some(self))?;
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
    /// nothing had been missing. None if nothing is new, or nobody waits; what was agreed to before stays so.
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
        if opened.id != held.charter.id {
            let Charter { version, id, .. } = *self.judge(opened, held.seen)?.charter;
            return Err(ProfileFault::Fork(Box::new(Document { kind: Kind::Charter, party: None, version, id })));
        }
        if held.charter.nobody_waits() {
            return Ok(None);
        }
        let next = held.charter.agreed();
        let signed = Signers::of(&opened.id, &opened.signatures, self.may_sign(&next, held.seen));
        let mut again = self.succeeded(next, signed.map_err(|_| ProfileFault::Threshold)?, held.seen)?;
        let mut agreed = false;
        for (code, party) in &mut Arc::make_mut(&mut again.charter).parties {
            let before = held.charter.parties.get(code).and_then(|party| party.waiting.as_ref());
            agreed |= before.is_some() && party.waiting.is_none();
            if before.is_none() {
                party.waiting = None;
            }
        }
        again.refounded.retain(|code| held.refounded.contains(code));
        again.signed = again.signed.and(&held.signed);
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

    /// Lets each Party's root keys go on, change with its consent, or wait; gives those that wait anew. What counts is what
    /// counts when it was seen: no date in a document ends a wait. That keys were changed without their Party stays known when
    /// they count, whatever they sign then.
    fn hand_on(&self, next: &mut Self, signed: &Signers, seen: Time) -> BTreeSet<PartyCode> {
        let mut refounded = BTreeSet::new();
        for (code, before) in &self.parties {
            let Some(party) = next.parties.get_mut(code) else { continue };
            let in_force = before.counting(seen);
            let over = *in_force == before.root;
            if in_force.met_by(signed) || party.root == *in_force {
                party.waiting = before.waiting.clone().filter(|_| over);
            } else if before.root == party.root {
                party.waiting.clone_from(&before.waiting);
            } else {
                party.waiting = Some((Arc::clone(in_force), next.issued.max(seen).plus_ms(REFOUNDING_MS)));
                refounded.insert(code.clone());
            }
        }
        refounded
    }
}

#[cfg(test)]
mod tests;
