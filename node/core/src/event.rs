//! The signed event: reading it, sealing its body, checking it came from whom it says.
//!
//! Received bytes are kept as received; nothing signed is ever encoded again. What is checked here
//! needs no ledger and no thread: form of the header, identity, signatures, slip and the author's
//! own proof. Whether the act is lawful is for `procedure`, whether it fits its thread for `engine`.
//! Start with [`check_delivery`]. Serves SPEC `[E-*]`, `[B-*]`, `[D-*]`.

use std::collections::BTreeSet;

use prost::Message as _;

use crate::{
    crypto::{CryptoFault, pae, sha256, verify_pair},
    ids::{
        AuthorityId, Digest, EventId, Malformed, NetworkName, Origin, PartyCode, ProcedureCode, RequestId, StepCode,
        ThreadId, Time,
    },
    ledger::{LedgerFault, ProvenRecord, RecordProof, signatures_digest, slip_digest},
    profile::{Profile, Trust},
    proto::{self, ActorKind, Algorithm, KeyRole, Lane, RecordKind, Signature},
    wire::{ENVELOPE_MAX, HEADER_MAX, WireFault, ascending, strict},
};

mod body;

pub use crate::profile::AHEAD_MS_MAX;
#[cfg(test)]
pub(crate) use body::body_keys;
pub use body::{BodySecret, open_body, open_sealed, seal_body, unwrap_body, unwrap_body_with, wrap_secret};

/// Payload type of an event.
pub const EVENT_TYPE: &str = "application/vnd.comity.event.v1";
/// Payload type of a refusal.
pub const REFUSAL_TYPE: &str = "application/vnd.comity.refusal.v1";
/// Payload type under which a receipt taken into the own ledger gets its record id.
pub const RECEIPT_TYPE: &str = "application/vnd.comity.receipt.v1";
/// Payload type under which the word of a peer that it erased what it had receipted gets its record id.
pub const ERASED_TYPE: &str = "application/vnd.comity.erased.v1";

/// Suite 1: Ed25519 and ML-DSA-65 signatures; HPKE MLKEM768-X25519, HKDF-SHA-256, AES-256-GCM.
pub const SUITE_1: u32 = 1;
/// Members of one thread; a joint team of more Parties uses linked threads.
pub const MEMBERS_MAX: usize = 32;
/// Parents of one event: one per member is the honest maximum, doubled for void branches.
pub const PARENTS_MAX: usize = 64;

/// The longest code in an answer; the longest of ours has under 40 characters.
const CODE_MAX: usize = 64;

/// Why an event is not accepted before anything about its thread is looked at. None of these is
/// evidence against the named author: the bytes are not proved to be the author's, or not in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// Bytes that are not a strictly encoded message.
    #[error("event.malformed: nothing was accepted; {0}; the peer runs faulty or foreign software")]
    Wire(#[from] WireFault),
    /// A name or id in the header is not well formed.
    #[error("event.bad-name: nothing was accepted; {0}; the peer runs faulty or foreign software")]
    Name(#[from] Malformed),
    /// It stands in a ledger that no profile known here names yet.
    #[error(
        "event.unknown-ledger: nothing was accepted; the peer writes a ledger that no profile of it known here names; its newest profile is on its way"
    )]
    UnknownLedger,
    /// The header breaks a rule of form.
    #[error("event.bad-header: nothing was accepted; {0}; the peer runs faulty or foreign software")]
    Header(&'static str),
    /// Another network, or exercise mixed with the real thing.
    #[error("event.wrong-network: nothing was accepted; the event is for another network; check both charters")]
    WrongNetwork,
    /// The author is not the Party at the other end of the channel.
    #[error("event.not-the-peer: nothing was accepted; the author is not the Party that sent it")]
    NotThePeer,
    /// The author is not a Party taking part, or has no current profile.
    #[error("event.unknown-author: nothing was accepted; no current profile of the author; see: comity peers")]
    UnknownAuthor,
    /// The signatures are not what policy demands.
    #[error("event.bad-signature: nothing was accepted; {0}")]
    Signature(CryptoFault),
    /// Signed by a record key of the author that was revoked since, or has expired.
    #[error(
        "event.key-ended: the event was refused; a record key that signed it is valid no longer; its author makes a new act"
    )]
    KeyEnded,
    /// The author's clock is too far ahead.
    #[error("event.time-ahead: not accepted yet; the author's time is over 5 minutes ahead; check both clocks")]
    TimeAhead,
    /// The body is not the one the header names.
    #[error("event.body-mismatch: nothing was accepted; the body is not the one its header names")]
    BodyMismatch,
    /// We are not among the recipients.
    #[error("event.not-for-us: nothing was accepted; this Party is not a recipient")]
    NotForUs,
    /// The slip is not the one the author bound in its ledger.
    #[error("event.bad-slip: nothing was accepted; the delivery slip is not the one the author's ledger binds")]
    BadSlip,
    /// The author's own proof does not hold: off-ledger events are not accepted.
    #[error("event.not-in-ledger: nothing was accepted; the author's proof does not hold; {0}")]
    NotInLedger(LedgerFault),
    /// The proof is about other signatures than the ones received.
    #[error("event.other-signatures: nothing was accepted; the author's ledger holds other signatures for this event")]
    OtherSignatures,
    /// The own wrap is missing or does not open, or the commitment does not match.
    #[error("event.body-sealed: the body does not open with our seal key; {0}")]
    Sealed(CryptoFault),
}

