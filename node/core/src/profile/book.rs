//! Everything signed about who may do what, as one node has come to know it: the chain of charters from the one
//! given by hand, and of each Party its profiles, directory, head and suspensions.
//!
//! A document is judged once, when it is seen, against what is known then; what was accepted stays (SPEC `[P-8]`). Judging
//! changes nothing: what holds is entered when it is on disk. Whoever keeps the documents with their times in the order
//! they were seen makes the same book again. Start with [`Book::found`], [`Book::judge`] and [`Book::enter`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    CHARTER_TYPE, Charter, DIRECTORY_TYPE, Directory, Document, HEAD_TYPE, Head, Held, Kind, Mandate, Opened,
    PROFILE_TYPE, Profile, ProfileFault, SUSPENSION_TYPE, Succession, Suspension, Trust, newer, take_apart,
};
use crate::{
    ids::{DAY_MS, Digest, PartyCode, Time},
    proto,
    wire::{DOCUMENT_MAX, strict},
};

/// How far the number of a profile may be above the one held: more than any node sleeps through, and so little that stolen
/// keys, once they are replaced, have not used up the numbers.
const JUMP_MAX: u64 = 1 << 20;

/// Documents of one Party that are taken in 24 hours: far more than it has reason to sign, and few enough that whoever has
/// its directory key fills nobody's ledger.
const DAILY_MAX: usize = 64;

/// What is known of charters and Parties.
#[derive(Debug, Clone)]
pub struct Book {
    founded: Arc<Charter>,
    /// The versions after it, without a gap. Read and verified once: their bytes are where documents are kept.
    chain: Vec<Succession>,
    pages: BTreeMap<PartyCode, Page>,
}

/// Of one Party.
#[derive(Debug, Clone, Default)]
struct Page {
    /// The newest, and when it was seen.
    profile: Option<(Arc<Profile>, Time)>,
    directory: Option<Arc<Directory>>,
    head: Option<Head>,
    /// What stops the newest profile, or stopped one before it.
    suspension: Option<Suspension>,
    /// When those of the last day were seen.
    lately: Vec<Time>,
}

impl Page {
    fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref().map(|(profile, _)| profile)
    }
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

/// A document that was judged and holds. It counts once it is entered.
#[derive(Debug, Clone)]
pub struct Judged {
    document: Document,
    entry: Entry,
    seen: Time,
}

#[derive(Debug, Clone)]
enum Entry {
    /// From a place of the chain on, counted from one.
    Charter(usize, Vec<Succession>),
    Profile(Arc<Profile>),
    Directory(Arc<Directory>),
    Head(Head, Held),
    Suspension(Suspension),
}

impl Judged {
    /// Which document it is.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The profile, if it is one.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        match &self.entry {
            Entry::Profile(profile) => Some(profile),
            Entry::Charter(..) | Entry::Directory(_) | Entry::Head(..) | Entry::Suspension(_) => None,
        }
    }
}

impl Book {
    /// Begins with a charter under the fingerprint given by hand.
    ///
    /// # Errors
    /// As [`Charter::open`].
    pub fn found(envelope: &[u8], fingerprint: Digest) -> Result<Self, ProfileFault> {
        let founded = Arc::new(Charter::open(envelope, fingerprint)?);
        Ok(Self { founded, chain: Vec::new(), pages: BTreeMap::new() })
    }

    /// The charter in force.
    #[must_use]
    pub fn charter(&self) -> &Arc<Charter> {
        self.chain.last().map_or(&self.founded, |taken| &taken.charter)
    }

    /// The newest profile of a Party.
    fn profile(&self, party: &PartyCode) -> Option<&Arc<Profile>> {
        self.pages.get(party)?.profile()
    }

