//! An approval: what an officer signs with a credential of his own, and about what.

use prost::Message as _;

use super::check::Fault;
use crate::{
    crypto::{Seed, pae, sha256, sign},
    ids::{AuthorityId, Digest, NetworkName, OfficerId, PartyCode, ProcedureCode, RequestId, StepCode, Time},
    proto::{self, Algorithm, ApprovalKind},
    rules::{Code, Side},
    wire::{ascending, strict},
};

/// Payload type of an approval.
pub const APPROVAL_TYPE: &str = "application/vnd.comity.approval.v1";
/// Bytes of the salt in front of a body's digest: a body that can be guessed cannot be confirmed by its digest alone.
pub const SALT_BYTES: usize = 32;
/// Names, ids and a few Parties: an approval stays far below.
const APPROVAL_MAX: usize = 16 << 10;

/// What an approval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first of two.
    First,
    /// The second of two.
    Second,
    /// Alone, in an emergency.
    BreakGlass,
    /// The second, owed after a break-glass.
    Later,
}

impl Kind {
    /// Its name in answers and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::BreakGlass => "break-glass",
            Self::Later => "later",
        }
    }

    const fn to_wire(self) -> ApprovalKind {
        match self {
            Self::First => ApprovalKind::First,
            Self::Second => ApprovalKind::Second,
            Self::BreakGlass => ApprovalKind::BreakGlass,
            Self::Later => ApprovalKind::Later,
        }
    }
}

/// What is to leave the Party, or to be erased, as it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matter {
    /// In which network.
    pub network: NetworkName,
    /// Of which Party.
    pub party: PartyCode,
    /// The command that does it: an approval serves one, once.
    pub command_id: [u8; 16],
    /// The request.
    pub request: RequestId,
    /// Which authority acts.
    pub authority: AuthorityId,
    /// In which procedure.
    pub procedure: ProcedureCode,
    /// The step.
    pub step: StepCode,
    /// To whom, ascending.
    pub recipients: Vec<PartyCode>,
    /// The exact bytes that are sealed.
    pub body: Vec<u8>,
    /// On which side this Party stands.
    pub side: Side,
    /// True if the request or this act says that it is an emergency.
    pub emergency: bool,
}

/// What an officer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// In which network.
    pub network: NetworkName,
    /// Of which Party.
    pub party: PartyCode,
    /// The command.
    pub command_id: [u8; 16],
    /// The request.
    pub request: RequestId,
    /// Which authority acts.
    pub authority: AuthorityId,
    /// In which procedure.
    pub procedure: ProcedureCode,
    /// The step.
    pub step: StepCode,
    /// To whom, ascending.
    pub recipients: Vec<PartyCode>,
    /// Of salt and body.
    pub digest: Digest,
    /// The salt.
    pub salt: [u8; SALT_BYTES],
    /// When, by the officer's clock.
    pub time: Time,
    /// Who.
    pub officer: OfficerId,
    /// What it is.
    pub kind: Kind,
    /// Break-glass: why, a code of the list `emergency-bases`.
    pub reason: Option<Code>,
}

/// An approval with its signature, which is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    approval: Approval,
    /// What was signed of it; it says just that.
    bytes: Vec<u8>,
    signature: Vec<u8>,
}

/// The digest under which a body is approved.
#[must_use]
pub fn body_digest(salt: &[u8; SALT_BYTES], body: &[u8]) -> Digest {
    sha256(&[salt, body])
}

/// What an officer's credential signs.
#[must_use]
pub fn signing_message(approval: &[u8]) -> Vec<u8> {
    pae(APPROVAL_TYPE, approval)
}

