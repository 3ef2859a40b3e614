//! A form as a JSON Schema (draft 2020-12), so that a national system can check what it drafts with a tool of its own.
//!
//! The schema says what the node's own check says, as far as schemas reach: kinds, bounds, closed lists, what must be there and
//! under which condition. Whether a moment lies before another, two lists are of one length, a text is in the language another
//! field names, or a time zone exists, only the node says.

use comity_core::rules::{FieldRule, Form, Kind, Literal, Pattern, Required};
use serde_json::{Map, Value, json};

/// The schema of the contents of a form.
pub(in crate::api) fn of(form: &Form) -> Value {
    let fields = || form.template();
    let properties: Map<String, Value> = fields().map(|rule| (rule.key.clone(), field(form, rule))).collect();
    let always = fields().filter(|rule| rule.required == Required::Always && !rule.by_node);
    let required: Vec<&String> = always.map(|rule| &rule.key).collect();
    let conditions = fields().filter(|rule| !rule.by_node).filter_map(condition);
    let one_of = form.one_of().iter().map(|keys| {
        let any: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
        json!({ "anyOf": any })
    });
    let all: Vec<Value> = conditions.chain(one_of).collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:comity:form:{}:{}", form.id(), form.version()),
        "title": form.title(),
        "$comment": format!("{} [{}]", form.source(), form.mark().as_str()),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !all.is_empty() {
        schema["allOf"] = Value::Array(all);
    }
    schema
}

fn field(form: &Form, rule: &FieldRule) -> Value {
    let one = value(form, rule);
    let mut field = match rule.list {
        1 => one,
        // One value may stand without a list.
        most => json!({ "anyOf": [one.clone(), { "type": "array", "items": one, "minItems": 1, "maxItems": most }] }),
    };
    field["title"] = json!(rule.label);
    if !rule.help.is_empty() {
        field["description"] = json!(rule.help);
    }
    field["$comment"] = json!(format!("{} [{}]", rule.source, rule.mark.as_str()));
    if rule.by_node {
        field["readOnly"] = json!(true);
    }
    field
}

fn value(form: &Form, rule: &FieldRule) -> Value {
    match rule.kind {
        Kind::Text => json!({
            "type": "object",
            "properties": {
                "lang": { "type": "string", "pattern": LANGUAGE },
                "text": { "type": "string", "minLength": 1, "maxLength": rule.max.unwrap_or(0), "pattern": "\\S" },
            },
            "required": ["lang", "text"],
            "additionalProperties": false,
        }),
        Kind::Code => codes(form, rule),
        Kind::Integer => {
            let mut integer = json!({ "type": "integer" });
            for (key, bound) in [("minimum", rule.least), ("maximum", rule.most)] {
                if let Some(bound) = bound {
                    integer[key] = json!(bound);
                }
            }
            integer
        }
        Kind::Flag => rule.must.map_or_else(|| json!({ "type": "boolean" }), |must| json!({ "const": must })),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
    }
}

/// A language tag of two or three letters and subtags of up to eight (BCP 47, shape only).
const LANGUAGE: &str = "^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$";

fn codes(form: &Form, rule: &FieldRule) -> Value {
    let Some(list) = form.codes(rule) else { return json!({ "type": "string" }) };
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match list.pattern {
        None => {
            let taken = list.codes.iter().filter(|row| rule.only.is_empty() || rule.only.contains(&row.code));
            let each: Vec<Value> = taken.map(|row| json!({ "const": row.code.as_str(), "title": row.label })).collect();
            json!({ "oneOf": each })
        }
        Some(Pattern::Party) => pattern("^[A-Z]{2}$"),
        Some(Pattern::Request | Pattern::Item) => pattern("^[0-9a-f]{32}$"),
        Some(Pattern::Event | Pattern::Digest) => pattern("^[0-9a-f]{64}$"),
        Some(Pattern::Language) => pattern(LANGUAGE),
        Some(Pattern::Authority | Pattern::Step) => pattern("^[a-z0-9][a-z0-9-]*$"),
        Some(Pattern::Field) => pattern("^[a-z][a-z0-9-]*(\\.[a-z][a-z0-9-]*)*$"),
        Some(Pattern::TimeZone) => pattern("^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"),
    }
}

