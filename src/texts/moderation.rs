//! What users are told of the teacher's rules.

use super::texts;

texts! {
    /// Why a message to the room is refused. `pause` is the rule, `wait` what is left of it, both in words.
    slow(pause: &str, wait: &str) {
        en: "everybody may say one thing in {pause} now; try again in {wait}",
        zh: "现在每人每 {pause}只能说一句；请过 {wait}再试",
    }
    /// Why a private message is refused.
    private_off {
        en: "private messages are switched off: you can write to admin, your teacher, and to the room",
        zh: "私聊已关闭：你可以写给 admin（老师），也可以在聊天室里说",
    }
    /// What a user is told whose client the teacher watches.
    watched {
        en: "your teacher sees now what your client sends and receives, but for passwords",
        zh: "老师现在能看到你的客户端收发的内容（密码除外）",
    }
    watched_no_more {
        en: "your teacher no longer sees what your client sends and receives",
        zh: "老师不再查看你的客户端收发的内容",
    }
    /// What everybody is told while a transcript is written.
    recorded {
        en: "what is said in the room is written down now, with names; private messages are not",
        zh: "现在聊天室里说的话会连同用户名记录下来；私聊不会",
    }
    recorded_no_more {
        en: "what is said in the room is no longer written down",
        zh: "聊天室里说的话不再记录",
    }
    /// Why a message to the teacher is refused.
    teacher_is_busy {
        en: "your teacher has many messages to read; try again later",
        zh: "老师有很多消息要看；请稍后再试",
    }
}
