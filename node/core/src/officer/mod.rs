//! Four eyes: who at a Party may approve what leaves it, and whether enough of them have. Serves SPEC `[O-*]`.
//!
//! `roll` reads the Party's own list of officers, which its directory key signs; `approval` is what one of them signs;
//! `check` says whether the approvals of a matter suffice at a moment. It decides nothing about the matter itself and
//! keeps nothing. Nothing it reads ever leaves the Party. Start with [`Office`].

mod approval;
mod check;
mod roll;
#[cfg(test)]
pub(crate) mod tests;

pub use approval::{APPROVAL_TYPE, Approval, Kind, Matter, SALT_BYTES, Signed, body_digest, signing_message};
pub use check::{Fault, Office, Passed, VALID_MS};
pub use roll::{ROLL_TYPE, Roll};
