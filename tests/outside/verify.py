"""Checks an exported ledger from nothing but the fingerprint of a charter, with code that is not the node's.

Written from proto/SPEC.md, proto/wire and the public formats alone (RFC 6962 and 9162 trees, C2SP signed-note and
tlog-checkpoint, -cosignature, -tiles, -proof and -policy), so that a mistake shared by the node's writer and reader
shows here. It reads folders, changes nothing, and trusts only the fingerprint, which stands for the paper that people
compare: everything else must follow from it.

A folder holds
  fingerprint                 hexadecimal document id of a charter, one line
  ledger/checkpoint           a signed note, with cosignatures where the charter assigns witnesses
  ledger/tile/                hash tiles and entry bundles of that size, all of them and no others
  ledger/documents            a Bundle: the charters from the fingerprint's on, and profiles
  ledger/policy               the trust in that ledger as a tlog-policy; missing only where keys of witnesses are
  <record id>.tlog-proof      any number of them, each proving the record its name tells
"""

import base64
import hashlib
import hmac
import re
import sys
import time
import unicodedata
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey

NOTE_ED25519 = 0x01  # signed-note: plain Ed25519 over the note's text
COSIGNATURE_ED25519 = 0x04  # tlog-cosignature: Ed25519 over a time and the note's text
COSIGNATURE_ML_DSA_44 = 0x06  # tlog-cosignature: timestamped, over cosigned_message
KEY_LENGTHS = {NOTE_ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1312}
LOG_KINDS, WITNESS_KINDS = (NOTE_ED25519, COSIGNATURE_ML_DSA_44), (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)
# proto/wire/keys.proto
ROOT, DIRECTORY, RECORD, CHECKPOINT, WITNESS, SEAL, CHARTER_SIGNER = 1, 2, 4, 5, 6, 7, 8
ED25519, ML_DSA_65, ML_DSA_44, X_WING = 1, 2, 3, 4
SIGNING, NOTING = {ED25519: 32, ML_DSA_65: 1952}, {ED25519: 32, ML_DSA_44: 1312}
ROLES = {DIRECTORY: SIGNING, RECORD: SIGNING, CHECKPOINT: NOTING, WITNESS: NOTING, SEAL: {X_WING: 1216}}
CHARTER, PROFILE = "application/vnd.comity.charter.v1", "application/vnd.comity.profile.v1"
KIB, DAY_MS, U64 = 1024, 86_400_000, 1 << 64


class Refused(Exception):
    """Why something does not check."""


def require(fact, why):
    if not fact:
        raise Refused(why)


