//! The certificate, its files, and TLS as the program offers it.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::{X509, X509NameBuilder, X509Ref};

use crate::harness::{PATIENCE, Way};
use crate::process::{Chatd, chatd};

/// A new key on a curve.
pub fn key_on(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// A certificate for `key` that `signer` has signed, as PEM, valid from one day to another, counted from today.
pub fn issue(key: &PKey<Private>, signer: &PKey<Private>, days: [i64; 2]) -> Vec<u8> {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, "school").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    let now = jiff::Timestamp::now();
    let [start, end] = days.map(|days| {
        let time = now + jiff::SignedDuration::from_hours(24 * days);
        Asn1Time::from_str_x509(&time.strftime("%Y%m%d%H%M%SZ").to_string()).unwrap()
    });
    builder.set_not_before(&start).unwrap();
    builder.set_not_after(&end).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    builder.build().to_pem().unwrap()
}

/// A private key as PEM.
pub fn pem_of(key: &PKey<Private>) -> Vec<u8> {
    key.private_key_to_pem_pkcs8().unwrap()
}

/// A certificate and its key, as PEM.
pub fn own_pair() -> (Vec<u8>, Vec<u8>) {
    let key = key_on(Nid::SECP384R1);
    (issue(&key, &key, [0, 30]), pem_of(&key))
}

/// Shakes hands, in one version of TLS if that is given.
fn shake_hands(address: SocketAddr, version: Option<SslVersion>) -> SslStream<TcpStream> {
    let mut context = SslContext::builder(SslMethod::tls_client()).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    context.set_min_proto_version(version).unwrap();
    context.set_max_proto_version(version).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let ssl = Ssl::new(&context.build()).unwrap();
    ssl.connect(socket).unwrap()
}

fn served(server: &Chatd) -> X509 {
    let stream = shake_hands(server.tls_address(), None);
    stream.ssl().peer_certificate().unwrap()
}

fn fingerprint(certificate: &X509Ref) -> String {
    let digest = certificate.digest(MessageDigest::sha256()).unwrap();
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[test]
fn the_certificate_made_on_the_first_start_suits_a_classroom() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let certificate = served(&server);
    assert_eq!(server.fingerprint(), fingerprint(&certificate));

    let key = certificate.public_key().unwrap();
    assert_eq!(key.id(), Id::EC);
    let curve = key.ec_key().unwrap().group().curve_name();
    assert_eq!(curve, Some(Nid::X9_62_PRIME256V1));
    assert!(certificate.verify(&key).unwrap(), "it signs itself");

    let names = certificate.subject_alt_names().unwrap();
    let hosts: Vec<&str> = names.iter().filter_map(|name| name.dnsname()).collect();
    assert!(hosts.contains(&"localhost"), "{hosts:?}");
    let host = gethostname::gethostname().into_string().unwrap();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    assert!(
        hosts.contains(&host.as_str()) || !host.bytes().all(is_host),
        "{host} is not among {hosts:?}"
    );
    let addresses: Vec<IpAddr> = names
        .iter()
        .filter_map(|name| match *name.ipaddress()? {
            [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).into()),
            ref bytes => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        })
        .collect();
    for loopback in ["127.0.0.1", "::1"] {
        let loopback: IpAddr = loopback.parse().unwrap();
        assert!(addresses.contains(&loopback), "{addresses:?}");
    }

    let now = Asn1Time::days_from_now(0).unwrap();
    let since_start = certificate.not_before().diff(&now).unwrap();
    assert_eq!(since_start.days, 1, "clients' clocks may be slow");
    let days = now.diff(certificate.not_after()).unwrap().days;
    assert!((3648..=3660).contains(&days), "valid for {days} days");
    server.stop();
}

#[test]
fn the_certificate_stays_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = Chatd::start(chatd(folder.path()));
    let told = first.fingerprint();
    first.stop();
    let second = Chatd::start(chatd(folder.path()));
    assert_eq!(second.fingerprint(), told);
    assert_eq!(fingerprint(&served(&second)), told);
    second.stop();

    let elsewhere = tempfile::tempdir().unwrap();
    let other = Chatd::start(chatd(elsewhere.path()));
    assert_ne!(other.fingerprint(), told, "each server has its own");
    other.stop();
}

#[cfg(unix)]
#[test]
fn what_the_data_folder_holds_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(crate::process::chatd_after("umask 000", folder.path()));
    server.stop();
    let data = folder.path().join("data");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("key.pem")), 0o600);
    assert_eq!(mode(&data.join("accounts.jsonl")), 0o600);
}

#[test]
fn a_pair_of_the_teachers_own_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = own_pair();
    let own = fingerprint(&X509::from_pem(&certificate).unwrap());
    let paths = ["own.pem", "own-key.pem"].map(|name| folder.path().join(name));
    fs::write(&paths[0], certificate).unwrap();
    fs::write(&paths[1], key).unwrap();
    let mut by_flags = chatd(folder.path());
    by_flags.arg("--tls-cert").arg(&paths[0]);
    by_flags.arg("--tls-key").arg(&paths[1]);
    let mut by_variables = chatd(folder.path());
    by_variables.env("CHATD_TLS_CERT", &paths[0]);
    by_variables.env("CHATD_TLS_KEY", &paths[1]);
    for command in [by_flags, by_variables] {
        let server = Chatd::start(command);
        assert_eq!(server.fingerprint(), own);
        assert_eq!(fingerprint(&served(&server)), own);
        let mut anna = server.connect_as(Way::Tls);
        anna.log_in("Anna");
        anna.log_out();
        server.stop();
    }
    assert!(!folder.path().join("data").join("key.pem").exists());
}

