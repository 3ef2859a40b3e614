//! The giver's side of a stream: asks in, grants out, nothing that was not handed over.
//!
//! Every ask is held against the thread as our ledger has it (SPEC `[T-2]`). What is sent was checked
//! against its root a moment before; keys leave only after their release is on record.

use std::{collections::BTreeMap, io, sync::Arc};

use comity_core::{
    engine::{Custody, release_command},
    ids::{EventId, ItemId, PartyCode},
    manifest::{KEY_PAGE, KeyPage, Manifest},
    object::ItemKey,
    procedure::DeliveryState,
    proto::{self, CustodyAct, ask::What, grant::Outcome},
    wire::{ASK_MAX, strict},
};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Room,
    bao::{GroupFault, groups, write_groups},
    pipe::Pipe,
};
use crate::{handle::HandOver, time};

/// A taker that is refused need not ask again at once.
const DENIED_RETRY_MS: u32 = 5_000;
/// Deliveries looked up on one stream: a taker uses one stream for one.
const OFFERS_MAX: usize = 16;

/// One stream of a taker.
pub(super) struct Session<S: AsyncRead + AsyncWrite + Unpin> {
    room: Arc<Room>,
    taker: PartyCode,
    pipe: Pipe<S>,
    offers: BTreeMap<EventId, Offer>,
}

/// A delivery of ours that the taker asked about.
struct Offer {
    hand_over: HandOver,
    /// The items by id, with their places; empty until something but the manifest is asked for.
    places: BTreeMap<ItemId, usize>,
    order: Vec<ItemId>,
    released: bool,
}

/// Why a stream ends.
#[derive(Debug)]
enum Ended {
    /// The taker went away, or stopped in the middle.
    Stream(io::Error),
    /// It does not speak as agreed.
    Misconduct,
    /// What rests here is not what it was: half an answer is under way, and no more of it follows.
    Damaged(ItemId, u64),
}

impl From<io::Error> for Ended {
    fn from(fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::InvalidData => Self::Misconduct,
            _ => Self::Stream(fault),
        }
    }
}

