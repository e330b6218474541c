//! What is wrong with a text that is not JSON, where, and what the author of the client may have done (protocol, sections
//! 8 and 13).

use super::texts;

texts! {
    not_json(why: &str) {
        en: "this is not JSON: {why}",
        zh: "这不是 JSON：{why}",
    }
    what_at(what: &str, place: &str) {
        en: "{what} at {place}",
        zh: "在{place}处，{what}",
    }
    line_and_column(line: usize, column: usize) {
        en: "line {line}, column {column}",
        zh: "第 {line} 行第 {column} 个字符",
    }
    column(column: usize) {
        en: "column {column}",
        zh: "第 {column} 个字符",
    }
    /// What stands at the place, added to what is wrong.
    where_there_is(found: &str) {
        en: ", where there is {found}",
        zh: "，那里是{found}",
    }
    with_hint(sentence: &str, hint: &str) {
        en: "{sentence}; {hint}",
        zh: "{sentence}；{hint}",
    }

    // What is wrong. The English is that of `serde_json`. It may find more in other texts than those that were cut to frames.

    colon_expected {
        en: "expected `:`",
        zh: "应该是 `:`",
    }
    comma_or_bracket_expected {
        en: "expected `,` or `]`",
        zh: "应该是 `,` 或 `]`",
    }
    comma_or_brace_expected {
        en: "expected `,` or `}`",
        zh: "应该是 `,` 或 `}`",
    }
    word_expected {
        en: "expected ident",
        zh: "应该是 true、false 或 null",
    }
    value_expected {
        en: "expected value",
        zh: "应该是一个值",
    }
    invalid_escape {
        en: "invalid escape",
        zh: "转义写错了",
    }
    invalid_number {
        en: "invalid number",
        zh: "数字写错了",
    }
    key_no_string {
        en: "key must be a string",
        zh: "键必须是字符串",
    }
    trailing_comma {
        en: "trailing comma",
        zh: "多了一个逗号",
    }

    // The likely mistake.

    backslash {
        en: "a backslash inside a string is written \\\\",
        zh: "字符串里的反斜杠要写成 \\\\",
    }
    other_quotes {
        en: "strings stand in straight double quotes, \"",
        zh: "字符串要放在英文的双引号 \" 里",
    }
    full_width_punctuation {
        en: "JSON has no full-width punctuation; write , : { } [ ]",
        zh: "JSON 里没有全角标点；要写成英文的 , : { } [ ]",
    }
    comment {
        en: "JSON has no comments",
        zh: "JSON 里没有注释",
    }
    last_comma {
        en: "no comma stands behind the last entry",
        zh: "最后一项的后面没有逗号",
    }
    extra_brace {
        en: "is there one brace too many?",
        zh: "是不是多了一个花括号？",
    }
    single_quotes {
        en: "strings stand in double quotes, not in single ones",
        zh: "字符串要放在双引号里，不是单引号里",
    }
    key_without_quotes {
        en: "each key stands in double quotes",
        zh: "每个键都要放在双引号里",
    }
    text_without_quotes {
        en: "text stands in double quotes",
        zh: "文字要放在双引号里",
    }
    brace_missing_before {
        en: "is a closing brace missing before it?",
        zh: "是不是前面少了一个右花括号？",
    }
    brace_missing {
        en: "is a closing brace missing?",
        zh: "是不是少了一个右花括号？",
    }
    comma_missing_or_quote {
        en: "is a comma missing before it, or is a quote inside the text not written as \\\"?",
        zh: "是前面少了一个逗号，还是文字里的引号没有写成 \\\"？",
    }
    equals_sign {
        en: "a colon stands between a key and its value",
        zh: "键和值之间是冒号",
    }
    quote_or_end_missing {
        en: "is a quote inside the text not written as \\\", or a closing quote missing before?",
        zh: "是文字里的引号没有写成 \\\"，还是前面少了右引号？",
    }
    string_is_open {
        en: "a string in it is open; is its closing quote missing, or is a quote inside it not written as \\\"?",
        zh: "其中有一个字符串没有结束；是少了右引号，还是里面的引号没有写成 \\\"？",
    }
    capital_true {
        en: "JSON writes true and false in small letters",
        zh: "JSON 里的 true 和 false 是小写的",
    }
    other_null {
        en: "JSON writes null",
        zh: "JSON 里写作 null",
    }
    no_number {
        en: "JSON has no NaN and no infinity",
        zh: "JSON 里没有 NaN，也没有无穷大",
    }
    leading_zero {
        en: "a number has no leading zero; put it in quotes",
        zh: "数字不能以 0 开头；请把它放在引号里",
    }
}

/// The text for what `serde_json` says is wrong, if that is known here.
pub(crate) fn of_serde_json(what: &str) -> Option<&'static str> {
    Some(match what {
        "expected `:`" => colon_expected(),
        "expected `,` or `]`" => comma_or_bracket_expected(),
        "expected `,` or `}`" => comma_or_brace_expected(),
        "expected ident" => word_expected(),
        "expected value" => value_expected(),
        "invalid escape" => invalid_escape(),
        "invalid number" => invalid_number(),
        "key must be a string" => key_no_string(),
        "trailing comma" => trailing_comma(),
        _ => return None,
    })
}
