//! Which offsets to ask for, to know where a seek leads: one question, and sometimes a second one. Pure.

use ottla_protocol::types::Offset;

use super::SeekTo;
use crate::admin::OffsetSpec;

/// What is known after the first question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFirst {
    /// Where the seek leads.
    Found(Offset),
    /// Something else has to be asked first.
    Ask(OffsetSpec),
}

/// What to ask first; nothing where the offset was named.
pub(super) fn first_question(to: SeekTo) -> Option<OffsetSpec> {
    match to {
        SeekTo::Offset(_) => None,
        SeekTo::Timestamp(timestamp) => Some(OffsetSpec::Timestamp(timestamp)),
        SeekTo::Beginning => Some(OffsetSpec::Earliest),
        SeekTo::End | SeekTo::Last(_) => Some(OffsetSpec::Latest),
    }
}

/// What the first answer leads to. The ends of a partition are always there; the first record of a time may not be.
pub(super) fn on_first_answer(to: SeekTo, answer: Option<Offset>) -> AfterFirst {
    match (to, answer) {
        (SeekTo::Offset(offset), _) => AfterFirst::Found(offset),
        (SeekTo::Last(_), Some(_)) => AfterFirst::Ask(OffsetSpec::Earliest),
        (_, Some(offset)) => AfterFirst::Found(offset),
        (_, None) => AfterFirst::Ask(OffsetSpec::Latest),
    }
}

/// Where the seek leads after both answers.
pub(super) fn on_second_answer(to: SeekTo, first: Option<Offset>, second: Option<Offset>) -> Offset {
    let second = second.unwrap_or(Offset(0));
    match (to, first) {
        (SeekTo::Last(count), Some(end)) => {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            second.max(Offset(end.0.saturating_sub(count)))
        }
        _ => second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `to` leads in a partition that holds these offsets, of which the first of each time is `at_time`.
    fn check(to: SeekTo, beginning: i64, end: i64, at_time: Option<i64>, expected: i64) {
        let listed = |spec| match spec {
            OffsetSpec::Earliest => Some(Offset(beginning)),
            OffsetSpec::Latest => Some(Offset(end)),
            OffsetSpec::Timestamp(_) | OffsetSpec::MaxTimestamp => at_time.map(Offset),
        };
        let found = match first_question(to) {
            None => match on_first_answer(to, None) {
                AfterFirst::Found(offset) => offset,
                AfterFirst::Ask(_) => panic!("an offset that is named is known"),
            },
            Some(spec) => match on_first_answer(to, listed(spec)) {
                AfterFirst::Found(offset) => offset,
                AfterFirst::Ask(second) => on_second_answer(to, listed(spec), listed(second)),
            },
        };
        assert_eq!(found, Offset(expected), "{to:?} in {beginning}..{end}");
    }

    #[test]
    fn seeks_lead_where_they_say() {
        check(SeekTo::Offset(Offset(7)), 3, 10, None, 7);
        check(SeekTo::Beginning, 3, 10, None, 3);
        check(SeekTo::End, 3, 10, None, 10);
        check(SeekTo::Timestamp(5), 3, 10, Some(4), 4);
        check(SeekTo::Timestamp(5), 3, 10, None, 10);
    }

    #[test]
    fn the_last_ones_end_at_the_beginning() {
        check(SeekTo::Last(0), 3, 10, None, 10);
        check(SeekTo::Last(2), 3, 10, None, 8);
        check(SeekTo::Last(7), 3, 10, None, 3);
        check(SeekTo::Last(8), 3, 10, None, 3);
        check(SeekTo::Last(u64::MAX), 3, 10, None, 3);
        check(SeekTo::Last(5), 10, 10, None, 10);
    }
}
