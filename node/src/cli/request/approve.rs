//! Looking at what waits for officers, approving it with a key of one's own, and withdrawing it.
//!
//! What is shown and what is signed is made here from the exact bytes that would leave, not from what the node says of
//! them. The key never meets the node.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use comity_core::{
    ids::{AuthorityId, Malformed, NetworkName, OfficerId, PartyCode, ProcedureCode, RequestId, StepCode},
    officer::{Approval, Kind, Matter, SALT_BYTES, body_digest},
    procedure::Side,
    proto::{self, value},
    rules::Code,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{ID_DIGITS_MIN, signed};
use crate::{
    cli::{
        Context, Done, Verdict,
        client::Client,
        fault::CliFault,
        show::{joined, list, local, or_dash, pairs, short, table, text},
    },
    keys::{OfficerKey, Passphrase, Purpose},
    time,
};

/// What an approval needs.
#[derive(clap::Args)]
pub(crate) struct Approve {
    /// The request.
    id: String,
    /// Who approves, as the roll names the post.
    #[arg(long, value_name = "ID")]
    officer: String,
    /// The folder of that officer's own key.
    #[arg(long, value_name = "FOLDER")]
    key: PathBuf,
    /// Which of several acts that wait in the request, by its command.
    #[arg(long, value_name = "ID")]
    command_id: Option<String>,
    /// In an emergency: send it out alone, for this reason of the rules, for example life-or-safety. A second officer must
    /// approve later.
    #[arg(long, value_name = "CODE")]
    break_glass: Option<String>,
    /// Only bring the approval; do not have the act done once enough have approved.
    #[arg(long)]
    only: bool,
    /// Read the passphrase of the key from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// What withdrawing an act needs.
#[derive(clap::Args)]
pub(crate) struct WithdrawAct {
    /// The request.
    id: String,
    /// Why, in words. It stays at this node.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Which of several acts that wait in the request, by its command.
    #[arg(long, value_name = "ID")]
    command_id: Option<String>,
}

/// `comity request approvals`.
pub(super) async fn list_all(withdrawn: bool, client: &Client, context: &Context) -> Done {
    let found = client.get("/v1/approvals").await?;
    context.out.either(&found, |found| {
        if withdrawn {
            return list_withdrawn(list(found, "/withdrawn"));
        }
        let rows: Vec<_> = list(found, "/waiting").iter().map(row).collect();
        if rows.is_empty() {
            return "Nothing waits for officers.".to_owned();
        }
        table(["REQUEST", "STEP", "TO", "APPROVED BY", "WAITS FOR", "DUE", "COMMAND"], &rows)
    });
    Ok(Verdict::Fine)
}

fn list_withdrawn(found: &[Value]) -> String {
    let row = |row: &Value| {
        [
            short(text(row, "/request_id")).to_owned(),
            format!("{}/{}", text(row, "/procedure"), text(row, "/step")),
            or_dash(&joined(row, "/recipients")).to_owned(),
            local(text(row, "/withdrawn")),
            text(row, "/reason").to_owned(),
            text(row, "/command_id").to_owned(),
        ]
    };
    if found.is_empty() {
        return "Nothing was withdrawn.".to_owned();
    }
    table(["REQUEST", "STEP", "TO", "WITHDRAWN", "REASON", "COMMAND"], &found.iter().map(row).collect::<Vec<_>>())
}

/// `comity request withdraw-act`.
pub(super) async fn withdraw_act(args: &WithdrawAct, client: &Client, context: &Context) -> Done {
    let found = client.get("/v1/approvals").await?;
    let command = which(&args.id, args.command_id.as_deref(), &found)?;
    let body = json!({ "reason": args.reason });
    let done = client.post(&format!("/v1/approvals/{command}/withdraw"), &body).await?;
    context.out.either(&done, |done| {
        let step = format!("{}/{}", text(done, "/procedure"), text(done, "/step"));
        format!("{step} withdrawn {}: nothing leaves under that command any more", local(text(done, "/withdrawn")))
    });
    Ok(Verdict::Fine)
}

fn row(waiting: &Value) -> [String; 7] {
    let by = |row: &Value| format!("{} ({})", text(row, "/officer"), text(row, "/kind"));
    let by: Vec<_> = list(waiting, "/approvals").iter().map(by).collect();
    let waits = match (waiting["event_id"].is_string(), waiting["ready"] == true) {
        (true, _) => "a later approval",
        (false, true) => "nothing: to be sent",
        (false, false) => "another approval",
    };
    [
        short(text(waiting, "/request_id")).to_owned(),
        format!("{}/{}", text(waiting, "/procedure"), text(waiting, "/step")),
        or_dash(&joined(waiting, "/recipients")).to_owned(),
        or_dash(&by.join(", ")).to_owned(),
        waits.to_owned(),
        or_dash(&local(text(waiting, "/due"))).to_owned(),
        text(waiting, "/command_id").to_owned(),
    ]
}

/// `comity request approve`.
pub(super) async fn approve(args: &Approve, client: &Client, context: &Context) -> Done {
    let found = client.get("/v1/approvals").await?;
    let command = which(&args.id, args.command_id.as_deref(), &found)?;
    let waiting = client.get(&format!("/v1/approvals/{command}")).await?;
    let (matter, salt) = matter(&waiting)?;
    let officer = OfficerId::parse(&args.officer).map_err(|why| bad("--officer", &why.to_string()))?;
    let reason =
        args.break_glass.as_deref().map(|code| Code::parse(code).ok_or_else(|| bad("--break-glass", "no code")));
    let reason = reason.transpose()?;
    let kind = match (waiting["event_id"].is_string(), &reason, list(&waiting, "/approvals").is_empty()) {
        (true, _, _) => Kind::Later,
        (false, Some(_), _) => Kind::BreakGlass,
        (false, None, true) => Kind::First,
        (false, None, false) => Kind::Second,
    };
    let mut approval = Approval::of(&matter, salt, officer, kind, time::now());
    approval.reason = reason.filter(|_| kind == Kind::BreakGlass);
    // Before the passphrase is asked for: it is the consent to what stands here.
    let shown = shown(&matter, &approval)?;
    if context.out.json {
        context.out.say(&shown)
    } else {
        context.out.line(&shown)
    }
    let passphrase = Passphrase::obtain(args.passphrase_file.as_deref(), Purpose::Open)?;
    let wire = OfficerKey::open(&args.key, &passphrase)?.sign(approval).to_wire();
    let body = json!({ "approval": STANDARD.encode(wire.approval), "signature": STANDARD.encode(wire.signature) });
    let taken = client.post("/v1/approvals", &body).await?;
    let of = |taken: &Value| format!("approved by {} ({})", args.officer, kind.as_str()) + &left(taken, args.only);
    if taken["ready"] != true || args.only {
        context.out.either(&taken, of);
        return Ok(Verdict::Fine);
    }
    let done = client.post_empty(&format!("/v1/approvals/{command}/act")).await?;
    context.out.either(&done, |done| {
        let done = if done["event_id"].is_string() {
            signed(matter.step.as_str(), done)
        } else {
            format!("request {} erased", short(text(done, "/request_id")))
        };
        format!("{}\n{done}", of(&taken))
    });
    Ok(Verdict::Fine)
}

/// What is still to be done.
fn left(taken: &Value, only: bool) -> String {
    match (taken["event_id"].is_string(), taken["ready"] == true) {
        (true, _) => "; nothing is owed any more".to_owned(),
        (false, true) if only => "; enough have approved, and it is not sent yet".to_owned(),
        (false, true) => String::new(),
        (false, false) => "; another officer must approve".to_owned(),
    }
}

/// The one act that is meant: of those that wait, or else of those that were withdrawn, of which the node says so.
fn which(id: &str, command: Option<&str>, found: &Value) -> Result<String, CliFault> {
    let among = |rows| {
        let fitting = list(found, rows).iter().filter(|row| fits(id, command, row));
        fitting.map(|row| text(row, "/command_id")).collect::<Vec<_>>()
    };
    let waiting = among("/waiting");
    let found = if waiting.is_empty() { among("/withdrawn") } else { waiting };
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(bad(id, "no act of such a request waits for officers; see: comity request approvals")),
        _ => Err(bad(id, "several acts of it wait; name one with --command-id")),
    }
}

