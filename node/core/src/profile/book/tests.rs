//! A book over months: documents in any order, twice, forged, from an older day; and what it then says.

use prost::Message as _;

use super::*;
use crate::{
    crypto::HybridSigner,
    founding::{
        quorum, sign, sign_charter, sign_profile,
        tests::{START, add_keys, charter_after, charter_bytes, code, network, payload, profile_bytes, root},
    },
    ids::DAY_MS,
    profile::document_id,
    proto::KeyRole,
};

fn day(days: u64) -> Time {
    START.plus_ms(days * DAY_MS)
}

/// A book that knows the founding charter and the first profiles of three Parties.
fn book() -> Book {
    let charter = charter_bytes();
    let mut book = Book::found(&charter, document_id(CHARTER_TYPE, &payload(&charter))).expect("a charter");
    for party in ["XA", "XB", "XC"] {
        let news = book.accept(&profile_bytes(party, party), START);
        assert_eq!(news, Ok(News::Profile(code(party))));
    }
    book
}

fn draft_of(party: &str) -> proto::Profile {
    proto::Profile::decode(&payload(&profile_bytes(party, party))[..]).expect("decodes")
}

/// A later profile of a Party, with this number, after this one.
fn later(draft: &proto::Profile, version: u64, previous: &Digest) -> proto::Profile {
    proto::Profile { version, previous: previous.as_bytes().to_vec(), ..draft.clone() }
}

fn signed(draft: &proto::Profile) -> Vec<u8> {
    sign_profile(draft, &[&root(&draft.party, KeyRole::Root)]).expect("signed")
}

fn id_of(draft: &proto::Profile) -> Digest {
    document_id(PROFILE_TYPE, &draft.encode_to_vec())
}

fn after(before: &proto::Charter, days: u64) -> proto::Charter {
    charter_after(before, day(days))
}

fn code_of(news: Result<News, ProfileFault>) -> &'static str {
    news.expect_err("refused").code()
}

/// [P-3]: the names an authority acts in are known, rise and do not repeat.
#[test]
fn an_authority_acts_in_known_names() {
    let with = |actors: &[i32]| {
        let mut draft = later(&draft_of("XA"), 2, &id_of(&draft_of("XA")));
        draft.authorities[0].actors = actors.to_vec();
        book().accept(&signed(&draft), START)
    };
    assert_eq!(with(&[1, 2, 3, 4]), Ok(News::Profile(code("XA"))));
    for wrong in [&[0][..], &[5], &[2, 1], &[1, 1]] {
        assert_eq!(code_of(with(wrong)), "profile.bad-content", "{wrong:?}");
    }
}

/// [C-4]: a late joiner takes the versions one by one, over any gap, and none twice.
#[test]
fn the_chain_grows_without_gaps() {
    let mut book = book();
    let secretariat = root("secretariat", KeyRole::Charter);
    let mut drafts = vec![proto::Charter::decode(&payload(&charter_bytes())[..]).expect("decodes")];
    for number in 1..5 {
        drafts.push(after(&drafts[drafts.len() - 1], number * 10));
    }
    let bytes: Vec<Vec<u8>> =
        drafts.iter().map(|draft| sign_charter(draft, &[&secretariat]).expect("signed")).collect();
    assert_eq!(code_of(book.accept(&bytes[2], day(60))), "charter.gap");
    for version in &bytes[1..] {
        assert!(matches!(book.accept(version, day(60)), Ok(News::Charter { mandate: Mandate::Signers, .. })));
    }
    assert_eq!(book.charter().version, 5);
    for version in &bytes {
        assert_eq!(book.accept(version, day(61)), Ok(News::Known));
    }
    let other = proto::Charter { issued_ms: day(11).0, ..drafts[1].clone() };
    let other = sign_charter(&other, &[&secretariat]).expect("signed");
    assert_eq!(code_of(book.accept(&other, day(61))), "profile.fork", "two of one number, both signed");
    let forged = proto::Charter { issued_ms: day(12).0, ..drafts[1].clone() };
    let forged = sign_charter(&forged, &[&root("XA", KeyRole::Charter)]).expect("signed");
    assert_eq!(
        code_of(book.accept(&forged, day(61))),
        "profile.threshold-not-met",
        "one that nobody signed proves nothing"
    );
    assert_eq!(book.charter().version, 5);
}

