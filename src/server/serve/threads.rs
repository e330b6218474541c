//! The threads of a connection: one that serves it, and before that, over TLS, one for the handshake.

use std::io;
use std::thread;

use super::super::permits::Permit;
use super::super::rejection::Rejection;
use super::super::shared::Shared;
use super::Handler;
use crate::sync::{Arc, Mutex};
use crate::transport::Connection;
use crate::wire::FrameReader;

/// The stack of a thread that serves a connection, in bytes. Memory is only used as far as it is touched.
const STACK_SIZE: usize = 256 << 10;

/// The stack of a thread for a TLS handshake, in bytes, of which it uses some 16 KiB. The C library keeps the
/// stacks of threads that have ended, with what they touched, for new ones that need no larger stack. This one is too
/// small for a thread that serves, or each idle client might keep the depth of another one's handshake.
const HANDSHAKE_STACK_SIZE: usize = 192 << 10;

/// Starts the first thread of a connection, which [`run`]s it.
pub(in crate::server) fn start(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    rejection: Option<Rejection>,
    permit: Option<Permit>,
) -> io::Result<()> {
    let stack_size = match connection.is_tls() {
        true => HANDSHAKE_STACK_SIZE,
        false => STACK_SIZE,
    };
    let (own_shared, own_connection) = (Arc::clone(shared), Arc::clone(connection));
    start_thread(connection, stack_size, move || {
        run(own_shared, own_connection, rejection, permit);
    })
}

fn start_thread(
    connection: &Connection,
    stack_size: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new()
        .name(format!("conn-{}", connection.number()))
        .stack_size(stack_size)
        .spawn(work)
        .map(drop)
}

/// Serves one connection to its end, or rejects it. The permit is returned at the end.
pub(in crate::server) fn run(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    rejection: Option<Rejection>,
    permit: Option<Permit>,
) {
    if let Some(client) = begin(shared, connection, rejection, permit) {
        client.serve();
    }
}

/// Brings a connection to where the protocol starts. `None` if it has come to its end already, or another thread serves it.
// Not inlined, for the stacks of idle connections.
#[inline(never)]
fn begin(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    rejection: Option<Rejection>,
    permit: Option<Permit>,
) -> Option<Box<Client>> {
    let framing = connection.kind().framing();
    let frames = framing.map_or_else(FrameReader::detecting, FrameReader::new);
    let mut client = Box::new(Client {
        handler: Handler::new(shared, connection),
        frames,
        _permit: permit,
    });
    let begun = match rejection {
        None => client.handler.begin(&mut client.frames),
        Some(rejection) => Err(client.handler.reject(&mut client.frames, rejection)),
    };
    match begun {
        Ok(()) if client.handler.connection.is_tls() => client.move_to_a_new_thread(),
        Ok(()) => Some(client),
        Err(cause) => {
            client.handler.leave(cause);
            None
        }
    }
}

/// A connection that is served. The parts are dropped in this order.
struct Client {
    handler: Handler,
    frames: FrameReader,
    _permit: Option<Permit>,
}

impl Client {
    /// Serves to the end.
    fn serve(mut self: Box<Self>) {
        let Err(cause) = self.handler.serve(&mut self.frames);
        self.handler.leave(cause);
    }

    /// Has the client served on a thread that takes the place of this one, and returns it if there is none to be had. A
    /// handshake leaves much behind that belongs to its thread: a deep stack, OpenSSL's random generators, and what the
    /// allocator keeps at hand. That is a third of what an idle client would cost, and ends with the thread.
    fn move_to_a_new_thread(self: Box<Self>) -> Option<Box<Self>> {
        let connection = Arc::clone(&self.handler.connection);
        let slot = Arc::new(Mutex::new(Some(self)));
        let other_slot = Arc::clone(&slot);
        let started = start_thread(&connection, STACK_SIZE, move || {
            let client = other_slot.lock().take();
            drop(other_slot);
            if let Some(client) = client {
                client.serve();
            }
        });
        match started {
            Ok(()) => None,
            Err(_) => slot.lock().take(),
        }
    }
}