fn fits(id: &str, command: Option<&str>, row: &Value) -> bool {
    let wanted = command.is_none_or(|id| text(row, "/command_id").starts_with(id));
    wanted && id.len() >= ID_DIGITS_MIN && text(row, "/request_id").starts_with(id)
}

fn bad(what: &str, why: &str) -> CliFault {
    CliFault::BadArgument { what: what.to_owned(), why: why.to_owned() }
}

/// What would leave, out of the bytes themselves; that its digest is theirs is seen here.
fn matter(waiting: &Value) -> Result<(Matter, [u8; SALT_BYTES]), CliFault> {
    let unread = |why: &str| CliFault::BadAnswer(format!("what waits does not read: {why}"));
    let named = |why: Malformed| unread(&why.to_string());
    let body = waiting["body"].as_str().ok_or_else(|| unread("its contents are not here, or erased"))?;
    let body = STANDARD.decode(body).map_err(|why| unread(&why.to_string()))?;
    let salt = comity_core::ids::unhex(text(waiting, "/salt"), "salt").map_err(named)?;
    let salt: [u8; SALT_BYTES] = salt.try_into().map_err(|_| unread("its salt has not 32 bytes"))?;
    if body_digest(&salt, &body).to_string() != text(waiting, "/digest") {
        return Err(unread("its digest is not that of its contents"));
    }
    let command: RequestId = text(waiting, "/command_id").parse().map_err(named)?;
    let recipients = list(waiting, "/recipients").iter().filter_map(Value::as_str).map(PartyCode::parse);
    let matter = Matter {
        network: NetworkName::parse(text(waiting, "/network")).map_err(named)?,
        party: PartyCode::parse(text(waiting, "/party")).map_err(named)?,
        command_id: *command.as_bytes(),
        request: text(waiting, "/request_id").parse().map_err(named)?,
        authority: AuthorityId::parse(text(waiting, "/authority")).map_err(named)?,
        procedure: ProcedureCode::parse(text(waiting, "/procedure")).map_err(named)?,
        step: StepCode::parse(text(waiting, "/step")).map_err(named)?,
        recipients: recipients.collect::<Result<_, _>>().map_err(named)?,
        body,
        side: if text(waiting, "/side") == "requesting" { Side::Requesting } else { Side::Requested },
        emergency: waiting["emergency"] == true,
    };
    Ok((matter, salt))
}

