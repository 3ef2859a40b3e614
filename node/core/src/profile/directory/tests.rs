//! Directories, heads and suspensions: what is refused, by the names of the attacks.

use super::*;
use crate::{
    crypto::HybridSigner,
    founding::{
        Office, profile as draft_profile, sign, sign_profile,
        tests::{START, add_keys, code, keys, network, root, trust},
    },
    profile::{Charter, SUSPENSION_TYPE, Suspension, Trust, peer_id},
    proto::KeyRole,
};

const HOUR_MS: u64 = 3_600_000;

fn hours(hours: u64) -> Time {
    START.plus_ms(hours * HOUR_MS)
}

fn directory_key(name: &str) -> HybridSigner {
    root(name, KeyRole::Directory)
}

fn charter() -> Charter {
    trust().charter().clone()
}

/// A profile of XA with a directory key, at this version.
fn profile(version: u64) -> Profile {
    let office = Office {
        id: "central".into(),
        name: "Central Authority".into(),
        time_zone: "Europe/Zurich".into(),
        procedures: vec!["PRES".into()],
    };
    let mut draft = draft_profile(
        &network(),
        &code("XA"),
        &[office],
        &["en"],
        &keys("XA").public(&network(), &code("XA")).expect("keys"),
        START,
    );
    add_keys(&mut draft, &directory_key("XA"), hours(24 * 365));
    if version > 1 {
        (draft.version, draft.previous) = (version, vec![1; 32]);
    }
    let signed = sign_profile(&draft, &[&root("XA", KeyRole::Root)]).expect("signed");
    Profile::open(&signed, &charter(), START).expect("profile")
}

fn directory(profile: &Profile) -> proto::Directory {
    let contact = |office: &str| proto::Contact {
        authority: "central".into(),
        office: office.into(),
        email: "duty@central.xa.test".into(),
        phone: "+00 1 555 0124".into(),
        hours: "24/7".into(),
        languages: vec!["en".into()],
    };
    proto::Directory {
        network: profile.network.to_string(),
        party: "XA".into(),
        version: 1,
        issued_ms: START.0,
        profile: profile.id().as_bytes().to_vec(),
        contacts: vec![contact("24/7 contact point"), contact("registry")],
        addresses: vec![proto::Address {
            node: peer_id(&profile.nodes()[0]),
            multiaddrs: vec!["/dns/node.central.xa.test/tcp/4001".into()],
        }],
        holidays: vec!["2026-05-01".into(), "2028-02-29".into()],
    }
}

fn head(profile: &Profile, directory: Option<&Directory>) -> proto::ProfileHead {
    proto::ProfileHead {
        network: profile.network.to_string(),
        party: "XA".into(),
        issued_ms: START.0,
        profile_version: profile.version,
        profile: profile.id().as_bytes().to_vec(),
        directory_version: directory.map_or(0, |directory| directory.version),
        directory: directory.map(|directory| directory.id().as_bytes().to_vec()).unwrap_or_default(),
    }
}

fn signed(kind: &str, wire: &impl prost::Message, signers: &[&HybridSigner]) -> Vec<u8> {
    sign(kind, wire.encode_to_vec(), signers).expect("signed")
}

