//! Everything signed about who may do what, as one node has come to know it: the chain of charters from the one
//! given by hand, and of each Party its profiles, directory, head and suspensions.
//!
//! A document is judged once, when it is seen, against what is known then; what was accepted stays (SPEC `[P-8]`). Whoever keeps the
//! documents with their times in the order they were seen makes the same book again. Start with [`Book::found`] and
//! [`Book::accept`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CHARTER_TYPE, Charter, DIRECTORY_TYPE, Directory, HEAD_TYPE, Head, Held, Mandate, PROFILE_TYPE, Profile,
    ProfileFault, SUSPENSION_TYPE, Succession, Suspension, Trust, read,
};
use crate::{
    ids::{Digest, PartyCode, Time},
    proto,
    wire::{DOCUMENT_MAX, strict},
};

/// What is known of charters and Parties.
#[derive(Debug, Clone)]
pub struct Book {
    founded: Charter,
    /// The versions after it, without a gap.
    chain: Vec<Link>,
    pages: BTreeMap<PartyCode, Page>,
}

#[derive(Debug, Clone)]
struct Link {
    taken: Succession,
    envelope: Vec<u8>,
    seen: Time,
}

/// Of one Party.
#[derive(Debug, Clone, Default)]
struct Page {
    /// As they were accepted, the newest last.
    profiles: Vec<Profile>,
    directory: Option<Directory>,
    head: Option<Head>,
    suspensions: Vec<Suspension>,
}

/// What a document changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Nothing: it was known.
    Known,
    /// A newer charter is in force, or more of one is agreed to.
    Charter {
        /// Who made it follow the one before.
        mandate: Mandate,
        /// Parties whose root keys it changes without them: people are alarmed.
        refounded: BTreeSet<PartyCode>,
    },
    /// A newer profile of a Party.
    Profile(PartyCode),
    /// A newer directory of a Party.
    Directory(PartyCode),
    /// A Party has spoken again; says whether something of it is missing here.
    Head(PartyCode, Held),
    /// Nobody speaks for a Party any more.
    Suspended(PartyCode),
}

impl Book {
    /// Begins with a charter under the fingerprint given by hand.
    ///
    /// # Errors
    /// As [`Charter::open`].
    pub fn found(envelope: &[u8], fingerprint: Digest) -> Result<Self, ProfileFault> {
        let founded = Charter::open(envelope, fingerprint)?;
        Ok(Self { founded, chain: Vec::new(), pages: BTreeMap::new() })
    }

    /// The charter in force.
    #[must_use]
    pub fn charter(&self) -> &Charter {
        self.chain.last().map_or(&self.founded, |link| &link.taken.charter)
    }

    /// Judges a document that is seen at this time, and keeps it if it holds.
    ///
    /// # Errors
    /// When it does not hold, is older than what is known, or proves a fork; then nothing changes.
    pub fn accept(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let kind = strict::<proto::Envelope>(envelope, DOCUMENT_MAX)?.payload_type;
        match kind.as_str() {
            CHARTER_TYPE => self.accept_charter(envelope, seen),
            PROFILE_TYPE => self.accept_profile(envelope, seen),
            DIRECTORY_TYPE => self.accept_directory(envelope, seen),
            HEAD_TYPE => self.accept_head(envelope, seen),
            SUSPENSION_TYPE => self.accept_suspension(envelope, seen),
            _ => Err(ProfileFault::WrongType("document of a charter or profile")),
        }
    }

    /// All of it as one answer: the charter in force, the newest profiles, whoever is suspended.
    ///
    /// # Errors
    /// None that an accepted document causes.
    pub fn trust(&self) -> Result<Trust, ProfileFault> {
        let newest = self.pages.values().filter_map(|page| page.profiles.last().cloned()).collect();
        let mut trust = Trust::new(self.charter().clone(), newest)?;
        let suspensions = self.pages.values().flat_map(|page| page.suspensions.iter().cloned());
        suspensions.for_each(|suspension| trust.suspend(suspension));
        Ok(trust)
    }

    fn accept_charter(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let opened = read::<proto::Charter>(envelope, CHARTER_TYPE, "charter")?;
        let place = opened.wire.version.checked_sub(self.founded.version);
        match place.and_then(|place| usize::try_from(place).ok()) {
            Some(0) if opened.id == self.founded.id() => Ok(News::Known),
            Some(0) => Err(ProfileFault::OtherChain),
            Some(place) if place <= self.chain.len() => self.charter_again(place - 1, envelope, seen),
            Some(_) | None => {
                let taken = self.charter().next(envelope, seen)?;
                let news = News::Charter { mandate: taken.mandate, refounded: taken.refounded.clone() };
                self.chain.push(Link { taken, envelope: envelope.to_vec(), seen });
                Ok(news)
            }
        }
    }

