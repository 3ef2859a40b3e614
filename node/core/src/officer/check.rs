//! Whether the approvals of a matter suffice at a moment.
//!
//! Two officers with two keys, each on the roll, present and entitled, over the very bytes that will leave; or one in an
//! emergency, who says so. What does not count is passed over if enough others do, else it says why.

use super::{Approval, Kind, Matter, Roll, Signed, body_digest, roll::Power, signing_message};
use crate::{
    crypto::PublicKey,
    ids::{DAY_MS, Malformed, OfficerId, Time},
    profile::{AHEAD_MS_MAX, Profile},
    proto::{Algorithm, KeyRole},
    rules::{Code, Rules, Side},
    wire::WireFault,
};

/// An approval counts for a day: two people of one office meet within it, and what was approved last week may not fit any
/// more what the case has become.
pub const VALID_MS: u64 = DAY_MS;

/// Why an approval does not count, or there are not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not enough of them.
    #[error(
        "approval.needed: nothing was done; {have} of {want} officers have approved; sign what is to be signed, then ask again"
    )]
    Needed {
        /// That count.
        have: usize,
        /// That are needed.
        want: usize,
    },
    /// There is no roll, or the directory key that signed it does not stand any more.
    #[error(
        "approval.no-roll: nothing was done; this Party requires two officers and no roll of them counts here; install one: comity officer roll install"
    )]
    NoRoll,
    /// Two approvals of one officer, or with one key.
    #[error(
        "approval.same-officer: the approval does not count; {0} has approved already, or somebody with the same key has; another officer must"
    )]
    SameOfficer(OfficerId),
    /// Nobody of the roll at this time.
    #[error(
        "approval.not-on-roll: the approval does not count; {0} is not on the roll now; see: comity officer roll show"
    )]
    NotOnRoll(OfficerId),
    /// Away.
    #[error("approval.absent: the approval does not count; the roll has {0} away now; a deputy may approve")]
    Absent(OfficerId),
    /// Not entitled.
    #[error(
        "approval.no-power: the approval does not count; {0} is not entitled for this authority, procedure and side; another officer must approve"
    )]
    NoPower(OfficerId),
    /// The signature does not verify.
    #[error(
        "approval.bad-signature: the approval does not count; its signature is not by the key the roll has of {0}; sign it with that key"
    )]
    BadSignature(OfficerId),
    /// Of other contents, or of another matter.
    #[error(
        "approval.other-body: the approval of {0} does not count; it is of other contents than those that would leave; look at what is to be signed and sign that"
    )]
    OtherBody(OfficerId),
    /// Too old, or ahead of this clock.
    #[error(
        "approval.expired: the approval of {0} does not count; it is older than 24 hours, or ahead of this clock; sign again"
    )]
    Expired(OfficerId),
    /// A break-glass without an emergency.
    #[error(
        "approval.no-emergency: the approval of {0} does not count; a break-glass is for an emergency, and neither the request nor this act says it is one; a second officer must approve"
    )]
    NoEmergency(OfficerId),
    /// Of a kind that does not belong here.
    #[error("approval.wrong-kind: the approval of {0} does not count; an approval of this kind is not awaited here")]
    WrongKind(OfficerId),
    /// No strictly encoded message.
    #[error("approval.malformed: the approval is not accepted; {0}; sign it anew")]
    Wire(WireFault),
    /// A name or id in it.
    #[error("approval.malformed: the approval is not accepted; {0}; sign it anew")]
    Name(#[from] Malformed),
    /// Something else about its form.
    #[error("approval.malformed: the approval is not accepted; {0}; sign it anew")]
    Malformed(&'static str),
}

impl Fault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Needed { .. } => "approval.needed",
            Self::NoRoll => "approval.no-roll",
            Self::SameOfficer(_) => "approval.same-officer",
            Self::NotOnRoll(_) => "approval.not-on-roll",
            Self::Absent(_) => "approval.absent",
            Self::NoPower(_) => "approval.no-power",
            Self::BadSignature(_) => "approval.bad-signature",
            Self::OtherBody(_) => "approval.other-body",
            Self::Expired(_) => "approval.expired",
            Self::NoEmergency(_) => "approval.no-emergency",
            Self::WrongKind(_) => "approval.wrong-kind",
            Self::Wire(_) | Self::Name(_) | Self::Malformed(_) => "approval.malformed",
        }
    }
}

/// On whose word a matter goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// Two officers.
    Both([OfficerId; 2]),
    /// One, in an emergency; the second is owed.
    BreakGlass(OfficerId),
}

/// Who may approve at a moment, and by which law.
#[derive(Clone, Copy)]
pub struct Office<'a> {
    /// The officers; none if no roll is here.
    pub roll: Option<&'a Roll>,
    /// The Party's own profile.
    pub profile: &'a Profile,
    /// The law as data.
    pub rules: &'a Rules,
    /// The moment.
    pub now: Time,
}

