//! Backups: what it takes to have a node again after its machine is gone.
//!
//! A copy is taken of a running node, whole as of one moment, and sealed so that opening it takes a recovery key, of which
//! there are two at least, and the node's key folder, which is never in it. It tells nothing and revives nothing: requests
//! erased later are listed in a second place and destroyed while a backup is put back, and with the key-encryption key
//! of its time a backup dies. What is put back is marked: its ledger goes on only under another name.
//! The reasons are in `node/decisions/backups.md`. Serves SPEC `[R-*]`. Start with [`Backups::create`] and [`restore`].

mod chain;
mod check;
mod create;
mod erasures;
mod fault;
mod recipient;
mod restore;
mod restored;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, TryLockError},
};

use comity_core::{
    crypto::{DataKey, PublicKey},
    ids::{Digest, KeyId, RequestId, Time},
    proto::BackupChain,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub use chain::NodeKey;
pub use check::{Checked, verify};
pub use create::Made;
pub use erasures::{Erased, ErasureList};
pub use fault::BackupFault;
pub use recipient::{RECIPIENT_SCHEMA, read_recipient, recipient_text};
pub use restore::{PutBack, Restore, node_key, restore};
pub use restored::{RESTORED_FILE, Restored};

use crate::{
    config::BackupSettings,
    disk::Disk,
    evidence::Evidence,
    handle::{Handle, View},
    store::{Pending, random},
    time,
};
use chain::{Chain, Secret};

/// The chain that goes on: its id, then its secret.
const CHAIN_KEY: &[u8] = b"backup/chain";
/// That there is a list of erasures in its second place.
const LIST_KEY: &[u8] = b"backup/list";
/// Erasures read from the index at once.
const PAGE: usize = 500;

/// The backups of a running node. Cloned freely; everything in it waits for disks: call it from a worker.
#[derive(Clone)]
pub struct Backups(Arc<Room>);

struct Room {
    plan: BackupSettings,
    /// The list of erasures that the settings name, shared with whoever erases.
    list: Option<ErasureList>,
    handle: Handle,
    evidence: Evidence,
    node: NodeKey,
    disk: Disk,
    /// One at a time: they share a folder.
    one: Mutex<()>,
    stop: CancellationToken,
}

/// What the settings name, found to be there.
struct Configured {
    root: PathBuf,
    recipients: BTreeMap<KeyId, PublicKey>,
    erasures: ErasureList,
}

impl Backups {
    /// Of this node, as the settings say.
    #[must_use]
    pub fn new(
        (plan, list): (BackupSettings, Option<ErasureList>),
        handle: Handle,
        evidence: Evidence,
        node: NodeKey,
        stop: CancellationToken,
    ) -> Self {
        let one = Mutex::new(());
        Self(Arc::new(Room { plan, list, handle, evidence, node, disk: Disk::default(), one, stop }))
    }

    /// Makes a backup: of what is new since the last one, or of everything.
    ///
    /// # Errors
    /// [`BackupFault::NotConfigured`], [`BackupFault::Busy`], or what a disk says; there is then one backup less, and
    /// nothing else has changed.
    pub fn create(&self, full: bool) -> Result<Made, BackupFault> {
        let _one = self.0.alone()?;
        self.0.create(full)
    }

    /// Reads the newest backup whole and proves each piece of it.
    ///
    /// # Errors
    /// [`BackupFault::Damaged`] names the first file that is not what was written.
    pub fn verify(&self) -> Result<Checked, BackupFault> {
        let _one = self.0.alone()?;
        let root = self.0.plan.folder.as_deref().ok_or(BackupFault::NotConfigured("backup.folder"))?;
        let none = || BackupFault::None(root.to_owned());
        let (id, secret) = self.0.kept_chain().ok_or_else(none)?;
        let found = chain::chains(root, true)?.into_iter().find(|(_, head)| head.chain == id);
        let (folder, _) = found.ok_or_else(none)?;
        let chain = Chain::open(&self.0.disk, &folder, &secret, &self.0.node)?;
        let number = chain.numbers()?.pop().ok_or_else(none)?;
        check::check(&chain, number, &self.0.stop)
    }
}

/// Brings the list of erasures up to date with the index, on disk, and gives it.
///
/// # Errors
/// When it cannot be read or written, or was there before and is gone.
pub fn complete(list: &ErasureList, view: &View) -> Result<Vec<Erased>, BackupFault> {
    let is_known = view.desk.get(LIST_KEY).is_some();
    let listed = list.complete(is_known, || Ok(erased(view)?))?;
    if !is_known {
        view.desk.put(LIST_KEY, &[1]).and_then(Pending::wait)?;
    }
    Ok(listed)
}

/// All requests that are erased or being erased, as the list has them.
///
/// # Errors
/// When the index does not answer.
fn erased(view: &View) -> Result<Vec<Erased>, comity_core::index::IndexFault> {
    let (mut all, mut after) = (Vec::new(), None::<RequestId>);
    loop {
        let page = view.index.erasures(after.as_ref(), PAGE)?;
        after = page.last().map(|(request, _)| *request);
        let is_last = page.len() < PAGE;
        all.extend(page.into_iter().map(|(request, row)| Erased {
            request,
            ground: row.ground,
            begun: Time(row.intent_ms),
        }));
        if is_last {
            return Ok(all);
        }
    }
}

impl Room {
    fn alone(&self) -> Result<MutexGuard<'_, ()>, BackupFault> {
        match self.one.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => Err(BackupFault::Busy),
        }
    }

    fn configured(&self) -> Result<Configured, BackupFault> {
        let root = self.plan.folder.clone().ok_or(BackupFault::NotConfigured("backup.folder"))?;
        let erasures = self.list.clone().ok_or(BackupFault::NotConfigured("backup.erasures"))?;
        let recipients = recipient::read_all(&self.plan.recipients)?;
        Ok(Configured { root, recipients, erasures })
    }

    fn kept_chain(&self) -> Option<(Vec<u8>, Secret)> {
        let kept = self.handle.view().desk.get(CHAIN_KEY)?;
        let (id, secret) = kept.split_first_chunk::<16>()?;
        Some((id.to_vec(), Secret(DataKey::new(secret.try_into().ok()?))))
    }

    /// The chain that goes on, or a new one: when asked for, when other people are to open it, and when the key-encryption key
    /// has turned, with which the old one dies.
    fn chain(&self, configured: &Configured, full: bool) -> Result<Chain, BackupFault> {
        if let Some((id, secret)) = self.kept_chain().filter(|_| !full) {
            let goes_on = |head: &BackupChain| {
                let named = head.recipients.iter().map(|one| &one.key_id[..]);
                head.chain == id
                    && head.key_encryption == self.node.generation
                    && named.eq(configured.recipients.keys().map(|key| &key.as_bytes()[..]))
            };
            let chains = chain::chains(&configured.root, true)?;
            if let Some((folder, _)) = chains.iter().find(|(_, head)| goes_on(head)) {
                return Chain::open(&self.disk, folder, &secret, &self.node);
            }
            // Written to last time and not there: the disk is not mounted, and this would be the one below it.
            if chains.iter().all(|(_, head)| head.chain != id) {
                return Err(BackupFault::ChainMissing(configured.root.clone()));
            }
        }
        let (id, secret): ([u8; 16], _) = (random(), Secret(DataKey::new(random())));
        // Known here before it exists: a chain that nobody can go on with would only take room.
        let kept = Zeroizing::new([&id[..], secret.0.expose()].concat());
        self.handle.view().desk.put(CHAIN_KEY, &kept).and_then(Pending::wait)?;
        let head = BackupChain {
            party: self.handle.view().us.party.to_string(),
            network: self.handle.view().trust().charter().network.to_string(),
            chain: id.to_vec(),
            made_ms: time::now().0,
            ..BackupChain::default()
        };
        Chain::make(&self.disk, &configured.root, head, &configured.recipients, (&secret, &self.node))
    }
}
