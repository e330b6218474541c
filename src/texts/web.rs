//! What a browser, or the author of a client for WebSocket, is told instead of an answer.

use super::texts;

texts! {
    no_request {
        en: "This is no HTTP request that the server understands.",
        zh: "服务器看不懂这个 HTTP 请求。",
    }
    head_too_large {
        en: "The head of this HTTP request is larger than 8 KiB.",
        zh: "这个 HTTP 请求的头部超过了 8 KiB。",
    }
    method {
        en: "The page is fetched by GET.",
        zh: "网页要用 GET 获取。",
    }
    chat_method {
        en: "WebSocket is opened by GET.",
        zh: "WebSocket 要用 GET 打开。",
    }
    not_found {
        en: "There is nothing here. The chat page is at /, and WebSocket at /chat.",
        zh: "这里什么也没有。聊天网页在 /，WebSocket 在 /chat。",
    }
    upgrade {
        en: "WebSocket is spoken here: the request must ask to upgrade to it, in HTTP/1.1.",
        zh: "这里使用 WebSocket：请求必须用 HTTP/1.1，并要求升级到它。",
    }
    version {
        en: "Version 13 of WebSocket is spoken here.",
        zh: "这里使用第 13 版的 WebSocket。",
    }
    key {
        en: "Sec-WebSocket-Key must be 16 bytes in Base64.",
        zh: "Sec-WebSocket-Key 必须是 16 字节的 Base64。",
    }
    host(host: &str) {
        en: "This server does not know itself by the name {host}. Use its address, or start it with --web-host and that name.",
        zh: "这台服务器不认识 {host} 这个名称。请使用它的地址，或者启动时用 --web-host 加上这个名称。",
    }
    origin(origin: &str) {
        en: "Pages from {origin} may not connect to this server, unless it is started with --web-origin {origin}.",
        zh: "来自 {origin} 的网页不能连接这台服务器，除非启动时加上 --web-origin {origin}。",
    }
    origin_of_file {
        en: "A page that was opened as a file, or in a sandbox, may not connect to this server, unless it is started with --web-origin null.",
        zh: "以文件方式打开的网页或沙盒里的网页不能连接这台服务器，除非启动时加上 --web-origin null。",
    }
}
