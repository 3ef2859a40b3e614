//! `comity doctor`, `comity metrics` and `comity support`: for whoever keeps the node running.

mod folder;

use std::{
    io::{self, Write as _},
    path::Path,
};

use serde_json::{Map, Value, json};

use super::{
    Context, Done, Verdict,
    client::Client,
    explain,
    fault::CliFault,
    found::disk,
    peer::write_new,
    show::{list, table, text},
};

/// `comity doctor`. Whatever is not in order is a finding.
pub(crate) async fn doctor(party: Option<&str>, context: &Context) -> Done {
    let client = context.client()?;
    let found = match examined(&client, party).await {
        // Whoever asks about the node itself is told what its folder lacks; the way to a peer needs the node.
        Err(CliFault::NoNode { .. }) if party.is_none() => {
            json!({ "schema": "comity/doctor/v1", "ok": false, "node": folder::look(context)?, "peers": {} })
        }
        examined => examined?,
    };
    context.out.either(&found, shown);
    Ok(if found["ok"] == true { Verdict::Fine } else { Verdict::Finding })
}

/// `comity metrics`.
pub(crate) async fn metrics(context: &Context) -> Done {
    let text = context.client()?.bytes("/v1/metrics").await?;
    // A reader that went away has seen enough.
    drop(io::stdout().lock().write_all(&text));
    Ok(Verdict::Fine)
}

/// `comity support`. What is in it the node tells anybody who may ask it; ids of events and requests are left out.
pub(crate) async fn support(file: &Path, context: &Context) -> Done {
    let client = context.client()?;
    let figures = client.bytes("/v1/metrics").await?;
    let bundle = json!({
        "schema": "comity/support/v1",
        "made": crate::time::rfc3339(crate::time::now()),
        "version": env!("CARGO_PKG_VERSION"),
        "system": system(),
        "settings": settings(context)?,
        "status": client.get("/v1/status").await?,
        "doctor": examined(&client, None).await?,
        "metrics": String::from_utf8_lossy(&figures).lines().collect::<Vec<_>>(),
    });
    let bytes = serde_json::to_vec_pretty(&bundle).map_err(|cause| CliFault::BadAnswer(cause.to_string()))?;
    write_new(file, &bytes).map_err(disk("write", file))?;
    let written = json!({ "schema": "comity/written/v1", "file": file, "bytes": bytes.len() });
    let said = |_: &Value| {
        format!(
            "{} written. It holds no key, passphrase, form or evidence; read it before you pass it on.",
            file.display()
        )
    };
    context.out.either(&written, said);
    Ok(Verdict::Fine)
}

/// The settings as they count, line by line; none of them is secret.
fn settings(context: &Context) -> Result<Value, CliFault> {
    let path = context.data.join("comity.toml");
    let text = std::fs::read_to_string(&path).map_err(disk("read", &path))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let set = |name: &String| name.starts_with("COMITY_") && !name.contains("PASSPHRASE");
    let environment: Vec<String> = std::env::vars().map(|(name, _)| name).filter(set).collect();
    Ok(json!({ "file": lines.collect::<Vec<_>>(), "environment": environment }))
}

fn system() -> Value {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({ "kernel": text(uname.release()), "machine": text(uname.machine()), "cores": cores })
}

/// The node, and the path to one peer or to all.
async fn examined(client: &Client, only: Option<&str>) -> Result<Value, CliFault> {
    let node = client.findings("/v1/ready").await?;
    let all = client.get("/v1/peers").await?;
    let all: Vec<&str> = list(&all, "/peers").iter().map(|peer| text(peer, "/party")).collect();
    let parties = only.map_or(all, |only| vec![only]);
    let mut peers = Map::new();
    for party in parties {
        peers.insert(party.to_owned(), client.post_empty(&format!("/v1/peers/{party}/examine")).await?);
    }
    let ok = node["ok"] == true && peers.values().all(|found| found["ok"] == true);
    Ok(json!({ "schema": "comity/doctor/v1", "ok": ok, "node": node, "peers": peers }))
}

fn shown(found: &Value) -> String {
    let mut rows = Vec::new();
    let mut advice = Vec::new();
    let peers = found["peers"].as_object().into_iter().flatten().map(|(party, found)| (party.as_str(), found));
    for (whose, found) in [("node", &found["node"])].into_iter().chain(peers) {
        for step in list(found, "/steps") {
            let code = text(step, "/code");
            let mark = if code.is_empty() { "ok" } else { code };
            rows.push([
                whose.to_owned(),
                text(step, "/step").to_owned(),
                mark.to_owned(),
                text(step, "/seen").to_owned(),
            ]);
            if let Some(row) = explain::find(code) {
                advice.push(format!("{whose}, {}: {code}: {}", text(step, "/step"), row.remedy));
            }
        }
    }
    let table = table(["WHERE", "STEP", "RESULT", "SEEN"], &rows);
    match advice.is_empty() {
        true => format!("{table}\n\nAll is well."),
        false => format!("{table}\n\nWhat to do:\n{}", advice.join("\n")),
    }
}