def unbase64(text):
    """Canonical base64 only: the decoder would pass over stray bits in the last character."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(f"not base64: {text[:20]!r}") from None
    require(base64.b64encode(raw).decode() == text, "base64 in a form of its own")
    return raw


def unhex(text, length):
    require(re.fullmatch(f"[0-9a-f]{{{2 * length}}}", text), f"not {length} bytes of hexadecimal")
    return bytes.fromhex(text)


def decimal(text, what):
    require(re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < U64, f"{what} is a plain decimal below 2^64")
    return int(text)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def read_file(path, limit=None):
    raw = path.read_bytes()
    require(limit is None or len(raw) <= limit, f"longer than {limit} bytes")
    return raw


# --- messages: [W-1], proto/wire -------------------------------------------------------------

# The fields of each shape in the order of their numbers, which run from 1 without gaps; `*` is repeated.
SHAPES = {
    "Bundle": "bytes* envelopes",
    "Envelope": "string payload_type, bytes header, Signature* signatures, bytes body",
    "Signature": "bytes key_id, bytes signature",
    "Charter": "string network, bool exercise, uint64 version, uint64 issued_ms, uint64 expires_ms, uint32 grace_days,"
    " bytes previous, Quorum signers, Party* parties, InstrumentStatus* instruments, PairException* exceptions,"
    " SuiteDates* suites, WitnessDuty* witnesses",
    "Quorum": "HybridKey* keys, uint32 threshold",
    "HybridKey": "bytes ed25519, bytes ml_dsa_65",
    "Party": "string code, string name, Quorum root, uint64 joined_ms, uint64 suspended_ms, uint64 withdrawn_ms",
    "InstrumentStatus": "string instrument, string party, uint64 in_force_ms, uint64 until_ms, string* reservations,"
    " string* declarations",
    "PairException": "string instrument, string party_a, string party_b, uint64 in_force_ms",
    "SuiteDates": "uint32 id, uint64 from_ms, uint64 until_ms",
    "WitnessDuty": "string party, string* witnesses, uint32 faulty",
    "Profile": "string network, string party, uint64 version, uint64 issued_ms, bytes previous, Authority* authorities,"
    " LanguageRule* languages, Declaration* declarations, Node* nodes, string* ledgers, RoleKey* keys,"
    " Revocation* revocations",
    "Authority": "string id, string name, string time_zone, Power* powers",
    "Power": "string procedure, enum side, uint64 from_ms, uint64 until_ms",
    "LanguageRule": "string procedure, bool urgent, string* languages",
    "Declaration": "string code, string value",
    "Node": "bytes peer_id, bytes proof",
    "RoleKey": "enum role, enum algorithm, bytes public_key, uint64 not_before_ms, uint64 not_after_ms",
    "Revocation": "bytes key_id, uint64 from_ms, string reason",
    "Context": "enum kind, uint64 recorded_ms, bytes charter, bytes profile, bytes signatures, bytes* slips",
}
FIELDS = {
    shape: [(kind.rstrip("*"), name, kind.endswith("*")) for kind, name in map(str.split, fields.split(","))]
    for shape, fields in SHAPES.items()
}
DEFAULTS = {"string": "", "bytes": b"", "bool": 0, "enum": 0, "uint32": 0, "uint64": 0}
LIMITS = {"bool": 2, "enum": 1 << 31, "uint32": 1 << 32, "uint64": U64}


def varint(raw, at):
    value = shift = 0
    while True:
        require(at < len(raw) and shift < 70, "a number ends in its message and has at most ten bytes")
        byte, at = raw[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            require(byte or shift == 7, "a number is written as short as can be")
            return value, at


def text_of(raw):
    """[C-8]: people sign what they are shown, so nothing that hides or reorders."""
    text = raw.decode()
    shady = re.search("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    require(len(raw) <= 1000 and not shady, "a text of more than 1,000 bytes, or one that reorders itself")
    require(all(unicodedata.category(c) != "Cc" for c in text), "a text with control characters")
    return text


def read_message(shape, raw):
    """Only the one encoding of [W-1]: fields ascending, no defaults written, nothing unknown."""
    values = {name: [] if many else DEFAULTS.get(kind) for kind, name, many in FIELDS[shape]}
    at = last = 0
    while at < len(raw):
        tag, at = varint(raw, at)
        number, wire = tag >> 3, tag & 7
        require(0 < number <= len(FIELDS[shape]), f"{shape} has no field {number}")
        kind, name, many = FIELDS[shape][number - 1]
        require(number > last or many and number == last, f"fields of {shape} ascend and stand once")
        require(wire == (0 if kind in LIMITS else 2), f"{shape}.{name} is not of its wire type")
        value, at = varint(raw, at)
        if kind in LIMITS:
            require(value < LIMITS[kind], f"{shape}.{name} is too large")
        else:
            value, at = raw[at : at + value], at + value
            require(at <= len(raw), f"{shape}.{name} is cut off")
            value = value if kind == "bytes" else text_of(value) if kind == "string" else read_message(kind, value)
        require(many or kind not in DEFAULTS or value != DEFAULTS[kind], f"{shape}.{name} is a default written out")
        values[name] = values[name] + [value] if many else value
        last = number
    return SimpleNamespace(**values)


# --- signatures of documents: K and S --------------------------------------------------------

# y of the points of small order, all of which [S-2] refuses as a key or as R.
FIELD_PRIME = 2**255 - 19
ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = {0, 1, FIELD_PRIME - 1, ORDER_8, FIELD_PRIME - ORDER_8}


def verify_with(kind, key, signature, message, what):
    """[S-2]. The library checks neither that points are canonical nor that they are of large order."""
    if kind is Ed25519PublicKey:
        for point in (key, signature[:32]):
            y = int.from_bytes(point, "little") & (2**255 - 1)
            require(y < FIELD_PRIME and y not in SMALL_ORDER, f"{what} has a key or R that is no point in use")
    try:
        kind.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise Refused(f"{what} does not verify") from None


def pae(payload_type, payload):
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(role, algorithm, key):
    return sha256(b"comity key v1\0", role.to_bytes(4, "big") + algorithm.to_bytes(4, "big"), key)


def ascend(items, what, key=lambda item: item):
    keys = [key(item) for item in items]
    require(all(a < b for a, b in zip(keys, keys[1:])), f"{what} do not ascend")


def check_quorum(quorum, whose):
    require(quorum is not None and quorum.keys, f"no keys of {whose}")
    ascend(quorum.keys, f"keys of {whose}", lambda pair: pair.ed25519)
    lengths = {(len(pair.ed25519), len(pair.ml_dsa_65)) for pair in quorum.keys}
    require(lengths == {(32, 1952)}, f"a key of {whose} has another length")
    require(len({pair.ml_dsa_65 for pair in quorum.keys}) == len(quorum.keys), f"a key of {whose} stands twice")
    require(1 <= quorum.threshold <= len(quorum.keys), f"the threshold of {whose} is not among its keys")


def halves_of(role, pair):
    """Both halves by their key ids."""
    halves = (ED25519, Ed25519PublicKey, pair.ed25519), (ML_DSA_65, MLDSA65PublicKey, pair.ml_dsa_65)
    return {key_id(role, algorithm, key): (kind, key) for algorithm, kind, key in halves}


def signers_of(document, quorums, pass_over=False):
    """Verifies the signatures of a document; of which keys both halves signed, as sets of two key ids."""
    ids = [signature.key_id for signature in document.signatures]
    ascend(ids, "signatures")
    pairs = [halves_of(role, pair) for role, quorum in quorums for pair in quorum.keys]
    known = {each: half for pair in pairs for each, half in pair.items()}
    message = pae("application/vnd.comity.document-id.v1", document.id)
    for signature in document.signatures:
        require(pass_over or signature.key_id in known, "signed by a key that is none of the quorum's")
        if signature.key_id in known:
            kind, key = known[signature.key_id]
            verify_with(kind, key, signature.signature, message, f"a signature by {signature.key_id.hex()[:8]}")
    whole = {frozenset(pair) for pair in pairs if set(pair) <= set(ids)}
    require(set(ids) & set(known) == set().union(*whole), "one algorithm of a pair has signed without the other")
    return whole


def has_signed(whole, role, quorum):
    return sum(frozenset(halves_of(role, pair)) in whole for pair in quorum.keys) >= quorum.threshold


# --- charter: C ------------------------------------------------------------------------------

Document = namedtuple("Document", "kind id content signatures")
LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"


def is_dotted(text, limit):
    return len(text) <= limit and re.fullmatch(rf"{LABEL}(?:\.{LABEL})*", text)


def is_party(code):
    return re.fullmatch("[A-Z]{2}", code)


def open_document(raw):
    require(len(raw) <= 4096 * KIB, "a document is longer than 4 MiB")
    envelope = read_message("Envelope", raw)
    shape = {CHARTER: "Charter", PROFILE: "Profile"}.get(envelope.payload_type)
    require(shape, f"a document that is neither charter nor profile: {envelope.payload_type}")
    require(not envelope.body, "a document has no body")
    document_id = sha256(pae(envelope.payload_type, envelope.header))
    return Document(shape, document_id, read_message(shape, envelope.header), envelope.signatures)


def check_version(content, what):
    require(content.version > 0, f"version 0 of a {what}")
    require(len(content.previous) == (0 if content.version == 1 else 32), f"what the {what} names as its previous one")


def check_charter(charter):
    """[C-3]"""
    require(is_dotted(charter.network, 100), "the network's name")
    check_version(charter, "charter")
    require(charter.expires_ms > charter.issued_ms, "the charter expires before it is issued")
    codes = {party.code for party in charter.parties}
    require(all(map(is_party, codes)), "a Party's code")
    ascend(charter.parties, "Parties", lambda party: party.code)
    for party in charter.parties:
        check_quorum(party.root, f"the root of {party.code}")
    ascend(charter.instruments, "instruments", lambda status: (status.instrument, status.party))
    for status in charter.instruments:
        require(status.party in codes, "an instrument of a Party that is none")
        ascend(status.reservations, "reservations")
        ascend(status.declarations, "declarations")
    ascend(charter.exceptions, "exceptions", lambda e: (e.instrument, e.party_a, e.party_b))
    for e in charter.exceptions:
        require({e.party_a, e.party_b} <= codes and e.party_a < e.party_b, "an exception is between two Parties")
    ascend(charter.suites, "suites", lambda suite: suite.id)
    ascend(charter.witnesses, "duties of witnesses", lambda duty: duty.party)
    for duty in charter.witnesses:
        ascend(duty.witnesses, "witnesses")
        require({duty.party, *duty.witnesses} <= codes and duty.party not in duty.witnesses, "witnesses are other Parties")
        require(1 <= len(duty.witnesses) <= 7 and duty.faulty < len(duty.witnesses), "number of witnesses, or of faulty")
        require(needed_of(duty) <= len(duty.witnesses), "more witnesses are needed than there are")


def needed_of(duty):
    return (len(duty.witnesses) + duty.faulty) // 2 + 1


def open_charter(document):
    """[C-2]: the fingerprint vouches for the signers, who must have signed."""
    charter = document.content
    check_quorum(charter.signers, "the charter's signers")
    whole = signers_of(document, [(CHARTER_SIGNER, charter.signers)], pass_over=charter.version > 1)
    require(has_signed(whole, CHARTER_SIGNER, charter.signers), "fewer signers than the charter's threshold")
    check_charter(charter)
    return charter


def follow(before, document):
    """[C-4] and [C-5]. What takes a clock of 30 days or two thirds of the Parties is for nodes, not for this."""
    held, new = before.content, document.content
    check_quorum(new.signers, "the charter's signers")
    check_charter(new)
    require((new.network, new.exercise) == (held.network, held.exercise), "a later charter of another network")
    require(new.version == held.version + 1, f"charter {new.version} does not follow {held.version}")
    require(new.previous == before.id, f"charter {new.version} names another one before it")
    roots, named = ({party.code: party.root for party in charter.parties} for charter in (held, new))
    require(set(roots) <= set(named), f"charter {new.version} leaves out a Party")
    quorums = [(CHARTER_SIGNER, held.signers), (CHARTER_SIGNER, new.signers)]
    whole = signers_of(document, quorums + [(ROOT, root) for root in roots.values()])
    for quorum, whose in ((held.signers, "before it"), (new.signers, "it names")):
        require(has_signed(whole, CHARTER_SIGNER, quorum), f"charter {new.version} lacks the threshold {whose}")
    for code, root in roots.items():
        agreed = named[code] == root or has_signed(whole, ROOT, root)
        require(agreed, f"charter {new.version} founds {code} anew without its root keys, which is not judged here")
    return new


def walk_charters(charters, fingerprint):
    ids = [document.id for document in charters]
    require(len(set(ids)) == len(ids), "a charter stands twice")
    require(fingerprint in ids, "no charter has the fingerprint")
    start = ids.index(fingerprint)
    for before, after in zip(charters[:start], charters[1 : start + 1]):
        require(after.content.previous == before.id, "a charter before the fingerprint's is not of its chain")
    charter = open_charter(charters[start])
    for before, document in zip(charters[start:], charters[start + 1 :]):
        charter = follow(before, document)
    return charter


# --- profile: P ------------------------------------------------------------------------------


def party_of(charter, code):
    found = [party for party in charter.parties if party.code == code]
    require(found, f"{code} is no Party of the charter")
    return found[0]


def check_profile(profile):
    """[P-3]"""
    check_version(profile, "profile")
    ascend(profile.authorities, "authorities", lambda authority: authority.id)
    for authority in profile.authorities:
        require(is_dotted(authority.id, 64), "an authority's id")
        ascend(authority.powers, "powers", lambda power: (power.procedure, power.side))
        for power in authority.powers:
            require(re.fullmatch("[A-Z0-9-]{1,24}", power.procedure) and power.side in (1, 2), "a power's procedure or side")
    ascend(profile.declarations, "declarations", lambda declaration: declaration.code)
    ascend(profile.nodes, "nodes", lambda node: node.peer_id)
    for node in profile.nodes:
        require(node.peer_id[:6].hex() == "002408011220" and len(node.peer_id) == 38, "a node is an Ed25519 PeerId")
        claim = pae("application/vnd.comity.node.v1", f"{profile.network}\n{profile.party}".encode())
        verify_with(Ed25519PublicKey, node.peer_id[6:], node.proof, claim, "a node's proof")
    origins = [f"{profile.party.lower()}.{profile.network}/ledger/{n + 1}" for n in range(len(profile.ledgers))]
    require(origins and origins == profile.ledgers, "a profile's ledgers are numbered from 1 in its own name")
    ascend(profile.keys, "keys of a profile", lambda key: key_id(key.role, key.algorithm, key.public_key))
    for key in profile.keys:
        length = ROLES.get(key.role, {}).get(key.algorithm)
        require(length == len(key.public_key), "a key of a role, algorithm or length that no profile has")
        require(key.not_before_ms < key.not_after_ms, "a key ends before it begins")
    require(len({key.public_key for key in profile.keys}) == len(profile.keys), "a key stands twice in a profile")
    ascend(profile.revocations, "revocations", lambda revocation: revocation.key_id)
    require(all(len(revocation.key_id) == 32 for revocation in profile.revocations), "a revocation of no key id")


def open_profile(charter, document):
    """[P-2]"""
    profile = document.content
    require(is_party(profile.party), "a Party's code")
    root = party_of(charter, profile.party).root
    require(profile.network == charter.network, "a profile of another network")
    whole = signers_of(document, [(ROOT, root)])
    require(has_signed(whole, ROOT, root), f"fewer root keys than the threshold of {profile.party} signed its profile")
    check_profile(profile)


def open_profiles(charter, documents):
    """The newest profile of each Party; each must be newer than those before it ([P-8])."""
    newest = {}
    for document in documents:
        open_profile(charter, document)
        profile, before = document.content, newest.get(document.content.party)
        if before:
            step = profile.version - before.content.version
            require(step > 0, f"a profile of {profile.party} is not newer than the one before it")
            require(step > 1 or profile.previous == before.id, f"profiles of {profile.party} fork")
        newest[profile.party] = document
    return {code: document.content for code, document in newest.items()}


def valid_keys(profile, role, name, kinds, now):
    """The Party's keys of a role that may be used now ([P-4]), as keys for notes."""
    revoked = {revocation.key_id for revocation in profile.revocations if revocation.from_ms <= now}
    return tuple(
        NoteKey(name, kinds[key.algorithm], key.public_key)
        for key in profile.keys
        if key.role == role and key.not_before_ms <= now < key.not_after_ms
        and key_id(role, key.algorithm, key.public_key) not in revoked
    )


