//! Evidence on one screen: what is under seal, what was handed over, one manifest whole.

use serde_json::Value;

use super::{one_of, watch};
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    request::plain,
    show::{bytes, joined, list, local, number, or_dash, pairs, short, table, text},
};

pub(super) async fn list_all(id: &str, client: &Client, context: &Context) -> Done {
    let evidence = client.get(&format!("/v1/requests/{id}/evidence")).await?;
    context.out.either(&evidence, |evidence| {
        let manifest = |row: &Value| {
            [
                short(text(row, "/manifest")).to_owned(),
                text(row, "/giver").to_owned(),
                local(text(row, "/sealed")),
                number(row, "/items").to_string(),
                bytes(number(row, "/bytes")),
                text(row, "/digest").to_owned(),
            ]
        };
        let delivery = |row: &Value| {
            [
                short(text(row, "/event_id")).to_owned(),
                format!("{} to {}", text(row, "/giver"), text(row, "/taker")),
                short(text(row, "/manifest")).to_owned(),
                text(row, "/state").to_owned(),
                or_dash(&joined(row, "/terms")).to_owned(),
                if row["to_us"] == true { watch::line(row) } else { "-".to_owned() },
            ]
        };
        let manifests: Vec<_> = list(evidence, "/manifests").iter().map(manifest).collect();
        let deliveries: Vec<_> = list(evidence, "/deliveries").iter().map(delivery).collect();
        format!(
            "{}\n\n{}",
            table(["MANIFEST", "SEALED BY", "ON", "ITEMS", "SIZE", "SHA-256"], &manifests),
            table(["DELIVERY", "FROM", "MANIFEST", "STATE", "TERMS", "HERE"], &deliveries)
        )
    });
    Ok(Verdict::Fine)
}

pub(super) async fn manifest(id: &str, beginning: Option<&str>, client: &Client, context: &Context) -> Done {
    let evidence = client.get(&format!("/v1/requests/{id}/evidence")).await?;
    let rows: Vec<&Value> = list(&evidence, "/manifests").iter().collect();
    let row = one_of(&rows, "/manifest", beginning, "manifests of the request")?;
    let manifest = client.get(&format!("/v1/manifests/{}", text(row, "/manifest"))).await?;
    context.out.either(&manifest, whole);
    Ok(Verdict::Fine)
}

fn whole(manifest: &Value) -> String {
    let mut head = vec![
        ("Manifest", text(manifest, "/manifest").to_owned()),
        ("SHA-256", text(manifest, "/digest").to_owned()),
        (
            "Sealed",
            format!(
                "{} by {} ({})",
                local(text(manifest, "/sealed")),
                text(manifest, "/giver"),
                text(manifest, "/authority")
            ),
        ),
        ("Items", format!("{}, {}", number(manifest, "/items"), bytes(number(manifest, "/bytes")))),
        ("Statements", or_dash(&joined(manifest, "/statements")).to_owned()),
    ];
    let record = manifest["record"].as_object().cloned().unwrap_or_default();
    head.extend(record.iter().map(|(key, value)| (key.as_str(), plain(value))));
    let item = |item: &Value| {
        [
            short(text(item, "/item_id")).to_owned(),
            number(item, "/size").to_string(),
            text(item, "/sha256").to_owned(),
            format!(
                "{}{}",
                text(item, "/path"),
                if item["changed"] == true { " (changed while it was read)" } else { "" }
            ),
        ]
    };
    let items: Vec<_> = list(manifest, "/list").iter().map(item).collect();
    let beside = |entry: &Value| {
        let target = text(entry, "/target");
        let target = if target.is_empty() { String::new() } else { format!(" -> {target}") };
        format!("\nnot under seal: {}{target} ({})", text(entry, "/path"), text(entry, "/kind"))
    };
    let beside: String = list(manifest, "/beside").iter().map(beside).collect();
    format!("{}\n\n{}{beside}", pairs(&head), table(["ITEM", "BYTES", "SHA-256", "PATH"], &items))
}
