//! Several things in one sentence.

use super::texts;

texts! {
    nobody {
        en: "nobody",
        zh: "没有人",
    }
    comma {
        en: ", ",
        zh: "、",
    }
    and(first: &str, last: &str) {
        en: "{first} and {last}",
        zh: "{first} 和 {last}",
    }
}

/// Names as people list them: `Anna, Bobby and Carol`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => nobody().to_owned(),
        [only] => only.clone(),
        // A full-width bracket brings its own space.
        [first @ .., last] => and(&first.join(comma()), last).replace("） ", "）"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_people_do() {
        let names = ["Anna", "Bobby", "Carol"].map(str::to_owned);
        assert_eq!(listed(&names[..1]), "Anna");
        assert_eq!(listed(&names[..2]), "Anna and Bobby");
        assert_eq!(listed(&names), "Anna, Bobby and Carol");
    }
}
