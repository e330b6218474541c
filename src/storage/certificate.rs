//! The certificate of the TLS port: made on the first start, or given by the teacher.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslContext;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use super::{certificate_check, clock, durable_file, regular_file};
use crate::texts::start_errors as texts;
use crate::transport::tls;

/// How long a new certificate is valid, ten years. Clients pin its fingerprint, so it must outlive the course, and
/// need not change with the addresses of the machine.
const VALID: SignedDuration = SignedDuration::from_hours(3653 * 24);

/// How long before now a new certificate is valid from: the clocks of some clients are slow.
const VALID_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// What the PEM forms of certificates and of private keys have in common (RFC 7468).
const CERTIFICATE_LABEL: &[u8] = b"CERTIFICATE-----";
const KEY_LABEL: &[u8] = b"PRIVATE KEY-----";

/// Why there is no TLS.
#[derive(Debug)]
pub enum CertificateError {
    /// A file can't be read.
    Read(PathBuf, io::Error),
    /// A file can't be written.
    Write(PathBuf, io::Error),
    /// A file does not hold what it should; the text says what that is.
    Content(PathBuf, &'static str),
    /// A file holds what the other should hold: what it holds, and what it should.
    Swapped(PathBuf, &'static str, &'static str),
    /// No client would accept it; the text says why, and what to do.
    Unusable(String),
    /// The key belongs to another certificate.
    Mismatch(PathBuf, PathBuf),
    /// There is a certificate, but its key is gone.
    KeyGone(PathBuf, PathBuf),
    /// OpenSSL refuses.
    Tls(ErrorStack),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            CertificateError::Read(path, error) => texts::cannot_read(path.display(), error),
            CertificateError::Write(path, error) => texts::cannot_write(path.display(), error),
            CertificateError::Content(path, what) => texts::no_pem(path.display(), what),
            CertificateError::Swapped(path, found, expected) => {
                texts::swapped(path.display(), found, expected)
            }
            CertificateError::Unusable(what) => what.clone(),
            CertificateError::Mismatch(certificate, key) => {
                texts::not_a_pair(key.display(), certificate.display())
            }
            CertificateError::KeyGone(certificate, key) => {
                texts::key_gone(certificate.display(), key.display())
            }
            CertificateError::Tls(error) => texts::tls(error),
        })
    }
}

impl std::error::Error for CertificateError {}

impl From<ErrorStack> for CertificateError {
    fn from(error: ErrorStack) -> Self {
        CertificateError::Tls(error)
    }
}

/// What the server proves itself with on the TLS port.
#[derive(Debug)]
pub struct Identity {
    /// The settings of every TLS connection, with the certificate and its key.
    pub context: SslContext,
    /// SHA-256 of the certificate, as upper-case hexadecimal digits in pairs with colons between them.
    pub fingerprint: String,
}

/// Loads a certificate, with the rest of its chain behind it if there is one, and its key. Logs what some clients won't
/// like about it.
pub fn load(certificate_path: &Path, key_path: &Path) -> Result<Identity, CertificateError> {
    load_renewable(certificate_path, key_path, "have it renewed")
}

/// Does what [`load`] does. `renewal` says how the certificate is renewed.
fn load_renewable(
    certificate_path: &Path,
    key_path: &Path,
    renewal: &str,
) -> Result<Identity, CertificateError> {
    let certificates = certificates_of(certificate_path, &read(certificate_path)?)?;
    let key = key_of(key_path, &read(key_path)?)?;
    let is_own = |certificate: &&X509| certificate_check::has_key(certificate, &key);
    let Some(own) = certificates.iter().find(is_own) else {
        return Err(CertificateError::Mismatch(
            certificate_path.to_owned(),
            key_path.to_owned(),
        ));
    };
    let now = clock::now();
    let warnings = certificate_check::check(certificate_path, &certificates, &key, now, renewal)
        .map_err(CertificateError::Unusable)?;
    for warning in warnings {
        log::warn!("{warning}");
    }
    let digest = own.digest(MessageDigest::sha256())?;
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(Identity {
        context: tls::context(&certificates, &key)?,
        fingerprint: pairs.join(":"),
    })
}

/// The certificates in a file that holds these bytes.
fn certificates_of(path: &Path, pem: &[u8]) -> Result<Vec<X509>, CertificateError> {
    let expected = texts::certificate();
    match X509::stack_from_pem(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ if holds(pem, KEY_LABEL) && !holds(pem, CERTIFICATE_LABEL) => Err(
            CertificateError::Swapped(path.to_owned(), texts::key(), expected),
        ),
        _ => Err(CertificateError::Content(path.to_owned(), expected)),
    }
}

/// The private key in a file that holds these bytes. Nobody is asked for a passphrase: there may be no terminal.
fn key_of(path: &Path, pem: &[u8]) -> Result<PKey<Private>, CertificateError> {
    PKey::private_key_from_pem_callback(pem, |_| Ok(0)).map_err(|_| {
        if holds(pem, CERTIFICATE_LABEL) && !holds(pem, KEY_LABEL) {
            CertificateError::Swapped(path.to_owned(), texts::certificate(), texts::key())
        } else {
            CertificateError::Content(path.to_owned(), texts::key_without_passphrase())
        }
    })
}

fn holds(pem: &[u8], label: &[u8]) -> bool {
    memchr::memmem::find(pem, label).is_some()
}

/// Loads the pair in these files, making what is missing of it.
pub fn load_or_make(
    certificate_path: &Path,
    key_path: &Path,
    host: &str,
    addresses: &[IpAddr],
) -> Result<Identity, CertificateError> {
    match (certificate_path.exists(), key_path.exists()) {
        (true, false) => {
            return Err(CertificateError::KeyGone(
                certificate_path.to_owned(),
                key_path.to_owned(),
            ));
        }
        (false, key_exists) => {
            if !key_exists {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
                write(key_path, &key.private_key_to_pem_pkcs8()?)?;
            }
            let key = key_of(key_path, &read(key_path)?)?;
            let certificate = make(&key, host, addresses, clock::now())?;
            write(certificate_path, &certificate.to_pem()?)?;
        }
        (true, true) => {}
    }
    load_renewable(
        certificate_path,
        key_path,
        "delete it and start chatd again to have another made, with another fingerprint",
    )
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    regular_file::read(path).map_err(|error| CertificateError::Read(path.to_owned(), error))
}

fn write(path: &Path, contents: &[u8]) -> Result<(), CertificateError> {
    durable_file::replace(path, contents)
        .map_err(|error| CertificateError::Write(path.to_owned(), error))
}

/// Makes a self-signed certificate.
fn make(
    key: &PKey<Private>,
    host: &str,
    addresses: &[IpAddr],
    now: Timestamp,
) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "chatd")?;
    let name = name.build();

    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;

    let mut names = SubjectAlternativeName::new();
    names.dns("localhost");
    if host != "localhost" && is_dns_name(host) {
        names.dns(host);
    }
    for address in addresses {
        names.ip(&address.to_string());
    }

    let start = now.checked_sub(VALID_BEFORE).unwrap_or(Timestamp::MIN);
    let end = now.checked_add(VALID).unwrap_or(Timestamp::MAX);

    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_not_before(&*certificate_check::asn1_time(start)?)?;
    builder.set_not_after(&*certificate_check::asn1_time(end)?)?;
    builder.set_pubkey(key)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let names = names.build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// Whether a host's name can stand in a certificate.
fn is_dns_name(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}
