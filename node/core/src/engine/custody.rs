//! Our own custody statements: from what the evidence room did to a signed record on disk.
//!
//! Checked before anything is signed: the authority's power and, for a hand-over under way, what the
//! thread says of it. Keys are released only by a statement made here, so only once the taker's
//! signed acceptance of the terms stands in our ledger. A statement moves no state and is sent to
//! nobody; the thread need not be occupied for it. One about a manifest is made at a time.

use super::{Done, Engine, EngineFault, Job, NotDone, Output, Step, Ticket, erasure::erased, own::not_done};
use crate::{
    case::Case,
    crypto::{pae, sha256},
    ids::{AuthorityId, Digest, EventId, LedgerIndex, RequestId, ThreadId},
    index::{IndexFault, Pairs},
    manifest::{CUSTODY_TYPE, Statement},
    procedure::DeliveryState,
    proto::{ActorKind, CustodyAct, EventRow, Signature},
    record::custody,
};

/// A custody statement the evidence room wants signed.
#[derive(Debug, Clone)]
pub struct Custody {
    /// Client-made: carrying the same command out twice has one effect.
    pub command_id: [u8; 16],
    /// The request.
    pub request: RequestId,
    /// Which of our authorities acts.
    pub authority: AuthorityId,
    /// What was done.
    pub act: CustodyAct,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// How many items it lists.
    pub items: u64,
    /// Bytes of plaintext, all items together.
    pub bytes: u64,
    /// Release and verification: the event that handed over.
    pub delivery: Option<EventId>,
}

/// A statement under way.
pub(super) struct Stating {
    ticket: Ticket,
    command_id: [u8; 16],
    pub(super) thread: ThreadId,
    statement: Statement,
    bytes: Vec<u8>,
}

