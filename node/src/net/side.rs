//! Side streams: byte streams beside the deliver streams, on the same connections, for evidence, the roster and witnesses.
//!
//! This room opens and accepts them and hands them out; what is said on them is not known here, and
//! no task of ours reads or writes one, so a peer that stalls holds up only whoever asked it. A
//! stream ends with its connection: from then on reads and writes fail, whatever was buffered.
//! Start with [`Opener`] and [`SideStream`].

use std::{
    fmt,
    future::Future as _,
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use comity_core::ids::PartyCode;
use libp2p::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::timeout,
};
use tokio_util::{
    compat::{Compat, FuturesAsyncReadCompatExt as _},
    sync::{CancellationToken, WaitForCancellationFutureOwned},
};

use super::{SendFault, gate::Protocol, run::Order};

/// Opens side streams. Clones are cheap and may be used from any number of tasks; they keep
/// nothing alive, and after the network has stopped they answer that there is no link.
#[derive(Debug, Clone)]
pub struct Opener(pub(super) mpsc::Sender<Order>);

impl Opener {
    /// Opens an evidence stream on the connection in use with a Party. Waits at most ten seconds.
    ///
    /// # Errors
    /// When there is no link, [`EVIDENCE_MAX`] streams to this Party are open already, or the peer
    /// does not speak the protocol or does not answer in time.
    pub async fn evidence(&self, party: &PartyCode) -> Result<SideStream, SendFault> {
        self.open(Protocol::Evidence, party).await
    }

    /// Opens a roster stream on the connection in use with a Party. Waits at most ten seconds.
    ///
    /// # Errors
    /// As [`Self::evidence`]; of roster streams two may be open.
    pub async fn roster(&self, party: &PartyCode) -> Result<SideStream, SendFault> {
        self.open(Protocol::Roster, party).await
    }

    /// Opens a witness stream on the connection in use with a Party. Waits at most ten seconds.
    ///
    /// # Errors
    /// As [`Self::evidence`]; of witness streams two may be open.
    pub async fn witness(&self, party: &PartyCode) -> Result<SideStream, SendFault> {
        self.open(Protocol::Witness, party).await
    }

    async fn open(&self, protocol: Protocol, party: &PartyCode) -> Result<SideStream, SendFault> {
        let (answer, answered) = oneshot::channel();
        let opened = async {
            let order = Order::Open(protocol, party.clone(), answer);
            self.0.send(order).await.map_err(|_| SendFault::NotConnected)?;
            // Unanswered, it went down with its connection.
            answered.await.unwrap_or(Err(SendFault::NotConnected))
        };
        timeout(OPENING, opened).await.unwrap_or(Err(SendFault::NoAnswer))
    }
}

/// A stream somebody waits for, on its way to the connection that shall carry it.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) answer: oneshot::Sender<Result<SideStream, SendFault>>,
    pub(super) place: OwnedSemaphorePermit,
}

impl Opening {
    /// Whoever waited may have gone; then the stream is dropped, which resets it.
    pub(super) fn opened(self, stream: Stream, cut: CancellationToken) {
        let _ = self.answer.send(Ok(SideStream::new(stream, cut, self.place)));
    }

    pub(super) fn failed(self, why: SendFault) {
        // As above: nobody need hear of it.
        let _ = self.answer.send(Err(why));
    }
}

/// A side stream, as tokio reads and writes. Dropped, it is reset for both sides, and its
/// place is free again.
///
/// A reset shows as an error, never as an end, on the side that has not shut down its writing. Who
/// has shut down learns of a reset as an end, and can no longer reset: so whoever may break off
/// early shuts down only when it has read all, and what is said on the stream bears its own length.
pub struct SideStream {
    stream: Compat<Stream>,
    cut: CancellationToken,
    /// One for each direction, because the two may be polled from two tasks.
    read_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    write_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

impl SideStream {
    pub(super) fn new(mut stream: Stream, cut: CancellationToken, place: OwnedSemaphorePermit) -> Self {
        // Whether a connection stays is decided by its deliver streams alone.
        stream.ignore_for_keep_alive();
        let (read_cut, write_cut) = (cut.clone().cancelled_owned(), cut.clone().cancelled_owned());
        let (read_cut, write_cut) = (Box::pin(read_cut), Box::pin(write_cut));
        Self { stream: stream.compat(), cut, read_cut, write_cut, _place: place }
    }

    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Compat<Stream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.cut.is_cancelled() {
            return gone();
        }
        let done = write(Pin::new(&mut self.stream), cx);
        if done.is_pending() && self.write_cut.as_mut().poll(cx).is_ready() { gone() } else { done }
    }
}

impl AsyncRead for SideStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.is_cancelled() {
            return gone();
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() && self.read_cut.as_mut().poll(cx).is_ready() { gone() } else { read }
    }
}

impl AsyncWrite for SideStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

/// What is read and written may be evidence: no trace of it here.
impl fmt::Debug for SideStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SideStream").field("cut", &self.cut.is_cancelled()).finish_non_exhaustive()
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(ErrorKind::ConnectionAborted.into()))
}

/// Evidence streams with one Party in each direction, over all its connections: enough to fill any
/// line, and with a window of 256 KiB each no more than 2 MiB that a stalled reader holds.
pub const EVIDENCE_MAX: usize = 8;
/// Roster streams with one Party in each direction: the exchange under way, and one that a change since has begun.
pub(super) const ROSTER_MAX: usize = 2;
/// Witness streams with one Party in each direction: the asks of one beat, and those of one that was late.
pub(super) const WITNESS_MAX: usize = 2;
/// How long opening may take: as long as a line may be silent between two pings, and then some.
const OPENING: Duration = Duration::from_secs(10);
