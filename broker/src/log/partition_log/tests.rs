//! The decision core alone, without files.
