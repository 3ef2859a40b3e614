//! A charter as a draft.

use std::path::Path;

use comity_core::{
    event::SUITE_1,
    ids::{DAY_MS, Digest, NetworkName, PartyCode, Time},
    proto::{self, KeyRole},
};
use serde::{Deserialize, Serialize};

use super::{CeremonyFault, Hex, Key, Moment, Signers, after, folder_of, previous, previous_bytes, sorted, text_of};

/// The format of the file.
pub(crate) const CHARTER_SCHEMA: &str = "comity/charter-draft/v1";
/// As at a founding for exercises: two years, then half a year of grace.
const CHARTER_MS: u64 = 2 * 365 * DAY_MS;
const GRACE_DAYS: u32 = 180;

const COMMENTS: [(&str, &str); 9] = [
    (
        "schema",
        "Draft of a charter: who belongs to the network, and who signs for it. Nothing here counts before it is signed.\n\
         Edit it, then run: comity charter propose THIS-FILE --out proposal.dsse\n\
         Times are in UTC, such as \"2026-03-01T00:00:00Z\". A time that is left out is open. Lists may be in any order.",
    ),
    ("exercise", "true: nothing here has legal effect. An exercise needs a name no network in earnest uses."),
    ("expires", "After this no new Party joins; existing exchange goes on, marked, for so many days of grace."),
    (
        "[signers]",
        "Who signs the charter, and how many of them must. A key is the name of a .pub file beside this draft,\n\
         or a table { ed25519 = \"...\", ml_dsa_65 = \"...\" }.",
    ),
    (
        "[[party]]",
        "One entry per Party: its ISO 3166-1 code, its name, since when it takes part, and its own root keys, of which\n\
         so many must sign its profile. A Party that leaves stays, with withdrawn = \"...\"; suspended = \"...\" stops it.",
    ),
    (
        "[[instrument]]",
        "One entry per instrument and Party: in_force, until, reservations = [\"CODE\"], declarations = [\"CODE\"].",
    ),
    ("[[exception]]", "An instrument that binds both Parties but not towards each other, or from in_force on only."),
    ("[[suite]]", "Which cryptographic suites are allowed, from when until when."),
    ("[[witness]]", "Which 1 to 7 other Parties witness the ledger of a Party, and how many of them may be faulty."),
];

/// What else a draft may say, for the first version of a network.
const MORE: &str = "\n\
# To say that an instrument does not bind two Parties towards each other:\n\
# [[exception]]\n# instrument = \"BC\"\n# parties = [\"XA\", \"XB\"]\n# in_force = \"2030-01-01T00:00:00Z\"\n\n\
# To have other Parties witness a Party's ledger:\n\
# [[witness]]\n# party = \"XA\"\n# witnesses = [\"XB\", \"XC\"]\n# faulty = 0\n";

