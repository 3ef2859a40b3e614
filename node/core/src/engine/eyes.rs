//! Four eyes: whether enough officers have approved what is about to leave, and the roll of those who may.
//!
//! Asked at the moment an act or an erasure is decided, before anything is sealed, signed or recorded, and on no other road
//! is an event made. Whether it is required the Party's own root keys say; nobody at the node can switch it off. The roll is
//! a matter of this Party's own house: it is kept on the desk, and others see nothing of it. Serves SPEC `[O-1]` to `[O-5]`.

use prost::Message as _;
use std::sync::Arc;

use super::{Act, Engine, EngineFault, Erase, Job, JobId, NotDone, Output, Step, Ticket, own::not_done};
use crate::{
    case::Case,
    crypto::sha256,
    ids::{AuthorityId, PartyCode, ProcedureCode, RequestId, StepCode, Time},
    officer::{Matter, Office, Roll, SALT_BYTES, Signed},
    procedure::Side,
    profile::ProfileFault,
    proto::{self, EventRow, Fact, value::Kind},
    rules::Code,
};

/// The step that officers approve when a request is to be erased; no procedure has it.
pub const ERASURE_STEP: &str = "erasure";
const EMERGENCY: &str = "emergency";

/// What must be approved before a command is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToApprove {
    /// What would leave, or be erased.
    pub matter: Matter,
    /// Fresh, for the digest of its body.
    pub salt: [u8; SALT_BYTES],
}

/// A roll on its way to the desk.
pub(super) struct Rolling {
    ticket: Ticket,
    roll: Roll,
}

/// The command under which a request is erased: once for ever, whoever asks how often.
#[must_use]
pub fn erasure_command(request: &RequestId) -> [u8; 16] {
    let digest = sha256(&[b"comity erasure command v1\0", request.as_bytes()]);
    *digest.as_bytes().first_chunk().expect("a digest has 32 bytes")
}

/// What officers are shown of an erasure: the ground, as a form would have it.
#[must_use]
pub fn erasure_body(procedure: &ProcedureCode, ground: &Code) -> proto::Body {
    let value = proto::Value { kind: Some(Kind::Code(ground.to_string())) };
    proto::Body {
        form: format!("{procedure}/{ERASURE_STEP}"),
        form_version: 1,
        fields: vec![proto::Field { key: "erasure.ground".to_owned(), values: vec![value] }],
    }
}

impl Engine {
    /// Takes over the roll that was kept. Call it before the first step.
    ///
    /// # Errors
    /// When it does not count any more under the Party's own profile: then no officer can approve.
    pub fn remember_roll(&mut self, envelope: &[u8], now: Time) -> Result<(), ProfileFault> {
        let profile = self.trust.declared(&self.us.party).ok_or(ProfileFault::NotChartered)?;
        self.roll = Some(Arc::new(Roll::resume(envelope, profile, now)?));
        Ok(())
    }

    /// Whether what is about to be done may be, as far as officers go.
    fn eyes<P>(&self, step: &mut Step<'_, P>, matter: Matter, approvals: &[Signed]) -> Result<(), NotDone> {
        let required = self.trust.declared(&self.us.party).filter(|profile| profile.requires_four_eyes());
        let Some(profile) = required else { return Ok(()) };
        let office = Office { roll: self.roll.as_deref(), profile, rules: &self.rules, now: step.now };
        let Err(fault) = office.passes(&matter, approvals) else { return Ok(()) };
        let wanted = Some(Box::new(ToApprove { matter, salt: step.fresh() }));
        Err(NotDone { wanted, ..not_done(fault.code(), &fault.to_string()) })
    }

    /// An own act, whose body is sealed as it stands here.
    pub(super) fn act_is_seen<P>(
        &self,
        step: &mut Step<'_, P>,
        act: &Act,
        (case, side): (&Case, Side),
        (recipients, facts, body): (&[PartyCode], &[Fact], &[u8]),
    ) -> Result<(), NotDone> {
        let matter = Matter {
            network: self.trust.charter().network.clone(),
            party: self.us.party.clone(),
            command_id: act.command_id,
            request: act.request,
            authority: act.authority.clone(),
            procedure: act.procedure.clone(),
            step: act.step.clone(),
            recipients: recipients.to_vec(),
            body: body.to_vec(),
            side,
            emergency: self.is_emergency(case, facts, step.now),
        };
        self.eyes(step, matter, &act.approvals)
    }

