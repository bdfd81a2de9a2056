//! Bugs that can be planted on purpose, to see that the simulator finds them.
//!
//! Each is a `--cfg` flag for the compiler (`RUSTFLAGS="--cfg planted_..."`), off in every ordinary build, and a
//! constant here, so that the places which obey it stay ordinary code. This is the whole list; the workspace's
//! `Cargo.toml` declares the flags for the compiler's check.

/// An acks=-1 produce is answered once it is written: the answer does not wait for the sync.
pub const ANSWER_BEFORE_FSYNC: bool = cfg!(planted_answer_before_fsync);

/// The high watermark follows the end of what is written, so that records can be read which a power cut may take.
pub const HIGH_WATERMARK_FROM_LOG_END: bool = cfg!(planted_high_watermark_from_log_end);

/// A roll doesn't sync the directory, so the new segment's name may be lost with all that was acknowledged in it.
pub const NO_DIRECTORY_SYNC_AFTER_ROLL: bool = cfg!(planted_no_directory_sync_after_roll);

/// DeleteRecords is answered before the new log start is durable, so that a power cut may bring back what was deleted.
pub const LOG_START_ANSWERED_EARLY: bool = cfg!(planted_log_start_answered_early);

/// A duplicate is answered at once, though its original may not be safe yet.
pub const DUPLICATE_ANSWERED_EARLY: bool = cfg!(planted_duplicate_answered_early);

/// A group's coordinator answers (a commit, a join) before what it has written is safe.
pub const COMMIT_ANSWERED_EARLY: bool = cfg!(planted_commit_answered_early);

/// The transaction coordinator answers EndTxn, and sends markers, before the outcome that it has written is safe.
pub const END_ANSWERED_EARLY: bool = cfg!(planted_end_answered_early);

/// Compaction drops every fifth record, also if it is the newest of its key.
pub const NEWEST_OF_KEY_DROPPED: bool = cfg!(planted_newest_of_key_dropped);

/// A transaction whose outcome is written but whose markers are not is left alone after a restart.
pub const MARKERS_FORGOTTEN: bool = cfg!(planted_markers_forgotten);
