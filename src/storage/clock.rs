//! The time, as far as this machine's clock can be believed.

use jiff::Timestamp;

use crate::VERSION_DATE;

/// The time now, or [`VERSION_DATE`] if the clock says less: it can't have been earlier when this program was made.
pub(super) fn now() -> Timestamp {
    Timestamp::now().max(VERSION_DATE)
}

/// What is wrong with this machine's clock, in a sentence, if that is certain.
pub fn warning() -> Option<String> {
    warning_at(Timestamp::now())
}

fn warning_at(now: Timestamp) -> Option<String> {
    (now < VERSION_DATE).then(|| {
        format!(
            "this machine's clock says {}, which was before this chatd was made; set it, or the times in the log and of \
             registrations will be wrong",
            now.strftime("%F")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_from_the_date_of_the_version_on() {
        for (now, is_believed) in [
            ("1970-01-01T00:00:07Z", false),
            ("2026-10-31T23:59:59Z", false),
            ("2026-11-01T00:00:00Z", true),
            ("2099-01-01T00:00:00Z", true),
        ] {
            let warning = warning_at(now.parse().unwrap());
            assert_eq!(warning.is_none(), is_believed, "{now}: {warning:?}");
            assert!(warning.is_none_or(|words| words.contains(&now[..10])));
        }
    }

    #[test]
    fn the_date_of_the_version_has_come() {
        assert_eq!(warning(), None);
    }
}
