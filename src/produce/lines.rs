//! Cuts what is read into lines, and a line into key and value. Pure.

use std::borrow::Cow;

/// Lines out of pieces that end anywhere.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

impl Lines {
    /// Takes the next whole line off `piece`, without its line feed. Without one, keeps what is left of the piece.
    pub(super) fn next<'a>(&mut self, piece: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let Some(place) = piece.iter().position(|byte| *byte == b'\n') else {
            self.begun.extend_from_slice(piece);
            *piece = &[];
            return None;
        };
        let (line, rest) = piece.split_at(place);
        *piece = rest.get(1..).unwrap_or_default();
        if self.begun.is_empty() {
            return Some(Cow::Borrowed(line));
        }
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(line);
        Some(Cow::Owned(whole))
    }

    /// The last line, if it has no line feed.
    pub(super) fn last(self) -> Option<Vec<u8>> {
        (!self.begun.is_empty()).then_some(self.begun)
    }
}

/// Key and value of a line: split at the first separator. Without one there is no key.
pub(super) fn split_key<'a>(line: &'a [u8], separator: Option<&[u8]>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some((separator, first)) = separator.and_then(|it| Some((it, *it.first()?))) else {
        return (None, line);
    };
    let mut from = 0;
    while let Some(found) = line.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == first)) {
        let place = from + found;
        if line[place..].starts_with(separator) {
            return (Some(&line[..place]), &line[place + separator.len()..]);
        }
        from = place + 1;
    }
    (None, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &[u8], piece_bytes: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in text.chunks(piece_bytes) {
            let mut piece = piece;
            while let Some(line) = lines.next(&mut piece) {
                found.push(line.into_owned());
            }
        }
        found.extend(lines.last());
        found
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let check = |text: &[u8], expected: &[&[u8]]| {
            for piece_bytes in [1, 2, 3, 7, 1000] {
                assert_eq!(lines_of(text, piece_bytes), expected, "{piece_bytes}");
            }
        };
        check(b"", &[]);
        check(b"one", &[b"one"]);
        check(b"one\n", &[b"one"]);
        check(b"one\ntwo\n", &[b"one", b"two"]);
        check(b"one\n\n\ntwo", &[b"one", b"", b"", b"two"]);
        check(b"\r\n\xff\x00\n", &[b"\r", b"\xff\x00"]);
    }

    #[test]
    fn lines_split_at_the_first_separator() {
        let check = |line: &[u8], separator: Option<&[u8]>, key: Option<&[u8]>, value: &[u8]| {
            assert_eq!(split_key(line, separator), (key, value));
        };
        check(b"k:v", None, None, b"k:v");
        check(b"k:v:w", Some(b":"), Some(b"k"), b"v:w");
        check(b":v", Some(b":"), Some(b""), b"v");
        check(b"k:", Some(b":"), Some(b"k"), b"");
        check(b"none", Some(b":"), None, b"none");
        check(b"a:b::c", Some(b"::"), Some(b"a:b"), b"c");
        check(b"a:", Some(b"::"), None, b"a:");
        check(b"", Some(b":"), None, b"");
    }
}
