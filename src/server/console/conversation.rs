//! The conversation with the teacher: lines and keys in, answers out, and questions in between.

use std::time::Duration;

use super::answers::{Answer, Answers, Question, sentence};
use super::console_command::{ConsoleCommand, parse};
use crate::server::moderator::Refusal;
use crate::sync::Instant;
use crate::texts::{capitalised, console as texts, joined};

/// Ctrl-C on an empty line stops the server if it comes again within this time.
const TWICE_WITHIN: Duration = Duration::from_secs(2);

/// One console.
pub(super) struct Conversation<'a, F> {
    answers: Answers<'a>,
    /// Whether this console is that of another program, which can end while the server goes on.
    is_attached: bool,
    /// Says a text, without a line end behind it.
    say: F,
    question: Option<Question>,
    /// When Ctrl-C came last, on an empty line.
    interrupted: Option<Instant>,
}

impl<'a, F: FnMut(&str)> Conversation<'a, F> {
    pub(super) fn new(answers: Answers<'a>, is_attached: bool, say: F) -> Conversation<'a, F> {
        Conversation {
            answers,
            is_attached,
            say,
            question: None,
            interrupted: None,
        }
    }

    /// Says the first words.
    pub(super) fn welcome(&mut self) {
        match (self.is_attached, self.answers.is_terminal) {
            (false, _) => self.say(texts::welcome()),
            (true, true) => self.say(texts::welcome_attached()),
            // A script wants answers alone.
            (true, false) => {}
        }
    }

    /// Says what the key for the end of the input does not do.
    pub(super) fn explain_end_key(&mut self) {
        self.say(texts::how_to_stop());
    }

    /// Says the last words to who leaves, and stays seated at a terminal.
    pub(super) fn leave(&mut self) {
        if self.is_attached && self.answers.is_terminal {
            self.say(texts::left());
        }
    }

    pub(super) fn say(&mut self, text: &str) {
        (self.say)(text.trim_end());
    }

    /// Takes a line. False says that it was the last, and that the server shall stop.
    pub(super) fn take(&mut self, line: &str) -> bool {
        self.interrupted = None;
        if let Some(question) = self.question.take() {
            match yes_or_no(line) {
                Some(true) => return self.carry_out(question),
                Some(false) => {
                    self.say(&dropped(&question));
                    return true;
                }
                // It is a command.
                None => self.say(&texts::neither(&dropped(&question))),
            }
        }
        match parse(line) {
            Ok(None) => {}
            Ok(Some(ConsoleCommand::Quit)) => return self.quit(),
            Ok(Some(command)) => match self.answers.obey(command) {
                Ok(Answer::Done(text)) => self.say(&text),
                Ok(Answer::Ask(question, text)) => {
                    self.say(&text);
                    self.question = Some(question);
                }
                Err(refusal) => self.refuse(&refusal),
            },
            Err(mistake) => {
                let mut text = capitalised(&mistake.sentence);
                if let Some(near) = mistake.no_name.and_then(|name| self.answers.near(&name)) {
                    text = joined(&[text + texts::full_stop(), near]);
                }
                self.say(&text);
            }
        }
        true
    }

    /// Does what was asked about. False says that the server shall stop.
    fn carry_out(&mut self, question: Question) -> bool {
        let outcome = match question {
            Question::Ban(banned, until) => self.answers.ban(banned, until, true),
            Question::Forget(name) => self.answers.forget(&name).map(Answer::Done),
            Question::Quit => return self.stop(),
        };
        match outcome {
            Ok(Answer::Done(text) | Answer::Ask(_, text)) => self.say(&text),
            Err(refusal) => self.refuse(&refusal),
        }
        true
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.say(&sentence(&refusal.to_string()));
    }

    /// Takes Ctrl-C on an empty line. False says that the server shall stop.
    pub(super) fn interrupt(&mut self) -> bool {
        if let Some(question) = self.question.take() {
            self.say(&dropped(&question));
        }
        if self.is_attached {
            self.say(texts::how_to_leave());
            return true;
        }
        let now = Instant::now();
        let before = self.interrupted.replace(now);
        if before.is_some_and(|before| now.saturating_duration_since(before) <= TWICE_WITHIN) {
            return self.stop();
        }
        self.say(texts::press_again());
        true
    }

    /// Asks whether to stop the server, if somebody is there to ask, and somebody would notice. False says that it shall stop.
    fn quit(&mut self) -> bool {
        let online = match self.answers.moderator.room() {
            Ok(room) if self.answers.is_terminal => room.users.len(),
            _ => 0,
        };
        match online {
            // Who only wants to leave may not know that this is another verb.
            0 if self.is_attached && self.answers.is_terminal => {
                self.say(texts::nobody_is_online());
            }
            0 => return self.stop(),
            1 => self.say(texts::one_is_online()),
            count => self.say(&texts::some_are_online(count)),
        }
        self.question = Some(Question::Quit);
        true
    }

    /// Says that the server stops, and returns false.
    fn stop(&mut self) -> bool {
        self.say(texts::stops());
        false
    }
}

/// That what was asked about is not done.
fn dropped(question: &Question) -> String {
    match question {
        Question::Ban(banned, _) => texts::is_not_banned(&banned.to_string()),
        Question::Forget(name) => texts::is_not_forgotten(name),
        Question::Quit => texts::goes_on().to_owned(),
    }
}

/// Whether a line says yes or no, if it says either, in English or in the language of the process.
fn yes_or_no(line: &str) -> Option<bool> {
    match line.trim().to_ascii_lowercase().as_str() {
        "yes" | "y" => Some(true),
        "no" | "n" => Some(false),
        word if word == texts::yes() => Some(true),
        word if word == texts::no() => Some(false),
        _ => None,
    }
}
