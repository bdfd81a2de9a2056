//! What may differ from run to run or belongs to Kafka's authors is replaced: ids, times, ports, paths, texts.
//!
//! Identity stays: a topic id is told by its topic's name, a producer id and a fetch session by their first appearance.
//! A script's own names lose the prefix that keeps scripts apart, and the version where a name has one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Tree;
use serde_json::Value;

use crate::node::Node;
use crate::record_sets;

/// Times so close to the run's are of the broker's clock; scripts send others.
const NEAR: Duration = Duration::from_secs(24 * 3600);

/// Texts of Kafka's own: only whether they are null, empty or there.
const TEXTS: [&str; 3] = ["error_message", "batch_index_error_message", "documentation"];

/// Configs whose values belong to the one broker.
const VALUES_OF_ONE_BROKER: [&str; 6] = [
    "advertised.listeners",
    "controller.quorum.bootstrap.servers",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
];

/// Fields that tell the rows of a list apart.
const KEYS: [&str; 18] = [
    "resource_type",
    "resource_name",
    "api_key",
    "topic",
    "topic_name",
    "name",
    "key",
    "topic_id",
    "log_dir",
    "partition_index",
    "partition",
    "index",
    "node_id",
    "broker_id",
    "producer_id",
    "group_id",
    "transactional_id",
    "member_id",
];

/// Fields by which a row belongs to a script.
const OWN_NAMES: [&str; 5] = ["name", "topic", "resource_name", "group_id", "transactional_id"];

/// Bytes that clients of a group leave with it.
const OPAQUE: [&str; 4] = ["metadata", "assignment", "member_metadata", "member_assignment"];

/// Fields that name members, under ids that a broker may have made up.
const MEMBERS: [&str; 2] = ["member_id", "leader"];

/// Lists whose order means something.
const IN_ORDER: [&str; 2] = ["synonyms", "record_errors"];

/// Lists whose order Kafka keeps, by API.
const IN_ORDER_BY_API: [(&str, &str); 2] =
    [("DescribeTopicPartitions", "topics"), ("CreateTopics", "configs")];

/// What a script knows of the broker's numbers.
#[derive(Debug)]
pub(crate) struct Mask {
    address: SocketAddr,
    /// In front of every name of the script's own.
    prefix: String,
    started_ms: i64,
    topic_ids: BTreeMap<TopicId, String>,
    producer_ids: BTreeMap<i64, String>,
    session_ids: BTreeMap<i64, String>,
    uuids: BTreeMap<String, String>,
    /// Of the answer at hand.
    api: &'static str,
    version: i16,
    only_own: bool,
}

impl Mask {
    pub(crate) fn new(address: SocketAddr, prefix: &str) -> Mask {
        Mask {
            address,
            prefix: prefix.to_owned(),
            started_ms: now_ms(),
            topic_ids: BTreeMap::new(),
            producer_ids: BTreeMap::new(),
            session_ids: BTreeMap::new(),
            uuids: BTreeMap::new(),
            api: "",
            version: 0,
            only_own: false,
        }
    }

    /// An answer without what is volatile. With `only_own`, of topics and resources only the script's.
    pub(crate) fn answer(&mut self, api: &'static str, version: i16, only_own: bool, tree: &Tree) -> Node {
        (self.api, self.version, self.only_own) = (api, version, only_own);
        self.learn(tree);
        self.node("", tree)
    }

    /// Notes the ids that an answer gives, so that they can be told by name.
    pub(crate) fn learn(&mut self, tree: &Tree) {
        match tree {
            Tree::List(rows) => rows.iter().for_each(|row| self.learn(row)),
            Tree::Fields(fields) => {
                fields.iter().for_each(|(_, tree)| self.learn(tree));
                let name = fields.iter().find_map(|(name, tree)| match tree {
                    Tree::Text(text) if ["name", "topic", "topic_name"].contains(name) => {
                        Some(text.to_string())
                    }
                    _ => None,
                });
                let id = fields.iter().find_map(|(_, tree)| match tree {
                    Tree::Id(id) if id.is_some() => Some(*id),
                    _ => None,
                });
                if let (Some(name), Some(id)) = (name, id) {
                    self.learn_topic_id(id, &name);
                }
            }
            _ => {}
        }
    }

