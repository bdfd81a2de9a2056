//! Answers requests: one handler file per API, under the names of `ottla_protocol::api`.
//!
//! A handler decodes nothing itself and keeps nothing: it asks the metadata image, the partitions and the shards, and
//! fills in the response. What it decides beyond looking things up is decided elsewhere, in a pure file.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod caller;
mod config_changes;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod errors;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod resource_type;
mod sync_group;
mod txn_offset_commit;
mod write_txn_markers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::api::{ApiKey, Message, Request};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::frame::{self, RequestHeader, UnsupportedRequest};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{FramePiece, Reader, Str};
use ottla_runtime::{Clock, FileRange, Rng};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

use self::errors::ErrorCodes;
use crate::config::{BrokerConfig, LimitsConfig};
use crate::controller::{ConfigResource, Metadata, MetadataImage};
use crate::coordinator::Coordinators;
use crate::log::safe_ends_task::SafeEndNotes;
use crate::metrics::FetchMetrics;
use crate::metrics::table::REQUEST_ERRORS;
use crate::network::{FetchSessions, ResponsePiece, ResponsePieces};
use crate::replication::{Partitions, ReplicaSigns, Shards, Subscription};

pub(crate) use init_producer_id::ProducerIds;
pub(crate) use produce::ProduceWait;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An answer.
    Response(ResponsePieces),
    /// None, for a Produce with `acks` 0 that went well.
    Nothing,
    /// None, and the connection is closed; the text says why.
    Close(String),
}

/// What belongs to one connection and outlives its requests.
pub(crate) struct ConnectionContext {
    /// Our end: what a client without an advertised address is told to come back to.
    pub(crate) local: SocketAddr,
    /// Where the client is, as groups show their members.
    pub(crate) client_host: Str,
    /// The partitions that the last Fetch waited for, kept for the next.
    pub(crate) subscription: Option<Subscription>,
    /// The broker stops: whoever waits for records answers with what there is.
    pub(crate) stop: CancellationToken,
}

impl ConnectionContext {
    pub(crate) fn new(local: SocketAddr, peer: SocketAddr, stop: CancellationToken) -> ConnectionContext {
        ConnectionContext { local, client_host: caller::client_host(peer.ip()), subscription: None, stop }
    }
}

/// Everything that handlers ask.
pub(crate) struct Handlers {
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) metadata: Metadata,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) shards: Shards,
    pub(crate) coordinators: Coordinators,
    pub(crate) signs: ReplicaSigns,
    pub(crate) safe_ends: SafeEndNotes,
    /// The data directory, as an absolute path.
    pub(crate) log_directory: PathBuf,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) fetch_sessions: Mutex<FetchSessions>,
    pub(crate) fetch_metrics: FetchMetrics,
    pub(crate) rng: Mutex<Rng>,
    pub(crate) clock: Clock,
}

impl Handlers {
    /// Whether the request is a Produce, which connections pipeline.
    pub(crate) fn is_produce(header: &RequestHeader) -> bool {
        header.api_key == ApiKey::Produce.code()
    }

    /// Whether the request may be parked for as long as others of its group like, and keeps nothing of its bytes.
    pub(crate) fn is_parked(header: &RequestHeader) -> bool {
        [ApiKey::JoinGroup.code(), ApiKey::SyncGroup.code()].contains(&header.api_key)
    }

