//! This machine's addresses, and which of them students can reach.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::thread;
use std::time::Duration;

/// How often it is looked whether the addresses are still the same.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// The address itself.
    pub ip: IpAddr,
    /// What the system calls the interface that has it, such as `eth0` or `Wi-Fi`.
    pub interface: String,
    /// Who can reach it.
    pub reach: Reach,
}

/// Who can reach an address, as far as that shows. The first is the one to tell students.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Others in the same network.
    Network,
    /// Others that have no address from a router either.
    SelfAssigned,
    /// Containers and virtual machines on this machine, or the other end of a tunnel.
    Virtual,
    /// This machine only.
    Loopback,
}

/// This machine's addresses, loopback included, without those of IPv6 that only work on one link. Those that students can
/// reach come first, and of these the one by which this machine reaches the rest of the network.
pub fn own_addresses() -> Vec<OwnAddress> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::warn!("cannot list this machine's addresses: {error}");
        Vec::new()
    });
    let mut addresses: Vec<OwnAddress> = interfaces
        .into_iter()
        .map(|interface| own_address(interface.ip(), &interface.name, interface.is_p2p()))
        .collect();
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for ip in loopback {
        if addresses.iter().all(|address| address.ip != ip) {
            addresses.push(own_address(ip, "", false));
        }
    }
    addresses.retain(|address| match address.ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    });
    let main = main_address().ok();
    addresses.sort_by_key(|address| {
        let is_main = Some(address.ip) == main;
        (address.reach, !is_main, address.ip.is_ipv6(), address.ip)
    });
    addresses.dedup_by_key(|address| address.ip);
    addresses
}

/// What is known of an address by itself, and by the interface that has it.
pub(super) fn own_address(ip: IpAddr, interface: &str, is_tunnel: bool) -> OwnAddress {
    let is_self_assigned = matches!(ip, IpAddr::V4(v4) if v4.is_link_local());
    let reach = if ip.is_loopback() {
        Reach::Loopback
    } else if is_tunnel || is_virtual(interface) {
        Reach::Virtual
    } else if is_self_assigned {
        Reach::SelfAssigned
    } else {
        Reach::Network
    };
    OwnAddress {
        ip,
        interface: interface.to_owned(),
        reach,
    }
}

/// Whether an interface leads to containers, to virtual machines or into a tunnel, by what it is called. (A bridge such as
/// `br0` often holds the network's own cable.)
fn is_virtual(interface: &str) -> bool {
    const STARTS: [&str; 21] = [
        "docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "lxc", "lxdbr", "podman", "cni",
        "flannel", "cali", "kube", "tun", "tap", "utun", "wg", "zt", "ppp", "ham", "nordlynx",
    ];
    // Windows' own names are sentences.
    const PARTS: [&str; 10] = [
        "vethernet",
        "virtualbox",
        "vmware",
        "hyper-v",
        "wsl",
        "tailscale",
        "zerotier",
        "wireguard",
        "openvpn",
        "vpn",
    ];
    let interface = interface.to_lowercase();
    STARTS.iter().any(|start| interface.starts_with(start))
        || PARTS.iter().any(|part| interface.contains(part))
}

/// The address that the system would use towards the rest of the network. Asking sends nothing: a UDP socket is
/// only told where its datagrams would go, here to an address reserved for documentation (RFC 5737).
fn main_address() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Calls `tell` with the addresses whenever others can reach this machine by other ones than before, and never returns. For a
/// thread of its own: not all systems tell of such a change, so it looks from time to time.
pub fn watch(mut tell: impl FnMut(&[OwnAddress])) -> ! {
    let mut known = told_to_students(&own_addresses());
    loop {
        thread::sleep(LOOK_INTERVAL);
        let addresses = own_addresses();
        let now = told_to_students(&addresses);
        if now != known {
            tell(&addresses);
            known = now;
        }
    }
}

fn told_to_students(addresses: &[OwnAddress]) -> Vec<IpAddr> {
    let reachable = addresses
        .iter()
        .filter(|one| one.reach <= Reach::SelfAssigned);
    reachable.map(|one| one.ip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_students_cannot_reach_are_told_apart_by_their_interface() {
        for (interface, ip, is_tunnel, expected) in [
            ("eth0", "192.168.1.20", false, Reach::Network),
            ("wlp3s0", "10.0.0.5", false, Reach::Network),
            ("Wi-Fi", "192.168.1.21", false, Reach::Network),
            ("br0", "192.168.1.22", false, Reach::Network),
            ("en0", "fd00::2", false, Reach::Network),
            ("以太网", "192.168.1.23", false, Reach::Network),
            ("eth0", "169.254.7.7", false, Reach::SelfAssigned),
            ("docker0", "172.17.0.1", false, Reach::Virtual),
            ("br-1f2e3d4c", "172.18.0.1", false, Reach::Virtual),
            ("virbr0", "192.168.122.1", false, Reach::Virtual),
            ("tailscale0", "100.64.0.1", false, Reach::Virtual),
            ("wg0", "10.8.0.2", false, Reach::Virtual),
            ("eth0", "10.8.0.2", true, Reach::Virtual),
            ("vEthernet (WSL)", "172.30.0.1", false, Reach::Virtual),
            (
                "VirtualBox Host-Only Network",
                "169.254.1.1",
                false,
                Reach::Virtual,
            ),
            ("lo", "127.0.0.1", false, Reach::Loopback),
            ("lo", "::1", false, Reach::Loopback),
        ] {
            let address = own_address(ip.parse().unwrap(), interface, is_tunnel);
            assert_eq!(address.reach, expected, "{interface} {ip}");
        }
    }

    #[test]
    fn loopback_is_there_once_and_last() {
        let addresses = own_addresses();
        assert!(addresses.is_sorted_by_key(|address| address.reach));
        for ip in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ] {
            assert_eq!(addresses.iter().filter(|one| one.ip == ip).count(), 1);
        }
    }
}
