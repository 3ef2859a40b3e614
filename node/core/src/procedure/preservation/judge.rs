//! One step under judgement: does its guard hold, what state follows.

use super::{Guard, Measure, Preservation, Request, State, Step};
use crate::clock::due_at_the_earliest;
use crate::ids::Time;
use crate::procedure::{Judging, Refusal, ground};

impl Judging<'_, Preservation> {
    pub(super) fn take(&self, step: Step) -> Result<State, Refusal> {
        let (act, at) = (self.act, self.act.time);
        Ok(match step {
            Step::Request => State::Requested { request: self.read_request()? },
            Step::Acknowledge => State::Acknowledged { request: self.request()?, at, insisted: false },
            Step::WarnInsufficient => State::Warned { request: self.request()?, kinds: act.codes("warning.kinds"), at },
            Step::Proceed => State::Acknowledged { request: self.request()?, at, insisted: true },
            Step::Preserve => State::Preserved { request: self.request()?, measure: self.read_measure()? },
            Step::CannotPreserve => {
                State::CannotPreserve { request: self.request()?, outcome: act.code("outcome")?, at }
            }
            Step::Refuse => State::Refused { request: self.request()?, ground: act.code("ground")?, at },
            Step::Extend => State::ExtensionAsked {
                request: self.request()?,
                measure: self.measure()?,
                until: act.time("extension.until")?,
            },
            Step::ConfirmExtension => State::Preserved { request: self.request()?, measure: self.extended()? },
            Step::FollowUp => {
                let linked = act.code_if_any("follow-up.request").and_then(|code| code.as_str().parse().ok());
                State::FollowedUp { request: self.request()?, measure: self.measure()?, linked, at }
            }
            Step::Release => self.released()?,
            Step::Withdraw if self.state.measure().is_some() => self.released()?,
            Step::Withdraw => State::Withdrawn { request: self.request()?, at },
            Step::DisclosePath => self.with_one_path_more(),
        })
    }

    fn request(&self) -> Result<Request, Refusal> {
        self.state.request().cloned().ok_or_else(|| self.wrong_state())
    }

    fn measure(&self) -> Result<Measure, Refusal> {
        self.state.measure().cloned().ok_or_else(|| self.wrong_state())
    }

    fn read_request(&self) -> Result<Request, Refusal> {
        let offences = self.act.some_codes("offence.codes")?;
        Ok(Request { at: self.act.time, instrument: self.act.code("reference.instrument")?, offences })
    }

    fn read_measure(&self) -> Result<Measure, Refusal> {
        let taken = self.act.time("measure.taken")?;
        let until = self.act.time("measure.until")?;
        Ok(Measure { outcome: self.act.code("outcome")?, taken, since: taken, until, ordered: taken, paths: 0 })
    }

    /// The measure with its new end. Its period starts anew, so that alerts fall within what was added.
    fn extended(&self) -> Result<Measure, Refusal> {
        let measure = self.measure()?;
        let ordered = self.act.time_if_any("measure.renewed").unwrap_or(measure.ordered);
        Ok(Measure { since: self.act.time, until: self.act.time("measure.until")?, ordered, ..measure })
    }

    fn released(&self) -> Result<State, Refusal> {
        Ok(State::Released { request: self.request()?, measure: self.measure()?, at: self.act.time })
    }

    fn with_one_path_more(&self) -> State {
        let mut state = self.state.clone();
        if let Some(measure) = state.measure_mut() {
            measure.paths = measure.paths.saturating_add(1);
        }
        state
    }

    pub(super) fn wrong(&self, guard: Guard) -> Result<Option<String>, Refusal> {
        Ok(match guard {
            Guard::None => None,
            Guard::BasedOnInstrument => ground::wrong_instrument(self.act, self.procedure)?,
            Guard::WarnsOnce => self
                .state
                .is_insisted()
                .then(|| "the requesting side was warned and wants it executed. Execute or refuse".to_owned()),
            Guard::HoldsLongEnough => self.wrong_measure()?,
            Guard::StillHolds => self.lapsed(),
            Guard::AsksForLonger => {
                let asked = self.act.time("extension.until")?;
                self.lapsed().or_else(|| self.not_later(asked))
            }
            Guard::EndsLater => self.not_later(self.act.time("measure.until")?),
            Guard::GroundIsOpen => {
                let offences = self.request()?.offences;
                ground::wrong_ground(self.act, self.rules, self.procedure, &offences)?
            }
        })
    }

    fn wrong_measure(&self) -> Result<Option<String>, Refusal> {
        let (taken, until) = (self.act.time("measure.taken")?, self.act.time("measure.until")?);
        if taken > self.act.time {
            return Ok(Some("the measure lies after the signature. Say when it was taken".to_owned()));
        }
        let request = self.request()?;
        let rule = self.procedure.clock("holds", &request.instrument).and_then(|id| self.rules.clock(id));
        let Some(rule) = rule else {
            return Ok(Some(format!("the rules name no period for {}. Add its clock", request.instrument)));
        };
        let short = until < due_at_the_earliest(taken, rule);
        Ok(short.then(|| {
            let (count, unit) = (rule.duration, rule.unit.as_str());
            format!("{} demands at least {count} times a {unit} ({}). Name a later end", rule.id, rule.source)
        }))
    }

    fn lapsed(&self) -> Option<String> {
        let until = self.state.holds_until().filter(|until| self.act.time >= *until);
        until.map(|_| "the preservation has lapsed. Send a new request".to_owned())
    }

    fn not_later(&self, until: Time) -> Option<String> {
        let later = self.state.measure().is_some_and(|measure| until > measure.until);
        (!later).then(|| "the end does not lie after the present one. Name a later end".to_owned())
    }
}
