//! `comity demo`: three Parties, three nodes, a preservation, the assistance that follows it up with its
//! evidence, and the proof of all that in two ledgers.
//!
//! It founds the network once, runs three processes of this same program, plays the story over their
//! APIs and waits after each act until the other ledger's receipt is here. It decides nothing: all it
//! shows is what the nodes say. Run again on an old folder it goes on with the same keys and ledgers.

mod cases;
mod evidence;
mod outside;
mod report;
mod sample;
mod story;
mod timeline;

use std::path::{Path, PathBuf};

use comity_core::ids::{Digest, Time};
use serde_json::{Value, json};

pub(super) use self::story::{ACCEPT_TERMS, ASSISTANCE, Act, DECISION, DELIVER, seal as seal_record};
use self::{
    story::{ACTS, REQUEST},
    timeline::Timeline,
};
use super::{
    Context, Done, Verdict,
    fault::CliFault,
    found::{self, disk},
    ledger::is_whole,
    nodes::{Exercise, Node, Party, wait_until},
    request::fresh_id,
    show::{list, number, short, text},
};
use crate::time;

/// The Parties: code, name, and a real time zone, so that local times can be seen to differ.
const PARTIES: [Party; 3] =
    [("XA", "Arvia", "Europe/Vienna"), ("XB", "Belmar", "America/Montevideo"), ("XC", "Corvia", "Asia/Tokyo")];
const NETWORK: &str = "demo.comity.test";

/// What the demo can be told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep everything in this folder; run again on it, the demo goes on. A temporary one if left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Hand over this folder as the evidence; a small sample case is made if left out.
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Tell another case than a preservation and the assistance that follows it up.
    #[arg(long, value_name = "CASE")]
    case: Option<cases::Case>,
    /// End when the request is carried through, instead of staying up.
    #[arg(long)]
    once: bool,
}

impl Args {
    /// A folder that nobody named and nobody can look into goes when the demo does.
    fn is_kept(&self) -> bool {
        self.dir.is_some() || !self.once
    }
}

/// Where things lie in the demo's folder.
struct Places {
    root: PathBuf,
    passphrase: PathBuf,
    network: PathBuf,
    logs: PathBuf,
    outside: PathBuf,
    sample: PathBuf,
    received: PathBuf,
    report: PathBuf,
}

impl Places {
    fn exercise(&self) -> Exercise<'_> {
        let Self { network, passphrase, logs, .. } = self;
        Exercise { name: NETWORK, parties: &PARTIES, network, passphrase, logs }
    }
}

/// The command.
pub(crate) async fn demo(args: &Args, context: &Context) -> Done {
    // Looked at before anything is made: a mistyped folder shows at once.
    if let Some(folder) = &args.evidence {
        std::fs::metadata(folder).map_err(disk("look at", folder))?;
    }
    let places = places(args)?;
    let timeline = Timeline::new(context.out);
    timeline.opened(&places.root);
    let exercise = places.exercise();
    match exercise.found()? {
        Some((network, founded)) => timeline.founded(&network, &founded.fingerprint),
        None => timeline.goes_on(),
    }
    let mut nodes = exercise.start()?;
    let told = match args.case {
        None => tell(&mut nodes, &places, &timeline, args).await,
        Some(case) => tell_case(case, &mut nodes, &places, &timeline, args, context).await,
    };
    for node in nodes {
        node.stop().await;
    }
    let verdict = told?;
    if !args.is_kept() && verdict == Verdict::Fine {
        std::fs::remove_dir_all(&places.root).map_err(disk("remove", &places.root))?;
    }
    Ok(verdict)
}

fn places(args: &Args) -> Result<Places, CliFault> {
    let temporary = || std::env::temp_dir().join(format!("comity-demo-{}", short(&fresh_id())));
    let root = args.dir.clone().unwrap_or_else(temporary);
    found::folder(&root)?;
    let root = root.canonicalize().map_err(disk("find", &root))?;
    let [network, logs, outside, sample, received, report] =
        ["network", "logs", "outside", "sample", "received", "report.html"].map(|name| root.join(name));
    found::folder(&logs)?;
    Ok(Places { passphrase: root.join("passphrase"), root, network, logs, outside, sample, received, report })
}

