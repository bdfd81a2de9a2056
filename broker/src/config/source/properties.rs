//! A Java properties file, as `java.util.Properties` reads it.
//!
//! A line is `key=value`, `key:value` or `key value`; white space around the separator does not count, white space at
//! the end of the value does (each config's reader trims it later). `#` or `!` at a line's start makes it a comment. An
//! odd number of backslashes at its end continues it on the next, whose leading white space does not count. Escapes are
//! `\t \n \r \f \uXXXX`; any other escaped character is itself.

use super::{Entry, LineError};
use crate::config::error::SyntaxProblem;

pub(super) fn parse(text: &str, errors: &mut Vec<LineError>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (line, logical) in logical_lines(text) {
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) if !key.is_empty() => entries.push(Entry { line, key, value }),
            (Ok(_), Ok(_)) => errors.push(LineError { line, problem: SyntaxProblem::NoKey }),
            (Err(problem), _) | (_, Err(problem)) => errors.push(LineError { line, problem }),
        }
    }
    entries
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

/// Lines with their continuations, without comments and empty lines; each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = text.split('\n').zip(1..);
    let mut found = Vec::new();
    while let Some((line, number)) = lines.next() {
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some((next, _)) => logical.push_str(next.trim_start_matches(is_blank)),
                None => break,
            }
        }
        found.push((number, logical));
    }
    found
}

fn ends_in_continuation(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// Key and value, still escaped. The key ends at the first separator that no backslash stands before.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let is_end = |character: char| {
        let ends = !escaped && (is_blank(character) || matches!(character, '=' | ':'));
        escaped = !escaped && character == '\\';
        ends
    };
    let (key, rest) = line.split_at(line.find(is_end).unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, SyntaxProblem> {
    let mut utf16: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let unescaped = match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    utf16.push(hex_unit(&mut characters)?);
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        utf16.extend_from_slice(unescaped.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&utf16).map_err(|_| SyntaxProblem::UnicodeEscape)
}

/// The UTF-16 unit whose four digits come next. A character beyond U+FFFF is two such escapes.
fn hex_unit(characters: &mut std::str::Chars<'_>) -> Result<u16, SyntaxProblem> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = characters.next().and_then(|character| character.to_digit(16));
        unit = unit * 16 + digit.ok_or(SyntaxProblem::UnicodeEscape)?;
    }
    u16::try_from(unit).map_err(|_| SyntaxProblem::UnicodeEscape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str, &str)]) {
        let mut errors = Vec::new();
        let entries = parse(text, &mut errors);
        let found: Vec<(usize, &str, &str)> =
            entries.iter().map(|entry| (entry.line, entry.key.as_str(), entry.value.as_str())).collect();
        assert_eq!(found, expected, "{text:?}");
        assert_eq!(errors, [], "{text:?}");
    }

    #[test]
    fn a_separator_is_an_equals_sign_a_colon_or_white_space() {
        for text in
            ["a.b=c d", "a.b:c d", "a.b c d", "  a.b = c d", "a.b\t:\tc d", "a.b  c d", "\x0ca.b= c d"]
        {
            check(text, &[(1, "a.b", "c d")]);
        }
        check("a", &[(1, "a", "")]);
        check("a=", &[(1, "a", "")]);
        check("a==b", &[(1, "a", "=b")]);
        check("a = = b", &[(1, "a", "= b")]);
        check("listeners=PLAINTEXT://:9092", &[(1, "listeners", "PLAINTEXT://:9092")]);
        check("a=b  ", &[(1, "a", "b  ")]);
    }

    #[test]
    fn comments_and_empty_lines_count_as_lines_only() {
        check("# a=1\n  ! b=2\n\n \t\nc=3 # not a comment", &[(5, "c", "3 # not a comment")]);
        check("a=1\r\nb=2\rc=3", &[(1, "a", "1"), (2, "b", "2"), (3, "c", "3")]);
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        check("a=1,\\\n   2,\\\n\t3\nb=4", &[(1, "a", "1,2,3"), (4, "b", "4")]);
        check("a=1\\\\\nb=2", &[(1, "a", "1\\"), (2, "b", "2")]);
        check("a=1\\\n#2", &[(1, "a", "1#2")]);
        check("a=1\\", &[(1, "a", "1")]);
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        check(r"a\ b=c", &[(1, "a b", "c")]);
        check(r"a\=b\:c=d", &[(1, "a=b:c", "d")]);
        check(r"a=\t\n\r\f\\\q", &[(1, "a", "\t\n\r\x0c\\q")]);
        check(r"a=\u0041\u00e9\ud83d\ude00", &[(1, "a", "Aé\u{1f600}")]);
        check("a=é", &[(1, "a", "é")]);
    }

    #[test]
    fn what_cannot_be_read_is_reported_with_its_line() {
        let cases = [
            ("x=1\na=\\u12", 2, SyntaxProblem::UnicodeEscape),
            ("a=\\u12g4", 1, SyntaxProblem::UnicodeEscape),
            ("a=\\ud83d", 1, SyntaxProblem::UnicodeEscape),
            ("\n\n=5", 3, SyntaxProblem::NoKey),
        ];
        for (text, line, problem) in cases {
            let mut errors = Vec::new();
            parse(text, &mut errors);
            assert_eq!(errors, [LineError { line, problem }], "{text:?}");
        }
    }
}
