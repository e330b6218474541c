//! Which names of this server, and whose web pages, may be used.
//!
//! A browser lets any web page connect anywhere, and tells whose page it is. A name that is not this server's, but leads to it,
//! was made by somebody else (DNS rebinding): to the browser that page and this server would be one.

use std::net::{IpAddr, Ipv6Addr};

use crate::printable::Printable;
use crate::texts::web as texts;

/// Which hosts and origins are let in.
#[derive(Clone, Debug)]
pub(crate) struct WebRules {
    /// Names of this server, in lower case.
    names: Vec<String>,
    /// Origins that are let in besides, in lower case.
    origins: Vec<String>,
}

impl WebRules {
    /// The rules for a machine of this name, with what the settings add.
    pub(crate) fn new(machine: &str, names: &[String], origins: &[String]) -> WebRules {
        let machine = machine.to_ascii_lowercase();
        let mut all = vec!["localhost".to_owned()];
        if !machine.is_empty() {
            all.push(format!("{machine}.local"));
            all.push(machine);
        }
        let lower = |name: &String| name.trim_end_matches('/').to_ascii_lowercase();
        all.extend(names.iter().map(lower));
        WebRules {
            names: all,
            origins: origins.iter().map(lower).collect(),
        }
    }

    /// Checks the host that a request is for, and returns it. The error is a sentence.
    pub(super) fn check_host<'h>(&self, host: Option<&'h str>) -> Result<&'h str, String> {
        let host = host.unwrap_or_default();
        let name = name_of(host).unwrap_or_default().to_ascii_lowercase();
        // A name may end in a dot (RFC 1034, section 3.1).
        let name = name.strip_suffix('.').unwrap_or(&name);
        match ip_of(name).is_some() || self.names.iter().any(|known| known == name) {
            true => Ok(host),
            false => Err(texts::host(&Printable(host).to_string())),
        }
    }

    /// Checks whose page it is that connects, if it is one. The error is a sentence.
    pub(super) fn check_origin(&self, origin: Option<&str>, host: &str) -> Result<(), String> {
        // Programs that are no browsers send none.
        let Some(origin) = origin else {
            return Ok(());
        };
        let lower = origin.to_ascii_lowercase();
        let address = lower
            .strip_prefix("http://")
            .or_else(|| lower.strip_prefix("https://"));
        let is_own = lower == format!("http://{}", host.to_ascii_lowercase());
        let is_loopback = address.and_then(name_of).is_some_and(|name| {
            name == "localhost" || ip_of(name).is_some_and(|ip| ip.to_canonical().is_loopback())
        });
        if is_own || is_loopback || self.origins.contains(&lower) {
            return Ok(());
        }
        let origin = Printable(origin).to_string();
        Err(match lower == "null" {
            true => texts::origin_of_file(),
            false => return Err(texts::origin(&origin)),
        }
        .to_owned())
    }
}

/// The name in front of a port, if one stands there. `None` if it is none.
fn name_of(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            (&host[..end], &host[end..])
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_fine.then_some(name)
}

/// The address that a name is, if it is one: an IPv6 address stands in brackets.
fn ip_of(name: &str) -> Option<IpAddr> {
    match name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok().filter(IpAddr::is_ipv4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> WebRules {
        let names = ["chat.school.example".to_owned()];
        let origins = ["https://Board.example/".to_owned()];
        WebRules::new("Desk7", &names, &origins)
    }

    #[test]
    fn only_names_of_this_server_are_let_in() {
        for host in [
            "192.0.2.7",
            "192.0.2.7:4080",
            "[2001:db8::7]:4080",
            "[::1]",
            "localhost:4080",
            "LOCALHOST",
            "desk7",
            "Desk7.local:4080",
            "desk7.local.",
            "chat.school.example:80",
        ] {
            assert_eq!(rules().check_host(Some(host)), Ok(host));
        }
        for host in [
            "",
            "evil.example",
            "evil.example:4080",
            "192.0.2.7.evil.example",
            "localhost.evil.example",
            "192.0.2.7:x",
            "192.0.2.7@evil.example",
            "[::1",
            "2001:db8::7",
            "[::1]evil",
            "0xc0000207",
        ] {
            assert!(rules().check_host(Some(host)).is_err(), "{host}");
        }
        assert!(rules().check_host(None).is_err());
    }

    #[test]
    fn only_pages_of_this_server_and_of_the_own_machine_may_connect() {
        let host = "192.0.2.7:4080";
        let may = |origin| rules().check_origin(origin, host).is_ok();
        for origin in [
            None,
            Some("http://192.0.2.7:4080"),
            Some("HTTP://192.0.2.7:4080"),
            Some("http://localhost:5173"),
            Some("https://localhost"),
            Some("http://127.0.0.1:8000"),
            Some("http://[::1]:8000"),
            Some("https://board.example"),
        ] {
            assert!(may(origin), "{origin:?}");
        }
        for origin in [
            "",
            "null",
            "http://evil.example",
            "http://192.0.2.7",
            "https://192.0.2.7:4080",
            "http://192.0.2.7:4080.evil.example",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://evil.example/http://localhost",
            "file://",
            "http://192.0.2.8:4080",
            "http://board.example",
        ] {
            assert!(!may(Some(origin)), "{origin}");
        }
    }
}
