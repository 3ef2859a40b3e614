//! From what a client wants done to an act of the engine, and the check that a repeated command id
//! meant the same act.

use std::collections::BTreeSet;

use comity_core::{
    crypto::sha256,
    engine::{Act, Done, NotDone},
    ids::{EventId, LedgerIndex, PartyCode, ProcedureCode, RequestId, StepCode},
    proto,
    rules::Rules,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Api, extract::parse, fault::ApiFault, fields, problem::Problem, views::officers::wanted};
use crate::{
    handle::{DRAFT_PREFIX, EyesFault, View, prepared_as, withdrawn_as},
    time::{now, rfc3339},
};

/// How urgent a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Lane)]
pub(super) enum LaneName {
    /// In its turn.
    #[default]
    Normal,
    /// Before everything else.
    Emergency,
}

impl LaneName {
    const fn to_wire(self) -> proto::Lane {
        match self {
            Self::Normal => proto::Lane::Normal,
            Self::Emergency => proto::Lane::Emergency,
        }
    }
}

/// A request to be signed and sent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRequest {
    /// 16 random bytes in hexadecimal, made by the client before its first try.
    pub(super) request_id: String,
    /// The id of this act; the request's id, if neither this nor `Idempotency-Key` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) command_id: Option<String>,
    /// For example `PRES`.
    pub(super) procedure: String,
    /// The step that opens it, where its procedure has several; the usual one, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<String>,
    /// The Parties asked, for example `["XB"]`.
    pub(super) recipients: Vec<String>,
    /// Which of our authorities acts, as the profile names it.
    pub(super) authority: String,
    /// How urgent the delivery is.
    #[serde(default)]
    pub(super) lane: LaneName,
    /// The contents of the form, by field; see `/v1/forms/{procedure}/{step}`.
    #[schema(value_type = Object)]
    pub(super) fields: Map<String, Value>,
}

/// A step to be signed and sent in a request.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStep {
    /// The id of this act: 16 random bytes in hexadecimal; `Idempotency-Key` serves as well.
    #[serde(default)]
    pub(super) command_id: Option<String>,
    /// For example `acknowledge`.
    pub(super) step: String,
    /// Which of our authorities acts, as the profile names it.
    pub(super) authority: String,
    /// How urgent the delivery is.
    #[serde(default)]
    pub(super) lane: LaneName,
    /// The contents of the form, by field; see `/v1/forms/{procedure}/{step}`.
    #[schema(value_type = Object)]
    pub(super) fields: Map<String, Value>,
}

/// An act that is on disk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Act)]
pub(super) struct ActView {
    schema: &'static str,
    /// The request.
    pub(super) request_id: String,
    /// The request with its members.
    thread_id: String,
    /// The event that was signed.
    pub(super) event_id: String,
    /// Where it stands in our ledger.
    index: u64,
    /// The preservation this request follows up, and whether its thread says so now.
    #[serde(skip_serializing_if = "Option::is_none")]
    follow_up: Option<FollowUpView>,
}

/// The preservation a request follows up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FollowUp)]
pub(super) struct FollowUpView {
    /// The preservation.
    request_id: String,
    /// The event in its thread that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Why its thread does not say so: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl ActView {
    fn new(request: &RequestId, done: &Done) -> Self {
        Self {
            schema: "comity/act/v1",
            request_id: request.to_string(),
            thread_id: done.thread.to_string(),
            event_id: done.event.to_string(),
            index: done.index.0,
            follow_up: None,
        }
    }
}

impl NewRequest {
    /// The act that opens the request.
    pub(super) fn act(&self, key: Option<[u8; 16]>, rules: &Rules) -> Result<Act, Problem> {
        let request: RequestId = parse("request_id", &self.request_id)?;
        let recipients = self.recipients.iter().map(|code| parse("recipients", code));
        let procedure: ProcedureCode = parse("procedure", &self.procedure)?;
        let step = match &self.step {
            Some(step) => parse("step", step)?,
            None => opening(rules, &procedure).ok_or_else(unknown_form)?,
        };
        Ok(Act {
            command_id: command_id(self.command_id.as_deref(), key)?.unwrap_or(*request.as_bytes()),
            request,
            recipients: recipients.collect::<Result<BTreeSet<PartyCode>, _>>()?,
            body: body(rules, &procedure, &step, &self.fields, &Map::new())?,
            procedure,
            step,
            authority: parse("authority", &self.authority)?,
            lane: self.lane.to_wire(),
            approvals: Vec::new(),
        })
    }
}

