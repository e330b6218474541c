//! The help of the command line, and what is said of a mistake in it, in Chinese. The English is clap's own.

use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use crate::texts::lists::listed;
use crate::texts::settings::not_utf8;
use crate::texts::usage as texts;

/// The command line with its help in Chinese. It takes the same arguments.
pub(super) fn translated(command: Command) -> Command {
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version);
    let help = help_option();
    command
        .about(texts::ABOUT)
        .long_about(texts::MORE)
        .override_usage(texts::USAGE)
        .help_template(texts::TEMPLATE)
        .subcommand_help_heading(texts::COMMANDS)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args([help, version])
        .mut_args(|option| with_help(option, texts::option))
        .mut_subcommand("console", |console| {
            console
                .about(texts::ABOUT_CONSOLE)
                .long_about(None)
                .override_usage(texts::USAGE_OF_CONSOLE)
                .help_template(texts::TEMPLATE)
                .disable_help_flag(true)
                .arg(help_option())
                .mut_args(|option| with_help(option, texts::console_option))
        })
}

fn help_option() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
}

/// An option with its help in Chinese: what it does, its default, and its variable.
fn with_help(option: Arg, what_it_does: fn(&str) -> Option<&'static str>) -> Arg {
    let name = option.get_long().unwrap_or_default();
    let what = what_it_does(name).unwrap_or_default();
    let takes_value = option.get_action().takes_values();
    let mut more = Vec::new();
    if let [default] = option.get_default_values()
        && takes_value
    {
        more.push(texts::default(&default.to_string_lossy()));
    }
    if let Some(variable) = option.get_env() {
        let value = std::env::var_os(variable).unwrap_or_default();
        let value = value.to_string_lossy();
        more.push(texts::variable(&variable.to_string_lossy(), &value));
    }
    let help = [what.to_owned(), more.join(" ")].join("\n");
    let value_name = option.get_value_names().and_then(|names| names.first());
    let translated = value_name.and_then(|name| texts::value_name(name));
    let option = match translated {
        Some(name) if takes_value => option.value_name(name),
        _ => option,
    };
    option
        .help(help.trim_end().to_owned())
        .long_help(None)
        .hide_default_value(takes_value)
        .hide_env(true)
        .help_heading(texts::OPTIONS)
}

/// What is said of a mistake, if it is one that has words in Chinese.
pub(super) fn mistake(error: &clap::Error) -> Option<String> {
    let of = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(listed(texts)),
        _ => None,
    };
    let option = || of(ContextKind::InvalidArg);
    let value = || of(ContextKind::InvalidValue).unwrap_or_default();
    let what = match error.kind() {
        ErrorKind::UnknownArgument => texts::unknown(&option()?),
        ErrorKind::InvalidSubcommand => texts::unknown(&of(ContextKind::InvalidSubcommand)?),
        ErrorKind::InvalidValue if value().is_empty() => texts::no_value(&option()?),
        ErrorKind::InvalidValue => texts::not_a_value(&option()?, &value()),
        ErrorKind::ValueValidation => {
            let why = error.source()?.to_string();
            texts::wrong_value(&option()?, &value(), &why)
        }
        ErrorKind::TooManyValues => texts::takes_no_value(&option()?, &value()),
        ErrorKind::ArgumentConflict => {
            let one = option().or_else(|| of(ContextKind::InvalidSubcommand))?;
            let other = of(ContextKind::PriorArg)?;
            match one == other {
                true => texts::given_twice(&one),
                false => texts::conflict(&one, &other),
            }
        }
        ErrorKind::InvalidUtf8 => match option() {
            Some(name) => not_utf8(&name),
            None => texts::SOMETHING_NOT_UTF8.to_owned(),
        },
        _ => return None,
    };
    let similar = of(ContextKind::SuggestedArg).or_else(|| of(ContextKind::SuggestedSubcommand));
    let suggestion = similar.map_or_else(String::new, |similar| texts::suggestion(&similar));
    Some(texts::mistake(&(what + &suggestion)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::server::CommandLine;

    #[test]
    fn each_option_has_its_help_and_the_name_of_its_value_in_chinese() {
        let command = CommandLine::command();
        let console = command.find_subcommand("console").unwrap();
        let options = |command: &Command| command.get_arguments().cloned().collect::<Vec<Arg>>();
        for option in [options(&command), options(console)].concat() {
            let name = option.get_long().unwrap();
            assert!(texts::option(name).is_some(), "{name}");
            let values = option.get_value_names().unwrap_or_default();
            if option.get_action().takes_values() {
                assert!(
                    texts::value_name(&values[0]).is_some(),
                    "{name}: {values:?}"
                );
            }
        }
        translated(command).debug_assert();
    }
}
