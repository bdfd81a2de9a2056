//! `ottla serve` as a process: how it starts, refuses, says why, and stops.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use ottla_protocol::api::fetch::FetchRequest;
use ottla_testkit::batches::{batch, counted, record};
use ottla_testkit::process::BrokerCommand;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Topic, append, command, create_topic, fetch_partition, fetch_request, fresh_name, is_peer, topic_id,
    values,
};
use crate::check::Checks;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Runs it where it has to refuse: the code, and that one line on standard error says each of the words.
#[track_caller]
fn refuses(checks: &mut Checks, case: &str, command: &BrokerCommand, code: i32, words: &[&str]) {
    let (ended, said) = command.run_to_end();
    checks.same(format!("{case}: {said}"), ended, Some(code));
    let last =
        said.lines().rfind(|line| line.starts_with("ottla: ") || line.starts_with("error: ")).unwrap_or("");
    let text = if code == 2 { said.as_str() } else { last };
    for word in words {
        checks.holds(format!("{case}: {word:?} is said in {said:?}"), text.contains(word));
    }
}

#[test]
fn a_data_directory_has_one_broker_and_a_port_too() {
    if is_peer() {
        return;
    }
    let (one, other) = (directory(), directory());
    let running = command(one.path()).start();
    let mut checks = Checks::new();
    refuses(&mut checks, "the same directory", &command(one.path()), 1, &[&one.path().display().to_string()]);
    let address = running.address().to_string();
    refuses(
        &mut checks,
        "the same port",
        &command(other.path().join("data")).listen(address.clone()),
        1,
        &[&address, "--listen"],
    );
    checks.holds("which makes no directory", !other.path().join("data").exists());
    assert!(WireClient::connect(running.address()).is_served(), "the first goes on");
    // Once it is gone, whichever way, the directory is free.
    running.kill();
    assert!(command(one.path()).start().stop().success());
}

#[test]
fn a_directory_of_kafkas_is_refused_and_left_alone() {
    if is_peer() {
        return;
    }
    let mut checks = Checks::new();
    for (name, text) in [
        (
            "meta.properties",
            "version=1\nnode.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAw\n",
        ),
        ("__cluster_metadata-0/00000000000000000000.log", ""),
    ] {
        let place = directory();
        let file = place.path().join(name);
        fs::create_dir_all(file.parent().expect("it lies in the directory"))
            .expect("directories can be made");
        fs::write(&file, text).expect("files can be written");
        refuses(
            &mut checks,
            name,
            &command(place.path()),
            1,
            &["Kafka", &place.path().display().to_string()],
        );
        checks.same("it is as it was", fs::read_to_string(&file).ok().as_deref(), Some(text));
        checks.holds("nothing of ours is beside it", !place.path().join("ottla-metadata").exists());
    }
}

#[test]
fn what_can_not_be_used_is_a_failure_and_says_so() {
    if is_peer() {
        return;
    }
    let place = directory();
    let file = place.path().join("file");
    fs::write(&file, "x").expect("files can be written");
    let mut checks = Checks::new();
    refuses(&mut checks, "a file", &command(&file), 1, &["file"]);
    refuses(&mut checks, "below a file", &command(file.join("data")), 1, &["file"]);
    let elsewhere = command(place.path().join("data")).listen("192.0.2.1:9092");
    refuses(&mut checks, "an address of another machine", &elsewhere, 1, &["192.0.2.1:9092"]);
}

#[test]
fn wrong_configurations_are_usage_errors_that_name_the_key() {
    if is_peer() {
        return;
    }
    let place = directory();
    let base = || command(place.path().join("data"));
    let mut checks = Checks::new();
    for (key, value) in [
        ("no.such.key", "1"),
        ("num.partitions", "many"),
        ("num.partitions", "0"),
        ("log.segment.bytes", "1"),
        ("authorizer.class.name", "org.example.Authorizer"),
        ("ottla.flush.policy", "sometimes"),
    ] {
        refuses(&mut checks, &format!("{key}={value}"), &base().set(key, value), 2, &[key]);
    }
    let secure = base().listen("").set("listeners", "SASL_SSL://127.0.0.1:0");
    refuses(&mut checks, "a listener that would not be secure", &secure, 2, &["listeners", "SASL"]);
    let both = base().set("no.such.key", 1).set("num.partitions", "many");
    refuses(&mut checks, "all faults are told at once", &both, 2, &["no.such.key", "num.partitions"]);
    refuses(&mut checks, "no assignment", &base().argument("--set").argument("x"), 2, &["x"]);
    let absent = base().argument("--config").argument("/no/such/file");
    refuses(&mut checks, "no such file", &absent, 2, &["/no/such/file"]);
    refuses(&mut checks, "no such option", &base().argument("--frobnicate"), 2, &["--frobnicate"]);
    refuses(
        &mut checks,
        "no such level",
        &base().argument("--log-level").argument("a=b=c"),
        2,
        &["--log-level"],
    );
    for key in ["log.dirs", "log.dir"] {
        let elsewhere = base().set(key, "/elsewhere");
        refuses(&mut checks, "two data directories", &elsewhere, 2, &["--data-dir", key, "/elsewhere"]);
    }
    refuses(&mut checks, "no address", &base().listen("nowhere"), 2, &["nowhere"]);
    checks.holds("nothing was made", !place.path().join("data").exists());
    let (code, _) = base().argument("--help").run_to_end();
    checks.same("--help", code, Some(0));
}

