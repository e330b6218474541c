//! HTTP/1.1 (RFC 9110, 9112) as far as a browser needs it: the chat page, and the way into WebSocket (RFC 6455, section 4.2).
//!
//! Each connection brings one request and gets one answer. What is asked of it here keeps other people's web pages out; see
//! `docs/security.md`.

mod page;
mod request;
mod rules;

use crate::texts::web as texts;

pub(crate) use self::request::LARGEST_HEAD;
use self::request::Request;
pub(crate) use self::rules::WebRules;

use openssl::sha::sha1;

/// What the server's key is made with (section 1.3).
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The connection speaks WebSocket from here on.
    WebSocket(Vec<u8>),
    /// The connection ends with this. The text is for the log.
    Final(Vec<u8>, String),
}

/// Answers a request. The error is a refusal that holds for every request now, such as that the address is banned.
pub(crate) fn answer(head: &[u8], rules: &WebRules, refusal: Option<&str>) -> Answer {
    let request = match Request::parse(head) {
        Ok(request) => request,
        Err(status) => return refuse(status, false, texts::no_request()),
    };
    let is_head = request.method == "HEAD";
    let host = match rules.check_host(request.host) {
        Ok(host) => host,
        Err(why) => return refuse(Status::Forbidden, is_head, &why),
    };
    match (request.path, request.method) {
        ("/", "GET" | "HEAD") => match refusal {
            Some(why) => refuse(Status::Unavailable, is_head, why),
            None => {
                let response = page::response(host, is_head);
                Answer::Final(response, format!("{} / 200", request.method))
            }
        },
        ("/chat", "GET") => open(&request, rules),
        ("/", _) => refuse(Status::NotAllowed, is_head, texts::method()),
        ("/chat", _) => refuse(Status::ChatNotAllowed, is_head, texts::chat_method()),
        _ => refuse(Status::NotFound, is_head, texts::not_found()),
    }
}

/// Opens WebSocket, or says why not.
fn open(request: &Request<'_>, rules: &WebRules) -> Answer {
    if let Err(why) = rules.check_origin(request.origin, request.host.unwrap_or_default()) {
        return refuse(Status::Forbidden, false, &why);
    }
    if !request.upgrades {
        return refuse(Status::UpgradeRequired, false, texts::upgrade());
    }
    if request.version != Some("13") {
        return refuse(Status::UpgradeRequired, false, texts::version());
    }
    match request.key {
        Some(key) if is_key(key) => Answer::WebSocket(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                accept_key(key)
            )
            .into_bytes(),
        ),
        _ => refuse(Status::BadRequest, false, texts::key()),
    }
}

/// Whether a client's key is 16 bytes in Base64 (section 4.2.1).
fn is_key(key: &str) -> bool {
    openssl::base64::decode_block(key)
        .is_ok_and(|bytes| bytes.len() == 16 && openssl::base64::encode_block(&bytes) == key)
}

/// What proves to the client that its key was read.
fn accept_key(key: &str) -> String {
    let joined = format!("{key}{KEY_SUFFIX}");
    openssl::base64::encode_block(&sha1(joined.as_bytes()))
}

/// What is wrong with a request (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    BadRequest,
    Forbidden,
    NotFound,
    NotAllowed,
    ChatNotAllowed,
    UpgradeRequired,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    /// The number and its words, and the headers that belong to it.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Status::BadRequest => ("400 Bad Request", ""),
            Status::Forbidden => ("403 Forbidden", ""),
            Status::NotFound => ("404 Not Found", ""),
            Status::NotAllowed => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
            Status::ChatNotAllowed => ("405 Method Not Allowed", "Allow: GET\r\n"),
            Status::UpgradeRequired => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            ),
            Status::HeadTooLarge => ("431 Request Header Fields Too Large", ""),
            Status::Unavailable => ("503 Service Unavailable", ""),
        }
    }
}

/// What a client with a larger head is told.
pub(crate) fn head_too_large() -> &'static str {
    texts::head_too_large()
}

/// An answer that says no, and why.
pub(crate) fn refuse(status: Status, is_head: bool, why: &str) -> Answer {
    let (status, headers) = status.parts();
    let body = format!("{why}\n");
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{headers}{}\r\n",
        body.len(),
        // One of the statuses names the connection's next protocol instead.
        if headers.contains("Connection") {
            ""
        } else {
            "Connection: close\r\n"
        },
    );
    if !is_head {
        response += &body;
    }
    Answer::Final(response.into_bytes(), format!("{status}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_that_of_the_standard() {
        // RFC 6455, section 1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert!(is_key(key));
        assert_eq!(accept_key(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZ===",
            "x y",
        ] {
            assert!(!is_key(key), "{key}");
        }
    }
}
