//! Why the server can't start, and what to do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Display;

use openssl::error::ErrorStack;

use super::texts;

texts! {
    // Addresses and ports. `flag` is the option that chooses the port.

    port_in_use(address: SocketAddr, flag: &str) {
        en: "cannot listen on {address}: another program, perhaps another chatd, uses this port; stop it or choose another port with {flag}",
        zh: "无法监听 {address}：另一个程序（也许是另一个 chatd）正在使用这个端口；请停止它，或者用 {flag} 换一个端口",
    }
    /// `last` is the last port that needs privileges.
    port_is_privileged(address: SocketAddr, last: u16, flag: &str) {
        en: "cannot listen on {address}: the system does not permit it; choose a port above {last} with {flag}",
        zh: "无法监听 {address}：系统不允许；请用 {flag} 选一个大于 {last} 的端口",
    }
    port_is_forbidden(address: SocketAddr, flag: &str) {
        en: "cannot listen on {address}: the system keeps this port from chatd, perhaps by a policy such as SELinux; choose another port with {flag}",
        zh: "无法监听 {address}：系统不让 chatd 使用这个端口，也许是因为 SELinux 之类的策略；请用 {flag} 换一个端口",
    }
    port_is_reserved_by_windows(address: SocketAddr, flag: &str) {
        en: "cannot listen on {address}: the system keeps this port from chatd, perhaps as one of those that Windows reserves (netsh int ipv4 show excludedportrange tcp); choose another port with {flag}",
        zh: "无法监听 {address}：系统不让 chatd 使用这个端口，也许它是 Windows 保留的端口之一（netsh int ipv4 show excludedportrange tcp）；请用 {flag} 换一个端口",
    }
    cannot_listen(address: SocketAddr, error: &io::Error, flag: &str) {
        en: "cannot listen on {address}: {error}; choose another address with --bind or another port with {flag}",
        zh: "无法监听 {address}：{error}；请用 --bind 换一个地址，或者用 {flag} 换一个端口",
    }
    no_such_address(address: IpAddr, own: &str) {
        en: "cannot listen on {address}: this machine has no such address, but {own}; choose one of these with --bind, or leave --bind out",
        zh: "无法监听 {address}：本机没有这个地址，有的是 {own}；请用 --bind 选其中一个，或者不用 --bind",
    }

    // The data folder.

    data_folder(folder: Display<'_>, error: &io::Error) {
        en: "cannot write to the data folder {folder}: {error}",
        zh: "无法写入数据文件夹 {folder}：{error}",
    }
    no_lock_file(file: Display<'_>, what: &str) {
        en: "{file} is {what}, not a lock file",
        zh: "{file} 是{what}，不是锁文件",
    }
    cannot_lock(folder: Display<'_>, error: &io::Error) {
        en: "cannot lock the data folder {folder} against a second chatd: {error}; locking fails on some network drives",
        zh: "无法锁住数据文件夹 {folder} 以防第二个 chatd 使用：{error}；有些网络驱动器不能加锁",
    }
    data_folder_in_use(folder: Display<'_>) {
        en: "another chatd is using the data folder {folder}",
        zh: "另一个 chatd 正在使用数据文件夹 {folder}",
    }

    // What stands in the place of a regular file.

    named_pipe {
        en: "a named pipe",
        zh: "命名管道",
    }
    socket {
        en: "a socket",
        zh: "套接字",
    }
    device {
        en: "a device",
        zh: "设备",
    }
    folder {
        en: "a folder",
        zh: "文件夹",
    }
    symbolic_link {
        en: "a symbolic link",
        zh: "符号链接",
    }
    no_regular_file {
        en: "no regular file",
        zh: "非普通文件",
    }
    put_a_file_there(what: &str) {
        en: "it is {what}; put a regular file in its place",
        zh: "这里是{what}；请换成普通文件",
    }

    // Files.

    accounts(file: Display<'_>, error: &io::Error) {
        en: "cannot use the accounts file {file}: {error}",
        zh: "无法使用账号文件 {file}：{error}",
    }
    account_damaged(file: Display<'_>, line: usize, what: &str) {
        en: "line {line} of the accounts file {file} is damaged: {what}; mend or delete this line with a text editor",
        zh: "账号文件 {file} 的第 {line} 行已损坏：{what}；请用文本编辑器修好或删去这一行",
    }
    bans(file: Display<'_>, error: &io::Error) {
        en: "cannot use the file of bans {file}: {error}",
        zh: "无法使用封禁文件 {file}：{error}",
    }
    bans_damaged(file: Display<'_>, what: &str) {
        en: "the file of bans {file} is damaged: {what}; mend it with a text editor, or delete it to ban nobody",
        zh: "封禁文件 {file} 已损坏：{what}；请用文本编辑器修好，或者删除它，那样就没有人被封禁",
    }
    ban_of_neither {
        en: "a ban is of one name or of one address",
        zh: "一个封禁要么是一个用户名，要么是一个地址",
    }
    ban_without_end(until: &str) {
        en: "{until} is no time; write it like 2026-01-31T15:04:05Z",
        zh: "{until} 不是时间；要写成 2026-01-31T15:04:05Z 这样",
    }
    transcript(file: Display<'_>, error: &io::Error) {
        en: "cannot write the transcript {file}: {error}; choose another file with --transcript",
        zh: "无法写入聊天记录 {file}：{error}；请用 --transcript 换一个文件",
    }
    log(file: Display<'_>, error: &io::Error) {
        en: "cannot open the log file {file}: {error}; choose another with --log",
        zh: "无法打开日志文件 {file}：{error}；请用 --log 换一个",
    }

    // The certificate.

    cannot_read(file: Display<'_>, error: &io::Error) {
        en: "cannot read {file}: {error}",
        zh: "无法读取 {file}：{error}",
    }
    cannot_write(file: Display<'_>, error: &io::Error) {
        en: "cannot write {file}: {error}",
        zh: "无法写入 {file}：{error}",
    }
    no_pem(file: Display<'_>, what: &str) {
        en: "{file} does not hold {what} in PEM form",
        zh: "{file} 里没有{what}（PEM 格式）",
    }
    swapped(file: Display<'_>, found: &str, expected: &str) {
        en: "{file} holds {found} where {expected} should be; were the two files swapped?",
        zh: "{file} 里应该是{expected}，却是{found}；两个文件是不是弄反了？",
    }
    certificate {
        en: "a certificate",
        zh: "证书",
    }
    key {
        en: "a private key",
        zh: "私钥",
    }
    key_without_passphrase {
        en: "a private key without a passphrase",
        zh: "没有口令的私钥",
    }
    not_a_pair(key: Display<'_>, certificate: Display<'_>) {
        en: "the key in {key} does not belong to the certificate in {certificate}; give the two files of one pair",
        zh: "{key} 里的私钥与 {certificate} 里的证书不匹配；请给出成对的两个文件",
    }
    key_gone(certificate: Display<'_>, key: Display<'_>) {
        en: "{certificate} is there, but its key {key} is not; bring the key back, or delete the certificate to have a new pair made",
        zh: "{certificate} 还在，但它的私钥 {key} 不见了；请把私钥放回来，或者删除证书，重新生成一对",
    }
    tls(error: &ErrorStack) {
        en: "cannot set up TLS: {error}",
        zh: "无法设置 TLS：{error}",
    }
    not_the_first(file: Display<'_>, number: usize) {
        en: "the server's own certificate, to which the key belongs, is number {number} in {file}; it must be the first, and each of the others must come before the one that signed it",
        zh: "服务器自己的证书（与私钥匹配的那个）是 {file} 里的第 {number} 个；它必须排在第一，其他每个都要排在为它签名的那个之前",
    }
    short_rsa_key(file: Display<'_>, number: usize, bits: u32, smallest: u32) {
        en: "certificate number {number} in {file} has an RSA key of {bits} bits, which clients refuse; have one made with {smallest} bits or more",
        zh: "{file} 里的第 {number} 个证书用的是 {bits} 位的 RSA 密钥，客户端会拒绝；请换成至少 {smallest} 位的",
    }
    dsa_key(file: Display<'_>) {
        en: "the certificate in {file} has a DSA key, which clients refuse; have one made with a key on the curve P-256",
        zh: "{file} 里的证书用的是 DSA 密钥，客户端会拒绝；请换成使用 P-256 曲线的",
    }
    odd_curve(file: Display<'_>, curve: &str) {
        en: "the certificate in {file} has a key on the curve {curve}, which clients refuse; have one made with a key on the curve P-256",
        zh: "{file} 里的证书用的是曲线 {curve} 上的密钥，客户端会拒绝；请换成使用 P-256 曲线的",
    }
    curve_without_name {
        en: "without a name",
        zh: "（没有名称）",
    }

    // The system.

    no_thread(error: &io::Error) {
        en: "the system gives no thread: {error}",
        zh: "系统不给线程：{error}",
    }
    no_room(advice: &str) {
        en: "this machine lets the process hold no connection; {advice}",
        zh: "这台机器一个连接也容纳不下；{advice}",
    }

    // What helps, added to one of these sentences.

    with_advice(sentence: &str, advice: &str) {
        en: "{sentence}; {advice}",
        zh: "{sentence}；{advice}",
    }
    make_room {
        en: "the disk or the quota is full, so make room there or choose another data folder with --data-dir",
        zh: "磁盘或者配额已满，请腾出空间，或者用 --data-dir 换一个数据文件夹",
    }
    choose_folder {
        en: "choose another data folder with --data-dir",
        zh: "请用 --data-dir 换一个数据文件夹",
    }
    delete_lock_file {
        en: "delete it, or choose another data folder with --data-dir",
        zh: "请删除它，或者用 --data-dir 换一个数据文件夹",
    }
    stop_the_other {
        en: "stop it or choose another with --data-dir",
        zh: "请停止它，或者用 --data-dir 换一个文件夹",
    }
    choose_local_folder(sentence: &str) {
        en: "{sentence}, so choose a local folder with --data-dir",
        zh: "{sentence}，所以请用 --data-dir 选一个本地的文件夹",
    }
    see_tls_options(sentence: &str) {
        en: "{sentence} (see --tls-cert and --tls-key, or --no-tls)",
        zh: "{sentence}（参见 --tls-cert 和 --tls-key，或者 --no-tls）",
    }
}
