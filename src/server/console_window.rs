//! The window of a program that was started with a double click.

/// Waits until the user has read what was printed, if the window closes with the program. That is how it is on Windows
/// when no shell started it, and somebody is there. Elsewhere this does nothing.
pub fn hold_open() {
    #[cfg(windows)]
    if crate::windows::is_in_session() && crate::windows::is_alone_in_console() {
        use std::io::Write;

        let mut output = std::io::stderr();
        let prompt = "\nPress Enter to close this window.  按回车键关闭窗口。";
        let _ = writeln!(output, "{prompt}");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}
