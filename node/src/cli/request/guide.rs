//! Guided drafting: the form field by field, each with what it means, the article that asks for it and what may stand there.
//!
//! Every answer is kept on the node's desk at once, so that whoever is interrupted goes on where they stopped. What is right
//! or wrong with an answer the node says. Questions go to standard error, answers come from standard input.

use std::io::{self, BufRead};

use serde_json::{Value, json};

use crate::cli::{
    Context,
    client::Client,
    fault::CliFault,
    fields::{Fields, FormKinds},
    show::{list, number, text},
};

/// A draft under the guide.
pub(super) struct Guide<'a> {
    pub(super) client: &'a Client,
    pub(super) context: &'a Context,
    /// The form, as the node gives it out.
    pub(super) form: &'a Value,
    pub(super) kinds: &'a FormKinds,
    /// Where the draft lies.
    pub(super) path: String,
}

/// What a line of input means.
enum Line {
    Said(String),
    Nothing,
    Help,
    Stop,
}

impl Guide<'_> {
    /// Asks for every field that is not filled in, and keeps each answer. What the node answered last comes back.
    pub(super) async fn walk(&self, mut draft: Value) -> Result<Value, CliFault> {
        let fields: Vec<&Value> = list(self.form, "/fields").iter().filter(|field| field["by_node"] != true).collect();
        self.say(&format!(
            "{} ({} fields)\nAn empty line leaves a field out, ? says more, . stops: what was answered is kept.",
            text(self.form, "/title"),
            fields.len()
        ));
        for (place, field) in fields.iter().enumerate() {
            if draft["fields"].get(text(field, "/key")).is_some() || !self.concerns(field, &draft) {
                continue;
            }
            self.say(&format!("\n[{}/{}] {}", place + 1, fields.len(), self.question(field, &draft)));
            match self.answer(field, draft).await? {
                (kept, true) => draft = kept,
                (kept, false) => return Ok(kept),
            }
        }
        Ok(draft)
    }

    fn say(&self, what: &str) {
        self.context.out.say(&what);
    }

    /// True unless the field is asked for only under a condition that does not hold.
    fn concerns(&self, field: &Value, draft: &Value) -> bool {
        match &field["required"] {
            Value::Object(rule) if rule.contains_key("when") || rule.contains_key("with") => self.must(field, draft),
            _ => true,
        }
    }

    /// True if the field must be filled in, as far as the draft goes.
    fn must(&self, field: &Value, draft: &Value) -> bool {
        let required = &field["required"];
        if let Some(other) = required["with"].as_str() {
            return draft["fields"].get(other).is_some();
        }
        let Some(when) = required.get("when") else { return required == "always" };
        let said = draft["fields"].get(text(when, "/field"));
        let values = match said {
            Some(Value::Array(values)) => values.clone(),
            Some(value) => vec![value.clone()],
            None => Vec::new(),
        };
        values.iter().any(|value| list(when, "/is").contains(value))
    }

    fn question(&self, field: &Value, draft: &Value) -> String {
        let key = text(field, "/key");
        let need = if self.must(field, draft) { "required" } else { "may be left out" };
        let most = number(field, "/list");
        let several = if most > 1 { format!(", up to {most}, one on each line") } else { String::new() };
        let group = list(self.form, "/one_of")
            .iter()
            .find(|keys| keys.as_array().is_some_and(|keys| keys.contains(&json!(key))));
        let group = group.map(|keys| {
            let keys: Vec<&str> = keys.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            format!("\n  at least one of: {}", keys.join(", "))
        });
        format!(
            "{} ({key}; {need}{several}){}\n  {}",
            text(field, "/label"),
            group.unwrap_or_default(),
            self.like(field)
        )
    }

    /// What may stand in a field, in a line; a short list of codes whole.
    fn like(&self, field: &Value) -> String {
        let codes = list(field, "/codes/codes");
        match text(field, "/kind") {
            "text" => format!("text, at most {} characters", number(field, "/max")),
            "flag" => "yes or no".to_owned(),
            "integer" => "a whole number".to_owned(),
            "time" => "a moment, as 2026-03-01T13:05:09Z".to_owned(),
            "date" => "a day, as 2026-03-01".to_owned(),
            _ if codes.is_empty() => format!("a code: {}", text(field, "/codes/pattern")),
            _ if codes.len() <= SHOWN_MAX => {
                let row = |code: &Value| format!("{} - {}", text(code, "/code"), text(code, "/label"));
                codes.iter().map(row).collect::<Vec<_>>().join("\n  ")
            }
            _ => codes.iter().map(|code| text(code, "/code")).collect::<Vec<_>>().join(" "),
        }
    }

    fn help(&self, field: &Value) -> String {
        let mark = match text(field, "/mark") {
            "s" => "seen in the source",
            "g" => "to be confirmed in the source",
            _ => "own proposal",
        };
        let mut lines = vec![format!("  {} ({mark})", text(field, "/source"))];
        if !text(field, "/help").is_empty() {
            lines.push(format!("  {}", text(field, "/help")));
        }
        let codes = list(field, "/codes/codes");
        lines.extend(codes.iter().map(|code| format!("  {} - {}", text(code, "/code"), text(code, "/label"))));
        lines.join("\n")
    }

    /// Asks until the node takes the answer; false if whoever answers stops here.
    async fn answer(&self, field: &Value, draft: Value) -> Result<(Value, bool), CliFault> {
        let key = text(field, "/key");
        let most = usize::try_from(number(field, "/list")).unwrap_or(1).max(1);
        let mut said: Vec<String> = Vec::new();
        loop {
            match read_line()? {
                Line::Stop => return Ok((draft, false)),
                Line::Help => self.say(&self.help(field)),
                Line::Nothing if said.is_empty() && self.must(field, &draft) => {
                    self.say(&format!(
                        "  {} asks for it; it can wait, but without it nothing is sent.",
                        text(field, "/source")
                    ));
                    return Ok((draft, true));
                }
                Line::Nothing if said.is_empty() => return Ok((draft, true)),
                Line::Nothing => return self.keep(key, &said, draft).await.map(|kept| (kept, true)),
                Line::Said(value) => {
                    match self.try_out(key, &[&said[..], std::slice::from_ref(&value)].concat(), &draft).await? {
                        Some(wrong) => self.say(&format!("  {wrong}")),
                        None => said.push(value),
                    }
                    if said.len() >= most {
                        return self.keep(key, &said, draft).await.map(|kept| (kept, true));
                    }
                }
            }
        }
    }

    fn with(&self, key: &str, said: &[String], draft: &Value) -> Result<Value, CliFault> {
        let mut fields: Fields = draft["fields"].as_object().cloned().unwrap_or_default();
        let settings: Vec<String> = said.iter().map(|value| format!("{key}={value}")).collect();
        self.kinds.set(&mut fields, &settings)?;
        Ok(json!({ "fields": fields }))
    }

    /// What is wrong with an answer, if something is; nothing is kept.
    async fn try_out(&self, key: &str, said: &[String], draft: &Value) -> Result<Option<String>, CliFault> {
        let fields = match self.with(key, said, draft) {
            Ok(changed) => changed["fields"].clone(),
            Err(CliFault::BadField { why, .. }) => return Ok(Some(why)),
            Err(other) => return Err(other),
        };
        let form = text(self.form, "/id");
        let found = self.client.post(&format!("/v1/forms/{form}/check"), &json!({ "fields": fields })).await?;
        let about = |error: &&Value| text(error, "/field") == key && text(error, "/code") != "form.missing-field";
        Ok(list(&found, "/errors").iter().find(about).map(|error| text(error, "/detail").to_owned()))
    }

    async fn keep(&self, key: &str, said: &[String], draft: Value) -> Result<Value, CliFault> {
        let fields = self.with(key, said, &draft)?["fields"].clone();
        super::draft::put(&self.path, &draft, fields, self.client).await
    }
}

/// Lists longer than this are shown by code alone; `?` shows them whole.
const SHOWN_MAX: usize = 12;

/// The end of the input stops as `.` does.
fn read_line() -> Result<Line, CliFault> {
    let mut line = String::new();
    let disk = |cause| CliFault::Disk { doing: "read", path: "standard input".into(), cause };
    if io::stdin().lock().read_line(&mut line).map_err(disk)? == 0 {
        return Ok(Line::Stop);
    }
    Ok(match line.trim() {
        "" => Line::Nothing,
        "?" => Line::Help,
        "." => Line::Stop,
        said => Line::Said(said.to_owned()),
    })
}
