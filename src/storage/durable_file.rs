//! Replacing a whole file, so that a crash or a power cut leaves the old one or the new one, and never a mixture.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::regular_file;

/// How long a file is waited for that another program has open, on Windows.
const RENAME_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is tried meanwhile.
const RENAME_PAUSE: Duration = Duration::from_millis(20);

/// How to fsync a folder. A test gives one that fails, which no real folder does on demand.
pub(super) type SyncFolder = fn(&File) -> io::Result<()>;

/// Replaces the file at `path` by one that holds `bytes`, or creates it. Only the file's owner can read it. Returns
/// once the new file would be found after a power cut. After an error the old file is in place, as far as the disk
/// obeys.
///
/// The new file is written beside the old one, under the same name with `.new` behind it, and fsynced. Then it is
/// renamed over the old one, which is atomic (rename(2)). Then the folder is fsynced, because it holds the name
/// (fsync(2)), unless the file system [can't do that](can_sync_folder). A symbolic link stays one: the file that it
/// leads to is replaced.
///
/// Two threads must not replace the same file at the same time.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, bytes, File::sync_all)
}

/// Does what [`replace`] does, with `sync` for the folder.
pub(super) fn replace_with(path: &Path, bytes: &[u8], sync: SyncFolder) -> io::Result<()> {
    let path = &fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
    let old = match regular_file::read(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // Opened before anything is changed: if there are no descriptors left, nothing has happened yet.
    let folder = open_folder(path)?;
    let sync = || {
        folder
            .as_ref()
            .map_or(Ok(()), |folder| sync_if_supported(folder, sync))
    };
    write_and_rename(path, bytes)?;
    sync().inspect_err(|_| {
        // The new file is there, but a power cut could bring back the old one. The caller will say that nothing was
        // saved, so the old one goes back.
        let undone = match old {
            Some(old) => write_and_rename(path, &old),
            None => fs::remove_file(path),
        };
        if let Err(error) = undone.and_then(|()| sync()) {
            log::error!("cannot put back the old {}: {error}", path.display());
        }
    })
}

/// Fsyncs the folder that holds the file at `path`, so that the file is found after a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match open_folder(&fs::canonicalize(path)?)? {
        Some(folder) => sync_if_supported(&folder, File::sync_all),
        None => Ok(()),
    }
}

/// Whether the file system that a folder is on can fsync it. Some network drives can't. True if it is unknown.
pub(super) fn can_sync_folder(folder: &Path) -> bool {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    !cfg!(unix) || !synced.is_err_and(|error| is_unsupported(&error))
}

/// Fsyncs a folder. One that can't be fsynced on its file system is as safe as it gets there.
fn sync_if_supported(folder: &File, sync: SyncFolder) -> io::Result<()> {
    match sync(folder) {
        Err(error) if is_unsupported(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Whether the error of an fsync says that the file system has no such thing (fsync(2)), and not that it failed.
fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    let has_number = [libc::EINVAL, libc::ENOTSUP, libc::EOPNOTSUPP]
        .map(Some)
        .contains(&error.raw_os_error());
    #[cfg(not(unix))]
    let has_number = false;
    has_number || error.kind() == io::ErrorKind::Unsupported
}

/// Opens the folder that holds the file at `path`. `None` on Windows, where a folder can't be opened or fsynced.
fn open_folder(path: &Path) -> io::Result<Option<File>> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder).map(Some),
        _ => Ok(None),
    }
}

fn write_and_rename(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path_of_new(path);
    // A crash may have left one. It is removed, not written over: others might be able to read it, or it might be a
    // link to another file.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| rename_patiently(&new, path))
        .inspect_err(|_| {
            // It takes up room on a disk that may be full.
            let _ = fs::remove_file(&new);
        })
}

/// Renames a file over another one. On Windows that fails while a scanner for viruses or a backup has the old one open, so
/// it is tried again for [a moment](RENAME_PATIENCE).
fn rename_patiently(from: &Path, to: &Path) -> io::Result<()> {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    let start = Instant::now();
    loop {
        match fs::rename(from, to) {
            Err(error)
                if cfg!(windows)
                    && matches!(
                        error.raw_os_error(),
                        Some(ACCESS_DENIED | SHARING_VIOLATION)
                    )
                    && start.elapsed() < RENAME_PATIENCE =>
            {
                thread::sleep(RENAME_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn path_of_new(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    const FAILING_SYNC: SyncFolder = |_| Err(io::Error::other("no"));

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["a longer text", "short", ""] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_being_read_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut options = OpenOptions::new();
        options.read(true);
        // As a backup does that lets nobody else near the file.
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 1);
        let reader = options.open(&path).unwrap();
        thread::scope(|scope| {
            let replaced = scope.spawn(|| replace(&path, b"new"));
            thread::sleep(RENAME_PATIENCE / 5);
            drop(reader);
            replaced.join().unwrap().unwrap();
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::create_dir(path_of_new(&path)).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }

    #[cfg(unix)]
    #[test]
    fn the_old_file_is_put_back_if_the_folder_cannot_be_synced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(replace_with(&path, b"new", FAILING_SYNC).is_err());
        assert!(!path.exists());
        fs::write(&path, "old").unwrap();
        assert!(replace_with(&path, b"new", FAILING_SYNC).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_synced_on_its_file_system_fails_nothing() {
        const SYNCS: [SyncFolder; 3] = [
            |_| Err(io::Error::from_raw_os_error(libc::EINVAL)),
            |_| Err(io::Error::from_raw_os_error(libc::ENOTSUP)),
            |_| Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for sync in SYNCS {
            replace_with(&path, b"new", sync).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
            fs::remove_file(&path).unwrap();
        }
        let failing: SyncFolder = |_| Err(io::Error::from_raw_os_error(libc::EIO));
        assert!(replace_with(&path, b"new", failing).is_err());

        assert!(can_sync_folder(folder.path()));
        assert!(can_sync_folder(&folder.path().join("none")));
        // The folders of this file system can't be fsynced.
        if cfg!(target_os = "linux") {
            assert!(!can_sync_folder(Path::new("/proc/self")));
            sync_folder(Path::new("/proc/self/stat")).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_its_owners_alone_and_written_through_no_link_that_was_left() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["file", "other"].map(|name| folder.path().join(name));
        fs::write(&other, "other").unwrap();
        symlink(&other, path_of_new(&path)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");

        fs::write(path_of_new(&path), "left by a crash").unwrap();
        fs::set_permissions(path_of_new(&path), PermissionsExt::from_mode(0o666)).unwrap();
        replace(&path, b"newer").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }
}
