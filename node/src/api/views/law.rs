//! Procedures and forms as data: what a client needs to draft, check and show a form by itself.

use super::schema::literal;
use crate::api::problem::FieldError;
use crate::{handle::View, time};
use comity_core::{
    case,
    ids::PartyCode,
    law::{Deadline, GroundView, Opinion, Question, Warning, explain},
    profile::Trust,
    proto::Body,
    rules::{
        Actor, ClockRule, Code, CodeList, Document, FieldRule, Form, GroundKind, Needed, Notice, Pattern, Procedure,
        Required, Rules,
    },
};
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
    /// The steps that open a request of it, the usual one first.
    openings: Vec<String>,
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

/// What is wrong with the contents of a form.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FormCheck)]
pub(in crate::api) struct FormCheckView {
    schema: &'static str,
    /// The form.
    form: String,
    /// True if it may be signed as it is.
    complete: bool,
    /// `blocks` if something keeps it from being signed, `warns` if something is to be looked after, else `fine`.
    verdict: &'static str,
    /// Everything that keeps it from being signed, field by field.
    errors: Vec<FieldError>,
    /// What speaks against it, though nothing forbids it; of a request only, and once it is said to whom it goes.
    warnings: Vec<FieldError>,
}

impl FormCheckView {
    /// What was found.
    pub(in crate::api) fn new(form: &Form, errors: Vec<FieldError>, warnings: Vec<FieldError>) -> Self {
        let verdict = match (errors.is_empty(), warnings.is_empty()) {
            (false, _) => "blocks",
            (true, false) => "warns",
            (true, true) => "fine",
        };
        Self { schema: "comity/form-check/v1", form: form.id(), complete: errors.is_empty(), verdict, errors, warnings }
    }
}

/// Warnings in the shape of what is wrong with a field.
pub(in crate::api) fn told(warnings: Vec<Warning>) -> Vec<FieldError> {
    let one =
        |warning: Warning| FieldError { field: warning.field.to_owned(), code: warning.code, detail: warning.detail };
    warnings.into_iter().map(one).collect()
}

/// What speaks against a draft of a request to a Party.
pub(in crate::api) fn warnings(view: &View, form: &Form, body: &Body, to: &PartyCode) -> Vec<FieldError> {
    let between = (form.procedure(), [&view.us.party, to]);
    told(case::warnings(&view.rules, &view.trust(), between, &form.facts(body), time::now()))
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
        openings: rules
            .family(&row.code)
            .into_iter()
            .flat_map(|family| family.openings())
            .map(ToString::to_string)
            .collect(),
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
            Pattern::Field => "field",
            Pattern::Language => "language",
            Pattern::TimeZone => "time-zone",
        }),
    }
}

/// Which law applies between two Parties.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Law)]
pub(in crate::api) struct LawView {
    schema: &'static str,
    /// The Party that would ask.
    from: String,
    /// The Party that would be asked.
    to: String,
    /// On which day.
    on: String,
    /// Each instrument of each procedure, those that can carry the request first.
    bases: Vec<BasisView>,
}

/// An instrument as the basis of a procedure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Basis)]
pub(in crate::api) struct BasisView {
    /// The procedure.
    procedure: String,
    /// In words.
    procedure_name: String,
    /// The instrument.
    instrument: String,
    /// Its name.
    instrument_name: String,
    /// The articles.
    articles: String,
    /// Between which offices it goes.
    channel: String,
    /// True if a request may be based on it.
    offered: bool,
    /// Each reason why not.
    against: Vec<String>,
    /// The instrument that takes its place between these Parties.
    replaced_by: Option<String>,
    /// The clocks that would run.
    clocks: Vec<DeadlineView>,
    /// The grounds it knows.
    grounds: Vec<LawGroundView>,
    /// What a request must be accompanied by.
    documents: Vec<LawDocumentView>,
    /// What must be told to whom.
    notices: Vec<LawNoticeView>,
    /// The languages the requested Party takes, most preferred first.
    languages: Vec<String>,
    /// Where it is found.
    source: String,
    /// How well the source was seen: `s` seen, `g` general knowledge, to be confirmed, `p` our own proposal.
    mark: &'static str,
}

/// A clock that would run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deadline)]
pub(in crate::api) struct DeadlineView {
    /// Its rule.
    clock: String,
    /// What it is for.
    title: String,
    /// How many of its unit.
    count: u32,
    /// The unit.
    unit: &'static str,
    /// True if the requested Party has declared this period itself.
    declared: bool,
    /// Who is bound by it.
    actor: &'static str,
    /// From when on it would run.
    start: String,
    /// What its end means.
    on_expiry: String,
    /// True if its end has an effect in law.
    legal_effect: bool,
    /// What must hold for it to run and is not known yet.
    provided: Vec<String>,
    /// The rule by which it may be lengthened, if there is one.
    longer: Option<String>,
    /// Where it is found.
    source: String,
    /// How well the source was seen.
    mark: &'static str,
}

/// A ground, and whether it is open.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LawGround)]
pub(in crate::api) struct LawGroundView {
    /// The ground.
    ground: String,
    /// In words.
    title: String,
    /// What it may be used for.
    kinds: Vec<&'static str>,
    /// True if it is open for these facts.
    open: bool,
    /// Why it is closed.
    closed: Option<String>,
    /// True if the request must be refused where it holds.
    mandatory: bool,
    /// Where it is found.
    source: String,
    /// How well the source was seen.
    mark: &'static str,
}

