//! What the teacher's console says of itself, and what it asks.

use std::net::IpAddr;

use super::texts;

texts! {
    /// The first that it says.
    welcome {
        en: "Type help and Enter to see what you can do here.",
        zh: "输入 help 再按回车键，可以看到这里能做什么。",
    }
    /// The first that it says to another program's terminal.
    welcome_attached {
        en: "This is the server's console. Type help and Enter to see what you can do here; Ctrl-D leaves it, and the server goes on.",
        zh: "这是服务器的控制台。输入 help 再按回车键，可以看到这里能做什么；按 Ctrl-D 离开，服务器继续运行。",
    }
    /// After Ctrl-C there.
    how_to_leave {
        en: "Ctrl-D leaves this console, and the server goes on. To stop the server, type quit.",
        zh: "按 Ctrl-D 离开这个控制台，服务器继续运行。要停止服务器，请输入 quit。",
    }
    left {
        en: "You have left the console. The server goes on.",
        zh: "你已离开控制台。服务器继续运行。",
    }
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

    // Questions. In English and in Chinese, they can also be answered in English.

    yes {
        en: "yes",
        zh: "是",
    }
    no {
        en: "no",
        zh: "否",
    }
    nobody_is_online {
        en: "Nobody is online. Stop the server, not only this console? (yes/no)",
        zh: "没有人在线。要停止服务器，而不只是离开控制台吗？（是/否，或 yes/no）",
    }
    one_is_online {
        en: "1 user is online. Stop the server? (yes/no)",
        zh: "有 1 位用户在线。要停止服务器吗？（是/否，或 yes/no）",
    }
    some_are_online(count: usize) {
        en: "{count} users are online. Stop the server? (yes/no)",
        zh: "有 {count} 位用户在线。要停止服务器吗？（是/否，或 yes/no）",
    }
    address_is_shared(address: IpAddr, names: &str) {
        en: "{names} use {address}. Ban it all the same? (yes/no)",
        zh: "{names} 都在使用 {address}。仍然要封禁它吗？（是/否，或 yes/no）",
    }
    forget(name: &str) {
        en: "Remove the account {name}? Its password is lost for good, and anybody can register the name anew. (yes/no)",
        zh: "要删除账号 {name} 吗？它的密码将无法恢复，任何人都可以重新注册这个用户名。（是/否，或 yes/no）",
    }
    /// The answer was no.
    goes_on {
        en: "The server goes on.",
        zh: "服务器继续运行。",
    }
    is_not_banned(whom: &str) {
        en: "{whom} is not banned.",
        zh: "{whom} 没有被封禁。",
    }
    is_not_forgotten(name: &str) {
        en: "The account {name} stays.",
        zh: "账号 {name} 保留不变。",
    }
    /// The answer was another command, which is carried out next. `outcome` is a sentence.
    neither(outcome: &str) {
        en: "That was neither yes nor no. {outcome}",
        zh: "这既不是“是”也不是“否”。{outcome}",
    }

    // What is added to a sentence.

    /// `name` is online, and like the one that was typed.
    did_you_mean(name: &str) {
        en: "Did you mean {name}?",
        zh: "是不是 {name}？",
    }
    full_stop {
        en: ".",
        zh: "。",
    }
}
