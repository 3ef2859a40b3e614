"""Checks a record, its proof and its checkpoint with code and libraries that are not the node's.

Written from proto/SPEC.md and the public formats alone (RFC 6962 and 9162 trees, C2SP signed-note,
tlog-checkpoint and tlog-cosignature, DSSE), so that a mistake shared by the node's signer and
verifier shows here. It reads a folder, changes nothing, and trusts only the keys in `vkeys.json`.

A folder holds
  checkpoint    the signed note
  vkeys.json    {"origin": …, "vkeys": [two C2SP verifier keys, types 0x01 and 0x06],
                 "record": {"ed25519": base64, "ml_dsa_65": base64}}   (`record` only with event.json)
  proof.json    {"record_id": hex, "context": base64, "salt": hex, "index": number, "path": [hex]}
  event.json    optional: the record's envelope as DSSE JSON; its id must be the proof's record id
"""

import base64
import hashlib
import hmac
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey

NOTE_ED25519 = 0x01  # signed-note: plain Ed25519 over the note's text
COSIGNATURE_ML_DSA_44 = 0x06  # tlog-cosignature: timestamped, over cosigned_message
KEY_LENGTHS = {NOTE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1312}
ROLE_RECORD, ALGORITHM_ED25519, ALGORITHM_ML_DSA_65 = 4, 1, 2  # proto/wire/keys.proto


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
        raise Refused(f"not base64: {text[:20]}") from None
    require(base64.b64encode(raw).decode() == text, "base64 in a form of its own")
    return raw


def unhex(text, length):
    require(text == text.lower() and len(text) == 2 * length, f"not {length} bytes of hexadecimal")
    return bytes.fromhex(text)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- checkpoints -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    text: bytes
    origin: str
    size: int
    root: bytes
    signatures: list  # (name, key id, signature bytes)


def read_note(note):
    """Splits a signed note into its three lines of text and its signature lines."""
    require(note.count(b"\n\n") == 1, "a checkpoint has one blank line")
    text, signature_lines = note.split(b"\n\n")
    lines = text.decode().split("\n")
    require(len(lines) == 3, "a checkpoint has origin, size and root, and no other line")
    origin, size, root = lines
    require(size.isascii() and size.isdigit() and str(int(size)) == size, "the size is a plain decimal")
    root = unbase64(root)
    require(len(root) == 32, "the root has 32 bytes")
    require(signature_lines.endswith(b"\n"), "the last signature line ends")
    signatures = [read_signature_line(line) for line in signature_lines.decode().split("\n")[:-1]]
    return Checkpoint(text + b"\n", origin, int(size), root, signatures)


def read_signature_line(line):
    dash, name, blob = (line.split(" ") + ["", ""])[:3]
    require(dash == "\u2014" and name and line == f"{dash} {name} {blob}", "a signature line has a dash, a name, a blob")
    blob = unbase64(blob)
    require(len(blob) > 4, "a signature line holds a key id and a signature")
    return name, blob[:4], blob[4:]


def note_key_id(name, kind, key):
    return sha256(name.encode(), b"\n", bytes([kind]), key)[:4]


def read_vkey(vkey):
    """`name+hex key id+base64(type byte || key)`; the id must be that of the key."""
    name, key_id, blob = vkey.split("+", 2)
    blob = unbase64(blob)
    kind, key = blob[0], blob[1:]
    require(KEY_LENGTHS.get(kind) == len(key), "a verifier key is Ed25519 (0x01) or ML-DSA-44 (0x06)")
    require(unhex(key_id, 4) == note_key_id(name, kind, key), "a verifier key's id is not that of the key")
    return name, kind, key


def cosigned_message(checkpoint, cosigner, timestamp):
    def short(text):
        raw = text.encode()
        require(0 < len(raw) < 256, "names have 1 to 255 bytes")
        return bytes([len(raw)]) + raw

    numbers = (0).to_bytes(8, "big") + checkpoint.size.to_bytes(8, "big")
    when = timestamp.to_bytes(8, "big")
    return b"subtree/v1\n\0" + short(cosigner) + when + short(checkpoint.origin) + numbers + checkpoint.root


def verify_with(key, signature, message, what):
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise Refused(f"{what} does not verify") from None


