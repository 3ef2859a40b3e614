"""Shows that the verifier accepts what is right and refuses every single change to it.

Networks, ledgers, policies and proofs are built here from the specification, with an encoder, key ids and trees of
their own, so that a mistake in the verifier is not repeated in what it is tried on.
"""

import base64
import contextlib
import copy
import functools
import hashlib
import hmac
import io
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey

import verify
from verify import Refused

NETWORK = "exercise.test"
ORIGIN = f"xa.{NETWORK}/ledger/1"
NOW = 1_760_000_000_000
DAY = 86_400_000
SIGNED_S = 1_759_999_000
WITNESSES = ("XB", "XC", "XD")
CHARTER_TYPE, PROFILE_TYPE = "application/vnd.comity.charter.v1", "application/vnd.comity.profile.v1"
DASH = "\u2014"


def sha256(data):
    return hashlib.sha256(data).digest()


def encode(raw):
    return base64.b64encode(raw).decode()


# --- messages --------------------------------------------------------------------------------


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def message(*values):
    """Fields numbered from 1 in the order given: lists are repeated, what is 0 or empty is left out."""
    lists = [value if isinstance(value, list) else [value] if value else [] for value in values]
    return b"".join(field(number, each) for number, value in enumerate(lists, 1) for each in value)


def pae(kind, payload):
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


# --- keys ------------------------------------------------------------------------------------


def key_id(role, algorithm, raw):
    return sha256(b"comity key v1\0" + role.to_bytes(4, "big") + algorithm.to_bytes(4, "big") + raw)


def public(key):
    return key.public_key().public_bytes_raw()


class Pair:
    """A holder's hybrid pair, of a charter's signer (role 8) or of a root (role 1)."""

    def __init__(self, role):
        self.role, self.halves = role, ((1, Ed25519PrivateKey.generate()), (2, MLDSA65PrivateKey.generate()))

    def raw(self):
        return [public(key) for _, key in self.halves]

    def sign(self, document_id):
        signed = pae("application/vnd.comity.document-id.v1", document_id)
        return [(key_id(self.role, algorithm, public(key)), key.sign(signed)) for algorithm, key in self.halves]


class Duo:
    """Keys of a ledger (role 5) or of a witness (role 6)."""

    def __init__(self, role):
        self.role, self.keys = role, ((1, Ed25519PrivateKey.generate()), (3, MLDSA44PrivateKey.generate()))

    def declared(self, begin=NOW - DAY, end=NOW + DAY):
        return [(self.role, algorithm, public(key), begin, end) for algorithm, key in self.keys]

    def kinds(self):
        return zip((1, 6) if self.role == 5 else (4, 6), (key for _, key in self.keys))

    def vkeys(self, name):
        for kind, key in self.kinds():
            yield kind, f"{name}+{note_key_id(name, kind, key).hex()}+{encode(bytes([kind]) + public(key))}"

    def lines(self, name, text, time_s=SIGNED_S):
        origin, size, root = text.decode().split("\n")[:3]
        numbers = time_s.to_bytes(8, "big"), bytes(8) + int(size).to_bytes(8, "big")
        short = [bytes([len(t)]) + t.encode() for t in (name, origin)]
        subtree = b"subtree/v1\n\0" + short[0] + numbers[0] + short[1] + numbers[1] + base64.b64decode(root)
        messages = {1: text, 4: f"cosignature/v1\ntime {time_s}\n".encode() + text, 6: subtree}
        for kind, key in self.kinds():
            signature = (b"" if kind == 1 else numbers[0]) + key.sign(messages[kind])
            yield kind, signature_line(name, note_key_id(name, kind, key) + signature)


def note_key_id(name, kind, key):
    return sha256(name.encode() + b"\n" + bytes([kind]) + public(key))[:4]


def signature_line(name, blob):
    return f"{DASH} {name} {encode(blob)}\n"


def witness_name(code):
    return f"{code.lower()}.{NETWORK}/witness"


SIGNERS = [Pair(8) for _ in range(3)]
STRANGER, STRANGE_ROOT = Pair(8), Pair(1)
ROOTS = {"XA": [Pair(1) for _ in range(3)], **{code: [Pair(1)] for code in ("XB", "XC", "XD", "XE")}}
LEDGER, OTHER_LEDGER = Duo(5), Duo(5)
COSIGNERS = {code: Duo(6) for code in ROOTS}
OTHER_COSIGNER = Duo(6)


# --- documents -------------------------------------------------------------------------------


def quorum(pairs, threshold):
    keys = sorted((pair.raw() for pair in pairs), key=lambda raw: raw[0])
    return message([message(*raw) for raw in keys], threshold)


def envelope(kind, header, signers, altered=lambda signatures: signatures, body=b""):
    document_id = sha256(pae(kind, header))
    signatures = altered(sorted(each for pair in signers for each in pair.sign(document_id)))
    return message(kind, header, [message(*each) for each in signatures], body)


class Fields(SimpleNamespace):
    """A document's fields by name, with who signs it."""

    def document_id(self):
        return sha256(pae(self.kind, self.header()))

    def envelope(self):
        return envelope(self.kind, self.header(), self.signed_by, self.altered)


class Charter(Fields):
    def header(self):
        parties = [message(code, f"Party {code}", *party) for code, party in self.parties.items()]
        duties = [message(party, list(witnesses), faulty) for party, (witnesses, faulty) in self.duties.items()]
        head = self.network, self.exercise, self.version, self.issued, self.expires, self.grace_days, self.previous
        suites, instruments = [message(1, NOW - 9 * DAY, 0)], [message("BC", "XA", NOW - DAY, 0, ["r"], ["d"])]
        return message(*head, quorum(*self.signers), parties, instruments, [message("BC", "XA", "XB")], suites, duties)


class Profile(Fields):
    def header(self):
        keys = sorted(self.keys, key=lambda key: key_id(*key[:3]))
        power = message("PRES", 1, NOW - DAY, 0)
        return message(
            self.network,
            self.party,
            self.version,
            NOW - DAY,
            self.previous,
            [message("court", "Court", "Europe/Vienna", [power])],
            [message("PRES", 1, ["en"])],
            [message("BC.29.4", "yes")],
            [],
            [message(*each) for each in self.ledgers],
            [message(*key) for key in keys],
            [message(*each) for each in sorted(self.revocations)],
        )


