//! What is handed over of charter and Parties: messages of the roster protocol, bundles, and whole series of documents.

use std::sync::LazyLock;

use comity_core::{
    profile::{
        Book, CHARTER_TYPE, DIRECTORY_TYPE, HEAD_TYPE, Kind, News, PROFILE_TYPE, SUSPENSION_TYPE, Trust, claimed,
    },
    proto::{Bundle, KeyRole, RosterAnswer, RosterAsk, RosterHeld},
    wire::{DOCUMENT_MAX, strict},
};

use super::{
    Reader,
    documents::signed,
    known::{NOW, digest, material},
};

/// What this node knows: the founding charter and three profiles, one of them with a directory key.
static KNOWN: LazyLock<Book> = LazyLock::new(|| {
    let mut book = Book::found(material("charter"), digest("charter-fingerprint")).expect("a charter");
    for name in ["profile-xa-with-directory-key", "profile-xb", "profile-xc"] {
        book.accept(material(name), NOW).expect("a profile");
    }
    book
});

/// An ask, an answer, a bundle, or payloads that whoever may sign did sign.
pub(crate) fn roster(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let (held, envelopes) = match how & 3 {
        0 => strict(bytes, DOCUMENT_MAX).map(|ask: RosterAsk| (ask.held, ask.offered)).unwrap_or_default(),
        1 => {
            strict(bytes, DOCUMENT_MAX).map(|answer: RosterAnswer| (answer.held, answer.envelopes)).unwrap_or_default()
        }
        2 => (None, strict(bytes, DOCUMENT_MAX).map(|bundle: Bundle| bundle.envelopes).unwrap_or_default()),
        _ => (None, payloads(Reader(bytes))),
    };
    if let Some(held) = held {
        differ(&KNOWN.trust(), &held);
    }
    taken(&envelopes);
}

fn payloads(mut reader: Reader<'_>) -> Vec<Vec<u8>> {
    let mut envelopes = Vec::new();
    while !reader.is_empty() && envelopes.len() < 8 {
        let (payload_type, name, role) = match reader.byte() % 5 {
            0 => (CHARTER_TYPE, "secretariat", KeyRole::Charter),
            1 => (PROFILE_TYPE, "XA", KeyRole::Root),
            2 => (DIRECTORY_TYPE, "XA directory", KeyRole::Directory),
            3 => (HEAD_TYPE, "XA directory", KeyRole::Directory),
            _ => (SUSPENSION_TYPE, "XA", KeyRole::Root),
        };
        envelopes.push(signed(payload_type, name, role, reader.piece()));
    }
    envelopes
}

/// Whatever somebody claims to hold, what it lacks is ours, in order, and no more than there is.
fn differ(ours: &Trust, theirs: &RosterHeld) {
    let all = ours.lacking(&RosterHeld { charter: theirs.charter, ..RosterHeld::default() });
    let lacking = ours.lacking(theirs);
    assert!(lacking.is_sorted() && lacking.len() <= all.len(), "who holds something lacks no more for it");
    for lacked in &lacking {
        assert!(all.contains(lacked), "nothing is handed over that is not here");
        assert!(lacked.kind != Kind::Charter || lacked.version > theirs.charter);
    }
    assert_eq!(ours.lacking(&ours.held()), [], "who holds the same lacks nothing");
}

/// Documents one after another: what is refused changes nothing, what holds is what it claimed to be and is known then.
/// Gives how many hold.
fn taken(envelopes: &[Vec<u8>]) -> usize {
    let mut book = KNOWN.clone();
    let mut entered = 0;
    for envelope in envelopes {
        let named = claimed(envelope);
        let before = book.trust().held();
        let Ok(judged) = book.judge(envelope, NOW) else {
            assert_eq!(book.trust().held(), before);
            continue;
        };
        let named = named.expect("what is judged says what it is");
        let Some(judged) = judged else { continue };
        assert_eq!(*judged.document(), named);
        assert!(named.kind == Kind::Charter || !book.is_past(&named), "what is past is not news");
        assert!(book.enter(judged) != News::Known);
        entered += 1;
        assert!(book.judge(envelope, NOW).is_ok_and(|again| again.is_none()), "it is known from now on");
        let trust = book.trust();
        let told = trust.lacking(&before);
        let own = named.party.as_ref().and_then(|party| trust.own_directory(party)).map(|own| own.id());
        let is_told = told.iter().any(|lacked| lacked.kind == named.kind && lacked.party == named.party);
        assert!(is_told || (named.kind == Kind::Directory && own != Some(named.id)) || named.kind == Kind::Suspension);
    }
    let trust = book.trust();
    differ(&trust, &KNOWN.trust().held());
    assert_eq!(KNOWN.trust().lacking(&trust.held()), [], "who has taken something in lacks no more for it");
    entered
}

/// Not all kept inputs are refused: in one a directory and the head that names it hold, in one a head, a suspension and
/// the profile that ends it.
#[cfg(test)]
#[test]
fn what_is_handed_over_and_holds_is_taken() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/roster");
    for (name, holding) in [("known-directory-and-head", 2), ("known-head-stop-profile", 3)] {
        let input = std::fs::read(corpus.join(name)).expect("reads");
        let (_, bytes) = input.split_first().expect("not empty");
        assert_eq!(taken(&payloads(Reader(bytes))), holding, "{name}");
    }
}
