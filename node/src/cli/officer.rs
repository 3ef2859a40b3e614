//! `comity officer …`: the roll of officers who approve what leaves a Party. It stays in the house: it is signed with the
//! node's directory key, by file, and handed to the Party's own node.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Subcommand;
use comity_core::{officer::ROLL_TYPE, profile::document_id, proto, rules::Side, wire::DOCUMENT_MAX, wire::strict};
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    show::{joined, list, local, number, or_dash, pairs, table, text},
    wait_for,
};
use crate::{
    ceremony::{self, Beside, Files, RollDraft},
    keys::{Passphrase, Purpose},
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// The roll: draft, sign, install, show.
    #[command(subcommand)]
    Roll(Roll),
}

/// What is done with a roll.
#[derive(Subcommand)]
pub(crate) enum Roll {
    /// Write a draft to edit: of a first roll, or of the one after another.
    Draft {
        /// The charter in force.
        #[arg(long, value_name = "FILE")]
        charter: PathBuf,
        /// The Party's newest profile.
        #[arg(long, value_name = "FILE")]
        profile: PathBuf,
        /// The signed roll before; without it the draft is of the first.
        #[arg(long, value_name = "FILE")]
        after: Option<PathBuf>,
        /// Where the draft goes; nothing may be there.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a draft and sign it with the directory key of a node.
    Sign {
        /// The draft.
        draft: PathBuf,
        /// The charter in force.
        #[arg(long, value_name = "FILE")]
        charter: PathBuf,
        /// The Party's newest profile.
        #[arg(long, value_name = "FILE")]
        profile: PathBuf,
        /// The node's folder of keys.
        #[arg(long, value_name = "DATA/keys")]
        keys: PathBuf,
        /// Where the signed roll goes; nothing may be there.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Read the passphrase of those keys from this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Hand a signed roll to the node; from then on it counts.
    Install {
        /// The signed roll.
        roll: PathBuf,
    },
    /// Who is on the roll that counts.
    Show {
        /// Also write it to this file, as the next draft needs it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// The command.
pub(crate) fn officer(command: &Command, context: &Context) -> Done {
    let Command::Roll(roll) = command;
    match roll {
        Roll::Draft { charter, profile, after, out } => draft(&files(charter, profile), after.as_deref(), out, context),
        Roll::Sign { draft, charter, profile, keys, out, passphrase_file } => {
            let beside = Beside::read(&files(charter, profile), ceremony::now_in_seconds())?;
            sign(draft, &beside, keys, out, passphrase_file.as_deref(), context)
        }
        Roll::Install { roll } => wait_for(install(roll, context)),
        Roll::Show { out } => wait_for(show(out.as_deref(), context)),
    }
}

fn files(charter: &Path, profile: &Path) -> Files {
    Files { charter: Some(charter.to_owned()), profile: Some(profile.to_owned()), ..Files::default() }
}

fn draft(files: &Files, after: Option<&Path>, out: &Path, context: &Context) -> Done {
    let beside = Beside::read(files, ceremony::now_in_seconds())?;
    let profile = beside.profile("roll of officers")?;
    let draft = match after {
        Some(path) => RollDraft::next(&ceremony::read_roll(path)?.1, profile.id(), beside.now),
        None => RollDraft::first(profile, beside.now),
    };
    ceremony::write(out, draft.to_text().as_bytes())?;
    let file = out.display().to_string();
    context.out.either(&json!({ "schema": "comity/draft-written/v1", "file": file }), |_| {
        format!(
            "{file} written.\nNext:\n  1. You: edit it.\n  2. The operator of the node: comity officer roll sign {file} \
             --charter CHARTER --profile PROFILE --keys DATA/keys --out roll.dsse"
        )
    });
    Ok(Verdict::Fine)
}

fn sign(
    draft: &Path,
    beside: &Beside,
    keys: &Path,
    out: &Path,
    passphrase_file: Option<&Path>,
    context: &Context,
) -> Done {
    let wire = RollDraft::read(draft)?;
    ceremony::check_roll(draft, &wire, beside)?;
    ceremony::refuse_existing(out)?;
    // Before the passphrase is asked for: it is the consent to what stands here.
    let shown = told(&wire);
    if context.out.json {
        context.out.say(&shown)
    } else {
        context.out.line(&shown)
    }
    let passphrase = Passphrase::obtain(passphrase_file, Purpose::Open)?;
    let envelope = ceremony::sign_roll(&wire, beside, keys, out.to_owned(), &passphrase)?;
    ceremony::write(out, &envelope)?;
    let (id, file) = (document_id(ROLL_TYPE, &wire.encode_to_vec()), out.display().to_string());
    let signed = json!({
        "schema": "comity/roll-signed/v1", "id": id.to_string(), "version": wire.version, "file": file,
    });
    context.out.either(&signed, |_| {
        format!("Signed.\nNext:\n  1. The operator of the node: comity officer roll install {file}")
    });
    Ok(Verdict::Fine)
}

/// A roll as the one who signs it must see it.
fn told(wire: &proto::Roll) -> String {
    let side = |side: &i32| Side::read(*side).map_or("no", Side::as_str);
    let until = |ms: u64| if ms == 0 { "open".to_owned() } else { crate::time::rfc3339(comity_core::ids::Time(ms)) };
    let from = |ms: u64| crate::time::rfc3339(comity_core::ids::Time(ms));
    let officer = |row: &proto::Officer| {
        let procedures = if row.procedures.is_empty() { "all".to_owned() } else { row.procedures.join(", ") };
        let sides: Vec<_> = row.sides.iter().map(side).collect();
        [
            row.id.clone(),
            row.authority.clone(),
            procedures,
            sides.join(", "),
            until(row.until_ms),
            comity_core::ids::hex(&row.public_key),
        ]
    };
    let head =
        pairs(&[("Roll of", format!("{}, {}", wire.party, wire.network)), ("Version", wire.version.to_string())]);
    let officers: Vec<_> = wire.officers.iter().map(officer).collect();
    let mut text =
        format!("{head}\n{}", table(["OFFICER", "AUTHORITY", "PROCEDURES", "SIDES", "UNTIL", "KEY"], &officers));
    for row in &wire.deputies {
        text +=
            &format!("\n{} stands in for {} from {} until {}", row.by, row.of, from(row.from_ms), until(row.until_ms));
    }
    for row in &wire.absences {
        text += &format!("\n{} is away from {} until {}", row.officer, from(row.from_ms), until(row.until_ms));
    }
    text
}

async fn install(path: &Path, context: &Context) -> Done {
    let (envelope, wire) = ceremony::read_roll(path)?;
    let header: proto::Envelope = strict(&envelope, DOCUMENT_MAX).unwrap_or_default();
    let id = document_id(ROLL_TYPE, &header.header);
    let body = json!({ "envelope": STANDARD.encode(&envelope) });
    let installed = context.client()?.put_anew(&format!("/v1/rolls/{id}"), &body).await?;
    context.out.either(&installed, |installed| {
        format!(
            "Roll {} of {} counts now: {} officers.",
            number(installed, "/version"),
            wire.party,
            wire.officers.len()
        )
    });
    Ok(Verdict::Fine)
}

async fn show(out: Option<&Path>, context: &Context) -> Done {
    let roll = context.client()?.get("/v1/roll").await?;
    if let Some(out) = out {
        let bytes = STANDARD.decode(text(&roll, "/envelope"));
        ceremony::write(out, &bytes.map_err(|why| CliFault::BadAnswer(why.to_string()))?)?;
    }
    context.out.either(&roll, shown);
    Ok(if roll["counts"] == true { Verdict::Fine } else { Verdict::Finding })
}

fn shown(roll: &Value) -> String {
    let yes = |pointer: &str| if roll.pointer(pointer) == Some(&Value::Bool(true)) { "yes" } else { "no" };
    let head = pairs(&[
        ("Version", number(roll, "/version").to_string()),
        ("Id", text(roll, "/id").to_owned()),
        ("Issued", local(text(roll, "/issued"))),
        ("Installed", local(text(roll, "/installed"))),
        ("Counts", yes("/counts").to_owned()),
        ("Two required", yes("/required").to_owned()),
    ]);
    let officer = |row: &Value| {
        let procedures = joined(row, "/procedures");
        let here = if row["present"] == true { "yes" } else { "no" };
        [
            text(row, "/id").to_owned(),
            text(row, "/authority").to_owned(),
            if procedures.is_empty() { "all".to_owned() } else { procedures },
            joined(row, "/sides"),
            or_dash(&local(text(row, "/until"))).to_owned(),
            here.to_owned(),
        ]
    };
    let officers: Vec<_> = list(roll, "/officers").iter().map(officer).collect();
    let mut shown =
        format!("{head}\n{}", table(["OFFICER", "AUTHORITY", "PROCEDURES", "SIDES", "UNTIL", "HERE"], &officers));
    for row in list(roll, "/deputies") {
        let (by, of) = (text(row, "/by"), text(row, "/of"));
        shown += &format!(
            "\n{by} stands in for {of} from {} until {}",
            local(text(row, "/from")),
            or_dash(&local(text(row, "/until")))
        );
    }
    for row in list(roll, "/absences") {
        let who = text(row, "/officer");
        shown += &format!(
            "\n{who} is away from {} until {}",
            local(text(row, "/from")),
            or_dash(&local(text(row, "/until")))
        );
    }
    shown
}
