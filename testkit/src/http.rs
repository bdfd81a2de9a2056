//! Asking a broker's HTTP server, as a probe or a scraper does.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Such as 200.
    pub status: u16,
    /// The header lines.
    pub head: String,
    /// The body.
    pub body: String,
}

/// GETs `path`.
pub fn get(address: SocketAddr, path: &str) -> HttpAnswer {
    request(address, "GET", path)
}

/// Sends one request and reads its answer to the end of the connection. Panics if there is none.
pub fn request(address: SocketAddr, method: &str, path: &str) -> HttpAnswer {
    let mut stream = TcpStream::connect(address).expect("the HTTP server listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out can be set");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("a request can be sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the answer is text");
    parse(&text).unwrap_or_else(|| panic!("{method} {path}: no answer of HTTP's: {text:?}"))
}

/// Reads an answer whose connection has ended.
pub fn parse(text: &str) -> Option<HttpAnswer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(HttpAnswer { status, head: head.to_owned(), body: body.to_owned() })
}

/// The value of a sample in a page of metrics, such as `ottla_requests_total{api="Fetch"}`.
pub fn sample(metrics: &str, name: &str) -> Option<f64> {
    let line =
        metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}
