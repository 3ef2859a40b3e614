//! False frames with real keys: what somebody can make who holds a Party's record and checkpoint keys.
//!
//! Its ledger is whatever the moment needs: a path of random nodes and the root that follows from it,
//! under a checkpoint that verifies.

use std::sync::Arc;

use prost::Message as _;

use super::Chance;
use crate::{
    crypto::{pae, sha256},
    event::{
        AHEAD_MS_MAX, BodyRef, BodySecret, EVENT_TYPE, Event, Header, REFUSAL_TYPE, Slip, event_id, seal_body,
        thread_id,
    },
    founding::{RoleKeys, tests as founded},
    ids::{
        AuthorityId, Digest, EventId, LedgerIndex, NetworkName, Origin, PartyCode, ProcedureCode, RequestId, StepCode,
        Time,
    },
    ledger::{Checkpoint, Context, RecordProof, Salt, leaf_entry, leaf_hash, signatures_digest, slip_digest},
    profile::{Trust, document},
    proto::{self, ActorKind, RecordKind, answer::Outcome},
    record::{self, Moment, Slips},
};

/// An event to be made.
pub(super) struct Draft {
    pub(super) request: RequestId,
    pub(super) recipients: Vec<PartyCode>,
    pub(super) parents: Vec<EventId>,
    pub(super) procedure: ProcedureCode,
    pub(super) step: StepCode,
    pub(super) slip: Slip,
    pub(super) place: u64,
}

/// Keys in the wrong hands.
pub(super) struct Forge<'c> {
    pub(super) party: PartyCode,
    pub(super) origin: Origin,
    pub(super) keys: Arc<RoleKeys>,
    pub(super) trust: Arc<Trust>,
    pub(super) now: Time,
    pub(super) chance: &'c mut Chance,
}