/// What must be there under a condition.
fn condition(rule: &FieldRule) -> Option<Value> {
    let needs = json!({ "required": [rule.key] });
    match &rule.required {
        Required::Always | Required::Never => None,
        Required::With(other) => Some(json!({ "if": { "required": [other] }, "then": needs })),
        Required::When { field, is } => {
            let values: Vec<Value> = is.iter().map(literal).collect();
            // The other field may hold one of the values alone or in a list.
            let holds = json!({ "anyOf": [{ "enum": values }, { "type": "array", "contains": { "enum": values } }] });
            let is = json!({ "properties": { (field.as_str()): holds }, "required": [field] });
            Some(json!({ "if": is, "then": needs }))
        }
    }
}

pub(super) fn literal(literal: &Literal) -> Value {
    match literal {
        Literal::Flag(flag) => json!(flag),
        Literal::Code(code) => json!(code),
    }
}

#[cfg(test)]
mod tests {
    use comity_core::rules::{Rules, SHIPPED};

    use super::*;
    use crate::api::fields;

    /// The value a willing officer would write into a field.
    fn sample(form: &Form, rule: &FieldRule) -> Value {
        match rule.kind {
            Kind::Text => json!({ "lang": "en", "text": "x" }),
            Kind::Integer => json!(rule.least.unwrap_or(1)),
            Kind::Flag => json!(rule.must.unwrap_or(true)),
            Kind::Time => json!("2026-03-01T13:05:09Z"),
            Kind::Date => json!("2026-03-01"),
            Kind::Code => {
                let list = form.codes(rule).expect("codes have lists");
                let first = rule.only.first().or_else(|| list.codes.first().map(|row| &row.code));
                first.map_or_else(
                    || json!(list.pattern.expect("a list or a pattern").example()),
                    |code| json!(code.as_str()),
                )
            }
        }
    }

    /// A tool that is not ours judges contents by the schema as the node does by the form: whole, with any field left out, with
    /// any field of another kind, with a field too many.
    #[test]
    fn a_stranger_judges_by_the_schema_as_the_node_by_the_form() {
        let rules = Rules::parse(SHIPPED).expect("the shipped rules read");
        // A form that procedures share is looked at once.
        let mut seen = std::collections::BTreeSet::new();
        let told = |form: &&Form| {
            seen.insert((form.title().to_owned(), form.template().map(|rule| rule.key.clone()).collect::<Vec<_>>()))
        };
        for form in rules.forms().filter(told) {
            let schema = jsonschema::validator_for(&of(form)).unwrap_or_else(|bad| panic!("{}: {bad}", form.id()));
            let whole: Map<String, Value> =
                form.template().map(|rule| (rule.key.clone(), sample(form, rule))).collect();
            let check = |fields: &Map<String, Value>, what: &str| {
                let ours = fields::read(form, fields).is_ok();
                let theirs = schema.is_valid(&Value::Object(fields.clone()));
                assert_eq!(theirs, ours, "{} {what}", form.id());
            };
            check(&whole, "whole");
            assert!(schema.is_valid(&Value::Object(whole.clone())), "{}", form.id());
            for rule in form.template() {
                let mut changed = whole.clone();
                changed.insert(rule.key.clone(), json!([{ "no": "such value" }]));
                check(&changed, &format!("with another kind in {}", rule.key));
                if !rule.by_node {
                    changed.remove(&rule.key);
                    check(&changed, &format!("without {}", rule.key));
                }
            }
            let mut more = whole.clone();
            more.insert("zebra".to_owned(), json!(1));
            check(&more, "with a field too many");
        }
    }
}