/// [C-6]: consent to an old version ends the wait in the newest one too.
#[test]
fn consent_to_an_older_version_counts_in_the_newest() {
    let mut book = book();
    let (secretariat, xb) = (root("secretariat", KeyRole::Charter), root("XB", KeyRole::Root));
    let one = proto::Charter::decode(&payload(&charter_bytes())[..]).expect("decodes");
    let mut two = after(&one, 10);
    two.parties[1].root = Some(quorum(root("XB new", KeyRole::Root).public()));
    let three = after(&two, 20);
    let by = |draft: &proto::Charter, signers: &[&HybridSigner]| sign_charter(draft, signers).expect("signed");
    let refounds = book.accept(&by(&two, &[&secretariat]), day(12));
    assert!(matches!(refounds, Ok(News::Charter { refounded, .. }) if refounded == BTreeSet::from([code("XB")])));
    book.accept(&by(&three, &[&secretariat]), day(21)).expect("follows");
    let waits = |book: &Book| book.charter().parties()[&code("XB")].refounded();
    assert_eq!(waits(&book), Some(day(42)));
    // A profile under the new keys is none yet; one under the old keys is.
    let next = later(&draft_of("XB"), 2, &id_of(&draft_of("XB")));
    let by_new = sign_profile(&next, &[&root("XB new", KeyRole::Root)]).expect("signed");
    assert_eq!(code_of(book.accept(&by_new, day(41))), "profile.threshold-not-met");
    book.accept(&by(&two, &[&secretariat, &xb]), day(30)).expect("agreed");
    assert_eq!((waits(&book), book.charter().version), (None, 3));
    assert_eq!(book.accept(&by_new, day(30)), Ok(News::Profile(code("XB"))));
    assert_eq!(code_of(book.accept(&signed(&next), day(30))), "profile.threshold-not-met", "the old keys are gone");
    // What the old keys signed before stays what it was.
    assert!(book.trust().profile(&code("XB"), day(30)).is_some());
}

/// [C-6]: Parties that agree one by one, each on a copy of its own, have all agreed, also when an older version is
/// judged again for another.
#[test]
fn consent_once_given_outlasts_that_of_others() {
    let mut book = book();
    let secretariat = root("secretariat", KeyRole::Charter);
    let [xa, xb, xc] = ["XA", "XB", "XC"].map(|party| root(party, KeyRole::Root));
    let one = proto::Charter::decode(&payload(&charter_bytes())[..]).expect("decodes");
    let new = |party: &str| Some(quorum(root(&format!("{party} new"), KeyRole::Root).public()));
    let mut two = after(&one, 10);
    two.parties[0].root = new("XA");
    let mut three = after(&two, 20);
    (three.parties[1].root, three.parties[2].root) = (new("XB"), new("XC"));
    let by = |draft: &proto::Charter, signers: &[&HybridSigner]| sign_charter(draft, signers).expect("signed");
    let waiting = |book: &Book| {
        let parties = book.charter().parties().iter().filter(|(_, party)| party.refounded().is_some());
        parties.map(|(code, _)| code.to_string()).collect::<Vec<_>>()
    };
    book.accept(&by(&two, &[&secretariat]), day(12)).expect("follows");
    book.accept(&by(&three, &[&secretariat]), day(21)).expect("follows");
    assert_eq!(waiting(&book), ["XA", "XB", "XC"]);
    book.accept(&by(&three, &[&secretariat, &xb]), day(22)).expect("XB agrees");
    book.accept(&by(&three, &[&secretariat, &xc]), day(23)).expect("XC agrees");
    assert_eq!(waiting(&book), ["XA"]);
    book.accept(&by(&two, &[&secretariat, &xa]), day(24)).expect("XA agrees");
    assert_eq!(waiting(&book), Vec::<String>::new());
}

/// [C-6]: a version that comes again when its wait is long over changes nothing of what was.
#[test]
fn what_comes_again_is_judged_as_when_it_was_seen_first() {
    let mut book = book();
    let secretariat = root("secretariat", KeyRole::Charter);
    let one = proto::Charter::decode(&payload(&charter_bytes())[..]).expect("decodes");
    let mut two = after(&one, 10);
    two.parties[1].root = Some(quorum(root("XB new", KeyRole::Root).public()));
    let three = after(&two, 20);
    let [two, three] = [two, three].map(|draft| sign_charter(&draft, &[&secretariat]).expect("signed"));
    book.accept(&two, day(12)).expect("follows");
    book.accept(&three, day(21)).expect("follows");
    for version in [&two, &three] {
        assert_eq!(book.accept(version, day(50)), Ok(News::Known));
    }
    let xb = &book.charter().parties()[&code("XB")];
    assert_eq!(xb.refounded(), Some(day(42)));
    assert!(xb.root_at(day(41)) != xb.root_at(day(42)));
}

