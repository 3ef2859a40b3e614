//! Letting requests go and holding them back: what is kept how long, what may go, what is gone.

use serde_json::{Value, json};

use super::whole_id;
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    show::{list, local, number, or_dash, pairs, table, text},
};

/// The code under which a node says that a request is erased.
const ERASED: &str = "request.erased";

pub(super) async fn retention(client: &Client, context: &Context) -> Done {
    let found = client.get("/v1/retention").await?;
    context.out.either(&found, |found| {
        format!("{}\n\n{}\n\n{}\n\n{}", rules(found), over(found), grounds(found), reasons(found))
    });
    Ok(Verdict::Fine)
}

fn rules(found: &Value) -> String {
    let row = |rule: &Value| {
        let kept = format!("{} {}s after its end", number(rule, "/duration"), text(rule, "/unit"));
        [text(rule, "/procedure").to_owned(), kept, text(rule, "/mark").to_owned()]
    };
    table(["PROCEDURE", "KEPT", "MARK"], &list(found, "/rules").iter().map(row).collect::<Vec<_>>())
}

fn over(found: &Value) -> String {
    let row = |over: &Value| {
        [
            text(over, "/request_id").to_owned(),
            text(over, "/procedure").to_owned(),
            local(text(over, "/ended")),
            local(text(over, "/since")),
            or_dash(text(over, "/hold/reason")).to_owned(),
        ]
    };
    let rows: Vec<_> = list(found, "/over").iter().map(row).collect();
    if rows.is_empty() {
        return "No request's time is over.".to_owned();
    }
    let more = if found["more"] == true { "\nThere are more." } else { "" };
    format!("{}{more}", table(["NEED NOT BE KEPT", "PROCEDURE", "ENDED", "SINCE", "HELD"], &rows))
}

fn grounds(found: &Value) -> String {
    let row = |ground: &Value| {
        let waits = if ground["early"] == true { "no" } else { "yes" };
        [text(ground, "/code").to_owned(), waits.to_owned(), text(ground, "/title").to_owned()]
    };
    table(["GROUND", "WAITS", "MEANS"], &list(found, "/grounds").iter().map(row).collect::<Vec<_>>())
}

fn reasons(found: &Value) -> String {
    let row = |reason: &Value| [text(reason, "/code").to_owned(), text(reason, "/title").to_owned()];
    table(["HOLD", "MEANS"], &list(found, "/hold_reasons").iter().map(row).collect::<Vec<_>>())
}

pub(super) async fn erase(id: &str, ground: &str, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    let erased = client.post(&format!("/v1/requests/{id}/erasure"), &json!({ "ground": ground })).await?;
    context.out.either(&erased, gone);
    Ok(Verdict::Fine)
}

/// What is said of a request that is erased: all there is.
fn gone(erased: &Value) -> String {
    let index = |place| erased.pointer(place).and_then(Value::as_u64).map(|index| format!(", record {index}"));
    pairs(&[
        ("Request", text(erased, "/request_id").to_owned()),
        ("State", text(erased, "/state").to_owned()),
        ("Ground", text(erased, "/ground").to_owned()),
        ("Begun", format!("{}{}", local(text(erased, "/begun")), index("/begun_index").unwrap_or_default())),
        ("Erased", format!("{}{}", local(text(erased, "/erased")), index("/erased_index").unwrap_or_default())),
    ])
}

/// A request as it is shown; of one that is erased, that it is.
pub(super) async fn whole_or_gone(id: &str, client: &Client, context: &Context) -> Result<Option<Value>, CliFault> {
    match client.get(&format!("/v1/requests/{id}")).await {
        Err(CliFault::Problem(problem)) if problem.is(ERASED) => {
            let erased = client.get(&format!("/v1/requests/{id}/erasure")).await?;
            context.out.either(&erased, gone);
            Ok(None)
        }
        found => found.map(Some),
    }
}

pub(super) async fn hold(id: &str, reason: &str, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    let held = client.put_anew(&format!("/v1/requests/{id}/hold"), &json!({ "reason": reason })).await?;
    context.out.either(&held, |held| format!("held ({}) since {}", text(held, "/reason"), local(text(held, "/since"))));
    Ok(Verdict::Fine)
}

pub(super) async fn release(id: &str, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    client.delete(&format!("/v1/requests/{id}/hold")).await?;
    let released = json!({ "schema": "comity/released/v1", "request_id": id });
    context.out.either(&released, |_| "released: rules and grounds count again".to_owned());
    Ok(Verdict::Fine)
}
