//! `comity key roll|list|retire key-encryption`: the generations of the key that wraps the data keys of requests.
//!
//! No profile names it. A start takes the newest into use and wraps everything under it; how far that is stands in
//! clear in the ledger's key slots, and an old generation is destroyed only when they say that nothing needs it.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    super::{
        Context, Done, Verdict,
        show::{list, local, number, or_dash, text},
    },
    roll::{folder, retired},
};
use crate::{
    config::Settings,
    keys::{KeyEncryption, KeyFault, Keyring, Passphrase, Purpose},
    store::{SlotsSeen, look_at_slots},
    time::{self, rfc3339},
};

/// What every generation is for.
const ALGORITHM: &str = "aes-256-gcm";

pub(super) fn roll(in_token: bool, passphrase_file: Option<&Path>, context: &Context) -> Done {
    if in_token {
        return Err(KeyFault::NotForTokens.into());
    }
    let (settings, dir) = folder(context)?;
    let generation = KeyEncryption::roll(&dir, &Passphrase::obtain(passphrase_file, Purpose::Open)?, time::now())?;
    let made = json!({
        "schema": "comity/key-generation/v1", "generation": generation, "keys": [],
        "key_encryption": { "role": KeyEncryption::NAME, "algorithm": ALGORITHM },
    });
    context.out.either(&made, |_| next(generation, &settings));
    Ok(Verdict::Fine)
}

pub(super) fn retire(generation: u32, lost: bool, passphrase_file: Option<&Path>, context: &Context) -> Done {
    let (settings, dir) = folder(context)?;
    let seen = look_at_slots(&settings.data.join("ledger"))?;
    let live = seen.live.get(&generation).copied().unwrap_or(0);
    if lost {
        KeyEncryption::forget(&dir, generation, live)?;
    } else {
        // All that are left must open before one goes.
        let keys = Keyring::open(&dir, &Passphrase::obtain(passphrase_file, Purpose::Open)?)?;
        keys.retire_key_encryption(&dir, generation, live, seen.promised)?;
    }
    retired(KeyEncryption::NAME, generation, context);
    Ok(Verdict::Fine)
}

/// Each generation: since when it is there, whether it is in use, how many slots it wraps.
pub(super) fn listed(held: &[KeyEncryption], settings: &Settings, context: &Context) -> Vec<Value> {
    let seen = look_at_slots(&settings.data.join("ledger")).unwrap_or_else(|fault| {
        context.out.say(&format!("What wraps what cannot be told: {fault}"));
        SlotsSeen::default()
    });
    let (now, newest) = (time::now(), held.last().map(|last| last.number));
    let row = |one: &KeyEncryption| {
        let is_newest = Some(one.number) == newest;
        json!({
            "role": KeyEncryption::NAME, "algorithm": ALGORITHM, "generation": one.number,
            "made": one.made.map(rfc3339), "slots": seen.live.get(&one.number).copied().unwrap_or(0),
            "in_use": is_newest && seen.promised == one.number, "next": is_newest && seen.promised != one.number,
            "due": is_newest && one.is_due(now),
        })
    };
    held.iter().map(row).collect()
}

/// The same for people, as rows of the table of all keys.
pub(super) fn rows(listed: &Value) -> impl Iterator<Item = [String; 7]> {
    list(listed, "/key_encryption").iter().map(|one| {
        let slots = match number(one, "/slots") {
            0 => "wraps nothing".to_owned(),
            slots => format!("wraps {slots}"),
        };
        let now = match (one["in_use"] == true, one["next"] == true) {
            (true, _) => format!("in use, {slots}"),
            (false, true) => "from the next start on".to_owned(),
            (false, false) => slots,
        };
        let due = if one["due"] == true { "; to be turned" } else { "" };
        [
            text(one, "/role").to_owned(),
            number(one, "/generation").to_string(),
            text(one, "/algorithm").to_owned(),
            "-".to_owned(),
            or_dash(&local(text(one, "/made"))).to_owned(),
            "-".to_owned(),
            format!("{now}{due}"),
        ]
    })
}

fn next(generation: u32, settings: &Settings) -> String {
    let data = settings.data.display();
    format!(
        "Generation {generation} of the key-encryption key is made.\n\nNext:\n  \
         1. You: start this node again: before anything else it wraps the data keys of all requests under the new key.\n  \
         2. You: comity --data {data} key list, which then says of the old one that it wraps nothing.\n  \
         3. You: comity --data {data} key retire key-encryption GENERATION for the old one, as soon as no backup from\n     \
         before step 1 is wanted any more: without that key nobody can read the requests in it."
    )
}
