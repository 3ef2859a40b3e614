//! The multiplexer: many streams over one authenticated connection, `/yamux/1.0.0` on the wire.
//!
//! The stock wrapper hides what decides how fast and how large a connection may be: it cuts frames
//! at 16 KiB, lets the windows of one connection grow to 1 GiB, and polls everything twice. This one
//! states its bounds below and is otherwise thin. Only [`Muxer::poll`] drives the connection; the
//! swarm calls it before it asks for streams. Serves SPEC `[D-8]`.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use tokio::time::{Sleep, sleep};
use yamux::{Config, Connection, ConnectionError, Mode};

use super::side::EVIDENCE_MAX;

/// One connection's streams.
pub(super) struct Muxer<C> {
    yamux: Connection<C>,
    /// Streams the peer opened, until the swarm has room to negotiate them.
    waiting: VecDeque<Substream>,
    /// Who waits for the next of them.
    waker: Option<Waker>,
    /// When a farewell the peer does not read is given up; set by the first try to close.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    /// Begins on a connection both sides agreed to multiplex.
    pub(super) fn new(connection: C, dialing: bool) -> Self {
        let mode = if dialing { Mode::Client } else { Mode::Server };
        let yamux = Connection::new(connection, config(), mode);
        Self { yamux, waiting: VecDeque::new(), waker: None, patience: None }
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config
        .set_max_num_streams(STREAMS_MAX)
        .set_max_connection_receive_window(Some(WINDOWS_MAX))
        .set_split_send_size(FRAME_MAX);
    config
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Substream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        match self.waiting.pop_front() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        self.yamux.poll_new_outbound(cx).map_ok(Substream::new).map_err(fault)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(closed) = self.yamux.poll_close(cx) {
            return Poll::Ready(closed.map_err(fault));
        }
        // The swarm waits for this without end, and a peer that does not read would hold the connection.
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(CLOSE)));
        patience.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let stream = match ready!(self.yamux.poll_next_inbound(cx)) {
            Some(stream) => Substream::new(stream.map_err(fault)?),
            None => return Poll::Ready(Err(fault(ConnectionError::Closed))),
        };
        // Beyond the bound a stream is dropped, which resets it.
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(stream);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        // One stream a turn, so that a flood of them leaves the others their turns.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn fault(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// One stream. Where yamux shows a reset as the end of the stream, this shows an error, unless we
/// had closed our own side before: then the two cannot be told apart.
#[derive(Debug)]
pub(super) struct Substream {
    stream: yamux::Stream,
    closed: bool,
}

impl Substream {
    fn new(stream: yamux::Stream) -> Self {
        Self { stream, closed: false }
    }
}

impl AsyncRead for Substream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if read == 0 && !buf.is_empty() && self.stream.is_closed() && !self.closed {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Substream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_close(cx))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

/// Bytes of one data frame at most, four whole TLS records. Each frame costs wake-ups and system calls
/// on both sides: against the usual 16 KiB this saves a sixth of the processor time, and larger ones
/// save little more, while an urgent frame waits behind one for 0.5 ms at 1 Gbit/s.
const FRAME_MAX: usize = 64 << 10;
/// Streams on one connection. yamux ends a connection that goes beyond, whoever does: so twice the
/// evidence streams each way (a reset one may still be there when its successor comes), and 16 for
/// deliver, ping and identify each way, old and new.
pub(super) const STREAMS_MAX: usize = 4 * EVIDENCE_MAX + 16;
/// Bytes one connection may hold that nobody has read yet, over all its streams. Each has 256 KiB by
/// the yamux specification, 12 MiB in all; the other 16 MiB let the streams in use grow to what a
/// line of 1 Gbit/s with 100 ms needs. It is credit, not memory: an idle peer holds none of it.
const WINDOWS_MAX: usize = STREAMS_MAX * (256 << 10) + (16 << 20);
/// Inbound streams waiting for negotiation: a peer that comes opens all its evidence streams at once,
/// and deliver, ping and identify.
const WAITING_MAX: usize = EVIDENCE_MAX + 8;
/// How long a connection may take to say farewell; then it is dropped as it is.
const CLOSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use libp2p::core::muxing::StreamMuxerExt as _;
    use std::future::poll_fn;
    use tokio::io::{DuplexStream, duplex};
    use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

    fn pair() -> (Muxer<Compat<DuplexStream>>, Muxer<Compat<DuplexStream>>) {
        let (near, far) = duplex(1 << 20);
        (Muxer::new(near.compat(), true), Muxer::new(far.compat(), false))
    }

    /// Drives a connection until its other end is gone.
    async fn drive(mut muxer: Muxer<Compat<DuplexStream>>) {
        while poll_fn(|cx| muxer.poll_unpin(cx)).await.is_ok() {}
    }

    #[tokio::test]
    async fn streams_nobody_takes_are_reset_beyond_the_bound() {
        let (mut near, mut far) = pair();
        let mut streams = Vec::new();
        for _ in 0..=WAITING_MAX {
            let mut stream = poll_fn(|cx| near.poll_outbound_unpin(cx)).await.expect("opened");
            stream.write_all(b"a stream begins with its first byte").await.expect("written");
            streams.push(stream);
        }
        let near = tokio::spawn(drive(near));
        let mut beyond = streams.pop().expect("one too many");
        let mut byte = [0];
        let reset = tokio::select! {
            read = beyond.read(&mut byte) => read.expect_err("no end, and no byte"),
            _ = poll_fn(|cx| far.poll_unpin(cx)) => panic!("the connection stands"),
        };
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        for _ in 0..WAITING_MAX {
            poll_fn(|cx| far.poll_inbound_unpin(cx)).await.expect("the others wait");
        }
        near.abort();
    }

    /// A peer that reads nothing more does not keep a connection that is being closed.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_not_waited_for() {
        let (near, _far) = duplex(64);
        let mut near = Muxer::new(near.compat(), true);
        let mut stream = poll_fn(|cx| near.poll_outbound_unpin(cx)).await.expect("opened");
        let _ = tokio::select! {
            written = stream.write_all(&[0; 1024]) => written,
            driven = poll_fn(|cx| near.poll_unpin(cx)) => driven.map(|_| ()),
            () = sleep(CLOSE) => Ok(()), // the line takes no more
        };
        let closed = tokio::time::timeout(2 * CLOSE, poll_fn(|cx| near.poll_close_unpin(cx))).await;
        assert_eq!(closed.expect("in time").expect_err("given up").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn an_end_is_an_end_and_a_reset_an_error() {
        let (mut near, mut far) = pair();
        let mut open = async || {
            let mut stream = poll_fn(|cx| near.poll_outbound_unpin(cx)).await.expect("opened");
            stream.write_all(b"x").await.expect("written");
            let accepted = poll_fn(|cx| {
                let _ = near.poll_unpin(cx);
                let _ = far.poll_unpin(cx);
                far.poll_inbound_unpin(cx)
            });
            (stream, accepted.await.expect("accepted"))
        };
        let ((mut ended, mut to_end), (dropped, mut to_reset)) = (open().await, open().await);
        let drivers = [tokio::spawn(drive(near)), tokio::spawn(drive(far))];
        ended.close().await.expect("closed");
        drop(dropped);
        let mut got = Vec::new();
        assert_eq!(to_end.read_to_end(&mut got).await.expect("an end"), 1);
        let reset = to_reset.read_to_end(&mut got).await.expect_err("no end");
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        drivers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
