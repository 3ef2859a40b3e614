//! All that is known of charter and Parties, made again at each start.
//!
//! The ledger holds every document that was accepted, with the time it was seen; heads, which prove nothing lasting, lie
//! on the desk. The files under `charter/` are how the first documents come: the charter under the pinned fingerprint and
//! whatever lies beside it. What is new among them is appended before the node runs; what is older than what
//! the ledger holds is passed over, since files stay where they were put. Start with [`open`].

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use comity_core::{
    ids::{Digest, PartyCode, Time},
    index::Index,
    ledger::{Appended, Checkpoint},
    profile::{Book, Document, Judged, Kind, ProfileFault, Trust, claimed},
    proto::{self, RecordKind},
    record::{Moment, Record, document, document_envelope},
    rules::Rules,
    wire::{DOCUMENT_MAX, strict},
};
use tracing::{info, warn};

use crate::{
    backup::Restored,
    roster::HEAD_PREFIX,
    store::{Desk, Ledger, Pending, SledPairs},
};

use super::{StartFault, follow_on, restored};

/// The charter within the data folder.
pub const CHARTER_FILE: &str = "charter/charter.dsse";
/// The profiles within the data folder, one file per Party.
pub const PROFILES_FOLDER: &str = "charter/profiles";
/// Where all documents lie that came as files.
const FOLDER: &str = "charter";

/// Why charter and profiles are not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// A file is missing or cannot be read.
    #[error(
        "trust.unreadable: the node does not start; {path} cannot be read; restore it from the founding kit; {source}"
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A document does not hold.
    #[error("{code}: the node does not start; {path}: {source}", code = source.code())]
    Document {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ProfileFault,
    },
    /// The own profile is missing.
    #[error(
        "trust.no-own-profile: the node does not start; there is no current profile of {0}; put it into charter/profiles"
    )]
    NoOwnProfile(PartyCode),
    /// The own profile names a ledger that begins with something else than what is here.
    #[error(
        "ledger.not-the-successor: the node does not start; the profile names {}, which begins with {} records under root {}; \
         here are {size} under {root}. Restore the copy that profile was signed for, or sign one for what is here",
        .named.origin, .named.size, .named.root
    )]
    NotTheSuccessor {
        /// What the profile names.
        named: Box<Checkpoint>,
        /// Records here.
        size: u64,
        /// The root over them.
        root: Digest,
    },
}

impl TrustFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "trust.unreadable",
            Self::Document { source, .. } => source.code(),
            Self::NoOwnProfile(_) => "trust.no-own-profile",
            Self::NotTheSuccessor { .. } => "ledger.not-the-successor",
        }
    }
}

/// Where documents come from and go to before a node runs.
pub(super) struct Shelves<'s> {
    pub(super) data: &'s Path,
    pub(super) ledger: &'s Ledger,
    pub(super) index: &'s mut Index<SledPairs>,
    pub(super) desk: &'s Desk,
    pub(super) rules: &'s Rules,
    pub(super) us: &'s PartyCode,
    /// What the folder says of itself if it was put back from a backup.
    pub(super) restored: Option<&'s Restored>,
}

/// Reads the charter under the pinned fingerprint, then what ledger, desk and files say of it and of its Parties.
///
/// # Errors
/// When a file cannot be read or a document does not hold.
pub(super) fn open(shelves: &mut Shelves<'_>, fingerprint: Digest, now: Time) -> Result<Book, StartFault> {
    let path = shelves.data.join(CHARTER_FILE);
    let pinned = read(&path)?;
    let mut book = Book::found(&pinned, fingerprint).map_err(|source| fault(&path, source))?;
    resume(shelves, &mut book)?;
    let fresh = take_files(shelves, &mut book, &pinned, now)?;
    heads(shelves.desk, &mut book);
    restored::hold_back(shelves, &book);
    append(shelves, fresh)?;
    Ok(book)
}

