//! A roll of officers as a draft: who may approve what leaves a Party, signed by its node's directory key.

use std::path::Path;

use comity_core::{
    ids::{Digest, Time},
    profile::Profile,
    proto::{self, Credential},
};
use serde::{Deserialize, Serialize};

use super::{CeremonyFault, Hex, Moment, folder_of, sorted, text_of};
use crate::ceremony::officer;

/// The format of the file.
pub(crate) const ROLL_SCHEMA: &str = "comity/roll-draft/v1";

const COMMENTS: [(&str, &str); 1] = [(
    "schema",
    "Draft of a roll: which officers may approve what leaves the Party. It stays in the house. Edit it, then run:\n\
     comity officer roll sign THIS-FILE --charter CHARTER --profile PROFILE --keys DATA/keys --out roll.dsse\n\
     Times are in UTC, such as \"2026-03-01T00:00:00Z\". A time that is left out is open. Lists may be in any order.",
)];

const MORE: &str = "\n\
# One entry for each officer; id is a post, never a person's name; key is the .pub file beside the officer's folder of\n\
# keys, or 64 digits. Procedures left out: all of them.\n\
# [[officer]]\n# id = \"duty-1\"\n# key = \"duty-1.pub\"\n# authority = \"central\"\n\
# sides = [\"requesting\", \"requested\"]\n# from = \"2026-01-01T00:00:00Z\"\n\n\
# Who stands in for whom:\n\
# [[deputy]]\n# of = \"duty-1\"\n# by = \"duty-3\"\n# from = \"2026-07-01T00:00:00Z\"\n# until = \"2026-08-01T00:00:00Z\"\n\n\
# Who is away:\n\
# [[absence]]\n# officer = \"duty-1\"\n# from = \"2026-07-01T00:00:00Z\"\n# until = \"2026-08-01T00:00:00Z\"\n";