impl Forge<'_> {
    fn header(&self, draft: &Draft) -> Header {
        let mut header = Header {
            network: founded::network(),
            exercise: true,
            request: draft.request,
            thread: crate::ids::ThreadId::new([0; 32]),
            procedure: draft.procedure.clone(),
            step: draft.step.clone(),
            author: self.party.clone(),
            authority: AuthorityId::parse("central").expect("id"),
            actor: ActorKind::Authority,
            origin: self.origin.clone(),
            parents: draft.parents.clone(),
            recipients: draft.recipients.clone(),
            time: self.now,
            body: BodyRef { digest: Digest::new([0; 32]), size: 0 },
        };
        header.parents.sort();
        header.thread = thread_id(&header.network, &header.request, &header.members());
        header
    }

    /// Seals a body to the recipients and signs.
    fn sealed(&mut self, mut header: Header, body: &[u8]) -> (Event, BodySecret) {
        let keys: Vec<_> =
            header.recipients.iter().filter_map(|to| self.trust.seal_key(to, self.now)).cloned().collect();
        let (body, secret) = seal_body(body, &header.binding(), &keys, &self.chance.bytes()).expect("sealed");
        header.body = BodyRef { digest: sha256(&[&body]), size: body.len() as u64 };
        let bytes = header.to_wire();
        (self.signed(header, bytes, body), secret)
    }

    fn signed(&self, header: Header, bytes: Vec<u8>, body: Vec<u8>) -> Event {
        let signatures = self.keys.record.sign_pair(&pae(EVENT_TYPE, &bytes)).expect("signed");
        Event { id: event_id(&bytes), header, bytes, signatures, body }
    }

    pub(super) fn delivery(&mut self, draft: &Draft, body: &[u8], to: &PartyCode) -> proto::Delivery {
        let header = self.header(draft);
        let (event, secret) = self.sealed(header, body);
        self.deliver(&event, secret, draft, to)
    }

    fn deliver(&mut self, event: &Event, secret: BodySecret, draft: &Draft, to: &PartyCode) -> proto::Delivery {
        let rows = event.header.recipients.iter().map(|party| (party.clone(), draft.slip.clone())).collect();
        let slips = Slips { secret: self.chance.bytes(), rows };
        let trust = self.trust.clone();
        let moment = Moment { trust: &trust, recorded: self.now, salt: self.chance.bytes() };
        let record = record::event_sent(&moment, event.clone(), Vec::new(), &slips, self.chance.bytes(), secret);
        let slip = slips.bytes(&event.header.origin, to).unwrap_or_default();
        let proof = self.proof(&record.node.record_id, &record.case.context, draft.place).encode_to_vec();
        proto::Delivery { envelope: event.to_envelope(), slip, proof, wrap: None }
    }

    /// Proves anything at any place.
    fn proof(&mut self, record: &[u8], context: &[u8], place: u64) -> proto::RecordProof {
        let (salt, record) = (Salt(self.chance.bytes()), Digest::from_slice(record).expect("id"));
        let levels = (64 - place.leading_zeros()).max(2);
        let path: Vec<Digest> = (0..levels).map(|_| Digest::new(self.chance.bytes())).collect();
        let mut root = leaf_hash(&leaf_entry(&salt, &record, context));
        for (level, node) in path.iter().enumerate() {
            let (left, right) = if place >> level & 1 == 0 { (root, *node) } else { (*node, root) };
            root = sha256(&[&[1], left.as_bytes(), right.as_bytes()]);
        }
        let note = self.note(1 << levels, root, &self.keys.clone());
        let bytes = RecordProof::build(&record, context, &salt, LedgerIndex(place), &path, note.as_bytes());
        proto::RecordProof::decode(&bytes[..]).expect("a proof")
    }

    fn note(&self, size: u64, root: Digest, keys: &RoleKeys) -> String {
        Checkpoint { origin: self.origin.clone(), size, root }.sign(&keys.checkpoint, self.now).expect("signed")
    }

    /// A good delivery whose proof is spoiled.
    pub(super) fn off_ledger(&mut self, mut good: proto::Delivery, to: &PartyCode) -> proto::Delivery {
        let mut proof = proto::RecordProof::decode(&good.proof[..]).expect("a proof");
        match self.chance.below(9) {
            0 => proof.index ^= 1,
            1 => proof.index = u64::MAX,
            2 => proof.path[0][0] ^= 1,
            3 => proof.path.clear(),
            4 => proof.path.extend((0..70).map(|_| vec![0; 32])),
            5 => proof.checkpoint = self.note(4, Digest::new([3; 32]), &self.keys.clone()).into_bytes(),
            6 => proof.checkpoint = self.note(4, Digest::new([3; 32]), &founded::keys_of(to.as_str())).into_bytes(),
            7 => proof = self.proof(&[5; 32], &proof.context, 2),
            _ => proof = proto::RecordProof::default(),
        }
        good.proof = proof.encode_to_vec();
        good
    }

    /// A good delivery whose slip is not in order, bound in its ledger or not.
    pub(super) fn bad_slip(&mut self, mut good: proto::Delivery) -> proto::Delivery {
        let mut slip = proto::Slip::decode(&good.slip[..]).expect("a slip");
        let proof = proto::RecordProof::decode(&good.proof[..]).expect("a proof");
        let mut context = Context::from_bytes(&proof.context).expect("a context");
        match self.chance.below(9) {
            0 => slip.number = 0,
            1 => slip.number = u64::MAX,
            2 => slip.lane = 0,
            3 => slip.lane = i32::MAX,
            4 => slip.to = self.party.to_string(),
            5 => slip.origin.push('0'),
            6 => slip.nonce.clear(),
            7 => context.slips.push(Digest::new([1; 32])),
            _ => context.slips.clear(),
        }
        good.slip = slip.encode_to_vec();
        if let (Some(first), true) = (context.slips.first_mut(), self.chance.below(4) > 0) {
            *first = slip_digest(&good.slip);
        }
        good.proof = self.proof(&proof.record_id, &context.to_bytes(), 2).encode_to_vec();
        good
    }

    /// An event in another Party's name, or signed by somebody else, by one key or by both in the wrong order.
    pub(super) fn impostor(
        &mut self,
        draft: &Draft,
        body: &[u8],
        to: &PartyCode,
        third: &PartyCode,
    ) -> proto::Delivery {
        let header = self.header(draft);
        let (mut event, secret) = self.sealed(header, body);
        match self.chance.below(5) {
            0 => {
                let mut header = event.header.clone();
                header.author = third.clone();
                header.recipients.retain(|party| party != third);
                header.thread = thread_id(&header.network, &header.request, &header.members());
                let bytes = header.to_wire();
                event = self.signed(header, bytes, event.body);
            }
            1 => {
                let stranger = founded::keys_of(third.as_str());
                event.signatures = stranger.record.sign_pair(&pae(EVENT_TYPE, &event.bytes)).expect("signed");
            }
            2 => event.signatures.truncate(1),
            3 => event.signatures.reverse(),
            _ => event.signatures.extend(event.signatures.clone()),
        }
        self.deliver(&event, secret, draft, to)
    }

    /// An event whose header is in order as to its signatures and absurd as to what it says.
    pub(super) fn absurd_header(&mut self, draft: &Draft, body: &[u8], to: &PartyCode) -> proto::Delivery {
        let mut header = self.header(draft);
        let typed = self.chance.one_in(2);
        if typed {
            self.spoil_header(&mut header);
        }
        let (mut event, secret) = self.sealed(header, body);
        if !typed {
            let mut wire = proto::Header::decode(&event.bytes[..]).expect("a header");
            self.spoil_wire(&mut wire);
            event = self.signed(event.header, wire.encode_to_vec(), event.body);
        }
        self.deliver(&event, secret, draft, to)
    }

    fn spoil_header(&mut self, header: &mut Header) {
        match self.chance.below(14) {
            0 => header.procedure = ProcedureCode::parse("ZZZZ").expect("code"),
            1 => header.step = StepCode::parse("conquer").expect("code"),
            2 => header.authority = AuthorityId::parse("nobody").expect("id"),
            3 => header.actor = ActorKind::Oversight,
            4 => header.origin = Origin::of(&self.party, &header.network, 2),
            5 => header.parents = (0..64).map(|_| EventId::new(self.chance.bytes())).collect(),
            6 => header.recipients = founded::codes(31).iter().map(|party| founded::code(party)).collect(),
            7 => header.recipients.push(PartyCode::parse("ZZ").expect("code")),
            8 => header.time = Time(0),
            9 => header.time = Time(u64::MAX),
            10 => header.time = self.now.plus_ms(AHEAD_MS_MAX),
            11 => header.time = self.now.plus_ms(2 * AHEAD_MS_MAX),
            12 => header.exercise = false,
            _ => header.network = NetworkName::parse("other.test").expect("name"),
        }
        header.parents.sort();
        header.recipients.retain(|party| *party != header.author);
        header.recipients.sort();
        header.thread = thread_id(&header.network, &header.request, &header.members());
    }

    fn spoil_wire(&mut self, wire: &mut proto::Header) {
        match self.chance.below(16) {
            0 => wire.network.clear(),
            1 => wire.request_id.clear(),
            2 => wire.thread_id.clear(),
            3 => wire.procedure.clear(),
            4 => wire.step = "x".repeat(60_000),
            5 => wire.author.clear(),
            6 => wire.authority = "\u{0}".into(),
            7 => wire.origin.clear(),
            8 => wire.suite = u32::MAX,
            9 => wire.actor = i32::MAX,
            10 => wire.body_size = u64::MAX,
            11 => wire.body_digest.clear(),
            12 => wire.recipients = vec![wire.recipients[0].clone(); 2],
            13 => wire.recipients.clear(),
            14 => wire.parents = vec![Vec::new()],
            _ => wire.parents = (0..1_000u32).map(|n| sha256(&[&n.to_be_bytes()]).as_bytes().to_vec()).collect(),
        }
    }

    fn context(&self, kind: RecordKind, signatures: Digest) -> Vec<u8> {
        let profile = self.trust.profile(&self.party, self.now).map_or(Digest::new([0; 32]), |profile| profile.id());
        let charter = self.trust.charter().id();
        Context { kind, recorded: self.now, charter, profile, signatures, slips: Vec::new() }.to_bytes()
    }

    /// A receipt for an event that was never taken, whole or spoiled.
    pub(super) fn false_receipt(&mut self, event: &EventId, signatures: Digest) -> Vec<u8> {
        let place = self.chance.below(1 << 40);
        let context = self.context(RecordKind::EventReceived, signatures);
        let mut proof = self.proof(event.as_bytes(), &context, place);
        let mut named = *event;
        match self.chance.below(10) {
            0 => proof.index ^= 1,
            1 => proof.salt[0] ^= 1,
            2 => proof.path.truncate(1),
            3 => proof.context = self.context(RecordKind::EventReceived, Digest::new([9; 32])),
            4 => proof = self.proof(event.as_bytes(), &self.context(RecordKind::EventSent, signatures), place),
            5 => {
                let other = self.context(RecordKind::EventReceived, Digest::new([9; 32]));
                proof = self.proof(event.as_bytes(), &other, place);
            }
            6 => proof.checkpoint = self.note(1 << 41, Digest::new([3; 32]), &self.keys.clone()).into_bytes(),
            7 => {
                named = EventId::new(self.chance.bytes());
                proof = self.proof(named.as_bytes(), &context, place);
            }
            _ => (),
        }
        let outcome = Some(Outcome::Receipt(proof.encode_to_vec()));
        proto::Answer { event_id: named.as_bytes().to_vec(), outcome }.encode_to_vec()
    }

    /// A refusal, or a word that needs no proof.
    pub(super) fn false_answer(&mut self, event: &EventId, author: &PartyCode) -> Vec<u8> {
        let retry = |code: &str, after_ms| Outcome::Retry(proto::Retry { code: code.to_owned(), after_ms });
        let mut event_id = event.as_bytes().to_vec();
        let outcome = match self.chance.below(12) {
            0 => Some(retry("engine.busy", u32::MAX)),
            1 => Some(retry("", 0)),
            2 => Some(retry(&"x".repeat(60_000), 0)),
            3 => Some(Outcome::Erased(true)),
            4 => Some(Outcome::Erased(false)),
            5 => None,
            6 => {
                event_id.truncate(31);
                Some(retry("engine.busy", 0))
            }
            _ => Some(Outcome::Refusal(self.refusal(event, author))),
        };
        proto::Answer { event_id, outcome }.encode_to_vec()
    }

    fn refusal(&mut self, event: &EventId, author: &PartyCode) -> proto::RefusalAnswer {
        let mut refusal = proto::Refusal {
            network: founded::network().to_string(),
            event_id: event.as_bytes().to_vec(),
            author: author.to_string(),
            refuser: self.party.to_string(),
            origin: self.origin.to_string(),
            code: "form.incomplete".to_owned(),
            time_ms: self.now.0,
        };
        let spoil = self.chance.below(8);
        match spoil {
            0 => refusal.event_id = vec![3; 32],
            1 => refusal.refuser = author.to_string(),
            2 => refusal.code = "an\u{1b}[31m alarm".to_owned(),
            3 => refusal.time_ms = u64::MAX,
            _ => (),
        }
        let bytes = refusal.encode_to_vec();
        let message = pae(REFUSAL_TYPE, &bytes);
        let mut signatures = self.keys.record.sign_pair(&message).expect("signed");
        let context = self.context(RecordKind::RefusalGiven, signatures_digest(&signatures));
        let mut proof = self.proof(sha256(&[&message]).as_bytes(), &context, 5);
        match spoil {
            4 => signatures = self.keys.record.sign_pair(&message).expect("signed"),
            5 => proof.index ^= 1,
            6 => signatures.truncate(1),
            _ => (),
        }
        proto::RefusalAnswer { envelope: document(REFUSAL_TYPE, bytes, signatures), proof: proof.encode_to_vec() }
    }
}
