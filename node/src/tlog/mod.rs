//! A ledger as others read it: a folder in the layout of C2SP tlog-tiles, written once and checked by anyone.
//!
//! Beside what that layout names - `checkpoint`, `tile/…` - the folder holds `documents`, the signed charters and profiles
//! from which the keys follow, and `policy`, the same keys as a C2SP tlog-policy for tools that know nothing of charters.
//! Checking trusts nothing in it but what follows from a charter's fingerprint given by hand; it needs no node, no key and
//! no secret. The room knows no running node: whoever exports hands it bytes. Start with [`Folder`] and [`check`]. Serves
//! SPEC `[L-10]` and `[L-11]`.

mod check;
mod fault;
mod folder;

pub use check::{Checked, check, check_fork};
pub use fault::TlogFault;
pub use folder::{DOCUMENTS, Folder, POLICY, fork_in};

#[cfg(test)]
mod tests;