    fn learn_topic_id(&mut self, id: TopicId, name: &str) {
        let name = self.own(name);
        let known = self.topic_ids.values().filter(|label| label.ends_with(&format!(" of {name}>"))).count();
        let label = if known == 0 { "id".to_owned() } else { format!("id {}", known + 1) };
        self.topic_ids.entry(id).or_insert_with(|| format!("<{label} of {name}>"));
    }

    fn node(&mut self, name: &str, tree: &Tree) -> Node {
        match tree {
            Tree::Null => Node::Leaf(Value::Null),
            Tree::Default => Node::text("<default>"),
            Tree::Bool(flag) => Node::Leaf(Value::Bool(*flag)),
            Tree::Number(number) => self.number(name, *number),
            Tree::Text(text) => self.text(name, text),
            Tree::Bytes(bytes) if OPAQUE.contains(&name) => {
                Node::text(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
            Tree::Bytes(bytes) => record_sets::to_node(bytes, self),
            Tree::Id(id) if id.is_some() => {
                Node::text(self.topic_ids.get(id).map_or("<an id>", String::as_str))
            }
            Tree::Id(_) => Node::text("<no id>"),
            Tree::List(rows) => {
                let is_shown = |row: &&Tree| !self.only_own || self.is_own(row);
                let shown: Vec<&Tree> = rows.iter().filter(is_shown).collect();
                let mut rows: Vec<Node> = shown.into_iter().map(|row| self.node(name, row)).collect();
                if name == "partitions" {
                    // The numbers of partitions, where they are no rows.
                    rows.sort_by_key(|row| match row {
                        Node::Leaf(Value::Number(number)) => number.as_i64(),
                        _ => None,
                    });
                }
                if !IN_ORDER.contains(&name) && !IN_ORDER_BY_API.contains(&(self.api, name)) {
                    rows.sort_by_cached_key(key_of);
                }
                Node::List(rows)
            }
            Tree::Fields(fields) => {
                let mut fields: Vec<(String, Node)> =
                    fields.iter().map(|(name, tree)| ((*name).to_owned(), self.node(name, tree))).collect();
                mask_config(&mut fields);
                Node::Fields(fields)
            }
        }
    }

    fn number(&mut self, name: &str, number: i64) -> Node {
        match name {
            "port" if number == i64::from(self.address.port()) => Node::text("<port>"),
            "session_id" => labelled(&mut self.session_ids, "session", number, 0),
            "producer_id" if self.api == "InitProducerId" => {
                labelled(&mut self.producer_ids, "producer", number, -1)
            }
            "producer_id" => self.producer_id(number),
            "total_bytes" | "usable_bytes" if 0 < number => Node::text("<bytes>"),
            "finalized_features_epoch" if 0 < number => Node::text("<epoch>"),
            _ => self.time(number),
        }
    }

    /// Notes an id that was given without being kept.
    pub(crate) fn learn_producer_id(&mut self, id: i64) {
        let _label = labelled(&mut self.producer_ids, "producer", id, -1);
    }

    /// A time of the broker's clock, or the number that it is.
    pub(crate) fn time(&self, number: i64) -> Node {
        let near = i64::try_from(NEAR.as_millis()).expect("a day");
        if number.abs_diff(self.started_ms) <= near.unsigned_abs() {
            return Node::text("<now>");
        }
        Node::number(number)
    }

    /// By name, if the script was given it; an id that it made up is a number.
    pub(crate) fn producer_id(&self, id: i64) -> Node {
        self.producer_ids.get(&id).map_or_else(|| Node::number(id), Node::text)
    }

    /// A member's id, whose random part is told by its first appearance.
    fn member(&mut self, text: &str) -> Node {
        let length = if is_uuid(text.get(text.len().saturating_sub(UUID_CHARS)..).unwrap_or_default()) {
            UUID_CHARS
        } else if text.len() == UUID_BASE64_CHARS {
            UUID_BASE64_CHARS
        } else {
            return Node::text(self.own(text));
        };
        let (name, uuid) = text.split_at(text.len() - length);
        let count = self.uuids.len();
        let label = self.uuids.entry(uuid.to_owned()).or_insert_with(|| format!("<uuid {}>", count + 1));
        Node::text(format!("{name}{label}"))
    }

    fn text(&mut self, name: &str, text: &str) -> Node {
        match name {
            _ if text.is_empty() => Node::text(""),
            _ if TEXTS.contains(&name) => Node::text("<text>"),
            "host" if text == self.address.ip().to_string() => Node::text("<host>"),
            _ if MEMBERS.contains(&name) => self.member(text),
            "cluster_id" => Node::text("<cluster id>"),
            "log_dir" => Node::text("<path>"),
            _ => Node::text(self.own(text)),
        }
    }

    /// A name as recordings have it.
    fn own(&self, text: &str) -> String {
        let Some(own) = text.strip_prefix(&self.prefix) else { return text.to_owned() };
        match own.rsplit_once(".v") {
            Some((name, version)) if version == self.version.to_string() => format!("@{name}.v#"),
            _ => format!("@{own}"),
        }
    }

    /// Whether a row belongs to the script, or to nobody.
    fn is_own(&self, row: &Tree) -> bool {
        let Tree::Fields(fields) = row else { return true };
        !fields.iter().any(|(name, tree)| match tree {
            Tree::Text(text) if OWN_NAMES.contains(name) => !text.starts_with(&self.prefix),
            _ => false,
        })
    }
}

/// How long a UUID is as text, and in base64 without padding.
const UUID_CHARS: usize = 36;
const UUID_BASE64_CHARS: usize = 22;

fn is_uuid(text: &str) -> bool {
    let is_part = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == UUID_CHARS && text.bytes().enumerate().all(is_part)
}

/// The label of a number that a broker gave; `none` stands for itself.
fn labelled(labels: &mut BTreeMap<i64, String>, what: &str, number: i64, none: i64) -> Node {
    if number == none {
        return Node::number(number);
    }
    let count = labels.len();
    Node::text(labels.entry(number).or_insert_with(|| format!("<{what} {}>", count + 1)).clone())
}

/// Hides a config's value, and those that it covers, where they belong to the one broker.
fn mask_config(fields: &mut [(String, Node)]) {
    let is_of_one_broker = fields.iter().any(|(name, node)| {
        matches!(node, Node::Leaf(Value::String(text))
            if name == "name" && VALUES_OF_ONE_BROKER.contains(&text.as_str()))
    });
    if !is_of_one_broker {
        return;
    }
    for (name, node) in fields {
        if name == "value" && *node != Node::Leaf(Value::Null) {
            *node = Node::text("<of this broker>");
        }
    }
}

/// What tells a row apart from the others of its list; empty where nothing does. An id counts only where there is no
/// name: the names are there at each version.
pub(crate) fn key_of(row: &Node) -> Vec<Key> {
    let is_named = ["name", "topic"].iter().any(|name| row.field(name).is_some_and(Node::is_text));
    // Of a batch, the producer's id is no key.
    let is_producer = row.field("last_sequence").is_some();
    KEYS.iter()
        .filter(|name| !(is_named && **name == "topic_id") && (is_producer || **name != "producer_id"))
        .filter_map(|name| match row.field(name)? {
            Node::Leaf(Value::String(text)) => Some(Key::Text(text.clone())),
            Node::Leaf(Value::Number(number)) => number.as_i64().map(Key::Number),
            Node::Leaf(Value::Null) => Some(Key::Null),
            _ => None,
        })
        .collect()
}

/// A part of a row's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Null,
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Null => f.write_str("null"),
            Key::Number(number) => number.fmt(f),
            Key::Text(text) => text.fmt(f),
        }
    }
}

/// The wall clock, as brokers stamp what they append.
pub(crate) fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a client of a real process has a real clock")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_millis()).expect("it is before the year 292 million")
}
