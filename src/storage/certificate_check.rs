//! What is wrong with a certificate, its chain and its key: what clients, or OpenSSL itself, will refuse.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKeyRef, Private};
use openssl::x509::{X509, X509Ref};

use crate::texts::start_errors as texts;

/// The smallest RSA keys, in bits, that OpenSSL (at its security level 2) and web browsers accept.
const SMALLEST_RSA: u32 = 2048;

/// The curves that clients offer for a signature by default (RFC 8446, section 4.2.3). Ed25519 and Ed448 are key types
/// of their own.
const CURVES: [Nid; 3] = [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1];

/// A certificate that expires before this time has passed is warned of.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Checks the certificates of a file, in its order, at the time `now`. `renewal` says how the server's own is renewed.
///
/// Returns warnings, a sentence each, about what works with some clients. The error is a sentence about what works with
/// none.
pub(super) fn check(
    path: &Path,
    certificates: &[X509],
    key: &PKeyRef<Private>,
    now: Timestamp,
    renewal: &str,
) -> Result<Vec<String>, String> {
    check_keys(path, certificates, key)?;
    let mut warnings = Vec::new();
    for (number, certificate) in (1..).zip(certificates) {
        let (which, renewal) = match number {
            1 => (format!("the certificate in {}", path.display()), renewal),
            _ => (
                format!("certificate number {number} in {}", path.display()),
                "ask the authority for its present one",
            ),
        };
        let unreadable = |error| format!("the dates of {which} can't be read: {error}");
        let start = timestamp(certificate.not_before()).map_err(unreadable)?;
        let end = timestamp(certificate.not_after()).map_err(unreadable)?;
        warnings.extend(about_dates(start, end, now, &which, renewal));
    }
    let unsigned = (1..)
        .zip(certificates.windows(2))
        .find(|(_, pair)| !matches!(pair, [certificate, next] if is_signed_by(certificate, next)));
    if let Some((number, _)) = unsigned {
        warnings.push(format!(
            "certificate number {number} in {} is not signed by the one that follows it; many clients refuse such a \
             chain: put the server's own first, and each before the one that signed it",
            path.display()
        ));
    }
    Ok(warnings)
}

/// Whether the key belongs to the certificate.
pub(super) fn has_key(certificate: &X509, key: &PKeyRef<Private>) -> bool {
    let public_key = certificate.public_key();
    public_key.is_ok_and(|public_key| public_key.public_eq(key))
}

/// Checks what no client would accept. The error is a sentence.
fn check_keys(path: &Path, certificates: &[X509], key: &PKeyRef<Private>) -> Result<(), String> {
    let path = path.display();
    let own = (certificates.iter()).position(|certificate| has_key(certificate, key));
    if let Some(before @ 1..) = own {
        return Err(texts::not_the_first(path, before + 1));
    }
    for (number, certificate) in (1..).zip(certificates) {
        // A key of a kind that this OpenSSL does not know can't be judged.
        let bits = certificate.public_key().ok().and_then(|key| rsa_bits(&key));
        if let Some(bits @ ..SMALLEST_RSA) = bits {
            return Err(texts::short_rsa_key(path, number, bits, SMALLEST_RSA));
        }
    }
    match key.id() {
        Id::DSA => Err(texts::dsa_key(path)),
        Id::EC => {
            let group = key.ec_key().ok();
            let curve = group.and_then(|key| key.group().curve_name());
            if curve.is_some_and(|curve| CURVES.contains(&curve)) {
                return Ok(());
            }
            let name = curve.and_then(|curve| curve.short_name().ok());
            let name = name.unwrap_or(texts::curve_without_name());
            Err(texts::odd_curve(path, name))
        }
        _ => Ok(()),
    }
}

fn rsa_bits(key: &PKeyRef<impl HasPublic>) -> Option<u32> {
    matches!(key.id(), Id::RSA | Id::RSA_PSS).then(|| key.bits())
}

/// What a client that checks dates will find wrong, now or soon.
fn about_dates(
    start: Timestamp,
    end: Timestamp,
    now: Timestamp,
    which: &str,
    renewal: &str,
) -> Option<String> {
    let day = |time: Timestamp| time.strftime("%F").to_string();
    if end < now {
        Some(format!(
            "{which} expired on {}; clients that check dates refuse it: {renewal}",
            day(end)
        ))
    } else if now < start {
        Some(format!(
            "{which} is not valid before {}; clients that check dates refuse it: wait until then, or set the clock of \
             this machine, if that is wrong",
            day(start)
        ))
    } else if end.duration_since(now) < NOTICE {
        Some(format!(
            "{which} expires on {}; then clients that check dates will refuse it: {renewal}",
            day(end)
        ))
    } else {
        None
    }
}

/// Whether the signature of a certificate was made with the key of another.
fn is_signed_by(certificate: &X509Ref, signer: &X509Ref) -> bool {
    let key = signer.public_key();
    let is_signed = key.is_ok_and(|key| certificate.verify(&key).unwrap_or(false));
    // OpenSSL leaves an error behind for each signature that is wrong. The next who asks for errors must not find it.
    drop(ErrorStack::get());
    is_signed
}

/// The times that certificates know reach some hours further than those that jiff knows.
fn timestamp(time: &Asn1TimeRef) -> Result<Timestamp, ErrorStack> {
    let since_1970 = asn1_time(Timestamp::UNIX_EPOCH)?.diff(time)?;
    let seconds = i64::from(since_1970.days) * 24 * 60 * 60 + i64::from(since_1970.secs);
    let furthest = if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Ok(Timestamp::from_second(seconds).unwrap_or(furthest))
}

