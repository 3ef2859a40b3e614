use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{
    ids::{EventId, Origin},
    proto::CustodyAct,
};

fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

pub(crate) fn item(id: u8, path: &str, size: u64) -> Item {
    Item {
        id: ItemId::new([id; 16]),
        path: ItemPath::parse(path).expect("path"),
        size,
        sha256: digest(id),
        root: digest(id ^ 0xff),
        modified_ms: -1,
        media_type: "text/plain".into(),
        changed: false,
        derived_from: Vec::new(),
    }
}

fn unsealed(path: &str, kind: UnsealedKind, target: &[u8]) -> Unsealed {
    Unsealed { path: ItemPath::parse(path).expect("path"), kind, target: target.to_vec() }
}

/// Two items and a link, sealed by Belmar.
pub(crate) fn manifest() -> Manifest {
    let field = proto::Field {
        key: "exhibit.number".into(),
        values: vec![proto::Value {
            kind: Some(proto::value::Kind::Text(proto::Text { lang: "zxx".into(), text: "XB-7".into() })),
        }],
    };
    Manifest {
        network: NetworkName::parse("demo.test").expect("name"),
        request: RequestId::new([1; 16]),
        giver: PartyCode::parse("XB").expect("code"),
        authority: AuthorityId::parse("central").expect("id"),
        sealed: Time(1_750_000_000_000),
        record: proto::Body { form: "MLA-STORED/seal".into(), form_version: 1, fields: vec![field] },
        items: vec![item(3, "logs/auth log.1", 5), item(2, "mail.mbox", 0)],
        unsealed: vec![unsealed("logs/latest", UnsealedKind::SymbolicLink, b"auth log.1")],
    }
}

fn check(change: impl FnOnce(&mut proto::Manifest), expected: Result<(), &str>) {
    let mut wire = proto::Manifest::decode(&manifest().to_wire()[..]).expect("reads");
    change(&mut wire);
    let read = Manifest::from_wire(&wire.encode_to_vec());
    assert_eq!(read.map(|_| ()).map_err(|fault| fault.code()), expected);
}

/// SPEC `[M-1]`, `[M-2]`, `[M-3]`.
#[test]
fn a_manifest_says_what_it_may_and_no_more() {
    check(|_| {}, Ok(()));
    check(|m| m.items.clear(), Ok(()));
    check(|m| (m.items, m.unsealed) = (Vec::new(), Vec::new()), Err("manifest.bad-content"));
    check(|m| m.record = None, Err("manifest.bad-content"));
    check(|m| m.giver = "xb".into(), Err("manifest.bad-name"));
    check(|m| m.items[0].sha256.truncate(31), Err("manifest.bad-name"));
    check(|m| m.items.swap(0, 1), Err("manifest.bad-order"));
    check(|m| m.items[0].path = vec![b"..".to_vec(), b"etc".to_vec()], Err("manifest.bad-path"));
    check(|m| m.items[0].path = vec![b"a/b".to_vec()], Err("manifest.bad-path"));
    check(|m| m.unsealed[0].path = vec![b"mail.mbox".to_vec()], Err("manifest.bad-order"));
    check(|m| m.unsealed[0].path = vec![b"mail.mbox".to_vec(), b"x".to_vec()], Err("manifest.bad-order"));
    check(|m| m.items[1].item_id = m.items[0].item_id.clone(), Err("manifest.bad-content"));
    check(|m| m.items[0].size = ITEM_BYTES_MAX, Ok(()));
    check(|m| m.items[0].size = ITEM_BYTES_MAX + 1, Err("manifest.bad-content"));
    check(|m| m.items[0].media_type = "text/plain; charset".into(), Err("manifest.bad-content"));
    check(|m| m.items[0].derived_from = vec![vec![2; 16], vec![1; 16]], Err("manifest.bad-content"));
    check(|m| m.unsealed[0].kind = 9, Err("manifest.bad-content"));
    check(|m| m.unsealed[0].kind = UnsealedKind::Special as i32, Err("manifest.bad-content"));
    let bytes = manifest().to_wire();
    assert_eq!(Manifest::from_wire(&bytes), Ok(manifest()));
    assert_eq!(manifest_digest(&bytes), sha256(&[&bytes]));
    let longer = [&bytes[..], &[0xf8, 0x07, 1]].concat();
    assert_eq!(Manifest::from_wire(&longer).map_err(|fault| fault.code()), Err("manifest.malformed"));
}

