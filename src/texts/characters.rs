//! The characters and bytes of a client, as a sentence names them.

use super::texts;

texts! {
    zero_byte {
        en: "a zero byte",
        zh: "零字节",
    }
    tab {
        en: "a tab",
        zh: "制表符",
    }
    newline {
        en: "a newline",
        zh: "换行符",
    }
    carriage_return {
        en: "a carriage return",
        zh: "回车符",
    }
    blank {
        en: "a blank",
        zh: "空格",
    }
    no_break_space {
        en: "a no-break space",
        zh: "不换行空格",
    }
    zero_width_space {
        en: "a zero-width space",
        zh: "零宽空格",
    }
    full_width_blank {
        en: "a full-width blank",
        zh: "全角空格",
    }
    byte_order_mark {
        en: "a byte-order mark",
        zh: "字节顺序标记",
    }
    /// One that can't be shown.
    invisible(number: u32) {
        en: "U+{number:04X}",
        zh: "字符 U+{number:04X}",
    }
    numbered(character: &str, number: u32) {
        en: "{character} (U+{number:04X})",
        zh: "{character}（U+{number:04X}）",
    }
    letter {
        en: "a letter",
        zh: "一个字母",
    }
    digit {
        en: "a digit",
        zh: "一个数字",
    }
    byte(byte: u8) {
        en: "the byte 0x{byte:02x}",
        zh: "字节 0x{byte:02x}",
    }
}
