//! Frames on a deliver stream, and the time each may take.
//!
//! On the wire a frame is: length of the payload (u32, big endian), number (u64, big endian),
//! payload. The author numbers deliveries 1, 2, 3 … on each stream; an answer carries the number of
//! the delivery it answers. A delivery is never empty; an empty answer means "taken, but no answer
//! on this link", and frees the place in the window. Lengths are checked before anything is
//! allocated. What a payload means is not known here.

use std::{future::Future, io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter},
    time::timeout,
};

use super::LinkEnd;

/// A frame's length and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) number: u64,
}

/// Reads a head whose length is within `min..=max`. Waits for its first byte as long as it takes,
/// for the rest only [`STALL`]. `None` when the peer has closed its side between two frames.
pub(super) async fn read_head<R>(from: &mut BufReader<R>, min: usize, max: usize) -> Result<Option<Head>, LinkEnd>
where
    R: AsyncRead + Unpin,
{
    if from.fill_buf().await.map_err(closed)?.is_empty() {
        return Ok(None);
    }
    let (len, number) = within(STALL, async { Ok((from.read_u32().await?, from.read_u64().await?)) }).await?;
    let len = usize::try_from(len).map_err(|_| LinkEnd::BadLength)?;
    if (min..=max).contains(&len) { Ok(Some(Head { len, number })) } else { Err(LinkEnd::BadLength) }
}

/// Reads the payload a head announced.
pub(super) async fn read_body<R>(from: &mut BufReader<R>, head: Head) -> Result<Vec<u8>, LinkEnd>
where
    R: AsyncRead + Unpin,
{
    within(allowed(head.len), async {
        let mut body = vec![0; head.len];
        from.read_exact(&mut body).await?;
        Ok(body)
    })
    .await
}

/// Writes one frame into the buffer, and what no longer fits there to the peer.
pub(super) async fn write_frame<W>(to: &mut BufWriter<W>, number: u64, body: &[u8]) -> Result<(), LinkEnd>
where
    W: AsyncWrite + Unpin,
{
    let len = u32::try_from(body.len()).map_err(|_| LinkEnd::BadLength)?;
    within(allowed(body.len()), async {
        to.write_u32(len).await?;
        to.write_u64(number).await?;
        to.write_all(body).await
    })
    .await
}

/// Sends what is buffered; called when nothing more is waiting to be written.
pub(super) async fn flush<W: AsyncWrite + Unpin>(to: &mut BufWriter<W>) -> Result<(), LinkEnd> {
    within(STALL, to.flush()).await
}

/// A buffered reader and writer of the size both sides use.
pub(super) fn buffered<S: AsyncRead + AsyncWrite>(
    stream: S,
) -> (BufReader<tokio::io::ReadHalf<S>>, BufWriter<tokio::io::WriteHalf<S>>) {
    let (read, write) = tokio::io::split(stream);
    (BufReader::with_capacity(BUFFER, read), BufWriter::with_capacity(BUFFER, write))
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, LinkEnd> {
    timeout(limit, work).await.map_err(|_| LinkEnd::Stalled)?.map_err(closed)
}

/// Any failure of the stream itself: what exactly it was changes nothing for anyone.
fn closed(_: io::Error) -> LinkEnd {
    LinkEnd::Closed
}

fn allowed(len: usize) -> Duration {
    STALL + Duration::from_secs((len / RATE_MIN) as u64)
}

/// A read, write or flush may take this long before size counts: as long as a dead peer takes to
/// be noticed by ping, so that neither clock makes the other pointless.
pub(super) const STALL: Duration = Duration::from_secs(20);
/// Bytes per second below which a peer counts as stalled: a bad satellite line does four times as much.
const RATE_MIN: usize = 16 << 10;
/// Two readers and two writers per peer at this size are 6 MiB for 196 peers; larger payloads go
/// around the buffer.
const BUFFER: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], max: usize) -> Result<Option<(u64, Vec<u8>)>, LinkEnd> {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        near.write_all(bytes).await.expect("fits");
        drop(near);
        let (mut from, _to) = buffered(far);
        let Some(head) = read_head(&mut from, 1, max).await? else { return Ok(None) };
        Ok(Some((head.number, read_body(&mut from, head).await?)))
    }

    #[tokio::test]
    async fn frames_are_length_number_payload() {
        let good = [&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 0][..], b"ab"].concat();
        assert_eq!(read(&good, 2).await, Ok(Some((256, b"ab".to_vec()))));
        let (near, far) = tokio::io::duplex(64);
        let (_, mut to) = buffered(near);
        write_frame(&mut to, 256, b"ab").await.expect("written");
        flush(&mut to).await.expect("flushed");
        let mut written = Vec::new();
        BufReader::new(far).take(14).read_to_end(&mut written).await.expect("read");
        assert_eq!(written, good);
    }

    #[tokio::test]
    async fn forbidden_lengths_and_torn_frames_are_named() {
        assert_eq!(read(&[], 9).await, Ok(None));
        assert_eq!(read(&[0, 0, 0], 9).await, Err(LinkEnd::Closed));
        assert_eq!(read(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 9).await, Err(LinkEnd::BadLength));
        assert_eq!(read(&[0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1], 9).await, Err(LinkEnd::BadLength));
        assert_eq!(read(&[0xff; 12], 9).await, Err(LinkEnd::BadLength));
        assert_eq!(read(&[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 7], 9).await, Err(LinkEnd::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_stops_half_way_stalls() {
        for sent in [&[0, 0][..], &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 7]] {
            let (mut near, far) = tokio::io::duplex(64);
            near.write_all(sent).await.expect("fits");
            let (mut from, _to) = buffered(far);
            let read = async {
                let head = read_head(&mut from, 1, 9).await?.expect("not closed");
                read_body(&mut from, head).await
            };
            assert_eq!(read.await, Err(LinkEnd::Stalled));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_stalls_the_writer() {
        let (near, _far) = tokio::io::duplex(64);
        let (_from, mut to) = buffered(near);
        assert_eq!(write_frame(&mut to, 1, &[0; 64 << 10]).await, Err(LinkEnd::Stalled));
    }
}
