//! Exchanges between books in memory, and with somebody who says what he likes on the other end of the line.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use comity_core::{
    crypto::{HybridSigner, Seed, sha256},
    founding::{self, Founder, Office, RoleKeys},
    ids::{Digest, NetworkName, Time},
    profile::{Book, CHARTER_TYPE, Document, document_id},
    proto::{Algorithm, Envelope, KeyRole, PartyHeld},
};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::net::MESSAGE;

const START: Time = Time(1_760_000_000_000);
const PARTIES: [&str; 3] = ["XA", "XB", "XC"];
/// What a line holds between two who read: less than a large message.
const LINE: usize = 64 << 10;

fn code(text: &str) -> PartyCode {
    PartyCode::parse(text).expect("a code")
}

fn network() -> NetworkName {
    NetworkName::parse("test.comity.test").expect("a name")
}

fn seed(name: &str) -> Seed {
    Seed::new(*sha256(&[name.as_bytes()]).as_bytes())
}

fn root(name: &str, role: KeyRole) -> HybridSigner {
    HybridSigner::new(role, &seed(&format!("{name} a")), Algorithm::MlDsa65, &seed(&format!("{name} b"))).expect("keys")
}

fn charter() -> (Vec<u8>, Digest) {
    let secretariat = root("secretariat", KeyRole::Charter);
    let founder = |party: &str| Founder {
        code: code(party),
        name: party.to_owned(),
        root: root(party, KeyRole::Root).public().map(Clone::clone),
    };
    let founders = PARTIES.map(founder);
    let draft = founding::charter(&network(), true, secretariat.public(), &founders, &["BC"], START);
    let bytes = founding::sign_charter(&draft, &[&secretariat]).expect("signed");
    (bytes, document_id(CHARTER_TYPE, &draft.encode_to_vec()))
}

fn profile(party: &str, signer: &str) -> Vec<u8> {
    let office = Office {
        id: "central".into(),
        name: party.to_owned(),
        time_zone: "Europe/Zurich".into(),
        procedures: vec!["PRES".into()],
    };
    let keys = RoleKeys::from_seeds(|name| seed(&format!("{party} {name}"))).expect("keys");
    let keys = keys.public(&network(), &code(party)).expect("keys");
    let draft = founding::profile(&network(), &code(party), &[office], &["en"], &keys, START);
    founding::sign_profile(&draft, &[&root(signer, KeyRole::Root)]).expect("signed")
}

/// A book in memory, with all it has taken in, and a count of what it was given.
struct Library {
    us: PartyCode,
    book: Mutex<Book>,
    kept: Mutex<Vec<(Document, Vec<u8>)>>,
    judged: AtomicUsize,
    wrongs: Mutex<BTreeMap<&'static str, usize>>,
}

impl Library {
    /// One that knows the founding charter and the profiles of these Parties.
    fn of(us: &str, known: &[&str]) -> Self {
        let (charter, fingerprint) = charter();
        let library = Self {
            us: code(us),
            book: Mutex::new(Book::found(&charter, fingerprint).expect("a charter")),
            kept: Mutex::default(),
            judged: AtomicUsize::new(0),
            wrongs: Mutex::default(),
        };
        known.iter().for_each(|party| drop(library.accept(profile(party, party)).expect("holds")));
        library
    }

    fn accept(&self, envelope: Vec<u8>) -> Result<News, NotDone> {
        let taken = self.book.lock().unwrap_or_else(PoisonError::into_inner).accept(&envelope, START);
        let news =
            taken.map_err(|f| NotDone { code: f.code(), detail: f.to_string(), fields: Vec::new(), wanted: None })?;
        if news != News::Known {
            let document = claimed(&envelope).expect("well formed");
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push((document, envelope));
        }
        Ok(news)
    }
}

impl Holdings for Arc<Library> {
    fn trust(&self) -> Arc<Trust> {
        Arc::new(self.book.lock().unwrap_or_else(PoisonError::into_inner).trust())
    }

