//! Plays a script to a broker, whichever it is, and keeps what came back.
//!
//! A script is a function that asks through its [`Player`]. Each step has a name that no other step of the script has. A
//! step is asked at several versions, and each answer is kept, decoded to its last byte and masked; of a connection that
//! is closed, and of a request that nobody answers, that is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_protocol::api::{Api, Message, Request};
use ottla_protocol::frame::decode_response_header;
use ottla_protocol::wire::{FrameWriter, Reader, Str};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::{NoAnswer, WireClient};

use crate::mask::Mask;
use crate::node::Node;
use crate::recording::Answer;

/// How long an answer may take; Kafka leaves some requests without any.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long something may take that a broker does by itself.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// The connection that a script has from the beginning.
const FIRST: &str = "first";

/// One script being played.
#[derive(Debug)]
pub(crate) struct Player {
    address: SocketAddr,
    script: String,
    prefix: String,
    pub(crate) mask: Mask,
    connections: BTreeMap<&'static str, WireClient>,
    connection: &'static str,
    client_id: Option<&'static str>,
    only_own: bool,
    steps: BTreeSet<String>,
    answers: Vec<Answer>,
}

/// A request whose bytes are given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) version: i16,
    /// 1, or 2 with an empty tag buffer.
    pub(crate) header_version: i16,
    /// The version at which the answer is decoded.
    pub(crate) answer_version: i16,
    pub(crate) body: &'a [u8],
}

impl Raw<'_> {
    /// This body, with the header that the version asks for.
    pub(crate) fn of<R: Request>(version: i16, body: &[u8]) -> Raw<'_> {
        let header_version = R::API.request_header_version(version);
        Raw { version, header_version, answer_version: version, body }
    }
}

/// What came back, without its frame.
enum Came<M> {
    Message { message: Box<M>, version: i16, is_exact: bool },
    Nothing(&'static str),
}

/// The versions of an API that Kafka 4.3.1 serves: ours less those that are there for old clients.
pub(crate) fn versions_of_kafka(api: &Api) -> std::ops::RangeInclusive<i16> {
    let first = match api.name {
        "ListOffsets" | "OffsetFetch" | "DeleteTopics" | "DescribeConfigs" | "DescribeLogDirs" => 1,
        "CreateTopics" | "OffsetCommit" => 2,
        _ => api.served.first,
    };
    first..=api.served.last
}

/// A name that is another one at each version.
pub(crate) fn at_version(name: &Str, version: i16) -> Str {
    Str::from(format!("{name}.v{version}"))
}

impl Player {
    /// For a script of this name, whose topics begin with `prefix`.
    pub(crate) fn new(address: SocketAddr, script: &str, prefix: String) -> Player {
        Player {
            address,
            script: script.to_owned(),
            mask: Mask::new(address, &prefix),
            prefix,
            connections: BTreeMap::new(),
            connection: FIRST,
            client_id: Some("script"),
            only_own: false,
            steps: BTreeSet::new(),
            answers: Vec::new(),
        }
    }

    /// What was kept, in order.
    pub(crate) fn into_answers(self) -> Vec<Answer> {
        self.answers
    }

    /// A name of the script's own.
    pub(crate) fn name(&self, name: &str) -> Str {
        Str::from(format!("{}{name}", self.prefix))
    }

    /// Asks on this connection from now on.
    pub(crate) fn on(&mut self, connection: &'static str) -> &mut Player {
        self.connection = connection;
        self
    }

    /// Calls itself something else on connections that are opened from now on.
    pub(crate) fn called(&mut self, client_id: Option<&'static str>) {
        self.client_id = client_id;
        self.connections.clear();
    }

    /// Keeps of the next step only rows about the script's own topics and resources.
    pub(crate) fn own(&mut self) -> &mut Player {
        self.only_own = true;
        self
    }

    /// Asks at every version that Kafka serves.
    pub(crate) fn every<R: Request>(&mut self, step: &str, request: impl Fn(i16) -> R) {
        self.at(versions_of_kafka(R::API), step, request);
    }