    /// A version that is known comes again: with consent that was missing it counts for more, and so may those after it.
    fn charter_again(&mut self, place: usize, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let before = |place: usize| match place {
            0 => &self.founded,
            _ => &self.chain[place - 1].taken.charter,
        };
        let Some(taken) = before(place).next_again(&self.chain[place].taken, envelope, seen)? else {
            return Ok(News::Known);
        };
        let news = News::Charter { mandate: taken.mandate, refounded: taken.refounded.clone() };
        let mut walked = vec![Link { taken, envelope: envelope.to_vec(), seen: self.chain[place].seen }];
        for link in &self.chain[place + 1..] {
            let last = walked.last().map_or(&self.founded, |link: &Link| &link.taken.charter);
            walked.push(Link { taken: last.next(&link.envelope, link.seen)?, ..link.clone() });
        }
        self.chain.splice(place.., walked);
        Ok(news)
    }

    fn accept_profile(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let charter = self.charter();
        let profile = Profile::open(envelope, charter, seen)?;
        let expired = charter.expires <= seen;
        let party = profile.party.clone();
        let page = self.pages.entry(party.clone()).or_default();
        match page.profiles.last() {
            None if expired => return Err(ProfileFault::Expired),
            None => {}
            Some(held) if profile.id() == held.id() => return Ok(News::Known),
            Some(held) if profile.version < held.version => return Err(ProfileFault::OlderHead),
            Some(held) if profile.version == held.version => return Err(ProfileFault::Fork),
            Some(held) if profile.version == held.version + 1 && profile.previous != Some(held.id()) => {
                return Err(ProfileFault::Fork);
            }
            Some(held) if expired && !profile.roles().is_subset(&held.roles()) => return Err(ProfileFault::Expired),
            Some(_) => {}
        }
        page.profiles.push(profile);
        Ok(News::Profile(party))
    }

    fn newest(&self, party: &str) -> Result<(PartyCode, &Profile), ProfileFault> {
        let party = PartyCode::parse(party)?;
        let newest = self.pages.get(&party).and_then(|page| page.profiles.last());
        newest.map(|profile| (party, profile)).ok_or(ProfileFault::OtherProfile)
    }

    fn accept_directory(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let named = read::<proto::Directory>(envelope, DIRECTORY_TYPE, "directory")?.wire.party;
        let (party, profile) = self.newest(&named)?;
        let directory = Directory::open(envelope, profile, seen)?;
        let page = self.pages.entry(party.clone()).or_default();
        match &page.directory {
            Some(held) if held.id() == directory.id() => return Ok(News::Known),
            Some(held) if held.version == directory.version => return Err(ProfileFault::Fork),
            Some(held) if held.version > directory.version => return Err(ProfileFault::OlderHead),
            Some(_) | None => {}
        }
        page.directory = Some(directory);
        Ok(News::Directory(party))
    }

    fn accept_head(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let named = read::<proto::ProfileHead>(envelope, HEAD_TYPE, "profile head")?.wire.party;
        let (party, profile) = self.newest(&named)?;
        let head = Head::open(envelope, profile, seen)?;
        let page = &self.pages[&party];
        match &page.head {
            Some(held) if *held == head => return Ok(News::Known),
            Some(held) if held.issued >= head.issued => return Err(ProfileFault::OlderHead),
            Some(_) | None => {}
        }
        let held = head.names(profile, page.directory.as_ref())?;
        self.pages.entry(party.clone()).or_default().head = Some(head);
        Ok(News::Head(party, held))
    }

    fn accept_suspension(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let suspension = Suspension::open(envelope, self.charter(), seen)?;
        let party = suspension.party.clone();
        let page = self.pages.entry(party.clone()).or_default();
        let known = |held: &Suspension| held.id == suspension.id;
        if page.suspensions.iter().any(known) {
            return Ok(News::Known);
        }
        if page.profiles.last().is_some_and(|profile| profile.version > suspension.profile_version) {
            return Err(ProfileFault::OlderHead);
        }
        page.suspensions.push(suspension);
        Ok(News::Suspended(party))
    }
}

#[cfg(test)]
mod tests;