def has_both(keys):
    return len({key.kind for key in keys}) == 2


def takes_part(party, now):
    ends = [end for end in (party.suspended_ms, party.withdrawn_ms) if end]
    return party.joined_ms <= now and all(now < end for end in ends)


@dataclass(frozen=True)
class Trust:
    """Whom a checkpoint must be signed by: both algorithms of the ledger, and of `needed` of the witnesses."""

    origin: str
    ledger: tuple
    witnesses: dict  # Party code: its keys, none where they are not known or not valid now
    needed: int

    def keys(self):
        return [*self.ledger, *(key for keys in self.witnesses.values() for key in keys)]

    def unknown(self):
        return [code for code, keys in self.witnesses.items() if not keys]

    def judge(self, checkpoint):
        """[L-8] and [L-11]: which witnesses count. Lines by others are passed over."""
        require(checkpoint.origin == self.origin, "the checkpoint is of another ledger")
        found = signers_of_note(checkpoint, self.keys())
        for kind, algorithm in zip(LOG_KINDS, ("Ed25519", "ML-DSA-44")):
            require(any(key.kind == kind for key in found & set(self.ledger)), f"no {algorithm} line of the ledger")
        counted = [code for code, keys in self.witnesses.items() if has_both(found & set(keys))]
        why = f"cosigned by {len(counted)} of the {self.needed} witnesses needed ({', '.join(counted) or 'nobody'})"
        require(len(counted) >= self.needed, f"signed by the ledger, but {why}")
        return why if self.witnesses else "the charter assigns no witnesses"


