//! Reading a backup whole, without putting it back.

use std::path::Path;

use comity_core::{
    ids::{Digest, Time},
    proto::{Backup, BackupFile},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    BackupFault,
    chain::{Chain, NodeKey, chains, numbers_in},
};
use crate::keys::RecoveryKey;

/// A backup whose every piece was read and proved.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its number in its chain.
    pub number: u64,
    /// When it was made.
    pub made: Time,
    /// Records of the ledger in it.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Files.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// Opens the newest chain in a folder that has a backup, or the chain that the folder is, and gives the list of one of its
/// backups: of the newest unless a number is named.
pub(super) fn open(
    folder: &Path,
    number: Option<u64>,
    recovery: &RecoveryKey,
    node: &dyn Fn(u32) -> Option<NodeKey>,
) -> Result<(Chain, Backup), BackupFault> {
    let none = || BackupFault::None(folder.to_owned());
    // A chain may have been begun and its first backup never have come to its end.
    let mut found = None;
    for (path, _) in chains(folder, false)? {
        let numbers = numbers_in(&path)?;
        if !numbers.is_empty() {
            found = Some((path, numbers));
            break;
        }
    }
    let (path, numbers) = found.ok_or_else(none)?;
    let chain = Chain::recover(&path, recovery, node)?;
    let wanted = numbers.iter().rev().find(|found| number.is_none_or(|number| number == **found));
    let list = chain.list(*wanted.ok_or_else(none)?)?;
    Ok((chain, list))
}

/// Reads a backup whole with a recovery key and what the node's key folder gives, and proves each piece.
///
/// # Errors
/// [`BackupFault::Damaged`] names the first file that is not what was written; the others say what is missing.
pub fn verify(
    folder: &Path,
    number: Option<u64>,
    recovery: &RecoveryKey,
    node: &dyn Fn(u32) -> Option<NodeKey>,
) -> Result<Checked, BackupFault> {
    let (chain, list) = open(folder, number, recovery, node)?;
    check(&chain, list.number, &CancellationToken::new())
}

pub(super) fn check(chain: &Chain, number: u64, stop: &CancellationToken) -> Result<Checked, BackupFault> {
    let list = chain.list(number)?;
    for file in &list.files {
        each_piece(chain, file, &mut |_, _| if stop.is_cancelled() { Err(BackupFault::Stopped) } else { Ok(()) })?;
    }
    let damaged = |_| BackupFault::damaged(&chain.folder, "not what was written");
    Ok(Checked {
        number: list.number,
        made: Time(list.made_ms),
        size: list.size,
        root: Digest::from_slice(&list.root).map_err(damaged)?,
        files: list.files.len(),
        bytes: list.files.iter().map(|file| file.bytes).sum(),
    })
}

/// Gives the content of a file piece by piece, each with the place where it begins, all of it proved.
pub(super) fn each_piece(
    chain: &Chain,
    file: &BackupFile,
    take: &mut dyn FnMut(u64, Zeroizing<Vec<u8>>) -> Result<(), BackupFault>,
) -> Result<(), BackupFault> {
    let mut at = 0;
    for name in &file.pieces {
        let piece = chain.get(name)?;
        let len = piece.len() as u64;
        take(at, piece)?;
        at += len;
    }
    if at == file.bytes && file.bytes <= file.space {
        Ok(())
    } else {
        Err(BackupFault::damaged(&chain.folder, "not whole"))
    }
}

/// The whole content of a small file.
pub(super) fn whole(chain: &Chain, file: &BackupFile) -> Result<Zeroizing<Vec<u8>>, BackupFault> {
    let mut bytes = Zeroizing::new(Vec::new());
    each_piece(chain, file, &mut |_, piece| {
        bytes.extend_from_slice(&piece);
        Ok(())
    })?;
    Ok(bytes)
}
