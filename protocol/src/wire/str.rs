//! Text that is a slice of the frame it came in.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

/// Checked UTF-8 text in shared bytes: cloning counts a reference, it copies nothing.
///
/// One that was decoded keeps its whole frame alive, which may be 100 MiB. What outlives the request is stored
/// as [`Str::detached`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Str(Bytes);

impl Str {
    /// The empty text.
    pub const EMPTY: Str = Str(Bytes::new());

    /// Takes `bytes` as text if they are UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Str, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Str(bytes))
    }

    /// Takes `bytes` as text with U+FFFD in place of what is not UTF-8; copies only then.
    pub fn from_utf8_lossy(bytes: Bytes) -> Str {
        match String::from_utf8_lossy(&bytes) {
            std::borrow::Cow::Borrowed(_) => Str(bytes),
            std::borrow::Cow::Owned(repaired) => Str::from(repaired),
        }
    }

    /// A copy of `text` with memory of its own.
    pub fn copy_of(text: &str) -> Str {
        Str(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// A static text; usable in constants.
    pub const fn from_static(text: &'static str) -> Str {
        Str(Bytes::from_static(text.as_bytes()))
    }

    /// The same text with memory of its own, so that the frame it came in can go.
    pub fn detached(&self) -> Str {
        Str(Bytes::copy_from_slice(&self.0))
    }

    /// The text. The bytes are checked again, since the workspace denies `unsafe`: a few nanoseconds for a name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when this was made, and Bytes never change")
    }

    /// The text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text as the bytes it shares.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

// By hand, because a map keyed by `Str` is asked with `&str` and both have to hash alike.
impl std::hash::Hash for Str {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&'static str> for Str {
    fn from(text: &'static str) -> Str {
        Str::from_static(text)
    }
}

impl From<String> for Str {
    fn from(text: String) -> Str {
        Str(Bytes::from(text.into_bytes()))
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Str {
    /// Quoted and escaped, so that a hostile name cannot forge a line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_map_keyed_by_str_is_asked_with_plain_text() {
        let map = HashMap::from([(Str::from("a"), 1), (Str::from(String::from("β")), 2)]);
        assert_eq!(map.get("a"), Some(&1));
        assert_eq!(map.get("β"), Some(&2));
    }

    #[test]
    fn invalid_utf8_is_refused_or_repaired() {
        let bytes = Bytes::from_static(b"a\xffb");
        assert!(Str::from_utf8(bytes.clone()).is_err());
        assert_eq!(Str::from_utf8_lossy(bytes), "a\u{fffd}b");
    }

    #[test]
    fn detached_text_lets_its_frame_go() {
        let frame = Bytes::from(vec![b'x'; 100]);
        let kept = Str::from_utf8(frame.slice(..3)).expect("ASCII").detached();
        assert!(frame.is_unique());
        assert_eq!(kept, "xxx");
    }

    #[test]
    fn debug_escapes_line_breaks() {
        assert_eq!(format!("{:?}", Str::from("a\nERROR b")), r#""a\nERROR b""#);
    }
}
