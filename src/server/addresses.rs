//! This machine's addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// This machine's addresses, loopback included, without those that only work on one link. The one by which it
/// reaches the rest of the network comes first, loopback last.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::warn!("cannot list this machine's addresses: {error}");
        Vec::new()
    });
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    addresses.extend([
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ]);
    addresses.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    });
    let main = main_address().ok();
    addresses.sort_by_key(|address| {
        (
            address.is_loopback(),
            Some(*address) != main,
            address.is_ipv6(),
            *address,
        )
    });
    addresses.dedup();
    addresses
}

/// The address that the system would use towards the rest of the network. Asking sends nothing: a UDP socket is
/// only told where its datagrams would go, here to an address reserved for documentation (RFC 5737).
fn main_address() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9))?;
    Ok(socket.local_addr()?.ip())
}
