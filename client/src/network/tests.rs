//! Connections on the simulated network, to a peer that plays a broker as each test needs it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use ottla_protocol::api::api_versions::{self, ApiVersionsResponse, ApiVersionsResponseKey};
use ottla_protocol::api::metadata::{self, MetadataRequest, MetadataResponse};
use ottla_protocol::frame::{self, RequestHeader};
use ottla_protocol::wire::{FramePiece, Reader, Str};
use ottla_runtime::Runtime;
use ottla_runtime::simulated::Simulation;

use super::*;

/// What a call says whose connection is gone.
const LOST: &str = "the connection was lost before the answer came";

/// What the peer does with requests for metadata.
#[derive(Clone, Copy, PartialEq)]
enum Play {
    Answer,
    Silence,
    HangUp,
    WrongNumber,
}

/// Serves one connection: knows ApiVersions up to `api_versions_last`, and tells the correlation id as cluster id.
async fn serve(runtime: Runtime, address: SocketAddr, api_versions_last: i16, play: Play) {
    let mut listener = runtime.net.listen(address, 8).await.expect("a free address");
    let mut stream = listener.accept().await.expect("a client");
    loop {
        let mut length = BytesMut::new();
        if stream.reader.read_exact(&mut length, 4).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes(length[..4].try_into().expect("four bytes"));
        let mut request = BytesMut::new();
        stream.reader.read_exact(&mut request, length as usize).await.expect("a whole frame");
        let header = RequestHeader::decode(&mut Reader::new(request.freeze())).expect("a header");
        let RequestHeader { api_version: version, correlation_id: id, .. } = header;
        let answer = if header.api_key == api_versions::API.key {
            answer_versions(version, id, api_versions_last)
        } else {
            match play {
                Play::Answer => answer_metadata(version, id, id),
                Play::WrongNumber => answer_metadata(version, id + 1, id),
                Play::Silence => continue,
                Play::HangUp => return,
            }
        };
        for piece in answer {
            let FramePiece::Bytes(bytes) = piece else { panic!("no file ranges here") };
            stream.writer.write_all(&[bytes]).await.expect("the client reads");
        }
    }
}

fn answer_versions(version: i16, id: i32, last: i16) -> Vec<FramePiece> {
    if version > last {
        return frame::unsupported_api_versions_answer(id);
    }
    let row = ApiVersionsResponseKey { api_key: metadata::API.key, min_version: 0, max_version: 9 };
    let mut writer = frame::begin_response(&api_versions::API, version, id, 64);
    ApiVersionsResponse { api_keys: vec![row], ..Default::default() }.encode(&mut writer, version);
    writer.finish().expect("small")
}

fn answer_metadata(version: i16, id: i32, told: i32) -> Vec<FramePiece> {
    assert_eq!(version, 9, "the highest that the peer has");
    let mut writer = frame::begin_response(&metadata::API, version, id, 64);
    let cluster_id = Some(Str::copy_of(&told.to_string()));
    MetadataResponse { cluster_id, ..Default::default() }.encode(&mut writer, version);
    writer.finish().expect("small")
}

/// Asks three things at once of such a peer, on one seed, and says what came of each.
fn ask(seed: u64, api_versions_last: i16, play: Play) -> Vec<String> {
    let simulation = Simulation::new(seed);
    let (server, client) = (simulation.machine("server"), simulation.machine("client"));
    let address = SocketAddr::new(server.ip(), 9092);
    let runtime = server.runtime();
    drop(runtime.clone().spawner.spawn("server", serve(runtime, address, api_versions_last, play)));
    let runtime = client.runtime();
    simulation.block_on(async move {
        runtime.clock.sleep(Duration::from_millis(100)).await;
        let config = ClientConfig {
            // Nobody is at the first address.
            bootstrap_servers: vec![SocketAddr::new(address.ip(), 1).to_string(), address.to_string()],
            max_in_flight_requests: 2,
            ..ClientConfig::default()
        };
        let connection = connect(&runtime, &config).await.expect("the peer listens");
        let request = MetadataRequest::default();
        let (one, two, three) =
            tokio::join!(connection.call(&request), connection.call(&request), connection.call(&request));
        let told = |answer: MetadataResponse| answer.cluster_id.expect("told").to_string();
        let outcome = |result: Result<_, RequestError>| result.map_or_else(|e| e.to_string(), told);
        [one, two, three].map(outcome).to_vec()
    })
}

#[test]
fn answers_go_to_those_who_asked() {
    for seed in 0..20 {
        assert_eq!(ask(seed, 4, Play::Answer), ["1", "2", "3"], "seed {seed}");
    }
}

#[test]
fn a_broker_that_lacks_our_api_versions_is_asked_in_an_older_one() {
    // The peer's refusal names 4 as its last, so that only version 0 is left to try.
    assert_eq!(ask(1, 0, Play::Answer), ["2", "3", "4"]);
}

#[test]
fn silence_ends_with_the_time_out_and_takes_the_connection_along() {
    let mut found = ask(2, 4, Play::Silence);
    // Two were in flight with one deadline, and either may be the one that notices.
    found.sort();
    assert_eq!(found, ["no answer within 30000 ms", LOST, LOST]);
}

#[test]
fn a_lost_connection_and_a_wrong_number_end_every_call() {
    for play in [Play::HangUp, Play::WrongNumber] {
        assert_eq!(ask(3, 4, play), [LOST; 3]);
    }
}

#[test]
fn addresses_are_host_and_port() {
    let check = |text, expected| assert_eq!(parse_server(text).ok(), expected, "{text}");
    check("localhost:9092", Some(("localhost", 9092)));
    check("[::1]:9092", Some(("::1", 9092)));
    for wrong in ["localhost", ":9092", "::1:9092", "host:port", "host:99999", ""] {
        check(wrong, None);
    }
}

/// A network that never finishes looking up a name.
struct LostNameServer(ottla_runtime::NetRef);

impl ottla_runtime::Net for LostNameServer {
    fn listen_with(
        &self,
        address: SocketAddr,
        options: ottla_runtime::net::ListenOptions,
    ) -> BoxFuture<io::Result<Box<dyn ottla_runtime::Listener>>> {
        self.0.listen_with(address, options)
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<ottla_runtime::Connection>> {
        self.0.connect(address)
    }

    fn resolve(&self, _host: &str, _port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_name_that_nobody_looks_up_ends_with_the_set_up_time() {
    let simulation = Simulation::new(1);
    let mut runtime = simulation.machine("client").runtime();
    runtime.net = Arc::new(LostNameServer(runtime.net));
    let clock = runtime.clock.clone();
    let bootstrap_servers = vec!["one:1".to_owned(), "two:2".to_owned()];
    let config = ClientConfig { bootstrap_servers, ..ClientConfig::default() };
    let found = simulation.block_on(connect(&runtime, &config)).err().expect("no name, no connection");
    assert!(matches!(&found, RequestError::Connect { address, .. } if address == "two:2"), "{found}");
    assert_eq!(clock.now().0 / 1_000_000_000, 20, "ten seconds for each name");
}
