//! Connections as byte streams.

use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use ottla_runtime::{Connection, ConnectionReader};

use crate::world::{Case, pattern};

async fn read_exactly(reader: &mut dyn ConnectionReader, len: usize) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    reader.read_exact(&mut bytes, len).await.unwrap();
    bytes.to_vec()
}

async fn read_to_end(reader: &mut dyn ConnectionReader) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(64 * 1024);
        if reader.read(&mut bytes).await.unwrap() == 0 {
            return bytes.to_vec();
        }
    }
}

async fn say(connection: &mut Connection, text: &'static str) {
    connection.writer.write_all(&[Bytes::from_static(text.as_bytes())]).await.unwrap();
}

/// What `connect` says when it fails.
async fn connect_error(case: &Case, address: SocketAddr) -> io::ErrorKind {
    case.runtime.net.connect(address).await.err().expect("nobody listens there").kind()
}

pub(crate) async fn what_is_sent_comes_back(case: Case) {
    let (mut client, mut server) = case.connected().await;
    let echo = case.runtime.spawner.spawn("echo", async move {
        let mut bytes = BytesMut::new();
        loop {
            bytes.reserve(1_000);
            if server.reader.read(&mut bytes).await.unwrap() == 0 {
                return;
            }
            server.writer.write_all(&[bytes.split().freeze()]).await.unwrap();
        }
    });
    for len in [1, 2, 100, 1_000, 10_000] {
        let sent = pattern(len);
        client.writer.write_all(&[Bytes::from(sent.clone())]).await.unwrap();
        assert_eq!(read_exactly(&mut *client.reader, len).await, sent);
    }
    drop(client);
    echo.await;
}

pub(crate) async fn each_end_knows_the_other(case: Case) {
    let mut listener = case.listen().await;
    assert_ne!(listener.local_address().port(), 0);
    let (client, server) = case.connect_to(&mut *listener).await;
    assert_eq!(client.peer, listener.local_address());
    assert_eq!(server.local, listener.local_address());
    assert_eq!(server.peer, client.local);
}

pub(crate) async fn a_half_closed_connection_still_carries_the_answer(case: Case) {
    let (mut client, mut server) = case.connected().await;
    say(&mut client, "question").await;
    client.writer.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut *server.reader).await, b"question");
    say(&mut server, "answer").await;
    drop(server);
    assert_eq!(read_to_end(&mut *client.reader).await, b"answer");
}

pub(crate) async fn dropping_both_halves_ends_the_stream(case: Case) {
    let (mut client, server) = case.connected().await;
    let Connection { reader, mut writer, .. } = server;
    drop(reader);
    writer.write_all(&[Bytes::from_static(b"last words")]).await.unwrap();
    drop(writer);
    assert_eq!(read_to_end(&mut *client.reader).await, b"last words");
}

pub(crate) async fn parts_arrive_in_order_and_without_gaps(case: Case) {
    let (mut client, mut server) = case.connected().await;
    let sent = pattern(100_000);
    // Lengths grow from 0, so that some parts are empty and some large.
    let (mut parts, mut rest, mut len) = (Vec::new(), Bytes::from(sent.clone()), 0);
    while !rest.is_empty() {
        parts.push(rest.split_to(len.min(rest.len())));
        parts.push(Bytes::new());
        len += 1;
    }
    let sending = async {
        client.writer.write_all(&parts).await.unwrap();
        client.writer.shutdown().await.unwrap();
    };
    let ((), received) = join(sending, read_to_end(&mut *server.reader)).await;
    assert!(received == sent);
}

pub(crate) async fn a_read_takes_no_more_than_there_is_room_for(case: Case) {
    let (mut client, mut server) = case.connected().await;
    say(&mut client, "abcdefgh").await;
    let mut received = BytesMut::new();
    while received.len() < 8 {
        let mut part = BytesMut::with_capacity(3);
        let count = server.reader.read(&mut part).await.unwrap();
        assert!((1..=3).contains(&count) && part.len() == count && part.capacity() == 3);
        received.extend_from_slice(&part);
    }
    assert_eq!(&received[..], b"abcdefgh");
}

