//! Who is on duty at a Party now, and in which languages: what its profile and directory say, held against the clock on
//! its wall. It decides nothing; a Party that publishes no directory has no hours to show.

use comity_core::{
    ids::{AuthorityId, PartyCode, Time},
    profile::{Directory, Hours, Trust},
    proto::Contact,
};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

/// One office of a Party at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Office {
    /// The authority it belongs to.
    pub authority: AuthorityId,
    /// Which office: a role, never a person.
    pub office: String,
    /// Whether somebody is there by its hours.
    pub on_duty: bool,
    /// When it is staffed, in its own words.
    pub hours: String,
    /// The time on its wall, such as `03:10`.
    pub local: String,
    /// What is spoken there.
    pub languages: Vec<String>,
    /// How it is reached.
    pub phone: String,
    /// How it is reached.
    pub email: String,
}

/// All offices of a Party, those on duty first; none if it has published no directory.
#[must_use]
pub fn offices(trust: &Trust, party: &PartyCode, now: Time) -> Vec<Office> {
    let (Some(profile), Some(directory)) = (trust.declared(party), trust.directory(party)) else { return Vec::new() };
    let zone = |id: &AuthorityId| profile.authorities().get(id).map(|authority| authority.time_zone.as_str());
    let read = |contact: &Contact| {
        let authority = AuthorityId::parse(&contact.authority).ok()?;
        let zone = zone(&authority).and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        office(authority, contact, directory, zone, now)
    };
    let mut offices: Vec<Office> = directory.contacts().iter().filter_map(read).collect();
    offices.sort_by_key(|office| !office.on_duty);
    offices
}

fn office(
    authority: AuthorityId,
    contact: &Contact,
    directory: &Directory,
    zone: TimeZone,
    now: Time,
) -> Option<Office> {
    let wall = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?.to_zoned(zone);
    let closed = |date: jiff::civil::Date| directory.holidays().binary_search(&date.to_string()).is_ok();
    let before = wall.date().checked_sub(1.day()).ok()?;
    let day = usize::try_from(wall.weekday().to_monday_zero_offset()).ok()?;
    let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).ok()?;
    let hours = Hours::parse(&contact.hours)?;
    Some(Office {
        authority,
        office: contact.office.clone(),
        on_duty: hours.open(day, minute, closed(wall.date()), closed(before)),
        hours: contact.hours.clone(),
        local: wall.strftime("%H:%M").to_string(),
        languages: contact.languages.clone(),
        phone: contact.phone.clone(),
        email: contact.email.clone(),
    })
}
