//! The people with offline keys: who signs charters and profiles of an exercise, with what lies in its `offline` folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use comity::keys::{Keyring, OfflineKeys, OfflineSigner, Passphrase, Purpose};
use comity_core::{
    ids::{NetworkName, PartyCode},
    profile::{CHARTER_TYPE, PROFILE_TYPE, SUSPENSION_TYPE, document, document_id},
    proto::{Charter, Envelope, Profile, Signature, Suspension},
};
use prost::Message as _;

use crate::rig::{Federation, Node, now, private, run};

/// Offline keys, and the newest of what was signed with them.
pub(crate) struct Officials {
    offline: PathBuf,
    passphrase: Passphrase,
    /// The charter in force.
    pub(crate) charter: Charter,
    /// By code.
    pub(crate) profiles: BTreeMap<String, Profile>,
}

impl Officials {
    /// Those of an exercise, as it was founded.
    pub(crate) fn of(federation: &Federation) -> Self {
        let folder = federation.folder.path();
        let documents = federation.nodes[0].data.join("charter");
        let read = |path: PathBuf| Envelope::decode(&fs::read(path).expect("reads")[..]).expect("an envelope").header;
        let profiles = fs::read_dir(documents.join("profiles")).expect("reads").map(|entry| {
            let profile = Profile::decode(&read(entry.expect("an entry").path())[..]).expect("a profile");
            (profile.party.clone(), profile)
        });
        Self {
            offline: folder.join("exercise/offline"),
            passphrase: Passphrase::obtain(Some(&folder.join("passphrase")), Purpose::Open).expect("one"),
            charter: Charter::decode(&read(documents.join("charter.dsse"))[..]).expect("a charter"),
            profiles: profiles.collect(),
        }
    }

    /// The next version of a Party's profile, changed like this and signed by its root keys.
    pub(crate) fn profile(&mut self, code: &str, change: impl FnOnce(&mut Profile)) -> Vec<u8> {
        let before = &self.profiles[code];
        let mut draft = before.clone();
        (draft.version, draft.issued_ms) = (before.version + 1, now());
        draft.previous = document_id(PROFILE_TYPE, &before.encode_to_vec()).as_bytes().to_vec();
        change(&mut draft);
        self.profiles.insert(code.to_owned(), draft.clone());
        self.signed(PROFILE_TYPE, draft.encode_to_vec(), &[&self.root(code)])
    }

    /// A node as its Party's profile names it: under its newest transport key.
    pub(crate) fn node(&self, data: &Path, code: &str) -> comity_core::proto::Node {
        let keys = Keyring::open(&data.join("keys"), &self.passphrase).expect("opens");
        let network = NetworkName::parse(&self.charter.network).expect("a name");
        let named = keys.for_profile(&network, &PartyCode::parse(code).expect("a code"));
        named.expect("proved").node.expect("a node")
    }

    /// The next charter, changed like this and signed by the secretariat and the root keys of these Parties.
    pub(crate) fn charter(&mut self, agreeing: &[&str], change: impl FnOnce(&mut Charter)) -> Vec<u8> {
        let mut draft = self.charter.clone();
        (draft.version, draft.issued_ms) = (self.charter.version + 1, now());
        draft.previous = document_id(CHARTER_TYPE, &self.charter.encode_to_vec()).as_bytes().to_vec();
        change(&mut draft);
        self.charter = draft.clone();
        let roots: Vec<OfflineSigner> = agreeing.iter().map(|code| self.root(code)).collect();
        let secretariat = self.open("charter", OfflineKeys::Charter);
        let signers: Vec<&OfflineSigner> = roots.iter().chain([&secretariat]).collect();
        self.signed(CHARTER_TYPE, draft.encode_to_vec(), &signers)
    }

    /// What stops a Party until its next profile.
    pub(crate) fn suspension(&self, code: &str) -> Vec<u8> {
        let stop = Suspension {
            network: self.charter.network.clone(),
            party: code.to_owned(),
            issued_ms: now(),
            profile_version: self.profiles[code].version,
            reason: "key.stolen".to_owned(),
            profile: document_id(PROFILE_TYPE, &self.profiles[code].encode_to_vec()).as_bytes().to_vec(),
        };
        self.signed(SUSPENSION_TYPE, stop.encode_to_vec(), &[&self.root(code)])
    }

    fn root(&self, code: &str) -> OfflineSigner {
        let name = crate::rig::name_of(code);
        self.open(&format!("root-{name}"), OfflineKeys::Root)
    }

    fn open(&self, folder: &str, which: OfflineKeys) -> OfflineSigner {
        OfflineSigner::open(&self.offline.join(folder), which, &self.passphrase).expect("opens")
    }

    fn signed(&self, payload_type: &str, payload: Vec<u8>, signers: &[&OfflineSigner]) -> Vec<u8> {
        let id = document_id(payload_type, &payload);
        let pairs = signers.iter().map(|signer| signer.sign(&id).expect("signed"));
        let mut signatures: Vec<Signature> = pairs.flatten().collect();
        signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        document(payload_type, payload, signatures)
    }
}

/// Hands a document to a running node by the command, and returns its exit code and what it said.
pub(crate) fn import(federation: &Federation, node: &Node, name: &str, bytes: &[u8]) -> (i32, String) {
    let file = federation.folder.path().join(name);
    private(&file, bytes);
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (code, out, err) = run(&["roster", "import", &text(&file), "--data", &text(&node.data)]);
    (code, out + &err)
}