def check_documents(path, fingerprint, origin, now):
    envelopes = read_message("Bundle", read_file(path)).envelopes
    documents = [open_document(raw) for raw in envelopes]
    charter = walk_charters([d for d in documents if d.kind == "Charter"], fingerprint)
    require(now < charter.expires_ms + charter.grace_days * DAY_MS, "the charter has expired, and its grace with it")
    profiles = open_profiles(charter, [d for d in documents if d.kind == "Profile"])

    def keys_of(code, role, name, kinds):
        if code not in profiles or not takes_part(party_of(charter, code), now):
            return ()
        keys = valid_keys(profiles[code], role, name, {ED25519: kinds[0], ML_DSA_44: kinds[1]}, now)
        return keys if has_both(keys) else ()

    code = origin[:2].upper()
    require(is_party(code) and code in profiles, f"no profile of the Party whose ledger is {origin}")
    require(origin in profiles[code].ledgers, f"the profile of {code} lists no ledger {origin}")
    ledger = keys_of(code, CHECKPOINT, origin, LOG_KINDS)
    require(ledger, f"{code} does not take part now, or has no checkpoint keys of both algorithms valid now")
    duties = [duty for duty in charter.witnesses if duty.party == code]
    names = {each: f"{each.lower()}.{charter.network}/witness" for duty in duties for each in duty.witnesses}
    witnesses = {each: keys_of(each, WITNESS, name, WITNESS_KINDS) for each, name in names.items()}
    trust = Trust(origin, ledger, witnesses, sum(map(needed_of, duties)))
    unknown = f", of {', '.join(trust.unknown())} without keys valid now" if trust.unknown() else ""
    told = f"charter {charter.version} of {charter.network}, profile {profiles[code].version} of {code}"
    return trust, f"{told}, {len(witnesses)} witnesses{unknown}"


