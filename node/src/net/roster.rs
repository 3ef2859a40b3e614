//! Who may connect, and where they are looked for.
//!
//! A roster is made from the profiles in force by the caller; this room never reads a profile.
//! Admission is by PeerId alone: addresses only say where to knock, never who opens.

use std::collections::BTreeMap;

use comity_core::{crypto::Seed, ids::PartyCode, profile::node_key};
use libp2p::{
    Multiaddr, PeerId,
    identity::{Keypair, PublicKey, ed25519},
    multiaddr::Protocol,
};

use super::NetFault;

/// Parties, their PeerIds and their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    peers: BTreeMap<PeerId, PartyCode>,
    addresses: BTreeMap<PartyCode, Vec<Multiaddr>>,
}

impl Roster {
    /// Reads Parties with their transport keys (raw Ed25519, spares included) and their addresses
    /// (multiaddr text). A Party without addresses is admitted when it calls, and never dialled.
    ///
    /// # Errors
    /// When a key or an address is not valid, or one key is named by two Parties.
    pub fn new(entries: impl IntoIterator<Item = (PartyCode, Vec<[u8; 32]>, Vec<String>)>) -> Result<Self, NetFault> {
        let mut roster = Self::default();
        for (party, keys, addresses) in entries {
            for key in keys {
                let peer = peer_of(&key).ok_or_else(|| NetFault::BadKey(party.to_string()))?;
                let before = roster.peers.insert(peer, party.clone());
                if before.is_some_and(|other| other != party) {
                    return Err(NetFault::SharedKey(peer.to_string()));
                }
            }
            let addresses = addresses.iter().map(|text| dialable(text)).collect::<Result<_, _>>()?;
            roster.addresses.insert(party, addresses);
        }
        Ok(roster)
    }

    /// The Party a PeerId speaks for, if any.
    pub(super) fn party(&self, peer: &PeerId) -> Option<&PartyCode> {
        self.peers.get(peer)
    }

    /// All Parties with their addresses, except the one `own` speaks for.
    pub(super) fn others(&self, own: &PeerId) -> impl Iterator<Item = (&PartyCode, &Vec<Multiaddr>)> {
        let own = self.party(own).cloned();
        self.addresses.iter().filter(move |(party, _)| Some(*party) != own.as_ref())
    }
}

/// The PeerId text of a transport key as a profile declares it, for display and comparison.
///
/// # Errors
/// When the bytes are not an Ed25519 public key.
pub fn peer_id_of(transport: &[u8; 32]) -> Result<String, NetFault> {
    peer_of(transport).map(|peer| peer.to_string()).ok_or_else(|| NetFault::BadKey("this node".to_owned()))
}

/// The transport key behind a PeerId as people read it.
///
/// # Errors
/// When the text is not the PeerId of an Ed25519 key.
pub fn transport_key_of(peer_id: &str) -> Result<[u8; 32], NetFault> {
    let bad = || NetFault::BadKey(peer_id.to_owned());
    let peer: PeerId = peer_id.parse().map_err(|_| bad())?;
    let key = node_key(&peer.to_bytes()).map_err(|_| bad())?;
    peer_of(&key).map(|_| key).ok_or_else(bad)
}

fn peer_of(key: &[u8; 32]) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The transport identity a seed gives.
pub(super) fn identity(seed: &Seed) -> Keypair {
    let mut bytes = *seed.expose();
    // The library wipes the copy it is given.
    Keypair::ed25519_from_bytes(&mut bytes).expect("every 32 bytes are an Ed25519 seed")
}

/// Reads an address this node can dial or listen on: a host and a TCP port. A trailing `/p2p/…`
/// is dropped, because the roster, not the address, says who may answer.
pub(super) fn dialable(text: &str) -> Result<Multiaddr, NetFault> {
    let bad = || NetFault::BadAddress(text.to_owned());
    let address: Multiaddr = text.parse().map_err(|_| bad())?;
    let address = bare(&address);
    let parts: Vec<_> = address.iter().collect();
    match parts[..] {
        [
            Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_),
            Protocol::Tcp(_),
        ] => Ok(address),
        _ => Err(bad()),
    }
}

/// True if this node can dial an address.
#[must_use]
pub fn can_dial(text: &str) -> bool {
    dialable(text).is_ok()
}

/// The address without a trailing `/p2p/…`.
pub(super) fn bare(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use comity_core::{
        crypto::PublicKey as CoreKey,
        proto::{Algorithm, KeyRole},
    };

    fn key(n: u8) -> [u8; 32] {
        let key = CoreKey::of(KeyRole::Transport, Algorithm::Ed25519, &Seed::new([n; 32])).expect("key");
        key.bytes.try_into().expect("32 bytes")
    }

    fn party(code: &str) -> PartyCode {
        PartyCode::parse(code).expect("code")
    }

    #[test]
    fn seed_and_profile_key_give_one_peer_id() {
        for n in [1, 7, 255] {
            let from_seed = identity(&Seed::new([n; 32])).public().to_peer_id();
            assert_eq!(peer_id_of(&key(n)).expect("a key"), from_seed.to_string());
        }
        let identity_of_a_known_key = peer_id_of(&key(1)).expect("a key");
        assert!(identity_of_a_known_key.starts_with("12D3KooW"), "{identity_of_a_known_key}");
        assert_eq!(transport_key_of(&identity_of_a_known_key), Ok(key(1)));
        for bad in ["", "12D3KooW", &identity_of_a_known_key[1..], "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"] {
            assert!(transport_key_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_hosts_with_tcp_are_dialled() {
        for good in ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/7000", "/dns/node.arvia.test/tcp/443", "/dns4/a.test/tcp/1"]
        {
            assert_eq!(dialable(good).expect(good).to_string(), good);
        }
        let peer = peer_id_of(&key(1)).expect("a key");
        let named = dialable(&format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}")).expect("named");
        assert_eq!(named.to_string(), "/ip4/127.0.0.1/tcp/1");
        for bad in
            ["", "127.0.0.1:1", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/1/ws", "/memory/1"]
        {
            assert_eq!(dialable(bad), Err(NetFault::BadAddress(bad.to_owned())));
        }
    }

    #[test]
    fn one_key_never_speaks_for_two() {
        let of = |a: &str, b: &str| Roster::new([(party(a), vec![key(1)], vec![]), (party(b), vec![key(1)], vec![])]);
        assert_eq!(of("XA", "XB").map_err(|fault| fault.code()), Err("net.shared-key"));
        assert!(of("XA", "XA").is_ok(), "a key named twice by one Party is harmless");
        let off_the_curve = |n: &u8| peer_of(&[*n; 32]).is_none();
        let wrong = (0..=u8::MAX).find(off_the_curve).map(|n| [n; 32]).expect("half of all strings are no points");
        let bad = Roster::new([(party("XA"), vec![wrong], vec![])]).map_err(|fault| fault.code());
        assert_eq!(bad, Err("net.bad-key"));
    }

    #[test]
    fn a_node_does_not_dial_its_own_party() {
        let roster = Roster::new([
            (party("XA"), vec![key(1), key(2)], vec!["/ip4/127.0.0.1/tcp/1".into()]),
            (party("XB"), vec![key(3)], vec![]),
        ])
        .expect("roster");
        let own = identity(&Seed::new([2; 32])).public().to_peer_id();
        let others: Vec<_> = roster.others(&own).map(|(party, _)| party.as_str()).collect();
        assert_eq!(others, ["XB"]);
    }
}
