//! Where our answer differs from Kafka's, and which of that is meant.
//!
//! A difference has a place: `file > script > step > v7 > topics[name].error_code`. A row of the list in `meant.rs` has
//! patterns of places, in which `*` stands for anything, and the words of `docs/differences.md` that give the reason.

use std::collections::BTreeMap;
use std::fmt;

use crate::mask::key_of;
use crate::node::Node;
use crate::player::DEFAULTS_SENT;

/// A difference that is meant.
pub(crate) struct Meant {
    /// The words with which `docs/differences.md` begins its line about it.
    pub(crate) documented_as: &'static str,
    /// Where it shows: patterns of places.
    pub(crate) places: &'static [&'static str],
}

/// A difference that was found.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) place: String,
    kafka: String,
    ours: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    Kafka: {}\n    ours:  {}", self.place, self.kafka, self.ours)
    }
}

/// Notes where our answer differs from the recorded one, which may have fields that our answer's version lacks.
pub(crate) fn compare(place: &str, kafka: &Node, ours: &Node, found: &mut Vec<Difference>) {
    match (kafka, ours) {
        (Node::Fields(_), Node::Fields(fields)) => {
            for (name, ours) in fields {
                let place = format!("{place}.{name}");
                match kafka.field(name) {
                    Some(kafka) => compare(&place, kafka, ours, found),
                    None => note(place, None, Some(ours), found),
                }
            }
            if ours.field(DEFAULTS_SENT).is_none()
                && let Some(kafka) = kafka.field(DEFAULTS_SENT)
            {
                note(format!("{place}.{DEFAULTS_SENT}"), Some(kafka), None, found);
            }
        }
        (Node::List(kafka), Node::List(ours)) => compare_lists(place, kafka, ours, found),
        (kafka, ours) if kafka == ours => {}
        (kafka, ours) => note(place.to_owned(), Some(kafka), Some(ours), found),
    }
}

/// Rows that have keys are compared with those of the same keys, others with those in the same places.
fn compare_lists(place: &str, kafka: &[Node], ours: &[Node], found: &mut Vec<Difference>) {
    let mut rows: BTreeMap<String, (Option<&Node>, Option<&Node>)> = BTreeMap::new();
    for (label, row) in labelled(kafka) {
        rows.entry(label).or_default().0 = Some(row);
    }
    for (label, row) in labelled(ours) {
        rows.entry(label).or_default().1 = Some(row);
    }
    let mut is_same_set = true;
    for (label, pair) in rows {
        let place = format!("{place}[{label}]");
        match pair {
            (Some(kafka), Some(ours)) => compare(&place, kafka, ours, found),
            (kafka, ours) => {
                is_same_set = false;
                note(place, kafka, ours, found);
            }
        }
    }
    let order = |rows: &[Node]| rows.iter().map(|row| label_of(&key_of(row))).collect::<Vec<_>>();
    if is_same_set && order(kafka) != order(ours) {
        let told = |rows: &[Node]| Some(Node::text(order(rows).join(", ")));
        note(format!("{place}.<order>"), told(kafka).as_ref(), told(ours).as_ref(), found);
    }
}

/// Rows by their keys, or by their places.
fn labelled(rows: &[Node]) -> Vec<(String, &Node)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut labelled = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let key = key_of(row);
        if key.is_empty() {
            labelled.push((format!("#{index}"), row));
            continue;
        }
        let label = label_of(&key);
        let count = seen.entry(label.clone()).or_default();
        *count += 1;
        labelled.push((if *count == 1 { label } else { format!("{label} #{count}") }, row));
    }
    labelled
}

fn label_of(key: &[crate::mask::Key]) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join("/")
}

fn note(place: String, kafka: Option<&Node>, ours: Option<&Node>, found: &mut Vec<Difference>) {
    let told = |node: Option<&Node>| node.map_or_else(|| "-".to_owned(), Node::to_line);
    found.push(Difference { place, kafka: told(kafka), ours: told(ours) });
}

/// Whether a place is one that the pattern means.
pub(crate) fn matches(pattern: &str, place: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == place };
    let Some(rest) = place.strip_prefix(head) else { return false };
    if tail.is_empty() {
        return true;
    }
    rest.char_indices()
        .map(|(start, _)| start)
        .chain([rest.len()])
        .any(|start| rest.get(start..).is_some_and(|rest| matches(tail, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kafka: &str, ours: &str, expected: &[&str]) {
        let node = |json: &str| Node::from_json(serde_json::from_str(json).expect("JSON"));
        let mut found = Vec::new();
        compare("a", &node(kafka), &node(ours), &mut found);
        let places: Vec<&str> = found.iter().map(|difference| difference.place.as_str()).collect();
        assert_eq!(places, expected, "{kafka} and {ours}");
    }

    #[test]
    fn differences_are_told_by_their_places() {
        check(r#"{"a": 1, "newer": 2}"#, r#"{"a": 1}"#, &[]);
        check(r#"{"a": 1}"#, r#"{"a": 2}"#, &["a.a"]);
        check(r#"{"a": null}"#, r#"{"a": ""}"#, &["a.a"]);
        check(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#, &["a.b"]);
        check(r#""closed""#, r#"{"a": 1}"#, &["a"]);
        check(r#"[{"name": "x", "e": 1}]"#, r#"[{"name": "x", "e": 2}]"#, &["a[x].e"]);
        check(r#"[{"name": "x"}]"#, r#"[{"name": "y"}, {"name": "x"}]"#, &["a[y]"]);
        check(r#"[{"name": "x"}, {"name": "x"}]"#, r#"[{"name": "x"}]"#, &["a[x #2]"]);
        check(r#"[{"name": "x"}, {"name": "y"}]"#, r#"[{"name": "y"}, {"name": "x"}]"#, &["a.<order>"]);
        check("[1, 2]", "[1, 3]", &["a[#1]"]);
        check("[1]", "[1, 2]", &["a[#1]"]);
        check("[]", "null", &["a"]);
    }

    #[test]
    fn tagged_defaults_are_a_difference_of_their_own() {
        check(
            r#"{"a": 1, "<tagged fields with their defaults>": true}"#,
            r#"{"a": 1}"#,
            &["a.<tagged fields with their defaults>"],
        );
    }

    #[test]
    fn patterns_have_stars() {
        for (pattern, place, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*b", "abc", false),
            ("a*c*e", "abcde", true),
            ("a*x*e", "abcde", false),
            ("*", "", true),
            ("a*", "ä", false),
        ] {
            assert_eq!(matches(pattern, place), expected, "{pattern} {place}");
        }
    }
}