# --- checkpoints: [L-8], [L-11], signed-note, tlog-cosignature -------------------------------


@dataclass(frozen=True)
class NoteKey:
    name: str
    kind: int
    raw: bytes

    @property
    def id(self):
        return sha256(self.name.encode(), b"\n", bytes([self.kind]), self.raw)[:4]


@dataclass(frozen=True)
class Checkpoint:
    text: bytes
    origin: str
    size: int
    root: bytes
    signatures: tuple  # (name, key id, signature bytes)

    def without(self, keys):
        gone = {(key.name, key.id) for key in keys}
        return replace(self, signatures=tuple(line for line in self.signatures if line[:2] not in gone))


def read_note(note):
    """Splits a signed note into its three lines of text and its signature lines."""
    require(len(note) <= 64 * KIB, "a checkpoint has at most 64 KiB")
    controls = [c for c in note.decode() if c != "\n" and unicodedata.category(c) == "Cc"]
    require(not controls, "a checkpoint has no control characters")
    require(note.count(b"\n\n") == 1, "a checkpoint has one blank line")
    text, signature_lines = note.split(b"\n\n")
    lines = text.decode().split("\n")
    require(len(lines) == 3, "a checkpoint has origin, size and root, and no other line")
    origin, size, root = lines
    size, root = decimal(size, "the size"), unbase64(root)
    require(size > 0 and len(root) == 32, "the size is above 0 and the root has 32 bytes")
    require(signature_lines.endswith(b"\n"), "the last signature line ends")
    signatures = tuple(read_signature_line(line) for line in signature_lines.decode().split("\n")[:-1])
    require(len(signatures) <= 32, "a checkpoint has at most 32 signature lines")
    return Checkpoint(text + b"\n", origin, size, root, signatures)


def is_note_name(name):
    return name and "+" not in name and not any(c.isspace() for c in name)


def read_signature_line(line):
    dash, name, blob = (line.split(" ") + ["", ""])[:3]
    require(dash == "\u2014" and line == f"{dash} {name} {blob}", "a signature line has a dash, a name, a blob")
    require(is_note_name(name), "the name of a signature line is empty or has a space or plus in it")
    blob = unbase64(blob)
    require(len(blob) > 4, "a signature line holds a key id and a signature")
    return name, blob[:4], blob[4:]


def read_vkey(vkey, kinds):
    """`name+hex key id+base64(type byte || key)`; the id must be that of the key."""
    name, identity, blob = (vkey.decode().split("+", 2) + ["", ""])[:3]
    blob = unbase64(blob)
    require(is_note_name(name) and blob and blob[0] in kinds, "a verifier key has no name, or a type of another use")
    key = NoteKey(name, blob[0], blob[1:])
    require(KEY_LENGTHS[key.kind] == len(key.raw), "a verifier key of another length than its type has")
    require(unhex(identity, 4) == key.id, "a verifier key's id is not that of the key")
    return key