/// A time as it stands in certificates (RFC 5280, section 4.1.2.5).
pub(super) fn asn1_time(time: Timestamp) -> Result<Asn1Time, ErrorStack> {
    Asn1Time::from_str_x509(&time.strftime("%Y%m%d%H%M%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    use openssl::x509::X509NameBuilder;

    use super::*;

    const NOW: &str = "2027-02-01T12:00:00Z";

    fn key_on(curve: Nid) -> PKey<Private> {
        PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(curve).unwrap()).unwrap())
            .unwrap()
    }

    fn rsa_key(bits: u32) -> PKey<Private> {
        PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
    }

    /// A certificate for `key` that `signer` has signed, valid from one day to another.
    fn issue(key: &PKey<Private>, signer: &PKey<Private>, days: [&str; 2]) -> X509 {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_nid(Nid::COMMONNAME, "school").unwrap();
        let name = name.build();
        let [start, end] = days.map(|day| {
            Asn1Time::from_str_x509(&format!("{}000000Z", day.replace('-', ""))).unwrap()
        });
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_not_before(&start).unwrap();
        builder.set_not_after(&end).unwrap();
        builder.set_pubkey(key).unwrap();
        let digest = match key.id() {
            Id::ED25519 => MessageDigest::null(),
            _ => MessageDigest::sha256(),
        };
        builder.sign(signer, digest).unwrap();
        builder.build()
    }

    fn examine(certificates: &[X509], key: &PKey<Private>) -> Result<Vec<String>, String> {
        let now = NOW.parse().unwrap();
        let outcome = check(Path::new("c.pem"), certificates, key, now, "renew it");
        assert!(
            ErrorStack::get().errors().is_empty(),
            "nothing is left behind"
        );
        outcome
    }

    const LONG: [&str; 2] = ["2026-01-01", "2036-01-01"];

    #[test]
    fn keys_that_clients_refuse_are_refused() {
        for (key, refused) in [
            (rsa_key(1024), Some("1024 bits")),
            (rsa_key(2048), None),
            (key_on(Nid::X9_62_PRIME256V1), None),
            (key_on(Nid::SECP384R1), None),
            (key_on(Nid::SECP521R1), None),
            (PKey::generate_ed25519().unwrap(), None),
            (key_on(Nid::SECP256K1), Some("secp256k1")),
            (key_on(Nid::SECP224R1), Some("secp224r1")),
            (key_on(Nid::BRAINPOOL_P256R1), Some("brainpoolP256r1")),
        ] {
            let outcome = examine(&[issue(&key, &key, LONG)], &key);
            match refused {
                None => assert_eq!(outcome, Ok(Vec::new())),
                Some(word) => assert!(outcome.as_ref().unwrap_err().contains(word), "{outcome:?}"),
            }
        }
        let (own, weak) = (key_on(Nid::X9_62_PRIME256V1), rsa_key(1024));
        let chain = [issue(&own, &weak, LONG), issue(&weak, &weak, LONG)];
        let why = examine(&chain, &own).unwrap_err();
        assert!(why.contains("number 2") && why.contains("1024"), "{why}");
    }

    #[test]
    fn dates_that_clients_will_find_wrong_are_warned_of() {
        let key = key_on(Nid::X9_62_PRIME256V1);
        for (days, warning) in [
            (LONG, None),
            (["1970-01-01", "9999-12-31"], None),
            (["2026-01-01", "2027-01-31"], Some("expired on 2027-01-31")),
            (["2026-01-01", "2027-02-02"], Some("expires on 2027-02-02")),
            (["2026-01-01", "2027-02-15"], Some("expires on 2027-02-15")),
            (["2026-01-01", "2027-02-16"], None),
            (
                ["2027-02-02", "2036-01-01"],
                Some("not valid before 2027-02-02"),
            ),
            (
                ["2050-06-01", "2060-01-01"],
                Some("not valid before 2050-06-01"),
            ),
        ] {
            let warnings = examine(&[issue(&key, &key, days)], &key).unwrap();
            assert_eq!(
                warnings.len(),
                usize::from(warning.is_some()),
                "{warnings:?}"
            );
            if let Some(words) = warning {
                assert!(warnings[0].contains(words), "{warnings:?}");
                assert!(warnings[0].contains("renew it") != words.starts_with("not"));
            }
        }
    }

    #[test]
    fn a_chain_in_the_wrong_order_or_with_an_expired_link_is_told_of() {
        let [own, middle, root] = [(); 3].map(|()| key_on(Nid::X9_62_PRIME256V1));
        let of_own = issue(&own, &middle, LONG);
        let of_middle = issue(&middle, &root, LONG);
        let of_root = issue(&root, &root, LONG);
        let expired = issue(&middle, &root, ["2026-01-01", "2027-01-31"]);
        for (chain, warning) in [
            (vec![&of_own], None),
            (vec![&of_own, &of_middle], None),
            (vec![&of_own, &of_middle, &of_root], None),
            (
                vec![&of_own, &of_root, &of_middle],
                Some("number 1 in c.pem is not signed"),
            ),
            (
                vec![&of_own, &of_middle, &of_middle],
                Some("number 2 in c.pem is not signed"),
            ),
            (
                vec![&of_own, &expired, &of_root],
                Some("number 2 in c.pem expired on 2027-01-31"),
            ),
        ] {
            let chain: Vec<X509> = chain.into_iter().cloned().collect();
            let warnings = examine(&chain, &own).unwrap();
            assert_eq!(
                warnings.len(),
                usize::from(warning.is_some()),
                "{warnings:?}"
            );
            assert!(
                warning.is_none_or(|words| warnings[0].contains(words)),
                "{warnings:?}"
            );
        }
        let why = examine(&[of_root, of_middle, of_own], &own).unwrap_err();
        assert!(why.contains("is number 3 in c.pem"), "{why}");
    }
}