/// [P-5].
#[test]
fn a_directory_is_of_its_profile_and_names_what_that_names() {
    let profile = profile(1);
    let own = directory_key("XA");
    let opens = |change: &dyn Fn(&mut proto::Directory), signer: &HybridSigner, at| {
        let mut wire = directory(&profile);
        change(&mut wire);
        Directory::open(&signed(DIRECTORY_TYPE, &wire, &[signer]), &profile, at).map_err(|fault| fault.code())
    };
    let good = opens(&|_| (), &own, START).expect("a directory");
    let offices = |authority| good.contacts().iter().filter(move |row| row.authority == authority);
    assert_eq!(offices("central").map(|row| &row.office[..]).collect::<Vec<_>>(), ["24/7 contact point", "registry"]);
    assert_eq!((good.addresses().len(), good.holidays().len(), good.version), (1, 2, 1));
    let code = |change: &dyn Fn(&mut proto::Directory)| opens(change, &own, START).map(|_| ()).err();
    let bad = Some("profile.bad-content");
    assert_eq!(code(&|wire| wire.version = 0), bad);
    assert_eq!(code(&|wire| wire.contacts.reverse()), bad);
    assert_eq!(code(&|wire| wire.contacts[1] = wire.contacts[0].clone()), bad);
    assert_eq!(code(&|wire| wire.contacts[0].authority = "another".into()), bad);
    assert_eq!(code(&|wire| wire.addresses[0].node = peer_id(&[9; 32])), bad);
    assert_eq!(code(&|wire| wire.addresses[0].node = vec![9; 38]), bad);
    for date in [
        "2026-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-04-31",
        "2026-4-1",
        "2026/04/01",
        "20260401",
        "+026-04-01",
        "2026-05-01x",
        "2026-05-0é",
    ] {
        assert_eq!(code(&|wire| wire.holidays = vec![date.to_owned()]), bad, "{date}");
    }
    let other = Some("profile.other-profile");
    assert_eq!(code(&|wire| wire.profile = vec![7; 32]), other, "mix-and-match");
    assert_eq!(code(&|wire| wire.party = "XB".into()), other);
    assert_eq!(code(&|wire| wire.network = "other.comity.test".into()), other);
    let stranger = Some("profile.not-directory-key");
    let by = |signer: &HybridSigner, at| opens(&|_| (), signer, at).map(|_| ()).err();
    assert_eq!(by(&directory_key("XB"), START), stranger, "arbitrary signer");
    assert_eq!(by(&root("XA", KeyRole::Root), START), stranger, "wrong role key");
    assert_eq!(by(&keys("XA").record, START), stranger, "wrong role key");
    assert_eq!(by(&own, hours(24 * 365)), stranger, "the key has expired");
    assert_eq!(by(&own, Time(START.0 - 1)), stranger, "and was none before");
    let twice = Directory::open(&signed(DIRECTORY_TYPE, &directory(&profile), &[&own, &own]), &profile, START);
    assert_eq!(twice.expect_err("refused").code(), "profile.not-directory-key");
    let as_head = Directory::open(&signed(HEAD_TYPE, &directory(&profile), &[&own]), &profile, START);
    assert_eq!(as_head.expect_err("refused").code(), "profile.wrong-type");
}

/// [P-6].
#[test]
fn a_head_shows_what_is_held_back_and_ages() {
    let (newer, profile) = (profile(4), profile(3));
    let own = directory_key("XA");
    let open = |wire: &proto::ProfileHead, at| Head::open(&signed(HEAD_TYPE, wire, &[&own]), &profile, at);
    let directory =
        Directory::open(&signed(DIRECTORY_TYPE, &directory(&profile), &[&own]), &profile, START).expect("one");
    let wire = head(&profile, Some(&directory));
    let whole = open(&wire, START).expect("a head");
    assert_eq!(whole.names(&profile, Some(&directory)), Ok(Held::Newest));
    assert_eq!(whole.names(&profile, None), Ok(Held::Behind), "its directory is missing");
    assert_eq!(open(&head(&profile, None), START).expect("a head").names(&profile, None), Ok(Held::Newest));
    let ahead = open(&head(&newer, None), START).expect("a head");
    assert_eq!(ahead.names(&profile, None), Ok(Held::Behind), "a newer profile is held back");
    assert_eq!(whole.names(&newer, None), Err(ProfileFault::Older), "roll-back");
    let less = open(&head(&profile, None), START).expect("a head");
    assert_eq!(less.names(&profile, Some(&directory)), Err(ProfileFault::Older), "of the directory too");
    let forked = proto::ProfileHead { profile: vec![7; 32], ..wire.clone() };
    let named = open(&forked, START).expect("a head").names(&profile, None);
    assert_eq!(named.map_err(|fault| fault.code()), Err("profile.fork"));
    let forked = proto::ProfileHead { directory: vec![7; 32], ..wire.clone() };
    let named = open(&forked, START).expect("a head").names(&profile, Some(&directory));
    assert_eq!(named.map_err(|fault| fault.code()), Err("profile.fork"));

    let age = |hours: u64| freshness(whole.issued, START.plus_ms(hours * HOUR_MS));
    assert_eq!([0, 47, 48].map(age), [Freshness::Fresh, Freshness::Fresh, Freshness::Stale]);
    assert_eq!([335, 336].map(age), [Freshness::Stale, Freshness::Frozen], "freeze");
    let before = |ms: u64| open(&wire, Time(START.0 - ms)).map(|_| ()).map_err(|fault| fault.code());
    // The key is not valid before the founding: a later head tells the two apart.
    assert_eq!(before(1), Err("profile.not-directory-key"));
    let later = proto::ProfileHead { issued_ms: hours(1).0, ..wire.clone() };
    assert!(open(&later, Time(hours(1).0 - 300_000)).is_ok());
    assert_eq!(open(&later, Time(hours(1).0 - 300_001)).expect_err("refused"), ProfileFault::Ahead);

    let code = |wire: &proto::ProfileHead| open(wire, START).map(|_| ()).map_err(|fault| fault.code());
    assert_eq!(code(&proto::ProfileHead { directory_version: 0, ..wire.clone() }), Err("profile.bad-content"));
    assert_eq!(code(&proto::ProfileHead { directory: Vec::new(), ..wire.clone() }), Err("profile.bad-content"));
    assert_eq!(code(&proto::ProfileHead { profile: vec![1; 31], ..wire.clone() }), Err("profile.bad-name"));
    assert_eq!(code(&proto::ProfileHead { party: "XB".into(), ..wire.clone() }), Err("profile.other-profile"));
    let stranger = Head::open(&signed(HEAD_TYPE, &wire, &[&directory_key("XB")]), &profile, START);
    assert_eq!(stranger.expect_err("refused").code(), "profile.not-directory-key");
}

