//! Whole configurations: what settings come to, and what is said of wrong ones.

mod listeners;
mod refused;
mod typed_tree;

use super::keys::{broker_keys, differing_defaults, topic_keys};
use super::*;

fn read(file: &str, sets: &[&str]) -> Result<(BrokerConfig, KeysWithoutEffect), ConfigErrors> {
    let mut settings = Settings::default();
    settings.read_file("f.properties", file);
    sets.iter().for_each(|set| settings.set(set));
    BrokerConfig::read(&settings)
}

fn config(file: &str) -> BrokerConfig {
    read(file, &[]).unwrap_or_else(|errors| panic!("{file}: {errors}")).0
}

/// The file is refused, with just these lines.
fn check_refused(file: &str, expected: &[&str]) {
    let errors = read(file, &[]).expect_err(file).to_string();
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected, "{file}");
}

#[test]
fn a_toml_file_says_the_same_as_a_properties_file() {
    let mut settings = Settings::default();
    settings.read_file(
        "ottla.toml",
        "\"num.partitions\" = 3\n\"log.cleanup.policy\" = [\"compact\", \"delete\"]\n\"log.preallocate\" = true\n",
    );
    let (from_toml, _) = BrokerConfig::read(&settings).unwrap();
    let from_properties =
        config("num.partitions=3\nlog.cleanup.policy=compact, delete\nlog.preallocate=TRUE");
    assert_eq!(from_toml, from_properties);

    let mut settings = Settings::default();
    settings.read_file("ottla.toml", "\n\"num.partitions\" = \"many\"");
    assert_eq!(
        BrokerConfig::read(&settings).unwrap_err().to_string(),
        "ottla.toml:2: num.partitions=many: expected a whole number (32 bits)"
    );
}

#[test]
fn every_default_is_a_value_of_its_key() {
    let tables = [broker_keys(), topic_keys(), keys::group_keys(), keys::client_metrics_keys()];
    for key in tables.into_iter().flat_map(|table| table.values()) {
        if let Some(default) = key.default {
            let value = key.parse(default).unwrap_or_else(|problem| panic!("{}: {problem}", key.name));
            assert_eq!(value.to_string(), default, "{}", key.name);
        }
        if let Some(broker_key) = key.synonym {
            let synonym = broker_keys().get(broker_key).unwrap_or_else(|| panic!("{}", key.name));
            assert_eq!(synonym.config_type, key.config_type, "{}", key.name);
        }
    }
}

#[test]
fn the_tables_hold_what_kafka_reports_and_ours() {
    let ours = |table: &keys::KeyTable| table.keys().filter(|name| name.starts_with("ottla.")).count();
    let all = |table: &keys::KeyTable| table.len() - ours(table);
    assert_eq!((all(topic_keys()), ours(topic_keys())), (33, 1));
    assert_eq!((all(broker_keys()), ours(broker_keys())), (340, 6));
    assert_eq!((keys::group_keys().len(), keys::client_metrics_keys().len()), (17, 3));
    let updatable = |key: &&&keys::Key| key.update != keys::UpdateMode::ReadOnly;
    let kafkas = broker_keys().values().filter(|key| !key.name.starts_with("ottla."));
    assert_eq!(kafkas.filter(updatable).count(), 99);
}

#[test]
fn each_default_of_our_own_has_its_reason() {
    let found: Vec<(&str, &str)> =
        differing_defaults().map(|(key, _)| (key.name, key.default.unwrap())).collect();
    assert_eq!(
        found,
        [
            ("listeners", "PLAINTEXT://127.0.0.1:9092"),
            ("log.dir", "./ottla-data"),
            ("node.id", "1"),
            ("process.roles", "broker,controller"),
            ("queued.max.request.bytes", "67108864"),
            ("socket.send.buffer.bytes", "262144"),
        ]
    );
    assert!(differing_defaults().all(|(_, differs)| !differs.reason.is_empty()));
}

#[test]
fn no_value_of_any_key_makes_reading_panic() {
    let edges = [
        "",
        " ",
        ",",
        "*",
        ":",
        "://",
        "a://b:c",
        "-1",
        "0",
        "1",
        "-2",
        "2147483647",
        "2147483648",
        "-2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "1e400",
        "NaN",
        "-0.0",
        "true",
        "broker",
        "compact,delete",
        "[::1]:5",
        "1.2.3.4:-1",
        "\\u00e9",
    ];
    for key in broker_keys().keys().chain(["producer.id.expiration.check.interval.ms"].iter()) {
        for value in edges {
            let outcome = read(&format!("{key}={value}"), &[]);
            if let Ok((config, _)) = outcome {
                let topic = describe::describe_topic(&config.layers, &Default::default(), None);
                let broker = describe::describe_broker(&config.layers, config.node.id, "", None);
                assert_eq!(topic.len(), topic_keys().len(), "{key}={value}");
                assert!(broker.is_ok(), "{key}={value}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "(\\PC|[\\n\\\\ =:#\"'\\[\\]])*", toml: bool) {
        let mut settings = Settings::default();
        settings.read_file(if toml { "f.toml" } else { "f.properties" }, &text);
        settings.set(&text);
        settings.listen(&text);
        let _ = BrokerConfig::read(&settings).map_err(|errors| errors.to_string());
    }
}
