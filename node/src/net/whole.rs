//! What lies between the layers of a connection, so that each hands whole pieces to the next.
//!
//! TLS reads from its socket 4 KiB at a time; [`Gulps`] below it asks the system for more at once.
//! yamux writes the 12 bytes before a frame on their own; [`Joined`] between the two passes them on
//! with what follows, which saves a TLS record and a system call for each frame. Neither changes a
//! byte, and neither waits for more than its caller has given it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};

/// Reads much at once while much is coming. Writes pass through.
#[derive(Debug)]
pub(super) struct Gulps<C> {
    inner: C,
    /// Empty while little comes.
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Small reads in a row.
    small: u32,
}

impl<C> Gulps<C> {
    pub(super) fn new(inner: C) -> Self {
        Self { inner, buffer: Vec::new(), at: 0, end: 0, small: 0 }
    }

    /// Judges by the size of a read whether the buffer is worth its memory. It is only called when
    /// nothing is buffered or the buffer has just been filled.
    fn judge(&mut self, read: usize) {
        self.small = if read < SMALL { self.small.saturating_add(1) } else { 0 };
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gulps<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.at == this.end {
            if this.small >= QUIET {
                this.buffer = Vec::new();
            }
            if this.buffer.is_empty() {
                let read = ready!(Pin::new(&mut this.inner).poll_read(cx, out))?;
                this.judge(read);
                if read >= SMALL {
                    this.buffer = vec![0; GULP];
                }
                return Poll::Ready(Ok(read));
            }
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut this.buffer))?;
            this.judge(read);
            (this.at, this.end) = (0, read);
        }
        let read = out.len().min(this.end - this.at);
        out[..read].copy_from_slice(&this.buffer[this.at..this.at + read]);
        this.at += read;
        Poll::Ready(Ok(read))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gulps<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// Keeps tiny writes back until the next larger one or a flush. Reads pass through.
#[derive(Debug)]
pub(super) struct Joined<C> {
    inner: C,
    held: Vec<u8>,
}

impl<C> Joined<C> {
    pub(super) fn new(inner: C) -> Self {
        Self { inner, held: Vec::new() }
    }
}

impl<C: AsyncWrite + Unpin> Joined<C> {
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held))?;
            self.let_go(written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Forgets what was written; returns how much was written beyond it.
    fn let_go(&mut self, written: usize) -> io::Result<usize> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_held = written.min(self.held.len());
        self.held.drain(..of_held);
        Ok(written - of_held)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Joined<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.held.len() + buf.len() <= HELD_MAX {
            this.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        while !this.held.is_empty() {
            let pieces = [IoSlice::new(&this.held), IoSlice::new(buf)];
            let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, &pieces))?;
            let beyond = this.let_go(written)?;
            if beyond > 0 {
                return Poll::Ready(Ok(beyond));
            }
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Joined<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

/// Bytes asked of the system at once: four whole TLS records. All 196 peers busy at once hold 12 MiB.
const GULP: usize = 64 << 10;
/// A read below this is small. It is what TLS asks for, so a read of this size had more behind it.
const SMALL: usize = 4 << 10;
/// After so many small reads in a row the buffer is given back. Pings alone bring this about
/// within two minutes.
const QUIET: u32 = 16;
/// Bytes kept back at most: some frame heads without a body, as yamux writes before it flushes.
const HELD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncReadExt as _, AsyncWriteExt as _, executor::block_on, io::Cursor};

    /// Notes how large each read and write was, and takes at most `step` bytes at once.
    struct Steps {
        bytes: Cursor<Vec<u8>>,
        step: usize,
        reads: Vec<usize>,
        writes: Vec<usize>,
    }

    fn steps(bytes: Vec<u8>, step: usize) -> Steps {
        Steps { bytes: Cursor::new(bytes), step, reads: Vec::new(), writes: Vec::new() }
    }

    impl AsyncRead for Steps {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
            self.reads.push(out.len());
            let step = self.step.min(out.len());
            Pin::new(&mut self.bytes).poll_read(cx, &mut out[..step])
        }
    }

    impl AsyncWrite for Steps {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.writes.push(buf.len());
            let step = self.step.min(buf.len());
            Pin::new(&mut self.bytes).poll_write(cx, &buf[..step])
        }
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            self.poll_write(cx, &all)
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..=u8::MAX).cycle().take(len).collect()
    }

    #[test]
    fn a_head_travels_with_its_body_whatever_the_other_side_takes_at_once() {
        for step in [1, 5, 12, 13, 100, 1000] {
            let mut joined = Joined::new(steps(Vec::new(), step));
            let sent = bytes(12 + 100);
            block_on(async {
                joined.write_all(&sent[..12]).await.expect("held");
                assert!(joined.inner.writes.is_empty(), "nothing yet");
                joined.write_all(&sent[12..]).await.expect("written");
                joined.write_all(&sent[..12]).await.expect("held");
                joined.flush().await.expect("flushed");
            });
            assert_eq!(*joined.inner.bytes.get_ref(), [&sent[..], &sent[..12]].concat());
            if step >= sent.len() {
                assert_eq!(joined.inner.writes, [112, 12]);
            }
        }
    }

    #[test]
    fn what_is_held_leaves_with_the_close() {
        let mut joined = Joined::new(steps(Vec::new(), 100));
        block_on(async {
            joined.write_all(b"head").await.expect("held");
            joined.close().await.expect("closed");
        });
        assert_eq!(joined.inner.bytes.get_ref(), b"head");
    }

    #[test]
    fn gulps_change_no_byte_and_are_large_only_when_much_comes() {
        let sent = bytes(300_000);
        let mut gulps = Gulps::new(steps(sent.clone(), usize::MAX));
        let mut got = Vec::new();
        let mut piece = [0; SMALL];
        while let Ok(read @ 1..) = block_on(gulps.read(&mut piece)) {
            got.extend_from_slice(&piece[..read]);
        }
        assert!(got == sent);
        assert_eq!(gulps.inner.reads[..3], [SMALL, GULP, GULP]);

        let mut gulps = Gulps::new(steps(bytes(10_000), 100));
        assert_eq!(block_on(gulps.read(&mut piece)).expect("read"), 100);
        assert!(gulps.buffer.is_empty(), "a quiet peer costs no buffer");
        gulps.inner.step = usize::MAX;
        assert_eq!(block_on(gulps.read(&mut piece)).expect("read"), SMALL);
        assert_eq!(gulps.buffer.len(), GULP);
        gulps.inner.step = 1;
        (0..=QUIET).for_each(|_| assert_eq!(block_on(gulps.read(&mut piece)).expect("read"), 1));
        assert!(gulps.buffer.is_empty(), "and gives it back");
    }
}
