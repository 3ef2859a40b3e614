//! Contents of forms as people write them: TOML or JSON files and `key=value` arguments.
//!
//! The form, asked of the node, says what kind of value a field holds; this room only writes values
//! in the API's shape. What is right or wrong with them, the node says.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value, json};

use super::{fault::CliFault, show};

/// The contents of a form by field.
pub(crate) type Fields = Map<String, Value>;

/// What is needed of a form to write its contents.
pub(crate) struct FormKinds {
    kinds: BTreeMap<String, String>,
    language: String,
}

impl FormKinds {
    /// Reads what `GET /v1/forms/…` answers; texts without a language are in `language`.
    pub(crate) fn of(form: &Value, language: &str) -> Self {
        let kind = |field: &Value| (show::text(field, "/key").to_owned(), show::text(field, "/kind").to_owned());
        Self { kinds: show::list(form, "/fields").iter().map(kind).collect(), language: language.to_owned() }
    }

    /// Reads a file whose tables may be nested or dotted: `data.categories` is one key.
    pub(crate) fn read_file(&self, path: &Path) -> Result<Fields, CliFault> {
        let disk = |cause| CliFault::Disk { doing: "read", path: path.to_owned(), cause };
        let text = fs::read_to_string(path).map_err(disk)?;
        let bad = |why: String| CliFault::BadField { field: path.display().to_string(), why };
        let table: Value = if path.extension().is_some_and(|end| end == "json") {
            serde_json::from_str(&text).map_err(|cause| bad(cause.to_string()))?
        } else {
            let table: toml::Table = toml::from_str(&text).map_err(|cause| bad(cause.to_string()))?;
            from_toml(toml::Value::Table(table))
        };
        let Value::Object(table) = table else { return Err(bad("it holds no fields".to_owned())) };
        let mut fields = Fields::new();
        self.flatten("", table, &mut fields)?;
        Ok(fields)
    }

    /// Puts `key=value` into the fields. A key given twice is a list; an empty value takes the field out;
    /// `key@de=…` is a text in that language.
    pub(crate) fn set(&self, fields: &mut Fields, settings: &[String]) -> Result<(), CliFault> {
        let mut fresh = Fields::new();
        for setting in settings {
            let (key, value) = setting.split_once('=').ok_or_else(|| bad(setting, "write key=value"))?;
            let (key, language) = key.split_once('@').unwrap_or((key, &self.language));
            if value.is_empty() {
                fields.remove(key);
                continue;
            }
            let value = self.value(key, Value::from(value), language)?;
            match fresh.get_mut(key) {
                None => drop(fresh.insert(key.to_owned(), value)),
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = json!([first.take(), value]),
            }
        }
        fields.extend(fresh);
        Ok(())
    }

    fn flatten(&self, prefix: &str, table: Map<String, Value>, into: &mut Fields) -> Result<(), CliFault> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Object(inner) if !self.kinds.contains_key(&key) => self.flatten(&key, inner, into)?,
                Value::Array(values) => {
                    let value = |value| self.value(&key, value, &self.language);
                    let values = values.into_iter().map(value).collect::<Result<Vec<_>, _>>()?;
                    into.insert(key, Value::Array(values));
                }
                value => drop(into.insert(key.clone(), self.value(&key, value, &self.language)?)),
            }
        }
        Ok(())
    }

    /// A value in the API's shape. Objects are in it already; words become what the field holds.
    fn value(&self, key: &str, value: Value, language: &str) -> Result<Value, CliFault> {
        let kind = self.kinds.get(key).ok_or_else(|| bad(key, "the form has no such field; see: comity forms"))?;
        let Value::String(text) = &value else { return Ok(value) };
        match kind.as_str() {
            "text" => Ok(json!({ "lang": language, "text": text })),
            "integer" => text.parse::<i64>().map(Value::from).map_err(|_| bad(key, "it holds a whole number")),
            "flag" => match text.as_str() {
                "true" | "yes" => Ok(Value::Bool(true)),
                "false" | "no" => Ok(Value::Bool(false)),
                _ => Err(bad(key, "it holds true or false")),
            },
            _ => Ok(value),
        }
    }
}

fn bad(field: &str, why: &str) -> CliFault {
    CliFault::BadField { field: field.to_owned(), why: why.to_owned() }
}

/// TOML as JSON; times and dates become their text.
fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => Value::Array(values.into_iter().map(from_toml).collect()),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, from_toml(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> FormKinds {
        let field = |key: &str, kind: &str| json!({ "key": key, "kind": kind });
        let fields = [
            field("data.description", "text"),
            field("data.categories", "code"),
            field("days", "integer"),
            field("sure", "flag"),
            field("at", "time"),
            field("on", "date"),
        ];
        FormKinds::of(&json!({ "fields": fields }), "en")
    }

    fn file(name: &str, text: &str) -> Result<Fields, CliFault> {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        kinds().read_file(&path)
    }

    #[test]
    fn files_may_nest_or_dot_and_dates_are_text() {
        let toml = "days = 90\nat = 2026-03-01T10:00:00Z\non = 2026-03-01\nsure = true\n\
                    [data]\ndescription = \"Logs\"\ncategories = [\"traffic\", \"content\"]\n";
        let expected = json!({
            "days": 90, "at": "2026-03-01T10:00:00Z", "on": "2026-03-01", "sure": true,
            "data.description": { "lang": "en", "text": "Logs" }, "data.categories": ["traffic", "content"],
        });
        assert_eq!(Value::Object(file("a.toml", toml).expect("reads")), expected);
        assert_eq!(Value::Object(file("a.json", &expected.to_string()).expect("reads")), expected);
        assert!(file("a.toml", "colour = 1\n").is_err());
        assert!(file("a.json", "[]").is_err());
    }

    #[test]
    fn settings_follow_the_forms_kinds() {
        let set = |settings: &[&str]| {
            let mut fields = Fields::from_iter([("days".to_owned(), json!(60))]);
            let settings: Vec<String> = settings.iter().map(|&text| text.to_owned()).collect();
            kinds().set(&mut fields, &settings).map(|()| Value::Object(fields))
        };
        let check = |settings: &[&str], expected: Value| assert_eq!(set(settings).expect("good"), expected);
        check(&["days=90"], json!({ "days": 90 }));
        check(&["days="], json!({}));
        check(&["days=", "sure=no"], json!({ "sure": false }));
        check(&["data.categories=a", "data.categories=b", "days="], json!({ "data.categories": ["a", "b"] }));
        check(&["days=", "data.description@de=Ä=b"], json!({ "data.description": { "lang": "de", "text": "Ä=b" } }));
        for wrong in ["days=x", "sure=maybe", "colour=red", "days"] {
            assert!(set(&[wrong]).is_err(), "{wrong}");
        }
    }
}
