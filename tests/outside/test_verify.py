"""Shows that the verifier accepts what is right and refuses every single change to it."""

import base64
import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey

import verify
from verify import Refused, sha256

ORIGIN = "xb.exercise.test/ledger/1"
LEAVES = [sha256(b"\0", bytes([n])) for n in range(9)]


def encode(raw):
    return base64.b64encode(raw).decode()


def tree_root(leaves):
    """RFC 6962, 2.1, by its definition: split at the largest power of two below the size."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01", tree_root(leaves[:split]), tree_root(leaves[split:]))


def audit_path(index, leaves):
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return audit_path(index, leaves[:split]) + [tree_root(leaves[split:])]
    return audit_path(index - split, leaves[split:]) + [tree_root(leaves[:split])]


def quietly(folder):
    """The verifier's exit code. What it prints about bytes made to fail would only mislead."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return verify.main([folder])


class Ledger:
    """A ledger of nine records whose fifth is a signed event."""

    def __init__(self):
        self.note_keys = Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate()
        self.record_keys = Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate()
        self.message = verify.pae("application/vnd.comity.event.v1", b"header")
        self.record_id = sha256(self.message)
        self.context, self.salt, self.index = b"context", bytes(range(32)), 5
        self.leaves = list(LEAVES)
        self.leaves[self.index] = verify.leaf_hash(self.record_id, self.context, self.salt)

    def vkeys(self):
        out = []
        for kind, key in zip((1, 6), self.note_keys):
            raw = key.public_key().public_bytes_raw()
            out.append(f"{ORIGIN}+{verify.note_key_id(ORIGIN, kind, raw).hex()}+{encode(bytes([kind]) + raw)}")
        return out

    def note(self):
        root = tree_root(self.leaves)
        text = f"{ORIGIN}\n{len(self.leaves)}\n{encode(root)}\n".encode()
        checkpoint = verify.Checkpoint(text, ORIGIN, len(self.leaves), root, [])
        classical, quantum = self.note_keys
        when = 1_700_000_000
        stamped = when.to_bytes(8, "big") + quantum.sign(verify.cosigned_message(checkpoint, ORIGIN, when))
        lines = [f"\u2014 witness.test {encode(b'other key id and signature')}\n"]
        for kind, key, signature in ((1, classical, classical.sign(text)), (6, quantum, stamped)):
            key_id = verify.note_key_id(ORIGIN, kind, key.public_key().public_bytes_raw())
            lines.append(f"\u2014 {ORIGIN} {encode(key_id + signature)}\n")
        return text + b"\n" + "".join(lines).encode()

    def proof(self):
        path = [node.hex() for node in audit_path(self.index, self.leaves)]
        return {
            "record_id": self.record_id.hex(),
            "context": encode(self.context),
            "salt": self.salt.hex(),
            "index": self.index,
            "path": path,
        }

    def event(self):
        signatures = []
        for algorithm, key in zip((1, 2), self.record_keys):
            key_id = verify.record_key_id(algorithm, key.public_key().public_bytes_raw())
            signatures.append({"keyid": encode(key_id), "sig": encode(key.sign(self.message))})
        return {
            "payloadType": "application/vnd.comity.event.v1",
            "payload": encode(b"header"),
            "signatures": signatures,
        }

    def keys(self):
        record = dict(zip(("ed25519", "ml_dsa_65"), (encode(k.public_key().public_bytes_raw()) for k in self.record_keys)))
        return {"origin": ORIGIN, "vkeys": self.vkeys(), "record": record}


