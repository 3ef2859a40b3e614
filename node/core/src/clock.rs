//! Deadlines: when a rule falls due, and who must be told on the way there.
//!
//! A clock marks and alerts; it never decides. Hours never pause. Days, working days and months are
//! counted where the actor sits: the day of the start is not counted and the last day counts to its
//! end. The calendar is handed in as a value; time zones come from the database that is built in, so that every machine
//! counts alike.
//! Start at [`due`]; [`Running`] is a clock of one request.

use crate::ids::{DAY_MS, Time};
use crate::rules::{Actor, ClockRule, Code, Retention, Unit};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use std::collections::{BTreeMap, BTreeSet};

/// Why a deadline cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// Start or end lie beyond the years calendars know.
    #[error(
        "clock.beyond-calendar: the deadline was not computed; it lies beyond the year 9999. Correct the date it starts from"
    )]
    BeyondCalendar,
    /// The calendar leaves no day to work on.
    #[error(
        "clock.no-working-day: the deadline was not computed; the calendar has no working day within two years. Correct the holidays"
    )]
    NoWorkingDay,
}

impl ClockFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BeyondCalendar => "clock.beyond-calendar",
            Self::NoWorkingDay => "clock.no-working-day",
        }
    }
}

impl From<jiff::Error> for ClockFault {
    fn from(_: jiff::Error) -> Self {
        Self::BeyondCalendar
    }
}

/// Where and on which days an authority works.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Its time zone.
    pub zone: TimeZone,
    /// Its public holidays.
    pub holidays: BTreeSet<Date>,
    /// The days of the week on which nobody works.
    pub weekend: Vec<Weekday>,
}

impl Calendar {
    /// UTC, Saturday and Sunday free, no holidays: for those of whom nothing better is known.
    #[must_use]
    pub fn utc() -> Self {
        Self { zone: TimeZone::UTC, holidays: BTreeSet::new(), weekend: vec![Weekday::Saturday, Weekday::Sunday] }
    }

    /// A calendar by the names a Party has signed: a zone of the IANA database, holidays as ISO dates, the days of the week on
    /// which nobody works (Saturday and Sunday if there are none). What cannot be read is left out: UTC, no holiday.
    #[must_use]
    pub fn of<'a>(zone: &str, holidays: impl Iterator<Item = &'a str>, weekend: &[Weekday]) -> Self {
        let plain = Self::utc();
        Self {
            zone: jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap_or(plain.zone),
            holidays: holidays.filter_map(|date| date.parse().ok()).collect(),
            weekend: if weekend.is_empty() { plain.weekend } else { weekend.to_vec() },
        }
    }

    fn is_working(&self, date: Date) -> bool {
        !self.weekend.contains(&date.weekday()) && !self.holidays.contains(&date)
    }

    fn date_of(&self, time: Time) -> Result<Date, ClockFault> {
        let ms = i64::try_from(time.0).map_err(|_| ClockFault::BeyondCalendar)?;
        Ok(Timestamp::from_millisecond(ms)?.to_zoned(self.zone.clone()).date())
    }

    /// The first moment after a day.
    fn end_of(&self, date: Date) -> Result<Time, ClockFault> {
        let next = date.tomorrow()?.to_zoned(self.zone.clone())?.start_of_day()?;
        let ms = u64::try_from(next.timestamp().as_millisecond()).map_err(|_| ClockFault::BeyondCalendar)?;
        Ok(Time(ms))
    }
}

/// How the two sides of a request count: their calendars, and the periods the requested Party has declared in place of those
/// of the rules.
#[derive(Debug, Clone)]
pub struct Reckoning {
    /// Where the side that asks sits.
    pub requesting: Calendar,
    /// Where the side that is asked sits, and with it providers and courts there.
    pub requested: Calendar,
    /// Per clock, how many of its units.
    pub periods: BTreeMap<Code, u32>,
}

impl Reckoning {
    /// UTC, no holidays and no declared period on either side: for those of whom nothing better is known.
    #[must_use]
    pub fn utc() -> Self {
        Self { requesting: Calendar::utc(), requested: Calendar::utc(), periods: BTreeMap::new() }
    }

