"""Checks an exported ledger from nothing but the fingerprint of a charter, with code that is not the node's.

Written from proto/SPEC.md, proto/wire and the public formats alone (RFC 6962 and 9162 trees, C2SP signed-note and
tlog-checkpoint, -cosignature, -tiles, -proof and -policy), so that a mistake shared by the node's writer and reader
shows here. It changes nothing, and trusts only the fingerprint: everything else must follow from it. Of charter and
profile it judges what bears on a ledger: not instruments, suites, authorities and nodes.

A folder holds
  fingerprint              hexadecimal document id of a charter, one line: stands for the paper that people compare
  ledger/checkpoint        a signed note, with cosignatures where the charter assigns witnesses
  ledger/tile/             hash tiles and entry bundles of that size, all of them and no others
  ledger/documents         a Bundle of charters, the fingerprint's and those after it, and of profiles
  ledger/policy            the trust in that ledger as a tlog-policy; missing only where keys of witnesses are
  <record id>.tlog-proof   any number of them, each proving the record its name tells
"""

import base64
import hashlib
import hmac
import re
import sys
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

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


def ascend(items, what, key=lambda item: item):
    keys = [key(item) for item in items]
    require(all(a < b for a, b in zip(keys, keys[1:])), f"{what} do not ascend")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


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
    " LanguageRule* languages, Declaration* declarations, Node* nodes, Ledger* ledgers, RoleKey* keys,"
    " Revocation* revocations",
    "Ledger": "string origin, uint64 size, bytes root",
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
INTEGERS = {"bool": range(2), "enum": range(1 << 31), "uint32": range(1 << 32), "uint64": range(U64)}


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
    shady = re.search("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    require(len(raw) <= 1000 and not shady, "a text of over 1,000 bytes, or with characters that are not shown")
    return text


def read_message(shape, raw):
    """Only the one encoding of [W-1]: fields ascending, no defaults written, nothing unknown. No shape that is read
    here has a use for the negative numbers of an enum."""
    values = {name: [] if many else DEFAULTS.get(kind) for kind, name, many in FIELDS[shape]}
    at = last = 0
    while at < len(raw):
        tag, at = varint(raw, at)
        number, wire = tag >> 3, tag & 7
        require(0 < number <= len(FIELDS[shape]), f"{shape} has no field {number}")
        kind, name, many = FIELDS[shape][number - 1]
        require(number > last or many and number == last, f"fields of {shape} ascend and stand once")
        require(wire == (0 if kind in INTEGERS else 2), f"{shape}.{name} is not of its wire type")
        value, at = varint(raw, at)
        if kind in INTEGERS:
            require(value in INTEGERS[kind], f"{shape}.{name} is too large")
        else:
            value, at = raw[at : at + value], at + value
            require(at <= len(raw), f"{shape}.{name} is cut off")
            value = value if kind == "bytes" else text_of(value) if kind == "string" else read_message(kind, value)
        require(many or kind not in DEFAULTS or value != DEFAULTS[kind], f"{shape}.{name} is a default written out")
        values[name] = values[name] + [value] if many else value
        last = number
    return SimpleNamespace(**values)


# --- documents and their signatures: K and S -------------------------------------------------

Document = namedtuple("Document", "shape id content signatures")
# y of the points of small order, which [S-2] refuses as a key and as R.
PRIME, ORDER_8 = 2**255 - 19, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = {0, 1, PRIME - 1, ORDER_8, PRIME - ORDER_8}


def verify_with(kind, key, signature, message, what):
    """[S-2]. The library checks neither that points are canonical nor that they are of large order."""
    if kind is Ed25519PublicKey:
        for point in (key, signature[:32]):
            y = int.from_bytes(point, "little") & (2**255 - 1)
            require(y < PRIME and y not in SMALL_ORDER, f"{what} has a key or R that is no point in use")
    try:
        kind.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise Refused(f"{what} does not verify") from None


def pae(payload_type, payload):
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def open_document(raw):
    require(len(raw) <= 4096 * KIB, "a document is longer than 4 MiB")
    envelope = read_message("Envelope", raw)
    shapes = {"application/vnd.comity.charter.v1": "Charter", "application/vnd.comity.profile.v1": "Profile"}
    shape = shapes.get(envelope.payload_type)
    require(shape and not envelope.body, f"{envelope.payload_type!r} is neither charter nor profile, or has a body")
    content = read_message(shape, envelope.header)
    right = content.version > 0 and len(content.previous) == (0 if content.version == 1 else 32)
    require(right, f"the version of a {shape}, or what it names as the one before it")
    return Document(shape, sha256(pae(envelope.payload_type, envelope.header)), content, envelope.signatures)


def key_id(role, algorithm, key):
    return sha256(b"comity key v1\0", role.to_bytes(4, "big") + algorithm.to_bytes(4, "big"), key)


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
    """Verifies all signatures ([S-4], [C-5]); says of a role and quorum whether its threshold is among them."""
    ids = [signature.key_id for signature in document.signatures]
    ascend(ids, "signatures")
    pairs = [halves_of(role, pair) for role, quorum in quorums for pair in quorum.keys]
    known = {each: half for pair in pairs for each, half in pair.items()}
    message = pae("application/vnd.comity.document-id.v1", document.id)
    for signature in document.signatures:
        require(pass_over or signature.key_id in known, "signed by a key of nobody who is asked to sign")
        if signature.key_id in known:
            verify_with(*known[signature.key_id], signature.signature, message, "a document's signature")
    whole = {each for pair in pairs if set(pair) <= set(ids) for each in pair}
    require(set(ids) & set(known) == whole, "one algorithm of a pair has signed without the other")
    return lambda role, quorum: quorum.threshold <= sum(whole >= set(halves_of(role, pair)) for pair in quorum.keys)


# --- charter: C ------------------------------------------------------------------------------


def is_party(code):
    return re.fullmatch("[A-Z]{2}", code)


def check_charter(charter):
    """[C-3], as far as it bears on ledgers."""
    labels = charter.network.split(".")
    dotted = all(re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", label) for label in labels)
    require(dotted and len(charter.network) <= 100, "the network's name")
    require(charter.expires_ms > charter.issued_ms, "the charter expires before it is issued")
    check_quorum(charter.signers, "the charter's signers")
    codes = {party.code for party in charter.parties}
    require(all(map(is_party, codes)), "a Party's code is two capital letters")
    ascend(charter.parties, "Parties", lambda party: party.code)
    for party in charter.parties:
        check_quorum(party.root, f"the root of {party.code}")
    ascend(charter.witnesses, "duties of witnesses", lambda duty: duty.party)
    for duty in charter.witnesses:
        ascend(duty.witnesses, "witnesses")
        others = {duty.party, *duty.witnesses} <= codes and duty.party not in duty.witnesses
        require(others and 1 <= len(duty.witnesses) <= 7, "witnesses are one to seven other Parties")
        require(needed_of(duty) <= len(duty.witnesses), "more witnesses faulty or needed than there are")


def needed_of(duty):
    return (len(duty.witnesses) + duty.faulty) // 2 + 1


def open_charter(document):
    """[C-2]: the fingerprint vouches for the signers, who must have signed."""
    charter = document.content
    check_charter(charter)
    signed = signers_of(document, [(CHARTER_SIGNER, charter.signers)], pass_over=charter.version > 1)
    require(signed(CHARTER_SIGNER, charter.signers), "fewer signers than the charter's threshold")
    return charter


def follow(before, document):
    """[C-4] and [C-5]. What takes a clock of 30 days or two thirds of the Parties is for nodes, not for this."""
    held, new = before.content, document.content
    what = f"charter {new.version}"
    check_charter(new)
    require((new.network, new.exercise) == (held.network, held.exercise), f"{what} is of another network")
    require(new.version == held.version + 1, f"{what} does not follow {held.version}")
    require(new.previous == before.id, f"{what} names another one before it")
    roots, named = ({party.code: party.root for party in charter.parties} for charter in (held, new))
    require(set(roots) <= set(named), f"{what} leaves out a Party")
    quorums = [(CHARTER_SIGNER, held.signers), (CHARTER_SIGNER, new.signers)]
    signed = signers_of(document, quorums + [(ROOT, root) for root in roots.values()])
    require(signed(*quorums[0]), f"{what} lacks the threshold of the signers before it")
    require(signed(*quorums[1]), f"{what} lacks the threshold of its own signers")
    for code, root in roots.items():
        require(named[code] == root or signed(ROOT, root), f"{what} founds {code} anew, which is not judged here")
    return new


def walk_charters(charters, fingerprint):
    """From the fingerprint's on, one by one; those before it are known by what it names."""
    ids = [document.id for document in charters]
    require(ids.count(fingerprint) == 1, "not one charter has the fingerprint")
    start = ids.index(fingerprint)
    for before, after in zip(charters[:start], charters[1 : start + 1]):
        require(after.content.previous == before.id, "a charter before the fingerprint's is not of its chain")
    charter = open_charter(charters[start])
    for before, document in zip(charters[start:], charters[start + 1 :]):
        charter = follow(before, document)
    return charter


# --- profile: P ------------------------------------------------------------------------------


def check_profile(profile):
    """[P-3], as far as it bears on ledgers."""
    origins = [f"{profile.party.lower()}.{profile.network}/ledger/{n + 1}" for n in range(len(profile.ledgers))]
    named = [ledger.origin for ledger in profile.ledgers]
    require(origins and origins == named, "a profile's ledgers are numbered from 1 in its own name")
    first, *later = profile.ledgers
    require(first.size == 0 and not first.root, "a first ledger begins with nothing of another")
    follow = all(ledger.size > 0 and len(ledger.root) == 32 for ledger in later)
    require(follow, "a ledger after the first says with what it begins")
    ascend(profile.keys, "keys of a profile", lambda key: key_id(key.role, key.algorithm, key.public_key))
    for key in profile.keys:
        length = ROLES.get(key.role, {}).get(key.algorithm)
        require(length == len(key.public_key), "a key of a role, algorithm or length that no profile has")
        require(key.not_before_ms < key.not_after_ms, "a key ends before it begins")
    require(len({key.public_key for key in profile.keys}) == len(profile.keys), "a key stands twice in a profile")
    ascend(profile.revocations, "revocations", lambda revocation: revocation.key_id)
    require(all(len(revocation.key_id) == 32 for revocation in profile.revocations), "a revocation of no key id")


def open_profiles(charter, documents):
    """[P-2]; the newest profile of each Party, each being newer than those before it ([P-8])."""
    newest, roots = {}, {party.code: party.root for party in charter.parties}
    for document in documents:
        profile = document.content
        code, before = profile.party, newest.get(profile.party)
        require(code in roots and profile.network == charter.network, "a profile of no Party of this network")
        signed = signers_of(document, [(ROOT, roots[code])])
        require(signed(ROOT, roots[code]), f"fewer root keys than the threshold of {code} signed its profile")
        check_profile(profile)
        step = profile.version - before.content.version if before else 2
        require(step > 0, f"a profile of {code} is not newer than the one before it")
        require(step > 1 or profile.previous == before.id, f"profiles of {code} fork")
        kept = profile.ledgers[: len(before.content.ledgers)] == before.content.ledgers if before else True
        require(kept, f"a profile of {code} does not name the ledgers of the one before it")
        newest[code] = document
    return {code: document.content for code, document in newest.items()}


def takes_part(party, now):
    ends = [end for end in (party.suspended_ms, party.withdrawn_ms) if end]
    return party.joined_ms <= now and all(now < end for end in ends)


def valid_keys(profile, role, name, kinds, now):
    """The keys of a role that may be used now ([P-4]), as keys for notes; none where an algorithm has none."""
    kind_of = dict(zip((ED25519, ML_DSA_44), kinds))
    revoked = {revocation.key_id for revocation in profile.revocations if revocation.from_ms <= now}
    in_time = [key for key in profile.keys if key.role == role and key.not_before_ms <= now < key.not_after_ms]
    valid = [key for key in in_time if key_id(role, key.algorithm, key.public_key) not in revoked]
    keys = tuple(NoteKey(name, kind_of[key.algorithm], key.public_key) for key in valid)
    return keys if has_both(keys) else ()


def trust_in(origin, charter, profiles, now):
    parties = {party.code: party for party in charter.parties}

    def keys_of(code, *role):
        speaks = code in profiles and takes_part(parties[code], now)
        return valid_keys(profiles[code], *role, now) if speaks else ()

    ours = origin[:2].upper()
    listed = ours in profiles and origin in [ledger.origin for ledger in profiles[ours].ledgers]
    require(listed, f"no profile of the Party of {origin} that lists this ledger")
    ledger = keys_of(ours, CHECKPOINT, origin, LOG_KINDS)
    require(ledger, f"{ours} takes no part now, or has no checkpoint keys of both algorithms valid now")
    witnesses, needed = {}, 0
    for duty in (duty for duty in charter.witnesses if duty.party == ours):
        needed = needed_of(duty)
        for code in duty.witnesses:
            witnesses[code] = keys_of(code, WITNESS, f"{code.lower()}.{charter.network}/witness", WITNESS_KINDS)
    return Trust(origin, ledger, witnesses, needed)


def check_documents(path, fingerprint, now):
    """The checkpoint only says here whose ledger it claims to be of."""
    origin = read_note(path.with_name("checkpoint").read_bytes()).origin
    fingerprint = fingerprint.read_bytes().decode()
    require(fingerprint.endswith("\n"), "the fingerprint is one line")
    documents = [open_document(raw) for raw in read_message("Bundle", path.read_bytes()).envelopes]
    charter = walk_charters([d for d in documents if d.shape == "Charter"], unhex(fingerprint[:-1], 32))
    require(now < charter.expires_ms + charter.grace_days * DAY_MS, "the charter has expired, and its grace with it")
    profiles = open_profiles(charter, [d for d in documents if d.shape == "Profile"])
    trust = trust_in(origin, charter, profiles, now)
    unknown = f" ({', '.join(trust.unknown())} without keys valid now)" if trust.unknown() else ""
    told = f"charter {charter.version} of {charter.network}, which assigns {len(trust.witnesses)} witnesses{unknown}"
    return trust, f"{told}, and {len(profiles)} profiles"


# --- checkpoints: [L-8], [L-11], signed-note, tlog-cosignature -------------------------------

Checkpoint = namedtuple("Checkpoint", "text origin size root signatures")  # of (name, key id, signature)


class NoteKey(NamedTuple):
    name: str
    kind: int
    raw: bytes

    @property
    def id(self):
        return sha256(self.name.encode(), b"\n", bytes([self.kind]), self.raw)[:4]


class Trust(NamedTuple):
    """Who must sign a checkpoint: both algorithms of the ledger, and both of `needed` of the witnesses."""

    origin: str
    ledger: tuple
    witnesses: dict  # Party code: its keys, none where they are not known or not valid now
    needed: int

    def unknown(self):
        return [code for code, keys in self.witnesses.items() if not keys]

    def judge(self, checkpoint):
        require(checkpoint.origin == self.origin, "the checkpoint is of another ledger")
        found = signers_of_note(checkpoint, sum(self.witnesses.values(), self.ledger))
        for kind, algorithm in zip(LOG_KINDS, ("Ed25519", "ML-DSA-44")):
            require(any(key.kind == kind for key in found & set(self.ledger)), f"no {algorithm} line of the ledger")
        counted = [code for code, keys in self.witnesses.items() if has_both(found & set(keys))]
        told = f"cosigned by {len(counted)} of the {self.needed} witnesses needed ({', '.join(counted) or 'nobody'})"
        require(len(counted) >= self.needed, f"signed by the ledger, but {told}")
        return told if self.witnesses else "the charter assigns no witnesses"


def has_both(keys):
    return len({key.kind for key in keys}) == 2


def read_note(note):
    """Splits a signed note into its three lines of text and its signature lines."""
    require(len(note) <= 64 * KIB, "a checkpoint has at most 64 KiB")
    require(not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", note.decode()), "a checkpoint has no control characters")
    text, _, signature_lines = note.decode().partition("\n\n")
    require(signature_lines.endswith("\n"), "a checkpoint has one blank line, and ends its last")
    lines = text.split("\n")
    require(len(lines) == 3, "a checkpoint has origin, size and root, and no other line")
    size, root = decimal(lines[1], "the size"), unbase64(lines[2])
    require(lines[0] and size > 0 and len(root) == 32, "origin or size is none, or the root has not 32 bytes")
    signatures = [read_signature_line(line) for line in signature_lines[:-1].split("\n")]
    require(len(signatures) <= 32, "a checkpoint has at most 32 signature lines")
    return Checkpoint(f"{text}\n".encode(), lines[0], size, root, signatures)


def is_note_name(name):
    return name and not re.search(r"[\s+]", name)


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
    """Which of these keys signed. A bad line of a known key spoils the whole note; lines by others are passed over."""
    found = set()
    for key in keys:
        its = key.name, key.id
        lines = [line for line in checkpoint.signatures if line[:2] == its]
        require(len(lines) <= 1, f"{key.name} signed twice with one key")
        for line in lines:
            check_line(checkpoint, key, line[2])
            found.add(key)
    return found


def check_checkpoint(path, trust):
    checkpoint = read_note(path.read_bytes())
    return checkpoint, f"{checkpoint.origin} of size {checkpoint.size}; {trust.judge(checkpoint)}"


# --- policy: tlog-policy ---------------------------------------------------------------------


class Policy(NamedTuple):
    logs: list
    witnesses: list
    rule: object  # the quorum: the key of a witness, or a gate

    def judge(self, checkpoint):
        logs = [key for key in self.logs if key.name == checkpoint.origin]
        require(signers_of_note(checkpoint, logs), "no log of the policy signed")
        witnessed = signers_of_note(checkpoint, self.witnesses)

        def counts(rule):
            return rule in witnessed if isinstance(rule, NoteKey) else sum(map(counts, rule.members)) >= rule.threshold

        require(counts(self.rule), "the quorum of the policy is not reached")


Gate = namedtuple("Gate", "threshold members")


def gate(threshold, members):
    """`threshold` of `members`, in a form that only equal rules share: no key stands twice in a rule, so one form is
    left once groups of one are dropped, and `all` within `all` and `any` within `any` are merged."""
    members = list(members)
    if (threshold, len(members)) == (1, 1):
        return members[0]
    for every in (True, False):
        if threshold == (len(members) if every else 1):
            alike = [isinstance(m, Gate) and m.threshold == (len(m.members) if every else 1) for m in members]
            members = [each for m, merge in zip(members, alike) for each in (m.members if merge else [m])]
            return Gate(len(members) if every else 1, frozenset(members))
    return Gate(threshold, frozenset(members))


def read_policy(raw):
    require(raw.endswith(b"\n"), "the last line of the policy ends")
    require(not re.search(rb"[^\t\n\x20-\x7e\x80-\xff]", raw), "a policy has no control characters but tab and newline")
    logs, witnesses, quorums = [], [], []
    names, grouped = {b"none": gate(0, [])}, {b"none"}

    def define(name, meaning):
        require(name not in names, f"the name {name!r} is taken")
        names[name] = meaning

    for words in map(bytes.split, raw.split(b"\n")):
        match words:
            case []:
                continue
            case [first, *_] if first.startswith(b"#"):
                continue
            case [b"log", vkey] | [b"log", vkey, _]:
                logs.append(read_vkey(vkey, LOG_KINDS))
            case [b"witness", name, vkey] | [b"witness", name, vkey, _]:
                witnesses.append(read_vkey(vkey, WITNESS_KINDS))
                define(name, witnesses[-1])
            case [b"group", name, threshold, *members] if members:
                require(set(members) <= set(names), "a group has a member that is not defined before it")
                require(len(set(members) - grouped) == len(members), "a member is `none` or stands in groups twice")
                grouped.update(members)
                every = {b"all": len(members), b"any": 1}
                count = every[threshold] if threshold in every else decimal(threshold.decode(), "a threshold")
                require(1 <= count <= len(members), "a threshold is from 1 to the number of members")
                define(name, gate(count, (names[member] for member in members)))
            case [b"quorum", name]:
                require(name in names, "the quorum is not defined before its line")
                quorums.append(names[name])
            case _:
                raise Refused(f"a line of no known form: {b' '.join(words)[:40]!r}")
    require(len(quorums) == 1, "a policy has one quorum line")
    for keys in (logs, witnesses):
        require(len({key.raw for key in keys}) == len(keys), "a log or witness stands twice")
    return Policy(logs, witnesses, quorums[0])


def policy_of(trust):
    """[L-11]: what a policy must say. The ledger's ML-DSA-44 keys are witnesses in form."""
    def any_of(keys, kind):
        return gate(1, [key for key in keys if key.kind == kind])

    pairs = [gate(2, [any_of(keys, kind) for kind in WITNESS_KINDS]) for keys in trust.witnesses.values() if keys]
    ours = any_of(trust.ledger, COSIGNATURE_ML_DSA_44)
    logs = [key for key in trust.ledger if key.kind == NOTE_ED25519]
    everybody = sum(trust.witnesses.values(), trust.ledger)
    rule = gate(2, [ours, gate(trust.needed, pairs)]) if trust.needed else ours
    return Policy(logs, [key for key in everybody if key not in logs], rule)


def accepts(judge, checkpoint):
    try:
        judge(checkpoint)
        return True
    except Refused:
        return False


def check_policy(path, trust):
    """The policy must be the charter's rule, key by key and, however it is put, for every checkpoint there could be."""
    checkpoint = read_note(path.with_name("checkpoint").read_bytes())
    if not path.exists():
        require(trust.unknown(), "missing, though the keys of all witnesses are known")
        return trust.judge, f"none, since keys of {', '.join(trust.unknown())} are not known"
    policy, demanded = read_policy(path.read_bytes()), policy_of(trust)
    require(set(policy.logs) == set(demanded.logs), "the logs are not the ledger's Ed25519 keys")
    require(set(policy.witnesses) == set(demanded.witnesses), "the witnesses are not who the charter and profiles name")
    require(policy.rule == demanded.rule, "the quorum is not what the charter demands")
    accepted = accepts(policy.judge, checkpoint)
    require(accepted == accepts(trust.judge, checkpoint), "the policy and the charter differ about the checkpoint")
    for kind in LOG_KINDS:
        own = {(key.name, key.id) for key in trust.ledger if key.kind == kind}
        without = checkpoint._replace(signatures=[line for line in checkpoint.signatures if line[:2] not in own])
        require(not accepts(policy.judge, without), "one of the ledger's algorithms is enough for the policy")
    return policy.judge, f"demands what the charter does, and {'accepts' if accepted else 'refuses'} the checkpoint"


# --- tree: RFC 6962, tlog-tiles, [L-4], [L-10] -----------------------------------------------


def tree_root(row):
    """RFC 6962, 2.1: a last node without a sibling goes up as it is."""
    while len(row) > 1:
        odd = row[len(row) & ~1 :]
        row = [sha256(b"\x01", left, right) for left, right in zip(row[::2], row[1::2])] + odd
    return row[0]


def tile_path(level, number, width):
    name = f"{number % 1000:03d}" + ("" if width == 256 else f".p/{width}")
    while number := number // 1000:
        name = f"x{number % 1000:03d}/{name}"
    return f"{level}/{name}"


def tiles_of(level, count):
    """(path, range of places) of each tile of a row of so many."""
    rows = [range(first, min(first + 256, count)) for first in range(0, count, 256)]
    return [(tile_path(level, number, len(places)), places) for number, places in enumerate(rows)]


def read_bundle(raw, width):
    require(len(raw) == 35 * width, "a bundle is not as many entries long as its name says")
    entries = [raw[at : at + 35] for at in range(0, len(raw), 35)]
    require(all(entry[:3] == b"\0\x21\x01" for entry in entries), "an entry has not 33 bytes, or not version 1")
    return [entry[2:] for entry in entries]


def check_tiles(folder, checkpoint):
    """Every entry up to the root, every tile from the entries, no file too few and none too many."""
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    require(len(present) >= checkpoint.size / 256, "fewer files than the size demands")
    entries, demanded = [], set()
    for path, places in tiles_of("entries", checkpoint.size):
        entries += read_bundle((folder / path).read_bytes(), len(places))
        demanded.add(path)
    row, level = [sha256(b"\0", entry) for entry in entries], 0
    require(tree_root(row) == checkpoint.root, "the entries do not lead to the root of the checkpoint")
    while row:
        for path, places in tiles_of(level, len(row)):
            same = (folder / path).read_bytes() == b"".join(row[place] for place in places)
            require(same, f"{path} is not what the entries give")
            demanded.add(path)
        row, level = [tree_root(row[at : at + 256]) for at in range(0, len(row) & ~255, 256)], level + 1
    require(present == demanded, f"more than the size demands: {', '.join(sorted(present - demanded)[:3])}")
    return entries, f"{len(entries)} entries lead to the root; {len(demanded)} files, as the size demands"


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
    context = read_message("Context", raw)
    ids = [context.charter, context.profile, context.signatures, *context.slips]
    require(1 <= context.kind <= 12 and all(len(each) == 32 for each in ids), "a context of no kind, or with bad ids")
    require(len(context.slips) <= (256 if context.kind == 1 else 0), "a context with slips of nobody")
    return context


def read_proof(raw):
    """(salt, context, index, path, the bytes of the checkpoint)"""
    head, blank, note = raw.partition(b"\n\n")
    lines = head.decode().split("\n")
    require(blank and len(lines) >= 3 and lines[0] == "c2sp.org/tlog-proof@v1", "not a tlog-proof")
    require(lines[1].startswith("extra ") and lines[2].startswith("index "), "a proof has extra data, then an index")
    extra, index = unbase64(lines[1][6:]), decimal(lines[2][6:], "the index")
    path = [unbase64(line) for line in lines[3:]]
    require(len(path) <= 64 and all(len(node) == 32 for node in path), "a path is at most 64 hashes of 32 bytes")
    return extra[:32], extra[32:], index, path, note


def check_proof(path, trust, policy, entries):
    record_id = unhex(path.name.removesuffix(".tlog-proof"), 32)
    salt, context, index, nodes, note = read_proof(path.read_bytes())
    checkpoint = read_note(note)
    told, kind = trust.judge(checkpoint), check_context(context).kind
    policy(checkpoint)
    entry = leaf_entry(record_id, context, salt)
    root = root_from_path(sha256(b"\0", entry), index, checkpoint.size, nodes)
    require(root == checkpoint.root, "the record is not in the tree the checkpoint signs")
    require(entries[index : index + 1] in ([entry], []), f"entry {index} of the ledger is another one")
    if checkpoint.size <= len(entries):
        older = tree_root([sha256(b"\0", each) for each in entries[: checkpoint.size]])
        require(older == checkpoint.root, "the checkpoint of the proof is of another tree than the ledger's")
    return record_id, f"a record of kind {kind} at {index} of {checkpoint.size}; {told}"


# --- folders ---------------------------------------------------------------------------------


def check_folder(folder, now, run):
    """Each in turn, and only upon what held before."""
    ledger = folder / "ledger"
    trust = run(ledger / "documents", check_documents, folder / "fingerprint", now)
    checkpoint = run(ledger / "checkpoint", check_checkpoint, trust)
    policy = run(ledger / "policy", check_policy, trust)
    entries = run(ledger / "tile", check_tiles, checkpoint)
    for proof in sorted(folder.glob("*.tlog-proof")):
        run(proof, check_proof, trust, policy, entries)


def main(folders, now=None):
    failed = []

    def run(path, check, *given):
        """Prints what comes of a check; None where it failed, or something it rests on did."""
        try:
            require(None not in given, "not checked, since something it rests on failed")
            value, told = check(path, *given)
            print(f"ok      {path}: {told}")
            return value
        except (Refused, ValueError, OSError) as why:
            print(f"FAILED  {path}: {why if isinstance(why, Refused) else repr(why)}")
            failed.append(path)

    for folder in folders:
        check_folder(Path(folder), int(time.time() * 1000) if now is None else now, run)
    if not folders:
        print("nothing to check: verify.py FOLDER...", file=sys.stderr)
    return 1 if failed or not folders else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
