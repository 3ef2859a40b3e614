//! Ceremonies by file: charter and profiles are drafted, proposed, signed on machines of their own, collected and
//! put on paper; a Party makes its node's folder from a founding kit.
//!
//! This room reads and writes the files that people carry from one machine to the next, and says in words what they
//! hold. Whether a document counts is for `profile` in core; what is said here before everybody has signed is never
//! taken for proof. It prints nothing, and opens no key but the one a person names. Start at `Document` for what is
//! carried, `Beside` for what it is judged beside, `Standing` for who has signed, `officer` for the roll. Serves SPEC `[C-*]`, `[P-*]` and `[O-2]`.

mod beside;
mod collect;
mod document;
mod draft;
mod fault;
mod files;
mod holder;
mod join;
mod kit;
mod minutes;
mod officer;
mod rows;
mod show;
mod sign;
mod standing;

use std::path::{Path, PathBuf};

use comity_core::ids::{Digest, Time};

pub(crate) use self::{
    beside::{Beside, Files, alone as open_alone},
    collect::collect,
    document::{Document, Paper},
    draft::{
        charter::{CharterDraft, NewNetwork},
        directory::DirectoryDraft,
        is_directory_draft,
        profile::ProfileDraft,
        roll::RollDraft,
    },
    fault::CeremonyFault,
    holder::{Holder, fingerprint as holder_fingerprint},
    join::{Joined, Joining, join, may_join_again},
    kit::{check_kit, is_kit, kit},
    minutes::minutes,
    officer::{
        OFFICER_SCHEMA, check_roll, public_text as officer_text, read_public as read_officer, read_roll, sign_roll,
    },
    show::{fingerprint_block, next_steps, shown, shown_json, warnings},
    sign::sign,
    standing::{Outcome, Standing},
};
use crate::{time, words};

/// The present as drafts have it: to the second, so that times can be read aloud.
pub(crate) fn now_in_seconds() -> Time {
    Time(time::now().0 / 1_000 * 1_000)
}

/// Writes a draft, an envelope or minutes under a name nobody has.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CeremonyFault> {
    files::write_new(path, bytes)
}

/// Nothing may stand there yet.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), CeremonyFault> {
    files::refuse_existing(path)
}

/// The name of the public half of a key folder.
pub(crate) fn public_file(folder: &Path) -> PathBuf {
    files::beside(folder, ".pub")
}

/// A fingerprint as a person gives it: 64 digits, or 24 words.
pub(crate) fn read_fingerprint(text: &str) -> Result<Digest, CeremonyFault> {
    let digits = text.trim().parse().ok();
    digits.or_else(|| words::read(text)).ok_or(CeremonyFault::NoFingerprint)
}

#[cfg(test)]
pub(crate) mod tests;
