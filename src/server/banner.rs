//! What a teacher reads when the server has started.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::handle::Handle;
use crate::texts::banner as texts;

/// Where to connect, how to try it, where the data is and how to stop.
///
/// `own` are this machine's addresses: they stand in for those that mean all of them.
pub fn text(handle: &Handle, data_dir: &Path, own: &[IpAddr]) -> Result<String, fmt::Error> {
    let plain = reachable(handle.plain_addresses(), own);
    let tls = reachable(handle.tls_addresses(), own);
    let mut out = String::new();
    writeln!(out, "{}\n", texts::running(env!("CARGO_PKG_VERSION")))?;
    for (kind, addresses) in [(texts::plain(), &plain), ("TLS", &tls)] {
        for address in addresses {
            let kind = format!("{kind:5}");
            let where_to = texts::address(&kind, address.ip(), address.port());
            write!(out, "  {where_to}")?;
            if address.ip().is_loopback() {
                write!(out, "   {}", texts::only_this_machine())?;
            }
            writeln!(out)?;
        }
    }
    if let Some(fingerprint) = handle.fingerprint() {
        writeln!(out, "\n{}\n  {fingerprint}", texts::fingerprint())?;
    }
    if let Some(address) = plain.first() {
        let (ip, port) = (address.ip(), address.port());
        // An IPv6 address stands in brackets there.
        let url = SocketAddr::new(ip, port);
        writeln!(out, "\n{}\n  nc {ip} {port}", texts::by_hand())?;
        writeln!(
            out,
            "{}\n  curl.exe telnet://{url}",
            texts::by_hand_on_windows()
        )?;
        let (python, other) = match cfg!(windows) {
            true => ("py", texts::python_elsewhere()),
            false => ("python3", texts::python_on_windows()),
        };
        writeln!(out, "{}", texts::by_python(other))?;
        writeln!(
            out,
            "  {python} -c \"import socket,sys,threading;s=socket.create_connection(('{ip}',{port}));\
             threading.Thread(target=lambda:[print(l,end='') for l in s.makefile(encoding='utf-8')],daemon=True).start();\
             [s.sendall(l.encode()) for l in sys.stdin]\""
        )?;
        writeln!(
            out,
            "{}\n  {{\"Command\":\"01\",\"Name\":\"Alice\"}}",
            texts::then_type()
        )?;
    }
    writeln!(out, "\n{}", texts::data_folder(data_dir.display()))?;
    writeln!(out, "{}\n", texts::how_to_stop())?;
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
