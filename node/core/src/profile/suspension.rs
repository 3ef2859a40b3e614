//! A Party's emergency brake: any one holder of its root keys suspends it, its threshold lets it go on. Serves SPEC
//! `[P-7]`.

use super::{Charter, Opened, Party, Profile, ProfileFault, Signers, read};
use crate::{
    ids::{Digest, PartyCode, Time},
    proto,
};

/// Payload type of a suspension.
pub const SUSPENSION_TYPE: &str = "application/vnd.comity.suspension.v1";

/// Nobody speaks for a Party from a time on, until its root threshold has signed a later profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Whose.
    pub party: PartyCode,
    /// It ends with the first profile above this version.
    pub profile_version: u64,
    /// It counts from then: not before it was seen, so that no date in the past undoes what was done.
    pub from: Time,
    /// Why, as a code.
    pub reason: String,
    /// The document id.
    pub id: Digest,
}

impl Suspension {
    /// Reads an envelope signed by one or more holders of the Party's root keys that count at this time.
    ///
    /// # Errors
    /// When it is of no Party of the charter, or nobody who may has signed it.
    pub fn open(envelope: &[u8], charter: &Charter, at: Time) -> Result<Self, ProfileFault> {
        Self::judge(read(envelope, SUSPENSION_TYPE, "suspension")?, charter, at)
    }

    pub(super) fn judge(opened: Opened<proto::Suspension>, charter: &Charter, at: Time) -> Result<Self, ProfileFault> {
        let (code, party) = Self::party_of(&opened.wire, charter)?;
        let signers = Signers::of(&opened.id, &opened.signatures, [party.root_at(at)]);
        if signers.map_or(true, |signers| signers.is_empty()) {
            return Err(ProfileFault::Threshold);
        }
        let proto::Suspension { profile_version, issued_ms, reason, .. } = opened.wire;
        Ok(Self { party: code, profile_version, from: Time(issued_ms).max(at), reason, id: opened.id })
    }

    /// Checks what can be checked of a suspension before anybody has signed it.
    ///
    /// # Errors
    /// When it is of no Party of the charter.
    pub fn check(wire: &proto::Suspension, charter: &Charter) -> Result<(), ProfileFault> {
        Self::party_of(wire, charter).map(|_| ())
    }

    fn party_of<'c>(wire: &proto::Suspension, charter: &'c Charter) -> Result<(PartyCode, &'c Party), ProfileFault> {
        let code = PartyCode::parse(&wire.party)?;
        let party = charter.parties().get(&code).ok_or(ProfileFault::NotChartered)?;
        if wire.network != charter.network.as_str() {
            return Err(ProfileFault::NotChartered);
        }
        Ok((code, party))
    }

    /// True if nobody speaks for the Party by this profile at this time.
    #[must_use]
    pub fn stops(&self, profile: &Profile, at: Time) -> bool {
        self.party == profile.party && profile.version <= self.profile_version && self.from <= at
    }
}
