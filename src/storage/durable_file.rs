//! Files that survive a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Puts a file with these bytes in the place of the one at `path`, if there is one. Only its owner can read it. When this
/// returns, the new file is found there even after a power cut (fsync(2) of the file and of its folder).
///
/// At every moment the old file is found there or the new one, whole. After an error it is the old one, unless the folder
/// could not be written to the disk: then either may be found after a power cut.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays one, to the new file.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = fresh(&path);
    // A crash may have left one. What stands there is not followed or reused: it is made anew.
    let _ = fs::remove_file(&fresh);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().inspect_err(|_| {
        // It takes up room on a disk that may be full.
        let _ = fs::remove_file(&fresh);
    })?;
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Where the new file is written before it takes the old one's place.
fn fresh(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["a longer text", "short", ""] {
            fs::write(fresh(&path), "left by a crash").unwrap();
            replace(&path, text.as_bytes()).unwrap();
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

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_one_in_the_way_is_not_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let [path, target, other] =
            ["link", "target", "other"].map(|name| folder.path().join(name));
        fs::write(&target, "old").unwrap();
        fs::write(&other, "untouched").unwrap();
        symlink(&target, &path).unwrap();
        symlink(&other, fresh(&fs::canonicalize(&target).unwrap())).unwrap();
        replace(&path, b"new").unwrap();
        assert!(path.is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
    }
}
