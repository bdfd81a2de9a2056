//! Creating, growing and deleting topics: what is allowed, which error each mistake gets, and which records follow.
//!
//! Pure. Requests are judged row by row, against an image that holds all earlier changes; a mistake in one row does
//! not keep the others from happening. The errors and their order are those of Apache Kafka 4.3.

mod auto_creation;
mod create;
mod delete;
mod grow;

pub use auto_creation::{AutoCreation, InternalTopicSettings, auto_creation, is_internal};
pub use create::{CreateTopicError, CreatedTopic, NewTopic, TopicDefaults};
pub use delete::{DeleteTopicError, DeletedTopic, TopicReference};

pub use grow::{CreatePartitionsError, GrowingTopic};

pub(super) use create::create_topics;
pub(super) use delete::delete_topics;
pub(super) use grow::create_partitions;