impl EventFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wire(_) => "event.malformed",
            Self::Name(_) => "event.bad-name",
            Self::Header(_) => "event.bad-header",
            Self::WrongNetwork => "event.wrong-network",
            Self::NotThePeer => "event.not-the-peer",
            Self::UnknownAuthor => "event.unknown-author",
            Self::Signature(_) => "event.bad-signature",
            Self::KeyEnded => "event.key-ended",
            Self::TimeAhead => "event.time-ahead",
            Self::BodyMismatch => "event.body-mismatch",
            Self::UnknownLedger => "event.unknown-ledger",
            Self::NotForUs => "event.not-for-us",
            Self::BadSlip => "event.bad-slip",
            Self::NotInLedger(_) => "event.not-in-ledger",
            Self::OtherSignatures => "event.other-signatures",
            Self::Sealed(_) => "event.body-sealed",
        }
    }
}

/// A value whose signatures and signer were checked at a stated time. Only this module makes one.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    value: T,
    at: Time,
}

impl<T> Verified<T> {
    /// What was verified.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Gives the value up, and the proof with it.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// When it was checked.
    pub fn at(&self) -> Time {
        self.at
    }
}

/// The header of an event, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The network it belongs to.
    pub network: NetworkName,
    /// True when it has no legal effect.
    pub exercise: bool,
    /// The request.
    pub request: RequestId,
    /// The request and its members.
    pub thread: ThreadId,
    /// The kind of demand.
    pub procedure: ProcedureCode,
    /// The act.
    pub step: StepCode,
    /// The Party that acts.
    pub author: PartyCode,
    /// The authority of that Party that acts.
    pub authority: AuthorityId,
    /// In what capacity it acts.
    pub actor: ActorKind,
    /// The ledger of the author in which it stands.
    pub origin: Origin,
    /// The latest events of the thread its author had seen, ascending.
    pub parents: Vec<EventId>,
    /// The other members of the thread, ascending.
    pub recipients: Vec<PartyCode>,
    /// The author's time; informs people, proves nothing.
    pub time: Time,
    /// The body it goes with; zero before sealing.
    pub body: BodyRef,
}

/// Digest and size of a sealed body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRef {
    /// SHA-256 of the sealed body's bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

/// The thread id: a request with its fixed set of members (SPEC `[E-4]`).
#[must_use]
pub fn thread_id(network: &NetworkName, request: &RequestId, members: &BTreeSet<PartyCode>) -> ThreadId {
    let members: Vec<&str> = members.iter().map(PartyCode::as_str).collect();
    let network = [network.as_str().as_bytes(), b"\0"].concat();
    let digest = sha256(&[b"comity thread v1\0", &network, request.as_bytes(), members.concat().as_bytes()]);
    ThreadId::new(*digest.as_bytes())
}

