//! The head of a request.

use super::Status;

/// The largest head, in bytes.
pub(crate) const LARGEST_HEAD: usize = 8 << 10;

/// No browser sends so many header fields.
const MOST_FIELDS: usize = 100;

/// What the server wants to know of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request<'h> {
    pub(super) method: &'h str,
    /// Without its query.
    pub(super) path: &'h str,
    pub(super) host: Option<&'h str>,
    pub(super) origin: Option<&'h str>,
    /// Whether it asks to go on by WebSocket.
    pub(super) upgrades: bool,
    pub(super) version: Option<&'h str>,
    pub(super) key: Option<&'h str>,
}

impl Request<'_> {
    /// Reads a whole head. The error is the status of the answer.
    pub(crate) fn parse(head: &[u8]) -> Result<Request<'_>, Status> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Status::BadRequest),
        }
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return Err(Status::BadRequest);
        };
        let mut request = Request {
            method,
            path: target.split_once('?').map_or(target, |(path, _)| path),
            ..Request::default()
        };
        let (mut has_upgrade, mut has_connection) = (false, false);
        for field in parsed.headers {
            let Ok(value) = std::str::from_utf8(field.value) else {
                return Err(Status::BadRequest);
            };
            let value = value.trim();
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            let lists = |word: &str| {
                let mut words = value.split(',');
                words.any(|one| one.trim().eq_ignore_ascii_case(word))
            };
            // Which of two would count is not to be guessed.
            let mut once = |place: fn(&mut Request<'_>) -> bool| match place(&mut request) {
                true => Err(Status::BadRequest),
                false => Ok(()),
            };
            if is("Host") {
                once(|request| request.host.is_some())?;
                request.host = Some(value);
            } else if is("Origin") {
                once(|request| request.origin.is_some())?;
                request.origin = Some(value);
            } else if is("Sec-WebSocket-Key") {
                once(|request| request.key.is_some())?;
                request.key = Some(value);
            } else if is("Sec-WebSocket-Version") {
                request.version = Some(value);
            } else if is("Upgrade") {
                has_upgrade |= lists("websocket");
            } else if is("Connection") {
                has_connection |= lists("upgrade");
            }
        }
        // WebSocket needs HTTP/1.1 (section 4.2.1), and so does a request without a host.
        let is_current = parsed.version == Some(1);
        request.upgrades = is_current && has_upgrade && has_connection;
        match request.host {
            None => Err(Status::BadRequest),
            Some(_) => Ok(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_whatever_the_case_and_order_of_its_fields() {
        let head = b"GET /chat?x=1 HTTP/1.1\r\nhost: 192.0.2.1:4080\r\nUPGRADE: h2c, WebSocket\r\nConnection: keep-alive, upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nsec-websocket-key: abc\r\nOrigin: http://192.0.2.1:4080\r\n\r\n";
        let expected = Request {
            method: "GET",
            path: "/chat",
            host: Some("192.0.2.1:4080"),
            origin: Some("http://192.0.2.1:4080"),
            upgrades: true,
            version: Some("13"),
            key: Some("abc"),
        };
        assert_eq!(Request::parse(head), Ok(expected));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let bad = Err(Status::BadRequest);
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nOrigin: c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \u{e9}\u{0}\r\n\r\n",
            "GET /\r\n\r\n",
            "{\"Command\":\"01\"}\r\n\r\n",
        ] {
            assert_eq!(Request::parse(head.as_bytes()), bad, "{head}");
        }
        let many = "a: b\r\n".repeat(MOST_FIELDS + 1);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
        assert_eq!(Request::parse(head.as_bytes()), Err(Status::HeadTooLarge));
    }
}
