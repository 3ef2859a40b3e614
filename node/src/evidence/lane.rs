//! The taker's side of one stream: asks ahead for what is missing, proves every group before it is
//! kept, and puts what came into the vault. Runs on a thread that may wait.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use comity_core::{
    ids::{Digest, EventId, ItemId},
    manifest::{ItemPath, KEY_PAGE, KeyPage},
    object::{GROUP, ItemKey},
    proto::{self, ask::What, grant::Outcome},
    wire::{GRANT_MAX, strict},
};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    EvidenceFault, Room,
    bao::{GroupFault, read_groups},
    pipe::Pipe,
    progress::Progress,
    vault::Receiver,
};
use crate::disk::crash::crash_point;

/// Small items asked for ahead: at 16 KiB each a line of 100 ms carries 5 MiB/s in every lane, and a
/// local one never waits.
const AHEAD: usize = 32;
/// An object up to this size is small: all that is asked for ahead is at most 4 MiB.
const SMALL_MAX: u64 = 128 << 10;

/// One item that is not here yet.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) item: ItemId,
    /// For messages.
    pub(super) path: Option<ItemPath>,
    /// Bytes of the sealed object.
    pub(super) size: u64,
    pub(super) root: Digest,
    /// Of the plaintext.
    pub(super) sha256: Digest,
}

impl Wanted {
    fn is_small(&self) -> bool {
        self.size <= SMALL_MAX
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| self.item.to_string(), ToString::to_string)
    }
}

/// What the lanes of one delivery share.
pub(super) struct Work {
    pub(super) queue: Mutex<VecDeque<Wanted>>,
    pub(super) stop: CancellationToken,
    pub(super) progress: Arc<Progress>,
    /// Items whose plaintext is not what the manifest says.
    pub(super) mismatched: Mutex<Vec<String>>,
}

impl Work {
    /// The next item for a lane that has `asked` so many already: a large one only when it has none.
    fn next(&self, asked: usize) -> Option<Wanted> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = queue.front().is_some_and(|next| asked == 0 || (next.is_small() && asked < AHEAD));
        if fits { queue.pop_front() } else { None }
    }
}

