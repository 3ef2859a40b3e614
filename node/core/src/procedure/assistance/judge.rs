//! One step under judgement: does its guard hold, what state follows.

use super::delivery::id;
use super::{Assistance, Delivery, DeliveryState, File, Guard, ManifestRef, Phase, Request, State, Step};
use crate::ids::{Digest, EventId};
use crate::procedure::{Judging, Refusal, Side, ground};

impl Judging<'_, Assistance> {
    pub(super) fn take(&self, step: Step) -> Result<State, Refusal> {
        let act = self.act;
        let State::Live { file, phase, since } = self.state else {
            let file = File {
                request: self.read_request()?,
                issued: act.time,
                consulted: false,
                conditions: Vec::new(),
                deliveries: Vec::new(),
                heard: act.time,
            };
            return Ok(State::Live { file, phase: Phase::Issued, since: act.time });
        };
        let mut file = file.clone();
        if act.side == Side::Requested {
            file.heard = file.heard.max(act.time);
        }
        let next = match step {
            Step::Request => return Err(self.wrong_state()),
            Step::Acknowledge | Step::DeclineConditions | Step::Reconsider | Step::ResumeReview => Phase::UnderReview,
            Step::AnswerConsultation | Step::EndConsultation => {
                file.consulted = true;
                Phase::UnderReview
            }
            Step::ReturnIncomplete => Phase::ReturnedIncomplete,
            Step::Complete => {
                file.issued = act.time;
                Phase::Issued
            }
            Step::Forward => Phase::Forwarded,
            Step::Consult => Phase::Consultation { about: act.some_codes("consult.about")? },
            Step::Accept => Phase::Accepted,
            Step::AcceptWithConditions => Phase::ConditionsProposed { conditions: act.some_codes("conditions")? },
            Step::AcceptConditions => {
                file.conditions = proposed(phase);
                Phase::Accepted
            }
            Step::Refuse => Phase::Refused { ground: act.code("ground")? },
            Step::Postpone => Phase::Postponed { ground: act.code("ground")? },
            Step::BeginExecution => Phase::Executing,
            Step::Suspend => Phase::Suspended { from: Box::new(phase.clone()) },
            Step::Resume => resumed(phase).ok_or_else(|| self.wrong_state())?,
            Step::CannotExecute => Phase::NotExecuted { outcome: act.code("outcome")? },
            Step::DeliverPart => {
                file.deliveries.push(self.read_delivery()?);
                Phase::PartiallyExecuted
            }
            Step::Deliver => {
                file.deliveries.push(self.read_delivery()?);
                Phase::settled(&file.deliveries)
            }
            Step::Redeliver => {
                self.mark(&mut file, DeliveryState::Replaced { by: act.id })?;
                file.deliveries.push(self.read_delivery()?);
                settled(phase, &file)
            }
            Step::AcceptTerms => {
                self.mark(&mut file, DeliveryState::TermsAccepted { acceptance: act.id })?;
                phase.clone()
            }
            Step::Dispute => {
                self.mark(&mut file, DeliveryState::Disputed { reasons: act.some_codes("dispute.reasons")? })?;
                settled(phase, &file)
            }
            Step::TakeCustody => {
                self.mark(&mut file, DeliveryState::InCustody { event: act.id })?;
                settled(phase, &file)
            }
            Step::Close => Phase::Closed,
            Step::Withdraw => Phase::Withdrawn,
        };
        let since = if next == *phase { *since } else { act.time };
        Ok(State::Live { file, phase: next, since })
    }

    fn read_request(&self) -> Result<Request, Refusal> {
        let offences = self.act.some_codes("offence.codes")?;
        let linked = self.act.code_if_any("linked.preservation");
        Ok(Request {
            at: self.act.time,
            instrument: self.act.code("reference.instrument")?,
            offences,
            preservation: linked.and_then(|code| code.as_str().parse().ok()),
        })
    }

    fn read_delivery(&self) -> Result<Delivery, Refusal> {
        Ok(Delivery {
            event: self.act.id,
            manifest: ManifestRef::read(self.act)?,
            terms: self.act.codes("terms.codes"),
            state: DeliveryState::Offered,
        })
    }

    /// The hand-over this step names.
    fn named(&self) -> Result<Option<&Delivery>, Refusal> {
        let event: EventId = id(self.act, "delivery")?;
        Ok(self.state.deliveries().iter().find(|delivery| delivery.event == event))
    }

    fn mark(&self, file: &mut File, state: DeliveryState) -> Result<(), Refusal> {
        let event: EventId = id(self.act, "delivery")?;
        let named = file.deliveries.iter_mut().find(|delivery| delivery.event == event);
        named.ok_or_else(|| self.wrong_state())?.state = state;
        Ok(())
    }

    pub(super) fn wrong(&self, guard: Guard) -> Result<Option<String>, Refusal> {
        Ok(match guard {
            Guard::None => None,
            Guard::BasedOnInstrument => ground::wrong_instrument(self.act, self.procedure)?,
            Guard::ConsultedBefore => self.unconsulted().map_or_else(|| self.wrong_ground(), |why| Ok(Some(why)))?,
            Guard::PartNamesGround => self.wrong_part()?,
            Guard::NamesManifest => ManifestRef::read(self.act).map(|_| None)?,
            Guard::ReplacesDisputed => {
                ManifestRef::read(self.act)?;
                self.unless(Delivery::is_disputed, "it names no hand-over that is disputed. Name the one to replace")?
            }
            Guard::OffersTerms => {
                self.unless(Delivery::is_offered, "it names no hand-over whose terms wait. Name one that is offered")?
            }
            Guard::IsOpen => self.unless(Delivery::is_open, "it names no hand-over that is open. Name one that is")?,
            Guard::VerifiedWhole => self.unverified()?,
        })
    }

    fn unconsulted(&self) -> Option<String> {
        let why = "the two sides have not consulted yet (BC 27(6)). Consult, or end the consultation";
        (!self.state.may_decide_against()).then(|| why.to_owned())
    }

    fn wrong_ground(&self) -> Result<Option<String>, Refusal> {
        let Some(file) = self.state.file() else { return Err(self.wrong_state()) };
        ground::wrong_ground(self.act, self.rules, self.procedure, &file.request.offences)
    }

    /// A decision on a part names the ground for the rest; one on the whole may name none.
    fn wrong_part(&self) -> Result<Option<String>, Refusal> {
        let in_part = self.act.code("accept.scope")?.as_str() == PART;
        if in_part || self.act.code_if_any("ground").is_some() { self.wrong_ground() } else { Ok(None) }
    }

    fn unless(&self, fits: fn(&Delivery) -> bool, why: &str) -> Result<Option<String>, Refusal> {
        Ok((!self.named()?.is_some_and(fits)).then(|| why.to_owned()))
    }

    fn unverified(&self) -> Result<Option<String>, Refusal> {
        let verified: Digest = id(self.act, "custody.manifest")?;
        let _record: Digest = id(self.act, "custody.record")?;
        self.act.count("custody.items")?;
        self.act.count("custody.bytes")?;
        let named = self.named()?.filter(|delivery| delivery.is_accepted());
        Ok(match named {
            None => Some("it names no hand-over whose terms are accepted. Name one".to_owned()),
            Some(delivery) if delivery.manifest.digest != verified => {
                Some("what was verified is not the manifest of that hand-over. Verify it again".to_owned())
            }
            Some(_) => None,
        })
    }
}

/// The code of a decision that executes a request in part, in the list `scopes`.
const PART: &str = "part";

fn proposed(phase: &Phase) -> Vec<crate::rules::Code> {
    if let Phase::ConditionsProposed { conditions } = phase { conditions.clone() } else { Vec::new() }
}

fn resumed(phase: &Phase) -> Option<Phase> {
    if let Phase::Suspended { from } = phase { Some((**from).clone()) } else { None }
}

/// While more is to come the request stays where it is, whatever becomes of a part.
fn settled(phase: &Phase, file: &File) -> Phase {
    match phase {
        Phase::PartiallyExecuted | Phase::Suspended { .. } => phase.clone(),
        Phase::Issued
        | Phase::ReturnedIncomplete
        | Phase::Forwarded
        | Phase::UnderReview
        | Phase::Consultation { .. }
        | Phase::ConditionsProposed { .. }
        | Phase::Accepted
        | Phase::Executing
        | Phase::Delivered
        | Phase::Disputed
        | Phase::Acknowledged
        | Phase::Closed
        | Phase::NotExecuted { .. }
        | Phase::Refused { .. }
        | Phase::Postponed { .. }
        | Phase::Withdrawn => Phase::settled(&file.deliveries),
    }
}
