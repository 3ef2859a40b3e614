"""py-libp2p, with the certificate it makes by itself: `peer.py SEED ADDRESS` calls and tells, as one line of
JSON, how far it came. It takes the stream our node opens and holds it."""

import json
import sys

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.tls.transport import PROTOCOL_ID as TLS
from libp2p.security.tls.transport import TLSTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.utils.varint import read_length_prefixed_protobuf
from multiaddr import Multiaddr


async def hold(_stream):
    await trio.sleep_forever()


async def call(host, to, told):
    with trio.fail_after(15):
        await host.connect(to)
        told["connected"] = str(to.peer_id)
        stream, about = await host.new_stream(to.peer_id, [IDENTIFY]), Identify()
        about.ParseFromString(await read_length_prefixed_protobuf(stream, use_varint_format=True))
        told["identify"] = {
            "agent": about.agent_version,
            "version": about.protocol_version,
            "protocols": list(about.protocols),
            "listens": [str(Multiaddr(address)) for address in about.listen_addrs],
        }
        for _ in range(3):
            await PingService(host).ping(to.peer_id)
            told["pings"] += 1
        try:
            await host.new_stream(to.peer_id, ["/nobody/knows/1"])
            told["unknown"] = "opened"
        except Exception as error:
            told["unknown"] = type(error).__name__
        await PingService(host).ping(to.peer_id)
        told["pings"] += 1


def first(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def main(seed, to):
    keys = create_new_key_pair(bytes.fromhex(seed))
    host = new_host(key_pair=keys, sec_opt={TLS: TLSTransport(keys)}, muxer_opt={YAMUX: Yamux})
    host.set_stream_handler("/comity/deliver/1", hold)
    told = {"pings": 0}
    try:
        async with host.run(listen_addrs=[]):
            try:
                await call(host, info_from_p2p_addr(Multiaddr(to)), told)
            except BaseException as error:
                told["error"] = first(error)
                raise
    except BaseException as error:
        told.setdefault("error", first(error))
    print(json.dumps(told))


trio.run(main, *sys.argv[1:])
