//! Tests only: the shipped rules, read once, and bodies that fill in every field.

use super::*;
use crate::proto::{Body, Field, Text, Value, value};
use std::sync::OnceLock;

/// The rules as shipped.
pub(crate) fn shipped() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| Rules::parse(SHIPPED).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")))
}

/// The value a willing officer would write into a field.
fn sample(form: &Form, rule: &FieldRule) -> Value {
    let code = || {
        // An instrument the procedure may be based on, for no other may be named.
        let instruments = rule.codes.as_ref().is_some_and(|list| list.as_str() == "instruments");
        let own = || shipped().bases(form.procedure()).next().map(|basis| basis.instrument.to_string());
        if let Some(instrument) = instruments.then(own).flatten() {
            return value::Kind::Code(instrument);
        }
        let list = form.codes(rule).expect("codes have lists");
        let instrument = shipped().bases(form.procedure()).next().map(|basis| &basis.instrument);
        let basis = instrument.filter(|_| rule.key == "reference.instrument");
        let listed = rule.only.first().or(basis).or_else(|| list.codes.first().map(|listed| &listed.code));
        let example = || list.pattern.expect("a list or a pattern").example().to_owned();
        let text = listed.map_or_else(example, Code::to_string);
        value::Kind::Code(text)
    };
    let kind = match rule.kind {
        Kind::Text => value::Kind::Text(Text { lang: "en".into(), text: "x".into() }),
        Kind::Code => code(),
        Kind::Integer => value::Kind::Integer(rule.least.unwrap_or(1)),
        Kind::Flag => value::Kind::Flag(rule.must.unwrap_or(true)),
        Kind::Time => value::Kind::TimeMs(1_700_000_000_000),
        Kind::Date => value::Kind::Date("2026-02-28".into()),
    };
    Value { kind: Some(kind) }
}

/// A body with every field filled in.
pub(crate) fn full(form: &Form) -> Body {
    let mut fields: Vec<Field> =
        form.template().map(|rule| Field { key: rule.key.clone(), values: vec![sample(form, rule)] }).collect();
    fields.sort_by(|a, b| a.key.cmp(&b.key));
    Body { form: form.id(), form_version: form.version(), fields }
}

/// The same as acts that follow each other need it: what is or was is now, what is to last lasts 90 days.
pub(crate) fn full_at(form: &Form, now: crate::ids::Time) -> Body {
    let mut body = full(form);
    for field in &mut body.fields {
        let later = if field.key.ends_with("until") { 90 * 24 * 3_600_000 } else { 0 };
        for value in &mut field.values {
            if let Some(value::Kind::TimeMs(ms)) = &mut value.kind {
                *ms = now.0 + later;
            }
        }
    }
    body
}
