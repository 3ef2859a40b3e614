//! Who counts and who does not, by the names of the mistakes and of the attacks. SPEC `[O-*]`.

use super::*;
use crate::{
    crypto::{HybridSigner, PublicKey, Seed},
    founding::{
        Office as Founding, profile as draft_profile, sign, sign_profile,
        tests::{START, add_keys, code, keys, named_seed, network, root, trust},
    },
    ids::{AuthorityId, OfficerId, ProcedureCode, RequestId, StepCode, Time},
    profile::{FOUR_EYES, Profile, ProfileFault},
    proto::{self, Algorithm, Credential, KeyRole},
    rules::{Code, Rules, SHIPPED, Side},
};
use prost::Message as _;

const HOUR_MS: u64 = 3_600_000;
const SALT: [u8; SALT_BYTES] = [9; SALT_BYTES];

fn hours(hours: u64) -> Time {
    START.plus_ms(hours * HOUR_MS)
}

pub(crate) fn directory_key(party: &str) -> HybridSigner {
    root(party, KeyRole::Directory)
}

/// The credential of an officer, by name.
pub(crate) fn credential(name: &str) -> Seed {
    named_seed(&format!("officer {name}"))
}

fn id(name: &str) -> OfficerId {
    OfficerId::parse(name).expect("id")
}

/// The draft of a profile of a Party with a directory key, that declares this of four eyes.
pub(crate) fn profile_draft(party: &str, four_eyes: Option<&str>) -> proto::Profile {
    let office = |id: &str| Founding {
        id: id.into(),
        name: format!("Authority {id}"),
        time_zone: "Europe/Zurich".into(),
        procedures: vec!["PRES".into()],
    };
    let public = keys(party).public(&network(), &code(party)).expect("keys");
    let offices = [office("central"), office("regional")];
    let mut draft = draft_profile(&network(), &code(party), &offices, &["en"], &public, START);
    add_keys(&mut draft, &directory_key(party), hours(24 * 365));
    let row = |value: &str| proto::Declaration { code: FOUR_EYES.into(), value: value.into() };
    draft.declarations = four_eyes.map(row).into_iter().collect();
    draft
}

pub(crate) fn signed_profile(draft: &proto::Profile) -> Vec<u8> {
    sign_profile(draft, &[&root(&draft.party, KeyRole::Root)]).expect("signed")
}

fn open(draft: &proto::Profile) -> Profile {
    Profile::open(&signed_profile(draft), trust().charter(), START).expect("profile")
}

fn profile() -> Profile {
    open(&profile_draft("XA", Some("required")))
}

pub(crate) fn officer(name: &str) -> proto::Officer {
    let key = PublicKey::of(KeyRole::Officer, Algorithm::Ed25519, &credential(name)).expect("key");
    proto::Officer {
        id: name.into(),
        credential: Credential::Ed25519 as i32,
        public_key: key.bytes,
        authority: "central".into(),
        procedures: vec![],
        sides: vec![proto::Side::Requesting as i32, proto::Side::Requested as i32],
        from_ms: START.0,
        until_ms: 0,
    }
}

/// A roll of a Party with these officers.
pub(crate) fn roll_draft(profile: &Profile, officers: Vec<proto::Officer>) -> proto::Roll {
    proto::Roll {
        network: profile.network.to_string(),
        party: profile.party.to_string(),
        version: 1,
        issued_ms: START.0,
        profile: profile.id().as_bytes().to_vec(),
        officers,
        deputies: vec![],
        absences: vec![],
    }
}

pub(crate) fn signed_roll(wire: &proto::Roll) -> Vec<u8> {
    sign(ROLL_TYPE, wire.encode_to_vec(), &[&directory_key(&wire.party)]).expect("signed")
}

fn three() -> proto::Roll {
    roll_draft(&profile(), vec![officer("one"), officer("three"), officer("two")])
}

fn read(wire: &proto::Roll) -> Roll {
    Roll::open(&signed_roll(wire), &profile(), START).expect("a roll")
}

pub(crate) fn matter() -> Matter {
    Matter {
        network: network(),
        party: code("XA"),
        command_id: [1; 16],
        request: RequestId::new([2; 16]),
        authority: AuthorityId::parse("central").expect("id"),
        procedure: ProcedureCode::parse("PRES").expect("code"),
        step: StepCode::parse("request").expect("code"),
        recipients: vec![code("XB")],
        body: b"what two people saw".to_vec(),
        side: Side::Requesting,
        emergency: false,
    }
}