impl Approval {
    /// The approval of a matter by an officer.
    #[must_use]
    pub fn of(matter: &Matter, salt: [u8; SALT_BYTES], officer: OfficerId, kind: Kind, time: Time) -> Self {
        Self {
            network: matter.network.clone(),
            party: matter.party.clone(),
            command_id: matter.command_id,
            request: matter.request,
            authority: matter.authority.clone(),
            procedure: matter.procedure.clone(),
            step: matter.step.clone(),
            recipients: matter.recipients.clone(),
            digest: body_digest(&salt, &matter.body),
            salt,
            time,
            officer,
            kind,
            reason: None,
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        proto::Approval {
            network: self.network.to_string(),
            party: self.party.to_string(),
            authority: self.authority.to_string(),
            request_id: self.request.as_bytes().to_vec(),
            procedure: self.procedure.to_string(),
            step: self.step.to_string(),
            recipients: self.recipients.iter().map(PartyCode::to_string).collect(),
            digest: self.digest.as_bytes().to_vec(),
            salt: self.salt.to_vec(),
            time_ms: self.time.0,
            officer: self.officer.to_string(),
            kind: self.kind.to_wire() as i32,
            reason: self.reason.as_ref().map(Code::to_string).unwrap_or_default(),
            command_id: self.command_id.to_vec(),
        }
        .encode_to_vec()
    }

    /// Reads what was signed.
    ///
    /// # Errors
    /// When it is no approval, or one that says what it must not.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, Fault> {
        let wire: proto::Approval = strict(bytes, APPROVAL_MAX).map_err(Fault::Wire)?;
        let kind = match ApprovalKind::try_from(wire.kind) {
            Ok(ApprovalKind::First) => Kind::First,
            Ok(ApprovalKind::Second) => Kind::Second,
            Ok(ApprovalKind::BreakGlass) => Kind::BreakGlass,
            Ok(ApprovalKind::Later) => Kind::Later,
            Ok(ApprovalKind::Unspecified) | Err(_) => return Err(Fault::Malformed("it is of no known kind")),
        };
        let reason = (!wire.reason.is_empty()).then(|| Code::parse(&wire.reason));
        let reason = reason.map(|code| code.ok_or(Fault::Malformed("its reason is no code"))).transpose()?;
        if reason.is_some() != (kind == Kind::BreakGlass) {
            return Err(Fault::Malformed("a break-glass needs a reason, and nothing else has one"));
        }
        if !ascending(&wire.recipients) {
            return Err(Fault::Malformed("its recipients must rise and not repeat"));
        }
        let salt = wire.salt[..].try_into().map_err(|_| Fault::Malformed("its salt must have 32 bytes"))?;
        let command = wire.command_id[..].try_into().map_err(|_| Fault::Malformed("its command id has 16 bytes"))?;
        let recipients = wire.recipients.iter().map(|code| PartyCode::parse(code));
        Ok(Self {
            network: NetworkName::parse(&wire.network)?,
            party: PartyCode::parse(&wire.party)?,
            command_id: command,
            request: RequestId::from_slice(&wire.request_id)?,
            authority: AuthorityId::parse(&wire.authority)?,
            procedure: ProcedureCode::parse(&wire.procedure)?,
            step: StepCode::parse(&wire.step)?,
            recipients: recipients.collect::<Result<_, _>>()?,
            digest: Digest::from_slice(&wire.digest)?,
            salt,
            time: Time(wire.time_ms),
            officer: OfficerId::parse(&wire.officer)?,
            kind,
            reason,
        })
    }

    /// Signs it with an officer's own key.
    #[must_use]
    pub fn sign(self, seed: &Seed) -> Signed {
        let bytes = self.to_wire();
        let signature = sign(Algorithm::Ed25519, seed, &signing_message(&bytes)).expect("Ed25519 signs anything");
        Signed { approval: self, bytes, signature }
    }

    /// True if it is about this matter, whatever its body.
    pub(super) fn is_about(&self, matter: &Matter) -> bool {
        self.network == matter.network
            && self.party == matter.party
            && self.command_id == matter.command_id
            && self.request == matter.request
            && self.authority == matter.authority
            && self.procedure == matter.procedure
            && self.step == matter.step
            && self.recipients == matter.recipients
    }

    /// True if it says the same as another of the same thing, by whomever.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        let Self { time, officer, kind, reason, .. } = other.clone();
        Self { time, officer, kind, reason, ..self.clone() } == *other
    }
}

impl Signed {
    /// Reads an approval as it is kept and carried.
    ///
    /// # Errors
    /// As [`Approval::from_wire`].
    pub fn from_wire(wire: &proto::SignedApproval) -> Result<Self, Fault> {
        let approval = Approval::from_wire(&wire.approval)?;
        Ok(Self { approval, bytes: wire.approval.clone(), signature: wire.signature.clone() })
    }

    /// What it says.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// As it is kept and carried.
    #[must_use]
    pub fn to_wire(&self) -> proto::SignedApproval {
        proto::SignedApproval { approval: self.bytes.clone(), signature: self.signature.clone() }
    }
}
