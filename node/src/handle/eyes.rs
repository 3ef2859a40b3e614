//! Acts that wait for officers, and the roll of those: rows of the desk, and the order in which they change.
//!
//! Whether approvals suffice the engine decides when the act is asked for again; here each is only looked at before it is
//! kept, so that an officer hears at once why one does not count. An approval is on record in the audit tree before it is
//! on the desk, and on the desk before anybody is told that it was taken: a stop between two of these leaves one that is
//! asked for again, or recorded twice. An act that is on disk is settled by whoever finds its row, at the latest at the
//! next start. Serves SPEC `[O-5]` and `[O-6]`. Start with [`View::approve`].

use comity_core::{
    engine::{Done, ERASURE_STEP, ToApprove},
    ids::{AuthorityId, DAY_MS, EventId, PartyCode, ProcedureCode, RequestId, StepCode, Time},
    index::IndexFault,
    officer::{Fault, Kind, Matter, Office, Roll, Signed, body_digest},
    profile::Profile,
    proto::{self, Lane, PreparedAct},
    record::Asked,
    rules::{Code, Side, Unit},
    wire::strict,
};
use prost::Message as _;
use zeroize::Zeroizing;

use super::{
    View,
    withdrawn::{not_withdrawn, withdrawn_as, withdrawn_key},
};
use crate::{
    audit::AuditFault,
    store::{Desk, DeskChange, Pending, StoreFault},
};

/// Where acts that wait for officers lie on the desk: each under its request and its command.
pub(crate) const APPROVAL_PREFIX: &[u8] = b"approve/";
/// Where the roll lies on the desk.
const ROLL: &[u8] = b"roll/officers";
/// What an office has under its hands at once, with room to spare. The desk is held in memory.
const WAITING_MAX: usize = 1_000;
/// What nobody has approved in a month is nobody's matter any more, if the room is needed.
const FORGOTTEN_MS: u64 = 30 * DAY_MS;
/// A row is a form, twice at most, and a few approvals.
const ROW_MAX: usize = 4 << 20;
/// The clock of the second approval after a break-glass, in the rules.
const SECOND_DUE: &str = "EYES-2ND";

/// Why an approval was not taken, or an act not put before officers.
#[derive(Debug, thiserror::Error)]
pub enum EyesFault {
    /// It does not count.
    #[error(transparent)]
    Approval(#[from] Fault),
    /// Nothing waits under that command.
    #[error("approval.unknown: nothing was done; no such act waits for officers here; see: comity request approvals")]
    Unknown,
    /// It was withdrawn.
    #[error(
        "approval.withdrawn: nothing was done; this act was withdrawn while it waited for officers, and its command does nothing \
         any more; if it is wanted after all, ask for it under a fresh command id"
    )]
    Withdrawn,
    /// What is to be withdrawn is on disk.
    #[error(
        "approval.done: nothing was withdrawn; the act is done and on disk; take it back by a step of its procedure, if there is \
         one"
    )]
    Done,
    /// What is to be withdrawn is on its way to the disk.
    #[error("approval.under-way: nothing was withdrawn; the act is being done at this moment; ask again in a moment")]
    UnderWay,
    /// What is to be withdrawn went out.
    #[error(
        "approval.second-owed: nothing was withdrawn; it went out on one officer's word, and the approval of another stays owed; \
         see: comity request approvals"
    )]
    SecondOwed,
    /// Too many wait.
    #[error(
        "approval.too-many: nothing was done; a thousand acts wait for officers already; approve some, or let some be"
    )]
    TooMany,
    /// It could not be recorded.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The index does not answer.
    #[error(transparent)]
    Index(#[from] IndexFault),
}

impl EyesFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Approval(fault) => fault.code(),
            Self::Unknown => "approval.unknown",
            Self::Withdrawn => "approval.withdrawn",
            Self::Done => "approval.done",
            Self::UnderWay => "approval.under-way",
            Self::SecondOwed => "approval.second-owed",
            Self::TooMany => "approval.too-many",
            Self::Audit(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Index(fault) => fault.code(),
        }
    }
}

/// A second approval that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// For what went out in which request.
    pub request: RequestId,
    /// The event.
    pub event: EventId,
    /// Until when.
    pub due: Time,
}

pub(super) fn key(request: &[u8], command: &[u8]) -> Vec<u8> {
    [APPROVAL_PREFIX, request, command].concat()
}

pub(super) fn read(value: &[u8]) -> Option<PreparedAct> {
    strict(value, ROW_MAX).ok()
}