impl Engine {
    pub(super) fn on_custody<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        wanted: &Custody,
    ) -> Result<(), EngineFault> {
        if let Some(done) = Done::before(step.index, &wanted.command_id)? {
            step.out.push(Output::Reply(ticket, Ok(done)));
            return Ok(());
        }
        match self.state(step, ticket, wanted)? {
            Err(refused) => step.out.push(Output::Reply(ticket, Err(refused))),
            Ok(stating) => {
                self.commands.insert(stating.command_id);
                let message = pae(CUSTODY_TYPE, &stating.bytes);
                let job = self.job(Job::Custody(Box::new(stating)));
                step.out.push(Output::Sign { job, message });
            }
        }
        Ok(())
    }

    fn state<P: Pairs>(
        &self,
        step: &Step<'_, P>,
        ticket: Ticket,
        wanted: &Custody,
    ) -> Result<Result<Stating, NotDone>, EngineFault> {
        if let Err(refused) = self.may_sign_now(&wanted.command_id, step.now) {
            return Ok(Err(refused));
        }
        if self.is_stating(&wanted.manifest) {
            return Ok(Err(not_done("engine.busy", "another statement about this manifest is under way; try again")));
        }
        if step.index.erasure(&wanted.request)?.is_some() || self.is_intending(&wanted.request) {
            return Ok(Err(erased()));
        }
        let Some(thread) = step.index.threads_of(&wanted.request)?.first().copied() else {
            return Ok(Err(not_done("request.unknown", "no such request here")));
        };
        let row = step.index.thread(&thread)?.ok_or(IndexFault::Damaged)?;
        let procedure = row.procedure.parse().map_err(|_| IndexFault::Damaged)?;
        let rows = step.index.events(&thread)?;
        let case = Case::of(&rows).map_err(|_| IndexFault::Damaged)?;
        let side = case.side_of(&self.us.party);
        if let Err(refused) = self.check_power(&wanted.authority, ActorKind::Authority, &procedure, side, step.now) {
            return Ok(Err(refused));
        }
        let acceptance = match self.handed_over(&case, &rows, wanted, step)? {
            Ok(acceptance) => acceptance,
            Err(refused) => return Ok(Err(refused)),
        };
        let statement = Statement {
            network: self.trust.charter().network.clone(),
            party: self.us.party.clone(),
            authority: wanted.authority.clone(),
            origin: self.us.origin.clone(),
            request: wanted.request,
            act: wanted.act,
            time: step.now,
            manifest: wanted.manifest,
            items: wanted.items,
            bytes: wanted.bytes,
            delivery: wanted.delivery,
            acceptance,
            previous: step.index.custody(&wanted.manifest)?.last().copied(),
        };
        let bytes = statement.to_wire();
        Ok(Ok(Stating { ticket, command_id: wanted.command_id, thread, statement, bytes }))
    }

    /// True while a statement about the manifest is not on disk yet: the next has to name it as the one before.
    fn is_stating(&self, manifest: &Digest) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Custody(stating) if stating.statement.manifest == *manifest))
    }

    /// What the thread says of the hand-over a statement is about: for a release, the event that
    /// accepted the terms.
    fn handed_over<P>(
        &self,
        case: &Case,
        rows: &[EventRow],
        wanted: &Custody,
        step: &Step<'_, P>,
    ) -> Result<Result<Option<EventId>, NotDone>, EngineFault> {
        let giving = match wanted.act {
            CustodyAct::Seal | CustodyAct::Unspecified => return Ok(Ok(None)),
            CustodyAct::Release => true,
            CustodyAct::Verify => false,
        };
        let standing = case.standing(&self.rules, step.now).map_err(|_| IndexFault::Damaged)?;
        let deliveries = standing.as_ref().map(|standing| standing.deliveries()).unwrap_or_default();
        let named = deliveries.iter().find(|delivery| Some(delivery.event) == wanted.delivery);
        let Some(named) = named.filter(|delivery| delivery.manifest.digest == wanted.manifest) else {
            return Ok(Err(not_done("evidence.unknown-delivery", "no such delivery stands in this request")));
        };
        let author = rows.iter().find(|row| row.event_id == named.event.as_bytes());
        let ours = author.is_some_and(|row| row.author == self.us.party.as_str());
        Ok(match &named.state {
            _ if ours != giving => Err(not_done("evidence.wrong-side", "this is for the other side of the delivery")),
            DeliveryState::TermsAccepted { acceptance } => Ok(giving.then_some(*acceptance)),
            DeliveryState::Offered => {
                Err(not_done("evidence.terms-not-accepted", "the terms of this delivery are not accepted yet"))
            }
            DeliveryState::Disputed { .. } | DeliveryState::InCustody { .. } | DeliveryState::Replaced { .. } => {
                Err(not_done("evidence.delivery-closed", "this delivery is disputed, replaced or in custody already"))
            }
        })
    }

    pub(super) fn custody_signed<P>(&mut self, step: &mut Step<'_, P>, stating: Stating, signatures: Vec<Signature>) {
        let trust = self.trust.clone();
        let moment = self.moment(&trust, step);
        let Stating { thread, command_id, .. } = stating;
        let record = custody(&moment, &stating.statement, thread, stating.bytes.clone(), signatures, command_id);
        self.append(step, Job::Custody(Box::new(stating)), record);
    }

    pub(super) fn custody_appended<P>(&mut self, step: &mut Step<'_, P>, stating: &Stating, index: LedgerIndex) {
        self.commands.remove(&stating.command_id);
        let record = sha256(&[&pae(CUSTODY_TYPE, &stating.bytes)]);
        let done = Done { event: EventId::new(*record.as_bytes()), thread: stating.thread, index, before: false };
        step.out.push(Output::Reply(stating.ticket, Ok(done)));
    }

    pub(super) fn custody_failed<P>(&mut self, step: &mut Step<'_, P>, stating: &Stating, code: &'static str) {
        self.commands.remove(&stating.command_id);
        let detail = "the custody statement was not recorded; see: comity explain";
        step.out.push(Output::Reply(stating.ticket, Err(not_done(code, detail))));
    }
}

/// The command id under which keys of a delivery are released: once for ever, whoever asks how often.
#[must_use]
pub fn release_command(delivery: &EventId) -> [u8; 16] {
    command("release", delivery)
}

/// The command id under which a delivery is verified before custody is taken.
#[must_use]
pub fn verify_command(delivery: &EventId) -> [u8; 16] {
    command("verify", delivery)
}

fn command(act: &str, delivery: &EventId) -> [u8; 16] {
    let digest = sha256(&[b"comity custody command v1\0", act.as_bytes(), b"\0", delivery.as_bytes()]);
    *digest.as_bytes().first_chunk().expect("a digest has 32 bytes")
}