/// The story, the proofs, and then either the end or an invitation.
async fn tell(nodes: &mut [Node], places: &Places, timeline: &Timeline, args: &Args) -> Done {
    are_linked(nodes, timeline).await?;
    timeline.begins(nodes);
    let preservation = open(&REQUEST, "PRES", None, nodes, places, timeline).await?;
    play(&ACTS, &preservation, nodes, places, timeline).await?;
    timeline.follows(nodes);
    let assistance = open(&ASSISTANCE, "MLA-STORED", Some(&preservation.id), nodes, places, timeline).await?;
    is_followed_up(&preservation, nodes, places).await?;
    play(&DECISION, &assistance, nodes, places, timeline).await?;
    let same = evidence::hand_over(args.evidence.as_deref(), &assistance, nodes, places, timeline).await?;
    let whole = examine(nodes, &[&preservation, &assistance], timeline).await? && same;
    are_witnessed(nodes, places, timeline).await?;
    outside::export(&nodes[0], preservation.first_index, &places.network, &places.outside).await?;
    report::write(&nodes[0], &[&preservation, &assistance], &places.report).await?;
    timeline.ended(whole, args.is_kept().then_some(places));
    if !args.once {
        timeline.invitation(nodes, &assistance.id);
    }
    Ok(ended(whole, args).await)
}

/// Another case, and then either the end or an invitation.
async fn tell_case(
    case: cases::Case,
    nodes: &mut [Node],
    places: &Places,
    timeline: &Timeline,
    args: &Args,
    context: &Context,
) -> Done {
    are_linked(nodes, timeline).await?;
    let whole = cases::tell(case, nodes, places, timeline, context).await?;
    are_witnessed(nodes, places, timeline).await?;
    timeline.ended(whole, None);
    Ok(ended(whole, args).await)
}

/// Every node has reached every other.
async fn are_linked(nodes: &mut [Node], timeline: &Timeline) -> Result<(), CliFault> {
    let peers = nodes.len() - 1;
    for node in nodes.iter_mut() {
        node.is_linked(peers).await?;
    }
    timeline.linked(nodes);
    Ok(())
}

/// What the story came to, once nobody wants to look at the nodes any more.
async fn ended(whole: bool, args: &Args) -> Verdict {
    if !args.once {
        // However the wait ends, the nodes are stopped next.
        drop(tokio::signal::ctrl_c().await);
    }
    if whole { Verdict::Fine } else { Verdict::Finding }
}

/// Each ledger is cosigned by the two other Parties, up to its last record.
async fn are_witnessed(nodes: &[Node], places: &Places, timeline: &Timeline) -> Result<(), CliFault> {
    for node in nodes {
        let mut ledger = Value::Null;
        wait_until(&format!("cosignatures for {}'s ledger", node.name), &places.logs, async || {
            ledger = node.client.get("/v1/ledger").await?;
            Ok(ledger.pointer("/witnessed/size") == ledger.get("size"))
        })
        .await?;
        timeline.witnessed(node, &ledger);
    }
    Ok(())
}

/// The form of the preservation request, if signed now.
pub(super) fn preservation_fields(now: Time) -> Value {
    (REQUEST.fields)(now)
}

/// What is remembered of the request played.
struct Played {
    id: String,
    thread: String,
    first_index: u64,
}

/// Opens a request; one that follows another up says so.
async fn open(
    act: &Act,
    procedure: &str,
    follows: Option<&str>,
    nodes: &[Node],
    places: &Places,
    timeline: &Timeline,
) -> Result<Played, CliFault> {
    let id = fresh_id();
    let author = &nodes[act.by];
    let mut fields = (act.fields)(time::now());
    if let Some(followed) = follows {
        fields["linked.preservation"] = Value::from(followed);
    }
    let body = json!({
        "request_id": id, "procedure": procedure, "recipients": [nodes[1].code],
        "authority": act.authority, "lane": "normal", "fields": fields,
    });
    let first = author.client.post("/v1/requests", &body).await?;
    let played = Played { id, thread: text(&first, "/thread_id").to_owned(), first_index: number(&first, "/index") };
    settle(act, &first, nodes, &played, places, timeline).await?;
    Ok(played)
}

