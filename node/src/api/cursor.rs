//! Cursors: where a reader of a list or of the feed stands. Clients hand them back as they got them.
//!
//! They hold ids and numbers, no secret, and are not signed: a made-up cursor only reads from
//! elsewhere in what the reader may read anyway.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use comity_core::{
    crypto::sha256,
    ids::{Origin, RequestId, ThreadId, Time},
};

use super::fault::ApiFault;

/// The first byte of each kind, so that one list's cursor is not taken for another's.
const LIST: u8 = 1;
const FEED: u8 = 2;
const EVENTS: u8 = 3;
const ERASURES: u8 = 4;
const AUDIT: u8 = 5;
/// Bytes of the digest of an origin: enough to tell a ledger from its successor.
const EPOCH_BYTES: usize = 8;

/// Behind this thread a list goes on.
pub(super) fn after_thread(thread: &ThreadId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[LIST], &thread.as_bytes()[..]].concat())
}

/// Reads [`after_thread`].
pub(super) fn read_thread(cursor: &str) -> Result<ThreadId, ApiFault> {
    ThreadId::from_slice(&opened(cursor, LIST)?).map_err(|_| ApiFault::BadCursor)
}

/// Behind this request a list of erasures goes on.
pub(super) fn after_request(request: &RequestId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[ERASURES], &request.as_bytes()[..]].concat())
}

/// Reads [`after_request`].
pub(super) fn read_request(cursor: &str) -> Result<RequestId, ApiFault> {
    RequestId::from_slice(&opened(cursor, ERASURES)?).map_err(|_| ApiFault::BadCursor)
}

/// So many events of a thread were read.
pub(super) fn after_events(count: u64) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[EVENTS], &count.to_be_bytes()[..]].concat())
}

/// Reads [`after_events`].
pub(super) fn read_events(cursor: &str) -> Result<u64, ApiFault> {
    let bytes = opened(cursor, EVENTS)?;
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| ApiFault::BadCursor)
}

/// Older than this record the audit list goes on.
pub(super) fn before_audited(index: u64) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[AUDIT], &index.to_be_bytes()[..]].concat())
}

/// Reads [`before_audited`].
pub(super) fn read_audited(cursor: &str) -> Result<u64, ApiFault> {
    let bytes = opened(cursor, AUDIT)?;
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| ApiFault::BadCursor)
}

/// Where a reader of the feed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FeedPlace {
    /// The next record's index.
    pub(super) record: u64,
    /// Up to when alarms were read.
    pub(super) until: Time,
    /// How many alarms there were up to then: when there are more, some were kept late.
    pub(super) alarms: u64,
}

impl FeedPlace {
    /// The cursor, bound to the ledger it is about.
    pub(super) fn to_cursor(self, origin: &Origin) -> String {
        let numbers = [self.record, self.until.0, self.alarms].map(u64::to_be_bytes).concat();
        BASE64_URL_SAFE_NO_PAD.encode([&[FEED], &epoch(origin)[..], &numbers].concat())
    }

    /// Reads a cursor of this ledger.
    pub(super) fn from_cursor(cursor: &str, origin: &Origin) -> Result<Self, ApiFault> {
        let bytes = opened(cursor, FEED)?;
        let (of, numbers) = bytes.split_first_chunk::<EPOCH_BYTES>().ok_or(ApiFault::BadCursor)?;
        let (numbers, rest) = numbers.as_chunks::<8>();
        let ([record, until, alarms], []) = (numbers, rest) else { return Err(ApiFault::BadCursor) };
        if *of != epoch(origin) {
            return Err(ApiFault::OtherEpoch);
        }
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        Ok(Self { record: number(record), until: Time(number(until)), alarms: number(alarms) })
    }
}

fn epoch(origin: &Origin) -> [u8; EPOCH_BYTES] {
    let digest = sha256(&[origin.as_str().as_bytes()]);
    *digest.as_bytes().first_chunk().expect("a digest has 32 bytes")
}

fn opened(cursor: &str, kind: u8) -> Result<Vec<u8>, ApiFault> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ApiFault::BadCursor)?;
    match bytes.split_first() {
        Some((first, rest)) if *first == kind => Ok(rest.to_vec()),
        Some(_) | None => Err(ApiFault::BadCursor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).expect("an origin")
    }

    #[test]
    fn cursors_read_back() {
        let thread = ThreadId::new([7; 32]);
        assert_eq!(read_thread(&after_thread(&thread)).expect("reads"), thread);
        let request = RequestId::new([9; 16]);
        assert_eq!(read_request(&after_request(&request)).expect("reads"), request);
        assert!(read_thread(&after_request(&request)).is_err());
        assert_eq!(read_events(&after_events(900)).expect("reads"), 900);
        assert_eq!(read_audited(&before_audited(900)).expect("reads"), 900);
        assert!(read_audited(&after_events(900)).is_err());
        let (place, arvia) =
            (FeedPlace { record: 41, until: Time(7), alarms: u64::MAX }, origin("xa.demo.test/ledger/1"));
        assert_eq!(FeedPlace::from_cursor(&place.to_cursor(&arvia), &arvia).expect("reads"), place);
    }

    #[test]
    fn a_successor_ledger_is_another_epoch() {
        let cursor = FeedPlace::default().to_cursor(&origin("xa.demo.test/ledger/1"));
        let fault = FeedPlace::from_cursor(&cursor, &origin("xa.demo.test/ledger/2")).expect_err("refused");
        assert_eq!(fault.code(), "api.other-epoch");
    }

    #[test]
    fn what_is_no_cursor_of_this_list_is_refused() {
        let arvia = origin("xa.demo.test/ledger/1");
        let feed = FeedPlace::default().to_cursor(&arvia);
        for bad in ["", "AA", "??", "not a cursor", &feed[..feed.len() - 2], &after_events(1)] {
            assert_eq!(read_thread(bad).expect_err("refused").code(), "api.bad-cursor", "{bad}");
        }
        for bad in ["", "AA", &format!("{feed}AA"), &feed[..feed.len() - 2], &after_thread(&ThreadId::new([1; 32]))] {
            assert_eq!(FeedPlace::from_cursor(bad, &arvia).expect_err("refused").code(), "api.bad-cursor", "{bad}");
        }
        assert_eq!(read_events(&feed).expect_err("refused").code(), "api.bad-cursor");
    }
}
