//! Whether an exported ledger holds: from the fingerprint of a charter to every entry.
//!
//! The fingerprint gives the charter, the charter the Party's root keys, these its profile, the profile its checkpoint keys
//! and with the charter its witnesses, the checkpoint the root; every entry is hashed up to that root, and every tile on
//! the way must be the one the entries give. Entries are independent of each other and are read by as many threads as
//! there are processors.

use std::{num::NonZero, ops::Range, thread};

use comity_core::{
    ids::{Digest, PartyCode, Time},
    ledger::{
        Edge, Fork, Forked, Policy, Resource, TILE_WIDTH, Tile, TileId, Witnessed, bundle_entries, checkpoint,
        leaf_hash,
    },
    profile::{Book, Kind, Trust, claimed},
    proto::Bundle,
    wire::strict,
};

use super::{
    TlogFault,
    folder::{DOCUMENTS_MAX, Folder},
};

/// Bundles one thread reads between two words of progress: 32,768 entries, tens of milliseconds.
const STRETCH: u64 = 128;

/// A ledger whose every entry stands under a checkpoint signed by its Party.
#[derive(Debug)]
pub struct Checked {
    /// Whose it is.
    pub party: PartyCode,
    /// The version of the charter in force among the documents.
    pub charter: u64,
    /// When that charter expires.
    pub charter_expires: Time,
    /// The checkpoint, and who witnessed it.
    pub witnessed: Witnessed,
    /// What was demanded of it.
    pub policy: Policy,
    /// Whether the policy file beside it says the same; none without one.
    pub policy_fits: Option<bool>,
    /// Documents that do not hold any more and were left out: their codes.
    pub left_out: Vec<&'static str>,
}