/// All that will be signed, and all that would leave.
fn shown(matter: &Matter, approval: &Approval) -> Result<String, CliFault> {
    let body = proto::Body::decode(&matter.body[..]).map_err(|why| CliFault::BadAnswer(why.to_string()))?;
    let to: Vec<_> = matter.recipients.iter().map(ToString::to_string).collect();
    let head = pairs(&[
        ("You sign", format!("as {}, {}", approval.officer, approval.kind.as_str())),
        ("Reason", or_dash(approval.reason.as_ref().map_or("", Code::as_str)).to_owned()),
        ("Party", format!("{} in {}", matter.party, matter.network)),
        ("Authority", matter.authority.to_string()),
        ("Request", matter.request.to_string()),
        ("Act", format!("{}/{}", matter.procedure, matter.step)),
        ("To", or_dash(&to.join(", ")).to_owned()),
        ("Emergency", if matter.emergency { "yes" } else { "no" }.to_owned()),
        ("Digest", approval.digest.to_string()),
    ]);
    let rows = body.fields.iter().map(|field| {
        let values: Vec<_> = field.values.iter().map(value_text).collect();
        [field.key.clone(), values.join(" | ")]
    });
    Ok(format!("{head}\n\n{}", table(["FIELD", "CONTENTS"], &rows.collect::<Vec<_>>())))
}

fn value_text(value: &proto::Value) -> String {
    match &value.kind {
        Some(value::Kind::Text(text)) => format!("{} ({})", text.text, text.lang),
        Some(value::Kind::Code(text) | value::Kind::Date(text)) => text.clone(),
        Some(value::Kind::Integer(number)) => number.to_string(),
        Some(value::Kind::Flag(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
        Some(value::Kind::TimeMs(ms)) => time::rfc3339(comity_core::ids::Time(*ms)),
        None => "-".to_owned(),
    }
}