def charter(witnesses=(), faulty=0, **changes):
    fields = dict(
        kind=CHARTER_TYPE, network=NETWORK, exercise=1, version=1, issued=NOW - 9 * DAY, expires=NOW + 9 * DAY,
        grace_days=5, previous=b"", signers=(SIGNERS, 2), signed_by=SIGNERS[:2], altered=lambda signatures: signatures,
        parties={code: (quorum(roots, len(roots) // 2 + 1), NOW - DAY, 0, 0) for code, roots in ROOTS.items()},
        duties={"XA": (witnesses, faulty)} if witnesses else {},
    )  # fmt: skip
    return Charter(**(fields | changes))


def profile(code, duo, **changes):
    ledgers, roots = [(f"{code.lower()}.{NETWORK}/ledger/1", 0, b"")], ROOTS[code]
    fields = dict(
        kind=PROFILE_TYPE, network=NETWORK, party=code, version=1, previous=b"", ledgers=ledgers, keys=duo.declared(),
        revocations=[], signed_by=roots[: len(roots) // 2 + 1], altered=lambda signatures: signatures,
    )  # fmt: skip
    return Profile(**(fields | changes))


# --- ledgers ---------------------------------------------------------------------------------


def tree_root(leaves):
    """RFC 6962, 2.1, by its definition: split at the largest power of two below the size."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:]))


def audit_path(index, leaves):
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return audit_path(index, leaves[:split]) + [tree_root(leaves[split:])]
    return audit_path(index - split, leaves[split:]) + [tree_root(leaves[:split])]


def record(number):
    """(record id, context, salt)"""
    charter_id, profile_id, digest = (sha256(b"%d %d" % (part, number)) for part in range(3))
    slips = [sha256(b"slip")] if number % 2 else []
    context = message(1 if number % 2 else 2, NOW - DAY + number, charter_id, profile_id, digest, slips)
    return sha256(b"record %d" % number), context, sha256(b"salt %d" % number)


@functools.cache
def entry(number):
    record_id, context, salt = record(number)
    return b"\x01" + hmac.new(salt, b"comity leaf v1\0" + record_id + sha256(context), hashlib.sha256).digest()


def leaves_of(size):
    return [sha256(b"\0" + entry(number)) for number in range(size)]


def text_of(size, origin=ORIGIN):
    return f"{origin}\n{size}\n{encode(tree_root(leaves_of(size)))}\n".encode()


def tile_files(size):
    """C2SP tlog-tiles, by its definition of the n-th tile at level l."""
    leaves, files = leaves_of(size), {}
    for level in range(3):
        span = 256**level
        for number in range(-(-(size // span) // 256)):
            width = min(256, size // span - 256 * number)
            name = f"{number:03d}" + (f".p/{width}" if width < 256 else "")
            places = range(256 * number, 256 * number + width)
            hashes = (tree_root(leaves[n * span : (n + 1) * span]) for n in places)
            files[f"ledger/tile/{level}/{name}"] = b"".join(hashes)
            if level == 0:
                files[f"ledger/tile/entries/{name}"] = b"".join(b"\0\x21" + entry(n) for n in places)
    return files


class World:
    """A network and one ledger of it, right unless a test changes a part before `files`."""

    def __init__(self, size=3, witnesses=(), faulty=0):
        self.size, self.needed = size, (len(witnesses) + faulty) // 2 + 1
        self.charters, self.trusted = [charter(witnesses, faulty)], 0
        self.profiles = [profile("XA", LEDGER), *(profile(code, COSIGNERS[code]) for code in witnesses)]
        self.signing = [(ORIGIN, LEDGER), *((witness_name(code), COSIGNERS[code]) for code in witnesses)]
        self.left_out = set()  # (name, kind) of signature lines
        self.in_policy = None

    def documents(self):
        return message([document.envelope() for document in [*self.charters, *self.profiles]])

    def note(self, size=None):
        text = text_of(size or self.size)
        lines = [((name, kind), line) for name, duo in self.signing for kind, line in duo.lines(name, text)]
        return text + b"\n" + "".join(line for each, line in lines if each not in self.left_out).encode()

    def policy(self):
        """[L-11]"""
        return policy_text(self.signing, self.needed)

    def proof(self, number, size=None, note=None):
        path = audit_path(number, leaves_of(size or self.size))
        return proof_text(number, number, path, note or self.note(size))

    def files(self):
        note = self.note()
        files = {"fingerprint": self.charters[self.trusted].document_id().hex().encode() + b"\n"}
        files |= {"ledger/checkpoint": note, "ledger/documents": self.documents(), "ledger/policy": self.policy()}
        for number in {0, self.size // 2, self.size - 1}:
            files[proof_name(number)] = self.proof(number, note=note)
        return files | tile_files(self.size)


def policy_text(signing, needed):
    ledger = dict(signing[0][1].vkeys(signing[0][0]))
    lines = [f"log {ledger[1]}", f"witness own {ledger[6]}"]
    for name, duo in signing[1:]:
        lines += [f"witness {name}-{kind} {vkey}" for kind, vkey in duo.vkeys(name)]
        lines.append(f"group {name} all {name}-4 {name}-6")
    if signing[1:]:
        lines.append(f"group witnesses {needed} {' '.join(name for name, _ in signing[1:])}")
        lines.append("group both all own witnesses")
    return "".join(f"{line}\n" for line in [*lines, f"quorum {'both' if signing[1:] else 'own'}"]).encode()


def proof_text(number, index, path, note):
    _, context, salt = record(number)
    head = ["c2sp.org/tlog-proof@v1", f"extra {encode(salt + context)}", f"index {index}", *map(encode, path)]
    return "\n".join([*head, "", ""]).encode() + note


def proof_name(number):
    return f"{record(number)[0].hex()}.tlog-proof"


@functools.cache
def good_files(size=3, witnesses=()):
    return World(size, witnesses).files()


def check(files, now=NOW):
    """The exit code, and what was printed, by path."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
        for name, raw in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        code = verify.main([folder], now)
        lines = printed.getvalue().replace(folder + "/", "").splitlines()
    return code, {path: f"{verdict} {why}" for verdict, path, why in (split_line(line) for line in lines)}


def split_line(line):
    verdict, rest = line.split(None, 1)
    return verdict, *rest.split(": ", 1)


class Case(unittest.TestCase):
    def passes(self, files, now=NOW):
        code, lines = check(files, now)
        self.assertEqual((code, [line for line in lines.values() if not line.startswith("ok ")]), (0, []))
        return lines

    def refused(self, files, path, why, now=NOW):
        """`path` must fail for the reason given; what rests on it then fails too."""
        code, lines = check(files, now)
        self.assertEqual(code, 1)
        self.assertTrue(lines[path].startswith("FAILED"), lines[path])
        self.assertRegex(lines[path], why)

    def refused_world(self, path, why, change, size=3, witnesses=(), faulty=0):
        world = World(size, witnesses, faulty)
        change(world)
        self.refused(world.files(), path, why)


DOCUMENTS, CHECKPOINT, POLICY, TILE = "ledger/documents", "ledger/checkpoint", "ledger/policy", "ledger/tile"


class Good(Case):
    def test_sizes(self):
        for size in (1, 3, 255, 256, 257, 600):
            for witnesses in ((), WITNESSES):
                with self.subTest(size=size, witnesses=witnesses):
                    lines = self.passes(good_files(size, witnesses))
                    self.assertEqual(len(lines), 4 + len({0, size // 2, size - 1}))

    def test_what_is_said_of_witnesses(self):
        said = self.passes(good_files(3, WITNESSES))[CHECKPOINT]
        self.assertIn("cosigned by 3 of the 2 witnesses needed (XB, XC, XD)", said)
        self.assertIn("the charter assigns no witnesses", self.passes(good_files())[CHECKPOINT])

    def test_a_quorum_is_enough(self):
        four = (*WITNESSES, "XE")
        for witnesses, faulty, absent in ((WITNESSES, 0, "XC"), (WITNESSES[:1], 0, None), (four, 1, "XB")):
            world = World(3, witnesses, faulty)
            world.left_out = {(witness_name(absent), kind) for kind in (4, 6)} if absent else set()
            with self.subTest(witnesses=witnesses):
                self.passes(world.files())

    def test_lines_by_strangers_are_passed_over(self):
        world = World(3, WITNESSES)
        strange = [(f"witness.{name}", OTHER_COSIGNER) for name in "ab"]
        strange += [(ORIGIN, OTHER_LEDGER), (witness_name("XB"), OTHER_COSIGNER)]
        files = world.files()
        for name, duo in strange:
            for kind, line in duo.lines(name, text_of(3)):
                files[CHECKPOINT] += line.encode()
        self.passes(files)

    def test_proofs_under_older_and_newer_checkpoints(self):
        world = World(5, WITNESSES)
        files = world.files()
        files |= {proof_name(1): world.proof(1, 4), proof_name(2): world.proof(2, 7), proof_name(7): world.proof(7, 9)}
        self.passes(files)

    def test_no_proofs(self):
        self.passes({name: raw for name, raw in good_files().items() if not name.endswith("proof")})

    def test_policies_put_in_other_words(self):
        world = World(3, WITNESSES)
        lines = world.policy().decode().splitlines()
        own, groups = lines[1], lines[2:-3]
        names = " ".join(witness_name(code) for code in WITNESSES)
        for tail in (
            [f"group all all {names}", "group x 1 own", "group both 2 x two", "quorum both"],
            ["group both all two own", "group again all both", "\t quorum again \t"],
        ):
            two = [f"group two 2 {names}"] if "group all" not in tail[0] else []
            text = [lines[0] + " https://log.test/", "# a comment \u00e9", "", *groups, own + " url", *two, *tail]
            if not two:
                text = [line.replace("group all all", "group two 2") for line in text]
            files = good_files(3, WITNESSES) | {POLICY: "\n".join([*text, ""]).encode()}
            self.passes(files)

    def test_all_witnesses_needed_may_be_one_group(self):
        world = World(3, WITNESSES[:1])
        name = witness_name("XB")
        text = world.policy().decode().replace("group witnesses 1", f"# {name}").splitlines()
        text = [line for line in text if not line.startswith(("group", "quorum"))]
        flat = [*text, f"group flat all own {name}-6 {name}-4", "quorum flat", ""]
        self.passes(world.files() | {POLICY: "\n".join(flat).encode()})

    def test_keys_that_are_turned(self):
        """Old and new keys both count, also mixed; a key that has ended is nobody's."""
        world = World()
        ended = Duo(5)
        world.profiles[0].keys = LEDGER.declared() + OTHER_LEDGER.declared() + ended.declared(NOW - DAY, NOW)
        world.signing = [(ORIGIN, LEDGER), (ORIGIN, OTHER_LEDGER), (ORIGIN, ended)]
        vkeys = [dict(duo.vkeys(ORIGIN)) for duo in (LEDGER, OTHER_LEDGER)]
        text = [f"log {keys[1]}" for keys in vkeys] + [f"witness {n} {keys[6]}" for n, keys in enumerate(vkeys)]
        policy = {POLICY: "\n".join([*text, "group own any 0 1", "quorum own", ""]).encode()}
        self.passes(world.files() | policy)
        lines = {(id(duo), kind): line for _, duo in world.signing for kind, line in duo.lines(ORIGIN, text_of(3))}
        mixed = text_of(3).decode() + "\n" + lines[id(LEDGER), 1] + lines[id(OTHER_LEDGER), 6]
        files = world.files() | policy | {CHECKPOINT: mixed.encode()}
        self.passes({name: raw for name, raw in files.items() if not name.endswith("proof")})

    def test_witnesses_without_keys_and_no_policy(self):
        """What is missing is reported; the others must make the quorum all the same."""
        world = World(3, WITNESSES)
        del world.profiles[2], world.signing[2]
        files = world.files()
        self.passes(files)
        del files[POLICY]
        lines = self.passes(files)
        self.assertIn("none, since keys of XC are not known", lines[POLICY])
        self.assertIn("XC without keys", lines[DOCUMENTS])

    def test_later_charters(self):
        """Signers, a root and the witnesses change; the fingerprint may be of any of the chain."""
        world = World(3, WITNESSES[:1])
        first = charter(WITNESSES)
        second = charter(WITNESSES[:1], version=2, previous=first.document_id(), signers=([STRANGER, *SIGNERS[:2]], 2))
        second.parties["XB"] = (quorum([STRANGE_ROOT], 1), NOW - DAY, 0, 0)
        second.signed_by = [*SIGNERS[:2], ROOTS["XB"][0]]
        third = charter(WITNESSES[:1], version=3, previous=second.document_id(), signers=second.signers)
        third.parties, third.signed_by = second.parties, [STRANGER, SIGNERS[0]]
        world.charters, world.profiles[1].signed_by = [first, second, third], [STRANGE_ROOT]
        for world.trusted in range(3):
            self.passes(world.files())

    def test_later_profiles(self):
        world = World()
        older = profile("XA", OTHER_LEDGER)
        world.profiles = [older, profile("XA", LEDGER, version=2, previous=older.document_id())]
        self.passes(world.files())
        world.profiles[1] = profile("XA", LEDGER, version=5, previous=bytes(31) + b"1")
        self.passes(world.files())

    def test_second_ledger_of_a_party(self):
        world = World()
        world.profiles[0].ledgers.append((ORIGIN[:-1] + "2", 7, bytes(32)))
        self.passes(world.files())

    def test_in_grace_and_just_joined(self):
        world = World()
        world.charters[0].expires = NOW - 5 * DAY + 1
        world.charters[0].parties["XA"] = (quorum(ROOTS["XA"], 2), NOW, NOW + 1, NOW + 1)
        world.profiles[0].keys = LEDGER.declared(NOW, NOW + 1)
        self.passes(world.files())

    def test_as_many_bytes_and_lines_as_a_note_may_have(self):
        files = {name: raw for name, raw in good_files().items() if not name.endswith("proof")}
        note, other = files[CHECKPOINT], f"{DASH} ab {encode(b'12345')}\n".encode()
        self.passes(files | {CHECKPOINT: note + other * 30})
        rest = 64 * 1024 - len(note) - len(f"{DASH}  \n".encode())
        blob = encode(bytes((rest - 1) // 4 * 3)).encode()
        name = b"n" * (rest - len(blob))
        full = note + f"{DASH} ".encode() + name + b" " + blob + b"\n"
        self.assertEqual(len(full), 64 * 1024)
        self.passes(files | {CHECKPOINT: full})


class Documents(Case):
    def change(self, why, change, witnesses=()):
        self.refused_world(DOCUMENTS, why, change, witnesses=witnesses)

    def fields(self, why, which, **changes):
        self.change(why, lambda world: vars(getattr(world, which)[0]).update(changes))

    def test_fingerprint(self):
        files = good_files()
        right = files["fingerprint"]
        for wrong, why in (
            (sha256(b"other").hex().encode() + b"\n", "fingerprint"),
            (right.upper(), "hexadecimal"),
            (right[:-1], "one line"),
            (right + b"\n", "hexadecimal"),
            (right[2:], "hexadecimal"),
            (b"", "one line"),
            (b" " + right[1:], "hexadecimal"),
        ):
            self.refused(files | {"fingerprint": wrong}, DOCUMENTS, why)

    def test_who_signs_a_charter(self):
        self.fields("fewer signers", "charters", signed_by=SIGNERS[:1])
        self.fields("fewer signers", "charters", signed_by=[])
        self.fields("nobody who is asked", "charters", signed_by=[*SIGNERS[:1], STRANGER])
        self.fields("nobody who is asked", "charters", signed_by=[*SIGNERS, STRANGER])
        self.fields("nobody who is asked", "charters", signed_by=[*SIGNERS, ROOTS["XA"][0]])

    def test_who_signs_a_profile(self):
        self.fields("fewer root keys", "profiles", signed_by=ROOTS["XA"][:1])
        self.fields("fewer root keys", "profiles", signed_by=[])
        self.fields("nobody who is asked", "profiles", signed_by=ROOTS["XB"])
        self.fields("nobody who is asked", "profiles", signed_by=[*ROOTS["XA"], STRANGE_ROOT])
        self.fields("nobody who is asked", "profiles", signed_by=SIGNERS)

    def test_signatures(self):
        """One algorithm missing, twice, in another order, over something else, or of another length."""
        def nothing(signatures):
            return [(signatures[0][0], bytes(len(signatures[0][1]))), *signatures[1:]]

        def flipped(signatures):
            first = signatures[0][1]
            return [(signatures[0][0], first[:-1] + bytes([first[-1] ^ 1])), *signatures[1:]]

        for which in ("charters", "profiles"):
            for gone in range(4):
                self.fields("one algorithm", which, altered=lambda s, gone=gone: s[:gone] + s[gone + 1 :])
            self.fields("one algorithm", which, altered=lambda s: [each for each in s if len(each[1]) == 64])
            self.fields("one algorithm", which, altered=lambda s: [each for each in s if len(each[1]) != 64])
            self.fields("do not ascend", which, altered=lambda s: s[::-1])
            self.fields("do not ascend", which, altered=lambda s: [s[0], *s])
            self.fields("does not verify|no point", which, altered=nothing)
            self.fields("does not verify", which, altered=flipped)
            self.fields("does not verify|no point", which, altered=lambda s: [(s[0][0], s[1][1]), *s[1:]])
            self.fields("does not verify|no point", which, altered=lambda s: [(s[0][0], s[0][1][:-1]), *s[1:]])

    def test_a_third_pair_of_which_half_signs(self):
        def half(signatures, pair):
            return sorted([*signatures, pair.sign(self.document_id)[0]])

        for which, pair in (("charters", SIGNERS[2]), ("profiles", ROOTS["XA"][2])):
            world = World()
            document = getattr(world, which)[0]
            self.document_id = document.document_id()
            document.altered = lambda signatures, pair=pair: half(signatures, pair)
            self.refused(world.files(), DOCUMENTS, "one algorithm")

    def test_roles_are_not_exchanged(self):
        """The right keys under ids of another role."""
        for which, pairs, role in (("charters", SIGNERS, 1), ("profiles", ROOTS["XA"], 8)):
            others = [copy.copy(pair) for pair in pairs]
            for pair in others:
                pair.role = role
            self.fields("nobody who is asked", which, signed_by=others)

    def test_content_of_a_charter(self):
        self.fields("expires before", "charters", expires=NOW - 9 * DAY)
        self.fields("network's name", "charters", network="Exercise.test")
        self.fields("network's name", "charters", network="exercise..test")
        self.fields("network's name", "charters", network="a" * 101)
        self.fields("names as the one before", "charters", previous=bytes(32))
        self.fields("the version of a Charter", "charters", version=0)
        self.fields("the version of a Charter", "charters", version=0, previous=bytes(32))
        self.fields("names as the one before", "charters", version=2)
        self.fields("threshold of the charter's signers", "charters", signers=(SIGNERS, 0))
        self.fields("threshold of the charter's signers", "charters", signers=(SIGNERS, 4))
        self.fields("no keys", "charters", signers=([], 1))
        twice = copy.copy(SIGNERS[2])
        twice.halves = (twice.halves[0], SIGNERS[0].halves[1])
        self.fields("stands twice", "charters", signers=([*SIGNERS[:2], twice], 2))
        parties = charter().parties
        self.fields("two capital letters", "charters", parties=parties | {"xe": parties["XE"]})
        self.fields("Parties do not ascend", "charters", parties=dict(reversed(parties.items())))
        falling = sorted((pair.raw() for pair in ROOTS["XA"]), reverse=True)
        for root, why in (
            (message([message(*SIGNERS[0].raw())]), "threshold of the root"),
            (b"", "no keys of the root"),
            (message([message(*raw) for raw in falling], 1), "do not ascend"),
            (message([message(bytes(31), bytes(1952))], 1), "another length"),
            (message([message(bytes(32), bytes(1951))], 1), "another length"),
        ):
            self.fields(why, "charters", parties=parties | {"XE": (root, NOW - DAY, 0, 0)})

    def test_duties(self):
        for duties, why in (
            ({"XA": (["XB", "XA"], 0)}, "do not ascend"),
            ({"XA": (["XB", "XB"], 0)}, "do not ascend"),
            ({"XA": (["XA", "XB"], 0)}, "other Parties"),
            ({"XA": (["XB", "XX"], 0)}, "other Parties"),
            ({"XX": (["XB"], 0)}, "other Parties"),
            ({"XA": ([], 0)}, "other Parties"),
            ({"XA": (["XB"], 1)}, "faulty"),
            ({"XB": (["XA"], 0), "XA": (["XB"], 0)}, "duties of witnesses do not ascend"),
        ):
            self.fields(why, "charters", duties=duties)

    def test_time_of_a_charter(self):
        self.fields("expired", "charters", expires=NOW - 5 * DAY)
        parties = charter().parties
        for dates in ((NOW + 1, 0, 0), (NOW - DAY, NOW, 0), (NOW - DAY, 0, NOW)):
            changed = parties | {"XA": (parties["XA"][0], *dates)}
            self.fields("takes no part", "charters", parties=changed)

    def test_charters_that_do_not_follow(self):
        first, everybody = charter(), sum(ROOTS.values(), SIGNERS[:1])
        other_root = charter().parties | {"XA": (quorum([STRANGE_ROOT], 1), NOW - DAY, 0, 0)}
        fewer = {code: party for code, party in charter().parties.items() if code != "XE"}
        for changes, why in (
            ({"version": 3}, "does not follow"),
            ({"version": 1, "previous": b""}, "does not follow|not one charter"),
            ({"previous": bytes(32)}, "names another one"),
            ({"network": "other.test"}, "another network"),
            ({"exercise": 0}, "another network"),
            ({"parties": fewer}, "leaves out a Party"),
            ({"parties": other_root}, "founds XA anew"),
            ({"parties": other_root, "signed_by": [*SIGNERS[:2], ROOTS["XA"][0]]}, "founds XA anew"),
            ({"signed_by": SIGNERS[:1]}, "threshold of the signers before"),
            ({"signed_by": everybody}, "threshold of the signers before"),
            ({"signed_by": [*SIGNERS[:2], STRANGER]}, "nobody who is asked"),
            ({"signers": ([STRANGER], 1), "signed_by": SIGNERS[:2]}, "its own signers"),
            ({"signers": ([STRANGER], 1), "signed_by": [STRANGER]}, "signers before"),
            ({"signers": ([STRANGER], 1), "signed_by": [STRANGER, SIGNERS[0]]}, "signers before"),
            ({"altered": lambda s: s[1:]}, "one algorithm"),
            ({"expires": 1}, "expires before"),
        ):
            second = charter(**{"version": 2, "previous": first.document_id()} | changes)
            with self.subTest(changes=list(changes), why=why):
                self.change(why, lambda world, second=second: setattr(world, "charters", [first, second]))

    def test_charters_in_disorder(self):
        first = charter()
        second = charter(version=2, previous=first.document_id())
        third = charter(version=3, previous=second.document_id())
        for order, trusted, why in (
            ([first, third, second], 0, "does not follow"),
            ([third, first], 1, "not of its chain"),
            ([first, third], 1, "not of its chain"),
            ([first, first], 0, "not one charter"),
            ([first, second, second], 0, "does not follow"),
            ([second, third], None, "not one charter"),
            ([], None, "not one charter"),
        ):
            world = World()
            files = world.files()
            world.charters = order
            fingerprint = order[trusted].document_id() if trusted is not None else first.document_id()
            files |= {DOCUMENTS: world.documents(), "fingerprint": fingerprint.hex().encode() + b"\n"}
            with self.subTest(why=why):
                self.refused(files, DOCUMENTS, why)

    def test_content_of_a_profile(self):
        self.fields("no Party of this network", "profiles", network="other.test")
        self.fields("no Party of this network", "profiles", party="XX")
        self.fields("no Party of this network", "profiles", party="xa")
        self.fields("nobody who is asked", "profiles", party="XB")
        self.fields("numbered from 1", "profiles", ledgers=[])
        self.fields("numbered from 1", "profiles", ledgers=[(ORIGIN[:-1] + "2", 0, b"")])
        self.fields("numbered from 1", "profiles", ledgers=[(f"xb.{NETWORK}/ledger/1", 0, b"")])
        first, second = (ORIGIN, 0, b""), ORIGIN[:-1] + "2"
        self.fields("begins with nothing of another", "profiles", ledgers=[(ORIGIN, 7, bytes(32))])
        self.fields("with what it begins", "profiles", ledgers=[first, (second, 0, bytes(32))])
        self.fields("with what it begins", "profiles", ledgers=[first, (second, 7, bytes(31))])
        self.fields("names as the one before", "profiles", previous=bytes(32))
        keys = LEDGER.declared()
        for key, why in (
            ((3, 1, bytes(32), 1, 2), "role, algorithm or length"),
            ((5, 2, bytes(1952), 1, 2), "role, algorithm or length"),
            ((5, 1, bytes(31), 1, 2), "role, algorithm or length"),
            ((9, 1, bytes(32), 1, 2), "role, algorithm or length"),
            ((6, 1, bytes(32), 2, 2), "ends before"),
            ((6, *keys[0][1:]), "stands twice"),
            (keys[0], "do not ascend"),
        ):
            self.fields(why, "profiles", keys=[*keys, key])
        self.fields("no key id", "profiles", revocations=[(bytes(31) + b"1", NOW), (b"2", NOW)])
        self.fields("revocations do not ascend", "profiles", revocations=[(b"2" * 32, NOW)] * 2)

    def test_checkpoint_keys(self):
        """Expired, not yet valid, revoked, of another role, of one algorithm."""
        ed25519, ml_dsa = LEDGER.declared()
        for keys in (
            [],
            [ed25519],
            [ml_dsa],
            LEDGER.declared(end=NOW),
            LEDGER.declared(begin=NOW + 1),
            [ed25519, *LEDGER.declared(end=NOW)[1:]],
            [(6, *key[1:]) for key in (ed25519, ml_dsa)],
        ):
            self.fields("no checkpoint keys", "profiles", keys=keys)
        for key in (ed25519, ml_dsa):
            self.fields("no checkpoint keys", "profiles", revocations=[(key_id(*key[:3]), NOW, "lost")])
        world = World()
        world.profiles[0].revocations = [(key_id(*ed25519[:3]), NOW + 1, "lost"), (key_id(6, *ed25519[1:3]), 1, "x")]
        self.passes(world.files())

    def test_profiles_that_are_missing_or_older(self):
        first = profile("XA", LEDGER)
        self.change("no profile of the Party", lambda world: world.profiles.clear())
        for second, why in (
            (first, "not newer"),
            (profile("XA", OTHER_LEDGER), "not newer"),
            (profile("XA", LEDGER, version=2, previous=bytes(32)), "fork"),
        ):
            self.change(why, lambda world, second=second: world.profiles.append(second))
        self.change("no profile of the Party", lambda world: world.profiles.__setitem__(0, profile("XB", LEDGER)))

    def test_origins(self):
        """A checkpoint of a ledger the profile does not list, and of names that are no ledger's."""
        note = good_files()[CHECKPOINT]
        for origin in (ORIGIN[:-1] + "2", ORIGIN.upper(), "x", ORIGIN.replace("xa", "xb"), "\u00e9.test"):
            changed = note.replace(ORIGIN.encode(), origin.encode())
            self.refused(good_files() | {CHECKPOINT: changed}, DOCUMENTS, "no profile of the Party")

    def test_other_documents(self):
        kind = "application/vnd.comity.suspension.v1"
        suspension = envelope(kind, message(NETWORK, "XA", NOW, 1, "lost", bytes(32)), ROOTS["XA"])
        with_body = envelope(CHARTER_TYPE, charter().header(), SIGNERS, body=b"body")
        for other, why in ((suspension, "neither charter nor profile"), (with_body, "has a body"), (b"", "neither")):
            files = good_files()
            files = files | {DOCUMENTS: files[DOCUMENTS] + field(1, other)}
            self.refused(files, DOCUMENTS, why)

    def test_exchanged_headers(self):
        """A profile under the type of a charter, and the other way round."""
        world = World()
        files = world.files()
        for kind, document in ((PROFILE_TYPE, world.charters[0]), (CHARTER_TYPE, world.profiles[0])):
            changed = envelope(kind, document.header(), document.signed_by)
            self.refused(files | {DOCUMENTS: files[DOCUMENTS] + field(1, changed)}, DOCUMENTS, "Profile|Charter")


class Messages(unittest.TestCase):
    """[W-1]"""

    def refused(self, shape, raw):
        with self.assertRaises((Refused, ValueError)):
            verify.read_message(shape, raw)

    def test_good(self):
        self.assertEqual(verify.read_message("Bundle", b"").envelopes, [])
        self.assertEqual(verify.read_message("Bundle", field(1, b"") * 2).envelopes, [b"", b""])
        self.assertEqual(verify.read_message("Declaration", field(2, "\u00e9")).value, "\u00e9")
        largest = verify.read_message("SuiteDates", field(1, 2**32 - 1) + field(2, 2**64 - 1))
        self.assertEqual((largest.id, largest.from_ms), (2**32 - 1, 2**64 - 1))
        self.assertIsNone(verify.read_message("Charter", b"").signers)
        self.assertEqual(verify.read_message("Charter", field(8, b"")).signers.keys, [])

    def test_bad(self):
        for shape, raw in (
            ("Signature", field(3, b"x")),
            ("Signature", field(2, b"x") + field(1, b"x")),
            ("Signature", field(1, b"x") + field(1, b"x")),
            ("Signature", field(1, b"")),
            ("Signature", field(1, 1)),
            ("Signature", field(1, b"xy")[:-1]),
            ("Signature", field(1, b"x") + b"\0"),
            ("Signature", b"\x0b"),
            ("Signature", b"\x0d1234"),
            ("Signature", b"\x0912345678"),
            ("Signature", b"\x8a\x00\x01x"),
            ("Signature", b"\x0a\x81\x00x"),
            ("Signature", b"\x0a"),
            ("Signature", b"\x80"),
            ("Signature", b"\x02\x00"),
            ("WitnessDuty", field(3, 1) + field(2, "XB")),
            ("WitnessDuty", field(2, "XB") + field(1, "XA")),
            ("SuiteDates", field(1, 0)),
            ("SuiteDates", field(1, 2**32)),
            ("SuiteDates", field(2, 2**64)),
            ("SuiteDates", b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
            ("SuiteDates", b"\x08\x81\x00"),
            ("SuiteDates", b"\x0a\x01\x01"),
            ("Charter", field(2, 2)),
            ("RoleKey", field(1, 2**64 - 1)),
            ("Quorum", field(1, field(1, b""))),
            ("Declaration", field(2, b"\xff")),
            ("Declaration", field(2, "x" * 1001)),
            ("Declaration", field(2, "a\nb")),
            ("Declaration", field(2, "a\x85b")),
            ("Declaration", field(2, "a\u202eb")),
        ):
            with self.subTest(shape=shape, raw=raw):
                self.refused(shape, raw)

    def test_limits_that_are_just_kept(self):
        self.assertEqual(verify.read_message("Declaration", field(2, "x" * 1000)).value, "x" * 1000)
        header = charter(network="a" * 100).header()
        verify.check_charter(verify.read_message("Charter", header))
        parties = charter().parties | {f"Y{letter}": (quorum(ROOTS["XB"], 1), NOW, 0, 0) for letter in "ABCDEFGH"}
        for witnesses in (7, 8):
            header = charter([f"Y{letter}" for letter in "ABCDEFGH"[:witnesses]], 6, parties=parties).header()
            with self.assertRaises(Refused) if witnesses == 8 else contextlib.nullcontext():
                verify.check_charter(verify.read_message("Charter", header))
        for kind in (1, 12):
            verify.check_context(message(kind, 1, *[bytes(31) + b"1"] * 3, [bytes(32)] * (256 if kind == 1 else 0)))
        proof = proof_text(1, 2**64 - 1, [bytes(32)] * 64, b"note")
        self.assertEqual(verify.read_proof(proof)[2:], (2**64 - 1, [bytes(32)] * 64, b"note"))

    def test_size_of_documents(self):
        """Four MiB are read, and more are not."""
        header = charter().header()
        rest = 4096 * 1024 - len(envelope(CHARTER_TYPE, header, [])) - 5
        for more, why in ((0, "has a body"), (1, "longer than 4 MiB")):
            raw = envelope(CHARTER_TYPE, header, [], body=bytes(rest + more))
            self.assertEqual(len(raw), 4096 * 1024 + more)
            with self.assertRaisesRegex(Refused, why):
                verify.open_document(raw)

    def test_additional_fields_in_documents(self):
        world = World()
        for document in (world.charters[0], world.profiles[0]):
            header = document.header() + field(14, 1)
            with self.assertRaises(Refused):
                verify.open_document(envelope(document.kind, header, document.signed_by))


class Points(unittest.TestCase):
    """[S-2]: a key of small order has signatures that fit every message."""

    def refused(self, key, signature):
        with self.assertRaisesRegex(Refused, "no point in use"):
            verify.verify_with(verify.Ed25519PublicKey, key, signature, b"any", "it")

    def test_why_it_matters(self):
        """The library alone lets it pass."""
        one = (1).to_bytes(32, "little")
        verify.Ed25519PublicKey.from_public_bytes(one).verify(one + bytes(32), b"any")
        self.refused(one, one + bytes(32))

    def test_small_order_and_not_canonical(self):
        key, prime = Ed25519PrivateKey.generate(), 2**255 - 19
        signature = key.sign(b"any")
        verify.verify_with(verify.Ed25519PublicKey, public(key), signature, b"any", "it")
        for y in (0, 1, prime - 1, prime, prime + 1, prime + 3, 2**255 - 1, verify.ORDER_8, prime - verify.ORDER_8):
            for sign in (0, 1 << 255):
                point = (y | sign).to_bytes(32, "little")
                self.refused(point, signature)
                self.refused(public(key), point + signature[32:])


class Checkpoints(Case):
    def test_missing_lines(self):
        for witnesses in ((), WITNESSES):
            for kind, why in ((1, "no Ed25519 line"), (6, "no ML-DSA-44 line")):
                world = World(3, witnesses)
                world.left_out = {(ORIGIN, kind)}
                self.refused(world.files(), CHECKPOINT, why)

    def test_too_few_witnesses(self):
        """A witness counts only with both algorithms."""
        for left_out, said in (
            ({("XB", 4), ("XB", 6), ("XC", 4), ("XC", 6)}, "1 of the 2 .*XD"),
            ({("XB", 4), ("XC", 6)}, "1 of the 2 .*XD"),
            ({("XB", 4), ("XC", 4), ("XD", 4)}, "0 of the 2 .*nobody"),
            ({("XB", 6), ("XC", 6), ("XD", 6)}, "0 of the 2 .*nobody"),
        ):
            world = World(3, WITNESSES)
            world.left_out = {(witness_name(code), kind) for code, kind in left_out}
            files = world.files()
            self.refused(files, CHECKPOINT, said)
            self.assertRegex(check(files)[1][POLICY], "^ok .*refuses the checkpoint")
            self.refused(files, proof_name(0), "not checked")

    def test_more_needed_where_some_may_be_faulty(self):
        world = World(3, WITNESSES, faulty=1)
        self.passes(world.files())
        world.left_out = {(witness_name("XB"), 6)}
        self.refused(world.files(), CHECKPOINT, "2 of the 3")

    def test_wrong_witnesses(self):
        """A key of another, a Party that is no witness, one that no longer takes part, another ledger's witness."""
        def replaced(world):
            world.signing[1:] = [(name, OTHER_COSIGNER) for name, _ in world.signing[1:]]

        def renamed(world):
            names = (f"{code.lower()}.{NETWORK}/ledger/1" for code in WITNESSES)
            world.signing[1:] = [(name, duo) for name, (_, duo) in zip(names, world.signing[1:])]

        def another(world):
            world.charters[0].duties = {"XA": (["XE"], 0)}

        def withdrawn(world):
            parties = world.charters[0].parties
            for code in WITNESSES[:2]:
                parties[code] = (parties[code][0], NOW - DAY, 0, NOW)

        def ended(world):
            for document in world.profiles[1:3]:
                document.keys = [(*key[:4], NOW) for key in document.keys]

        def checkpoint_role(world):
            for document in world.profiles[1:3]:
                document.keys = [(5, *key[1:]) for key in document.keys]

        def revoked(world):
            for document in world.profiles[1:3]:
                document.revocations = [(key_id(*document.keys[1][:3]), NOW, "lost")]

        for change in (replaced, renamed, another, withdrawn, ended, checkpoint_role, revoked):
            with self.subTest(change=change.__name__):
                self.refused_world(CHECKPOINT, "signed by the ledger, but", change, witnesses=WITNESSES)

    def test_a_bad_line_of_a_known_witness_spoils_the_note(self):
        """Also where the others would be enough."""
        note = good_files(3, WITNESSES)[CHECKPOINT].decode().splitlines(keepends=True)
        for place in range(4, 12):
            name, blob = note[place].split(" ")[1:]
            raw = base64.b64decode(blob)
            line = signature_line(name, raw[:-1] + bytes([raw[-1] ^ 1]))
            changed = "".join([*note[:place], line, *note[place + 1 :]]).encode()
            self.refused(good_files(3, WITNESSES) | {CHECKPOINT: changed}, CHECKPOINT, "does not verify|no point")

    def test_doubled_lines(self):
        note = good_files(3, WITNESSES)[CHECKPOINT]
        for line in note.splitlines(keepends=True)[4:]:
            self.refused(good_files(3, WITNESSES) | {CHECKPOINT: note + line}, CHECKPOINT, "signed twice")

    def test_signatures_of_another_text(self):
        """Lines of another size, of another ledger of the same key, of a witness in another's name."""
        for other in (World(4), World(2)):
            note = text_of(3) + b"\n" + other.note().split(b"\n\n")[1]
            self.refused(good_files() | {CHECKPOINT: note}, CHECKPOINT, "does not verify")
        lines = dict(LEDGER.lines(ORIGIN, text_of(3, ORIGIN[:-1] + "2")))
        note = text_of(3).decode() + "\n" + lines[1] + lines[6]
        self.refused(good_files() | {CHECKPOINT: note.encode()}, CHECKPOINT, "does not verify")

    def test_a_cosigner_signs_its_name(self):
        name = witness_name("XB")
        lines = dict(COSIGNERS["XB"].lines("another.name", text_of(3)))
        blob = base64.b64decode(lines[6].split(" ")[2])
        key = COSIGNERS["XB"].keys[1][1]
        forged = signature_line(name, note_key_id(name, 6, key) + blob[4:])
        note = good_files(3, WITNESSES)[CHECKPOINT].decode().splitlines(keepends=True)
        note = "".join(forged if line.startswith(f"{DASH} {name}") and len(line) > 999 else line for line in note)
        self.refused(good_files(3, WITNESSES) | {CHECKPOINT: note.encode()}, CHECKPOINT, "type 0x06 does not verify")

    def test_long_names(self):
        checkpoint = verify.read_note(good_files()[CHECKPOINT])
        verify.cosigned_message(checkpoint, "n" * 255, 1)
        for name in ("", "n" * 256, "\u00e9" * 128):
            with self.assertRaises(Refused):
                verify.cosigned_message(checkpoint, name, 1)

    def test_times(self):
        for time_s, good in ((0, True), (2**64 // 1000, True), (2**64 // 1000 + 1, False), (2**63, False)):
            note = text_of(3).decode() + "\n" + "".join(line for _, line in LEDGER.lines(ORIGIN, text_of(3), time_s))
            files = {name: raw for name, raw in good_files().items() if not name.endswith("proof")}
            files |= {CHECKPOINT: note.encode()}
            self.passes(files) if good else self.refused(files, CHECKPOINT, "no time there is")

    def test_forms(self):
        note = good_files()[CHECKPOINT].decode()
        text, lines = note.split("\n\n")
        root = text.split("\n")[2]
        signature = lines.split("\n")[0]
        loose = root[:-2] + chr(ord(root[-2]) + 1) + "="
        for changed, why in (
            (note.replace("\n\n", "\nextension\n\n"), "no other line"),
            (note.replace("\n\n", "\n"), "one blank line"),
            (note + "\n", "one blank line|has a dash"),
            (note[:-1], "ends its last"),
            (note.replace("\n3\n", "\n03\n"), "plain decimal"),
            (note.replace("\n3\n", "\n+3\n"), "plain decimal"),
            (note.replace("\n3\n", "\n\u0663\n"), "plain decimal"),
            (note.replace("\n3\n", f"\n{2**64}\n"), "plain decimal"),
            (note.replace("\n3\n", "\n0\n"), "size is none"),
            (note.replace(ORIGIN, "", 1), "origin or size is none"),
            (note.replace(root, loose), "base64 in a form of its own"),
            (note.replace(root, root[:-1]), "base64"),
            (note.replace(root, encode(bytes(31))), "has not 32 bytes"),
            (note.replace("\n", "\r\n"), "control characters"),
            (note.replace(ORIGIN, ORIGIN + "\x85", 1), "control characters"),
            (note.replace(DASH, "-", 1), "has a dash"),
            (note.replace(signature, signature + " "), "has a dash"),
            (note.replace(signature, signature + " x"), "has a dash"),
            (note + f"{DASH}  {encode(b'12345')}\n", "space or plus"),
            (note + f"{DASH} a+b {encode(b'12345')}\n", "space or plus"),
            (note + f"{DASH} a\u00a0b {encode(b'12345')}\n", "space or plus"),
            (note + f"{DASH} ab {encode(b'1234')}\n", "key id and a signature"),
            (note + f"{DASH} ab {encode(b'12345')[:-1]}\n", "base64"),
            (note + f"{DASH} ab {encode(b'12345')}\n" * 31, "at most 32"),
            (note + f"{DASH} ab {encode(bytes(49152))}\n", "64 KiB"),
            (text + "\n\n", "blank line|has a dash"),
            (text + "\n", "one blank line"),
            ("", "one blank line"),
        ):
            with self.subTest(why=why):
                self.refused(good_files() | {CHECKPOINT: changed.encode()}, DOCUMENTS, why)
        self.refused(good_files() | {CHECKPOINT: b"\xff" + note.encode()}, DOCUMENTS, "UnicodeDecodeError")


class Policies(Case):
    def tampered(self, change, why, witnesses=WITNESSES):
        files = good_files(3, witnesses)
        changed = change(files[POLICY].decode())
        self.assertNotEqual(changed, files[POLICY].decode())
        self.refused(files | {POLICY: changed.encode()}, POLICY, why)

    def swapped(self, old, new, why, witnesses=WITNESSES):
        self.tampered(lambda text: text.replace(old, new), why, witnesses)

    def test_other_quorums(self):
        rule = "quorum is not what the charter demands"
        names = [witness_name(code) for code in WITNESSES]
        self.swapped("quorum own", "quorum none", rule, ())
        for name in ("none", "own", "witnesses", names[0], f"{names[0]}-4"):
            self.swapped("quorum both", f"quorum {name}", rule)
        self.swapped("both all", "both any", rule)
        self.swapped("both all", "both 1", rule)
        self.swapped(f"{names[1]} all", f"{names[1]} any", rule)
        for threshold in ("1", "3", "any", "all"):
            self.swapped("witnesses 2", f"witnesses {threshold}", rule)
        self.swapped(f" {names[2]}\ngroup both", "\ngroup both", rule)
        self.swapped("all own witnesses", f"all own {' '.join(names)}", "twice")
        self.swapped(f"{names[1]}-4 {names[1]}-6", f"{names[1]}-4 {names[0]}-6", "twice")
        self.swapped(f"all {names[0]}-4 {names[0]}-6", f"all {names[0]}-6", rule)

    def test_halves_mixed_between_witnesses(self):
        """As many keys, but one Party's Ed25519 key beside another's ML-DSA-44 key."""
        b, c = (witness_name(code) for code in WITNESSES[:2])

        def change(text):
            lines = [line for line in text.splitlines() if not line.startswith((f"group {b}", f"group {c}"))]
            at = next(n for n, line in enumerate(lines) if line.startswith("group witnesses"))
            lines[at:at] = [f"group {b} all {b}-4 {c}-6", f"group {c} all {c}-4 {b}-6"]
            return "\n".join([*lines, ""])

        self.tampered(change, "quorum is not what the charter demands")

    def test_other_keys(self):
        vkeys = dict(LEDGER.vkeys(ORIGIN))
        other = dict(OTHER_LEDGER.vkeys(ORIGIN))
        cosigner = dict(COSIGNERS["XB"].vkeys(witness_name("XB")))
        strange = dict(OTHER_COSIGNER.vkeys(witness_name("XB")))
        renamed = dict(COSIGNERS["XB"].vkeys("other.name"))
        elsewhere = dict(LEDGER.vkeys(ORIGIN[:-1] + "2"))
        logs, witnesses = "logs are not", "witnesses are not who"
        self.swapped(vkeys[1], other[1], logs)
        self.swapped(vkeys[1], elsewhere[1], logs)
        self.swapped(vkeys[6], other[6], witnesses)
        self.swapped(vkeys[6], elsewhere[6], witnesses)
        for kind in (4, 6):
            self.swapped(cosigner[kind], strange[kind], witnesses)
            self.swapped(cosigner[kind], renamed[kind], witnesses)
        self.tampered(lambda text: f"log {other[1]}\n" + text, logs)
        self.tampered(lambda text: f"witness x {other[6]}\n" + text, witnesses)
        self.tampered(lambda text: f"log {vkeys[6]}\n" + text, logs)
        self.swapped(f"log {vkeys[1]}", "", logs)
        self.swapped(f"log {vkeys[1]}", f"log {vkeys[6]}", logs)

    def test_kinds_of_keys(self):
        vkeys, cosigner = dict(LEDGER.vkeys(ORIGIN)), dict(COSIGNERS["XB"].vkeys(witness_name("XB")))
        self.swapped(vkeys[1], cosigner[4], "type of another use")
        self.swapped(cosigner[4], vkeys[1], "type of another use")
        name, identity, blob = vkeys[1].split("+", 2)
        raw = base64.b64decode(blob)
        for vkey, why in (
            (f"{name}+{identity}", "no name"),
            (name, "no name"),
            (f"+{identity}+{blob}", "no name"),
            (f"{name}+{identity.replace(identity[0], 'g')}+{blob}", "hexadecimal"),
            (f"{name}+0{identity}+{blob}", "hexadecimal"),
            (f"{name}+{'0' * 8}+{blob}", "id is not that"),
            (f"{name}+{identity}+{encode(raw[:-1])}", "another length"),
            (f"{name}+{identity}+{encode(raw[:1])}", "another length"),
            (f"{name}+{identity}+{blob.rstrip('=')[:-1]}", "base64"),
        ):
            with self.subTest(why=why):
                self.swapped(vkeys[1], vkey, why)

    def test_forms(self):
        log, own = good_files()[POLICY].decode().splitlines()[:2]
        vkey = own.split(" ")[2]
        end = "quorum own\n"
        for text, why in (
            ("", "last line"),
            (f"{log}\n{own}\nquorum own", "last line"),
            (f"{log}\n{own}\n", "one quorum line"),
            (f"{log}\n{own}\n{end}{end}", "one quorum line"),
            (f"{log}\nquorum own\n{own}\n", "not defined before"),
            (f"{log}\n{own}\nquorum\n", "no known form"),
            (f"{log}\n{own}\nquorum own own\n", "no known form"),
            (f"{log} url more\n{own}\n{end}", "no known form"),
            (f"{log}\n{own} url more\n{end}", "no known form"),
            (f"log\n{own}\n{end}", "no known form"),
            (f"{log}\nwitness {vkey}\n{end}", "no known form"),
            (f"{log}\n{own}\nweight own 1\n{end}", "no known form"),
            (f"{log}\r\n{own}\n{end}", "control characters"),
            (f"{log}\n{own}\0\n{end}", "control characters"),
            (f"{log}\n{own}\x7f\n{end}", "control characters"),
            (f"{log}\n{log}\n{own}\n{end}", "stands twice"),
            (f"{log}\n{own}\n{own.replace(' own ', ' two ', 1)}\n{end}", "stands twice"),
            (f"{log}\n{own}\n{own}\n{end}", "is taken"),
            (f"{log}\n{own.replace(' own ', ' none ', 1)}\nquorum none\n", "is taken"),
            (f"{log}\n{own}\ngroup own any own\n{end}", "is taken"),
            (f"{log}\n{own}\ngroup none any own\n{end}", "is taken"),
            (f"{log}\n{own}\ngroup g any\n{end}", "no known form"),
            (f"{log}\n{own}\ngroup g\n{end}", "no known form"),
            (f"{log}\n{own}\ngroup g any none\n{end}", "`none`"),
            (f"{log}\n{own}\ngroup g any g\n{end}", "not defined before"),
            (f"{log}\n{own}\ngroup g any other\n{end}", "not defined before"),
            (f"{log}\n{own}\ngroup g any own own\n{end}", "twice"),
            (f"{log}\n{own}\ngroup g any own\ngroup h any own\n{end}", "twice"),
            (f"{log}\n{own}\ngroup g 0 own\n{end}", "threshold"),
            (f"{log}\n{own}\ngroup g 2 own\n{end}", "threshold"),
            (f"{log}\n{own}\ngroup g 01 own\n{end}", "threshold"),
            (f"{log}\n{own}\ngroup g +1 own\n{end}", "threshold"),
            (f"{log}\n{own}\ngroup g some own\n{end}", "threshold"),
        ):
            with self.subTest(text=text[-40:]):
                files = good_files() | {POLICY: text.encode()}
                self.refused(files, POLICY, why)
        self.refused(files, proof_name(0), "not checked")

    def test_missing(self):
        for witnesses in ((), WITNESSES):
            files = {name: raw for name, raw in good_files(3, witnesses).items() if name != POLICY}
            self.refused(files, POLICY, "missing, though")

    def test_quorum_that_no_known_keys_can_make(self):
        """The charter needs two, only one has keys; a policy of that one alone must not stand for the charter's."""
        world = World(3, WITNESSES)
        del world.profiles[2:], world.signing[2:]
        world.needed = 1
        files = world.files()
        self.refused(files, CHECKPOINT, "1 of the 2")
        self.refused(files, POLICY, "quorum is not what the charter demands")
        del files[POLICY]
        self.refused(files, CHECKPOINT, "1 of the 2")

    def test_the_example_of_the_format(self):
        """Two of three X and any Y."""
        duos = {name: Duo(6) for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
        lines = [f"log {dict(LEDGER.vkeys(ORIGIN))[1]}"]
        lines += [f"witness {name} {dict(duo.vkeys(name))[4]}" for name, duo in duos.items()]
        lines += ["group X-witnesses 2 X1 X2 X3", "group Y-witnesses any Y1 Y2 Y3"]
        lines += ["group X-and-Y all X-witnesses Y-witnesses", "quorum X-and-Y", ""]
        policy = verify.read_policy("\n".join(lines).encode())
        own = dict(LEDGER.lines(ORIGIN, text_of(3)))[1]
        cosigned = {name: dict(duo.lines(name, text_of(3)))[4] for name, duo in duos.items()}
        for names, good in (
            ("X1 X2 Y1", True), ("X2 X3 Y2 Y3", True), ("X1 X2 X3 Y1 Y2 Y3", True),
            ("X1 Y1", False), ("X1 X2 X3", False), ("Y1 Y2 Y3", False), ("", False),
        ):  # fmt: skip
            note = text_of(3).decode() + "\n" + own + "".join(cosigned[name] for name in names.split())
            self.assertEqual(verify.accepts(policy.judge, verify.read_note(note.encode())), good, names)
        unsigned = text_of(3).decode() + "\n" + "".join(cosigned.values())
        self.assertFalse(verify.accepts(policy.judge, verify.read_note(unsigned.encode())))

    def test_names_are_octets(self):
        own = good_files()[POLICY].decode().splitlines()[1].split(" ")[2].encode()
        text = b"witness K " + own + b"\nquorum \xe2\x84\xaa\n"
        with self.assertRaises(Refused):
            verify.read_policy(text)
        verify.read_policy(text.replace(b" K ", b" \xe2\x84\xaa "))
        verify.read_policy(b"witness \xff\xa0 " + own + b"\nquorum \xff\xa0\n")


class Tree(unittest.TestCase):
    def test_every_leaf_of_every_size(self):
        leaves = leaves_of(9)
        for size in range(1, 10):
            self.assertEqual(verify.tree_root(leaves[:size]), tree_root(leaves[:size]))
            for index in range(size):
                path = audit_path(index, leaves[:size])
                self.assertEqual(verify.root_from_path(leaves[index], index, size, path), tree_root(leaves[:size]))

    def test_wrong_lengths_and_places(self):
        leaves = leaves_of(9)
        path = audit_path(3, leaves)
        for index, size, nodes in ((9, 9, path), (3, 9, path[:-1]), (3, 9, [*path, leaves[0]]), (-1, 9, path)):
            with self.assertRaises(Refused):
                verify.root_from_path(leaves[3], index, size, nodes)
        self.assertNotEqual(verify.root_from_path(leaves[3], 2, 9, path), tree_root(leaves))

    def test_a_known_root(self):
        """RFC 6962's empty-leaf tree: SHA-256 of a single zero byte."""
        self.assertEqual(
            verify.sha256(b"\0").hex(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        )

    def test_names_of_tiles(self):
        """The examples of tlog-tiles."""
        names = [name for name, _ in verify.tiles_of(0, 70_000)]
        self.assertEqual((len(names), names[0], names[273]), (274, "0/000", "0/273.p/112"))
        self.assertEqual([name for name, _ in verify.tiles_of(1, 273)], ["1/000", "1/001.p/17"])
        self.assertEqual([name for name, _ in verify.tiles_of(2, 1)], ["2/000.p/1"])
        self.assertEqual(verify.tile_path("entries", 1_234_067, 256), "entries/x001/x234/067")
        self.assertEqual(verify.tile_path(3, 1_000, 1), "3/x001/000.p/1")


class Tiles(Case):
    def test_missing_files(self):
        for size in (3, 256, 257, 600):
            files = good_files(size)
            for gone in [name for name in files if name.startswith(TILE)]:
                left = {name: raw for name, raw in files.items() if name != gone}
                self.refused(left, TILE, "FileNotFound|fewer files")
        self.refused({n: raw for n, raw in good_files().items() if not n.startswith(TILE)}, TILE, "fewer files")

    def test_additional_files(self):
        files = good_files(257)
        for name in (
            "0/000.p/255", "0/001", "0/001.p/2", "0/002.p/1", "1/000", "1/000.p/2", "2/000.p/1", "entries/001",
            "entries/000.p/1", "0/x000/001", "0/1", "00/000", "x", ".hidden", "entries/001.p/1.gz", "issuer/00",
        ):  # fmt: skip
            path = f"{TILE}/{name}"
            if not any(each.startswith(f"{path}/") for each in files):
                self.refused(files | {path: b"\0" * 32}, TILE, "more than the size demands")

    def test_a_link_that_leads_nowhere(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
            for name, raw in good_files().items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(raw)
            (Path(folder) / TILE / "9").symlink_to(folder)
            self.assertEqual(verify.main([folder], NOW), 1)
        self.assertIn("more than the size demands: 9", printed.getvalue())

    def test_contents(self):
        size = 257
        files = good_files(size)
        for name in [name for name in files if name.startswith(TILE)]:
            raw = files[name]
            bundle = "entries" in name
            self.refused(files | {name: raw[:-1]}, TILE, "not as many entries|not what the entries give")
            self.refused(files | {name: raw + raw[-32:]}, TILE, "not as many entries|not what the entries give")
            self.refused(files | {name: b""}, TILE, "not as many entries|not what the entries give")
            for place in (0, 1, 2, 3, len(raw) // 2, len(raw) - 1):
                changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
                why = "not 33 bytes|not lead to the root" if bundle else "is not what the entries give"
                self.refused(files | {name: changed}, TILE, why)

    def test_entries_in_another_order(self):
        files = good_files()
        name = f"{TILE}/entries/000.p/3"
        raw = files[name]
        self.refused(files | {name: raw[35:70] + raw[:35] + raw[70:]}, TILE, "not lead to the root")

    def test_another_version_of_entries(self):
        files = good_files()
        name = f"{TILE}/entries/000.p/3"
        self.refused(files | {name: b"\0\x21\x02" + files[name][3:]}, TILE, "not version 1")
        self.refused(files | {name: b"\0\x22\x01" + files[name][3:]}, TILE, "not 33 bytes")

    def test_a_size_beyond_all_files(self):
        """Nobody is kept busy by a size that was merely claimed, even where the ledger signed it."""
        text = f"{ORIGIN}\n{2**64 - 1}\n{encode(bytes(32))}\n".encode()
        note = text + b"\n" + "".join(line for _, line in LEDGER.lines(ORIGIN, text)).encode()
        self.refused(good_files() | {CHECKPOINT: note}, TILE, "fewer files")

    def test_another_ledgers_tiles(self):
        files = {name: raw for name, raw in good_files(4).items() if not name.startswith(TILE)}
        self.refused(files | tile_files(3), TILE, "FileNotFound")


class Proofs(Case):
    def setUp(self):
        self.world = World(5, WITNESSES)
        self.files = good_files(5, WITNESSES)
        self.name, self.raw = proof_name(2), self.files[proof_name(2)]

    def tampered(self, raw, why):
        self.assertNotEqual(raw, self.raw)
        raw = raw.encode() if isinstance(raw, str) else raw
        self.refused(self.files | {self.name: raw}, self.name, why)

    def with_extra(self, extra):
        return self.with_line(1, f"extra {encode(extra)}")

    def with_line(self, place, *lines):
        parts = self.raw.decode().split("\n")
        return "\n".join([*parts[:place], *lines, *parts[place + 1 :]])

    def test_of_another_record(self):
        self.refused(self.files | {proof_name(3): self.raw}, proof_name(3), "not in the tree")
        name = f"{bytes(32).hex()}.tlog-proof"
        self.refused(self.files | {name: self.raw}, name, "not in the tree")

    def test_names(self):
        for name in ("record", self.name[1:-11], self.name[:-11].upper(), self.name[:-11] + "0", ""):
            path = f"{name}.tlog-proof"
            self.refused(self.files | {path: self.raw}, path, "hexadecimal")

    def test_index(self):
        for index, why in (
            ("3", "not in the tree"), ("1", "not in the tree"), ("4", "too long"), ("5", "lies in the tree"),
            ("02", "plain decimal"), ("+2", "plain decimal"), ("-2", "plain decimal"), ("", "plain decimal"),
            (" 2", "plain decimal"), ("2 ", "plain decimal"), (str(2**64), "plain decimal"),
            ("\u0662", "plain decimal"),
        ):  # fmt: skip
            with self.subTest(index=index):
                self.tampered(self.with_line(2, f"index {index}"), why)

    def test_salt_and_context(self):
        _, context, salt = record(2)
        self.tampered(self.with_extra(sha256(salt) + context), "not in the tree")
        self.tampered(self.with_extra(salt + record(4)[1]), "not in the tree")
        self.tampered(self.with_extra(salt[:-1] + context), "Context")
        self.tampered(self.with_extra(salt), "no kind")
        self.tampered(self.with_extra(salt + context + b"\0"), "Context|number")
        ids = [sha256(b"%d" % n) for n in range(3)]
        for bad in (
            message(13, 1, *ids), message(0, 1, *ids), message(2, 1, *ids[:2]), message(2, 1, *ids, [ids[0]]),
            message(1, 1, *ids, [b"x"]), message(1, 1, *ids, [ids[0]] * 257), message(1, 1, *ids) + field(7, 1),
            field(2, 1) + field(1, 1), message(1, 1, *ids, [ids[0]] * 800),
        ):  # fmt: skip
            self.tampered(self.with_extra(salt + bad), "[Cc]ontext")

    def test_forms(self):
        text = self.raw.decode()
        head, note = text.split("\n\n", 1)
        extra = text.split("\n")[1]
        _, context, salt = record(2)
        padded = next(c for c in (context, context + b"\x38\x01", context + b"\x38\x01\x01") if len(salt + c) % 3)
        loose = encode(salt + padded)
        last = loose.rstrip("=")[-1]
        loose = loose.replace(last + "=", chr(ord(last) + 1) + "=")
        for changed, why in (
            (text.replace("proof@v1", "proof@v2"), "not a tlog-proof"),
            (text.replace("c2sp.org/tlog-proof@v1\n", ""), "not a tlog-proof|extra data, then"),
            ("\n" + text, "not a tlog-proof"),
            (text.replace(extra + "\n", ""), "extra data, then"),
            (text.replace("extra ", "extra"), "extra data, then"),
            (text.replace("extra ", "Extra "), "extra data, then"),
            (text.replace("extra ", "extra  "), "base64"),
            (self.with_line(1, f"extra {loose}"), "base64 in a form of its own"),
            (self.with_line(1, extra.rstrip("=")[:-1]), "base64"),
            (self.with_line(1, extra + " "), "base64"),
            (self.with_line(2), "extra data, then"),
            (self.with_line(2, "index 2", "index 2"), "base64"),
            (self.with_line(2, extra, "index 2"), "extra data, then"),
            (text.replace("\n", "\r\n"), "not a tlog-proof"),
            (head, "not a tlog-proof"),
            (head + "\n\n\n" + note, "no other line"),
            (head + "\n" + note, "base64|not a tlog-proof"),
            (head + "\n\n", "blank line"),
            ("c2sp.org/tlog-proof@v1\n\n" + note, "not a tlog-proof"),
            (f"c2sp.org/tlog-proof@v1\n{extra}\n\n{note}", "not a tlog-proof"),
            (text + "\n", "blank line|a dash"),
            (text + "more\n", "a dash"),
            ("", "not a tlog-proof"),
        ):
            with self.subTest(why=why, start=changed[:40]):
                self.tampered(changed, why)

    def test_path(self):
        lines = self.raw.decode().split("\n")
        node = encode(bytes(32))
        self.tampered(self.with_line(3), "too short|not in the tree")
        self.tampered(self.with_line(3, node), "not in the tree")
        self.tampered(self.with_line(3, lines[4], lines[3]), "too long|not in the tree")
        self.tampered(self.with_line(3, lines[3], node), "too long")
        self.tampered(self.with_line(3, encode(bytes(31))), "32 bytes")
        self.tampered(self.with_line(3, *[node] * 65), "at most 64")
        self.tampered(self.with_line(3, lines[3] + "="), "base64")
        loose = lines[3][:-2] + chr(ord(lines[3][-2]) + 1) + "="
        self.tampered(self.with_line(3, loose), "base64")

    def test_its_checkpoint(self):
        """The same demands as on the ledger's own."""
        for left_out, why in (
            ({(ORIGIN, 1)}, "no Ed25519"),
            ({(ORIGIN, 6)}, "no ML-DSA-44"),
            ({(witness_name("XB"), 4), (witness_name("XC"), 6)}, "1 of the 2"),
            ({(witness_name(code), kind) for code in WITNESSES for kind in (4, 6)}, "0 of the 2"),
        ):
            self.world.left_out = left_out
            self.tampered(self.world.proof(2), why)
        self.world.left_out = set()
        self.tampered(self.world.proof(2, note=self.world.note(4)), "not in the tree|path")
        other = World(5)
        other.signing = [(ORIGIN[:-1] + "2", LEDGER)]
        self.tampered(self.world.proof(2, note=other.note().replace(b"ledger/1", b"ledger/2")), "another ledger")
        other.signing = [(ORIGIN, OTHER_LEDGER)]
        self.tampered(self.world.proof(2, note=other.note()), "no Ed25519")

    def elsewhere(self, leaves, index):
        """A proof of the third record in another tree that ledger and witnesses signed too."""
        text = f"{ORIGIN}\n{len(leaves)}\n{encode(tree_root(leaves))}\n".encode()
        lines = "".join(line for name, duo in self.world.signing for _, line in duo.lines(name, text))
        return proof_text(2, index, audit_path(index, leaves), text + b"\n" + lines.encode())

    def test_in_another_tree_of_the_same_ledger(self):
        for size in (3, 5):
            others = [sha256(b"\0other %d" % n) for n in range(size)]
            leaves = [*others[:2], leaves_of(3)[2], *others[3:]]
            self.tampered(self.elsewhere(leaves, 2), "of another tree than the ledger's")

    def test_at_another_place_of_a_larger_tree(self):
        """The leaf stands where the proof says in a larger tree, but not in the bundles."""
        leaves = [*leaves_of(3), leaves_of(3)[2], *leaves_of(9)[4:]]
        self.tampered(self.elsewhere(leaves, 3), "entry 3 of the ledger is another one")


class Bytes(Case):
    """Any changed, missing or additional byte of any file, wherever it lies. Both witnesses there are are needed, so
    that none of their bytes is to spare."""

    def changed(self, size, witnesses, stride):
        files = good_files(size, witnesses)
        for number, (name, raw) in enumerate(files.items()):
            step = max(1, len(raw) // stride)
            for place in [*range(number % 7 % len(raw), len(raw), step), len(raw) - 1]:
                yield name, raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :], place
            yield name, raw[:-1], "last"
            yield name, raw[1:], "first"
            yield name, raw + b"x", "one more"
            yield name, b"", "all"

    def test_changed_bytes(self):
        files = good_files(5, WITNESSES[:2])
        for name, raw, place in self.changed(5, WITNESSES[:2], 12):
            with self.subTest(name=name, place=place):
                self.assertEqual(check(files | {name: raw})[0], 1)

    def test_missing_files(self):
        files = good_files(5, WITNESSES)
        for gone in files:
            if not gone.endswith("proof"):
                self.assertEqual(check({name: raw for name, raw in files.items() if name != gone})[0], 1)

    def test_files_of_another_ledger(self):
        """Parts of one folder in another: of another size, or of a charter without witnesses."""
        files, smaller, alone = good_files(5, WITNESSES), good_files(3, WITNESSES), good_files(5)
        others = [(CHECKPOINT, smaller), *((name, alone) for name in files if not name.startswith(TILE))]
        for name, other in others:
            with self.subTest(name=name):
                self.assertEqual(check(files | {name: other[name]})[0], 1)


class Main(Case):
    def test_nothing_to_check_is_a_failure(self):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(verify.main([]), 1)
            with tempfile.TemporaryDirectory() as folder:
                self.assertEqual(verify.main([folder]), 1)
                self.assertEqual(verify.main([folder + "/absent"]), 1)

    def test_one_bad_folder_among_good_ones(self):
        with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()) as printed:
            for folder in "abc":
                for name, raw in good_files().items():
                    path = Path(place) / folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(raw)
            folders = [f"{place}/{folder}" for folder in "abc"]
            self.assertEqual(verify.main(folders, NOW), 0)
            (Path(place) / "b" / "fingerprint").write_text("00\n")
            self.assertEqual(verify.main(folders, NOW), 1)
        failed = [line for line in printed.getvalue().splitlines() if line.startswith("FAILED")]
        self.assertEqual([line.split(": ")[0].split("/")[-3:-1] for line in failed[:2]], [["b", "ledger"]] * 2)

    def test_the_clock(self):
        """The folder that is right at NOW is not a day later, when its keys have ended."""
        self.refused(good_files(), DOCUMENTS, "no checkpoint keys", now=NOW + DAY)
        self.refused(good_files(), DOCUMENTS, "no checkpoint keys|no part", now=NOW - DAY - 1)
        self.passes(good_files(), now=NOW + DAY - 1)


if __name__ == "__main__":
    unittest.main()