/// [P-8]: roll-back, forks, and an expired charter.
#[test]
fn profiles_only_go_forward() {
    let mut book = book();
    let one = draft_of("XA");
    let two = later(&one, 2, &id_of(&one));
    let three = later(&one, 3, &id_of(&two));
    assert_eq!(book.accept(&signed(&two), day(1)), Ok(News::Profile(code("XA"))));
    assert_eq!(book.accept(&signed(&two), day(1)), Ok(News::Known));
    assert_eq!(code_of(book.accept(&signed(&one), day(1))), "profile.roll-back");
    let fork = proto::Profile { issued_ms: 7, ..two.clone() };
    assert_eq!(code_of(book.accept(&signed(&fork), day(1))), "profile.fork");
    let beside = later(&one, 3, &id_of(&fork));
    assert_eq!(code_of(book.accept(&signed(&beside), day(1))), "profile.fork", "it follows another second one");
    // Whoever comes late takes the newest, whatever it missed.
    assert_eq!(book.accept(&signed(&later(&one, 9, &id_of(&three))), day(1)), Ok(News::Profile(code("XA"))));
    // After the charter's end: the same roles go on, a new one does not, and nobody joins.
    let expired = book.charter().expires;
    let xb = draft_of("XB");
    let same = later(&xb, 2, &id_of(&xb));
    assert_eq!(book.accept(&signed(&same), expired), Ok(News::Profile(code("XB"))));
    let mut more = later(&xb, 3, &id_of(&same));
    add_keys(&mut more, &root("XB", KeyRole::Directory), day(365));
    assert_eq!(code_of(book.accept(&signed(&more), expired)), "charter.expired");
    assert_eq!(book.accept(&signed(&more), Time(expired.0 - 1)), Ok(News::Profile(code("XB"))));
    let charter = charter_bytes();
    let mut empty = Book::found(&charter, document_id(CHARTER_TYPE, &payload(&charter))).expect("a charter");
    assert_eq!(code_of(empty.accept(&profile_bytes("XA", "XA"), expired)), "charter.expired");
}

/// XA's next profile, which names a directory key, and that key.
fn with_directory_key() -> (proto::Profile, HybridSigner) {
    let directory_key = root("XA", KeyRole::Directory);
    let mut two = later(&draft_of("XA"), 2, &id_of(&draft_of("XA")));
    add_keys(&mut two, &directory_key, day(365));
    (two, directory_key)
}

/// A directory of XA under this profile.
fn directory_of(profile: &proto::Profile, version: u64) -> proto::Directory {
    proto::Directory {
        network: network().to_string(),
        party: "XA".into(),
        version,
        issued_ms: START.0,
        profile: id_of(profile).as_bytes().to_vec(),
        ..proto::Directory::default()
    }
}

