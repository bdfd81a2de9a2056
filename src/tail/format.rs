//! How `ottla tail` prints a record.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_client::TopicPartition;
use ottla_client::consumer::RecordRef;

use super::TailArguments;
use crate::moment::Moment;

/// How a record looks.
#[derive(Debug)]
pub(super) enum Format {
    Line { timestamps: bool, headers: bool, key_separator: Option<Vec<u8>> },
    Json,
}

impl Format {
    pub(super) fn of(arguments: &TailArguments) -> Format {
        if arguments.json {
            return Format::Json;
        }
        Format::Line {
            timestamps: arguments.timestamps,
            headers: arguments.headers,
            key_separator: arguments.key_separator.clone(),
        }
    }

    /// Prints one record.
    pub(super) fn write(
        &self,
        output: &mut impl Write,
        partition: &TopicPartition,
        record: &RecordRef<'_>,
    ) -> io::Result<()> {
        let Format::Line { timestamps, headers, key_separator } = self else {
            return write_json(output, partition, record);
        };
        if *timestamps {
            match record.timestamp {
                Some(timestamp) => write!(output, "{}\t", Moment(timestamp))?,
                None => output.write_all(b"-\t")?,
            }
        }
        if *headers {
            write_headers(output, record)?;
        }
        if let (Some(separator), Some(key)) = (key_separator, record.key) {
            output.write_all(key)?;
            output.write_all(separator)?;
        }
        output.write_all(record.value.unwrap_or_default())?;
        output.write_all(b"\n")
    }
}

fn write_headers(output: &mut impl Write, record: &RecordRef<'_>) -> io::Result<()> {
    for (place, (key, value)) in record.headers.clone().enumerate() {
        if place > 0 {
            output.write_all(b",")?;
        }
        output.write_all(key)?;
        if let Some(value) = value {
            output.write_all(b"=")?;
            output.write_all(value)?;
        }
    }
    output.write_all(b"\t")
}

fn write_json(output: &mut impl Write, partition: &TopicPartition, record: &RecordRef<'_>) -> io::Result<()> {
    output.write_all(b"{\"topic\":")?;
    serde_json::to_writer(&mut *output, &*partition.topic)?;
    write!(output, ",\"partition\":{},\"offset\":{}", partition.partition, record.offset)?;
    match record.timestamp {
        Some(timestamp) => write!(output, ",\"timestamp\":{timestamp}")?,
        None => output.write_all(b",\"timestamp\":null")?,
    }
    write_bytes(output, ",\"key", record.key)?;
    write_bytes(output, ",\"value", record.value)?;
    output.write_all(b",\"headers\":[")?;
    for (place, (key, value)) in record.headers.clone().enumerate() {
        output.write_all(if place > 0 { b"," } else { b"" })?;
        write_bytes(output, "{\"key", Some(key))?;
        write_bytes(output, ",\"value", value)?;
        output.write_all(b"}")?;
    }
    output.write_all(b"]}\n")
}

/// Text as text, and what is none in base64 under a name that says so. `name` has its opening quote.
fn write_bytes(output: &mut impl Write, name: &str, bytes: Option<&[u8]>) -> io::Result<()> {
    output.write_all(name.as_bytes())?;
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => output.write_all(b"\":null"),
        Some((_, Ok(text))) => {
            output.write_all(b"\":")?;
            Ok(serde_json::to_writer(output, text)?)
        }
        Some((bytes, Err(_))) => write!(output, "_base64\":\"{}\"", STANDARD.encode(bytes)),
    }
}