#[test]
fn configurations_come_from_files_of_two_kinds() {
    if is_peer() {
        return;
    }
    let place = directory();
    for (name, text) in [
        ("ottla.toml", "\"num.partitions\" = 3\n\"log.retention.bytes\" = 777\n"),
        ("server.properties", "# Kafka's\nnum.partitions=3\nlog.retention.bytes = 777\nnum.io.threads=8\n"),
    ] {
        let file = place.path().join(name);
        fs::write(&file, text).expect("files can be written");
        let started = |command: BrokerCommand| {
            let broker = command.argument("--config").argument(file.display().to_string()).start();
            let mut client = WireClient::connect(broker.address());
            let topic = fresh_name();
            create_topic(&mut client, &topic, -1, &[]);
            let partitions = crate::bed::metadata(&mut client, &[&topic]).topics[0].partitions.len();
            (broker, partitions)
        };
        let (broker, partitions) = started(command(place.path().join(format!("{name}.1"))));
        assert_eq!(partitions, 3, "{name}");
        assert_eq!(
            broker.said().contains("num.io.threads"),
            name == "server.properties",
            "what has no effect is said"
        );
        let (_broker, partitions) =
            started(command(place.path().join(format!("{name}.2"))).set("num.partitions", 5));
        assert_eq!(partitions, 5, "{name}: --set goes before the file");
    }
}

#[test]
fn the_first_start_says_what_a_newcomer_needs() {
    if is_peer() {
        return;
    }
    let place = directory();
    let data = place.path().join("data");
    let broker = command(&data).start();
    let address = broker.address();
    assert!(WireClient::connect(address).is_served());
    let said = ottla_testkit::wait::wait_for("it has introduced itself", crate::bed::PATIENCE, || {
        Some(broker.said()).filter(|said| said.contains("ottla produce"))
    });
    for word in [&address.to_string(), &data.display().to_string(), "until the record is on disk"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(broker.stop().success());
    let broker = command(&data).set("ottla.flush.policy", "os").start();
    assert!(WireClient::connect(broker.address()).is_served());
    let said = ottla_testkit::wait::wait_for("it has said what acks mean", crate::bed::PATIENCE, || {
        Some(broker.said()).filter(|said| said.contains("ottla.flush.policy=os"))
    });
    assert!(!said.contains("ottla produce"), "only the first start does: {said}");
}

#[test]
fn a_signal_stops_it_cleanly_whatever_clients_do() {
    if is_peer() {
        return;
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let place = directory();
        let mut broker = command(place.path()).start();
        let mut client = WireClient::connect(broker.address());
        let name = fresh_name();
        create_topic(&mut client, &name, 2, &[]);
        let topic = Topic { id: topic_id(&mut client, &name), name };
        append(&mut client, &topic, &counted(3));
        // One waits, one is in the middle of a request, one is idle.
        let mut waiting = WireClient::connect(broker.address());
        let poll =
            FetchRequest { max_wait_ms: i32::MAX, ..fetch_request(&topic, vec![fetch_partition(1, 0)]) };
        waiting.send(12, &poll);
        let mut half = WireClient::connect(broker.address());
        half.send_bytes(&[0, 0, 1, 0, 0]);
        broker.signal(signal);
        assert!(broker.wait().success(), "{signal}: {}", broker.said());
        assert!(broker.said().contains("stopped"), "{signal}");
        for mut client in [client, half] {
            client.expect_close("the broker has stopped");
        }
        let broker = command(place.path()).start();
        assert!(!broker.said().contains("recovered"), "after a clean stop there is nothing to recover");
        assert_eq!(values(&mut WireClient::connect(broker.address()), &topic), ["0", "1", "2"]);
    }
}

#[test]
fn what_was_answered_before_a_stop_is_there_after_it() {
    if is_peer() {
        return;
    }
    let place = directory();
    let name = fresh_name();
    let mut expected = Vec::new();
    for round in 0..6 {
        let broker = command(place.path()).start();
        let mut client = WireClient::connect(broker.address());
        if round == 0 {
            create_topic(&mut client, &name, 1, &[]);
        }
        let topic = Topic { id: topic_id(&mut client, &name), name: name.clone() };
        assert_eq!(values(&mut client, &topic), expected, "round {round}");
        for number in 0..20 {
            let value = format!("{round}.{number}");
            append(&mut client, &topic, &batch([record(&value)]));
            expected.push(value);
        }
        match round % 3 {
            0 => broker.kill(),
            1 => assert!(broker.stop().success()),
            // Killed right after a start, before anything was asked.
            _ => {
                broker.kill();
                command(place.path()).start().kill();
            }
        }
    }
}

#[test]
fn json_lines_are_json() {
    if is_peer() {
        return;
    }
    let place = directory();
    let broker = command(place.path()).argument("--log-format").argument("json").start();
    let said = broker.said();
    assert!(said.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{said}");
    assert!(Path::new(place.path()).join("ottla-metadata").is_dir());
}
