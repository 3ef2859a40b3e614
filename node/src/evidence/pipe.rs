//! One evidence stream as a worker uses it: blocking reads and writes with an end to patience, and
//! the frames of asks and grants (SPEC `[T-1]`).
//!
//! Hashing and decrypting what streams past is work for a thread of its own; so the stream is driven
//! from there, and the runtime's threads only move bytes between it and the socket.

use std::{
    io::{self, BufReader, BufWriter, Read, Write},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    runtime::Handle,
    time::{Instant, timeout},
};

/// The other side may do nothing for this long before it is left: longer than a slow disk takes for
/// one group, and as long as a deliver stream waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that earn a second of patience back: one group, the pace below which deliver streams are left too.
const EARNS_A_SECOND: u32 = 16 << 10;
/// Read and written at once: what the multiplexer sends in one frame. Eight streams of a peer are
/// 1 MiB in both directions.
const BUFFER: usize = 64 << 10;

/// How long one half may still wait. Waiting uses it up and bytes earn it back, so that a byte now and then
/// does not hold a place for ever.
struct Pace {
    left: Duration,
}

impl Pace {
    const fn new() -> Self {
        Self { left: PATIENCE }
    }

    /// So long was waited, and so many bytes came of it.
    fn waited(&mut self, time: Duration, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1).saturating_mul(bytes) / EARNS_A_SECOND;
        self.left = self.left.saturating_sub(time).saturating_add(earned).min(PATIENCE);
    }
}

/// The reading half, blocking.
pub(super) struct Source<S> {
    half: ReadHalf<S>,
    runtime: Handle,
    pace: Pace,
}

/// The writing half, blocking.
pub(super) struct Sink<S> {
    half: WriteHalf<S>,
    runtime: Handle,
    pace: Pace,
}

