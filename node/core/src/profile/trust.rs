//! The whole answer at one moment: who belongs to the network, and who speaks for whom.

use std::{collections::BTreeMap, sync::Arc};

use super::{Charter, Directory, Freshness, Profile, ProfileFault, Suspension, directory::freshness};
use crate::{
    crypto::PublicKey,
    ids::{Digest, KeyId, Origin, PartyCode, Time, WitnessName},
    ledger::{Policy, WitnessKeys},
    proto::KeyRole,
};

/// A reason to look twice at an act that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// A key that signed it is revoked from a time before it was recorded.
    Disputed,
    /// Its Party's root keys had been changed without that Party.
    Refounded,
    /// The charter in force had expired.
    Expired,
}

/// Everything known about who may do what, at one moment.
#[derive(Debug, Clone)]
pub struct Trust {
    charter: Arc<Charter>,
    pub(super) profiles: BTreeMap<PartyCode, Arc<Profile>>,
    pub(super) directories: BTreeMap<PartyCode, Arc<Directory>>,
    /// What stops the newest profile of each, or stopped one before it.
    pub(super) suspensions: BTreeMap<PartyCode, Suspension>,
    /// When each Party was heard of last: by its head, or by its profile if there is none yet.
    pub(super) heard: BTreeMap<PartyCode, Time>,
    /// When the newest head of each was issued.
    pub(super) heads: BTreeMap<PartyCode, Time>,
    /// When each charter of the chain expires.
    pub(super) expiries: BTreeMap<Digest, Time>,
}

impl Trust {
    /// A charter of whose Parties nothing is known yet: none of them can act.
    #[must_use]
    pub fn under(charter: Arc<Charter>) -> Self {
        Self {
            charter,
            profiles: BTreeMap::new(),
            directories: BTreeMap::new(),
            suspensions: BTreeMap::new(),
            heard: BTreeMap::new(),
            heads: BTreeMap::new(),
            expiries: BTreeMap::new(),
        }
    }

    /// Joins a charter and the current profiles; a Party without a profile cannot act.
    ///
    /// # Errors
    /// When a profile is not of a chartered Party, or two are of one.
    pub fn new(charter: Charter, profiles: Vec<Profile>) -> Result<Self, ProfileFault> {
        let mut trust = Self::under(Arc::new(charter));
        for profile in profiles {
            if !trust.charter.parties.contains_key(&profile.party) {
                return Err(ProfileFault::NotChartered);
            }
            if trust.profiles.insert(profile.party.clone(), Arc::new(profile)).is_some() {
                return Err(ProfileFault::Content("two profiles of one Party were given"));
            }
        }
        Ok(trust)
    }

    /// The charter in force.
    #[must_use]
    pub fn charter(&self) -> &Charter {
        &self.charter
    }

    /// Lets a suspension count: nobody speaks for its Party until a later profile.
    pub fn suspend(&mut self, suspension: Suspension) {
        self.suspensions.insert(suspension.party.clone(), suspension);
    }

    /// The current profile of a Party that takes part and is not suspended at this time; none of anybody once the grace
    /// after the charter's expiry is over.
    #[must_use]
    pub fn profile(&self, party: &PartyCode, at: Time) -> Option<&Profile> {
        self.charter.parties.get(party).filter(|party| party.takes_part(at) && at < self.charter.lapses)?;
        let profile = self.profiles.get(party)?;
        self.suspension(party, at).is_none().then_some(profile)
    }

    /// The newest profile of a Party, whether or not it may act by it.
    #[must_use]
    pub fn declared(&self, party: &PartyCode) -> Option<&Profile> {
        self.profiles.get(party).map(AsRef::as_ref)
    }

    /// What keeps anybody from speaking for a Party at this time, if its root keys do.
    #[must_use]
    pub fn suspension(&self, party: &PartyCode, at: Time) -> Option<&Suspension> {
        let profile = self.profiles.get(party)?;
        self.suspensions.get(party).filter(|suspension| suspension.stops(profile, at))
    }

    /// The Party whose profile names a ledger, now or formerly.
    #[must_use]
    pub fn party_of(&self, origin: &Origin) -> Option<&PartyCode> {
        self.profiles.iter().find(|(_, profile)| profile.wrote(origin)).map(|(party, _)| party)
    }