    /// True if a document, by what it says it is, is no newer than what is known: nobody need look at it.
    #[must_use]
    pub fn is_past(&self, named: &Document) -> bool {
        let page = named.party.as_ref().and_then(|party| self.pages.get(party));
        let profile = page.and_then(Page::profile);
        let held = match named.kind {
            Kind::Charter => Some(self.charter().version),
            Kind::Profile => profile.map(|held| held.version),
            Kind::Directory => None, // whether it is of the newest profile its number does not say
            Kind::Suspension => profile.map(|held| held.version.saturating_sub(1)),
            Kind::Head => page.and_then(|page| page.head.as_ref()).map(|held| held.issued.0),
        };
        held.is_some_and(|held| named.version <= held)
    }

    /// Judges a document that is seen at this time; none if it is known. Nothing changes.
    ///
    /// # Errors
    /// When it does not hold, is older than what is known, or proves a fork.
    pub fn judge(&self, envelope: &[u8], seen: Time) -> Result<Option<Judged>, ProfileFault> {
        let document = strict::<proto::Envelope>(envelope, DOCUMENT_MAX)?;
        let judged = match document.payload_type.as_str() {
            CHARTER_TYPE => self.judge_charter(take_apart(document, CHARTER_TYPE, "charter")?, seen),
            PROFILE_TYPE => self.judge_profile(take_apart(document, PROFILE_TYPE, "profile")?, seen),
            DIRECTORY_TYPE => self.judge_directory(take_apart(document, DIRECTORY_TYPE, "directory")?, seen),
            HEAD_TYPE => self.judge_head(&take_apart(document, HEAD_TYPE, "profile head")?, seen),
            SUSPENSION_TYPE => self.judge_suspension(take_apart(document, SUSPENSION_TYPE, "suspension")?, seen),
            _ => Err(ProfileFault::WrongType("document of a charter or profile")),
        };
        let Some((document, entry)) = judged? else { return Ok(None) };
        if document.kind != Kind::Head && self.lately(document.party.as_ref(), seen).count() >= DAILY_MAX {
            return Err(ProfileFault::TooMany);
        }
        Ok(Some(Judged { document, entry, seen }))
    }