fn unknown_form() -> Problem {
    Problem::new("form.unknown", "nothing was done; no procedure here has this step; see /v1/procedures")
}

/// The usual step that opens a request of a procedure; none if it is not offered.
pub(super) fn opening(rules: &Rules, procedure: &ProcedureCode) -> Option<StepCode> {
    rules.family(procedure)?.openings().next().cloned()
}

impl NewStep {
    /// The act in a request of this procedure.
    pub(super) fn act(
        &self,
        request: RequestId,
        procedure: ProcedureCode,
        key: Option<[u8; 16]>,
        rules: &Rules,
    ) -> Result<Act, Problem> {
        self.act_with(request, procedure, key, rules, Map::new())
    }

    /// The same, with the fields of its form that only the node itself can fill in.
    pub(super) fn act_with(
        &self,
        request: RequestId,
        procedure: ProcedureCode,
        key: Option<[u8; 16]>,
        rules: &Rules,
        made: Map<String, Value>,
    ) -> Result<Act, Problem> {
        let step: StepCode = parse("step", &self.step)?;
        Ok(Act {
            command_id: command_id(self.command_id.as_deref(), key)?.ok_or(ApiFault::NoCommandId)?,
            request,
            recipients: BTreeSet::new(),
            body: body(rules, &procedure, &step, &self.fields, &made)?,
            procedure,
            step,
            authority: parse("authority", &self.authority)?,
            lane: self.lane.to_wire(),
            approvals: Vec::new(),
        })
    }
}

pub(super) fn command_id(given: Option<&str>, key: Option<[u8; 16]>) -> Result<Option<[u8; 16]>, ApiFault> {
    let given = given.map(|text| parse::<RequestId>("command_id", text)).transpose()?;
    match (given.map(|id| *id.as_bytes()), key) {
        (Some(given), Some(key)) if given != key => Err(ApiFault::TwoCommandIds),
        (given, key) => Ok(given.or(key)),
    }
}

fn body(
    rules: &Rules,
    procedure: &ProcedureCode,
    step: &StepCode,
    contents: &Map<String, Value>,
    made: &Map<String, Value>,
) -> Result<proto::Body, Problem> {
    let form = rules.form(procedure, step).ok_or_else(unknown_form)?;
    let by_node = |key: &&String| form.field(key).is_some_and(|rule| rule.by_node);
    if let Some(key) = contents.keys().find(by_node) {
        return Err(ApiFault::MadeByNode(key.clone()).into());
    }
    if made.is_empty()
        && let Some(rule) = form.template().find(|rule| rule.by_node)
    {
        return Err(ApiFault::MadeByNode(rule.key.clone()).into());
    }
    fields::read(form, contents.iter().chain(made)).map_err(|errors| Problem::form(&form.id(), errors))
}

/// Has the engine do an act, with what officers have said of it. What was done before under the same command id is answered
/// again, unless it was something else. What officers must approve first is put before them; what was withdrawn while it
/// waited for them is refused.
pub(super) async fn perform(api: &Api, act: Act) -> Result<ActView, Problem> {
    let (request, command) = (act.request, act.command_id);
    let wanted = act.clone();
    // A task of its own: what was done is settled also when the client that asked has gone.
    let handle = api.handle.clone();
    let doing = tokio::spawn(async move {
        let (approvals, claim) = handle.view().begin(&request, &command).await?;
        let done = match handle.act(Act { approvals, ..act }).await {
            Ok(done) => done,
            Err(refused) => {
                claim.into_iter().for_each(|claim| claim.refused(&refused));
                return Ok(Err(refused));
            }
        };
        settled(handle.view(), &request, &command, &done.event).await;
        Ok::<_, EyesFault>(Ok(done))
    });
    let done = match doing.await.map_err(|_| ApiFault::Stopping)?? {
        Ok(done) => done,
        Err(refused) => return Err(put_before_officers(api, refused, wanted.lane).await),
    };
    let answer = ActView::new(&wanted.request, &done);
    if done.before {
        api.look(move |view| is_meant(view, done.index, &wanted)).await?;
    }
    Ok(answer)
}

