//! The file that holds the registered names: a JSON object a line, to be read and mended with a text editor while the
//! server is stopped.
//!
//! Each change replaces the whole file. Some hundred lines are written in a fraction of the time that it takes to hash
//! the password.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable_file::{self, SyncFolder};
use super::password::PasswordHash;
use super::regular_file;
use crate::printable::Printable;
use crate::texts::start_errors as texts;
use crate::wire::{NameKey, check_name};

/// The accounts on disk.
#[derive(Debug)]
pub(super) struct AccountsFile {
    path: PathBuf,
    /// What the file held when it was last read or written. Each line stays as it was read, so that what a teacher has
    /// added to it, such as a remark, is kept.
    contents: Vec<u8>,
    /// How the folder is fsynced. Tests put one that fails in its place.
    pub(super) sync_folder: SyncFolder,
}

/// Why the accounts file can't be used.
#[derive(Debug)]
pub enum AccountsError {
    /// It can't be read or written.
    Io(PathBuf, io::Error),
    /// A line is damaged: its number, counted from 1, and what is wrong with it.
    Damaged(PathBuf, usize, String),
}

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            AccountsError::Io(path, error) => texts::accounts(path.display(), error),
            AccountsError::Damaged(path, line, what) => {
                texts::account_damaged(path.display(), *line, &Printable(what).to_string())
            }
        })
    }
}

impl std::error::Error for AccountsError {}

impl AccountsFile {
    /// Reads all accounts from the file, or makes an empty one. A torn last line is dropped.
    pub(super) fn open(
        path: &Path,
    ) -> Result<(AccountsFile, HashMap<NameKey, PasswordHash>), AccountsError> {
        let failed = |error| AccountsError::Io(path.to_owned(), error);
        let contents = read_durably(path).map_err(failed)?;
        let (accounts, whole) = parse(&contents)
            .map_err(|(line, what)| AccountsError::Damaged(path.to_owned(), line, what))?;
        let mut lines = contents[..whole].to_vec();
        if !lines.is_empty() && !lines.ends_with(b"\n") {
            lines.push(b'\n');
        }
        let mut file = AccountsFile {
            path: path.to_owned(),
            contents,
            sync_folder: File::sync_all,
        };
        let torn = file.contents.len() - whole;
        if torn > 0 {
            log::warn!(
                "dropped the last line of {}: {torn} bytes of a registration that was interrupted",
                path.display()
            );
        }
        if lines != file.contents {
            file.replace(lines).map_err(failed)?;
        }
        Ok((file, accounts))
    }

    /// Adds an account, and returns when it is on disk. After an error it is not, as far as the disk obeys.
    pub(super) fn add(&mut self, name: &str, hash: &PasswordHash) -> io::Result<()> {
        let line = Line {
            name: name.to_owned(),
            hash: hash.to_string(),
            registered: super::now(),
        };
        let mut lines = self.contents.clone();
        serde_json::to_writer(&mut lines, &line)?;
        lines.push(b'\n');
        self.replace(lines)
    }

    /// Removes an account, and returns when it is gone from the disk. After an error it is still there, as far as the
    /// disk obeys. All other lines stay as they are.
    pub(super) fn remove(&mut self, name: &NameKey) -> io::Result<()> {
        let is_kept = |line: &&[u8]| {
            let line = serde_json::from_slice::<Line>(without_mark(line));
            !line.is_ok_and(|line| NameKey::new(&line.name) == *name)
        };
        let kept: Vec<&[u8]> = lines(&self.contents).filter(is_kept).collect();
        self.replace(kept.concat())
    }

    /// Makes `lines` all that the file holds, unless it was edited since this server last read or wrote it: an edit
    /// must not be lost.
    fn replace(&mut self, lines: Vec<u8>) -> io::Result<()> {
        let is_unchanged = match regular_file::read(&self.path) {
            Ok(found) => found == self.contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_unchanged {
            return Err(io::Error::other(
                "the accounts file was changed, removed or replaced; restart the server",
            ));
        }
        durable_file::replace_with(&self.path, &lines, self.sync_folder)?;
        self.contents = lines;
        Ok(())
    }
}

/// Reads the file, or makes an empty one, and returns when what was read is on disk: an earlier server may have been
/// killed before it was.
fn read_durably(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = regular_file::open(&mut options, path)?;
    let mut contents = Vec::new();
    file.read_to_end(&mut contents)?;
    file.sync_all()?;
    durable_file::sync_folder(path)?;
    Ok(contents)
}

/// An account, as a line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    /// The name, as its owner wrote it.
    name: String,
    hash: String,
    /// When it was registered (RFC 3339, UTC), for the teacher.
    #[serde(default)]
    registered: String,
}

/// The lines of a file, each with its newline if it has one.
fn lines(contents: &[u8]) -> impl Iterator<Item = &[u8]> {
    contents.split_inclusive(|byte| *byte == b'\n')
}

/// A line without the byte order mark that some editors put at the start of a file.
fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
}