    /// When the period of a rule, begun at `start`, is over for whoever is bound by it. A date beyond the calendar is counted
    /// plainly: a late alert would be worse than a rough one.
    #[must_use]
    pub fn end(&self, start: Time, rule: &ClockRule) -> Time {
        let duration = self.periods.get(&rule.id).copied().unwrap_or(rule.duration);
        let plainly = || start.plus_ms(least_ms(duration, rule.unit));
        after(start, duration, rule.unit, self.of(rule.actor)).unwrap_or_else(|_| plainly())
    }

    /// The calendar of whoever is bound by a clock.
    const fn of(&self, actor: Actor) -> &Calendar {
        match actor {
            Actor::Requesting => &self.requesting,
            Actor::Requested | Actor::Provider | Actor::EnforcingAuthority | Actor::ReviewBody => &self.requested,
        }
    }
}

const HOUR_MS: u64 = 3_600_000;

/// The first moment at which the period of `rule`, begun at `start`, is over.
///
/// # Errors
/// When it lies beyond the calendar.
pub fn due(start: Time, rule: &ClockRule, calendar: &Calendar) -> Result<Time, ClockFault> {
    after(start, rule.duration, rule.unit, calendar)
}

/// The first moment at which so many units, begun at `start`, are over.
///
/// # Errors
/// When it lies beyond the calendar.
pub fn after(start: Time, duration: u32, unit: Unit, calendar: &Calendar) -> Result<Time, ClockFault> {
    match unit {
        Unit::Hour => Ok(start.plus_ms(u64::from(duration) * HOUR_MS)),
        Unit::Day => after_span(start, calendar, Span::new().try_days(duration)?),
        Unit::Month => after_span(start, calendar, Span::new().try_months(duration)?),
        Unit::WorkingDay => after_working_days(start, calendar, duration),
    }
}

/// Until when what is held of a request that ended then is kept at the least. Over months and years it is counted in UTC:
/// the same everywhere. What lies beyond the calendar is never over.
#[must_use]
pub fn kept_until(ended: Time, retention: &Retention) -> Time {
    after(ended, retention.duration, retention.unit, &Calendar::utc()).unwrap_or(Time(u64::MAX))
}

/// What ended later than this is kept still, whatever the months were like: where to begin to look for what is not.
#[must_use]
pub fn ended_long_ago(now: Time, retention: &Retention) -> Time {
    Time(now.0.saturating_sub(least_ms(retention.duration, retention.unit)))
}

/// The day of a moment, for people; the last one of the calendar for what lies beyond.
#[must_use]
pub fn day(time: Time) -> String {
    Calendar::utc().date_of(time).unwrap_or(Date::MAX).to_string()
}

/// The moment before which the period is over under no usual way of counting: days of 24 hours less the hour
/// that summer time takes, months of 28 days, no holidays. What is shorter is short everywhere, so a guard
/// may refuse it without a calendar, and both sides of a request refuse the same.
#[must_use]
pub fn due_at_the_earliest(start: Time, rule: &ClockRule) -> Time {
    start.plus_ms(least_ms(rule.duration, rule.unit))
}

/// The first moment at which the period is over under every usual way of counting: days to the end of the last one, with the
/// hour that winter time adds, months of 31 days. Where only a calendar can tell, that is never. What is signed later is late
/// everywhere, so a guard may refuse it without a calendar.
#[must_use]
pub fn due_at_the_latest(start: Time, rule: &ClockRule) -> Time {
    let days = |count: u64| start.plus_ms((count + 1) * DAY_MS + HOUR_MS);
    match rule.unit {
        Unit::Hour => start.plus_ms(u64::from(rule.duration) * HOUR_MS),
        Unit::Day => days(u64::from(rule.duration)),
        Unit::Month => days(u64::from(rule.duration) * 31),
        Unit::WorkingDay => Time(u64::MAX),
    }
}

/// How long so many units are at the least.
fn least_ms(duration: u32, unit: Unit) -> u64 {
    let count = u64::from(duration);
    match unit {
        Unit::Hour => count * HOUR_MS,
        Unit::Day | Unit::WorkingDay => (count * DAY_MS).saturating_sub(HOUR_MS),
        Unit::Month => (count * 28 * DAY_MS).saturating_sub(HOUR_MS),
    }
}

fn after_span(start: Time, calendar: &Calendar, span: Span) -> Result<Time, ClockFault> {
    calendar.end_of(calendar.date_of(start)?.checked_add(span)?)
}