def check_line(checkpoint, name, kind, key, signature):
    if kind == NOTE_ED25519:
        return verify_with(Ed25519PublicKey.from_public_bytes(key), signature, checkpoint.text, "the note's Ed25519 line")
    require(len(signature) == 8 + 2420, "an ML-DSA-44 line holds a time and a signature")
    message = cosigned_message(checkpoint, name, int.from_bytes(signature[:8], "big"))
    return verify_with(MLDSA44PublicKey.from_public_bytes(key), signature[8:], message, "the note's ML-DSA-44 line")


def check_checkpoint(note, origin, vkeys):
    """Both algorithms must have signed, in the ledger's own name. Lines by others are passed over."""
    checkpoint = read_note(note)
    require(checkpoint.origin == origin, "the checkpoint is of another ledger")
    keys = [read_vkey(vkey) for vkey in vkeys]
    kinds = sorted(kind for name, kind, _ in keys if name == origin)
    require(kinds == [NOTE_ED25519, COSIGNATURE_ML_DSA_44], "one key of each algorithm stands for the ledger")
    for name, kind, key in keys:
        ours = [s for n, i, s in checkpoint.signatures if (n, i) == (name, note_key_id(name, kind, key))]
        require(len(ours) == 1, "the checkpoint lacks a required signature, or has it twice")
        check_line(checkpoint, name, kind, key, ours[0])
    return checkpoint


# --- inclusion -------------------------------------------------------------------------------


def leaf_hash(record_id, context, salt):
    entry = hmac.new(salt, b"comity leaf v1\0" + record_id + sha256(context), hashlib.sha256).digest()
    return sha256(b"\0", b"\x01", entry)


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


def check_proof(checkpoint, proof):
    record_id, salt = unhex(proof["record_id"], 32), unhex(proof["salt"], 32)
    leaf = leaf_hash(record_id, unbase64(proof["context"]), salt)
    path = [unhex(node, 32) for node in proof["path"]]
    root = root_from_path(leaf, proof["index"], checkpoint.size, path)
    require(root == checkpoint.root, "the record is not in the tree the checkpoint signs")
    return record_id


# --- the record itself -----------------------------------------------------------------------


def pae(payload_type, payload):
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def record_key_id(algorithm, key):
    codes = ROLE_RECORD.to_bytes(4, "big") + algorithm.to_bytes(4, "big")
    return sha256(b"comity key v1\0", codes, key)


def check_event(event, keys, record_id):
    """Exactly one Ed25519 and one ML-DSA-65 signature by the record keys, over the PAE."""
    message = pae(event["payloadType"], unbase64(event["payload"]))
    require(sha256(message) == record_id, "the proof is of another record")
    halves = [
        (ALGORITHM_ED25519, Ed25519PublicKey, unbase64(keys["ed25519"])),
        (ALGORITHM_ML_DSA_65, MLDSA65PublicKey, unbase64(keys["ml_dsa_65"])),
    ]
    signatures = {unbase64(s["keyid"]): unbase64(s["sig"]) for s in event["signatures"]}
    require(len(event["signatures"]) == len(signatures) == 2, "an event has two signatures")
    for algorithm, kind, key in halves:
        signature = signatures.get(record_key_id(algorithm, key))
        require(signature is not None, "a required signature is missing")
        verify_with(kind.from_public_bytes(key), signature, message, f"the event's {kind.__name__[:-9]} signature")


def check_folder(folder):
    def read(name):
        return json.loads((folder / name).read_text(encoding="utf-8"))

    keys = read("vkeys.json")
    checkpoint = check_checkpoint((folder / "checkpoint").read_bytes(), keys["origin"], keys["vkeys"])
    record_id = check_proof(checkpoint, read("proof.json"))
    with_event = (folder / "event.json").exists()
    if with_event:
        check_event(read("event.json"), keys["record"], record_id)
    return f"{checkpoint.origin} size {checkpoint.size}: record {record_id.hex()[:8]} proven" + (
        ", its event signed by both keys" if with_event else ""
    )


def main(roots):
    folders = sorted(note.parent for root in roots for note in Path(root).rglob("checkpoint"))
    if not folders:
        print(f"nothing to check under {', '.join(roots)}", file=sys.stderr)
        return 1
    failed = 0
    for folder in folders:
        try:
            print(f"ok      {folder}: {check_folder(folder)}")
        except (Refused, KeyError, TypeError, ValueError, OSError) as why:
            print(f"FAILED  {folder}: {why!r}")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
