//! The case on one page: what was asked, answered, handed over and taken, as one node has it. A page that
//! needs nothing besides itself: no script, no picture, nothing fetched.

use std::{fs, path::Path};

use serde_json::Value;

use super::{Node, Played};
use crate::{
    cli::{
        fault::CliFault,
        found::{self, disk},
        request::plain,
        show::{bytes, joined, list, local, number, short, text},
    },
    time,
};

/// Items shown one by one; the manifest has all.
const ITEMS_SHOWN: usize = 200;

/// Writes the page about some requests, as a node has them.
pub(super) async fn write(node: &Node, played: &[&Played], path: &Path) -> Result<(), CliFault> {
    let mut body = String::new();
    for request in played {
        let thread = node.client.get(&format!("/v1/requests/{}", request.id)).await?;
        let evidence = node.client.get(&format!("/v1/requests/{}/evidence", request.id)).await?;
        body.push_str(&request_section(&thread));
        for row in list(&evidence, "/manifests") {
            let manifest = node.client.get(&format!("/v1/manifests/{}", text(row, "/manifest"))).await?;
            body.push_str(&manifest_section(&manifest));
        }
        for delivery in list(&evidence, "/deliveries") {
            body.push_str(&delivery_section(delivery));
        }
    }
    let ledger = node.client.get("/v1/ledger").await?;
    let head = format!(
        "<h1>Case report</h1><p>As the node of {} ({}) has it at {}. The newest signed checkpoint of \
         its ledger covers {} records under root <code>{}</code>. This is an exercise and has no legal effect.</p>",
        escape(node.name),
        node.code,
        local(&time::rfc3339(time::now())),
        number(&ledger, "/signed"),
        escape(text(&ledger, "/checkpoint").lines().nth(ROOT_LINE).unwrap_or("none"))
    );
    // The page of an earlier run is overtaken.
    if path.exists() {
        fs::remove_file(path).map_err(disk("remove", path))?;
    }
    found::write(path, page(&head, &body).as_bytes())
}

/// In a checkpoint: after its origin and size (C2SP tlog-checkpoint).
const ROOT_LINE: usize = 2;

fn page(head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Case report</title><style>{STYLE}</style></head><body><main>{head}{body}</main></body></html>\n"
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;margin:0;padding:2rem}\
main{max-width:64rem;margin:auto}\
h1,h2,h3{line-height:1.2}h2{margin-top:2.5rem;border-top:1px solid;padding-top:1rem}\
table{border-collapse:collapse;width:100%;margin:1rem 0;display:block;overflow-x:auto}\
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884}\
th{font-weight:600;white-space:nowrap}code{font-size:.85em;overflow-wrap:anywhere}";

fn request_section(thread: &Value) -> String {
    let event = |event: &Value| {
        let receipt = list(event, "/receipts").first().cloned().unwrap_or(Value::Null);
        let held = match text(&receipt, "/delivery") {
            "receipted" => format!("{} at index {}", text(&receipt, "/party"), number(&receipt, "/peer_index")),
            _ => format!("from index {} of its ledger", number(event, "/peer_index")),
        };
        row(&[
            local(text(event, "/time")),
            format!("{} ({})", text(event, "/author"), text(event, "/authority")),
            text(event, "/step").to_owned(),
            format!("index {}; {held}", number(event, "/index")),
            text(event, "/event_id").to_owned(),
        ])
    };
    let first = list(thread, "/events").first().cloned().unwrap_or(Value::Null);
    let field = |key: &str, label: &str| {
        let value = &first["fields"][key];
        if value.is_null() {
            String::new()
        } else {
            format!("<tr><th scope=\"row\">{label}</th><td>{}</td></tr>", escape(&plain(value)))
        }
    };
    format!(
        "<section><h2>{} between {}</h2><p>Request <code>{}</code>: {}</p><table>{}{}{}{}{}</table>\
         <h3>What was signed</h3><table><thead>{}</thead><tbody>{}</tbody></table></section>",
        escape(text(thread, "/procedure")),
        escape(&joined(thread, "/members")),
        escape(text(thread, "/request_id")),
        escape(text(thread, "/standing/state")),
        field("reference.case", "Reference"),
        field("reference.instrument", "Instrument"),
        field("offence.codes", "Offences"),
        field("offence.facts", "Facts"),
        field("data.description", "Data"),
        header(&["Signed", "By", "Step", "Stands at", "Event"]),
        list(thread, "/events").iter().map(event).collect::<String>()
    )
}

