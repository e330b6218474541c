//! A panic in the thread of a connection ends this connection, with its 31, and nothing else.

use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chatd::transport::{Batch, CloseReason, Connection, PortKind, Socket};
use chatd::wire::{NameKey, ServerMessage};
use serde_json::{Value, json};

use crate::faulty_log::{self, BREAKERS};
use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, left, said};

/// A client that is let in. A place is given back a moment after the others heard of a leave.
fn connect_when_there_is_room(server: &TestServer, way: Way) -> Client {
    let start = Instant::now();
    loop {
        let mut client = server.connect_as(way);
        client.send(&json!({"Command": "77"}));
        if !client.expect_notice().contains("full") {
            return client;
        }
        assert!(start.elapsed() < PATIENCE, "a place was not given back");
        thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn expect_all(clients: &mut [Client], expected: &Value) {
    for client in clients {
        client.expect(expected.clone());
    }
}

#[test]
fn a_panic_costs_one_connection_and_nobody_else_anything() {
    faulty_log::start();
    let server = TestServer::calm_with(|config| config.max_connections = 3);
    let mut others = vec![server.guest("Anna")];
    others.push(server.guest_as(Way::Tls, "Bobby"));
    others[0].expect(came("Bobby", true));
    let mut panics = faulty_log::panics();
    for way in Way::ALL {
        for (breaker, _) in BREAKERS {
            let name = format!("{breaker}{way:?}");
            let registers = breaker == "BreaksRegistering";
            let shown = if registers { "Carla" } else { &name };
            let mut client = connect_when_there_is_room(&server, way);
            client.send(&json!({"Command": "01", "Name": shown}));
            expect_all(&mut others, &came(shown, true));
            if registers {
                client.send(&json!({"Command": "02", "Name": name, "Password": "pass"}));
            } else if breaker == "BreaksLeaving" {
                client.send(&json!({"Command": "03"}));
            }
            expect_all(&mut others, &left(shown));
            let heard = client.receive_all();
            assert_eq!(heard.len(), 1, "{name}: {heard:?}");
            assert_eq!(
                [&heard[0]["Command"], &heard[0]["Flag"]],
                [&json!("11"), &json!(1)]
            );
            panics += 1;
            assert_eq!(faulty_log::panics(), panics, "{name}");

            others[0].say("still here");
            expect_all(&mut others, &said("Anna", "still here"));
            others[0].write_to(shown, "and you?");
            others[0].expect_refusal("14");
            others[0].write_to("Bobby", "and you?");
            others[0].expect(delivered("Bobby"));
            others[1].expect_command("13");

            // Neither the place nor the name is lost. Letter case makes no other name, but spares it the panic.
            let mut client = connect_when_there_is_room(&server, way);
            if registers {
                client.send(&json!({"Command": "02", "Name": name, "Password": "pass"}));
                let why = client.expect_refusal("12");
                assert!(why.contains("registered already"), "{why}");
            }
            let again = shown.to_lowercase();
            client.log_in(&again);
            expect_all(&mut others, &came(&again, true));
            client.log_out();
            expect_all(&mut others, &left(&again));
        }
    }
    server.stop();
    for client in &mut others {
        client.expect_notice();
        client.expect_end();
    }
}

#[test]
fn a_panic_while_the_outbox_is_locked_ends_the_connection_it_belongs_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, address) = listener.accept().unwrap();
    let (retry_queue, _retried) = crossbeam_channel::unbounded();
    let connection = Arc::new(Connection::new(
        1,
        Socket::new(socket).unwrap(),
        address,
        PortKind::Plain,
        None,
        1 << 20,
        retry_queue,
    ));
    let mut client = Client::over(peer, Way::Plain);
    let line = ServerMessage::notice("whole").to_line();
    connection.push(&Batch::from(line.clone()), 0, None);
    assert_eq!(client.expect_notice(), "whole");

    // There is nothing from this offset on, which nobody in the server ever asks for.
    let beyond = line.len() + 1;
    // The receipt is owed to this same connection, whose lock it must not ask for while it is held.
    let receipt = connection.open_receipt(&NameKey::new("Anna"), "Anna");
    let (pushing, batch) = (Arc::clone(&connection), Batch::from(line.clone()));
    let push = move || pushing.push(&batch, beyond, Some(receipt));
    let (done, has_panicked) = crossbeam_channel::bounded(1);
    thread::spawn(move || done.send(catch_unwind(AssertUnwindSafe(push)).is_err()));
    assert_eq!(has_panicked.recv_timeout(PATIENCE), Ok(true));
    let reason = || connection.close_cause().map(|cause| cause.reason);
    assert_eq!(reason(), Some(CloseReason::InternalError));
    client.expect_end();
    // The lock is free, and those who send to it go on.
    connection.push(&Batch::from(line), 0, None);
    connection.close(CloseReason::ServerStopping);
    assert_eq!(reason(), Some(CloseReason::InternalError));
}
