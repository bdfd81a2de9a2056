//! A small blocking client that speaks Kafka's frames, one request at a time or as many as a test likes.
//!
//! It takes nothing for granted: what comes back is counted, decoded to its last byte and compared with the request's
//! correlation id. Every wait ends by itself after [`PATIENCE`]: a test that hangs says so.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_protocol::api::{Message as _, Request};
use ottla_protocol::frame::{RequestHeader, decode_response_header};
use ottla_protocol::wire::{FrameWriter, Reader, Str};

/// How long an answer or the end of a connection may take before it counts as missing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a broker.
#[derive(Debug)]
pub struct WireClient {
    stream: TcpStream,
    correlation_id: i32,
    client_id: Option<Str>,
}

/// Why there was no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The broker closed the connection.
    Closed,
    /// Neither an answer nor an end came in time.
    Silence,
    /// The connection failed in another way.
    Io(io::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Closed => f.write_str("the connection was closed"),
            NoAnswer::Silence => f.write_str("nothing came in time"),
            NoAnswer::Io(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> NoAnswer {
        match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => NoAnswer::Closed,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => NoAnswer::Silence,
            _ => NoAnswer::Io(error),
        }
    }
}

impl WireClient {
    /// Connects.
    pub fn connect(address: SocketAddr) -> WireClient {
        WireClient::try_connect(address).expect("the broker accepts connections")
    }