/// What the files alone say: for commands beside a node that is stopped. A running node keeps the newest of each there.
///
/// What lies there it accepted when it came, and that stays ([P-8]): a charter counts from its own date, and a profile that
/// holds under an earlier charter, or came before the charter expired, holds still. Only for this folder, which
/// is the node's own: from anybody else it would be a way to pass on what stolen keys signed after they were replaced.
///
/// # Errors
/// When a file cannot be read or a document does not hold.
pub fn load(data: &Path, fingerprint: Digest, now: Time) -> Result<Trust, TrustFault> {
    let path = data.join(CHARTER_FILE);
    let mut book = Book::found(&read(&path)?, fingerprint).map_err(|source| fault(&path, source))?;
    let (charters, mut others): (Vec<_>, Vec<_>) =
        files(&data.join(FOLDER))?.into_iter().partition(|(_, named, _)| named.kind == Kind::Charter);
    for (path, _, envelope) in charters {
        others.retain(|(_, named, envelope)| {
            named.kind != Kind::Profile || book.is_past(named) || book.resume(envelope, now).is_err()
        });
        book.accept(&envelope, issued(&envelope).min(now)).map_err(|source| fault(&path, source))?;
    }
    for (path, named, envelope) in others {
        if named.kind == Kind::Profile && book.is_past(&named) {
            continue;
        }
        match book.resume(&envelope, now) {
            Err(source) if is_of_before(&named, &source) => {}
            resumed => drop(resumed.map_err(|source| fault(&path, source))?),
        }
    }
    Ok(book.trust())
}

/// When a charter was issued, as it says.
fn issued(envelope: &[u8]) -> Time {
    let charter = strict::<proto::Envelope>(envelope, DOCUMENT_MAX)
        .and_then(|envelope| strict::<proto::Charter>(&envelope.header, DOCUMENT_MAX));
    charter.map_or(Time(0), |charter| Time(charter.issued_ms))
}

/// What was in force once lies there until its next version comes: a later profile has ended it.
fn is_of_before(named: &Document, fault: &ProfileFault) -> bool {
    match named.kind {
        Kind::Suspension => matches!(fault, ProfileFault::Older | ProfileFault::OtherProfile),
        Kind::Directory => {
            matches!(fault, ProfileFault::Older | ProfileFault::OtherProfile | ProfileFault::NotDirectoryKey)
        }
        Kind::Charter | Kind::Profile | Kind::Head => false,
    }
}

/// What the ledger holds was accepted once. A record that no longer reads is the ledger's trouble, and told there.
fn resume(shelves: &Shelves<'_>, book: &mut Book) -> Result<(), StartFault> {
    for index in shelves.index.standing_documents()? {
        let record = match shelves.ledger.read(index) {
            Err(fault) if shelves.ledger.read_only().is_some() => {
                warn!(target: "runtime", code = fault.code(), record = index.0, "a document does not read");
                continue;
            }
            other => other?,
        };
        let Some(envelope) = record.case.as_ref().and_then(document_envelope) else { continue };
        if let Err(fault) = book.resume(&envelope, Time(record.node.recorded_ms)) {
            warn!(target: "runtime", code = fault.code(), record = index.0, "a document no longer holds");
        }
    }
    Ok(())
}

/// Takes in what is new among the files, and gives what is to be appended of it.
fn take_files(shelves: &Shelves<'_>, book: &mut Book, pinned: &[u8], now: Time) -> Result<Vec<Record>, StartFault> {
    let recorded = shelves.index.applied()?.1.max(now);
    let mut fresh = Vec::new();
    let pinned_at = |source| fault(&shelves.data.join(CHARTER_FILE), source);
    let first = claimed(pinned).map_err(pinned_at)?;
    if shelves.index.documents(Kind::Charter, None, first.version, false)?.is_empty() {
        fresh.push(record(book, RecordKind::RosterChange, &first, pinned, recorded).map_err(pinned_at)?);
    }
    for (path, named, envelope) in files(&shelves.data.join(FOLDER))? {
        if book.is_past(&named) {
            continue;
        }
        let at = |source| fault(&path, source);
        let judged = match book.judge(&envelope, recorded) {
            Err(source) if is_of_before(&named, &source) => None,
            judged => judged.map_err(at)?,
        };
        let Some(judged) = judged else { continue };
        if succeeds(shelves, &judged)? {
            // First of all: it says with what this ledger begins.
            fresh.insert(0, record(book, RecordKind::Succession, &named, &envelope, recorded).map_err(at)?);
        } else {
            fresh.push(record(book, RecordKind::RosterChange, &named, &envelope, recorded).map_err(at)?);
        }
        book.enter(judged);
    }
    Ok(fresh)
}

