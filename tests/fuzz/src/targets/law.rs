//! Rule files, the bodies that forms describe, and clocks.

use std::collections::BTreeSet;

use comity_core::{
    clock::{Calendar, Running, due, due_at_the_earliest},
    ids::Time,
    proto::{self, Body, value},
    rules::{Actor, ClockRule, Code, FieldRule, Form, Kind, Mark, Rules, SHIPPED, Unit},
    wire::{ENVELOPE_MAX, strict},
};
use jiff::{
    civil::{Date, Weekday},
    tz::{Offset, TimeZone},
};

use super::{Reader, known::RULES};

/// A rule file of anybody's, alone or in the place of a shipped one: rules, or mistakes that say where.
pub(crate) fn rules(data: &[u8]) {
    let Some((how, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut files = vec![("fuzz.toml", text)];
    if let Some(instead) = usize::from(*how).checked_sub(1).filter(|instead| *instead < SHIPPED.len()) {
        let others = SHIPPED.iter().enumerate().filter(|(place, _)| *place != instead);
        files.extend(others.map(|(_, file)| *file));
    }
    match Rules::parse(&files) {
        Ok(rules) => {
            rules.forms().for_each(|form| drop(form.check(&Body::default())));
            for procedure in rules.procedures() {
                assert_eq!(rules.procedure(&procedure.code).map(|found| &found.code), Some(&procedure.code));
            }
            for clock in rules.clocks() {
                let earliest = due_at_the_earliest(Time(0), clock);
                assert!(
                    due(Time(0), clock, &Calendar::utc()).is_ok_and(|due| due >= earliest) || clock.duration > 10_000
                );
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty() && mistakes.is_sorted());
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            let there = |file: &str, line| file != "fuzz.toml" || (1..=lines).contains(&line);
            assert!(mistakes.iter().all(|one| there(&one.file, one.line)), "a mistake has a line: {mistakes:?}");
        }
    }
}

/// A body against every form, as a peer may fill it in; and one that is filled in well but for what the input changes.
pub(crate) fn body(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    if let Ok(body) = strict::<Body>(bytes, ENVELOPE_MAX) {
        RULES.forms().for_each(|form| judge(form, &body));
        // The same under the name of a form: nearly all other bodies fail at that.
        let form = RULES.forms().nth(usize::from(*how) % RULES.forms().count()).expect("one of them");
        judge(form, &Body { form: form.id(), form_version: form.version(), ..body });
    }
    let mut input = Reader(bytes);
    let form = RULES.forms().nth(usize::from(*how) % RULES.forms().count()).expect("one of them");
    let full = filled(form, Time(input.u64()));
    judge(form, &spoiled(full, &mut input));
}

fn judge(form: &Form, body: &Body) {
    let mistakes = form.check(body);
    let facts = form.facts(body);
    assert!(facts.windows(2).all(|pair| pair[0].key <= pair[1].key), "facts ascend by key");
    for fact in &facts {
        let text = matches!(fact.value, Some(proto::Value { kind: Some(value::Kind::Text(_)) }) | None);
        assert!(!text, "no text among the facts");
    }
    if mistakes.is_empty() {
        assert_eq!((&body.form, body.form_version), (&form.id(), form.version()));
        assert!(facts.windows(2).all(|pair| pair[0].key < pair[1].key), "no fact stands twice");
        let required = |rule: &&FieldRule| rule.required == comity_core::rules::Required::Always;
        for rule in form.template().filter(required) {
            assert!(body.fields.iter().any(|field| field.key == rule.key && !field.values.is_empty()), "{}", rule.key);
        }
    }
    mistakes.iter().for_each(|mistake| assert!(!mistake.to_string().is_empty()));
}

/// A body with every field filled in as an officer would: what is to last lasts 90 days.
pub(crate) fn filled(form: &Form, now: Time) -> Body {
    let field = |rule: &FieldRule| proto::Field { key: rule.key.clone(), values: vec![sample(form, rule, now)] };
    let mut fields: Vec<proto::Field> = form.template().map(field).collect();
    fields.sort_by(|a, b| a.key.cmp(&b.key));
    Body { form: form.id(), form_version: form.version(), fields }
}

fn sample(form: &Form, rule: &FieldRule, now: Time) -> proto::Value {
    let code = || {
        let list = form.codes(rule).expect("codes have lists");
        let listed = rule.only.first().or_else(|| list.codes.first().map(|listed| &listed.code));
        let example = || list.pattern.expect("a list or a pattern").example().to_owned();
        listed.map_or_else(example, Code::to_string)
    };
    let later = if rule.key.ends_with("until") { 90 * 24 * 3_600_000 } else { 0 };
    let kind = match rule.kind {
        Kind::Text => value::Kind::Text(proto::Text { lang: "en".into(), text: "x".into() }),
        Kind::Code => value::Kind::Code(code()),
        Kind::Integer => value::Kind::Integer(rule.least.unwrap_or(1)),
        Kind::Flag => value::Kind::Flag(rule.must.unwrap_or(true)),
        Kind::Time => value::Kind::TimeMs(now.plus_ms(later).0),
        Kind::Date => value::Kind::Date("2026-02-28".into()),
    };
    proto::Value { kind: Some(kind) }
}

/// The body with some fields taken away, doubled, or of another value.
pub(crate) fn spoiled(mut body: Body, input: &mut Reader<'_>) -> Body {
    for _ in 0..input.byte() % 8 {
        let place = usize::from(input.byte()) % (body.fields.len() + 1);
        let Some(field) = body.fields.get_mut(place) else { continue };
        match input.byte() % 8 {
            0 => drop(body.fields.remove(place)),
            1 => field.values.clear(),
            2 => field.values.push(proto::Value { kind: None }),
            3 => field.values = vec![field.values.first().cloned().unwrap_or_default(); usize::from(input.byte())],
            4 => {
                let text = String::from_utf8_lossy(input.piece()).into_owned();
                field.values = vec![proto::Value { kind: Some(value::Kind::Code(text)) }];
            }
            5 => field.values = vec![proto::Value { kind: Some(value::Kind::TimeMs(input.u64())) }],
            6 => {
                let number = i64::from_le_bytes(input.array());
                field.values = vec![proto::Value { kind: Some(value::Kind::Integer(number)) }];
            }
            _ => {
                let text = String::from_utf8_lossy(input.piece()).into_owned();
                let kind = if input.byte() & 1 == 0 {
                    value::Kind::Date(text)
                } else {
                    value::Kind::Text(proto::Text { lang: "en".into(), text })
                };
                field.values = vec![proto::Value { kind: Some(kind) }];
            }
        }
    }
    body
}

/// A deadline by any rule from any moment in any calendar: told or refused, never before what a guard relies on.
pub(crate) fn clock(data: &[u8]) {
    let mut input = Reader(data);
    let calendar = calendar(&mut input);
    let rule = rule(&mut input);
    let start = Time(if input.byte() & 1 == 0 { input.u64() } else { 1_700_000_000_000 + (input.u64() >> 24) });
    let (since, now) = (Time(input.u64()), Time(input.u64()));
    let percents: Vec<u8> = input.take(5).to_vec();
    let Ok(due) = due(start, &rule, &calendar) else { return };
    assert!(due >= due_at_the_earliest(start, &rule), "{start:?} {rule:?} {calendar:?}");
    let clock = Running::new(&rule, start, due);
    assert_eq!(clock.is_over(now), now >= due);
    for alert in clock.alerts(&percents, since, now) {
        assert!(since < alert.at && alert.at <= now && alert.at >= start && alert.at <= due);
    }
    if let Some(next) = clock.next_alert(&percents, now) {
        assert!(next.at > now);
    }
    let one_more = ClockRule { duration: rule.duration.saturating_add(1), ..rule.clone() };
    if let Ok(later) = comity_core::clock::due(start, &one_more, &calendar) {
        assert!(later >= due, "a longer period does not end earlier");
    }
}

fn calendar(input: &mut Reader<'_>) -> Calendar {
    let offset = Offset::from_seconds(i32::from(i16::from_le_bytes(input.array())) * 2).unwrap_or(Offset::UTC);
    let days = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];
    let free = input.byte();
    let mut weekend: Vec<Weekday> =
        (0..).zip(days).filter(|(place, _)| free >> place & 1 == 1).map(|(_, day)| day).collect();
    let mut holidays = BTreeSet::new();
    for _ in 0..input.byte() % 16 {
        let (year, month, day) = (2020 + i16::from(input.byte() % 16), 1 + input.byte() % 12, 1 + input.byte() % 28);
        let month = i8::try_from(month).expect("a month");
        holidays.extend(Date::new(year, month, i8::try_from(day).expect("a day")));
    }
    // A week of free days is found out after two years only, day by day.
    if weekend.len() == 7 && !holidays.is_empty() {
        weekend.pop();
    }
    Calendar { zone: TimeZone::fixed(offset), holidays, weekend }
}

fn rule(input: &mut Reader<'_>) -> ClockRule {
    let code = |text| Code::parse(text).expect("a code");
    let units = [Unit::Hour, Unit::Day, Unit::WorkingDay, Unit::Month];
    let unit = units[usize::from(input.byte()) % units.len()];
    let duration = u32::from_le_bytes(input.array());
    // Working days are counted one by one.
    let duration = if unit == Unit::WorkingDay { duration % 5_000 } else { duration };
    ClockRule {
        id: code("T01"),
        title: "any".into(),
        start_event: code("start"),
        duration,
        unit,
        actor: Actor::Requested,
        on_expiry: code("late"),
        extendable_by: Vec::new(),
        legal_effect: false,
        instrument: code("BC"),
        source: "any".into(),
        mark: Mark::P,
    }
}