    /// When documents of a Party were taken within the day before; none of charters, which no Party signs.
    fn lately(&self, party: Option<&PartyCode>, seen: Time) -> impl Iterator<Item = Time> + use<'_> {
        let page = party.and_then(|party| self.pages.get(party));
        page.into_iter().flat_map(|page| &page.lately).copied().filter(move |at| seen.since(*at) < DAY_MS)
    }

    /// Lets a document count that was judged by this book as it is.
    pub fn enter(&mut self, judged: Judged) -> News {
        let Judged { document, entry, seen } = judged;
        if let Some(party) = document.party.as_ref().filter(|_| document.kind != Kind::Head) {
            let lately = self.lately(Some(party), seen).chain([seen]).collect();
            self.page(party).lately = lately;
        }
        match entry {
            Entry::Charter(place, walked) => {
                let taken = &walked[0];
                let news = News::Charter { mandate: taken.mandate, refounded: taken.refounded.clone() };
                self.chain.splice(place - 1.., walked);
                news
            }
            Entry::Profile(mut profile) => {
                let party = profile.party.clone();
                if let Some(before) = self.profile(&party) {
                    Arc::make_mut(&mut profile).follow(before);
                }
                self.page(&party).profile = Some((profile, seen));
                News::Profile(party)
            }
            Entry::Directory(directory) => {
                let party = directory.party.clone();
                self.page(&party).directory = Some(directory);
                News::Directory(party)
            }
            Entry::Head(head, held) => {
                let party = head.party.clone();
                self.page(&party).head = Some(head);
                News::Head(party, held)
            }
            Entry::Suspension(suspension) => {
                let party = suspension.party.clone();
                self.page(&party).suspension = Some(suspension);
                News::Suspended(party)
            }
        }
    }

    fn page(&mut self, party: &PartyCode) -> &mut Page {
        self.pages.entry(party.clone()).or_default()
    }

    /// Judges and enters at once: for whoever keeps nothing.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn accept(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        Ok(self.judge(envelope, seen)?.map_or(News::Known, |judged| self.enter(judged)))
    }

    /// Enters again what was accepted at this time, some of what lay between having been left out: a profile is not held
    /// against the one before it, for that was done when it was seen.
    ///
    /// # Errors
    /// When it does not hold: it is not what was accepted.
    pub fn resume(&mut self, envelope: &[u8], seen: Time) -> Result<News, ProfileFault> {
        let document = strict::<proto::Envelope>(envelope, DOCUMENT_MAX)?;
        if document.payload_type != PROFILE_TYPE {
            return self.accept(envelope, seen);
        }
        let profile = Profile::judge(take_apart(document, PROFILE_TYPE, "profile")?, self.charter(), seen)?;
        let party = profile.party.clone();
        self.page(&party).profile = Some((Arc::new(profile), seen));
        Ok(News::Profile(party))
    }

    /// All of it as one answer: the charter in force, the newest of each Party, whoever is suspended.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let mut trust = Trust::under(Arc::clone(self.charter()));
        let chain = self.chain.iter().map(|taken| &taken.charter);
        trust.expiries = chain.chain([&self.founded]).map(|charter| (charter.id(), charter.expires)).collect();
        for (party, page) in &self.pages {
            let Some((profile, seen)) = &page.profile else { continue };
            trust.heard.insert(party.clone(), page.head.as_ref().map_or(*seen, |head| head.issued));
            trust.heads.extend(page.head.as_ref().map(|head| (party.clone(), head.issued)));
            trust.profiles.insert(party.clone(), Arc::clone(profile));
            trust.directories.extend(page.directory.iter().map(|held| (party.clone(), Arc::clone(held))));
            trust.suspensions.extend(page.suspension.iter().map(|held| (party.clone(), held.clone())));
        }
        trust
    }

    fn judge_charter(
        &self,
        opened: Opened<proto::Charter>,
        seen: Time,
    ) -> Result<Option<(Document, Entry)>, ProfileFault> {
        let document = Document { kind: Kind::Charter, party: None, version: opened.wire.version, id: opened.id };
        let place = opened.wire.version.checked_sub(self.founded.version);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let (place, taken) = match place {
            Some(0) if opened.id == self.founded.id() => return Ok(None),
            Some(0) => return Err(ProfileFault::OtherChain),
            Some(place) if place <= self.chain.len() => {
                let held = &self.chain[place - 1];
                let Some(taken) = self.before(place).judge_again(held, opened)? else { return Ok(None) };
                (place, taken)
            }
            Some(_) | None => (self.chain.len() + 1, self.charter().judge(opened, seen)?),
        };
        let mut walked = vec![taken];
        // With consent that was missing a version counts for more, and so may those after it.
        for held in self.chain.iter().skip(place) {
            let taken = walked[walked.len() - 1].charter.followed(held)?;
            walked.push(taken);
        }
        Ok(Some((document, Entry::Charter(place, walked))))
    }

    /// The charter before the one at a place of the chain, counted from one.
    fn before(&self, place: usize) -> &Charter {
        place.checked_sub(2).map_or(&self.founded, |place| &self.chain[place].charter)
    }

    fn judge_profile(
        &self,
        opened: Opened<proto::Profile>,
        seen: Time,
    ) -> Result<Option<(Document, Entry)>, ProfileFault> {
        let charter = self.charter();
        let profile = Profile::judge(opened, charter, seen)?;
        let expired = charter.expires <= seen;
        let document = Document::of(Kind::Profile, &profile.party, profile.version, profile.id());
        let held = self.profile(&profile.party);
        if let Some(held) = held {
            if !newer((held.version, held.id()), &document)? {
                return Ok(None);
            }
            if profile.version > held.version.saturating_add(JUMP_MAX) {
                return Err(ProfileFault::Content("its number is more than a million above the one before it"));
            }
            if !profile.ledgers().starts_with(held.ledgers()) {
                return Err(ProfileFault::Content(
                    "a profile names the ledgers of the one before it, and those after them",
                ));
            }
            if profile.version == held.version + 1 && profile.previous != Some(held.id()) {
                return Err(ProfileFault::Fork(Box::new(document)));
            }
        }
        let others = self.pages.iter().filter(|(party, _)| **party != profile.party);
        let named =
            |node| others.clone().filter_map(|(_, page)| page.profile()).any(|held| held.nodes().contains(node));
        if profile.nodes().iter().any(named) {
            return Err(ProfileFault::NodeTaken);
        }
        if expired && held.is_none_or(|held| !profile.roles().is_subset(&held.roles())) {
            return Err(ProfileFault::Expired);
        }
        Ok(Some((document, Entry::Profile(Arc::new(profile)))))
    }

    /// The page of a Party, and its newest profile.
    fn newest(&self, party: &str) -> Result<(&Page, &Profile), ProfileFault> {
        let page = self.pages.get(&PartyCode::parse(party)?);
        page.and_then(|page| Some((page, &**page.profile()?))).ok_or(ProfileFault::OtherProfile)
    }

    fn judge_directory(
        &self,
        opened: Opened<proto::Directory>,
        seen: Time,
    ) -> Result<Option<(Document, Entry)>, ProfileFault> {
        let (page, profile) = self.newest(&opened.wire.party)?;
        let directory = Directory::judge(opened, profile, seen)?;
        let document = Document::of(Kind::Directory, &directory.party, directory.version, directory.id());
        // Numbered anew under each profile: whoever had a directory key for a night spends no numbers of the next.
        if let Some(held) = page.directory.as_ref().filter(|held| held.is_of(profile))
            && !newer((held.version, held.id()), &document)?
        {
            return Ok(None);
        }
        Ok(Some((document, Entry::Directory(Arc::new(directory)))))
    }

    fn judge_head(
        &self,
        opened: &Opened<proto::ProfileHead>,
        seen: Time,
    ) -> Result<Option<(Document, Entry)>, ProfileFault> {
        let (page, profile) = self.newest(&opened.wire.party)?;
        let head = Head::judge(opened, profile, seen)?;
        match &page.head {
            Some(held) if *held == head => return Ok(None),
            Some(held) if held.issued >= head.issued => return Err(ProfileFault::Older),
            Some(_) | None => {}
        }
        let document = Document::of(Kind::Head, &head.party, head.issued.0, opened.id);
        // The head itself is what contradicts what is held.
        let directory = page.directory.as_deref().filter(|directory| directory.is_of(profile));
        let named = head.names(profile, directory).map_err(|fault| {
            if matches!(fault, ProfileFault::Fork(_)) { ProfileFault::Fork(Box::new(document.clone())) } else { fault }
        })?;
        Ok(Some((document, Entry::Head(head, named))))
    }

    fn judge_suspension(
        &self,
        opened: Opened<proto::Suspension>,
        seen: Time,
    ) -> Result<Option<(Document, Entry)>, ProfileFault> {
        let suspension = Suspension::judge(opened, self.charter(), seen)?;
        let (page, profile) = self.newest(suspension.party.as_str())?;
        if profile.version > suspension.profile_version {
            return Err(ProfileFault::Older);
        }
        if (profile.version, profile.id()) != (suspension.profile_version, suspension.profile) {
            return Err(ProfileFault::OtherProfile);
        }
        // One is enough: each holder could sign any number of them.
        if page.suspension.as_ref().is_some_and(|held| held.profile == suspension.profile) {
            return Ok(None);
        }
        let Suspension { party, profile_version, id, .. } = &suspension;
        let document = Document::of(Kind::Suspension, party, *profile_version, *id);
        Ok(Some((document, Entry::Suspension(suspension))))
    }
}

#[cfg(test)]
mod tests;