fn approve_as(matter: &Matter, who: &str, kind: Kind, at: Time) -> Signed {
    let mut approval = Approval::of(matter, SALT, id(who), kind, at);
    approval.reason = (kind == Kind::BreakGlass).then(|| Code::parse("life-or-safety").expect("a code"));
    approval.sign(&credential(who))
}

fn approve(who: &str) -> Signed {
    approve_as(&matter(), who, Kind::First, START)
}

fn rules() -> Rules {
    Rules::parse(SHIPPED).expect("the shipped rules read")
}

fn passes_at(roll: &proto::Roll, matter: &Matter, approvals: &[Signed], now: Time) -> Result<Passed, &'static str> {
    let (roll, profile, rules) = (read(roll), profile(), rules());
    let office = Office { roll: Some(&roll), profile: &profile, rules: &rules, now };
    office.passes(matter, approvals).map_err(|fault| fault.code())
}

#[track_caller]
fn check(roll: &proto::Roll, approvals: &[Signed], expected: Result<[&str; 2], &'static str>) {
    let expected = expected.map(|both| Passed::Both(both.map(id)));
    assert_eq!(passes_at(roll, &matter(), approvals, hours(1)), expected);
}

/// [O-1]: the Party's root keys say whether, and a word nobody knows does not open what they meant to close.
#[test]
fn four_eyes_are_required_by_the_profile() {
    let required = |value| open(&profile_draft("XA", value)).requires_four_eyes();
    assert!(required(Some("required")) && required(Some("requird")) && required(Some("")));
    assert!(!required(None) && !required(Some("off")));
}

/// [O-2]: a roll is its Party's, of its profile, by its directory key, and says what can be.
#[test]
fn a_roll_is_read_strictly() {
    let refused = |change: &dyn Fn(&mut proto::Roll)| {
        let mut wire = three();
        change(&mut wire);
        Roll::open(&signed_roll(&wire), &profile(), START).err()
    };
    assert_eq!(refused(&|_| {}), None);
    assert_eq!(refused(&|roll| roll.profile = vec![1; 32]), Some(ProfileFault::OtherProfile));
    assert_eq!(refused(&|roll| roll.network = "other.test".into()), Some(ProfileFault::OtherProfile));
    let deputy = |of: &str, by: &str| proto::Deputy { of: of.into(), by: by.into(), from_ms: 1, until_ms: 2 };
    let absent = |who: &str| proto::Absence { officer: who.into(), from_ms: 1, until_ms: 2 };
    let bad: [&dyn Fn(&mut proto::Roll); 14] = [
        &|roll| roll.version = 0,
        &|roll| roll.officers.swap(0, 1),
        &|roll| roll.officers.push(officer("two")),
        &|roll| roll.officers[0].credential = 0,
        &|roll| roll.officers[0].credential = 7,
        &|roll| roll.officers[0].public_key = vec![0; 32],
        &|roll| roll.officers[0].sides.clear(),
        &|roll| roll.officers[0].sides = vec![3],
        &|roll| roll.officers[0].sides = vec![0],
        &|roll| roll.officers[0].until_ms = START.0,
        &|roll| roll.officers[0].authority = "police".into(),
        &|roll| roll.deputies = vec![deputy("one", "four")],
        &|roll| roll.deputies = vec![deputy("one", "one")],
        &|roll| roll.absences = vec![absent("four")],
    ];
    for (at, change) in bad.iter().enumerate() {
        assert!(matches!(refused(change), Some(ProfileFault::Content(_))), "{at}: {:?}", refused(change));
    }
    assert!(matches!(refused(&|roll| roll.officers[0].id = "A name".into()), Some(ProfileFault::Name(_))));
    let by_root = sign(ROLL_TYPE, three().encode_to_vec(), &[&root("XA", KeyRole::Root)]).expect("signed");
    assert_eq!(Roll::open(&by_root, &profile(), START).err(), Some(ProfileFault::NotDirectoryKey));
    let ended = hours(24 * 365);
    assert_eq!(Roll::open(&signed_roll(&three()), &profile(), ended).err(), Some(ProfileFault::NotDirectoryKey));
    assert!(Roll::resume(&signed_roll(&three()), &profile(), ended).is_ok(), "it was right when it was signed");
}

