//! The certificate of the TLS port: made on the first start, or given by the teacher.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslContext;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use super::durable_file;
use crate::transport::tls;

/// How long a new certificate is valid, in days: ten years. Clients pin its fingerprint, so it must outlive the course,
/// and need not change with the addresses of the machine.
const VALID_DAYS: u32 = 3653;

/// Why there is no TLS.
#[derive(Debug)]
pub enum CertificateError {
    /// A file can't be read.
    Read(PathBuf, io::Error),
    /// A file can't be written.
    Write(PathBuf, io::Error),
    /// A file does not hold what it should; the text says what that is.
    Content(PathBuf, &'static str),
    /// The key belongs to another certificate.
    Mismatch(PathBuf, PathBuf),
    /// There is a certificate, but its key is gone.
    KeyGone(PathBuf, PathBuf),
    /// OpenSSL refuses.
    Tls(ErrorStack),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::Read(path, error) => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            CertificateError::Write(path, error) => {
                write!(f, "cannot write {}: {error}", path.display())
            }
            CertificateError::Content(path, what) => {
                write!(f, "{} does not hold {what} in PEM form", path.display())
            }
            CertificateError::Mismatch(certificate, key) => write!(
                f,
                "the key in {} does not belong to the certificate in {}; give the two files of one pair",
                key.display(),
                certificate.display()
            ),
            CertificateError::KeyGone(certificate, key) => write!(
                f,
                "{} is there, but its key {} is not; bring the key back, or delete the certificate to have a new pair made",
                certificate.display(),
                key.display()
            ),
            CertificateError::Tls(error) => write!(f, "cannot set up TLS: {error}"),
        }
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

/// Loads a certificate, with the rest of its chain behind it if there is one, and its key.
pub fn load(certificate_path: &Path, key_path: &Path) -> Result<Identity, CertificateError> {
    let content = |path: &Path, what| CertificateError::Content(path.to_owned(), what);
    let certificates = X509::stack_from_pem(&read(certificate_path)?)
        .map_err(|_| content(certificate_path, "a certificate"))?;
    let own = certificates
        .first()
        .ok_or_else(|| content(certificate_path, "a certificate"))?;
    // Nobody is asked for a passphrase: there may be no terminal.
    let key = PKey::private_key_from_pem_callback(&read(key_path)?, |_| Ok(0))
        .map_err(|_| content(key_path, "a private key without a passphrase"))?;
    if !own.public_key()?.public_eq(&key) {
        return Err(CertificateError::Mismatch(
            certificate_path.to_owned(),
            key_path.to_owned(),
        ));
    }
    let digest = own.digest(MessageDigest::sha256())?;
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(Identity {
        context: tls::context(&certificates, &key)?,
        fingerprint: pairs.join(":"),
    })
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
            let key = PKey::private_key_from_pem(&read(key_path)?).map_err(|_| {
                CertificateError::Content(key_path.to_owned(), "a private key without a passphrase")
            })?;
            write(certificate_path, &make(&key, host, addresses)?.to_pem()?)?;
        }
        (true, true) => {}
    }
    load(certificate_path, key_path)
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|error| CertificateError::Read(path.to_owned(), error))
}

fn write(path: &Path, contents: &[u8]) -> Result<(), CertificateError> {
    durable_file::replace(path, contents)
        .map_err(|error| CertificateError::Write(path.to_owned(), error))
}

/// Makes a self-signed certificate.
fn make(key: &PKey<Private>, host: &str, addresses: &[IpAddr]) -> Result<X509, ErrorStack> {
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

    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(VALID_DAYS)?)?;
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
