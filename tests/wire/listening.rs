//! Where the server can be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use crate::harness::{Client, TestServer, Way};

#[test]
fn both_address_families_can_be_bound_on_one_port() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _server = TestServer::with(|config| {
        config.bind = vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        config.port = free;
    });
    for ip in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ] {
        let socket = TcpStream::connect(SocketAddr::new(ip, free)).unwrap();
        let mut client = Client::over(socket, Way::Plain);
        client.log_in(if ip.is_ipv4() { "Four" } else { "Sixx" });
    }
}
