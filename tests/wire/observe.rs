//! Metrics and health over HTTP: what moves, what is answered, and where it is served or not.

use std::net::{SocketAddr, TcpListener};

use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_testkit::batches::{batch, record};
use ottla_testkit::http::{get, request, sample};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, FETCH, PATIENCE, append, command, fetch, is_peer, producer_id, values};
use crate::check::Checks;

/// A broker that serves HTTP on any free port.
fn observed() -> (Bed, SocketAddr) {
    let bed = Bed::with(|command| command.http_listen("127.0.0.1:0"));
    let address = bed.process().http_address().expect("it says where");
    (bed, address)
}

/// Waits until a sample has this value.
#[track_caller]
fn reaches(http: SocketAddr, name: &str, expected: f64) {
    let mut seen = None;
    let reached = ottla_testkit::wait::try_wait_for(PATIENCE, || {
        seen = sample(&get(http, "/metrics").body, name);
        (seen == Some(expected)).then_some(())
    });
    assert!(reached.is_some(), "{name} is {seen:?}, expected {expected}");
}

#[test]
fn metrics_count_what_clients_do() {
    if is_peer() {
        return;
    }
    let (bed, http) = observed();
    let topic = bed.topic(3, &[]);
    let mut client = bed.client();
    for text in ["a", "b", "c"] {
        append(&mut client, &topic, &batch([record(text), record(text)]));
    }
    assert_eq!(values(&mut client, &topic).len(), 6);
    assert_eq!(fetch(&mut client, FETCH, &topic, 0, 99).error_code, 1);
    producer_id(&mut client);
    for (name, expected) in [
        ("ottla_requests_total{api=\"Produce\"}", 3.0),
        ("ottla_requests_total{api=\"CreateTopics\"}", 1.0),
        ("ottla_request_duration_seconds_count{api=\"Produce\"}", 3.0),
        ("ottla_request_duration_seconds_bucket{api=\"Produce\",le=\"+Inf\"}", 3.0),
        ("ottla_request_errors_total{api=\"Fetch\",error=\"OFFSET_OUT_OF_RANGE\"}", 1.0),
        ("ottla_produce_acknowledged_batches_total{acks=\"all\"}", 3.0),
        ("ottla_log_appended_batches_total", 3.0),
        ("ottla_log_appended_records_total", 6.0),
        ("ottla_log_durable_records_total", 6.0),
        ("ottla_log_segments_created_total", 1.0),
        ("ottla_topics", 1.0),
        ("ottla_partitions{state=\"open\"}", 1.0),
        ("ottla_partitions{state=\"resting\"}", 2.0),
        ("ottla_connections", 1.0),
        ("ottla_producer_ids_allocated_total", 1.0),
        ("ottla_metadata_failed", 0.0),
        ("ottla_request_budget_used_bytes", 0.0),
        ("ottla_flush_oldest_unsynced_seconds", 0.0),
    ] {
        reaches(http, name, expected);
    }
    let text = get(http, "/metrics").body;
    let value = |name: &str| sample(&text, name).unwrap_or_else(|| panic!("{name} in\n{text}"));
    let bytes = value("ottla_log_appended_bytes_total");
    assert_eq!(value("ottla_log_size_bytes"), bytes);
    assert_eq!(value("ottla_fetch_record_bytes_total{path=\"copy\"}"), bytes, "small records are copied");
    assert!(value("ottla_request_bytes_total{api=\"Produce\"}") > bytes);
    assert!(value("ottla_response_bytes_total{api=\"Fetch\"}") > bytes);
    for name in ["ottla_flush_rounds_total", "ottla_metadata_records_total", "ottla_shard_turns_total"] {
        assert!(value(name) >= 1.0, "{name}");
    }
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("ottla_shard_oldest_turn_seconds") < 15.0);
}