    /// True if the request or this act says so.
    fn is_emergency(&self, case: &Case, facts: &[Fact], now: Time) -> bool {
        let code = |fact: &Fact| match fact.value.as_ref().and_then(|value| value.kind.as_ref()) {
            Some(Kind::Code(code)) => code == EMERGENCY,
            Some(Kind::Text(_) | Kind::Integer(_) | Kind::Flag(_) | Kind::TimeMs(_) | Kind::Date(_)) | None => false,
        };
        let standing = case.standing(&self.rules, now).ok().flatten();
        let before = standing.and_then(|standing| standing.common.urgency);
        facts.iter().any(|fact| fact.key == "urgency.level" && code(fact))
            || before.is_some_and(|urgency| urgency.as_str() == EMERGENCY)
    }

    /// An erasure: nothing of it leaves, and nothing of it comes back. No emergency asks for one.
    pub(super) fn erasure_is_seen<P>(
        &self,
        step: &mut Step<'_, P>,
        wanted: &Erase,
        rows: &[EventRow],
    ) -> Result<(), NotDone> {
        let damaged = || not_done("index.damaged", "the index does not say what request this is");
        let case = Case::of(rows).map_err(|_| damaged())?;
        let side = case.side_of(&self.us.party);
        let procedure = rows.first().and_then(|row| ProcedureCode::parse(&row.procedure).ok()).ok_or_else(damaged)?;
        let authority = wanted.authority.clone().or_else(|| self.authority_of(rows, &procedure, side, step.now));
        let Some(authority) = authority else {
            let profile = self.trust.declared(&self.us.party);
            if profile.is_none_or(|profile| !profile.requires_four_eyes()) {
                return Ok(());
            }
            return Err(not_done("profile.no-power", "no authority of this Party may act in this procedure now"));
        };
        let matter = Matter {
            network: self.trust.charter().network.clone(),
            party: self.us.party.clone(),
            command_id: erasure_command(&wanted.request),
            request: wanted.request,
            authority,
            body: erasure_body(&procedure, &wanted.ground).encode_to_vec(),
            procedure,
            step: StepCode::parse(ERASURE_STEP).expect("a step code"),
            recipients: Vec::new(),
            side,
            emergency: false,
        };
        self.eyes(step, matter, &wanted.approvals)
    }

    /// Whose officers are asked for an erasure if nobody says: those of the authority that spoke last for us, else of the
    /// first that may.
    fn authority_of(&self, rows: &[EventRow], procedure: &ProcedureCode, side: Side, now: Time) -> Option<AuthorityId> {
        let ours = rows.iter().rev().find(|row| row.author == self.us.party.as_str());
        let spoke = ours.and_then(|row| AuthorityId::parse(&row.authority).ok());
        let profile = self.trust.declared(&self.us.party)?;
        let may = |id: &&AuthorityId| profile.may(id, procedure, side, now);
        spoke.or_else(|| profile.authorities().keys().find(may).cloned())
    }

    pub(super) fn on_roll<P>(&mut self, step: &mut Step<'_, P>, ticket: Ticket, envelope: Vec<u8>) {
        let refused = |fault: &ProfileFault| not_done(fault.code(), &fault.to_string());
        let judged = match self.trust.declared(&self.us.party) {
            None => Err(refused(&ProfileFault::NotChartered)),
            Some(profile) => {
                let follows = |roll: Roll| roll.follows(self.roll.as_deref()).map(|newer| (roll, newer));
                Roll::open(&envelope, profile, step.now).and_then(follows).map_err(|fault| refused(&fault))
            }
        };
        match judged {
            Err(refused) => step.out.push(Output::Rolled(ticket, Err(refused))),
            Ok((roll, false)) => step.out.push(Output::Rolled(ticket, Ok(roll.version))),
            Ok(_) if self.jobs.values().any(|job| matches!(job, Job::Roll(_))) => {
                let busy = not_done("engine.busy", "another roll is being kept; try again in a moment");
                step.out.push(Output::Rolled(ticket, Err(busy)));
            }
            Ok((roll, true)) => {
                let job = self.job(Job::Roll(Box::new(Rolling { ticket, roll })));
                step.out.push(Output::KeepRoll { job, envelope });
            }
        }
    }

    /// A roll counts once it is on disk; until then the one before does.
    pub(super) fn on_roll_kept<P>(
        &mut self,
        step: &mut Step<'_, P>,
        id: JobId,
        kept: Result<(), &'static str>,
    ) -> Result<(), EngineFault> {
        let Job::Roll(rolling) = self.take_job(id)? else { return Err(EngineFault::UnknownJob(id)) };
        let Rolling { ticket, roll } = *rolling;
        let version = roll.version;
        let result =
            kept.map_err(|code| not_done(code, "the roll was not kept and the one before counts; see: comity explain"));
        if result.is_ok() {
            self.roll = Some(Arc::new(roll));
        }
        step.out.push(Output::Rolled(ticket, result.map(|()| version)));
        Ok(())
    }
}
