//! Settings from files on a real disk and from environments made up here.

use std::fs;

use super::*;

const GOOD: &str = "party = \"XA\"\nnetwork = \"demo.test\"\n\
                    charter = \"0000000000000000000000000000000000000000000000000000000000000000\"\n";

fn flag(name: &'static str, key: &'static str, value: &str) -> Flag {
    Flag { name, key, value: value.to_owned() }
}

fn load(text: &str, environment: &[(&str, &str)], flags: &[Flag]) -> (PathBuf, Result<Settings, ConfigFault>) {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("comity.toml");
    fs::write(&file, text).expect("written");
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let loaded = Settings::load(&file, environment, flags);
    (file, loaded)
}

fn good(text: &str, environment: &[(&str, &str)], flags: &[Flag]) -> Settings {
    load(text, environment, flags).1.unwrap_or_else(|fault| panic!("{fault}"))
}

/// Code, source and key of each mistake; the file is called `FILE`.
fn mistakes(text: &str, environment: &[(&str, &str)], flags: &[Flag]) -> Vec<String> {
    let (file, loaded) = load(text, environment, flags);
    let Err(ConfigFault::Mistakes(mistakes)) = loaded else { return vec![] };
    let line = |mistake: &Mistake| {
        let text = mistake.to_string().replace(&file.display().to_string(), "FILE");
        text.splitn(4, ": ").take(3).collect::<Vec<_>>().join(" ")
    };
    mistakes.iter().map(line).collect()
}

#[test]
fn defaults_stand_where_nothing_is_said() {
    let (file, loaded) = load(GOOD, &[], &[]);
    let settings = loaded.expect("good");
    let folder = file.parent().expect("in a folder");
    assert_eq!(settings.party.as_str(), "XA");
    assert_eq!(settings.network.as_str(), "demo.test");
    assert_eq!(settings.data, folder);
    assert_eq!(settings.api_socket, folder.join("api.sock"));
    assert_eq!(settings.witness_beat, Duration::from_secs(60));
    let listen: Vec<_> = settings.listen.iter().map(Address::as_str).collect();
    assert_eq!(listen, ["/ip4/0.0.0.0/tcp/4810", "/ip6/::/tcp/4810"]);
    assert!(settings.peers.is_empty() && settings.require_hybrid);
    assert_eq!((settings.log_format, settings.log_level), (Format::Text, Level::Info));
}

