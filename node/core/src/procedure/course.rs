//! How far a request has come: the state it stands in, which steps were taken when, what they said as facts.
//!
//! One shape for every procedure. What a table leaves open - until when a measure holds, whether consent was given - is
//! read from here by name, so that a procedure is data and this file knows none of them.

use super::facts::listed;
use super::{Act, Delivery};
use crate::ids::{EventId, StepCode, Time};
use crate::proto::{Fact, value::Kind};
use crate::rules::{Code, DRAFT};
use std::collections::BTreeMap;

/// The fact that names the instrument a request rests on.
pub(super) const INSTRUMENT: &str = "reference.instrument";
/// The fact that names the protocols it rests on beside its instrument.
pub(super) const PROTOCOLS: &str = "reference.protocols";
/// The fact that says on what an emergency is based.
pub(super) const URGENCY_BASIS: &str = "urgency.basis";

/// When a step was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The latest event that took it.
    pub event: EventId,
    /// When that was signed.
    pub at: Time,
    /// How often it was taken.
    pub times: u32,
}

/// What an act said of a fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The value.
    pub value: Kind,
    /// When the act was signed.
    pub at: Time,
    /// The place of the act among those applied: of two facts the later said one counts.
    pub place: u32,
}

/// How far a request has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    state: Code,
    since: Time,
    resumes: Option<Code>,
    taken: BTreeMap<StepCode, Taken>,
    said: BTreeMap<String, Said>,
    path: Vec<(Time, Code)>, // since when in which state, from the opening on
    heard: Option<Time>,
    deliveries: Vec<Delivery>,
    places: u32,
}

impl Course {
    /// Before anything is signed.
    pub(super) fn draft() -> Self {
        Self {
            state: Code::parse(DRAFT).expect("a code"),
            since: Time(0),
            resumes: None,
            taken: BTreeMap::new(),
            said: BTreeMap::new(),
            path: Vec::new(),
            heard: None,
            deliveries: Vec::new(),
            places: 0,
        }
    }

    /// What a draft says of itself before anything is signed.
    #[must_use]
    pub fn drafted(facts: &[Fact], at: Time) -> Self {
        let mut course = Self::draft();
        course.say(facts, at);
        course
    }

    /// The state's name.
    #[must_use]
    pub const fn state(&self) -> &Code {
        &self.state
    }

    /// Since when it stands there.
    #[must_use]
    pub const fn since(&self) -> Time {
        self.since
    }

    /// When it first came into one of these states.
    pub(super) fn first_in(&self, states: &[Code]) -> Option<Time> {
        self.path.iter().find(|(_, state)| states.contains(state)).map(|(at, _)| *at)
    }

    /// True before anything is signed.
    #[must_use]
    pub fn is_draft(&self) -> bool {
        self.state.as_str() == DRAFT
    }

    /// When a step was taken last.
    #[must_use]
    pub fn taken(&self, step: &str) -> Option<&Taken> {
        self.taken.iter().find(|(taken, _)| taken.as_str() == step).map(|(_, when)| when)
    }

    /// What was said of each fact last, ascending by key.
    pub fn facts(&self) -> impl Iterator<Item = (&String, &Said)> {
        self.said.iter()
    }

    /// What was said of a fact last.
    #[must_use]
    pub fn said(&self, key: &str) -> Option<&Said> {
        self.said.get(key)
    }

    /// A fact that is a code.
    #[must_use]
    pub fn code(&self, key: &str) -> Option<Code> {
        match &self.said(key)?.value {
            Kind::Code(code) => Code::parse(code),
            Kind::Text(_) | Kind::Integer(_) | Kind::Flag(_) | Kind::TimeMs(_) | Kind::Date(_) => None,
        }
    }