fn after_working_days(start: Time, calendar: &Calendar, wanted: u32) -> Result<Time, ClockFault> {
    let mut date = calendar.date_of(start)?;
    let mut left = wanted;
    let mut idle = 0;
    while left > 0 {
        date = date.checked_add(1.day())?;
        if calendar.is_working(date) {
            left -= 1;
            idle = 0;
        } else if idle == IDLE_DAYS_MAX {
            return Err(ClockFault::NoWorkingDay);
        } else {
            idle += 1;
        }
    }
    calendar.end_of(date)
}

/// No authority rests for two years; a calendar that says so is wrong.
const IDLE_DAYS_MAX: u32 = 731;

/// A clock of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The rule, for example `D01`.
    pub rule: Code,
    /// Whose clock it is.
    pub actor: Actor,
    /// Since when it runs.
    pub started: Time,
    /// The first moment at which it is over.
    pub due: Time,
    /// What its end means, for example `lapse-unless-followed-up`.
    pub on_expiry: Code,
    /// True if its end has an effect in law.
    pub legal_effect: bool,
}

/// A moment at which people must be told of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// When.
    pub at: Time,
    /// How much of the period is over; 100 at its end.
    pub percent: u8,
}

impl Running {
    /// A clock that started and falls due at known moments.
    #[must_use]
    pub fn new(rule: &ClockRule, started: Time, due: Time) -> Self {
        Self {
            rule: rule.id.clone(),
            actor: rule.actor,
            started,
            due,
            on_expiry: rule.on_expiry.clone(),
            legal_effect: rule.legal_effect,
        }
    }