def cosigned_message(checkpoint, cosigner, timestamp):
    def short(text):
        raw = text.encode()
        require(0 < len(raw) < 256, "names have 1 to 255 bytes")
        return bytes([len(raw)]) + raw

    numbers = (0).to_bytes(8, "big") + checkpoint.size.to_bytes(8, "big")
    when = timestamp.to_bytes(8, "big")
    return b"subtree/v1\n\0" + short(cosigner) + when + short(checkpoint.origin) + numbers + checkpoint.root


def check_line(checkpoint, key, signature):
    what = f"the line of {key.name} with type {key.kind:#04x}"
    if key.kind == NOTE_ED25519:
        return verify_with(Ed25519PublicKey, key.raw, signature, checkpoint.text, what)
    timestamp, signature = int.from_bytes(signature[:8], "big"), signature[8:]
    require(timestamp * 1000 < U64, f"{what} is of no time there is")
    if key.kind == COSIGNATURE_ED25519:
        message = b"cosignature/v1\ntime %d\n" % timestamp + checkpoint.text
        return verify_with(Ed25519PublicKey, key.raw, signature, message, what)
    message = cosigned_message(checkpoint, key.name, timestamp)
    return verify_with(MLDSA44PublicKey, key.raw, signature, message, what)


def signers_of_note(checkpoint, keys):
    """Which of these keys signed. A line of a known key that does not verify spoils the whole note."""
    found = set()
    for key in keys:
        lines = [s for name, identity, s in checkpoint.signatures if (name, identity) == (key.name, key.id)]
        require(len(lines) <= 1, f"{key.name} signed twice with one key")
        for signature in lines:
            check_line(checkpoint, key, signature)
            found.add(key)
    return found


def check_checkpoint(path, trust):
    checkpoint = read_note(read_file(path))
    return checkpoint, f"{checkpoint.origin} of size {checkpoint.size}; {trust.judge(checkpoint)}"


# --- policy: tlog-policy ---------------------------------------------------------------------


@dataclass
class Policy:
    logs: list
    names: dict  # name: the key of a witness, or (k, names) of a group
    quorum: bytes = None

    def witnesses(self):
        return [key for key in self.names.values() if isinstance(key, NoteKey)]

    def accepts(self, checkpoint):
        """Whether any log signed and the quorum has; a bad line of a known key is refused by raising."""
        logs = [key for key in self.logs if key.name == checkpoint.origin]
        witnessed = signers_of_note(checkpoint, self.witnesses())

        def counts(name):
            if isinstance(self.names[name], NoteKey):
                return self.names[name] in witnessed
            threshold, members = self.names[name]
            return sum(map(counts, members)) >= threshold

        return bool(signers_of_note(checkpoint, logs)) and (self.quorum == b"none" or counts(self.quorum))

    def rule(self):
        """The quorum as a formula in the form of `gate`."""
        def formula(name):
            if isinstance(self.names[name], NoteKey):
                return self.names[name]
            threshold, members = self.names[name]
            return gate(threshold, map(formula, members))

        return gate(0, []) if self.quorum == b"none" else formula(self.quorum)


def gate(threshold, members):
    """`threshold` of `members` in a form that only equal rules share. Each key stands once in a rule, so merging `all`
    in `all` and `any` in `any`, and dropping groups of one, leaves every rule one form."""
    members = list(members)
    if len(members) == 1 and threshold == 1:
        return members[0]
    kind = "all" if threshold == len(members) else "any" if threshold == 1 else threshold
    merged = [each[1] if isinstance(each, tuple) and each[0] == kind in ("all", "any") else {each} for each in members]
    return kind, frozenset().union(*merged)


def read_policy(raw):
    require(raw.endswith(b"\n"), "the last line of the policy ends")
    require(not re.search(rb"[^\t\n\x20-\x7e\x80-\xff]", raw), "a policy has no control characters but tab and newline")
    policy, grouped = Policy([], {}), set()

    def define(name, meaning):
        require(name != b"none" and name not in policy.names, f"the name {name!r} is taken")
        policy.names[name] = meaning

    for line in raw.split(b"\n"):
        words = line.split()
        match words:
            case []:
                continue
            case [first, *_] if first.startswith(b"#"):
                continue
            case [b"log", vkey] | [b"log", vkey, _]:
                policy.logs.append(read_vkey(vkey, LOG_KINDS))
            case [b"witness", name, vkey] | [b"witness", name, vkey, _]:
                define(name, read_vkey(vkey, WITNESS_KINDS))
            case [b"group", name, threshold, first, *others]:
                members = [first, *others]
                require(all(member in policy.names for member in members), "a group has a member not defined before it")
                require(len(set(members)) == len(members) and not grouped & set(members), "a member of two groups")
                grouped.update(members)
                define(name, (read_threshold(threshold, len(members)), members))
            case [b"quorum", name]:
                require(policy.quorum is None, "a policy has one quorum line")
                require(name == b"none" or name in policy.names, "the quorum is not defined before its line")
                policy.quorum = name
            case _:
                raise Refused(f"a line of no known form: {line[:40]!r}")
    require(policy.quorum is not None, "a policy has a quorum line")
    for keys, what in ((policy.logs, "log"), (policy.witnesses(), "witness")):
        require(len({key.raw for key in keys}) == len(keys), f"a {what} stands twice")
    return policy


