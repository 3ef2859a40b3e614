//! Whether an address answers at all, apart from every link: its name, and its port.

use std::net::SocketAddr;

use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Duration, Instant, timeout},
};

use super::LinkEnd;

/// How long a name or a port may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found at an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// What its name stands for; the address itself if it is no name; empty if the name is not known.
    pub resolved: Vec<String>,
    /// How long the first port that answers took to connect, in milliseconds.
    pub connected_ms: Option<u64>,
    /// Why it is not reached: a `net.*` code; empty if it is.
    pub code: &'static str,
}

/// Looks up the name in a multiaddr and connects to its port, without saying anything there.
pub async fn reach(address: &str) -> Reach {
    let failed = |resolved, code| Reach { resolved, connected_ms: None, code };
    let Some((host, port)) = host_and_port(address) else { return failed(Vec::new(), "net.bad-address") };
    let found: Vec<SocketAddr> = match timeout(PATIENCE, lookup_host((host.as_str(), port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    if found.is_empty() {
        return failed(Vec::new(), "net.unknown-name");
    }
    let resolved: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    let mut code = LinkEnd::Unreachable.code();
    for address in found {
        let began = Instant::now();
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Reach { resolved, connected_ms: Some(took), code: "" };
            }
            Ok(Err(_)) => {}
            Err(_) => code = LinkEnd::DialTimeout.code(),
        }
    }
    failed(resolved, code)
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
    let address: Multiaddr = address.parse().ok()?;
    let host = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(ip.to_string()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into_owned()),
        _ => None,
    })?;
    let port = address.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None })?;
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn name_and_port_are_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let open = reach(&format!("/ip4/127.0.0.1/tcp/{port}")).await;
        assert_eq!((open.resolved, open.code), (vec!["127.0.0.1".to_owned()], ""));
        assert!(open.connected_ms.is_some());
        drop(listener);
        let closed = reach(&format!("/ip4/127.0.0.1/tcp/{port}")).await;
        assert_eq!((closed.resolved.len(), closed.code), (1, "net.unreachable"));
        let unknown = reach("/dns/no-such-name.invalid/tcp/7400").await;
        assert_eq!((unknown.resolved.len(), unknown.code), (0, "net.unknown-name"));
        assert_eq!(reach("/ip4/127.0.0.1/udp/1").await.code, "net.bad-address");
    }
}
