//! What the console says of the lists of a class.

use std::path::Display;

use super::{Language, language, texts};

/// The heading of the table of who was there.
pub(crate) fn attendance_heading() -> [&'static str; 7] {
    match language() {
        Language::English => [
            "name", "", "address", "first in", "last out", "minutes", "messages",
        ],
        Language::Chinese => [
            "用户名",
            "",
            "地址",
            "最早登录",
            "最后离开",
            "在线分钟",
            "消息数",
        ],
    }
}

texts! {
    nobody_was_there {
        en: "Nobody has been online since the start.",
        zh: "启动以来没有人登录过。",
    }
    written(file: Display<'_>, count: usize) {
        en: "Who was there is written to {file}; names: {count}.",
        zh: "出勤记录已写入 {file}；共 {count} 个用户名。",
    }
    file_is_there(file: Display<'_>) {
        en: "There is a file {file} already; choose another name.",
        zh: "文件 {file} 已经存在；请换一个文件名。",
    }
    cannot_write(file: Display<'_>, error: &str) {
        en: "Cannot write {file}: {error}.",
        zh: "无法写入 {file}：{error}。",
    }
    cannot_read(file: Display<'_>, error: &str) {
        en: "Cannot read {file}: {error}.",
        zh: "无法读取 {file}：{error}。",
    }
    too_many(most: usize) {
        en: "The list has more than {most} names; split it.",
        zh: "名单超过 {most} 个用户名；请分成几份。",
    }
    /// Stands below the table.
    class_registered(count: usize, all: usize) {
        en: "{count} of {all} names are registered. The passwords are not shown again: hand them out now.",
        zh: "{all} 个用户名中注册了 {count} 个。密码不会再次显示：请现在就发给学生。",
    }
}