impl Header {
    /// Reads header bytes strictly and checks every rule of form (SPEC `[E-2]`).
    ///
    /// # Errors
    /// On the first rule broken.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, EventFault> {
        let wire: proto::Header = strict(bytes, HEADER_MAX)?;
        if wire.suite != SUITE_1 {
            return Err(EventFault::Header("the suite is not known"));
        }
        if wire.actor() == ActorKind::Unspecified || wire.actor != wire.actor() as i32 {
            return Err(EventFault::Header("the actor kind is not known"));
        }
        let too_many = wire.parents.len() > PARENTS_MAX || wire.recipients.len() >= MEMBERS_MAX;
        if too_many || wire.recipients.is_empty() {
            return Err(EventFault::Header("a thread has 2 to 32 members and an event at most 64 parents"));
        }
        if !ascending(&wire.parents) || !ascending(&wire.recipients) {
            return Err(EventFault::Header("parents and recipients must rise and not repeat"));
        }
        let header = Self::typed(&wire)?;
        if header.recipients.contains(&header.author) {
            return Err(EventFault::Header("the author must not be among the recipients"));
        }
        if header.thread != thread_id(&header.network, &header.request, &header.members()) {
            return Err(EventFault::Header("the thread id is not that of this request and these members"));
        }
        Ok(header)
    }

    fn typed(wire: &proto::Header) -> Result<Self, Malformed> {
        Ok(Self {
            network: NetworkName::parse(&wire.network)?,
            exercise: wire.exercise,
            request: RequestId::from_slice(&wire.request_id)?,
            thread: ThreadId::from_slice(&wire.thread_id)?,
            procedure: ProcedureCode::parse(&wire.procedure)?,
            step: StepCode::parse(&wire.step)?,
            author: PartyCode::parse(&wire.author)?,
            authority: AuthorityId::parse(&wire.authority)?,
            actor: wire.actor(),
            origin: Origin::parse(&wire.origin)?,
            parents: wire.parents.iter().map(|id| EventId::from_slice(id)).collect::<Result<_, _>>()?,
            recipients: wire.recipients.iter().map(|code| PartyCode::parse(code)).collect::<Result<_, _>>()?,
            time: Time(wire.time_ms),
            body: BodyRef { digest: Digest::from_slice(&wire.body_digest)?, size: wire.body_size },
        })
    }

    /// The canonical bytes: what is signed.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = self.bodiless();
        wire.body_digest = self.body.digest.as_bytes().to_vec();
        wire.body_size = self.body.size;
        wire.encode_to_vec()
    }

    /// What a body is bound to: the header without digest and size of the body (SPEC `[B-2]`).
    #[must_use]
    pub fn binding(&self) -> Digest {
        sha256(&[b"comity body binding v1\0", &pae(EVENT_TYPE, &self.bodiless().encode_to_vec())])
    }

    /// Author and recipients.
    #[must_use]
    pub fn members(&self) -> BTreeSet<PartyCode> {
        self.recipients.iter().chain([&self.author]).cloned().collect()
    }

    fn bodiless(&self) -> proto::Header {
        proto::Header {
            network: self.network.to_string(),
            exercise: self.exercise,
            request_id: self.request.as_bytes().to_vec(),
            thread_id: self.thread.as_bytes().to_vec(),
            procedure: self.procedure.to_string(),
            step: self.step.to_string(),
            author: self.author.to_string(),
            authority: self.authority.to_string(),
            actor: self.actor as i32,
            origin: self.origin.to_string(),
            parents: self.parents.iter().map(|id| id.as_bytes().to_vec()).collect(),
            recipients: self.recipients.iter().map(PartyCode::to_string).collect(),
            time_ms: self.time.0,
            suite: SUITE_1,
            body_digest: Vec::new(),
            body_size: 0,
        }
    }
}