/// The whole charter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CharterDraft {
    schema: String,
    network: String,
    exercise: bool,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Hex>,
    issued: Moment,
    expires: Moment,
    grace_days: u32,
    signers: Signers,
    #[serde(default)]
    party: Vec<Party>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    instrument: Vec<Instrument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exception: Vec<Exception>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    suite: Vec<Suite>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    witness: Vec<Witness>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Party {
    code: String,
    name: String,
    joined: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<Moment>,
    root: Signers,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Instrument {
    code: String,
    party: String,
    in_force: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reservations: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    declarations: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    instrument: String,
    parties: [String; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    in_force: Option<Moment>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    id: u32,
    from: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Witness {
    party: String,
    witnesses: Vec<String>,
    faulty: u32,
}

/// What the first version of a network begins from.
pub(crate) struct NewNetwork<'n> {
    pub(crate) name: &'n NetworkName,
    pub(crate) exercise: bool,
    /// The `.pub` files of the signers, as the draft names them.
    pub(crate) signers: &'n [String],
    pub(crate) threshold: u32,
    /// Code, name, and the `.pub` file of a root key.
    pub(crate) parties: &'n [(PartyCode, String, String)],
    pub(crate) instruments: &'n [String],
}

impl CharterDraft {
    /// The first version of a network, with names of files where keys belong.
    pub(crate) fn first(network: &NewNetwork<'_>, now: Time) -> Self {
        let at = Moment(now.0);
        let mut draft = Self {
            schema: CHARTER_SCHEMA.to_owned(),
            network: network.name.to_string(),
            exercise: network.exercise,
            version: 1,
            previous: None,
            issued: at,
            expires: Moment(now.plus_ms(CHARTER_MS).0),
            grace_days: GRACE_DAYS,
            signers: Signers { threshold: network.threshold, keys: files(network.signers) },
            party: Vec::new(),
            instrument: Vec::new(),
            exception: Vec::new(),
            suite: vec![Suite { id: SUITE_1, from: at, until: None }],
            witness: Vec::new(),
        };
        draft.admit(network.parties, network.instruments);
        draft
    }

    /// Names Parties that take part from when the draft is issued, and are bound by these instruments from then on.
    pub(crate) fn admit(&mut self, parties: &[(PartyCode, String, String)], instruments: &[String]) {
        let at = self.issued;
        let party = |(code, name, root): &(PartyCode, String, String)| Party {
            code: code.to_string(),
            name: name.clone(),
            joined: at,
            suspended: None,
            withdrawn: None,
            root: Signers { threshold: 1, keys: files(std::slice::from_ref(root)) },
        };
        self.party.extend(parties.iter().map(party));
        let instrument = |code: &String, (party, ..): &(PartyCode, String, String)| Instrument {
            code: code.clone(),
            party: party.to_string(),
            in_force: at,
            until: None,
            reservations: Vec::new(),
            declarations: Vec::new(),
        };
        let bound = instruments.iter().flat_map(|code| parties.iter().map(move |party| instrument(code, party)));
        self.instrument.extend(bound);
    }

    /// Lets these officers sign, and so many of them; what is not named stays.
    pub(crate) fn signed_by(&mut self, signers: &[String], threshold: Option<u32>) {
        if !signers.is_empty() {
            self.signers.keys = files(signers);
        }
        self.signers.threshold = threshold.unwrap_or(self.signers.threshold);
    }

    /// Gives a Party these root keys and no others, if it is named.
    pub(crate) fn root_of(&mut self, code: &str, keys: &[String]) -> bool {
        let party = self.party.iter_mut().find(|party| party.code == code);
        party.map(|party| party.root.keys = files(keys)).is_some()
    }

    /// The version after this charter, which says the same so far.
    pub(crate) fn next(before: &proto::Charter, id: Digest, now: Time) -> Self {
        let mut next = before.clone();
        after(&mut next.version, &mut next.previous, id);
        next.issued_ms = now.0;
        next.expires_ms = now.plus_ms(before.expires_ms.saturating_sub(before.issued_ms)).0;
        Self::of(&next)
    }

    /// What a charter says.
    pub(crate) fn of(wire: &proto::Charter) -> Self {
        Self {
            schema: CHARTER_SCHEMA.to_owned(),
            network: wire.network.clone(),
            exercise: wire.exercise,
            version: wire.version,
            previous: previous(&wire.previous),
            issued: Moment(wire.issued_ms),
            expires: Moment(wire.expires_ms),
            grace_days: wire.grace_days,
            signers: Signers::of(wire.signers.as_ref()),
            party: wire.parties.iter().map(Party::of).collect(),
            instrument: wire.instruments.iter().map(Instrument::of).collect(),
            exception: wire.exceptions.iter().map(Exception::of).collect(),
            suite: wire.suites.iter().map(Suite::of).collect(),
            witness: wire.witnesses.iter().map(Witness::of).collect(),
        }
    }

    /// Reads a draft file.
    pub(crate) fn read(path: &Path) -> Result<proto::Charter, CeremonyFault> {
        super::read::<Self>(path, CHARTER_SCHEMA)?.to_wire(folder_of(path))
    }

    /// The draft as text with comments.
    pub(crate) fn to_text(&self) -> String {
        let more = if self.version == 1 { MORE } else { "" };
        text_of(self, &COMMENTS) + more
    }

    fn to_wire(&self, folder: &Path) -> Result<proto::Charter, CeremonyFault> {
        let mut wire = proto::Charter {
            network: self.network.clone(),
            exercise: self.exercise,
            version: self.version,
            issued_ms: self.issued.0,
            expires_ms: self.expires.0,
            grace_days: self.grace_days,
            previous: previous_bytes(self.previous.as_ref()),
            signers: Some(self.signers.to_wire(KeyRole::Charter, folder)?),
            parties: self.party.iter().map(|party| party.to_wire(folder)).collect::<Result<_, _>>()?,
            instruments: self.instrument.iter().map(Instrument::to_wire).collect(),
            exceptions: self.exception.iter().map(Exception::to_wire).collect(),
            suites: self.suite.iter().map(Suite::to_wire).collect(),
            witnesses: self.witness.iter().map(Witness::to_wire).collect(),
        };
        wire.parties.sort_by(|a, b| a.code.cmp(&b.code));
        wire.instruments.sort_by(|a, b| (&a.instrument, &a.party).cmp(&(&b.instrument, &b.party)));
        let key = |row: &proto::PairException| (row.instrument.clone(), row.party_a.clone(), row.party_b.clone());
        wire.exceptions.sort_by_key(key);
        wire.suites.sort_by_key(|suite| suite.id);
        wire.witnesses.sort_by(|a, b| a.party.cmp(&b.party));
        Ok(wire)
    }
}

/// Keys named by their `.pub` files.
fn files(names: &[String]) -> Vec<Key> {
    names.iter().cloned().map(Key::File).collect()
}

impl Party {
    fn of(wire: &proto::Party) -> Self {
        Self {
            code: wire.code.clone(),
            name: wire.name.clone(),
            joined: Moment(wire.joined_ms),
            suspended: Moment::open(wire.suspended_ms),
            withdrawn: Moment::open(wire.withdrawn_ms),
            root: Signers::of(wire.root.as_ref()),
        }
    }

    fn to_wire(&self, folder: &Path) -> Result<proto::Party, CeremonyFault> {
        Ok(proto::Party {
            code: self.code.clone(),
            name: self.name.clone(),
            root: Some(self.root.to_wire(KeyRole::Root, folder)?),
            joined_ms: self.joined.0,
            suspended_ms: Moment::ms(self.suspended),
            withdrawn_ms: Moment::ms(self.withdrawn),
        })
    }
}

impl Instrument {
    fn of(wire: &proto::InstrumentStatus) -> Self {
        Self {
            code: wire.instrument.clone(),
            party: wire.party.clone(),
            in_force: Moment(wire.in_force_ms),
            until: Moment::open(wire.until_ms),
            reservations: wire.reservations.clone(),
            declarations: wire.declarations.clone(),
        }
    }

    fn to_wire(&self) -> proto::InstrumentStatus {
        proto::InstrumentStatus {
            instrument: self.code.clone(),
            party: self.party.clone(),
            in_force_ms: self.in_force.0,
            until_ms: Moment::ms(self.until),
            reservations: sorted(&self.reservations),
            declarations: sorted(&self.declarations),
        }
    }
}

impl Exception {
    fn of(wire: &proto::PairException) -> Self {
        Self {
            instrument: wire.instrument.clone(),
            parties: [wire.party_a.clone(), wire.party_b.clone()],
            in_force: Moment::open(wire.in_force_ms),
        }
    }

    fn to_wire(&self) -> proto::PairException {
        let [one, other] = &self.parties;
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        proto::PairException {
            instrument: self.instrument.clone(),
            party_a: low.clone(),
            party_b: high.clone(),
            in_force_ms: Moment::ms(self.in_force),
        }
    }
}

impl Suite {
    fn of(wire: &proto::SuiteDates) -> Self {
        Self { id: wire.id, from: Moment(wire.from_ms), until: Moment::open(wire.until_ms) }
    }

    fn to_wire(&self) -> proto::SuiteDates {
        proto::SuiteDates { id: self.id, from_ms: self.from.0, until_ms: Moment::ms(self.until) }
    }
}

impl Witness {
    fn of(wire: &proto::WitnessDuty) -> Self {
        Self { party: wire.party.clone(), witnesses: wire.witnesses.clone(), faulty: wire.faulty }
    }

    fn to_wire(&self) -> proto::WitnessDuty {
        proto::WitnessDuty { party: self.party.clone(), witnesses: sorted(&self.witnesses), faulty: self.faulty }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use prost::Message as _;

    use super::*;
    use crate::ceremony::tests::{charter, full_charter};

    /// Through a file, as people would, with the lists the other way round.
    fn back(wire: &proto::Charter) -> proto::Charter {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("charter.toml");
        let mut draft = CharterDraft::of(wire);
        draft.party.reverse();
        draft.signers.keys.reverse();
        draft.instrument.reverse();
        draft.exception.iter_mut().for_each(|row| row.parties.reverse());
        draft.suite.reverse();
        draft.witness.iter_mut().for_each(|row| row.witnesses.reverse());
        fs::write(&path, draft.to_text()).expect("written");
        CharterDraft::read(&path).expect("reads")
    }

    #[test]
    fn a_charter_goes_through_a_draft_unchanged() {
        for wire in [charter(), full_charter()] {
            let again = back(&wire);
            assert_eq!(again.encode_to_vec(), wire.encode_to_vec(), "{again:?}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("charter.toml");
        let text = CharterDraft::of(&full_charter()).to_text();
        let check = |from: &str, to: &str| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            fs::write(&path, &changed).expect("written");
            let said = CharterDraft::read(&path).expect_err(to).to_string();
            assert!(said.contains("at line "), "{said}");
        };
        check("grace_days", "colour = 1\ngrace_days");
        check("joined = ", "joind = ");
        check("faulty = 0", "faulty = -1");
        check("issued = \"", "issued = \"x");
        check("\nreservations = [", "\nreservations = [1, ");
        check("[[suite]]", "[[suite]]\nname = \"x\"");
    }

    #[test]
    fn the_next_version_names_this_one() {
        let before = charter();
        let next = CharterDraft::next(&before, Digest::new([9; 32]), Time(before.issued_ms + 5));
        let wire = next.to_wire(Path::new("")).expect("keys stand in it");
        assert_eq!((wire.version, &wire.previous[..]), (2, &[9; 32][..]));
        assert_eq!(wire.expires_ms - wire.issued_ms, before.expires_ms - before.issued_ms);
        assert_eq!(wire.parties, before.parties);
    }

    #[test]
    fn the_next_version_keeps_what_is_not_named() {
        let before = full_charter();
        let mut next = CharterDraft::next(&before, Digest::new([9; 32]), Time(before.issued_ms + 5));
        let (signers, parties, bound) = (next.signers.keys.len(), next.party.len(), next.instrument.len());
        next.signed_by(&[], Some(7));
        assert_eq!((next.signers.keys.len(), next.signers.threshold), (signers, 7));
        next.signed_by(&["a.pub".to_owned()], None);
        assert_eq!((next.signers.keys.len(), next.signers.threshold), (1, 7));
        let new = PartyCode::parse("XZ").expect("a code");
        next.admit(&[(new, "Zetia".to_owned(), "z.pub".to_owned())], &["BC".to_owned()]);
        assert_eq!((next.party.len(), next.instrument.len()), (parties + 1, bound + 1));
        assert!(next.root_of("XZ", &["y.pub".to_owned(), "z.pub".to_owned()]));
        assert_eq!(next.party[parties].root.keys.len(), 2);
        assert!(!next.root_of("XY", &["y.pub".to_owned()]), "not named");
    }
}
