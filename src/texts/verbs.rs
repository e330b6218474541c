//! What the console says when a command was carried out.

use std::net::IpAddr;
use std::path::Display;

use super::texts;

texts! {
    // Who is there, and what rules hold.

    nobody_online {
        en: "Nobody is online.",
        zh: "没有人在线。",
    }
    muted_by_name(names: &str) {
        en: "Muted by name: {names}.",
        zh: "单独禁言的有：{names}。",
    }
    /// In a list of names that are muted.
    name_until(name: &str, time: &str) {
        en: "{name} (until {time})",
        zh: "{name}（到 {time} 为止）",
    }
    /// Of all users.
    everybody_is_muted {
        en: "Everybody is muted.",
        zh: "现在全体禁言。",
    }
    is_locked {
        en: "Locked: nobody new can log in.",
        zh: "已锁定：新人不能登录。",
    }
    nobody_refused {
        en: "Nobody was refused lately.",
        zh: "最近没有人被拒绝。",
    }
    nobody_banned {
        en: "Nobody is banned.",
        zh: "没有人被封禁。",
    }
    numbers_since(time: &str, numbers: &str) {
        en: "Since {time}: {numbers}.",
        zh: "从 {time} 起：{numbers}。",
    }

    // Words.

    /// What a user writes to the teacher.
    from_student(name: &str, text: &str) {
        en: "[{name} to you] {text}",
        zh: "［{name} 对你说］{text}",
    }
    said {
        en: "Said to everybody.",
        zh: "已对大家说。",
    }
    told(name: &str) {
        en: "Said to {name}.",
        zh: "已对 {name} 说。",
    }

    // Rules.

    was_so_already {
        en: "It was so already.",
        zh: "本来就是这样。",
    }
    /// `time` is told by [`times::in_words`](super::times::in_words).
    slow(time: &str) {
        en: "Each user may say one thing to the room in {time}; slow off ends it.",
        zh: "现在每人每 {time}只能在聊天室里说一句；输入 slow off 取消。",
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
    locked {
        en: "Nobody new can log in; who is online stays. unlock ends it.",
        zh: "新人不能登录；已经在线的人不受影响。输入 unlock 解除。",
    }
    was_locked_already {
        en: "It was locked already.",
        zh: "本来就已锁定。",
    }
    unlocked {
        en: "Everybody can log in again.",
        zh: "大家又可以登录了。",
    }
    was_not_locked {
        en: "It was not locked.",
        zh: "本来就没有锁定。",
    }

    // What is written down, or shown.

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

    // Who is muted.

    everybody_muted {
        en: "Everybody is muted. They can read, but not write; unmute all ends it.",
        zh: "已全体禁言：大家只能看，不能说；输入 unmute all 解除。",
    }
    everybody_was_muted_already {
        en: "Everybody was muted already.",
        zh: "本来就是全体禁言。",
    }
    everybody_unmuted {
        en: "Everybody may write again.",
        zh: "大家又可以说话了。",
    }
    everybody_unmuted_but(names: &str) {
        en: "Everybody may write again, but these are muted by name: {names}.",
        zh: "大家又可以说话了，但仍有单独禁言的：{names}。",
    }
    everybody_was_not_muted {
        en: "Everybody was not muted.",
        zh: "本来就没有全体禁言。",
    }
    everybody_was_not_muted_but(names: &str) {
        en: "Everybody was not muted, but these are muted by name: {names}.",
        zh: "本来就没有全体禁言，但有单独禁言的：{names}。",
    }
    muted(name: &str) {
        en: "{name} is muted; unmute {name} ends it.",
        zh: "{name} 已被禁言；输入 unmute {name} 解除。",
    }
    /// `time` is told by [`times::in_words`](super::times::in_words).
    muted_for(name: &str, time: &str) {
        en: "{name} is muted for {time}; unmute {name} ends it earlier.",
        zh: "{name} 被禁言 {time}；输入 unmute {name} 提前解除。",
    }
    was_muted_already(name: &str) {
        en: "{name} was muted already.",
        zh: "{name} 本来就已被禁言。",
    }
    /// After it was said that nobody of the name is online.
    muted_when_it_comes {
        en: "A user who comes by this name is muted.",
        zh: "以后用这个用户名登录的人会被禁言。",
    }
    unmuted(name: &str) {
        en: "{name} may write again.",
        zh: "{name} 又可以说话了。",
    }
    unmuted_but_everybody_is_muted(name: &str) {
        en: "{name} is no longer muted by name, but everybody is muted; unmute all ends that.",
        zh: "已解除对 {name} 的单独禁言，但现在全体禁言；输入 unmute all 解除。",
    }
    was_not_muted(name: &str) {
        en: "{name} was not muted.",
        zh: "{name} 本来就没有被禁言。",
    }
    was_not_muted_but_everybody_is(name: &str) {
        en: "{name} was not muted by name, but everybody is muted; unmute all ends that.",
        zh: "{name} 本来就没有被单独禁言，但现在全体禁言；输入 unmute all 解除。",
    }

    // Who has to leave, and stays out.

    kicked(name: &str) {
        en: "{name} is kicked, but may come back; ban {name} would prevent that.",
        zh: "已踢出 {name}，但此人还可以再来；要阻止，请输入 ban {name}。",
    }
    banned(whom: &str) {
        en: "{whom} is banned.",
        zh: "{whom} 已被封禁。",
    }
    banned_until(whom: &str, time: &str) {
        en: "{whom} is banned until {time}.",
        zh: "{whom} 被封禁到 {time}。",
    }
    was_banned_already(whom: &str) {
        en: "{whom} was banned already.",
        zh: "{whom} 本来就已被封禁。",
    }
    /// Because of a ban of the name, on this machine itself.
    kicked_for_name(name: &str) {
        en: "{name} is kicked, and may come back by another name.",
        zh: "已踢出 {name}，但此人可以换一个用户名再来。",
    }
    kicked_for_name_from(name: &str, address: IpAddr) {
        en: "{name} is kicked, and may come back by another name; ban {address} would make that harder.",
        zh: "已踢出 {name}，但此人可以换一个用户名再来；输入 ban {address} 可以增加难度。",
    }
    /// Because of a ban of the address.
    one_kicked(name: &str) {
        en: "{name} is kicked.",
        zh: "已踢出 {name}。",
    }
    some_kicked(names: &str) {
        en: "{names} are kicked.",
        zh: "已踢出 {names}。",
    }
    unbanned(whom: &str) {
        en: "{whom} is no longer banned.",
        zh: "已解除对 {whom} 的封禁。",
    }
    all_unbanned(count: usize) {
        en: "Nobody is banned any more; {count} bans were lifted.",
        zh: "已解除全部 {count} 个封禁。",
    }
    /// After it was said that a ban was made or lifted.
    not_on_disk(error: &str) {
        en: "But this could not be written to the data folder, so it ends with the server: {error}.",
        zh: "但是没能写进数据文件夹，所以服务器停止后就不再有效：{error}。",
    }

    // Accounts.

    forgotten(name: &str) {
        en: "The account {name} is removed; the name can be registered anew.",
        zh: "账号 {name} 已删除；这个用户名可以重新注册。",
    }
    forgotten_but_online(name: &str) {
        en: "The account {name} is removed. {name} is online and stays so; nobody else can register the name meanwhile.",
        zh: "账号 {name} 已删除。{name} 在线，也不会掉线；这期间别人不能注册这个用户名。",
    }
}