    /// Asks at these versions, the oldest first.
    pub(crate) fn at<R: Request>(
        &mut self,
        versions: impl IntoIterator<Item = i16>,
        step: &str,
        request: impl Fn(i16) -> R,
    ) {
        self.begin_step(step);
        for version in versions {
            let came = self.ask(version, &request(version));
            self.keep(step, version, &came);
        }
        self.only_own = false;
    }

    /// Asks at one version; what came back, if it was a message.
    pub(crate) fn one<R: Request>(&mut self, version: i16, step: &str, request: &R) -> Option<R::Response> {
        self.begin_step(step);
        let came = self.ask(version, request);
        self.keep(step, version, &came);
        self.only_own = false;
        match came {
            Came::Message { message, .. } => Some(*message),
            Came::Nothing(_) => None,
        }
    }

    /// Asks at one version until the answer is what a broker comes to by itself, and keeps that.
    pub(crate) fn until<R: Request>(
        &mut self,
        version: i16,
        step: &str,
        request: &R,
        condition: impl Fn(&R::Response) -> bool,
    ) -> R::Response {
        self.wait_until(version, step, request, condition);
        self.one(version, step, request).expect("it answered a moment ago")
    }

    /// Asks, and keeps nothing.
    pub(crate) fn quietly<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        match self.ask(version, request) {
            Came::Message { message, .. } => {
                self.mask.learn(&message.tree(version));
                *message
            }
            Came::Nothing(what) => panic!("{}: {} v{version}: {what}", self.script, R::API.name),
        }
    }

    /// Asks until the answer is what a broker comes to by itself, and keeps nothing.
    pub(crate) fn wait_until<R: Request>(
        &mut self,
        version: i16,
        what: &str,
        request: &R,
        condition: impl Fn(&R::Response) -> bool,
    ) {
        let script = self.script.clone();
        wait_for(&format!("{script}: {what}"), LONG_PATIENCE, || {
            condition(&self.quietly(version, request)).then_some(())
        });
    }

    /// Asks for what has no answer if it succeeds; what is kept is whether the next request on the connection is served.
    pub(crate) fn unanswered<R: Request>(
        &mut self,
        versions: impl IntoIterator<Item = i16>,
        step: &str,
        request: impl Fn(i16) -> R,
    ) {
        self.begin_step(step);
        for version in versions {
            let client = self.client();
            let sent = client.try_send(version, &request(version));
            let came = match sent.and_then(|_| client.try_request(0, &ApiVersionsRequest::default())) {
                Ok(_) => Came::Nothing("no answer"),
                Err(missing) => self.nothing(&missing),
            };
            self.keep::<R::Response>(step, version, &came);
        }
    }

    /// Lets a moment go by, for what a broker does by itself.
    pub(crate) fn pause(&self) {
        let _never = ottla_testkit::wait::try_wait_for::<()>(Duration::from_millis(20), || None);
    }