#[test]
fn a_certificate_that_some_clients_will_refuse_is_warned_of_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let [own, middle, root] = [(); 3].map(|()| key_on(Nid::X9_62_PRIME256V1));
    let of_own = issue(&own, &middle, [-1, 30]);
    let of_middle = issue(&middle, &root, [-1, 30]);
    let of_root = issue(&root, &root, [-1, 30]);
    let paths = ["own.pem", "own-key.pem"].map(|name| folder.path().join(name));
    fs::write(&paths[1], pem_of(&own)).unwrap();
    #[cfg(unix)]
    {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&paths[1], private).unwrap();
    }
    for (chain, words) in [
        ([&of_own[..], &of_middle, &of_root].concat(), None),
        (issue(&own, &own, [-30, -1]), Some("own.pem expired on ")),
        (
            issue(&own, &own, [2, 30]),
            Some("own.pem is not valid before "),
        ),
        (issue(&own, &own, [-1, 13]), Some("own.pem expires on ")),
        (
            [of_own.clone(), issue(&middle, &root, [-9, -1])].concat(),
            Some("certificate number 2 in "),
        ),
        (
            [&of_own[..], &of_root, &of_middle].concat(),
            Some("is not signed by the one that follows"),
        ),
    ] {
        fs::write(&paths[0], &chain).unwrap();
        let mut command = chatd(folder.path());
        command.arg("--tls-cert").arg(&paths[0]);
        command.arg("--tls-key").arg(&paths[1]);
        let server = Chatd::start(command);
        let own = fingerprint(&X509::from_pem(&chain).unwrap());
        assert_eq!(fingerprint(&served(&server)), own);
        let log = server.stop();
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" WARN ")).collect();
        assert_eq!(warnings.len(), usize::from(words.is_some()), "{log}");
        assert!(
            words.is_none_or(|words| warnings[0].contains(words)),
            "{log}"
        );
    }
}

#[test]
fn a_kept_certificate_that_has_expired_can_be_deleted_to_have_another_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Chatd::start(chatd(folder.path())).stop();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| data.join(name));
    let own = PKey::private_key_from_pem(&fs::read(&key).unwrap()).unwrap();
    fs::write(&certificate, issue(&own, &own, [-30, -1])).unwrap();
    let log = Chatd::start(chatd(folder.path())).stop();
    assert!(log.contains("delete it and start chatd again"), "{log}");
    fs::remove_file(&certificate).unwrap();
    let log = Chatd::start(chatd(folder.path())).stop();
    assert!(!log.contains(" WARN "), "{log}");
}

#[test]
fn tls_is_spoken_in_versions_1_2_and_1_3() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    for (version, name) in [
        (SslVersion::TLS1_2, "TLSv1.2"),
        (SslVersion::TLS1_3, "TLSv1.3"),
    ] {
        let mut stream = shake_hands(server.tls_address(), Some(version));
        assert_eq!(stream.ssl().version_str(), name);
        let login = br#"{"Command":"01","Name":"Anna"}{"Command":"03"}"#;
        stream.write_all(login).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with(r#"{"Command":"11","Flag":1"#), "{reply}");
    }
    server.stop();
}

#[test]
fn tls_1_1_and_older_are_refused() {
    /// What a client says that knows nothing newer than version `minor` - 1 of TLS (RFC 4346, section 7.4.1.2).
    fn hello(minor: u8) -> Vec<u8> {
        let mut body = vec![3, minor];
        body.extend([7; 32]);
        body.push(0);
        // TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA and _256_, which all these versions have, and
        // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, which TLS 1.2 has.
        body.extend([0, 6, 0xc0, 0x09, 0xc0, 0x0a, 0xc0, 0x2b]);
        body.extend([1, 0]);
        // Extensions: the curve P-256, points as every server understands them, ECDSA with SHA-256.
        body.extend([0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0]);
        body.extend([0, 13, 0, 4, 0, 2, 4, 3]);
        let mut hello = vec![22, 3, 1, 0, body.len() as u8 + 4];
        hello.extend([1, 0, 0, body.len() as u8]);
        hello.extend(body);
        hello
    }

    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    const ALERT: u8 = 21;
    const PROTOCOL_VERSION: u8 = 70;
    const HANDSHAKE: u8 = 22;
    // The same in TLS 1.2 is accepted, so it is the version that the others are refused for.
    for (minor, expected) in [(1, ALERT), (2, ALERT), (3, HANDSHAKE)] {
        let mut socket = TcpStream::connect(server.tls_address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(&hello(minor)).unwrap();
        let mut reply = [0; 7];
        socket.read_exact(&mut reply).unwrap();
        assert_eq!(reply[0], expected, "version 3.{minor}: {reply:?}");
        if expected == ALERT {
            assert_eq!(reply[6], PROTOCOL_VERSION, "{reply:?}");
            let end = socket.read(&mut reply);
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        }
    }
    server.stop();
}

#[cfg(unix)]
#[test]
fn renegotiation_is_refused() {
    use std::process::{Command, Stdio};

    use crate::process::{Process, can_run, isolate};

    if !can_run("openssl", "version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut other = server.guest("Bobby");
    let mut command = Command::new("openssl");
    isolate(&mut command)
        .args(["s_client", "-tls1_2", "-connect"])
        .arg(server.tls_address().to_string())
        .stdin(Stdio::piped());
    let mut client = Process::start(command);
    client.type_line(r#"{"Command":"01","Name":"Anna"}"#);
    client.out.line_with(r#""Flag":1"#);
    other.expect_command("30");
    // A line of one R asks s_client to renegotiate. It gives up when the server does not want to.
    client.type_line("R");
    client.wait();
    let said = client.out.all() + &client.err.all();
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");
    other.expect_command("31");
    other.log_out();
    server.stop();
}
