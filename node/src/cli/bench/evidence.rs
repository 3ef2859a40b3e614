//! `comity bench evidence`: two processes of this program, files that one puts under seal and hands over and the
//! other fetches, until all is on its disk, still encrypted, every group proved and every digest recomputed.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use comity_core::{crypto::ChunkCipher, object::CHUNK};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Ground, Measured, PARTIES, cores, cpu, remove};
use crate::{
    bench::{middle, poured::Poured, ratio},
    cli::{
        Context,
        demo::{ACCEPT_TERMS, ASSISTANCE, Act, DECISION, DELIVER, seal_record},
        evidence::{Entry, seal, walk},
        fault::CliFault,
        found::{self, disk},
        nodes::{Node, wait_until},
        request::fresh_id,
        show::{pairs, text},
    },
    time,
};

/// How much, and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// MiB in all.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    mib: u64,
    /// Files they are in.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    files: u64,
    /// Rounds in which all take turns; medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Make everything here, so that this disk is measured. The folder for temporary files if left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The taker is asked so often whether all is here: a small part of what a figure is of.
const BEAT: Duration = Duration::from_millis(10);
/// Written at once.
const PIECE: usize = 1 << 20;
/// Files of one folder.
const FOLDER: u64 = 500;

pub(super) async fn measure(args: &Args, context: &Context) -> Result<Measured, CliFault> {
    Ground::lend(args.dir.as_deref(), context, async |ground| {
        let source = ground.place.join("source");
        make(&source, args)?;
        let poured = Poured::measure(cores())?;
        let entries = walk(&source)?;
        let runs = ground.with_nodes(async |nodes| {
            let mut runs = Vec::new();
            for round in 1..=args.rounds {
                context.out.say(&format!("round {round} of {}", args.rounds));
                runs.push(one(nodes, ground, &entries).await?);
            }
            Ok(runs)
        });
        let figures = Figures::of(&runs.await?, entries.iter().map(Entry::size).sum(), &poured);
        Ok(Measured { object: figures.object(args, &poured), text: figures.text() })
    })
    .await
}

/// Files that no compression makes smaller, all of one size.
fn make(source: &Path, args: &Args) -> Result<(), CliFault> {
    let noise = ChunkCipher::new(&crate::store::random());
    let each = ((args.mib << 20) / args.files).max(1);
    let mut number = 0_u64;
    for file in 0..args.files {
        let folder = source.join(format!("{:03}", file / FOLDER));
        fs::create_dir_all(&folder).map_err(disk("make", &folder))?;
        let path = folder.join(format!("{file:05}"));
        let mut to = File::create(&path).map_err(disk("write", &path))?;
        let mut left = each;
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let mut piece = vec![0; some];
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&number.to_le_bytes());
            noise.seal(nonce, &[], &mut piece);
            to.write_all(&piece[..some]).map_err(disk("write", &path))?;
            (left, number) = (left - some as u64, number + 1);
        }
    }
    Ok(())
}

/// What one round took.
struct Round {
    written: Duration,
    sealed: Duration,
    fetched: Duration,
    /// Processor time of giver and taker while it was fetched.
    cpu: [Duration; 2],
}

async fn one(nodes: &[Node; 2], ground: &Ground, entries: &[Entry]) -> Result<Round, CliFault> {
    let [taker, giver] = nodes;
    let written = written(entries, &ground.place.join("written"))?;
    let case = Case { id: fresh_id(), nodes, logs: &ground.logs };
    case.accepted().await?;
    let Value::Object(record) = seal_record(time::now()) else {
        return Err(CliFault::BadAnswer("a record is an object".into()));
    };
    let began = Instant::now();
    let manifest = seal(&giver.client, &case.id, DELIVER.authority, &[], entries, record, false).await?;
    let sealed = began.elapsed();
    let delivery = case.delivered(text(&manifest, "/manifest")).await?;
    let path = format!("/v1/deliveries/{delivery}");
    case.waits_for_terms(&path).await?;
    let (began, before) = (Instant::now(), [cpu(giver)?, cpu(taker)?]);
    case.signed(&ACCEPT_TERMS, json!({ "delivery": delivery })).await?;
    loop {
        let delivery = taker.client.get(&path).await?;
        match text(&delivery, "/progress/stage") {
            "done" => break,
            "failed" => {
                return Err(CliFault::BadAnswer(format!("the evidence did not come: {}", delivery["progress"])));
            }
            _ => sleep(BEAT).await,
        }
    }
    let (fetched, after) = (began.elapsed(), [cpu(giver)?, cpu(taker)?]);
    Ok(Round { written, sealed, fetched, cpu: [after[0] - before[0], after[1] - before[1]] })
}

/// The same files written and synced, and their folders: the least there is to do.
fn written(entries: &[Entry], to: &Path) -> Result<Duration, CliFault> {
    found::folder(to)?;
    let began = Instant::now();
    for (number, entry) in entries.iter().enumerate() {
        let Entry::File(from, _) = entry else { continue };
        let path = to.join(number.to_string());
        let copy = || {
            let mut file = File::create(&path)?;
            std::io::copy(&mut File::open(from)?, &mut file)?;
            file.sync_data()
        };
        copy().map_err(disk("write", &path))?;
    }
    File::open(to).and_then(|folder| folder.sync_all()).map_err(disk("sync", to))?;
    let took = began.elapsed();
    remove(to)?;
    Ok(took)
}

