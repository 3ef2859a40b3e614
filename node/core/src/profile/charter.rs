//! The charter: who is a Party, what binds whom, which suites are allowed. Serves SPEC `[C-1]` to `[C-3]`.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use prost::Message as _;

use super::{CHARTER_TYPE, Opened, ProfileFault, Quorum, WITNESSES_MAX, document_id, names_the_one_before, read};
use crate::{
    ids::{DAY_MS, Digest, NetworkName, PartyCode, Time},
    proto::{self, KeyRole},
    wire::{ascending, showable},
};

/// One Party as the charter names it.
#[derive(Debug, Clone)]
pub struct Party {
    /// Its name in the charter's language.
    pub name: String,
    /// Whose signatures its profiles need, once they are in force.
    pub(super) root: Arc<Quorum>,
    /// The keys in force before those, until when, where the Party did not agree to the change.
    pub(super) waiting: Option<(Arc<Quorum>, Time)>,
    joined: Time,
    suspended: Option<Time>,
    withdrawn: Option<Time>,
}

impl Party {
    /// Whose signatures count for the Party at this time (SPEC `[C-6]`).
    #[must_use]
    pub fn root_at(&self, at: Time) -> &Quorum {
        self.counting(at)
    }

    pub(super) fn counting(&self, at: Time) -> &Arc<Quorum> {
        self.waiting.as_ref().filter(|(_, until)| at < *until).map_or(&self.root, |(before, _)| before)
    }

    /// When root keys take or took effect that the Party did not agree to; none if it agreed to those it has.
    #[must_use]
    pub fn refounded(&self) -> Option<Time> {
        self.waiting.as_ref().map(|(_, until)| *until)
    }

    /// True if the Party takes part at this time: joined, not suspended, not withdrawn.
    #[must_use]
    pub fn takes_part(&self, at: Time) -> bool {
        self.joined <= at && self.suspended.is_none_or(|from| at < from) && self.withdrawn.is_none_or(|from| at < from)
    }

    /// The dates on which it begins or ceases to take part, or other root keys count for it.
    pub(super) fn dates(&self) -> impl Iterator<Item = Time> {
        [self.joined].into_iter().chain(self.suspended).chain(self.withdrawn).chain(self.refounded())
    }

    /// From when on the charter suspends it, and from when on it is withdrawn.
    #[must_use]
    pub fn leaves(&self) -> (Option<Time>, Option<Time>) {
        (self.suspended, self.withdrawn)
    }

    /// When it joined.
    #[must_use]
    pub fn joined(&self) -> Time {
        self.joined
    }
}

/// The founding document of a network, read and checked.
///
/// Versions of one chain have in common what did not change between them, so that all of them fit in memory.
#[derive(Debug, Clone)]
pub struct Charter {
    /// The network's name.
    pub network: NetworkName,
    /// True when nothing here has legal effect.
    pub exercise: bool,
    /// Strictly increasing from 1.
    pub version: u64,
    /// When it was issued, as it says.
    pub(super) issued: Time,
    /// After this no new Party or key role is accepted.
    pub expires: Time,
    /// Until then existing exchange goes on, marked.
    pub lapses: Time,
    pub(super) id: Digest,
    pub(super) signers: Quorum,
    pub(super) parties: BTreeMap<PartyCode, Party>,
    pub(super) instruments: Vec<Arc<proto::InstrumentStatus>>,
    exceptions: Vec<Arc<proto::PairException>>,
    suites: Vec<proto::SuiteDates>,
    witnesses: Vec<Arc<proto::WitnessDuty>>,
}

impl Charter {
    /// Reads an envelope, checks the signers' threshold and the pinned fingerprint (SPEC `[C-2]`).
    ///
    /// # Errors
    /// When anything about it is not as a charter must be.
    pub fn open(envelope: &[u8], fingerprint: Digest) -> Result<Self, ProfileFault> {
        let Opened { wire, id, signatures } = read(envelope, CHARTER_TYPE, "charter")?;
        if id != fingerprint {
            return Err(ProfileFault::Fingerprint);
        }
        let signers = signers(&wire)?;
        let mut signatures = signatures;
        if wire.version > 1 {
            signatures.retain(|signature| signers.knows(&signature.key_id));
        }
        if !signers.signed(&id, &signatures) {
            return Err(ProfileFault::Threshold);
        }
        Self::from_wire(wire, id, signers, None)
    }

    /// Checks what can be checked of a charter before anybody has signed it (SPEC `[C-3]`).
    ///
    /// # Errors
    /// When its content is not as it must be.
    pub fn check(wire: &proto::Charter) -> Result<(), ProfileFault> {
        let id = document_id(CHARTER_TYPE, &wire.encode_to_vec());
        Self::from_wire(wire.clone(), id, signers(wire)?, None).map(|_| ())
    }

