//! What can go wrong with keys, by what the operator can do about it. Never says anything secret.

use std::{io, path::PathBuf};

use comity_core::ids::KeyId;

/// Why a key folder, a key or a passphrase could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The lock did not open.
    #[error(
        "keys.wrong-passphrase: the keys in {folder} stay locked: this is not their passphrase. \
         Nothing was changed; try again"
    )]
    WrongPassphrase {
        /// The key folder.
        folder: PathBuf,
    },
    /// Others than the owner may read or change it.
    #[error(
        "keys.too-open: {path} is not used: others than its owner may reach it (mode {mode:03o}). \
         Find out who read it, then run: chmod go= {path}"
    )]
    TooOpen {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not there.
    #[error(
        "keys.missing: the keys cannot be opened: {path} is not there. \
         Bring it back from a backup; if it is lost, run `comity key retire ROLE GENERATION --lost`, or `comity init` for a new node"
    )]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// The file that a passphrase or PIN should be read from is not there. Nothing is lost.
    #[error(
        "keys.no-passphrase-file: nothing was opened: there is no file {path} to read a passphrase or PIN from. Name the right one"
    )]
    NoPassphraseFile {
        /// The file named.
        path: PathBuf,
    },
    /// It is not what was written.
    #[error(
        "keys.damaged: the keys cannot be opened: {path} {why}. \
         Bring that file back from a backup; the others are untouched"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        why: &'static str,
    },
    /// A folder with something in it stands where the new one should.
    #[error(
        "keys.exists: no keys were made: {path} already holds something. Nothing was changed; choose another folder"
    )]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("keys.disk: the keys were not used: could not {doing} {path}: {cause}. Correct that and start again")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// No passphrase was offered.
    #[error(
        "keys.no-passphrase: the keys stay locked: there is no terminal to ask at. Give --passphrase-file FILE, \
         or the systemd credential `comity-passphrase` (LoadCredentialEncrypted=)"
    )]
    NoPassphrase,
    /// No PIN was offered.
    #[error(
        "keys.no-pin: the token was not used: there is no terminal to ask for its PIN at. Name a file in token.toml \
         (pin_file), or give the systemd credential `comity-token-pin` (LoadCredentialEncrypted=)"
    )]
    NoPin,
    /// The passphrase cannot be used.
    #[error("keys.bad-passphrase: the passphrase from {origin} was not used: {why}. Give another")]
    BadPassphrase {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A wrap names a seal key this node does not hold.
    #[error("keys.unknown-key: a sealed body was not opened: this node holds no seal key {}. The author must seal to a key of the current profile", .id.short())]
    UnknownKey {
        /// The key named.
        id: KeyId,
    },
    /// A wrap does not open under the key it names, as bound.
    #[error(
        "keys.does-not-open: a sealed body was not opened: its wrap does not fit this node's seal key and this header. The author must seal and send again"
    )]
    DoesNotOpen,
    /// The own profile allows none of the keys held here.
    #[error(
        "keys.none-in-force: nothing was signed: this Party's profile allows none of the {role} keys held here at this time. \
         Publish a profile that names one of them (comity key list) and start the node again"
    )]
    NoneInForce {
        /// Of which role.
        role: &'static str,
    },
    /// A role that a node holds no keys of.
    #[error(
        "keys.unknown-role: nothing was done: a node holds no keys of that role. \
         Name one of transport, record, checkpoint, witness, directory, seal"
    )]
    UnknownRole,
    /// No generation of this number.
    #[error(
        "keys.unknown-generation: nothing was destroyed: there is no generation {number} of the {role} keys here. See: comity key list"
    )]
    UnknownGeneration {
        /// Of which role.
        role: &'static str,
        /// The number asked for.
        number: u32,
    },
    /// The profile lets a generation be used.
    #[error(
        "keys.still-allowed: nothing was destroyed: this Party's profile allows generation {number} of the {role} keys, now or later. \
         Revoke it in a new profile, or wait until it has ended"
    )]
    StillAllowed {
        /// Of which role.
        role: &'static str,
        /// Its number.
        number: u32,
    },
    /// A generation may still be of use.
    #[error(
        "keys.still-needed: nothing was destroyed: generation {number} of the {role} keys is kept: {why}. Leave it, or ask again later"
    )]
    StillNeeded {
        /// Of which role.
        role: &'static str,
        /// Its number.
        number: u32,
        /// What for.
        why: &'static str,
    },
    /// A role whose keys are no pair of signing keys.
    #[error(
        "keys.not-for-tokens: no keys were made: transport, seal and key-encryption keys are not kept in a token: \
         the network library and every opening need them at hand. Leave the token out"
    )]
    NotForTokens,
    /// No token, or several, of the label.
    #[error(
        "keys.no-token: the key was not used: {found} tokens with the label {label:?} are plugged in. Plug in the right one alone"
    )]
    NoToken {
        /// The label.
        label: String,
        /// How many there are.
        found: usize,
    },
    /// The token did not take the PIN.
    #[error(
        "keys.wrong-pin: the key was not used: this is not the PIN of the token {label:?}. Be sure before trying again: a token locks itself after a few wrong ones"
    )]
    WrongPin {
        /// The token's label.
        label: String,
    },
    /// The token does not hold the key.
    #[error("keys.not-in-token: the key was not used: the token {label:?} does not hold key {}. Plug in the token it was made in", .id.short())]
    NotInToken {
        /// Which key.
        id: KeyId,
        /// The token's label.
        label: String,
    },
    /// The token or its library failed.
    #[error("keys.token: the token was not used: could not {doing} through {module}: {cause}. Check library and token, and try again", module = .module.display())]
    Token {
        /// What was being done.
        doing: &'static str,
        /// Through which library.
        module: PathBuf,
        /// What it said.
        cause: String,
    },
    /// Library or token refused to sign.
    #[error(
        "keys.cannot-sign: nothing was signed: the cryptographic library or the token refused. Check the machine and the token"
    )]
    CannotSign,
}

impl KeyFault {
    pub(super) fn still_needed((role, number): (&'static str, u32), why: &'static str) -> Self {
        Self::StillNeeded { role, number, why }
    }

    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongPassphrase { .. } => "keys.wrong-passphrase",
            Self::TooOpen { .. } => "keys.too-open",
            Self::Missing { .. } => "keys.missing",
            Self::NoPassphraseFile { .. } => "keys.no-passphrase-file",
            Self::Damaged { .. } => "keys.damaged",
            Self::Exists { .. } => "keys.exists",
            Self::Disk { .. } => "keys.disk",
            Self::NoPassphrase => "keys.no-passphrase",
            Self::NoPin => "keys.no-pin",
            Self::BadPassphrase { .. } => "keys.bad-passphrase",
            Self::UnknownKey { .. } => "keys.unknown-key",
            Self::DoesNotOpen => "keys.does-not-open",
            Self::NotForTokens => "keys.not-for-tokens",
            Self::NoToken { .. } => "keys.no-token",
            Self::WrongPin { .. } => "keys.wrong-pin",
            Self::NotInToken { .. } => "keys.not-in-token",
            Self::Token { .. } => "keys.token",
            Self::NoneInForce { .. } => "keys.none-in-force",
            Self::UnknownRole => "keys.unknown-role",
            Self::UnknownGeneration { .. } => "keys.unknown-generation",
            Self::StillAllowed { .. } => "keys.still-allowed",
            Self::StillNeeded { .. } => "keys.still-needed",
            Self::CannotSign => "keys.cannot-sign",
        }
    }
}
