//! Everything Comity touches: disk, network, terminal, time. What it decides lives in `comity-core`.

pub mod api;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod ceremony;
pub mod cli;
pub mod conduct;
pub mod config;
pub mod disk;
pub mod doctor;
pub mod duty;
pub mod evidence;
pub mod handle;
pub mod keys;
pub mod law;
pub mod net;
pub mod roster;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod tlog;
pub mod warnings;
pub mod witness;
pub mod words;