    /// True from the moment it falls due.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.due
    }

    /// All alerts of this clock in order, its end among them.
    pub fn schedule(&self, percents: &[u8]) -> impl Iterator<Item = Alert> {
        let span = u128::from(self.due.since(self.started));
        let at = move |percent: u8| {
            let part = span * u128::from(percent.min(100)) / 100;
            self.started.plus_ms(u64::try_from(part).expect("a part of a 64-bit span fits 64 bits"))
        };
        percents.iter().copied().chain([100]).map(move |percent| Alert { at: at(percent), percent })
    }

    /// The alerts that fell after `since` and up to `now`.
    #[must_use]
    pub fn alerts(&self, percents: &[u8], since: Time, now: Time) -> Vec<Alert> {
        self.schedule(percents).filter(|alert| since < alert.at && alert.at <= now).collect()
    }

    /// When people must next be told; `None` once it is over.
    #[must_use]
    pub fn next_alert(&self, percents: &[u8], now: Time) -> Option<Alert> {
        self.schedule(percents).find(|alert| alert.at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Mark;
    use proptest::prelude::*;

    fn rule(duration: u32, unit: Unit) -> ClockRule {
        let code = |text| Code::parse(text).expect("code");
        ClockRule {
            id: code("T01"),
            title: "test".into(),
            start_event: code("start"),
            duration,
            unit,
            actor: Actor::Requested,
            on_expiry: code("late"),
            extendable_by: vec![],
            legal_effect: false,
            instrument: code("BC"),
            source: "test".into(),
            mark: Mark::P,
        }
    }

    fn time(text: &str) -> Time {
        Time(text.parse::<Timestamp>().expect("time").as_millisecond().try_into().expect("after 1970"))
    }

    fn check(start: &str, duration: u32, unit: Unit, calendar: &Calendar, expected: &str) {
        let due = due(time(start), &rule(duration, unit), calendar).expect("due");
        assert_eq!(due, time(expected), "{start} + {duration} {unit:?}: {}", due.0);
    }

    /// Central European time as its rule, so that no database is needed.
    fn vienna() -> Calendar {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("zone");
        Calendar { zone, ..Calendar::utc() }
    }

    #[test]
    fn hours_never_pause() {
        check("2026-01-30T22:15:00Z", 8, Unit::Hour, &vienna(), "2026-01-31T06:15:00Z");
        check("2026-03-28T20:00:00Z", 8, Unit::Hour, &vienna(), "2026-03-29T04:00:00Z");
    }

    #[test]
    fn days_count_to_the_end_of_the_last_where_the_actor_sits() {
        check("2026-01-01T00:00:00Z", 60, Unit::Day, &Calendar::utc(), "2026-03-03T00:00:00Z");
        check("2026-01-01T23:59:59Z", 60, Unit::Day, &Calendar::utc(), "2026-03-03T00:00:00Z");
        check("2026-01-01T23:59:59Z", 60, Unit::Day, &vienna(), "2026-03-03T23:00:00Z");
        check("2026-03-01T12:00:00Z", 60, Unit::Day, &vienna(), "2026-04-30T22:00:00Z");
    }

    #[test]
    fn months_end_on_the_last_day_there_is() {
        check("2026-01-31T12:00:00Z", 1, Unit::Month, &Calendar::utc(), "2026-03-01T00:00:00Z");
        check("2024-01-31T12:00:00Z", 1, Unit::Month, &Calendar::utc(), "2024-03-01T00:00:00Z");
    }

    #[test]
    fn working_days_pass_over_weekends_and_holidays() {
        let mut calendar = Calendar::utc();
        check("2026-07-31T12:00:00Z", 5, Unit::WorkingDay, &calendar, "2026-08-08T00:00:00Z"); // a Friday
        check("2026-08-01T12:00:00Z", 1, Unit::WorkingDay, &calendar, "2026-08-04T00:00:00Z"); // a Saturday
        calendar.holidays.insert("2026-08-03".parse().expect("date"));
        check("2026-07-31T12:00:00Z", 5, Unit::WorkingDay, &calendar, "2026-08-11T00:00:00Z");
        calendar.weekend = Weekday::Monday.cycle_forward().take(7).collect();
        let none = due(time("2026-07-31T12:00:00Z"), &rule(1, Unit::WorkingDay), &calendar);
        assert_eq!(none, Err(ClockFault::NoWorkingDay));
    }

    #[test]
    fn what_no_calendar_knows_is_refused() {
        let far = due(Time(u64::MAX), &rule(1, Unit::Day), &Calendar::utc());
        assert_eq!(far, Err(ClockFault::BeyondCalendar));
    }

    #[test]
    fn alerts_fall_once_and_in_order() {
        let running = Running::new(&rule(1, Unit::Hour), Time(1000), Time(2000));
        let percents = [50, 80, 95];
        let at = |since, now| {
            running.alerts(&percents, Time(since), Time(now)).iter().map(|a| a.percent).collect::<Vec<_>>()
        };
        assert_eq!(at(0, 1499), Vec::<u8>::new());
        assert_eq!(at(0, 1500), [50]);
        assert_eq!(at(1500, 1950), [80, 95]);
        assert_eq!(at(1950, 9999), [100]);
        assert_eq!(running.next_alert(&percents, Time(1500)).map(|a| (a.percent, a.at)), Some((80, Time(1800))));
        assert_eq!(running.next_alert(&percents, Time(2000)), None);
        assert!(running.is_over(Time(2000)) && !running.is_over(Time(1999)));
    }

    proptest! {
        #[test]
        fn no_way_of_counting_ends_earlier_or_later(start in 0u64..4_000_000_000_000, n in 1u32..400, unit in 0..4usize, east in -11i8..=13) {
            let rule = rule(n, [Unit::Hour, Unit::Day, Unit::WorkingDay, Unit::Month][unit]);
            let zone = TimeZone::fixed(jiff::tz::offset(east));
            let calendar = Calendar { zone, ..Calendar::utc() };
            for calendar in [calendar, vienna()] {
                let due = due(Time(start), &rule, &calendar).expect("within");
                prop_assert!(due >= due_at_the_earliest(Time(start), &rule));
                prop_assert!(due <= due_at_the_latest(Time(start), &rule));
            }
        }

        #[test]
        fn alerts_between_two_moments_are_those_of_its_parts(a in 0u64..3000, b in 0u64..3000, c in 0u64..3000) {
            let mut cuts = [a, b, c];
            cuts.sort_unstable();
            let [a, b, c] = cuts.map(Time);
            let running = Running::new(&rule(1, Unit::Hour), Time(1000), Time(2000));
            let parts = [running.alerts(&[50, 80], a, b), running.alerts(&[50, 80], b, c)].concat();
            prop_assert_eq!(running.alerts(&[50, 80], a, c), parts);
        }
    }
}
