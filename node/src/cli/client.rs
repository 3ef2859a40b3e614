//! Asking the node: HTTP over the Unix socket in its data folder.
//!
//! A connection that served one question serves the next. Answers are JSON values:
//! this room shows what the API says and has no second opinion about its shapes.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    client::conn::http1,
    header::{self, HeaderName},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, task::JoinHandle};

use super::fault::{CliFault, Problem};

/// A long list of requests, or a whole thread with its forms, with room to spare.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A full verification of a large ledger is the slowest question there is.
const ANSWER_WAIT: Duration = Duration::from_secs(600);

/// A day: all of a large vault to a slow disk.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// Connections kept for the next question: as many as a node serves at once.
const IDLE_MAX: usize = 64;

/// Where a node answers. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    socket: PathBuf,
    wait: Duration,
    idle: Arc<Mutex<Vec<Line>>>,
}

impl Client {
    /// A node by its socket. Nothing is opened yet.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, wait: ANSWER_WAIT, idle: Arc::default() }
    }

    /// The same node, asked for something that takes as long as its disks take.
    pub(crate) fn patient(self) -> Self {
        Self { wait: PATIENCE, ..self }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CliFault> {
        self.ask(request(Method::GET, path, None, None)?).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliFault> {
        self.ask(request(Method::POST, path, Some(body), None)?).await
    }

    /// Asks for something that needs no contents.
    pub(crate) async fn post_empty(&self, path: &str) -> Result<Value, CliFault> {
        self.ask(request(Method::POST, path, None, None)?).await
    }

    /// Puts something in place of what has this entity tag; of nothing, if there is none.
    pub(crate) async fn put(&self, path: &str, body: &Value, over: Option<&str>) -> Result<Value, CliFault> {
        let only = over.map_or((header::IF_NONE_MATCH, "*"), |tag| (header::IF_MATCH, tag));
        self.ask(request(Method::PUT, path, Some(body), Some(only))?).await
    }

    /// Puts something, whatever is there.
    pub(crate) async fn put_anew(&self, path: &str, body: &Value) -> Result<Value, CliFault> {
        self.ask(request(Method::PUT, path, Some(body), None)?).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, CliFault> {
        self.ask(request(Method::DELETE, path, None, None)?).await
    }

    /// Gets findings, which come under 503 as well when not all is in order.
    pub(crate) async fn findings(&self, path: &str) -> Result<Value, CliFault> {
        let (status, bytes) = self.answered(request(Method::GET, path, None, None)?).await?;
        let found = if status == StatusCode::SERVICE_UNAVAILABLE { serde_json::from_slice(&bytes).ok() } else { None };
        match found.filter(|value: &Value| value["steps"].is_array()) {
            Some(found) => Ok(found),
            None => answer(status, &bytes),
        }
    }

    /// Gets bytes that are no JSON, all at once.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>, CliFault> {
        let (status, bytes) = self.answered(request(Method::GET, path, None, None)?).await?;
        if status.is_success() { Ok(bytes) } else { Err(problem(status, answer(StatusCode::OK, &bytes)?)) }
    }

    async fn ask(&self, request: Question) -> Result<Value, CliFault> {
        let (status, bytes) = self.answered(request).await?;
        answer(status, &bytes)
    }

    async fn answered(&self, question: Question) -> Result<(StatusCode, Vec<u8>), CliFault> {
        let answered = tokio::time::timeout(self.wait, self.exchange(question)).await;
        answered.map_err(|_| CliFault::NoAnswer("no answer in ten minutes".to_owned()))?
    }

    /// Asks over a connection that is kept, or a new one. What a kept one did not take any more goes over a new one;
    /// what it took and did not answer may have been done, and is not asked twice.
    async fn exchange(&self, mut question: Question) -> Result<(StatusCode, Vec<u8>), CliFault> {
        while let Some(mut line) = self.kept() {
            question = match line.try_ask(question).await {
                Ok(answer) => return self.read(answer, line).await,
                Err((_, Some(question))) => question,
                Err((cause, None)) => return Err(lost(cause)),
            };
        }
        let mut line = self.line().await?;
        let answer = line.try_ask(question).await.map_err(|(cause, _)| lost(cause))?;
        self.read(answer, line).await
    }

    async fn read(&self, answer: Response<Incoming>, line: Line) -> Result<(StatusCode, Vec<u8>), CliFault> {
        let read = read(answer).await?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(line);
        }
        Ok(read)
    }

    fn kept(&self) -> Option<Line> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// What an answer says: a value, or a problem.
fn answer(status: StatusCode, bytes: &[u8]) -> Result<Value, CliFault> {
    let value = match bytes {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes).map_err(|cause| CliFault::BadAnswer(cause.to_string()))?,
    };
    if status.is_success() { Ok(value) } else { Err(problem(status, value)) }
}

