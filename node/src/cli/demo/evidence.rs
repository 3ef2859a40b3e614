//! The evidence of the demo: put under seal in Belmar, handed over, fetched and taken in Arvia, and then
//! compared with what it was, byte for byte.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    Node, Places, Played, sample, settle,
    story::{ACCEPT_TERMS, CLOSE, DELIVER, TAKE_CUSTODY, seal},
    take,
    timeline::Timeline,
    wait_until,
};
use crate::{
    cli::{
        evidence::{self, Entry},
        fault::CliFault,
        found::{self, disk},
        request::fresh_id,
        show::{list, text},
    },
    time,
};

/// Read at once when files are compared.
const PIECE: usize = 1 << 20;

/// Carries the evidence over; true if every file arrived as it was.
pub(super) async fn hand_over(
    folder: Option<&Path>,
    played: &Played,
    nodes: &[Node],
    places: &Places,
    timeline: &Timeline,
) -> Result<bool, CliFault> {
    let [arvia, belmar, ..] = nodes else { return Ok(false) };
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => sample::make(&places.sample)?,
    };
    let entries = evidence::walk(&folder)?;
    let shown = timeline.is_watched();
    let Value::Object(record) = seal(time::now()) else { return Ok(false) };
    let began = time::now();
    let sealed = evidence::seal(&belmar.client, &played.id, DELIVER.authority, &[], &entries, record, shown).await?;
    let unsealed = entries.iter().filter(|entry| matches!(entry, Entry::Unsealed(..))).count();
    timeline.sealed(belmar, &sealed, unsealed, time::now().since(began));
    let delivery = deliver(&sealed, played, nodes, places, timeline).await?;
    is_held_back(arvia, &delivery, places, timeline).await?;
    take(&ACCEPT_TERMS, json!({ "delivery": delivery }), played, nodes, places, timeline).await?;
    let began = time::now();
    let fetched = evidence::fetched(&delivery, &arvia.client, shown).await?;
    if text(&fetched, "/progress/stage") != "done" {
        return Err(CliFault::BadAnswer(format!("the evidence did not come: {}", fetched["progress"])));
    }
    timeline.fetched(arvia, &fetched, time::now().since(began));
    take_custody(&delivery, played, nodes, places, timeline).await?;
    let same = compare(arvia, &entries, text(&sealed, "/manifest"), places, timeline).await?;
    take(&CLOSE, json!({}), played, nodes, places, timeline).await?;
    Ok(same)
}

/// Belmar signs the hand-over; what it says of the manifest its node fills in.
async fn deliver(
    sealed: &Value,
    played: &Played,
    nodes: &[Node],
    places: &Places,
    timeline: &Timeline,
) -> Result<String, CliFault> {
    let body = json!({
        "command_id": fresh_id(), "step": DELIVER.step, "manifest": text(sealed, "/manifest"),
        "authority": DELIVER.authority, "fields": (DELIVER.fields)(time::now()),
    });
    let path = format!("/v1/requests/{}/deliveries", played.id);
    let done = nodes[DELIVER.by].client.post(&path, &body).await?;
    settle(&DELIVER, &done, nodes, played, places, timeline).await?;
    Ok(text(&done, "/event_id").to_owned())
}

/// Before the terms are accepted the taker gets the manifest and nothing else.
async fn is_held_back(arvia: &Node, delivery: &str, places: &Places, timeline: &Timeline) -> Result<(), CliFault> {
    arvia.client.post_empty(&format!("/v1/deliveries/{delivery}/fetch")).await?;
    let path = format!("/v1/deliveries/{delivery}");
    let mut code = String::new();
    wait_until("the fetch to wait for the terms", &places.logs, async || {
        let delivery = arvia.client.get(&path).await?;
        text(&delivery, "/progress/code").clone_into(&mut code);
        Ok(text(&delivery, "/progress/stage") == "awaiting_terms")
    })
    .await?;
    timeline.held_back(arvia, &code);
    Ok(())
}

async fn take_custody(
    delivery: &str,
    played: &Played,
    nodes: &[Node],
    places: &Places,
    timeline: &Timeline,
) -> Result<(), CliFault> {
    let body = json!({
        "command_id": fresh_id(), "authority": TAKE_CUSTODY.authority,
        "fields": (TAKE_CUSTODY.fields)(time::now()),
    });
    let path = format!("/v1/deliveries/{delivery}/custody");
    let done = nodes[TAKE_CUSTODY.by].client.post(&path, &body).await?;
    settle(&TAKE_CUSTODY, &done, nodes, played, places, timeline).await
}

/// Reads everything out in Arvia and holds it against what lay in Belmar.
async fn compare(
    arvia: &Node,
    entries: &[Entry],
    manifest: &str,
    places: &Places,
    timeline: &Timeline,
) -> Result<bool, CliFault> {
    if places.received.exists() {
        fs::remove_dir_all(&places.received).map_err(disk("remove", &places.received))?;
    }
    found::folder(&places.received)?;
    let whole = evidence::write_all(manifest, &places.received, &arvia.client, timeline.is_watched()).await?;
    let mut wanted: BTreeMap<String, &PathBuf> = BTreeMap::new();
    for entry in entries {
        if let Entry::File(path, at) = entry {
            wanted.insert(at.to_string(), path);
        }
    }
    let mut differ = Vec::new();
    for item in list(&whole, "/list") {
        let name = text(item, "/path");
        let Some(original) = wanted.remove(name) else {
            differ.push(name.to_owned());
            continue;
        };
        let names = list(item, "/names")
            .iter()
            .filter_map(|name| comity_core::ids::unhex(name.as_str().unwrap_or_default(), "name").ok());
        let copy = names.fold(places.received.clone(), |path, name| path.join(std::ffi::OsStr::from_bytes(&name)));
        if !same(original, &copy)? {
            differ.push(name.to_owned());
        }
    }
    differ.extend(wanted.into_keys());
    timeline.compared(arvia, list(&whole, "/list").len(), &differ);
    Ok(differ.is_empty())
}

/// True if two files have the same bytes.
fn same(one: &Path, other: &Path) -> Result<bool, CliFault> {
    use std::io::Read as _;
    let open = |path: &Path| fs::File::open(path).map_err(disk("read", path));
    let (mut one_file, mut other_file) = (open(one)?, open(other)?);
    let (mut left, mut right) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    loop {
        left.clear();
        right.clear();
        let read = (&mut one_file).take(PIECE as u64).read_to_end(&mut left).map_err(disk("read", one))?;
        (&mut other_file).take(PIECE as u64).read_to_end(&mut right).map_err(disk("read", other))?;
        if left != right {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}
