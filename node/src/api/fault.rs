//! What can go wrong at this room's own edge, and the codes people and programs read.
//!
//! Other rooms' errors keep their own codes and pass through [`super::problem`]. Texts here never
//! repeat what a client sent beyond names of fields and parameters.

use std::{io, path::PathBuf};

/// Why the API was not opened, or a request was not carried out by the API itself.
#[derive(Debug, thiserror::Error)]
pub enum ApiFault {
    /// Somebody answers on the socket already.
    #[error(
        "api.socket-in-use: the API was not opened; another process answers on {}; \
         stop it, or name another data folder", .0.display()
    )]
    SocketInUse(PathBuf),
    /// What lies where the socket belongs is something else.
    #[error("api.not-a-socket: the API was not opened; {} exists and is no socket; move it away", .0.display())]
    NotASocket(PathBuf),
    /// The system does not give the socket.
    #[error(
        "api.socket-failed: the API was not opened; {}: {source}; \
         check who owns the folder, and that the path has fewer than 100 characters", .path.display()
    )]
    Socket {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No such path.
    #[error("api.unknown-route: nothing was done; there is no such path; see /v1/openapi.json")]
    UnknownRoute,
    /// The path has no such method.
    #[error("api.wrong-method: nothing was done; this path does not take this method; see /v1/openapi.json")]
    WrongMethod,
    /// A parameter of the path, query or head does not read.
    #[error("api.bad-parameter: nothing was done; {name} does not read: {why}; correct it")]
    BadParameter {
        /// Which.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The body is no JSON.
    #[error("api.bad-json: nothing was done; the body is not JSON (line {line}, column {column}); correct it")]
    BadJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The body has a member that is not known: perhaps a wish that would silently not be fulfilled.
    #[error("api.unknown-field: nothing was done; {0}; take it out, or correct its name")]
    UnknownField(String),
    /// The body is JSON of another shape.
    #[error("api.wrong-shape: nothing was done; the body has another shape: {0}; see /v1/openapi.json")]
    WrongShape(String),
    /// The body does not say that it is JSON.
    #[error("api.wrong-type: nothing was done; the body is not sent as application/json; say so in Content-Type")]
    WrongType,
    /// The body is too large.
    #[error(
        "api.too-large: nothing was done; the body is over 1 MiB, more than any form may hold; \
         shorten the texts, and send papers as evidence"
    )]
    TooLarge,
    /// The body did not arrive whole.
    #[error("api.broken-body: nothing was done; the body did not arrive whole; send it again")]
    BrokenBody,
    /// No such request here.
    #[error("api.unknown-request: nothing was done; this node knows no such request; see /v1/requests")]
    UnknownRequest,
    /// It is all there.
    #[error("api.not-erased: there is nothing to show; this request was not erased; see /v1/requests")]
    NotErased,
    /// Nobody is on it.
    #[error("api.no-roll: there is nothing to show; no roll of officers was installed here; see: comity officer roll")]
    NoRollHere,
    /// No such draft here.
    #[error("api.unknown-draft: nothing was done; no such draft lies here, or it was sent; see /v1/drafts")]
    UnknownDraft,
    /// No such form.
    #[error("api.unknown-form: there is no such form; the procedure or step is not known; see /v1/procedures")]
    UnknownForm,
    /// Another hand changed the draft.
    #[error("api.draft-changed: the draft was left as it is; somebody changed it since it was read; read it again")]
    DraftChanged,
    /// A new draft was wanted where one lies.
    #[error("api.draft-exists: the draft was left as it is; one lies here already; read it, or take another id")]
    DraftExists,
    /// The desk has no room for more drafts.
    #[error("api.drafts-full: the draft was not kept; drafts take 64 MiB or are 1000 already; send or discard some")]
    DraftsFull,
    /// A draft does not yet say enough to be sent.
    #[error("api.draft-unfinished: nothing was sent; the draft does not say {0}; fill it in")]
    DraftUnfinished(&'static str),
    /// A field that only the node can fill in.
    #[error(
        "api.made-by-node: nothing was signed; the node fills in {0} itself, from what rests in its vault; \
         hand over and take custody with the routes for that, see /v1/openapi.json"
    )]
    MadeByNode(String),
    /// The ids of a command differ.
    #[error(
        "api.two-command-ids: nothing was done; command_id and Idempotency-Key are both given and differ; leave one out"
    )]
    TwoCommandIds,
    /// No id for a command.
    #[error(
        "api.no-command-id: nothing was done; a step needs a command_id or an Idempotency-Key; make one and keep it"
    )]
    NoCommandId,
    /// The id of another command.
    #[error(
        "api.command-reused: nothing was done; this command id was used before for something else; \
         make a fresh one for each act"
    )]
    CommandReused,
    /// A cursor that this node did not give.
    #[error("api.bad-cursor: nothing was read; the cursor is not one of this list; begin without one")]
    BadCursor,
    /// A cursor from before a restore.
    #[error(
        "api.other-epoch: nothing was read; the feed has begun anew since this cursor was given; begin without one"
    )]
    OtherEpoch,
    /// The record has no proof to give.
    #[error("api.no-proof: there is no proof; what it needs was erased with its request; the ledger still verifies")]
    NoProof,
    /// No checkpoint covers the record yet.
    #[error(
        "api.not-covered: there is no proof yet; the record is newer than the last checkpoint; ask again in a moment"
    )]
    NotCovered,
    /// The ledger has no such tile, bundle or other file.
    #[error(
        "api.no-such-file: nothing was read; the ledger under its newest checkpoint has no such file; \
         read checkpoint first, and the paths that its size demands"
    )]
    NoSuchFile,
    /// No such Party.
    #[error("api.unknown-party: nothing was done; the charter names no other Party so; see /v1/peers")]
    UnknownParty,
    /// The Party is in already.
    #[error("api.not-cut-off: nothing was changed; this Party is not cut off; see /v1/peers")]
    NotCutOff,
    /// No frame is kept of this.
    #[error("api.no-such-proof: there is nothing to give; no frame is kept of this Party and code; see /v1/peers")]
    NoSuchProof,
    /// No fork of this Party is proven.
    #[error(
        "api.no-such-fork: there is nothing to give; no fork of a ledger of this Party is proven here; see /v1/peers"
    )]
    NoSuchFork,
    /// A verification is running.
    #[error("api.verifying: nothing was started; a verification of the ledger runs already; wait for it")]
    Verifying,
    /// The system does not say who asks.
    #[error(
        "api.unknown-user: nothing was shown or done; the system does not say which user asks, so it cannot be recorded; \
         connect to the socket again"
    )]
    UnknownUser,
    /// Too many requests at once.
    #[error("api.busy: nothing was done; too many requests are under way; try again in a moment")]
    Busy,
    /// Too many readers wait for news.
    #[error("api.too-many-waiting: nothing was read; too many readers wait for news; ask again without wait")]
    TooManyWaiting,
    /// It took too long.
    #[error(
        "api.timeout: it is not known whether this was done; it took too long; \
         ask again with the same command id: it has one effect only"
    )]
    Timeout,
    /// A worker was lost while the node stops.
    #[error("api.stopping: there is no answer; the node is stopping; start it and ask again")]
    Stopping,
}

