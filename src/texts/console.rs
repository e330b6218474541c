//! What the teacher's console says.

use super::texts;

texts! {
    /// After Ctrl-D.
    how_to_stop {
        en: "Ctrl-D does not end the console. To stop the server, type quit, or press Ctrl-C twice.",
        zh: "Ctrl-D 不会关闭控制台。要停止服务器，请输入 quit，或者按两次 Ctrl-C。",
    }
    /// After the first Ctrl-C.
    press_again {
        en: "Press Ctrl-C again within two seconds to stop the server.",
        zh: "两秒内再按一次 Ctrl-C，服务器就会停止。",
    }
    stops {
        en: "The server stops.",
        zh: "服务器停止。",
    }
    one_is_online {
        en: "1 user is online. Stop the server? (yes/no)",
        zh: "有 1 位用户在线。要停止服务器吗？（yes/no）",
    }
    some_are_online(count: usize) {
        en: "{count} users are online. Stop the server? (yes/no)",
        zh: "有 {count} 位用户在线。要停止服务器吗？（yes/no）",
    }
    /// The answer was no.
    goes_on {
        en: "The server goes on.",
        zh: "服务器继续运行。",
    }
    /// The answer was another command, which is carried out next.
    neither_so_it_goes_on {
        en: "That was neither yes nor no: the server goes on.",
        zh: "这既不是 yes 也不是 no：服务器继续运行。",
    }
}
