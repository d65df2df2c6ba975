//! A certificate authority of a test, and outside clients that speak TLS.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::body::Body;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tunnel_transport::tls::{Identity, Pem};

/// A certificate authority.
#[derive(Debug)]
pub struct Ca {
    /// Its own certificate, in PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, in PEM.
    pub certificate: String,
    /// The key, in PEM.
    pub key: String,
}

impl Ca {
    /// One with this name.
    ///
    /// # Panics
    ///
    /// Never with names of ASCII.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("a certificate of a CA").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its certificate, for those that believe it.
    #[must_use]
    pub fn believed(&self) -> Pem {
        Pem::bytes(&self.pem)
    }

    /// A server's certificate with these names, IP addresses among them.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue(&server(names))
    }

    /// A server's certificate that was valid until the end of the year 2000.
    #[must_use]
    pub fn expired_server(&self, names: &[&str]) -> Issued {
        let mut params = server(names);
        params.not_after = date_time_ymd(2000, 12, 31);
        self.issue(&params)
    }

    /// A client's certificate with a name of each kind: `NAME.clients.test`, `spiffe://test/NAME`, `NAME@clients.test`, and the
    /// common name `NAME`.
    #[must_use]
    pub fn client(&self, name: &str) -> Issued {
        self.issue(&client(name))
    }

    /// The same, valid until the end of the year 2000.
    #[must_use]
    pub fn expired_client(&self, name: &str) -> Issued {
        let mut params = client(name);
        params.not_after = date_time_ymd(2000, 12, 31);
        self.issue(&params)
    }

    /// The same, which expires in four seconds, or in five.
    ///
    /// # Panics
    ///
    /// If the clock stands before 1970.
    #[must_use]
    pub fn brief_client(&self, name: &str) -> Issued {
        let mut params = client(name);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let end = now.expect("it is later").as_secs() + 5;
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names of servers");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn client(name: &str) -> CertificateParams {
    let ascii = |text: String| text.try_into().expect("ASCII");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![
        SanType::DnsName(ascii(format!("{name}.clients.test"))),
        SanType::URI(ascii(format!("spiffe://test/{name}"))),
        SanType::Rfc822Name(ascii(format!("{name}@clients.test"))),
    ];
    params
}

impl Issued {
    /// For a side that shows it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new(Pem::bytes(&self.certificate), Pem::bytes(&self.key))
    }

    /// Writes `NAME.pem` and `NAME.key` into a directory, each by renaming it into its place.
    ///
    /// # Panics
    ///
    /// If the directory is not there.
    pub fn write(&self, directory: &Path, name: &str) -> Identity {
        let file = |extension: &str, text: &str| {
            let path = directory.join(format!("{name}.{extension}"));
            replace(&path, text);
            path
        };
        Identity::files(file("pem", &self.certificate), file("key", &self.key))
    }
}

/// Puts a file with this text into the place of another, at once.
///
/// # Panics
///
/// If the directory is not there.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the directory is there");
    fs::rename(&new, path).expect("a file can be renamed");
}

/// An outside client's TLS, and what it believes.
#[derive(Clone, Debug)]
pub struct TlsClient {
    ca: String,
    identity: Option<Issued>,
    alpn: Vec<&'static str>,
    version: &'static SupportedProtocolVersion,
    config: Option<Arc<ClientConfig>>,
}

impl TlsClient {
    /// One that believes this CA, and speaks TLS 1.3 and HTTP/1.1.
    #[must_use]
    pub fn new(ca: &Ca) -> Self {
        Self::believing(&ca.pem)
    }

    /// One that believes the CA in this PEM.
    #[must_use]
    pub fn believing(ca: &str) -> Self {
        Self {
            ca: ca.to_owned(),
            identity: None,
            alpn: vec!["http/1.1"],
            version: &TLS13,
            config: None,
        }
    }

    /// One that shows a certificate.
    #[must_use]
    pub fn showing(mut self, issued: &Issued) -> Self {
        self.identity = Some(issued.clone());
        self
    }

    /// One that offers these protocols.
    #[must_use]
    pub fn offering(mut self, alpn: &[&'static str]) -> Self {
        self.alpn = alpn.to_vec();
        self
    }

    /// One that knows TLS 1.2 only.
    #[must_use]
    pub fn tls12(mut self) -> Self {
        self.version = &TLS12;
        self
    }

    /// One that keeps its configuration, and so the sessions that it may resume.
    #[must_use]
    pub fn keeping_sessions(mut self) -> Self {
        self.config = Some(self.config());
        self
    }

    /// A connection whose server has proved that it has this name.
    ///
    /// # Errors
    ///
    /// What is wrong with the handshake.
    pub async fn connect(&self, addr: SocketAddr, name: &'static str) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(addr).await?;
        let name = ServerName::try_from(name).expect("a server's name");
        let config = self.config.clone().unwrap_or_else(|| self.config());
        TlsConnector::from(config).connect(name, socket).await
    }

    /// A request of `/` on a connection of its own.
    ///
    /// # Errors
    ///
    /// What is wrong with the handshake, or after it.
    pub async fn get(&self, addr: SocketAddr, name: &'static str) -> io::Result<Answer> {
        let mut client = HttpsClient::on(self.connect(addr, name).await?).await?;
        client.get(&format!("https://{name}/")).await
    }

    fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.ca.as_bytes()) {
            roots.add(certificate.expect("a certificate")).expect("a CA");
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .expect("a known version")
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Issued { certificate, key }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
                let chain = vec![certificate.expect("a certificate")];
                builder
                    .with_client_auth_cert(chain, key.expect("a key"))
                    .expect("they belong together")
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The HTTP that was spoken.
    pub version: Version,
    /// The body.
    pub text: String,
}

/// A connection of HTTP over TLS, of the version that was chosen by ALPN.
#[derive(Debug)]
pub enum HttpsClient {
    /// HTTP/1.1.
    Http1(http1::SendRequest<Body>),
    /// HTTP/2.
    Http2(http2::SendRequest<Body>),
}

impl HttpsClient {
    /// Begins to speak HTTP.
    ///
    /// # Errors
    ///
    /// That of the connection.
    pub async fn on(stream: TlsStream<TcpStream>) -> io::Result<Self> {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(connection);
            return Ok(Self::Http2(sender));
        }
        let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    ///
    /// What hyper says.
    pub async fn send(&mut self, request: Request<Body>) -> io::Result<Response<Incoming>> {
        let sent = match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        };
        sent.map_err(io::Error::other)
    }

    /// The answer to a GET.
    ///
    /// # Errors
    ///
    /// What hyper says.
    pub async fn get(&mut self, uri: &str) -> io::Result<Answer> {
        let mut request = Request::get(uri);
        if matches!(self, Self::Http1(_)) {
            let host = uri.split('/').nth(2).unwrap_or_default();
            request = request.header("host", host);
        }
        let response = self.send(request.body(Body::empty()).expect("a request")).await?;
        let (status, version) = (response.status(), response.version());
        let body = response.into_body().collect().await.map_err(io::Error::other)?;
        let text = String::from_utf8(body.to_bytes().to_vec()).map_err(io::Error::other)?;
        Ok(Answer {
            status,
            version,
            text,
        })
    }
}
