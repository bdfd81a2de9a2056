//! A TOML file whose keys are Kafka's, in quotes: `"log.retention.hours" = 24`. A list may be an array of strings.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, LineError};
use crate::config::error::SyntaxProblem;

pub(super) fn parse(text: &str, errors: &mut Vec<LineError>) -> Vec<Entry> {
    let (document, found) = DeTable::parse_recoverable(text);
    for error in found {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        errors.push(LineError { line, problem: SyntaxProblem::Toml(error.message().to_owned()) });
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    let mut entries = Vec::new();
    for (key, value) in document.get_ref().iter() {
        let line = line_at(text, key.span().start);
        match value_text(key.get_ref(), value) {
            Ok(value) => entries.push(Entry { line, key: key.get_ref().to_string(), value }),
            Err(problem) => errors.push(LineError { line, problem }),
        }
    }
    errors.sort_by_key(|error| error.line);
    entries
}

fn line_at(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count()
}

fn value_text(key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, SyntaxProblem> {
    let kind = |found| SyntaxProblem::ValueKind { key: key.to_owned(), found };
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| kind("so large a number")),
        DeValue::Float(number) => Ok(number.as_str().replace('_', "")),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Array(items) => {
            let texts: Result<Vec<&str>, SyntaxProblem> = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Ok(text.as_ref()),
                    _ => Err(kind("an array of anything but strings")),
                })
                .collect();
            Ok(texts?.join(","))
        }
        DeValue::Datetime(_) => Err(kind("a date")),
        DeValue::Table(table) => match dotted_path(key, table) {
            Some(path) => Err(SyntaxProblem::UnquotedKey(path)),
            None => Err(kind("a table")),
        },
    }
}

/// The key that was written without quotes, where a table came of that: the path to its first value.
fn dotted_path(prefix: &str, table: &DeTable<'_>) -> Option<String> {
    let (key, value) = table.iter().next()?;
    let path = format!("{prefix}.{}", key.get_ref());
    match value.get_ref() {
        DeValue::Table(inner) => dotted_path(&path, inner),
        _ => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str, &str)]) {
        let mut errors = Vec::new();
        let mut entries = parse(text, &mut errors);
        entries.sort_by_key(|entry| entry.line);
        let found: Vec<(usize, &str, &str)> =
            entries.iter().map(|entry| (entry.line, entry.key.as_str(), entry.value.as_str())).collect();
        assert_eq!(found, expected, "{text:?}");
        assert_eq!(errors, [], "{text:?}");
    }

    fn check_error(text: &str, line: usize, begins: &str) {
        let mut errors = Vec::new();
        assert_eq!(parse(text, &mut errors), [], "{text:?}");
        let found: Vec<(usize, String)> =
            errors.iter().map(|error| (error.line, error.problem.to_string())).collect();
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert_eq!(found[0].0, line, "{text:?}: {found:?}");
        assert!(found[0].1.starts_with(begins), "{text:?}: {found:?}");
    }

    #[test]
    fn values_of_each_kind_become_the_text_that_a_properties_file_would_hold() {
        check(
            "# our broker\n\"log.dirs\" = \"/data\"\n'num.partitions' = 1_000\n\n\"log.preallocate\" = true",
            &[(2, "log.dirs", "/data"), (3, "num.partitions", "1000"), (5, "log.preallocate", "true")],
        );
        check("\"a.b\" = -1", &[(1, "a.b", "-1")]);
        check("\"a.b\" = 0x10", &[(1, "a.b", "16")]);
        check("\"a.b\" = 0.5", &[(1, "a.b", "0.5")]);
        check("\"a.b\" = [\"compact\", \"delete\"]", &[(1, "a.b", "compact,delete")]);
        check("\"a.b\" = []", &[(1, "a.b", "")]);
        check("", &[]);
    }

    #[test]
    fn a_key_without_quotes_is_told_to_take_them() {
        check_error("log.retention.ms = 5", 1, "write the whole key in quotes: \"log.retention.ms\"");
        check_error("\n[log]\nretention.ms = 5", 2, "write the whole key in quotes: \"log.retention.ms\"");
    }

    #[test]
    fn what_cannot_be_read_is_reported_with_its_line() {
        check_error("\"a.b\" = 1\n\"c.d\" = ", 2, "not TOML: ");
        check_error("\"a.b\" = 1\n\"a.b\" = 2", 2, "not TOML: ");
        check_error("\"a.b\" = 1979-05-27", 1, "\"a.b\" cannot be a date");
        check_error("\"a.b\" = [1]", 1, "\"a.b\" cannot be an array of anything but strings");
        check_error("[\"a.b\"]", 1, "\"a.b\" cannot be a table");
    }
}
