//! What the console says when a command was carried out.

use std::path::Display;

use super::texts;

texts! {
    /// What a user writes to the teacher.
    from_student(name: &str, text: &str) {
        en: "[{name} to you] {text}",
        zh: "［{name} 对你说］{text}",
    }
    told(name: &str) {
        en: "Said to {name}.",
        zh: "已对 {name} 说。",
    }
    slow(time: &str) {
        en: "Each user may say one thing to the room in {time}; slow off ends it.",
        zh: "现在每人每 {time} 只能在聊天室里说一句；输入 slow off 取消。",
    }
    slow_ended {
        en: "Everybody may write as often as before.",
        zh: "发言次数不再受限。",
    }
    private_off {
        en: "Users can write to the room and to admin, not to each other; private on ends it.",
        zh: "用户只能写到聊天室和写给 admin，不能互相私聊；输入 private on 取消。",
    }
    private_on {
        en: "Users can write to each other again.",
        zh: "用户又可以互相私聊了。",
    }
    recorded(file: Display<'_>) {
        en: "What is said in the room is written to {file} from now on; everybody was told. transcript off ends it.",
        zh: "从现在起，聊天室里说的话会写入 {file}；所有人都已得到通知。输入 transcript off 停止。",
    }
    recorded_no_more {
        en: "What is said is no longer written down; everybody was told.",
        zh: "不再记录聊天室里说的话；所有人都已得到通知。",
    }
    not_recorded {
        en: "Nothing was written down.",
        zh: "本来就没有记录。",
    }
    /// `count` are connected.
    watched(whom: &str, count: usize) {
        en: "What {whom} sends (->) and receives (<-) shows here from now on, passwords as dots; connected now: {count}. Who is logged in was told. unwatch ends it.",
        zh: "从现在起，{whom} 发送（->）和接收（<-）的内容会显示在这里，密码显示为点；现在连着的有 {count} 个。已登录的人已得到通知。输入 unwatch 停止。",
    }
    unwatched {
        en: "Nobody is watched any more.",
        zh: "不再查看任何人。",
    }
    nobody_watched {
        en: "Nobody was watched.",
        zh: "本来就没有查看任何人。",
    }
    /// Below the first bytes of many.
    cut(count: usize) {
        en: "... {count} bytes in all",
        zh: "…… 共 {count} 字节",
    }
    nobody_refused {
        en: "Nobody was refused lately.",
        zh: "最近没有人被拒绝。",
    }
    was_so_already {
        en: "It was so already.",
        zh: "本来就是这样。",
    }
    muted_for(name: &str, time: &str) {
        en: "{name} is muted for {time}; unmute {name} ends it earlier.",
        zh: "{name} 被禁言 {time}；输入 unmute {name} 提前解除。",
    }
    banned_until(whom: &str, time: &str) {
        en: "{whom} is banned until {time}.",
        zh: "{whom} 被封禁到 {time}。",
    }
    all_unbanned(count: usize) {
        en: "Nobody is banned any more; {count} bans were lifted.",
        zh: "已解除全部 {count} 个封禁。",
    }
    /// Beside a name, in a list.
    until(time: &str) {
        en: "until {time}",
        zh: "到 {time} 为止",
    }
}
