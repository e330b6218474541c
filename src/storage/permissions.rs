//! What other users of the server's machine can do to its files.

use std::path::{Path, PathBuf};

use super::data_dir::DataDir;

/// Tells, in a sentence each, which files of a server others can get at that they should not. `key` is the private key
/// of the TLS port, if there is one.
///
/// On Windows the rights of a file can't be read by any safe call. There it tells of a data folder outside of the user's
/// own folder, which Windows keeps from others.
pub fn warnings(data_dir: &DataDir, key: Option<&Path>) -> Vec<String> {
    if cfg!(windows) {
        let own = std::env::var_os("USERPROFILE").map(PathBuf::from);
        return about_place(data_dir.path(), own.as_deref())
            .into_iter()
            .collect();
    }
    let (accounts, bans) = (data_dir.accounts(), data_dir.bans());
    let guarded = [
        Some(("data folder", data_dir.path(), 0o022)),
        Some(("accounts file", accounts.as_path(), 0o022)),
        Some(("file of bans", bans.as_path(), 0o022)),
        key.map(|path| ("private key", path, 0o066)),
    ];
    let found = guarded.into_iter().flatten();
    found
        .flat_map(|(what, path, private)| {
            about(&format!("{what} {}", path.display()), path, private)
        })
        .collect()
}

#[cfg(unix)]
fn about(which: &str, path: &Path, private: u32) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;

    let own_user = nix::unistd::geteuid().as_raw();
    match std::fs::metadata(path) {
        Ok(found) => about_metadata(which, private, found.mode(), found.uid(), own_user),
        // There may be no bans yet.
        Err(_) => Vec::new(),
    }
}

#[cfg(not(unix))]
fn about(_: &str, _: &Path, _: u32) -> Vec<String> {
    Vec::new()
}

/// Judges a folder on Windows by where it is: in the user's `own` folder, or elsewhere.
fn about_place(folder: &Path, own: Option<&Path>) -> Option<String> {
    // As the system itself writes them, in upper and lower case.
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_own = own.is_some_and(|own| canonical(folder).starts_with(canonical(own)));
    (!is_own).then(|| {
        format!(
            "unless you took these rights from them, other users of this machine can read the private key and the files \
             in {}; a data folder in your own folder is kept from them (--data-dir \"%USERPROFILE%\\chatd-data\")",
            folder.display()
        )
    })
}

/// Judges a file by its mode, of which the bits `private` should not be set, and by its owner.
#[cfg(unix)]
fn about_metadata(which: &str, private: u32, mode: u32, owner: u32, own_user: u32) -> Vec<String> {
    const ROOT: u32 = 0;
    let mut open = mode & private;
    if owner == ROOT && own_user != ROOT {
        // So the system's administrator hands a key to a service: to its group, or by an access control list, whose mask
        // stands in the place of the group's permissions (acl(5)).
        open &= !0o040;
    }
    let mut warnings = Vec::new();
    let can = match (open & 0o044 != 0, open & 0o022 != 0) {
        (true, true) => Some("read and change"),
        (true, false) => Some("read"),
        (false, true) => Some("change"),
        (false, false) => None,
    };
    if let Some(can) = can {
        let taken = if private & 0o044 == 0 { "w" } else { "rw" };
        warnings.push(format!(
            "other users of this machine can {can} the {which}; take that from them (chmod go-{taken})"
        ));
    }
    // Root can change everything anyway.
    if owner != own_user && owner != ROOT {
        warnings.push(format!(
            "the {which} belongs to user number {owner}, who can change it; give it (chown) to number {own_user}, as \
             whom chatd runs"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_outside_of_the_users_own_is_warned_of_on_windows() {
        let folder = tempfile::tempdir().unwrap();
        let [own, other] = ["own", "other"].map(|name| folder.path().join(name));
        let data = own.join("chatd-data");
        for path in [&data, &other] {
            std::fs::create_dir_all(path).unwrap();
        }
        let roundabout = other.join("..").join("own");
        assert_eq!(about_place(&data, Some(&own)), None);
        assert_eq!(about_place(&data, Some(&roundabout)), None);
        for (folder, own) in [(&other, Some(&own)), (&data, Some(&other)), (&data, None)] {
            let warning = about_place(folder, own.map(|own| own.as_path())).unwrap();
            assert!(warning.contains(&folder.display().to_string()), "{warning}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_read_change_or_own_is_warned_of() {
        const KEY: u32 = 0o066;
        const OTHER: u32 = 0o022;
        for (private, mode, owner, own_user, expected) in [
            (OTHER, 0o40700, 7, 7, &[][..]),
            (OTHER, 0o40755, 7, 7, &[]),
            (OTHER, 0o40775, 7, 7, &["can change"]),
            (OTHER, 0o41777, 7, 7, &["can change"]),
            (OTHER, 0o100_602, 7, 7, &["can change"]),
            (KEY, 0o100_600, 7, 7, &[]),
            (KEY, 0o100_640, 7, 7, &["can read the"]),
            (KEY, 0o100_604, 7, 7, &["can read the"]),
            (KEY, 0o100_620, 7, 7, &["can change"]),
            (KEY, 0o100_666, 7, 7, &["can read and change"]),
            (KEY, 0o100_600, 8, 7, &["number 8"]),
            (KEY, 0o100_644, 8, 0, &["can read", "number 8"]),
            (KEY, 0o100_440, 0, 7, &[]),
            (KEY, 0o100_440, 0, 0, &["can read"]),
            (KEY, 0o100_444, 0, 7, &["can read"]),
            (OTHER, 0o100_644, 0, 7, &[]),
        ] {
            let warnings = about_metadata("file", private, mode, owner, own_user);
            assert_eq!(warnings.len(), expected.len(), "{mode:o}: {warnings:?}");
            for (warning, words) in warnings.iter().zip(expected) {
                assert!(warning.contains(words), "{mode:o}: {warning}");
            }
        }
    }
}
