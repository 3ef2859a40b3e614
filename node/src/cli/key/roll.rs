//! `comity key roll|list|retire`: the generations of a node's own keys, on its own machine, offline.
//!
//! A new generation comes into use when the own profile names it and its date has come, and the node has started
//! since; an old one goes out of use the same way. Nothing here signs a profile.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Subcommand, ValueEnum, builder::PossibleValue};
use comity_core::{
    crypto::{PublicKey, role_name},
    ids::Time,
    profile::Profile,
    proto::{Algorithm, KeyRole},
};
use serde_json::{Value, json};

use super::{
    super::{
        Context, Done, Verdict,
        fault::CliFault,
        show::{list, local, number, or_dash, short, table, text},
    },
    InToken, kek,
};
use crate::{
    config::Settings,
    keys::{Held, KeyEncryption, Keyring, Passphrase, Purpose, Token, in_use},
    net::peer_id_of,
    runtime::{CHARTER_FILE, StartFault, TrustFault, load_trust},
    time::{self, rfc3339},
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new generation of one role's keys beside what is there. The node may run or not.
    Roll {
        /// Which keys.
        role: Turned,
        #[command(flatten)]
        token: InToken,
        /// Read the passphrase of the node's keys from this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Every key of this node: whether its Party's profile names it, from when until when, and which is in use.
    List {
        /// Read the passphrase of the node's keys from this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Destroy a generation that the profile no longer allows. A running node forgets it at its next start;
    /// copies in backups stay, and so does what a token holds. A seal key can go 14 days after its last date: what is delivered later and was
    /// sealed to it is refused, and its author must seal it anew. A key-encryption key can go once a start has wrapped
    /// everything under a newer one; backups from before that start are dead then.
    Retire {
        /// Which keys.
        role: Turned,
        /// The generation, as `comity key list` counts it.
        generation: u32,
        /// A file of it is lost already, and with it the pair: say so, so that the others open again.
        #[arg(long)]
        lost: bool,
        /// Read the passphrase of the node's keys from this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// The roles a node holds keys of.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// The name of the node on the wire.
    Transport,
    /// Signs events, refusals and custody.
    Record,
    /// Signs the ledger.
    Checkpoint,
    /// Cosigns the ledgers of others.
    Witness,
    /// Signs what changes weekly.
    Directory,
    /// Opens bodies.
    Seal,
}

impl From<Role> for KeyRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Transport => Self::Transport,
            Role::Record => Self::Record,
            Role::Checkpoint => Self::Checkpoint,
            Role::Witness => Self::Witness,
            Role::Directory => Self::Directory,
            Role::Seal => Self::Seal,
        }
    }
}

/// What has generations: the keys of a role, and the one key that wraps the data keys of requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turned {
    Role(Role),
    KeyEncryption,
}

impl ValueEnum for Turned {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Role(Role::Transport),
            Self::Role(Role::Record),
            Self::Role(Role::Checkpoint),
            Self::Role(Role::Witness),
            Self::Role(Role::Directory),
            Self::Role(Role::Seal),
            Self::KeyEncryption,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Role(role) => role.to_possible_value(),
            Self::KeyEncryption => {
                Some(PossibleValue::new(KeyEncryption::NAME).help("Wraps the data keys of requests on this machine"))
            }
        }
    }
}

/// The command.
pub(crate) fn key(command: Command, context: &Context) -> Done {
    match command {
        Command::Roll { role: Turned::Role(role), token, passphrase_file } => {
            roll(role.into(), token.named().as_ref(), passphrase_file.as_deref(), context)
        }
        Command::Roll { role: Turned::KeyEncryption, token, passphrase_file } => {
            kek::roll(token.named().is_some(), passphrase_file.as_deref(), context)
        }
        Command::List { passphrase_file } => listed(passphrase_file.as_deref(), context),
        Command::Retire { role: Turned::Role(role), generation, lost: true, passphrase_file: _ } => {
            lost(role.into(), generation, context)
        }
        Command::Retire { role: Turned::Role(role), generation, lost: false, passphrase_file } => {
            retire(role.into(), generation, passphrase_file.as_deref(), context)
        }
        Command::Retire { role: Turned::KeyEncryption, generation, lost, passphrase_file } => {
            kek::retire(generation, lost, passphrase_file.as_deref(), context)
        }
    }
}

