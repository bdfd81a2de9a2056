//! What newcomers get wrong: each mistake has its exit code, and a line that says what to do.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::bed::{Bed, Ottla};

/// The client commands, each about a topic `t`.
const COMMANDS: [&str; 7] =
    ["topic list", "topic create t", "topic describe t", "produce t", "tail t", "group list", "txn list"];

#[test]
fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("bound");
    drop(free);
    for command in COMMANDS {
        Ottla::new(&format!("{command} --bootstrap-server {address}")).expect_failure(
            1,
            &["cannot connect to", &address.to_string(), "ottla serve", "--bootstrap-server"],
        );
    }
}

#[test]
fn another_service_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    let server = std::thread::spawn(move || {
        for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.6\r\n", ""] {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(answer.as_bytes()).expect("it listens");
            let mut request = [0; 16];
            let _half_of_it = stream.read(&mut request);
        }
    });
    for _ in 0..3 {
        Ottla::new(&format!("topic list --bootstrap-server {address}")).expect_failure(
            1,
            &[&address.to_string(), "does not answer as a Kafka broker does", "--bootstrap-server"],
        );
    }
    server.join().expect("three clients came");
}

#[test]
fn addresses_that_are_none() {
    for address in ["localhost:port", "localhost:99999", ":9092", "::1"] {
        Ottla::new(&format!("topic list --bootstrap-server {address}"))
            .expect_failure(2, &["--bootstrap-server", "host:port"]);
    }
    Ottla::new("topic list --bootstrap-server no-such-host.invalid:9092")
        .expect_failure(1, &["no-such-host.invalid:9092", "cannot connect"]);
    Ottla::new("topic list --bootstrap-server").expect_failure(2, &["--bootstrap-server"]);
}

#[test]
fn the_first_server_that_answers_is_asked() {
    let bed = Bed::shared();
    let server = bed.broker.address();
    let listed = Ottla::new(&format!("topic list --bootstrap-server 127.0.0.1:1,{server}")).run();
    assert_eq!(listed.code, Some(0), "{listed:?}");
}

#[test]
fn unknown_topics_are_named_with_those_that_were_meant() {
    let bed = Bed::new();
    for command in ["produce ordrs", "tail ordrs", "topic describe ordrs", "topic delete ordrs"] {
        bed.ottla(command)
            .expect_failure(1, &["there is no topic \"ordrs\"", "none yet", "topic create ordrs"]);
    }
    bed.ottla("topic create orders").expect_success();
    for command in ["produce ordrs", "tail ordrs", "topic describe ordrs", "topic delete ordrs"] {
        bed.ottla(command).expect_failure(1, &["did you mean orders?", "topic create ordrs"]);
    }
    bed.ottla("tail payments").expect_failure(1, &["topic list"]);
    bed.ottla("tail bad/name").expect_failure(1, &["bad/name"]);
    assert_eq!(
        bed.ottla("topic list").expect_success(),
        "NAME    PARTITIONS\norders           1\n",
        "none was created"
    );
}

#[test]
fn offsets_and_partitions_that_are_not_there() {
    let bed = Bed::shared();
    let topic = bed.topic_with(1, "a\nb\n");
    bed.ottla(&format!("tail {topic} --from 3")).expect_failure(1, &["no offset 3", "reaches from 0 to 2"]);
    for wrong in ["start", "1x", "2026-13-45", "-", "1.5"] {
        bed.ottla(&format!("tail {topic} --from {wrong}")).expect_failure(2, &["--from", "beginning, end"]);
    }
    bed.ottla(&format!("tail {topic} --partition 7")).expect_failure(1, &["no partition 7", "it has 1"]);
    bed.ottla(&format!("produce {topic} --partition 7")).expect_failure(1, &["no partition 7", "it has 1"]);
}

#[test]
fn values_that_options_do_not_take() {
    let all = ["none", "gzip", "snappy", "lz4", "zstd"];
    Ottla::new("produce t --compression brotli").expect_failure(2, &all);
    Ottla::new("produce t --compression zst").expect_failure(2, &["zstd"]);
    Ottla::new("produce t --acks 2").expect_failure(2, &["--acks", "all"]);
    Ottla::new("produce t --header x").expect_failure(2, &["--header", "KEY=VALUE"]);
    Ottla::new("produce t --partition -1").expect_failure(2, &["-1"]);
    Ottla::new("produce t --key-separator").word("").expect_failure(2, &["--key-separator"]);
    Ottla::new("tail t --key-separator").word(r"\q").expect_failure(2, &["--key-separator"]);
    Ottla::new("tail t --count some").expect_failure(2, &["--count"]);
    Ottla::new("tail t --json --key-separator :").expect_failure(2, &["--json", "--key-separator"]);
    Ottla::new("tail").expect_failure(2, &["<TOPIC>"]);
    Ottla::new("tial t").expect_failure(2, &["tail"]);
    Ottla::new("topic alter t").expect_failure(2, &["--partitions", "--config"]);
    Ottla::new("topic alter t --partitions 0").expect_failure(2, &["--partitions"]);
    Ottla::new("topic alter t --config retention.ms").expect_failure(2, &["--config", "KEY=VALUE"]);
    Ottla::new("topic alter t --config a=1 --delete-config a").expect_failure(2, &["\"a\"", "twice"]);
    Ottla::new("config set a=1").expect_failure(2, &["--topic", "--broker", "--brokers", "--group"]);
    Ottla::new("config set --topic t").expect_failure(2, &["KEY=VALUE"]);
    Ottla::new("config set --topic t retention.ms").expect_failure(2, &["KEY=VALUE"]);
    Ottla::new("config set --topic t a=1 a=2").expect_failure(2, &["\"a\"", "twice"]);
    Ottla::new("config set --topic t --broker 1 a=1").expect_failure(2, &["--topic", "--broker"]);
    Ottla::new("config set --broker one a=1").expect_failure(2, &["--broker"]);
    Ottla::new("config delete --topic t").expect_failure(2, &["<KEY>"]);
    Ottla::new("config describe").expect_failure(2, &["--topic"]);
    Ottla::new("topic remove t").expect_failure(2, &["remove"]);
    Ottla::new("completions tcsh").expect_failure(2, &["bash", "zsh", "fish"]);
}

#[test]
fn every_help_says_what_exit_codes_mean() {
    for command in [
        "topic",
        "topic create",
        "topic list",
        "topic describe",
        "topic alter",
        "topic delete",
        "config",
        "config describe",
        "config set",
        "config delete",
        "produce",
        "tail",
        "dump",
    ] {
        for option in ["-h", "--help"] {
            let help = Ottla::new(&format!("{command} {option}")).expect_success();
            assert!(help.contains("Exit codes: 0"), "{command} {option}: {help}");
        }
    }
}

#[test]
fn completions_are_shell_scripts_that_ask_the_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Ottla::new(&format!("completions {shell}")).expect_success();
        assert!(script.contains("ottla complete --"), "{shell}: {script}");
    }
    let bed = Bed::shared();
    let topic = bed.topic(1);
    let found = bed.ottla(&format!("complete -- tail {topic}")).expect_success();
    assert!(found.lines().any(|line| line == topic), "{found}");
    assert_eq!(Ottla::new("complete -- tail --fr").expect_success(), "--from\n");
}
