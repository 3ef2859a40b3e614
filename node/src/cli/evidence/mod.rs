//! `comity evidence`: put under seal, hand over, fetch, verify, read out.
//!
//! Files are read and written here, with the rights of whoever types; the node only sees what is sent
//! to it and sends what may be read. `walk` decides what of a folder is put under seal, `export` how it
//! becomes files again, `watch` shows long work.

mod add;
mod export;
mod show;
mod walk;
mod watch;

use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

pub(crate) use add::seal;
pub(crate) use export::write_all;
pub(crate) use walk::{Entry, walk};
pub(crate) use watch::fetched;

use super::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    request::{Contents, Sender, fresh_id, signed, whole_id},
    show::{list, text},
};

/// What can be done with evidence.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put a folder or file under seal for a request.
    Add(add::Args),
    /// What is under seal for a request, handed over, or on its way.
    List {
        /// The request; its first digits are enough.
        id: String,
    },
    /// One manifest whole: what was put under seal, how it was acquired, every item.
    Show {
        /// The request.
        id: String,
        /// The manifest; its first digits are enough. Left out: the only one.
        manifest: Option<String>,
    },
    /// Hand over what is under seal: sign the delivery and offer it.
    Deliver(Deliver),
    /// Fetch what was handed over to us, and wait for it. Stopped and begun again, it goes on.
    Fetch(Fetch),
    /// Let a fetch stand still until it is asked for again.
    Pause {
        /// The request.
        id: String,
        /// The delivery; its first digits are enough. Left out: the only one to us.
        #[arg(long, value_name = "EVENT")]
        delivery: Option<String>,
    },
    /// Sign that custody is taken of what was fetched and verified.
    TakeCustody(TakeCustody),
    /// Read everything a manifest lists again: every byte, both digests.
    Verify {
        /// The request.
        id: String,
        /// The manifest; its first digits are enough. Left out: all of the request.
        manifest: Option<String>,
    },
    /// Write the items of a manifest as files into a new folder.
    Export(export::Args),
}

/// What a hand-over needs.
#[derive(clap::Args)]
pub(crate) struct Deliver {
    /// The request.
    id: String,
    /// The manifest; its first digits are enough. Left out: the only one under seal here.
    manifest: Option<String>,
    /// deliver, deliver-part or redeliver.
    #[arg(long, value_name = "STEP", default_value = "deliver")]
    step: String,
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    contents: Contents,
}

/// What fetching needs.
#[derive(clap::Args)]
pub(crate) struct Fetch {
    /// The request.
    id: String,
    /// The delivery; its first digits are enough. Left out: the only one to us.
    #[arg(long, value_name = "EVENT")]
    delivery: Option<String>,
    /// Only ask for it; do not wait.
    #[arg(long)]
    no_wait: bool,
}

/// What taking custody needs.
#[derive(clap::Args)]
pub(crate) struct TakeCustody {
    /// The request.
    id: String,
    /// The delivery; its first digits are enough. Left out: the only one to us.
    #[arg(long, value_name = "EVENT")]
    delivery: Option<String>,
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    contents: Contents,
}

/// The command.
pub(crate) async fn evidence(command: Command, context: &Context) -> Done {
    let client = context.client()?;
    match command {
        Command::Add(args) => add::add(&args, &client, context).await,
        Command::List { id } => show::list_all(&whole_id(&id, &client).await?, &client, context).await,
        Command::Show { id, manifest } => {
            let id = whole_id(&id, &client).await?;
            show::manifest(&id, manifest.as_deref(), &client, context).await
        }
        Command::Deliver(deliver) => hand_over(&deliver, &client, context).await,
        Command::Fetch(fetch) => self::fetch(&fetch, &client, context).await,
        Command::Pause { id, delivery } => {
            let delivery = delivery_of(&whole_id(&id, &client).await?, delivery.as_deref(), &client).await?;
            let paused = client.post_empty(&format!("/v1/deliveries/{}/pause", text(&delivery, "/event_id"))).await?;
            context.out.either(&paused, watch::line);
            Ok(Verdict::Fine)
        }
        Command::TakeCustody(take) => take_custody(&take, &client, context).await,
        Command::Verify { id, manifest } => {
            let id = whole_id(&id, &client).await?;
            watch::verify(&id, manifest.as_deref(), &client, context).await
        }
        Command::Export(args) => export::export(&args, &client, context).await,
    }
}

