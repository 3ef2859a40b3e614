//! Ten thousand open requests with thirty clocks each: what a tick costs, what the clocks weigh, how long a start takes.
//!
//! `cargo run --release -p comity-tests --bin bench-clocks [REQUESTS] [CLOCKS]`. The requests are rows of an index in memory, based
//! on an instrument whose clocks all run at once; the engine opens over them as at a start of a node and is then told the time.
//! Beside it stands the same number of plain timers in an ordered set, the least anybody could do.

use std::{collections::BTreeSet, error::Error, fmt::Write as _, fs, sync::Arc, time::Duration};

use comity_core::{
    clock::Reckoning,
    crypto::{Seed, sha256},
    engine::{Engine, Identity, Input, Output},
    event::{BodyRef, Header, event_id, thread_id},
    founding::{Founder, Office, RoleKeys, charter, profile, sign_charter, sign_profile},
    ids::{AuthorityId, DAY_MS, LedgerIndex, NetworkName, Origin, PartyCode, ProcedureCode, RequestId, StepCode, Time},
    index::{Index, MemoryPairs, RecordView},
    profile::{Book, CHARTER_TYPE, document_id},
    proto::{ActorKind, Algorithm, CasePart, Fact, KeyRole, Lane, NodePart, RecordKind, SlipRow, Value, value::Kind},
    rules::{Rules, SHIPPED},
};
use prost::Message as _;
use tokio::time::Instant;

type Loose = Box<dyn Error + Send + Sync>;

/// A first of March.
const BEGAN: Time = Time(1_772_323_200_000);
/// Requests are opened over a month, so that deadlines fall as they do in an office.
const SPREAD_MS: u64 = 30 * DAY_MS;

fn main() -> Result<(), Loose> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let requests = arguments.next().transpose()?.unwrap_or(10_000);
    let clocks = arguments.next().transpose()?.unwrap_or(30);
    let rules = Arc::new(rules(clocks)?);
    let before = resident_kib()?;
    let index = filled(requests, &rules)?;
    let rows = resident_kib()?;
    let (us, book) = network()?;
    let began = Instant::now();
    let mut engine = Engine::open(us, book, Arc::clone(&rules), &index, BEGAN, u64::MAX)?;
    let opened = began.elapsed();
    let held = resident_kib()?;
    println!("| requests | clocks each | start ms | clocks, KiB beyond the index | index, KiB |");
    println!("|---|---|---|---|---|");
    println!(
        "| {requests} | {clocks} | {:.0} | {} | {} |",
        ms(opened),
        held.saturating_sub(rows),
        rows.saturating_sub(before)
    );
    println!("\n| ticks | alarms | mean ms | p99 ms | longest ms | a plain timer, ms of the longest |");
    println!("|---|---|---|---|---|---|");
    for (what, every, ticks) in [("a second apart", 1_000, 5_000), ("an hour apart", 3_600_000, 1_000)] {
        tell(what, &mut engine, &index, every, ticks)?;
    }
    Ok(())
}

