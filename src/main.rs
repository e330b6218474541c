//! The chatd program: settings, log, signals, and one [`Server`].

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::thread;

use chatd::printable::Printable;
use chatd::server::signals::stop_on_signals;
use chatd::server::{
    Config, OwnAddress, Server, StartError, addresses, banner, console, console_window, logging,
    own_addresses,
};
use chatd::terminal;

fn main() -> ExitCode {
    let config = match Config::of_process() {
        Ok(config) => config,
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

fn serve(config: Config) -> Result<(), StartError> {
    let is_terminal = std::io::stdin().is_terminal();
    let has_console = config.console || is_terminal;
    let server = Server::bind(config)?;
    stop_on_signals(server.handle())?;
    let handle = server.handle();
    // A thread of its own: input and output that stand still must not keep the server from its work.
    let talk = move || {
        if let Ok(text) = banner::text(&handle, &own_addresses()) {
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
    let text = error.to_string();
    let _ = writeln!(std::io::stderr(), "chatd: {}", Printable(&text));
    console_window::hold_open();
    match error {
        StartError::Setting(_) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}
