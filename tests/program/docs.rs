//! The pages lead where they say: every link to a file leads to one that is there, and one to a line of the source leads to
//! the item that the link names.

use std::fs;
use std::path::{Path, PathBuf};

/// The pages: the README and all of docs.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root.join("README.md"));
    pages
}

/// The links of a page: each one's text and its target.
fn links(page: &str) -> Vec<(&str, &str)> {
    let starts = page.match_indices("](");
    let link = |(at, _): (usize, &str)| {
        let text = &page[..at];
        let text = &text[text.rfind('[')? + 1..];
        let target = &page[at + 2..];
        Some((text, &target[..target.find([')', ' ', '\n'])?]))
    };
    starts.filter_map(link).collect()
}

/// Whether a line of the source defines the item that `text` names: the last part of a path such as `Room::apply`.
fn defines(line: &str, text: &str) -> bool {
    let name = text.trim_matches('`').rsplit("::").next().unwrap();
    let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let kinds = ["fn", "struct", "enum", "trait", "const", "type"];
    words.any(|word| kinds.contains(&word)) && words.next() == Some(name)
}

#[test]
fn every_link_of_the_pages_leads_where_it_says() {
    let mut lines_linked = 0;
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        for (text, target) in links(&page) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = path.parent().unwrap().join(file);
            assert!(file.exists(), "{}: {target} is not there", path.display());
            let Some(number) = fragment.strip_prefix('L') else {
                continue;
            };
            let source = fs::read_to_string(&file).unwrap();
            let number: usize = number.parse().unwrap();
            let line = source.lines().nth(number - 1).unwrap_or_default();
            assert!(
                defines(line, text),
                "{}: {text} is not in line {number} of {target}: {line:?}",
                path.display()
            );
            lines_linked += 1;
        }
    }
    assert!(lines_linked > 0, "the tour leads to lines");
}