impl ApiFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SocketInUse(_) => "api.socket-in-use",
            Self::NotASocket(_) => "api.not-a-socket",
            Self::Socket { .. } => "api.socket-failed",
            Self::UnknownRoute => "api.unknown-route",
            Self::WrongMethod => "api.wrong-method",
            Self::BadParameter { .. } => "api.bad-parameter",
            Self::BadJson { .. } => "api.bad-json",
            Self::UnknownField(_) => "api.unknown-field",
            Self::WrongShape(_) => "api.wrong-shape",
            Self::WrongType => "api.wrong-type",
            Self::TooLarge => "api.too-large",
            Self::BrokenBody => "api.broken-body",
            Self::UnknownRequest => "api.unknown-request",
            Self::NotErased => "api.not-erased",
            Self::NoRollHere => "api.no-roll",
            Self::UnknownDraft => "api.unknown-draft",
            Self::UnknownForm => "api.unknown-form",
            Self::DraftChanged => "api.draft-changed",
            Self::DraftExists => "api.draft-exists",
            Self::DraftsFull => "api.drafts-full",
            Self::DraftUnfinished(_) => "api.draft-unfinished",
            Self::MadeByNode(_) => "api.made-by-node",
            Self::TwoCommandIds => "api.two-command-ids",
            Self::NoCommandId => "api.no-command-id",
            Self::CommandReused => "api.command-reused",
            Self::BadCursor => "api.bad-cursor",
            Self::OtherEpoch => "api.other-epoch",
            Self::NoProof => "api.no-proof",
            Self::NotCovered => "api.not-covered",
            Self::NoSuchFile => "api.no-such-file",
            Self::UnknownParty => "api.unknown-party",
            Self::NotCutOff => "api.not-cut-off",
            Self::NoSuchProof => "api.no-such-proof",
            Self::NoSuchFork => "api.no-such-fork",
            Self::Verifying => "api.verifying",
            Self::UnknownUser => "api.unknown-user",
            Self::Busy => "api.busy",
            Self::TooManyWaiting => "api.too-many-waiting",
            Self::Timeout => "api.timeout",
            Self::Stopping => "api.stopping",
        }
    }
}