#[test]
fn connections_are_counted_by_how_they_end() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.http_listen("127.0.0.1:0").set("max.connections.per.ip", 2));
    let http = bed.process().http_address().expect("it says where");
    let mut clients = [bed.client(), bed.client()];
    assert!(clients.iter_mut().all(WireClient::is_served));
    bed.client().expect_close("one too many");
    reaches(http, "ottla_connections", 2.0);
    reaches(http, "ottla_connections_rejected_total{reason=\"address_limit\"}", 1.0);
    drop(clients);
    reaches(http, "ottla_connections_closed_total{reason=\"client\"}", 2.0);
    reaches(http, "ottla_connections", 0.0);
    reaches(http, "ottla_connections_accepted_total", 2.0);
    reaches(http, "ottla_requests_total{api=\"ApiVersions\"}", 2.0);
}

#[test]
fn what_was_written_and_what_retention_took_add_up() {
    if is_peer() {
        return;
    }
    let bed =
        Bed::with(|command| command.http_listen("127.0.0.1:0").set("log.retention.check.interval.ms", 20));
    let http = bed.process().http_address().expect("it says where");
    let configs = [("segment.bytes", "1048576"), ("retention.bytes", "1000000"), ("retention.ms", "-1")];
    let topic = bed.topic(1, &configs);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    for number in 0..20 {
        let sent = batch([record("x".repeat(300_000))]).of_producer(id, 0, number);
        append(&mut client, &topic, &sent);
        // Sent again, it is not appended again.
        append(&mut client, &topic, &sent);
    }
    wait_for("what is left is what was written without what was taken", PATIENCE, || {
        let text = get(http, "/metrics").body;
        let value = |name: &str| sample(&text, name).unwrap_or(0.0);
        let taken = value("ottla_log_deleted_bytes_total");
        let left = value("ottla_log_appended_bytes_total") - taken;
        (4e6 < taken && value("ottla_log_size_bytes") == left).then_some(())
    });
    let text = get(http, "/metrics").body;
    let value = |name: &str| sample(&text, name).unwrap_or_else(|| panic!("{name} in\n{text}"));
    assert_eq!(value("ottla_log_appended_batches_total"), 20.0);
    assert_eq!(value("ottla_log_duplicate_batches_total"), 20.0);
    assert!(5.0 <= value("ottla_log_segments_deleted_total{reason=\"size\"}"));
    assert_eq!(fetch(&mut client, FETCH, &topic, 0, 19).error_code, 0);
    // A page is kept for a moment, so the next one may be from before the fetch.
    wait_for("what the fetch sent is counted", PATIENCE, || {
        let text = get(http, "/metrics").body;
        (sample(&text, "ottla_fetch_record_bytes_total{path=\"sendfile\"}") > Some(300_000.0)).then_some(())
    });
}

