//! How many connections from one place may be nobody's at once.
//!
//! Before its handshake a connection is only an address, and after it a stranger is one as well. All of them share few
//! places, so that strangers cost little; of these one address may take a part, so that lines from one machine never
//! keep the others out. Start with [`Crowd::enter`].

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use libp2p::{Multiaddr, multiaddr::Protocol, swarm::ConnectionId};

/// Connections, each with where it comes from.
#[derive(Debug)]
pub(super) struct Crowd {
    of_one_max: usize,
    from: BTreeMap<ConnectionId, IpAddr>,
}

/// Why a connection was not let in.
#[derive(Debug, thiserror::Error)]
#[error("too many connections from this address have not yet shown who they are")]
pub(super) struct Crowded;

impl Crowd {
    /// Nobody yet, and so many of one address at most.
    pub(super) fn new(of_one_max: usize) -> Self {
        Self { of_one_max, from: BTreeMap::new() }
    }

    /// Takes a place for a connection from this address. One without a place in the network is not counted.
    pub(super) fn enter(&mut self, connection: ConnectionId, from: &Multiaddr) -> Result<(), Crowded> {
        let Some(from) = place(from) else { return Ok(()) };
        if self.from.values().filter(|other| **other == from).count() >= self.of_one_max {
            return Err(Crowded);
        }
        self.from.insert(connection, from);
        Ok(())
    }

    /// Gives the place back: the connection has a name now, or has ended.
    pub(super) fn leave(&mut self, connection: ConnectionId) {
        self.from.remove(&connection);
    }
}

/// An IPv4 address, or the half of an IPv6 address that one site is given as a whole (RFC 6177).
fn place(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(address) => Some(address.into()),
        Protocol::Ip6(address) => Some(address.to_ipv4_mapped().map_or_else(|| site(address).into(), IpAddr::V4)),
        _ => None,
    })
}

fn site(address: Ipv6Addr) -> Ipv6Addr {
    let [a, b, c, d, ..] = address.segments();
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: usize = 16;

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    fn from(text: &str) -> Multiaddr {
        text.parse().expect("address")
    }

    #[test]
    fn one_address_takes_its_part_and_no_more() {
        let mut crowd = Crowd::new(FEW);
        let (loud, other) = (from("/ip4/192.0.2.7/tcp/5"), from("/ip4/192.0.2.8/tcp/5"));
        (0..FEW).for_each(|n| crowd.enter(id(n), &loud).expect("a place"));
        assert!(crowd.enter(id(90), &loud).is_err() && crowd.enter(id(90), &from("/ip4/192.0.2.7/tcp/6")).is_err());
        crowd.enter(id(91), &other).expect("others have theirs");
        crowd.leave(id(90)); // was never in
        assert!(crowd.enter(id(92), &loud).is_err());
        crowd.leave(id(3));
        crowd.enter(id(93), &loud).expect("a place was given back");
        assert!(crowd.enter(id(94), &loud).is_err());
    }

    #[test]
    fn an_address_is_a_machine_or_a_site() {
        let check = |a: &str, b: &str, same: bool| assert_eq!(place(&from(a)) == place(&from(b)), same, "{a} {b}");
        check("/ip6/2001:db8:1:2::1/tcp/1", "/ip6/2001:db8:1:2:ffff::9/tcp/1", true);
        check("/ip6/2001:db8:1:2::1/tcp/1", "/ip6/2001:db8:1:3::1/tcp/1", false);
        check("/ip4/192.0.2.7/tcp/1", "/ip6/::ffff:192.0.2.7/tcp/1", true);
        assert_eq!(place(&from("/dns4/arvia.test/tcp/1")), None);
    }
}
