//! What a file of known bytes holds. Read strictly: an unknown word in a file fails the test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One file of `proto/vectors`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) family: String,
    pub(super) about: String,
    pub(super) cases: Vec<Case>,
}

/// Inputs and the verdict on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) clauses: Vec<String>,
    pub(super) input: Input,
    pub(super) expect: Expect,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Expect {
    /// Accepted, with these outputs by name.
    Ok(BTreeMap<String, String>),
    /// Refused with this code, and the code of what lies beneath it.
    Refused {
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
}

/// Bytes: in hexadecimal, or those of `material.json` by name, perhaps with a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Bytes {
    Hex(String),
    Named(Named),
}

/// A piece of material.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) of: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) change: Vec<Change>,
}

/// Bytes from `at` on replaced by as many others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) at: usize,
    pub(super) put: String,
}

/// A public key with what it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) role: i32,
    pub(super) algorithm: i32,
    pub(super) public_key: Bytes,
}

/// A signature as an envelope carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sig {
    pub(super) key_id: Bytes,
    pub(super) signature: Bytes,
}

/// An event of a thread as its recipient knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) parents: Vec<String>,
    /// True if the arriving event's author wrote it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) same_author: bool,
    /// Where the arriving event's author holds it, if its recipient has proof of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at_author: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) void: bool,
}

/// A document and when it is seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    pub(super) envelope: Bytes,
    pub(super) seen_ms: u64,
}

/// What is done with which inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Input {
    Strict {
        shape: String,
        max: usize,
        bytes: Bytes,
    },
    PublicKey {
        role: i32,
        algorithm: i32,
        seed: Bytes,
    },
    KeyId {
        key: Key,
    },
    Pae {
        payload_type: String,
        payload: Bytes,
    },
    SignEd25519 {
        seed: Bytes,
        message: Bytes,
    },
    Verify {
        key: Key,
        message: Bytes,
        signature: Bytes,
    },
    VerifyPair {
        keys: Vec<Key>,
        message: Bytes,
        signatures: Vec<Sig>,
    },
    OpenCharter {
        envelope: Bytes,
        fingerprint: Bytes,
    },
    OpenProfile {
        envelope: Bytes,
    },
    NextCharter {
        before: Bytes,
        envelope: Bytes,
        seen_ms: u64,
    },
    OpenDirectory {
        profile: Bytes,
        envelope: Bytes,
        now_ms: u64,
    },
    OpenHead {
        profile: Bytes,
        envelope: Bytes,
        now_ms: u64,
    },
    OpenSuspension {
        envelope: Bytes,
        now_ms: u64,
    },
    Walk {
        documents: Vec<Seen>,
        party: String,
        at_ms: u64,
    },
    ThreadId {
        network: String,
        request: Bytes,
        members: Vec<String>,
    },
    ReadHeader {
        header: Bytes,
    },
    VerifyEvent {
        envelope: Bytes,
        now_ms: u64,
    },
    Derive {
        salt: Bytes,
        secret: Bytes,
        purpose: String,
    },
    BodyKeys {
        secret: Bytes,
        binding: Bytes,
    },
    HpkeOpen {
        seed: Bytes,
        info: Bytes,
        aad: Bytes,
        encapsulated: Bytes,
        wrapped: Bytes,
    },
    OpenBody {
        seed: Bytes,
        binding: Bytes,
        sealed: Bytes,
    },
    Slip {
        origin: String,
        to: String,
        lane: i32,
        number: u64,
        nonce: Bytes,
    },
    SlipNonce {
        secret: Bytes,
        to: String,
    },
    CheckDelivery {
        peer: String,
        us: String,
        now_ms: u64,
        delivery: Bytes,
    },
    CheckReceipt {
        by: String,
        event: Bytes,
        signatures: Bytes,
        now_ms: u64,
        proof: Bytes,
    },
    DeliveryAfter {
        profile: Bytes,
        peer: String,
        us: String,
        now_ms: u64,
        delivery: Bytes,
    },
    ReceiptAfter {
        profile: Bytes,
        by: String,
        event: Bytes,
        signatures: Bytes,
        now_ms: u64,
        proof: Bytes,
    },
    CheckRefusal {
        by: String,
        event: Bytes,
        author: String,
        now_ms: u64,
        envelope: Bytes,
        proof: Bytes,
    },
    UnprovedAnswer {
        answer: Bytes,
    },
    DeliverFrame {
        number: u64,
        payload: Bytes,
    },
    JudgeThread {
        index: u64,
        parents: Vec<String>,
        known: Vec<Known>,
        elsewhere: Vec<String>,
    },
    Leaf {
        salt: Bytes,
        record_id: Bytes,
        context: Bytes,
    },
    SignaturesDigest {
        signatures: Vec<Sig>,
    },
    RecordId {
        payload_type: String,
        payload: Bytes,
    },
    Root {
        leaves: Vec<Bytes>,
    },
    Inclusion {
        leaf: Bytes,
        index: u64,
        size: u64,
        path: Vec<Bytes>,
        root: Bytes,
    },
    Consistency {
        from: u64,
        from_root: Bytes,
        to: u64,
        to_root: Bytes,
        path: Vec<Bytes>,
    },
    ReadContext {
        context: Bytes,
    },
    VerifyProof {
        proof: Bytes,
        record_id: Bytes,
        kind: i32,
        origin: String,
        keys: Vec<Key>,
    },
    VerifyCheckpoint {
        note: Bytes,
        origin: String,
        keys: Vec<Key>,
    },
    LogFrame {
        kind: u8,
        payload: Bytes,
    },
    SegmentHead {
        number: u32,
        size: u64,
        mark: Bytes,
    },
    Running {
        before: Bytes,
        frames: Bytes,
        size: u64,
        root: Bytes,
    },
    KeySlot {
        kek: Bytes,
        generation: u32,
        slot: u32,
        request: Bytes,
        nonce: Bytes,
        proof: Bytes,
        content: Bytes,
    },
    SlotPromise {
        generation: u32,
    },
    SealObject {
        item: Bytes,
        key: Bytes,
        size: u64,
    },
    OpenObject {
        item: Bytes,
        key: Bytes,
        object: Bytes,
    },
    ObjectRoot {
        size: u64,
    },
    ReadManifest {
        bytes: Bytes,
    },
    ReadCustody {
        bytes: Bytes,
    },
    OpenRoll {
        profile: Bytes,
        envelope: Bytes,
        now_ms: u64,
    },
    ReadApproval {
        bytes: Bytes,
    },
    CheckApprovals {
        profile: Bytes,
        roll: Bytes,
        /// An `Approval`, of which only what it is of matters.
        matter: Bytes,
        body: Bytes,
        requesting: bool,
        emergency: bool,
        /// Each with its signature.
        approvals: Vec<[Bytes; 2]>,
        now_ms: u64,
    },
    OpenPart {
        key: Bytes,
        kind: i32,
        slot: u32,
        index: u64,
        part: String,
        stored: Bytes,
    },
}
