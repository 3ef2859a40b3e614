//! `comity bench exchange`: two processes of this program, requests of the demo's story from one to the
//! other, each until the recipient's receipt is recorded in the author's ledger. Hybrid-signed, sealed,
//! on disk at both ends, asked for and seen over the local API as a national system would.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::Instant,
};

use super::{Ground, Measured, PARTIES, cores, cpu, ms};
use crate::{
    bench::{Figures, Load, grouped::drive_raw, primitives::Primitives, rank},
    cli::{
        Context,
        client::Client,
        demo::preservation_fields,
        fault::CliFault,
        nodes::Node,
        request::fresh_id,
        show::{list, pairs, text},
    },
    time,
};

/// How much, and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Requests in all.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events: u64,
    /// Requests under way at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=256))]
    in_flight: u16,
    /// Make the nodes' folders here, so that this disk is measured. The folder for temporary files if left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Calls of the API at once: half of what it takes, so that none is turned away. A request is under way
/// longer than its call.
const CALLS: usize = 32;
/// Bytes a record of such a request takes.
const RECORD: usize = 12 << 10;
/// One synced append is made so often to know what it takes.
const SYNCS: u64 = 300;

pub(super) async fn measure(args: &Args, context: &Context) -> Result<Measured, CliFault> {
    Ground::lend(args.dir.as_deref(), context, async |ground| {
        let limit = Limit::measure(&ground.place, u32::from(args.in_flight))?;
        let run = ground.with_nodes(async |nodes| between(nodes, args, context).await).await?;
        Ok(Measured { object: run.object(args, &limit), text: run.text(&limit) })
    })
    .await
}

/// What the same work takes at the least, measured just before on the same machine.
struct Limit {
    primitives: Primitives,
    sync: Figures,
    /// Events a second, when nothing else took any time.
    per_s: f64,
}

impl Limit {
    /// The sum of what each event needs: processor time shared by all cores, and its part of three syncs: the
    /// event at both ends and the receipt.
    fn measure(place: &Path, in_flight: u32) -> Result<Self, CliFault> {
        let sync = drive_raw(&place.join("sync"), Load { records: SYNCS, writers: 1, bytes: RECORD })?;
        let busy = cores().min(in_flight);
        let primitives = Primitives::measure(busy)?;
        let each = primitives.event(in_flight) / busy + sync.p50 * 3 / in_flight;
        Ok(Self { primitives, sync, per_s: 1.0 / each.as_secs_f64() })
    }
}

/// What the nodes did.
struct Run {
    per_s: f64,
    p50: Duration,
    p99: Duration,
    /// Processor time of author and recipient for one event.
    cpu: [Duration; 2],
}

async fn between(nodes: &[Node; 2], args: &Args, context: &Context) -> Result<Run, CliFault> {
    context.out.say(&format!("{} requests, {} at once.", args.events, args.in_flight));
    let author = nodes[0].client.clone();
    let receipts = Arc::new(Receipts::default());
    let mut reader = tokio::spawn(read_feed(author.clone(), Arc::clone(&receipts)));
    let before = [cpu(&nodes[0])?, cpu(&nodes[1])?];
    let began = Instant::now();
    let waits = tokio::select! {
        waits = send_all(&author, &receipts, args) => waits,
        ended = &mut reader => Err(match ended {
            Ok(Err(fault)) => fault,
            Ok(Ok(never)) => match never {},
            Err(cause) => CliFault::NoAnswer(cause.to_string()),
        }),
    };
    reader.abort();
    let (took, mut waits) = (began.elapsed(), waits?);
    let after = [cpu(&nodes[0])?, cpu(&nodes[1])?];
    waits.sort_unstable();
    let events = u32::try_from(args.events).unwrap_or(u32::MAX);
    Ok(Run {
        per_s: f64::from(events) / took.as_secs_f64(),
        p50: rank(&waits, 50),
        p99: rank(&waits, 99),
        cpu: [(after[0] - before[0]) / events, (after[1] - before[1]) / events],
    })
}