async fn play(
    acts: &[Act],
    played: &Played,
    nodes: &[Node],
    places: &Places,
    timeline: &Timeline,
) -> Result<(), CliFault> {
    for act in acts {
        take(act, json!({}), played, nodes, places, timeline).await?;
    }
    Ok(())
}

/// One step, with more in its form than the story knows.
async fn take(
    act: &Act,
    more: Value,
    played: &Played,
    nodes: &[Node],
    places: &Places,
    timeline: &Timeline,
) -> Result<(), CliFault> {
    let done = nodes[act.by].client.post(&format!("/v1/requests/{}/steps", played.id), &act.body(more)).await?;
    settle(act, &done, nodes, played, places, timeline).await
}

/// The request for assistance keeps the preserved data until it is decided.
async fn is_followed_up(preservation: &Played, nodes: &[Node], places: &Places) -> Result<(), CliFault> {
    let path = format!("/v1/requests/{}", preservation.id);
    wait_until("the preservation is followed up on both sides", &places.logs, async || {
        let mut all = true;
        for node in &nodes[..2] {
            all &= text(&node.client.get(&path).await?, "/standing/state") == "followed_up";
        }
        Ok(all)
    })
    .await
}

/// Waits until the other ledger's receipt is in the author's, and both sides say the same.
async fn settle(
    act: &Act,
    done: &Value,
    nodes: &[Node],
    played: &Played,
    places: &Places,
    timeline: &Timeline,
) -> Result<(), CliFault> {
    let (author, other) = (&nodes[act.by], &nodes[1 - act.by]);
    let event_id = text(done, "/event_id");
    timeline.signed(author, act, done);
    let path = format!("/v1/requests/{}", played.id);
    let mut thread = Value::Null;
    wait_until(&format!("the receipt for {}", act.step), &places.logs, async || {
        thread = author.client.get(&path).await?;
        Ok(receipt(&thread, event_id).is_some_and(|receipt| text(receipt, "/delivery") == "receipted"))
    })
    .await?;
    let mut theirs = Value::Null;
    wait_until(&format!("state {} on both sides", act.leads_to), &places.logs, async || {
        theirs = other.client.get(&path).await?;
        let state = |thread: &Value| text(thread, "/standing/state") == act.leads_to;
        Ok(state(&thread) && state(&theirs))
    })
    .await?;
    let receipt = receipt(&thread, event_id).unwrap_or(&Value::Null);
    timeline.receipted(author, other, receipt, &thread);
    Ok(())
}

/// The receipt of the other Party for an event.
fn receipt<'v>(thread: &'v Value, event_id: &str) -> Option<&'v Value> {
    let event = list(thread, "/events").iter().find(|event| text(event, "/event_id") == event_id)?;
    list(event, "/receipts").first()
}

/// Every ledger is verified; Corvia's has nothing of the request.
async fn examine(nodes: &[Node], played: &[&Played], timeline: &Timeline) -> Result<bool, CliFault> {
    let mut whole = true;
    for node in nodes {
        let verified = node.client.post_empty("/v1/ledger/verify").await?;
        timeline.verified(node, &verified);
        whole &= is_whole(&verified);
    }
    let outsider = &nodes[2];
    let requests = outsider.client.get("/v1/requests").await?;
    let feed = outsider.client.get("/v1/events?limit=500").await?;
    let about = |row: &Value| {
        let row = row.to_string();
        played.iter().any(|played| row.contains(&played.thread) || row.contains(&played.id))
    };
    let learned = !list(&requests, "/requests").is_empty() || list(&feed, "/events").iter().any(about);
    let size = number(&outsider.client.get("/v1/ledger").await?, "/size");
    timeline.outsider(outsider, size, learned);
    Ok(whole && !learned)
}

/// For the timeline: the fingerprint as people compare it.
fn spaced(fingerprint: &Digest) -> String {
    let text = fingerprint.to_string();
    let groups = text.as_bytes().chunks(8).map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(" ")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