/// One stream to the giver of a delivery.
pub(super) struct Lane<S: AsyncRead + AsyncWrite + Unpin> {
    pub(super) room: Arc<Room>,
    pub(super) delivery: EventId,
    pub(super) pipe: Pipe<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lane<S> {
    /// Takes `first`, the item this receiver is at, and then others until none is left. What was proved
    /// stays here whatever happens.
    pub(super) fn run(
        &mut self,
        receiver: &mut Receiver,
        first: Option<Wanted>,
        work: &Work,
    ) -> Result<(), EvidenceFault> {
        let taken = self.take_all(receiver, first, work);
        // Whole items count even when the lane ended badly.
        receiver.close()?;
        taken
    }

    fn take_all(&mut self, receiver: &mut Receiver, first: Option<Wanted>, work: &Work) -> Result<(), EvidenceFault> {
        let mut asked: VecDeque<(Wanted, u64)> = VecDeque::new();
        let mut first = first;
        loop {
            if work.stop.is_cancelled() {
                return Err(EvidenceFault::Stopped);
            }
            while let Some(wanted) = first.take().or_else(|| work.next(asked.len())) {
                let offset = receiver.offset(&wanted.item);
                self.ask(What::Groups(proto::Groups {
                    item_id: wanted.item.as_bytes().to_vec(),
                    first: offset / GROUP as u64,
                }))?;
                asked.push_back((wanted, offset));
            }
            let Some((wanted, offset)) = asked.pop_front() else { return Ok(()) };
            self.pipe.flush().map_err(broken)?;
            self.take(&wanted, offset, receiver, work)?;
        }
    }

    fn take(
        &mut self,
        wanted: &Wanted,
        offset: u64,
        receiver: &mut Receiver,
        work: &Work,
    ) -> Result<(), EvidenceFault> {
        match self.granted()? {
            Outcome::Size(size) if size == wanted.size => {}
            Outcome::Size(_) | Outcome::Keys(_) | Outcome::Clock(_) => {
                return Err(EvidenceFault::WrongSize { item: wanted.name() });
            }
            Outcome::Denied(denied) => return Err(EvidenceFault::Denied(denied.code)),
        }
        receiver.begin(&wanted.item)?;
        // What was here already may end within the first group.
        let mut skip = usize::try_from(offset % GROUP as u64).unwrap_or(0);
        let keep = |group: &[u8], hash: &Digest| -> Result<(), Torn> {
            if work.stop.is_cancelled() {
                return Err(Torn::Evidence(EvidenceFault::Stopped));
            }
            let whole = (skip == 0).then_some(hash);
            let fresh = &group[std::mem::take(&mut skip).min(group.len())..];
            receiver.write(fresh, whole).map_err(|fault| Torn::Evidence(fault.into()))?;
            work.progress.fetched(fresh.len() as u64);
            // A crash here leaves the group in the partial pack.
            crash_point("evidence.group-kept");
            Ok(())
        };
        let first = offset / GROUP as u64;
        read_groups(&wanted.root, wanted.size, first, &mut self.pipe.from, keep).map_err(|torn| match torn {
            Torn::Evidence(fault) => fault,
            Torn::Group(GroupFault::Io(fault)) => broken(fault),
            Torn::Group(GroupFault::Wrong { offset }) => EvidenceFault::WrongGroup { item: wanted.name(), offset },
        })?;
        match receiver.finish(&wanted.sha256) {
            Ok(()) => work.progress.finished_item(),
            Err(fault) if fault.code() == "evidence.wrong-digest" => {
                work.mismatched.lock().unwrap_or_else(PoisonError::into_inner).push(wanted.name());
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    /// Leaves the stream when everything that was asked for is here. A giver that does not close it after us keeps
    /// its own place taken, and changes nothing of what we have.
    pub(super) fn leave(self) {
        if let Err(fault) = self.pipe.close() {
            tracing::debug!(target: "evidence", delivery = self.delivery.short(), %fault, "the giver did not close the stream");
        }
    }

    /// Asks for the keys of these items, which stand in the manifest from `page.first` on.
    pub(super) fn keys(&mut self, page: &KeyPage, items: &[ItemId]) -> Result<Vec<(ItemId, ItemKey)>, EvidenceFault> {
        self.ask(What::Keys(proto::KeyPage { first: page.first, manifest: page.own }))?;
        self.pipe.flush().map_err(broken)?;
        let sealed = match self.granted()? {
            Outcome::Keys(sealed) => sealed,
            Outcome::Size(_) | Outcome::Clock(_) => {
                return Err(EvidenceFault::BadKeys("the giver answers something else".into()));
            }
            Outcome::Denied(denied) => return Err(EvidenceFault::Denied(denied.code)),
        };
        let keys = &self.room.keys;
        let opened = page.open(&sealed, items, |sealed, binding| keys.unwrap(sealed, binding));
        opened.map_err(|fault| EvidenceFault::BadKeys(fault.to_string()))
    }

    fn ask(&mut self, what: What) -> Result<(), EvidenceFault> {
        let ask = proto::Ask { delivery: self.delivery.as_bytes().to_vec(), what: Some(what) };
        self.pipe.write_frame(&ask.encode_to_vec()).map_err(broken)
    }

    fn granted(&mut self) -> Result<Outcome, EvidenceFault> {
        let frame = self.pipe.read_frame(GRANT_MAX).map_err(broken)?.ok_or(EvidenceFault::BrokenOff)?;
        let grant: proto::Grant = strict(&frame, GRANT_MAX).map_err(|_| EvidenceFault::BadGrant)?;
        grant.outcome.ok_or(EvidenceFault::BadGrant)
    }
}

/// Pages of keys that hold at least one of the missing items: (first, the page's items).
pub(super) fn key_pages<'a>(
    order: &'a [ItemId],
    missing: &'a dyn Fn(&ItemId) -> bool,
) -> impl Iterator<Item = (u64, &'a [ItemId])> {
    let pages = order.chunks(KEY_PAGE).enumerate();
    pages.filter(move |(_, page)| page.iter().any(missing)).map(|(place, page)| ((place * KEY_PAGE) as u64, page))
}

/// A stream that failed is a link that broke, unless a frame on it was over its limit.
fn broken(fault: io::Error) -> EvidenceFault {
    match fault.kind() {
        io::ErrorKind::InvalidData => EvidenceFault::BadGrant,
        _ => EvidenceFault::BrokenOff,
    }
}

/// What ends the reading of groups early.
enum Torn {
    Group(GroupFault),
    Evidence(EvidenceFault),
}

impl From<GroupFault> for Torn {
    fn from(fault: GroupFault) -> Self {
        Self::Group(fault)
    }
}