#[test]
fn later_layers_win_key_by_key() {
    let file = "party = \"XA\"\nnetwork = \"demo.test\"\n\
                charter = \"0000000000000000000000000000000000000000000000000000000000000000\"\ndata = \"data\"\nlisten = [\"/ip4/127.0.0.1/tcp/1\"]\n\
                [log]\nlevel = \"warn\"\nformat = \"json\"\n\
                [peers.XB]\naddresses = [\"/ip4/127.0.0.1/tcp/2\"]\n\
                [peers.XC]\naddresses = [\"/ip4/127.0.0.1/tcp/3\"]\n";
    let environment = [
        ("COMITY_LOG__LEVEL", "debug"),
        ("COMITY_LISTEN", "/ip4/127.0.0.1/tcp/4, /ip6/::1/tcp/5"),
        ("COMITY_PEERS__XB__ADDRESSES", "/dns/b.test/tcp/6"),
        ("COMITY_TLS__REQUIRE_HYBRID", "false"),
        ("PATH", "/bin"),
    ];
    let settings = good(file, &environment, &[flag("--listen", "listen", ""), flag("--log", "log.level", "trace")]);
    assert_eq!((settings.log_format, settings.log_level), (Format::Json, Level::Trace));
    assert!(settings.listen.is_empty(), "an empty list only dials");
    assert!(!settings.require_hybrid);
    assert!(settings.data.ends_with("data") && settings.data.is_absolute());
    assert_eq!(settings.api_socket, settings.data.join("api.sock"));
    let peers: Vec<_> = settings.peers.iter().map(|(code, list)| (code.as_str(), list[0].as_str())).collect();
    assert_eq!(peers, [("XB", "/dns/b.test/tcp/6"), ("XC", "/ip4/127.0.0.1/tcp/3")]);
    let settings = good(file, &environment, &[]);
    let listen: Vec<_> = settings.listen.iter().map(Address::as_str).collect();
    assert_eq!(listen, ["/ip4/127.0.0.1/tcp/4", "/ip6/::1/tcp/5"]);
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    let check =
        |text: &str, expected: &[&str]| assert_eq!(mistakes(&format!("{GOOD}{text}"), &[], &[]), expected, "{text}");
    check("colour = 1", &["config.unknown-key FILE colour"]);
    check("log.colour = true", &["config.unknown-key FILE log.colour"]);
    check("[colour]\na = 1\nb = 2", &["config.unknown-key FILE colour"]);
    check("[colour]", &["config.unknown-key FILE colour"]);
    check("Log.level = \"info\"", &["config.unknown-key FILE Log"]);
    check("\"log.level\" = \"info\"", &["config.unknown-key FILE \"log.level\""]);
    check("[peers.xb]\naddresses = []", &["config.unknown-key FILE peers.xb"]);
    check("[peers.XB]\naddress = \"/ip4/1.2.3.4/tcp/1\"", &["config.unknown-key FILE peers.XB.address"]);
    check("[log]\n[peers]\n[peers.XB]", &[]);
    check("witness.beat = \"3600s\"", &[]);
    for beat in ["\"0s\"", "\"3601s\"", "\"60\"", "\"1m\"", "\"s\"", "60"] {
        check(&format!("witness.beat = {beat}"), &["config.bad-value FILE witness.beat"]);
    }

    let check = |name: &str, expected: &[&str]| assert_eq!(mistakes(GOOD, &[(name, "info")], &[]), expected, "{name}");
    check("COMITY_COLOUR", &["config.unknown-key COMITY_COLOUR colour"]);
    check("COMITY_LOG_LEVEL", &["config.unknown-key COMITY_LOG_LEVEL log_level"]);
    check("COMITY_log__level", &["config.unknown-key COMITY_log__level COMITY_log__level"]);
    check("COMITY_LOG__LEVEL__X", &["config.unknown-key COMITY_LOG__LEVEL__X log.level.x"]);
    check("COMITY_PASSPHRASE", &["config.unknown-key COMITY_PASSPHRASE passphrase"]);
    check("COMITY_", &["config.unknown-key COMITY_ "]);
    check("COMITY_LOG__LEVEL", &[]);
    check("COMITYLOG", &[]);
    for (reserved, _) in NOT_SETTINGS {
        check(reserved, &[]);
    }
    // A level named `log` is a section, not a value: COMITY_LOG alone is reserved for another use.
    check("COMITY_TLS", &["config.unknown-key COMITY_TLS tls"]);
}

#[test]
fn values_are_checked_in_the_layer_they_stand_in() {
    let check =
        |text: &str, expected: &[&str]| assert_eq!(mistakes(&format!("{GOOD}{text}"), &[], &[]), expected, "{text}");
    check("listen = \"/ip4/0.0.0.0/tcp/1\"", &["config.bad-value FILE listen"]);
    check("listen = [\"/ip4/0.0.0.0/tcp/1\", \"0.0.0.0:1\"]", &["config.bad-value FILE listen"]);
    check("listen = [\"/dns/a.test/tcp/1\"]", &["config.bad-value FILE listen"]);
    check("listen = [1]", &["config.bad-value FILE listen"]);
    check("peers.XB.addresses = [\"/ip4/1.2.3.4/tcp/0\"]", &["config.bad-value FILE peers.XB.addresses"]);
    check("tls.require_hybrid = \"true\"", &["config.bad-value FILE tls.require_hybrid"]);
    check("tls = true", &["config.unknown-key FILE tls"]);
    check("log.level = 3", &["config.bad-value FILE log.level"]);
    check("log.level = \"loud\"", &["config.bad-value FILE log.level"]);
    check("log.level.deep = 1", &["config.bad-value FILE log.level"]);
    check("data = \"\"", &["config.bad-value FILE data"]);
    check(&format!("api.socket = \"/{}\"", "a".repeat(107)), &["config.bad-value FILE or the data folder api.socket"]);

    // A good flag does not hide the file's mistake.
    let hidden = mistakes(&format!("{GOOD}log.level = \"loud\""), &[], &[flag("--log-level", "log.level", "info")]);
    assert_eq!(hidden, ["config.bad-value FILE log.level"]);
    assert_eq!(mistakes(GOOD, &[("COMITY_TLS__REQUIRE_HYBRID", "yes")], &[]).len(), 1);
    assert_eq!(mistakes(GOOD, &[], &[flag("--listen", "listen", "x")]), ["config.bad-value --listen listen"]);
}

