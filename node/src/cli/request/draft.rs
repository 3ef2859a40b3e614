//! Drafts: begun, changed, thrown away, sent. They lie on the node's desk; nobody else sees them.

use serde_json::{Value, json};

use super::{Contents, New, fresh_id, guide::Guide, signed, thread::noted, whole_id};
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    fields::{Fields, FormKinds},
    show::{list, short, text},
};

/// So much of what is wrong with a draft is named; the rest is counted.
const NAMED_MAX: usize = 6;

pub(super) async fn new(new: &New, client: &Client, context: &Context) -> Done {
    let step = match &new.step {
        Some(step) => step.clone(),
        None => usual_opening(&new.procedure, client).await?,
    };
    let form = client.get(&format!("/v1/forms/{}/{step}", new.procedure)).await?;
    let kinds = FormKinds::of(&form, &new.contents.lang);
    let mut fields = Fields::new();
    new.contents.put_into(&mut fields, &kinds)?;
    let id = new.id.clone().unwrap_or_else(fresh_id);
    let mut draft = json!({
        "request_id": id, "procedure": new.procedure, "recipients": new.to,
        "authority": new.sender.authority, "lane": new.sender.lane, "fields": fields,
    });
    if new.step.is_some() {
        draft["step"] = Value::from(step.as_str());
    }
    let mut kept = client.put(&path(&id), &draft, None).await?;
    if new.guide {
        let guide = Guide { client, context, form: &form, kinds: &kinds, path: path(&id) };
        kept = guide.walk(kept).await?;
    }
    if new.send { send_now(&kept, &step, client, context).await } else { say_kept(&kept, context) }
}

/// The step that opens a request of a procedure, unless another is named.
async fn usual_opening(procedure: &str, client: &Client) -> Result<String, CliFault> {
    let known = client.get("/v1/procedures").await?;
    let row = list(&known, "/procedures").iter().find(|row| text(row, "/code") == procedure).cloned();
    let opening = row.as_ref().and_then(|row| list(row, "/openings").first()).and_then(Value::as_str);
    let why = "there is no such procedure, or it is not offered yet; see: comity law procedures".to_owned();
    opening.map(str::to_owned).ok_or(CliFault::BadArgument { what: procedure.to_owned(), why })
}

pub(super) async fn edit(id: &str, contents: &Contents, guided: bool, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    let draft = client.get(&path(&id)).await?;
    let step = opening_of(&draft, client).await?;
    let form = client.get(&format!("/v1/forms/{}/{step}", text(&draft, "/procedure"))).await?;
    let kinds = FormKinds::of(&form, &contents.lang);
    let mut fields = draft["fields"].as_object().cloned().unwrap_or_default();
    contents.put_into(&mut fields, &kinds)?;
    let mut kept = put(&path(&id), &draft, Value::Object(fields), client).await?;
    if guided {
        kept = Guide { client, context, form: &form, kinds: &kinds, path: path(&id) }.walk(kept).await?;
    }
    say_kept(&kept, context)
}

/// The step a draft will open its request with.
async fn opening_of(draft: &Value, client: &Client) -> Result<String, CliFault> {
    match draft["step"].as_str() {
        Some(step) => Ok(step.to_owned()),
        None => usual_opening(text(draft, "/procedure"), client).await,
    }
}

/// Keeps a draft with other fields, unless somebody changed it meanwhile.
pub(super) async fn put(path: &str, draft: &Value, fields: Value, client: &Client) -> Result<Value, CliFault> {
    // What the node says about a draft is not part of it.
    const PARTS: [&str; 7] = ["request_id", "command_id", "procedure", "step", "recipients", "authority", "lane"];
    let own = PARTS.iter().filter_map(|&key| Some((key.to_owned(), draft.get(key)?.clone())));
    let body: Fields = own.chain([("fields".to_owned(), fields)]).collect();
    client.put(path, &Value::Object(body), Some(text(draft, "/etag"))).await
}

pub(super) async fn discard(id: &str, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    client.delete(&path(&id)).await?;
    let gone = json!({ "schema": "comity/discarded/v1", "request_id": id });
    context.out.either(&gone, |_| format!("draft {} discarded", short(&id)));
    Ok(Verdict::Fine)
}

pub(super) async fn send(id: &str, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    let draft = client.get(&path(&id)).await?;
    let step = opening_of(&draft, client).await?;
    send_now(&draft, &step, client, context).await
}

/// Signs and sends a draft; what speaks against it was worth saying, and stops nobody.
async fn send_now(draft: &Value, step: &str, client: &Client, context: &Context) -> Done {
    let id = text(draft, "/request_id");
    for warning in list(draft, "/warnings") {
        context.out.say(&format!("look after: {}", noted(warning)));
    }
    let done = client.post_empty(&format!("{}/send", path(id))).await?;
    context.out.either(&done, |done| format!("{}\nrequest {id}", signed(step, done)));
    Ok(Verdict::Fine)
}

fn path(id: &str) -> String {
    format!("/v1/drafts/{id}")
}

/// A draft is kept whatever it lacks; what it lacks is said at once.
fn say_kept(kept: &Value, context: &Context) -> Done {
    context.out.either(kept, |draft| {
        let id = text(draft, "/request_id");
        let filled = draft["fields"].as_object().map_or(0, Fields::len);
        let warnings: String =
            list(draft, "/warnings").iter().map(|one| format!("\n  look after: {}", noted(one))).collect();
        format!("draft {id}: {filled} fields filled in\n{}{warnings}", lacking(list(draft, "/errors"), id))
    });
    Ok(Verdict::Fine)
}

fn lacking(errors: &[Value], id: &str) -> String {
    let id = short(id);
    if errors.is_empty() {
        return format!("complete; to sign and send it: comity request send {id}");
    }
    let line = |error: &Value| format!("\n  {}", noted(error));
    let more = errors.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
    let lines: String = errors.iter().take(NAMED_MAX).map(line).collect();
    format!("not complete:{lines}{more}\nto go on: comity request edit {id} --set KEY=VALUE")
}
