"""What a stranger may write before it has a name, and an admitted key after. Each case does its worst; none may
hurt. A case returns what it keeps open, and has the other connections closed by the node."""

import ssl
import struct

from wire import (
    ACK, DATA, FIN, GO_AWAY, HEADER, PING, RST, SYN, WINDOW,
    agree, certificate, closes, context, data, exactly, frame, garbage, line, muxed, said, secured, varint,
)  # fmt: skip


def written(port, *floods):
    """Lines on which this is all that is ever said; the node closes each."""
    lines = [line(port) for _ in floods]
    for connection, flood in zip(lines, floods):
        push(connection, flood)
    for connection in lines:
        closes(connection)


def push(connection, flood):
    """Writes until all is written or the node has had enough."""
    try:
        connection.sendall(flood)
    except (OSError, ssl.SSLError):
        pass


def wrong_header(port, seed):
    written(port, said("/multistream/9.9.9"), said("GET / HTTP/1.1"), b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50)


def long_lengths(port, seed):
    written(port, b"\xff" * 64, varint(1 << 30) + b"a" * 4096, varint(1 << 14) + b"a" * (1 << 14), b"\x80" * 9)


def noise(port, seed):
    written(port, *(garbage(1 << 16) for _ in range(8)), said(HEADER) + garbage(1 << 16))


def first_proposals(port, seed):
    """TLS is proposed last, after more than a peer can mean."""
    connection = line(port)
    push(connection, said(HEADER, *["ls"] * 5000, *[f"/nobody/knows/{n}" for n in range(5000)]))
    closes(connection)


