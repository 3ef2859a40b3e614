//! A minute of appends with the index following, as a node makes them: one batch on disk, every record of it in the
//! index, then its answers and the next batch; the index goes into its database four times a second. Beside it the same minute of SQLite, whose tables answer the
//! same questions. Start at [`run`].

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use comity::{
    bench::{
        BenchFault, disk_bytes,
        grouped::{Grouped, sample},
        rank,
    },
    store::{Ledger, LedgerKeys, SledPairs},
};
use comity_core::{
    crypto::{DataKey, sha256},
    event::{BodyRef, Header, event_id, thread_id},
    ids::{
        AuthorityId, Digest, EventId, LedgerIndex, NetworkName, Origin, PartyCode, ProcedureCode, RequestId, StepCode,
        Time,
    },
    index::{Index, RecordView},
    ledger::{Salt, leaf_entry},
    proto::{ActorKind, CasePart, Lane, NodePart, RecordKind, SlipRow},
    record::Record,
    rules::{Rules, SHIPPED},
};
use tokio::time::Instant;

use super::{Loose, Sink, Sqlite};

/// Bytes of a record, header and body together.
const RECORD: usize = 1024;
/// Requests under whose keys the ledger encrypts; the index sees a thread of its own for each event, as when
/// every one opens a request.
const REQUESTS: u64 = 64;
/// The index goes into its database so often, as in a node.
const SETTLE: Duration = Duration::from_millis(250);
/// A first of March; the clocks of the requests count from it.
const BEGAN_MS: u64 = 1_772_323_200_000;

/// Each way for so many seconds.
pub(crate) fn run(place: &Path, writers: usize, time: Duration) -> Result<(), Loose> {
    println!(
        "| Way, {} s with an index | a second | beside SQLite | p50 ms | p99 ms | longest ms | disk a byte |",
        time.as_secs()
    );
    println!("|---|---|---|---|---|---|---|");
    let folder = place.join("sqlite");
    fs::create_dir_all(&folder)?;
    let sqlite = drive(Grouped::start("SQLite", Indexed::open(&folder)?)?, &folder, writers, time)?;
    sqlite.print("SQLite, WAL, FULL", sqlite.per_s);
    fs::remove_dir_all(&folder)?;
    let folder = place.join("ledger");
    let ledger = drive(Grouped::start("ledger", Followed::open(&folder)?)?, &folder, writers, time)?;
    ledger.print("ledger and index", sqlite.per_s);
    Ok(fs::remove_dir_all(&folder)?)
}

struct Minute {
    per_s: f64,
    p50: Duration,
    p99: Duration,
    longest: Duration,
    disk: f64,
}

impl Minute {
    fn print(&self, name: &str, sqlite: f64) {
        let Self { per_s, disk, .. } = self;
        let [p50, p99, longest] = [self.p50, self.p99, self.longest].map(|time| time.as_secs_f64() * 1e3);
        let beside = per_s / sqlite;
        println!("| {name} | {per_s:.0} | {beside:.2} | {p50:.2} | {p99:.2} | {longest:.0} | {disk:.2} |");
    }
}

/// Writers who each wait for their answer, until the time is over; all that was answered is then on disk.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
fn drive(to: Grouped, folder: &Path, writers: usize, time: Duration) -> Result<Minute, Loose> {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let write = || {
        let mut waits = Vec::new();
        while began.elapsed() < time {
            let asked = Instant::now();
            to.append(sample(next.fetch_add(1, Ordering::Relaxed), RECORD))?;
            waits.push(asked.elapsed());
        }
        Ok(waits)
    };
    let waits = thread::scope(|scope| {
        let writers: Vec<_> = (0..writers).map(|_| scope.spawn(write)).collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer does not panic"))
            .collect::<Result<Vec<_>, BenchFault>>()
    })?;
    let took = began.elapsed();
    drop(to);
    let mut waits = waits.concat();
    waits.sort_unstable();
    Ok(Minute {
        per_s: waits.len() as f64 / took.as_secs_f64(),
        p50: rank(&waits, 50),
        p99: rank(&waits, 99),
        longest: rank(&waits, 100),
        disk: disk_bytes(folder)? as f64 / (waits.len() * RECORD) as f64,
    })
}

/// The ledger and the index on sled, which follows it batch by batch before anybody is answered.
struct Followed {
    ledger: Ledger,
    index: Index<SledPairs>,
    rules: Rules,
    next: u64,
    settled: Instant,
}

impl Followed {
    fn open(folder: &Path) -> Result<Self, Loose> {
        fs::create_dir_all(folder)?;
        // Keys of no node: what they protect is worth nothing.
        let keys = LedgerKeys { node: DataKey::new([1; 32]), kek: [(1, DataKey::new([2; 32]))].into() };
        let (ledger, _) = Ledger::open(&folder.join("ledger"), keys, None)?;
        let index = Index::new(SledPairs::open(&folder.join("index"))?.0);
        let rules = Rules::parse(SHIPPED).map_err(|mistakes| format!("{mistakes:?}"))?;
        Ok(Self { ledger, index, rules, next: 0, settled: Instant::now() })
    }

    fn follow(&mut self, batch: &[Vec<u8>]) -> Result<(), Loose> {
        let made: Result<Vec<Record>, Loose> = (self.next..).zip(batch).map(|(n, bytes)| record(n, bytes)).collect();
        let records = made?;
        let views: Vec<_> =
            records.iter().map(|record| (record.kind, record.node.clone(), record.case.clone())).collect();
        self.ledger.append(records)?.wait()?;
        for (kind, node, case) in &views {
            let index = LedgerIndex(self.next);
            self.index.apply(RecordView { index, kind: *kind, node, case: Some(case) }, &self.rules)?;
            self.next += 1;
        }
        if self.settled.elapsed() >= SETTLE {
            self.index.pairs().settle()?;
            self.settled = Instant::now();
        }
        Ok(())
    }
}