fn roll(role: KeyRole, token: Option<&Token>, passphrase_file: Option<&Path>, context: &Context) -> Done {
    let (settings, dir) = folder(context)?;
    let passphrase = Passphrase::obtain(passphrase_file, Purpose::Open)?;
    let number = Keyring::roll(&dir, &passphrase, role, token)?;
    let keys = Keyring::open(&dir, &passphrase)?;
    let made = keys.held().filter(|held| (held.role, held.number) == (role, number));
    let rows: Vec<Value> = made.flat_map(halves).collect();
    let made = json!({ "schema": "comity/key-generation/v1", "generation": number, "keys": rows });
    context.out.either(&made, |made| format!("{}\n\n{}", made_text(made), next(role, &settings)));
    Ok(Verdict::Fine)
}

fn listed(passphrase_file: Option<&Path>, context: &Context) -> Done {
    let (settings, dir) = folder(context)?;
    let now = time::now();
    let profile = own_profile(&settings, now);
    if let Err(fault) = &profile {
        context.out.say(&format!("No profile to compare with: {fault}"));
    }
    let keys = Keyring::open(&dir, &Passphrase::obtain(passphrase_file, Purpose::Open)?)?;
    let profile = profile.ok();
    let rows: Vec<Value> = keys.held().flat_map(|held| dated(held, &keys, profile.as_ref(), now)).collect();
    let listed = json!({
        "schema": "comity/keys/v1", "profile_version": profile.map(|profile| profile.version), "keys": rows,
        "key_encryption": kek::listed(keys.key_encryption(), &settings, context),
    });
    context.out.either(&listed, list_text);
    Ok(Verdict::Fine)
}

fn retire(role: KeyRole, number: u32, passphrase_file: Option<&Path>, context: &Context) -> Done {
    let (settings, dir) = folder(context)?;
    let now = time::now();
    let profile = own_profile(&settings, now)?;
    let keys = Keyring::open(&dir, &Passphrase::obtain(passphrase_file, Purpose::Open)?)?;
    keys.retire(&dir, &profile, role, number, now)?;
    retired(role_name(role), number, context);
    Ok(Verdict::Fine)
}

/// What was lost cannot be opened, and needs no passphrase.
fn lost(role: KeyRole, number: u32, context: &Context) -> Done {
    let (_, dir) = folder(context)?;
    Keyring::forget(&dir, role, number)?;
    retired(role_name(role), number, context);
    Ok(Verdict::Fine)
}

pub(super) fn retired(name: &str, number: u32, context: &Context) {
    let retired = json!({ "schema": "comity/key-retired/v1", "role": name, "generation": number });
    context.out.either(&retired, |_| {
        format!("generation {number} of the {name} keys is destroyed here; a running node forgets it at its next start")
    });
}

pub(super) fn folder(context: &Context) -> Result<(Settings, PathBuf), CliFault> {
    if !context.data.join("comity.toml").exists() {
        return Err(CliFault::NoFolder(context.data.clone()));
    }
    let settings = context.settings(&[])?;
    let dir = settings.data.join("keys");
    Ok((settings, dir))
}

/// The profile the node would start with.
fn own_profile(settings: &Settings, now: Time) -> Result<Profile, CliFault> {
    let trust = load_trust(&settings.data, settings.charter, now).map_err(StartFault::from)?;
    let own = trust.declared(&settings.party).cloned();
    Ok(own.ok_or_else(|| StartFault::from(TrustFault::NoOwnProfile(settings.party.clone())))?)
}

/// The public halves of a generation as a profile names them.
fn halves(held: &Held) -> impl Iterator<Item = Value> {
    held.halves().map(|(algorithm, key)| {
        let mut half = json!({
            "role": held.role_name(), "algorithm": algorithm,
            "key_id": key.id().to_string(), "public_key": STANDARD.encode(&key.bytes),
        });
        if let Some(peer_id) = peer_id(key) {
            half["peer_id"] = Value::from(peer_id);
        }
        half
    })
}

