//! Brings a connection to where the protocol starts: the TLS handshake, a browser's request, or a refusal.

use std::io;
use std::time::Duration;

use super::super::rejection::Rejection;
use super::super::web::{self, Answer};
use super::Handler;
use crate::sync::Instant;
use crate::transport::{CloseCause, CloseReason, Origin, PortKind};
use crate::wire::FrameReader;

/// How long a client that is rejected may take to show how it frames, before it is told why.
const REJECTION_PATIENCE: Duration = Duration::from_secs(1);

impl Handler {
    /// Brings the connection to where the protocol starts.
    pub(super) fn begin(&mut self, frames: &mut FrameReader) -> Result<(), CloseCause> {
        let config = &self.shared.config;
        let (login_timeout, handshake_timeout) = (config.login_timeout, config.handshake_timeout);
        self.login_deadline = Instant::now() + login_timeout;
        if let Origin::Address(_) = self.connection.origin() {
            // To connect counts as a command, or an address could have as many handshakes as it likes.
            self.pause(self.budget.take_connection())?;
        }
        let deadline = Instant::now() + handshake_timeout;
        self.handshake(deadline)?;
        self.open_web_socket(frames, deadline, None)?;
        self.login_deadline = Instant::now() + login_timeout;
        Ok(())
    }

    /// Brings a TLS connection to where the protocol starts.
    fn handshake(&mut self, deadline: Instant) -> Result<(), CloseCause> {
        let done = self.reader.set_deadline(Some(deadline));
        done.and_then(|()| self.reader.handshake())
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => CloseCause::new(
                    CloseReason::OtherProtocol,
                    "this does not look like TLS, but came to the TLS port",
                ),
                _ => CloseCause::new(CloseReason::HandshakeFailed, error.to_string()),
            })
    }

    /// Brings a browser's connection to where the protocol starts: WebSocket. Who only wants the page gets that, and the
    /// connection ends. A `refusal` stands in for the page.
    // Not inlined, for the stacks of idle connections.
    #[inline(never)]
    fn open_web_socket(
        &mut self,
        frames: &mut FrameReader,
        deadline: Instant,
        refusal: Option<&str>,
    ) -> Result<(), CloseCause> {
        if self.connection.kind() != PortKind::Web {
            return Ok(());
        }
        self.reader
            .set_deadline(Some(deadline))
            .map_err(|error| CloseCause::from(&error))?;
        let answer = loop {
            // A request line begins with its method (RFC 9112, section 3).
            if let [first, ..] = frames.untaken()
                && !first.is_ascii_uppercase()
            {
                return Err(CloseCause::new(
                    CloseReason::OtherProtocol,
                    "this is no HTTP, but came to the port for browsers",
                ));
            }
            if let Some(head) = frames.take_head(web::LARGEST_HEAD) {
                self.connection.show_received(&head);
                break web::answer(&head, &self.shared.web_rules, refusal);
            }
            if frames.untaken().len() > web::LARGEST_HEAD {
                break web::refuse(web::Status::HeadTooLarge, false, web::head_too_large());
            }
            match self.reader.receive(frames.space()) {
                Ok(Some(0)) => return Err(CloseReason::ClosedByClient.into()),
                Ok(count) => frames.filled(count.unwrap_or(0)),
                Err(_) if Instant::now() >= deadline => {
                    return Err(CloseCause::new(
                        CloseReason::OtherProtocol,
                        "no whole HTTP request came in time",
                    ));
                }
                Err(error) => return Err((&error).into()),
            }
        };
        match answer {
            Answer::WebSocket(response) => {
                self.connection.open_web_socket(response);
                self.has_framing = true;
                Ok(())
            }
            Answer::Final(response, words) => {
                self.connection.answer_http(response);
                Err(CloseCause::new(CloseReason::HttpAnswered, words))
            }
        }
    }

    /// Tells a client why it is not served, in its own framing if it shows that soon. Returns why the connection ends.
    pub(super) fn reject(&mut self, frames: &mut FrameReader, rejection: Rejection) -> CloseCause {
        let asked = self.ask_for_framing(frames, &rejection);
        asked.err().unwrap_or_else(|| rejection.cause())
    }

    /// Learns what a client that is rejected speaks, as far as it shows that soon.
    fn ask_for_framing(
        &mut self,
        frames: &mut FrameReader,
        rejection: &Rejection,
    ) -> Result<(), CloseCause> {
        let deadline = Instant::now() + REJECTION_PATIENCE;
        self.handshake(deadline)?;
        self.open_web_socket(frames, deadline, Some(&rejection.to_string()))?;
        let received = self.reader.set_deadline(Some(deadline));
        if self.connection.kind() != PortKind::Web
            && let Ok(Some(count)) = received.and_then(|()| self.reader.receive(frames.space()))
        {
            frames.filled(count);
            self.adopt_framing(frames)?;
        }
        Ok(())
    }
}
