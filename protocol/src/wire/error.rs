//! Why bytes could not be decoded.

/// Why bytes from a peer are not the message that they claim to be. `position` is the byte of the decoded buffer
/// (a frame without its length) at which the offending item begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// An item runs past the end of its frame or of its tagged field.
    #[error("byte {position}: {needed} bytes needed, {left} left")]
    TooShort {
        /// Where the item begins.
        position: usize,
        /// How many bytes it takes.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// A varint has more bytes or more bits than its type can hold.
    #[error("byte {position}: the varint is too long")]
    VarintTooLong {
        /// Where the varint begins.
        position: usize,
    },
    /// A null where this version of the message needs a value.
    #[error("byte {position}: null, where a value is needed")]
    UnexpectedNull {
        /// Where the length or count is.
        position: usize,
    },
    /// A length or count that no buffer can have.
    #[error("byte {position}: {length} is not a length")]
    InvalidLength {
        /// Where the length is.
        position: usize,
        /// What it says.
        length: u32,
    },
    /// A string longer than [`STRING_BYTES_MAX`](super::STRING_BYTES_MAX).
    #[error("byte {position}: a string of {length} bytes")]
    StringTooLong {
        /// Where the string's length is.
        position: usize,
        /// What it says.
        length: usize,
    },
    /// An array that announces more elements than the bytes left could hold, or than
    /// [`ELEMENTS_MAX`](super::ELEMENTS_MAX).
    #[error("byte {position}: {count} elements announced, at most {limit} possible")]
    TooManyElements {
        /// Where the count is.
        position: usize,
        /// What it says.
        count: usize,
        /// How many could be there.
        limit: usize,
    },
    /// More tagged fields announced than the bytes left could hold, or than
    /// [`TAGGED_FIELDS_MAX`](super::TAGGED_FIELDS_MAX).
    #[error("byte {position}: {count} tagged fields announced, at most {limit} possible")]
    TooManyTaggedFields {
        /// Where the count is.
        position: usize,
        /// What it says.
        count: usize,
        /// How many could be there.
        limit: usize,
    },
    /// The same tag twice in one structure.
    #[error("byte {position}: tag {tag} is there twice")]
    DuplicateTag {
        /// Where the second one is.
        position: usize,
        /// The tag.
        tag: u32,
    },
    /// The message is not declared at this version.
    #[error("version {version} of this message is not known")]
    UnsupportedVersion {
        /// The version that was asked for.
        version: i16,
    },
}
