//! How long something lasts.

use std::time::Duration;

use super::{Language, language};

/// A time as people write it: `1m 30s`, or 1 分 30 秒. Chinese has only whole seconds, of which the teacher's rules are made.
pub(crate) fn in_words(time: Duration) -> String {
    match language() {
        Language::English => humantime::format_duration(time).to_string(),
        Language::Chinese => in_chinese(time.as_secs()),
    }
}

fn in_chinese(seconds: u64) -> String {
    let minutes = seconds / 60;
    let hours = minutes / 60;
    let units = [
        (hours / 24, "天"),
        (hours % 24, "小时"),
        (minutes % 60, "分钟"),
        (seconds % 60, "秒"),
    ];
    let parts = units.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    match parts.is_empty() {
        true => "0 秒".to_owned(),
        false => parts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_units_it_has() {
        for (seconds, words) in [
            (0, "0 秒"),
            (10, "10 秒"),
            (90, "1 分钟 30 秒"),
            (7200, "2 小时"),
            (7 * 86_400, "7 天"),
            (365 * 86_400 + 61, "365 天 1 分钟 1 秒"),
        ] {
            assert_eq!(in_chinese(seconds), words);
        }
    }
}
