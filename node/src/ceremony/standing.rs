//! Where a document stands: whose signatures count for it, who has signed, and whether it is complete.
//!
//! Counted here for people; whether it holds is what core says when it opens it.

use std::collections::BTreeSet;

use comity_core::{
    ids::{KeyId, PartyCode, Time},
    profile::{Charter, Directory, Head, Profile, ProfileFault, Quorum, SignerFault, Signers, Suspension},
    proto::{self, KeyRole, Signature},
};

use super::{Beside, CeremonyFault, Document, Paper, beside::signers_of, holder::mark};

/// For what a quorum's signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The charter's own signers.
    Signers,
    /// Those of the version before.
    Before,
    /// A Party, for a change of its root keys.
    Consent(PartyCode),
    /// A Party in the place of signers whose charter has expired.
    Party(PartyCode),
    /// A Party's root keys, for its profile.
    Root(PartyCode),
    /// Any one of a Party's root keys, for its suspension.
    Brake(PartyCode),
}

/// A quorum and how many of it are needed.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) part: Part,
    pub(crate) quorum: Quorum,
    pub(crate) needed: usize,
}

/// Whether a document is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It counts. Root keys of these Parties change without them.
    Holds(BTreeSet<PartyCode>),
    /// Signatures are missing.
    Incomplete,
    /// It has a version before it, which was not given: who else must sign is not known.
    NotKnown,
}

/// Who has signed a document.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) seats: Vec<Seat>,
    signers: Option<Signers>,
    pub(crate) outcome: Outcome,
    /// Signatures of keys that cannot be told without the version before.
    pub(crate) unknown: usize,
}

impl Standing {
    /// Checks the document and counts its signatures.
    ///
    /// # Errors
    /// When its content or any signature in it does not hold, or something it is judged beside was not given.
    pub(crate) fn of(document: &Document, beside: &Beside) -> Result<Self, CeremonyFault> {
        beside.check(document)?;
        let seats = seats(document, beside)?;
        let alone = is_alone(document, beside);
        let known = known(document, beside, &seats)?;
        let readable = if alone { document.only(|key| is_of(&known, key)) } else { document.clone() };
        let unknown = document.signatures.len() - readable.signatures.len();
        let signers = match &document.paper {
            // Signed by one pair of keys that need not have been declared together: opening tells.
            Paper::Directory(_) | Paper::Head(_) => None,
            Paper::Charter(_) | Paper::Profile(_) | Paper::Suspension(_) => {
                let signers = Signers::of(&readable.id(), &readable.signatures, &known);
                Some(signers.map_err(|fault| wrong(document, fault))?)
            }
        };
        let outcome = if alone { Outcome::NotKnown } else { outcome(document, beside)? };
        Ok(Self { seats, signers, outcome, unknown })
    }

    /// True if this holder has signed.
    pub(crate) fn has(&self, pair: &[KeyId; 2]) -> bool {
        self.signers.as_ref().is_some_and(|signers| signers.holds(pair))
    }

    /// How many of a seat have signed.
    pub(crate) fn count(&self, seat: &Seat) -> usize {
        seat.quorum.holders().iter().filter(|pair| self.has(pair)).count()
    }

    /// True if enough of a seat have signed.
    pub(crate) fn met(&self, seat: &Seat) -> bool {
        self.count(seat) >= seat.needed
    }

    /// True if this holder's signature would count for something.
    pub(crate) fn may_sign(&self, pair: &[KeyId; 2]) -> bool {
        self.seats.iter().any(|seat| seat.quorum.holders().contains(pair))
    }

    /// Parties whose root keys would change without them, as it stands.
    pub(crate) fn without_consent(&self) -> impl Iterator<Item = &PartyCode> {
        let open = self.seats.iter().filter(|seat| !self.met(seat));
        open.filter_map(|seat| match &seat.part {
            Part::Consent(party) => Some(party),
            Part::Signers | Part::Before | Part::Party(_) | Part::Root(_) | Part::Brake(_) => None,
        })
    }
}

/// A later charter without the one before it.
pub(super) fn is_alone(document: &Document, beside: &Beside) -> bool {
    matches!(&document.paper, Paper::Charter(wire) if wire.version > 1) && beside.charter_before().is_none()
}

