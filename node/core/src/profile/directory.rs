//! What of a Party changes often, signed by its directory key: contacts, addresses and holidays, and once a day
//! the head, which says what is newest, so that nobody can hold it back unnoticed. Serves SPEC `[P-5]` and `[P-6]`.

use std::collections::BTreeMap;

use super::{
    AHEAD_MS_MAX, Document, Hours, Kind, Opened, Profile, ProfileFault, newer, node_key, read, signing_message,
};
use crate::{
    crypto::verify_pair,
    ids::{AuthorityId, DAY_MS, Digest, PartyCode, Time},
    proto::{self, Algorithm, KeyRole},
    rules::is_date,
    wire::{ascending, showable},
};

/// Payload type of a directory.
pub const DIRECTORY_TYPE: &str = "application/vnd.comity.directory.v1";
/// Payload type of a head.
pub const HEAD_TYPE: &str = "application/vnd.comity.profile-head.v1";
/// A head older than this is a warning.
pub const STALE_MS: u64 = 2 * DAY_MS;
/// A head older than this means that nothing new is accepted of its Party.
pub const FROZEN_MS: u64 = 14 * DAY_MS;

/// How a Party is reached, read and checked.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Whose it is.
    pub party: PartyCode,
    /// Strictly increasing from 1.
    pub version: u64,
    /// The document id of the profile it belongs to.
    pub profile: Digest,
    id: Digest,
    contacts: Vec<proto::Contact>,
    addresses: BTreeMap<[u8; 32], Vec<String>>,
    holidays: Vec<String>,
}

impl Directory {
    /// Reads an envelope under the profile it belongs to.
    ///
    /// # Errors
    /// When it belongs to another, says what the profile does not bear out, or lacks a signature of its directory key.
    pub fn open(envelope: &[u8], profile: &Profile, at: Time) -> Result<Self, ProfileFault> {
        Self::judge(read(envelope, DIRECTORY_TYPE, "directory")?, profile, at)
    }

    pub(super) fn judge(opened: Opened<proto::Directory>, profile: &Profile, at: Time) -> Result<Self, ProfileFault> {
        Self::belongs(&opened.wire, profile)?;
        signed_by_directory(&opened, profile, at)?;
        let addresses = Self::addresses_of(&opened.wire, profile)?;
        let Opened { id, wire, .. } = opened;
        let party = profile.party.clone();
        let (version, profile) = (wire.version, profile.id());
        Ok(Self { party, version, profile, id, contacts: wire.contacts, addresses, holidays: wire.holidays })
    }

    /// Checks what can be checked of a directory before it is signed.
    ///
    /// # Errors
    /// When it belongs to another profile than this, or says what the profile does not bear out.
    pub fn check(wire: &proto::Directory, profile: &Profile) -> Result<(), ProfileFault> {
        Self::belongs(wire, profile)?;
        Self::addresses_of(wire, profile).map(|_| ())
    }

    fn belongs(wire: &proto::Directory, profile: &Profile) -> Result<(), ProfileFault> {
        belongs(&wire.network, &wire.party, profile)?;
        let own = wire.profile == profile.id().as_bytes();
        if own { Ok(()) } else { Err(ProfileFault::OtherProfile) }
    }

    /// Its addresses, if all it says is as it must be.
    fn addresses_of(
        wire: &proto::Directory,
        profile: &Profile,
    ) -> Result<BTreeMap<[u8; 32], Vec<String>>, ProfileFault> {
        if wire.version == 0 {
            return Err(ProfileFault::Content("a directory starts at version 1"));
        }
        if !ascending(wire.contacts.iter().map(|row| (&row.authority, &row.office)))
            || !ascending(wire.addresses.iter().map(|row| &row.node))
            || !ascending(&wire.holidays)
        {
            return Err(ProfileFault::Content("the lists of a directory must rise and not repeat"));
        }
        let contacts = wire
            .contacts
            .iter()
            .flat_map(|row| [&row.office, &row.email, &row.phone, &row.hours].into_iter().chain(&row.languages));
        if !showable(contacts.chain(wire.addresses.iter().flat_map(|row| &row.multiaddrs))) {
            return Err(ProfileFault::UNSHOWABLE);
        }
        let known = |row: &proto::Contact| {
            AuthorityId::parse(&row.authority).is_ok_and(|id| profile.authorities().contains_key(&id))
        };
        if !wire.contacts.iter().all(known) {
            return Err(ProfileFault::Content("a contact must be of an authority the profile names"));
        }
        let addresses = wire.addresses.iter().map(|row| Ok((node_key(&row.node)?, row.multiaddrs.clone())));
        let addresses = addresses.collect::<Result<BTreeMap<_, _>, ProfileFault>>()?;
        if !addresses.keys().all(|node| profile.nodes().contains(node)) {
            return Err(ProfileFault::Content("an address must be of a node the profile names"));
        }
        if !wire.contacts.iter().all(|contact| Hours::parse(&contact.hours).is_some()) {
            return Err(ProfileFault::Content("the hours of a contact must read like Mo-Fr 08:00-17:00, or 24/7"));
        }
        if !wire.holidays.iter().all(|date| is_date(date)) {
            return Err(ProfileFault::Content("a holiday must be a date such as 2026-05-01"));
        }
        Ok(addresses)
    }

