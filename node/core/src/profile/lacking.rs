//! What one node has for another: by what each says it holds, without looking at a document.

use std::{collections::BTreeMap, sync::Arc};

use super::{Directory, Kind, Profile, Suspension, Trust};
use crate::{ids::PartyCode, proto};

/// A document another node lacks, by what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lacked {
    /// Of which kind.
    pub kind: Kind,
    /// Whose; none if it is a charter.
    pub party: Option<PartyCode>,
    /// Its number; of a suspension that of the profile it stops.
    pub version: u64,
}

impl Trust {
    /// What is held here, to be told to another node.
    #[must_use]
    pub fn held(&self) -> proto::RosterHeld {
        let of = |(party, profile): (&PartyCode, &Arc<Profile>)| proto::PartyHeld {
            party: party.to_string(),
            profile: profile.version,
            directory: self.own_directory(party).map_or(0, |directory| directory.version),
            head_ms: self.head(party).map_or(0, |issued| issued.0),
            suspensions: self.suspension_ids(party),
        };
        proto::RosterHeld {
            network: self.charter().network.to_string(),
            charter: self.charter().version,
            parties: self.profiles.iter().map(of).collect(),
        }
    }

    /// The documents another node lacks, in an order in which it can judge each after those before it.
    #[must_use]
    pub fn lacking(&self, theirs: &proto::RosterHeld) -> Vec<Lacked> {
        let held: BTreeMap<&str, &proto::PartyHeld> =
            theirs.parties.iter().map(|held| (held.party.as_str(), held)).collect();
        let none = proto::PartyHeld::default();
        let of = |party: &str| held.get(party).copied().unwrap_or(&none);
        let charters = theirs.charter.saturating_add(1)..=self.charter().version;
        let charters = charters.map(|version| Lacked { kind: Kind::Charter, party: None, version });
        let parties = self.profiles.keys().flat_map(|party| self.lacking_of(party, of(party.as_str())));
        let mut lacking: Vec<Lacked> = charters.chain(parties).collect();
        lacking.sort();
        lacking
    }

    fn lacking_of(&self, party: &PartyCode, theirs: &proto::PartyHeld) -> Vec<Lacked> {
        let Some(profile) = self.declared(party) else { return Vec::new() };
        let lacked = |kind, version| Lacked { kind, party: Some(party.clone()), version };
        let newer = profile.version > theirs.profile;
        let mut lacking = Vec::new();
        if newer {
            lacking.push(lacked(Kind::Profile, profile.version));
        }
        if profile.version >= theirs.profile {
            let directory = self.own_directory(party).filter(|held| newer || held.version > theirs.directory);
            lacking.extend(directory.map(|held| lacked(Kind::Directory, held.version)));
            let unknown = self.suspension_of(party).filter(|_| newer || theirs.suspensions.is_empty());
            lacking.extend(unknown.map(|held| lacked(Kind::Suspension, held.profile_version)));
        }
        let head = self.head(party).filter(|issued| issued.0 > theirs.head_ms);
        lacking.extend(head.map(|issued| lacked(Kind::Head, issued.0)));
        lacking
    }

    /// The directory that belongs to the newest profile of a Party.
    #[must_use]
    pub fn own_directory(&self, party: &PartyCode) -> Option<&Directory> {
        let profile = self.declared(party)?;
        self.directory(party).filter(|directory| directory.is_of(profile))
    }

    /// What stops the newest profile of a Party.
    fn suspension_of(&self, party: &PartyCode) -> Option<&Suspension> {
        let profile = self.declared(party)?.id();
        self.suspensions.get(party).filter(|held| held.profile == profile)
    }

    fn suspension_ids(&self, party: &PartyCode) -> Vec<Vec<u8>> {
        self.suspension_of(party).iter().map(|held| held.id.as_bytes().to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::founding::tests::{book_of, code, trust};

    /// [P-9]: whoever holds all lacks nothing, and whoever says nothing lacks all.
    #[test]
    fn what_is_lacked_follows_from_what_is_held() {
        let trust = trust();
        assert_eq!(trust.lacking(&trust.held()), []);
        let nothing = trust.lacking(&proto::RosterHeld::default());
        let kinds: Vec<Kind> = nothing.iter().map(|lacked| lacked.kind).collect();
        assert_eq!(kinds, [Kind::Charter, Kind::Profile, Kind::Profile, Kind::Profile]);
        let mut one_less = trust.held();
        one_less.parties.remove(1);
        let one = Lacked { kind: Kind::Profile, party: Some(code("XB")), version: 1 };
        assert_eq!(trust.lacking(&one_less), [one]);
        let more = book_of(4).trust().held();
        assert_eq!(trust.lacking(&more), [], "what the other has beyond it is for the other to tell");
    }
}