/// All acts that wait for officers, and those done whose second approval is owed.
#[must_use]
pub fn prepared(desk: &Desk) -> Vec<PreparedAct> {
    desk.range(APPROVAL_PREFIX).iter().filter_map(|(_, value)| read(value)).collect()
}

/// The act that waits under a command.
#[must_use]
pub fn prepared_as(desk: &Desk, command: &[u8; 16]) -> Option<PreparedAct> {
    prepared(desk).into_iter().find(|row| row.command_id == command)
}

/// The approvals of an act that read.
#[must_use]
pub fn approvals_of(row: &PreparedAct) -> Vec<Signed> {
    row.approvals.iter().filter_map(|signed| Signed::from_wire(signed).ok()).collect()
}

/// Where on the desk contents of a request lie that waits for officers. That it is to be erased, and what went out under
/// break-glass, holds none of them and stays.
#[must_use]
pub(crate) fn prepared_contents(rows: &[(Vec<u8>, impl AsRef<[u8]>)], request: &RequestId) -> Vec<Vec<u8>> {
    let prefix = [APPROVAL_PREFIX, request.as_bytes()].concat();
    let holds = |value: &[u8]| read(value).is_none_or(|row| !row.body.is_empty() && row.step != ERASURE_STEP);
    let of = rows.iter().filter(|(key, value)| key.starts_with(&prefix) && holds(value.as_ref()));
    of.map(|(key, _)| key.clone()).collect()
}

/// The roll as it is kept, and since when.
#[must_use]
pub fn kept_roll(desk: &Desk) -> Option<(Vec<u8>, Time)> {
    let kept: proto::KeptRoll = strict(&desk.get(ROLL)?, ROW_MAX).ok()?;
    Some((kept.envelope, Time(kept.installed_ms)))
}

/// Keeps a roll in place of the one there is.
pub(crate) fn keep_roll(desk: &Desk, envelope: Vec<u8>, now: Time) -> Result<Pending<()>, StoreFault> {
    desk.put(ROLL, &proto::KeptRoll { envelope, installed_ms: now.0 }.encode_to_vec())
}

/// What is still owed to the rule of two.
#[must_use]
pub fn owed(desk: &Desk) -> Vec<Owed> {
    let owed = |row: PreparedAct| {
        let event = EventId::from_slice(&row.event_id).ok()?;
        Some(Owed { request: RequestId::from_slice(&row.request_id).ok()?, event, due: Time(row.due_ms) })
    };
    prepared(desk).into_iter().filter_map(owed).collect()
}

impl View {
    /// The roll that is here, if it reads under the own profile.
    #[must_use]
    pub fn roll(&self, profile: &Profile, now: Time) -> Option<Roll> {
        Roll::resume(&kept_roll(&self.desk)?.0, profile, now).ok()
    }

    /// What a row is about, while its contents are here.
    #[must_use]
    pub fn matter(&self, row: &PreparedAct) -> Option<Matter> {
        let recipients = row.recipients.iter().map(|code| PartyCode::parse(code).ok());
        let side = Side::read(row.side)?;
        Some(Matter {
            network: self.trust().charter().network.clone(),
            party: self.us.party.clone(),
            command_id: row.command_id[..].try_into().ok()?,
            request: RequestId::from_slice(&row.request_id).ok()?,
            authority: AuthorityId::parse(&row.authority).ok()?,
            procedure: ProcedureCode::parse(&row.procedure).ok()?,
            step: StepCode::parse(&row.step).ok()?,
            recipients: recipients.collect::<Option<_>>()?,
            body: row.body.clone(),
            side,
            emergency: row.emergency,
        })
    }

    /// Whether what officers have said of an act suffices as things are; the engine is asked when it is done.
    #[must_use]
    pub fn suffices(&self, row: &PreparedAct, now: Time) -> bool {
        let trust = self.trust();
        let (Some(profile), Some(matter)) = (trust.declared(&self.us.party), self.matter(row)) else { return false };
        let roll = self.roll(profile, now);
        let office = Office { roll: roll.as_ref(), profile, rules: &self.rules, now };
        office.passes(&matter, &approvals_of(row)).is_ok()
    }

