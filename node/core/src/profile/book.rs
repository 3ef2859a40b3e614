//! Everything signed about who may do what, as one node has come to know it: the chain of charters from the one
//! given by hand, and of each Party its profiles, directory, head and suspensions.
//!
//! A document is judged once, when it is seen, against what is known then; what was accepted stays (SPEC `[P-8]`). Whoever keeps the
//! documents with their times in the order they were seen makes the same book again. Start with [`Book::found`] and
//! [`Book::accept`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CHARTER_TYPE, Charter, DIRECTORY_TYPE, Directory, HEAD_TYPE, Head, Held, Mandate, Opened, PROFILE_TYPE, Profile,
    ProfileFault, SUSPENSION_TYPE, Succession, Suspension, Trust, newer, take_apart,
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
}

/// Of one Party.
#[derive(Debug, Clone, Default)]
struct Page {
    /// The newest.
    profile: Option<Profile>,
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
        let document = strict::<proto::Envelope>(envelope, DOCUMENT_MAX)?;
        match document.payload_type.as_str() {
            CHARTER_TYPE => self.accept_charter(take_apart(document, CHARTER_TYPE, "charter")?, envelope, seen),
            PROFILE_TYPE => self.accept_profile(take_apart(document, PROFILE_TYPE, "profile")?, seen),
            DIRECTORY_TYPE => self.accept_directory(take_apart(document, DIRECTORY_TYPE, "directory")?, seen),
            HEAD_TYPE => self.accept_head(&take_apart(document, HEAD_TYPE, "profile head")?, seen),
            SUSPENSION_TYPE => self.accept_suspension(take_apart(document, SUSPENSION_TYPE, "suspension")?, seen),
            _ => Err(ProfileFault::WrongType("document of a charter or profile")),
        }
    }

    /// All of it as one answer: the charter in force, the newest profiles, whoever is suspended.
    ///
    /// # Errors
    /// None that an accepted document causes.
    pub fn trust(&self) -> Result<Trust, ProfileFault> {
        let newest = self.pages.values().filter_map(|page| page.profile.clone()).collect();
        let mut trust = Trust::new(self.charter().clone(), newest)?;
        let suspensions = self.pages.values().flat_map(|page| page.suspensions.iter().cloned());
        suspensions.for_each(|suspension| trust.suspend(suspension));
        Ok(trust)
    }

    fn accept_charter(
        &mut self,
        opened: Opened<proto::Charter>,
        envelope: &[u8],
        seen: Time,
    ) -> Result<News, ProfileFault> {
        let place = opened.wire.version.checked_sub(self.founded.version);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let (place, taken) = match place {
            Some(0) if opened.id == self.founded.id() => return Ok(News::Known),
            Some(0) => return Err(ProfileFault::OtherChain),
            Some(place) if place <= self.chain.len() => {
                let held = &self.chain[place - 1].taken;
                let Some(taken) = self.before(place).judge_again(held, opened)? else { return Ok(News::Known) };
                (place, taken)
            }
            Some(_) | None => (self.chain.len() + 1, self.charter().judge(opened, seen)?),
        };
        let news = News::Charter { mandate: taken.mandate, refounded: taken.refounded.clone() };
        let mut walked = vec![Link { taken, envelope: envelope.to_vec() }];
        // With consent that was missing a version counts for more, and so may those after it.
        for link in self.chain.iter().skip(place) {
            let taken = walked[walked.len() - 1].taken.charter.next(&link.envelope, link.taken.seen)?;
            walked.push(Link { taken, envelope: link.envelope.clone() });
        }
        self.chain.splice(place - 1.., walked);
        Ok(news)
    }

    /// The charter before the one at a place of the chain, counted from one.
    fn before(&self, place: usize) -> &Charter {
        place.checked_sub(2).map_or(&self.founded, |place| &self.chain[place].taken.charter)
    }

    fn accept_profile(&mut self, opened: Opened<proto::Profile>, seen: Time) -> Result<News, ProfileFault> {
        let charter = self.charter();
        let profile = Profile::judge(opened, charter, seen)?;
        let expired = charter.expires <= seen;
        let held = self.pages.get(&profile.party).and_then(|page| page.profile.as_ref());
        if let Some(held) = held {
            if !newer((held.version, held.id()), (profile.version, profile.id()))? {
                return Ok(News::Known);
            }
            if profile.version == held.version + 1 && profile.previous != Some(held.id()) {
                return Err(ProfileFault::Fork);
            }
        }
        if expired && held.is_none_or(|held| !profile.roles().is_subset(&held.roles())) {
            return Err(ProfileFault::Expired);
        }
        let party = profile.party.clone();
        self.pages.entry(party.clone()).or_default().profile = Some(profile);
        Ok(News::Profile(party))
    }

    /// The page of a Party, and its newest profile.
    fn newest(&self, party: &str) -> Result<(&Page, &Profile), ProfileFault> {
        let page = self.pages.get(&PartyCode::parse(party)?);
        page.and_then(|page| Some((page, page.profile.as_ref()?))).ok_or(ProfileFault::OtherProfile)
    }

    fn accept_directory(&mut self, opened: Opened<proto::Directory>, seen: Time) -> Result<News, ProfileFault> {
        let (page, profile) = self.newest(&opened.wire.party)?;
        let directory = Directory::judge(opened, profile, seen)?;
        if let Some(held) = &page.directory
            && !newer((held.version, held.id()), (directory.version, directory.id()))?
        {
            return Ok(News::Known);
        }
        let party = directory.party.clone();
        self.pages.entry(party.clone()).or_default().directory = Some(directory);
        Ok(News::Directory(party))
    }

    fn accept_head(&mut self, opened: &Opened<proto::ProfileHead>, seen: Time) -> Result<News, ProfileFault> {
        let (page, profile) = self.newest(&opened.wire.party)?;
        let head = Head::judge(opened, profile, seen)?;
        match &page.head {
            Some(held) if *held == head => return Ok(News::Known),
            Some(held) if held.issued >= head.issued => return Err(ProfileFault::Older),
            Some(_) | None => {}
        }
        let (party, named) = (profile.party.clone(), head.names(profile, page.directory.as_ref())?);
        self.pages.entry(party.clone()).or_default().head = Some(head);
        Ok(News::Head(party, named))
    }

    fn accept_suspension(&mut self, opened: Opened<proto::Suspension>, seen: Time) -> Result<News, ProfileFault> {
        let suspension = Suspension::judge(opened, self.charter(), seen)?;
        let party = suspension.party.clone();
        if let Some(page) = self.pages.get(&party) {
            if page.suspensions.iter().any(|held| held.id == suspension.id) {
                return Ok(News::Known);
            }
            if page.profile.as_ref().is_some_and(|profile| profile.version > suspension.profile_version) {
                return Err(ProfileFault::Older);
            }
        }
        self.pages.entry(party.clone()).or_default().suspensions.push(suspension);
        Ok(News::Suspended(party))
    }
}

#[cfg(test)]
mod tests;
