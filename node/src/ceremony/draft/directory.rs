//! A directory as a draft: what a Party changes often, signed by its node's directory key.

use std::path::Path;

use comity_core::{
    ids::{Digest, Time},
    profile::Profile,
    proto,
};
use serde::{Deserialize, Serialize};

use super::{CeremonyFault, Hex, Moment, profile::Node, sorted, text_of};

/// The format of the file.
pub(crate) const DIRECTORY_SCHEMA: &str = "comity/directory-draft/v1";

const COMMENTS: [(&str, &str); 4] = [
    (
        "schema",
        "Draft of a directory: how a Party is reached. Edit it, then run:\n\
         comity profile propose THIS-FILE --charter CHARTER --profile PROFILE --out directory.dsse",
    ),
    ("holidays", "Days on which nobody works, such as \"2026-05-01\"."),
    (
        "[[contact]]",
        "An office of an authority the profile names; office is a role, never a person. hours: Mo-Fr 08:00-18:00, or 24/7.",
    ),
    ("[[address]]", "Where a node is found: multiaddrs = [\"/dns/node.example/tcp/4810\"]."),
];

/// The whole directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectoryDraft {
    schema: String,
    network: String,
    party: String,
    version: u64,
    issued: Moment,
    profile: Hex,
    holidays: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contact: Vec<Contact>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    address: Vec<Address>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    authority: String,
    office: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    hours: String,
    #[serde(default)]
    languages: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    node: Node,
    multiaddrs: Vec<String>,
}

impl DirectoryDraft {
    /// The first directory of a profile: an office for each authority, and each node, to be filled in.
    pub(crate) fn first(profile: &Profile, now: Time) -> Self {
        let contact = |authority: &str| Contact {
            authority: authority.to_owned(),
            office: "duty".to_owned(),
            email: String::new(),
            phone: String::new(),
            hours: "Mo-Fr 08:00-18:00".to_owned(),
            languages: Vec::new(),
        };
        let address =
            |node: &[u8; 32]| Address { node: Node::of(&comity_core::profile::peer_id(node)), multiaddrs: Vec::new() };
        Self {
            schema: DIRECTORY_SCHEMA.to_owned(),
            network: profile.network.to_string(),
            party: profile.party.to_string(),
            version: 1,
            issued: Moment(now.0),
            profile: Hex(profile.id().as_bytes().to_vec()),
            holidays: Vec::new(),
            contact: profile.authorities().keys().map(|id| contact(id.as_str())).collect(),
            address: profile.nodes().iter().map(address).collect(),
        }
    }

    /// The version after this directory, of the profile with this id.
    pub(crate) fn next(before: &proto::Directory, profile: Digest, now: Time) -> Self {
        let (version, profile) = (before.version.saturating_add(1), profile.as_bytes().to_vec());
        Self::of(&proto::Directory { version, profile, issued_ms: now.0, ..before.clone() })
    }

    /// What a directory says.
    pub(crate) fn of(wire: &proto::Directory) -> Self {
        let contact = |row: &proto::Contact| Contact {
            authority: row.authority.clone(),
            office: row.office.clone(),
            email: row.email.clone(),
            phone: row.phone.clone(),
            hours: row.hours.clone(),
            languages: row.languages.clone(),
        };
        let address = |row: &proto::Address| Address { node: Node::of(&row.node), multiaddrs: row.multiaddrs.clone() };
        Self {
            schema: DIRECTORY_SCHEMA.to_owned(),
            network: wire.network.clone(),
            party: wire.party.clone(),
            version: wire.version,
            issued: Moment(wire.issued_ms),
            profile: Hex(wire.profile.clone()),
            holidays: wire.holidays.clone(),
            contact: wire.contacts.iter().map(contact).collect(),
            address: wire.addresses.iter().map(address).collect(),
        }
    }

    /// Reads a draft file.
    pub(crate) fn read(path: &Path) -> Result<proto::Directory, CeremonyFault> {
        super::read::<Self>(path, DIRECTORY_SCHEMA).map(|draft| draft.to_wire())
    }

    /// The draft as text with comments.
    pub(crate) fn to_text(&self) -> String {
        text_of(self, &COMMENTS)
    }

    fn to_wire(&self) -> proto::Directory {
        let contact = |row: &Contact| proto::Contact {
            authority: row.authority.clone(),
            office: row.office.clone(),
            email: row.email.clone(),
            phone: row.phone.clone(),
            hours: row.hours.clone(),
            languages: row.languages.clone(),
        };
        let address = |row: &Address| proto::Address { node: row.node.0.clone(), multiaddrs: row.multiaddrs.clone() };
        let mut wire = proto::Directory {
            network: self.network.clone(),
            party: self.party.clone(),
            version: self.version,
            issued_ms: self.issued.0,
            profile: self.profile.0.clone(),
            contacts: self.contact.iter().map(contact).collect(),
            addresses: self.address.iter().map(address).collect(),
            holidays: sorted(&self.holidays),
        };
        wire.contacts.sort_by(|a, b| (&a.authority, &a.office).cmp(&(&b.authority, &b.office)));
        wire.addresses.sort_by(|a, b| a.node.cmp(&b.node));
        wire
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::ceremony::tests::directory;

    #[test]
    fn a_directory_goes_through_a_draft_unchanged() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("directory.toml");
        let wire = directory();
        let mut draft = DirectoryDraft::of(&wire);
        draft.contact.reverse();
        draft.holidays.reverse();
        std::fs::write(&path, draft.to_text()).expect("written");
        let again = DirectoryDraft::read(&path).expect("reads");
        assert_eq!(again.encode_to_vec(), wire.encode_to_vec());
    }
}
