//! Settings of one node, checked once at start: defaults < file < environment < flags.
//!
//! This room decides what the operator asked for and refuses what it does not know, with all mistakes
//! at once, each with its source and key. It reads one file, opens nothing else and holds no secret:
//! a passphrase is never a setting. Figures of law are not settings either (`node/rules`).
//!
//! Start at [`Settings::load`]. Every setting is one row of the table in `table`; `comity init`
//! writes [`commented_default`].

mod address;
mod layers;
mod mistake;
mod table;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use comity_core::ids::{Digest, NetworkName, PartyCode};
use serde::Deserialize;

pub use address::Address;
pub use mistake::{ConfigFault, Mistake};

use crate::telemetry::{Format, Level};
use layers::Layer;

/// Environment variables that begin like settings and are none.
pub const NOT_SETTINGS: [(&str, &str); 4] = [
    ("COMITY_LOG", "raises the log level of single rooms for one run, while a fault is looked for"),
    ("COMITY_CRASH_AT", "names the durable step at which a test wants the process to die"),
    ("COMITY_NO_SKIP", "makes a test that cannot run fail; the nodes it starts inherit it"),
    ("COMITY_BLESS", "tells a test to write its expected files anew"),
];

/// A command-line flag that overrides a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As the operator typed it, for example `--listen`.
    pub name: &'static str,
    /// The setting, for example `listen`.
    pub key: &'static str,
    /// Its text; a list is separated by commas.
    pub value: String,
}

/// Everything a node can be told. Cannot be wrong: see [`Settings::load`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose node this is.
    pub party: PartyCode,
    /// The network it belongs to.
    pub network: NetworkName,
    /// The fingerprint of its charter, pinned by hand.
    pub charter: Digest,
    /// Where keys, ledger and index lie.
    pub data: PathBuf,
    /// Where peers may reach this node; none, if it only dials.
    pub listen: Vec<Address>,
    /// Where peers are, beyond what their profiles say.
    pub peers: BTreeMap<PartyCode, Vec<Address>>,
    /// Whether connections without post-quantum key exchange are refused.
    pub require_hybrid: bool,
    /// How log lines look.
    pub log_format: Format,
    /// How much is logged.
    pub log_level: Level,
    /// The local API's Unix socket.
    pub api_socket: PathBuf,
    /// How often our witnesses are asked to cosign our ledger.
    pub witness_beat: Duration,
    /// Where backups go, and for whom.
    pub backup: BackupSettings,
}

/// What the settings say of backups; where it says nothing there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupSettings {
    /// The folder they are written to.
    pub folder: Option<PathBuf>,
    /// The public halves of the recovery keys that can open them.
    pub recipients: Vec<PathBuf>,
    /// The file that lists what was erased, in a second place.
    pub erasures: Option<PathBuf>,
}

impl Settings {
    /// Reads `file`, then `environment` (the process's own, handed in), then `flags`.
    ///
    /// Relative paths count from the file's folder, which is also the default data folder.
    ///
    /// # Errors
    /// [`ConfigFault::NoFile`] or [`ConfigFault::Unreadable`] for the file as a whole; else all mistakes at once.
    pub fn load(
        file: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[Flag],
    ) -> Result<Self, ConfigFault> {
        let text = layers::read(file)?;
        let layers = [
            layers::defaults(),
            layers::from_file(file, &text)?,
            layers::from_environment(environment),
            layers::from_flags(flags),
        ];
        let mut mistakes: Vec<Mistake> = layers.iter().flat_map(Layer::mistakes).collect();
        mistakes.extend(table::required().filter_map(|setting| missing(setting.key, file, &layers)));
        if mistakes.is_empty() { Raw::merge(layers).checked(file) } else { Err(ConfigFault::Mistakes(mistakes)) }
    }
}

/// The commented file of a new node: every setting with a sentence and its default.
#[must_use]
pub fn commented_default(party: &PartyCode, network: &NetworkName, charter: &Digest) -> String {
    table::render(party, network, charter)
}

fn missing(key: &'static str, file: &Path, layers: &[Layer]) -> Option<Mistake> {
    let named = layers.iter().any(|layer| layer.names(key));
    (!named).then(|| Mistake::Missing { key, file: file.to_owned(), allowed: table::allowed(key) })
}

/// What the layers say together. Each value was checked in its own layer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    party: String,
    network: String,
    charter: String,
    data: Option<PathBuf>,
    listen: Vec<String>,
    #[serde(default)]
    peers: BTreeMap<String, RawPeer>,
    tls: RawTls,
    log: RawLog,
    #[serde(default)]
    api: RawApi,
    witness: RawWitness,
    #[serde(default)]
    backup: RawBackup,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawBackup {
    folder: Option<PathBuf>,
    #[serde(default)]
    recipients: Vec<PathBuf>,
    erasures: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWitness {
    beat: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawPeer {
    #[serde(default)]
    addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    require_hybrid: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    format: String,
    level: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawApi {
    socket: Option<PathBuf>,
}

impl Raw {
    fn merge(layers: impl IntoIterator<Item = Layer>) -> Self {
        let all = layers.into_iter().fold(config::Config::builder(), |all, layer| all.add_source(layer));
        all.build().and_then(config::Config::try_deserialize).expect("each value was checked in its own layer")
    }

    fn checked(self, file: &Path) -> Result<Settings, ConfigFault> {
        const CHECKED: &str = "the table checked this value in its own layer";
        let base = layers::folder_of(file);
        let data = self.data.map_or_else(|| base.to_owned(), |data| base.join(data));
        let api_socket = self.api.socket.map_or_else(|| data.join("api.sock"), |socket| base.join(socket));
        let addresses = |list: Vec<String>| list.iter().map(|text| Address::parse(text).expect(CHECKED)).collect();
        let peers = self.peers.into_iter();
        let settings = Settings {
            party: self.party.parse().expect(CHECKED),
            network: self.network.parse().expect(CHECKED),
            charter: self.charter.parse().expect(CHECKED),
            data,
            listen: addresses(self.listen),
            peers: peers.map(|(code, peer)| (code.parse().expect(CHECKED), addresses(peer.addresses))).collect(),
            require_hybrid: self.tls.require_hybrid,
            log_format: self.log.format.parse().expect(CHECKED),
            log_level: self.log.level.parse().expect(CHECKED),
            api_socket,
            witness_beat: table::seconds(&self.witness.beat).expect(CHECKED),
            backup: BackupSettings {
                folder: self.backup.folder.map(|folder| base.join(folder)),
                recipients: self.backup.recipients.iter().map(|file| base.join(file)).collect(),
                erasures: self.backup.erasures.map(|file| base.join(file)),
            },
        };
        settings.with_reachable_socket(file)
    }
}

impl Settings {
    /// The one check across settings: the socket's path may follow from the data folder's.
    fn with_reachable_socket(self, file: &Path) -> Result<Self, ConfigFault> {
        /// `sockaddr_un` has 108 bytes, the last for a zero.
        const SOCKET_PATH_BYTES_MAX: usize = 107;
        if self.api_socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(self);
        }
        Err(ConfigFault::Mistakes(vec![Mistake::BadValue {
            key: "api.socket".to_owned(),
            origin: format!("{} or the data folder", file.display()),
            found: self.api_socket.display().to_string(),
            allowed: "a path of at most 107 bytes, the system's limit for Unix sockets",
        }]))
    }
}

#[cfg(test)]
mod tests;
