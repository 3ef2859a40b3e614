//! The table of settings: one row each, from which come checks, messages and the commented file.

use std::time::Duration;

use comity_core::ids::{Digest, NetworkName, PartyCode};

use super::Address;
use crate::telemetry::{Format, Level};

/// What a setting's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Flag,
    List,
}

/// One setting.
pub(super) struct Setting {
    /// Levels joined by dots; `*` stands for a Party code.
    pub(super) key: &'static str,
    pub(super) shape: Shape,
    /// Completes "it must be …".
    pub(super) allowed: &'static str,
    /// The default as TOML, when it is a fixed one.
    pub(super) default: Option<&'static str>,
    pub(super) required: bool,
    /// One text, or each text of a list.
    pub(super) is_good: fn(&str) -> bool,
    /// What the commented file says; its lines are sentences.
    comment: &'static str,
    /// What the commented file shows where there is no fixed default.
    example: &'static str,
}

/// The default listening port. Above 1023, so that no privilege is needed; below 32768, where Linux
/// begins to take ports for outgoing connections, so that a restart never finds it taken by one.
const LISTEN_DEFAULT: &str = r#"["/ip4/0.0.0.0/tcp/4810", "/ip6/::/tcp/4810"]"#;

const SETTINGS: [Setting; 14] = [
    Setting {
        key: "party",
        shape: Shape::Text,
        allowed: "two capital letters, the Party's ISO 3166-1 code",
        default: None,
        required: true,
        is_good: |text| PartyCode::parse(text).is_ok(),
        comment: "The Party this node speaks for: its ISO 3166-1 code. Required.",
        example: "",
    },
    Setting {
        key: "network",
        shape: Shape::Text,
        allowed: "the network's name: lower-case labels joined by dots, as in the charter",
        default: None,
        required: true,
        is_good: |text| NetworkName::parse(text).is_ok(),
        comment: "The network it belongs to, as its charter names it. Required.",
        example: "",
    },
    Setting {
        key: "charter",
        shape: Shape::Text,
        allowed: "the charter's fingerprint: 64 lower-case hexadecimal digits, as printed at the founding",
        default: None,
        required: true,
        is_good: |text| text.parse::<Digest>().is_ok(),
        comment: "The fingerprint of the charter this node was given by hand; no other founds its trust. Required.",
        example: "",
    },
    Setting {
        key: "data",
        shape: Shape::Text,
        allowed: "the path of a folder",
        default: None,
        required: false,
        is_good: |text| !text.is_empty(),
        comment: "The folder of keys, ledger and index. Relative paths count from the folder of this\n\
                  file, which is also the default.",
        example: r#""/var/lib/comity""#,
    },
    Setting {
        key: "listen",
        shape: Shape::List,
        allowed: "a list of addresses like /ip4/0.0.0.0/tcp/4810 or /ip6/::/tcp/4810; port 0 lets the system choose",
        default: Some(LISTEN_DEFAULT),
        required: false,
        is_good: |text| Address::parse(text).is_some_and(|address| address.is_listenable()),
        comment: "Where peers may reach this node. An empty list: it only dials.",
        example: "",
    },
    Setting {
        key: "peers.*.addresses",
        shape: Shape::List,
        allowed: "a list of addresses like /dns/node.xb.test/tcp/4810 or /ip4/192.0.2.1/tcp/4810, \
                  without a PeerId, which profiles name",
        default: None,
        required: false,
        is_good: |text| Address::parse(text).is_some_and(|address| address.is_dialable()),
        comment: "Where the node of a Party (here XB) is, beyond what its profile says. One line per\n\
                  Party. Default: what profiles say.",
        example: r#"["/dns/node.xb.test/tcp/4810"]"#,
    },
    Setting {
        key: "tls.require_hybrid",
        shape: Shape::Flag,
        allowed: "true or false",
        default: Some("true"),
        required: false,
        is_good: |_| true,
        comment: "Refuse connections whose key exchange is not hybrid (X25519MLKEM768), since what is\n\
                  recorded today could be read by a quantum computer later.",
        example: "",
    },
    Setting {
        key: "witness.beat",
        shape: Shape::Text,
        allowed: "a number of seconds from 1 to 3600, for example 60s",
        default: Some(r#""60s""#),
        required: false,
        is_good: |text| seconds(text).is_some(),
        comment: "How often the witnesses that the charter assigns are asked to cosign this ledger. A steady\n\
                  beat keeps them from seeing when something happens; shorten it for exercises only.",
        example: "",
    },
    Setting {
        key: "log.format",
        shape: Shape::Text,
        allowed: "text or json",
        default: Some(r#""text""#),
        required: false,
        is_good: |text| text.parse::<Format>().is_ok(),
        comment: "How log lines look on standard error: text for people, json for collectors.",
        example: "",
    },
    Setting {
        key: "log.level",
        shape: Shape::Text,
        allowed: "error, warn, info, debug or trace",
        default: Some(r#""info""#),
        required: false,
        is_good: |text| text.parse::<Level>().is_ok(),
        comment: "How much is logged: error, warn, info, debug or trace.",
        example: "",
    },
    Setting {
        key: "api.socket",
        shape: Shape::Text,
        allowed: "the path of a Unix socket, at most 107 bytes long",
        default: None,
        required: false,
        is_good: |text| !text.is_empty(),
        comment: "The Unix socket of the local API. Only the owner may reach it.\n\
                  Default: api.sock in the data folder.",
        example: r#""/run/comity/api.sock""#,
    },
    Setting {
        key: "backup.folder",
        shape: Shape::Text,
        allowed: "the path of a folder",
        default: None,
        required: false,
        is_good: |text| !text.is_empty(),
        comment: "The folder `comity backup create` writes to: on another disk, mounted before the node starts.\n\
                  It is never made, so that a backup cannot end up below a disk that is missing.",
        example: r#""/mnt/backup/comity""#,
    },
    Setting {
        key: "backup.recipients",
        shape: Shape::List,
        allowed: "a list of paths of .pub files, as `comity key create --role recovery` writes them",
        default: None,
        required: false,
        is_good: |text| !text.is_empty(),
        comment: "The public halves of the recovery keys that can open backups: two different ones at least.",
        example: r#"["recovery-a.pub", "recovery-b.pub"]"#,
    },
    Setting {
        key: "backup.erasures",
        shape: Shape::Text,
        allowed: "the path of a file",
        default: None,
        required: false,
        is_good: |text| !text.is_empty(),
        comment: "The file that lists what was erased, in a second place: not on the disk of the data folder. An\n\
                  erasure waits until it is in there, and no backup is put back without it.",
        example: r#""/mnt/second/comity-erasures""#,
    },
];

/// Reads a number of seconds as a beat may have.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?.parse().ok().filter(|seconds| (1..=3600).contains(seconds))?;
    Some(Duration::from_secs(seconds))
}

/// The setting with this key, whose `*` may be any Party code.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| matches(setting.key, key) && levels(setting.key) == levels(key))
}

/// Whether settings lie below this key: a TOML table is allowed there.
pub(super) fn is_section(key: &str) -> bool {
    SETTINGS.iter().any(|setting| matches(setting.key, key) && levels(setting.key) > levels(key))
}

/// What may stand at `key`.
pub(super) fn allowed(key: &str) -> &'static str {
    find(key).map_or("a setting", |setting| setting.allowed)
}

