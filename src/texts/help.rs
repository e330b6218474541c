//! What each command of the console does, as `help` tells it.

use super::texts;

texts! {
    who {
        en: "who is online; or who could not get in lately, and why",
        zh: "谁在线；或者最近谁没能登录，为什么",
    }
    say {
        en: "say something to everybody, as admin",
        zh: "以 admin 的名义对大家说话",
    }
    tell {
        en: "say something to one user; what users write to admin shows here",
        zh: "对一个用户说话；用户写给 admin 的话显示在这里",
    }
    mute {
        en: "let somebody, or all, read but not write; a time is like 5m",
        zh: "禁言：让一个人或者所有人只能看，不能说；时间写成 5m 这样",
    }
    unmute {
        en: "let them write again",
        zh: "解除禁言",
    }
    slow {
        en: "let each say one thing to the room in this time",
        zh: "每人在这段时间里只能在聊天室里说一句",
    }
    private {
        en: "let users write to the room and to admin only",
        zh: "off 让用户只能写到聊天室和写给 admin；on 恢复私聊",
    }
    lock {
        en: "let nobody new log in",
        zh: "锁定：不让新人登录",
    }
    unlock {
        en: "let everybody log in again",
        zh: "解除锁定：大家又可以登录",
    }
    kick {
        en: "end somebody's connection",
        zh: "踢出：结束一个用户的连接",
    }
    ban {
        en: "kick, and refuse from now on; kept in the data folder",
        zh: "封禁：踢出，以后也不让登录；保存在数据文件夹里",
    }
    unban {
        en: "lift a ban, or all",
        zh: "解除一个封禁，或者全部封禁",
    }
    bans {
        en: "who is banned",
        zh: "谁被封禁",
    }
    forget {
        en: "remove an account whose password is lost",
        zh: "删除忘了密码的账号",
    }
    watch {
        en: "show what a client sends and receives, byte for byte",
        zh: "逐字节显示一个客户端发送和接收的内容",
    }
    unwatch {
        en: "show it no more",
        zh: "不再显示",
    }
    attendance {
        en: "who was there, and how long; to a file for a spreadsheet",
        zh: "谁来过，待了多久；可以写成电子表格用的文件",
    }
    transcript {
        en: "write down what is said in the room; everybody is told",
        zh: "把聊天室里说的话记录下来；所有人都会得到通知",
    }
    register {
        en: "register a class: each line of the file begins with a name",
        zh: "为全班注册：文件的每一行以用户名开头",
    }
    stats {
        en: "what has happened since the start",
        zh: "启动以来的统计",
    }
    info {
        en: "addresses, ports, fingerprint, and how to connect",
        zh: "地址、端口、指纹，以及怎样连接",
    }
    help {
        en: "this list",
        zh: "显示这个列表",
    }
    quit {
        en: "stop the server",
        zh: "停止服务器",
    }
}
