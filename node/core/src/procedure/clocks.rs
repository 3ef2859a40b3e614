//! Which clocks of a request run, since when and until when: read from the rows of its basis and from its course.
//!
//! A clock starts with a step, or with a moment a step has named; it runs in the states its row lists; it stands still and is
//! lengthened only where the row says that the law allows it. It never decides.

use super::{Course, Standing};
use crate::clock::{Reckoning, Running};
use crate::ids::Time;
use crate::rules::{ClockRule, ClockUse, Condition, Literal, Rules, Unit};

/// The clocks that run, in the order of their rows.
#[must_use]
pub fn clocks(rules: &Rules, standing: &Standing, reckoning: &Reckoning) -> Vec<Running> {
    let uses = standing.basis(rules).into_iter().flat_map(|basis| &basis.clocks);
    uses.filter_map(|usage| Reading { rules, standing, reckoning, usage }.running()).collect()
}

/// One row under the eye of a request.
struct Reading<'a> {
    rules: &'a Rules,
    standing: &'a Standing,
    reckoning: &'a Reckoning,
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
        start(usage, course).or_else(|| course.opened().filter(|_| usage.heard))
    }

    fn end(&self, start: Time, rule: &ClockRule) -> Time {
        let mut end = self.reckoning.end(start, rule);
        let longer = self.usage.longer.as_ref();
        if let Some(longer) = longer
            .filter(|longer| self.standing.course.taken(longer.after.as_str()).is_some_and(|taken| taken.at >= start))
            && let Some(rule) = self.rules.clock(&longer.clock)
        {
            end = self.reckoning.end(last_moment(end, rule), rule);
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

/// The latest of what starts a clock.
pub(super) fn start(usage: &ClockUse, course: &Course) -> Option<Time> {
    let taken = usage.after.iter().filter_map(|step| course.taken(step.as_str()));
    let said = usage.from.iter().filter_map(|key| {
        let said = course.said(key)?;
        Some((said.at, course.time(key)?))
    });
    let spoken = course.heard().into_iter().filter(|_| usage.heard);
    let starts = taken.map(|taken| (taken.at, taken.at)).chain(said).chain(spoken.map(|at| (at, at)));
    starts.max_by_key(|(at, _)| *at).map(|(_, start)| start)
}

/// True if a clock runs at all for a request that said this.
pub(super) fn applies(usage: &ClockUse, course: &Course) -> bool {
    usage.when.iter().all(|is| holds(is, course))
}

/// Whether what a request has said so far fits a condition.
pub(super) fn holds(condition: &Condition, course: &Course) -> bool {
    let is = |literals: &[Literal], value| literals.iter().any(|literal| literal.is(value));
    condition.holds(|literals| course.values(&condition.fact).any(|value| is(literals, value)))
}
