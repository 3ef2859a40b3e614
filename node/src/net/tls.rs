//! TLS 1.3 between nodes: who the peer is, and how the keys were exchanged.
//!
//! Certificates, and the reading of them, are libp2p's; what is ours is what the stock upgrade hides:
//! the group the handshake agreed on, and the order of ciphers. X25519MLKEM768 is offered first; with
//! `require_hybrid` a handshake that agreed on anything else is dropped before one byte of ours is
//! sent. AES-256-GCM is offered first too, where libp2p prefers ChaCha20 at twice the cost. Secrets
//! are never logged and no session is resumed, so every connection proves its key anew.

use std::{ffi::OsStr, io, net::Ipv4Addr, sync::Arc};

use futures::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::{PeerId, identity::Keypair, tls};
use rustls::{
    ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, NoKeyLog, ServerConfig,
    SignatureScheme, SupportedCipherSuite,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, IpAddr, ServerName, UnixTime},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
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
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = SUITES.to_vec();
        Self::with(identity, provider, require_hybrid)
    }

    fn with(identity: &Keypair, provider: CryptoProvider, require_hybrid: bool) -> Result<Self, NetFault> {
        let fault = |error: &dyn std::error::Error| NetFault::NoCertificate(error.to_string());
        let certified = tls::make_client_config(identity, None).map_err(|error| fault(&error))?;
        let (provider, versions) = (Arc::new(provider), [&rustls::version::TLS13]);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| fault(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Certified))
            .with_client_cert_resolver(certified.client_auth_cert_resolver);
        client.alpn_protocols.clone_from(&certified.alpn_protocols);
        client.key_log = Arc::new(NoKeyLog {});
        client.resumption = Resumption::disabled();
        let certified = tls::make_server_config(identity).map_err(|error| fault(&error))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| fault(&error))?
            .with_client_cert_verifier(Arc::new(Certified))
            .with_cert_resolver(certified.cert_resolver);
        server.alpn_protocols = certified.alpn_protocols;
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

/// The order in which ciphers are offered and chosen: with the instructions every server has, AES
/// costs half of what ChaCha20 does (see `node/BENCHMARKS.md`).
const SUITES: [SupportedCipherSuite; 3] = [
    aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
    aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
];
/// What a peer may sign its handshake with: all curves a libp2p certificate is made on.
const SCHEMES: [SignatureScheme; 3] =
    [SignatureScheme::ECDSA_NISTP384_SHA384, SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];

/// Takes any peer that presents one valid libp2p certificate and signs with its key, as libp2p's own
/// verifier, which cannot be had without its order of ciphers. Who the peer is, is asked afterwards.
#[derive(Debug)]
struct Certified;

impl Certified {
    fn certificate(end: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !others.is_empty() {
            return Err(Error::General("exactly one certificate is expected".to_owned()));
        }
        // Parsing checks the certificate's dates, its own signature and that of the peer's key.
        tls::certificate::parse(end)?;
        Ok(())
    }

    fn signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls::certificate::parse(certificate)?.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn too_old() -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }
}

impl ServerCertVerifier for Certified {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::certificate(end, others).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for Certified {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::certificate(end, others).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    /// TLS of a peer whose library knows no hybrid group.
    pub(crate) fn classical_only(identity: &Keypair) -> Tls {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        Tls::with(identity, provider, false).expect("certified")
    }

    /// TLS as libp2p lays it, with its own verifiers and its order of ciphers.
    fn stock(identity: &Keypair) -> Tls {
        let client = tls::make_client_config(identity, None).expect("certified");
        let server = tls::make_server_config(identity).expect("certified");
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

    #[tokio::test]
    async fn stock_peers_are_understood_and_aes_is_agreed() {
        let identity = Keypair::generate_ed25519();
        let ours = || Tls::new(&identity, true).expect("certified");
        check(ours(), stock(&identity), [Ok(true), Ok(true)]).await;
        check(stock(&identity), ours(), [Ok(true), Ok(true)]).await;
        let (near, far) = tokio::io::duplex(1 << 16);
        let (tls_a, tls_b) = (ours(), ours());
        let (near, _far) = tokio::join!(tls_a.shake(near.compat(), true), tls_b.shake(far.compat(), false));
        let suite = near.expect("shaken").stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(rustls::CipherSuite::TLS13_AES_256_GCM_SHA384));
    }

    /// A resolver of certificates the libp2p specification does not allow.
    #[derive(Debug)]
    struct Presents(Arc<rustls::sign::CertifiedKey>);

    impl rustls::client::ResolvesClientCert for Presents {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
        fn has_certs(&self) -> bool {
            true
        }
    }

    impl rustls::server::ResolvesServerCert for Presents {
        fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    /// TLS that presents `chain` and signs with another key than the certificate's.
    fn presenting(identity: &Keypair, chain: impl Fn(CertificateDer<'static>) -> Vec<CertificateDer<'static>>) -> Tls {
        let honest = Tls::new(identity, false).expect("certified");
        let own = |tls: &Tls| {
            let resolver = &tls.client.client_auth_cert_resolver;
            resolver.resolve(&[], &SCHEMES).expect("a certificate")
        };
        let (mine, other) = (own(&honest), own(&Tls::new(identity, false).expect("certified")));
        let key = Arc::clone(&other.key);
        let presents = Arc::new(rustls::sign::CertifiedKey::new(chain(mine.cert[0].clone()), key));
        let (mut client, mut server) = ((*honest.client).clone(), (*honest.server).clone());
        client.client_auth_cert_resolver = Arc::new(Presents(Arc::clone(&presents)));
        server.cert_resolver = Arc::new(Presents(presents));
        Tls { client: Arc::new(client), server: Arc::new(server), require_hybrid: false }
    }

    #[tokio::test]
    async fn a_borrowed_broken_or_second_certificate_is_refused_on_both_sides() {
        let identity = Keypair::generate_ed25519();
        let honest = Tls::new(&identity, true).expect("certified");
        let broken = |mut der: Vec<u8>| {
            let middle = der.len() / 2;
            der[middle] ^= 1;
            CertificateDer::from(der)
        };
        for wrong in [
            presenting(&identity, |certificate| vec![certificate]),
            presenting(&identity, |certificate| vec![certificate.clone(), certificate]),
            presenting(&identity, |certificate| vec![broken(certificate.to_vec())]),
        ] {
            let (near, far) = tokio::io::duplex(1 << 16);
            let (_, refused) = tokio::join!(wrong.shake(near.compat(), true), honest.shake(far.compat(), false));
            assert_eq!(refused.map(|shaken| shaken.peer).err(), Some(LinkEnd::Handshake));
            let (near, far) = tokio::io::duplex(1 << 16);
            let (refused, _) = tokio::join!(honest.shake(near.compat(), true), wrong.shake(far.compat(), false));
            assert_eq!(refused.map(|shaken| shaken.peer).err(), Some(LinkEnd::Handshake));
        }
    }

    #[test]
    fn a_key_log_is_refused() {
        assert_eq!(refuse_key_log(None), Ok(()));
        for set in ["/tmp/keys", ""] {
            assert_eq!(refuse_key_log(Some(OsStr::new(set))), Err(NetFault::KeyLogSet));
        }
    }
}
