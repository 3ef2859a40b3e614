//! Messages on a side stream: a length in four bytes, then one message, read strictly.
//!
//! What roster and witness streams have in common. A message that does not come within a minute is given up, as is a
//! stream whose reader takes that long. Start with [`send`] and [`receive`].

use std::{io, time::Duration};

use comity_core::wire::strict;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// One message, even over a bad satellite line.
pub const MESSAGE: Duration = Duration::from_secs(60);

/// What messages go over.
pub trait Line: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line for S {}

/// Why a message did not go or come. Nothing follows from it but the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum MessageFault {
    /// The stream failed, as when its connection ends.
    #[error("the line failed: {0}")]
    Line(#[from] io::Error),
    /// A minute was not enough.
    #[error("the other side was too slow")]
    Slow,
    /// It is too long or does not read: no honest node sends it.
    #[error("the other side broke the protocol")]
    Wrong,
}

/// Sends one message.
///
/// # Errors
/// When the stream fails or takes too long.
pub async fn send(stream: &mut impl Line, message: &impl Message) -> Result<(), MessageFault> {
    let bytes = message.encode_to_vec();
    let len = u32::try_from(bytes.len()).map_err(|_| MessageFault::Wrong)?;
    let sent = async {
        stream.write_u32(len).await?;
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    Ok(timeout(MESSAGE, sent).await.map_err(|_| MessageFault::Slow)??)
}

/// The next message, of at most so many bytes; none if the other side has ended.
///
/// # Errors
/// When the stream fails, takes too long, or what comes is longer or does not read.
pub async fn receive<M: Message + Default>(stream: &mut impl Line, max: usize) -> Result<Option<M>, MessageFault> {
    let received = async {
        let len = match stream.read_u32().await {
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            // Who has asked enough drops the stream.
            Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => other? as usize,
        };
        if len > max {
            return Err(MessageFault::Wrong);
        }
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).await?;
        strict(&bytes, max).map(Some).map_err(|_| MessageFault::Wrong)
    };
    timeout(MESSAGE, received).await.map_err(|_| MessageFault::Slow)?
}
