//! The contents of forms as JSON, by the form's own kinds.
//!
//! A field is a member named by its key; it holds one value, or a list where the form takes several.
//! A text is `{"lang": "en", "text": "…"}`, a code, time or date a string, an integer a number, a flag
//! true or false. Reading finds every mistake at once: those of the shape here, the rest by the form.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::{
    ids::Time,
    proto::{Body, Fact, Field, Text, Value, value},
    rules::{FieldRule, Form, Kind},
};
use serde_json::{Map, Number, Value as Json, json};

use super::problem::FieldError;
use crate::time;

/// Reads the contents of a form.
///
/// # Errors
/// Everything that is wrong, field by field.
pub(super) fn read<'f>(
    form: &Form,
    fields: impl IntoIterator<Item = (&'f String, &'f Json)>,
) -> Result<Body, Vec<FieldError>> {
    let (body, errors) = look(form, fields);
    if errors.is_empty() { Ok(body) } else { Err(errors) }
}

/// Reads the contents of a form as far as they can be read, and everything that is wrong with them.
pub(super) fn look<'f>(
    form: &Form,
    fields: impl IntoIterator<Item = (&'f String, &'f Json)>,
) -> (Body, Vec<FieldError>) {
    let mut body = Body { form: form.id(), form_version: form.version(), fields: Vec::new() };
    let mut errors = Vec::new();
    // A JSON map is in no promised order; a body's fields ascend. Of two under one key the later counts.
    let fields: BTreeMap<&String, &Json> = fields.into_iter().collect();
    for (key, value) in fields {
        match read_field(form, key, value) {
            Ok(field) => body.fields.push(field),
            Err(error) => errors.push(error),
        }
    }
    let misread: BTreeSet<String> = errors.iter().map(|error| error.field.clone()).collect();
    let mistakes = form.check(&body).into_iter().filter(|mistake| !misread.contains(&mistake.field));
    errors.extend(mistakes.map(|mistake| FieldError {
        code: mistake.code(),
        detail: format!("{} ({})", mistake.wrong, mistake.article),
        field: mistake.field,
    }));
    (body, errors)
}

fn read_field(form: &Form, key: &str, json: &Json) -> Result<Field, FieldError> {
    let error = |code, detail: &str| FieldError { field: key.to_owned(), code, detail: detail.to_owned() };
    let rule = form.field(key);
    let rule = rule.ok_or_else(|| error("form.unknown-field", "the form has no such field; take it out"))?;
    let values = match json {
        Json::Array(values) => values.iter().collect(),
        one => vec![one],
    };
    if values.len() > rule.list {
        let most = rule.list;
        return Err(error("form.too-many", &format!("it takes at most {most} values; take some out")));
    }
    let read = |json: &&Json| read_value(rule, json).ok_or_else(|| error("form.wrong-kind", &like(rule.kind)));
    Ok(Field { key: key.to_owned(), values: values.iter().map(read).collect::<Result<_, _>>()? })
}

fn like(kind: Kind) -> String {
    let example = match kind {
        Kind::Text => r#"{"lang": "en", "text": "…"}"#,
        Kind::Code => r#""CC-01""#,
        Kind::Integer => "90",
        Kind::Flag => "true or false",
        Kind::Time => r#""2026-03-01T13:05:09Z""#,
        Kind::Date => r#""2026-03-01""#,
    };
    format!("it holds a {}; write it like {example}", kind.as_str())
}

fn read_value(rule: &FieldRule, json: &Json) -> Option<Value> {
    let kind = match (rule.kind, json) {
        (Kind::Text, Json::Object(members)) => value::Kind::Text(read_text(members)?),
        (Kind::Code, Json::String(code)) => value::Kind::Code(code.clone()),
        (Kind::Integer, Json::Number(number)) => value::Kind::Integer(number.as_i64()?),
        (Kind::Flag, Json::Bool(flag)) => value::Kind::Flag(*flag),
        (Kind::Time, Json::String(text)) => value::Kind::TimeMs(time::parse_rfc3339(text).ok()?.0),
        (Kind::Date, Json::String(date)) => value::Kind::Date(date.clone()),
        (Kind::Text | Kind::Code | Kind::Integer | Kind::Flag | Kind::Time | Kind::Date, _) => return None,
    };
    Some(Value { kind: Some(kind) })
}

fn read_text(members: &Map<String, Json>) -> Option<Text> {
    let text = |name: &str| members.get(name)?.as_str().map(str::to_owned);
    let (lang, text) = (text("lang")?, text("text")?);
    (members.len() == 2).then_some(Text { lang, text })
}

/// The contents of a body. A field that may have several values is a list also when it has one;
/// without the form of its version, when it has several.
pub(super) fn show(form: Option<&Form>, body: &Body) -> Map<String, Json> {
    let form = form.filter(|form| form.version() == body.form_version && form.id() == body.form);
    let field = |field: &Field| {
        let most = form.and_then(|form| form.field(&field.key)).map_or(field.values.len(), |rule| rule.list);
        let mut values: Vec<Json> = field.values.iter().map(show_value).collect();
        let shown = if most == 1 && values.len() == 1 { values.remove(0) } else { Json::Array(values) };
        (field.key.clone(), shown)
    };
    body.fields.iter().map(field).collect()
}

/// The facts of an event: what stays readable when its body is gone.
pub(super) fn show_facts(facts: &[Fact]) -> Map<String, Json> {
    let shown = |fact: &Fact| (fact.key.clone(), fact.value.as_ref().map_or(Json::Null, show_value));
    facts.iter().map(shown).collect()
}

