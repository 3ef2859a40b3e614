//! `comity party …`: the Parties of the network, who speaks for each, and who is on duty there.

use clap::Subcommand;
use serde_json::Value;

use super::{
    Context, Done, Verdict,
    show::{list, local, or_dash, pairs, table, text},
};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// All Parties: whether they act, how fresh what is known of them is, whether somebody is on duty.
    List,
    /// One Party: its authorities with their powers and languages, its offices and their hours.
    Show {
        /// The Party, for example XB.
        party: String,
    },
}

/// The command.
pub(crate) async fn party(command: Command, context: &Context) -> Done {
    let client = context.client()?;
    match command {
        Command::List => context.out.either(&client.get("/v1/parties").await?, parties),
        Command::Show { party } => context.out.either(&client.get(&format!("/v1/parties/{party}")).await?, shown),
    }
    Ok(Verdict::Fine)
}

fn duty(party: &Value) -> String {
    match party["on_duty"].as_bool() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    }
    .to_owned()
}

fn version(party: &Value, what: &str) -> String {
    party[what].as_u64().map_or("-".to_owned(), |version| version.to_string())
}

fn parties(parties: &Value) -> String {
    let row = |party: &Value| {
        [
            text(party, "/party").to_owned(),
            text(party, "/name").to_owned(),
            if party["acts"] == true { "yes" } else { "no" }.to_owned(),
            version(party, "profile"),
            version(party, "directory"),
            text(party, "/freshness").to_owned(),
            duty(party),
        ]
    };
    let rows: Vec<_> = list(parties, "/parties").iter().map(row).collect();
    table(["PARTY", "NAME", "ACTS", "PROFILE", "DIRECTORY", "FRESHNESS", "ON DUTY"], &rows)
}

fn shown(shown: &Value) -> String {
    let party = &shown["party"];
    let mut rows = vec![
        ("Party", format!("{} {}", text(party, "/party"), text(party, "/name"))),
        ("Acts", if party["acts"] == true { "yes" } else { "no" }.to_owned()),
        ("Joined", local(text(party, "/joined"))),
        ("Profile", format!("{} {}", version(party, "profile"), text(party, "/profile_id"))),
        ("Heard of", format!("{} ({})", or_dash(&local(text(party, "/heard"))), text(party, "/freshness"))),
    ];
    for warning in list(shown, "/warnings") {
        rows.push(("LOOK AFTER", format!("{}: {}", text(warning, "/code"), text(warning, "/detail"))));
    }
    let offices: Vec<_> = list(shown, "/offices").iter().map(office).collect();
    let offices = match offices.is_empty() {
        true => "No contacts or hours are published.".to_owned(),
        false => {
            table(["ON DUTY", "OFFICE", "AUTHORITY", "THERE IT IS", "HOURS", "LANGUAGES", "PHONE", "E-MAIL"], &offices)
        }
    };
    let powers: Vec<_> = list(shown, "/authorities").iter().flat_map(powers).collect();
    format!(
        "{}\n\n{offices}\n\n{}",
        pairs(&rows),
        table(["AUTHORITY", "PROCEDURE", "SIDE", "LANGUAGES", "URGENT"], &powers)
    )
}

fn office(office: &Value) -> [String; 8] {
    let said = |what: &str| or_dash(text(office, what)).to_owned();
    [
        if office["on_duty"] == true { "yes" } else { "no" }.to_owned(),
        said("/office"),
        said("/authority"),
        said("/local"),
        said("/hours"),
        joined(office, "/languages"),
        said("/phone"),
        said("/email"),
    ]
}

fn powers(authority: &Value) -> Vec<[String; 5]> {
    let row = |power: &Value| {
        [
            text(authority, "/id").to_owned(),
            text(power, "/procedure").to_owned(),
            text(power, "/side").to_owned(),
            joined(power, "/languages"),
            joined(power, "/urgent_languages"),
        ]
    };
    list(authority, "/powers").iter().map(row).collect()
}

fn joined(value: &Value, what: &str) -> String {
    let words: Vec<&str> = list(value, what).iter().filter_map(Value::as_str).collect();
    or_dash(&words.join(", ")).to_owned()
}
