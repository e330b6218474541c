//! What a teacher reads when the server has started.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::addresses::{OwnAddress, Reach, own_address};
use super::handle::Handle;
use crate::texts::{banner as texts, width};

/// The least width of a terminal that shows a QR code.
const CODE_COLUMNS: u16 = 60;

/// The least height.
const CODE_LINES: u16 = 24;

/// The first words of a server: what [`info`] tells, and how to stop.
pub fn text(
    handle: &Handle,
    own: &[OwnAddress],
    has_room_for_code: bool,
) -> Result<String, fmt::Error> {
    let mut out = info(handle, own, has_room_for_code)?;
    writeln!(out, "{}\n", texts::how_to_stop())?;
    Ok(out)
}

/// Where to connect, how to try it, where the data is, and how many bans hold.
///
/// `own` are this machine's addresses: they stand in for those that mean all of them. `has_room_for_code` lets the page's
/// address be shown as a QR code, too.
pub fn info(
    handle: &Handle,
    own: &[OwnAddress],
    has_room_for_code: bool,
) -> Result<String, fmt::Error> {
    let web = reachable(handle.web_addresses(), own);
    let plain = reachable(handle.plain_addresses(), own);
    let tls = reachable(handle.tls_addresses(), own);
    let mut out = String::new();
    writeln!(out, "{}\n", texts::running(env!("CARGO_PKG_VERSION")))?;
    if let Some((address, _)) = web.first() {
        writeln!(out, "  {}\n", texts::in_a_browser(*address))?;
    }
    write_table(&mut out, &plain, &tls)?;
    if let Some(fingerprint) = handle.fingerprint() {
        writeln!(out, "\n{}\n  {fingerprint}", texts::fingerprint())?;
    }
    if let Some((address, _)) = plain.first() {
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
            "  {python} -c \"import socket,sys,threading;sys.stdin.reconfigure(errors='replace');\
             sys.stdout.reconfigure(errors='backslashreplace');s=socket.create_connection(('{ip}',{port}));\
             threading.Thread(target=lambda:[print(l,end='') for l in s.makefile(encoding='utf-8')],daemon=True).start();\
             [s.sendall(l.encode()) for l in sys.stdin]\""
        )?;
        writeln!(
            out,
            "{}\n  {{\"Command\":\"01\",\"Name\":\"Alice\"}}",
            texts::then_type()
        )?;
    }
    writeln!(out, "\n{}", texts::data_folder(handle.data_dir().display()))?;
    match handle.moderator().bans().map_or(0, |bans| bans.len()) {
        0 => {}
        1 => writeln!(out, "{}", texts::one_ban())?,
        count => writeln!(out, "{}", texts::some_bans(count))?,
    }
    // At the end, since a small terminal has no room for the rest beside it. To a telephone a link to this machine alone is
    // of no use.
    if let Some((address, own)) = web.first()
        && has_room_for_code
        && own.reach == Reach::Network
    {
        write_code(&mut out, &format!("http://{address}"))?;
    }
    Ok(out)
}

/// Whether standard output is a terminal with so many columns and lines that a QR code takes little of it.
pub fn has_room_for_code() -> bool {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.is_some_and(|(width, height)| width.0 >= CODE_COLUMNS && height.0 >= CODE_LINES)
}

/// A QR code for telephones.
fn write_code(out: &mut String, url: &str) -> fmt::Result {
    let Ok(code) = QrCode::with_error_correction_level(url, EcLevel::L) else {
        return Ok(());
    };
    // Most terminals are dark: there blanks are the code's dark parts, and blocks its light ones.
    let picture = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    writeln!(out, "\n{}", texts::for_telephones(url))?;
    for line in picture.lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// What to say when this machine has other addresses than before.
pub fn addresses_changed(own: &[OwnAddress]) -> String {
    let reachable = own.iter().filter(|one| one.reach == Reach::Network);
    let ips: Vec<String> = reachable.map(|one| one.ip.to_string()).collect();
    match ips.as_slice() {
        [] => texts::no_address().to_owned(),
        ips => texts::addresses_changed(&ips.join(", ")),
    }
}

/// A row for each address: how, where, by which interface, and who can't reach it.
fn write_table(out: &mut String, plain: &[Reachable], tls: &[Reachable]) -> fmt::Result {
    let kinds = [(texts::plain(), plain), ("TLS", tls)];
    let all = || kinds.iter().flat_map(|(_, addresses)| *addresses);
    let kind_width = kinds.iter().map(|(kind, _)| width(kind)).max();
    let ip_width = all()
        .map(|(address, _)| address.ip().to_string().len())
        .max();
    let interface_width = all().map(|(_, own)| width(&own.interface)).max();
    let best = all().next().filter(|(_, own)| own.reach == Reach::Network);
    for (kind, addresses) in kinds {
        for reachable in addresses {
            let (address, own) = reachable;
            let port = texts::port(address.port());
            let note = match own.reach {
                Reach::Network if Some(reachable) == best => texts::for_the_board(),
                Reach::Network => "",
                Reach::SelfAssigned => texts::self_assigned(),
                Reach::Virtual => texts::virtual_interface(),
                Reach::Loopback => texts::only_this_machine(),
            };
            let row = format!(
                "  {}  {}  {port}  {}  {note}",
                padded(kind, kind_width),
                padded(&address.ip().to_string(), ip_width),
                padded(&own.interface, interface_width),
            );
            writeln!(out, "{}", row.trim_end())?;
        }
    }
    Ok(())
}

/// Where to connect, and this machine's address that it is.
type Reachable = (SocketAddr, OwnAddress);

/// The addresses to connect to: all of the machine's own where a listener takes connections on any. Those that
/// others can reach come first, as in `own`; loopback only shows where there is nothing else.
fn reachable(listening: &[SocketAddr], own: &[OwnAddress]) -> Vec<Reachable> {
    let mut addresses = Vec::new();
    for address in listening {
        let (ip, port) = (address.ip(), address.port());
        if ip.is_unspecified() {
            let usable = own.iter().filter(|one| ip.is_ipv6() || one.ip.is_ipv4());
            addresses.extend(usable.map(|one| (SocketAddr::new(one.ip, port), one.clone())));
        } else {
            let known = own.iter().find(|one| one.ip == ip).cloned();
            let one = known.unwrap_or_else(|| own_address(ip, "", false));
            addresses.push((*address, one));
        }
    }
    addresses.sort_by_key(|(_, own)| own.reach);
    if addresses
        .iter()
        .any(|(_, own)| own.reach != Reach::Loopback)
    {
        addresses.retain(|(_, own)| own.reach != Reach::Loopback);
    }
    addresses
}

fn padded(text: &str, columns: Option<usize>) -> String {
    let missing = columns.unwrap_or(0).saturating_sub(width(text));
    text.to_owned() + &" ".repeat(missing)
}