/// [O-2]: a lower number never takes the place of a higher one.
#[test]
fn a_roll_follows_one_of_a_lower_number() {
    let of = |version| read(&proto::Roll { version, ..three() });
    let (one, two) = (of(1), of(2));
    assert_eq!((one.follows(None), two.follows(Some(&one)), two.follows(Some(&two))), (Ok(true), Ok(true), Ok(false)));
    assert_eq!(one.follows(Some(&two)), Err(ProfileFault::Older));
    let other = read(&roll_draft(&profile(), vec![officer("one")]));
    assert_eq!(other.follows(Some(&one)), Err(ProfileFault::Older), "the same number, and another roll");
}

/// [O-2]: a roll whose key is revoked, or that the profile does not name any more, counts for nothing.
#[test]
fn a_roll_falls_with_its_key() {
    let (roll, rules) = (read(&three()), rules());
    let both = [approve("one"), approve("two")];
    let passes = |draft: &proto::Profile| {
        let profile = open(draft);
        let office = Office { roll: Some(&roll), profile: &profile, rules: &rules, now: hours(1) };
        office.passes(&matter(), &both).map(|_| ()).map_err(|fault| fault.code())
    };
    let mut draft = profile_draft("XA", Some("required"));
    assert_eq!(passes(&draft), Ok(()));
    let directory = |draft: &proto::Profile| {
        let key = draft.keys.iter().find(|key| key.role() == KeyRole::Directory).expect("one");
        PublicKey::from(key).id().as_bytes().to_vec()
    };
    let key_id = directory(&draft);
    draft.revocations = vec![proto::Revocation { key_id, from_ms: hours(1).0, reason: "lost".into() }];
    assert_eq!(passes(&draft), Err("approval.no-roll"));
    draft.revocations[0].from_ms = hours(2).0;
    assert_eq!(passes(&draft), Ok(()), "not yet");
    draft.revocations.clear();
    draft.keys.retain(|key| key.role() != KeyRole::Directory);
    assert_eq!(passes(&draft), Err("approval.no-roll"));
    let none = Office { roll: None, profile: &profile(), rules: &rules, now: hours(1) };
    assert_eq!(none.passes(&matter(), &both), Err(Fault::NoRoll));
}

/// [O-4]: two officers with two keys; what does not count is passed over if enough others do.
#[test]
fn two_officers_with_two_keys_suffice() {
    let roll = three();
    check(&roll, &[], Err("approval.needed"));
    check(&roll, &[approve("one")], Err("approval.needed"));
    check(&roll, &[approve("one"), approve("two")], Ok(["one", "two"]));
    check(&roll, &[approve("one"), approve("one")], Err("approval.same-officer"));
    check(&roll, &[approve("one"), approve("one"), approve("three")], Ok(["one", "three"]));
    let stranger = approve("stranger");
    check(&roll, std::slice::from_ref(&stranger), Err("approval.not-on-roll"));
    check(&roll, &[stranger, approve("one"), approve("two")], Ok(["one", "two"]));
    let mut one_key = three();
    one_key.officers[2].public_key = one_key.officers[0].public_key.clone();
    let in_two_names = Approval::of(&matter(), SALT, id("two"), Kind::Second, START).sign(&credential("one"));
    check(&one_key, &[approve("one"), in_two_names.clone()], Err("approval.same-officer"));
    check(&one_key, &[approve("one"), in_two_names, approve("three")], Ok(["one", "three"]));
}