    /// What is as in the version before is taken from there.
    pub(super) fn from_wire(
        wire: proto::Charter,
        id: Digest,
        signers: Quorum,
        before: Option<&Self>,
    ) -> Result<Self, ProfileFault> {
        if !names_the_one_before(wire.version, &wire.previous) {
            return Err(ProfileFault::Content("a charter starts at version 1 and names the version before it"));
        }
        let rising = ascending(wire.parties.iter().map(|party| &party.code))
            && ascending(wire.instruments.iter().map(|row| (&row.instrument, &row.party)))
            && ascending(wire.exceptions.iter().map(|row| (&row.instrument, &row.party_a, &row.party_b)))
            && ascending(wire.suites.iter().map(|suite| suite.id))
            && ascending(wire.witnesses.iter().map(|duty| &duty.party));
        if wire.expires_ms <= wire.issued_ms {
            return Err(ProfileFault::Content("a charter must expire after it was issued"));
        }
        if !rising {
            return Err(ProfileFault::Content("the lists of a charter must rise and not repeat"));
        }
        let parties = wire.parties.iter().map(|party| read_party(party, before));
        let parties = parties.collect::<Result<BTreeMap<_, _>, _>>()?;
        check_rows(&wire, &parties)?;
        Ok(Self {
            network: NetworkName::parse(&wire.network)?,
            exercise: wire.exercise,
            version: wire.version,
            issued: Time(wire.issued_ms),
            expires: Time(wire.expires_ms),
            lapses: Time(wire.expires_ms).plus_ms(u64::from(wire.grace_days) * DAY_MS),
            signers,
            id,
            parties,
            instruments: shared(wire.instruments, before.map(|before| &before.instruments[..]), |a, b| {
                (&a.instrument, &a.party).cmp(&(&b.instrument, &b.party))
            }),
            exceptions: shared(wire.exceptions, before.map(|before| &before.exceptions[..]), |a, b| {
                (&a.instrument, &a.party_a, &a.party_b).cmp(&(&b.instrument, &b.party_a, &b.party_b))
            }),
            suites: wire.suites,
            witnesses: shared(wire.witnesses, before.map(|before| &before.witnesses[..]), |a, b| a.party.cmp(&b.party)),
        })
    }

    /// The document id: the fingerprint people compare.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Who signs charters.
    #[must_use]
    pub fn signers(&self) -> &Quorum {
        &self.signers
    }

    /// The Parties by code.
    #[must_use]
    pub fn parties(&self) -> &BTreeMap<PartyCode, Party> {
        &self.parties
    }

    /// True if events may be signed and sealed with this suite at this time.
    #[must_use]
    pub fn allows_suite(&self, id: u32, at: Time) -> bool {
        let in_force = |row: &proto::SuiteDates| row.from_ms <= at.0 && (row.until_ms == 0 || at.0 < row.until_ms);
        self.suites.iter().any(|row| row.id == id && in_force(row))
    }

    /// The status of an instrument for a Party.
    pub fn instrument(&self, instrument: &str, party: &PartyCode) -> Option<&proto::InstrumentStatus> {
        let place = self
            .instruments
            .binary_search_by(|row| (row.instrument.as_str(), row.party.as_str()).cmp(&(instrument, party.as_str())));
        place.ok().map(|place| &*self.instruments[place])
    }

    /// Who witnesses the ledgers of a Party, and how many of them must ([`witness_quorum`]). Nobody and 0 where none is
    /// assigned.
    #[must_use]
    pub fn witnesses(&self, party: &PartyCode) -> (Vec<PartyCode>, usize) {
        let place = self.witnesses.binary_search_by(|row| row.party.as_str().cmp(party.as_str()));
        let Ok(place) = place else { return (Vec::new(), 0) };
        let duty = &self.witnesses[place];
        (duty.witnesses.iter().filter_map(|code| PartyCode::parse(code).ok()).collect(), witness_quorum(duty))
    }

    /// The reservations and declarations the charter records for a Party, of every instrument.
    pub fn reservations<'c>(&'c self, party: &'c PartyCode) -> impl Iterator<Item = &'c String> {
        let own = self.instruments.iter().filter(|row| row.party == party.as_str());
        own.flat_map(|row| row.reservations.iter().chain(&row.declarations))
    }