fn show_value(value: &Value) -> Json {
    match &value.kind {
        Some(value::Kind::Text(Text { lang, text })) => json!({ "lang": lang, "text": text }),
        Some(value::Kind::Code(text) | value::Kind::Date(text)) => Json::String(text.clone()),
        Some(value::Kind::Integer(number)) => Json::Number(Number::from(*number)),
        Some(value::Kind::Flag(flag)) => Json::Bool(*flag),
        Some(value::Kind::TimeMs(ms)) => Json::String(time::rfc3339(Time(*ms))),
        None => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use comity_core::rules::{Rules, SHIPPED};
    use proptest::prelude::*;

    use super::*;

    fn rules() -> Rules {
        Rules::parse(SHIPPED).expect("the shipped rules read")
    }

    fn parse(json: Json) -> Map<String, Json> {
        match json {
            Json::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    /// Mistakes in a `PRES/note`, whose only field is a text, as (field, code).
    fn note(json: Json) -> Vec<(String, &'static str)> {
        let rules = rules();
        let form = rules.form_by_id("PRES/note").expect("shipped");
        let errors = read(form, &parse(json)).err().unwrap_or_default();
        errors.into_iter().map(|error| (error.field, error.code)).collect()
    }

    fn check(json: Json, expected: &[(&str, &'static str)]) {
        let expected: Vec<_> = expected.iter().map(|(field, code)| ((*field).to_owned(), *code)).collect();
        assert_eq!(note(json.clone()), expected, "{json}");
    }

    #[test]
    fn the_shape_of_each_value_is_checked() {
        check(json!({ "message": { "lang": "en", "text": "Hello" } }), &[]);
        check(json!({ "message": [{ "lang": "en", "text": "Hello" }] }), &[]);
        check(json!({}), &[("message", "form.missing-field")]);
        check(json!({ "message": "Hello" }), &[("message", "form.wrong-kind")]);
        check(json!({ "message": null }), &[("message", "form.wrong-kind")]);
        check(json!({ "message": { "text": "Hello" } }), &[("message", "form.wrong-kind")]);
        check(json!({ "message": { "lang": "en", "text": "a", "x": 1 } }), &[("message", "form.wrong-kind")]);
        check(json!({ "message": [] }), &[("message", "form.empty-field")]);
        check(json!({ "message": { "lang": "en", "text": "" } }), &[("message", "form.empty-field")]);
        let two = json!([{ "lang": "en", "text": "a" }, { "lang": "en", "text": "b" }]);
        check(json!({ "message": two }), &[("message", "form.too-many")]);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let json = json!({ "message": 7, "colour": "red" });
        check(json, &[("colour", "form.unknown-field"), ("message", "form.wrong-kind")]);
    }

    /// A form of which nothing is filled in, and one value for each kind there is in it.
    fn sample(form: &Form, rule: &FieldRule) -> Json {
        let code = || {
            let list = form.codes(rule).expect("a code has a list");
            let listed = rule.only.first().or(list.codes.first().map(|listed| &listed.code));
            listed.map_or_else(|| "XB".to_owned(), ToString::to_string)
        };
        match rule.kind {
            Kind::Text => json!({ "lang": "en", "text": "x" }),
            Kind::Code => json!(code()),
            Kind::Integer => json!(rule.least.unwrap_or(1)),
            Kind::Flag => json!(rule.must.unwrap_or(true)),
            Kind::Time => json!("2026-03-01T13:05:09.250Z"),
            Kind::Date => json!("2026-03-01"),
        }
    }

    #[test]
    fn what_is_read_is_shown_the_same() {
        let rules = rules();
        for form in rules.forms() {
            let value = |rule: &FieldRule| match rule.list {
                1 => sample(form, rule),
                _ => json!([sample(form, rule)]),
            };
            let fields: Map<String, Json> = form.template().map(|rule| (rule.key.clone(), value(rule))).collect();
            // Some samples are wrong in law; the shape of each reads and shows the same.
            let read: Vec<Field> =
                fields.iter().map(|(key, json)| read_field(form, key, json).expect("shape")).collect();
            let body = Body { form: form.id(), form_version: form.version(), fields: read };
            assert_eq!(show(Some(form), &body), fields, "{}", form.id());
        }
    }

    #[test]
    fn without_its_form_a_body_is_still_shown() {
        let text = Value { kind: Some(value::Kind::Text(Text { lang: "en".into(), text: "x".into() })) };
        let field = Field { key: "old".into(), values: vec![text.clone(), text] };
        let body = Body { form: "OLD/step".into(), form_version: 1, fields: vec![field] };
        let one = json!({ "lang": "en", "text": "x" });
        assert_eq!(Json::Object(show(None, &body)), json!({ "old": [one, one] }));
    }

    proptest! {
        #[test]
        fn no_json_panics(text in "\\PC{0,40}", number in any::<f64>(), big in any::<u64>()) {
            let rules = rules();
            for form in rules.forms() {
                for rule in form.template() {
                    for json in [json!(text), json!(number), json!(big), json!([text, number]), json!({ "lang": text })] {
                        let fields = Map::from_iter([(rule.key.clone(), json)]);
                        if let Ok(body) = read(form, &fields) {
                            prop_assert!(form.check(&body).is_empty());
                        }
                    }
                }
            }
        }
    }
}