    fn us(&self) -> &PartyCode {
        &self.us
    }

    async fn fetch(&self, lacked: Vec<Lacked>, max: usize) -> (Vec<Vec<u8>>, usize) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (names, lacked) in lacked.iter().enumerate() {
            let same =
                |of: &Document| of.kind == lacked.kind && of.party == lacked.party && of.version == lacked.version;
            for (_, envelope) in kept.iter().filter(|(document, _)| same(document)) {
                bytes += envelope.len();
                if bytes > max {
                    return (found, names);
                }
                found.push(envelope.clone());
            }
        }
        (found, lacked.len())
    }

    async fn take(&self, envelope: Vec<u8>) -> Result<News, NotDone> {
        self.judged.fetch_add(1, Ordering::SeqCst);
        self.accept(envelope)
    }

    fn wrong(&self, _: &PartyCode, code: &'static str, _: Option<&[u8]>) {
        *self.wrongs.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }
}

impl Library {
    fn wrongs(&self) -> Vec<(&'static str, usize)> {
        self.wrongs.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter().collect()
    }

    fn judged(&self) -> usize {
        self.judged.load(Ordering::SeqCst)
    }

    fn profiles(&self) -> usize {
        let trust = self.book.lock().unwrap_or_else(PoisonError::into_inner).trust();
        PARTIES.iter().filter(|party| trust.profile(&code(party), START).is_some()).count()
    }
}

/// Serves a Party, or a stranger, and gives the other end of the line.
fn served(library: &Arc<Library>, party: Option<&str>) -> (DuplexStream, JoinHandle<()>) {
    let (here, there) = duplex(LINE);
    let (speaker, party) = (Speaker::new(Arc::clone(library)), party.map(code));
    (there, tokio::spawn(async move { speaker.serve(party, here).await }))
}

/// Asks somebody who answers every ask as he likes, and gives how often that was and what was offered to him.
async fn asked(
    library: &Arc<Library>,
    mut answer: impl FnMut(usize) -> RosterAnswer + Send + 'static,
) -> (usize, usize) {
    let (here, mut there) = duplex(LINE);
    let answering = tokio::spawn(async move {
        let (mut asks, mut offered) = (0, 0);
        while let Ok(Some(ask)) = receive::<RosterAsk>(&mut there, MESSAGE_MAX).await {
            asks += 1;
            offered += ask.offered.len();
            if send(&mut there, &answer(asks)).await.is_err() {
                break;
            }
        }
        (asks, offered)
    });
    Speaker::new(Arc::clone(library)).ask(&code("XB"), here, Vec::new()).await;
    answering.await.expect("answered")
}

/// An envelope of no kind there is.
fn unknown() -> Vec<u8> {
    Envelope { payload_type: "x".to_owned(), ..Envelope::default() }.encode_to_vec()
}

fn nothing() -> RosterHeld {
    RosterHeld { network: network().to_string(), charter: 1, parties: Vec::new() }
}

/// The next answer, if there is one.
async fn answer(line: &mut DuplexStream) -> Option<RosterAnswer> {
    receive(line, MESSAGE_MAX).await.ok().flatten()
}

/// [P-9]: whoever asks hands over what the other lacks, and is handed what it lacks itself.
#[tokio::test]
async fn after_an_exchange_both_hold_the_same() {
    let (arvia, belmar) = (Arc::new(Library::of("XA", &["XA"])), Arc::new(Library::of("XB", &["XB", "XC"])));
    let (line, serving) = served(&belmar, Some("XA"));
    Speaker::new(Arc::clone(&arvia)).ask(&code("XB"), line, Vec::new()).await;
    serving.await.expect("served");
    assert_eq!((arvia.profiles(), belmar.profiles()), (3, 3));
    assert_eq!((arvia.judged(), belmar.judged()), (2, 1), "nothing was handed over twice");
    assert_eq!((arvia.wrongs(), belmar.wrongs()), (vec![], vec![]));
}

