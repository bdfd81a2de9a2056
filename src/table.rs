//! Tables for people: a head in capitals, columns two spaces apart, numbers to the right.

use std::io::{self, Write};

/// Rows under a head.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(head: &[&'static str]) -> Table {
        Table { head: head.to_vec(), rows: Vec::new() }
    }

    /// Appends a row with as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        assert_eq!(row.len(), self.head.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// Writes all of it.
    pub(crate) fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        let columns: Vec<Column> = (0..self.head.len()).map(|index| self.column(index)).collect();
        let head: Vec<String> = self.head.iter().map(|title| (*title).to_owned()).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (cell, column) in row.iter().zip(&columns) {
                let width = column.width;
                if column.is_numeric {
                    line.push_str(&format!("{cell:>width$}  "));
                } else {
                    line.push_str(&format!("{cell:<width$}  "));
                }
            }
            writeln!(output, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn column(&self, index: usize) -> Column {
        let cells = || self.rows.iter().map(move |row| row[index].as_str());
        let is_number =
            |cell: &str| cell == "-" || cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        let widest = cells().map(|cell| cell.chars().count()).max().unwrap_or(0);
        Column { width: widest.max(self.head[index].len()), is_numeric: cells().all(is_number) }
    }
}

struct Column {
    width: usize,
    is_numeric: bool,
}

/// A number with its thousands apart: 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let mut table = Table::new(&["NAME", "COUNT", "NOTE"]);
        table.row(["orders".to_owned(), "3".to_owned(), String::new()]);
        table.row(["x".to_owned(), "1,200,000".to_owned(), "a note".to_owned()]);
        let mut text = Vec::new();
        table.write(&mut text).expect("memory");
        let expected = "NAME        COUNT  NOTE\norders          3\nx       1,200,000  a note\n";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }

    #[test]
    fn thousands_are_apart() {
        let check = |number, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(1_234_567, "1,234,567");
    }
}
