//! The roll: which officers of a Party may approve, from when until when, who stands in for whom, who is away.

use std::collections::BTreeMap;

use crate::{
    crypto::{PublicKey, is_ed25519_key, verify_pair},
    ids::{AuthorityId, Digest, KeyId, OfficerId, PartyCode, ProcedureCode, Time},
    profile::{Profile, ProfileFault, read, signing_message},
    proto::{self, Algorithm, Credential, KeyRole},
    rules::Side,
    wire::ascending,
};

/// Payload type of a roll.
pub const ROLL_TYPE: &str = "application/vnd.comity.roll.v1";

/// A Party's officers, read and checked.
#[derive(Debug, Clone)]
pub struct Roll {
    /// Whose it is.
    pub party: PartyCode,
    /// Strictly increasing from 1.
    pub version: u64,
    /// When it was issued, by the clock of who drafted it.
    pub issued: Time,
    id: Digest,
    signers: [KeyId; 2],
    officers: BTreeMap<OfficerId, Officer>,
    deputies: Vec<(OfficerId, OfficerId, Span)>,
    absences: Vec<(OfficerId, Span)>,
}

/// One officer: with which key, for what, when.
#[derive(Debug, Clone)]
struct Officer {
    key: [u8; 32],
    authority: AuthorityId,
    procedures: Vec<ProcedureCode>,
    sides: Vec<Side>,
    span: Span,
}

/// From a time on, until another if there is one.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Time,
    until: Option<Time>,
}

impl Span {
    fn read(from_ms: u64, until_ms: u64) -> Result<Self, ProfileFault> {
        let until = (until_ms != 0).then_some(Time(until_ms));
        if until.is_some_and(|until| until.0 <= from_ms) {
            return Err(ProfileFault::Content("what a roll dates must begin before it ends"));
        }
        Ok(Self { from: Time(from_ms), until })
    }

    fn holds(self, at: Time) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// What somebody wants to approve, as far as powers go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Power<'a> {
    pub(super) authority: &'a AuthorityId,
    pub(super) procedure: &'a ProcedureCode,
    pub(super) side: Side,
}

impl Officer {
    fn has(&self, power: Power<'_>, at: Time) -> bool {
        self.span.holds(at)
            && self.authority == *power.authority
            && self.sides.contains(&power.side)
            && (self.procedures.is_empty() || self.procedures.contains(power.procedure))
    }
}

impl Roll {
    /// Reads an envelope under the profile it belongs to.
    ///
    /// # Errors
    /// When it belongs to another, names what that profile does not bear out, or lacks a signature of a directory key that is valid
    /// at this time.
    pub fn open(envelope: &[u8], profile: &Profile, at: Time) -> Result<Self, ProfileFault> {
        let keys = profile.keys(KeyRole::Directory, at);
        let roll = Self::judge(envelope, profile, keys)?;
        let wire: proto::Roll = read(envelope, ROLL_TYPE, "roll of officers")?.wire;
        Self::check(&wire, profile)?;
        Ok(roll)
    }

    /// Reads one again that was accepted before, perhaps under an earlier profile.
    ///
    /// # Errors
    /// When the profile names no longer the keys that signed it, or it was changed.
    pub fn resume(envelope: &[u8], profile: &Profile, at: Time) -> Result<Self, ProfileFault> {
        Self::judge(envelope, profile, profile.begun(KeyRole::Directory, at))
    }

