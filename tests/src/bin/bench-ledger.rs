//! The ledger beside databases that many use: the same bytes from the same writers to SQLite, redb, a plain
//! file and the ledger, in turn; medians, and each beside SQLite and the plain file.
//!
//! `cargo run --release -p comity-tests --bin bench-ledger -- [records] [writers] [rounds] [folder]`, or
//! `-- --sustained [seconds] [writers] [folder]` for a minute of ledger and index beside SQLite with one. Figures and
//! their reading are in `node/BENCHMARKS.md`. It measures and asserts nothing. What the others do not
//! promise: they keep no tree, encrypt nothing and sign nothing. All of them share one sync
//! among what waits, as the ledger does.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "bench-ledger/sustained.rs"]
mod sustained;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use comity::bench::{
    Figures, Load, Sink,
    grouped::{drive_raw, drive_sink},
    ledger::{drive_ledger, reopen},
    median,
};
use redb::ReadableDatabase as _;
use tokio::time::Instant;

type Loose = Box<dyn std::error::Error + Send + Sync>;

/// What is measured, in the order of the table.
#[derive(Debug, Clone, Copy)]
enum Way {
    Plain,
    Sqlite,
    Redb,
    Ledger,
}

const WAYS: [Way; 4] = [Way::Plain, Way::Sqlite, Way::Redb, Way::Ledger];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain file, zero-filled",
            Self::Sqlite => "SQLite, WAL, FULL",
            Self::Redb => "redb",
            Self::Ledger => "ledger",
        }
    }

    fn run(self, folder: &Path, load: Load) -> Result<Figures, Loose> {
        fs::create_dir_all(folder)?;
        Ok(match self {
            Self::Plain => drive_raw(folder, load)?,
            Self::Sqlite => drive_sink("SQLite", Sqlite::open(folder)?, folder, load)?,
            Self::Redb => drive_sink("redb", Redb::open(folder)?, folder, load)?,
            Self::Ledger => drive_ledger(folder, load)?,
        })
    }

    /// From closed to the first answer, in milliseconds. A plain file has nothing to open.
    fn open_ms(self, folder: &Path) -> Result<Option<f64>, Loose> {
        let began = Instant::now();
        match self {
            Self::Plain => return Ok(None),
            Self::Ledger => return Ok(Some(reopen(folder)?.open.as_secs_f64() * 1e3)),
            Self::Sqlite => {
                let last: i64 =
                    Sqlite::open(folder)?.0.query_row("SELECT max(id) FROM record", [], |row| row.get(0))?;
                std::hint::black_box(last);
            }
            Self::Redb => {
                let open = Redb::open(folder)?;
                std::hint::black_box(open.database.begin_read()?.open_table(RECORDS)?.last_key());
            }
        }
        Ok(Some(began.elapsed().as_secs_f64() * 1e3))
    }
}

/// The last key of a table, read so that the file was really opened.
trait LastKey {
    fn last_key(&self) -> Option<u64>;
}

impl<T: redb::ReadableTable<u64, &'static [u8]>> LastKey for T {
    fn last_key(&self) -> Option<u64> {
        self.last().ok().flatten().map(|(key, _)| key.value())
    }
}

fn main() -> Result<(), Loose> {
    let mut arguments = std::env::args().skip(1).peekable();
    let is_sustained = arguments.next_if_eq("--sustained").is_some();
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |number| number.parse());
    let (first, writers) = (number(if is_sustained { 60 } else { 100_000 })?, number(64)?);
    let (rounds, writers) = (if is_sustained { 1 } else { number(3)? }, usize::try_from(writers)?);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let place = parent.join(format!("comity-bench-ledger-{}", std::process::id()));
    let done = if is_sustained {
        sustained::run(&place, writers, Duration::from_secs(first))
    } else {
        let load = Load { records: first, writers, bytes: 1024 };
        measure(&place, load, rounds.max(1)).map(|rows| print(&rows))
    };
    fs::remove_dir_all(&place)?;
    done
}

struct Row {
    way: Way,
    runs: Vec<Figures>,
    open_ms: Option<f64>,
}

fn measure(place: &Path, load: Load, rounds: u64) -> Result<Vec<Row>, Loose> {
    let mut rows: Vec<Row> = WAYS.map(|way| Row { way, runs: Vec::new(), open_ms: None }).into();
    for round in 0..rounds {
        for row in &mut rows {
            let folder = place.join(format!("{:?}-{round}", row.way));
            row.runs.push(row.way.run(&folder, load)?);
            row.open_ms = row.way.open_ms(&folder)?;
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(rows)
}

fn print(rows: &[Row]) {
    let medians: Vec<Figures> = rows.iter().map(|row| median(&row.runs)).collect();
    let (plain, sqlite) = (medians[0], medians[1]);
    println!("| Way | a second | beside plain | beside SQLite | p50 ms | p99 ms | disk a byte | open ms |");
    println!("|---|---|---|---|---|---|---|---|");
    for (row, run) in rows.iter().zip(&medians) {
        let open = row.open_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}"));
        println!(
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {open} |",
            row.way.name(),
            run.per_s,
            run.per_s / plain.per_s,
            run.per_s / sqlite.per_s,
            run.p50.as_secs_f64() * 1e3,
            run.p99.as_secs_f64() * 1e3,
            run.disk,
        );
    }
}

/// SQLite as it is set where a commit must survive a power cut: write-ahead log, `synchronous` FULL.
struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(folder: &Path) -> rusqlite::Result<Self> {
        let connection = rusqlite::Connection::open(folder.join("records.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute("CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)", [])?;
        Ok(Self(connection))
    }
}

impl Sink for Sqlite {
    fn commit(&mut self, batch: &[Vec<u8>]) -> io::Result<()> {
        let all = || {
            let transaction = self.0.transaction()?;
            {
                let mut insert = transaction.prepare_cached("INSERT INTO record (bytes) VALUES (?1)")?;
                for bytes in batch {
                    insert.execute([bytes])?;
                }
            }
            transaction.commit()
        };
        let mut all = all;
        all().map_err(|fault: rusqlite::Error| io::Error::other(fault))
    }
}

const RECORDS: redb::TableDefinition<'static, u64, &'static [u8]> = redb::TableDefinition::new("records");

/// redb with its default durability: synced at each commit.
struct Redb {
    database: redb::Database,
    next: u64,
}

impl Redb {
    fn open(folder: &Path) -> Result<Self, redb::Error> {
        Ok(Self { database: redb::Database::create(folder.join("records.redb"))?, next: 0 })
    }
}

impl Sink for Redb {
    fn commit(&mut self, batch: &[Vec<u8>]) -> io::Result<()> {
        let mut all = || {
            let write = self.database.begin_write()?;
            {
                let mut table = write.open_table(RECORDS)?;
                for bytes in batch {
                    table.insert(self.next, &bytes[..])?;
                    self.next += 1;
                }
            }
            write.commit()?;
            Ok(())
        };
        all().map_err(|fault: redb::Error| io::Error::other(fault))
    }
}
