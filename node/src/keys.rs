//! Where private keys rest and how they are used: encrypted files in one folder, opened once at start.
//!
//! This room signs, opens wraps and hands out the node's own data keys. It never decides whether
//! something may be signed (that is the engine) nor which public keys are in force (the profile).
//! Seeds leave it only where a library must hold them: the transport seed, for libp2p.
//!
//! Start at [`Keyring`] for a running node, [`OfflineSigner`] for root and charter keys, [`Passphrase`]
//! for what unlocks them. The file format is in `file`, the reasons in `node/decisions/key-files.md`.

mod encoding;
mod fault;
mod file;
mod folder;
mod keyring;
mod passphrase;

pub use fault::KeyFault;
pub use keyring::{Keyring, NodeSecrets, OfflineKeys, OfflineSigner};
pub use passphrase::{Passphrase, Purpose};
