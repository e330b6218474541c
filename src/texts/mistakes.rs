//! What is wrong with a line that the teacher has typed. The console begins it with a capital letter.

use super::texts;

texts! {
    no_command(verb: &str) {
        en: "there is no {verb}; help lists the commands, and say TEXT speaks to everybody",
        zh: "没有 {verb} 这个命令；输入 help 查看全部命令，输入 say TEXT 对大家说话",
    }
    no_command_but(verb: &str, near: &str) {
        en: "there is no {verb}; did you mean {near}?",
        zh: "没有 {verb} 这个命令；是不是 {near}？",
    }
    stands_alone(verb: &str) {
        en: "{verb} stands alone, with nothing behind it",
        zh: "{verb} 要单独写，后面没有别的",
    }
    takes(verb: &str, usage: &str) {
        en: "this is what it takes: {verb} {usage}",
        zh: "这个命令要这样写：{verb} {usage}",
    }
    takes_one(verb: &str, usage: &str) {
        en: "one at a time, please: {verb} {usage}",
        zh: "请一次只写一个：{verb} {usage}",
    }
    /// There is something behind a time.
    takes_one_time {
        en: "one at a time, please",
        zh: "时间的后面没有别的，请一次只写一个",
    }
    all_takes_no_time {
        en: "mute all takes no time; unmute all ends it",
        zh: "mute all 不带时间；输入 unmute all 解除",
    }
    time_out_of_bounds {
        en: "a time is from 1s to 365days",
        zh: "时间最短是 1s，最长是 365days",
    }
    no_time(word: &str) {
        en: "{word} is no time; one looks like 10s, 5m, 2h or 7days",
        zh: "{word} 不是时间；时间要写成 10s、5m、2h 或 7days 这样",
    }
    no_name(word: &str, why: &str) {
        en: "{word} is no name: {why}",
        zh: "{word} 不能用作用户名：{why}",
    }
    no_address(word: &str) {
        en: "{word} is no address; one looks like 192.168.1.7 or fd00::7, without a port",
        zh: "{word} 不是地址；地址要写成 192.168.1.7 或 fd00::7 这样，不带端口",
    }

    // Of lines that are not understood at all.

    line_too_long {
        en: "this line is too long; it has been ignored",
        zh: "这一行太长，没有执行",
    }
    line_no_text {
        en: "this is not text; it has been ignored",
        zh: "这不是文字，没有执行",
    }
    line_not_utf_8 {
        en: "this line is not UTF-8; it has been ignored",
        zh: "这一行不是 UTF-8，没有执行",
    }
}