/// Reads all accounts, and tells how many bytes hold whole lines: what comes behind is a torn one. The error is the
/// number of a damaged line, counted from 1, and what is wrong with it.
fn parse(contents: &[u8]) -> Result<(HashMap<NameKey, PasswordHash>, usize), (usize, String)> {
    let mut accounts = HashMap::new();
    let mut numbers = HashMap::new();
    let mut whole = 0;
    for (number, line) in (1..).zip(lines(contents)) {
        let text = if number == 1 {
            without_mark(line)
        } else {
            line
        }
        .trim_ascii();
        let is_last = whole + line.len() == contents.len();
        if is_last && is_torn(line, text) {
            break;
        }
        whole += line.len();
        if text.is_empty() {
            continue;
        }
        let (name, hash) = parse_line(text).map_err(|what| (number, what))?;
        let key = NameKey::new(&name);
        if let Some(earlier) = numbers.insert(key.clone(), number) {
            let what = format!("the name {name} stands in line {earlier} already");
            return Err((number, what));
        }
        accounts.insert(key, hash);
    }
    Ok((accounts, whole))
}

/// Whether the last line was cut short by a crash of a server that appended to the file, as earlier versions did. It
/// then has no closing brace yet, or holes where the disk had not written.
fn is_torn(line: &[u8], text: &[u8]) -> bool {
    let is_unfinished = !line.ends_with(b"\n") && !text.ends_with(b"}");
    !text.is_empty() && (is_unfinished || text.contains(&0))
}

