//! The chat page: one file with everything in it.

use std::sync::OnceLock;

use openssl::base64::encode_block;
use openssl::sha::sha256;

/// The page as it is sent.
const PAGE: &str = include_str!("page.html");

/// The answer to a request for the page, from a client that calls this server `host`.
pub(super) fn response(host: &str, is_head: bool) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: {}; connect-src 'self' ws://{host}\r\nConnection: close\r\n\r\n",
        PAGE.len(),
        policy(),
    );
    if !is_head {
        response += PAGE;
    }
    response.into_bytes()
}

/// What the page may do: run its own script and nothing else, load nothing, be shown inside no other page
/// (Content Security Policy Level 3).
fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = |element: &str| {
            let content = content_of(PAGE, element).unwrap_or_default();
            format!("'sha256-{}'", encode_block(&sha256(content.as_bytes())))
        };
        format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            hash("script"),
            hash("style")
        )
    })
}

/// What stands between the tags of the page's one element of this name.
fn content_of<'p>(page: &'p str, element: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("<{element}>"))?;
    let (content, _) = rest.split_once(&format!("</{element}>"))?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_knows_all_of_the_page_that_needs_it() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert!(content_of(PAGE, element).is_some(), "{element}");
        }
    }
}
