//! TLS 1.3 between nodes: who the peer is, and how the keys were exchanged.
//!
//! Certificates and their verification are libp2p's; what is ours is what the stock upgrade hides:
//! the group the handshake agreed on. X25519MLKEM768 is offered first; with `require_hybrid` a
//! handshake that agreed on anything else is dropped before one byte of ours is sent. Secrets are
//! never logged and no session is resumed, so every connection proves its key anew.

use std::{ffi::OsStr, io, net::Ipv4Addr, sync::Arc};

use futures::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::{PeerId, identity::Keypair, tls};
use rustls::{
    ClientConfig, CommonState, NamedGroup, NoKeyLog, ServerConfig,
    client::Resumption,
    pki_types::{IpAddr, ServerName},
    server::NoServerSessionStorage,
};

use super::{LinkEnd, NetFault};

/// Both roles of one node's TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
    pub(super) require_hybrid: bool,
}

/// A finished handshake.
pub(super) struct Shaken<C> {
    pub(super) stream: TlsStream<C>,
    pub(super) peer: PeerId,
    pub(super) hybrid: bool,
}

impl Tls {
    /// Certifies the transport key for both roles.
    pub(super) fn new(identity: &Keypair, require_hybrid: bool) -> Result<Self, NetFault> {
        let fault = |error: tls::certificate::GenError| NetFault::NoCertificate(error.to_string());
        let mut client = tls::make_client_config(identity, None).map_err(fault)?;
        client.key_log = Arc::new(NoKeyLog {});
        client.resumption = Resumption::disabled();
        let mut server = tls::make_server_config(identity).map_err(fault)?;
        server.key_log = Arc::new(NoKeyLog {});
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { client: Arc::new(client), server: Arc::new(server), require_hybrid })
    }

    /// Shakes hands over a fresh connection.
    pub(super) async fn shake<C>(&self, socket: C, dialing: bool) -> Result<Shaken<C>, LinkEnd>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let stream: io::Result<TlsStream<C>> = if dialing {
            // The libp2p specification forbids a server name; an unspecified address sends none.
            let nobody = ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            TlsConnector::from(Arc::clone(&self.client)).connect(nobody, socket).await.map(Into::into)
        } else {
            TlsAcceptor::from(Arc::clone(&self.server)).accept(socket).await.map(Into::into)
        };
        let stream = stream.map_err(|_| LinkEnd::Handshake)?;
        let state: &CommonState = stream.get_ref().1;
        let hybrid = state.negotiated_key_exchange_group().is_some_and(|group| group.name() == HYBRID);
        if self.require_hybrid && !hybrid {
            return Err(LinkEnd::NotHybrid);
        }
        let peer = peer(state).ok_or(LinkEnd::Handshake)?;
        Ok(Shaken { stream, peer, hybrid })
    }
}

/// The PeerId the one peer certificate proves.
fn peer(state: &CommonState) -> Option<PeerId> {
    let [certificate] = state.peer_certificates()? else { return None };
    Some(tls::certificate::parse(certificate).ok()?.peer_id())
}

/// libp2p's TLS writes session secrets wherever `SSLKEYLOGFILE` points. We overrule it, and refuse
/// to start as well: whoever set it expects secrets in a file, and must be told.
pub(super) fn refuse_key_log(variable: Option<&OsStr>) -> Result<(), NetFault> {
    variable.map_or(Ok(()), |_| Err(NetFault::KeyLogSet))
}

/// FIPS 203 ML-KEM-768 beside X25519: recorded traffic stays closed if either one holds.
const HYBRID: NamedGroup = NamedGroup::X25519MLKEM768;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rustls::{
        DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, UnixTime},
        server::danger::{ClientCertVerified, ClientCertVerifier},
    };
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    #[derive(Debug)]
    struct Anyone;

    const SCHEMES: [SignatureScheme; 2] = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.3 only".into()))
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            SCHEMES.to_vec()
        }
    }

    impl ClientCertVerifier for Anyone {
        fn root_hint_subjects(&self) -> &[DistinguishedName] {
            &[]
        }
        fn verify_client_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: UnixTime,
        ) -> Result<ClientCertVerified, Error> {
            Ok(ClientCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.3 only".into()))
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            SCHEMES.to_vec()
        }
    }

    /// TLS of a peer whose library knows no hybrid group.
    pub(crate) fn classical_only(identity: &Keypair) -> Tls {
        let mut provider: CryptoProvider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        let provider = Arc::new(provider);
        let ours = Tls::new(identity, false).expect("certified");
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_client_cert_resolver(Arc::clone(&ours.client.client_auth_cert_resolver));
        client.alpn_protocols = vec![b"libp2p".to_vec()];
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(Arc::new(Anyone))
            .with_cert_resolver(Arc::clone(&ours.server.cert_resolver));
        server.alpn_protocols = vec![b"libp2p".to_vec()];
        server.send_tls13_tickets = 0;
        Tls { client: Arc::new(client), server: Arc::new(server), require_hybrid: false }
    }

    async fn check(client: Tls, server: Tls, expected: [Result<bool, LinkEnd>; 2]) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (near, far) = tokio::join!(client.shake(near.compat(), true), server.shake(far.compat(), false));
        assert_eq!([near.map(|s| s.hybrid), far.map(|s| s.hybrid)], expected);
    }

    #[tokio::test]
    async fn hybrid_is_preferred_and_enforced_on_both_sides() {
        let identity = Keypair::generate_ed25519();
        let tls = |require_hybrid| Tls::new(&identity, require_hybrid).expect("certified");
        let old = || classical_only(&identity);
        check(tls(false), tls(false), [Ok(true), Ok(true)]).await;
        check(tls(true), tls(true), [Ok(true), Ok(true)]).await;
        check(old(), tls(false), [Ok(false), Ok(false)]).await;
        check(tls(false), old(), [Ok(false), Ok(false)]).await;
        check(old(), tls(true), [Ok(false), Err(LinkEnd::NotHybrid)]).await;
        check(tls(true), old(), [Err(LinkEnd::NotHybrid), Ok(false)]).await;
    }

    #[tokio::test]
    async fn the_certificate_names_the_peer() {
        let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let tls = |identity| Tls::new(identity, true).expect("certified");
        let (near, far) = tokio::io::duplex(1 << 16);
        let (tls_a, tls_b) = (tls(&a), tls(&b));
        let (near, far) = tokio::join!(tls_a.shake(near.compat(), true), tls_b.shake(far.compat(), false));
        assert_eq!(near.map(|s| s.peer), Ok(b.public().to_peer_id()));
        assert_eq!(far.map(|s| s.peer), Ok(a.public().to_peer_id()));
    }

    #[test]
    fn a_key_log_is_refused() {
        assert_eq!(refuse_key_log(None), Ok(()));
        for set in ["/tmp/keys", ""] {
            assert_eq!(refuse_key_log(Some(OsStr::new(set))), Err(NetFault::KeyLogSet));
        }
    }
}