/// [O-3], [O-4]: an approval is of one matter and of the bytes that leave, by the key the roll has, of today.
#[test]
fn an_approval_is_of_one_matter_and_of_its_body() {
    let roll = three();
    let with = |change: &dyn Fn(&mut Matter)| {
        let mut other = matter();
        change(&mut other);
        [approve("one"), approve_as(&other, "two", Kind::Second, START)]
    };
    let others: [&dyn Fn(&mut Matter); 9] = [
        &|matter| matter.body.push(b'.'),
        &|matter| matter.network = crate::ids::NetworkName::parse("other.test").expect("a name"),
        &|matter| matter.party = code("XB"),
        &|matter| matter.command_id = [7; 16],
        &|matter| matter.request = RequestId::new([7; 16]),
        &|matter| matter.authority = AuthorityId::parse("regional").expect("id"),
        &|matter| matter.procedure = ProcedureCode::parse("MLA-STORED").expect("code"),
        &|matter| matter.step = StepCode::parse("note").expect("code"),
        &|matter| matter.recipients = vec![code("XB"), code("XC")],
    ];
    for (at, change) in others.iter().enumerate() {
        let found = passes_at(&roll, &matter(), &with(change), hours(1));
        assert_eq!(found, Err("approval.other-body"), "{at}");
    }
    let by_another = Approval::of(&matter(), SALT, id("two"), Kind::Second, START).sign(&credential("three"));
    check(&roll, &[approve("one"), by_another], Err("approval.bad-signature"));
    let mut wire = approve("two").to_wire();
    wire.signature[5] ^= 1;
    check(&roll, &[approve("one"), Signed::from_wire(&wire).expect("reads")], Err("approval.bad-signature"));
    let two_at = |at| approve_as(&matter(), "two", Kind::Second, at);
    let at = |now, approvals: &[Signed]| passes_at(&roll, &matter(), approvals, now).map(|_| ());
    let early = [approve_as(&matter(), "one", Kind::First, hours(30)), two_at(START)];
    assert_eq!(at(hours(24), &[early[0].clone(), two_at(hours(1))]), Err("approval.expired"), "ahead of this clock");
    assert_eq!(at(hours(30), &early), Err("approval.expired"), "older than a day");
    let today = [approve_as(&matter(), "one", Kind::First, hours(6)), two_at(hours(7))];
    assert_eq!(at(Time(hours(30).0 - 1), &today), Ok(()));
    assert_eq!(at(hours(30), &today), Err("approval.expired"), "at the very end of it");
}

/// [O-4]: dates, absences, authority, procedure and side of the roll; the power of the authority in the profile.
#[test]
fn an_officer_is_there_and_entitled() {
    let both = [approve("one"), approve("two")];
    let with = |change: &dyn Fn(&mut proto::Roll)| {
        let mut roll = three();
        change(&mut roll);
        passes_at(&roll, &matter(), &both, hours(1)).map(|_| ())
    };
    assert_eq!(with(&|roll| roll.officers[2].until_ms = hours(1).0), Err("approval.not-on-roll"), "has left");
    assert_eq!(with(&|roll| roll.officers[2].from_ms = hours(1).0 + 1), Err("approval.not-on-roll"), "not there yet");
    assert_eq!(with(&|roll| roll.officers[2].until_ms = hours(1).0 + 1), Ok(()), "until then");
    let absent = |from: Time, until: Time| proto::Absence { officer: "two".into(), from_ms: from.0, until_ms: until.0 };
    assert_eq!(with(&|roll| roll.absences = vec![absent(START, hours(2))]), Err("approval.absent"));
    assert_eq!(with(&|roll| roll.absences = vec![absent(START, hours(1))]), Ok(()), "back again");
    assert_eq!(with(&|roll| roll.officers[2].authority = "regional".into()), Err("approval.no-power"));
    assert_eq!(with(&|roll| roll.officers[2].procedures = vec!["MLA-STORED".into()]), Err("approval.no-power"));
    assert_eq!(with(&|roll| roll.officers[2].procedures = vec!["MLA-STORED".into(), "PRES".into()]), Ok(()));
    assert_eq!(with(&|roll| roll.officers[2].sides = vec![2]), Err("approval.no-power"), "for the other side");
    let roll = read(&three());
    let mut draft = profile_draft("XA", Some("required"));
    draft.authorities[0].powers.clear();
    let (profile, rules) = (open(&draft), rules());
    let office = Office { roll: Some(&roll), profile: &profile, rules: &rules, now: hours(1) };
    assert_eq!(office.passes(&matter(), &both).map_err(|fault| fault.code()), Err("approval.no-power"));
}

/// [O-4]: a deputy counts with the powers of whom he stands in for, within the dates, and never as a second key.
#[test]
fn a_deputy_counts_within_his_dates() {
    let both = [approve("one"), approve("two")];
    let roll = |from: Time, until: Time| {
        let mut roll = three();
        roll.officers[2].authority = "regional".into();
        roll.absences = vec![proto::Absence { officer: "three".into(), from_ms: START.0, until_ms: 0 }];
        roll.deputies =
            vec![proto::Deputy { of: "three".into(), by: "two".into(), from_ms: from.0, until_ms: until.0 }];
        roll
    };
    check(&roll(START, hours(2)), &both, Ok(["one", "two"]));
    check(&roll(START, hours(1)), &both, Err("approval.no-power"));
    check(&roll(hours(2), hours(3)), &both, Err("approval.no-power"));
    let mut gone = roll(START, hours(2));
    gone.officers[1].until_ms = hours(1).0;
    check(&gone, &both, Err("approval.no-power"));
    let mut away = roll(START, hours(2));
    away.absences.push(proto::Absence { officer: "two".into(), from_ms: START.0, until_ms: 0 });
    check(&away, &both, Err("approval.absent"));
    // Who holds the key of the one he stands in for is the same person.
    let mut one_key = roll(START, hours(2));
    one_key.officers[1].public_key = one_key.officers[2].public_key.clone();
    one_key.absences.clear();
    let principal = Approval::of(&matter(), SALT, id("three"), Kind::First, START).sign(&credential("two"));
    check(&one_key, &[principal, approve("two")], Err("approval.same-officer"));
}