fn parse_line(text: &[u8]) -> Result<(String, PasswordHash), String> {
    let line: Line = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    check_name(&line.name).map_err(|why| why.to_string())?;
    let hash = line.hash.parse()?;
    Ok((line.name, hash))
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::cell::Cell;
    use std::fs;

    use super::*;

    const HASH: &str = "$scrypt$ln=1,r=1,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZg";

    fn hash() -> PasswordHash {
        HASH.parse().unwrap()
    }

    fn line_of(name: &str) -> String {
        format!(
            "{{\"name\":\"{name}\",\"hash\":\"{HASH}\",\"registered\":\"2026-01-01T08:00:00Z\"}}\n"
        )
    }

    fn file_of(names: &[&str]) -> Vec<u8> {
        names
            .iter()
            .flat_map(|name| line_of(name).into_bytes())
            .collect()
    }

    /// A folder with a file that holds these bytes, and the file opened.
    #[track_caller]
    fn opened(contents: &[u8]) -> (tempfile::TempDir, PathBuf, AccountsFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        fs::write(&path, contents).unwrap();
        let (file, _) = AccountsFile::open(&path).unwrap();
        (folder, path, file)
    }

    /// The names in a file, folded, in the order of the alphabet.
    #[track_caller]
    fn names_in(contents: &[u8]) -> Vec<NameKey> {
        let mut names: Vec<NameKey> = parse(contents).unwrap().0.into_keys().collect();
        names.sort();
        names
    }

    fn keys(names: &[&str]) -> Vec<NameKey> {
        names.iter().map(|name| NameKey::new(name)).collect()
    }

    #[test]
    fn a_file_cut_at_any_byte_loses_its_last_line_at_most() {
        let names = ["Anna", "Bobby", "Charles"];
        let bytes = file_of(&names);
        let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
        for cut in 0..=bytes.len() {
            // A line counts from its closing brace on, which is the byte before its newline.
            let expected = ends.iter().filter(|end| **end <= cut).count();
            let cut = &bytes[..cut];
            assert_eq!(names_in(cut), keys(&names[..expected]));

            let (folder, path, mut file) = opened(cut);
            assert_eq!(fs::read(&path).unwrap(), file_of(&names[..expected]));
            file.add("Dora", &hash()).unwrap();
            let (_, accounts) = AccountsFile::open(&path).unwrap();
            assert_eq!(accounts.len(), expected + 1);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_removed_account_is_gone_and_the_other_lines_stay_as_they_are() {
        let [anna, bobby, charles] = ["Anna", "Bobby", "Charles"].map(line_of);
        let charles = charles.replace("{", "{ \"remark\": \"tall\", ");
        let bobby = bobby.replace('\n', "\r\n");
        for (before, after, name) in [
            (
                format!("{anna}{bobby}{charles}"),
                format!("{anna}{charles}"),
                "BOBBY",
            ),
            (
                format!("\u{feff}{bobby}\n{charles}"),
                format!("\n{charles}"),
                "Bobby",
            ),
            (
                format!("{anna}{}", charles.trim_end()),
                anna.clone(),
                "Charles",
            ),
            (bobby, String::new(), "Bobby"),
        ] {
            let (folder, path, mut file) = opened(before.as_bytes());
            file.remove(&NameKey::new(name)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            file.add(name, &hash()).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let added = text.strip_prefix(&after).unwrap();
            assert!(added.starts_with(&format!("{{\"name\":\"{name}\",\"hash\":\"{HASH}\"")));
            assert!(added.ends_with("Z\"}\n") && added.lines().count() == 1);
            AccountsFile::open(&path).unwrap();
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn an_account_that_cannot_be_written_or_removed_leaves_the_file_as_it_was() {
        let before = file_of(&["Anna", "Bobby"]);
        let (folder, path, mut file) = opened(&before);
        // Where the new file would be written.
        let in_the_way = folder.path().join("accounts.jsonl.new");
        fs::create_dir(&in_the_way).unwrap();
        assert!(file.add("Charles", &hash()).is_err());
        assert!(file.remove(&NameKey::new("Anna")).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);

        fs::remove_dir(&in_the_way).unwrap();
        file.add("Dora", &hash()).unwrap();
        file.remove(&NameKey::new("Anna")).unwrap();
        let after = fs::read(&path).unwrap();
        assert_eq!(names_in(&after), keys(&["Bobby", "Dora"]));
    }

    #[cfg(unix)]
    thread_local! {
        /// How often a folder can't be fsynced from now on.
        static FAILURES: Cell<u32> = const { Cell::new(0) };
    }

    #[cfg(unix)]
    fn sync_after_failures(folder: &File) -> io::Result<()> {
        match FAILURES.get() {
            0 => folder.sync_all(),
            left => {
                FAILURES.set(left - 1);
                Err(io::Error::other("no"))
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_change_whose_folder_is_not_synced_is_undone_and_can_be_tried_again() {
        let before = file_of(&["Anna", "Bobby"]);
        let (folder, path, mut file) = opened(&before);
        file.sync_folder = sync_after_failures;
        // With one failure the old file goes back durably, with two it at least goes back.
        for failures in [1, 2] {
            FAILURES.set(failures);
            assert!(file.add("Charles", &hash()).is_err());
            assert_eq!(fs::read(&path).unwrap(), before);
            FAILURES.set(failures);
            assert!(file.remove(&NameKey::new("Anna")).is_err());
            assert_eq!(fs::read(&path).unwrap(), before);
            assert_eq!(FAILURES.get(), 0);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        file.add("Charles", &hash()).unwrap();
        file.remove(&NameKey::new("Anna")).unwrap();
        let after = fs::read(&path).unwrap();
        assert_eq!(names_in(&after), keys(&["Bobby", "Charles"]));
    }

    #[test]
    fn nothing_is_written_to_a_file_that_was_changed_removed_or_replaced() {
        let (anna, bobby) = (file_of(&["Anna"]), file_of(&["Bobby"]));
        let added = file_of(&["Anna", "Bobby"]);
        let (folder, path, mut file) = opened(&anna);
        for edited in [None, Some(bobby), Some(added), Some(Vec::new())] {
            match &edited {
                Some(edited) => fs::write(&path, edited).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert!(file.add("Charles", &hash()).is_err());
            assert!(file.remove(&NameKey::new("Anna")).is_err());
            assert_eq!(fs::read(&path).ok(), edited);
        }
        // What was put back is no change.
        let aside = folder.path().join("accounts.jsonl~");
        fs::write(&aside, anna).unwrap();
        fs::rename(&aside, &path).unwrap();
        file.add("Charles", &hash()).unwrap();
        assert_eq!(
            names_in(&fs::read(&path).unwrap()),
            keys(&["Anna", "Charles"])
        );
    }

    #[test]
    fn windows_line_ends_blank_lines_and_a_byte_order_mark_are_accepted() {
        let text = String::from_utf8(file_of(&["Anna", "Bobby"])).unwrap();
        let edited = format!("\u{feff}{}\r\n\r\n", text.replace('\n', "\r\n"));
        assert_eq!(names_in(edited.as_bytes()), keys(&["Anna", "Bobby"]));
        let (_folder, path, mut file) = opened(edited.as_bytes());
        file.add("Charles", &hash()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&edited), "no line was touched");
    }

    #[test]
    fn a_damaged_line_is_named_by_its_number() {
        let mut bytes = file_of(&["Anna", "Bobby", "Charles"]);
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        bytes[second] = b'x';
        assert_eq!(parse(&bytes).unwrap_err().0, 2);
        assert_eq!(parse(&file_of(&["Anna", "anna"])).unwrap_err().0, 2);
        let mistyped = line_of("Anna").replace("\"hash\"", "\"hsah\"");
        assert_eq!(parse(mistyped.as_bytes()).unwrap_err().0, 1);
        assert_eq!(parse(mistyped.trim_end().as_bytes()).unwrap_err().0, 1);

        let quoted = AccountsError::Damaged("file".into(), 2, "\u{1b}[2J".to_owned());
        assert!(
            quoted
                .to_string()
                .contains("line 2 of the accounts file file is damaged: \\u{1b}[2J;")
        );
    }

    #[test]
    fn a_hole_left_by_a_power_cut_is_a_torn_line() {
        let mut bytes = file_of(&["Anna"]);
        bytes.extend_from_slice(&[0; 100]);
        assert_eq!(names_in(&bytes), keys(&["Anna"]));
        bytes.extend_from_slice(b"0Z\"}\n");
        assert_eq!(names_in(&bytes), keys(&["Anna"]));
    }
}
