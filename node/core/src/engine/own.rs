//! Our own acts: from a command to an event on disk.
//!
//! Checked before anything is made: the authority's power, the form, the step against the thread's
//! state, and whether enough officers have approved. Then seal, sign, append, reply. The thread stays occupied from check to append, so that
//! the event descends from everything of its thread that our ledger holds before it.

use std::collections::BTreeSet;

use prost::Message as _;

use super::{Act, Done, Engine, EngineFault, Job, JobId, NotDone, Output, Step, Ticket, Waiting, erasure::erased};
use crate::{
    case::{self, Case, Wish},
    crypto::{PublicKey, pae},
    event::{BodyRef, BodySecret, EVENT_TYPE, Event, Header, Slip, event_id, thread_id},
    ids::{AuthorityId, Digest, LedgerIndex, PartyCode, ProcedureCode, ThreadId, Time},
    index::{IndexFault, Pairs},
    procedure::{self, Refusal, Side},
    profile::Freshness,
    proto::{ActorKind, EventRow, Fact, KeyRole, Lane, Signature},
    record::{Slips, event_sent},
    rules::actor_name,
    wire::ENVELOPE_MAX,
};

/// An envelope beside its body: header, two signatures and framing stay below this.
const ENVELOPE_REST: usize = 16 << 10;

/// A clock further behind the last record than this is wrong, and own events would carry its error;
/// receiving goes on, since the time of record never falls.
pub const CLOCK_BEHIND_MS_MAX: u64 = 2 * 60 * 1000;

/// An own act under way.
pub(super) struct Own {
    ticket: Ticket,
    command_id: [u8; 16],
    lane: Lane,
    header: Header,
    facts: Vec<Fact>,
    body: Vec<u8>,
    secret: Option<BodySecret>,
}

/// What an act meets: its thread and what is there already.
struct Place {
    thread: ThreadId,
    members: BTreeSet<PartyCode>,
    rows: Vec<EventRow>,
}

