//! Where settings come from: flags, then a file, then the defaults. The first that has a key wins.
//!
//! A file is TOML with Kafka's keys in quotes, or a Java `server.properties`. A name that ends in `.toml` or
//! `.properties` says which; otherwise the first line that is neither empty nor a comment does: TOML begins with a quote
//! or a bracket, since every key that is worth setting has a dot in it and so needs quotes there.
//!
//! The caller reads the file: only its name and text come here.

mod properties;
mod toml_file;

use std::collections::BTreeMap;

use super::error::{ConfigError, Place};
use super::listener::Endpoint;

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) text: String,
    pub(super) place: Place,
}

/// What was set by flags and in a file, not looked at yet. Collects errors, so that all are reported at once.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    flags: BTreeMap<String, Setting>,
    file: BTreeMap<String, Setting>,
    pub(super) errors: Vec<ConfigError>,
}

/// Keys that set the same thing, the strongest first. A flag for one of them displaces all of them from the file,
/// which otherwise could outweigh it.
const SAME_THING: [&[&str]; 5] = [
    &["log.dirs", "log.dir"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.roll.ms", "log.roll.hours"],
    &["node.id", "broker.id"],
];

impl Settings {
    /// Takes in the text of a file. In a properties file a repeated key's last value counts, as in Java; in TOML it
    /// is an error.
    pub fn read_file(&mut self, name: &str, text: &str) {
        let mut found = Vec::new();
        let lines = if is_toml(name, text) {
            toml_file::parse(text, &mut found)
        } else {
            properties::parse(text, &mut found)
        };
        let place = |line| Place::File { name: name.to_owned(), line };
        for entry in lines {
            self.file.insert(entry.key, Setting { text: entry.value, place: place(entry.line) });
        }
        let errors = found
            .into_iter()
            .map(|error| ConfigError::Syntax { place: place(error.line), problem: error.problem });
        self.errors.extend(errors);
    }

    /// Takes in what followed `--set`: `KEY=VALUE`. The last one for a key counts.
    pub fn set(&mut self, assignment: &str) {
        match assignment.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => self.set_by_flag("--set", key.trim(), value),
            _ => self.errors.push(ConfigError::MalformedSet { text: assignment.to_owned() }),
        }
    }

    /// Takes in a flag of its own that stands for a key, such as `--data-dir` for `log.dirs`.
    pub fn set_by_flag(&mut self, flag: &str, key: &str, value: &str) {
        let place = Place::Flag(flag.to_owned());
        self.flags.insert(key.to_owned(), Setting { text: value.to_owned(), place });
    }

    /// `--listen HOST:PORT`.
    pub fn listen(&mut self, endpoint: &str) {
        self.endpoint("--listen", "listeners", endpoint);
    }

    /// `--advertise HOST:PORT`, for the listener whatever its name.
    pub fn advertise(&mut self, endpoint: &str) {
        self.endpoint("--advertise", "advertised.listeners", endpoint);
    }

    fn endpoint(&mut self, flag: &'static str, key: &str, text: &str) {
        match text.parse::<Endpoint>() {
            Ok(_) => self.set_by_flag(flag, key, &format!("PLAINTEXT://{text}")),
            Err(problem) => {
                self.errors.push(ConfigError::MalformedEndpoint { flag, text: text.to_owned(), problem })
            }
        }
    }

    /// `--data-dir DIR`.
    pub fn data_directory(&mut self, directory: &str) {
        self.set_by_flag("--data-dir", "log.dirs", directory);
    }

    /// What counts of it all, by key.
    pub(super) fn in_effect(&self) -> BTreeMap<&str, &Setting> {
        let displaced = |key: &str| {
            SAME_THING
                .iter()
                .any(|same| same.contains(&key) && same.iter().any(|other| self.flags.contains_key(*other)))
        };
        let file = self.file.iter().filter(|(key, _)| !displaced(key));
        file.chain(&self.flags).map(|(key, setting)| (key.as_str(), setting)).collect()
    }
}

fn is_toml(name: &str, text: &str) -> bool {
    if name.ends_with(".toml") || name.ends_with(".properties") {
        return name.ends_with(".toml");
    }
    let first =
        text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    first.is_some_and(|line| line.starts_with(['"', '\'', '[']))
}

/// A key and value of a file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    key: String,
    value: String,
}

/// A line of a file that cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct LineError {
    line: usize,
    problem: super::error::SyntaxProblem,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(settings: &Settings, key: &str) -> Option<String> {
        settings.in_effect().get(key).map(|setting| format!("{} @ {}", setting.text, setting.place))
    }

    #[test]
    fn a_flag_wins_over_the_file_whichever_came_first() {
        let mut settings = Settings::default();
        settings.set("num.partitions=3");
        settings.read_file("server.properties", "num.partitions=2\nbroker.rack=a");
        settings.set("num.partitions=4");
        assert_eq!(text_of(&settings, "num.partitions").as_deref(), Some("4 @ --set"));
        assert_eq!(text_of(&settings, "broker.rack").as_deref(), Some("a @ server.properties:2"));
        assert_eq!(text_of(&settings, "log.dirs"), None);
    }

    #[test]
    fn a_flag_displaces_stronger_keys_for_the_same_thing_from_the_file() {
        let mut settings = Settings::default();
        settings.read_file("f.properties", "log.retention.ms=5\nlog.dirs=/a\nbroker.id=3\nlog.roll.ms=1");
        settings.set("log.retention.hours=1");
        settings.set("log.dir=/b");
        settings.set("node.id=4");
        let keys: Vec<&str> = settings.in_effect().into_keys().collect();
        assert_eq!(keys, ["log.dir", "log.retention.hours", "log.roll.ms", "node.id"]);
    }

    #[test]
    fn the_value_of_a_set_flag_may_hold_equals_signs_and_be_empty() {
        let mut settings = Settings::default();
        settings.set("broker.rack=a=b");
        settings.set(" log.cleanup.policy =");
        assert_eq!(text_of(&settings, "broker.rack").as_deref(), Some("a=b @ --set"));
        assert_eq!(text_of(&settings, "log.cleanup.policy").as_deref(), Some(" @ --set"));
        settings.set("broker.rack");
        settings.set("=x");
        let errors: Vec<String> = settings.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["--set broker.rack: expected KEY=VALUE", "--set =x: expected KEY=VALUE"]);
    }

    #[test]
    fn the_kind_of_file_is_told_by_its_name_or_else_by_its_first_line() {
        let cases = [
            ("a.toml", "x=1", true),
            ("a.properties", "\"x\"=1", false),
            ("config", "# TOML?\n\n  \"log.dirs\" = \"a\"", true),
            ("config", "'log.dirs' = 'a'", true),
            ("config", "[section]", true),
            ("config", "! no\nlog.dirs=a", false),
            ("config", "", false),
        ];
        for (name, text, toml) in cases {
            assert_eq!(is_toml(name, text), toml, "{name}: {text}");
        }
    }
}
