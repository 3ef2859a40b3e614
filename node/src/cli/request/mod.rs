//! `comity request …`: what officers do with requests, theirs and those of others.
//!
//! A draft lies on the node's desk under the id it will have for ever; sending it twice sends it
//! once. Ids may be shortened to as many digits as are unique. Start at [`request`].

mod approve;
mod draft;
mod erasure;
mod guide;
mod list;
mod thread;

pub(crate) use thread::{clock, plain};

use std::path::PathBuf;

use clap::Subcommand;
use comity_core::ids::{RequestId, hex};
use serde_json::{Value, json};

use super::{
    Context, Done, Verdict,
    client::Client,
    fault::CliFault,
    fields::{Fields, FormKinds},
    show::{list as items, short, text},
};

/// Ids shown to people have eight digits; fewer than four say too little to be meant.
const ID_DIGITS_MIN: usize = 4;

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Begin a draft.
    New(New),
    /// Change a draft.
    Edit {
        /// The request.
        id: String,
        #[command(flatten)]
        contents: Contents,
        /// Be asked for each field that is not filled in.
        #[arg(long)]
        guide: bool,
    },
    /// Throw a draft away.
    Discard {
        /// The request.
        id: String,
    },
    /// Sign and send a draft.
    Send {
        /// The request.
        id: String,
    },
    /// Drafts and requests.
    List {
        /// Only those in this state, for example `preserved`.
        #[arg(long)]
        state: Option<String>,
        /// Only those of this procedure, for example `PRES`.
        #[arg(long)]
        procedure: Option<String>,
    },
    /// One request: where it stands, its clocks, its events and who holds them.
    Show {
        /// The request.
        id: String,
        /// Also the contents of every form.
        #[arg(long)]
        full: bool,
    },
    /// How long requests are kept, which need not be any more, and on what one may be erased.
    Retention,
    /// Erase a request that has ended: its keys are destroyed, and nothing of it can be read here again.
    Erase {
        /// The request.
        id: String,
        /// On which ground, for example retention-over; `request retention` names them.
        #[arg(long, value_name = "CODE")]
        ground: String,
    },
    /// Hold a request back from erasure, whatever else would let it go.
    Hold {
        /// The request.
        id: String,
        /// Why, for example proceedings; `request retention` names the reasons.
        #[arg(long, value_name = "CODE")]
        reason: String,
    },
    /// Let go of a hold.
    ReleaseHold {
        /// The request.
        id: String,
    },
    /// Take a step in a request.
    Act(Act),
    /// What waits for officers, and what went out on the word of one.
    Approvals {
        /// What was withdrawn while it waited, and why.
        #[arg(long)]
        withdrawn: bool,
    },
    /// Look at what would leave, and approve it as an officer; done at once when enough have.
    Approve(approve::Approve),
    /// Withdraw an act that waits for officers: it does not leave any more, whoever approves it late.
    WithdrawAct(approve::WithdrawAct),
    /// Whose turn it is, and until when.
    Inbox {
        /// Only requests with a deadline, the nearest first.
        #[arg(long)]
        due: bool,
    },
}

/// What a new draft needs.
#[derive(clap::Args)]
pub(crate) struct New {
    /// The procedure, for example PRES; see `comity forms`.
    procedure: String,
    /// The Party asked, by its code.
    #[arg(long, value_name = "PARTY", required = true, value_delimiter = ',')]
    to: Vec<String>,
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    contents: Contents,
    /// Its id: 16 random bytes in hexadecimal, from a system of one's own or an earlier try.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The step that opens it, where the procedure has several; `law procedures` names them.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Be asked for each field, with its article and what may stand there.
    #[arg(long)]
    guide: bool,
    /// Send it at once.
    #[arg(long)]
    send: bool,
}

/// What a step needs.
#[derive(clap::Args)]
pub(crate) struct Act {
    /// The request.
    id: String,
    /// The step, for example acknowledge; `request show` names those open to this side.
    step: String,
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    contents: Contents,
    /// The id of an earlier try, so that it is not done twice.
    #[arg(long, value_name = "ID")]
    command_id: Option<String>,
}

/// Who acts, and how urgently.
#[derive(clap::Args)]
pub(crate) struct Sender {
    /// The authority that acts, as the Party's profile names it.
    #[arg(long, value_name = "ID", default_value = "central")]
    pub(crate) authority: String,
    /// How urgent the delivery is.
    #[arg(long, value_parser = ["normal", "emergency"], default_value = "normal")]
    pub(crate) lane: String,
}

/// What goes into a form.
#[derive(clap::Args)]
pub(crate) struct Contents {
    /// A TOML or JSON file of fields.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// One field; again for a list. `key@de=…` is a text in that language, `key=` takes it out.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The language of texts that do not say theirs; zxx where there is none, as in a number.
    #[arg(long, value_name = "TAG", default_value = "en")]
    lang: String,
}

