//! Documents by name, from where they are kept: the ledger, and for heads the desk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use comity_core::{
    ids::{LedgerIndex, PartyCode},
    profile::{Document, Kind, Lacked, Trust},
    proto::RosterHeld,
    record::document_envelope,
};
use tracing::warn;

use crate::{
    handle::View,
    store::{Desk, Pending},
    time,
};

/// The newest head of each Party, on the desk: eight bytes of when it was seen, then the head.
pub const HEAD_PREFIX: &[u8] = b"head/";

/// Keeps the newest head of a Party.
pub fn keep_head(view: &View, head: &Document, envelope: &[u8]) {
    let Some(party) = &head.party else { return };
    let value = [&time::now().0.to_be_bytes()[..], envelope].concat();
    if let Err(fault) = view.desk.put(&head_key(party), &value).and_then(Pending::wait) {
        warn!(target: "roster", code = fault.code(), "a head was not kept; it is asked for again");
    }
}

fn head_key(party: &PartyCode) -> Vec<u8> {
    [HEAD_PREFIX, party.as_str().as_bytes()].concat()
}

fn kept_head(desk: &Desk, party: &PartyCode) -> Option<Vec<u8>> {
    Some(desk.get(&head_key(party))?.get(8..)?.to_vec())
}

/// The documents of these names, in their order, until they are more than `max` bytes together, and how many names that
/// were; one that does not read is left out, and the ledger's own checks tell of it.
pub(super) fn fetch(view: &View, lacked: &[Lacked], max: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (names, lacked) in lacked.iter().enumerate() {
        for envelope in envelopes(view, lacked) {
            bytes += envelope.len();
            if bytes > max {
                return (found, names);
            }
            found.push(envelope);
        }
    }
    (found, lacked.len())
}

/// Writes a document into the folder where documents lie as files, in place of the one before it: for offline tools and
/// people. The ledger is what counts; a disk that takes nothing now costs a copy.
pub(super) fn copy_out(data: &Path, document: &Document, envelope: &[u8]) {
    let Some(name) = document.file_name() else { return };
    let path = data.join("charter").join(name);
    if let Err(cause) = replace(&path, envelope) {
        warn!(target: "roster", path = %path.display(), %cause, "a document was not copied out");
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

/// Everything newest, as another node would be handed it that knows the charter given by hand and nothing else.
#[must_use]
pub fn newest(view: &View, trust: &Trust) -> Vec<Vec<u8>> {
    let lacked = trust.lacking(&RosterHeld::default());
    fetch(view, &lacked, usize::MAX).0
}

/// The charters, and of those Parties the profile and what suspends it: from which the keys follow that a ledger of the first
/// of them is checked by. Contacts, addresses and holidays are no part of it.
#[must_use]
pub fn proving(view: &View, trust: &Trust, parties: &[PartyCode]) -> Vec<Vec<u8>> {
    let mut lacked = trust.lacking(&RosterHeld::default());
    lacked.retain(|lacked| match lacked.kind {
        Kind::Charter => true,
        Kind::Profile | Kind::Suspension => lacked.party.as_ref().is_some_and(|party| parties.contains(party)),
        Kind::Directory | Kind::Head => false,
    });
    fetch(view, &lacked, usize::MAX).0
}

fn envelopes(view: &View, lacked: &Lacked) -> Vec<Vec<u8>> {
    if lacked.kind == Kind::Head {
        return lacked.party.iter().filter_map(|party| kept_head(&view.desk, party)).collect();
    }
    let rows = view.index.documents(lacked.kind, lacked.party.as_ref(), lacked.version, false).unwrap_or_default();
    let of_this_number = rows.into_iter().take_while(|(version, _)| *version == lacked.version);
    let read = |index| view.ledger.read(LedgerIndex(index)).ok()?.case.as_ref().and_then(document_envelope);
    let mut indexes: Vec<u64> = of_this_number.map(|(_, row)| row.index).collect();
    // Directories are numbered anew under each profile. Of a charter each copy may bear signatures the others lack.
    if lacked.kind == Kind::Directory {
        indexes = indexes.into_iter().max().into_iter().collect();
    }
    indexes.into_iter().filter_map(read).collect()
}
