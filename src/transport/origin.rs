//! Whom a connection is counted for.

use std::net::IpAddr;

/// Whom a connection is counted for: its limits hold for all connections of one origin together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The machine, or the network behind one router, that has this address.
    Address(IpAddr),
    /// The connection of this number alone: it comes from the server's own machine, where limits by address do not hold.
    Own(u64),
}

impl Origin {
    /// The origin of a connection from `address` that has the number `connection`. An IPv4 address in IPv6 form counts as
    /// what it is.
    pub fn new(address: IpAddr, connection: u64) -> Origin {
        match address.to_canonical() {
            own if own.is_loopback() => Origin::Own(connection),
            other => Origin::Address(other),
        }
    }
}
