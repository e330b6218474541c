//! The words of the console's tables.

use super::texts;

texts! {
    // The headings of `who`. What a user is, and how it is connected, has none.

    name {
        en: "name",
        zh: "用户名",
    }
    address {
        en: "address",
        zh: "地址",
    }
    logged_in_since {
        en: "since",
        zh: "登录时间",
    }
    messages {
        en: "messages",
        zh: "消息数",
    }

    guest {
        en: "guest",
        zh: "游客",
    }
    registered {
        en: "registered",
        zh: "注册用户",
    }

    // Beside a ban.

    since(time: &str) {
        en: "since {time}",
        zh: "从 {time} 起",
    }
    until(time: &str) {
        en: "until {time}",
        zh: "到 {time} 为止",
    }
}
