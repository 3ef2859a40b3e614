//! Asking a peer for its time: whether both ways of a line work, how long a round takes, and how far
//! apart two clocks are (SPEC `[T-5]`). It proves nothing and nothing is recorded.

use std::io;

use comity_core::{
    proto::{self, ask::What, grant::Outcome},
    wire::{GRANT_MAX, strict},
};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Duration, Instant, timeout},
};

use crate::{net::SendFault, time};

/// How long a peer may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a peer's clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerClock {
    /// From the question to the answer, in milliseconds.
    pub round_ms: u64,
    /// How far the peer's clock is ahead of ours, in milliseconds; right to half a round.
    pub ahead_ms: i64,
}

/// Why a peer's clock is not known.
#[derive(Debug, thiserror::Error)]
pub enum ClockFault {
    /// No stream.
    #[error(transparent)]
    NoStream(#[from] SendFault),
    /// No answer.
    #[error("net.no-answer: the clock is not known; the peer did not answer in time; try again later")]
    NoAnswer,
    /// The peer is of a version that does not know the question, or broke off.
    #[error("evidence.no-clock: the clock is not known; the peer does not tell its time; upgrade the older side")]
    Untold,
}

impl ClockFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoStream(fault) => fault.code(),
            Self::NoAnswer => "net.no-answer",
            Self::Untold => "evidence.no-clock",
        }
    }
}

pub(super) async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<PeerClock, ClockFault> {
    let (asked, began) = (time::now(), Instant::now());
    let told = timeout(PATIENCE, exchange(&mut stream, asked.0)).await.map_err(|_| ClockFault::NoAnswer)?;
    let theirs = told.map_err(|_| ClockFault::Untold)?;
    let round_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ours = i128::from(asked.0) + i128::from(round_ms / 2);
    let ahead = i128::from(theirs) - ours;
    Ok(PeerClock { round_ms, ahead_ms: i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX }) })
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), now_ms: u64) -> io::Result<u64> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let ask = proto::Ask { delivery: Vec::new(), what: Some(What::Clock(now_ms)) }.encode_to_vec();
    stream.write_u32(u32::try_from(ask.len()).map_err(|_| wrong())?).await?;
    stream.write_all(&ask).await?;
    stream.flush().await?;
    let len = usize::try_from(stream.read_u32().await?).map_err(|_| wrong())?;
    if len > GRANT_MAX {
        return Err(wrong());
    }
    let mut frame = vec![0; len];
    stream.read_exact(&mut frame).await?;
    let grant: proto::Grant = strict(&frame, GRANT_MAX).map_err(|_| wrong())?;
    match grant.outcome {
        Some(Outcome::Clock(theirs)) => Ok(theirs),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer whose clock is half an hour ahead, one that answers something else, one that is silent.
    #[tokio::test(start_paused = true)]
    async fn a_clock_is_told_or_is_not_known() {
        let check = async |answer: Option<Outcome>| {
            let (near, mut far) = tokio::io::duplex(1 << 10);
            let peer = tokio::spawn(async move {
                let len = far.read_u32().await.expect("an ask");
                let mut ask = vec![0; len as usize];
                far.read_exact(&mut ask).await.expect("whole");
                let ask: proto::Ask = strict(&ask, GRANT_MAX).expect("reads");
                assert!(matches!(ask, proto::Ask { delivery, what: Some(What::Clock(_)) } if delivery.is_empty()));
                let Some(outcome) = answer else { return far };
                let grant = proto::Grant { outcome: Some(outcome) }.encode_to_vec();
                far.write_u32(u32::try_from(grant.len()).expect("small")).await.expect("written");
                far.write_all(&grant).await.expect("written");
                far
            });
            let told = ask(near).await;
            drop(peer.await.expect("no panic"));
            told
        };
        let ahead = check(Some(Outcome::Clock(time::now().0 + 1_800_000))).await.expect("told").ahead_ms;
        assert!((1_790_000..1_810_000).contains(&ahead), "{ahead}");
        let behind = check(Some(Outcome::Clock(0))).await.expect("told").ahead_ms;
        assert!(behind < -1_700_000_000_000);
        assert_eq!(check(Some(Outcome::Size(1))).await.expect_err("another").code(), "evidence.no-clock");
        assert_eq!(check(None).await.expect_err("silent").code(), "net.no-answer");
    }
}
