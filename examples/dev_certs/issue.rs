use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Clocks differ.
const BACKDATED: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A certificate authority, with a key that nobody else sees.
pub(crate) struct Ca {
    /// Its certificate.
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
    days: u16,
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new(days: u16) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = valid_for(days, "tunnel development CA");
        // It signs certificates of servers and clients, and no further CAs.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self {
            pem: params.self_signed(&key)?.pem(),
            issuer: Issuer::new(params, key),
            days,
        })
    }

    /// For a server with these names and addresses.
    pub(crate) fn server(&self, hosts: &[String]) -> Result<Issued, Error> {
        let mut params = valid_for(self.days, "tunnel development server");
        params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// For an agent with this name.
    pub(crate) fn agent(&self, name: &str) -> Result<Issued, Error> {
        let mut params = valid_for(self.days, name);
        let uri = format!("spiffe://tunnel.dev/agent/{name}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(Issued {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn valid_for(days: u16, name: &str) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + DAY * days.into()).into();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
