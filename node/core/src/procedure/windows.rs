//! A period within which, or only after which, a step may be taken.
//!
//! Read from the clocks of the instrument by the part they play, and judged without a calendar, so that both sides judge alike:
//! a window is over when it is over under every usual way of counting. What would go out a day too early cannot be taken back.

use super::Course;
use super::clocks::{applies, start};
use crate::clock::due_at_the_latest;
use crate::ids::Time;
use crate::rules::{Basis, ClockRule, ClockUse, Rules};

/// A window of a request.
pub(super) struct Window<'a> {
    course: &'a Course,
    usage: &'a ClockUse,
    rule: &'a ClockRule,
}

impl<'a> Window<'a> {
    /// The first clock that plays one of these parts and applies to what the request said.
    pub(super) fn of(rules: &'a Rules, basis: &'a Basis, course: &'a Course, parts: &'a [&str]) -> Option<Self> {
        let usage = basis.playing(parts).find(|usage| applies(usage, course))?;
        rules.clock(&usage.clock).map(|rule| Self { course, usage, rule })
    }

    /// True from the moment at which it is over everywhere; never before it began.
    pub(super) fn is_over(&self, at: Time) -> bool {
        self.end(at).is_some_and(|end| at >= end)
    }

    /// Which period it is, in words.
    pub(super) fn says(&self) -> String {
        let (count, unit) = (self.rule.duration, self.rule.unit.as_str());
        format!("{} runs {count} times a {unit} ({})", self.rule.id, self.rule.source)
    }

    /// Its end, as it looks at a moment; nothing before it began.
    pub(super) fn end(&self, at: Time) -> Option<Time> {
        let start = start(self.usage, self.course)?;
        Some(due_at_the_latest(start, self.rule).plus_ms(self.course.stood_in(&self.usage.pauses, start, at)))
    }
}