/// An event with the exact bytes it was signed as.
#[derive(Debug, Clone)]
pub struct Event {
    /// The header, read.
    pub header: Header,
    /// SHA-256 of what was signed.
    pub id: EventId,
    /// The header's exact bytes.
    pub bytes: Vec<u8>,
    /// As received, ascending by key id.
    pub signatures: Vec<Signature>,
    /// The sealed body's exact bytes.
    pub body: Vec<u8>,
}

/// The id of an event from its exact header bytes (SPEC `[E-1]`).
#[must_use]
pub fn event_id(header: &[u8]) -> EventId {
    EventId::new(*sha256(&[&pae(EVENT_TYPE, header)]).as_bytes())
}

impl Event {
    /// Reads an envelope strictly. Nothing is verified yet.
    ///
    /// # Errors
    /// When it is not a well-formed event whose body is the one named.
    pub fn from_envelope(bytes: &[u8]) -> Result<Self, EventFault> {
        let envelope: proto::Envelope = strict(bytes, ENVELOPE_MAX)?;
        if envelope.payload_type != EVENT_TYPE {
            return Err(EventFault::Header("the payload type is not that of an event"));
        }
        let header = Header::from_wire(&envelope.header)?;
        if header.body.size != envelope.body.len() as u64 || header.body.digest != sha256(&[&envelope.body]) {
            return Err(EventFault::BodyMismatch);
        }
        Ok(Self {
            id: event_id(&envelope.header),
            header,
            bytes: envelope.header,
            signatures: envelope.signatures,
            body: envelope.body,
        })
    }

    /// The envelope's bytes: the stored parts put together again, none of them encoded anew.
    #[must_use]
    pub fn to_envelope(&self) -> Vec<u8> {
        proto::Envelope {
            payload_type: EVENT_TYPE.into(),
            header: self.bytes.clone(),
            signatures: self.signatures.clone(),
            body: self.body.clone(),
        }
        .encode_to_vec()
    }

    /// Checks network, author and both signatures at the present time.
    ///
    /// # Errors
    /// When any of them does not hold.
    pub fn verify(self, trust: &Trust, now: Time) -> Result<Verified<Self>, EventFault> {
        self.check(trust, now)?;
        Ok(Verified { value: self, at: now })
    }

    /// [`EventFault::KeyEnded`] comes last: all else holds, and the signatures do.
    fn check(&self, trust: &Trust, now: Time) -> Result<(), EventFault> {
        let header = &self.header;
        if header.network != trust.charter().network || header.exercise != trust.charter().exercise {
            return Err(EventFault::WrongNetwork);
        }
        if !trust.charter().allows_suite(SUITE_1, now) {
            return Err(EventFault::Header("the charter does not allow the suite at this time"));
        }
        let profile = trust.profile(&header.author, now).ok_or(EventFault::UnknownAuthor)?;
        let later = profile.may_write(&header.origin);
        if !later && !profile.wrote(&header.origin) {
            return Err(EventFault::Header("the origin is no ledger of the author"));
        }
        let message = pae(EVENT_TYPE, &self.bytes);
        let signed =
            match verify_pair(profile.keys(KeyRole::Record, now), Algorithm::MlDsa65, &message, &self.signatures) {
                // No key of those that are valid: perhaps of those that were.
                Err(CryptoFault::BadKey) => {
                    verify_pair(profile.begun(KeyRole::Record, now), Algorithm::MlDsa65, &message, &self.signatures)
                        .map_err(EventFault::Signature)?;
                    Err(EventFault::KeyEnded)
                }
                other => other.map(drop).map_err(EventFault::Signature),
            };
        if header.time > now.plus_ms(AHEAD_MS_MAX) {
            return Err(EventFault::TimeAhead);
        }
        // Said of what its Party signed only: of anything else it would excuse noise.
        if later && signed.is_ok() { Err(EventFault::UnknownLedger) } else { signed }
    }
}

