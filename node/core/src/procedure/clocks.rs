//! Which clocks of a request run, since when and until when: read from the rows of its basis and from its course.
//!
//! A clock starts with a step, or with a moment a step has named; it runs in the states its row lists; it stands still and is
//! lengthened only where the row says that the law allows it. It never decides.

use super::{Course, Standing};
use crate::clock::{Calendar, Running, due, due_at_the_earliest};
use crate::ids::Time;
use crate::proto::value::Kind;
use crate::rules::{Actor, ClockRule, ClockUse, Condition, Literal, Rules, Unit};

/// The calendars of the two sides, by which days are counted.
#[derive(Debug, Clone)]
pub struct Calendars {
    /// Of the side that asks.
    pub requesting: Calendar,
    /// Of the side that is asked.
    pub requested: Calendar,
}

impl Calendars {
    /// UTC and no holidays on both sides: for those of whom nothing better is known.
    #[must_use]
    pub fn utc() -> Self {
        Self { requesting: Calendar::utc(), requested: Calendar::utc() }
    }

    /// The calendar of whoever is bound by a clock.
    #[must_use]
    pub const fn of(&self, actor: Actor) -> &Calendar {
        match actor {
            Actor::Requesting => &self.requesting,
            Actor::Requested | Actor::Provider | Actor::EnforcingAuthority | Actor::ReviewBody => &self.requested,
        }
    }
}

/// The clocks that run, in the order of their rows.
#[must_use]
pub fn clocks(rules: &Rules, standing: &Standing, calendars: &Calendars) -> Vec<Running> {
    let course = &standing.course;
    let basis = course.code("reference.instrument").and_then(|code| rules.basis(&standing.procedure, &code));
    let uses = basis.into_iter().flat_map(|basis| &basis.clocks);
    uses.filter_map(|usage| Reading { rules, standing, calendars, usage }.running()).collect()
}

/// One row under the eye of a request.
struct Reading<'a> {
    rules: &'a Rules,
    standing: &'a Standing,
    calendars: &'a Calendars,
    usage: &'a ClockUse,
}

impl Reading<'_> {
    fn running(&self) -> Option<Running> {
        let (usage, course) = (self.usage, &self.standing.course);
        let runs = usage.during.contains(course.state()) && applies(usage, course);
        if !runs {
            return None;
        }
        let rule = self.rules.clock(&usage.clock)?;
        let start = self.start()?;
        let due = match usage.until.as_ref().and_then(|key| course.time(key)) {
            Some(set) if usage.longest => set.max(self.end(start, rule)),
            Some(set) => set,
            None => self.end(start, rule),
        };
        let overtaken = usage.before.as_ref().and_then(|key| self.still_holds(key)).is_some_and(|other| due >= other);
        (!overtaken).then(|| Running::new(rule, start, due))
    }

    /// A moment the course names, as long as the present state ends with it.
    fn still_holds(&self, key: &str) -> Option<Time> {
        let ends = self.standing.family.state(self.standing.course.state().as_str())?.until.as_deref() == Some(key);
        self.standing.course.time(key).filter(|_| ends)
    }

    /// The latest of what starts it. Before the other side has said anything, its silence counts from the request on.
    fn start(&self) -> Option<Time> {
        let (usage, course) = (self.usage, &self.standing.course);
        let start = start(usage, course, self.standing.common.heard);
        start.or_else(|| course.taken("request").map(|taken| taken.at).filter(|_| usage.heard))
    }

    fn end(&self, start: Time, rule: &ClockRule) -> Time {
        let calendar = self.calendars.of(rule.actor);
        let mut end = counted(start, rule, calendar);
        let longer = self.usage.longer.as_ref();
        if let Some(longer) = longer
            .filter(|longer| self.standing.course.taken(longer.after.as_str()).is_some_and(|taken| taken.at >= start))
            && let Some(rule) = self.rules.clock(&longer.clock)
        {
            end = counted(last_moment(end, rule), rule, calendar);
        }
        end.plus_ms(self.standing.course.stood_in(&self.usage.pauses, start, self.standing.now))
    }
}

/// From where a period that lengthens another is counted: days follow on the last day of the first, not on the day after.
const fn last_moment(end: Time, longer: &ClockRule) -> Time {
    match longer.unit {
        Unit::Hour => end,
        Unit::Day | Unit::WorkingDay | Unit::Month => Time(end.0.saturating_sub(1)),
    }
}

/// When a period ends. A date beyond the calendar is counted plainly: a late alert would be worse than a rough one.
fn counted(since: Time, rule: &ClockRule, calendar: &Calendar) -> Time {
    due(since, rule, calendar).unwrap_or_else(|_| due_at_the_earliest(since, rule))
}

/// The latest of what starts a clock. `heard` is when the requested side last took one of the common steps.
pub(super) fn start(usage: &ClockUse, course: &Course, heard: Option<Time>) -> Option<Time> {
    let taken = usage.after.iter().filter_map(|step| course.taken(step.as_str()));
    let said = usage.from.iter().filter_map(|key| {
        let said = course.said(key)?;
        Some((said.at, course.time(key)?))
    });
    let spoken = [course.heard(), heard].into_iter().flatten().filter(|_| usage.heard);
    let starts = taken.map(|taken| (taken.at, taken.at)).chain(said).chain(spoken.map(|at| (at, at)));
    starts.max_by_key(|(at, _)| *at).map(|(_, start)| start)
}

/// True if a clock runs at all for a request that said this.
pub(super) fn applies(usage: &ClockUse, course: &Course) -> bool {
    usage.when.iter().all(|is| holds(is, course))
}

pub(super) fn holds(condition: &Condition, course: &Course) -> bool {
    let any =
        |literals: &[Literal]| course.values(&condition.fact).any(|value| literals.iter().any(|l| equals(value, l)));
    (condition.is.is_empty() || any(&condition.is)) && !any(&condition.not)
}

fn equals(value: &Kind, literal: &Literal) -> bool {
    match literal {
        Literal::Flag(wanted) => *value == Kind::Flag(*wanted),
        Literal::Code(wanted) => *value == Kind::Code(wanted.clone()),
    }
}