async fn send_all(author: &Client, receipts: &Arc<Receipts>, args: &Args) -> Result<Vec<Duration>, CliFault> {
    let fields = Arc::new(preservation_fields(time::now()));
    let (next, calls) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(CALLS)));
    let mut senders = JoinSet::new();
    for _ in 0..args.in_flight {
        let (author, receipts, fields) = (author.clone(), Arc::clone(receipts), Arc::clone(&fields));
        let (next, calls) = (Arc::clone(&next), Arc::clone(&calls));
        let events = args.events;
        senders.spawn(async move {
            let mut waits = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < events {
                waits.push(one(&author, &receipts, &fields, &calls).await?);
            }
            Ok::<_, CliFault>(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(sent) = senders.join_next().await {
        waits.extend(sent.map_err(|cause| CliFault::NoAnswer(cause.to_string()))??);
    }
    Ok(waits)
}

/// One request: from the call until its receipt was seen.
async fn one(author: &Client, receipts: &Receipts, fields: &Value, calls: &Semaphore) -> Result<Duration, CliFault> {
    let body = json!({
        "request_id": fresh_id(), "procedure": "PRES", "recipients": [PARTIES[1].0],
        "authority": "central", "lane": "normal", "fields": fields,
    });
    let began = Instant::now();
    let call = calls.acquire().await.expect("nobody closes it");
    let done = author.post("/v1/requests", &body).await?;
    drop(call);
    let seen = receipts.of(text(&done, "/event_id")).await?;
    Ok(seen.saturating_duration_since(began))
}

/// Receipts as they are read and as they are waited for, whichever comes first.
#[derive(Default)]
struct Receipts(Mutex<BTreeMap<String, Place>>);

enum Place {
    Seen(Instant),
    Awaited(oneshot::Sender<Instant>),
}

impl Receipts {
    async fn of(&self, event_id: &str) -> Result<Instant, CliFault> {
        let receiver = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Place::Seen(at)) = places.remove(event_id) {
                return Ok(at);
            }
            let (sender, receiver) = oneshot::channel();
            places.insert(event_id.to_owned(), Place::Awaited(sender));
            receiver
        };
        receiver.await.map_err(|cause| CliFault::NoAnswer(cause.to_string()))
    }

    fn seen(&self, event_id: &str, at: Instant) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match places.remove(event_id) {
            // Who no longer waits has been told of another fault.
            Some(Place::Awaited(sender)) => drop(sender.send(at)),
            None | Some(Place::Seen(_)) => drop(places.insert(event_id.to_owned(), Place::Seen(at))),
        }
    }
}

/// Reads the feed until it is stopped.
async fn read_feed(author: Client, receipts: Arc<Receipts>) -> Result<std::convert::Infallible, CliFault> {
    let mut after = String::new();
    loop {
        let page = author.get(&format!("/v1/events?wait=20&limit=500{after}")).await?;
        let at = Instant::now();
        for item in list(&page, "/events").iter().filter(|item| text(item, "/kind") == "receipt") {
            receipts.seen(text(item, "/event_id"), at);
        }
        after = format!("&after={}", text(&page, "/cursor"));
    }
}

impl Run {
    fn object(&self, args: &Args, limit: &Limit) -> Value {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let each = &limit.primitives;
        json!({
            "schema": "comity/bench-exchange/v1",
            "events": args.events, "in_flight": args.in_flight,
            "per_s": self.per_s, "p50_ms": us(self.p50) / 1e3, "p99_ms": us(self.p99) / 1e3,
            "author_cpu_us": us(self.cpu[0]), "recipient_cpu_us": us(self.cpu[1]),
            "limit_per_s": limit.per_s, "beside_limit": self.per_s / limit.per_s,
            "primitives_us": {
                "sign_event": us(each.sign_event), "verify_event": us(each.verify_event),
                "sign_checkpoint": us(each.sign_checkpoint), "verify_checkpoint": us(each.verify_checkpoint),
                "seal": us(each.seal), "unwrap": us(each.unwrap), "hash": us(each.hash),
            },
            "synced_append_p50_us": us(limit.sync.p50), "synced_append_p99_us": us(limit.sync.p99),
        })
    }

    fn text(&self, limit: &Limit) -> String {
        let each = &limit.primitives;
        let rows = [
            ("Acknowledged", format!("{:.0} a second; p50 {}, p99 {}", self.per_s, ms(self.p50), ms(self.p99))),
            ("At most", format!("{:.0} a second, were there only signatures, seals, hashes and syncs", limit.per_s)),
            ("Beside that", format!("{:.2}", self.per_s / limit.per_s)),
            ("Processor", format!("{} of the author, {} of the recipient, each", ms(self.cpu[0]), ms(self.cpu[1]))),
            ("Signing", format!("{} an event, {} a checkpoint", ms(each.sign_event), ms(each.sign_checkpoint))),
            ("Verifying", format!("{} an event, {} a checkpoint", ms(each.verify_event), ms(each.verify_checkpoint))),
            ("Sealing", format!("{}, {} to open", ms(each.seal), ms(each.unwrap))),
            ("One sync", format!("p50 {}, p99 {}", ms(limit.sync.p50), ms(limit.sync.p99))),
        ];
        pairs(&rows)
    }
}
