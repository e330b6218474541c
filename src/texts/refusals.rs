//! Why a command of the teacher's was not carried out. The console makes a sentence of it.

use std::io;
use std::net::IpAddr;

use super::texts;

texts! {
    not_online(name: &str) {
        en: "no user named {name} is online",
        zh: "没有名叫 {name} 的用户在线",
    }
    not_registered(name: &str) {
        en: "the name {name} is not registered",
        zh: "用户名 {name} 没有注册",
    }
    not_bannable(address: IpAddr, why: &str) {
        en: "{address} can't be banned: {why}",
        zh: "{address} 不能封禁：{why}",
    }
    own_machine {
        en: "it is the server's own machine",
        zh: "它是服务器自己的机器",
    }
    address_of_nobody {
        en: "no client has such an address",
        zh: "客户端不会有这样的地址",
    }
    shared(address: IpAddr, names: &str) {
        en: "{names} all use the address {address}",
        zh: "{names} 都在使用地址 {address}",
    }
    not_banned(whom: &str) {
        en: "{whom} is not banned",
        zh: "{whom} 没有被封禁",
    }
    too_long(limit: usize) {
        en: "the text is too long: a message has {limit} bytes at most",
        zh: "文字太长：一条消息最多 {limit} 字节",
    }
    disk(error: &io::Error) {
        en: "the disk failed: {error}",
        zh: "磁盘出错：{error}",
    }
    /// A file that the teacher has named can't be used, or the system does not do its part.
    file(error: &io::Error) {
        en: "this can't be done: {error}",
        zh: "做不到：{error}",
    }
}