/// The delivery slip, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    /// The number of the author's ledger it is numbered in, from 1.
    pub ledger: u32,
    /// How urgent.
    pub lane: Lane,
    /// Gap-free per origin, Party and lane, from 1.
    pub number: u64,
}

/// The bytes of a slip.
#[must_use]
pub fn slip_bytes(origin: &Origin, to: &PartyCode, slip: &Slip, nonce: [u8; 16]) -> Vec<u8> {
    proto::Slip {
        origin: origin.to_string(),
        to: to.to_string(),
        lane: slip.lane as i32,
        number: slip.number,
        nonce: nonce.to_vec(),
    }
    .encode_to_vec()
}

/// A delivery whose every part was checked: the event, the slip and the author's proof.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// How it was delivered.
    pub slip: Slip,
    /// Where it stands in its author's ledger.
    pub proven: ProvenRecord,
    /// True if a key that signed the event is valid no longer. Its author's ledger proves it the author's, so that it can be
    /// refused on record; it is never admitted.
    pub key_ended: bool,
}

/// Checks all of a delivery that needs no thread, in the order cheap before dear, identity before
/// content (SPEC `[D-3]`): form, peer, recipient, signatures, slip, proof.
///
/// # Errors
/// On the first check that fails; nothing of it may be recorded.
pub fn check_delivery(
    delivery: &proto::Delivery,
    peer: &PartyCode,
    us: &PartyCode,
    trust: &Trust,
    now: Time,
) -> Result<Verified<Delivery>, EventFault> {
    if delivery.wrap.is_some() {
        return Err(EventFault::Header("only what is given back has a wrap beside its body"));
    }
    let event = Event::from_envelope(&delivery.envelope)?;
    if event.header.author != *peer {
        return Err(EventFault::NotThePeer);
    }
    if !event.header.recipients.contains(us) {
        return Err(EventFault::NotForUs);
    }
    let key_ended = match event.check(trust, now) {
        Err(EventFault::KeyEnded) => true,
        other => other.map(|()| false)?,
    };
    let profile = trust.profile(peer, now).ok_or(EventFault::UnknownAuthor)?;
    let signatures = signatures_digest(&event.signatures);
    let proven = check_held(&delivery.proof, &event.id, RecordKind::EventSent, &signatures, profile, now)?;
    let (ledger, origin) = profile.ledger_at(proven.index());
    if *origin != event.header.origin {
        return Err(EventFault::Header("the event was not written in the ledger it names"));
    }
    let slip = check_slip(&delivery.slip, ledger, &event.header, us, &proven)?;
    Ok(Verified { value: Delivery { event, slip, proven, key_ended }, at: now })
}

/// An event of our own that our ledger had lost, as a recipient gives it back.
#[derive(Debug, Clone)]
pub struct Returned {
    /// The event.
    pub event: Event,
    /// Who gives it back.
    pub by: PartyCode,
    /// The peer's proof that it stands in its ledger: its receipt.
    pub proof: Vec<u8>,
    /// What that proves.
    pub proven: ProvenRecord,
}

/// Checks what a recipient gives back of what we wrote in a ledger before the one we write now (SPEC `[D-9]`): ours by
/// signature, and held by that peer's ledger.
///
/// # Errors
/// On the first check that fails; nothing of it may be recorded.
pub fn check_return(
    delivery: &proto::Delivery,
    peer: &PartyCode,
    us: &PartyCode,
    trust: &Trust,
    now: Time,
) -> Result<Verified<Returned>, EventFault> {
    if !delivery.slip.is_empty() {
        return Err(EventFault::Header("what is given back has no slip"));
    }
    let event = Event::from_envelope(&delivery.envelope)?;
    let header = &event.header;
    if header.author != *us || !header.recipients.contains(peer) {
        return Err(EventFault::NotForUs);
    }
    match event.check(trust, now) {
        Ok(()) | Err(EventFault::KeyEnded) => {}
        Err(fault) => return Err(fault),
    }
    let own = trust.profile(us, now).ok_or(EventFault::UnknownAuthor)?;
    if own.ledger().origin == header.origin {
        return Err(EventFault::Header("nothing is given back of the ledger that is written now"));
    }
    let profile = trust.profile(peer, now).ok_or(EventFault::UnknownAuthor)?;
    let signatures = signatures_digest(&event.signatures);
    let proven = check_held(&delivery.proof, &event.id, RecordKind::EventReceived, &signatures, profile, now)?;
    Ok(Verified { value: Returned { event, by: peer.clone(), proof: delivery.proof.clone(), proven }, at: now })
}