def read_threshold(text, members):
    threshold = {b"all": members, b"any": 1}.get(text) or decimal(text.decode(), "a threshold")
    require(1 <= threshold <= members, "a threshold is from 1 to the number of members")
    return threshold


def rule_of(trust):
    """[L-11]: what the quorum of a policy must say. The ledger's ML-DSA-44 keys are witnesses in form."""
    def of_kind(keys, kind):
        return gate(1, (key for key in keys if key.kind == kind))

    ours = of_kind(trust.ledger, COSIGNATURE_ML_DSA_44)
    known = [keys for keys in trust.witnesses.values() if keys]
    pairs = [gate(2, (of_kind(keys, kind) for kind in WITNESS_KINDS)) for keys in known]
    return gate(2, [ours, gate(trust.needed, pairs)]) if trust.needed else ours


def accepts(judge, checkpoint):
    try:
        return judge(checkpoint) is not False
    except Refused:
        return False


def check_policy(path, trust, checkpoint):
    """The policy must be the charter's own rule, word for word in keys and, in effect, for every checkpoint."""
    if not path.exists():
        require(trust.unknown(), "missing, though the keys of all witnesses are known")
        return trust.judge, f"none, since keys of {', '.join(trust.unknown())} are not known"
    policy = read_policy(read_file(path))
    own = {kind: [key for key in trust.ledger if key.kind == kind] for kind in LOG_KINDS}
    require(set(policy.logs) == set(own[NOTE_ED25519]), "the logs are not the ledger's Ed25519 keys")
    others = set(trust.keys()) - set(policy.logs)
    require(set(policy.witnesses()) == others, "the witnesses are not the ML-DSA-44 keys of the ledger and the witnesses' keys")
    require(policy.rule() == rule_of(trust), "the quorum demands something else than the charter")
    accepted = accepts(policy.accepts, checkpoint)
    require(accepted == accepts(trust.judge, checkpoint), "the policy and the charter differ about the checkpoint")
    for keys in own.values():
        require(not accepts(policy.accepts, checkpoint.without(keys)), "one of the ledger's algorithms would be enough")
    told = "accepts" if accepted else "does not accept"
    return policy.accepts, f"demands what the charter does, and {told} the checkpoint"


# --- tree: RFC 6962, tlog-tiles, [L-4], [L-10] -----------------------------------------------


def tree_root(row):
    """RFC 6962, 2.1: a last node without a sibling goes up as it is."""
    row = list(row)
    while len(row) > 1:
        odd = row[len(row) & ~1 :]
        row = [sha256(b"\x01", left, right) for left, right in zip(row[::2], row[1::2])] + odd
    return row[0]


def tile_path(level, number, width):
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([str(level), *("x" + part for part in parts[:-1]), parts[-1]])
    return name if width == 256 else f"{name}.p/{width}"


