//! Founding a network for exercises: every key, the charter, a profile and a data folder per Party.
//!
//! In a real network these are ceremonies on machines of their own: no single place ever holds two
//! Parties' keys. Here one place makes them all, so the charter says `exercise` and can never meet
//! real requests. Everything is made beside its place and renamed into it: a crash leaves no half.
//! Start at [`found`].

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use comity_core::{
    crypto::PublicKey,
    founding::{self, Founder, Office},
    ids::{Digest, NetworkName, PartyCode, Time},
    profile::{CHARTER_TYPE, PROFILE_TYPE, document, document_id},
};
use prost::Message as _;

use super::fault::CliFault;
use crate::{
    config::commented_default,
    keys::{Keyring, OfflineKeys, OfflineSigner, Passphrase},
    law,
};

/// Where keys lie that no running node needs.
const OFFLINE: &str = "offline";

/// A network to be founded.
pub(crate) struct Network {
    pub(crate) name: NetworkName,
    pub(crate) parties: Vec<Member>,
    /// Rule files beside those of this build: each Party gets them, and what they name is in force.
    pub(crate) rules: Vec<PathBuf>,
}

/// One Party of it.
pub(crate) struct Member {
    pub(crate) code: PartyCode,
    pub(crate) name: String,
    pub(crate) offices: Vec<Office>,
    pub(crate) languages: Vec<String>,
    /// Where its node listens, and where the others find it.
    pub(crate) address: String,
}

impl Member {
    /// The name of its data folder: its own, in lower case, or its code where that says nothing.
    pub(crate) fn folder(&self) -> String {
        let name: String = self.name.chars().filter(char::is_ascii_alphanumeric).collect();
        if name.is_empty() { self.code.as_str().to_ascii_lowercase() } else { name.to_ascii_lowercase() }
    }
}

/// What everybody must be told.
pub(crate) struct Founded {
    /// Of the charter; handed over by another way than the charter itself.
    pub(crate) fingerprint: Digest,
}

/// A Party with its keys made.
struct Made<'n> {
    member: &'n Member,
    root: OfflineSigner,
    node: Keyring,
}

/// Founds `network` in the folder `into`, which is new or empty. Slow by design: each folder of keys
/// costs one key derivation.
pub(crate) fn found(network: &Network, into: &Path, passphrase: &Passphrase, now: Time) -> Result<Founded, CliFault> {
    if holds_something(into)? {
        return Err(CliFault::FolderInUse(into.to_owned()));
    }
    let new = beside(into);
    if new.exists() {
        fs::remove_dir_all(&new).map_err(disk("remove", &new))?; // left by a crash, never used
    }
    folder(&new)?;
    folder(&new.join(OFFLINE))?;
    let made =
        network.parties.iter().map(|member| make(member, &new, passphrase, now)).collect::<Result<Vec<_>, _>>()?;
    let secretariat = OfflineSigner::create(&new.join(OFFLINE).join("charter"), OfflineKeys::Charter, passphrase)?;
    let (charter, fingerprint) = charter(network, &made, &secretariat, now)?;
    let profiles = made.iter().map(|made| Ok((&made.member.code, profile(network, made, now)?)));
    let profiles = profiles.collect::<Result<Vec<_>, CliFault>>()?;
    for made in &made {
        write_party(network, made.member, &new, &charter, &fingerprint, &profiles)?;
    }
    fs::rename(&new, into).map_err(disk("put in place", into))?;
    Ok(Founded { fingerprint })
}

fn make<'n>(member: &'n Member, new: &Path, passphrase: &Passphrase, now: Time) -> Result<Made<'n>, CliFault> {
    let data = new.join(member.folder());
    folder(&data)?;
    let root = new.join(OFFLINE).join(format!("root-{}", member.folder()));
    Ok(Made {
        member,
        root: OfflineSigner::create(&root, OfflineKeys::Root, passphrase)?,
        node: Keyring::create(&data.join("keys"), passphrase, now)?,
    })
}

fn charter(
    network: &Network,
    made: &[Made<'_>],
    secretariat: &OfflineSigner,
    now: Time,
) -> Result<(Vec<u8>, Digest), CliFault> {
    let founder = |made: &Made<'_>| Founder {
        code: made.member.code.clone(),
        name: made.member.name.clone(),
        root: made.root.public().map(PublicKey::clone),
    };
    let founders: Vec<Founder> = made.iter().map(founder).collect();
    let instruments = law::instruments(&network.rules)?;
    let instruments: Vec<&str> = instruments.iter().map(String::as_str).collect();
    let mut draft = founding::charter(&network.name, true, secretariat.public(), &founders, &instruments, now);
    draft.witnesses = founding::witnesses(&founders);
    let payload = draft.encode_to_vec();
    let fingerprint = document_id(CHARTER_TYPE, &payload);
    Ok((signed(CHARTER_TYPE, payload, secretariat)?, fingerprint))
}

fn profile(network: &Network, made: &Made<'_>, now: Time) -> Result<Vec<u8>, CliFault> {
    let keys = made.node.for_profile(&network.name, &made.member.code)?;
    let languages: Vec<&str> = made.member.languages.iter().map(String::as_str).collect();
    let draft = founding::profile(&network.name, &made.member.code, &made.member.offices, &languages, &keys, now);
    signed(PROFILE_TYPE, draft.encode_to_vec(), &made.root)
}