/// The slip must name this origin and Party, and be the one bound at the recipient's place in the
/// author's context (SPEC `[D-2]`).
fn check_slip(
    bytes: &[u8],
    ledger: u32,
    header: &Header,
    us: &PartyCode,
    proven: &ProvenRecord,
) -> Result<Slip, EventFault> {
    let wire: proto::Slip = strict(bytes, HEADER_MAX)?;
    let place = header.recipients.iter().position(|party| party == us).ok_or(EventFault::NotForUs)?;
    let slips = &proven.context().slips;
    let bound = slips.len() == header.recipients.len() && slips.get(place) == Some(&slip_digest(bytes));
    let named = wire.origin == header.origin.as_str() && wire.to == us.as_str();
    let known = matches!(wire.lane(), Lane::Emergency | Lane::Normal);
    // Each number of a lane stands in a record of its own, so none is above the records there are.
    let reached = wire.number > 0 && wire.number - 1 <= proven.index().0;
    let whole = reached && wire.nonce.len() == 16;
    if bound && named && known && whole {
        Ok(Slip { ledger, lane: wire.lane(), number: wire.number })
    } else {
        Err(EventFault::BadSlip)
    }
}

/// A receipt or refusal by the peer, checked against the event it answers.
#[derive(Debug, Clone)]
pub enum PeerAnswer {
    /// The event stands in the peer's ledger.
    Receipt {
        /// The proof's exact bytes.
        proof: Vec<u8>,
        /// What they prove.
        proven: ProvenRecord,
    },
    /// The peer's authorities refuse it, in a signed record.
    Refusal {
        /// The refusal's exact bytes.
        refusal: Vec<u8>,
        /// Its signatures.
        signatures: Vec<Signature>,
        /// The stable code given.
        code: String,
        /// The proof's exact bytes.
        proof: Vec<u8>,
        /// Where it stands in the peer's ledger.
        proven: ProvenRecord,
    },
    /// Nothing was recorded; try again after this many milliseconds.
    Retry {
        /// Why.
        code: String,
        /// When to try again, at the earliest.
        after_ms: u64,
    },
    /// It was receipted before and has been erased since.
    Erased,
}

/// Checks a receipt: it must prove that the peer's ledger holds this event with these signatures (SPEC `[D-5]`), as one it
/// received, or as one of its own that was given back to it ([D-9]).
///
/// # Errors
/// When the proof, its checkpoint or the signatures do not match.
pub fn check_receipt(
    bytes: &[u8],
    event: &EventId,
    kind: RecordKind,
    signatures: &Digest,
    profile: &Profile,
    now: Time,
) -> Result<Verified<PeerAnswer>, EventFault> {
    let proven = check_held(bytes, event, kind, signatures, profile, now)?;
    Ok(Verified { value: PeerAnswer::Receipt { proof: bytes.to_vec(), proven }, at: now })
}

