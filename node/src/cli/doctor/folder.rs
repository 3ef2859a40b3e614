//! What a data folder still lacks whose node does not run: for whoever joins, and for whoever wonders why it does not start.
//! It reads files anybody may read who may read the folder; no key is opened.

use std::path::Path;

use comity_core::{
    ids::{PartyCode, Time},
    profile::{Charter, Trust},
};
use serde_json::{Value, json};

use super::super::{Context, fault::CliFault};
use crate::{
    config::Settings,
    runtime::{PROFILES_FOLDER, load_trust},
    time,
};

/// The steps from a folder to a running node, in the words of the API.
///
/// # Errors
/// When the settings are wrong: each mistake is named.
pub(super) fn look(context: &Context) -> Result<Value, CliFault> {
    let settings = context.settings(&[])?;
    let steps = steps(&settings, time::now());
    Ok(json!({ "schema": "comity/ready/v1", "ok": false, "steps": steps }))
}

fn steps(settings: &Settings, now: Time) -> Vec<Value> {
    let (data, party) = (&settings.data, &settings.party);
    let mut steps = vec![step("settings", "", format!("Party {party}"))];
    steps.push(match data.join("keys").is_dir() {
        true => step("keys", "", "there; not opened"),
        false => step("keys", "keys.missing", "no keys folder: comity init makes one"),
    });
    match load_trust(&settings.data, settings.charter, now) {
        Ok(trust) => {
            let charter = trust.charter();
            steps.push(step("charter", "", format!("version {} of {}", charter.version, charter.network)));
            steps.push(membership(charter, party, now));
            steps.push(profile(settings, &trust));
        }
        Err(fault) => steps.push(step("charter", fault.code(), fault.to_string())),
    }
    steps.push(step("node", "cli.no-node", format!("not running: comity run --data {}", data.display())));
    steps
}

fn membership(charter: &Charter, party: &PartyCode, now: Time) -> Value {
    match charter.parties().get(party) {
        None => {
            let seen =
                format!("hand the .pub files of the root keys to the secretariat; it sends a kit that names {party}");
            step("membership", "profile.not-chartered", seen)
        }
        Some(named) if named.takes_part(now) => step("membership", "", format!("{party} {}", named.name)),
        Some(named) if named.joined() > now => {
            step("membership", "charter.not-yet", format!("{party} joins {}", time::rfc3339(named.joined())))
        }
        Some(_) => step("membership", "charter.suspended", format!("{party} is suspended or has withdrawn")),
    }
}

fn profile(settings: &Settings, trust: &Trust) -> Value {
    if let Some(own) = trust.declared(&settings.party) {
        return step("own profile", "", format!("version {}", own.version));
    }
    let file = settings.data.join(PROFILES_FOLDER).join(format!("{}.dsse", settings.party));
    let seen = match draft(&settings.data) {
        true => format!("propose profile.toml, have the root keys sign it, and put it to {}", file.display()),
        false => format!("comity profile draft, propose, sign, collect, and put it to {}", file.display()),
    };
    step("own profile", "trust.no-own-profile", seen)
}

fn draft(data: &Path) -> bool {
    data.join("profile.toml").is_file()
}

fn step(step: &str, code: &str, seen: impl Into<String>) -> Value {
    let code = if code.is_empty() { Value::Null } else { json!(code) };
    json!({ "step": step, "code": code, "seen": seen.into() })
}