/// [P-5], [P-6], [P-7]: a Party's weeks.
#[test]
fn what_a_party_says_every_day_only_goes_forward() {
    let mut book = book();
    let (two, directory_key) = with_directory_key();
    let directory = |version: u64| directory_of(&two, version);
    let by_key = |kind, bytes: Vec<u8>| sign(kind, bytes, &[&directory_key]).expect("signed");
    let of = |version| by_key(DIRECTORY_TYPE, directory(version).encode_to_vec());
    let head = |days, version: u64| {
        let named = document_id(DIRECTORY_TYPE, &directory(version).encode_to_vec());
        let wire = proto::ProfileHead {
            network: network().to_string(),
            party: "XA".into(),
            issued_ms: day(days).0,
            profile_version: 2,
            profile: id_of(&two).as_bytes().to_vec(),
            directory_version: version,
            directory: named.as_bytes().to_vec(),
        };
        by_key(HEAD_TYPE, wire.encode_to_vec())
    };
    assert_eq!(code_of(book.accept(&of(1), day(1))), "profile.other-profile", "its profile comes first");
    book.accept(&signed(&two), day(1)).expect("taken");
    let behind = News::Head(code("XA"), Held::Behind);
    assert_eq!(book.accept(&head(1, 3), day(1)), Ok(behind), "a directory is missing");
    assert_eq!(book.accept(&of(2), day(2)), Ok(News::Directory(code("XA"))));
    assert_eq!(book.accept(&of(3), day(2)), Ok(News::Directory(code("XA"))));
    assert_eq!(book.accept(&of(3), day(2)), Ok(News::Known));
    assert_eq!(code_of(book.accept(&of(2), day(2))), "profile.roll-back");
    let beside = proto::Directory { holidays: vec!["2026-05-01".into()], ..directory(3) };
    assert_eq!(code_of(book.accept(&by_key(DIRECTORY_TYPE, beside.encode_to_vec()), day(2))), "profile.fork");
    assert_eq!(book.accept(&head(2, 3), day(2)), Ok(News::Head(code("XA"), Held::Newest)));
    assert_eq!(book.accept(&head(2, 3), day(2)), Ok(News::Known));
    assert_eq!(code_of(book.accept(&head(1, 3), day(3))), "profile.roll-back");
    assert_eq!(code_of(book.accept(&head(3, 2), day(3))), "profile.roll-back", "it names less than is here");

    let stop = |version, profile: &Digest, issued_ms| {
        let wire = proto::Suspension {
            network: network().to_string(),
            party: "XA".into(),
            issued_ms,
            profile_version: version,
            reason: "key-lost".into(),
            profile: profile.as_bytes().to_vec(),
        };
        sign(SUSPENSION_TYPE, wire.encode_to_vec(), &[&root("XA", KeyRole::Root)]).expect("signed")
    };
    let speaks = |book: &Book, days| book.trust().profile(&code("XA"), day(days)).is_some();
    let (old, own) = (stop(1, &id_of(&draft_of("XA")), START.0), stop(2, &id_of(&two), START.0));
    assert_eq!(code_of(book.accept(&old, day(4))), "profile.roll-back", "the threshold has signed a later profile");
    let all = stop(u64::MAX, &id_of(&two), START.0);
    assert_eq!(code_of(book.accept(&all, day(4))), "profile.other-profile", "one holder stops no profile to come");
    let forked = stop(2, &id_of(&draft_of("XA")), START.0);
    assert_eq!(code_of(book.accept(&forked, day(4))), "profile.other-profile");
    assert_eq!(book.accept(&own, day(4)), Ok(News::Suspended(code("XA"))));
    assert_eq!(book.accept(&own, day(5)), Ok(News::Known));
    assert_eq!(book.accept(&stop(2, &id_of(&two), START.0 + 1), day(5)), Ok(News::Known), "one is enough");
    assert_eq!([3, 4].map(|days| speaks(&book, days)), [true, false]);
    let three = later(&two, 3, &id_of(&two));
    book.accept(&signed(&three), day(6)).expect("restored");
    assert!(speaks(&book, 6));
    // The directory of the profile before belongs to that one: until there is another, a head names none.
    let alone = proto::ProfileHead {
        network: network().to_string(),
        party: "XA".into(),
        issued_ms: day(6).0,
        profile_version: 3,
        profile: id_of(&three).as_bytes().to_vec(),
        ..proto::ProfileHead::default()
    };
    let alone = by_key(HEAD_TYPE, alone.encode_to_vec());
    assert_eq!(book.accept(&alone, day(6)), Ok(News::Head(code("XA"), Held::Newest)));
    assert_eq!(code_of(book.accept(&by_key("application/x", Vec::new()), day(6))), "profile.wrong-type");
}

/// [P-8]: whoever has a directory key for a night fills no ledger, and the day after the Party is heard again.
#[test]
fn of_one_party_a_day_has_few_documents() {
    let mut book = book();
    let (two, directory_key) = with_directory_key();
    book.accept(&signed(&two), day(1)).expect("taken");
    let directory = |version| {
        let bytes = directory_of(&two, version).encode_to_vec();
        sign(DIRECTORY_TYPE, bytes, &[&directory_key]).expect("signed")
    };
    let mut taken = (1..100).map(|version| book.accept(&directory(version), day(1)).map_err(|fault| fault.code()));
    assert_eq!(taken.by_ref().take_while(Result::is_ok).count(), 63, "with the profile");
    assert!(taken.all(|refused| refused == Err("profile.too-many")));
    assert_eq!(book.accept(&directory(63), day(1)), Ok(News::Known), "what is known is not news");
    let three = later(&draft_of("XB"), 2, &id_of(&draft_of("XB")));
    assert!(book.accept(&signed(&three), day(1)).is_ok(), "another Party has a day of its own");
    assert!(book.accept(&directory(64), day(2)).is_ok());
}
