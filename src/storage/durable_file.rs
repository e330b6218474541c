//! Files that survive a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Puts a file with these bytes in the place of the one at `path`, if there is one, and returns it, open for
/// reading and writing. Only its owner can read it.
///
/// Whatever happens meanwhile, the old file is found there or the new one, whole. An error says that the old one is;
/// [`sync_folder`] then makes sure that the new one is found after a power cut.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    // A link stays one, to the new file.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = fresh(&path);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        Ok(file)
    };
    write().inspect_err(|_| {
        // It takes up room on a disk that may be full.
        let _ = fs::remove_file(&fresh);
    })
}

/// Where the new file is written before it takes the old one's place.
fn fresh(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Makes sure that a new file is still found in its folder after a power cut.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match fs::canonicalize(path)?.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["a longer text", "short", ""] {
            drop(replace(&path, text.as_bytes()).unwrap());
            sync_folder(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::create_dir(fresh(&path)).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }
}
