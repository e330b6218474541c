//! Lists of the class: who was there, and who gets an account.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use super::super::attendance::{Attendee, to_csv};
use super::super::moderator::{Moderator, Refusal};
use super::answers::kind_of;
use super::columns::in_columns;
use crate::printable::Printable;
use crate::texts::class as texts;

/// Accounts that one command makes at most.
const MOST_ACCOUNTS: usize = 1000;

/// The largest list of a class, in bytes.
const LARGEST_LIST: u64 = 1 << 20;

/// Shows who was there, or writes it to a new file.
pub(super) fn attendance(
    attendees: &[Attendee],
    file: Option<&Path>,
    clock: impl Fn(SystemTime) -> String,
) -> String {
    if let Some(file) = file {
        let options = OpenOptions::new().write(true).create_new(true).open(file);
        let written = options.and_then(|mut file| file.write_all(to_csv(attendees).as_bytes()));
        return match written {
            Ok(()) => texts::written(file.display(), attendees.len()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                texts::file_is_there(file.display())
            }
            Err(error) => {
                texts::cannot_write(file.display(), &Printable(&error.to_string()).to_string())
            }
        };
    }
    if attendees.is_empty() {
        return texts::nobody_was_there().to_owned();
    }
    let mut rows = vec![texts::attendance_heading().map(str::to_owned)];
    rows.extend(attendees.iter().map(|one| {
        [
            one.name.clone(),
            kind_of(one.is_guest).to_owned(),
            one.address.to_string(),
            clock(one.first_in),
            one.last_out.map(&clock).unwrap_or_default(),
            (one.online.as_secs() / 60).to_string(),
            one.messages.to_string(),
        ]
    }));
    in_columns(&rows)
}

/// Registers everybody in the list of a class, and returns the passwords, for handing out.
pub(super) fn register(moderator: &Moderator, file: &Path) -> Result<String, Refusal> {
    let names = match names_in(file) {
        Ok(names) if names.len() > MOST_ACCOUNTS => return Ok(texts::too_many(MOST_ACCOUNTS)),
        Ok(names) => names,
        Err(error) => {
            return Ok(texts::cannot_read(
                file.display(),
                &Printable(&error.to_string()).to_string(),
            ));
        }
    };
    let mut rows = Vec::new();
    let mut count = 0;
    for name in &names {
        let outcome = match moderator.register(name) {
            Ok(outcome) => outcome,
            Err(refusal @ Refusal::NoName(..)) => Err(refusal.to_string()),
            Err(refusal) => return Err(refusal),
        };
        count += usize::from(outcome.is_ok());
        let (password, why) = match outcome {
            Ok(password) => (password, String::new()),
            Err(why) => ("-".to_owned(), why),
        };
        rows.push([Printable(name).to_string(), password, why]);
    }
    Ok(in_columns(&rows) + &texts::class_registered(count, names.len()))
}

/// The first field of each line, without the heading, if there is one. A spreadsheet may put a field in quotes, and separates
/// them by commas or semicolons.
fn names_in(file: &Path) -> io::Result<Vec<String>> {
    if fs::metadata(file)?.len() > LARGEST_LIST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let text = fs::read(file)?;
    let text = String::from_utf8_lossy(&text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let fields = text.lines().map(|line| {
        let field = line.split([',', ';', '\t']).next().unwrap_or_default();
        field.trim().trim_matches('"').trim().to_owned()
    });
    let mut names: Vec<String> = fields.filter(|field| !field.is_empty()).collect();
    let is_heading =
        |field: &String| ["name", "用户名", "姓名"].contains(&field.to_lowercase().as_str());
    if names.first().is_some_and(is_heading) {
        names.remove(0);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_from_a_spreadsheet_gives_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("class.csv");
        for (text, expected) in [
            ("Anna\nBobby\n", &["Anna", "Bobby"][..]),
            (
                "\u{feff}Name;Class\r\n\"Anna\";7a\r\n\r\n Bobby ;7b\r\n",
                &["Anna", "Bobby"],
            ),
            ("姓名,班\nAnna,1", &["Anna"]),
            ("Anna\t7a\nname\n", &["Anna", "name"]),
            ("", &[]),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(names_in(&path).unwrap(), expected, "{text:?}");
        }
    }
}