pub(super) fn required() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.required)
}

/// Keys in the section of an unknown one, or all of them.
pub(super) fn near(key: &str) -> String {
    let first = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    let in_section: Vec<&str> =
        SETTINGS.iter().map(|setting| setting.key).filter(|known| first(known) == first(key)).collect();
    let shown = if in_section.is_empty() { SETTINGS.iter().map(|setting| setting.key).collect() } else { in_section };
    shown.join(", ").replace('*', "<PARTY CODE>")
}

/// All fixed defaults as one TOML text.
pub(super) fn defaults() -> String {
    let line = |setting: &Setting| setting.default.map(|value| format!("{} = {value}\n", setting.key));
    SETTINGS.iter().filter_map(line).collect()
}

/// The file of a new node. Keys are written dotted, so that each line stands for itself.
pub(super) fn render(party: &PartyCode, network: &NetworkName, charter: &Digest) -> String {
    let head = "# Settings of this node. A line that begins with # shows a default or an example:\n\
                # remove the # to change it. Each may also be set by an environment variable\n\
                # (log.level is COMITY_LOG__LEVEL) or a flag of `comity run`; the later wins.\n";
    let entry = |setting: &Setting| {
        let key = setting.key.replace('*', "XB");
        let line = match setting.key {
            "party" => format!("{key} = \"{party}\""),
            "network" => format!("{key} = \"{network}\""),
            "charter" => format!("{key} = \"{charter}\""),
            _ => format!("#{key} = {}", setting.default.unwrap_or(setting.example)),
        };
        let comment: String = setting.comment.lines().map(|line| format!("# {line}\n")).collect();
        format!("\n{comment}{line}\n")
    };
    SETTINGS.iter().fold(head.to_owned(), |text, setting| text + &entry(setting))
}

/// Whether `key` is `pattern` as far as both go.
fn matches(pattern: &str, key: &str) -> bool {
    let same = |(known, found): (&str, &str)| known == found || (known == "*" && PartyCode::parse(found).is_ok());
    pattern.split('.').zip(key.split('.')).all(same)
}

fn levels(key: &str) -> usize {
    key.split('.').count()
}
