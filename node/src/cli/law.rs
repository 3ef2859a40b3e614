//! `comity law …`: which law applies between two Parties, explained article by article; rule files tried before they count.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    show::{joined, list, number, or_dash, table, text},
};
use crate::law;

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Each instrument that could carry a request between two Parties: whether it may, deadlines, grounds, documents.
    Explain(Box<Explain>),
    /// All procedures, with the instruments they may be based on; those that are not offered yet among them.
    Procedures,
    /// Read rule files together with those of this build and name every mistake. Needs no node.
    Check {
        /// The files, for example a treaty of two Parties.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// What is asked.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// The Party that would ask, for example XA.
    from: String,
    /// The Party that would be asked.
    to: String,
    /// Only this procedure, for example EXTR; shown in full.
    #[arg(long)]
    procedure: Option<String>,
    /// On this day instead of today, as YYYY-MM-DD.
    #[arg(long, value_name = "DAY")]
    on: Option<String>,
    /// An offence, for example CC-01. May be given several times.
    #[arg(long, value_name = "CODE")]
    offence: Vec<String>,
    /// The highest penalty under the law of the Party that asks, in months.
    #[arg(long, value_name = "MONTHS")]
    penalty: Option<u64>,
    /// The highest penalty for the same act under the law of the Party that is asked, in months.
    #[arg(long, value_name = "MONTHS")]
    penalty_requested: Option<u64>,
    /// Imprisonment for life is possible.
    #[arg(long)]
    life: bool,
    /// The sentence imposed or left, in months.
    #[arg(long, value_name = "MONTHS")]
    sentence: Option<u64>,
    /// A category of data: subscriber, identification_only, traffic, content. May be given several times.
    #[arg(long, value_name = "CATEGORY")]
    data_category: Vec<String>,
    /// It is an emergency, on this basis: life-or-safety, critical-infrastructure.
    #[arg(long, value_name = "BASIS")]
    emergency: Option<String>,
    /// A protocol the request would rest on beside its instrument, for example ECE-P2. May be given several times.
    #[arg(long, value_name = "CODE")]
    protocol: Vec<String>,
    /// Leave out what cannot carry the request.
    #[arg(long)]
    offered: bool,
}

/// The command.
pub(crate) async fn law(command: Command, context: &Context) -> Done {
    match command {
        Command::Explain(asked) => explain(&asked, context).await,
        Command::Procedures => {
            context.out.either(&context.client()?.get("/v1/procedures").await?, procedures);
            Ok(Verdict::Fine)
        }
        Command::Check { files } => check(&files, context),
    }
}

async fn explain(asked: &Explain, context: &Context) -> Done {
    let client = context.client()?;
    let mut answer = client.get(&format!("/v1/law?{}", asked.query()?)).await?;
    if asked.offered
        && let Some(bases) = answer["bases"].as_array_mut()
    {
        bases.retain(|basis| basis["offered"] == true);
    }
    let none = !list(&answer, "/bases").iter().any(|basis| basis["offered"] == true);
    let in_full = asked.procedure.is_some();
    context.out.either(&answer, |answer| if in_full { in_words(answer) } else { overview(answer) });
    Ok(if none { Verdict::Finding } else { Verdict::Fine })
}

impl Explain {
    /// The question as the node reads it. What is no code, number or day is refused here: nothing of it needs to be escaped.
    fn query(&self) -> Result<String, CliFault> {
        let number = |months: Option<u64>| months.map(|months| months.to_string()).unwrap_or_default();
        let asked = [
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("procedure", self.procedure.clone().unwrap_or_default()),
            ("on", self.on.clone().unwrap_or_default()),
            ("offences", self.offence.join(",")),
            ("penalty_months", number(self.penalty)),
            ("penalty_months_requested", number(self.penalty_requested)),
            ("life", if self.life { "true".to_owned() } else { String::new() }),
            ("sentence_months", number(self.sentence)),
            ("data", self.data_category.join(",")),
            ("emergency", self.emergency.clone().unwrap_or_default()),
            ("protocols", self.protocol.join(",")),
        ];
        let said = asked.into_iter().filter(|(_, value)| !value.is_empty());
        let pair = |(name, value): (&'static str, String)| {
            let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b','));
            let why = "it must be a code, a number or a day as YYYY-MM-DD".to_owned();
            if plain { Ok(format!("{name}={value}")) } else { Err(CliFault::BadField { field: name.to_owned(), why }) }
        };
        Ok(said.map(pair).collect::<Result<Vec<_>, _>>()?.join("&"))
    }
}

fn overview(answer: &Value) -> String {
    let row = |basis: &Value| {
        let instead = basis["replaced_by"].as_str().map(|code| format!("{code} takes its place"));
        let against = list(basis, "/against").iter().filter_map(Value::as_str).map(str::to_owned);
        let why = instead.into_iter().chain(against).collect::<Vec<_>>().join("; ");
        [
            text(basis, "/procedure").to_owned(),
            text(basis, "/instrument").to_owned(),
            text(basis, "/articles").to_owned(),
            if basis["offered"] == true { "yes" } else { "no" }.to_owned(),
            or_dash(&why).to_owned(),
        ]
    };
    let rows: Vec<_> = list(answer, "/bases").iter().map(row).collect();
    let (from, to, on) = (text(answer, "/from"), text(answer, "/to"), text(answer, "/on"));
    format!(
        "{from} asks {to} on {on}\n\n{}",
        table(["PROCEDURE", "INSTRUMENT", "ARTICLES", "OFFERED", "WHY NOT"], &rows)
    )
}