    /// Puts an act before the officers. What lies there of the same contents stays, with its approvals; of others goes,
    /// with theirs, which were given to something else.
    ///
    /// # Errors
    /// When it was withdrawn, there is no room, or the desk does not take it.
    pub async fn prepare(&self, wanted: &ToApprove, lane: Lane, now: Time) -> Result<PreparedAct, EyesFault> {
        let _one_at_a_time = self.eyes.one_at_a_time.lock().await;
        let ToApprove { matter, salt } = wanted;
        not_withdrawn(&self.desk, &matter.command_id)?;
        let key = key(matter.request.as_bytes(), &matter.command_id);
        let there = self.desk.get(&key).and_then(|value| read(&value));
        let same = |row: &PreparedAct| {
            self.matter(row).is_some_and(|there| Matter { emergency: matter.emergency, ..there } == *matter)
        };
        if let Some(mut row) = there.filter(same) {
            if row.emergency != matter.emergency {
                row.emergency = matter.emergency;
                self.desk.put(&key, &row.encode_to_vec())?.await?;
            }
            return Ok(row);
        }
        self.make_room(&key, now).await?;
        let row = PreparedAct {
            prepared_ms: now.0,
            command_id: matter.command_id.to_vec(),
            request_id: matter.request.as_bytes().to_vec(),
            authority: matter.authority.to_string(),
            procedure: matter.procedure.to_string(),
            step: matter.step.to_string(),
            recipients: matter.recipients.iter().map(PartyCode::to_string).collect(),
            body: matter.body.clone(),
            salt: salt.to_vec(),
            digest: body_digest(salt, &matter.body).as_bytes().to_vec(),
            side: proto::Side::from(matter.side) as i32,
            emergency: matter.emergency,
            approvals: Vec::new(),
            event_id: Vec::new(),
            due_ms: 0,
            lane: lane as i32,
        };
        let waits = DeskChange::Put(key, Zeroizing::new(row.encode_to_vec()));
        self.desk.apply(vec![DeskChange::Delete(withdrawn_key(&row.command_id)), waits])?.await?;
        Ok(row)
    }

    async fn make_room(&self, for_key: &[u8], now: Time) -> Result<(), EyesFault> {
        let rows = prepared(&self.desk);
        let of = |row: &PreparedAct| key(&row.request_id, &row.command_id);
        if rows.len() < WAITING_MAX || rows.iter().any(|row| of(row) == for_key) {
            return Ok(());
        }
        let forgotten = |row: &&PreparedAct| row.event_id.is_empty() && now.since(Time(row.prepared_ms)) > FORGOTTEN_MS;
        let oldest = rows.iter().filter(forgotten).min_by_key(|row| row.prepared_ms).ok_or(EyesFault::TooMany)?;
        Ok(self.desk.delete(&of(oldest))?.await?)
    }

    /// Takes an officer's approval, or says why it does not count. One that is here already is taken once. Gives the row,
    /// which is gone once nothing is owed any more.
    ///
    /// # Errors
    /// When it does not count, or cannot be recorded and kept.
    pub async fn approve(&self, asked: Asked, signed: Signed, now: Time) -> Result<PreparedAct, EyesFault> {
        let _one_at_a_time = self.eyes.one_at_a_time.lock().await;
        let approval = signed.approval();
        let key = key(approval.request.as_bytes(), &approval.command_id);
        let Some(mut row) = self.desk.get(&key).and_then(|value| read(&value)) else {
            let withdrawn = withdrawn_as(&self.desk, &approval.command_id).is_some();
            return Err(if withdrawn { EyesFault::Withdrawn } else { EyesFault::Unknown });
        };
        if row.approvals.contains(&signed.to_wire()) {
            return Ok(row);
        }
        let trust = self.trust();
        let profile = trust.declared(&self.us.party).ok_or(Fault::NoRoll)?;
        let roll = self.roll(profile, now);
        let office = Office { roll: roll.as_ref(), profile, rules: &self.rules, now };
        let matter = self.matter(&row).ok_or(EyesFault::Unknown)?;
        if row.salt != approval.salt || row.digest != approval.digest.as_bytes() {
            return Err(Fault::OtherBody(approval.officer.clone()).into());
        }
        if !row.event_id.is_empty() {
            let glass = approvals_of(&row).into_iter().find(|other| other.approval().kind == Kind::BreakGlass);
            office.later_counts(&signed, &glass.ok_or(EyesFault::Unknown)?, matter.side)?;
            let event = EventId::from_slice(&row.event_id).map_err(|_| EyesFault::Unknown)?;
            self.audit.approved(&trust, asked, &signed, Some(&event)).await?;
            self.desk.delete(&key)?.await?;
            row.approvals.push(signed.to_wire());
            row.due_ms = 0;
            return Ok(row);
        }
        office.counts(&signed, &matter)?;
        let mut standing = approvals_of(&row);
        standing.retain(|other| office.counts(other, &matter).is_ok());
        standing.push(signed.clone());
        if let Err(fault @ Fault::SameOfficer(_)) = office.passes(&matter, &standing) {
            return Err(fault.into());
        }
        self.audit.approved(&trust, asked, &signed, None).await?;
        let others = approvals_of(&row).into_iter().filter(|other| other.approval().officer != approval.officer);
        row.approvals = others.map(|other| other.to_wire()).chain([signed.to_wire()]).collect();
        self.desk.put(&key, &row.encode_to_vec())?.await?;
        Ok(row)
    }

