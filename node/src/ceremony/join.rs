//! A Party's own folder, made from a founding kit: its node's keys, the network's documents, settings, and the draft
//! of its profile. Made beside its place and renamed into it: a crash leaves no half.

use std::{
    fs,
    path::{Path, PathBuf},
};

use comity_core::{
    founding::PublicRoleKeys,
    ids::{Digest, NetworkName, PartyCode, Time},
    profile::{Charter, claimed, node_key},
};

use super::{
    CeremonyFault, Document, Paper, ProfileDraft, files,
    kit::{judge, read_kit},
};
use crate::{
    config::{Address, commented_default},
    keys::{Keyring, Passphrase},
};

/// The draft in the new folder.
const DRAFT: &str = "profile.toml";
/// What a folder has in which a node has run: it has signed its ledger. One that did not start has not.
const SIGNED: &str = "ledger/checkpoint";
/// Where a folder goes that is made anew.
const BEFORE: &str = ".before";
/// Far above what a key file needs, as in `keys`.
const KEY_FILE_MAX: usize = 8 << 10;
/// A profile with hundreds of keys in hexadecimal.
const DRAFT_MAX: usize = 8 << 20;

/// What is asked for.
pub(crate) struct Joining<'j> {
    pub(crate) kit: &'j Path,
    /// Given by hand, from the printed minutes.
    pub(crate) fingerprint: Digest,
    pub(crate) party: &'j PartyCode,
    pub(crate) data: &'j Path,
    pub(crate) listen: Option<&'j Address>,
}

/// What was made.
pub(crate) struct Joined {
    pub(crate) network: NetworkName,
    pub(crate) exercise: bool,
    /// Where the folder is now that stood here before.
    pub(crate) before: Option<PathBuf>,
    /// Whether the charter names the Party.
    pub(crate) named: bool,
    /// The draft of its profile.
    pub(crate) draft: PathBuf,
    /// The charter, for whoever signs.
    pub(crate) charter: PathBuf,
    /// Where the signed profile belongs.
    pub(crate) profile: PathBuf,
    /// How many Parties' profiles came with the kit.
    pub(crate) profiles: usize,
    /// What in the kit does not hold and was left out, in words.
    pub(crate) left_out: Vec<String>,
}

/// True if a folder was made by [`join`] before and no node has run in it: it can be made anew with its keys.
pub(crate) fn may_join_again(data: &Path) -> bool {
    data.join("keys").is_dir() && data.join("comity.toml").is_file() && !data.join(SIGNED).exists()
}

/// Makes the folder; or makes it anew from a later kit, with the keys and the draft it has.
///
/// # Errors
/// When the kit has another fingerprint or does not hold, or the folder holds something else.
pub(crate) fn join(joining: &Joining<'_>, passphrase: &Passphrase, now: Time) -> Result<Joined, CeremonyFault> {
    let data = joining.data;
    let again = may_join_again(data);
    let old = files::beside(data, BEFORE);
    if again {
        files::refuse_existing(&old)?
    } else {
        refuse_used(data)?
    }
    let kit = read_kit(joining.kit)?;
    let found = kit[0].id();
    if found != joining.fingerprint {
        return Err(CeremonyFault::OtherFingerprint { path: joining.kit.to_owned(), found: found.to_string() });
    }
    let (book, left_out) = judge(&kit, now)?;
    let kit: Vec<Document> =
        kit.into_iter().filter(|document| !left_out.iter().any(|(left, _)| left.says_the_same(document))).collect();
    let charter = book.charter();
    if again && Document::read(&data.join("charter").join("charter.dsse")).is_ok_and(|held| held.id() == found) {
        return Err(CeremonyFault::Exists(data.to_owned())); // nothing in the kit is newer
    }
    let new = files::beside(data, ".joining");
    files::remove(&new)?; // left by a crash, never used
    files::folder(&new)?;
    let keys = keys(again.then_some(data), &new.join("keys"), passphrase, now)?;
    write_documents(&kit, &new)?;
    files::write(&new.join("comity.toml"), settings(joining, charter, &kit).as_bytes())?;
    let kept = data.join(DRAFT);
    // A kit that has the Party's profile already: the next one lies beside it.
    let named = format!("{}.dsse", joining.party);
    let profile = match new.join("charter").join("profiles").join(&named).exists() {
        true => format!("{}-next.dsse", joining.party),
        false => named,
    };
    let draft = if again && kept.is_file() {
        files::read_text(&kept, DRAFT_MAX)?
    } else {
        draft(joining.party, charter, &kit, &keys.for_profile(&charter.network, joining.party)?, now)?.to_text()
    };
    files::write(&new.join(DRAFT), draft.as_bytes())?;
    if again {
        exchange(&new, data, &old)?
    } else {
        put_in_place(&new, data)?
    }
    Ok(Joined {
        network: charter.network.clone(),
        exercise: charter.exercise,
        before: again.then_some(old),
        named: charter.parties().contains_key(joining.party),
        draft: data.join(DRAFT),
        charter: data.join("charter").join("charter.dsse"),
        profile: data.join("charter").join("profiles").join(profile),
        left_out: left_out.iter().map(|(document, fault)| format!("{}: {fault}", document.named())).collect(),
        profiles: kit.iter().filter(|document| matches!(document.paper, Paper::Profile(_))).count(),
    })
}

