//! One request on one screen: where it stands, what runs, what happened, who holds it.

use serde_json::Value;

use super::{erasure::whole_or_gone, whole_id};
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    show::{joined, list, local, number, or_dash, pairs, short, table, text},
};

pub(super) async fn show(id: &str, full: bool, client: &Client, context: &Context) -> Done {
    let id = whole_id(id, client).await?;
    let Some(thread) = whole_or_gone(&id, client, context).await? else { return Ok(Verdict::Fine) };
    context.out.either(&thread, |thread| {
        let contents = if full { contents(thread) } else { String::new() };
        format!("{}\n\n{}{contents}", standing(thread), events(thread))
    });
    Ok(Verdict::Fine)
}

fn standing(thread: &Value) -> String {
    let turn = match (text(thread, "/standing/turn"), text(thread, "/our_side")) {
        ("", _) => "nobody's".to_owned(),
        (turn, ours) if turn == ours => format!("ours ({turn} side)"),
        (turn, _) => format!("theirs ({turn} side)"),
    };
    let mut rows = vec![
        ("Request", text(thread, "/request_id").to_owned()),
        ("Procedure", format!("{} between {}", text(thread, "/procedure"), joined(thread, "/members"))),
        ("State", text(thread, "/standing/state").to_owned()),
        ("Turn", turn),
        ("Open to us", or_dash(&joined(thread, "/standing/next_steps")).to_owned()),
    ];
    rows.extend(list(thread, "/others").iter().filter_map(reached).map(|line| ("On duty", line)));
    rows.extend(list(thread, "/standing/clocks").iter().map(|clock| ("Clock", self::clock(clock))));
    rows.extend(list(thread, "/standing/warnings").iter().map(|warning| ("LOOK AFTER", noted(warning))));
    rows.extend(kept(thread).map(|line| ("Kept", line)));
    pairs(&rows)
}

/// What is to be looked after, or wrong, with its code.
pub(super) fn noted(one: &Value) -> String {
    format!("{}: {}: {}", text(one, "/code"), text(one, "/field"), text(one, "/detail"))
}

/// How long it is kept, once that can be said.
fn kept(thread: &Value) -> Option<String> {
    match (text(thread, "/kept/hold/reason"), text(thread, "/kept/until")) {
        ("", "") => None,
        ("", until) => Some(format!("until {}", local(until))),
        (reason, _) => Some(format!("held ({reason}) since {}", local(text(thread, "/kept/hold/since")))),
    }
}

/// Who is there at the other Party now; nothing if it publishes no hours.
fn reached(other: &Value) -> Option<String> {
    let offices = list(other, "/offices");
    let party = text(other, "/party");
    let there = offices.iter().find(|office| office["on_duty"] == true);
    let languages = joined(other, "/languages");
    match (there, offices.first()) {
        (Some(office), _) => {
            let (name, phone) = (text(office, "/office"), or_dash(text(office, "/phone")));
            Some(format!("{party}: {name}, {phone}, speaks {}; requests in {languages}", joined(office, "/languages")))
        }
        (None, Some(office)) => {
            let (name, hours, local) = (text(office, "/office"), text(office, "/hours"), text(office, "/local"));
            Some(format!("{party}: nobody now; it is {local} there, {name} is there {hours}"))
        }
        (None, None) => None,
    }
}

/// A running clock: its rule, whose it is, and when it is over.
pub(crate) fn clock(clock: &Value) -> String {
    format!(
        "{} ({} side): until {}, then {}",
        text(clock, "/rule"),
        text(clock, "/actor"),
        local(text(clock, "/due")),
        or_dash(text(clock, "/on_expiry"))
    )
}

fn events(thread: &Value) -> String {
    let row = |event: &Value| {
        let own = event["own"] == true;
        let mark = match (event["void"] == true, event["set_aside"].is_string()) {
            (true, _) => " (void)",
            (_, true) => " (set aside)",
            _ => "",
        };
        let marks = joined(event, "/marks");
        let mark = if marks.is_empty() { mark.to_owned() } else { format!("{mark} ({marks})") };
        [
            number(event, "/index").to_string(),
            short(text(event, "/event_id")).to_owned(),
            format!("{}{mark}", text(event, "/step")),
            format!("{} {}", text(event, "/author"), text(event, "/authority")),
            local(text(event, "/time")),
            if own { receipts(event) } else { "received".to_owned() },
        ]
    };
    let rows: Vec<_> = list(thread, "/events").iter().map(row).collect();
    table(["INDEX", "EVENT", "STEP", "BY", "SIGNED", "HELD BY"], &rows)
}

fn receipts(event: &Value) -> String {
    let one = |receipt: &Value| {
        let party = text(receipt, "/party");
        match text(receipt, "/delivery") {
            "receipted" => {
                let witnessed = if receipt["witnessed"] == true { ", witnessed" } else { "" };
                format!("{party} at {}{witnessed}", number(receipt, "/peer_index"))
            }
            "refused" => format!("{party} refused: {}", text(receipt, "/code")),
            other => format!("{party} {other}"),
        }
    };
    list(event, "/receipts").iter().map(one).collect::<Vec<_>>().join(", ")
}

fn contents(thread: &Value) -> String {
    let one = |event: &Value| {
        let fields = event["fields"].as_object().cloned().unwrap_or_default();
        let line = |(key, value): (&String, &Value)| format!("  {key}: {}", plain(value));
        let lines: Vec<String> = fields.iter().map(line).collect();
        format!("\n\n{} {}\n{}", short(text(event, "/event_id")), text(event, "/step"), lines.join("\n"))
    };
    list(thread, "/events").iter().map(one).collect()
}

/// A field's value without its wrapping.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join("; "),
        Value::Object(text) => text.get("text").map_or_else(|| value.to_string(), plain),
        other => other.to_string(),
    }
}
