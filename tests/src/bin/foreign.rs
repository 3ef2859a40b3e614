//! One network that Parties of other makes call and are called by: `comity::net` alone, as the node runs it.
//!
//! `foreign [--classical] PARTY=SEED[@ADDRESS]…` names each Party by the seed of its transport key, 32 bytes in
//! hexadecimal, and dials it where it has an address. It prints one JSON object a line, first its own address
//! and PeerId, then what happens, and ends with its standard input. Standard error is
//! the log of the room, whose codes tell what is no event. `tests/foreign/run` judges both.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use comity::{
    net::{NetEvent, NetSettings, Roster},
    telemetry::{self, Format, Level},
};
use comity_core::{
    crypto::{PublicKey, Seed},
    ids::{PartyCode, unhex},
    proto::{Algorithm, KeyRole},
};
use tokio::sync::{mpsc, watch};

type Loose = Box<dyn std::error::Error + Send + Sync>;

/// The seed of this network's own key.
const OWN: [u8; 32] = [1; 32];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Loose> {
    telemetry::install_panic_hook();
    telemetry::start(Format::Json, Level::Warn, Some("net=debug"))?;
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.len();
    arguments.retain(|argument| argument != "--classical");
    let require_hybrid = arguments.len() == all;
    let parties = arguments.iter().map(|argument| entry(argument)).collect::<Result<Vec<_>, _>>()?;
    let (events, mut happens) = mpsc::channel(256);
    let (_, cut_off) = watch::channel(std::collections::BTreeSet::new());
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let settings = NetSettings { listen, require_hybrid, agent: "comity/foreign".to_owned(), cut_off };
    let net = comity::net::start(settings, &Seed::new(OWN), Roster::new(parties)?, events).await?;
    let address = net.listen_addresses().into_iter().next().ok_or("it does not listen")?;
    print("ready", &[("address", &address), ("peer", net.peer_id())]);
    let mut closed = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
    loop {
        tokio::select! {
            event = happens.recv() => tell(event.ok_or("the network ended")?),
            ended = &mut closed => {
                ended??;
                break;
            }
        }
    }
    net.stop().await;
    Ok(())
}

type Entry = (PartyCode, Vec<[u8; 32]>, Vec<String>);

/// A Party with the key its seed gives, and where it is dialled.
fn entry(argument: &str) -> Result<Entry, Loose> {
    let (party, rest) = argument.split_once('=').ok_or("PARTY=SEED[@ADDRESS] is expected")?;
    let (seed, address) = rest.split_once('@').map_or((rest, None), |(seed, address)| (seed, Some(address)));
    let seed = <[u8; 32]>::try_from(unhex(seed, "seed")?).map_err(|_| "a seed has 32 bytes")?;
    let key = PublicKey::of(KeyRole::Transport, Algorithm::Ed25519, &Seed::new(seed)).map_err(|_| "a key")?;
    let key = <[u8; 32]>::try_from(key.bytes).map_err(|_| "a key of 32 bytes")?;
    Ok((PartyCode::parse(party)?, vec![key], address.map(str::to_owned).into_iter().collect()))
}

fn tell(event: NetEvent) {
    match event {
        NetEvent::Up { party, peer, address, hybrid } => {
            let hybrid = hybrid.to_string();
            print("up", &[("party", party.as_str()), ("peer", &peer), ("address", &address), ("hybrid", &hybrid)]);
        }
        NetEvent::Down { party, why } => print("down", &[("party", party.as_str()), ("code", why)]),
        NetEvent::Delivery { party, frame, .. } => {
            print("delivery", &[("party", party.as_str()), ("bytes", &frame.len().to_string())]);
        }
        NetEvent::Answer { party, frame } => {
            print("answer", &[("party", party.as_str()), ("bytes", &frame.len().to_string())]);
        }
        NetEvent::Unanswered { party } => print("unanswered", &[("party", party.as_str())]),
        NetEvent::Evidence { party, .. } => print("evidence", &[("party", party.as_str())]),
        NetEvent::Witness { party, .. } => print("witness", &[("party", party.as_str())]),
        NetEvent::Roster { party, .. } => {
            print("roster", &[("party", party.as_ref().map_or("a stranger", PartyCode::as_str))]);
        }
        NetEvent::Lobby { party, .. } => print("lobby", &[("party", party.as_str())]),
        NetEvent::Misconduct { party, code, count } => {
            print("misconduct", &[("party", party.as_str()), ("code", code), ("count", &count.to_string())]);
        }
        NetEvent::Stranger { peer, address } => print("stranger", &[("peer", &peer), ("address", &address)]),
        NetEvent::DialFailed { party, address, code, attempt, .. } => {
            let attempt = attempt.to_string();
            let fields = [("party", party.as_str()), ("address", &*address), ("code", code), ("attempt", &*attempt)];
            print("dial-failed", &fields);
        }
    }
}

/// All values are text of a known alphabet: codes, addresses, numbers. Nothing needs escaping.
fn print(event: &str, fields: &[(&str, &str)]) {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!(r#", "{name}": "{value}""#)).collect();
    println!(r#"{{"event": "{event}"{}}}"#, fields.concat());
}
