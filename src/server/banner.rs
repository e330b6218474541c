//! What a teacher reads when the server has started.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::handle::Handle;

/// Where to connect, how to try it, where the data is and how to stop.
///
/// `own` are this machine's addresses: they stand in for those that mean all of them.
pub fn text(handle: &Handle, data_dir: &Path, own: &[IpAddr]) -> Result<String, fmt::Error> {
    let plain = reachable(handle.plain_addresses(), own);
    let tls = reachable(handle.tls_addresses(), own);
    let mut out = String::new();
    writeln!(
        out,
        "chatd {} is running. Students connect to:\n",
        env!("CARGO_PKG_VERSION")
    )?;
    for (kind, addresses) in [("plain", &plain), ("TLS", &tls)] {
        for address in addresses {
            let note = if address.ip().is_loopback() {
                "   (this machine only)"
            } else {
                ""
            };
            writeln!(
                out,
                "  {kind:5}  {}  port {}{note}",
                address.ip(),
                address.port()
            )?;
        }
    }
    if let Some(fingerprint) = handle.fingerprint() {
        writeln!(
            out,
            "\nThe certificate's SHA-256 fingerprint, for clients to compare:\n  {fingerprint}"
        )?;
    }
    if let Some(address) = plain.first() {
        let (ip, port) = (address.ip(), address.port());
        // An IPv6 address stands in brackets there.
        let url = SocketAddr::new(ip, port);
        writeln!(
            out,
            "\nTo try it by hand, on Linux and macOS:\n  nc {ip} {port}"
        )?;
        writeln!(out, "on Windows, in PowerShell:\n  curl.exe telnet://{url}")?;
        let (python, other) = match cfg!(windows) {
            true => ("py", "elsewhere the command is python3, not py"),
            false => ("python3", "on Windows the command is py, not python3"),
        };
        writeln!(out, "or with Python ({other}):")?;
        writeln!(
            out,
            "  {python} -c \"import socket,sys,threading;s=socket.create_connection(('{ip}',{port}));\
             threading.Thread(target=lambda:[print(l,end='') for l in s.makefile(encoding='utf-8')],daemon=True).start();\
             [s.sendall(l.encode()) for l in sys.stdin]\""
        )?;
        writeln!(
            out,
            "then type a line such as:\n  {{\"Command\":\"01\",\"Name\":\"Alice\"}}"
        )?;
    }
    writeln!(
        out,
        "\nNames, bans and the certificate are kept in {}",
        data_dir.display()
    )?;
    writeln!(out, "Stop with Ctrl-C.\n")?;
    Ok(out)
}

/// The addresses to connect to: all of the machine's own where a listener takes connections on any. Those that
/// others can reach come first, as in `own`; loopback only shows where there is nothing else.
fn reachable(listening: &[SocketAddr], own: &[IpAddr]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for address in listening {
        if !address.ip().is_unspecified() {
            addresses.push(*address);
            continue;
        }
        let usable = own.iter().filter(|ip| address.is_ipv6() || ip.is_ipv4());
        addresses.extend(usable.map(|ip| SocketAddr::new(*ip, address.port())));
    }
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        addresses.retain(|address| !address.ip().is_loopback());
    }
    addresses
}
