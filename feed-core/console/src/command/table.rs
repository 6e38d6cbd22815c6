//! Tables for a terminal.

use feed_core::consumer::printable;

/// Formats rows below aligned heads, each with its reasons below it, on lines of their own; or `none`, if there are no rows.
/// What a feed or a person has written forges no line.
#[must_use]
pub fn table<const N: usize, R>(
    head: [&str; N],
    rows: impl IntoIterator<Item = ([String; N], R)>,
    none: &str,
) -> String
where
    R: IntoIterator<Item: AsRef<str>>,
{
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(cells, reasons)| (cells.map(|cell| printable(&cell).into_owned()), reasons))
        .collect();
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|(cells, _)| cells[column].chars().count());
        cells.max().unwrap_or(0).max(head[column].len())
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        line.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(head);
    for (cells, reasons) in rows {
        text += &line(cells.each_ref().map(String::as_str));
        for reason in reasons {
            text += &format!("    {}\n", printable(reason.as_ref()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned);
        let rows = [
            (cells(["1,000", "order/1"]), None),
            (cells(["7", "ü"]), Some("no such customer")),
            (cells(["8", "a\n1"]), Some("\u{1b}[2J")),
        ];
        let expected = "Number  Subject\n1,000   order/1\n7       ü\n    no such customer\n\
                        8       a\\n1\n    \\u{1b}[2J\n";
        assert_eq!(table(["Number", "Subject"], rows, "None."), expected);
        let none: [([String; 1], Option<&str>); 0] = [];
        assert_eq!(table(["Number"], none, "None."), "None.\n");
    }
}