type Denied = &'static str;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(room: Arc<Room>, taker: PartyCode, pipe: Pipe<S>) -> Self {
        Self { room, taker, pipe, offers: BTreeMap::new() }
    }

    /// Answers until the taker closes the stream, stalls, or breaks the protocol.
    pub(super) fn run(mut self) {
        let ended = loop {
            match self.answer_one() {
                Ok(true) => {}
                Ok(false) => return,
                Err(ended) => break ended,
            }
        };
        match ended {
            Ended::Stream(fault) => {
                tracing::debug!(target: "evidence", peer = %self.taker, %fault, "stream to a taker ended");
            }
            Ended::Misconduct => self.room.misconduct(&self.taker, "evidence.bad-ask"),
            Ended::Damaged(item, offset) => {
                tracing::error!(target: "evidence", code = "evidence.damaged", item = item.short(), offset,
                    "an item is not what was put under seal; run: comity evidence verify");
                self.room.damaged(item);
            }
        }
    }

    fn answer_one(&mut self) -> Result<bool, Ended> {
        let Some(frame) = self.pipe.read_frame(ASK_MAX)? else { return Ok(false) };
        let ask: proto::Ask = strict(&frame, ASK_MAX).map_err(|_| Ended::Misconduct)?;
        let what = ask.what.ok_or(Ended::Misconduct)?;
        if let (What::Clock(_), []) = (&what, &ask.delivery[..]) {
            self.grant(Outcome::Clock(time::now().0))?;
            self.pipe.flush()?;
            return Ok(true);
        }
        let delivery = EventId::from_slice(&ask.delivery).map_err(|_| Ended::Misconduct)?;
        match what {
            What::Groups(wanted) => {
                let item = ItemId::from_slice(&wanted.item_id).map_err(|_| Ended::Misconduct)?;
                self.answer_groups(&delivery, &item, wanted.first)?;
            }
            What::Keys(page) => self.answer_keys(&delivery, page)?,
            What::Clock(_) => return Err(Ended::Misconduct),
        }
        self.pipe.flush()?;
        Ok(true)
    }

    fn answer_groups(&mut self, delivery: &EventId, item: &ItemId, first: u64) -> Result<(), Ended> {
        if let Err(code) = self.may_have(delivery, item) {
            return self.deny(code);
        }
        if self.room.is_damaged(item) {
            return self.deny("evidence.damaged");
        }
        let object = match self.room.vault.object(item) {
            Ok(object) => object,
            Err(fault) => {
                tracing::warn!(target: "evidence", code = fault.code(), item = item.short(), "an item does not open");
                return self.deny(fault.code());
            }
        };
        if first >= groups(object.size()) {
            return Err(Ended::Misconduct);
        }
        self.grant(Outcome::Size(object.size()))?;
        write_groups(&object, first, &mut self.pipe.to).map_err(|fault| match fault {
            GroupFault::Io(fault) => Ended::Stream(fault),
            GroupFault::Wrong { offset } => Ended::Damaged(*item, offset),
        })
    }

    fn answer_keys(&mut self, delivery: &EventId, page: proto::KeyPage) -> Result<(), Ended> {
        if page.manifest && page.first != 0 {
            return Err(Ended::Misconduct);
        }
        match self.seal_keys(delivery, page) {
            Ok(sealed) => self.grant(Outcome::Keys(sealed)),
            Err(code) => self.deny(code),
        }
    }

    /// The keys of one page, once their release is on record.
    fn seal_keys(&mut self, delivery: &EventId, page: proto::KeyPage) -> Result<Vec<u8>, Denied> {
        let room = Arc::clone(&self.room);
        let offer = if page.manifest { self.offer(delivery)? } else { self.accepted(delivery)? };
        let manifest = &offer.hand_over.delivery.manifest;
        let wanted = match page.manifest {
            true => vec![manifest.item],
            false => offer.order.iter().skip(place(page.first)).take(KEY_PAGE).copied().collect(),
        };
        if wanted.is_empty() {
            return Err("evidence.unknown-item");
        }
        if !page.manifest && !offer.released {
            room.runtime.block_on(release(&room, &offer.hand_over))?;
            offer.released = true;
        }
        let keys = wanted.iter().map(|item| room.vault.key(item).map(|key| (*item, key)));
        let keys: Vec<(ItemId, ItemKey)> = keys.collect::<Result<_, _>>().map_err(|fault| fault.code())?;
        let view = room.handle.view();
        let trust = view.trust();
        let taker = trust.seal_key(&self.taker, time::now()).ok_or("profile.no-seal-key")?;
        let digest = self.offers.get(delivery).map(|offer| offer.hand_over.delivery.manifest.digest);
        let manifest = digest.ok_or("evidence.unknown-delivery")?;
        let page = KeyPage { delivery: *delivery, manifest, own: page.manifest, first: page.first };
        page.seal(&keys, taker, &crate::store::random()).map_err(|fault| fault.code())
    }

    fn may_have(&mut self, delivery: &EventId, item: &ItemId) -> Result<(), Denied> {
        if self.offer(delivery)?.hand_over.delivery.manifest.item == *item {
            return Ok(());
        }
        let offer = self.accepted(delivery)?;
        offer.places.contains_key(item).then_some(()).ok_or("evidence.unknown-item")
    }

    /// A delivery of ours to this taker.
    fn offer(&mut self, delivery: &EventId) -> Result<&mut Offer, Denied> {
        if !self.offers.contains_key(delivery) {
            if self.offers.len() == OFFERS_MAX {
                self.offers.pop_first();
            }
            let hand_over = self.look_up(delivery)?;
            let offer = Offer { hand_over, places: BTreeMap::new(), order: Vec::new(), released: false };
            self.offers.insert(*delivery, offer);
        }
        self.offers.get_mut(delivery).ok_or("evidence.unknown-delivery")
    }

    fn look_up(&self, delivery: &EventId) -> Result<HandOver, Denied> {
        let view = self.room.handle.view();
        let found = view.hand_over(delivery, time::now()).map_err(|fault| fault.code())?;
        let ours = |found: &HandOver| found.giver == view.us.party && found.taker == self.taker;
        let standing = |found: &HandOver| !matches!(found.delivery.state, DeliveryState::Replaced { .. });
        found.filter(ours).filter(standing).ok_or("evidence.unknown-delivery")
    }

    /// The same once its terms are accepted: with the items it lists.
    fn accepted(&mut self, delivery: &EventId) -> Result<&mut Offer, Denied> {
        if self.offer(delivery)?.places.is_empty() {
            // Looked up anew: the acceptance may have come since.
            let hand_over = self.look_up(delivery)?;
            if !is_accepted(&hand_over) {
                return Err("evidence.terms-not-accepted");
            }
            let manifest = self.room.manifest(&hand_over.delivery.manifest.item).map_err(|fault| fault.code())?;
            let offer = self.offer(delivery)?;
            offer.hand_over = hand_over;
            offer.order = listed(&manifest);
            offer.places = offer.order.iter().enumerate().map(|(place, item)| (*item, place)).collect();
        }
        self.offer(delivery)
    }

    fn grant(&mut self, outcome: Outcome) -> Result<(), Ended> {
        let grant = proto::Grant { outcome: Some(outcome) };
        Ok(self.pipe.write_frame(&grant.encode_to_vec())?)
    }

    fn deny(&mut self, code: Denied) -> Result<(), Ended> {
        tracing::debug!(target: "evidence", peer = %self.taker, code, "denied");
        self.grant(Outcome::Denied(proto::Retry { code: code.to_owned(), after_ms: DENIED_RETRY_MS }))
    }
}

fn is_accepted(hand_over: &HandOver) -> bool {
    match hand_over.delivery.state {
        DeliveryState::TermsAccepted { .. } | DeliveryState::InCustody { .. } => true,
        DeliveryState::Offered | DeliveryState::Disputed { .. } | DeliveryState::Replaced { .. } => false,
    }
}

fn listed(manifest: &Manifest) -> Vec<ItemId> {
    manifest.items.iter().map(|item| item.id).collect()
}

fn place(first: u64) -> usize {
    usize::try_from(first).unwrap_or(usize::MAX)
}

/// Puts the release of a delivery's keys on record; done before, it is there already.
async fn release(room: &Room, hand_over: &HandOver) -> Result<(), Denied> {
    let delivery = &hand_over.delivery;
    let custody = Custody {
        command_id: release_command(&delivery.event),
        request: hand_over.request,
        authority: hand_over.giver_authority.clone(),
        act: CustodyAct::Release,
        manifest: delivery.manifest.digest,
        items: delivery.manifest.items,
        bytes: delivery.manifest.bytes,
        delivery: Some(delivery.event),
    };
    room.handle.state(custody).await.map(|_| ()).map_err(|refused| refused.code)
}
