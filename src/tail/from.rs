//! Where `ottla tail` begins, and a group goes on. Pure.

use std::time::Duration;

use ottla_client::SeekTo;
use ottla_protocol::types::Offset;

use crate::moment::parse_moment;

/// Where to begin in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Beginning,
    End,
    Offset(Offset),
    /// Milliseconds since the Unix epoch.
    Moment(i64),
    Ago(Duration),
    Last(u64),
}

/// Reads `beginning`, `end`, an offset, a moment, `-N`, or `-N` with a unit of time.
pub(crate) fn parse_from(text: &str) -> Result<From, String> {
    let from = match text {
        "beginning" | "earliest" => Some(From::Beginning),
        "end" | "latest" => Some(From::End),
        _ => match text.strip_prefix('-') {
            Some(back) => parse_back(back),
            None => digits(text).and_then(|offset| i64::try_from(offset).ok()).map(Offset).map(From::Offset),
        },
    };
    let from = from.or_else(|| parse_moment(text).map(From::Moment));
    from.ok_or_else(|| {
        "expected beginning, end, an offset such as 42, a time such as 2026-11-21T09:30 (UTC) or -10m, or -N for the \
         last N records"
            .to_owned()
    })
}

fn parse_back(text: &str) -> Option<From> {
    if let Some(count) = digits(text) {
        return Some(From::Last(count));
    }
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let count = digits(text.strip_suffix(unit)?)?;
    Some(From::Ago(Duration::from_secs(count.checked_mul(seconds)?)))
}

fn digits(text: &str) -> Option<u64> {
    let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().ok()).flatten()
}

impl From {
    /// What that means now, in milliseconds since the Unix epoch.
    pub(crate) fn seek_to(self, now: i64) -> SeekTo {
        match self {
            From::Beginning => SeekTo::Beginning,
            From::End => SeekTo::End,
            From::Offset(offset) => SeekTo::Offset(offset),
            From::Moment(_) | From::Ago(_) => SeekTo::Timestamp(self.timestamp(now).unwrap_or(0)),
            From::Last(count) => SeekTo::Last(count),
        }
    }

    /// The time that it names, in milliseconds since the Unix epoch.
    pub(crate) fn timestamp(self, now: i64) -> Option<i64> {
        match self {
            From::Moment(moment) => Some(moment.max(0)),
            From::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Some(now.saturating_sub(ago).max(0))
            }
            From::Beginning | From::End | From::Offset(_) | From::Last(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_read() {
        let check = |text, expected: SeekTo| {
            let found = parse_from(text).map(|from| from.seek_to(10_000_000));
            assert_eq!(found, Ok(expected), "{text}");
        };
        check("beginning", SeekTo::Beginning);
        check("end", SeekTo::End);
        check("earliest", SeekTo::Beginning);
        check("latest", SeekTo::End);
        check("0", SeekTo::Offset(Offset(0)));
        check("42", SeekTo::Offset(Offset(42)));
        check("-5", SeekTo::Last(5));
        check("-0", SeekTo::Last(0));
        check("-90s", SeekTo::Timestamp(9_910_000));
        check("-2h", SeekTo::Timestamp(2_800_000));
        check("-400d", SeekTo::Timestamp(0));
        check("1970-01-02", SeekTo::Timestamp(86_400_000));
        check("1970-01-01T00:01Z", SeekTo::Timestamp(60_000));
        for wrong in [
            "",
            "-",
            "5x",
            "-5x",
            "start",
            "+5",
            "--exit",
            "2026-99-99",
            "99999999999999999999",
            "1.5",
            "-99999999999999999999d",
            "9999999999999999999",
        ] {
            assert!(parse_from(wrong).is_err(), "{wrong}");
        }
    }
}
