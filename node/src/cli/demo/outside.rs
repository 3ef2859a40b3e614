//! What is handed to checkers that share no code with us: a checkpoint, the keys that sign it, and the
//! proof of one record, in the forms that `tests/outside/verify.py` reads.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use comity_core::{
    crypto::{PublicKey, sha256},
    ids::{hex, unhex},
    profile::{CHARTER_TYPE, Charter, Profile, document_id},
    proto::{self, Algorithm, KeyRole},
    wire::strict,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{Node, found};
use crate::{
    cli::{fault::CliFault, show::text},
    time,
};

/// A charter or profile is far smaller.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Writes the proof of the record at `index` of a node's ledger into `folder`, anew each time.
pub(super) async fn export(node: &Node, index: u64, network: &Path, folder: &Path) -> Result<(), CliFault> {
    let answer = node.client.get(&format!("/v1/ledger/{index}/proof")).await?;
    let proof = read_proof(&answer)?;
    let origin = text(&answer, "/checkpoint").lines().next().unwrap_or_default();
    let keys = vkeys(node, network, origin)?;
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(found::disk("remove", folder))?;
    }
    found::folder(folder)?;
    found::write(&folder.join("checkpoint"), &proof.checkpoint)?;
    found::write(&folder.join("vkeys.json"), keys.to_string().as_bytes())?;
    let path: Vec<String> = proof.path.iter().map(|node| hex(node)).collect();
    let proof = json!({
        "record_id": hex(&proof.record_id), "context": STANDARD.encode(&proof.context), "salt": hex(&proof.salt),
        "index": proof.index, "path": path,
    });
    found::write(&folder.join("proof.json"), proof.to_string().as_bytes())
}

fn read_proof(answer: &Value) -> Result<proto::RecordProof, CliFault> {
    let bad = |why: String| CliFault::BadAnswer(format!("the proof of a record: {why}"));
    let bytes = unhex(text(answer, "/proof"), "proof").map_err(|why| bad(why.to_string()))?;
    proto::RecordProof::decode(bytes.as_slice()).map_err(|why| bad(why.to_string()))
}

/// The keys are taken from the signed profile, not from the node that is checked.
fn vkeys(node: &Node, network: &Path, origin: &str) -> Result<Value, CliFault> {
    let documents = network.join(node.name.to_ascii_lowercase()).join("charter");
    let read = |path: std::path::PathBuf| fs::read(&path).map_err(found::disk("read", &path));
    let charter = read(documents.join("charter.dsse"))?;
    let profile = read(documents.join("profiles").join(format!("{}.dsse", node.code)))?;
    let bad = |why: String| CliFault::BadAnswer(format!("the founding documents: {why}"));
    let envelope: proto::Envelope = strict(&charter, DOCUMENT_BYTES_MAX).map_err(|why| bad(why.to_string()))?;
    let id = document_id(CHARTER_TYPE, &envelope.header);
    let charter = Charter::open(&charter, id).map_err(|why| bad(why.to_string()))?;
    let now = time::now();
    let profile = Profile::open(&profile, &charter, now).map_err(|why| bad(why.to_string()))?;
    let checkpoint: Vec<String> = profile.keys(KeyRole::Checkpoint, now).map(|key| vkey(origin, key)).collect();
    let record = |algorithm| {
        let mut keys = profile.keys(KeyRole::Record, now);
        keys.find(|key| key.algorithm == algorithm).map(|key| STANDARD.encode(&key.bytes))
    };
    Ok(json!({
        "origin": origin, "vkeys": checkpoint,
        "record": { "ed25519": record(Algorithm::Ed25519), "ml_dsa_65": record(Algorithm::MlDsa65) },
    }))
}

/// A verifier key as signed notes write it: name, key id, algorithm and key.
fn vkey(name: &str, key: &PublicKey) -> String {
    // Type bytes of C2SP signed-note and tlog-cosignature.
    let kind: u8 = if key.algorithm == Algorithm::Ed25519 { 0x01 } else { 0x06 };
    let id = sha256(&[name.as_bytes(), b"\n", &[kind], &key.bytes]);
    let blob = [&[kind][..], &key.bytes].concat();
    format!("{name}+{}+{}", hex(&id.as_bytes()[..4]), STANDARD.encode(blob))
}
