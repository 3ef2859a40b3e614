//! Holds: what a person says must be kept, whatever rule or ground would let it go.
//!
//! A hold is taken into account the moment it is decided, before it is on disk; a release only once it is. The engine
//! decides both, so that no hold that was acknowledged can be overtaken by an erasure. A hold is no record: it is a matter
//! of this Party's own house, and others see nothing of it.

use std::collections::BTreeMap;

use super::{Engine, EngineFault, Job, JobId, NotDone, Output, Step, Ticket, erasure::erased, own::not_done};
use crate::{
    ids::{RequestId, Time},
    index::Pairs,
    rules::{Code, HOLD_REASONS},
};

/// That a request must be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Why: a code of the rules.
    pub reason: Code,
    /// Since when.
    pub since: Time,
}

/// A hold, or its release, on its way to the disk.
pub(super) struct Holding {
    ticket: Ticket,
    request: RequestId,
    hold: Option<Hold>,
    before: Option<Hold>,
}

impl Engine {
    /// Takes over the holds that were kept. Call it before the first step.
    pub fn remember_holds(&mut self, holds: BTreeMap<RequestId, Hold>) {
        self.holds = holds;
    }

    pub(super) fn on_hold<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        request: RequestId,
        reason: Option<Code>,
    ) -> Result<(), EngineFault> {
        let before = self.holds.get(&request).cloned();
        if let Some(refused) = self.may_hold(step, &request, reason.as_ref())? {
            step.out.push(Output::Held(ticket, Err(refused)));
            return Ok(());
        }
        let same = before.as_ref().filter(|hold| Some(&hold.reason) == reason.as_ref());
        if let Some(hold) = same {
            step.out.push(Output::Held(ticket, Ok(Some(hold.clone()))));
            return Ok(());
        }
        let hold = reason.map(|reason| Hold { reason, since: step.now });
        if let Some(hold) = &hold {
            self.holds.insert(request, hold.clone());
        }
        let job = self.job(Job::Hold(Box::new(Holding { ticket, request, hold: hold.clone(), before })));
        step.out.push(Output::KeepHold { job, request, hold });
        Ok(())
    }

    fn may_hold<P: Pairs>(
        &self,
        step: &Step<'_, P>,
        request: &RequestId,
        reason: Option<&Code>,
    ) -> Result<Option<NotDone>, EngineFault> {
        let known = Code::parse(HOLD_REASONS).and_then(|id| self.rules.list(&id));
        let is_known = |reason: &Code| known.is_some_and(|list| list.has(reason.as_str()));
        Ok(if reason.is_some_and(|reason| !is_known(reason)) {
            Some(not_done(
                "hold.unknown-reason",
                "nothing was held; the rules do not know this reason; see /v1/retention",
            ))
        } else if step.index.erasure(request)?.is_some() || self.is_intending(request) {
            Some(erased())
        } else if step.index.threads_of(request)?.is_empty() {
            Some(not_done("request.unknown", "no such request here"))
        } else if self.is_holding(request) {
            Some(not_done("engine.busy", "a hold of this request is being recorded; try again in a moment"))
        } else if reason.is_none() && !self.holds.contains_key(request) {
            Some(not_done("hold.none", "nothing was released; this request is not held; see: comity request show"))
        } else {
            None
        })
    }

    /// True while a hold of the request, or its release, is on its way to the disk.
    pub(super) fn is_holding(&self, request: &RequestId) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Hold(holding) if holding.request == *request))
    }

    pub(super) fn on_hold_kept<P>(
        &mut self,
        step: &mut Step<'_, P>,
        id: JobId,
        kept: Result<(), &'static str>,
    ) -> Result<(), EngineFault> {
        let Job::Hold(holding) = self.take_job(id)? else { return Err(EngineFault::UnknownJob(id)) };
        let Holding { ticket, request, hold, before } = *holding;
        let (stands, result) = match kept {
            Ok(()) => (hold.clone(), Ok(hold)),
            Err(code) => (before, Err(not_done(code, "the hold was not changed; see: comity explain"))),
        };
        match stands {
            Some(hold) => drop(self.holds.insert(request, hold)),
            None => drop(self.holds.remove(&request)),
        }
        step.out.push(Output::Held(ticket, result));
        Ok(())
    }
}
