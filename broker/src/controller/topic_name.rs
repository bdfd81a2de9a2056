//! Names of topics: which are allowed, and which are too alike.
//!
//! Metrics of old wrote `.` as `_`, so Kafka refuses a topic whose name differs from another's only by these two.
//! Names are ordered so that such names are neighbours: finding them is one look into an ordered map.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};

/// The longest name, in bytes, which are characters here.
pub(super) const NAME_LEN_MAX: usize = 249;

/// A topic's name. Cheap to clone. What it holds need not be valid: names also come from the log.
///
/// Ordered by the name with every `.` read as `_`, then by the name itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TopicName(Arc<str>);

/// Why a name can't be a topic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// Nothing.
    #[error("a topic's name can't be empty")]
    Empty,
    /// `.` or `..`.
    #[error("a topic can't be named '.' or '..'")]
    Dots,
    /// More than 249 bytes.
    #[error("a topic's name can have 249 characters at most")]
    TooLong,
    /// Something other than a letter, a digit, `.`, `_` or `-`.
    #[error("a topic's name can have ASCII letters, digits, '.', '_' and '-' only")]
    Character,
}

impl TopicName {
    /// Takes a name as it is.
    pub fn unchecked(name: &str) -> TopicName {
        TopicName(Arc::from(name))
    }

    /// Checks a name: 1 to 249 of `[a-zA-Z0-9._-]`, and neither `.` nor `..`.
    pub fn check(name: &str) -> Result<(), InvalidTopicName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        match name {
            "" => Err(InvalidTopicName::Empty),
            "." | ".." => Err(InvalidTopicName::Dots),
            _ if name.len() > NAME_LEN_MAX => Err(InvalidTopicName::TooLong),
            _ if !name.bytes().all(allowed) => Err(InvalidTopicName::Character),
            _ => Ok(()),
        }
    }
}

/// The bytes of a name with every `.` read as `_`. Two different names for which this is equal collide.
fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| if byte == b'.' { b'_' } else { byte })
}

/// Whether two names differ, but only by `.` and `_`.
pub(super) fn collide(one: &str, other: &str) -> bool {
    one.len() == other.len() && one != other && folded(one).eq(folded(other))
}

/// Whether a name holds a character by which it could collide.
pub(super) fn could_collide(name: &str) -> bool {
    name.bytes().any(|byte| matches!(byte, b'.' | b'_'))
}

/// The name as metrics of old would have written it.
pub(super) fn folded_name(name: &str) -> String {
    name.replace('.', "_")
}

impl Ord for TopicName {
    fn cmp(&self, other: &TopicName) -> Ordering {
        folded(&self.0).cmp(folded(&other.0)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for TopicName {
    fn partial_cmp(&self, other: &TopicName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Deref for TopicName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> TopicName {
        TopicName::unchecked(name)
    }
}

/// Looks a name up without allocating it.
pub(super) struct Named<'a>(pub(super) &'a str);

impl Equivalent<TopicName> for Named<'_> {
    fn equivalent(&self, key: &TopicName) -> bool {
        self.0 == &*key.0
    }
}

impl Comparable<TopicName> for Named<'_> {
    fn compare(&self, key: &TopicName) -> Ordering {
        folded(self.0).cmp(folded(&key.0)).then_with(|| self.0.cmp(&key.0))
    }
}

/// A place just before all names that fold to the same as this one.
pub(super) struct BeforeFolded<'a>(pub(super) &'a str);

impl Equivalent<TopicName> for BeforeFolded<'_> {
    fn equivalent(&self, _key: &TopicName) -> bool {
        false
    }
}

impl Comparable<TopicName> for BeforeFolded<'_> {
    fn compare(&self, key: &TopicName) -> Ordering {
        folded(self.0).cmp(folded(&key.0)).then(Ordering::Less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Result<(), InvalidTopicName>) {
        assert_eq!(TopicName::check(name), expected, "{name:?}");
    }

    #[test]
    fn names_are_checked_as_kafka_does() {
        check("a", Ok(()));
        check("A-Z_0.9", Ok(()));
        check("...", Ok(()));
        check(&"a".repeat(249), Ok(()));
        check("", Err(InvalidTopicName::Empty));
        check(".", Err(InvalidTopicName::Dots));
        check("..", Err(InvalidTopicName::Dots));
        check(&"a".repeat(250), Err(InvalidTopicName::TooLong));
        for bad in ["a b", "a/b", "ä", "a\0", "a:b", "a,b", "*"] {
            check(bad, Err(InvalidTopicName::Character));
        }
    }

    #[test]
    fn names_that_differ_by_dot_and_underscore_collide_and_are_neighbours() {
        assert!(collide("a.b", "a_b"));
        assert!(collide("a.b_c", "a_b.c"));
        assert!(!collide("a.b", "a.b"));
        assert!(!collide("a.b", "a-b"));
        assert!(!collide("a.b", "a_bc"));
        let mut names = ["a_b", "a.c", "a_a", "a.b", "a-b"].map(TopicName::from);
        names.sort();
        assert_eq!(names.map(|name| name.to_string()), ["a-b", "a_a", "a.b", "a_b", "a.c"]);
    }
}