    /// The document id.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// True if it belongs to this profile and not to an earlier one (SPEC `[P-9]`).
    #[must_use]
    pub fn is_of(&self, profile: &Profile) -> bool {
        self.profile == profile.id()
    }

    /// The contacts, by authority and office.
    #[must_use]
    pub fn contacts(&self) -> &[proto::Contact] {
        &self.contacts
    }

    /// Where each node is found.
    #[must_use]
    pub fn addresses(&self) -> &BTreeMap<[u8; 32], Vec<String>> {
        &self.addresses
    }

    /// Days on which nobody works, ISO dates ascending.
    #[must_use]
    pub fn holidays(&self) -> &[String] {
        &self.holidays
    }
}

/// What a Party says is its newest profile and directory, and when it said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose it is.
    pub party: PartyCode,
    /// When it was issued.
    pub issued: Time,
    /// The newest profile: its version and id.
    pub profile: (u64, Digest),
    /// The newest directory, if there is one.
    pub directory: Option<(u64, Digest)>,
}

impl Head {
    /// Reads an envelope under the profile whose directory key signs heads.
    ///
    /// # Errors
    /// When it is of another Party, issued ahead of our clock, or lacks a signature of the directory key.
    pub fn open(envelope: &[u8], profile: &Profile, at: Time) -> Result<Self, ProfileFault> {
        Self::judge(&read(envelope, HEAD_TYPE, "profile head")?, profile, at)
    }

    pub(super) fn judge(
        opened: &Opened<proto::ProfileHead>,
        profile: &Profile,
        at: Time,
    ) -> Result<Self, ProfileFault> {
        let wire = &opened.wire;
        belongs(&wire.network, &wire.party, profile)?;
        signed_by_directory(opened, profile, at)?;
        if wire.issued_ms > at.plus_ms(AHEAD_MS_MAX).0 {
            return Err(ProfileFault::Ahead);
        }
        let id = |bytes: &[u8]| Digest::from_slice(bytes).map_err(ProfileFault::Name);
        let directory = match (wire.directory_version, &wire.directory[..]) {
            (0, []) => None,
            (0, _) | (_, []) => {
                return Err(ProfileFault::Content("a head names a directory and its version, or neither"));
            }
            (version, bytes) => Some((version, id(bytes)?)),
        };
        let (party, named) = (profile.party.clone(), (wire.profile_version, id(&wire.profile)?));
        Ok(Self { party, issued: Time(wire.issued_ms), profile: named, directory })
    }

    /// Holds a profile and directory we have against it.
    ///
    /// # Errors
    /// When it names another document of a number we hold, which proves a fork, or less than we hold.
    pub fn names(&self, profile: &Profile, directory: Option<&Directory>) -> Result<Held, ProfileFault> {
        let named = |kind, (version, id)| Document::of(kind, &self.party, version, id);
        let later = newer((profile.version, profile.id()), &named(Kind::Profile, self.profile))?;
        let more = match (directory, self.directory) {
            (Some(held), Some(other)) => newer((held.version, held.id), &named(Kind::Directory, other))?,
            (Some(_), None) => return Err(ProfileFault::Older),
            (None, other) => other.is_some(),
        };
        Ok(if later || more { Held::Behind } else { Held::Newest })
    }
}

/// How old the last word of a Party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Less than 48 hours.
    Fresh,
    /// Something newer may be held back: people are warned.
    Stale,
    /// Fourteen days and more: nothing new of it is accepted.
    Frozen,
}

/// Whether what we hold is what a head names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// It is.
    Newest,
    /// Something newer must be fetched.
    Behind,
}

/// How far what was said at `issued` may be behind.
pub(super) fn freshness(issued: Time, at: Time) -> Freshness {
    match at.since(issued) {
        age if age < STALE_MS => Freshness::Fresh,
        age if age < FROZEN_MS => Freshness::Stale,
        _ => Freshness::Frozen,
    }
}

fn belongs(network: &str, party: &str, profile: &Profile) -> Result<(), ProfileFault> {
    let own = party == profile.party.as_str() && network == profile.network.as_str();
    if own { Ok(()) } else { Err(ProfileFault::OtherProfile) }
}

fn signed_by_directory<M>(opened: &Opened<M>, profile: &Profile, at: Time) -> Result<(), ProfileFault> {
    let keys = profile.keys(KeyRole::Directory, at);
    let signed = verify_pair(keys, Algorithm::MlDsa65, &signing_message(&opened.id), &opened.signatures);
    signed.map(|_| ()).map_err(|_| ProfileFault::NotDirectoryKey)
}

#[cfg(test)]
mod tests;
