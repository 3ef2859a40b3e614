//! What the node stands beside: TLS and yamux put together from the same parts, with nothing else.

use std::{future::poll_fn, sync::Arc};

use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::{identity::Keypair, tls};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme, SupportedCipherSuite,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode, Stream};

use super::Loose;

/// Which cipher the two ends agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    Aes,
    ChaCha,
}

impl Cipher {
    fn suite(self) -> SupportedCipherSuite {
        match self {
            Self::Aes => aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
            Self::ChaCha => aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        }
    }
}

type Plain = TlsStream<Compat<TcpStream>>;

/// Two ends of one TLS connection over loopback.
pub(crate) async fn tls(cipher: Cipher) -> Result<(Compat<Plain>, Compat<Plain>), Loose> {
    let (near, far) = shaken(cipher).await?;
    Ok((near.compat(), far.compat()))
}

/// The end of a connection to that address.
pub(crate) async fn dialled(cipher: Cipher, address: &str) -> Result<Compat<Plain>, Loose> {
    Ok(dial(cipher, TcpStream::connect(address).await?).await?.compat())
}

/// The end of the next connection that comes.
pub(crate) async fn accepted(cipher: Cipher, listener: &TcpListener) -> Result<Compat<Plain>, Loose> {
    Ok(accept(cipher, listener.accept().await?.0).await?.compat())
}

/// Two ends of one yamux stream over it, and the tasks that drive the two connections.
pub(crate) async fn yamux(
    cipher: Cipher,
    frame: usize,
) -> Result<(Compat<Stream>, Compat<Stream>, JoinSet<()>), Loose> {
    let (near, far) = shaken(cipher).await?;
    let mut config = Config::default();
    config.set_split_send_size(frame);
    let mut near = Connection::new(near, config.clone(), Mode::Client);
    let mut far = Connection::new(far, config, Mode::Server);
    let mut stream = poll_fn(|cx| near.poll_new_outbound(cx)).await?;
    let mut drivers = JoinSet::new();
    drivers.spawn(async move { while let Some(Ok(_)) = poll_fn(|cx| near.poll_next_inbound(cx)).await {} });
    // A stream exists for the other side with its first byte.
    futures::AsyncWriteExt::write_all(&mut stream, &[1]).await?;
    let mut accepted = poll_fn(|cx| far.poll_next_inbound(cx)).await.ok_or("no stream")??;
    drivers.spawn(async move { while let Some(Ok(_)) = poll_fn(|cx| far.poll_next_inbound(cx)).await {} });
    futures::AsyncReadExt::read_exact(&mut accepted, &mut [0]).await?;
    Ok((stream.compat(), accepted.compat(), drivers))
}

async fn shaken(cipher: Cipher) -> Result<(Plain, Plain), Loose> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let dialled = TcpStream::connect(listener.local_addr()?).await?;
    let (taken, _) = listener.accept().await?;
    let (near, far) = tokio::join!(dial(cipher, dialled), accept(cipher, taken));
    Ok((near?, far?))
}

/// The end that dialled, once the handshake is done.
async fn dial(cipher: Cipher, stream: TcpStream) -> Result<Plain, Loose> {
    let config = ClientConfig::builder_with_provider(provider(cipher)).with_protocol_versions(&[&TLS13])?;
    let mut config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.dangerous().set_certificate_verifier(Arc::new(Anyone));
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream.compat()).await?.into())
}

/// The end that was dialled.
async fn accept(cipher: Cipher, stream: TcpStream) -> Result<Plain, Loose> {
    let resolver = tls::make_server_config(&Keypair::generate_ed25519())?.cert_resolver;
    let config = ServerConfig::builder_with_provider(provider(cipher)).with_protocol_versions(&[&TLS13])?;
    let config = config.with_no_client_auth().with_cert_resolver(resolver);
    stream.set_nodelay(true)?;
    Ok(TlsAcceptor::from(Arc::new(config)).accept(stream.compat()).await?.into())
}

fn provider(cipher: Cipher) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: vec![cipher.suite()], ..aws_lc_rs::default_provider() })
}

/// Nobody is to be kept out here.
#[derive(Debug)]
struct Anyone;

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
        Err(Error::General("TLS 1.3 only".to_owned()))
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
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