async fn hand_over(deliver: &Deliver, client: &Client, context: &Context) -> Done {
    let id = whole_id(&deliver.id, client).await?;
    let evidence = client.get(&format!("/v1/requests/{id}/evidence")).await?;
    let party = own_party(client).await?;
    let ours = |row: &&Value| text(row, "/giver") == party;
    let rows: Vec<&Value> = list(&evidence, "/manifests").iter().filter(ours).collect();
    let manifest = one_of(&rows, "/manifest", deliver.manifest.as_deref(), "manifests under seal here")?;
    let thread = client.get(&format!("/v1/requests/{id}")).await?;
    let fields = deliver.contents.fields(text(&thread, "/procedure"), &deliver.step, client).await?;
    let body = json!({
        "command_id": fresh_id(), "step": deliver.step, "manifest": text(manifest, "/manifest"),
        "authority": deliver.sender.authority, "lane": deliver.sender.lane, "fields": fields,
    });
    let done = client.post(&format!("/v1/requests/{id}/deliveries"), &body).await?;
    context.out.either(&done, |done| signed(&deliver.step, done));
    Ok(Verdict::Fine)
}

async fn fetch(fetch: &Fetch, client: &Client, context: &Context) -> Done {
    let id = whole_id(&fetch.id, client).await?;
    let delivery = delivery_of(&id, fetch.delivery.as_deref(), client).await?;
    let event = text(&delivery, "/event_id").to_owned();
    let begun = client.post_empty(&format!("/v1/deliveries/{event}/fetch")).await?;
    if fetch.no_wait {
        context.out.either(&begun, watch::line);
        return Ok(Verdict::Fine);
    }
    let done = fetched(&event, client, !context.out.json).await?;
    context.out.either(&done, watch::line);
    match text(&done, "/progress/stage") {
        "done" => Ok(Verdict::Fine),
        _ => Ok(Verdict::Finding),
    }
}

async fn take_custody(take: &TakeCustody, client: &Client, context: &Context) -> Done {
    let id = whole_id(&take.id, client).await?;
    let delivery = delivery_of(&id, take.delivery.as_deref(), client).await?;
    let thread = client.get(&format!("/v1/requests/{id}")).await?;
    let fields = take.contents.fields(text(&thread, "/procedure"), "take-custody", client).await?;
    let body = json!({ "command_id": fresh_id(), "authority": take.sender.authority, "fields": fields });
    let path = format!("/v1/deliveries/{}/custody", text(&delivery, "/event_id"));
    let done = client.post(&path, &body).await?;
    context.out.either(&done, |done| signed("take-custody", done));
    Ok(Verdict::Fine)
}

async fn own_party(client: &Client) -> Result<String, CliFault> {
    Ok(text(&client.get("/v1/status").await?, "/party").to_owned())
}

/// The delivery to us that is meant: named, or the only one that was not replaced.
async fn delivery_of(request: &str, beginning: Option<&str>, client: &Client) -> Result<Value, CliFault> {
    let evidence = client.get(&format!("/v1/requests/{request}/evidence")).await?;
    let open = |row: &&Value| row["to_us"] == true && (beginning.is_some() || text(row, "/state") != "replaced");
    let rows: Vec<&Value> = list(&evidence, "/deliveries").iter().filter(open).collect();
    one_of(&rows, "/event_id", beginning, "deliveries to us").cloned()
}

/// The one row whose id begins so; the only one, if nothing is said.
fn one_of<'v>(
    rows: &[&'v Value],
    pointer: &str,
    beginning: Option<&str>,
    what: &'static str,
) -> Result<&'v Value, CliFault> {
    let begins = |row: &&&Value| text(row, pointer).starts_with(beginning.unwrap_or_default());
    let found: Vec<&&Value> = rows.iter().filter(begins).collect();
    match found.as_slice() {
        [one] => Ok(**one),
        several => Err(CliFault::NotOne {
            what,
            beginning: beginning.unwrap_or("nothing said").to_owned(),
            found: several.len(),
        }),
    }
}

/// A folder of one's own that holds nothing yet.
fn new_folder(path: &Path) -> Result<(), CliFault> {
    if super::found::holds_something(path)? {
        return Err(CliFault::FolderInUse(path.to_owned()));
    }
    super::found::folder(path)
}