impl Contents {
    /// The fields for the form of a step.
    pub(crate) async fn fields(&self, procedure: &str, step: &str, client: &Client) -> Result<Fields, CliFault> {
        let form = form(procedure, step, &self.lang, client).await?;
        let mut fields = Fields::new();
        self.put_into(&mut fields, &form)?;
        Ok(fields)
    }

    /// Puts the file, then the single settings, into `fields`.
    fn put_into(&self, fields: &mut Fields, form: &FormKinds) -> Result<(), CliFault> {
        if let Some(file) = &self.file {
            fields.extend(form.read_file(file)?);
        }
        form.set(fields, &self.set)
    }
}

/// The command.
pub(crate) async fn request(command: Command, context: &Context) -> Done {
    let client = context.client()?;
    match command {
        Command::New(new) => draft::new(&new, &client, context).await,
        Command::Edit { id, contents, guide } => draft::edit(&id, &contents, guide, &client, context).await,
        Command::Discard { id } => draft::discard(&id, &client, context).await,
        Command::Send { id } => draft::send(&id, &client, context).await,
        Command::List { state, procedure } => {
            list::list(state.as_deref(), procedure.as_deref(), &client, context).await
        }
        Command::Show { id, full } => thread::show(&id, full, &client, context).await,
        Command::Retention => erasure::retention(&client, context).await,
        Command::Erase { id, ground } => erasure::erase(&id, &ground, &client, context).await,
        Command::Hold { id, reason } => erasure::hold(&id, &reason, &client, context).await,
        Command::ReleaseHold { id } => erasure::release(&id, &client, context).await,
        Command::Act(act) => take_step(&act, &client, context).await,
        Command::Approvals { withdrawn } => approve::list_all(withdrawn, &client, context).await,
        Command::Approve(args) => approve::approve(&args, &client, context).await,
        Command::WithdrawAct(args) => approve::withdraw_act(&args, &client, context).await,
        Command::Inbox { due } => list::inbox(due, &client, context).await,
    }
}

/// `comity request act`.
async fn take_step(act: &Act, client: &Client, context: &Context) -> Done {
    let id = whole_id(&act.id, client).await?;
    let thread = client.get(&format!("/v1/requests/{id}")).await?;
    let fields = act.contents.fields(text(&thread, "/procedure"), &act.step, client).await?;
    let command_id = act.command_id.clone().unwrap_or_else(fresh_id);
    let body = json!({
        "command_id": command_id, "step": act.step, "authority": act.sender.authority,
        "lane": act.sender.lane, "fields": fields,
    });
    let done = client.post(&format!("/v1/requests/{id}/steps"), &body).await;
    if matches!(done, Err(CliFault::NoAnswer(_))) {
        context.out.say(&format!("To ask again without doing it twice, add: --command-id {command_id}"));
    }
    context.out.either(&done?, |done| signed(&act.step, done));
    Ok(Verdict::Fine)
}

/// What is said of an act that is on disk.
pub(crate) fn signed(step: &str, done: &Value) -> String {
    let event = short(text(done, "/event_id"));
    format!("{step} signed: event {event}, index {} of this ledger", super::show::number(done, "/index"))
}

/// Asks for the form of a step.
async fn form(procedure: &str, step: &str, language: &str, client: &Client) -> Result<FormKinds, CliFault> {
    Ok(FormKinds::of(&client.get(&format!("/v1/forms/{procedure}/{step}")).await?, language))
}

/// 128 random bits, made here so that asking twice is doing once.
pub(crate) fn fresh_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random bytes once it is up");
    hex(&bytes)
}

/// The one request or draft whose id begins so.
pub(crate) async fn whole_id(beginning: &str, client: &Client) -> Result<String, CliFault> {
    if beginning.parse::<RequestId>().is_ok() {
        return Ok(beginning.to_owned());
    }
    let unknown = |found| CliFault::UnknownId { id: beginning.to_owned(), found };
    if beginning.len() < ID_DIGITS_MIN {
        return Err(unknown(0));
    }
    let rows = [list::all("/v1/requests", "/requests", client).await?, drafts(client).await?].concat();
    let ids = rows.iter().map(|row| text(row, "/request_id").to_owned());
    let mut ids: Vec<String> = ids.filter(|id| id.starts_with(beginning)).collect();
    ids.sort();
    ids.dedup();
    match ids.as_slice() {
        [id] => Ok(id.clone()),
        ids => Err(unknown(ids.len())),
    }
}

async fn drafts(client: &Client) -> Result<Vec<Value>, CliFault> {
    Ok(items(&client.get("/v1/drafts").await?, "/drafts").to_vec())
}
