//! DeleteTopics: deletes topics (API key 20).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | Kafka 4 no longer serves it                                              | KIP-4    |
//! | 1       | throttle time                                                            | KIP-124  |
//! | 3       | may answer TOPIC_DELETION_DISABLED                                       | KIP-322  |
//! | 4       | flexible                                                                 | KIP-482  |
//! | 5       | error messages; may answer THROTTLING_QUOTA_EXCEEDED                     | KIP-599  |
//! | 6       | topics by id: a list of names or ids instead of names                    | KIP-516  |

api! {
    DeleteTopics { key: 20, versions: 0..=6, advertised: 0..=6, flexible: 4 }

    /// Topics to delete.
    request DeleteTopicsRequest {
        [6..] topics: Vec<DeleteTopicsRequestTopic>,
        [0..=5] topic_names: Vec<Str>,
        [0..] timeout_ms: i32,
    }

    /// A topic by its name or by its id, not by both.
    part DeleteTopicsRequestTopic {
        [6..] name: Option<Str>,
        [6..] topic_id: TopicId,
    }

    /// What became of them.
    response DeleteTopicsResponse {
        [1..] throttle_time_ms: i32,
        [0..] responses: Vec<DeleteTopicsResponseTopic>,
    }

    /// What became of a topic.
    part DeleteTopicsResponseTopic {
        /// Null for an unknown id.
        [0.., null 6..] name: Option<Str>,
        [6..] topic_id: TopicId,
        [0..] error_code: i16,
        [5..] error_message: Option<Str>,
    }
}