fn manifest_section(manifest: &Value) -> String {
    let record = manifest["record"].as_object().cloned().unwrap_or_default();
    let record = record.iter().map(|(key, value)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(key), escape(&plain(value)))
    });
    let item = |(place, item): (usize, &Value)| {
        row(&[
            (place + 1).to_string(),
            text(item, "/path").to_owned(),
            bytes(number(item, "/size")),
            text(item, "/media_type").to_owned(),
            text(item, "/sha256").to_owned(),
        ])
    };
    let items = list(manifest, "/list");
    let more = match items.len().saturating_sub(ITEMS_SHOWN) {
        0 => String::new(),
        more => format!("<p>And {more} more, in the manifest.</p>"),
    };
    let beside = list(manifest, "/beside").iter().map(|entry| {
        row(&[text(entry, "/path").to_owned(), text(entry, "/kind").to_owned(), text(entry, "/target").to_owned()])
    });
    let beside: String = beside.collect();
    let beside = if beside.is_empty() {
        beside
    } else {
        let head = header(&["Path", "What it is", "Target"]);
        format!("<h3>Found, not under seal</h3><table><thead>{head}</thead><tbody>{beside}</tbody></table>")
    };
    format!(
        "<section><h2>Evidence under seal by {}</h2><p>{} items, {}. Manifest <code>{}</code></p>\
         <table>{}</table><h3>Items</h3><table><thead>{}</thead><tbody>{}</tbody></table>{more}{beside}</section>",
        escape(text(manifest, "/giver")),
        number(manifest, "/items"),
        bytes(number(manifest, "/bytes")),
        escape(text(manifest, "/digest")),
        record.collect::<String>(),
        header(&["No", "Path", "Size", "Type", "SHA-256"]),
        items.iter().take(ITEMS_SHOWN).enumerate().map(item).collect::<String>()
    )
}

fn delivery_section(delivery: &Value) -> String {
    format!(
        "<section><h3>Hand-over {} from {} to {}</h3><p>{}; terms {}; signed by {} in event <code>{}</code>{}</p></section>",
        escape(short(text(delivery, "/event_id"))),
        escape(text(delivery, "/giver")),
        escape(text(delivery, "/taker")),
        escape(&text(delivery, "/state").replace('_', " ")),
        escape(&joined(delivery, "/terms")),
        escape(text(delivery, "/giver")),
        escape(text(delivery, "/event_id")),
        match text(delivery, "/by_event") {
            "" => String::new(),
            by => format!(", by {} in event <code>{}</code>", escape(text(delivery, "/taker")), escape(by)),
        }
    )
}

fn header(names: &[&str]) -> String {
    let cells: String = names.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    format!("<tr>{cells}</tr>")
}

/// A row of a table; ids and digests are set as code.
fn row(cells: &[String]) -> String {
    let is_digest = |cell: &str| cell.len() == 64 && cell.bytes().all(|byte| byte.is_ascii_hexdigit());
    let cell = |cell: &String| match is_digest(cell) {
        true => format!("<td><code>{cell}</code></td>"),
        false => format!("<td><bdi>{}</bdi></td>", escape(cell)),
    };
    format!("<tr>{}</tr>", cells.iter().map(cell).collect::<String>())
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, one| {
        match one {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_a_case_becomes_markup() {
        let item = json!({ "path": "<script>\"&'", "size": 1, "sha256": "0".repeat(64) });
        let manifest = json!({ "giver": "XB", "list": [item], "record": { "owner": { "lang": "en", "text": "<b>" } } });
        let page = page("", &manifest_section(&manifest));
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;script&gt;&quot;&amp;&#39;") && page.contains("&lt;b&gt;"));
    }
}