fn seats(document: &Document, beside: &Beside) -> Result<Vec<Seat>, CeremonyFault> {
    let seat = |part, quorum: Quorum| Seat { part, needed: quorum.threshold(), quorum };
    let root = |party: &str| {
        let named = PartyCode::parse(party).ok();
        let found = named.and_then(|code| {
            let root = beside.charter(document.paper.kind()).ok()?.parties().get(&code)?.root_at(beside.now).clone();
            Some((code, root))
        });
        found.ok_or_else(|| document.fault(ProfileFault::NotChartered))
    };
    Ok(match &document.paper {
        Paper::Charter(wire) => {
            let own = signers_of(document)?;
            let mut seats = Vec::new();
            if let Some(before) = beside.charter_before() {
                let old = (*before.signers() != own).then(|| seat(Part::Before, before.signers().clone()));
                seats.extend(old);
                seats.extend(parties(before, wire, beside.now)?.into_iter().map(|(part, quorum)| seat(part, quorum)));
            }
            seats.insert(0, seat(Part::Signers, own));
            seats
        }
        Paper::Profile(wire) => {
            let (code, quorum) = root(&wire.party)?;
            vec![seat(Part::Root(code), quorum)]
        }
        Paper::Suspension(wire) => {
            let (code, quorum) = root(&wire.party)?;
            vec![Seat { part: Part::Brake(code), quorum, needed: 1 }]
        }
        Paper::Directory(_) | Paper::Head(_) => Vec::new(),
    })
}

/// Parties whose agreement matters: to a change of their root keys, and to everything once the charter has expired.
fn parties(before: &Charter, wire: &proto::Charter, now: Time) -> Result<Vec<(Part, Quorum)>, CeremonyFault> {
    let mut seats = Vec::new();
    let expired = before.expires <= now && before.expires.0 <= wire.issued_ms;
    for (code, party) in before.parties() {
        let (root, next) = (party.root_at(now), wire.parties.iter().find(|next| next.code == code.as_str()));
        let next = next.and_then(|next| Quorum::from_wire(next.root.as_ref()?, KeyRole::Root).ok());
        if next.is_some_and(|next| next != *root) {
            seats.push((Part::Consent(code.clone()), root.clone()));
        } else if expired && party.takes_part(now) {
            seats.push((Part::Party(code.clone()), root.clone()));
        }
    }
    Ok(seats)
}

/// Everybody whose signature may stand on the document ([C-5] for charters).
fn known(document: &Document, beside: &Beside, seats: &[Seat]) -> Result<Vec<Quorum>, CeremonyFault> {
    let mut known: Vec<Quorum> = seats.iter().map(|seat| seat.quorum.clone()).collect();
    if let (Paper::Charter(_), Some(before)) = (&document.paper, beside.charter_before()) {
        known.push(before.signers().clone());
        known.extend(before.parties().values().map(|party| party.root_at(beside.now).clone()));
    }
    Ok(known)
}

fn is_of(quorums: &[Quorum], key: &[u8]) -> bool {
    quorums.iter().flat_map(|quorum| quorum.holders()).flatten().any(|id| id.as_bytes() == key)
}

/// What core says of it.
fn outcome(document: &Document, beside: &Beside) -> Result<Outcome, CeremonyFault> {
    let (envelope, now, kind) = (document.envelope(), beside.now, document.paper.kind());
    let opened = match &document.paper {
        Paper::Charter(_) => match beside.charter_before() {
            Some(before) => before.next(&envelope, now).map(|next| next.refounded),
            None => Charter::open(&envelope, document.id()).map(|_| BTreeSet::new()),
        },
        Paper::Profile(_) => Profile::open(&envelope, beside.charter(kind)?, now).map(|_| BTreeSet::new()),
        Paper::Suspension(_) => Suspension::open(&envelope, beside.charter(kind)?, now).map(|_| BTreeSet::new()),
        Paper::Directory(_) => Directory::open(&envelope, beside.profile(kind)?, now).map(|_| BTreeSet::new()),
        Paper::Head(_) => Head::open(&envelope, beside.profile(kind)?, now).map(|_| BTreeSet::new()),
    };
    match opened {
        Ok(refounded) => Ok(Outcome::Holds(refounded)),
        Err(ProfileFault::Threshold) => Ok(Outcome::Incomplete),
        Err(ProfileFault::NotDirectoryKey) if document.signatures.is_empty() => Ok(Outcome::Incomplete),
        Err(source) => Err(document.fault(source)),
    }
}

fn wrong(document: &Document, fault: SignerFault) -> CeremonyFault {
    let path = document.path.clone();
    match fault {
        SignerFault::Order => CeremonyFault::Disordered(path),
        SignerFault::Wrong(pair) => CeremonyFault::BadSignature { path, key: mark(&pair) },
        SignerFault::Half(key) => CeremonyFault::Half { path, key: key.short() },
        SignerFault::Stranger(key) => CeremonyFault::Stranger { path, key: key.short() },
    }
}

/// The ids of the keys that signed, for whoever compares.
pub(super) fn key_ids(signatures: &[Signature]) -> Vec<KeyId> {
    signatures.iter().filter_map(|signature| KeyId::from_slice(&signature.key_id).ok()).collect()
}