/// [P-9]: what is no message of this network ends the exchange and counts against the Party.
#[tokio::test]
async fn what_breaks_the_protocol_ends_the_exchange_and_is_counted() {
    let other = RosterHeld { network: "other.comity.test".to_owned(), ..nothing() };
    let framed = |bytes: Vec<u8>| [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[..], &bytes].concat();
    let cases = [
        ("too long", u32::try_from(MESSAGE_MAX + 1).expect("fits").to_be_bytes().to_vec()),
        ("garbage", framed(b"\xff\xff\xff nothing of ours".to_vec())),
        ("nobody's network", framed(RosterAsk::default().encode_to_vec())),
        ("another network", framed(RosterAsk { held: Some(other), offered: Vec::new() }.encode_to_vec())),
    ];
    for (case, bytes) in cases {
        for party in [Some("XB"), None] {
            let arvia = Arc::new(Library::of("XA", &["XA"]));
            let (mut line, serving) = served(&arvia, party);
            line.write_all(&bytes).await.expect("written");
            assert_eq!(answer(&mut line).await, None, "{case}");
            serving.await.expect("served");
            let counted = if party.is_some() { vec![("roster.malformed", 1)] } else { vec![] };
            assert_eq!((arvia.wrongs(), arvia.judged()), (counted, 0), "{case}");
        }
    }
}