    /// Answers any request but Produce.
    pub(crate) async fn handle(
        &self,
        connection: &mut ConnectionContext,
        header: RequestHeader,
        body: Reader,
    ) -> Reply {
        let api = match header.api() {
            Ok(api) => api,
            Err(UnsupportedRequest::ApiVersionsVersion { .. }) => {
                REQUEST_ERRORS.count(&["ApiVersions", ErrorCode::UnsupportedVersion.name()], 1);
                return Reply::Response(in_memory(frame::unsupported_api_versions_answer(
                    header.correlation_id,
                )));
            }
            Err(error) => return Reply::Close(error.to_string()),
        };
        let answered = match api {
            ApiKey::ApiVersions => {
                let index = self.image().offset().index;
                answer(&header, body, |request| api_versions::answer(&request, header.api_version, index))
            }
            ApiKey::Metadata => {
                answer_async(&header, body, async |request| self.metadata(connection, &header, request).await)
                    .await
            }
            ApiKey::Fetch => return self.fetch(connection, &header, body).await,
            ApiKey::ListOffsets => {
                answer_async(&header, body, async |request| {
                    self.list_offsets(header.api_version, request).await
                })
                .await
            }
            ApiKey::OffsetForLeaderEpoch => {
                answer_async(&header, body, async |request| self.offset_for_leader_epoch(request).await).await
            }
            ApiKey::InitProducerId => {
                answer_async(&header, body, async |request| {
                    self.init_producer_id(header.api_version, request).await
                })
                .await
            }
            ApiKey::AddPartitionsToTxn => {
                answer_async(&header, body, async |request| {
                    self.add_partitions_to_txn(header.api_version, request).await
                })
                .await
            }
            ApiKey::AddOffsetsToTxn => {
                answer_async(&header, body, async |request| {
                    self.add_offsets_to_txn(header.api_version, request).await
                })
                .await
            }
            ApiKey::EndTxn => {
                answer_async(&header, body, async |request| self.end_txn(header.api_version, request).await)
                    .await
            }
            ApiKey::DescribeTransactions => {
                answer_async(&header, body, async |request| self.describe_transactions(request).await).await
            }
            ApiKey::ListTransactions => {
                answer_async(&header, body, async |request| self.list_transactions(request).await).await
            }
            ApiKey::OffsetFetch => {
                answer_async(&header, body, async |request| {
                    self.offset_fetch(header.api_version, request).await
                })
                .await
            }
            ApiKey::FindCoordinator => {
                answer_async(&header, body, async |request| {
                    self.find_coordinator(connection, header.api_version, request).await
                })
                .await
            }
            ApiKey::OffsetCommit => {
                answer_async(&header, body, async |request| {
                    self.offset_commit(header.api_version, request).await
                })
                .await
            }
            ApiKey::TxnOffsetCommit => {
                answer_async(&header, body, async |request| {
                    self.txn_offset_commit(header.api_version, request).await
                })
                .await
            }
            ApiKey::OffsetDelete => {
                answer_async(&header, body, async |request| self.offset_delete(request).await).await
            }
            ApiKey::ListGroups => {
                answer_async(&header, body, async |request| self.list_groups(request).await).await
            }
            ApiKey::DeleteGroups => {
                answer_async(&header, body, async |request| self.delete_groups(request).await).await
            }
            ApiKey::JoinGroup => {
                answer_async(&header, body, async |request| {
                    self.join_group(connection, &header, request).await
                })
                .await
            }
            ApiKey::SyncGroup => {
                answer_async(&header, body, async |request| {
                    self.sync_group(connection, &header, request).await
                })
                .await
            }
            ApiKey::Heartbeat => {
                answer_async(&header, body, async |request| self.heartbeat(request).await).await
            }
            ApiKey::LeaveGroup => {
                answer_async(&header, body, async |request| {
                    self.leave_group(connection, &header, request).await
                })
                .await
            }
            ApiKey::DescribeGroups => {
                answer_async(&header, body, async |request| {
                    self.describe_groups(header.api_version, request).await
                })
                .await
            }
            ApiKey::ConsumerGroupHeartbeat => {
                answer_async(&header, body, async |request| {
                    self.consumer_group_heartbeat(connection, &header, request).await
                })
                .await
            }
            ApiKey::ConsumerGroupDescribe => {
                answer_async(&header, body, async |request| self.consumer_group_describe(request).await).await
            }
            ApiKey::CreateTopics => {
                answer_async(&header, body, async |request| self.create_topics(request).await).await
            }
            ApiKey::DeleteTopics => {
                answer_async(&header, body, async |request| {
                    self.delete_topics(header.api_version, request).await
                })
                .await
            }
            ApiKey::DescribeConfigs => answer(&header, body, |request| self.describe_configs(&request)),
            ApiKey::DescribeCluster => {
                answer(&header, body, |request| self.describe_cluster(connection, &request))
            }
            ApiKey::CreatePartitions => {
                answer_async(&header, body, async |request| self.create_partitions(request).await).await
            }
            ApiKey::AlterConfigs => {
                answer_async(&header, body, async |request| self.alter_configs(request).await).await
            }
            ApiKey::IncrementalAlterConfigs => {
                answer_async(&header, body, async |request| self.incremental_alter_configs(request).await)
                    .await
            }
            ApiKey::DeleteRecords => {
                answer_async(&header, body, async |request| self.delete_records(request).await).await
            }
            ApiKey::DescribeTopicPartitions => {
                answer(&header, body, |request| self.describe_topic_partitions(&request))
            }
            ApiKey::DescribeLogDirs => {
                answer_async(&header, body, async |request| self.describe_log_dirs(request).await).await
            }
            ApiKey::DescribeProducers => {
                answer_async(&header, body, async |request| self.describe_producers(request).await).await
            }
            ApiKey::ListConfigResources => {
                answer(&header, body, |request| self.list_config_resources(header.api_version, &request))
            }
            ApiKey::Produce => Err("a Produce request is answered where it arrives".to_owned()),
            ApiKey::WriteTxnMarkers => {
                answer_async(&header, body, async |request| self.write_txn_markers(request).await).await
            }
        };
        answered.unwrap_or_else(Reply::Close)
    }

    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.metadata.image()
    }

    /// The limits in effect for connections, with what was set at run time.
    pub(crate) fn connection_limits(&self) -> LimitsConfig {
        let image = self.image();
        let limits = self.config.limits.clone();
        let is_untouched = |resource: &ConfigResource| image.configs(resource).is_none();
        if is_untouched(&ConfigResource::EveryBroker)
            && is_untouched(&ConfigResource::Broker(self.config.node.id))
        {
            return limits;
        }
        limits.with_dynamic(&self.layers_in(&image))
    }

    /// The broker's own address as this client should be told it.
    pub(crate) fn advertised(&self, connection: &ConnectionContext) -> (Str, i32) {
        let endpoint = self.config.listener.address_for(connection.local);
        (Str::from(endpoint.host), i32::from(endpoint.port))
    }

    /// A random topic id: never zero, nor the one that Kafka keeps for its metadata.
    pub(crate) fn random_topic_id(&self) -> TopicId {
        let mut bytes = [0; 16];
        self.rng.lock().fill(&mut bytes);
        bytes[0] |= 1;
        TopicId(bytes)
    }
}

