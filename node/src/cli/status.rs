//! `comity status` and `comity peers`: how the node is, on one screen.

use serde_json::Value;

use super::{
    Context, Done, Verdict,
    show::{bytes, list, local, number, or_dash, pairs, table, text},
};

/// `comity status`. A node that cannot record, or that saw misconduct, is a finding.
pub(crate) async fn status(context: &Context) -> Done {
    let status = context.client()?.get("/v1/status").await?;
    context.out.either(&status, overview);
    let read_only = status.get("read_only").is_some_and(|code| code.is_string() || *code == true);
    Ok(if read_only { Verdict::Finding } else { Verdict::Fine })
}

/// `comity peers`.
pub(crate) async fn peers(context: &Context) -> Done {
    let peers = context.client()?.get("/v1/peers").await?;
    context.out.either(&peers, peer_table);
    Ok(Verdict::Fine)
}

fn overview(status: &Value) -> String {
    let exercise = if status["exercise"] == true { " (exercise)" } else { "" };
    let owed = match number(status, "/owed/count") {
        0 => "nothing".to_owned(),
        count => format!("{count} events, the oldest since {}", local(text(status, "/owed/oldest_since"))),
    };
    let expiry = match text(status, "/next_expiry/what") {
        "" => "-".to_owned(),
        what => format!("{what}, {}", local(text(status, "/next_expiry/at"))),
    };
    let free =
        format!("{} free of {}", bytes(number(status, "/disk/free_bytes")), bytes(number(status, "/disk/total_bytes")));
    let mut rows = vec![
        ("Party", text(status, "/party").to_owned()),
        ("Network", format!("{}{exercise}", text(status, "/network"))),
        ("Running since", format!("{} (version {})", local(text(status, "/started")), text(status, "/version"))),
        (
            "Ledger",
            format!(
                "{}: {} records, {} under a signed checkpoint",
                text(status, "/origin"),
                number(status, "/ledger/size"),
                number(status, "/ledger/signed")
            ),
        ),
        ("Owed to peers", owed),
        ("Disk", free),
        ("Expires next", expiry),
    ];
    if let Some(code) = status["read_only"].as_str() {
        rows.push(("READ ONLY", format!("{code}: nothing is recorded. See: comity explain {code}")));
    }
    for warning in list(status, "/warnings") {
        let of = text(warning, "/party");
        let of = if of.is_empty() { String::new() } else { format!(" {of}") };
        rows.push(("LOOK AFTER", format!("{}{of}: {}", text(warning, "/code"), text(warning, "/detail"))));
    }
    format!("{}\n\n{}", pairs(&rows), peer_table(status))
}

pub(super) fn peer_table(peers: &Value) -> String {
    let row = |peer: &Value| {
        let up = peer["up"] == true;
        let why = match text(peer, "/cut_off_until") {
            "" if up => String::new(),
            "" => text(peer, "/why").to_owned(),
            until => format!("net.cut-off until {}", local(until)),
        };
        [
            text(peer, "/party").to_owned(),
            if up { "up" } else { "down" }.to_owned(),
            local(text(peer, "/since")),
            if peer["hybrid"] == true { "yes" } else { "-" }.to_owned(),
            or_dash(text(peer, "/address")).to_owned(),
            number(peer, "/misconduct").to_string(),
            why,
        ]
    };
    let rows: Vec<_> = list(peers, "/peers").iter().map(row).collect();
    table(["PEER", "LINK", "SINCE", "HYBRID", "ADDRESS", "WRONGS", "WHY"], &rows)
}
