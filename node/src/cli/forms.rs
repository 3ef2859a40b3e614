//! `comity forms`: which procedures there are, and what their forms ask for.

use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    show::{list, number, table, text},
};

/// What `forms` can be told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A form, for example PRES/request; all procedures if left out.
    form: Option<String>,
}

/// The command.
pub(crate) async fn forms(args: &Args, context: &Context) -> Done {
    let client = context.client()?;
    match &args.form {
        None => context.out.either(&client.get("/v1/procedures").await?, procedures),
        Some(id) => context.out.either(&client.get(&format!("/v1/forms/{id}")).await?, form),
    }
    Ok(Verdict::Fine)
}

fn procedures(answer: &Value) -> String {
    let steps = |procedure: &Value| {
        let code = |step: &Value| step.as_str().unwrap_or_else(|| text(step, "/step")).to_owned();
        list(procedure, "/steps").iter().map(code).collect::<Vec<_>>().join(" ")
    };
    let row = |procedure: &Value| {
        [text(procedure, "/code").to_owned(), text(procedure, "/name").to_owned(), steps(procedure)]
    };
    table(["CODE", "NAME", "STEPS"], &list(answer, "/procedures").iter().map(row).collect::<Vec<_>>())
}

fn form(form: &Value) -> String {
    let row = |field: &Value| {
        let kind = match number(field, "/list") {
            0 | 1 => text(field, "/kind").to_owned(),
            most => format!("{} (up to {most})", text(field, "/kind")),
        };
        [text(field, "/key").to_owned(), kind, required(&field["required"]), text(field, "/label").to_owned()]
    };
    let rows: Vec<_> = list(form, "/fields").iter().map(row).collect();
    format!("{}\n\n{}", text(form, "/title"), table(["FIELD", "KIND", "REQUIRED", "MEANS"], &rows))
}

fn required(value: &Value) -> String {
    match value {
        Value::String(word) if word == "never" => "-".to_owned(),
        Value::String(word) => word.clone(),
        Value::Object(rule) if rule.contains_key("with") => {
            format!("with {}", rule["with"].as_str().unwrap_or_default())
        }
        Value::Object(_) => {
            let is = value.pointer("/when/is").cloned().unwrap_or_else(|| json!([]));
            let is = is.as_array().into_iter().flatten().map(|value| value.to_string().replace('"', ""));
            format!("if {} is {}", text(value, "/when/field"), is.collect::<Vec<_>>().join(" or "))
        }
        other => other.to_string(),
    }
}