fn problem(status: StatusCode, body: Value) -> CliFault {
    CliFault::Problem(Box::new(Problem::read(status.as_u16(), body)))
}

/// A connection for one question after another.
pub(crate) struct Line {
    sender: http1::SendRequest<Pieces>,
    driver: JoinHandle<hyper::Result<()>>,
}

/// A body in pieces.
type Pieces = BoxBody<Bytes, io::Error>;

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Opens a line to the node.
    pub(crate) async fn line(&self) -> Result<Line, CliFault> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|cause| CliFault::NoNode { socket: self.socket.clone(), cause })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        Ok(Line { sender, driver: tokio::spawn(connection) })
    }
}

impl Line {
    /// Puts bytes, piece by piece.
    pub(crate) async fn upload(
        &mut self,
        path: &str,
        pieces: impl Iterator<Item = io::Result<Vec<u8>>> + Send + Sync + 'static,
    ) -> Result<Value, CliFault> {
        let frames = pieces.map(|piece| piece.map(|bytes| Frame::data(Bytes::from(bytes))));
        let body = BoxBody::new(StreamBody::new(futures::stream::iter(frames)));
        let (status, bytes) = read(self.ask(Method::PUT, path, body).await?).await?;
        answer(status, &bytes)
    }

    /// Gets bytes, as they come.
    pub(crate) async fn download(&mut self, path: &str) -> Result<Incoming, CliFault> {
        let answered = self.ask(Method::GET, path, whole(String::new())).await?;
        if answered.status().is_success() {
            return Ok(answered.into_body());
        }
        let (status, bytes) = read(answered).await?;
        answer(status, &bytes)?;
        Err(CliFault::BadAnswer("the node gave neither bytes nor a reason".to_owned()))
    }

    async fn ask(&mut self, method: Method, path: &str, body: Pieces) -> Result<Response<Incoming>, CliFault> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "comity");
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream").body(body);
        let bad = |cause: hyper::http::Error| CliFault::BadArgument { what: path.to_owned(), why: cause.to_string() };
        self.try_ask(request.map_err(bad)?).await.map_err(|(cause, _)| lost(cause))
    }

    /// Asks; on a fault the question comes back if nothing of it was sent.
    async fn try_ask(&mut self, question: Question) -> Result<Response<Incoming>, (hyper::Error, Option<Question>)> {
        if let Err(cause) = self.sender.ready().await {
            return Err((cause, Some(question)));
        }
        let asked = self.sender.try_send_request(question).await;
        asked.map_err(|mut fault| {
            let back = fault.take_message();
            (fault.into_error(), back)
        })
    }
}

/// Why a connection ended before the answer.
pub(crate) fn lost(cause: hyper::Error) -> CliFault {
    CliFault::NoAnswer(cause.to_string())
}

/// A body that is there already.
fn whole(bytes: String) -> Pieces {
    BoxBody::new(Full::from(bytes).map_err(|never| match never {}))
}

type Question = Request<Pieces>;

fn request(
    method: Method,
    path: &str,
    body: Option<&Value>,
    only: Option<(HeaderName, &str)>,
) -> Result<Question, CliFault> {
    let builder = Request::builder().method(method).uri(path).header(header::HOST, "comity");
    let builder = builder.header(header::ACCEPT, "application/json");
    let builder = if body.is_some() { builder.header(header::CONTENT_TYPE, "application/json") } else { builder };
    let builder = only.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    let bytes = body.map(ToString::to_string).unwrap_or_default();
    let bad = |cause: hyper::http::Error| CliFault::BadArgument { what: path.to_owned(), why: cause.to_string() };
    builder.body(whole(bytes)).map_err(bad)
}

async fn read(answer: Response<Incoming>) -> Result<(StatusCode, Vec<u8>), CliFault> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|cause| CliFault::NoAnswer(cause.to_string()))?;
    Ok((head.status, body.to_bytes().to_vec()))
}