/// Who says nothing is left after a minute, a stranger after ten seconds; nobody is blamed for a bad line.
#[tokio::test(start_paused = true)]
async fn silence_ends_an_exchange() {
    let arvia = Arc::new(Library::of("XA", &["XA"]));
    for (party, after) in [(Some("XB"), MESSAGE), (None, VISIT)] {
        let began = Instant::now();
        let (_line, serving) = served(&arvia, party);
        serving.await.expect("served");
        assert!((after..after + Duration::from_secs(1)).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
    // The same when we ask, and when we show ourselves in a lobby.
    let (here, _there) = duplex(LINE);
    let began = Instant::now();
    Speaker::new(Arc::clone(&arvia)).ask(&code("XB"), here, Vec::new()).await;
    assert!(began.elapsed() >= MESSAGE);
    let (here, _there) = duplex(LINE);
    let began = Instant::now();
    Speaker::new(Arc::clone(&arvia)).introduce(&code("XB"), here).await;
    assert!((VISIT..MESSAGE).contains(&began.elapsed()));
    assert_eq!(arvia.wrongs(), []);
}

/// Whatever a peer claims to hold, in one exchange each document goes to it once.
#[tokio::test]
async fn who_claims_to_hold_nothing_is_handed_everything_once() {
    let arvia = Arc::new(Library::of("XA", &PARTIES));
    let (mut line, serving) = served(&arvia, Some("XB"));
    let mut handed = 0;
    for round in 0..ROUNDS_MAX {
        send(&mut line, &RosterAsk { held: Some(nothing()), offered: Vec::new() }).await.expect("sent");
        let answer = answer(&mut line).await.unwrap_or_else(|| panic!("an answer in round {round}"));
        handed += answer.envelopes.len();
    }
    assert_eq!(handed, PARTIES.len());
    // The rounds are over.
    let _ = send(&mut line, &RosterAsk { held: Some(nothing()), offered: Vec::new() }).await;
    assert_eq!(answer(&mut line).await, None);
    serving.await.expect("served");

    // And the other way round, also when it claims something else each time.
    let same = |_| RosterAnswer { held: Some(nothing()), envelopes: Vec::new() };
    assert_eq!(asked(&arvia, same).await, (2, PARTIES.len()));
    let other = |asks: usize| {
        let head_ms = asks as u64;
        let xa = PartyHeld { party: "XA".to_owned(), head_ms, ..PartyHeld::default() };
        RosterAnswer { held: Some(RosterHeld { parties: vec![xa], ..nothing() }), envelopes: Vec::new() }
    };
    assert_eq!(asked(&arvia, other).await, (2, PARTIES.len()));
}

/// What does not hold is judged so often and no more; what nobody honest hands over counts against its peer.
#[tokio::test]
async fn what_is_refused_again_and_again_is_bounded() {
    let forged = profile("XC", "XB");
    let arvia = Arc::new(Library::of("XA", &["XA", "XB"]));
    let again = forged.clone();
    let with = move |envelopes: Vec<Vec<u8>>| RosterAnswer { held: Some(nothing()), envelopes };
    let (asks, _) = asked(&arvia, move |_| with(vec![again.clone()])).await;
    assert_eq!((asks, arvia.judged()), (2, 2), "an answer that brings nothing ends the exchange");

    for (document, wrongs) in [(unknown(), vec![("profile.wrong-type", VAIN_MAX)]), (charter().0, vec![])] {
        let arvia = Arc::new(Library::of("XA", &["XA", "XB"]));
        let (mut line, serving) = served(&arvia, Some("XB"));
        let ask = RosterAsk { held: Some(nothing()), offered: vec![document; 100] };
        let mut answers = 0;
        while send(&mut line, &ask).await.is_ok() && answer(&mut line).await.is_some() {
            answers += 1;
        }
        serving.await.expect("served");
        assert_eq!((answers, arvia.judged(), arvia.wrongs()), (VAIN_MAX / 100, VAIN_MAX, wrongs));
    }

    // One that may be honest is only refused.
    let arvia = Arc::new(Library::of("XA", &["XA", "XB"]));
    let (mut line, serving) = served(&arvia, Some("XB"));
    let ask = RosterAsk { held: Some(nothing()), offered: vec![forged] };
    send(&mut line, &ask).await.expect("sent");
    assert!(answer(&mut line).await.is_some());
    drop(line);
    serving.await.expect("served");
    assert_eq!((arvia.wrongs(), arvia.profiles()), (vec![], 2));
}

/// [P-9]: a stranger may have sixteen documents judged in all, and learns of no Party; what holds of them is taken.
#[tokio::test]
async fn a_stranger_is_judged_sparingly_and_told_nothing_of_others() {
    let arvia = Arc::new(Library::of("XA", &["XA", "XB"]));
    let (mut line, serving) = served(&arvia, None);
    let mut offered = vec![profile("XC", "XC")];
    offered.resize(17, unknown());
    for _ in 0..2 {
        send(&mut line, &RosterAsk { held: Some(nothing()), offered: offered.clone() }).await.expect("sent");
        let answer = answer(&mut line).await.expect("an answer");
        assert_eq!(answer, RosterAnswer { held: Some(nothing()), envelopes: Vec::new() });
    }
    serving.await.expect("served");
    assert_eq!((arvia.judged(), arvia.profiles()), (16, 3));
    assert_eq!(arvia.wrongs(), [], "a stranger is nobody to be counted against");

    // 256 KiB are for both asks together.
    let arvia = Arc::new(Library::of("XA", &["XA"]));
    let (mut line, serving) = served(&arvia, None);
    let ask = RosterAsk { held: Some(nothing()), offered: vec![vec![0; 150 << 10]] };
    send(&mut line, &ask).await.expect("sent");
    assert!(answer(&mut line).await.is_some());
    let _ = send(&mut line, &ask).await;
    assert_eq!(answer(&mut line).await, None);
    serving.await.expect("served");
    assert_eq!(arvia.judged(), 1);
}

/// [P-9]: who shows itself in a lobby hands over its own documents and nobody else's.
#[tokio::test]
async fn who_introduces_itself_shows_what_is_its_own() {
    let arvia = Arc::new(Library::of("XA", &["XA"]));
    let corvia = Arc::new(Library::of("XC", &PARTIES));
    let (line, serving) = served(&arvia, None);
    Speaker::new(Arc::clone(&corvia)).introduce(&code("XA"), line).await;
    serving.await.expect("served");
    assert_eq!((arvia.judged(), arvia.profiles()), (1, 2));
    assert!(arvia.trust().declared(&code("XC")).is_some() && arvia.trust().declared(&code("XB")).is_none());
}