def half_open(port, seed):
    """More mute lines than one address may have, each at another point of the handshake."""
    hello = said(HEADER, "/tls/1.0.0") + bytes.fromhex("16030100c8010000c40303")
    kept = []
    for n in range(40):
        connection = line(port, "127.0.0.10")
        push(connection, hello[: n * len(hello) // 39])
        kept.append(connection)
    return kept


def broken_records(port, seed):
    shaken = said(HEADER, "/tls/1.0.0")
    written(port, shaken + garbage(4096), shaken + b"\x16\x03\x01\xff\xff" + bytes(1 << 16),
            shaken + b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", shaken + b"\x17\x03\x03\x00\x10" + bytes(16))  # fmt: skip


def refused(port, settings):
    """A handshake that ends without a link: by an alert at once, or after our side believed it done."""
    try:
        connection = secured(port, settings)
    except (OSError, EOFError):
        return
    closes(connection)


def wrong_alpn(port, seed):
    refused(port, context(*certificate(seed), alpn=("h2", "http/1.1")))


def old_tls(port, seed):
    refused(port, context(*certificate(seed), newest=ssl.TLSVersion.TLSv1_2))


def wrong_certificates(port, seed):
    other = certificate("06" * 32)
    refused(port, context())
    refused(port, context(*certificate(seed, extension=False)))
    refused(port, context(*certificate(seed, days=-1)))
    chain, private = certificate(seed)
    refused(port, context(chain + other[0], private))
    claims = (
        lambda _: b"",
        lambda _: garbage(100),
        lambda value: value[:-1] + bytes([value[-1] ^ 1]),
        lambda value: b"\x30\x84\xff\xff\xff\xff" + value,
    )
    for claim in claims:
        refused(port, context(*certificate(seed, claim)))


def no_yamux(port, seed):
    connection = secured(port, context(*certificate(seed)))
    assert agree(connection, "/mplex/6.7.0") == "na"
    push(connection, garbage(1 << 16))
    closes(connection)


def broken_frames(port, seed):
    """Frames that end the connection, whatever stood on it."""
    for wrong in (
        garbage(1 << 16),
        frame(DATA, SYN, 1, 0, version=9),
        frame(9, SYN, 1, 0),
        frame(DATA, SYN, 1, 0xFFFFFFFF) + bytes(1 << 16),
        frame(DATA, SYN, 1, 1 << 20) + bytes(1 << 20),
        frame(DATA, SYN, 2, 0),
        frame(DATA, SYN, 0, 8, bytes(8)),
        frame(WINDOW, SYN, 1, 0) + frame(WINDOW, SYN, 1, 0),
        frame(GO_AWAY, 0, 0, 0),
        b"".join(frame(WINDOW, SYN, n, 0) for n in range(1, 20001, 2)),
    ):
        connection = muxed(port, seed)
        push(connection, wrong)
        closes(connection)


def odd_frames(port, seed):
    """Frames that mean nothing, or nothing yet, may be ignored: the connection stands or falls."""
    many = (
        b"".join(data(n, b"nobody opened this") for n in range(1, 2001, 2)),
        frame(WINDOW, SYN, 1, 0xFFFFFFFF) + frame(WINDOW, 0, 1, 0xFFFFFFFF) * 1000,
        frame(PING, SYN, 0, 7) * 50000,
        frame(PING, ACK, 0, 7) * 1000,
        b"".join(frame(WINDOW, SYN, n, 0) + frame(WINDOW, RST, n, 0) for n in range(1, 40001, 2)),
        b"".join(data(n, said(HEADER), SYN) + frame(DATA, FIN, n, 0) for n in range(1, 4001, 2)),
    )
    return [flooded(port, seed, flood) for flood in many]


def flooded(port, seed, flood):
    connection = muxed(port, seed)
    connection.settimeout(3)
    push(connection, flood)
    return connection


def broken_streams(port, seed):
    """Garbage where a stream's protocol is agreed on, and floods of proposals that are never read back."""
    proposals = said(HEADER, *["ls"] * 5000), said(HEADER, *[f"/nobody/knows/{n}" for n in range(5000)])
    lengths = b"\xff" * 4096, varint(1 << 14) + b"a" * 4096
    each = garbage(4096), *lengths, said("/multistream/9.9.9"), said(HEADER), *proposals
    kept = [flooded(port, seed, data(1, flood, SYN)) for flood in each]
    kept.append(flooded(port, seed, b"".join(data(1 + 2 * n, flood, SYN) for n, flood in enumerate(each))))
    return kept


def broken_protocols(port, seed):
    """Garbage in the protocols themselves: far too much of it, and none at all."""
    kept = []
    for protocol in PROTOCOLS:
        opened = data(1, said(HEADER, protocol), SYN)
        for body in (b"", garbage(1 << 17), varint(1 << 40) + garbage(4096)):
            kept.append(flooded(port, seed, opened + data(1, body) + frame(DATA, FIN, 1, 0)))
    return kept


def ordinary(port, seed):
    """By hand and right: what the other cases get wrong is only what they mean to."""
    connection = muxed(port, seed)
    connection.sendall(data(1, said(HEADER, "/ipfs/ping/1.0.0") + bytes(32), SYN))
    got = b""
    while len(got) < len(said(HEADER, "/ipfs/ping/1.0.0")) + 32:
        _, kind, _, stream, length = struct.unpack(">BBHII", exactly(connection, 12))
        body = exactly(connection, length) if kind == DATA else b""
        got += body if stream == 1 else b""
    assert got == said(HEADER, "/ipfs/ping/1.0.0") + bytes(32)
    connection.close()


PROTOCOLS = ("/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/comity/deliver/1", "/comity/evidence/1")
CASES = {
    "nothing wrong, by hand": ordinary,
    "another multistream header": wrong_header,
    "over-long lengths": long_lengths,
    "garbage": noise,
    "thousands of proposals before TLS": first_proposals,
    "half-open handshakes": half_open,
    "broken TLS records": broken_records,
    "another ALPN": wrong_alpn,
    "TLS 1.2": old_tls,
    "no certificate, or one that proves nothing": wrong_certificates,
    "no yamux": no_yamux,
    "yamux garbage, absurd lengths and streams": broken_frames,
    "yamux frames that mean nothing, by the thousand": odd_frames,
    "multistream garbage and floods on streams": broken_streams,
    "garbage in each protocol": broken_protocols,
}
