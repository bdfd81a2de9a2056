//! Regular expressions, which the broker resolves: which topics they match is written down, and looked up anew when topics
//! come or go, and every `group.consumer.regex.refresh.interval.ms`.
//!
//! A whole name has to match. Internal topics are topics like any other. The syntax is that of the crate `regex`, which is
//! RE2's but for corners, and which takes linear time whatever a client sends.

use std::time::Duration;

use ottla_protocol::wire::Str;
use regex::Regex;

use super::group::ConsumerGroup;
use super::record::{ConsumerGroupRecord, ResolvedRegex};
use super::rules::Context;
use crate::controller::MetadataImage;

/// The least time between two looks at all topics, however fast topics come and go.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The most bytes that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// An expression that is none, with what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{regex}` is not a valid regular expression: {reason}")]
pub(crate) struct InvalidRegex {
    regex: String,
    reason: String,
}

/// Compiles an expression so that it matches whole names.
pub(super) fn compile(regex: &str) -> Result<Regex, InvalidRegex> {
    let invalid = |error: regex::Error| {
        // The crate's message draws the expression in several lines; the last one says what is wrong.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        InvalidRegex { regex: regex.to_owned(), reason }
    };
    // By itself first: what closes a bracket that it didn't open must not close the one around it.
    Regex::new(regex).map_err(invalid)?;
    regex::RegexBuilder::new(&format!("^(?:{regex})$"))
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(invalid)
}

fn matches(image: &MetadataImage, regex: &Regex) -> Vec<Str> {
    let names = image.topics().map(|topic| &**topic.name()).filter(|name| regex.is_match(name));
    let mut names: Vec<Str> = names.map(Str::copy_of).collect();
    names.sort_unstable();
    names
}

impl ConsumerGroup {
    /// Resolves the expressions that members subscribe with, those of which nothing is known at once, the others when
    /// they may match something else by now; forgets those that nobody subscribes with. Whether any topic came or went.
    pub(super) fn resolve_regexes(&mut self, ctx: &mut Context<'_>) -> bool {
        if self.regex_counts.is_empty() && self.regexes.is_empty() {
            return false;
        }
        let all = self.is_look_due(ctx);
        let wanted: Vec<Str> = self.regex_counts.keys().cloned().collect();
        let unused: Vec<Str> =
            self.regexes.keys().filter(|regex| !self.regex_counts.contains_key(*regex)).cloned().collect();
        let mut has_changed = false;
        for regex in wanted {
            let known = self.regexes.get(&regex);
            if known.is_some() && !all {
                continue;
            }
            // One that a Kafka wrote may mean nothing here: then it matches nothing.
            let topics = compile(&regex).map(|compiled| matches(ctx.image, &compiled)).unwrap_or_default();
            if known.is_some_and(|known| *known.topics == *topics) {
                continue;
            }
            has_changed |= known.is_some() || !topics.is_empty();
            let value = Some(ResolvedRegex {
                topics: topics.into(),
                version: i64::try_from(ctx.image.offset().index).unwrap_or(i64::MAX),
                timestamp: ctx.now.wall.0,
            });
            let group_id = ctx.group_id.detached();
            self.emit(ctx, ConsumerGroupRecord::RegularExpression { group_id, regex, value });
        }
        for regex in unused {
            let group_id = ctx.group_id.detached();
            self.emit(ctx, ConsumerGroupRecord::RegularExpression { group_id, regex, value: None });
        }
        if all {
            self.regexes_resolved = Some((ctx.now.monotonic, ctx.image.offset()));
        }
        has_changed
    }

    fn is_look_due(&self, ctx: &Context<'_>) -> bool {
        let Some((at, offset)) = self.regexes_resolved else { return true };
        let passed = ctx.now.monotonic.since(at);
        ctx.rules.regex_refresh_interval <= passed
            || (offset != ctx.image.offset() && LOOK_INTERVAL <= passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(regex: &str, name: &str, expected: Option<bool>) {
        assert_eq!(compile(regex).ok().map(|regex| regex.is_match(name)), expected, "{regex} {name}");
    }

    #[test]
    fn whole_names_match() {
        check("a", "a", Some(true));
        check("a", "ab", Some(false));
        check("a|b", "ab", Some(false));
        check("a.*", "abc", Some(true));
        check("^a.*$", "abc", Some(true));
        check("(?i)A+", "aa", Some(true));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        check("(", "a", None);
        check(")(", "a", None);
        check("a)|(b", "a", None);
        check("[", "a", None);
        check("*", "a", None);
        check("(?=a)", "a", None);
        check("(a{1000}){1000}{1000}", "a", None);
        let error = compile("(").expect_err("unclosed");
        assert_eq!(error.to_string(), "`(` is not a valid regular expression: unclosed group");
    }
}
