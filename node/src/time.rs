//! The only reader of the system clock, and times as people read and write them.
//!
//! This room never decides what a time means: deadlines are `comity_core::clock`. Everything else
//! is handed a [`Time`]. Start at [`now`]; a person's own zone is a [`Zone`].

use comity_core::ids::{Malformed, Time};
use jiff::{Timestamp, tz::TimeZone};

/// The present, to the millisecond.
///
/// A clock set before 1970 reads as 1970: it is then behind every record, which the ledger notices.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one function that may read the system clock")]
pub fn now() -> Time {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

/// RFC 3339 in UTC with three decimals: `2026-03-01T13:05:09.250Z`. One time has one text.
#[must_use]
pub fn rfc3339(time: Time) -> String {
    calendar(time).map_or_else(|| beyond(time), |at| format!("{at:.3}"))
}

/// Reads RFC 3339 with any offset, at most three decimals, not before 1970.
///
/// # Errors
/// When the text has another form: a missing offset above all, since a time without one is a guess.
pub fn parse_rfc3339(text: &str) -> Result<Time, Malformed> {
    let bad = |why| Malformed { kind: "time", why };
    if !is_rfc3339(text) {
        return Err(bad("it must read like 2026-03-01T13:05:09Z or 2026-03-01T14:05:09.250+01:00"));
    }
    let at: Timestamp = text.parse().map_err(|_| bad("no calendar has this date or time"))?;
    u64::try_from(at.as_millisecond()).map(Time).map_err(|_| bad("it must not be before 1970"))
}

/// A time zone of the IANA database, for showing times to people. Nothing is decided in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone with this IANA name, for example `Europe/Lisbon`.
    ///
    /// # Errors
    /// When the database of this machine has no such zone.
    pub fn named(name: &str) -> Result<Self, Malformed> {
        let unknown =
            Malformed { kind: "time zone", why: "it must be a name like Europe/Lisbon, known on this machine" };
        TimeZone::get(name).map(Self).map_err(|_| unknown)
    }

    /// The zone this machine is set to; UTC when it is set to none.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// Coordinated Universal Time.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Local text with its offset, which no reader has to guess: `2026-03-01 14:05:09 +01:00`.
    #[must_use]
    pub fn show(&self, time: Time) -> String {
        calendar(time).map_or_else(
            || beyond(time),
            |at| at.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        )
    }
}

/// Headers carry any 64-bit number; the calendar ends with the year 9999.
fn calendar(time: Time) -> Option<Timestamp> {
    i64::try_from(time.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

fn beyond(time: Time) -> String {
    format!("beyond the year 9999 ({} ms)", time.0)
}

/// The shape alone; the calendar is checked afterwards. The library reads wider forms than the RFC.
fn is_rfc3339(text: &str) -> bool {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(c, s)| if s == b'0' { c.is_ascii_digit() } else { c == s })
    };
    let Some((seconds, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let offset = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let decimals = &rest[..rest.len() - offset.len()];
    shape(seconds, "0000-00-00T00:00:00")
        && ["", ".0", ".00", ".000"].iter().any(|allowed| shape(decimals, allowed))
        && (offset == "Z" || shape(offset, "+00:00") || shape(offset, "-00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(parse_rfc3339(text).ok(), expected.map(Time), "{text}");
    }

    #[test]
    fn rfc3339_is_read_strictly() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("2026-03-01T13:05:09Z", Some(1_772_370_309_000));
        check("2026-03-01T14:05:09.25+01:00", Some(1_772_370_309_250));
        check("2026-03-01T12:05:09.250-01:00", Some(1_772_370_309_250));
        for bad in [
            "",
            "2026-03-01",
            "2026-03-01T13:05:09",
            "2026-03-01 13:05:09Z",
            "2026-03-01t13:05:09z",
            "2026-02-30T13:05:09Z",
            "2026-03-01T25:05:09Z",
            "2026-03-01T13:05:09.1234Z",
            "2026-03-01T13:05:09.Z",
            "2026-03-01T13:05:09+0100",
            "2026-03-01T13:05:09Z[Europe/Lisbon]",
            "1969-12-31T23:59:59Z",
            "2026-03-01T13:05:0éZ",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_time_has_one_text_and_reads_back() {
        for ms in [0, 1, 999, 1_772_370_309_250, 253_402_207_199_999] {
            check(&rfc3339(Time(ms)), Some(ms));
        }
        assert_eq!(rfc3339(Time(1_772_370_309_250)), "2026-03-01T13:05:09.250Z");
        assert_eq!(rfc3339(Time(u64::MAX)), "beyond the year 9999 (18446744073709551615 ms)");
    }

    #[test]
    fn people_read_their_own_zone_with_its_offset() {
        assert_eq!(Zone::utc().show(Time(1_772_370_309_250)), "2026-03-01 13:05:09 +00:00");
        let lisbon = Zone::named("Europe/Lisbon").expect("a zone every machine with a zone database knows");
        assert_eq!(lisbon.show(Time(1_782_911_109_000)), "2026-07-01 14:05:09 +01:00");
        assert!(Zone::named("Europe/Atlantis").is_err());
    }

    #[test]
    fn the_clock_is_past_the_day_this_was_written() {
        assert!(now() > parse_rfc3339("2025-01-01T00:00:00Z").expect("a time"));
    }
}
