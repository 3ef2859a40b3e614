//! Network addresses as operators write them: multiaddresses over TCP.
//!
//! Which peer answers there is not part of an address: profiles name PeerIds, and TLS proves them.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// `/ip4/…/tcp/…`, `/ip6/…/tcp/…` or `/dns/…/tcp/…`, in one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    text: String,
    port: u16,
    is_name: bool,
}

impl Address {
    /// Reads the text form; `None` when it is another or has more to it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('/')?.split('/');
        let (kind, host) = (parts.next()?, parts.next()?);
        let ("tcp", port, None) = (parts.next()?, parts.next()?, parts.next()) else { return None };
        let host = match kind {
            "ip4" => host.parse::<Ipv4Addr>().ok()?.to_string(),
            "ip6" => host.parse::<Ipv6Addr>().ok()?.to_string(),
            "dns" | "dns4" | "dns6" => is_host_name(host).then(|| host.to_owned())?,
            _ => return None,
        };
        let digits = port.bytes().all(|digit| digit.is_ascii_digit());
        let port: u16 = port.parse().ok().filter(|_| digits)?;
        Some(Self { text: format!("/{kind}/{host}/tcp/{port}"), port, is_name: kind.starts_with("dns") })
    }

    /// The text form, for the network library.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether one may listen there: an address of this machine, not a name. Port 0 lets the system choose.
    #[must_use]
    pub fn is_listenable(&self) -> bool {
        !self.is_name
    }

    /// Whether one may dial it.
    #[must_use]
    pub fn is_dialable(&self) -> bool {
        self.port != 0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 1123, and at most the 253 characters DNS allows.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Address::parse(text).map(|address| address.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn addresses_are_tcp_multiaddresses() {
        check("/ip4/192.0.2.1/tcp/4810", Some("/ip4/192.0.2.1/tcp/4810"));
        check("/ip6/2001:DB8:0::1/tcp/04810", Some("/ip6/2001:db8::1/tcp/4810"));
        check("/dns/node.justice.xa.test/tcp/4810", Some("/dns/node.justice.xa.test/tcp/4810"));
        check("/ip4/0.0.0.0/tcp/0", Some("/ip4/0.0.0.0/tcp/0"));
        for bad in [
            "",
            "192.0.2.1:4810",
            "/ip4/192.0.2.1",
            "/ip4/192.0.2.256/tcp/1",
            "/ip4/192.0.2.1/udp/4810",
            "/ip4/192.0.2.1/tcp/65536",
            "/ip4/192.0.2.1/tcp/+80",
            "/ip4/192.0.2.1/tcp/4810/",
            "/ip4/192.0.2.1/tcp/4810/p2p/12D3",
            "/dns/-x.test/tcp/1",
            "/dns/x..test/tcp/1",
            "/dns//tcp/1",
            "/unix/tmp/tcp/1",
        ] {
            check(bad, None);
        }
    }
}