/// [P-7].
#[test]
fn any_root_key_stops_a_party_and_its_threshold_lets_it_go_on() {
    let charter = charter();
    let wire = proto::Suspension {
        network: charter.network.to_string(),
        party: "XA".into(),
        issued_ms: START.0,
        profile_version: 3,
        reason: "key-stolen".into(),
        profile: profile(3).id().as_bytes().to_vec(),
    };
    let open = |wire: &proto::Suspension, signers: &[&HybridSigner]| {
        Suspension::open(&signed(SUSPENSION_TYPE, wire, signers), &charter, START).map_err(|fault| fault.code())
    };
    let own = root("XA", KeyRole::Root);
    let stopped = open(&wire, &[&own]).expect("a suspension");
    let stops = |version, at| stopped.stops(&profile(version), at);
    assert_eq!([stops(3, START), stops(4, START), stops(3, Time(START.0 - 1))], [true, false, false]);
    let mut trust = Trust::new(charter.clone(), vec![profile(3)]).expect("trust");
    assert!(trust.profile(&code("XA"), START).is_some());
    trust.suspend(stopped);
    assert!(trust.profile(&code("XA"), START).is_none() && trust.seal_key(&code("XA"), START).is_none());
    let changed = |change: fn(&mut proto::Suspension)| {
        let mut wire = wire.clone();
        change(&mut wire);
        open(&wire, &[&own]).map(|_| ())
    };
    assert_eq!(changed(|wire| wire.issued_ms = START.0 + 300_001), Err("profile.ahead"));
    assert_eq!(changed(|wire| wire.profile.truncate(31)), Err("profile.bad-content"));
    for reason in ["", "two words", "\u{1b}[2K", &"x".repeat(65)] {
        let wire = proto::Suspension { reason: reason.to_owned(), ..wire.clone() };
        assert_eq!(open(&wire, &[&own]).map(|_| ()), Err("profile.bad-content"), "{reason}");
    }
    let back_dated = proto::Suspension { issued_ms: 1, ..wire.clone() };
    assert_eq!(open(&back_dated, &[&own]).expect("a suspension").from, START, "what was done before it was seen stays");
    let short = Err("profile.threshold-not-met");
    assert_eq!(open(&wire, &[]).map(|_| ()), short);
    assert_eq!(open(&wire, &[&root("XB", KeyRole::Root)]).map(|_| ()), short, "arbitrary signer");
    assert_eq!(open(&wire, &[&own, &root("XB", KeyRole::Root)]).map(|_| ()), short);
    assert_eq!(open(&wire, &[&directory_key("XA")]).map(|_| ()), short, "wrong role key");
    let foreign = Err("profile.not-chartered");
    assert_eq!(open(&proto::Suspension { party: "XD".into(), ..wire.clone() }, &[&own]).map(|_| ()), foreign);
    assert_eq!(open(&proto::Suspension { network: "o.test".into(), ..wire.clone() }, &[&own]).map(|_| ()), foreign);
}