    /// What there is to do once an act that officers approved is on disk: each approval is recorded with the event; the row
    /// goes, or waits for the second approval without the contents.
    ///
    /// # Errors
    /// When it cannot be recorded or kept; then it is done later.
    pub async fn settle(
        &self,
        request: &RequestId,
        command: &[u8; 16],
        event: &EventId,
        now: Time,
    ) -> Result<(), EyesFault> {
        let _one_at_a_time = self.eyes.one_at_a_time.lock().await;
        let key = key(request.as_bytes(), command);
        let Some(row) = self.desk.get(&key).and_then(|value| read(&value)) else { return Ok(()) };
        if !row.event_id.is_empty() {
            return Ok(());
        }
        let approvals = approvals_of(&row);
        let glass = approvals.iter().any(|signed| signed.approval().kind == Kind::BreakGlass);
        let trust = self.trust();
        for signed in &approvals {
            self.audit.approved(&trust, nobody(), signed, Some(event)).await?;
        }
        if !glass {
            return Ok(self.desk.delete(&key)?.await?);
        }
        let done = PreparedAct {
            body: Vec::new(),
            event_id: event.as_bytes().to_vec(),
            due_ms: now.plus_ms(self.second_due_ms()).0,
            ..row
        };
        Ok(self.desk.put(&key, &done.encode_to_vec())?.await?)
    }

    /// How long the second approval may take. Rules without the clock leave no time.
    fn second_due_ms(&self) -> u64 {
        let rule = Code::parse(SECOND_DUE).and_then(|id| self.rules.clock(&id));
        rule.map_or(0, |rule| match rule.unit {
            Unit::Hour => u64::from(rule.duration) * 3_600_000,
            Unit::Day | Unit::WorkingDay => u64::from(rule.duration) * DAY_MS,
            Unit::Month => u64::from(rule.duration) * 31 * DAY_MS,
        })
    }

    /// Settles what is on disk and was not settled, since the process or its client ended in between.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub async fn settle_all(&self, now: Time) -> Result<(), EyesFault> {
        for row in prepared(&self.desk).into_iter().filter(|row| row.event_id.is_empty()) {
            let request = RequestId::from_slice(&row.request_id).map_err(|_| EyesFault::Unknown)?;
            let command: [u8; 16] = row.command_id[..].try_into().map_err(|_| EyesFault::Unknown)?;
            if let Some(event) = self.became(&request, &command, &row.step)? {
                self.settle(&request, &command, &event, now).await?;
            }
        }
        Ok(())
    }

    /// The event a command became, or the intent of the erasure.
    pub(super) fn became(
        &self,
        request: &RequestId,
        command: &[u8; 16],
        step: &str,
    ) -> Result<Option<EventId>, IndexFault> {
        if step != ERASURE_STEP {
            return self.index.command(command);
        }
        let row = self.index.erasure(request)?;
        row.map(|row| EventId::from_slice(&row.intent).map_err(|_| IndexFault::Damaged)).transpose()
    }

    /// What a command has done, if it has.
    ///
    /// # Errors
    /// When the index does not answer.
    pub fn done(&self, command: &[u8; 16]) -> Result<Option<(RequestId, Done)>, IndexFault> {
        let Some(done) = Done::before(&self.index, command)? else { return Ok(None) };
        let row = self.index.thread(&done.thread)?.ok_or(IndexFault::Damaged)?;
        let request = RequestId::from_slice(&row.request_id).map_err(|_| IndexFault::Damaged)?;
        Ok(Some((request, done)))
    }
}

/// The node itself, which finishes what others asked for.
fn nobody() -> Asked {
    Asked {
        user: 0,
        call: String::new(),
        method: String::new(),
        route: String::new(),
        ids: Vec::new(),
        request: None,
        outcome: None,
    }
}
