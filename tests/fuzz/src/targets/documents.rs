//! Charters and profiles, from files and peers.

use comity_core::{
    ids::{Origin, Time},
    profile::{
        CHARTER_TYPE, Charter, DIRECTORY_TYPE, Directory, HEAD_TYPE, Head, Held, Mandate, PROFILE_TYPE, Profile,
        ProfileFault, REFOUNDING_MS, SUSPENSION_TYPE, Suspension, Trust, document_id, signing_message,
    },
    proto::{self, KeyRole},
    wire::{DOCUMENT_MAX, strict},
};

use super::known::{self, NOW, PARTIES, TRUST, digest, material, party};

/// An envelope as it is handed over, and a payload that whoever may sign did sign.
pub(crate) fn document(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    match how & 7 {
        0 => charter(bytes, None),
        1 => profile(bytes),
        2 => {
            let signed = signed(CHARTER_TYPE, "secretariat", KeyRole::Charter, bytes);
            charter(&signed, Some(document_id(CHARTER_TYPE, bytes)));
        }
        3 => profile(&signed(PROFILE_TYPE, "XA", KeyRole::Root, bytes)),
        4 => next(bytes),
        5 => next(&signed(CHARTER_TYPE, "secretariat", KeyRole::Charter, bytes)),
        6 => changing(&[DIRECTORY_TYPE, HEAD_TYPE].map(|kind| signed(kind, "XA directory", KeyRole::Directory, bytes))),
        _ => stopped(&signed(SUSPENSION_TYPE, "XA", KeyRole::Root, bytes)),
    }
}

/// Whatever the secretariat signs alone, no Party's root keys change with it at once, and no Party goes.
fn next(bytes: &[u8]) {
    let before = TRUST.charter();
    let Ok(next) = before.next(bytes, NOW) else { return };
    assert_eq!((next.charter.version, next.mandate), (before.version + 1, Mandate::Signers));
    assert_eq!((&next.charter.network, next.charter.exercise), (&before.network, before.exercise));
    for (code, party) in before.parties() {
        let after = &next.charter.parties()[code];
        assert_eq!(after.root_at(NOW), party.root_at(NOW), "nobody but a Party changes its root keys");
        assert_eq!(after.refounded().is_some(), next.refounded.contains(code));
        let waits = NOW.plus_ms(REFOUNDING_MS);
        assert!(after.refounded().is_none_or(|from| from >= waits), "they wait from when they were seen");
    }
}

/// A directory names only what its profile names; a head is never ahead of the clock.
fn changing(documents: &[Vec<u8>; 2]) {
    let profile = Profile::open(material("profile-xa-with-directory-key"), TRUST.charter(), NOW).expect("a profile");
    if let Ok(directory) = Directory::open(&documents[0], &profile, NOW) {
        assert!(directory.version > 0 && directory.addresses().keys().all(|node| profile.nodes().contains(node)));
    }
    if let Ok(head) = Head::open(&documents[1], &profile, NOW) {
        assert!(head.issued <= NOW.plus_ms(300_000));
        let held = head.names(&profile, None);
        assert_eq!(held == Ok(Held::Newest), head.profile == (1, profile.id()) && head.directory.is_none());
    }
}

/// A suspension stops its Party from when it is seen, and nobody else.
fn stopped(bytes: &[u8]) {
    let Ok(suspension) = Suspension::open(bytes, TRUST.charter(), NOW) else { return };
    assert!(suspension.party.as_str() == "XA" && suspension.from >= NOW, "only its own root keys stop a Party");
    let known = TRUST.profile(&party("XA"), NOW).map(Profile::id);
    let (from, counts) = (suspension.from, known == Some(suspension.profile));
    let mut trust = Trust::clone(&TRUST);
    trust.suspend(suspension);
    assert_eq!(trust.profile(&party("XA"), from).is_none(), counts);
    assert!(trust.profile(&party("XA"), Time(from.0 - 1)).is_some() && trust.profile(&party("XB"), from).is_some());
}