    /// Connects, if the broker lets it.
    pub fn try_connect(address: SocketAddr) -> io::Result<WireClient> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(WireClient { stream, correlation_id: 0, client_id: Some(Str::from("wire")) })
    }

    /// Calls itself something else from now on.
    #[must_use]
    pub fn named(mut self, client_id: Option<&'static str>) -> WireClient {
        self.client_id = client_id.map(Str::from);
        self
    }

    /// Waits so long for answers from now on, instead of [`PATIENCE`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> WireClient {
        self.stream.set_read_timeout(Some(patience)).expect("a socket has time-outs");
        self
    }

    /// Our end of the connection.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Asks and waits for the answer. Panics if there is none.
    #[track_caller]
    pub fn request<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        match self.try_request(version, request) {
            Ok(response) => response,
            Err(missing) => panic!("{} v{version}: {missing}", R::API.name),
        }
    }

    /// Asks and waits for the answer.
    #[track_caller]
    pub fn try_request<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, NoAnswer> {
        let correlation_id = self.try_send(version, request)?;
        self.try_receive::<R>(version, correlation_id)
    }

    /// Asks, and gives the number that the answer will carry.
    #[track_caller]
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.try_send(version, request).expect("the broker takes requests")
    }

    /// Asks, if the connection is still there.
    pub fn try_send<R: Request>(&mut self, version: i16, request: &R) -> Result<i32, NoAnswer> {
        let frame = self.frame(version, request);
        self.try_send_frame(&frame)?;
        Ok(self.correlation_id)
    }

    /// A request's frame without its length, under the next number.
    pub fn frame<R: Request>(&mut self, version: i16, request: &R) -> Bytes {
        self.correlation_id += 1;
        let mut writer = FrameWriter::new();
        self.header(R::API.key, version).encode(&mut writer);
        request.encode(&mut writer, version);
        writer.into_body()
    }

    fn header(&self, api_key: i16, api_version: i16) -> RequestHeader {
        let client_id = self.client_id.clone();
        RequestHeader { api_key, api_version, correlation_id: self.correlation_id, client_id }
    }

    /// The answer to the request with this number. Panics if it is another's, does not decode, or goes on behind its
    /// end.
    #[track_caller]
    pub fn try_receive<R: Request>(
        &mut self,
        version: i16,
        correlation_id: i32,
    ) -> Result<R::Response, NoAnswer> {
        let mut reader = Reader::new(self.try_receive_frame()?);
        let answered = decode_response_header(&mut reader, R::API, version)
            .unwrap_or_else(|error| panic!("{} v{version}: the answer's header: {error}", R::API.name));
        assert_eq!(answered, correlation_id, "{} v{version}: an answer to another request", R::API.name);
        let response = R::Response::decode(&mut reader, version)
            .unwrap_or_else(|error| panic!("{} v{version}: the answer: {error}", R::API.name));
        assert_eq!(reader.remaining(), 0, "{} v{version}: bytes behind the answer", R::API.name);
        Ok(response)
    }

    /// The answer to the request with this number. Panics if there is none.
    #[track_caller]
    pub fn receive<R: Request>(&mut self, version: i16, correlation_id: i32) -> R::Response {
        match self.try_receive::<R>(version, correlation_id) {
            Ok(response) => response,
            Err(missing) => panic!("{} v{version}: {missing}", R::API.name),
        }
    }

    /// Sends a request of any API and version: the header in the version given here (1, or 2 with an empty tag buffer),
    /// then `body`.
    pub fn send_raw(&mut self, api_key: i16, api_version: i16, header_version: i16, body: &[u8]) -> i32 {
        self.correlation_id += 1;
        let mut frame = BytesMut::new();
        frame.put_i16(api_key);
        frame.put_i16(api_version);
        frame.put_i32(self.correlation_id);
        frame.put_i16(4);
        frame.put_slice(b"wire");
        if header_version == 2 {
            frame.put_u8(0);
        }
        frame.put_slice(body);
        self.try_send_frame(&frame).expect("the broker takes requests");
        self.correlation_id
    }

    /// Sends a frame, its length in front.
    pub fn try_send_frame(&mut self, frame: &[u8]) -> Result<(), NoAnswer> {
        let length = i32::try_from(frame.len()).expect("tests send less than 2 GiB");
        let mut bytes = BytesMut::with_capacity(4 + frame.len());
        bytes.put_i32(length);
        bytes.put_slice(frame);
        self.try_send_bytes(&bytes)
    }

    /// Sends bytes as they are.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> Result<(), NoAnswer> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends bytes as they are; that the broker has gone is found out later.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        // A broker that refuses a frame may close before all of it was sent.
        let _gone = self.stream.write_all(bytes);
    }

    /// The next frame, without its length.
    pub fn try_receive_frame(&mut self) -> Result<Bytes, NoAnswer> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a broker's frames have a length");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(Bytes::from(frame))
    }

    /// Sends these bytes over and over and reads nothing, until `bytes_max` are sent or the broker has taken nothing
    /// for `stall`. How many it took.
    pub fn send_until_stuck(&mut self, bytes: &[u8], bytes_max: usize, stall: Duration) -> usize {
        self.stream.set_write_timeout(Some(stall)).expect("a socket has time-outs");
        let mut taken = 0;
        while taken < bytes_max {
            match self.stream.write(&bytes[taken % bytes.len()..]) {
                Ok(count) => taken += count,
                Err(_stuck_or_gone) => break,
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE)).expect("a socket has time-outs");
        taken
    }

    /// Waits until the broker closes the connection. Panics if an answer comes instead, or nothing.
    #[track_caller]
    pub fn expect_close(&mut self, what: &str) {
        match self.try_receive_frame() {
            Err(NoAnswer::Closed) => {}
            Err(missing) => panic!("{what}: expected the connection to be closed, but {missing}"),
            Ok(frame) => {
                panic!("{what}: expected the connection to be closed, but {} bytes came", frame.len())
            }
        }
    }

    /// Whether the broker still answers here.
    pub fn is_served(&mut self) -> bool {
        self.try_request(0, &ApiVersionsRequest::default()).is_ok()
    }

    /// Says that nothing more will be sent; answers may still come.
    pub fn finish_sending(&self) {
        // It may have been closed by the other side.
        let _gone = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset: what was on its way is lost, as when a client's machine dies.
    pub fn reset(self) {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&self.stream, nix::sys::socket::sockopt::Linger, &linger)
            .expect("a socket lets itself be reset");
    }
}
