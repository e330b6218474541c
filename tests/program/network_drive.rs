//! A data folder on a network drive, which lacks what local disks can do. A library that is loaded before the C library
//! plays the drive.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::Way;
use crate::process::{Chatd, can_run, chatd, isolate, refused};

/// A drive whose folders can't be fsynced, and, if `NO_LOCKS` is set, none of whose files can be locked.
const DRIVE: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <errno.h>
    #include <stdlib.h>
    #include <sys/stat.h>

    int fsync(int file) {
        int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
        struct stat found;
        if (fstat(file, &found) == 0 && S_ISDIR(found.st_mode)) {
            errno = EINVAL;
            return -1;
        }
        return real(file);
    }

    int flock(int file, int operation) {
        int (*real)(int, int) = (int (*)(int, int)) dlsym(RTLD_NEXT, "flock");
        if (getenv("NO_LOCKS")) {
            errno = ENOLCK;
            return -1;
        }
        return real(file, operation);
    }
"#;

/// chatd on such a drive, or none if there is no C compiler.
fn chatd_on_drive(folder: &Path) -> Option<Command> {
    if !can_run("cc", "--version") {
        return None;
    }
    let [source, library] = ["drive.c", "drive.so"].map(|name| folder.join(name));
    fs::write(&source, DRIVE).unwrap();
    let mut compile = Command::new("cc");
    isolate(&mut compile).args(["-shared", "-fPIC", "-o"]);
    let output = compile.arg(&library).arg(&source).arg("-ldl").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut command = chatd(folder);
    command.env("LD_PRELOAD", library);
    Some(command)
}

#[test]
fn a_drive_whose_folders_cannot_be_synced_is_warned_of_once_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let Some(command) = chatd_on_drive(folder.path()) else {
        return;
    };
    let server = Chatd::start(command);
    for name in ["Anna", "Bobby"] {
        server.connect_as(Way::Tls).register(name, "pass");
    }
    let log = server.stop();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for word in ["fsync", "network drives", "--data-dir"] {
        assert!(warnings[0].contains(word), "{log}");
    }
    assert!(!log.contains(" ERROR "), "{log}");
}

#[test]
fn a_drive_that_cannot_lock_is_refused_and_a_local_folder_advised() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = chatd_on_drive(folder.path()) else {
        return;
    };
    command.env("NO_LOCKS", "1");
    let complaint = refused(command);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    let data = folder.path().join("data");
    for words in [
        "lock",
        "network drives",
        "a local folder with --data-dir",
        data.to_str().unwrap(),
    ] {
        assert!(complaint.contains(words), "{complaint}");
    }
}
