//! What the teacher reads when the server has started.

use std::net::SocketAddr;
use std::path::Display;

use super::texts;
use crate::transport::PortKind;

/// What a port of this kind is called.
pub(crate) fn kind(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Plain => plain(),
        PortKind::Tls => "TLS",
        PortKind::Web => browser(),
    }
}

texts! {
    running(version: &str) {
        en: "chatd {version} is running. Students connect to:",
        zh: "chatd {version} 已启动。学生连接到：",
    }
    /// The kind of a port.
    plain {
        en: "plain",
        zh: "明文",
    }
    /// The kind of a port for browsers.
    browser {
        en: "browser",
        zh: "浏览器",
    }
    in_a_browser(address: SocketAddr) {
        en: "in a browser: http://{address}",
        zh: "用浏览器打开：http://{address}",
    }
    /// Above a code to be scanned.
    for_telephones(url: &str) {
        en: "For telephones, {url}:",
        zh: "手机扫描打开 {url}：",
    }
    port(number: u16) {
        en: "port {number}",
        zh: "端口 {number}",
    }
    /// Beside the address that students should be told.
    for_the_board {
        en: "<- write this one on the board",
        zh: "← 把这个地址写在黑板上",
    }
    self_assigned {
        en: "(no router has given it: is the cable in, the Wi-Fi on?)",
        zh: "（不是路由器分配的：网线插好了吗？Wi-Fi 连上了吗？）",
    }
    virtual_interface {
        en: "(virtual: students can hardly reach it)",
        zh: "（虚拟网卡：学生多半连不上）",
    }
    only_this_machine {
        en: "(this machine only)",
        zh: "（仅限本机）",
    }
    /// When the machine has other addresses than before.
    addresses_changed(addresses: &str) {
        en: "this machine's addresses have changed; students connect to {addresses} now (info shows it all)",
        zh: "本机的地址变了；学生现在要连接到 {addresses}（输入 info 查看全部）",
    }
    no_address {
        en: "this machine has no network any more; students can't reach it",
        zh: "本机已经没有网络；学生连不上",
    }
    fingerprint {
        en: "The certificate's SHA-256 fingerprint, for clients to compare:",
        zh: "证书的 SHA-256 指纹，供客户端核对：",
    }
    by_hand {
        en: "To try it by hand, on Linux and macOS:",
        zh: "手动试一试，在 Linux 和 macOS 上：",
    }
    by_hand_on_windows {
        en: "on Windows, in PowerShell:",
        zh: "在 Windows 的 PowerShell 里：",
    }
    /// Names the command elsewhere, too.
    by_python(other: &str) {
        en: "or with Python ({other}):",
        zh: "或者用 Python（{other}）：",
    }
    python_elsewhere {
        en: "elsewhere the command is python3, not py",
        zh: "在其他系统上命令是 python3，不是 py",
    }
    python_on_windows {
        en: "on Windows the command is py, not python3",
        zh: "在 Windows 上命令是 py，不是 python3",
    }
    then_type {
        en: "then type a line such as:",
        zh: "然后输入一行，例如：",
    }
    data_folder(folder: Display<'_>) {
        en: "Names, bans and the certificate are kept in {folder}",
        zh: "用户名、封禁名单和证书保存在 {folder}",
    }
    /// Of names and addresses, from earlier lessons too.
    one_ban {
        en: "1 ban holds; the command bans shows it",
        zh: "现有 1 条封禁；输入 bans 查看",
    }
    some_bans(count: usize) {
        en: "{count} bans hold; the command bans lists them",
        zh: "现有 {count} 条封禁；输入 bans 查看",
    }
    how_to_stop {
        en: "Stop with Ctrl-C; press it twice where commands can be typed.",
        zh: "按 Ctrl-C 停止；能输入命令时要按两次。",
    }
}