fn refuse_used(data: &Path) -> Result<(), CeremonyFault> {
    let empty = || fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
    if data.symlink_metadata().is_err() || empty() { Ok(()) } else { Err(CeremonyFault::Exists(data.to_owned())) }
}

/// New keys, or those of the folder that is made anew.
fn keys(again: Option<&Path>, into: &Path, passphrase: &Passphrase, now: Time) -> Result<Keyring, CeremonyFault> {
    let Some(data) = again else { return Ok(Keyring::create(into, passphrase, now)?) };
    copy(&data.join("keys"), into)?;
    Ok(Keyring::open(into, passphrase)?)
}

/// Copies a folder of keys with the folders of later generations in it.
fn copy(from: &Path, into: &Path) -> Result<(), CeremonyFault> {
    files::folder(into)?;
    for entry in fs::read_dir(from).map_err(files::disk("list", from))? {
        let path = entry.map_err(files::disk("list", from))?.path();
        let to = into.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            files::write(&to, &files::read(&path, KEY_FILE_MAX)?)?;
        }
    }
    Ok(())
}

/// Puts the new folder in the place of the old in one step, and the old one aside.
fn exchange(new: &Path, data: &Path, old: &Path) -> Result<(), CeremonyFault> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let exchanged = renameat_with(CWD, new, CWD, data, RenameFlags::EXCHANGE);
    exchanged.map_err(|cause| files::disk("put in place", data)(cause.into()))?;
    // A crash just here leaves the new folder in its place, and the old one under the name of what is unfinished.
    files::rename_new(new, old)
}

fn put_in_place(new: &Path, data: &Path) -> Result<(), CeremonyFault> {
    if data.is_dir() {
        // Only an empty folder goes this way: the system refuses any other.
        fs::remove_dir(data).map_err(|_| CeremonyFault::Exists(data.to_owned()))?;
    }
    files::rename_new(new, data)
}

/// The documents where a node looks for them.
fn write_documents(kit: &[Document], new: &Path) -> Result<(), CeremonyFault> {
    let charter = new.join("charter");
    files::folder(&charter.join("profiles"))?;
    files::write(&charter.join("charter.dsse"), &kit[0].envelope())?;
    for document in &kit[1..] {
        let envelope = document.envelope();
        let Some(name) = claimed(&envelope).map_err(|source| document.fault(source))?.file_name() else { continue };
        let path = charter.join(name);
        path.parent().map_or(Ok(()), files::folder)?;
        files::write_new(&path, &envelope)?;
    }
    Ok(())
}

/// The commented file, with what is asked for and what directories say in their places.
fn settings(joining: &Joining<'_>, charter: &Charter, kit: &[Document]) -> String {
    let peers: String = kit.iter().filter_map(|document| peer(document, joining.party)).collect();
    let line = |line: &str| match (line.split_once(' ').map(|(key, _)| key), joining.listen) {
        (Some("#listen"), Some(address)) => format!("listen = [\"{}\"]\n", address.as_str()),
        (Some("#peers.XB.addresses"), _) => format!("{line}\n{peers}"),
        _ => format!("{line}\n"),
    };
    commented_default(joining.party, &charter.network, &charter.id()).lines().map(line).collect()
}

/// Where another Party's nodes are, as its directory says.
fn peer(document: &Document, own: &PartyCode) -> Option<String> {
    let wire = document.directory().ok().filter(|wire| wire.party != own.as_str())?;
    let all = wire.addresses.iter().filter(|row| node_key(&row.node).is_ok()).flat_map(|row| &row.multiaddrs);
    let dialable = all.filter(|text| Address::parse(text).is_some_and(|address| address.is_dialable()));
    let quoted: Vec<String> = dialable.map(|text| format!("\"{text}\"")).collect();
    (!quoted.is_empty()).then(|| format!("peers.{}.addresses = [{}]\n", wire.party, quoted.join(", ")))
}

/// The draft of the Party's profile with its new node's keys: the first, or the one after what the kit has.
fn draft(
    party: &PartyCode,
    charter: &Charter,
    kit: &[Document],
    keys: &PublicRoleKeys,
    now: Time,
) -> Result<ProfileDraft, CeremonyFault> {
    let own = |document: &&Document| {
        matches!(document.paper, Paper::Profile(_)) && document.paper.party() == Some(party.as_str())
    };
    if let Some(before) = kit.iter().find(own) {
        let mut draft = ProfileDraft::next(before.profile()?, before.id(), now);
        draft.add_keys(keys, now);
        return Ok(draft);
    }
    let name = charter.parties().get(party).map_or(party.as_str(), |party| party.name.as_str());
    Ok(ProfileDraft::first(&charter.network, party, name, keys, charter.exercise, now))
}