    /// True if the instrument binds both Parties towards each other at this time.
    #[must_use]
    pub fn binds(&self, instrument: &str, one: &PartyCode, other: &PartyCode, at: Time) -> bool {
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        let in_force = |party| {
            self.instrument(instrument, party)
                .is_some_and(|row| row.in_force_ms <= at.0 && (row.until_ms == 0 || at.0 < row.until_ms))
        };
        let excepted = self.exceptions.iter().any(|row| {
            row.instrument == instrument
                && row.party_a == low.as_str()
                && row.party_b == high.as_str()
                && (row.in_force_ms == 0 || at.0 < row.in_force_ms)
        });
        in_force(one) && in_force(other) && !excepted
    }
}

/// Who signs charters, as this one says.
pub(super) fn signers(wire: &proto::Charter) -> Result<Quorum, ProfileFault> {
    let signers = wire.signers.as_ref().ok_or(ProfileFault::Content("a charter must name its signers"))?;
    Quorum::from_wire(signers, KeyRole::Charter)
}

/// How many witnesses must cosign: of n of whom f may be faulty floor((n + f) / 2) + 1, so that no two quorums are without
/// an honest one in common (SPEC `[L-11]`).
#[must_use]
pub fn witness_quorum(duty: &proto::WitnessDuty) -> usize {
    (duty.witnesses.len() + duty.faulty as usize) / 2 + 1
}

/// What the rows of a charter may say of its Parties (SPEC `[C-3]`).
fn check_rows(wire: &proto::Charter, parties: &BTreeMap<PartyCode, Party>) -> Result<(), ProfileFault> {
    let known = |code: &String| PartyCode::parse(code).is_ok_and(|code| parties.contains_key(&code));
    let status = |row: &proto::InstrumentStatus| {
        known(&row.party) && ascending(&row.reservations) && ascending(&row.declarations)
    };
    let exception =
        |row: &proto::PairException| row.party_a < row.party_b && known(&row.party_a) && known(&row.party_b);
    let duty = |row: &proto::WitnessDuty| {
        let (witnesses, faulty) = (row.witnesses.len(), row.faulty as usize);
        let named = known(&row.party) && row.witnesses.iter().all(known) && !row.witnesses.contains(&row.party);
        let reachable = faulty < witnesses && witness_quorum(row) <= witnesses;
        named && ascending(&row.witnesses) && witnesses <= WITNESSES_MAX && reachable
    };
    let names = wire.parties.iter().map(|row| &row.name);
    let codes = wire
        .instruments
        .iter()
        .flat_map(|row| [&row.instrument].into_iter().chain(&row.reservations).chain(&row.declarations));
    if !showable(names.chain(codes).chain(wire.exceptions.iter().map(|row| &row.instrument))) {
        return Err(ProfileFault::UNSHOWABLE);
    }
    if !wire.instruments.iter().all(status) {
        return Err(ProfileFault::Content("an instrument's status is of a Party and lists codes that rise"));
    }
    if !wire.exceptions.iter().all(exception) {
        return Err(ProfileFault::Content("an exception is between two Parties, the lower code first"));
    }
    if !wire.witnesses.iter().all(duty) {
        return Err(ProfileFault::Content("a ledger has 1 to 7 other Parties as witnesses, enough of them not faulty"));
    }
    Ok(())
}

/// The rows of a list, those that are as in the version before in common with it: nearly all of most versions.
fn shared<T: PartialEq>(rows: Vec<T>, before: Option<&[Arc<T>]>, order: fn(&T, &T) -> Ordering) -> Vec<Arc<T>> {
    let mut before = before.unwrap_or_default().iter().peekable();
    let share = |row: T| {
        while before.next_if(|held| order(held, &row).is_lt()).is_some() {}
        before.next_if(|held| ***held == row).map_or_else(|| Arc::new(row), Arc::clone)
    };
    rows.into_iter().map(share).collect()
}

fn read_party(wire: &proto::Party, before: Option<&Charter>) -> Result<(PartyCode, Party), ProfileFault> {
    let code = PartyCode::parse(&wire.code)?;
    let root = wire.root.as_ref().ok_or(ProfileFault::Content("a Party must have root keys"))?;
    let before = before.and_then(|before| before.parties.get(&code)).filter(|before| before.root.is(root));
    let root = match before {
        Some(before) => Arc::clone(&before.root),
        None => Arc::new(Quorum::from_wire(root, KeyRole::Root)?),
    };
    let date = |ms: u64| (ms != 0).then_some(Time(ms));
    let party = Party {
        name: wire.name.clone(),
        root,
        waiting: None,
        joined: Time(wire.joined_ms),
        suspended: date(wire.suspended_ms),
        withdrawn: date(wire.withdrawn_ms),
    };
    Ok((code, party))
}