def tiles_of(level, count):
    """(path, first, width) of the tiles of a row of so many hashes."""
    return [
        (tile_path(level, first // 256, min(256, count - first)), first, min(256, count - first))
        for first in range(0, count, 256)
    ]


def read_bundle(raw, width):
    require(len(raw) == 35 * width, "the bundle is not that many entries long")
    entries = [raw[at : at + 35] for at in range(0, len(raw), 35)]
    require(all(entry[:3] == b"\0\x21\x01" for entry in entries), "an entry has 33 bytes and version 1")
    return [entry[2:] for entry in entries]


def check_tiles(folder, checkpoint):
    """Every entry up to the root, every tile from the entries, no file too few and none too many."""
    size, rows = checkpoint.size, []
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    require(present, "no tiles")
    demanded = {path for path, _, _ in tiles_of("entries", size)} if size // 256 <= len(present) else set()
    require(demanded <= present, f"lacks {', '.join(sorted(demanded - present)[:3])} or more entries")
    entries = []
    for path, _, width in tiles_of("entries", size):
        entries += read_bundle(read_file(folder / path), width)
    row = [sha256(b"\0", entry) for entry in entries]
    require(tree_root(row) == checkpoint.root, "the entries do not lead to the root of the checkpoint")
    while row:
        rows.append(row)
        row = [tree_root(row[at : at + 256]) for at in range(0, len(row) & ~255, 256)]
    for level, row in enumerate(rows):
        for path, first, width in tiles_of(level, len(row)):
            demanded.add(path)
            require(path in present, f"lacks {path}")
            same = read_file(folder / path) == b"".join(row[first : first + width])
            require(same, f"{path} is not what the entries give")
    surplus = sorted(present - demanded)
    require(not surplus, f"holds more than the size demands: {', '.join(surplus[:3])}")
    return entries, f"{size} entries lead to the root, {len(demanded)} files as the size demands"


# --- proofs: [L-1], [L-5], [L-9], [L-12], tlog-proof -----------------------------------------


def leaf_entry(record_id, context, salt):
    return b"\x01" + hmac.new(salt, b"comity leaf v1\0" + record_id + sha256(context), hashlib.sha256).digest()


def root_from_path(leaf, index, size, path):
    """RFC 9162, 2.1.3.2."""
    require(0 <= index < size, "the index lies in the tree")
    fn, sn, node = index, size - 1, leaf
    for sibling in path:
        require(sn > 0, "the path is too long")
        if fn & 1 or fn == sn:
            node = sha256(b"\x01", sibling, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = sha256(b"\x01", node, sibling)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0, "the path is too short")
    return node


def check_context(raw):
    """[L-7], as far as it is judged without the record."""
    require(len(raw) <= 24 * KIB, "a context of more than 24 KiB")
    context = read_message("Context", raw)
    ids = [context.charter, context.profile, context.signatures, *context.slips]
    require(1 <= context.kind <= 12 and all(len(each) == 32 for each in ids), "a context of no kind, or with bad ids")
    require(len(context.slips) <= 256 and (context.kind == 1 or not context.slips), "slips of a context")
    return context


def read_proof(raw):
    """(salt, context, index, path, the bytes of the checkpoint)"""
    head, blank, note = raw.partition(b"\n\n")
    lines = head.decode().split("\n")
    require(blank and len(lines) >= 3 and lines[0] == "c2sp.org/tlog-proof@v1", "not a tlog-proof")
    require(lines[1].startswith("extra "), "the second line of the proof is its extra data")
    require(lines[2].startswith("index "), "the third line of the proof is the index")
    extra, index = unbase64(lines[1][6:]), decimal(lines[2][6:], "the index")
    path = [unbase64(line) for line in lines[3:]]
    require(len(path) <= 64 and all(len(node) == 32 for node in path), "a path is at most 64 hashes of 32 bytes")
    require(len(extra) > 32, "the extra data are a salt of 32 bytes and a context")
    return extra[:32], extra[32:], index, path, note


def check_proof(path, trust, policy, entries):
    record_id = unhex(path.name.removesuffix(".tlog-proof"), 32)
    salt, context, index, nodes, note = read_proof(read_file(path))
    checkpoint = read_note(note)
    told, kind = trust.judge(checkpoint), check_context(context).kind
    require(accepts(policy, checkpoint), "the policy does not accept the checkpoint of the proof")
    entry = leaf_entry(record_id, context, salt)
    root = root_from_path(sha256(b"\0", entry), index, checkpoint.size, nodes)
    require(root == checkpoint.root, "the record is not in the tree the checkpoint signs")
    if index < len(entries):
        require(entries[index] == entry, f"entry {index} of the ledger is another one")
    if checkpoint.size <= len(entries):
        same = tree_root(sha256(b"\0", each) for each in entries[: checkpoint.size]) == checkpoint.root
        require(same, "the checkpoint of the proof is of another tree than the ledger's")
    return record_id, f"record of kind {kind} at {index} of {checkpoint.size}; {told}"


# --- folders ---------------------------------------------------------------------------------


class Checks:
    """Prints a line for each thing checked, and counts what failed."""

    def __init__(self):
        self.failed = 0

    def run(self, path, check, *given):
        """What `check` gives, or None where it or something it rests on failed."""
        try:
            require(all(each is not None for each in given), "not checked, since something it rests on failed")
            value, told = check(path, *given)
            print(f"ok      {path}: {told}")
            return value
        except (Refused, ValueError, OSError) as why:
            print(f"FAILED  {path}: {why if isinstance(why, Refused) else repr(why)}")
            self.failed += 1
            return None


def read_fingerprint(path):
    text = read_file(path).decode()
    require(text.endswith("\n"), "the fingerprint is one line")
    return unhex(text[:-1], 32), "taken as given"


def check_folder(folder, now, checks):
    """The checkpoint is read first for the origin and size it claims; nothing is trusted before its own line says ok."""
    ledger = folder / "ledger"
    fingerprint = checks.run(folder / "fingerprint", read_fingerprint)
    try:
        claimed = read_note(read_file(ledger / "checkpoint"))
    except (Refused, ValueError, OSError):
        claimed = None
    trust = checks.run(ledger / "documents", check_documents, fingerprint, claimed and claimed.origin, now)
    checkpoint = checks.run(ledger / "checkpoint", check_checkpoint, trust) if claimed else checks.run(
        ledger / "checkpoint", lambda path: check_checkpoint(path, None)
    )
    policy = checks.run(ledger / "policy", check_policy, trust, claimed)
    entries = checks.run(ledger / "tile", check_tiles, checkpoint)
    for proof in sorted(folder.glob("*.tlog-proof")):
        checks.run(proof, check_proof, trust, policy, entries)


def main(folders, now=None):
    if not folders:
        print("nothing to check: verify.py FOLDER...", file=sys.stderr)
        return 1
    checks = Checks()
    for folder in folders:
        check_folder(Path(folder), int(time.time() * 1000) if now is None else now, checks)
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
