//! What `--help` says in Chinese, and what is said in Chinese of a mistake on the command line.
//!
//! The English of `--help` is the doc comments of the settings, and that of mistakes is clap's own. So these texts have no
//! English, unlike all others.

/// What an option does, by its long name; none if no option has this name.
pub(crate) fn option(name: &str) -> Option<&'static str> {
    Some(match name {
        "bind" => "监听的地址；可以多次给出 [默认：所有地址，IPv4 和 IPv6]",
        "port" => "明文连接的端口；0 表示由系统选择",
        "tls-port" => "TLS 连接的端口；0 表示由系统选择",
        "no-tls" => "不监听 TLS",
        "web-port" => "浏览器的端口：聊天网页和 WebSocket；0 表示由系统选择",
        "no-web" => "不为浏览器监听",
        "no-qr" => "不在终端里显示供手机扫描的二维码",
        "web-host" => "除了本机的地址和机器名，浏览器还可以用来访问服务器的名称；可以多次给出",
        "web-origin" => {
            "还允许来自这个源的网页连接，从 http:// 或 https:// 写到端口；\nnull 指以文件方式打开的网页；可以多次给出"
        }
        "tls-cert" => {
            "TLS 的证书，PEM 文件\n[默认：数据文件夹里的 certificate.pem，首次启动时生成]"
        }
        "tls-key" => "证书的私钥，PEM 文件 [默认：数据文件夹里的 key.pem]",
        "data-dir" => "存放注册的用户名、封禁和证书的文件夹；没有就创建",
        "no-registration" => "不再注册新的用户名；已有的仍可登录",
        "console" => "从标准输入读取老师的命令，即使那不是终端",
        "lang" => {
            "给人看的文字用哪种语言，en（英文）或 zh：终端里的文字，和告诉客户端的原因\n[默认：系统的语言，否则为 en]"
        }
        "log" => {
            "把日志追加到这个文件；终端里只留下警告和错误。\n文件到 10MiB 时改名为 文件.1，然后开始新的 [默认：标准错误]"
        }
        "transcript" => "把聊天室里说的话追加到这个文件，私聊从不记录；每个登录的人都会得到通知",
        "heartbeat" => "心跳间隔",
        "dead-after" => {
            "客户端这么久不确认任何数据，就断开它；最多是心跳间隔的四分之三\n[默认：心跳间隔的四分之三]"
        }
        "max-connections" => "同时存在的连接数",
        "max-per-address" => "来自同一地址的、同时存在的连接数，环回地址不受限制；0 表示不限",
        "handshake-timeout" => "完成 TLS 握手的时间",
        "login-timeout" => "登录的时间",
        "max-frame" => {
            "登录之后客户端发来的一条消息的最大长度（登录之前为 4KiB），\n也是发给客户端的一行的最大长度，用户名单除外；至少 1KiB，必须小于 16MiB"
        }
        "rate" => {
            "来自同一地址的每秒命令数；发得更快，就读得更慢；0 表示不限。\n环回地址上每个连接分别计算"
        }
        "burst" => "停歇之后，同一地址一次可以发来的命令数",
        "byte-rate" => "来自同一地址的每秒字节数；发得更快，就读得更慢；0 表示不限",
        "byte-burst" => "停歇之后，同一地址一次可以发来的字节数",
        "max-registrations" => {
            "一个连接可以注册的用户名数；一个地址可以注册的是它的二十倍；0 表示不限"
        }
        "max-login-failures" => {
            "一个连接输错这么多次密码，就被关闭；一个地址可以输错的次数是它的二十倍"
        }
        "max-backlog" => {
            "等待发给一个连接的数据量，超过就认为它太慢而断开；\n至少是最大消息长度的四倍"
        }
        "help" => "显示这些说明（-h 较为紧凑）",
        "version" => "显示版本",
        _ => return None,
    })
}

/// What an option of `chatd console` does that differs there.
pub(crate) fn console_option(name: &str) -> Option<&'static str> {
    match name {
        "data-dir" => Some("那个服务器的数据文件夹"),
        "lang" => Some(
            "这个程序自己的话用哪种语言，en（英文）或 zh；服务器用它自己的语言\n[默认：系统的语言，否则为 en]",
        ),
        _ => option(name),
    }
}

/// What stands for the value of an option, by what does so in English.
pub(crate) fn value_name(english: &str) -> Option<&'static str> {
    Some(match english {
        "ADDRESS" => "地址",
        "PORT" => "端口",
        "NAME" => "名称",
        "ORIGIN" => "源",
        "FILE" => "文件",
        "FOLDER" => "文件夹",
        "LANGUAGE" => "语言",
        "TIME" => "时间",
        "COUNT" => "数量",
        "SIZE" => "大小",
        _ => return None,
    })
}

/// What a value is unless the option is given.
pub(crate) fn default(value: &str) -> String {
    format!("[默认：{value}]")
}

/// By which environment variable an option can be given, too, and what that is now.
pub(crate) fn variable(name: &str, value: &str) -> String {
    format!("[环境变量：{name}={value}]")
}

pub(crate) const ABOUT: &str = "课堂局域网里的聊天服务器。";

pub(crate) const MORE: &str = "课堂局域网里的聊天服务器。

不带任何选项启动时，它在所有地址上监听：明文连接用 4004 端口，TLS 用 4399 端口，浏览器用 4080 端口；
证书和注册的用户名保存在文件夹 chatd-data 里。每个选项也可以用写在它旁边的环境变量给出。";

pub(crate) const ABOUT_CONSOLE: &str =
    "使用已经在运行的服务器（例如作为服务运行的）的老师控制台；要以同一个用户或 root 的身份";

pub(crate) const OPTIONS: &str = "选项";

pub(crate) const COMMANDS: &str = "命令";

/// The help: what the program does, how it is called, and its options.
pub(crate) const TEMPLATE: &str = "{about-with-newline}\n用法：{usage}\n\n{all-args}";

pub(crate) const USAGE: &str = "chatd [选项]\n      chatd <命令>";

pub(crate) const USAGE_OF_CONSOLE: &str = "chatd console [选项]";

/// Above what is wrong, and below it.
pub(crate) fn mistake(what: &str) -> String {
    format!("错误：{what}\n\n全部选项：chatd --help")
}

pub(crate) fn unknown(argument: &str) -> String {
    format!("没有 {argument} 这个选项或命令")
}

pub(crate) fn suggestion(similar: &str) -> String {
    format!("；是不是 {similar}？")
}

pub(crate) fn no_value(option: &str) -> String {
    format!("{option} 后面缺少值")
}

pub(crate) fn wrong_value(option: &str, value: &str, why: &str) -> String {
    format!("{option} 不能是“{value}”：{why}")
}

pub(crate) fn not_a_value(option: &str, value: &str) -> String {
    format!("{option} 不能是“{value}”")
}

pub(crate) fn takes_no_value(option: &str, value: &str) -> String {
    format!("{option} 不带值，后面却有“{value}”")
}

pub(crate) fn given_twice(option: &str) -> String {
    format!("{option} 只能给出一次")
}

pub(crate) fn conflict(one: &str, other: &str) -> String {
    format!("{one} 不能和 {other} 一起给出")
}

pub(crate) const SOMETHING_NOT_UTF8: &str = "命令行里有不是 UTF-8 的内容";
