//! Tables in a terminal.

use std::fmt::Write as _;

use crate::texts::width;

/// Rows whose columns stand below each other.
pub(super) fn in_columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (widest, cell) in widths.into_iter().zip(row) {
            let _ = write!(line, "{cell}{:1$}  ", "", widest - width(cell));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
