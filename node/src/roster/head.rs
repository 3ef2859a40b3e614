//! Our own head: once a day, and whenever profile or directory of ours are new, it says what is newest of us.

use comity_core::{
    ids::{DAY_MS, PartyCode, Time},
    profile::{HEAD_TYPE, Trust, document, document_id},
    proto::{self, KeyRole},
};
use prost::Message as _;
use tracing::warn;

use crate::keys::Keyring;

/// A little more often than daily, so that a restart at the wrong moment leaves no day out.
const EVERY_MS: u64 = DAY_MS / 24 * 20;

/// When the next one is due; never for a Party that declares no directory key.
pub(super) fn due(trust: &Trust, us: &PartyCode) -> Option<Time> {
    let profile = trust.declared(us)?;
    profile.roles().contains(&KeyRole::Directory).then(|| trust.head(us).map_or(Time(0), |at| at.plus_ms(EVERY_MS)))
}

/// The head of this moment, signed; none if this Party has no directory key here that its profile names.
pub(super) fn issue(trust: &Trust, us: &PartyCode, keys: &Keyring, now: Time) -> Option<Vec<u8>> {
    let profile = trust.profile(us, now)?;
    if !profile.roles().contains(&KeyRole::Directory) {
        return None;
    }
    let directory = trust.own_directory(us);
    let issued = trust.head(us).map_or(now, |last| now.max(last.plus_ms(1)));
    let head = proto::ProfileHead {
        network: trust.charter().network.to_string(),
        party: us.to_string(),
        issued_ms: issued.0,
        profile_version: profile.version,
        profile: profile.id().as_bytes().to_vec(),
        directory_version: directory.map_or(0, |directory| directory.version),
        directory: directory.map(|directory| directory.id().as_bytes().to_vec()).unwrap_or_default(),
    };
    let payload = head.encode_to_vec();
    match keys.sign_directory(&document_id(HEAD_TYPE, &payload), profile, now) {
        Ok(signatures) => Some(document(HEAD_TYPE, payload, signatures)),
        Err(fault) => {
            warn!(target: "roster", code = fault.code(), "our head is not signed");
            None
        }
    }
}