/// Does an act as it was put before officers; if it waits no more, what became of it.
pub(super) async fn perform_prepared(
    api: &Api,
    command: [u8; 16],
    row: Option<proto::PreparedAct>,
) -> Result<ActView, Problem> {
    let waits = row.filter(|row| row.event_id.is_empty());
    let Some((row, matter)) = waits.and_then(|row| Some((row.clone(), api.handle.view().matter(&row)?))) else {
        let look = move |view: &View| match view.done(&command)? {
            Some(done) => Ok(done),
            None if withdrawn_as(&view.desk, &command).is_some() => Err(EyesFault::Withdrawn.into()),
            None => Err(EyesFault::Unknown.into()),
        };
        let (request, done) = api.look(look).await?;
        return Ok(ActView::new(&request, &done));
    };
    let request = matter.request;
    // Some steps open a request and are taken later in another: what is not there yet is opened.
    let opens = api.look(move |view| Ok(view.index.threads_of(&request)?.is_empty())).await?;
    let body = proto::Body::decode(&row.body[..]).map_err(|_| EyesFault::Unknown)?;
    let act = Act {
        command_id: command,
        request,
        recipients: if opens { matter.recipients.into_iter().collect() } else { BTreeSet::new() },
        procedure: matter.procedure,
        step: matter.step,
        authority: matter.authority,
        lane: row.lane(),
        approvals: Vec::new(),
        body,
    };
    let contents = fields::show(api.handle.view().rules.form_by_id(&act.body.form), &act.body);
    let done = if opens { open(api, &contents, act).await? } else { perform(api, act).await? };
    if opens {
        let draft = [DRAFT_PREFIX, request.as_bytes()].concat();
        let taken_off = api.look(move |view| Ok(view.desk.delete(&draft)?.wait()?)).await;
        if let Err(problem) = taken_off {
            tracing::warn!(target: "api", code = problem.code, "a draft that was sent stays on the desk");
        }
    }
    Ok(done)
}

/// That an act is on disk goes beside its approvals. If not now, at the next hour or start: the act is done either way.
pub(super) async fn settled(view: &View, request: &RequestId, command: &[u8; 16], event: &EventId) {
    if let Err(fault) = view.settle(request, command, event, now()).await {
        tracing::warn!(target: "api", code = fault.code(), "approvals are not on record with their event; tried again");
    }
}

/// A refusal, with what officers must approve if it is for them.
pub(super) async fn put_before_officers(api: &Api, refused: NotDone, lane: proto::Lane) -> Problem {
    let Some(to_approve) = refused.wanted.clone() else { return refused.into() };
    match wanted(api.handle.view(), &to_approve, lane, now()).await {
        Ok(waiting) => Problem::from(refused).awaits(waiting),
        Err(fault) => fault.into(),
    }
}

/// Opens a request. One that follows up a preservation of ours also has the step signed that says so in
/// that thread, so that the data stay until this request is decided. The request stands either way; what
/// became of the other step is in the answer. Repeated, both are done once.
pub(super) async fn open(api: &Api, fields: &Map<String, Value>, act: Act) -> Result<ActView, Problem> {
    let linked = fields.get(PRESERVATION).and_then(Value::as_str).and_then(|id| id.parse::<RequestId>().ok());
    let (command, authority, lane) = (act.command_id, act.authority.clone(), act.lane);
    let mut answer = perform(api, act).await?;
    if let Some(preservation) = linked {
        let fields = follow_up_fields(&answer.request_id, fields);
        let act = follow_up(api, preservation, command, &fields).map(|act| Act { authority, lane, ..act });
        let done = match act {
            Ok(act) => perform(api, as_prepared(api, act)).await,
            Err(problem) => Err(problem),
        };
        answer.follow_up = Some(FollowUpView {
            request_id: preservation.to_string(),
            event_id: done.as_ref().ok().map(|done| done.event_id.clone()),
            code: done.err().map(|problem| problem.code),
        });
    }
    Ok(answer)
}

/// What officers have before them stays as it is: the date in it is that of the first try.
fn as_prepared(api: &Api, act: Act) -> Act {
    let row = prepared_as(&api.handle.view().desk, &act.command_id).filter(|row| row.event_id.is_empty());
    let body = row.and_then(|row| proto::Body::decode(&row.body[..]).ok());
    Act { body: body.unwrap_or_else(|| act.body.clone()), ..act }
}

