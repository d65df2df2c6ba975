//! What our side wants to know of a certificate that webpki does not tell.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use tunnel_core::auth::{SubjectAltName, TlsIdentity};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer, X509Error},
};

/// The most characters of a subject that are kept; it is only shown.
const MAX_SUBJECT: usize = 256;

/// What a certificate says of its owner.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) dns_names: Vec<String>,
    /// In seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

pub(super) fn details(certificate: &CertificateDer<'_>) -> Result<Details, X509Error> {
    let certificate = parse(certificate)?;
    let dns_names = names(&certificate)
        .into_iter()
        .filter_map(|name| match name {
            SubjectAltName::Dns(name) => Some(name.into()),
            _ => None,
        })
        .collect();
    Ok(Details {
        dns_names,
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
    })
}

/// The names and the subject of a certificate that was verified.
pub(super) fn identity(
    certificate: &CertificateDer<'_>,
) -> Result<(TlsIdentity, Option<Box<str>>), X509Error> {
    let certificate = parse(certificate)?;
    let common_name = certificate
        .subject()
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .map(|name| name.chars().take(MAX_SUBJECT).collect());
    Ok((TlsIdentity::new(names(&certificate)), common_name))
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, X509Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error)) => Err(error),
        Err(x509_parser::nom::Err::Incomplete(_)) => Err(X509Error::InvalidCertificate),
    }
}

/// The subject alternative names of the kinds that we know. An extension that cannot be read, or is there twice, has none.
fn names(certificate: &X509Certificate<'_>) -> Vec<SubjectAltName> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<SubjectAltName> {
    Some(match name {
        GeneralName::DNSName(name) => SubjectAltName::Dns((*name).into()),
        GeneralName::URI(uri) => SubjectAltName::Uri((*uri).into()),
        GeneralName::RFC822Name(address) => SubjectAltName::Email((*address).into()),
        GeneralName::IPAddress(octets) => SubjectAltName::Ip(ip(octets)?),
        _ => return None,
    })
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}