    /// A fact that is yes or no: true if it was said and is yes.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.said(key).is_some_and(|said| said.value == Kind::Flag(true))
    }

    /// A fact that is a moment.
    #[must_use]
    pub fn time(&self, key: &str) -> Option<Time> {
        match self.said(key)?.value {
            Kind::TimeMs(ms) => Some(Time(ms)),
            Kind::Text(_) | Kind::Code(_) | Kind::Integer(_) | Kind::Flag(_) | Kind::Date(_) => None,
        }
    }

    /// All values of a fact: one, or those of a list.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &Kind> {
        let of_list = (0..100).map_while(move |place| self.said(&listed(key, place)));
        self.said(key).into_iter().chain(of_list).map(|said| &said.value)
    }

    /// The codes of a fact: one, or those of a list.
    #[must_use]
    pub fn codes(&self, key: &str) -> Vec<Code> {
        let code = |kind: &Kind| match kind {
            Kind::Code(code) => Code::parse(code),
            Kind::Text(_) | Kind::Integer(_) | Kind::Flag(_) | Kind::TimeMs(_) | Kind::Date(_) => None,
        };
        self.values(key).filter_map(code).collect()
    }

    /// What was handed over, in order.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    pub(super) const fn deliveries_mut(&mut self) -> &mut Vec<Delivery> {
        &mut self.deliveries
    }

    /// When it was opened.
    #[must_use]
    pub fn opened(&self) -> Option<Time> {
        self.path.first().map(|(at, _)| *at)
    }

    /// When the requested side last took a step.
    #[must_use]
    pub const fn heard(&self) -> Option<Time> {
        self.heard
    }

    /// Where a suspension, or another state that is left by going back, began.
    pub(super) const fn resumes(&self) -> Option<&Code> {
        self.resumes.as_ref()
    }

    /// How long it stood in one of these states since a moment, in milliseconds.
    pub(super) fn stood_in(&self, states: &[Code], since: Time, now: Time) -> u64 {
        let ends = self.path.iter().skip(1).map(|(at, _)| *at).chain([now]);
        let stays = self.path.iter().zip(ends).filter(|((_, state), _)| states.contains(state));
        stays.map(|((from, _), until)| until.since((*from).max(since))).sum()
    }

    /// Goes on to a state with an act. `returns`: the state is one that is left by going back.
    pub(super) fn go(&mut self, act: &Act, state: &Code, returns: bool) {
        if *state != self.state {
            if returns {
                self.resumes = Some(self.state.clone());
            }
            self.state = state.clone();
            self.since = act.time;
            self.path.push((act.time, state.clone()));
        }
        self.hear(act);
    }

    /// Keeps what an act leaves behind that changes no state: that it was taken, and what it said.
    pub(super) fn hear(&mut self, act: &Act) {
        self.places += 1;
        if act.side == crate::rules::Side::Requested {
            self.heard = self.heard.max(Some(act.time));
        }
        let times = self.taken.get(&act.step).map_or(0, |taken| taken.times).saturating_add(1);
        self.taken.insert(act.step.clone(), Taken { event: act.id, at: act.time, times });
        self.say(&act.facts, act.time);
    }

    /// The same as if an act had only been heard, not taken.
    pub(super) fn saying(&self, act: &Act) -> Self {
        let mut course = self.clone();
        course.say(&act.facts, act.time);
        course
    }

    /// Forgets what was said of a fact, with all values of a list.
    fn forget(&mut self, key: &str) {
        self.said.remove(key);
        for place in 0..100 {
            if self.said.remove(&listed(key, place)).is_none() {
                break;
            }
        }
    }

    /// Takes in a change of urgency: what it does not say of the urgency does not hold any more. Where it only says again that a
    /// request is urgent, it does not count as a step from which a clock could start anew.
    pub(super) fn hear_urgency(&mut self, act: &Act, again: bool) {
        for key in [URGENCY_BASIS, "wish.by"] {
            self.forget(key);
        }
        if again {
            self.say(&act.facts, act.time);
        } else {
            self.hear(act);
        }
    }

    /// Keeps what an act said. A list takes the place of what the same list said before, also where that was longer.
    fn say(&mut self, facts: &[Fact], at: Time) {
        // Whoever names an instrument anew names its protocols anew, or none.
        if facts.iter().any(|fact| fact.key == INSTRUMENT) {
            self.forget(PROTOCOLS);
        }
        for fact in facts {
            if let Some(list) = fact.key.strip_suffix(".00") {
                self.forget(list);
            }
        }
        for fact in facts {
            if let Some(kind) = fact.value.as_ref().and_then(|value| value.kind.clone()) {
                self.said.insert(fact.key.clone(), Said { value: kind, at, place: self.places });
            }
        }
    }
}
