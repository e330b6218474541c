//! What the program is told to do when it is started: serve with these settings, or attach to the console of a server.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::config::Config;
use super::console_window;
use super::error::StartError;
use super::usage_in_chinese;
use crate::printable::Printable;
use crate::texts::lists::listed;
use crate::texts::{Language, language, set_language, settings as texts, system_language};

/// A chat server for a classroom LAN.
///
/// Started without any option it listens on all addresses, port 4004 for plain connections, port 4399 for TLS and port
/// 4080 for browsers, and keeps its certificate and the registered names in the folder chatd-data. Each option can also
/// be given by the environment variable named with it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "chatd",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct CommandLine {
    /// Settings of the server, if one is started.
    #[command(flatten)]
    pub config: Config,

    /// What to do instead of starting a server.
    #[command(subcommand)]
    pub task: Option<Task>,
}

/// What to do instead of starting a server.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Use the teacher's console of a server that runs already, such as a service, as the same user or as root
    Console(ConsoleConfig),
}

/// Which server's console to use.
#[derive(Clone, Debug, Args)]
pub struct ConsoleConfig {
    /// The server's data folder
    #[arg(
        long,
        env = "CHATD_DATA_DIR",
        value_name = "FOLDER",
        default_value = "chatd-data"
    )]
    pub data_dir: PathBuf,

    /// Language of what this program says itself, en or zh (Chinese); the server speaks its own [default: the system's, else
    /// en]
    #[arg(long, env = "CHATD_LANG", value_name = "LANGUAGE", value_parser = Language::from_str)]
    pub lang: Option<Language>,
}

impl CommandLine {
    /// What this process was started with. An option wins over its variable, and an empty variable is
    /// as good as none.
    ///
    /// `--help`, `--version`, and what can't be read end the process, the latter with a sentence on standard error and
    /// status 2. The error says which settings contradict each other. The language of the process, and of all that, is that
    /// of the settings from here on, or that of the system.
    pub fn of_process() -> Result<CommandLine, StartError> {
        let arguments = with_negative_values(std::env::args_os());
        set_language(wished_language(&arguments).unwrap_or_else(system_language));
        let matches = read(&arguments).unwrap_or_else(|error| exit(&printable(error)));
        let line = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| exit(&error));
        let language = match &line.task {
            Some(Task::Console(console)) => console.lang,
            None => line.config.lang,
        };
        set_language(language.unwrap_or_else(system_language));
        match line.config.check() {
            Err(StartError::Setting(what)) => {
                Err(StartError::Setting(with_variables(&matches, what)))
            }
            other => other.map(|()| line),
        }
    }
}

/// The language that is asked for, as well as can be told before the arguments are read: their help and their mistakes
/// are in it, too. None if it is not asked for, or not so that it can be understood.
fn wished_language(arguments: &[OsString]) -> Option<Language> {
    let mut rest = arguments
        .iter()
        .skip(1)
        .filter_map(|argument| argument.to_str());
    let mut wished = None;
    while let Some(argument) = rest.next() {
        if argument == "--lang" {
            wished = rest.next();
        } else if let Some(value) = argument.strip_prefix("--lang=") {
            wished = Some(value);
        }
    }
    let of_variable = || std::env::var("CHATD_LANG").ok();
    let wished = wished.map(str::to_owned).or_else(of_variable)?;
    wished.parse().ok()
}

/// What the command line can be, with its help in the language of the process.
fn command() -> Command {
    match language() {
        Language::English => CommandLine::command(),
        Language::Chinese => usage_in_chinese::translated(CommandLine::command()),
    }
}

/// Joins each negative number to the option before it, whose value it must be: no option looks like one. Otherwise
/// `-2s` would be told as an unknown option.
fn with_negative_values(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let after_hyphen = argument.to_str().and_then(|text| text.strip_prefix('-'));
        let is_negative =
            after_hyphen.is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
        match joined.last_mut() {
            Some(option) if is_negative && is_option_without_value(option) => {
                option.push("=");
                option.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

fn is_option_without_value(argument: &OsStr) -> bool {
    let name = argument.to_str().and_then(|text| text.strip_prefix("--"));
    name.is_some_and(|name| !name.is_empty() && !name.contains('='))
}

/// Reads the arguments, and the variables for what they don't say.
fn read(arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let with_variables = |is_wanted: &dyn Fn(&Arg) -> bool| {
        let with_some = |command: Command| {
            command.mut_args(|arg| match is_wanted(&arg) {
                true => arg,
                false => arg.env(None::<&'static str>),
            })
        };
        let command = with_some(command()).mut_subcommands(with_some);
        command.try_get_matches_from(arguments)
    };
    // An error is told as the argument's only if the variables have no part in it. The help tells of all of them.
    if let Err(error) = with_variables(&|_| false) {
        return match error.kind() {
            ErrorKind::DisplayHelp => with_variables(&|_| true),
            _ => Err(error),
        };
    }
    with_variables(&is_set).map_err(|error| {
        let command = command();
        let of_tasks = command.get_subcommands().flat_map(Command::get_arguments);
        let mut variables = command
            .get_arguments()
            .chain(of_tasks)
            .filter(|arg| is_set(arg));
        variables
            .find_map(|variable| {
                let alone = with_variables(&|arg: &Arg| arg.get_id() == variable.get_id());
                alone.err().map(|error| of_variable(variable, error))
            })
            .unwrap_or(error)
    })
}

/// Whether the variable of this setting is there, and not empty.
fn is_set(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(std::env::var_os);
    value.is_some_and(|value| !value.is_empty())
}

/// Makes an error say that the variable of `arg` is what is wrong.
fn of_variable(arg: &Arg, mut error: clap::Error) -> clap::Error {
    let variable = arg.get_env().unwrap_or_default().to_string_lossy();
    let name = format!("{variable} (--{})", arg.get_long().unwrap_or_default());
    if error.kind() == ErrorKind::InvalidUtf8 {
        error = clap::Error::raw(ErrorKind::InvalidUtf8, texts::not_utf8(&name) + "\n");
    }
    error.insert(ContextKind::InvalidArg, ContextValue::String(name));
    error
}

/// Ends the program with what clap has to say: of a mistake, or what was asked for, such as the help.
fn exit(error: &clap::Error) -> ! {
    let in_chinese = match language() {
        Language::English => None,
        Language::Chinese => usage_in_chinese::mistake(error),
    };
    let _ = match in_chinese {
        Some(text) => writeln!(std::io::stderr(), "{text}"),
        None => error.print(),
    };
    if error.use_stderr() {
        console_window::hold_open();
    }
    std::process::exit(error.exit_code())
}

/// Makes what an error quotes fit to be seen.
fn printable(mut error: clap::Error) -> clap::Error {
    let quoted: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, Printable(text).to_string())),
            _ => None,
        })
        .collect();
    for (kind, text) in quoted {
        error.insert(kind, ContextValue::String(text));
    }
    error
}

/// A sentence about settings, with the variables that some of them come from, if any do.
fn with_variables(matches: &ArgMatches, sentence: String) -> String {
    let command = Config::command();
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let is_meant = |arg: &&Arg| {
        let option = format!("--{}", arg.get_long().unwrap_or_default());
        let is_from_variable =
            matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable);
        is_from_variable && words.contains(&option.as_str())
    };
    let variables: Vec<String> = command
        .get_arguments()
        .filter(is_meant)
        .filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned()))
        .collect();
    match variables.is_empty() {
        true => sentence,
        false => texts::from_environment(&sentence, &listed(&variables)),
    }
}
