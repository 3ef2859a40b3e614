//! Item keys on their way to the taker: pages sealed to its seal key (SPEC `[T-4]`).

use prost::Message as _;
use zeroize::Zeroize as _;

use crate::{
    crypto::{CryptoFault, PublicKey, sha256},
    event::{BodySecret, EventFault, open_sealed, seal_body},
    ids::{Digest, EventId, ItemId},
    object::ItemKey,
    proto,
};

/// Keys of one page: about half of what a grant may hold.
pub const KEY_PAGE: usize = 4096;

/// Which keys of which delivery a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPage {
    /// The event that handed over.
    pub delivery: EventId,
    /// The manifest it named.
    pub manifest: Digest,
    /// The manifest's own key instead of those of items.
    pub own: bool,
    /// The first item, in the manifest's order.
    pub first: u64,
}

impl KeyPage {
    fn binding(&self) -> Digest {
        let place = [&[u8::from(self.own)][..], &self.first.to_be_bytes()].concat();
        sha256(&[b"comity item keys v1\0", self.delivery.as_bytes(), self.manifest.as_bytes(), &place])
    }

    /// Seals keys to the taker.
    ///
    /// # Errors
    /// When the taker's key is none.
    pub fn seal(
        &self,
        keys: &[(ItemId, ItemKey)],
        taker: &PublicKey,
        entropy: &[u8; 32],
    ) -> Result<Vec<u8>, CryptoFault> {
        let key = |(id, key): &(ItemId, ItemKey)| proto::ItemKey {
            item_id: id.as_bytes().to_vec(),
            key: key.expose().to_vec(),
        };
        let mut page = proto::ItemKeys { keys: keys.iter().map(key).collect() };
        let mut plain = page.encode_to_vec();
        let sealed = seal_body(&plain, &self.binding(), std::slice::from_ref(taker), entropy);
        plain.zeroize();
        wipe(&mut page);
        sealed.map(|(sealed, _)| sealed)
    }

    /// Opens a page with `unwrap` (sealed page, binding) -> secret, and checks that it holds the keys
    /// of just these items.
    ///
    /// # Errors
    /// When it does not open, or holds others.
    pub fn open(
        &self,
        sealed: &[u8],
        items: &[ItemId],
        unwrap: impl FnOnce(&[u8], &Digest) -> Result<BodySecret, EventFault>,
    ) -> Result<Vec<(ItemId, ItemKey)>, EventFault> {
        let binding = self.binding();
        let secret = unwrap(sealed, &binding)?;
        let mut page: proto::ItemKeys = open_sealed(sealed, &binding, &secret)?;
        let named = page.keys.iter().map(|key| key.item_id.as_slice());
        let right = named.eq(items.iter().map(|id| &id.as_bytes()[..]));
        let read =
            |(id, key): (&ItemId, &proto::ItemKey)| Some((*id, ItemKey::new(key.key.as_slice().try_into().ok()?)));
        let keys: Option<Vec<(ItemId, ItemKey)>> = items.iter().zip(&page.keys).map(read).collect();
        wipe(&mut page);
        keys.filter(|_| right).ok_or(EventFault::Header("the page holds keys of other items"))
    }
}

fn wipe(page: &mut proto::ItemKeys) {
    page.keys.iter_mut().for_each(|key| key.key.zeroize());
}