/// Whether a profile of our own names what is here as the beginning of a ledger in the place of the one that was written.
fn succeeds(shelves: &Shelves<'_>, judged: &Judged) -> Result<bool, StartFault> {
    let Some(profile) = judged.profile().filter(|profile| profile.party == *shelves.us) else { return Ok(false) };
    let beginning = profile.ledger().beginning();
    let Some(named) =
        beginning.filter(|_| shelves.index.ledgers(shelves.us).is_ok_and(|known| known < profile.ledger_number()))
    else {
        return Ok(false);
    };
    let (size, root) = (shelves.ledger.size(), shelves.ledger.root_at(shelves.ledger.size())?);
    if (named.size, named.root) == (size, root) {
        info!(target: "runtime", origin = %named.origin, size, "the ledger goes on under another name");
        return Ok(true);
    }
    Err(TrustFault::NotTheSuccessor { named: Box::new(named), size, root }.into())
}

fn record(
    book: &Book,
    kind: RecordKind,
    named: &Document,
    envelope: &[u8],
    recorded: Time,
) -> Result<Record, ProfileFault> {
    let trust = book.trust();
    let moment = Moment { trust: &trust, recorded, salt: crate::store::random() };
    Ok(document(&moment, kind, named, envelope)?)
}

/// What cannot be recorded now, on a full or damaged disk, is in its file still and is recorded at a later start.
pub(super) fn append(shelves: &mut Shelves<'_>, fresh: Vec<Record>) -> Result<(), StartFault> {
    if fresh.is_empty() || shelves.ledger.read_only().is_some() {
        return Ok(());
    }
    let kept: Vec<_> = fresh.iter().map(|record| (record.kind, record.node.clone(), record.case.clone())).collect();
    let appended = shelves.ledger.append(fresh).and_then(Pending::wait);
    let tokens: Vec<Appended> = match appended {
        Ok(committed) => committed.appended().collect(),
        Err(fault) if fault.is_fatal() => return Err(fault.into()),
        Err(fault) => {
            warn!(target: "runtime", code = fault.code(), "what is new at this start is not recorded yet");
            return Ok(());
        }
    };
    info!(target: "runtime", records = tokens.len(), "what is new at this start is recorded");
    for ((kind, node, case), appended) in kept.iter().zip(tokens) {
        follow_on(shelves.index, appended.index(), *kind, node, case, shelves.rules)?;
    }
    Ok(())
}

