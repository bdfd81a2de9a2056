//! Moments as people write them: RFC 3339 and shorter forms, in UTC unless an offset is named. Pure.

use std::fmt;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Milliseconds since the Unix epoch of `2026-11-21`, `2026-11-21T09:30`, `2026-11-21 09:30:15.250Z`,
/// `2026-11-21T09:30:15+01:00` and the like.
pub(crate) fn parse_moment(text: &str) -> Option<i64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let mut parts = date.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let midnight = days_since_epoch(year, month, day) * DAY_MS;
    if rest.is_empty() {
        return Some(midnight);
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset_ms) = split_offset(clock)?;
    Some(midnight + time_of_day(clock)? - offset_ms)
}

/// What stands before the offset from UTC, and how many milliseconds that is.
fn split_offset(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(place) = clock.find(['+', '-']) else { return Some((clock, 0)) };
    let (clock, offset) = clock.split_at(place);
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let ms = (hours * 60 + minutes) * 60_000;
    (hours < 24 && minutes < 60).then_some((clock, if offset.starts_with('-') { -ms } else { ms }))
}

fn time_of_day(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let (hours, minutes) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (number(seconds, 2)?, 0),
            Some((seconds, fraction)) => (number(seconds, 2)?, milliseconds(fraction)?),
        },
    };
    let sound = parts.next().is_none() && hours < 24 && minutes < 60 && seconds < 60;
    sound.then_some(((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction)
}

/// The first three digits of a fraction of a second.
fn milliseconds(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{fraction:0<3}");
    padded.get(..3)?.parse().ok()
}

/// A number of so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let sound = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().ok()).flatten()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the day that some have more is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    // 0000-03-01 lies so many days before the epoch.
    365 * year + leap_days + days_before_month + day - 1 - 719_468
}

/// A moment, shown as `2026-11-21T09:30:15.250Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = date_of(days);
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
    }
}

/// The day of the Gregorian calendar that lies so many days after 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    const CENTURIES_4: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(CENTURIES_4), days.rem_euclid(CENTURIES_4));
    let year = (day - day / 1_460 + day / 36_524 - day / (CENTURIES_4 - 1)) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year + 400 * era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let check = |text, expected| assert_eq!(parse_moment(text), expected, "{text}");
        check("1970-01-01", Some(0));
        check("1970-01-01T00:00:00Z", Some(0));
        check("2026-11-21", Some(1_795_219_200_000));
        check("2026-11-21T09:30", Some(1_795_253_400_000));
        check("2026-11-21 09:30:15", Some(1_795_253_415_000));
        check("2026-11-21T09:30:15.25Z", Some(1_795_253_415_250));
        check("2026-11-21T09:30:15.123456Z", Some(1_795_253_415_123));
        check("2026-11-21T09:30:15+01:00", Some(1_795_249_815_000));
        check("2026-11-21T09:30:15-00:30", Some(1_795_255_215_000));
        check("2024-02-29", Some(1_709_164_800_000));
        check("1969-12-31", Some(-DAY_MS));
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "1900-02-29",
            "2026-11-21T",
            "2026-11-21T9:30",
            "2026-11-21T24:00",
            "2026-11-21T10:60",
            "2026-11-21T10:00:00.",
            "2026-11-21T10:00+1",
            "21.11.2026",
            "2026-11-21T10:00:00Zulu",
            "2026-11-21x10:00",
            "٢٠٢٦-11-21",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn moments_read_back_as_they_are_shown() {
        let check = |ms, expected: &str| assert_eq!(Moment(ms).to_string(), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_795_253_415_250, "2026-11-21T09:30:15.250Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        for day in (-200_000..200_000).step_by(37) {
            let moment = day * DAY_MS + 12_345_678;
            assert_eq!(parse_moment(&Moment(moment).to_string()), Some(moment), "{}", Moment(moment));
        }
    }
}