/// A document of a set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LawDocument)]
pub(in crate::api) struct LawDocumentView {
    /// Its code.
    document: String,
    /// In words.
    title: String,
    /// `always`, `convicted`, `in-absentia` or `if-any`.
    needed: &'static str,
    /// Where it is found.
    source: String,
    /// How well the source was seen.
    mark: &'static str,
}

/// What must be told to whom.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LawNotice)]
pub(in crate::api) struct LawNoticeView {
    /// What.
    of: String,
    /// To whom.
    to: String,
    /// The step that tells it.
    step: String,
    /// Where it is found.
    source: String,
    /// How well the source was seen.
    mark: &'static str,
}

/// Which law applies.
pub(in crate::api) fn explained(rules: &Rules, trust: &Trust, question: &Question<'_>) -> LawView {
    LawView {
        schema: "comity/law/v1",
        from: question.from.to_string(),
        to: question.to.to_string(),
        on: comity_core::clock::day(question.at),
        bases: explain(rules, trust, question).into_iter().map(|opinion| basis(&opinion, rules)).collect(),
    }
}

fn basis(opinion: &Opinion<'_>, rules: &Rules) -> BasisView {
    let basis = opinion.basis;
    BasisView {
        procedure: opinion.procedure.code.to_string(),
        procedure_name: opinion.procedure.name.clone(),
        instrument: opinion.instrument.code.to_string(),
        instrument_name: opinion.instrument.name.clone(),
        articles: basis.articles.clone(),
        channel: basis.channel.clone(),
        offered: opinion.is_offered(),
        against: opinion.against.clone(),
        replaced_by: opinion.replaced_by.as_ref().map(ToString::to_string),
        clocks: opinion.clocks.iter().map(deadline).collect(),
        grounds: opinion.grounds.iter().map(ground).collect(),
        documents: opinion.documents.iter().map(|row| document(row, rules)).collect(),
        notices: opinion.notices.iter().map(notice).collect(),
        languages: opinion.languages.clone(),
        source: basis.source.clone(),
        mark: basis.mark.as_str(),
    }
}

fn deadline(deadline: &Deadline<'_>) -> DeadlineView {
    let rule = deadline.rule;
    let longer = |rule: &ClockRule, step: &str| {
        format!("{} {} with {step} ({})", rule.duration, rule.unit.as_str(), rule.source)
    };
    DeadlineView {
        clock: rule.id.to_string(),
        title: rule.title.clone(),
        count: deadline.declared.unwrap_or(rule.duration),
        unit: rule.unit.as_str(),
        declared: deadline.declared.is_some(),
        actor: actor(rule.actor),
        start: rule.start_event.to_string(),
        on_expiry: rule.on_expiry.to_string(),
        legal_effect: rule.legal_effect,
        provided: deadline.provided.clone(),
        longer: deadline.longer.map(|(rule, step)| longer(rule, step.as_str())),
        source: rule.source.clone(),
        mark: rule.mark.as_str(),
    }
}

/// Who is bound by a clock, in a word.
pub(in crate::api) const fn actor(actor: Actor) -> &'static str {
    match actor {
        Actor::Requesting => "requesting",
        Actor::Requested => "requested",
        Actor::Provider => "provider",
        Actor::EnforcingAuthority => "enforcing-authority",
        Actor::ReviewBody => "review-body",
    }
}

fn ground(view: &GroundView<'_>) -> LawGroundView {
    let kind = |kind: &GroundKind| match kind {
        GroundKind::Refuse => "refuse",
        GroundKind::Postpone => "postpone",
        GroundKind::Condition => "condition",
        GroundKind::OtherMeasure => "other-measure",
        GroundKind::Consult => "consult",
        GroundKind::Return => "return",
        GroundKind::Impossible => "impossible",
        GroundKind::Suspend => "suspend",
        GroundKind::Blocked => "blocked",
    };
    LawGroundView {
        ground: view.ground.code.to_string(),
        title: view.ground.title.clone(),
        kinds: view.ground.kinds.iter().map(kind).collect(),
        open: view.closed.is_none(),
        closed: view.closed.clone(),
        mandatory: view.mandatory,
        source: view.source.to_owned(),
        mark: view.mark.as_str(),
    }
}

fn document(row: &Document, rules: &Rules) -> LawDocumentView {
    let list = Code::parse("documents").and_then(|id| rules.list(&id));
    LawDocumentView {
        document: row.code.to_string(),
        title: list.and_then(|list| list.label(row.code.as_str())).unwrap_or_default().to_owned(),
        needed: match row.needed {
            Needed::Always => "always",
            Needed::Convicted => "convicted",
            Needed::InAbsentia => "in-absentia",
            Needed::IfAny => "if-any",
        },
        source: row.source.clone(),
        mark: row.mark.as_str(),
    }
}

fn notice(row: &Notice) -> LawNoticeView {
    LawNoticeView {
        of: row.of.clone(),
        to: row.to.clone(),
        step: row.step.to_string(),
        source: row.source.clone(),
        mark: row.mark.as_str(),
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
