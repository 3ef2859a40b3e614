"""The layers below a libp2p stream, by hand, so that each can be got wrong: multistream-select, TLS with a libp2p
certificate, yamux frames. Connections come from another loopback address than honest peers."""

import datetime
import os
import socket
import ssl
import struct
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

HEADER = "/multistream/1.0.0"
IDENTITY = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.1")
DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def said(*texts):
    """Multistream messages, each with its length before and a line feed behind."""
    return b"".join(varint(len(text) + 1) + text.encode() + b"\n" for text in texts)


def frame(kind, flags, stream, length, body=b"", version=0):
    return struct.pack(">BBHII", version, kind, flags, stream, length) + body


def data(stream, body, flags=0):
    return frame(DATA, flags, stream, len(body), body)


def line(port, source="127.0.0.9"):
    return socket.create_connection(("127.0.0.1", port), 15, (source, 0))


def exactly(connection, length):
    got = b""
    while len(got) < length:
        some = connection.recv(length - len(got))
        if not some:
            raise EOFError
        got += some
    return got


def heard(connection):
    """One multistream message."""
    return exactly(connection, exactly(connection, 1)[0]).decode().rstrip("\n")


def agree(connection, protocol):
    """Proposes a protocol and returns what the other side says to it."""
    connection.sendall(said(HEADER, protocol))
    assert heard(connection) == HEADER
    return heard(connection)


def closes(connection):
    """Reads until the other side has closed; fails if that takes longer than the line's patience."""
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        raise AssertionError("the connection was not closed") from None
    except OSError:
        pass
    connection.close()


def certificate(seed, claims=None, extension=True, critical=True, days=1):
    """PEM of a certificate that names the key of `seed`, and of the key it certifies."""
    own = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = own.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    signature = own.sign(b"libp2p-tls-handshake:" + public)
    named = b"\x08\x01\x12\x20" + raw
    value = b"\x04" + bytes([len(named)]) + named + b"\x04" + bytes([len(signature)]) + signature
    value = b"\x30" + bytes([len(value)]) + value if claims is None else claims(value)
    name, now = x509.Name([]), datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=9))
    made = made.not_valid_after(now + datetime.timedelta(days=days))
    if extension:
        made = made.add_extension(x509.UnrecognizedExtension(IDENTITY, value), critical)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.sign(key, hashes.SHA256()).public_bytes(pem), private


def context(chain=None, private=None, alpn=("libp2p",), newest=ssl.TLSVersion.TLSv1_3):
    """Settings of a TLS client that takes any server."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = made.maximum_version = newest
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if chain:
        with tempfile.NamedTemporaryFile() as file:
            file.write(private + chain)
            file.flush()
            made.load_cert_chain(file.name)
    return made


def secured(port, settings):
    """Connects, agrees on TLS and shakes hands."""
    connection = line(port)
    assert agree(connection, "/tls/1.0.0") == "/tls/1.0.0"
    return settings.wrap_socket(connection)


def muxed(port, seed):
    """A connection on which yamux frames are exchanged."""
    connection = secured(port, context(*certificate(seed)))
    assert agree(connection, "/yamux/1.0.0") == "/yamux/1.0.0"
    return connection


def garbage(length):
    return os.urandom(length)