pub(super) fn signed(payload_type: &str, name: &str, role: KeyRole, payload: &[u8]) -> Vec<u8> {
    let message = signing_message(&document_id(payload_type, payload));
    let signatures = known::sign(name, &known::root(name, role), &message);
    comity_core::profile::document(payload_type, payload.to_vec(), signatures)
}

fn charter(bytes: &[u8], fingerprint: Option<comity_core::ids::Digest>) {
    let pinned = fingerprint.unwrap_or_else(|| digest("charter-fingerprint"));
    let Ok(charter) = Charter::open(bytes, pinned) else { return };
    assert_eq!(charter.id(), pinned);
    let envelope: proto::Envelope = strict(bytes, DOCUMENT_MAX).expect("read strictly");
    let wire: proto::Charter = strict(&envelope.header, DOCUMENT_MAX).expect("read strictly");
    assert_eq!(charter.parties().len(), wire.parties.len());
    assert!(charter.version > 0 && wire.expires_ms > wire.issued_ms);
    for one in charter.parties().keys() {
        for other in charter.parties().keys() {
            let bound = |a, b| wire.instruments.iter().map(|row| charter.binds(&row.instrument, a, b, NOW)).collect();
            let (there, back): (Vec<bool>, Vec<bool>) = (bound(one, other), bound(other, one));
            assert_eq!(there, back, "an instrument binds both or neither");
        }
        charter.reservations(one).for_each(drop);
    }
    if fingerprint.is_none() {
        assert_eq!(envelope.header, payload("charter"), "no other charter was pinned");
    }
}

fn payload(name: &str) -> Vec<u8> {
    strict::<proto::Envelope>(material(name), DOCUMENT_MAX).expect("an envelope").header
}

fn profile(bytes: &[u8]) {
    let charter = TRUST.charter();
    let Ok(profile) = Profile::open(bytes, charter, NOW) else { return };
    assert!(PARTIES.contains(&profile.party.as_str()));
    for (place, ledger) in (1..).zip(profile.ledgers()) {
        assert_eq!(ledger.beginning().is_some(), place > 1, "each but the first follows another");
        assert_eq!(
            ledger.origin,
            Origin::of(&profile.party, &charter.network, place),
            "a Party names its own ledgers only"
        );
    }
    let at = [NOW, Time(0), Time(u64::MAX)];
    for role in [KeyRole::Record, KeyRole::Checkpoint, KeyRole::Seal, KeyRole::Directory, KeyRole::Witness] {
        for key in at.iter().flat_map(|at| profile.keys(role, *at)) {
            assert!(key.role == role && key.fits_its_role(), "a key serves the role it was declared for");
        }
    }
    for (id, authority) in profile.authorities() {
        assert_eq!(id.as_str(), authority.id);
    }
    let of = profile.party.clone();
    let twice = Trust::new(charter.clone(), vec![profile.clone(), profile.clone()]).err();
    assert_eq!(twice, Some(ProfileFault::Content("two profiles of one Party were given")));
    let trust = Trust::new(charter.clone(), vec![profile]).expect("of a Party");
    for at in at {
        assert!(trust.seal_key(&of, at).is_none_or(|key| key.role == KeyRole::Seal));
    }
    assert!(trust.profile(&party("XD"), NOW).is_none());
}

/// What is signed here is signed as the founding signs it.
#[cfg(test)]
#[test]
fn signed_by_hand_is_signed_as_by_the_founding() {
    let payload = payload("charter");
    let by_hand = signed(CHARTER_TYPE, "secretariat", KeyRole::Charter, &payload);
    let secretariat = known::root("secretariat", KeyRole::Charter);
    let founded = comity_core::founding::sign(CHARTER_TYPE, payload, &[&secretariat]).expect("signed");
    for bytes in [by_hand, founded] {
        assert!(Charter::open(&bytes, digest("charter-fingerprint")).is_ok());
    }
}