impl Engine {
    pub(super) fn on_command<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        act: Box<Act>,
    ) -> Result<(), EngineFault> {
        if let Some(done) = Done::before(step.index, &act.command_id)? {
            step.out.push(Output::Reply(ticket, Ok(done)));
            return Ok(());
        }
        let place = match self.place(step, &act)? {
            Ok(place) => place,
            Err(refused) => {
                step.out.push(Output::Reply(ticket, Err(refused)));
                return Ok(());
            }
        };
        if self.busy.contains_key(&place.thread) {
            if self.wait(&place.thread, Waiting::Command(ticket, act)).is_err() {
                step.out.push(Output::Reply(ticket, Err(busy())));
            }
            return Ok(());
        }
        match self.prepare(step, ticket, &act, &place) {
            Ok((own, plaintext, recipients)) => {
                self.occupy(place.thread);
                self.commands.insert(act.command_id);
                let binding = own.header.binding();
                let job = self.job(Job::Own(Box::new(own)));
                let entropy = step.fresh();
                step.out.push(Output::Seal { job, plaintext, binding, recipients, entropy });
            }
            Err(refused) => step.out.push(Output::Reply(ticket, Err(refused))),
        }
        Ok(())
    }

    fn place<P: Pairs>(&self, step: &Step<'_, P>, act: &Act) -> Result<Result<Place, NotDone>, EngineFault> {
        if step.index.erasure(&act.request)?.is_some() {
            return Ok(Err(erased()));
        }
        let threads = step.index.threads_of(&act.request)?;
        let opening = |recipients: &BTreeSet<PartyCode>| {
            let members: BTreeSet<PartyCode> = recipients.iter().chain([&self.us.party]).cloned().collect();
            let thread = thread_id(&self.trust.charter().network, &act.request, &members);
            Place { thread, members, rows: Vec::new() }
        };
        Ok(match &threads[..] {
            [] if act.recipients.is_empty() || act.recipients.contains(&self.us.party) => {
                Err(not_done("request.unknown", "no such request here, and a new one must name the other Party"))
            }
            [] if act.recipients.len() != 1 => {
                Err(not_done("request.not-two-sided", "a request of this procedure goes to one Party"))
            }
            [] => Ok(opening(&act.recipients)),
            [thread, ..] => {
                let row = step.index.thread(thread)?.ok_or(IndexFault::Damaged)?;
                let members = row.members.iter().map(|code| PartyCode::parse(code)).collect::<Result<_, _>>();
                let members: BTreeSet<PartyCode> = members.map_err(|_| IndexFault::Damaged)?;
                let named: BTreeSet<PartyCode> = act.recipients.iter().chain([&self.us.party]).cloned().collect();
                if !act.recipients.is_empty() && named != members {
                    return Ok(Err(not_done("request.id-taken", "this request id stands for a request to others")));
                }
                Ok(Place { thread: *thread, members, rows: step.index.events(thread)? })
            }
        })
    }

    fn prepare<P>(
        &self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        act: &Act,
        place: &Place,
    ) -> Result<(Own, Vec<u8>, Vec<PublicKey>), NotDone> {
        self.may_sign_now(&act.command_id, step.now)?;
        let case = Case::of(&place.rows).map_err(|fault| not_done("index.damaged", &fault.to_string()))?;
        let side = case.side_of(&self.us.party);
        let refused = |refusal: Refusal| not_done(refusal.code(), &refusal.to_string());
        let actor = procedure::actor_of(&self.rules, &act.procedure, &act.step, side).map_err(refused)?;
        self.check_power(&act.authority, actor, &act.procedure, side, step.now)?;
        let facts = self.check_form(act)?;
        let parents = case.heads(&self.rules).map_err(refused)?;
        let wish = Wish {
            procedure: &act.procedure,
            step: &act.step,
            author: &self.us.party,
            actor,
            parents: &parents,
            time: step.now,
            facts: &facts,
            body: &act.body,
        };
        let setting = case::setting(&self.rules, &self.trust, case.between(&place.members, &self.us.party), step.now);
        case.permits(&self.rules, &wish, &setting).map_err(refused)?;
        let recipients: Vec<PartyCode> =
            place.members.iter().filter(|member| **member != self.us.party).cloned().collect();
        let keys = recipients.iter().map(|to| self.seal_key(to, step)).collect::<Result<_, _>>()?;
        let plaintext = act.body.encode_to_vec();
        if plaintext.len() > ENVELOPE_MAX / 2 {
            return Err(not_done("request.too-large", "the form is over 512 KiB; send papers as attachments"));
        }
        self.act_is_seen(step, act, (&case, side), (&recipients, &facts, &plaintext))?;
        let header = Header {
            network: self.trust.charter().network.clone(),
            exercise: self.trust.charter().exercise,
            request: act.request,
            thread: place.thread,
            procedure: act.procedure.clone(),
            step: act.step.clone(),
            author: self.us.party.clone(),
            authority: act.authority.clone(),
            actor,
            origin: self.us.origin.clone(),
            parents,
            recipients,
            time: step.now,
            body: BodyRef { digest: Digest::new([0; 32]), size: 0 },
        };
        let own =
            Own { ticket, command_id: act.command_id, lane: act.lane, header, facts, body: Vec::new(), secret: None };
        Ok((own, plaintext, keys))
    }

    /// Whether this command may make a signed record at this moment.
    pub(super) fn may_sign_now(&self, command_id: &[u8; 16], now: Time) -> Result<(), NotDone> {
        if now.plus_ms(CLOCK_BEHIND_MS_MAX) < self.last_recorded {
            let detail = "this machine's clock is over two minutes behind the last record; set it right first";
            return Err(not_done("engine.clock-behind", detail));
        }
        if self.commands.contains(command_id) {
            return Err(not_done("request.in-progress", "this command is being carried out; ask again in a moment"));
        }
        Ok(())
    }

    pub(super) fn check_power(
        &self,
        authority: &AuthorityId,
        actor: ActorKind,
        procedure: &ProcedureCode,
        side: Side,
        now: Time,
    ) -> Result<(), NotDone> {
        if self.trust.charter().lapses <= now {
            return Err(not_done(
                "charter.lapsed",
                "the charter has expired and its grace is over; take in the next one",
            ));
        }
        let profile = self.trust.profile(&self.us.party, now);
        let profile = profile.ok_or_else(|| {
            not_done("profile.none", "this Party is suspended, has left, or has no profile here; see comity doctor")
        })?;
        if profile.keys(KeyRole::Record, now).next().is_none() {
            return Err(not_done("keys.expired", "no record key of this Party is valid now"));
        }
        let detail = if !profile.may(authority, procedure, side, now) {
            format!("authority {authority} may not act in {procedure} on this side")
        } else if !profile.speaks_as(authority, actor) {
            format!("authority {authority} does not act in the name of a {}; name one that does", actor_name(actor))
        } else {
            return Ok(());
        };
        Err(not_done("profile.no-power", &detail))
    }

    fn check_form(&self, act: &Act) -> Result<Vec<Fact>, NotDone> {
        let id = format!("{}/{}", act.procedure, act.step);
        let form = self.rules.form(&act.procedure, &act.step);
        let form = form.ok_or_else(|| not_done("form.unknown", &format!("there is no form {id}")))?;
        let mistakes = form.check(&act.body);
        if mistakes.is_empty() && act.body.form == id {
            return Ok(form.facts(&act.body));
        }
        let fields = mistakes.into_iter().map(|m| (m.field.clone(), m.code(), m.to_string())).collect();
        Err(NotDone { code: "form.incomplete", detail: format!("the form {id} is not complete"), fields, wanted: None })
    }

    fn seal_key<P>(&self, to: &PartyCode, step: &Step<'_, P>) -> Result<PublicKey, NotDone> {
        if self.trust.freshness(to, step.now) == Freshness::Frozen {
            let detail = format!(
                "nothing was heard of Party {to} for 14 days: its keys may have changed; reach its node, or take in its newest head by file"
            );
            return Err(not_done("profile.frozen", &detail));
        }
        let key = self.trust.seal_key(to, step.now).cloned();
        key.ok_or_else(|| {
            not_done("profile.no-seal-key", &format!("Party {to} has no valid seal key; fetch its newest profile"))
        })
    }

    pub(super) fn on_sealed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        id: JobId,
        sealed: Option<(Vec<u8>, BodySecret)>,
    ) -> Result<(), EngineFault> {
        let Job::Own(mut own) = self.take_job(id)? else { return Err(EngineFault::UnknownJob(id)) };
        let Some((body, secret)) = sealed else { return self.own_failed(step, *own, "keys.sealing-failed") };
        if body.len() > ENVELOPE_MAX - ENVELOPE_REST {
            return self.own_failed(step, *own, "request.too-large");
        }
        own.header.body = BodyRef { digest: crate::crypto::sha256(&[&body]), size: body.len() as u64 };
        (own.body, own.secret) = (body, Some(secret));
        let message = pae(EVENT_TYPE, &own.header.to_wire());
        let job = self.job(Job::Own(own));
        step.out.push(Output::Sign { job, message });
        Ok(())
    }

    pub(super) fn own_signed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        mut own: Own,
        signatures: Vec<Signature>,
    ) -> Result<(), EngineFault> {
        let bytes = own.header.to_wire();
        let Some(secret) = own.secret.take() else { return self.own_failed(step, own, "keys.signing-failed") };
        let event = Event {
            id: event_id(&bytes),
            header: own.header.clone(),
            bytes,
            signatures,
            body: std::mem::take(&mut own.body),
        };
        let slips = Slips { secret: step.fresh(), rows: self.number(step, &own)? };
        let trust = self.trust.clone();
        let moment = self.moment(&trust, step);
        let record = event_sent(&moment, event, own.facts.clone(), &slips, own.command_id, secret);
        self.append(step, Job::Own(Box::new(own)), record);
        Ok(())
    }

    /// The next slip number to each recipient. Appends keep their order, so numbers have no gaps.
    fn number<P: Pairs>(&mut self, step: &Step<'_, P>, own: &Own) -> Result<Vec<(PartyCode, Slip)>, EngineFault> {
        let mut rows = Vec::with_capacity(own.header.recipients.len());
        for to in &own.header.recipients {
            let key = (to.clone(), own.lane as i32);
            let last = match self.numbers.get(&key) {
                Some(last) => *last,
                None => step.index.last_number(to, own.lane, self.us.origin.number())?,
            };
            self.numbers.insert(key, last + 1);
            let ledger = self.us.origin.number();
            rows.push((to.clone(), Slip { ledger, lane: own.lane, number: last + 1 }));
        }
        Ok(rows)
    }

    pub(super) fn own_appended<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        own: Own,
        index: LedgerIndex,
    ) -> Result<(), EngineFault> {
        self.commands.remove(&own.command_id);
        let thread = own.header.thread;
        let done = Done { event: event_id(&own.header.to_wire()), thread, index, before: false };
        step.out.push(Output::Reply(own.ticket, Ok(done)));
        self.clocks_changed(step, &thread)?;
        self.release(step, &thread)
    }

    pub(super) fn own_failed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        own: Own,
        code: &'static str,
    ) -> Result<(), EngineFault> {
        self.commands.remove(&own.command_id);
        let detail = "the act was not recorded and nothing was sent; see: comity explain";
        step.out.push(Output::Reply(own.ticket, Err(not_done(code, detail))));
        let thread = own.header.thread;
        self.release(step, &thread)
    }
}

pub(super) fn not_done(code: &'static str, detail: &str) -> NotDone {
    NotDone { code, detail: detail.to_owned(), fields: Vec::new(), wanted: None }
}

fn busy() -> NotDone {
    not_done("engine.busy", "too much is under way in this request; try again in a moment")
}
