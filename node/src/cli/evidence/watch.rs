//! Long work as people see it: a bar while it lasts, one line when it ends.

use std::{io::Read, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tokio::time::sleep;

use super::one_of;
use crate::cli::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    show::{bytes, list, number, short, text},
};

/// The node is asked so often how far it is: as often as people see a bar move.
const BEAT: Duration = Duration::from_millis(250);

/// A bar on standard error, if somebody looks at it.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(shown: bool, what: &'static str, bytes: u64) -> Self {
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = "{msg} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::with_draw_target(Some(bytes), target).with_style(style).with_message(what))
    }

    /// A reader that moves the bar.
    pub(super) fn reads<R: Read>(&self, reader: R) -> impl Read + use<R> {
        self.0.wrap_read(reader)
    }

    /// So many more bytes are done.
    pub(super) fn moved(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    pub(super) fn done(&self) {
        self.0.finish_and_clear();
    }

    /// Follows what the node says. Rate and time left are the node's own, so that both say the same.
    fn follow(&self, progress: &Value) {
        self.0.set_length(number(progress, "/bytes_all"));
        self.0.set_position(number(progress, "/bytes"));
        let items = format!("{} of {} items", number(progress, "/items"), number(progress, "/items_all"));
        self.0.set_message(match text(progress, "/stage") {
            "working" => items,
            stage => format!("{items}, {stage}"),
        });
    }
}

/// Waits until a fetch is done or cannot go on by itself, with a bar meanwhile.
pub(crate) async fn fetched(event: &str, client: &Client, shown: bool) -> Result<Value, CliFault> {
    let bar = Bar::new(shown, "", 0);
    loop {
        let delivery = client.get(&format!("/v1/deliveries/{event}")).await?;
        let ended = match text(&delivery, "/progress/stage") {
            "done" | "failed" | "paused" => true,
            // Terms accepted a moment ago are not seen by the fetch yet.
            "awaiting_terms" => text(&delivery, "/state") == "offered",
            _ => false,
        };
        if ended {
            bar.done();
            return Ok(delivery);
        }
        bar.follow(&delivery["progress"]);
        sleep(BEAT).await;
    }
}

/// How far a delivery is on its way here, in one line.
pub(super) fn line(delivery: &Value) -> String {
    let progress = &delivery["progress"];
    let items = format!(
        "{} of {} items, {} of {}",
        number(progress, "/items"),
        number(progress, "/items_all"),
        bytes(number(progress, "/bytes")),
        bytes(number(progress, "/bytes_all"))
    );
    let left = progress["seconds_left"].as_u64().map(|seconds| format!(", {seconds} s left")).unwrap_or_default();
    let rate = match number(progress, "/rate") {
        0 => String::new(),
        rate => format!(", {}/s", bytes(rate)),
    };
    match (text(progress, "/stage"), text(progress, "/detail")) {
        ("done", _) => format!("all here and verified: {items}"),
        (stage, "") => format!("{stage}: {items}{rate}{left}"),
        (stage, detail) => format!("{stage}: {items}; {detail}"),
    }
}

/// `comity evidence verify`.
pub(super) async fn verify(id: &str, beginning: Option<&str>, client: &Client, context: &Context) -> Done {
    let evidence = client.get(&format!("/v1/requests/{id}/evidence")).await?;
    let rows: Vec<&Value> = list(&evidence, "/manifests").iter().collect();
    let chosen = match beginning {
        None => rows,
        Some(_) => vec![one_of(&rows, "/manifest", beginning, "manifests of the request")?],
    };
    let mut verdict = Verdict::Fine;
    for row in chosen {
        let manifest = text(row, "/manifest");
        let verified = verify_one(manifest, client, !context.out.json).await?;
        if verified["whole"] != true {
            verdict = Verdict::Finding;
        }
        context.out.either(&verified, |verified| {
            let finding = |finding: &Value| format!("\n  {}: {}", text(finding, "/path"), text(finding, "/detail"));
            let found: String = list(verified, "/findings").iter().map(finding).collect();
            let items = number(verified, "/progress/items_all");
            match found.is_empty() {
                true => format!("manifest {}: {items} items, every byte as it was sealed", short(manifest)),
                false => format!("manifest {}: NOT as it was sealed{found}", short(manifest)),
            }
        });
    }
    Ok(verdict)
}

async fn verify_one(manifest: &str, client: &Client, shown: bool) -> Result<Value, CliFault> {
    let path = format!("/v1/manifests/{manifest}/verification");
    let mut verified = client.post_empty(&path).await?;
    let bar = Bar::new(shown, "reading", number(&verified, "/progress/bytes_all"));
    while text(&verified, "/progress/stage") == "working" {
        bar.follow(&verified["progress"]);
        sleep(BEAT).await;
        verified = client.get(&path).await?;
    }
    bar.done();
    Ok(verified)
}