    fn judge<'k>(
        envelope: &[u8],
        profile: &Profile,
        keys: impl Iterator<Item = &'k PublicKey> + Clone,
    ) -> Result<Self, ProfileFault> {
        let opened = read::<proto::Roll>(envelope, ROLL_TYPE, "roll of officers")?;
        Self::belongs(&opened.wire, profile)?;
        let signed = verify_pair(keys, Algorithm::MlDsa65, &signing_message(&opened.id), &opened.signatures);
        let signers = signed.map_err(|_| ProfileFault::NotDirectoryKey)?.map(PublicKey::id);
        Self::from_wire(&opened.wire, opened.id, signers)
    }

    /// Checks what can be checked of a roll before it is signed.
    ///
    /// # Errors
    /// When it belongs to another profile than this, or says what that does not bear out.
    pub fn check(wire: &proto::Roll, profile: &Profile) -> Result<(), ProfileFault> {
        Self::belongs(wire, profile)?;
        if wire.profile != profile.id().as_bytes() {
            return Err(ProfileFault::OtherProfile);
        }
        let roll = Self::from_wire(wire, Digest::new([0; 32]), [KeyId::new([0; 32]); 2])?;
        let named = |officer: &Officer| profile.authorities().contains_key(&officer.authority);
        if roll.officers.values().all(named) {
            return Ok(());
        }
        Err(ProfileFault::Content("an officer must be of an authority the profile names"))
    }

    fn belongs(wire: &proto::Roll, profile: &Profile) -> Result<(), ProfileFault> {
        let own = wire.party == profile.party.as_str() && wire.network == profile.network.as_str();
        if own { Ok(()) } else { Err(ProfileFault::OtherProfile) }
    }

    fn from_wire(wire: &proto::Roll, id: Digest, signers: [KeyId; 2]) -> Result<Self, ProfileFault> {
        if wire.version == 0 {
            return Err(ProfileFault::Content("a roll starts at version 1"));
        }
        if !ascending(wire.officers.iter().map(|row| &row.id))
            || !ascending(wire.deputies.iter().map(|row| (&row.of, &row.by, row.from_ms)))
            || !ascending(wire.absences.iter().map(|row| (&row.officer, row.from_ms)))
        {
            return Err(ProfileFault::Content("the lists of a roll must rise and not repeat"));
        }
        let officers = wire.officers.iter().map(|row| Ok((OfficerId::parse(&row.id)?, read_officer(row)?)));
        let officers = officers.collect::<Result<BTreeMap<_, _>, ProfileFault>>()?;
        let known = |id: &str| {
            let id = OfficerId::parse(id)?;
            let there = officers.contains_key(&id);
            there.then_some(id).ok_or(ProfileFault::Content("a deputy or absence must be of an officer of the roll"))
        };
        let deputy = |row: &proto::Deputy| {
            if row.of == row.by {
                return Err(ProfileFault::Content("nobody stands in for himself"));
            }
            Ok((known(&row.of)?, known(&row.by)?, Span::read(row.from_ms, row.until_ms)?))
        };
        let absence = |row: &proto::Absence| Ok((known(&row.officer)?, Span::read(row.from_ms, row.until_ms)?));
        Ok(Self {
            party: PartyCode::parse(&wire.party)?,
            version: wire.version,
            issued: Time(wire.issued_ms),
            id,
            signers,
            deputies: wire.deputies.iter().map(deputy).collect::<Result<_, ProfileFault>>()?,
            absences: wire.absences.iter().map(absence).collect::<Result<_, ProfileFault>>()?,
            officers,
        })
    }

    /// The document id.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The officers.
    pub fn officers(&self) -> impl Iterator<Item = &OfficerId> {
        self.officers.keys()
    }

    /// Whether it may take the place of the one held: false if it is that one.
    ///
    /// # Errors
    /// When it is no newer.
    pub fn follows(&self, held: Option<&Self>) -> Result<bool, ProfileFault> {
        match held {
            Some(held) if held.id == self.id => Ok(false),
            Some(held) if self.version <= held.version => Err(ProfileFault::Older),
            Some(_) | None => Ok(true),
        }
    }

    /// True as long as the profile names the keys that signed it, and has revoked neither: an ended key was right when it
    /// signed, a revoked one may have been in other hands.
    #[must_use]
    pub fn stands(&self, profile: &Profile, at: Time) -> bool {
        let named = |id: &KeyId| profile.begun(KeyRole::Directory, at).any(|key| key.id() == *id);
        let revoked = |id: &KeyId| profile.revoked(id).is_some_and(|from| from <= at);
        self.party == profile.party && self.signers.iter().all(|id| named(id) && !revoked(id))
    }

    /// The credential of an officer who is on the roll at this time.
    #[must_use]
    pub fn key(&self, officer: &OfficerId, at: Time) -> Option<&[u8; 32]> {
        self.officers.get(officer).filter(|row| row.span.holds(at)).map(|row| &row.key)
    }

    /// True if an officer is away.
    #[must_use]
    pub fn is_absent(&self, officer: &OfficerId, at: Time) -> bool {
        self.absences.iter().any(|(who, span)| who == officer && span.holds(at))
    }

    /// True if an officer has this power, of his own or as the deputy of one who has.
    pub(super) fn may(&self, officer: &OfficerId, power: Power<'_>, at: Time) -> bool {
        let has = |id: &OfficerId| self.officers.get(id).is_some_and(|row| row.has(power, at));
        has(officer) || self.deputies.iter().any(|(of, by, span)| by == officer && span.holds(at) && has(of))
    }
}

fn read_officer(row: &proto::Officer) -> Result<Officer, ProfileFault> {
    // An unknown credential reads as none, and an unknown side likewise.
    if row.credential != Credential::Ed25519 as i32 {
        return Err(ProfileFault::Content("the credential of an officer is of no kind this node knows"));
    }
    let key: [u8; 32] = row.public_key[..].try_into().map_err(|_| BAD_KEY)?;
    if !is_ed25519_key(&key) {
        return Err(BAD_KEY);
    }
    if !ascending(&row.procedures) || !ascending(&row.sides) || row.sides.is_empty() {
        return Err(ProfileFault::Content("the procedures and sides of an officer must rise, and he needs a side"));
    }
    let of_no_kind = ProfileFault::Content("the side of an officer is of no kind");
    let sides = row.sides.iter().map(|side| Side::read(*side).ok_or_else(|| of_no_kind.clone()));
    let procedures = row.procedures.iter().map(|code| ProcedureCode::parse(code).map_err(ProfileFault::Name));
    Ok(Officer {
        key,
        authority: AuthorityId::parse(&row.authority)?,
        procedures: procedures.collect::<Result<_, _>>()?,
        sides: sides.collect::<Result<_, _>>()?,
        span: Span::read(row.from_ms, row.until_ms)?,
    })
}

const BAD_KEY: ProfileFault = ProfileFault::Content("the key of an officer must be an Ed25519 key");
