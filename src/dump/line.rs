//! One line of output: named values, for people in the words of Kafka's own tool, or as one JSON object.

use std::io::{self, Write};

use ottla_protocol::record::TimestampType;

/// What a line tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    kind: &'static str,
    fields: Vec<(&'static str, Value)>,
}

/// A value of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// There is none.
    None,
    Number(i64),
    Size(u64),
    Truth(bool),
    Text(String),
    /// Somebody else's bytes: shown as text if they are some, else in hex.
    Bytes(Vec<u8>),
    /// A timestamp, named after whose time it is for people, and by its field's name for scripts.
    Time(TimestampType, i64),
    List(Vec<Value>),
    /// A header of a record.
    Pair(Box<[Value; 2]>),
}

impl Line {
    /// A line of this kind, which scripts find as `type`.
    pub(super) fn new(kind: &'static str) -> Line {
        Line { kind, fields: Vec::with_capacity(20) }
    }

    /// Adds a value.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Line {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a value where there is one.
    pub(super) fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Line {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Writes the line for people.
    pub(super) fn write_text(&self, to: &mut dyn Write) -> io::Result<()> {
        match self.kind {
            // These stand alone, as in Kafka's tool, so that what reads its output reads this.
            "batch" | "entry" => {}
            "record" => write!(to, "| ")?,
            kind => write!(to, "{kind} ")?,
        }
        for (place, (name, value)) in self.fields.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            match value {
                Value::Time(TimestampType::CreateTime, ms) => write!(to, "{space}CreateTime: {ms}")?,
                Value::Time(TimestampType::LogAppendTime, ms) => write!(to, "{space}LogAppendTime: {ms}")?,
                value => {
                    write!(to, "{space}{name}: ")?;
                    write_text(to, value)?;
                }
            }
        }
        writeln!(to)
    }

    /// Writes the line for scripts, with the file that it speaks of.
    pub(super) fn write_json(&self, file: &str, to: &mut dyn Write) -> io::Result<()> {
        write!(to, "{{\"type\":\"{}\",\"file\":", self.kind)?;
        serde_json::to_writer(&mut *to, file)?;
        for (name, value) in &self.fields {
            if let Value::Time(kind, _) = value {
                write!(to, ",\"timestampType\":\"{kind:?}\"")?;
            }
            write!(to, ",\"{name}\":")?;
            write_json(to, value)?;
        }
        writeln!(to, "}}")
    }
}

fn write_text(to: &mut dyn Write, value: &Value) -> io::Result<()> {
    match value {
        Value::None => write!(to, "null"),
        Value::Number(number) | Value::Time(_, number) => write!(to, "{number}"),
        Value::Size(size) => write!(to, "{size}"),
        Value::Truth(truth) => write!(to, "{truth}"),
        Value::Text(text) => write_escaped(to, text),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => write_escaped(to, text),
            Err(_) => {
                write!(to, "0x")?;
                write_hex(to, bytes)
            }
        },
        Value::List(values) => {
            write!(to, "[")?;
            for (place, value) in values.iter().enumerate() {
                write!(to, "{}", if place == 0 { "" } else { ", " })?;
                write_text(to, value)?;
            }
            write!(to, "]")
        }
        Value::Pair(pair) => {
            let [key, value] = &**pair;
            write_text(to, key)?;
            write!(to, "=")?;
            write_text(to, value)
        }
    }
}

/// A terminal obeys control characters, and a line has to stay one.
fn write_escaped(to: &mut dyn Write, text: &str) -> io::Result<()> {
    if !text.contains(char::is_control) {
        return to.write_all(text.as_bytes());
    }
    for character in text.chars() {
        if character.is_control() {
            write!(to, "{}", character.escape_default())?;
        } else {
            write!(to, "{character}")?;
        }
    }
    Ok(())
}

fn write_hex(to: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
}

fn write_json(to: &mut dyn Write, value: &Value) -> io::Result<()> {
    match value {
        Value::None => write!(to, "null"),
        Value::Number(number) | Value::Time(_, number) => write!(to, "{number}"),
        Value::Size(size) => write!(to, "{size}"),
        Value::Truth(truth) => write!(to, "{truth}"),
        Value::Text(text) => Ok(serde_json::to_writer(to, text)?),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(serde_json::to_writer(to, text)?),
            Err(_) => {
                write!(to, "{{\"hex\":\"")?;
                write_hex(to, bytes)?;
                write!(to, "\"}}")
            }
        },
        Value::List(values) => write_json_list(to, values),
        Value::Pair(pair) => write_json_list(to, &**pair),
    }
}

fn write_json_list(to: &mut dyn Write, values: &[Value]) -> io::Result<()> {
    write!(to, "[")?;
    for (place, value) in values.iter().enumerate() {
        write!(to, "{}", if place == 0 { "" } else { "," })?;
        write_json(to, value)?;
    }
    write!(to, "]")
}

macro_rules! value_from {
    ($($number:ty),*; $($size:ty),*) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Value {
                Value::Number(number.into())
            }
        })*
        $(impl From<$size> for Value {
            fn from(size: $size) -> Value {
                Value::Size(size as u64)
            }
        })*
    };
}

value_from!(i8, i16, i32, i64; u8, u16, u32, u64, usize);

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Truth(truth)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::None, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &Line, text: &str, json: &str) {
        let (mut as_text, mut as_json) = (Vec::new(), Vec::new());
        line.write_text(&mut as_text).unwrap();
        line.write_json("a/b.log", &mut as_json).unwrap();
        assert_eq!(String::from_utf8(as_text).unwrap(), format!("{text}\n"));
        assert_eq!(String::from_utf8(as_json).unwrap(), format!("{json}\n"));
    }

    #[test]
    fn a_line_reads_as_kafkas_or_as_json() {
        let line = Line::new("batch")
            .with("baseOffset", 7i64)
            .with("maxTimestamp", Value::Time(TimestampType::LogAppendTime, -1))
            .with("isvalid", true)
            .with_some("deleteHorizonMs", None::<i64>);
        check(
            &line,
            "baseOffset: 7 LogAppendTime: -1 isvalid: true",
            r#"{"type":"batch","file":"a/b.log","baseOffset":7,"timestampType":"LogAppendTime","maxTimestamp":-1,"isvalid":true}"#,
        );
    }

    #[test]
    fn bytes_are_text_where_they_can_be_and_never_break_a_line() {
        let key = Value::from(&b"k\n\x1b[31m\xc3\xa9"[..]);
        let header = Value::Pair(Box::new([Value::from("h"), Value::None]));
        let line = Line::new("record")
            .with("key", key)
            .with("payload", &[0xffu8, 0][..])
            .with("headers", Value::List(vec![header.clone(), header]));
        check(
            &line,
            "| key: k\\n\\u{1b}[31mé payload: 0xff00 headers: [h=null, h=null]",
            r#"{"type":"record","file":"a/b.log","key":"k\n\u001b[31mé","payload":{"hex":"ff00"},"headers":[["h",null],["h",null]]}"#,
        );
    }
}