    /// What a checkpoint of a ledger must carry to be believed at this time: its Party's signatures, and those of the
    /// witnesses the charter assigns to it, all by keys that may be used then. None for a ledger that no profile names.
    #[must_use]
    pub fn policy(&self, origin: &Origin, at: Time) -> Option<Policy> {
        let party = self.party_of(origin)?;
        let profile = self.declared(party)?;
        let keys = |profile: &Profile, role| profile.keys(role, at).cloned().collect::<Vec<_>>();
        let (witnesses, quorum) = self.charter.witnesses(party);
        let witness = |party: PartyCode| {
            let name = WitnessName::of(&party, &self.charter.network);
            let keys = self.profile(&party, at).map(|profile| keys(profile, KeyRole::Witness)).unwrap_or_default();
            (party, WitnessKeys { name, keys })
        };
        let witnesses = witnesses.into_iter().map(witness).collect();
        Some(Policy { origin: origin.clone(), own: keys(profile, KeyRole::Checkpoint), witnesses, quorum })
    }

    /// Whose audit tree this is, and what a checkpoint of it must carry: the Party's signatures. Nobody witnesses it, and
    /// no profile names it, so that nothing under this name counts between Parties.
    #[must_use]
    pub fn audit_policy(&self, origin: &Origin, at: Time) -> Option<(&PartyCode, Policy)> {
        let is_its = |(party, _): &(&PartyCode, _)| Origin::audit(party, &self.charter.network) == *origin;
        let (party, profile) = self.profiles.iter().find(is_its)?;
        let own = profile.keys(KeyRole::Checkpoint, at).cloned().collect();
        Some((party, Policy { origin: origin.clone(), own, witnesses: BTreeMap::new(), quorum: 0 }))
    }

    /// How the Party is reached, as it says itself.
    #[must_use]
    pub fn directory(&self, party: &PartyCode) -> Option<&Directory> {
        self.directories.get(party).map(AsRef::as_ref)
    }

    /// How far what is known of a Party may be behind at this time (SPEC `[P-6]`). One that names no directory key says
    /// nothing daily, and nothing can be held back of it unnoticed that was promised.
    #[must_use]
    pub fn freshness(&self, party: &PartyCode, at: Time) -> Freshness {
        let speaks = |profile: &&Arc<Profile>| profile.roles().contains(&KeyRole::Directory);
        let heard = self.profiles.get(party).filter(speaks).and_then(|_| self.heard.get(party));
        heard.map_or(Freshness::Fresh, |heard| freshness(*heard, at))
    }

    /// When the newest head of a Party was issued.
    #[must_use]
    pub fn head(&self, party: &PartyCode) -> Option<Time> {
        self.heads.get(party).copied()
    }

    /// When a Party was heard of last.
    #[must_use]
    pub fn heard(&self, party: &PartyCode) -> Option<Time> {
        self.heard.get(party).copied()
    }

    /// The key a body for this Party is sealed to at this time: the newest of those valid (SPEC `[P-4]`).
    #[must_use]
    pub fn seal_key(&self, party: &PartyCode, at: Time) -> Option<&PublicKey> {
        let valid = self.profile(party, at)?.dated(KeyRole::Seal, at);
        valid.max_by_key(|dated| (dated.from, dated.key.id())).map(|dated| &dated.key)
    }

    /// What people must know of an act beside that its signatures held when it was recorded, under this charter: a revocation
    /// published later does not void it and says that its key was in other hands by then; root keys its Party did not
    /// agree to let it; nobody had renewed the charter.
    #[must_use]
    pub fn doubts(&self, author: &PartyCode, keys: &[KeyId], charter: &Digest, recorded: Time) -> Vec<Doubt> {
        let profile = self.declared(author);
        let revoked =
            |key: &KeyId| profile.and_then(|profile| profile.revoked(key)).is_some_and(|from| from <= recorded);
        let named = self.charter.parties.get(author);
        let refounded = named.and_then(super::Party::refounded).is_some_and(|from| from <= recorded);
        let expired = self.expiries.get(charter).is_some_and(|expires| *expires <= recorded);
        let disputed = keys.iter().any(revoked).then_some(Doubt::Disputed);
        let rest = [refounded.then_some(Doubt::Refounded), expired.then_some(Doubt::Expired)];
        disputed.into_iter().chain(rest.into_iter().flatten()).collect()
    }

    /// When after this time the answer to who takes part changes by itself, if it is known that it will.
    #[must_use]
    pub fn next_change(&self, at: Time) -> Option<Time> {
        let dates = self.charter.parties.values().flat_map(super::Party::dates);
        let stops = self.suspensions.values().map(|suspension| suspension.from);
        dates.chain(stops).chain([self.charter.lapses]).filter(|date| *date > at).min()
    }
}
