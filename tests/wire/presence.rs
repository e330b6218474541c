//! Who is online: 11, 30 and 31.

use serde_json::json;

use crate::harness::{TestServer, Way, came, left};

#[test]
fn everybody_sees_who_comes_and_who_goes() {
    let server = TestServer::start();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        assert_eq!(anna.log_in("Anna"), [("Anna".to_owned(), true)]);
        let mut bobby = server.connect_as(way);
        assert_eq!(
            bobby.log_in("Bobby"),
            [("Anna".to_owned(), true), ("Bobby".to_owned(), true)]
        );
        anna.expect(came("Bobby", true));
        bobby.send(&json!({"Command": "03"}));
        bobby.expect_end();
        anna.expect(left("Bobby"));
        anna.send(&json!({"Command": "03"}));
        anna.expect_end();
    }
}