impl Sink for Followed {
    fn commit(&mut self, batch: &[Vec<u8>]) -> io::Result<()> {
        self.follow(batch).map_err(io::Error::other)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.index.pairs().close().ok(); // as a node does before it ends
    }
}

/// A request of its own for each record: its header is a real one, which the index reads; the rest is body.
fn record(n: u64, bytes: &[u8]) -> Result<Record, Loose> {
    let mut request = [0; 16];
    request[..8].copy_from_slice(&n.to_be_bytes());
    let (network, author) = (NetworkName::parse("bench.comity.test")?, PartyCode::parse("XA")?);
    let (request, recipient) = (RequestId::new(request), PartyCode::parse("XB")?);
    let members = BTreeSet::from([author.clone(), recipient.clone()]);
    let header = Header {
        thread: thread_id(&network, &request, &members),
        origin: Origin::of(&author, &network, 1),
        network,
        exercise: true,
        request,
        procedure: ProcedureCode::parse("PRES")?,
        step: StepCode::parse("request")?,
        author,
        authority: AuthorityId::parse("central")?,
        actor: ActorKind::Authority,
        parents: Vec::new(),
        recipients: vec![recipient],
        time: Time(BEGAN_MS + n),
        body: BodyRef { digest: sha256(&[bytes]), size: bytes.len() as u64 },
    };
    Ok(assembled(n, &header, bytes))
}

fn assembled(n: u64, header: &Header, bytes: &[u8]) -> Record {
    let wire = header.to_wire();
    let id: EventId = event_id(&wire);
    let (salt, context) = (Salt(*id.as_bytes()), b"a benchmark".to_vec());
    let body = bytes[..bytes.len().saturating_sub(wire.len())].to_vec();
    let slip = SlipRow { to: "XB".to_owned(), lane: Lane::Normal as i32, number: n + 1, ledger: 1 };
    let mut keys = [0; 16];
    keys[..8].copy_from_slice(&(n % REQUESTS).to_be_bytes());
    Record {
        kind: RecordKind::EventSent,
        request: Some(RequestId::new(keys)),
        leaf: leaf_entry(&salt, &Digest::new(*id.as_bytes()), &context),
        node: NodePart {
            record_id: id.as_bytes().to_vec(),
            recorded_ms: header.time.0,
            request_id: header.request.as_bytes().to_vec(),
            thread_id: header.thread.as_bytes().to_vec(),
            command_id: header.request.as_bytes().to_vec(),
            slips: vec![slip],
            ..NodePart::default()
        },
        body,
        case: CasePart { salt: salt.0.to_vec(), context, header: wire, ..CasePart::default() },
        secret: Some((*id.as_bytes()).into()),
    }
}

/// SQLite with what the index answers: events by id and command, those of a thread, threads of a request and by
/// deadline, and what is owed to whom.
struct Indexed {
    sqlite: Sqlite,
    next: u64,
}

const TABLES: &str = "
    CREATE TABLE event (id INTEGER PRIMARY KEY, event BLOB NOT NULL UNIQUE, command BLOB NOT NULL UNIQUE,
        thread BLOB NOT NULL, recorded INTEGER NOT NULL, bytes BLOB NOT NULL);
    CREATE INDEX event_thread ON event (thread, id);
    CREATE TABLE thread (thread BLOB PRIMARY KEY, request BLOB NOT NULL, state TEXT NOT NULL, due INTEGER NOT NULL,
        last INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX thread_request ON thread (request, thread);
    CREATE INDEX thread_due ON thread (due, thread);
    CREATE TABLE owed (recipient TEXT, lane INTEGER, number INTEGER, event BLOB NOT NULL,
        PRIMARY KEY (recipient, lane, number)) WITHOUT ROWID;";

impl Indexed {
    fn open(folder: &Path) -> rusqlite::Result<Self> {
        let sqlite = Sqlite::open(folder)?;
        sqlite.0.execute_batch(TABLES)?;
        Ok(Self { sqlite, next: 0 })
    }

    fn insert(&mut self, batch: &[Vec<u8>]) -> rusqlite::Result<()> {
        let transaction = self.sqlite.0.transaction()?;
        for bytes in batch {
            self.next += 1;
            // As random as the digests they stand for.
            let id = sha256(&[&self.next.to_be_bytes()]);
            let (id, thread, command) = (id.as_bytes(), sha256(&[id.as_bytes()]), self.next.to_be_bytes());
            let (thread, at) = (thread.as_bytes(), i64::try_from(BEGAN_MS + self.next).unwrap_or(i64::MAX));
            transaction
                .prepare_cached(
                    "INSERT INTO event (event, command, thread, recorded, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((id, command, thread, at, bytes))?;
            transaction.prepare_cached("INSERT INTO thread VALUES (?1, ?2, 'requested', ?3, ?4)")?.execute((
                thread,
                command,
                at,
                transaction.last_insert_rowid(),
            ))?;
            transaction
                .prepare_cached("INSERT INTO owed VALUES ('XB', 0, ?1, ?2)")?
                .execute((i64::try_from(self.next).unwrap_or(i64::MAX), id))?;
        }
        transaction.commit()
    }
}

impl Sink for Indexed {
    fn commit(&mut self, batch: &[Vec<u8>]) -> io::Result<()> {
        self.insert(batch).map_err(io::Error::other)
    }
}
