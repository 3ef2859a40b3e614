//! Procedures and forms as data: what a client needs to draft, check and show a form by itself.

use comity_core::rules::{CodeList, FieldRule, Form, Literal, Pattern, Procedure, Required, Rules};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The procedures.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Procedures)]
pub(in crate::api) struct ProceduresView {
    schema: &'static str,
    /// By code.
    procedures: Vec<ProcedureView>,
}

/// A kind of demand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Procedure)]
pub(in crate::api) struct ProcedureView {
    /// For example `PRES`.
    code: String,
    /// In words.
    name: String,
    /// Which life it follows; null if it is not offered yet.
    family: Option<String>,
    /// Rises when a form or figure of it changes.
    version: u32,
    /// On which instruments it may be based.
    instruments: Vec<String>,
    /// Its steps.
    steps: Vec<StepView>,
    /// Where it is found.
    source: String,
    /// How well the source was seen: `s` seen, `g` general knowledge, `p` our own proposal.
    mark: &'static str,
}

/// A step and its form.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub(in crate::api) struct StepView {
    /// For example `acknowledge`.
    step: String,
    /// The title of its form.
    title: String,
    /// The id of its form.
    form: String,
}

/// A form.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Form)]
pub(in crate::api) struct FormView {
    schema: &'static str,
    /// For example `PRES/request`.
    id: String,
    /// The procedure.
    procedure: String,
    /// The step.
    step: String,
    /// The version every body of it names.
    version: u32,
    /// What people see above it.
    title: String,
    /// Where it is found.
    source: String,
    /// How well the source was seen.
    mark: &'static str,
    /// In the order a draft should show them.
    fields: Vec<FieldView>,
    /// Sets of fields of which at least one must be filled in.
    one_of: Vec<Vec<String>>,
}

/// A field of a form.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FormField)]
pub(in crate::api) struct FieldView {
    /// Its key.
    key: String,
    /// `text`, `code`, `integer`, `flag`, `time` or `date`.
    kind: &'static str,
    /// How many values it may have.
    list: usize,
    /// `"always"`, `"never"`, `{"when": {"field", "is"}}` or `{"with": field}`.
    #[schema(value_type = Object)]
    required: Value,
    /// True if it stays readable in the record when the body is gone.
    fact: bool,
    /// True if only the node itself fills it in.
    by_node: bool,
    /// Codes: which there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<CodesView>,
    /// Text: the most characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<usize>,
    /// Integers: the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    least: Option<i64>,
    /// Integers: the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<i64>,
    /// Flags: the only answer possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    must: Option<bool>,
    /// What people see beside it.
    label: String,
    /// What helps to fill it in.
    #[serde(skip_serializing_if = "String::is_empty")]
    help: String,
    /// The article that asks for it.
    source: String,
    /// How well the source was seen.
    mark: &'static str,
}

/// The codes a field takes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Codes)]
pub(in crate::api) struct CodesView {
    /// The list.
    list: String,
    /// Its codes; empty if there is a pattern.
    codes: Vec<CodeView>,
    /// What the codes are, where they cannot be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'static str>,
}

/// A code.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Code)]
pub(in crate::api) struct CodeView {
    /// As it is signed.
    code: String,
    /// In words.
    label: String,
}

/// All procedures.
pub(in crate::api) fn procedures(rules: &Rules) -> ProceduresView {
    let procedures = rules.procedures().map(|row| procedure(row, rules)).collect();
    ProceduresView { schema: "comity/procedures/v1", procedures }
}

fn procedure(row: &Procedure, rules: &Rules) -> ProcedureView {
    let step =
        |form: &Form| StepView { step: form.step().to_string(), title: form.title().to_owned(), form: form.id() };
    ProcedureView {
        code: row.code.to_string(),
        name: row.name.clone(),
        family: row.family.as_ref().map(ToString::to_string),
        version: row.version,
        instruments: rules.bases(&row.code).map(|basis| basis.instrument.to_string()).collect(),
        steps: rules.forms().filter(|form| *form.procedure() == row.code).map(step).collect(),
        source: row.source.clone(),
        mark: row.mark.as_str(),
    }
}

/// A form.
pub(in crate::api) fn form(form: &Form) -> FormView {
    FormView {
        schema: "comity/form/v1",
        id: form.id(),
        procedure: form.procedure().to_string(),
        step: form.step().to_string(),
        version: form.version(),
        title: form.title().to_owned(),
        source: form.source().to_owned(),
        mark: form.mark().as_str(),
        fields: form.template().map(|rule| field(form, rule)).collect(),
        one_of: form.one_of().to_vec(),
    }
}

fn field(form: &Form, rule: &FieldRule) -> FieldView {
    FieldView {
        key: rule.key.clone(),
        kind: rule.kind.as_str(),
        list: rule.list,
        required: required(&rule.required),
        fact: rule.fact,
        by_node: rule.by_node,
        codes: form.codes(rule).map(|list| codes(list, rule)),
        max: rule.max,
        least: rule.least,
        most: rule.most,
        must: rule.must,
        label: rule.label.clone(),
        help: rule.help.clone(),
        source: rule.source.clone(),
        mark: rule.mark.as_str(),
    }
}

fn required(required: &Required) -> Value {
    let literal = |literal: &Literal| match literal {
        Literal::Flag(flag) => json!(flag),
        Literal::Code(code) => json!(code),
    };
    match required {
        Required::Always => json!("always"),
        Required::Never => json!("never"),
        Required::When { field, is } => {
            json!({ "when": { "field": field, "is": is.iter().map(literal).collect::<Vec<_>>() } })
        }
        Required::With(field) => json!({ "with": field }),
    }
}

fn codes(list: &CodeList, rule: &FieldRule) -> CodesView {
    let taken = list.codes.iter().filter(|listed| rule.only.is_empty() || rule.only.contains(&listed.code));
    CodesView {
        list: list.id.to_string(),
        codes: taken.map(|listed| CodeView { code: listed.code.to_string(), label: listed.label.clone() }).collect(),
        pattern: list.pattern.map(|pattern| match pattern {
            Pattern::Party => "party",
            Pattern::Authority => "authority",
            Pattern::Request => "request",
            Pattern::Event => "event",
            Pattern::Item => "item",
            Pattern::Digest => "digest",
            Pattern::Step => "step",
            Pattern::Language => "language",
            Pattern::TimeZone => "time-zone",
        }),
    }
}

#[cfg(test)]
mod tests {
    use comity_core::rules::SHIPPED;

    use super::*;

    #[test]
    fn every_shipped_form_says_how_to_fill_it_in() {
        let rules = Rules::parse(SHIPPED).expect("the shipped rules read");
        let all = procedures(&rules);
        let steps: usize = all.procedures.iter().map(|procedure| procedure.steps.len()).sum();
        assert_eq!(steps, rules.forms().count());
        for row in rules.forms() {
            for field in form(row).fields {
                let choices = field.codes.as_ref().map(|codes| codes.codes.is_empty() == codes.pattern.is_some());
                assert_eq!(choices, (field.kind == "code").then_some(true), "{}: {}", row.id(), field.key);
            }
        }
    }
}
