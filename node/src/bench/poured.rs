//! What each byte of evidence cannot do without when it goes from one node to another, measured as
//! [`super::primitives`] does: with as many callers at once as there are cores at work.
//!
//! Not in it, and so part of what a figure beside it pays for: reading and writing files, the kernel's sockets,
//! copies, framing, and whatever hands bytes from one thread to the next.

use std::time::Duration;

use comity_core::{
    crypto::{ChunkCipher, CryptoFault, sha256},
    object::{CHUNK, TreeBuilder},
};

use super::primitives::mean;

/// Processor time of each for one chunk of 64 KiB.
#[derive(Debug, Clone, Copy)]
pub struct Poured {
    /// AES-256-GCM, encrypted.
    pub seal: Duration,
    /// AES-256-GCM, opened.
    pub open: Duration,
    /// BLAKE3 in groups, with the tree above them.
    pub root: Duration,
    /// SHA-256.
    pub digest: Duration,
}

impl Poured {
    /// Measures all of them with so many callers at once.
    ///
    /// # Errors
    /// None that an input causes.
    pub fn measure(callers: u32) -> Result<Self, CryptoFault> {
        let cipher = ChunkCipher::new(&[1; 32]);
        let (nonce, plain) = ([2; 12], vec![3; CHUNK]);
        let mut sealed = plain.clone();
        cipher.seal(nonce, &[], &mut sealed);
        Ok(Self {
            seal: mean(callers, || {
                let mut chunk = plain.clone();
                cipher.seal(nonce, &[], &mut chunk);
                Ok(chunk)
            })?,
            open: mean(callers, || {
                let mut chunk = sealed.clone();
                cipher.open(nonce, &[], &mut chunk).map(|plain| plain.len())
            })?,
            root: mean(callers, || {
                let (mut tree, mut hashes) = (TreeBuilder::default(), Vec::new());
                tree.update(&plain, &mut hashes);
                Ok(tree.finish(&mut hashes))
            })?,
            digest: mean(callers, || Ok(sha256(&[&plain])))?,
        })
    }

    /// Of both sides for one chunk that is fetched: encrypted and opened for the line, proved by who gives and by
    /// who takes, opened once more and its digest recomputed.
    #[must_use]
    pub fn fetched(&self) -> Duration {
        self.seal + self.open * 2 + self.root * 2 + self.digest
    }
}
