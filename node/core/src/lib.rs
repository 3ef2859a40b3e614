//! Everything Comity decides. Pure: no sockets, files, system clock or randomness of its own;
//! time and entropy are handed in, and what must happen comes back as values.
//!
//! Read in this order; each module uses only the ones before it:
//! [`ids`] [`crypto`] [`wire`] [`rules`] [`profile`] [`event`] [`ledger`] [`clock`] [`procedure`]
//! [`index`] [`outbox`] [`engine`].

pub mod crypto;
pub mod event;
pub mod founding;
pub mod ids;
pub mod ledger;
pub mod profile;
pub mod record;
pub mod wire;

pub use comity_proto::v1 as proto;
