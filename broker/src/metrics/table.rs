//! Every metric, declared once: name, kind, labels, and what it counts. `docs/metrics.md` has the same rows.
//!
//! Those of the process itself stand here too, so that there is one list; the command fills them in.

use super::{Kind, Metric};

macro_rules! metrics {
    ($($(#[doc = $section:literal])* $constant:ident = $kind:ident $name:literal [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// Every metric, in the order in which they are declared.
        pub static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    // Requests. `api` is the protocol guide's name for it.
    REQUESTS = Counter "ottla_requests_total" ["api"], "Requests that have arrived whole";
    REQUEST_BYTES = Counter "ottla_request_bytes_total" ["api"], "Bytes of these requests, their size fields included";
    RESPONSE_BYTES = Counter "ottla_response_bytes_total" ["api"], "Bytes of answers, their size fields included";
    REQUEST_DURATION = Histogram "ottla_request_duration_seconds" ["api"], "Time from a request's last byte to its answer's being ready to leave; of a Fetch, the waiting for records included";
    REQUEST_ERRORS = Counter "ottla_request_errors_total" ["api", "error"], "Error codes in answers, one for each topic, partition or resource that has one";

    // Connections.
    CONNECTIONS = Gauge "ottla_connections" [], "Connections that are open";
    CONNECTIONS_ACCEPTED = Counter "ottla_connections_accepted_total" [], "Connections that were let in";
    CONNECTIONS_REJECTED = Counter "ottla_connections_rejected_total" ["reason"], "Connections that were turned away (address_limit), and times that accepting paused because as many are open as may be (limit) or the system had no descriptor or memory (system)";
    CONNECTIONS_CLOSED = Counter "ottla_connections_closed_total" ["reason"], "Connections that have ended, by why";

    // The budget of bytes in requests (queued.max.request.bytes).
    BUDGET_USED = Gauge "ottla_request_budget_used_bytes" [], "Bytes of requests in memory that are not answered yet";
    BUDGET_LIMIT = Gauge "ottla_request_budget_limit_bytes" [], "How many there may be (queued.max.request.bytes); 0 for no limit";
    BUDGET_WAITING = Gauge "ottla_request_budget_waiting_connections" [], "Connections that read no further until bytes are given back";

    // Produce.
    PRODUCE_ACKS = Counter "ottla_produce_acknowledged_batches_total" ["acks"], "Batches acknowledged to producers, by what they waited for: leader (acks 0 and 1) or all";

    // Fetch.
    FETCH_BYTES = Counter "ottla_fetch_record_bytes_total" ["path"], "Bytes of records in answers to Fetch, by how they leave: sendfile, or copy through the broker's memory";
    FETCH_COLD_READS = Counter "ottla_fetch_cold_reads_total" [], "Reads for Fetch that had to wait for the disk because the bytes were not in memory";
    FETCH_COLD_BYTES = Counter "ottla_fetch_cold_read_bytes_total" [], "Bytes of these reads";
    FETCH_WAITING = Gauge "ottla_fetch_waiting_requests" [], "Fetch requests that wait for records";
    FETCH_SESSIONS = Gauge "ottla_fetch_sessions" [], "Fetch sessions that are open";

    // The logs.
    LOG_BATCHES = Counter "ottla_log_appended_batches_total" [], "Batches written to logs";
    LOG_RECORDS = Counter "ottla_log_appended_records_total" [], "Records in these batches";
    LOG_BYTES = Counter "ottla_log_appended_bytes_total" [], "Bytes of these batches";
    LOG_DUPLICATES = Counter "ottla_log_duplicate_batches_total" [], "Batches that idempotent producers sent again and that were not appended a second time";
    LOG_WRITES = Counter "ottla_log_writes_total" [], "Writes to logs, each of the batches that had come together";
    LOG_DURABLE_RECORDS = Counter "ottla_log_durable_records_total" [], "Records that a sync has made durable";
    LOG_SEGMENTS_CREATED = Counter "ottla_log_segments_created_total" [], "Segments begun";
    LOG_SEGMENTS_DELETED = Counter "ottla_log_segments_deleted_total" ["reason"], "Segments that retention took, because of their age or of the log's size";
    LOG_DELETED_BYTES = Counter "ottla_log_deleted_bytes_total" [], "Bytes of these segments";
    LOG_FAILURES = Counter "ottla_log_failures_total" [], "Logs that were closed because an operation on their files failed";
    LOG_OPEN_FAILURES = Counter "ottla_log_open_failures_total" [], "Attempts to open a log that failed";
    LOG_SIZE = Gauge "ottla_log_size_bytes" [], "Bytes of all logs, as far as their sizes are known";
    PARTITIONS = Gauge "ottla_partitions" ["state"], "Partitions of this broker, by their logs: open, resting (nothing open), or offline (the start could make nothing of them)";
    SHARD_QUEUE = Gauge "ottla_shard_queued_requests" [], "Requests in the inboxes of the shards";
    SHARD_TURNS = Counter "ottla_shard_turns_total" [], "Turns of the shards; each takes in all that has come";
    SHARD_AGE = Gauge "ottla_shard_oldest_turn_seconds" [], "How long ago the shard that has gone longest without one last took a turn; each takes one a second at least";

    // Compaction.
    COMPACTION_RUNS = Counter "ottla_compaction_runs_total" ["outcome"], "Compactions of a log, by how they ended: done, partial (the memory for keys was too small, and the rest follows), given_up (the log was closed or removed) or failed";
    COMPACTION_READ_BYTES = Counter "ottla_compaction_read_bytes_total" [], "Bytes of logs that compaction has read";
    COMPACTION_WRITTEN_BYTES = Counter "ottla_compaction_written_bytes_total" [], "Bytes of logs that compaction has written";
    COMPACTION_RECORDS = Counter "ottla_compaction_records_total" ["outcome"], "Records that compaction has kept or removed; those of batches that it did not have to look into are not among them";
    COMPACTION_UNFIT = Gauge "ottla_compaction_unfit_partitions" [], "Partitions whose last compaction failed; it is tried again later";

    // Group commit.
    FLUSH_ROUNDS = Counter "ottla_flush_rounds_total" [], "Group commits: rounds of syncs";
    FLUSH_SYNCS = Counter "ottla_flush_syncs_total" ["kind"], "Syncs in these rounds, of files and of directories";
    FLUSH_DURATION = Histogram "ottla_flush_duration_seconds" [], "Time that a round of syncs took";
    FLUSH_FAILURES = Counter "ottla_flush_failures_total" [], "Syncs that failed; the first fails its data directory";
    FLUSH_OLDEST = Gauge "ottla_flush_oldest_unsynced_seconds" [], "How long the oldest bytes have waited that are to be synced and are not yet; 0 if there are none";

    // Recovery.
    RECOVERY_LOGS = Counter "ottla_recovery_logs_total" [], "Logs that were looked at after an unclean stop or a failure";
    RECOVERY_PENDING = Gauge "ottla_recovery_pending_logs" [], "Logs that the start has yet to look at";
    RECOVERY_READ_BYTES = Counter "ottla_recovery_read_bytes_total" [], "Bytes of segments that were read to find out where logs end and what they hold";
    RECOVERY_CUT_BYTES = Counter "ottla_recovery_cut_bytes_total" [], "Bytes that were cut off the ends of logs (and kept beside them)";

    // The data directory.
    DISK_FULL = Gauge "ottla_disk_full" ["directory"], "1 while the data directory refuses appends because it is full";
    DISK_FAILED = Gauge "ottla_disk_failed" ["directory"], "1 once the data directory has failed";
    DISK_FREE = Gauge "ottla_disk_free_bytes" ["directory"], "Free space on the data directory's file system, as of the scrape before";
    DISK_TOTAL = Gauge "ottla_disk_size_bytes" ["directory"], "Size of that file system";
    DISK_AHEAD = Gauge "ottla_disk_preallocated_bytes" ["directory"], "Space reserved ahead of the logs' ends";

    // Verification.
    VERIFIED_BYTES = Counter "ottla_verified_bytes_total" ["by"], "Bytes of stored batches whose CRCs were checked, by fetch or by scrub";
    DAMAGE_FOUND = Counter "ottla_damage_found_total" [], "Places found from which on a log is damaged; it is served up to there";
    SCRUB_PASSES = Counter "ottla_scrub_passes_total" [], "Times that the scrubber has been through all logs";
    RETENTION_SUSPENDED = Gauge "ottla_retention_suspended" [], "Shards that remove nothing by age because the calendar has leapt";

    // Metadata.
    METADATA_OFFSET = Gauge "ottla_metadata_offset" [], "The last transaction that the metadata image has seen";
    METADATA_EPOCH = Gauge "ottla_metadata_epoch" [], "The epoch of that transaction";
    METADATA_RECORDS = Counter "ottla_metadata_records_total" [], "Metadata records made durable";
    METADATA_COMMIT_DURATION = Histogram "ottla_metadata_commit_duration_seconds" [], "Time that writing and syncing a group of metadata changes took";
    METADATA_SNAPSHOTS = Counter "ottla_metadata_snapshots_total" [], "Metadata snapshots written";
    METADATA_FAILED = Gauge "ottla_metadata_failed" [], "1 once the metadata log has failed";
    TOPICS = Gauge "ottla_topics" [], "Topics in the metadata";

    // Producers.
    PRODUCER_IDS = Counter "ottla_producer_ids_allocated_total" [], "Producer ids given to producers";
    PRODUCER_ID_BLOCKS = Counter "ottla_producer_id_blocks_total" [], "Blocks of producer ids taken from the metadata log";

    // Transactions.
    TRANSACTIONS_ENDED = Counter "ottla_transactions_ended_total" ["outcome"], "Transactions whose outcome (commit, abort) is decided and kept, and whose markers have begun to be written; once more after a restart in between";
    TRANSACTIONS_ENDING = Gauge "ottla_transactions_ending" [], "Transactions of which some partition still lacks its marker";
    TRANSACTION_MARKERS = Counter "ottla_transaction_markers_total" ["result"], "Markers of transactions, by what became of them: written, dropped (the topic is gone, or knows a newer epoch), or failed, to be tried again";

    // Coordinators. `topic` is the one that they keep their state in.
    COORDINATOR_LOADS = Counter "ottla_coordinator_loads_total" ["topic"], "Times that a partition's coordinator has loaded its state";
    COORDINATOR_FAILURES = Counter "ottla_coordinator_failures_total" ["topic"], "Times that loading a partition's state failed, or that an append failed and the state was given up";
    COORDINATOR_SKIPPED = Counter "ottla_coordinator_skipped_records_total" ["topic"], "Records that could not be read and were left out of the state";
    GROUPS = Gauge "ottla_groups" ["type", "state"], "Groups, by type (classic, consumer) and by whether they have members (active) or not (empty)";
    GROUP_OFFSETS = Gauge "ottla_group_offsets" [], "Offsets that groups have committed";
    GROUP_COMMITS = Counter "ottla_group_committed_offsets_total" [], "Offsets written for groups, those of transactions included";

    // The process, under the names that Prometheus's own libraries use.
    BUILD = Gauge "ottla_build_info" ["version"], "1; the label says which version runs";
    PROCESS_START = Gauge "process_start_time_seconds" [], "When the process started, in seconds since 1970";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [], "CPU time of the process, user and system";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" [], "Memory of the process that is in RAM";
    PROCESS_OPEN_FILES = Gauge "process_open_fds" [], "Files and sockets that the process has open";
    PROCESS_MAX_FILES = Gauge "process_max_fds" [], "How many it may have open";
    PROCESS_THREADS = Gauge "process_threads" [], "Threads of the process";
}