/// A request for assistance between the two.
struct Case<'a> {
    id: String,
    nodes: &'a [Node; 2],
    logs: &'a Path,
}

impl Case<'_> {
    /// Asked for by the first Party and accepted by the second.
    async fn accepted(&self) -> Result<(), CliFault> {
        let body = json!({
            "request_id": self.id, "procedure": "MLA-STORED", "recipients": [PARTIES[1].0],
            "authority": ASSISTANCE.authority, "lane": "normal", "fields": (ASSISTANCE.fields)(time::now()),
        });
        self.nodes[ASSISTANCE.by].client.post("/v1/requests", &body).await?;
        self.stands(&ASSISTANCE).await?;
        for act in &DECISION {
            self.signed(act, json!({})).await?;
            self.stands(act).await?;
        }
        Ok(())
    }

    /// One step, with more in its form than the story knows.
    async fn signed(&self, act: &Act, more: Value) -> Result<(), CliFault> {
        self.nodes[act.by].client.post(&format!("/v1/requests/{}/steps", self.id), &act.body(more)).await?;
        Ok(())
    }

    /// Handed over; gives the event both know it by.
    async fn delivered(&self, manifest: &str) -> Result<String, CliFault> {
        let body = json!({
            "command_id": fresh_id(), "step": DELIVER.step, "manifest": manifest,
            "authority": DELIVER.authority, "fields": (DELIVER.fields)(time::now()),
        });
        let path = format!("/v1/requests/{}/deliveries", self.id);
        let done = self.nodes[DELIVER.by].client.post(&path, &body).await?;
        self.stands(&DELIVER).await?;
        Ok(text(&done, "/event_id").to_owned())
    }

    /// The taker asks, gets the manifest, and waits for the terms.
    async fn waits_for_terms(&self, delivery: &str) -> Result<(), CliFault> {
        let taker = &self.nodes[ACCEPT_TERMS.by].client;
        taker.post_empty(&format!("{delivery}/fetch")).await?;
        wait_until("the fetch to wait for the terms", self.logs, async || {
            Ok(text(&taker.get(delivery).await?, "/progress/stage") == "awaiting_terms")
        })
        .await
    }

    /// Both sides are where an act leads to.
    async fn stands(&self, act: &Act) -> Result<(), CliFault> {
        let path = format!("/v1/requests/{}", self.id);
        wait_until(&format!("state {} on both sides", act.leads_to), self.logs, async || {
            let mut all = true;
            for node in self.nodes {
                // One that has not heard of the request yet says so.
                let thread = node.client.get(&path).await;
                all &= thread.is_ok_and(|thread| text(&thread, "/standing/state") == act.leads_to);
            }
            Ok(all)
        })
        .await
    }
}

/// Rates in MB/s, processor time in seconds a GB.
struct Figures {
    written: f64,
    sealed: f64,
    fetched: f64,
    cpu: [f64; 2],
    /// Were there only ciphers and hashes, on all cores.
    limit: f64,
    /// Of both sides, of them alone.
    limit_cpu: f64,
}

impl Figures {
    fn of(runs: &[Round], bytes: u64, poured: &Poured) -> Self {
        let rate = |of: fn(&Round) -> Duration| ratio(bytes, 1_000_000) / middle(runs, of).as_secs_f64();
        let each = |of: fn(&Round) -> Duration| middle(runs, of).as_secs_f64() / ratio(bytes, 1_000_000_000);
        let limit_cpu = poured.fetched().as_secs_f64() * 1e9 / ratio(CHUNK as u64, 1);
        Self {
            written: rate(|run| run.written),
            sealed: rate(|run| run.sealed),
            fetched: rate(|run| run.fetched),
            cpu: [each(|run| run.cpu[0]), each(|run| run.cpu[1])],
            limit: f64::from(cores()) * 1e3 / limit_cpu,
            limit_cpu,
        }
    }

    fn object(&self, args: &Args, poured: &Poured) -> Value {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        json!({
            "schema": "comity/bench-evidence/v1",
            "mib": args.mib, "files": args.files, "rounds": args.rounds,
            "written_mb_per_s": self.written, "sealed_mb_per_s": self.sealed, "fetched_mb_per_s": self.fetched,
            "fetched_beside_written": self.fetched / self.written,
            "limit_mb_per_s": self.limit, "fetched_beside_limit": self.fetched / self.limit,
            "giver_cpu_s_per_gb": self.cpu[0], "taker_cpu_s_per_gb": self.cpu[1],
            "limit_cpu_s_per_gb": self.limit_cpu,
            "chunk_us": {
                "seal": us(poured.seal), "open": us(poured.open), "root": us(poured.root), "digest": us(poured.digest),
            },
        })
    }

    fn text(&self) -> String {
        let rate = |rate: f64| format!("{rate:.0} MB/s");
        let rows = [
            ("Written and synced", rate(self.written)),
            ("Put under seal", rate(self.sealed)),
            ("Fetched", format!("{}, verified and on disk", rate(self.fetched))),
            ("Beside written", format!("{:.2}", self.fetched / self.written)),
            ("At most", format!("{}, were there only ciphers and hashes, on all cores", rate(self.limit))),
            ("Beside that", format!("{:.2}", self.fetched / self.limit)),
            (
                "Processor",
                format!(
                    "{:.2} s/GB of the giver, {:.2} of the taker; {:.2} of both in ciphers and hashes",
                    self.cpu[0], self.cpu[1], self.limit_cpu
                ),
            ),
        ];
        pairs(&rows)
    }
}