/// The whole roll.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollDraft {
    schema: String,
    network: String,
    party: String,
    version: u64,
    issued: Moment,
    profile: Hex,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    officer: Vec<Officer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deputy: Vec<Deputy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    absence: Vec<Absence>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Officer {
    id: String,
    key: String,
    authority: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    procedures: Vec<String>,
    sides: Vec<Side>,
    from: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Requesting = 1,
    Requested = 2,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deputy {
    of: String,
    by: String,
    from: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Absence {
    officer: String,
    from: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
}

impl RollDraft {
    /// The first roll of a profile: nobody is on it yet.
    pub(crate) fn first(profile: &Profile, now: Time) -> Self {
        Self {
            schema: ROLL_SCHEMA.to_owned(),
            network: profile.network.to_string(),
            party: profile.party.to_string(),
            version: 1,
            issued: Moment(now.0),
            profile: Hex(profile.id().as_bytes().to_vec()),
            officer: Vec::new(),
            deputy: Vec::new(),
            absence: Vec::new(),
        }
    }

    /// The version after this roll, of the profile with this id.
    pub(crate) fn next(before: &proto::Roll, profile: Digest, now: Time) -> Self {
        let (version, profile) = (before.version.saturating_add(1), profile.as_bytes().to_vec());
        Self::of(&proto::Roll { version, profile, issued_ms: now.0, ..before.clone() })
    }

    /// What a roll says.
    pub(crate) fn of(wire: &proto::Roll) -> Self {
        let side = |side: &i32| if *side == Side::Requesting as i32 { Side::Requesting } else { Side::Requested };
        let officer = |row: &proto::Officer| Officer {
            id: row.id.clone(),
            key: comity_core::ids::hex(&row.public_key),
            authority: row.authority.clone(),
            procedures: row.procedures.clone(),
            sides: row.sides.iter().map(side).collect(),
            from: Moment(row.from_ms),
            until: Moment::open(row.until_ms),
        };
        let deputy = |row: &proto::Deputy| Deputy {
            of: row.of.clone(),
            by: row.by.clone(),
            from: Moment(row.from_ms),
            until: Moment::open(row.until_ms),
        };
        let absence = |row: &proto::Absence| Absence {
            officer: row.officer.clone(),
            from: Moment(row.from_ms),
            until: Moment::open(row.until_ms),
        };
        Self {
            schema: ROLL_SCHEMA.to_owned(),
            network: wire.network.clone(),
            party: wire.party.clone(),
            version: wire.version,
            issued: Moment(wire.issued_ms),
            profile: Hex(wire.profile.clone()),
            officer: wire.officers.iter().map(officer).collect(),
            deputy: wire.deputies.iter().map(deputy).collect(),
            absence: wire.absences.iter().map(absence).collect(),
        }
    }

    /// Reads a draft file; keys named by file are looked for beside it.
    pub(crate) fn read(path: &Path) -> Result<proto::Roll, CeremonyFault> {
        super::read::<Self>(path, ROLL_SCHEMA)?.to_wire(folder_of(path))
    }

    /// The draft as text with comments.
    pub(crate) fn to_text(&self) -> String {
        text_of(self, &COMMENTS) + MORE
    }

    fn to_wire(&self, folder: &Path) -> Result<proto::Roll, CeremonyFault> {
        let officer = |row: &Officer| {
            let mut sides: Vec<i32> = row.sides.iter().map(|side| *side as i32).collect();
            sides.sort_unstable();
            Ok(proto::Officer {
                id: row.id.clone(),
                credential: Credential::Ed25519 as i32,
                public_key: officer::key_of(&row.key, folder)?,
                authority: row.authority.clone(),
                procedures: sorted(&row.procedures),
                sides,
                from_ms: row.from.0,
                until_ms: Moment::ms(row.until),
            })
        };
        let deputy = |row: &Deputy| proto::Deputy {
            of: row.of.clone(),
            by: row.by.clone(),
            from_ms: row.from.0,
            until_ms: Moment::ms(row.until),
        };
        let absence = |row: &Absence| proto::Absence {
            officer: row.officer.clone(),
            from_ms: row.from.0,
            until_ms: Moment::ms(row.until),
        };
        let mut wire = proto::Roll {
            network: self.network.clone(),
            party: self.party.clone(),
            version: self.version,
            issued_ms: self.issued.0,
            profile: self.profile.0.clone(),
            officers: self.officer.iter().map(officer).collect::<Result<_, CeremonyFault>>()?,
            deputies: self.deputy.iter().map(deputy).collect(),
            absences: self.absence.iter().map(absence).collect(),
        };
        wire.officers.sort_by(|a, b| a.id.cmp(&b.id));
        wire.deputies.sort_by(|a, b| (&a.of, &a.by, a.from_ms).cmp(&(&b.of, &b.by, b.from_ms)));
        wire.absences.sort_by(|a, b| (&a.officer, a.from_ms).cmp(&(&b.officer, b.from_ms)));
        Ok(wire)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// [O-2]: what a draft says is what is signed, in whatever order it was written.
    #[test]
    fn a_roll_goes_through_a_draft_unchanged() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("roll.toml");
        let officer = |id: &str, key: u8| proto::Officer {
            id: id.to_owned(),
            credential: Credential::Ed25519 as i32,
            public_key: vec![key; 32],
            authority: "central".to_owned(),
            procedures: vec!["MLA-STORED".to_owned(), "PRES".to_owned()],
            sides: vec![1, 2],
            from_ms: 1_760_000_000_000,
            until_ms: 0,
        };
        let wire = proto::Roll {
            network: "test.comity.test".to_owned(),
            party: "XA".to_owned(),
            version: 3,
            issued_ms: 1_760_000_000_000,
            profile: vec![7; 32],
            officers: vec![officer("duty-1", 1), officer("duty-2", 2)],
            deputies: vec![proto::Deputy {
                of: "duty-1".to_owned(),
                by: "duty-2".to_owned(),
                from_ms: 1_000,
                until_ms: 2_000,
            }],
            absences: vec![proto::Absence { officer: "duty-1".to_owned(), from_ms: 1_000, until_ms: 0 }],
        };
        let mut draft = RollDraft::of(&wire);
        draft.officer.reverse();
        draft.officer[0].sides.reverse();
        draft.officer[0].procedures.reverse();
        let holder = dir.path().join("duty-2.pub");
        std::fs::write(&holder, officer::public_text(&[2; 32])).expect("written");
        draft.officer[0].key = "duty-2.pub".to_owned();
        std::fs::write(&path, draft.to_text()).expect("written");
        assert_eq!(RollDraft::read(&path).expect("reads").encode_to_vec(), wire.encode_to_vec());
        draft.officer[0].key = "nobody.pub".to_owned();
        std::fs::write(&path, draft.to_text()).expect("written");
        assert!(RollDraft::read(&path).is_err());
    }
}
