#!/usr/bin/env python3
"""What libraries that are not ours find at our network, and what our network finds at them:
`cases.py BINARY NODEJS`. One line for each case; exits non-zero if one fails."""

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

import hostile
from node import Node

HERE = Path(__file__).resolve().parent
ADMITTED, STRANGER, LISTENER, HOSTILE = (bytes([n] * 32).hex() for n in (2, 3, 4, 5))
OURS = {"/comity/deliver/1", "/comity/evidence/1", "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"}


class Js:
    """js-libp2p: one process for all calls, so that its start is paid once."""

    def __init__(self, nodejs):
        pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        self.process = subprocess.Popen([nodejs, str(HERE / "peer.mjs")], text=True, **pipes)

    def __call__(self, **order):
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def call(self, node, seed, deliver=True):
        return self(do="call", seed=seed, deliver=deliver, to=node.address)


def py(node, seed):
    """py-libp2p, in a process of its own."""
    called = subprocess.run(
        [sys.executable, str(HERE / "peer.py"), seed, node.address], text=True, capture_output=True, timeout=60
    )
    assert called.stdout, called.stderr[-2000:]
    return json.loads(called.stdout.splitlines()[-1])


def served(told, node):
    """All a peer may have of us: our name, our protocols and no address, pings before and after a refusal."""
    assert "error" not in told, told
    assert told["connected"] == node.peer, told
    about = told["identify"]
    assert (about["agent"], about["version"]) == ("comity/foreign", "/comity/1"), about
    assert OURS <= set(about["protocols"]) and about["listens"] == [], about
    assert told["unknown"] != "opened" and told["pings"] == 4, told


def refused(told):
    assert "error" in told and "identify" not in told and told["pings"] == 0, told


def up_and_down(node, mark, hybrid):
    up = node.wait(mark, event="up", party="XB")
    assert up["hybrid"] == hybrid, up
    node.wait(mark, event="down", party="XB", code="net.closed")
    assert not node.since(mark, event="misconduct") and not node.since(mark, event="stranger")


def js_admitted(strict, lenient, js):
    mark = strict.mark()
    served(js.call(strict, ADMITTED), strict)
    up_and_down(strict, mark, "true")


def py_admitted(strict, lenient, js):
    mark = lenient.mark()
    served(py(lenient, ADMITTED), lenient)
    up_and_down(lenient, mark, "false")


def py_without_hybrid(strict, lenient, js):
    mark = strict.mark()
    refused(py(strict, ADMITTED))
    strict.wait(mark, event="log", code="net.not-hybrid")
    assert not strict.since(mark, event="up") and not strict.since(mark, event="stranger")


def js_stranger(strict, lenient, js):
    mark = strict.mark()
    refused(js.call(strict, STRANGER))
    strict.wait(mark, event="stranger")
    assert not strict.since(mark, event="up")


def py_stranger(strict, lenient, js):
    mark = lenient.mark()
    refused(py(lenient, STRANGER))
    lenient.wait(mark, event="stranger")
    assert not lenient.since(mark, event="up")


def js_without_deliver(strict, lenient, js):
    mark = strict.mark()
    assert "error" in js.call(strict, ADMITTED, deliver=False)
    strict.wait(mark, event="log", party="XB", code="net.no-deliver")
    assert not strict.since(mark, event="up") and not strict.since(mark, event="misconduct")
    js_admitted(strict, lenient, js)


def js_dialled(strict, lenient, js):
    """Ours calls: in vain while js does not speak deliver, and with success once it does."""
    for deliver, told in ((False, {"event": "dial-failed", "code": "net.no-deliver"}), (True, {"event": "up"})):
        at = js(do="listen", seed=LISTENER, deliver=deliver)["address"]
        node = Node(strict.process.args[0], f"XC={LISTENER}@{at}")
        node.wait(party="XC", **told)
        assert not node.since(0, event="misconduct")
        node.stop()


def attacked(attack):
    """Whatever was written, an honest peer is served beside it."""

    def case(strict, lenient, js):
        mark = lenient.mark()
        kept = attack(lenient.port, HOSTILE) or []
        served(js.call(lenient, ADMITTED), lenient)
        assert not lenient.since(mark, event="stranger")
        for connection in kept:
            connection.close()

    return case


def bounded(strict, lenient, js):
    lenient.settle(START["descriptors"])
    grown = lenient.memory() - START["memory"]
    assert grown <= GROWTH_MAX, f"{grown} MiB more than before"


# What the attacked node holds before, and MiB it may hold more after all attacks.
START = {}
GROWTH_MAX = 64

CASES = {
    "js-libp2p, admitted, hybrid demanded: linked, identified, answered, refused what nobody offers": js_admitted,
    "js-libp2p without deliver: left as net.no-deliver, and welcome again with it": js_without_deliver,
    "js-libp2p, not in the roster: a stranger, no stream": js_stranger,
    "js-libp2p, dialled: net.no-deliver without deliver, a link with it": js_dialled,
    "py-libp2p, admitted, classical allowed: linked, identified, answered, refused likewise": py_admitted,
    "py-libp2p, admitted, hybrid demanded: left as net.not-hybrid": py_without_hybrid,
    "py-libp2p, not in the roster: a stranger, no stream": py_stranger,
    **{f"attacked, and serving others: {name}": attacked(attack) for name, attack in hostile.CASES.items()},
    "memory and descriptors are as before": bounded,
}


def main(binary, nodejs):
    roster = [f"XB={ADMITTED}", f"XD={HOSTILE}"]
    strict, lenient, js = Node(binary, *roster), Node(binary, "--classical", *roster), Js(nodejs)
    served(js.call(lenient, ADMITTED), lenient)
    lenient.wait(event="down")
    START.update(descriptors=lenient.descriptors(), memory=lenient.memory())
    failed = 0
    for name, case in CASES.items():
        began = time.monotonic()
        try:
            case(strict, lenient, js)
            verdict = "ok    "
        except Exception:
            traceback.print_exc()
            verdict, failed = "FAILED", failed + 1
        print(f"{verdict} {name} ({time.monotonic() - began:.1f} s)", flush=True)
    for node in (strict, lenient):
        node.stop()
    js.process.stdin.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