#[test]
fn recovery_and_damage_are_counted() {
    if is_peer() {
        return;
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let start = || {
        let broker = command(place.path()).http_listen("127.0.0.1:0").start();
        let http = broker.http_address().expect("it says where");
        (WireClient::connect(broker.address()), broker, http)
    };
    let (mut client, broker, _) = start();
    let name = crate::bed::fresh_name();
    crate::bed::create_topic(&mut client, &name, 1, &[]);
    let topic = crate::bed::Topic { id: crate::bed::topic_id(&mut client, &name), name };
    append(&mut client, &topic, &batch([record("what is kept")]));
    broker.kill();

    let (_client, broker, http) = start();
    reaches(http, "ottla_recovery_logs_total", 1.0);
    reaches(http, "ottla_recovery_pending_logs", 0.0);
    reaches(http, "ottla_recovery_cut_bytes_total", 0.0);
    assert!(broker.stop().success());

    let log = place.path().join(format!("{}-0", topic.name)).join("00000000000000000000.log");
    let mut bytes = std::fs::read(&log).expect("the log is there");
    *bytes.last_mut().expect("it has records") ^= 1;
    std::fs::write(&log, bytes).expect("it can be written");
    let (mut client, _broker, http) = start();
    assert_eq!(fetch(&mut client, FETCH, &topic, 0, 0).error_code, 56);
    reaches(http, "ottla_damage_found_total", 1.0);
    reaches(http, "ottla_request_errors_total{api=\"Fetch\",error=\"KAFKA_STORAGE_ERROR\"}", 1.0);
    assert_eq!(get(http, "/health/ready").status, 200, "one damaged log is no reason to send nobody here");
}

#[test]
fn a_long_poll_shows_while_it_waits() {
    if is_peer() {
        return;
    }
    let (bed, http) = observed();
    let topic = bed.topic(1, &[]);
    let mut waiting = bed.client();
    let mut wanted = crate::bed::fetch_request(&topic, vec![crate::bed::fetch_partition(0, 0)]);
    wanted.max_wait_ms = 60_000;
    let id = waiting.send(FETCH, &wanted);
    reaches(http, "ottla_fetch_waiting_requests", 1.0);
    append(&mut bed.client(), &topic, &batch([record("here")]));
    waiting.receive::<ottla_protocol::api::fetch::FetchRequest>(FETCH, id);
    reaches(http, "ottla_fetch_waiting_requests", 0.0);
}

#[test]
fn health_and_what_else_there_is() {
    if is_peer() {
        return;
    }
    let (_bed, http) = observed();
    let mut checks = Checks::new();
    for (method, path, status, words) in [
        ("GET", "/health/live", 200, "alive"),
        ("GET", "/health/ready", 200, "ready"),
        ("HEAD", "/health/ready", 200, ""),
        ("GET", "/metrics", 200, "# TYPE ottla_requests_total counter"),
        ("GET", "/metrics?name=x", 200, "# HELP"),
        ("GET", "/", 404, "/health/ready"),
        ("GET", "/health", 404, "/metrics"),
        ("POST", "/metrics", 405, ""),
    ] {
        let answer = request(http, method, path);
        checks.same(format!("{method} {path}"), answer.status, status);
        checks.holds(format!("{method} {path} says {words:?}: {}", answer.body), answer.body.contains(words));
    }
    let head = get(http, "/metrics").head.to_lowercase();
    checks.holds("it says what it is", head.contains("content-type: text/plain; version=0.0.4"));
}

#[test]
fn an_address_that_is_taken_matters_only_if_it_was_asked_for() {
    if is_peer() {
        return;
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let data = |name: &str| place.path().join(name);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    let (code, said) = command(data("asked")).http_listen(&address).run_to_end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("--http-listen"), "{said}");
    assert!(!data("asked").exists(), "nothing was made");

    // Whoever has the default address, the second of these does not.
    let first = command(data("first")).http_listen("").start();
    let second = command(data("second")).http_listen("").start();
    assert_eq!(second.http_address(), None);
    let said = second.said();
    assert!(said.contains("127.0.0.1:9644") && said.contains("--http-listen"), "{said}");
    for broker in [&first, &second] {
        assert!(WireClient::connect(broker.address()).is_served());
    }
    if let Some(address) = first.http_address() {
        assert_eq!(get(address, "/health/ready").status, 200);
    }
}

#[test]
fn http_is_turned_off_and_wrong_addresses_are_usage_errors() {
    if is_peer() {
        return;
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let broker = command(place.path().join("data")).http_listen("none").start();
    let mut client = WireClient::connect(broker.address());
    client.request(0, &ApiVersionsRequest::default());
    assert_eq!(broker.http_address(), None);
    assert!(!broker.said().contains("http"), "{}", broker.said());
    for wrong in ["nowhere", "127.0.0.1", "127.0.0.1:70000"] {
        let (code, said) = command(place.path().join("other")).http_listen(wrong).run_to_end();
        assert_eq!(code, Some(2), "{wrong}: {said}");
        assert!(said.contains("--http-listen"), "{wrong}: {said}");
    }
}

#[test]
fn http_goes_with_the_broker() {
    if is_peer() {
        return;
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let broker = command(place.path().join("data")).http_listen("127.0.0.1:0").start();
    let http = broker.http_address().expect("it says where");
    assert_eq!(get(http, "/health/ready").status, 200);
    assert!(broker.stop().success());
    wait_for("the port is free", PATIENCE, || TcpListener::bind(http).ok().map(drop));
}
