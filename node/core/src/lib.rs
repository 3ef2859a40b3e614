//! Everything Comity decides. Pure: no sockets, files, system clock or randomness of its own;
//! time and entropy are handed in, and what must happen comes back as values.
//!
//! Read in this order; each module uses only the ones before it:
//! `ids` `crypto` `wire` `rules` `profile` `officer` `ledger` `event` `record` `founding` `clock` `procedure`
//! `case` `index` `outbox` `engine` `carry`. The ledger proves records and never reads acts, so it
//! stands below `event`, which checks an author's own proof.

#![warn(missing_docs)]
// A new variant must break every place that has to think about it.
#![warn(clippy::wildcard_enum_match_arm)]
// Core has no terminal; what people are to read goes back to the caller as a value.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod carry;
pub mod case;
pub mod clock;
pub mod crypto;
pub mod engine;
pub mod event;
pub mod founding;
pub mod ids;
pub mod index;
pub mod law;
pub mod ledger;
pub mod manifest;
pub mod object;
pub mod officer;
pub mod outbox;
pub mod procedure;
pub mod profile;
pub mod record;
pub mod rules;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod vectors;
pub mod wire;

pub use comity_proto::v1 as proto;
