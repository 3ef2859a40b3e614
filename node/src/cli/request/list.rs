//! Requests as lists: all of them, and those that wait for somebody.

use serde_json::{Value, json};

use super::{drafts, items};
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    show::{joined, local, or_dash, short, table, text},
};

/// Pages asked for before a list is taken to be without end: a million requests.
const PAGES_MAX: usize = 10_000;

pub(super) async fn list(state: Option<&str>, procedure: Option<&str>, client: &Client, context: &Context) -> Done {
    let filter = [("state", state), ("procedure", procedure)];
    let filter = filter.iter().filter_map(|(key, value)| value.map(|value| format!("{key}={value}")));
    let path = format!("/v1/requests?{}", filter.collect::<Vec<_>>().join("&"));
    let requests = all(path.trim_end_matches('?'), "/requests", client).await?;
    let drafts = if state.is_none() && procedure.is_none() { drafts(client).await? } else { Vec::new() };
    let answer = json!({ "schema": "comity/requests/v1", "requests": requests, "drafts": drafts });
    context.out.either(&answer, |_| {
        let rows: Vec<_> = drafts.iter().map(draft_row).chain(requests.iter().map(row)).collect();
        table(["REQUEST", "KIND", "WITH", "STATE", "TURN", "DUE"], &rows)
    });
    Ok(Verdict::Fine)
}

pub(super) async fn inbox(due: bool, client: &Client, context: &Context) -> Done {
    let path = if due { "/v1/inbox?due=true" } else { "/v1/inbox" };
    let rows = all(path, "/requests", client).await?;
    let answer = json!({ "schema": "comity/inbox/v1", "requests": rows });
    context.out.either(&answer, |_| match rows.as_slice() {
        [] => "nothing waits for this Party".to_owned(),
        rows => {
            let rows: Vec<_> = rows.iter().map(row).collect();
            table(["REQUEST", "KIND", "WITH", "STATE", "TURN", "DUE"], &rows)
        }
    });
    Ok(Verdict::Fine)
}

/// All pages of a list.
pub(super) async fn all(path: &str, pointer: &str, client: &Client) -> Result<Vec<Value>, CliFault> {
    let mut rows = Vec::new();
    let mut page = client.get(path).await?;
    for _ in 0..PAGES_MAX {
        rows.extend_from_slice(items(&page, pointer));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        let join = if path.contains('?') { '&' } else { '?' };
        page = client.get(&format!("{path}{join}cursor={cursor}")).await?;
    }
    Ok(rows)
}

fn row(request: &Value) -> [String; 6] {
    let turn = match (text(request, "/turn"), text(request, "/our_side")) {
        ("", _) => "-",
        (turn, ours) if turn == ours => "ours",
        _ => "theirs",
    };
    [
        short(text(request, "/request_id")).to_owned(),
        text(request, "/procedure").to_owned(),
        joined(request, "/members"),
        text(request, "/state").to_owned(),
        turn.to_owned(),
        or_dash(&local(text(request, "/due"))).to_owned(),
    ]
}

fn draft_row(draft: &Value) -> [String; 6] {
    [
        short(text(draft, "/request_id")).to_owned(),
        text(draft, "/procedure").to_owned(),
        joined(draft, "/recipients"),
        "draft".to_owned(),
        "ours".to_owned(),
        "-".to_owned(),
    ]
}