pub(crate) fn statement(act: CustodyAct) -> Statement {
    let event = |byte| Some(EventId::new([byte; 32]));
    let party = PartyCode::parse("XB").expect("code");
    let network = NetworkName::parse("demo.test").expect("name");
    Statement {
        origin: Origin::of(&party, &network, 1),
        network,
        party,
        authority: AuthorityId::parse("central").expect("id"),
        request: RequestId::new([1; 16]),
        act,
        time: Time(1_750_000_000_000),
        manifest: digest(7),
        items: 2,
        bytes: 5,
        delivery: if act == CustodyAct::Seal { None } else { event(8) },
        acceptance: if act == CustodyAct::Release { event(9) } else { None },
        previous: None,
    }
}

/// SPEC `[M-4]`.
#[test]
fn a_statement_names_the_events_its_act_needs() {
    for act in [CustodyAct::Seal, CustodyAct::Release, CustodyAct::Verify] {
        let whole = statement(act);
        assert_eq!(Statement::from_wire(&whole.to_wire()), Ok(whole.clone()));
        let linked = Statement { previous: Some(digest(4)), ..whole.clone() };
        assert_eq!(Statement::from_wire(&linked.to_wire()), Ok(linked));
        let other = |change: fn(&mut Statement)| {
            let mut changed = statement(act);
            change(&mut changed);
            Statement::from_wire(&changed.to_wire()).map_err(|fault| fault.code())
        };
        let swap = |id: Option<EventId>| if id.is_none() { Some(EventId::new([5; 32])) } else { None };
        let mut changed = whole.clone();
        changed.delivery = swap(changed.delivery);
        assert_eq!(Statement::from_wire(&changed.to_wire()).map_err(|f| f.code()), Err("manifest.bad-content"));
        let mut changed = whole;
        changed.acceptance = swap(changed.acceptance);
        assert_eq!(Statement::from_wire(&changed.to_wire()).map_err(|f| f.code()), Err("manifest.bad-content"));
        assert_eq!(other(|s| s.act = CustodyAct::Unspecified), Err("manifest.bad-content"));
    }
}

proptest! {
    /// Every changed bit of a manifest or statement gives another digest or does not read.
    #[test]
    fn no_changed_bit_is_the_same_manifest(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let bytes = manifest().to_wire();
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= 1 << bit;
        prop_assert_ne!(manifest_digest(&changed), manifest_digest(&bytes));
        if let Ok(read) = Manifest::from_wire(&changed) {
            prop_assert_ne!(&read, &manifest());
            prop_assert_eq!(read.to_wire(), changed);
        }
    }
}

fn page(own: bool, first: u64) -> KeyPage {
    KeyPage { delivery: EventId::new([1; 32]), manifest: digest(2), own, first }
}

/// SPEC `[T-4]`.
#[test]
fn a_page_of_keys_opens_for_its_taker_and_as_itself_only() {
    use crate::{
        crypto::{DataKey, PublicKey},
        event::unwrap_body,
        founding::tests::keys,
        proto::{Algorithm, KeyRole},
    };
    let seal = |party: &str| {
        let seed = keys(party).seal;
        (PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &seed).expect("key"), seed)
    };
    let ((taker, seed), (_, other)) = (seal("XA"), seal("XB"));
    let items = [ItemId::new([3; 16]), ItemId::new([4; 16])];
    let held = items.map(|item| (item, DataKey::new([item.as_bytes()[0]; 32])));
    let sealed = page(false, 0).seal(&held, &taker, &[7; 32]).expect("sealed");
    let open = |page: KeyPage, items: &[ItemId], seed| {
        let opened = page.open(&sealed, items, |sealed, binding| unwrap_body(sealed, binding, &taker.id(), seed));
        opened.map(|keys| keys.into_iter().map(|(item, key)| (item, *key.expose())).collect::<Vec<_>>())
    };
    assert_eq!(open(page(false, 0), &items, &seed), Ok(vec![(items[0], [3; 32]), (items[1], [4; 32])]));
    for (wrong, listed, seed) in [
        (page(true, 0), &items[..], &seed),
        (page(false, 1), &items, &seed),
        (page(false, 0), &items[..1], &seed),
        (page(false, 0), &[items[1], items[0]], &seed),
        (page(false, 0), &items, &other),
    ] {
        assert!(open(wrong, listed, seed).is_err());
    }
}
