//! A Party's emergency brake: any one holder of its root keys suspends it, its threshold lets it go on. Serves SPEC
//! `[P-7]`.

use super::{AHEAD_MS_MAX, Charter, Opened, Party, Profile, ProfileFault, Signers, read};
use crate::{
    ids::{Digest, PartyCode, Time},
    proto,
};

/// Payload type of a suspension.
pub const SUSPENSION_TYPE: &str = "application/vnd.comity.suspension.v1";

/// Nobody speaks for a Party by one profile from a time on; a later one, which its root threshold signs, ends that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Whose.
    pub party: PartyCode,
    /// The version of the profile it stops.
    pub profile_version: u64,
    /// The id of that profile: no other is stopped, so that one holder never stops what the threshold signs later.
    pub profile: Digest,
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
        if opened.wire.issued_ms > at.plus_ms(AHEAD_MS_MAX).0 {
            return Err(ProfileFault::Ahead);
        }
        let signers = Signers::of(&opened.id, &opened.signatures, [party.root_at(at)]);
        if signers.map_or(true, |signers| signers.is_empty()) {
            return Err(ProfileFault::Threshold);
        }
        let profile = Digest::from_slice(&opened.wire.profile)?;
        let proto::Suspension { profile_version, issued_ms, reason, .. } = opened.wire;
        Ok(Self { party: code, profile_version, profile, from: Time(issued_ms).max(at), reason, id: opened.id })
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
        if wire.profile.len() != 32 || !is_reason(&wire.reason) {
            return Err(ProfileFault::Content("a suspension names a profile by its id, and its reason is a code"));
        }
        Ok((code, party))
    }

    /// True if nobody speaks for the Party by this profile at this time.
    #[must_use]
    pub fn stops(&self, profile: &Profile, at: Time) -> bool {
        self.profile == profile.id() && self.from <= at
    }
}

/// A code such as `key-stolen`: it is shown at every node.
fn is_reason(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(known)
}
