//! A recording: what Kafka answered to the scripts of one file, step by step, version by version.
//!
//! Versions that answer alike share an entry: an older one has fewer fields, and where every field that it has is in the
//! newer answer with the same value, it says nothing of its own. So `"0..=12": {...}` is version 12's answer, and every
//! version from 0 on gave those of its fields that the version has.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::node::{Node, quoted};

/// One answer of a broker, as a script got it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) script: String,
    pub(crate) step: String,
    /// The API's name; empty where bytes were sent that are of none.
    pub(crate) api: &'static str,
    pub(crate) version: i16,
    pub(crate) node: Node,
}

/// What is stored of a step: answers by their versions.
#[derive(Debug)]
struct Entry {
    first: i16,
    last: i16,
    node: Node,
}

/// A recording that was read back.
#[derive(Debug)]
pub(crate) struct Recording {
    /// By script and step.
    entries: BTreeMap<(String, String), Vec<Entry>>,
}

impl Recording {
    /// The recording of the scripts in this file.
    pub(crate) fn load(file: &str) -> Recording {
        let path = path_of(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut entries = BTreeMap::new();
        for (script, steps) in object(&json["scripts"]) {
            for (step, versions) in object(steps) {
                let read = object(versions).map(|(range, answer)| {
                    let (first, last) = range.split_once("..=").unwrap_or((range, range));
                    let number = |text: &str| text.parse().expect("versions are numbers");
                    Entry { first: number(first), last: number(last), node: Node::from_json(answer.clone()) }
                });
                entries.insert((script.clone(), step.clone()), read.collect());
            }
        }
        Recording { entries }
    }

    /// What Kafka answered there; fields that `version` doesn't have may be among its own.
    pub(crate) fn answer(&self, script: &str, step: &str, version: i16) -> Option<&Node> {
        let entries = self.entries.get(&(script.to_owned(), step.to_owned()))?;
        let entry = entries.iter().find(|entry| entry.first <= version && version <= entry.last)?;
        Some(&entry.node)
    }

    /// Every step, as (script, step, first version, last version).
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&str, &str, i16, i16)> {
        self.entries.iter().flat_map(|((script, step), entries)| {
            entries.iter().map(|entry| (script.as_str(), step.as_str(), entry.first, entry.last))
        })
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().expect("a recording consists of objects").iter()
}

fn path_of(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings").join(format!("{file}.json"))
}

/// Writes what Kafka answered to the scripts of this file.
pub(crate) fn save(file: &str, kafka: &str, answers: &[Answer]) {
    let path = path_of(file);
    fs::write(&path, to_text(kafka, answers)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn to_text(kafka: &str, answers: &[Answer]) -> String {
    let mut out = format!("{{\n\"broker\": \"Apache Kafka {kafka}\",\n\"scripts\": {{");
    let mut script = None;
    for (number, step) in answers.chunk_by(is_same_step).enumerate() {
        let is_new = script != Some(&step[0].script);
        script = Some(&step[0].script);
        if is_new {
            out.push_str(if number == 0 { "\n" } else { "\n },\n" });
            let _infallible = write!(out, " {}: {{", quoted(&step[0].script));
        }
        out.push_str(if is_new { "\n" } else { ",\n" });
        let _infallible = write!(out, "  {}: {{", quoted(&step[0].step));
        for (number, (first, last, node)) in alike(step).iter().enumerate() {
            out.push_str(if number == 0 { "\n" } else { ",\n" });
            let versions = if first == last { first.to_string() } else { format!("{first}..={last}") };
            let label = format!("   {}: ", quoted(&versions));
            out.push_str(&label);
            node.write(&mut out, 3, label.len());
        }
        out.push_str("\n  }");
    }
    out.push_str("\n }\n}\n}\n");
    out
}

fn is_same_step(one: &Answer, next: &Answer) -> bool {
    one.script == next.script && one.step == next.step
}

/// A step's answers, neighbours that say the same made one: first version, last version, the last one's answer.
fn alike(answers: &[Answer]) -> Vec<(i16, i16, &Node)> {
    let mut groups: Vec<(i16, i16, &Node)> = Vec::new();
    for answer in answers.iter().rev() {
        match groups.last_mut() {
            Some((first, _, newer)) if *first == answer.version + 1 && is_part_of(&answer.node, newer) => {
                *first = answer.version;
            }
            _ => groups.push((answer.version, answer.version, &answer.node)),
        }
    }
    groups.reverse();
    groups
}

/// Whether every field of the older answer stands in the newer one with the same value.
fn is_part_of(older: &Node, newer: &Node) -> bool {
    match (older, newer) {
        (Node::Leaf(one), Node::Leaf(other)) => one == other,
        (Node::List(one), Node::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_part_of(one, other))
        }
        (Node::Fields(fields), newer @ Node::Fields(_)) => {
            fields.iter().all(|(name, node)| newer.field(name).is_some_and(|newer| is_part_of(node, newer)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(step: &str, version: i16, json: &str) -> Answer {
        let node = Node::from_json(serde_json::from_str(json).expect("JSON"));
        Answer { script: "s".to_owned(), step: step.to_owned(), api: "Metadata", version, node }
    }

    #[track_caller]
    fn check(answers: &[(i16, &str)], expected: &[(i16, i16, &str)]) {
        let answers: Vec<Answer> =
            answers.iter().map(|(version, json)| answer("a", *version, json)).collect();
        let found: Vec<(i16, i16, String)> =
            alike(&answers).into_iter().map(|(first, last, node)| (first, last, node.to_line())).collect();
        let expected: Vec<(i16, i16, String)> =
            expected.iter().map(|(first, last, json)| (*first, *last, (*json).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn versions_that_answer_alike_share_an_entry() {
        check(&[(0, r#"{"a": 1}"#), (1, r#"{"a": 1, "b": 2}"#)], &[(0, 1, r#"{"a": 1, "b": 2}"#)]);
        check(
            &[(0, r#"{"a": 1}"#), (1, r#"{"a": 2}"#), (3, r#"{"a": 2}"#)],
            &[(0, 0, r#"{"a": 1}"#), (1, 1, r#"{"a": 2}"#), (3, 3, r#"{"a": 2}"#)],
        );
        check(
            &[(0, r#"{"a": 1, "b": 2}"#), (1, r#"{"a": 1}"#)],
            &[(0, 0, r#"{"a": 1, "b": 2}"#), (1, 1, r#"{"a": 1}"#)],
        );
        check(
            &[(4, r#"{"a": []}"#), (5, r#"{"a": [1]}"#)],
            &[(4, 4, r#"{"a": []}"#), (5, 5, r#"{"a": [1]}"#)],
        );
        check(&[(4, r#""closed""#), (5, r#"{"a": 1}"#)], &[(4, 4, r#""closed""#), (5, 5, r#"{"a": 1}"#)]);
    }

    #[test]
    fn a_recording_is_json_and_has_every_step() {
        let answers = [answer("a", 0, "1"), answer("a", 1, "1"), answer("b", 1, r#"{"rows": [1, 2]}"#)];
        let text = to_text("0", &answers);
        let json: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(json["scripts"]["s"]["a"]["0..=1"], 1);
        assert_eq!(json["scripts"]["s"]["b"]["1"]["rows"][1], 2);
    }
}
