//! The socket in the data folder through which other programs of the same user reach the console.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::frames::{FromTeacher, ToTeacher, receive, send};
use super::lines::Typed;
use super::{Place, converse};
use crate::server::handle::Handle;
use crate::sync::{Arc, Mutex};

/// The socket's name in the data folder.
const NAME: &str = "console.sock";

/// A program that takes nothing for so long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a failure to take a connection, such as that there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where a server with this data folder has its socket.
pub(super) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// The socket of a running server. It is removed when this is dropped.
#[derive(Debug)]
pub struct ConsoleSocket {
    path: PathBuf,
}

impl ConsoleSocket {
    /// Lets consoles attach from now on, each served by a thread of its own. Only the user of this process, and root, can use the
    /// socket.
    ///
    /// The error says why there is none: some file systems have no sockets, and a path has at most some hundred bytes
    /// (unix(7)).
    pub fn open(handle: &Handle) -> io::Result<ConsoleSocket> {
        let path = path_in(handle.data_dir());
        // Nobody else can use it before its permissions are set, since nobody else can enter this folder. One that is there was
        // left by a server that was killed: the data folder has one server only.
        let folder = handle.data_dir().join(".console");
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::set_permissions(&folder, Permissions::from_mode(0o700))?,
        }
        let made = listen(&folder.join("s"), &path);
        let _ = fs::remove_dir_all(&folder);
        let listener = made?;
        let socket = ConsoleSocket { path };
        let handle = handle.clone();
        thread::Builder::new()
            .name("console-socket".to_owned())
            .spawn(move || accept(&handle, &listener))?;
        Ok(socket)
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens in one place, and moves the socket to another, in place of what is there.
fn listen(first: &Path, path: &Path) -> io::Result<UnixListener> {
    let _ = fs::remove_file(first);
    let listener = UnixListener::bind(first)?;
    fs::set_permissions(first, Permissions::from_mode(0o600))?;
    fs::rename(first, path)?;
    Ok(listener)
}

fn accept(handle: &Handle, listener: &UnixListener) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let handle = handle.clone();
        let serve = move || {
            if let Err(error) = serve(&handle, stream) {
                log::warn!("an attached console has failed: {error}");
            }
        };
        let started = thread::Builder::new()
            .name("attached".to_owned())
            .spawn(serve);
        if let Err(error) = started {
            log::warn!("cannot start a thread for a console: {error}");
        }
    }
}

/// Serves one attached console.
fn serve(handle: &Handle, stream: UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut input = BufReader::new(stream.try_clone()?);
    let Some(FromTeacher::Hello { is_terminal }) = receive(&mut input)? else {
        return Ok(());
    };
    log::info!("a console has attached");
    let output = Output(Arc::new(Mutex::new(stream)));
    let place = Place {
        is_terminal,
        is_attached: true,
        folder: fs::canonicalize(handle.data_dir())?,
    };
    let say = |text: &str| output.send(&ToTeacher::Say(text.to_owned()));
    let shown = output.clone();
    let show = move |text: &str| shown.send(&ToTeacher::Show(text.to_owned()));
    let mut is_ready = false;
    let next = || {
        loop {
            if !is_ready {
                output.send(&ToTeacher::Ready);
                is_ready = true;
            }
            let typed = match receive(&mut input)? {
                Some(FromTeacher::Names) => {
                    let users = handle.moderator().room().map(|room| room.users);
                    let users = users.unwrap_or_default().into_iter();
                    output.send(&ToTeacher::Names(users.map(|user| user.name).collect()));
                    continue;
                }
                Some(FromTeacher::Line(line)) => Typed::Line(line),
                Some(FromTeacher::Interrupt) => Typed::Interrupt,
                Some(FromTeacher::Hello { .. }) => continue,
                None => Typed::End,
            };
            is_ready = false;
            return Ok(typed);
        }
    };
    let shall_stop = converse(handle, place, say, next, show);
    output.send(&ToTeacher::Goodbye);
    // Not before: the process ends soon after.
    if shall_stop {
        handle.stop();
    }
    Ok(())
}

/// The way to an attached console, for two threads.
#[derive(Clone)]
struct Output(Arc<Mutex<UnixStream>>);

impl Output {
    /// Sends a value. If that fails, nothing follows: reading fails then, too, and ends the console.
    fn send(&self, value: &ToTeacher) {
        let mut stream = self.0.lock();
        if send(&*stream, value).and_then(|()| stream.flush()).is_err() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}
