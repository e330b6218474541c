//! What chatd asks of Windows that no safe library offers: a few system calls, each behind a safe function.

#![expect(
    unsafe_code,
    reason = "without them another program could take the port over, who closes the window would end the server without \
              a goodbye, nobody could read why a server that was double-clicked did not start, and a shell would get its \
              console back in raw mode"
)]

use std::io;
use std::os::windows::io::AsRawSocket;
use std::sync::OnceLock;

use socket2::Socket;
use windows_sys::Win32::Foundation::TRUE;
use windows_sys::Win32::Networking::WinSock::{SO_EXCLUSIVEADDRUSE, SOL_SOCKET, setsockopt};
use windows_sys::Win32::System::Console::{
    CONSOLE_MODE, CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_LOGOFF_EVENT, GetConsoleMode,
    GetConsoleProcessList, GetNumberOfConsoleInputEvents, GetStdHandle, STD_INPUT_HANDLE,
    SetConsoleCtrlHandler, SetConsoleMode,
};
use windows_sys::core::BOOL;

/// Keeps other programs from listening on the port of a socket, which any with SO_REUSEADDR could do otherwise. To be
/// called before the socket is bound ("Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" in the documentation of Winsock).
pub(crate) fn reserve_port(socket: &Socket) -> io::Result<()> {
    let is_exclusive: BOOL = TRUE;
    let (value, size) = ((&raw const is_exclusive).cast(), size_of::<BOOL>() as i32);
    let socket = socket.as_raw_socket() as usize;
    // SAFETY: the value is as large as said, and Winsock keeps no pointer to it. Any number is safe for a socket: one
    // that is none makes an error.
    match unsafe { setsockopt(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, value, size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What happened to the console that the program was started in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsoleEvent {
    /// Ctrl-C or Ctrl-Break was pressed.
    Interrupt,
    /// A user logs off. A service is told so of any user.
    LogOff,
    /// Its window is closed, or the system shuts down. The process ends when the handler returns, or some seconds later.
    Close,
}

/// Calls `handler` at each event of the console, in a thread that the system makes for it (HandlerRoutine in the
/// documentation of the console). Only the first call of this function has an effect.
pub(crate) fn on_console_event(
    handler: impl Fn(ConsoleEvent) + Send + Sync + 'static,
) -> io::Result<()> {
    if HANDLER.set(Box::new(handler)).is_err() {
        return Ok(());
    }
    // SAFETY: the function is there as long as the program, and may run in any thread.
    match unsafe { SetConsoleCtrlHandler(Some(handle), TRUE) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

static HANDLER: OnceLock<Box<dyn Fn(ConsoleEvent) + Send + Sync>> = OnceLock::new();

extern "system" fn handle(event: u32) -> BOOL {
    if let Some(handler) = HANDLER.get() {
        handler(match event {
            CTRL_C_EVENT | CTRL_BREAK_EVENT => ConsoleEvent::Interrupt,
            CTRL_LOGOFF_EVENT => ConsoleEvent::LogOff,
            _ => ConsoleEvent::Close,
        });
    }
    TRUE
}

/// Whether a user has started the program in a session of their own, which ends when they log off. Services, and tasks that
/// run without anybody, have none.
pub(crate) fn is_in_session() -> bool {
    std::env::var_os("SESSIONNAME").is_some()
}

/// Whether this program alone uses its console: it was double-clicked, and its window closes when it ends.
pub(crate) fn is_alone_in_console() -> bool {
    let mut processes = [0; 2];
    // SAFETY: at most as many numbers are written as said.
    let count = unsafe { GetConsoleProcessList(processes.as_mut_ptr(), processes.len() as u32) };
    count == 1
}

/// How the console treats input.
pub(crate) struct ConsoleModes(CONSOLE_MODE);

impl ConsoleModes {
    /// What holds now. The error says that standard input is no console.
    pub(crate) fn current() -> io::Result<ConsoleModes> {
        let mut mode = 0;
        // SAFETY: any handle is safe: one that is none makes an error. The mode is written before the call returns.
        match unsafe { GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &raw mut mode) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(ConsoleModes(mode)),
        }
    }

    /// The console keeps all keys but Ctrl-C anyway.
    pub(crate) fn keep_keys(&self) {}

    /// Makes it hold again. There is nobody to tell of an error.
    pub(crate) fn restore(&self) {
        // SAFETY: as above.
        unsafe { SetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), self.0) };
    }
}

/// How many events of the keyboard, the mouse and the window wait in the console: two for each key, pressed and released.
/// The error says that standard input is no console.
pub(crate) fn waiting_console_events() -> io::Result<u32> {
    let mut count = 0;
    // SAFETY: as above.
    match unsafe { GetNumberOfConsoleInputEvents(GetStdHandle(STD_INPUT_HANDLE), &raw mut count) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(count),
    }
}
