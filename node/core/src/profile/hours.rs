//! When an office is staffed, as a directory says it. Serves SPEC `[P-5]`.
//!
//! A small part of the notation of OpenStreetMap's `opening_hours`, which people already write: `24/7`, or
//! `Mo-Fr 08:00-12:00,13:00-17:30; Sa 09:00-12:00`. Times are local to the authority; on its holidays only `24/7` is
//! staffed. A stretch past midnight belongs to the day it begins on.

/// Days in the order of their numbers from Monday.
const DAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Rules of one office: more than any week needs.
const RULES_MAX: usize = 14;

/// When an office is staffed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hours {
    /// Always, holidays too.
    Always,
    /// In these stretches of the week.
    Weekly(Vec<Stretch>),
}

/// A stretch of hours on some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// By day, Monday first.
    days: [bool; 7],
    /// Minutes from midnight.
    from: u16,
    /// Minutes from midnight; beyond a day if it ends on the next.
    until: u16,
}

impl Hours {
    /// Reads the notation; none if it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "24/7" {
            return Some(Self::Always);
        }
        let mut stretches = Vec::new();
        for rule in text.split(';') {
            let (days, times) = rule.trim().split_once(' ')?;
            let days = parse_days(days)?;
            for time in times.split(',') {
                let (from, until) = parse_times(time.trim())?;
                stretches.push(Stretch { days, from, until });
            }
        }
        (stretches.len() <= RULES_MAX).then_some(Self::Weekly(stretches))
    }

    /// True if the office is staffed at a local time: the day counted from Monday, minutes from midnight, and whether
    /// that day and the one before it are holidays.
    #[must_use]
    pub fn open(&self, day: usize, minute: u16, holiday: bool, holiday_before: bool) -> bool {
        let Self::Weekly(stretches) = self else { return true };
        let (day, before) = (day % 7, (day + 6) % 7);
        let on = |stretch: &Stretch| stretch.days[day] && !holiday && stretch.from <= minute && minute < stretch.until;
        let over = |stretch: &Stretch| stretch.days[before] && !holiday_before && minute + DAY < stretch.until;
        stretches.iter().any(|stretch| on(stretch) || over(stretch))
    }
}

fn parse_days(text: &str) -> Option<[bool; 7]> {
    let number = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

fn parse_times(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    let (from, until) = (parse_time(from)?, parse_time(until)?);
    if from == DAY || from == until {
        return None;
    }
    Some((from, if until > from { until } else { until + DAY }))
}

fn parse_time(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offices_are_staffed_as_they_say() {
        let check = |text: &str, day, (hour, minute): (u16, u16), expected: bool| {
            let hours = Hours::parse(text).expect(text);
            assert_eq!(
                hours.open(day, hour * 60 + minute, false, false),
                expected,
                "{text} on {day} at {hour}:{minute}"
            );
        };
        let office = "Mo-Fr 08:00-12:00,13:00-17:30; Sa 09:00-12:00";
        check(office, 0, (8, 0), true);
        check(office, 0, (7, 59), false);
        check(office, 4, (12, 0), false);
        check(office, 4, (17, 29), true);
        check(office, 5, (10, 0), true);
        check(office, 6, (10, 0), false);
        check("24/7", 6, (3, 0), true);
        check("Fr-Mo 22:00-06:00", 5, (5, 59), true);
        check("Fr-Mo 22:00-06:00", 4, (5, 59), false);
        check("Fr-Mo 22:00-06:00", 1, (5, 59), true);
        check("Mo,We 00:00-24:00", 2, (23, 59), true);
    }

    #[test]
    fn a_holiday_closes_all_but_who_is_always_there() {
        let night = Hours::parse("Mo-Su 22:00-06:00").expect("hours");
        assert!(!night.open(0, 23 * 60, true, false) && night.open(0, 60, true, false), "the night before it was none");
        assert!(!night.open(1, 60, false, true));
        assert!(Hours::Always.open(0, 0, true, true));
    }

    #[test]
    fn what_is_no_notation_is_refused() {
        for wrong in [
            "",
            "always",
            "Mo-Fr",
            "Mo 8:00-17:00",
            "Mo 08:00-25:00",
            "Mo 08:00-08:00",
            "Xx 08:00-17:00",
            "Mo 24:00-06:00",
        ] {
            assert_eq!(Hours::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Hours::parse(&["Mo 08:00-09:00"; 15].join(";")), None);
    }
}
