//! Settings that can't be, or not together.

use super::texts;

texts! {
    /// Follows what was given instead, like all of this kind.
    no_address {
        en: "an address looks like 192.168.1.10 or fd00::1",
        zh: "地址写成 192.168.1.10 或 fd00::1 这样",
    }
    no_port {
        en: "a port is a number from 1 to 65535, or 0 for one that the system chooses",
        zh: "端口是 1 到 65535 的数字，0 表示由系统选择",
    }
    no_time {
        en: "a time looks like 15s, 500ms or 1m30s",
        zh: "时间写成 15s、500ms 或 1m30s 这样",
    }
    no_number {
        en: "a whole number, 0 or more, is needed",
        zh: "需要一个不小于 0 的整数",
    }
    no_positive_number {
        en: "a whole number, at least 1, is needed",
        zh: "需要一个不小于 1 的整数",
    }
    no_size {
        en: "a size looks like 64KiB, 1MiB or 4096",
        zh: "大小写成 64KiB、1MiB 或 4096 这样",
    }
    too_large {
        en: "this is too large",
        zh: "太大了",
    }
    no_language {
        en: "the languages are en and zh",
        zh: "语言有 en 和 zh",
    }
    /// Instead of the value of this variable, or of something on the command line.
    not_utf8(what: &str) {
        en: "the value of {what} is not UTF-8",
        zh: "{what} 的值不是 UTF-8",
    }
    heartbeat {
        en: "--heartbeat must be at least 100ms and at most 1day",
        zh: "--heartbeat 至少是 100ms，最多是 1day",
    }
    dead_after {
        en: "--dead-after must be at least 1ms and at most three quarters of --heartbeat",
        zh: "--dead-after 至少是 1ms，最多是 --heartbeat 的四分之三",
    }
    handshake_timeout {
        en: "--handshake-timeout must be at least 1ms and at most 1day",
        zh: "--handshake-timeout 至少是 1ms，最多是 1day",
    }
    login_timeout {
        en: "--login-timeout must be at least 1ms and at most 1day",
        zh: "--login-timeout 至少是 1ms，最多是 1day",
    }
    max_connections {
        en: "--max-connections must be at most 1000000",
        zh: "--max-connections 最多是 1000000",
    }
    max_frame {
        en: "--max-frame must be at least 1KiB and below 16MiB",
        zh: "--max-frame 至少是 1KiB，必须小于 16MiB",
    }
    max_backlog {
        en: "--max-backlog must be at least four times --max-frame and at most 1GiB",
        zh: "--max-backlog 至少是 --max-frame 的四倍，最多是 1GiB",
    }
    half_a_pair {
        en: "--tls-cert and --tls-key must be given together",
        zh: "--tls-cert 和 --tls-key 必须一起给出",
    }
    same_port {
        en: "--port and --tls-port must differ",
        zh: "--port 和 --tls-port 不能相同",
    }
    same_web_port {
        en: "--port and --web-port must differ",
        zh: "--port 和 --web-port 不能相同",
    }
    same_tls_and_web_port {
        en: "--tls-port and --web-port must differ",
        zh: "--tls-port 和 --web-port 不能相同",
    }
    /// Added to one of these sentences, if it is about settings that come from variables.
    from_environment(sentence: &str, variables: &str) {
        en: "{sentence}; the environment sets {variables}",
        zh: "{sentence}；环境变量里设置了 {variables}",
    }
}
