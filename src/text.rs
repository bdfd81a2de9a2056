//! Text on a command line that stands for bytes: `KEY=VALUE`, and separators with escapes. Pure.

/// The two sides of `KEY=VALUE`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// The bytes of a separator: as it stands, but for `\t`, `\n`, `\r`, `\0`, `\\` and `\xNN`.
pub(crate) fn parse_separator(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let sound = digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit);
                let digits = std::str::from_utf8(&digits).ok().filter(|_| sound);
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                byte.ok_or("expected two hexadecimal digits after \\x")?
            }
            _ => return Err(r"expected t, n, r, 0, \ or xNN after \".to_owned()),
        });
    }
    if bytes.is_empty() {
        return Err("a separator has at least one byte".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_read() {
        let check =
            |text, expected: &[u8]| assert_eq!(parse_separator(text).as_deref(), Ok(expected), "{text}");
        check(":", b":");
        check("::", b"::");
        check(r"\t", b"\t");
        check("\t", b"\t");
        check(r"\x1f\0", b"\x1f\0");
        check(r"\\t", b"\\t");
        check("→", "→".as_bytes());
        for wrong in ["", r"\", r"\q", r"\x1", r"\xzz", r"\x+1"] {
            assert!(parse_separator(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pairs_are_split_at_the_first_sign() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_pair("a").is_err() && parse_pair("=b").is_err());
    }
}