/// A head whose key was turned since says nothing any more: the next one does.
fn heads(desk: &Desk, book: &mut Book) {
    for (_, value) in desk.range(HEAD_PREFIX) {
        let Some((seen, envelope)) = value.split_first_chunk::<8>() else { continue };
        if let Err(fault) = book.accept(envelope, Time(u64::from_be_bytes(*seen))) {
            info!(target: "runtime", code = fault.code(), "a head kept earlier says nothing any more");
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TrustFault> {
    fs::read(path).map_err(|source| TrustFault::Unreadable { path: path.to_owned(), source })
}

fn fault(path: &Path, source: ProfileFault) -> TrustFault {
    TrustFault::Document { path: path.to_owned(), source }
}

/// Every document under a folder, those first on which others rest.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Document, Vec<u8>)>, TrustFault> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let unreadable = |source| TrustFault::Unreadable { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "dsse") {
                let envelope = read(&path)?;
                let named = claimed(&envelope).map_err(|source| fault(&path, source))?;
                // A head is out of date tomorrow: the peers have a newer one.
                if named.kind != Kind::Head {
                    found.push((path, named, envelope));
                }
            }
        }
    }
    found.sort_by(|a, b| (a.1.kind, &a.1.party, a.1.version, &a.0).cmp(&(b.1.kind, &b.1.party, b.1.version, &b.0)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use comity_core::{
        crypto::{HybridSigner, Seed, sha256},
        founding::{self, Founder},
        ids::NetworkName,
        profile::{CHARTER_TYPE, document_id},
        proto::{Algorithm, KeyRole},
    };
    use prost::Message as _;

    use super::*;

    const START: Time = Time(1_760_000_000_000);

    fn signer(name: &str, role: KeyRole) -> HybridSigner {
        let seed = |half| Seed::new(*sha256(&[name.as_bytes(), half]).as_bytes());
        HybridSigner::new(role, &seed(b"a"), Algorithm::MlDsa65, &seed(b"b")).expect("keys")
    }

    /// A folder with two charters, of which the second changes Arvia's root keys, and a profile somebody signed.
    fn folder(profile_by: &HybridSigner) -> (tempfile::TempDir, Digest) {
        let (network, code) = (NetworkName::parse("test.comity.test"), PartyCode::parse("XA"));
        let (network, code) = (network.expect("a name"), code.expect("a code"));
        let (officer, old) = (signer("officer", KeyRole::Charter), signer("old", KeyRole::Root));
        let charter = |root: &HybridSigner| {
            let founder = Founder { code: code.clone(), name: "Arvia".into(), root: root.public().map(Clone::clone) };
            founding::charter(&network, true, officer.public(), &[founder], &["BC"], START)
        };
        let keys = founding::PublicRoleKeys { keys: Vec::new(), node: None };
        let profile = founding::profile(&network, &code, &[], &["en"], &keys, START);

        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, bytes: Vec<u8>| {
            let path = folder.path().join("charter").join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        };
        let (one, mut two) = (charter(&old), charter(&signer("new", KeyRole::Root)));
        let first = document_id(CHARTER_TYPE, &one.encode_to_vec());
        (two.version, two.previous) = (2, first.as_bytes().to_vec());
        put("charter.dsse", founding::sign_charter(&one, &[&officer]).expect("signed"));
        put("charters/000002.dsse", founding::sign_charter(&two, &[&officer, &old]).expect("signed"));
        put("profiles/XA.dsse", founding::sign_profile(&profile, &[profile_by]).expect("signed"));
        (folder, first)
    }

    /// [P-8]: what was accepted stays when a Party's root keys change, also for who only has the files.
    #[test]
    fn a_profile_that_held_stays_when_its_root_keys_have_changed() {
        let profile_of = |by: &str| {
            let (folder, fingerprint) = folder(&signer(by, KeyRole::Root));
            let trust = load(folder.path(), fingerprint, START)?;
            let party = PartyCode::parse("XA").expect("a code");
            Ok((trust.charter().version, trust.declared(&party).map(|profile| profile.version)))
        };
        for by in ["old", "new"] {
            assert_eq!(profile_of(by).map_err(|fault: TrustFault| fault.code()), Ok((2, Some(1))), "signed by {by}");
        }
        let (folder, fingerprint) = folder(&signer("new", KeyRole::Root));
        let expired = START.plus_ms(5 * 365 * 86_400_000);
        let trust = load(folder.path(), fingerprint, expired).expect("what came before the expiry holds");
        assert!(trust.declared(&PartyCode::parse("XA").expect("a code")).is_some());
        let refused = profile_of("stranger").expect_err("of nobody");
        assert_eq!(refused.code(), "profile.threshold-not-met");
    }
}