/// Checks a refusal: signed by the peer's record keys, about this event of `author`, standing in
/// the peer's ledger (SPEC `[D-6]`).
///
/// # Errors
/// When any part does not hold.
pub fn check_refusal(
    answer: &proto::RefusalAnswer,
    event: &EventId,
    author: &PartyCode,
    profile: &Profile,
    trust: &Trust,
    now: Time,
) -> Result<Verified<PeerAnswer>, EventFault> {
    let envelope: proto::Envelope = strict(&answer.envelope, HEADER_MAX)?;
    let refusal: proto::Refusal = strict(&envelope.header, HEADER_MAX)?;
    let named = envelope.payload_type == REFUSAL_TYPE
        && envelope.body.is_empty()
        && refusal.network == trust.charter().network.as_str()
        && refusal.event_id == event.as_bytes()
        && refusal.author == author.as_str()
        && refusal.refuser == profile.party.as_str()
        && profile.ledgers().iter().any(|ledger| refusal.origin == ledger.origin.as_str());
    if !named {
        return Err(EventFault::Header("the refusal is not by this peer about this event"));
    }
    if !is_code(&refusal.code) {
        return Err(EventFault::Header("the answer's code is not well formed"));
    }
    let message = pae(REFUSAL_TYPE, &envelope.header);
    let proven = check_proof(&answer.proof, &sha256(&[&message]), RecordKind::RefusalGiven, profile, now)?;
    if profile.ledger_at(proven.index()).1.as_str() != refusal.origin {
        return Err(EventFault::Header("the refusal was not written in the ledger it names"));
    }
    // The peer's ledger and connection say that it is the peer's, though the keys that signed it may have ended since.
    verify_pair(profile.begun(KeyRole::Record, now), Algorithm::MlDsa65, &message, &envelope.signatures)
        .map_err(EventFault::Signature)?;
    if proven.context().signatures != signatures_digest(&envelope.signatures) {
        return Err(EventFault::OtherSignatures);
    }
    let value = PeerAnswer::Refusal {
        refusal: envelope.header,
        signatures: envelope.signatures,
        code: refusal.code,
        proof: answer.proof.clone(),
        proven,
    };
    Ok(Verified { value, at: now })
}

/// An answer that carries no proof and asks for none (SPEC `[D-7]`).
///
/// # Errors
/// When it is not one of those.
pub fn unproved_answer(answer: &proto::Answer, now: Time) -> Result<Verified<PeerAnswer>, EventFault> {
    use proto::answer::Outcome;
    let value = match &answer.outcome {
        Some(Outcome::Retry(retry)) if !is_code(&retry.code) => {
            return Err(EventFault::Header("the answer's code is not well formed"));
        }
        Some(Outcome::Retry(retry)) => {
            PeerAnswer::Retry { code: retry.code.clone(), after_ms: u64::from(retry.after_ms) }
        }
        Some(Outcome::Erased(true)) => PeerAnswer::Erased,
        Some(Outcome::Erased(false) | Outcome::Receipt(_) | Outcome::Refusal(_)) | None => {
            return Err(EventFault::Header("the answer has no outcome of this kind"));
        }
    };
    Ok(Verified { value, at: now })
}

/// A stable code as peers give it, `room.kebab-name`: it is logged and shown, so no other text passes.
fn is_code(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= CODE_MAX && text.split_once('.').is_some_and(|(room, name)| word(room) && word(name))
}

/// That a Party's ledger holds this event as a record of this kind, with these signatures.
fn check_held(
    bytes: &[u8],
    event: &EventId,
    kind: RecordKind,
    signatures: &Digest,
    profile: &Profile,
    now: Time,
) -> Result<ProvenRecord, EventFault> {
    let proven = check_proof(bytes, &Digest::new(*event.as_bytes()), kind, profile, now)?;
    if proven.context().signatures == *signatures { Ok(proven) } else { Err(EventFault::OtherSignatures) }
}

fn check_proof(
    bytes: &[u8],
    record: &Digest,
    kind: RecordKind,
    profile: &Profile,
    now: Time,
) -> Result<ProvenRecord, EventFault> {
    let proof = RecordProof::parse(bytes).map_err(EventFault::NotInLedger)?;
    let verified = profile.verify_checkpoint(proof.note(), now);
    verified.and_then(|checkpoint| proof.verify(record, kind, &checkpoint)).map_err(|fault| {
        let later = fault == LedgerFault::OtherOrigin && profile.signed_in_a_later_ledger(proof.note(), now);
        if later { EventFault::UnknownLedger } else { EventFault::NotInLedger(fault) }
    })
}

#[cfg(test)]
pub(crate) mod tests;
