//! What one event cannot do without, each measured with as many callers at once as there are cores
//! at work, since cores may share more than they seem to: signatures, seals, hashes.
//!
//! Not in it, and so part of what a figure beside it pays for: encoding, the tree and its proofs, keys at
//! rest, the index, the law, the network and the local API.

use std::{hint::black_box, thread, time::Duration};

use comity_core::{
    crypto::{CryptoFault, HybridSigner, PublicKey, Seed, sha256, verify_pair},
    event::{seal_body, unwrap_body},
    ids::Digest,
    proto::{Algorithm, KeyRole},
};
use tokio::time::Instant;

/// Processor time of each, one call.
#[derive(Debug, Clone, Copy)]
pub struct Primitives {
    /// Ed25519 and ML-DSA-65 over a header.
    pub sign_event: Duration,
    /// Both verified.
    pub verify_event: Duration,
    /// Ed25519 and ML-DSA-44 over a checkpoint.
    pub sign_checkpoint: Duration,
    /// Both verified.
    pub verify_checkpoint: Duration,
    /// A body sealed to its recipient.
    pub seal: Duration,
    /// A body secret unwrapped.
    pub unwrap: Duration,
    /// SHA-256 of header and body.
    pub hash: Duration,
}

/// Bytes of a signed header, and of a preservation request's body.
const HEADER: usize = 600;
const BODY: usize = 6 << 10;
/// Calls whose mean is taken: a second in all.
const CALLS: u32 = 400;

impl Primitives {
    /// Measures all of them with so many callers at once.
    ///
    /// # Errors
    /// None that an input causes.
    pub fn measure(callers: u32) -> Result<Self, CryptoFault> {
        let (record, checkpoint) =
            (signer(KeyRole::Record, Algorithm::MlDsa65)?, signer(KeyRole::Checkpoint, Algorithm::MlDsa44)?);
        let header = vec![7; HEADER];
        let (signed, noted) = (record.sign_pair(&header)?, checkpoint.sign_pair(&header)?);
        let seed = Seed::new([3; 32]);
        let ours = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &seed)?;
        let (binding, body) = (Digest::new([5; 32]), vec![6; BODY]);
        let to = std::slice::from_ref(&ours);
        let (sealed, _) = seal_body(&body, &binding, to, &[8; 32])?;
        let id = ours.id();
        Ok(Self {
            sign_event: mean(callers, || record.sign_pair(&header))?,
            verify_event: mean(callers, || {
                verify_pair(record.public().into_iter(), Algorithm::MlDsa65, &header, &signed)
            })?,
            sign_checkpoint: mean(callers, || checkpoint.sign_pair(&header))?,
            verify_checkpoint: mean(callers, || {
                verify_pair(checkpoint.public().into_iter(), Algorithm::MlDsa44, &header, &noted)
            })?,
            seal: mean(callers, || seal_body(&body, &binding, to, &[8; 32]))?,
            unwrap: mean(callers, || unwrap_body(&sealed, &binding, &id, &seed).map_err(|_| CryptoFault::DoesNotOpen))?,
            hash: mean(callers, || Ok(sha256(&[&header, &body])))?,
        })
    }

    /// Processor time of both sides for one event and its receipt, when `shared` events share a checkpoint:
    /// the author signs and seals, the recipient verifies and unwraps, both hash; each signs a checkpoint
    /// and verifies the other's once for all that share it.
    #[must_use]
    pub fn event(&self, shared: u32) -> Duration {
        let checkpoints = (self.sign_checkpoint + self.verify_checkpoint) * 2;
        self.sign_event + self.seal + self.verify_event + self.unwrap + self.hash * 2 + checkpoints / shared.max(1)
    }
}

fn signer(role: KeyRole, kind: Algorithm) -> Result<HybridSigner, CryptoFault> {
    HybridSigner::new(role, &Seed::new([1; 32]), kind, &Seed::new([2; 32]))
}

/// The mean of one call, with so many callers at once.
pub(super) fn mean<T>(callers: u32, call: impl Fn() -> Result<T, CryptoFault> + Sync) -> Result<Duration, CryptoFault> {
    let calls = || {
        let began = Instant::now();
        (0..CALLS).try_for_each(|_| call().map(|done| drop(black_box(done)))).map(|()| began.elapsed() / CALLS)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(calls)).collect();
        let means = threads.into_iter().map(|thread| thread.join().unwrap_or(Err(CryptoFault::BadKey)));
        let means = means.collect::<Result<Vec<_>, _>>()?;
        Ok(means.iter().sum::<Duration>() / callers.max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_shared_and_all_else_is_not() {
        let ms = Duration::from_millis;
        let each = Primitives {
            sign_event: ms(1),
            verify_event: ms(2),
            sign_checkpoint: ms(100),
            verify_checkpoint: ms(60),
            seal: ms(4),
            unwrap: ms(8),
            hash: ms(16),
        };
        assert_eq!(each.event(64), ms(47 + 5));
        assert_eq!(each.event(1), ms(47 + 320));
        assert_eq!(each.event(0), each.event(1));
    }
}