#[test]
fn all_mistakes_are_told_at_once_with_source_and_key() {
    let (file, loaded) = load(
        "party = \"xa\"\ncolour = 1\n",
        &[("COMITY_LOG__FORMAT", "yaml"), ("COMITY_SPEED", "9")],
        &[flag("--listen", "listen", "localhost")],
    );
    let fault = loaded.expect_err("refused");
    assert_eq!(fault.code(), "config.mistakes");
    let text = fault.to_string().replace(&file.display().to_string(), "FILE");
    let expected = "\
config.mistakes: the node does not start: settings to correct: 7.
  config.unknown-key: FILE: colour: there is no such setting. Known are party, network, charter, data, listen, peers.<PARTY CODE>.addresses, tls.require_hybrid, witness.beat, log.format, log.level, api.socket, backup.folder, backup.recipients, backup.erasures
  config.bad-value: FILE: party: it must be two capital letters, the Party's ISO 3166-1 code; found \"xa\"
  config.bad-value: COMITY_LOG__FORMAT: log.format: it must be text or json; found \"yaml\"
  config.unknown-key: COMITY_SPEED: speed: there is no such setting. Known are party, network, charter, data, listen, peers.<PARTY CODE>.addresses, tls.require_hybrid, witness.beat, log.format, log.level, api.socket, backup.folder, backup.recipients, backup.erasures
  config.bad-value: --listen: listen: it must be a list of addresses like /ip4/0.0.0.0/tcp/4810 or /ip6/::/tcp/4810; port 0 lets the system choose; found \"localhost\"
  config.missing-key: FILE: network: it is not set and has no default. It must be the network's name: lower-case labels joined by dots, as in the charter
  config.missing-key: FILE: charter: it is not set and has no default. It must be the charter's fingerprint: 64 lower-case hexadecimal digits, as printed at the founding";
    assert_eq!(text, expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let absent = Settings::load(Path::new("/nowhere/comity.toml"), [], &[]).expect_err("refused");
    assert_eq!(absent.code(), "config.no-file");
    for text in ["party = ", "party = \"XA\"\nparty = \"XB\"\n", &"#".repeat(300_000)] {
        let (file, loaded) = load(text, &[], &[]);
        let fault = loaded.expect_err("refused");
        assert_eq!(fault.code(), "config.unreadable");
        assert!(fault.to_string().contains(&file.display().to_string()), "{fault}");
    }
    assert_eq!(Settings::load(Path::new("/"), [], &[]).expect_err("refused").code(), "config.unreadable");
}

#[test]
fn the_commented_file_says_the_defaults() {
    let party = PartyCode::parse("XA").expect("code");
    let network = NetworkName::parse("demo.test").expect("name");
    let text = commented_default(&party, &network, &Digest::new([0; 32]));
    let relative = |(file, loaded): (PathBuf, Result<Settings, ConfigFault>)| {
        let mut settings = loaded.unwrap_or_else(|fault| panic!("{fault}"));
        let folder = file.parent().expect("in a folder");
        settings.data = settings.data.strip_prefix(folder).map(Path::to_owned).unwrap_or(settings.data);
        settings.api_socket =
            settings.api_socket.strip_prefix(folder).map(Path::to_owned).unwrap_or(settings.api_socket);
        settings
    };
    let by_default = relative(load(GOOD, &[], &[]));
    assert_eq!(relative(load(&text, &[], &[])), by_default);

    // With every # removed from a setting, only those without a fixed default change.
    let uncommented: String = text
        .lines()
        .map(|line| if line.starts_with('#') && !line.starts_with("# ") { &line[1..] } else { line })
        .fold(String::new(), |text, line| text + line + "\n");
    let mut all = relative(load(&uncommented, &[], &[]));
    assert_eq!(all.data, Path::new("/var/lib/comity"));
    assert_eq!(all.api_socket, Path::new("/run/comity/api.sock"));
    assert_eq!(all.peers.len(), 1);
    assert_eq!(all.backup.recipients.len(), 2);
    assert!(all.backup.folder.is_some() && all.backup.erasures.is_some());
    all.backup = BackupSettings::default();
    (all.data, all.api_socket) = (by_default.data.clone(), by_default.api_socket.clone());
    all.peers.clear();
    assert_eq!(all, by_default);
}