/// Both halves of a stream, buffered, for a thread that may wait.
pub(super) struct Pipe<S: AsyncRead + AsyncWrite + Unpin> {
    pub(super) from: BufReader<Source<S>>,
    pub(super) to: BufWriter<Sink<S>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// Takes a stream; `runtime` drives it.
    pub(super) fn new(stream: S, runtime: &Handle) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            from: BufReader::with_capacity(BUFFER, Source { half: read, runtime: runtime.clone(), pace: Pace::new() }),
            to: BufWriter::with_capacity(BUFFER, Sink { half: write, runtime: runtime.clone(), pace: Pace::new() }),
        }
    }

    /// Reads one frame; none when the other side has closed between two.
    pub(super) fn read_frame(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut head = [0; 4];
        let first = self.from.read(&mut head)?;
        if first == 0 {
            return Ok(None);
        }
        self.from.read_exact(&mut head[first..])?;
        let len = u32::from_be_bytes(head) as usize;
        if len > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is over its limit"));
        }
        let mut frame = vec![0; len];
        self.from.read_exact(&mut frame)?;
        Ok(Some(frame))
    }

    /// Writes one frame into the buffer.
    pub(super) fn write_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        let len = u32::try_from(frame.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.to.write_all(&len.to_be_bytes())?;
        self.to.write_all(frame)
    }

    /// Says that nothing more comes and waits until the other side has closed too: from then on it counts the stream no
    /// more, and another finds its place.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.to.flush()?;
        self.to.get_mut().shutdown()?;
        match self.from.read(&mut [0; 1])? {
            0 => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends what is buffered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Source<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        let read = self.runtime.block_on(timeout(self.pace.left, self.half.read(buffer)))??;
        self.pace.waited(began.elapsed(), read);
        Ok(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<S> {
    fn shutdown(&mut self) -> io::Result<()> {
        self.runtime.block_on(timeout(self.pace.left, self.half.shutdown()))?
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Sink<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let began = Instant::now();
        let written = self.runtime.block_on(timeout(self.pace.left, self.half.write(bytes)))??;
        self.pace.waited(began.elapsed(), written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(timeout(self.pace.left, self.half.flush()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker on each side of a stream held in memory.
    async fn between<T: Send + 'static>(
        near: impl FnOnce(Pipe<tokio::io::DuplexStream>) -> io::Result<()> + Send + 'static,
        far: impl FnOnce(Pipe<tokio::io::DuplexStream>) -> T + Send + 'static,
    ) -> T {
        let (one, other) = tokio::io::duplex(1 << 10);
        let runtime = Handle::current();
        let (here, there) = (Pipe::new(one, &runtime), Pipe::new(other, &runtime));
        let writer = tokio::task::spawn_blocking(move || near(here));
        let read = tokio::task::spawn_blocking(move || far(there)).await.expect("no panic");
        writer.await.expect("no panic").expect("written");
        read
    }

    #[test]
    fn patience_is_used_up_by_waiting_and_earned_by_bytes() {
        let second = Duration::from_secs(1);
        let mut drip = Pace::new();
        drip.waited(59 * second, 1);
        assert!(drip.left < 2 * second, "a byte earns next to nothing: {:?}", drip.left);
        drip.waited(59 * second, 1);
        assert!(drip.left < second);
        let mut slow = Pace::new();
        (0..1_000).for_each(|_| slow.waited(second, EARNS_A_SECOND as usize));
        assert_eq!(slow.left, PATIENCE, "the slowest honest line is never left");
        slow.waited(30 * second, 0);
        assert_eq!(slow.left, 30 * second);
        slow.waited(Duration::ZERO, usize::MAX);
        assert_eq!(slow.left, PATIENCE, "and no more than at the beginning");
    }

    /// Whoever has used up its patience is left at once, whatever may still come.
    #[tokio::test]
    async fn a_half_without_patience_waits_no_longer() {
        let (one, _other) = tokio::io::duplex(1 << 10);
        let mut pipe = Pipe::new(one, &Handle::current());
        let read = tokio::task::spawn_blocking(move || {
            pipe.from.get_mut().pace.waited(PATIENCE, 0);
            pipe.read_frame(8).map_err(|fault| fault.kind())
        });
        assert_eq!(read.await.expect("no panic"), Err(io::ErrorKind::TimedOut));
    }

    /// SPEC `[T-1]`.
    #[tokio::test]
    async fn frames_arrive_whole_and_in_order() {
        let long = vec![7; 3 << 10];
        let sent = long.clone();
        let near = move |mut pipe: Pipe<_>| {
            pipe.write_frame(b"")?;
            pipe.write_frame(&sent)?;
            pipe.flush()
        };
        let far = |mut pipe: Pipe<_>| [(); 3].map(|()| pipe.read_frame(4 << 10).expect("reads"));
        assert_eq!(between(near, far).await, [Some(Vec::new()), Some(long), None]);
    }

    /// Closed is what both sides have closed; whoever still speaks does not speak as agreed.
    #[tokio::test]
    async fn a_stream_is_closed_when_the_other_side_has_closed_it() {
        let far = |mut pipe: Pipe<_>| pipe.read_frame(8).expect("reads");
        assert_eq!(between(Pipe::close, far).await, None);
        let far = |mut pipe: Pipe<_>| {
            assert_eq!(pipe.read_frame(8).expect("reads"), None);
            pipe.write_frame(b"x").and_then(|()| pipe.flush())
        };
        let near = |pipe: Pipe<_>| match pipe.close() {
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => Ok(()),
            other => panic!("{other:?}"),
        };
        between(near, far).await.expect("written");
    }

    #[tokio::test]
    async fn a_frame_over_its_limit_is_not_read() {
        let near = |mut pipe: Pipe<_>| {
            pipe.write_frame(&[0; 9])?;
            pipe.flush()
        };
        let read = between(near, |mut pipe: Pipe<_>| pipe.read_frame(8).map_err(|fault| fault.kind())).await;
        assert_eq!(read, Err(io::ErrorKind::InvalidData));
    }

    #[tokio::test]
    async fn a_torn_frame_is_no_frame() {
        let near = |mut pipe: Pipe<_>| {
            pipe.to.write_all(&[0, 0, 0, 9, 1])?;
            pipe.flush()
        };
        let read = between(near, |mut pipe: Pipe<_>| pipe.read_frame(16).map_err(|fault| fault.kind())).await;
        assert_eq!(read, Err(io::ErrorKind::UnexpectedEof));
    }
}
