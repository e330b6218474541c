//! What has happened, in numbers: for `stats` in the console, and for the log, every hour.

use bytesize::ByteSize;

use super::texts;

texts! {
    /// `online`, `logins` and `messages` are the counts below, `ends` lists why connections have ended.
    numbers(online: &str, logins: &str, messages: &str, received: ByteSize, sent: ByteSize, ends: &str) {
        en: "{online} online now; {logins}, {messages}, {received} received, {sent} sent; connections ended: {ends}",
        zh: "现在有 {online}在线；{logins}，{messages}，收到 {received}，发出 {sent}；结束的连接：{ends}",
    }
    one_user {
        en: "1 user",
        zh: "1 人",
    }
    users(count: u64) {
        en: "{count} users",
        zh: "{count} 人",
    }
    one_login {
        en: "1 login",
        zh: "登录 1 次",
    }
    logins(count: u64) {
        en: "{count} logins",
        zh: "登录 {count} 次",
    }
    one_message {
        en: "1 message",
        zh: "消息 1 条",
    }
    messages(count: u64) {
        en: "{count} messages",
        zh: "消息 {count} 条",
    }
    /// How many connections have ended for one reason.
    ended(count: u64, why: &str) {
        en: "{count} {why}",
        zh: "{why} {count} 个",
    }
    /// Between two of those.
    comma {
        en: ", ",
        zh: "，",
    }
    none_ended {
        en: "none",
        zh: "没有",
    }

    // Why connections end.

    logged_out {
        en: "logged out",
        zh: "已登出",
    }
    closed_by_client {
        en: "closed by the client",
        zh: "由客户端关闭",
    }
    connection_lost {
        en: "connection lost",
        zh: "连接中断",
    }
    unresponsive {
        en: "no sign of life",
        zh: "没有回应",
    }
    slow_consumer {
        en: "too slow a reader",
        zh: "读得太慢",
    }
    bad_input {
        en: "bad input",
        zh: "内容有误",
    }
    other_protocol {
        en: "another protocol",
        zh: "用了别的协议",
    }
    http_answered {
        en: "HTTP answered",
        zh: "已答复 HTTP 请求",
    }
    handshake_failed {
        en: "no TLS handshake",
        zh: "TLS 握手失败",
    }
    login_timeout {
        en: "no login in time",
        zh: "没有及时登录",
    }
    wrong_passwords {
        en: "too many wrong passwords",
        zh: "输错密码太多次",
    }
    rejected {
        en: "refused",
        zh: "被拒绝",
    }
    made_room {
        en: "made room for another",
        zh: "给别人让位",
    }
    kicked {
        en: "kicked",
        zh: "被踢出",
    }
    banned {
        en: "banned",
        zh: "被封禁",
    }
    server_stopping {
        en: "the server stops",
        zh: "服务器停止",
    }
    internal_error {
        en: "internal error",
        zh: "服务器自己出错",
    }
}
