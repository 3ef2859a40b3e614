//! `comity init`: one Party's data folder from a founding kit, or an exercise network of many in one folder.

use std::path::{Path, PathBuf};

use comity_core::{
    founding::Office,
    ids::{NetworkName, PartyCode},
};
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    found::{Member, Network, found},
};
use crate::{
    ceremony::{self, Joined, Joining},
    config::Address,
    keys::{Passphrase, Purpose},
    law, time,
};

/// The ports of an exercise on one machine start here: beside the default port of a node.
const FIRST_PORT: u16 = 4811;
/// As many Parties on one machine as ISO 3166 leaves codes to its users, QM to QZ and XA to XZ; more would be an
/// exercise of another kind.
const PARTIES_MAX: usize = 40;

/// What `init` can be told.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  comity init --found exercise --parties XA:Arvia,XB:Belmar,XC:Corvia
  comity run --data exercise/arvia

One Party of a network that exists, with the kit and the fingerprint from the printed minutes:
  comity init --join kit.comity --party XD --data dorvia --fingerprint WORD WORD ...
An exercise network says so in its charter and never meets real requests.")]
pub(crate) struct Args {
    /// Make the data folder (--data) of one Party from this founding kit.
    #[arg(long, value_name = "KIT", requires_all = ["fingerprint", "party"], conflicts_with_all = ["found", "parties"])]
    join: Option<PathBuf>,
    /// The fingerprint of the charter as the printed minutes have it: 64 digits, or 24 words.
    #[arg(long, value_name = "DIGITS-OR-WORDS", num_args = 1..=24, requires = "join")]
    fingerprint: Vec<String>,
    /// The Party that joins: its ISO 3166-1 code.
    #[arg(long, value_name = "CODE", requires = "join")]
    party: Option<String>,
    /// Where its node listens, such as /ip4/0.0.0.0/tcp/4810.
    #[arg(long, value_name = "ADDRESS", requires = "join")]
    listen: Option<String>,
    /// Found a new exercise network in this folder.
    #[arg(long, value_name = "FOLDER", required_unless_present = "join")]
    found: Option<PathBuf>,
    /// Its Parties: ISO 3166-1 code and name of each.
    #[arg(long, value_name = "CODE:NAME", value_delimiter = ',', required_unless_present = "join")]
    parties: Vec<String>,
    /// A rule file beside those of this build, such as a treaty of two Parties: each Party gets it, and it is in force.
    #[arg(long, value_name = "FILE", requires = "found")]
    rules: Vec<PathBuf>,
    /// The network's name, part of every ledger's name.
    #[arg(long, value_name = "NAME", default_value = "exercise.comity.test")]
    exercise_network: String,
    /// Read the passphrase of all keys from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// The command.
pub(crate) fn init(args: &Args, context: &Context) -> Done {
    match (&args.join, &args.found) {
        (Some(kit), _) => join(kit, args, context),
        (None, Some(into)) => found_network(into, args, context),
        (None, None) => Err(bad("--join or --found", "one of them is needed".to_owned())),
    }
}

fn found_network(into: &Path, args: &Args, context: &Context) -> Done {
    let network = network(args)?;
    let passphrase = Passphrase::obtain(args.passphrase_file.as_deref(), Purpose::Create)?;
    let founded = found(&network, into, &passphrase, time::now())?;
    let folder = |member: &Member| into.join(member.folder()).display().to_string();
    if context.out.json {
        let parties = network.parties.iter();
        let party =
            |member: &Member| json!({ "party": member.code.as_str(), "name": member.name, "data": folder(member) });
        context.out.object(&json!({
            "schema": "comity/founded/v1",
            "network": network.name.as_str(),
            "exercise": true,
            "fingerprint": founded.fingerprint.to_string(),
            "parties": parties.map(party).collect::<Vec<_>>(),
        }));
        return Ok(Verdict::Fine);
    }
    context
        .out
        .line(&format!("Exercise network {} founded.\nCharter fingerprint: {}\n", network.name, founded.fingerprint));
    for member in &network.parties {
        context.out.line(&format!("{} {}: comity run --data {}", member.code, member.name, folder(member)));
    }
    Ok(Verdict::Fine)
}

fn bad(what: &str, why: String) -> CliFault {
    CliFault::BadArgument { what: what.to_owned(), why }
}

fn join(kit: &Path, args: &Args, context: &Context) -> Done {
    let code = args.party.as_deref().unwrap_or_default().to_ascii_uppercase();
    let party = PartyCode::parse(&code).map_err(|why| bad("--party", why.to_string()))?;
    let fingerprint = ceremony::read_fingerprint(&args.fingerprint.join(" "))?;
    let listen = args.listen.as_deref().map(|text| {
        let address = Address::parse(text).filter(Address::is_listenable);
        address.ok_or_else(|| bad("--listen", "it must be an address like /ip4/0.0.0.0/tcp/4810".to_owned()))
    });
    let listen = listen.transpose()?;
    let joining = Joining { kit, fingerprint, party: &party, data: &context.data, listen: listen.as_ref() };
    // A folder that is made anew keeps its keys.
    let purpose = if ceremony::may_join_again(&context.data) { Purpose::Open } else { Purpose::Create };
    let passphrase = Passphrase::obtain(args.passphrase_file.as_deref(), purpose)?;
    let joined = ceremony::join(&joining, &passphrase, ceremony::now_in_seconds())?;
    let next = next_of(&joined, &party, &context.data);
    let object = json!({
        "schema": "comity/joined/v1", "network": joined.network.as_str(), "exercise": joined.exercise,
        "party": party.as_str(), "named": joined.named, "data": context.data.display().to_string(),
        "profiles": joined.profiles, "next": next,
    });
    for left in &joined.left_out {
        context.out.say(&format!("Left out of the kit, until it comes from the network: {left}"));
    }
    let mark = if joined.exercise { "exercise network" } else { "network" };
    let text = |_: &Value| {
        format!(
            "{} of {mark} {} made for {party}, with {} profile(s).\n{next}",
            context.data.display(),
            joined.network,
            joined.profiles
        )
    };
    context.out.either(&object, text);
    Ok(Verdict::Fine)
}

/// What is left to do, and for whom.
fn next_of(joined: &Joined, party: &PartyCode, data: &Path) -> String {
    let (draft, charter, profile) = (joined.draft.display(), joined.charter.display(), joined.profile.display());
    let data = data.display();
    let steps = if joined.named {
        vec![
            format!("You: edit {draft}: your authorities, their powers, your languages."),
            format!("You: comity profile propose {draft} --charter {charter} --out profile-{party}.dsse"),
            format!(
                "Each holder of a root key, offline, with a copy of the charter: comity profile sign profile-{party}.dsse \
                 --charter charter.dsse --keys FOLDER --out signed-1.dsse"
            ),
            format!(
                "You: comity profile collect profile-{party}.dsse signed-1.dsse --charter {charter} --out {profile}"
            ),
            format!("You: run: comity run --data {data}"),
            format!(
                "The operator of any node that runs already: comity roster import {profile}, or the secretariat: the next kit."
            ),
        ]
    } else {
        vec![
            format!("Each holder of a root key, offline: comity key create root-{party}-1 --role root"),
            "You: send the .pub files to the secretariat, and compare their fingerprints with it by telephone."
                .to_owned(),
            format!(
                "The secretariat: name {party} in the next charter, and send the next kit, and its fingerprint by another way."
            ),
            format!(
                "You: run the same comity init --join again with that kit and its fingerprint; {data} keeps its keys and draft."
            ),
            format!(
                "You: edit {draft}, and run: comity profile propose {draft} --charter {charter} --out profile-{party}.dsse"
            ),
        ]
    };
    let lead = match &joined.before {
        Some(before) => format!("Keys and draft are those it had; the folder as it was is {}.\n", before.display()),
        None if joined.named => String::new(),
        None => "The charter does not name this Party yet; the folder is ready meanwhile.\n".to_owned(),
    };
    let steps = (1..).zip(steps).map(|(n, step): (u32, _)| format!("\n  {n}. {step}"));
    format!("{lead}Next:{}", steps.collect::<String>())
}

fn network(args: &Args) -> Result<Network, CliFault> {
    let name = NetworkName::parse(&args.exercise_network).map_err(|why| bad("--exercise-network", why.to_string()))?;
    if args.parties.len() > PARTIES_MAX {
        return Err(bad("--parties", format!("one machine founds at most {PARTIES_MAX}")));
    }
    let mut parties: Vec<Member> = Vec::new();
    for (port, text) in (FIRST_PORT..).zip(&args.parties) {
        let (code, name) = text.split_once(':').unwrap_or((text, text));
        let code = PartyCode::parse(&code.to_ascii_uppercase()).map_err(|why| bad(text, why.to_string()))?;
        let member = exercise_member(code, name, "UTC", format!("/ip4/127.0.0.1/tcp/{port}"));
        if parties.iter().any(|other| other.code == member.code || other.folder() == member.folder()) {
            return Err(bad(text, "two Parties have one code or one name".to_owned()));
        }
        parties.push(member);
    }
    Ok(Network { name, parties, rules: args.rules.clone() })
}

/// A Party as exercises have them: a central authority and a contact point, both for every procedure.
pub(crate) fn exercise_member(code: PartyCode, name: &str, zone: &str, address: String) -> Member {
    let office = |id: &str, title: String| Office {
        id: id.to_owned(),
        name: title,
        time_zone: zone.to_owned(),
        procedures: law::offered(),
    };
    let offices = vec![
        office("central", format!("Central Authority of {name}")),
        office("contact-point", format!("24/7 Contact Point of {name}")),
    ];
    Member { code, name: name.to_owned(), offices, languages: vec!["en".to_owned(), "fr".to_owned()], address }
}