class Tree(unittest.TestCase):
    def test_every_leaf_of_every_size(self):
        for size in range(1, len(LEAVES) + 1):
            for index in range(size):
                path = audit_path(index, LEAVES[:size])
                root = verify.root_from_path(LEAVES[index], index, size, path)
                self.assertEqual(root, tree_root(LEAVES[:size]))

    def test_wrong_lengths_and_places(self):
        path = audit_path(3, LEAVES)
        for index, size, nodes in ((9, 9, path), (3, 9, path[:-1]), (3, 9, path + [LEAVES[0]]), (-1, 9, path)):
            with self.assertRaises(Refused):
                verify.root_from_path(LEAVES[3], index, size, nodes)
        self.assertNotEqual(verify.root_from_path(LEAVES[3], 2, 9, path), tree_root(LEAVES))

    def test_a_known_root(self):
        """RFC 6962's empty-leaf tree: SHA-256 of a single zero byte."""
        self.assertEqual(
            sha256(b"\0").hex(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        )


class Note(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger()
        self.note, self.vkeys = self.ledger.note(), self.ledger.vkeys()

    def refused(self, note=None, origin=ORIGIN, vkeys=None):
        with self.assertRaises((Refused, ValueError)):
            verify.check_checkpoint(note or self.note, origin, vkeys or self.vkeys)

    def test_good(self):
        self.assertEqual(verify.check_checkpoint(self.note, ORIGIN, self.vkeys).size, 9)

    def test_any_changed_byte_of_text_or_own_signatures(self):
        witness = self.note.index(b"\xe2\x80\x94 witness"), self.note.index(b"\xe2\x80\x94 xb")
        places = [n for n in range(len(self.note)) if not witness[0] <= n < witness[1]]
        for place in places[:120] + places[120::97] + places[-3:]:
            changed = bytearray(self.note)
            changed[place] = changed[place] ^ 1
            with self.subTest(place=place):
                self.refused(bytes(changed))

    def test_missing_or_doubled_lines(self):
        lines = self.note.decode().splitlines(keepends=True)
        for gone in (5, 6):
            self.refused("".join(lines[:gone] + lines[gone + 1 :]).encode())
        self.refused("".join(lines + lines[-1:]).encode())

    def test_extension_lines_are_refused(self):
        self.refused(self.note.replace(b"\n\n", b"\nextra\n\n", 1))

    def test_policy_wants_both_algorithms(self):
        self.refused(vkeys=self.vkeys[:1])
        self.refused(vkeys=self.vkeys[1:])
        self.refused(vkeys=Ledger().vkeys())
        self.refused(origin="xa.exercise.test/ledger/1")


class Folder(unittest.TestCase):
    def check(self, **changes):
        ledger = Ledger()
        parts = {"vkeys.json": ledger.keys(), "proof.json": ledger.proof(), "event.json": ledger.event()}
        for name, change in changes.items():
            change(parts[f"{name}.json"])
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "checkpoint").write_bytes(ledger.note())
            for name, part in parts.items():
                (Path(folder) / name).write_text(json.dumps(part), encoding="utf-8")
            return quietly(folder)

    def test_good(self):
        self.assertEqual(self.check(), 0)

    def test_nothing_to_check_is_a_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(quietly(folder), 1)

    def test_changes(self):
        flip = lambda text: ("0" if text[0] != "0" else "1") + text[1:]
        other = encode(b"other bytes")
        for change in (
            {"proof": lambda p: p.update(salt=flip(p["salt"]))},
            {"proof": lambda p: p.update(record_id=flip(p["record_id"]))},
            {"proof": lambda p: p.update(context=other)},
            {"proof": lambda p: p.update(index=4)},
            {"proof": lambda p: p.update(path=[flip(p["path"][0])] + p["path"][1:])},
            {"event": lambda e: e.update(payload=other)},
            {"event": lambda e: e.update(payloadType="application/vnd.comity.refusal.v1")},
            {"event": lambda e: e["signatures"].pop()},
            {"event": lambda e: e["signatures"][1].update(sig=e["signatures"][0]["sig"])},
            {"event": lambda e: e["signatures"][0].update(sig=encode(bytes(64)))},
            {"vkeys": lambda v: v["record"].update(Ledger().keys()["record"])},
            {"vkeys": lambda v: v.pop("record")},
        ):
            with self.subTest(change=change):
                self.assertEqual(self.check(**change), 1)


if __name__ == "__main__":
    unittest.main()
