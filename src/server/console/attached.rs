//! `chatd console`: the console of a server that runs elsewhere, as a service.

use std::io::{self, BufReader, IsTerminal};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::attach_error::AttachError;
use super::editor::{Editor, is_editable};
use super::frames::{FromTeacher, ToTeacher, receive, send};
use super::lines::{Lines, Typed};
use super::socket::path_in;
use crate::printable::Printable;
use crate::sync::Arc;
use crate::terminal;

/// How long Tab waits for the names of who is online.
const NAMES_WITHIN: Duration = Duration::from_secs(1);

/// How long the editor keeps the terminal while an answer is awaited. Then Ctrl-C ends this program.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Attaches standard input and output to the console of the server with this data folder, until either ends.
///
/// Returns on the server's goodbye; a thread may still wait for input then, so the process should end.
pub fn attach(data_dir: &Path) -> Result<(), AttachError> {
    let path = path_in(data_dir);
    let stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AttachError::NoServer(data_dir.to_owned())
        }
        io::ErrorKind::PermissionDenied => AttachError::NotAllowed(data_dir.to_owned()),
        _ => AttachError::Socket(path, error),
    })?;
    let stream = Arc::new(stream);
    let is_terminal = io::stdin().is_terminal();
    send(&*stream, &FromTeacher::Hello { is_terminal }).map_err(AttachError::Lost)?;
    let (ready, is_ready) = bounded(1);
    let (names, named) = bounded(1);
    let typing = Arc::clone(&stream);
    thread::Builder::new()
        .name("console".to_owned())
        .spawn(move || type_lines(&typing, is_terminal, &is_ready, named))
        .map_err(AttachError::Lost)?;
    show(&stream, &ready, &names).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => AttachError::Ended,
        _ => AttachError::Lost(error),
    })
}

/// Shows what the server says, until its goodbye.
fn show(stream: &UnixStream, ready: &Sender<()>, names: &Sender<Vec<String>>) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    loop {
        match receive(&mut input)? {
            Some(ToTeacher::Ready) => {
                let _ = ready.send(());
            }
            Some(ToTeacher::Say(text)) => terminal::print(&(text + "\n"), io::stdout()),
            Some(ToTeacher::Show(text)) => terminal::print(&text, io::stdout()),
            Some(ToTeacher::Names(list)) => {
                let _ = names.try_send(list);
            }
            Some(ToTeacher::Goodbye) => return Ok(()),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Sends what is typed, a line whenever the server is ready for one.
fn type_lines(
    stream: &Arc<UnixStream>,
    is_terminal: bool,
    is_ready: &Receiver<()>,
    named: Receiver<Vec<String>>,
) {
    let asking = Arc::clone(stream);
    let names = move || {
        // One that came too late for an earlier question.
        let _ = named.try_recv();
        let asked = send(&*asking, &FromTeacher::Names);
        let answered = asked
            .ok()
            .and_then(|()| named.recv_timeout(NAMES_WITHIN).ok());
        answered.unwrap_or_default()
    };
    let editor = is_editable().then(|| Editor::new(names));
    let mut keyboard: Box<dyn FnMut() -> io::Result<Typed>> = match editor {
        Some(Ok(mut editor)) => Box::new(move || editor.next()),
        Some(Err(_)) | None => {
            let mut lines = Lines::new(io::stdin().lock(), is_terminal);
            Box::new(move || lines.next())
        }
    };
    loop {
        if is_ready.recv_timeout(ANSWER_WITHIN).is_err() {
            terminal::rest();
            if is_ready.recv().is_err() {
                return;
            }
        }
        let sent = loop {
            match keyboard() {
                Ok(Typed::Line(line)) => break send(&**stream, &FromTeacher::Line(line)),
                Ok(Typed::Interrupt) => break send(&**stream, &FromTeacher::Interrupt),
                Ok(Typed::Unusable(why)) => terminal::print(&format!("{why}\n"), io::stdout()),
                Ok(Typed::Cleared) => {}
                Ok(Typed::EndKey | Typed::End) => break stream.shutdown(Shutdown::Write),
                Err(error) => {
                    let why = AttachError::Input(error).to_string();
                    terminal::print(&format!("{}\n", Printable(&why)), io::stderr());
                    break stream.shutdown(Shutdown::Write);
                }
            }
        };
        // Then the thread that reads finds out, too.
        if sent.is_err() {
            return;
        }
    }
}