/// The fact by which a request names the preservation it follows up.
const PRESERVATION: &str = "linked.preservation";

fn follow_up(api: &Api, request: RequestId, command: [u8; 16], fields: &Map<String, Value>) -> Result<Act, Problem> {
    let digest = sha256(&[b"comity follow-up command v1\0", &command]);
    let step = NewStep {
        command_id: None,
        step: "follow-up".to_owned(),
        authority: "central".to_owned(),
        lane: LaneName::Normal,
        fields: fields.clone(),
    };
    let command = *digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
    let procedure = parse("procedure", "PRES")?;
    step.act(request, procedure, Some(command), &api.handle.view().rules)
}

/// What the step says: the request, its reference, and today's date.
fn follow_up_fields(request: &str, opening: &Map<String, Value>) -> Map<String, Value> {
    let today: String = rfc3339(now()).chars().take("0000-00-00".len()).collect();
    let none = json!({ "lang": "zxx", "text": request });
    let reference = opening.get("reference.case").cloned().unwrap_or(none);
    let fields = json!({
        "follow-up.sent": today, "follow-up.reference": reference, "follow-up.request": request,
        "follow-up.elsewhere": false,
    });
    if let Value::Object(fields) = fields { fields } else { Map::new() }
}

fn is_meant(view: &View, index: LedgerIndex, wanted: &Act) -> Result<(), Problem> {
    let Some(opened) = view.open(index)? else { return Ok(()) };
    let header = &opened.header;
    let opens = !wanted.recipients.is_empty();
    let same = header.request == wanted.request
        && header.procedure == wanted.procedure
        && header.step == wanted.step
        && (!opens || header.recipients.iter().eq(&wanted.recipients))
        && opened.body.is_none_or(|body| body.fields == wanted.body.fields);
    if same { Ok(()) } else { Err(ApiFault::CommandReused.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comity_core::rules::SHIPPED;

    const REQUEST: &str = "000102030405060708090a0b0c0d0e0f";

    fn step(body: Value, key: Option<[u8; 16]>) -> Result<[u8; 16], &'static str> {
        let rules = Rules::parse(SHIPPED).expect("the shipped rules read");
        let step: NewStep = serde_json::from_value(body).expect("shape");
        let procedure = ProcedureCode::parse("PRES").expect("code");
        let act = step.act(REQUEST.parse().expect("id"), procedure, key, &rules);
        act.map(|act| act.command_id).map_err(|problem| problem.code)
    }

    #[test]
    fn a_step_needs_one_id() {
        let note = |command_id: Option<&str>, message: &str| {
            let text = json!({ "lang": "en", "text": message });
            json!({ "command_id": command_id, "step": "note", "authority": "central", "fields": { "message": text } })
        };
        let id = [7; 16];
        let text = "07070707070707070707070707070707";
        assert_eq!(step(note(Some(text), "x"), None), Ok(id));
        assert_eq!(step(note(None, "x"), Some(id)), Ok(id));
        assert_eq!(step(note(Some(text), "x"), Some(id)), Ok(id));
        assert_eq!(step(note(Some(REQUEST), "x"), Some(id)), Err("api.two-command-ids"));
        assert_eq!(step(note(None, "x"), None), Err("api.no-command-id"));
        assert_eq!(step(note(Some("07"), "x"), None), Err("api.bad-parameter"));
        assert_eq!(step(note(Some(text), ""), None), Err("form.incomplete"));
    }

    #[test]
    fn unknown_members_and_lanes_do_not_read() {
        let check = |body: Value, good: bool| {
            assert_eq!(serde_json::from_value::<NewRequest>(body.clone()).is_ok(), good, "{body}");
        };
        let request = json!({
            "request_id": REQUEST, "procedure": "PRES", "recipients": ["XB"], "authority": "central", "fields": {},
        });
        let with = |key: &str, value: Value| {
            let mut request = request.clone();
            request[key] = value;
            request
        };
        check(request.clone(), true);
        check(with("lane", json!("emergency")), true);
        check(with("lane", json!("slow")), false);
        check(with("colour", json!("red")), false);
        check(with("recipients", json!("XB")), false);
        check(with("fields", json!([])), false);
    }
}