    /// Sends a request that is not answered before others have asked something; [`Player::late`] keeps its answer.
    pub(crate) fn early<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.client().send(version, request)
    }

    /// Keeps the answer to what was sent by [`Player::early`] on this connection.
    pub(crate) fn late<R: Request>(
        &mut self,
        version: i16,
        step: &str,
        correlation_id: i32,
    ) -> Option<R::Response> {
        self.begin_step(step);
        let came = self.receive::<R::Response>(version, correlation_id);
        self.keep(step, version, &came);
        match came {
            Came::Message { message, .. } => Some(*message),
            Came::Nothing(_) => None,
        }
    }

    /// Sends a body as it is, where an encoder would not write it.
    pub(crate) fn raw<R: Request>(&mut self, step: &str, raw: Raw<'_>) {
        self.begin_step(step);
        let correlation_id = self.client().send_raw(R::API.key, raw.version, raw.header_version, raw.body);
        let came = self.receive::<R::Response>(raw.answer_version, correlation_id);
        self.keep(step, raw.version, &came);
    }

    /// Sends bytes as they are on a connection of their own. Kept is whether it is closed, stays silent, or how many
    /// bytes the answer has.
    pub(crate) fn bytes(&mut self, step: &str, bytes: &[u8]) {
        self.begin_step(step);
        let mut client = self.connect().with_patience(Duration::from_secs(2));
        client.send_bytes(bytes);
        let came = match client.try_receive_frame() {
            Ok(frame) if frame.len() <= 20 => format!("an answer: {frame:?}"),
            Ok(_) => "a long answer".to_owned(),
            Err(NoAnswer::Silence) => "silence".to_owned(),
            Err(_) => "closed".to_owned(),
        };
        self.push(step, "", 0, Node::text(came));
    }

    fn begin_step(&mut self, step: &str) {
        assert!(self.steps.insert(step.to_owned()), "{}: there is a step {step:?} already", self.script);
    }

    fn connect(&self) -> WireClient {
        WireClient::connect(self.address).named(self.client_id).with_patience(PATIENCE)
    }

    fn client(&mut self) -> &mut WireClient {
        if !self.connections.contains_key(self.connection) {
            let client = self.connect();
            self.connections.insert(self.connection, client);
        }
        self.connections.get_mut(self.connection).expect("it was opened a moment ago")
    }

    fn ask<R: Request>(&mut self, version: i16, request: &R) -> Came<R::Response> {
        match self.client().try_send(version, request) {
            Ok(correlation_id) => self.receive(version, correlation_id),
            Err(missing) => self.nothing(&missing),
        }
    }

    /// The next answer, which has to be this one's.
    fn receive<M: Message>(&mut self, version: i16, correlation_id: i32) -> Came<M> {
        let frame = match self.client().try_receive_frame() {
            Ok(frame) => frame,
            Err(missing) => return self.nothing(&missing),
        };
        let what = format!("{}: {} v{version}", self.script, M::API.name);
        let mut reader = Reader::new(frame);
        let answered = decode_response_header(&mut reader, M::API, version)
            .unwrap_or_else(|error| panic!("{what}: the answer's header: {error}"));
        assert_eq!(answered, correlation_id, "{what}: an answer to another request");
        let body = reader.rest();
        let message =
            M::decode(&mut reader, version).unwrap_or_else(|error| panic!("{what}: the answer: {error}"));
        assert_eq!(reader.remaining(), 0, "{what}: bytes behind the answer");
        let is_exact = encoded(&message, version) == body;
        Came::Message { message: Box::new(message), version, is_exact }
    }

    /// After this the connection is another one.
    fn nothing<M>(&mut self, missing: &NoAnswer) -> Came<M> {
        self.connections.remove(self.connection);
        match missing {
            NoAnswer::Closed => Came::Nothing("closed"),
            NoAnswer::Silence => Came::Nothing("silence"),
            NoAnswer::Io(error) => panic!("{}: {error}", self.script),
        }
    }

    fn keep<M: Message>(&mut self, step: &str, version: i16, came: &Came<M>) {
        let node = match came {
            Came::Nothing(what) => Node::text(*what),
            Came::Message { message, version, is_exact } => {
                let tree = message.tree(*version);
                let mut node = self.mask.answer(M::API.name, *version, self.only_own, &tree);
                if let Node::Fields(fields) = &mut node
                    && !is_exact
                {
                    fields.push((DEFAULTS_SENT.to_owned(), Node::Leaf(true.into())));
                }
                node
            }
        };
        self.push(step, M::API.name, version, node);
    }

    fn push(&mut self, step: &str, api: &'static str, version: i16, node: Node) {
        self.answers.push(Answer { script: self.script.clone(), step: step.to_owned(), api, version, node });
    }
}

/// The mark of an answer whose bytes are not those that our encoder writes for it: a tagged field has its default.
pub(crate) const DEFAULTS_SENT: &str = "<tagged fields with their defaults>";

fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = FrameWriter::new();
    message.encode(&mut writer, version);
    writer.into_body()
}