impl<'a> Office<'a> {
    /// Whether one approval counts for a matter, whatever others there are.
    ///
    /// # Errors
    /// The first reason why it does not.
    pub fn counts(&self, signed: &Signed, matter: &Matter) -> Result<(), Fault> {
        let approval = signed.approval();
        let officer = || approval.officer.clone();
        if approval.kind == Kind::Later {
            return Err(Fault::WrongKind(officer()));
        }
        self.is_authentic(signed)?;
        if !approval.is_about(matter) || approval.digest != body_digest(&approval.salt, &matter.body) {
            return Err(Fault::OtherBody(officer()));
        }
        self.is_entitled(approval, matter.side)?;
        if approval.kind == Kind::BreakGlass && !(matter.emergency && self.is_reason(approval.reason.as_ref())) {
            return Err(Fault::NoEmergency(officer()));
        }
        Ok(())
    }

    /// Whether an approval is the second one owed after a break-glass: over the same statement, by another officer with
    /// another key, entitled now.
    ///
    /// # Errors
    /// The first reason why it is not.
    pub fn later_counts(&self, signed: &Signed, glass: &Signed, side: Side) -> Result<(), Fault> {
        let (approval, first) = (signed.approval(), glass.approval());
        if approval.kind != Kind::Later {
            return Err(Fault::WrongKind(approval.officer.clone()));
        }
        let key = self.is_authentic(signed)?;
        if !approval.says_as(first) {
            return Err(Fault::OtherBody(approval.officer.clone()));
        }
        self.is_entitled(approval, side)?;
        // Whoever broke the glass may have left the roll since; the signature says whose key it was.
        if approval.officer == first.officer || verifies(key, glass) {
            return Err(Fault::SameOfficer(approval.officer.clone()));
        }
        Ok(())
    }

    /// Whether the approvals of a matter suffice.
    ///
    /// # Errors
    /// Why they do not: of those that do not count the first, else that more are needed.
    pub fn passes(&self, matter: &Matter, approvals: &[Signed]) -> Result<Passed, Fault> {
        let roll = self.roll()?;
        let mut first: Option<(&OfficerId, &[u8; 32])> = None;
        let (mut glass, mut fault) = (None, None);
        for signed in approvals {
            let officer = &signed.approval().officer;
            if let Err(found) = self.counts(signed, matter) {
                fault = fault.or(Some(found));
                continue;
            }
            if signed.approval().kind == Kind::BreakGlass {
                glass = glass.or(Some(officer));
                continue;
            }
            let Some(key) = roll.key(officer, self.now) else { continue };
            match first {
                None => first = Some((officer, key)),
                Some((other, held)) if other == officer || held == key => {
                    fault = fault.or(Some(Fault::SameOfficer(officer.clone())));
                }
                Some((other, _)) => return Ok(Passed::Both([other.clone(), officer.clone()])),
            }
        }
        if let Some(officer) = glass {
            return Ok(Passed::BreakGlass(officer.clone()));
        }
        Err(fault.unwrap_or(Fault::Needed { have: usize::from(first.is_some()), want: 2 }))
    }

    /// The roll, if it still stands.
    fn roll(&self) -> Result<&'a Roll, Fault> {
        self.roll.filter(|roll| roll.stands(self.profile, self.now)).ok_or(Fault::NoRoll)
    }

    /// Signed by the key the roll has of its officer now, and not too long ago. Gives that key.
    fn is_authentic(&self, signed: &Signed) -> Result<&'a [u8; 32], Fault> {
        let approval = signed.approval();
        let officer = || approval.officer.clone();
        let key = self.roll()?.key(&approval.officer, self.now).ok_or_else(|| Fault::NotOnRoll(officer()))?;
        if !verifies(key, signed) {
            return Err(Fault::BadSignature(officer()));
        }
        if self.now.plus_ms(AHEAD_MS_MAX) < approval.time || self.now.since(approval.time) >= VALID_MS {
            return Err(Fault::Expired(officer()));
        }
        Ok(key)
    }

    /// Present and entitled, for an authority that still has the power.
    fn is_entitled(&self, approval: &Approval, side: Side) -> Result<(), Fault> {
        let (roll, now) = (self.roll()?, self.now);
        if roll.is_absent(&approval.officer, now) {
            return Err(Fault::Absent(approval.officer.clone()));
        }
        let power = Power { authority: &approval.authority, procedure: &approval.procedure, side };
        let may = self.profile.may(&approval.authority, &approval.procedure, side, now);
        let entitled = may && roll.may(&approval.officer, power, now);
        if entitled { Ok(()) } else { Err(Fault::NoPower(approval.officer.clone())) }
    }

    /// True for a reason the law knows for breaking the glass.
    fn is_reason(&self, reason: Option<&Code>) -> bool {
        let known = Code::parse(EMERGENCY_BASES).and_then(|id| self.rules.list(&id));
        reason.zip(known).is_some_and(|(reason, known)| known.has(reason.as_str()))
    }
}

/// The list of what makes an emergency.
const EMERGENCY_BASES: &str = "emergency-bases";

fn verifies(key: &[u8; 32], signed: &Signed) -> bool {
    let key = PublicKey { role: KeyRole::Officer, algorithm: Algorithm::Ed25519, bytes: key.to_vec() };
    key.verify(&signing_message(signed.bytes()), signed.signature()).is_ok()
}