pub(crate) async fn much_data_passes_both_ways_at_once(case: Case) {
    let (client, server) = case.connected().await;
    let sent = Bytes::from(pattern(4 * 1024 * 1024));
    let flow = |from: Connection| {
        let (sent, mut reader, mut writer) = (sent.clone(), from.reader, from.writer);
        async move {
            let sending = async {
                writer.write_all(std::slice::from_ref(&sent)).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let ((), received) = join(sending, read_to_end(&mut *reader)).await;
            assert!(received == sent);
        }
    };
    join(flow(client), flow(server)).await;
}

pub(crate) async fn a_connection_that_nobody_reads_stops_taking_bytes(case: Case) {
    let (mut client, _server) = case.connected().await;
    let chunk = pattern(256 * 1024);
    let mut taken = 0;
    let full = poll_fn(|context| {
        while taken < 256 * 1024 * 1024 {
            match client.writer.poll_write(context, &[IoSlice::new(&chunk)]) {
                Poll::Ready(count) => taken += count.unwrap(),
                Poll::Pending => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    });
    assert!(full.await, "it took {taken} bytes");
}

pub(crate) async fn a_connection_is_usable_before_it_is_accepted(case: Case) {
    let mut listener = case.listen().await;
    let mut client = case.runtime.net.connect(listener.local_address()).await.unwrap();
    say(&mut client, "early").await;
    let mut server = listener.accept().await.unwrap();
    assert_eq!(read_exactly(&mut *server.reader, 5).await, b"early");
}

pub(crate) async fn several_connections_keep_apart(case: Case) {
    let mut listener = case.listen().await;
    let mut ends = Vec::new();
    for _ in 0..5 {
        ends.push(case.connect_to(&mut *listener).await);
    }
    for (number, (client, _)) in ends.iter_mut().enumerate() {
        client.writer.write_all(&[Bytes::from(vec![number as u8; 3])]).await.unwrap();
    }
    for (number, (_, server)) in ends.iter_mut().enumerate() {
        assert_eq!(read_exactly(&mut *server.reader, 3).await, [number as u8; 3]);
    }
}

pub(crate) async fn accepting_goes_on_after_a_client_that_left(case: Case) {
    let mut listener = case.listen().await;
    let left = case.runtime.net.connect(listener.local_address()).await.unwrap();
    drop(left);
    let mut gone = listener.accept().await.unwrap();
    assert_eq!(read_to_end(&mut *gone.reader).await, b"");
    let (mut client, mut server) = case.connect_to(&mut *listener).await;
    say(&mut client, "here").await;
    assert_eq!(read_exactly(&mut *server.reader, 4).await, b"here");
}

pub(crate) async fn connections_outlive_their_listener(case: Case) {
    let mut listener = case.listen().await;
    let (mut client, mut server) = case.connect_to(&mut *listener).await;
    drop(listener);
    say(&mut client, "still").await;
    assert_eq!(read_exactly(&mut *server.reader, 5).await, b"still");
}

pub(crate) async fn an_address_in_use_is_refused(case: Case) {
    let listener = case.listen().await;
    let second = case.runtime.net.listen(listener.local_address(), 16).await;
    assert_eq!(second.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
}

pub(crate) async fn an_address_is_free_again_after_its_listener(case: Case) {
    let mut listener = case.listen().await;
    let address = listener.local_address();
    // The listening side closes first, so its end of the old connection lingers.
    let (client, server) = case.connect_to(&mut *listener).await;
    drop(server);
    drop(listener);
    let mut again = case.runtime.net.listen(address, 16).await.unwrap();
    assert_eq!(again.local_address(), address);
    drop(client);
    case.connect_to(&mut *again).await;
}

pub(crate) async fn connecting_where_nobody_listens_is_refused(case: Case) {
    let listener = case.listen().await;
    let address = listener.local_address();
    drop(listener);
    assert_eq!(connect_error(&case, address).await, io::ErrorKind::ConnectionRefused);
}

pub(crate) async fn writing_to_an_end_that_is_gone_fails(case: Case) {
    let (mut client, server) = case.connected().await;
    drop(server);
    // The first write may still be taken: the other end's refusal has to travel.
    for _ in 0..1_000 {
        match client.writer.write_all(&[Bytes::from_static(b"anybody?")]).await {
            Ok(()) => case.runtime.clock.sleep(Duration::from_millis(1)).await,
            Err(error) => {
                let kind = error.kind();
                let expected = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
                assert!(expected.contains(&kind), "{kind}");
                return;
            }
        }
    }
    panic!("a thousand writes to nobody succeeded");
}

pub(crate) async fn a_literal_address_resolves_to_itself(case: Case) {
    let addresses = case.runtime.net.resolve(&case.host.to_string(), 9_092).await.unwrap();
    assert_eq!(addresses, [SocketAddr::new(case.host, 9_092)]);
}