/// Decodes the body, and encodes what `handle` makes of it.
fn answer<R: Request<Response: ErrorCodes>>(
    header: &RequestHeader,
    body: Reader,
    handle: impl FnOnce(R) -> R::Response,
) -> Result<Reply, String> {
    let response = handle(decode(header, body)?);
    Ok(encode(header, &response))
}

async fn answer_async<R: Request<Response: ErrorCodes>>(
    header: &RequestHeader,
    body: Reader,
    handle: impl AsyncFnOnce(R) -> R::Response,
) -> Result<Reply, String> {
    let response = handle(decode(header, body)?).await;
    Ok(encode(header, &response))
}

/// Decodes the body of a request whose version is served.
fn decode<R: Request>(header: &RequestHeader, mut body: Reader) -> Result<R, String> {
    R::decode(&mut body, header.api_version).map_err(|error| {
        format!("a {} request (version {}) does not decode: {error}", R::API.name, header.api_version)
    })
}

/// Encodes a response that has no bytes of files in it.
fn encode<M: Message + ErrorCodes>(header: &RequestHeader, response: &M) -> Reply {
    encode_with_files(header, response, &[])
}

/// Encodes a response whose external records are the ranges of `files`, by their index.
fn encode_with_files<M: Message + ErrorCodes>(
    header: &RequestHeader,
    response: &M,
    files: &[Vec<FileRange>],
) -> Reply {
    errors::count(M::API.name, response);
    let mut writer = frame::begin_response(M::API, header.api_version, header.correlation_id, 256);
    response.encode(&mut writer, header.api_version);
    match writer.finish() {
        Ok(pieces) => Reply::Response(with_files(pieces, files)),
        Err(error) => Reply::Close(error.to_string()),
    }
}

fn in_memory(pieces: Vec<FramePiece>) -> ResponsePieces {
    with_files(pieces, &[])
}

fn with_files(pieces: Vec<FramePiece>, files: &[Vec<FileRange>]) -> ResponsePieces {
    let mut response: ResponsePieces = SmallVec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            FramePiece::Bytes(bytes) => response.push(ResponsePiece::Bytes(bytes)),
            FramePiece::External { id, .. } => {
                let ranges = files.get(id as usize).expect("each external piece has its ranges");
                response.extend(ranges.iter().cloned().map(ResponsePiece::File));
            }
        }
    }
    response
}
