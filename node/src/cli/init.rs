//! `comity init`: an exercise network in one folder. What a real Party does - make its own keys, join
//! by a charter it was given, declare itself by a profile - comes with the ceremonies.

use std::path::PathBuf;

use comity_core::{
    founding::Office,
    ids::{NetworkName, PartyCode},
};
use serde_json::json;

use super::{
    Context, Done, Verdict,
    fault::CliFault,
    found::{Member, Network, found},
};
use crate::{
    keys::{Passphrase, Purpose},
    time,
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

To come: making one Party's keys for a network that exists, and ceremonies on several machines.
An exercise network says so in its charter and never meets real requests.")]
pub(crate) struct Args {
    /// Found a new exercise network in this folder.
    #[arg(long, value_name = "FOLDER", required = true)]
    found: PathBuf,
    /// Its Parties: ISO 3166-1 code and name of each.
    #[arg(long, value_name = "CODE:NAME", value_delimiter = ',', required = true)]
    parties: Vec<String>,
    /// The network's name, part of every ledger's name.
    #[arg(long, value_name = "NAME", default_value = "exercise.comity.test")]
    exercise_network: String,
    /// Read the passphrase of all keys from this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// The command.
pub(crate) fn init(args: &Args, context: &Context) -> Done {
    let network = network(args)?;
    let passphrase = Passphrase::obtain(args.passphrase_file.as_deref(), Purpose::Create)?;
    let founded = found(&network, &args.found, &passphrase, time::now())?;
    let folder = |member: &Member| args.found.join(member.folder()).display().to_string();
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

fn network(args: &Args) -> Result<Network, CliFault> {
    let bad = |what: &str, why: String| CliFault::BadArgument { what: what.to_owned(), why };
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
    Ok(Network { name, parties })
}

/// A Party as exercises have them: a central authority and a contact point, both for every procedure.
pub(crate) fn exercise_member(code: PartyCode, name: &str, zone: &str, address: String) -> Member {
    let office = |id: &str, title: String| Office {
        id: id.to_owned(),
        name: title,
        time_zone: zone.to_owned(),
        procedures: ["MLA-STORED", "PRES"].map(str::to_owned).to_vec(),
    };
    let offices = vec![
        office("central", format!("Central Authority of {name}")),
        office("contact-point", format!("24/7 Contact Point of {name}")),
    ];
    Member { code, name: name.to_owned(), offices, languages: vec!["en".to_owned(), "fr".to_owned()], address }
}
