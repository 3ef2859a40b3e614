//! What a command can come back with instead of a result, and which exit code that is.
//!
//! Every text has three parts - what did not happen, why, what to do next - and begins with its
//! code. What the node itself answers is a [`Problem`]; it is shown with the fields it names and
//! with the advice of the table of codes.

use std::{fmt, path::PathBuf};

use comity_core::crypto::CryptoFault;
use serde_json::Value;

use super::explain;
use crate::{
    api::ApiFault,
    backup::BackupFault,
    bench::BenchFault,
    ceremony::CeremonyFault,
    config::ConfigFault,
    keys::KeyFault,
    law::LawFault,
    net::NetFault,
    runtime::{RunFault, StartFault},
    store::StoreFault,
    telemetry::TelemetryFault,
    tlog::TlogFault,
};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliFault {
    /// The node answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No node at the socket.
    #[error(
        "cli.no-node: nothing was asked: no node answers at {socket} ({cause}). \
         Start it with `comity run`, or name its folder with --data DIR",
        socket = .socket.display()
    )]
    NoNode {
        /// Where the node should listen.
        socket: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// No node's folder.
    #[error(
        "cli.no-folder: nothing was asked: {path} is no node's folder, for it holds no comity.toml. \
         Name the folder with --data DIR, or found a network with `comity init`",
        path = .0.display()
    )]
    NoFolder(PathBuf),
    /// The connection ended before the answer.
    #[error(
        "cli.no-answer: it is not known whether this was done: the node did not answer ({0}). \
         Ask again: what was done already is not done twice"
    )]
    NoAnswer(String),
    /// The answer is not what the API promises.
    #[error(
        "cli.bad-answer: the answer was not understood: {0}. \
         Command and node are of different versions; use the `comity` the node was started with"
    )]
    BadAnswer(String),
    /// A field of a form was not written as it must be.
    #[error("cli.bad-field: nothing was sent: {field}: {why}. Correct it and try again")]
    BadField {
        /// The field as it was written.
        field: String,
        /// What is wrong.
        why: String,
    },
    /// An argument that parses but cannot be meant.
    #[error("cli.bad-argument: nothing was done: {what}: {why}. See --help")]
    BadArgument {
        /// The argument.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A short id that names nothing, or more than one thing.
    #[error("cli.unknown-id: nothing was done: {found} requests or drafts begin with {id}. See: comity request list")]
    UnknownId {
        /// As it was written.
        id: String,
        /// How many there are.
        found: usize,
    },
    /// What is meant is not the only one, or there is none.
    #[error("cli.not-one: nothing was done: of the {what}, {found} fit ({beginning}). See: comity evidence list ID")]
    NotOne {
        /// Of what.
        what: &'static str,
        /// As it was written.
        beginning: String,
        /// How many there are.
        found: usize,
    },
    /// Something does not read as a whole file.
    #[error("cli.not-whole: {path} was not written whole: {why}. What was written of it is removed; try again")]
    NotWhole {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A code the table does not have.
    #[error("cli.unknown-code: nothing to explain: there is no code {code}.{near}")]
    UnknownCode {
        /// As it was written.
        code: String,
        /// What may have been meant, as a sentence, or nothing.
        near: String,
    },
    /// A file or folder.
    #[error("cli.disk: could not {doing} {path}: {cause}. Correct that and try again", path = .path.display())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A folder to be made holds something.
    #[error(
        "cli.folder-in-use: nothing was founded: {path} already holds something. Nothing was changed; choose another folder",
        path = .0.display()
    )]
    FolderInUse(PathBuf),
    /// Demo or benchmark did not see what it waited for.
    #[error("cli.demo-stalled: stopped: {what} did not happen within {seconds} s. See the logs in {logs}", logs = .logs.display())]
    DemoStalled {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// Where the nodes' logs are.
        logs: PathBuf,
    },
    /// A node of demo or benchmark ended on its own.
    #[error("cli.node-ended: stopped: the node of {party} ended ({how}). Its last words: {words}")]
    NodeEnded {
        /// Whose.
        party: String,
        /// The exit status.
        how: String,
        /// The end of its log.
        words: String,
    },
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyFault),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] TelemetryFault),
    /// The local API was not opened.
    #[error(transparent)]
    Api(#[from] ApiFault),
    /// Rule files.
    #[error(transparent)]
    Law(#[from] LawFault),
    /// The node did not start.
    #[error(transparent)]
    Start(#[from] StartFault),
    /// The node stopped on its own.
    #[error(transparent)]
    Run(#[from] RunFault),
    /// The ledger of a stopped node.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// An exported ledger.
    #[error(transparent)]
    Tlog(#[from] TlogFault),
    /// A benchmark.
    #[error(transparent)]
    Bench(#[from] BenchFault),
    /// A backup.
    #[error(transparent)]
    Backup(#[from] BackupFault),
    /// A ceremony.
    #[error(transparent)]
    Ceremony(#[from] CeremonyFault),
    /// Signing at a founding.
    #[error(transparent)]
    Crypto(#[from] CryptoFault),
}

impl CliFault {
    /// The stable code, as in `comity explain CODE`.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.code,
            Self::NoNode { .. } => "cli.no-node",
            Self::NoFolder(_) => "cli.no-folder",
            Self::NoAnswer(_) => "cli.no-answer",
            Self::BadAnswer(_) => "cli.bad-answer",
            Self::BadField { .. } => "cli.bad-field",
            Self::BadArgument { .. } => "cli.bad-argument",
            Self::UnknownId { .. } => "cli.unknown-id",
            Self::NotOne { .. } => "cli.not-one",
            Self::NotWhole { .. } => "cli.not-whole",
            Self::UnknownCode { .. } => "cli.unknown-code",
            Self::Disk { .. } => "cli.disk",
            Self::FolderInUse(_) => "cli.folder-in-use",
            Self::DemoStalled { .. } => "cli.demo-stalled",
            Self::NodeEnded { .. } => "cli.node-ended",
            Self::Config(fault) => fault.code(),
            Self::Keys(fault) => fault.code(),
            Self::Telemetry(fault) => fault.code(),
            Self::Api(fault) => fault.code(),
            Self::Start(fault) => fault.code(),
            Self::Run(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Tlog(fault) => fault.code(),
            Self::Bench(fault) => fault.code(),
            Self::Law(fault) => fault.code(),
            Self::Backup(fault) => fault.code(),
            Self::Ceremony(fault) => fault.code(),
            Self::Crypto(fault) => fault.code(),
        }
    }

    /// 1 a finding, 2 wrong use, 75 not ready or try again.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Problem(problem) => problem.exit(),
            Self::NoNode { .. } | Self::NoAnswer(_) | Self::Api(_) | Self::Run(_) => super::TRY_AGAIN,
            Self::Start(fault) => start_exit(fault),
            Self::Backup(fault) if fault.is_finding() => super::FINDING,
            Self::Ceremony(fault) if fault.is_finding() => super::FINDING,
            Self::Tlog(fault) if fault.is_finding() => super::FINDING,
            Self::NoFolder(_)
            | Self::BadField { .. }
            | Self::BadArgument { .. }
            | Self::UnknownId { .. }
            | Self::NotOne { .. }
            | Self::NotWhole { .. }
            | Self::UnknownCode { .. }
            | Self::FolderInUse(_)
            | Self::Config(_)
            | Self::Keys(_)
            | Self::Backup(_)
            | Self::Ceremony(_)
            | Self::Tlog(_)
            | Self::Telemetry(_) => super::WRONG_USE,
            Self::BadAnswer(_)
            | Self::Disk { .. }
            | Self::DemoStalled { .. }
            | Self::NodeEnded { .. }
            | Self::Store(_)
            | Self::Bench(_)
            | Self::Law(_)
            | Self::Crypto(_) => super::FINDING,
        }
    }

    /// As one object for programs.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = serde_json::json!({ "schema": "comity/error/v1", "code": self.code() });
        match self {
            Self::Problem(problem) => object["problem"] = problem.whole.clone(),
            other => object["detail"] = Value::from(other.to_string()),
        }
        object
    }
}

/// What another process or the system holds may be free later; the rest a person must correct.
fn start_exit(fault: &StartFault) -> u8 {
    match fault {
        StartFault::Store(_)
        | StartFault::Index(_)
        | StartFault::Engine(_)
        | StartFault::Vault(_)
        | StartFault::Net(NetFault::CannotListen(..)) => super::TRY_AGAIN,
        StartFault::Trust(_)
        | StartFault::Net(_)
        | StartFault::Rules(_)
        | StartFault::Restored(_)
        | StartFault::KeysNotInProfile(_) => super::WRONG_USE,
    }
}

/// A problem the node answered with (RFC 9457).
#[derive(Debug)]
pub(crate) struct Problem {
    status: u16,
    code: String,
    detail: String,
    errors: Vec<[String; 3]>,
    whole: Value,
}

impl Problem {
    /// Reads what came with a status that is no success.
    pub(crate) fn read(status: u16, body: Value) -> Self {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let errors = body["errors"].as_array().into_iter().flatten();
        Self {
            status,
            code: or(text(&body, "code"), "api.problem"),
            detail: or(text(&body, "detail"), &or(text(&body, "title"), &format!("the node answered {status}"))),
            errors: errors.map(|error| ["field", "code", "detail"].map(|key| text(error, key))).collect(),
            whole: body,
        }
    }

    /// True if it is this problem.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    fn exit(&self) -> u8 {
        match self.status {
            400 | 404 | 405 | 413 | 415 => super::WRONG_USE,
            408 | 425 | 429 | 503 | 504 => super::TRY_AGAIN,
            _ => super::FINDING,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = &self.code;
        let detail = self.detail.strip_prefix(&format!("{code}: ")).unwrap_or(&self.detail);
        write!(f, "{code}: {detail}")?;
        for [field, code, detail] in &self.errors {
            let prefix = format!("{code}: {field}: ");
            write!(f, "\n  {code}: {field}: {}", detail.strip_prefix(&prefix).unwrap_or(detail))?;
        }
        explain::find(code).map_or(Ok(()), |row| write!(f, "\n{}", row.remedy))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_reads_as_code_reason_and_fields() {
        let body = json!({
            "code": "x.unknown", "detail": "x.unknown: not done; the form is not complete",
            "errors": [{ "field": "data.from", "code": "form.missing-field",
                         "detail": "form.missing-field: data.from: it is not filled in; fill it in" }],
        });
        let fault = CliFault::Problem(Box::new(Problem::read(422, body)));
        assert_eq!(
            fault.to_string(),
            "x.unknown: not done; the form is not complete\n  form.missing-field: data.from: it is not filled in; fill it in"
        );
        assert_eq!((fault.code(), fault.exit()), ("x.unknown", 1));
    }

    #[test]
    fn statuses_become_exit_codes() {
        let check = |status, expected| assert_eq!(Problem::read(status, Value::Null).exit(), expected, "{status}");
        check(400, 2);
        check(404, 2);
        check(409, 1);
        check(422, 1);
        check(500, 1);
        check(503, 75);
    }
}
