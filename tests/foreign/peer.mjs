// js-libp2p on Node.js, driven by lines of JSON on standard input, one line of JSON in answer to each.
// `listen` makes a peer of `seed` and tells its address; `call` makes one and tells how far it came.
import { createInterface } from 'node:readline'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const soon = () => ({ signal: AbortSignal.timeout(15_000) })

// A peer that `deliver`s takes the stream our node opens and holds it, as a node that has nothing to say.
async function peer ({ seed, deliver, listen }) {
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', Buffer.from(seed, 'hex')),
    addresses: { listen: listen ? ['/ip4/127.0.0.1/tcp/0'] : [] },
    transports: [tcp()],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux()],
    services: { identify: identify({ runOnConnectionOpen: false }), ping: ping() }
  })
  if (deliver) await node.handle('/comity/deliver/1', () => {})
  return node
}

async function call (order) {
  const node = await peer(order)
  const told = { pings: 0 }
  try {
    const connection = await node.dial(multiaddr(order.to), soon())
    Object.assign(told, { connected: connection.remotePeer.toString(), muxer: connection.multiplexer })
    const about = await node.services.identify.identify(connection, soon())
    told.identify = {
      agent: about.agentVersion,
      version: about.protocolVersion,
      protocols: about.protocols,
      listens: about.listenAddrs.map(String)
    }
    for (let i = 0; i < 3; i++, told.pings++) await node.services.ping.ping(connection.remotePeer, soon())
    told.unknown = await connection.newStream('/nobody/knows/1', soon()).then(() => 'opened', error => error.name)
    await node.services.ping.ping(connection.remotePeer, soon())
    told.pings++
  } catch (error) {
    told.error = `${error.name}: ${error.message}`
  } finally {
    await node.stop()
  }
  return told
}

async function listen (order) {
  const node = await peer({ ...order, listen: true })
  return { address: node.getMultiaddrs()[0].toString(), peer: node.peerId.toString() }
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  console.log(JSON.stringify(await (order.do === 'listen' ? listen(order) : call(order))))
}
process.exit(0)