/// Checks an exported ledger. `progress` is told how many of how many entries are done.
///
/// # Errors
/// With the first thing that does not hold, or cannot be read.
pub fn check(
    folder: &Folder,
    fingerprint: Digest,
    now: Time,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Checked, TlogFault> {
    let (trust, left_out) = documents(folder, fingerprint, now)?;
    let note = folder.resource(Resource::Checkpoint)?;
    let origin = checkpoint::parse_unverified(&note).map_err(TlogFault::Checkpoint)?.origin;
    let of_ledger = || Some((trust.party_of(&origin)?, trust.policy(&origin, now)?));
    let found = of_ledger().or_else(|| trust.audit_policy(&origin, now));
    let (party, policy) = found.ok_or_else(|| TlogFault::UnknownLedger(origin.clone()))?;
    let party = party.clone();
    let witnessed = policy.judge(&note).map_err(TlogFault::Checkpoint)?;
    let size = witnessed.checkpoint().size;
    if grown(folder, size, progress)?.root() != witnessed.checkpoint().root {
        return Err(TlogFault::WrongRoot);
    }
    let policy_fits = folder.policy().map(|found| policy.to_text().is_some_and(|text| text.as_bytes() == found));
    let (charter, charter_expires) = (trust.charter().version, trust.charter().expires);
    Ok(Checked { party, charter, charter_expires, witnessed, policy, policy_fits, left_out })
}

/// Checks the file of a fork's proof: whose ledger has forked, and how.
///
/// # Errors
/// When it is no such file, or does not hold under the charter of the fingerprint.
pub fn check_fork(file: &[u8], fingerprint: Digest, now: Time) -> Result<(PartyCode, Forked), TlogFault> {
    let (fork, documents) = Fork::parse(file).map_err(TlogFault::Fork)?;
    let (trust, _) = trusted(&documents, fingerprint, now)?;
    let unknown = || TlogFault::UnknownLedger(fork.origin().clone());
    let party = trust.party_of(fork.origin()).ok_or_else(unknown)?;
    let profile = trust.declared(party).ok_or_else(unknown)?;
    let forked = fork.verify(profile.ever_signed()).map_err(TlogFault::Fork)?;
    Ok((party.clone(), forked))
}

/// What the documents say now, beginning with the charter of the fingerprint.
fn documents(folder: &Folder, fingerprint: Digest, now: Time) -> Result<(Trust, Vec<&'static str>), TlogFault> {
    let bundle: Bundle = strict(&folder.documents()?, DOCUMENTS_MAX).map_err(TlogFault::NoDocuments)?;
    trusted(&bundle.envelopes, fingerprint, now)
}

fn trusted(envelopes: &[Vec<u8>], fingerprint: Digest, now: Time) -> Result<(Trust, Vec<&'static str>), TlogFault> {
    let is_first = |envelope: &&Vec<u8>| claimed(envelope).is_ok_and(|named| named.id == fingerprint);
    let first = envelopes.iter().find(is_first).ok_or(TlogFault::OtherCharter)?;
    let mut book = Book::found(first, fingerprint).map_err(TlogFault::BadCharter)?;
    let founded = book.charter().version;
    let mut left_out = Vec::new();
    for envelope in envelopes {
        let named = claimed(envelope).ok();
        let is_charter = named.as_ref().is_some_and(|named| named.kind == Kind::Charter);
        if is_charter && named.is_some_and(|named| named.version < founded) {
            continue; // from before the one given by hand
        }
        match book.accept(envelope, now) {
            Ok(_) => {}
            Err(fault) if is_charter => return Err(TlogFault::BadCharter(fault)),
            Err(fault) => left_out.push(fault.code()),
        }
    }
    Ok((book.trust(), left_out))
}

/// The edge of the tree over all entries, every tile compared on the way.
fn grown(folder: &Folder, size: u64, progress: &mut dyn FnMut(u64, u64)) -> Result<Edge, TlogFault> {
    // A tile above the first row is a tile of the tree over the roots of the full tiles in it.
    let mut above = Edge::default();
    let higher = |id: TileId| TileId { row: id.row + 1, ..id };
    let full = size / TILE_WIDTH;
    let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let mut done = 0;
    while done < full {
        let wave = done..full.min(done + threads * STRETCH);
        done = wave.end;
        for root in roots(folder, wave, threads)? {
            let mut wrong = Ok(());
            above.push(root, |id, tile| {
                wrong = std::mem::replace(&mut wrong, Ok(())).and_then(|()| compare(folder, higher(id), &tile));
            });
            wrong?;
        }
        progress(done * TILE_WIDTH, size);
    }
    let last = TileId { row: 0, number: full };
    let mut rows = vec![match last.width_in(size) {
        0 => Tile::default(),
        width => leaves(folder, last, width)?,
    }];
    for (id, tile) in above.tiles() {
        if !tile.hashes().is_empty() {
            compare(folder, higher(id), tile)?;
        }
        rows.push(tile.clone());
    }
    progress(size, size);
    Edge::of_tiles(size, rows).map_err(|fault| TlogFault::Misread { path: folder.path(Resource::Checkpoint), fault })
}

/// The roots of full tiles of leaves, in order, by so many threads.
fn roots(folder: &Folder, numbers: Range<u64>, threads: u64) -> Result<Vec<Digest>, TlogFault> {
    let share = (numbers.end - numbers.start).div_ceil(threads).max(1);
    let root = |number| {
        let tile = leaves(folder, TileId { row: 0, number }, TILE_WIDTH)?;
        Ok(tile.root().expect("a tile of 256 hashes is full"))
    };
    thread::scope(|scope| {
        let starts = (numbers.start..numbers.end).step_by(usize::try_from(share).unwrap_or(usize::MAX));
        let parts: Vec<_> = starts
            .map(|start| {
                let part = start..numbers.end.min(start + share);
                scope.spawn(move || part.map(root).collect::<Result<Vec<_>, TlogFault>>())
            })
            .collect();
        let mut all = Vec::new();
        for part in parts {
            all.extend(part.join().expect("a reader does not panic")?);
        }
        Ok(all)
    })
}

/// The tile of leaves that a bundle of entries gives, which must be the one that is there.
fn leaves(folder: &Folder, id: TileId, width: u64) -> Result<Tile, TlogFault> {
    let resource = Resource::Entries(id.number, width);
    let entries = bundle_entries(&folder.resource(resource)?, width);
    let entries = entries.map_err(|fault| TlogFault::Misread { path: folder.path(resource), fault })?;
    let mut tile = Tile::default();
    for entry in &entries {
        tile.push(leaf_hash(entry));
    }
    compare(folder, id, &tile)?;
    Ok(tile)
}

fn compare(folder: &Folder, id: TileId, tile: &Tile) -> Result<(), TlogFault> {
    let width = tile.hashes().len() as u64;
    let resource = Resource::Tile(id, width);
    let found = folder.resource(resource)?;
    if found == tile.to_bytes(width) { Ok(()) } else { Err(TlogFault::WrongTile(folder.path(resource))) }
}
