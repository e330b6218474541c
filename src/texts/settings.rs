//! Settings that can't be, or not together.
//!
//! What one setting alone can't be is told in English, with the rest of what `clap` says.

use super::texts;

texts! {
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
