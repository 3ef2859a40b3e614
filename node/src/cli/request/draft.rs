//! Drafts: begun, changed, thrown away, sent. They lie on the node's desk; nobody else sees them.

use serde_json::{Value, json};

use super::{Contents, New, form, fresh_id, signed, whole_id};
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    fields::Fields,
    show::{list, short, text},
};

/// Every request begins with this step of its procedure.
const FIRST_STEP: &str = "request";
/// So much of what is wrong with a draft is named; the rest is counted.
const NAMED_MAX: usize = 6;

pub(super) async fn new(new: &New, client: &Client, context: &Context) -> Done {
    let form = form(&new.procedure, FIRST_STEP, &new.contents.lang, client).await?;
    let mut fields = Fields::new();
    new.contents.put_into(&mut fields, &form)?;
    let id = new.id.clone().unwrap_or_else(fresh_id);
    let draft = json!({
        "request_id": id, "procedure": new.procedure, "recipients": new.to,
        "authority": new.sender.authority, "lane": new.sender.lane, "fields": fields,
    });
    let kept = client.put(&path(&id), &draft, None).await?;
    if new.send { send_now(&id, client, context).await } else { say_kept(&kept, context) }
}

pub(super) async fn edit(id: &str, contents: &Contents, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    let mut draft = client.get(&path(&id)).await?;
    let form = form(text(&draft, "/procedure"), FIRST_STEP, &contents.lang, client).await?;
    let mut fields = draft["fields"].as_object().cloned().unwrap_or_default();
    contents.put_into(&mut fields, &form)?;
    draft["fields"] = Value::Object(fields);
    // What the node says about a draft is not part of it.
    const PARTS: [&str; 7] = ["request_id", "command_id", "procedure", "recipients", "authority", "lane", "fields"];
    let body: Fields = PARTS.iter().filter_map(|&key| Some((key.to_owned(), draft.get(key)?.clone()))).collect();
    let kept = client.put(&path(&id), &Value::Object(body), Some(text(&draft, "/etag"))).await?;
    say_kept(&kept, context)
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
    send_now(&id, client, context).await
}

async fn send_now(id: &str, client: &Client, context: &Context) -> Done {
    let done = client.post_empty(&format!("{}/send", path(id))).await?;
    context.out.either(&done, |done| format!("{}\nrequest {id}", signed(FIRST_STEP, done)));
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
        format!("draft {id}: {filled} fields filled in\n{}", lacking(list(draft, "/errors"), id))
    });
    Ok(Verdict::Fine)
}

fn lacking(errors: &[Value], id: &str) -> String {
    let id = short(id);
    if errors.is_empty() {
        return format!("complete; to sign and send it: comity request send {id}");
    }
    let line =
        |error: &Value| format!("\n  {}: {}: {}", text(error, "/code"), text(error, "/field"), text(error, "/detail"));
    let more = errors.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
    let lines: String = errors.iter().take(NAMED_MAX).map(line).collect();
    format!("not complete:{lines}{more}\nto go on: comity request edit {id} --set KEY=VALUE")
}
