//! Why a client is refused something, and why its connection ends: the `Message` of 10, and of 11, 12 and 14 with `Flag` 0
//! (protocol, section 8). What is wrong with bytes and with JSON is told in [`framing_errors`](super::framing_errors) and
//! in [`syntax_errors`](super::syntax_errors).

use std::io;

use super::texts;

texts! {
    // Fields of commands.

    name_missing {
        en: "Name is missing or not a string",
        zh: "缺少 Name，或者它不是字符串",
    }
    friend_name_missing {
        en: "FriendName is missing or not a string",
        zh: "缺少 FriendName，或者它不是字符串",
    }
    password_missing {
        en: "Password is missing or not a string",
        zh: "缺少 Password，或者它不是字符串",
    }
    password_no_string {
        en: "Password is not a string",
        zh: "Password 不是字符串",
    }
    message_missing {
        en: "Message is missing or not a string",
        zh: "缺少 Message，或者它不是字符串",
    }
    command_missing {
        en: "the message has no Command",
        zh: "消息里没有 Command",
    }
    command_unknown {
        en: "unknown Command; clients send 01 to 05",
        zh: "未知的 Command；客户端发送的是 01 到 05",
    }
    /// `wrong` is a character. `alphabet` tells where it comes from if it looks like one that is allowed; else it is empty.
    name_characters(place: &str, wrong: &str, alphabet: &str) {
        en: "a name has only the letters A-Z and a-z and the digits 0-9; this one has {wrong}{alphabet}{place}",
        zh: "用户名只能由字母 A-Z、a-z 和数字 0-9 组成；这个用户名{place}有{wrong}{alphabet}",
    }
    greek {
        en: ", a Greek character",
        zh: "，它是希腊字母",
    }
    cyrillic {
        en: ", a Cyrillic character",
        zh: "，它是西里尔字母",
    }
    full_width {
        en: ", a full-width character",
        zh: "，它是全角字符",
    }
    at_start_of_name {
        en: " at its start",
        zh: "的开头",
    }
    in_name {
        en: "",
        zh: "里",
    }
    at_end_of_name {
        en: " at its end",
        zh: "的末尾",
    }
    name_length {
        en: "a name is 4 to 64 characters long",
        zh: "用户名要有 4 到 64 个字符",
    }
    name_reserved {
        en: "this name is reserved; choose another",
        zh: "这个用户名是保留字；请换一个",
    }
    password_characters {
        en: "a password has only the letters A-Z and a-z and the digits 0-9",
        zh: "密码只能由字母 A-Z、a-z 和数字 0-9 组成",
    }
    password_length {
        en: "a password is 1 to 128 characters long",
        zh: "密码要有 1 到 128 个字符",
    }

    // Login.

    logged_in_already(name: &str) {
        en: "you are logged in already, as {name}",
        zh: "你已经登录，用户名是 {name}",
    }
    name_in_use {
        en: "this name is in use; if that was you, try again in half a minute",
        zh: "这个用户名正在使用；如果那就是你自己，请过半分钟再试",
    }
    /// Whether the name or the password is wrong.
    wrong_password {
        en: "no such name and password; register first, or leave the password empty",
        zh: "没有这样的用户名和密码；请先注册，或者不要填密码",
    }
    too_many_wrong_passwords {
        en: "too many wrong passwords",
        zh: "输错密码的次数太多",
    }
    /// To a guest.
    name_registered {
        en: "this name is registered; log in with its password, or choose another name",
        zh: "这个用户名已被注册；请用它的密码登录，或者换一个用户名",
    }
    /// Too many passwords are to be hashed.
    busy {
        en: "the server is checking many passwords right now; try again in a moment",
        zh: "服务器正在核对许多密码；请稍后再试",
    }
    internal {
        en: "the server failed at this; ask your teacher to look at its log",
        zh: "服务器自己出了错；请老师看一下它的日志",
    }
    connection_ends {
        en: "your connection ends",
        zh: "你的连接即将结束",
    }

    // Registration.

    registration_off {
        en: "registration is switched off on this server",
        zh: "这个服务器关闭了注册",
    }
    name_registered_already {
        en: "this name is registered already",
        zh: "这个用户名已被注册",
    }
    name_used_by_guest {
        en: "a guest is using this name now",
        zh: "有游客正在使用这个用户名",
    }
    name_being_registered {
        en: "somebody else is registering this name right now",
        zh: "另外有人正在注册这个用户名",
    }
    accounts_not_saved(error: &io::Error) {
        en: "the server cannot save accounts now: {error}",
        zh: "服务器现在无法保存账号：{error}",
    }
    registrations_used_up(limit: usize) {
        en: "one connection can register {limit} names",
        zh: "一个连接最多可以注册 {limit} 个用户名",
    }

    // What an address has done too often.

    many_logins(time: &str) {
        en: "many logins come from your address; try again in {time}",
        zh: "来自你所用地址的登录太多；请过 {time}再试",
    }
    many_wrong_passwords(time: &str) {
        en: "many wrong passwords came from your address; try again in {time}",
        zh: "你所用的地址输错密码的次数太多；请过 {time}再试",
    }
    many_registrations(time: &str) {
        en: "many names were registered from your address; try again in {time}",
        zh: "你所用的地址注册的用户名太多；请过 {time}再试",
    }
    seconds(count: u64) {
        en: "{count} seconds",
        zh: "{count} 秒",
    }
    minutes(count: u64) {
        en: "{count} minutes",
        zh: "{count} 分钟",
    }

    // Messages.

    log_in_to_speak {
        en: "log in before you speak",
        zh: "要先登录，才能说话",
    }
    log_in_to_write {
        en: "log in before you write to somebody",
        zh: "要先登录，才能给别人发消息",
    }
    /// The sender's name is added to it, and what ends a line for some readers is escaped.
    message_too_long {
        en: "the message is too long to be passed on with your name in one line; send it in parts",
        zh: "消息太长，加上你的用户名之后一行放不下；请分成几条发送",
    }
    not_online {
        en: "no user of this name is online",
        zh: "这个用户不在线",
    }
    /// Because it is no name.
    no_name(not_online: &str, why: &str) {
        en: "{not_online}: {why}",
        zh: "{not_online}：{why}",
    }
    friend_name_not_repeated(why: &str) {
        en: "{why} (this FriendName is too long to be repeated)",
        zh: "{why}（这个 FriendName 太长，这里不再重复）",
    }
    not_delivered {
        en: "the message was not delivered",
        zh: "消息没有送达",
    }
    friend_gone {
        en: "the connection of this user ended before the message could be sent",
        zh: "消息还没有发出，对方的连接就结束了",
    }
    not_delivered_in_time {
        en: "your connection ended before the message could be delivered",
        zh: "消息还没有送达，你的连接就结束了",
    }

    // The teacher's doing.

    muted {
        en: "you are muted: for now you can read, but not write",
        zh: "你已被禁言：现在只能看，不能说",
    }
    locked {
        en: "the server is locked: nobody new can log in now; ask your teacher",
        zh: "服务器已锁定：现在谁也不能登录；请去问老师",
    }
    banned {
        en: "you are banned from this server; ask your teacher",
        zh: "你已被这个服务器封禁；请去问老师",
    }
    /// Without a reason that the teacher gives.
    kicked {
        en: "your teacher has ended your connection",
        zh: "老师结束了你的连接",
    }
    server_stops {
        en: "the server stops",
        zh: "服务器停止运行",
    }

    // Limits on connections.

    server_full(limit: usize) {
        en: "the server is full: it takes {limit} connections; try again later",
        zh: "服务器已满：它最多接受 {limit} 个连接；请稍后再试",
    }
    address_full(limit: usize) {
        en: "the server takes {limit} connections from one address, and yours has as many",
        zh: "服务器最多接受来自同一地址的 {limit} 个连接，你所用的地址已经有这么多",
    }
    no_descriptor_left {
        en: "the server has no file descriptor left; try again later",
        zh: "服务器的文件描述符已经用完；请稍后再试",
    }
    no_thread_left {
        en: "the server has no thread left; try again later",
        zh: "服务器的线程已经用完；请稍后再试",
    }
    making_room {
        en: "the server is full, and you have not logged in; connect again when you are ready to log in at once",
        zh: "服务器已满，而你还没有登录；等到可以马上登录时，请再连接",
    }
    /// `timeout` has a unit, as in the settings.
    no_login_in_time(timeout: &str) {
        en: "no login came within {timeout}",
        zh: "没有在 {timeout} 之内登录",
    }

    // A message that does not end.

    /// `heartbeat` has a unit, as in the settings.
    unfinished(heartbeat: &str, guess: &str) {
        en: "a message began {heartbeat} ago and has not ended; all that comes is taken for a part of it; {guess}",
        zh: "一条消息开始之后，过了 {heartbeat} 还没有结束；此后到来的内容都算作它的一部分；{guess}",
    }
    closed_inside_message(guess: &str) {
        en: "the connection was closed in the middle of a message; {guess}",
        zh: "一条消息还没有结束，连接就关闭了；{guess}",
    }
}