fn peer_id(key: &PublicKey) -> Option<String> {
    let bytes = (key.role == KeyRole::Transport).then_some(&key.bytes[..])?;
    peer_id_of(bytes.try_into().ok()?).ok()
}

/// The same with dates, half by half, since a profile can name one of them only.
fn dated<'k>(
    held: &'k Held,
    keys: &Keyring,
    profile: Option<&'k Profile>,
    now: Time,
) -> impl Iterator<Item = Value> + use<'k> {
    let used = profile.and_then(|profile| in_use(keys.held(), held.role, profile, now)) == Some(held);
    held.public.iter().zip(halves(held)).map(move |(key, mut half)| {
        let alone = Held { public: vec![key.clone()], ..held.clone() };
        let dates = profile.and_then(|profile| alone.dates(profile));
        half["generation"] = Value::from(held.number);
        half["in_profile"] = Value::from(dates.is_some());
        half["in_use"] = Value::from(used);
        half["in_token"] = Value::from(held.in_token && key.algorithm == Algorithm::Ed25519);
        if let Some((from, until)) = dates.filter(|_| held.role != KeyRole::Transport) {
            (half["from"], half["until"]) = (Value::from(rfc3339(from)), Value::from(rfc3339(until)));
        }
        half
    })
}

fn made_text(made: &Value) -> String {
    let mut lines =
        vec![format!("Generation {} is made. It goes into the next profile as:", number(made, "/generation"))];
    for half in list(made, "/keys") {
        let of = |key: &str| text(half, key).to_owned();
        lines.push(format!("\n{} {}\n  key id  {}", of("/role"), of("/algorithm"), of("/key_id")));
        lines.extend(half.get("peer_id").and_then(Value::as_str).map(|id| format!("  node    {id}")));
    }
    lines.join("\n")
}

/// What comes after a new generation was made, and for whom.
fn next(role: KeyRole, settings: &Settings) -> String {
    let (data, party) = (settings.data.display(), &settings.party);
    let (dates, start) = match role {
        KeyRole::Transport => (
            "the new node stands beside the old one until every peer has this version; the version after leaves the old one out",
            "when every peer has it, start this node again",
        ),
        KeyRole::Seal => (
            "give the new key its dates, and let the old one go on for some weeks beside it",
            "start this node again before the new key's first date: what peers seal to it opens only then. Bodies sealed\n     \
             to the old key open as long as it is kept",
        ),
        _ => (
            "give the new pair a first date some days ahead, and let the old pair go on for some weeks: what it signed\n     \
             must be delivered before it ends",
            "start this node again at any time before the new pair's first date",
        ),
    };
    format!(
        "Next:\n  1. You: comity profile draft --after {data}/charter/profiles/{party}.dsse --charter CHARTER --keys {data}/keys\n     \
         --out profile.toml, and edit it: {dates}.\n     \
         CHARTER is the newest file below {data}/charter/charters, or {data}/{CHARTER_FILE}.\n  \
         2. The holders of root keys: sign it, as comity profile propose says.\n  \
         3. You: comity --data {data} roster import FINAL.dsse, which publishes it.\n  \
         4. You: {start}.\n  \
         Stolen or lost? Then add --revoke {role} to step 1, which ends the old one at once: see the runbooks.",
        role = role_name(role),
    )
}

fn list_text(listed: &Value) -> String {
    let row = |key: &Value| {
        let date = |name: &str| match key["in_profile"] == true {
            true => or_dash(&local(text(key, name))).to_owned(),
            false => "-".to_owned(),
        };
        let now = match (key["in_use"] == true, key["in_profile"] == true) {
            (true, _) => "in use",
            (false, true) => "named",
            (false, false) => "not in the profile",
        };
        let now = if key["in_token"] == true { format!("{now}, in a token") } else { now.to_owned() };
        [
            text(key, "/role").to_owned(),
            number(key, "/generation").to_string(),
            text(key, "/algorithm").to_owned(),
            short(text(key, "/key_id")).to_owned(),
            date("/from"),
            date("/until"),
            now,
        ]
    };
    let rows: Vec<_> = list(listed, "/keys").iter().map(row).chain(kek::rows(listed)).collect();
    table(["ROLE", "GENERATION", "ALGORITHM", "KEY ID", "FROM", "UNTIL", "NOW"], &rows)
}