/// [O-5]: one suffices in an emergency, for a reason the law knows; the second is owed over the same statement.
#[test]
fn glass_is_broken_in_an_emergency_only() {
    let emergency = Matter { emergency: true, ..matter() };
    let glass = approve_as(&matter(), "one", Kind::BreakGlass, START);
    let roll = three();
    let now = hours(1);
    let alone = std::slice::from_ref(&glass);
    assert_eq!(passes_at(&roll, &emergency, alone, now), Ok(Passed::BreakGlass(id("one"))));
    assert_eq!(passes_at(&roll, &matter(), alone, now), Err("approval.no-emergency"));
    assert_eq!(passes_at(&roll, &matter(), &[glass.clone(), approve("two")], now), Err("approval.no-emergency"));
    let mut idle = Approval::of(&matter(), SALT, id("one"), Kind::BreakGlass, START);
    idle.reason = Code::parse("in-a-hurry");
    let idle = [idle.sign(&credential("one"))];
    assert_eq!(passes_at(&roll, &emergency, &idle, now), Err("approval.no-emergency"), "no reason of the law");
    let later = approve_as(&matter(), "two", Kind::Later, START);
    assert_eq!(passes_at(&roll, &emergency, &[approve("one"), later.clone()], now), Err("approval.wrong-kind"));

    let (roll, profile, rules) = (read(&roll), profile(), rules());
    let office = Office { roll: Some(&roll), profile: &profile, rules: &rules, now };
    let owed = |signed: &Signed| office.later_counts(signed, &glass, Side::Requesting).map_err(|fault| fault.code());
    assert_eq!(owed(&later), Ok(()));
    assert_eq!(owed(&approve("two")), Err("approval.wrong-kind"));
    assert_eq!(owed(&approve_as(&matter(), "one", Kind::Later, START)), Err("approval.same-officer"));
    let other = Matter { body: b"something else".to_vec(), ..matter() };
    assert_eq!(owed(&approve_as(&other, "two", Kind::Later, START)), Err("approval.other-body"));
    let unsalted = Approval::of(&matter(), [0; SALT_BYTES], id("two"), Kind::Later, START);
    assert_eq!(owed(&unsalted.sign(&credential("two"))), Err("approval.other-body"), "the same statement");
}

/// [O-3]: an approval is read strictly.
#[test]
fn an_approval_says_what_it_may() {
    let good = approve("one").to_wire();
    assert_eq!(Signed::from_wire(&good).expect("reads"), approve("one"));
    let refused = |change: &dyn Fn(&mut proto::Approval)| {
        let mut wire = proto::Approval::decode(&good.approval[..]).expect("reads");
        change(&mut wire);
        Approval::from_wire(&wire.encode_to_vec()).err().map(|fault| fault.code())
    };
    assert_eq!(refused(&|_| {}), None);
    let bad: [&dyn Fn(&mut proto::Approval); 10] = [
        &|wire| wire.kind = 0,
        &|wire| wire.kind = 9,
        &|wire| wire.kind = 3,
        &|wire| wire.reason = "life-or-safety".into(),
        &|wire| wire.salt.truncate(31),
        &|wire| wire.command_id.clear(),
        &|wire| wire.digest.push(0),
        &|wire| wire.officer = "A Name".into(),
        &|wire| wire.recipients = vec!["XC".into(), "XB".into()],
        &|wire| wire.party = "nowhere".into(),
    ];
    for (at, change) in bad.iter().enumerate() {
        assert_eq!(refused(change), Some("approval.malformed"), "{at}");
    }
    assert!(Approval::from_wire(&[good.approval, vec![0x78, 1]].concat()).is_err(), "unknown fields");
}