fn signed(payload_type: &str, payload: Vec<u8>, signer: &OfflineSigner) -> Result<Vec<u8>, CliFault> {
    let signatures = signer.sign(&document_id(payload_type, &payload))?;
    Ok(document(payload_type, payload, signatures))
}

/// What a node needs besides its keys: the documents everybody has, and its own settings.
fn write_party(
    network: &Network,
    member: &Member,
    new: &Path,
    charter: &[u8],
    fingerprint: &Digest,
    profiles: &[(&PartyCode, Vec<u8>)],
) -> Result<(), CliFault> {
    let data = new.join(member.folder());
    let documents = data.join("charter");
    folder(&documents)?;
    folder(&documents.join("profiles"))?;
    write(&documents.join("charter.dsse"), charter)?;
    for (code, profile) in profiles {
        write(&documents.join("profiles").join(format!("{code}.dsse")), profile)?;
    }
    if !network.rules.is_empty() {
        folder(&data.join(law::FOLDER))?;
    }
    for path in &network.rules {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let text = fs::read(path).map_err(disk("read", path))?;
        write(&data.join(law::FOLDER).join(name), &text)?;
    }
    write(&data.join("comity.toml"), settings(network, member, fingerprint).as_bytes())
}

/// The commented file, with the addresses of this exercise in their places.
fn settings(network: &Network, member: &Member, fingerprint: &Digest) -> String {
    let peer = |peer: &Member| format!("peers.{}.addresses = [\"{}\"]\n", peer.code, peer.address);
    let peers: String = network.parties.iter().filter(|peer| peer.code != member.code).map(peer).collect();
    let line = |line: &str| match line.split_once(' ').map(|(key, _)| key) {
        Some("#listen") => format!("listen = [\"{}\"]\n", member.address),
        Some("#peers.XB.addresses") => peers.clone(),
        _ => format!("{line}\n"),
    };
    commented_default(&member.code, &network.name, fingerprint).lines().map(line).collect()
}

/// Whether anything stands in a folder. A folder that is not there holds nothing.
pub(crate) fn holds_something(path: &Path) -> Result<bool, CliFault> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(disk("list", path)(cause)),
    }
}

/// Makes a folder for its owner alone.
pub(crate) fn folder(path: &Path) -> Result<(), CliFault> {
    DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(disk("create", path))
}

/// Writes a new file for its owner alone, onto the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliFault> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(disk("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(disk("write", path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(disk("sync", parent))
}

pub(crate) fn disk(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> CliFault {
    move |cause| CliFault::Disk { doing, path: path.to_owned(), cause }
}

fn beside(into: &Path) -> PathBuf {
    let mut name = into.file_name().unwrap_or_default().to_owned();
    name.push(".founding");
    into.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use comity_core::profile::{Charter, Profile, Trust};
    use zeroize::Zeroizing;

    use super::*;
    use crate::{config::Settings, keys::Purpose};

    fn member(code: &str, name: &str, port: u16) -> Member {
        let office = Office {
            id: "central".to_owned(),
            name: format!("Central Authority of {name}"),
            time_zone: "UTC".to_owned(),
            procedures: law::offered(),
        };
        Member {
            code: code.parse().expect("code"),
            name: name.to_owned(),
            offices: vec![office],
            languages: vec!["en".to_owned()],
            address: format!("/ip4/127.0.0.1/tcp/{port}"),
        }
    }

    #[test]
    fn a_founded_network_opens_with_what_each_folder_holds() {
        let dir = tempfile::tempdir().expect("folder");
        let into = dir.path().join("network");
        let parties = vec![member("XA", "Arvia", 4811), member("XB", "Belmar", 4812)];
        let network = Network { name: "exercise.test".parse().expect("name"), parties, rules: Vec::new() };
        let text = Zeroizing::new("correct horse battery".to_owned());
        let passphrase = Passphrase::new(text, Purpose::Create).expect("long enough");
        let founded = found(&network, &into, &passphrase, Time(1_760_000_000_000)).expect("founded");

        for (member, peer) in [("arvia", "XB"), ("belmar", "XA")] {
            let data = into.join(member);
            let settings = Settings::load(&data.join("comity.toml"), [], &[]).expect("good settings");
            assert_eq!(settings.charter, founded.fingerprint);
            assert_eq!(settings.listen.len(), 1);
            assert_eq!(settings.peers.keys().map(PartyCode::as_str).collect::<Vec<_>>(), [peer]);
            let read = |name: &str| fs::read(data.join("charter").join(name)).expect("reads");
            let charter = Charter::open(&read("charter.dsse"), settings.charter).expect("charter");
            let profiles = ["XA", "XB"].map(|code| {
                Profile::open(&read(&format!("profiles/{code}.dsse")), &charter, Time(1_760_000_000_000))
                    .expect("profile")
            });
            let trust = Trust::new(charter, profiles.to_vec()).expect("trust");
            let keys = Keyring::open(&data.join("keys"), &passphrase).expect("keys");
            let profile = trust.profile(&settings.party, Time(1_760_000_000_000)).expect("profile");
            let transport =
                keys.public_keys().iter().find(|key| key.role == comity_core::proto::KeyRole::Transport).expect("key");
            let nodes: Vec<&[u8]> = profile.nodes().iter().map(|node| &node[..]).collect();
            assert_eq!(nodes, [&transport.bytes[..]]);
        }
        let again = found(&network, &into, &passphrase, Time(1_760_000_000_000)).err().expect("in use");
        assert_eq!(again.code(), "cli.folder-in-use");
    }
}
