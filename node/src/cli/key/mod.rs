//! `comity key …`: the pairs of officers, made on machines that meet no network; and in `roll` and `kek` the generations
//! of a node's own keys.

mod kek;
mod roll;

pub(crate) use roll::Role;

use comity_core::{
    crypto::{PublicKey, role_name},
    ids::hex,
    proto::{Algorithm, KeyRole},
};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{Context, Done, Verdict};
use crate::{
    backup::{RECIPIENT_SCHEMA, read_recipient, recipient_text},
    ceremony::{self, Holder, OFFICER_SCHEMA, fingerprint_block, holder_fingerprint, public_file},
    keys::{KeyFault, OfficerKey, OfflineKeys, Passphrase, Purpose, RecoveryKey, Token},
    words,
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new pair of keys in a folder, and beside it FOLDER.pub, the half that others may have.
    Create {
        /// The folder to make; it must not exist or be empty.
        folder: PathBuf,
        /// What the keys are for: `root` signs a Party's profiles, `charter` signs the network's charters, `recovery` opens
        /// backups, `officer` approves what leaves a Party.
        #[arg(long)]
        role: Pair,
        #[command(flatten)]
        token: InToken,
        /// Read the passphrase from this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// The fingerprint of a pair, to be compared by telephone. Needs no passphrase, unless FOLDER.pub is lost: then
    /// it is written again.
    Show {
        /// The .pub file, or the folder it lies beside.
        path: PathBuf,
        /// Should FOLDER.pub be lost: read the passphrase from this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    #[command(flatten)]
    Node(roll::Command),
}

/// The token that is to hold the classical half of a pair, if one is.
#[derive(Args)]
pub(crate) struct InToken {
    /// Have the classical half made and kept by a PKCS#11 token: the library that speaks to it.
    #[arg(long, value_name = "MODULE.so", requires = "token_label")]
    token: Option<PathBuf>,
    /// The label of that token.
    #[arg(long, value_name = "LABEL", requires = "token")]
    token_label: Option<String>,
    /// Where its PIN is read from, now and each time these keys are opened. Otherwise: the systemd credential
    /// `comity-token-pin`, or a prompt.
    #[arg(long, value_name = "FILE", requires = "token")]
    pin_file: Option<PathBuf>,
}

impl InToken {
    fn named(self) -> Option<Token> {
        let Self { token, token_label, pin_file } = self;
        token.zip(token_label).map(|(module, label)| Token { module, label, pin_file })
    }
}

/// Which pair.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Pair {
    /// A Party's: signs its profiles and may stop it.
    Root,
    /// An officer's: signs charters.
    Charter,
    /// Opens backups, and signs nothing.
    Recovery,
    /// An officer's own: approves what leaves a Party.
    Officer,
}

/// The command.
pub(crate) fn key(command: Command, context: &Context) -> Done {
    match command {
        Command::Create { folder, role, token, passphrase_file } => {
            create(&folder, role, token.named().as_ref(), passphrase_file.as_deref(), context)
        }
        Command::Show { path, passphrase_file } if RecoveryKey::is_in(&path) && !public_file(&path).exists() => {
            let passphrase = Passphrase::obtain(passphrase_file.as_deref(), Purpose::Open)?;
            give_out(&RecoveryKey::open(&path, &passphrase)?, &path, context)
        }
        Command::Show { path, passphrase_file } if OfficerKey::is_in(&path) && !public_file(&path).exists() => {
            let passphrase = Passphrase::obtain(passphrase_file.as_deref(), Purpose::Open)?;
            give_out_officer(&OfficerKey::open(&path, &passphrase)?, &path, context)
        }
        Command::Show { path, .. } if is_officer(&path) => {
            let bytes = ceremony::read_officer(&public_of(&path))?;
            let key = PublicKey { role: KeyRole::Officer, algorithm: Algorithm::Ed25519, bytes };
            context.out.either(&officer_told(&key, None), |_| officer_shown(&key));
            Ok(Verdict::Fine)
        }
        Command::Show { path, .. } if is_recipient(&path) => {
            let key = read_recipient(&public_of(&path))?;
            context.out.either(&recovery_told(&key, None), |_| recovery_shown(&key));
            Ok(Verdict::Fine)
        }
        Command::Show { path, passphrase_file } if path.is_dir() && !public_file(&path).exists() => {
            let passphrase = Passphrase::obtain(passphrase_file.as_deref(), Purpose::Open)?;
            show(&Holder::restore(&path, &passphrase)?, Some(&path), false, context)
        }
        Command::Show { path, .. } => show(&Holder::read(&path)?, None, false, context),
        Command::Node(command) => roll::key(command, context),
    }
}

fn create(folder: &Path, role: Pair, token: Option<&Token>, passphrase_file: Option<&Path>, context: &Context) -> Done {
    let which = match role {
        Pair::Root => OfflineKeys::Root,
        Pair::Charter => OfflineKeys::Charter,
        Pair::Recovery => return create_recovery(folder, token, passphrase_file, context),
        Pair::Officer => return create_officer(folder, token, passphrase_file, context),
    };
    let passphrase = Passphrase::obtain(passphrase_file, Purpose::Create)?;
    let holder = Holder::create(folder, which, &passphrase, token)?;
    show(&holder, Some(folder), token.is_some(), context)
}

/// The public half, also when the folder it belongs to is named.
fn public_of(path: &Path) -> PathBuf {
    if path.is_dir() { public_file(path) } else { path.to_owned() }
}

/// Whether a public half is that of a recovery key, as far as its own format says.
fn is_recipient(path: &Path) -> bool {
    std::fs::read_to_string(public_of(path)).is_ok_and(|text| text.contains(RECIPIENT_SCHEMA))
}

/// Whether a public half is that of an officer's key, as far as its own format says.
fn is_officer(path: &Path) -> bool {
    std::fs::read_to_string(public_of(path)).is_ok_and(|text| text.contains(OFFICER_SCHEMA))
}

/// An officer's key, in files: one half and no pair, so no token of ours holds it.
fn create_officer(folder: &Path, token: Option<&Token>, passphrase_file: Option<&Path>, context: &Context) -> Done {
    if token.is_some() {
        return Err(KeyFault::NotForTokens.into());
    }
    ceremony::refuse_existing(&public_file(folder))?;
    let passphrase = Passphrase::obtain(passphrase_file, Purpose::Create)?;
    give_out_officer(&OfficerKey::create(folder, &passphrase)?, folder, context)
}

/// Writes the half of an officer's key that the roll names, and says what to do with it.
fn give_out_officer(key: &OfficerKey, folder: &Path, context: &Context) -> Done {
    let public = public_file(folder);
    ceremony::write(&public, ceremony::officer_text(&key.public().bytes).as_bytes())?;
    context.out.either(&officer_told(key.public(), Some(&public)), |_| {
        format!(
            "{}\nNext:\n  1. You: keep {} to yourself; who has it and its passphrase signs as you.\n  \
             2. You: hand {} to whoever drafts the roll, and compare the key with it by another way.",
            officer_shown(key.public()),
            folder.display(),
            public.display()
        )
    });
    Ok(Verdict::Fine)
}

fn officer_told(key: &PublicKey, made: Option<&Path>) -> Value {
    json!({
        "schema": "comity/officer-key-holder/v1", "role": role_name(key.role), "public_key": hex(&key.bytes),
        "public": made.map(|public| public.display().to_string()),
    })
}

fn officer_shown(key: &PublicKey) -> String {
    format!("Role: {}\nKey: {}", role_name(key.role), hex(&key.bytes))
}

/// A recovery key: it opens what is sealed to it, so no token that only signs can hold it.
fn create_recovery(folder: &Path, token: Option<&Token>, passphrase_file: Option<&Path>, context: &Context) -> Done {
    if token.is_some() {
        return Err(KeyFault::NotForTokens.into());
    }
    ceremony::refuse_existing(&public_file(folder))?;
    let passphrase = Passphrase::obtain(passphrase_file, Purpose::Create)?;
    give_out(&RecoveryKey::create(folder, &passphrase)?, folder, context)
}

/// Writes the half of a recovery key that others may have, and says what to do with it.
fn give_out(key: &RecoveryKey, folder: &Path, context: &Context) -> Done {
    let public = public_file(folder);
    ceremony::write(&public, recipient_text(key.public()).as_bytes())?;
    context.out.either(&recovery_told(key.public(), Some(&public)), |_| {
        format!(
            "{}\nNext:\n  1. You: keep {} in a safe, away from the node and from the backups.\n  \
             2. You: give {} to whoever runs the node.\n  3. The operator: name it in backup.recipients, beside another one.",
            recovery_shown(key.public()),
            folder.display(),
            public.display()
        )
    });
    Ok(Verdict::Fine)
}

fn recovery_told(key: &PublicKey, made: Option<&Path>) -> Value {
    json!({
        "schema": "comity/recovery-key-holder/v1", "role": role_name(key.role), "key_id": key.id().to_string(),
        "public": made.map(|public| public.display().to_string()),
    })
}

fn recovery_shown(key: &PublicKey) -> String {
    format!("Role: {}\nKey id: {}", role_name(key.role), key.id())
}

fn show(holder: &Holder, made: Option<&Path>, in_token: bool, context: &Context) -> Done {
    let fingerprint = holder_fingerprint(&holder.ids());
    if context.out.json {
        context.out.object(&json!({
            "schema": "comity/holder/v1", "role": role_name(holder.role),
            "key_ids": holder.ids().map(|id| id.to_string()),
            "fingerprint": fingerprint.to_string(), "words": words::of(&fingerprint),
            "public": made.map(|folder| public_file(folder).display().to_string()),
        }));
        return Ok(Verdict::Fine);
    }
    let [ed25519, ml_dsa] = holder.ids();
    context.out.line(&format!("Role: {}\nKey ids: {ed25519}\n         {ml_dsa}", role_name(holder.role)));
    context.out.line(&fingerprint_block("Fingerprint", &fingerprint));
    if let Some(folder) = made {
        context.out.line(&next(folder, in_token));
    }
    Ok(Verdict::Fine)
}

fn next(folder: &Path, in_token: bool) -> String {
    let (folder, public) = (folder.display(), public_file(folder));
    let public = public.display();
    let token = if in_token {
        " It signs only with\n     the token, of which there is no copy: lost is lost, and the threshold is what helps then."
    } else {
        ""
    };
    format!(
        "Next:\n  1. You: keep {folder} on this machine, and one copy in a safe; nobody else needs it.{token}\n  \
         2. You: write the fingerprint down by hand.\n  \
         3. You: hand {public} to the secretariat, and compare the fingerprint with it by another way.\n  \
         4. The secretariat: name {public} in the draft of the charter."
    )
}
