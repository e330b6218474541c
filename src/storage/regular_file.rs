//! Opening files that must be regular ones. A named pipe in the place of one would hold up the server until somebody
//! writes to it, and a device would never end.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use crate::texts::start_errors as texts;

/// Opens a file with `options`, and waits for nobody. The error says so if there is something else than a regular file.
pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Asked before it is opened, because opening alone makes some devices act.
    match fs::metadata(path) {
        Ok(found) => check(found.file_type())?,
        // The options decide whether it is made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Somebody may put a pipe there just now: without this flag opening it would wait for its other end (fifo(7)). For
    // a regular file it means nothing (open(2)).
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a whole file, which must be a regular one.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    open(OpenOptions::new().read(true), path)?.read_to_end(&mut contents)?;
    Ok(contents)
}

fn check(found: FileType) -> io::Result<()> {
    match what_else(found) {
        Some(what) => Err(io::Error::other(texts::put_a_file_there(what))),
        None => Ok(()),
    }
}

/// What stands in the place of a regular file, if it is none.
pub(super) fn what_else(found: FileType) -> Option<&'static str> {
    let (is_pipe, is_socket, is_device) = special(found);
    if found.is_file() {
        return None;
    }
    Some(if is_pipe {
        texts::named_pipe()
    } else if is_socket {
        texts::socket()
    } else if is_device {
        texts::device()
    } else if found.is_dir() {
        texts::folder()
    } else if found.is_symlink() {
        texts::symbolic_link()
    } else {
        texts::no_regular_file()
    })
}

/// Whether it is a named pipe, a socket, or a device.
#[cfg(unix)]
fn special(found: FileType) -> (bool, bool, bool) {
    use std::os::unix::fs::FileTypeExt;

    let is_device = found.is_char_device() || found.is_block_device();
    (found.is_fifo(), found.is_socket(), is_device)
}

/// Elsewhere none of them is told from other files.
#[cfg(not(unix))]
fn special(_: FileType) -> (bool, bool, bool) {
    (false, false, false)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_nothing_else_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |name: &str| folder.path().join(name);
        fs::write(in_folder("file"), "text").unwrap();
        symlink(in_folder("file"), in_folder("link")).unwrap();
        symlink(in_folder("none"), in_folder("dangling")).unwrap();
        symlink("/dev/zero", in_folder("zero")).unwrap();
        let made = Command::new("mkfifo").arg(in_folder("pipe")).status();
        assert!(made.unwrap().success());
        let _socket = UnixListener::bind(in_folder("socket")).unwrap();
        for (name, expected) in [
            ("file", Ok("text")),
            ("link", Ok("text")),
            ("dangling", Err("No such file")),
            ("none", Err("No such file")),
            (".", Err("it is a folder;")),
            ("zero", Err("it is a device;")),
            ("pipe", Err("it is a named pipe;")),
            ("socket", Err("it is a socket;")),
        ] {
            for writes in [false, true] {
                let path = in_folder(name);
                let (sender, outcome) = mpsc::channel();
                // Left behind if it hangs; the test ends all the same.
                std::thread::spawn(move || {
                    let mut text = String::new();
                    let outcome = open(OpenOptions::new().read(true).write(writes), &path)
                        .and_then(|mut file| file.read_to_string(&mut text));
                    let _ = sender.send(outcome.map(|_| text).map_err(|error| error.to_string()));
                });
                let outcome = outcome.recv_timeout(Duration::from_secs(20)).unwrap();
                match (&outcome, expected) {
                    (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                    (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
                    _ => panic!("{name}: {outcome:?}"),
                }
            }
        }
    }
}