/// So many ticks; where one leaves work it says so, and the next follows at once.
fn tell(what: &str, engine: &mut Engine, index: &Index<MemoryPairs>, every: u64, ticks: u64) -> Result<(), Loose> {
    let (mut took, mut alarms, mut now) = (Vec::new(), 0usize, BEGAN);
    let mut timers: BTreeSet<u64> = (0..300_000).map(|n| BEGAN.0 + n * 8_640).collect();
    let mut plain = Duration::ZERO;
    for _ in 0..ticks {
        now = now.plus_ms(every);
        loop {
            let began = Instant::now();
            let out = engine.step(now, [0; 32], Input::Tick, index)?;
            took.push(began.elapsed());
            alarms += out.iter().filter(|output| matches!(output, Output::Notify(_))).count();
            let again = out.iter().any(|output| matches!(output, Output::WakeAt(at) if *at <= now));
            if !again {
                break;
            }
        }
        let began = Instant::now();
        timers = timers.split_off(&now.0);
        plain = plain.max(began.elapsed());
    }
    took.sort_unstable();
    let mean = took.iter().sum::<Duration>() / u32::try_from(took.len())?;
    let p99 = took[took.len() * 99 / 100];
    let longest = took[took.len() - 1];
    println!(
        "| {} {what} | {alarms} | {:.3} | {:.2} | {:.1} | {:.3} |",
        took.len(),
        ms(mean),
        ms(p99),
        ms(longest),
        ms(plain)
    );
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The shipped rules, and an instrument whose clocks all run as long as a preservation waits.
fn rules(clocks: u64) -> Result<Rules, Loose> {
    let mut file = String::from(
        "[[instrument]]\ncode = \"BENCH\"\nname = \"Benchmark\"\nnumber = \"0\"\nstatus = \"none\"\nsource = \"none\"\nmark = \"p\"\n",
    );
    let mut uses = String::new();
    for number in 0..clocks {
        let days = 10 + number * 3;
        write!(
            file,
            "[[clock]]\nid = \"BENCH-{number}\"\ntitle = \"One of many\"\nstart_event = \"request\"\nduration = {days}\nunit = \"day\"\n\
             actor = \"requested\"\non_expiry = \"late\"\nextendable_by = []\nlegal_effect = false\ninstrument = \"BENCH\"\nsource = \"none\"\nmark = \"p\"\n"
        )?;
        writeln!(uses, "  {{ clock = \"BENCH-{number}\", after = [\"request\"], during = [\"requested\"] }},")?;
    }
    write!(
        file,
        "[[basis]]\ninstrument = \"BENCH\"\nprocedures = [\"PRES\"]\narticles = \"1\"\nclocks = [\n{uses}]\nsource = \"none\"\nmark = \"p\"\n"
    )?;
    let files: Vec<(&str, &str)> = SHIPPED.iter().copied().chain([("bench.toml", file.as_str())]).collect();
    let rules = Rules::parse(&files).map_err(|mistakes| format!("{mistakes:?}"))?;
    assert!(Reckoning::utc().periods.is_empty(), "nobody has declared anything");
    Ok(rules)
}

fn filled(requests: u64, rules: &Rules) -> Result<Index<MemoryPairs>, Loose> {
    let mut index = Index::new(MemoryPairs::default());
    let (network, author, recipient) = (name()?, PartyCode::parse("XA")?, PartyCode::parse("XB")?);
    for number in 0..requests {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let request = RequestId::new(id);
        let members = BTreeSet::from([author.clone(), recipient.clone()]);
        let header = Header {
            thread: thread_id(&network, &request, &members),
            origin: Origin::of(&author, &network, 1),
            network: network.clone(),
            exercise: true,
            request,
            procedure: ProcedureCode::parse("PRES")?,
            step: StepCode::parse("request")?,
            author: author.clone(),
            authority: AuthorityId::parse("central")?,
            actor: ActorKind::Authority,
            parents: Vec::new(),
            recipients: vec![recipient.clone()],
            time: BEGAN.plus_ms(number * SPREAD_MS / requests),
            body: BodyRef { digest: sha256(&[&number.to_be_bytes()]), size: 1 },
        };
        let wire = header.to_wire();
        let node = NodePart {
            record_id: event_id(&wire).as_bytes().to_vec(),
            recorded_ms: header.time.0,
            request_id: request.as_bytes().to_vec(),
            thread_id: header.thread.as_bytes().to_vec(),
            command_id: request.as_bytes().to_vec(),
            slips: vec![SlipRow { to: "XB".to_owned(), lane: Lane::Normal as i32, number: number + 1, ledger: 1 }],
            ..NodePart::default()
        };
        let code = |key: &str, code: &str| Fact {
            key: key.to_owned(),
            value: Some(Value { kind: Some(Kind::Code(code.to_owned())) }),
        };
        let facts = vec![code("offence.codes.00", "CC-01"), code("reference.instrument", "BENCH")];
        let case = CasePart { header: wire, facts, ..CasePart::default() };
        let view =
            RecordView { index: LedgerIndex(number), kind: RecordKind::EventSent, node: &node, case: Some(&case) };
        index.apply(view, rules)?;
    }
    Ok(index)
}

fn name() -> Result<NetworkName, Loose> {
    Ok(NetworkName::parse("bench.comity.test")?)
}

/// Two Parties, each with an office in a real time zone.
fn network() -> Result<(Identity, Book), Loose> {
    let network = name()?;
    let seed = |what: &str| Seed::new(*sha256(&[what.as_bytes()]).as_bytes());
    let signer = |what: &str, role| {
        let half = |half: &str| seed(&format!("{what} {half}"));
        comity_core::crypto::HybridSigner::new(role, &half("a"), Algorithm::MlDsa65, &half("b"))
    };
    let secretariat = signer("secretariat", KeyRole::Charter)?;
    let parties = [("XA", "Europe/Vienna"), ("XB", "America/Montevideo")];
    let mut founders = Vec::new();
    for (code, _) in parties {
        let root = signer(code, KeyRole::Root)?;
        founders.push(Founder {
            code: PartyCode::parse(code)?,
            name: code.to_owned(),
            root: root.public().map(Clone::clone),
        });
    }
    let draft = charter(&network, true, secretariat.public(), &founders, &["BC"], BEGAN);
    let payload = draft.encode_to_vec();
    let mut book = Book::found(&sign_charter(&draft, &[&secretariat])?, document_id(CHARTER_TYPE, &payload))?;
    for (code, zone) in parties {
        let office = Office {
            id: "central".to_owned(),
            name: code.to_owned(),
            time_zone: zone.to_owned(),
            procedures: vec!["PRES".to_owned()],
        };
        let keys = RoleKeys::from_seeds(|name| seed(&format!("{code} {name}")))?;
        let party = PartyCode::parse(code)?;
        let public = keys.public(&network, &party)?;
        let draft = profile(&network, &party, &[office], &["en"], &public, BEGAN);
        book.accept(&sign_profile(&draft, &[&signer(code, KeyRole::Root)?])?, BEGAN)?;
    }
    let party = PartyCode::parse("XA")?;
    Ok((Identity { origin: Origin::of(&party, &network, 1), party }, book))
}

fn resident_kib() -> Result<u64, Loose> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
