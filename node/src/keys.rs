//! Where private keys rest and how they are used: encrypted files in one folder, opened once at start.
//!
//! This room signs, opens wraps and hands out the node's own data keys. It never decides whether
//! something may be signed (that is the engine) nor which public keys are in force (the profile): of the
//! generations it holds of each role it uses the newest that the profile allows, of the key-encryption key the newest.
//! Seeds leave it only where a library must hold them: the transport seed, for libp2p.
//!
//! Start at [`Keyring`] for a running node, [`OfflineSigner`] for root and charter keys, [`RecoveryKey`] for backups, [`OfficerKey`] for officers, [`Passphrase`]
//! for what unlocks them. The file format is in `file`, the reasons in `node/decisions/key-files.md`.

mod encoding;
mod fault;
mod file;
mod folder;
mod generation;
mod held;
mod kek;
mod keyring;
mod line;
mod officer;
mod offline;
mod passphrase;
mod recovery;
mod token;

pub use fault::KeyFault;
pub use held::{Held, in_use};
pub use kek::KeyEncryption;
pub use keyring::{Keyring, NodeSecrets};
pub use officer::OfficerKey;
pub use offline::{OfflineKeys, OfflineSigner};
pub use passphrase::{Passphrase, Purpose};
pub use recovery::RecoveryKey;
pub use token::Token;