/// The figure's mark, in words: an unconfirmed rule is never to be taken for law.
fn marked(row: &Value) -> String {
    let means = match text(row, "/mark") {
        "s" => "seen in the source",
        "g" => "to be confirmed",
        "p" => "own proposal, no law",
        other => other,
    };
    format!("{} [{means}]", text(row, "/source"))
}

fn in_words(answer: &Value) -> String {
    let (from, to, on) = (text(answer, "/from"), text(answer, "/to"), text(answer, "/on"));
    let bases = list(answer, "/bases");
    let parts = bases.iter().map(|basis| basis_in_words(basis, from, to));
    let parts = parts.collect::<Vec<_>>().join("\n");
    format!("{from} asks {to} on {on}\n\n{parts}")
}

fn basis_in_words(basis: &Value, from: &str, to: &str) -> String {
    let mut said = format!(
        "{} under {} {} - {}\n",
        text(basis, "/procedure"),
        text(basis, "/instrument"),
        text(basis, "/articles"),
        text(basis, "/instrument_name"),
    );
    let mut line = |text: String| {
        said.push_str("  ");
        said.push_str(&text);
        said.push('\n');
    };
    if basis["offered"] == true {
        line(format!("May carry the request. {}", marked(basis)));
    }
    for why in list(basis, "/against").iter().filter_map(Value::as_str) {
        line(format!("Cannot carry the request: {why}."));
    }
    if let Some(code) = basis["replaced_by"].as_str() {
        line(format!("Between {from} and {to} {code} takes its place."));
    }
    if basis["offered"] == true {
        if !text(basis, "/channel").is_empty() {
            line(format!("Goes from {}.", text(basis, "/channel")));
        }
        let languages = joined(basis, "/languages");
        if !languages.is_empty() {
            line(format!("In {languages}, as {to} says."));
        }
        list(basis, "/documents").iter().map(document).for_each(&mut line);
        list(basis, "/clocks").iter().map(clock).for_each(&mut line);
        list(basis, "/grounds").iter().map(ground).for_each(&mut line);
        list(basis, "/notices").iter().map(notice).for_each(&mut line);
    }
    said
}

fn document(row: &Value) -> String {
    format!("Document ({}): {}. {}", text(row, "/needed"), text(row, "/title"), marked(row))
}

fn clock(row: &Value) -> String {
    let provided = list(row, "/provided").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" and ");
    let provided = if provided.is_empty() { String::new() } else { format!(", if {provided}") };
    let longer = row["longer"].as_str().map(|rule| format!("; longer: {rule}")).unwrap_or_default();
    let declared = if row["declared"] == true { ", as declared" } else { "" };
    let effect = if row["legal_effect"] == true { "; its end has effect in law" } else { "" };
    format!(
        "Clock {}: {} x {} from {}{declared}{provided}{longer}{effect} - {}. {}",
        text(row, "/clock"),
        number(row, "/count"),
        text(row, "/unit"),
        text(row, "/start"),
        text(row, "/title"),
        marked(row),
    )
}

fn ground(row: &Value) -> String {
    let state = match row["closed"].as_str() {
        Some(why) => format!("closed: {why}"),
        None if row["mandatory"] == true => "open, and must be used where it holds".to_owned(),
        None => "open".to_owned(),
    };
    format!("Ground {} ({}): {state}. {}", text(row, "/ground"), text(row, "/title"), marked(row))
}

fn notice(row: &Value) -> String {
    format!("Tell {}: {} ({}). {}", text(row, "/to"), text(row, "/of"), text(row, "/step"), marked(row))
}

fn procedures(answer: &Value) -> String {
    let row = |procedure: &Value| {
        let based = list(procedure, "/instruments").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let offered = if procedure["family"].is_null() { "not yet" } else { "yes" };
        [
            text(procedure, "/code").to_owned(),
            text(procedure, "/name").to_owned(),
            offered.to_owned(),
            or_dash(&based).to_owned(),
        ]
    };
    let rows: Vec<_> = list(answer, "/procedures").iter().map(row).collect();
    table(["CODE", "NAME", "OFFERED", "INSTRUMENTS"], &rows)
}

fn check(files: &[PathBuf], context: &Context) -> Done {
    let rules = law::with_files(files)?;
    let (instruments, procedures) = (rules.instruments().count(), rules.procedures().count());
    let answer = json!({ "schema": "comity/law-check/v1", "instruments": instruments, "procedures": procedures });
    context.out.either(&answer, |_| {
        format!("The files read: with those of this build {instruments} instruments, {procedures} procedures.\n")
    });
    Ok(Verdict::Fine)
}
