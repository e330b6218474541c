//! What `chatd console` says by itself; the rest comes from the server.

use std::io;
use std::path::Display;

use super::texts;

texts! {
    no_server(folder: Display<'_>) {
        en: "no chatd runs with the data folder {folder}; name the server's folder with --data-dir",
        zh: "没有使用数据文件夹 {folder} 的 chatd 在运行；请用 --data-dir 指明服务器的数据文件夹",
    }
    not_allowed(folder: Display<'_>) {
        en: "the server with the data folder {folder} is another user's; only that user, or root (sudo), can use its console",
        zh: "使用数据文件夹 {folder} 的服务器属于另一个用户；只有那个用户或 root（sudo）才能使用它的控制台",
    }
    no_sockets {
        en: "this works on Linux and macOS; on Windows the console is chatd's own window",
        zh: "这个功能用于 Linux 和 macOS；在 Windows 上，控制台就是 chatd 自己的窗口",
    }
    socket_fails(path: Display<'_>, error: &io::Error) {
        en: "cannot connect to {path}: {error}",
        zh: "无法连接 {path}：{error}",
    }
    ended {
        en: "the server has ended",
        zh: "服务器已经结束",
    }
    lost(error: &io::Error) {
        en: "the connection to the server has failed: {error}",
        zh: "与服务器的连接出错：{error}",
    }
    input_fails(error: &io::Error) {
        en: "the input has failed: {error}",
        zh: "读取输入失败：{error}",
    }
}
