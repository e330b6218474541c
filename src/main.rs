//! The chatd program: settings, log, signals, and one [`Server`]; or the console of a server that runs already.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use chatd::printable::Printable;
use chatd::server::signals::stop_on_signals;
use chatd::server::{
    CommandLine, Config, OwnAddress, Server, StartError, Task, addresses, banner, console,
    console_window, logging, own_addresses,
};
use chatd::terminal;

fn main() -> ExitCode {
    let config = match CommandLine::of_process() {
        Ok(CommandLine {
            task: Some(Task::Console(console)),
            ..
        }) => return attach(&console.data_dir),
        Ok(CommandLine { config, task: None }) => config,
        Err(error) => return fail(&error),
    };
    let log_end = match logging::start(config.log.as_deref()) {
        Ok(log_end) => log_end,
        Err(error) => return fail(&error),
    };
    let outcome = serve(config);
    // What was logged comes before the reason of a failure.
    drop(log_end);
    terminal::give_back();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Uses the console of the server with this data folder.
fn attach(data_dir: &Path) -> ExitCode {
    let outcome = console::attach(data_dir);
    terminal::give_back();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), StartError> {
    let is_terminal = std::io::stdin().is_terminal();
    let has_console = config.console || is_terminal;
    let server = Server::bind(config)?;
    stop_on_signals(server.handle())?;
    let handle = server.handle();
    // For the end of this function, which removes it.
    let _socket = console::ConsoleSocket::open(&handle).inspect_err(|error| {
        // Where there are no such sockets, nobody misses one.
        if error.kind() != std::io::ErrorKind::Unsupported {
            log::info!("there is no socket in the data folder for chatd console: {error}");
        }
    });
    // A thread of its own: input and output that stand still must not keep the server from its work.
    let talk = move || {
        let has_room_for_code = handle.shows_codes() && banner::has_room_for_code();
        if let Ok(text) = banner::text(&handle, &own_addresses(), has_room_for_code) {
            let mut output = std::io::stdout();
            let _ = output
                .write_all(text.as_bytes())
                .and_then(|()| output.flush());
        }
        if has_console && console::is_editable() {
            console::run_in_terminal(&handle, std::io::stdout());
        } else if has_console {
            let input = std::io::stdin().lock();
            console::run(
                &handle,
                input,
                is_terminal,
                std::io::stdout(),
                std::io::stdout(),
            );
        }
    };
    thread::Builder::new()
        .name("console".to_owned())
        .spawn(talk)
        .map_err(StartError::Thread)?;
    let tell = |own: &[OwnAddress]| log::warn!("{}", banner::addresses_changed(own));
    thread::Builder::new()
        .name("addresses".to_owned())
        .spawn(move || addresses::watch(tell))
        .map_err(StartError::Thread)?;
    server.run()
}

/// Says why the program ends. A setting that is wrong has the status of an option that is: trying again is no use.
fn fail(error: &StartError) -> ExitCode {
    complain(error);
    console_window::hold_open();
    match error {
        StartError::Setting(_) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

fn complain(error: &impl Display) {
    let text = error.to_string();
    let _ = writeln!(std::io::stderr(), "chatd: {}", Printable(&text));
}
