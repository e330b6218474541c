//! What the teacher's actions do to the room.

use super::moderation::{ModeratorAction, Rule, RuleChange};
use super::room::Room;
use super::session::Session;
use crate::sync::Arc;
use crate::texts::moderation as texts;
use crate::wire::{NameKey, ServerMessage};

impl Room {
    /// Does what the teacher wants. A teacher who does not wait for the reply any more has no use for it.
    pub(super) fn moderate(&mut self, action: ModeratorAction) {
        match action {
            ModeratorAction::Say(_) if self.is_stopping => {}
            ModeratorAction::Say(line) => self.say(&line),
            ModeratorAction::Tell { name, line, reply } => {
                let member = self.roster.flush_member(&name);
                let told = member.map(|member| {
                    member.connection().push(&line.into(), 0, None);
                    member.name().to_owned()
                });
                let _ = reply.send(told);
            }
            ModeratorAction::Record { transcript, reply } => {
                let is_on = transcript.is_some();
                let was_on = std::mem::replace(&mut self.transcript, transcript).is_some();
                if is_on != was_on {
                    // What was said before comes before.
                    self.roster.flush(usize::MAX);
                    let notice = ServerMessage::notice(match is_on {
                        true => texts::recorded(),
                        false => texts::recorded_no_more(),
                    });
                    for member in self.roster.members() {
                        member.connection().send(&notice);
                    }
                }
                let _ = reply.send(was_on);
            }
            ModeratorAction::Look { reply } => {
                let online = self.roster.members().cloned().collect();
                let _ = reply.send((online, self.rules.clone()));
            }
            ModeratorAction::SetRule { rule, is_on, reply } => {
                let _ = reply.send(self.set_rule(rule, is_on));
            }
            ModeratorAction::Expel { whom, cause, reply } => {
                let members = self.roster.members();
                let expelled: Vec<Arc<Session>> = members
                    .filter(|member| whom.includes(member))
                    .cloned()
                    .collect();
                for session in &expelled {
                    self.roster.leave(session);
                    session.connection().drain_from_outside(cause.clone());
                }
                let _ = reply.send(expelled);
            }
            ModeratorAction::Forget { name, reply } => {
                match self.roster.member(&name) {
                    // A member without a claim to the name had it by the account.
                    Some((member, claim @ None)) => {
                        let number = member.connection().number();
                        *claim = self.accounts.release(&name, Some(number));
                    }
                    _ => drop(self.accounts.release(&name, None)),
                }
                let _ = reply.send(self.roster.contains(&name));
            }
        }
    }

    fn set_rule(&mut self, mut rule: Rule, is_on: bool) -> RuleChange {
        let mut is_online = false;
        if let Rule::Muted(name, _) = &mut rule
            && let Some((member, _)) = self.roster.member(&NameKey::new(name))
        {
            member.name().clone_into(name);
            is_online = true;
        }
        let has_changed = self.rules.set(&rule, is_on);
        for member in self.roster.members() {
            member.obey(&self.rules);
        }
        RuleChange {
            has_changed,
            name: match rule {
                Rule::Muted(name, _) => name,
                _ => String::new(),
            },
            is_online,
            is_everybody_muted: self.rules.is_everybody_muted(),
        }
    }
}
