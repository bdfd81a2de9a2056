//! Streams between machines: what a crash, a cut and a fault do to them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join;

use super::durable;
use crate::disk::FileRange;
use crate::simulated::{Crash, Machine, NetworkFaults, Rate, Simulation};
use crate::{Connection, ConnectionReader, Listener};

/// Two machines, and a connection from the first to the second.
async fn connected(client: &Machine, server: &Machine) -> (Connection, Connection, Box<dyn Listener>) {
    let address = SocketAddr::new(server.ip(), 0);
    let mut listener = server.runtime().net.listen(address, 16).await.unwrap();
    let connecting = client.runtime().net.connect(listener.local_address());
    let (connected, accepted) = join(connecting, listener.accept()).await;
    (connected.unwrap(), accepted.unwrap(), listener)
}

fn check(scenario: impl AsyncFn(&Simulation, &Machine, &Machine)) {
    for seed in 0..50 {
        let simulation = Simulation::new(seed);
        let (client, server) = (simulation.machine("client"), simulation.machine("server"));
        simulation.block_on(scenario(&simulation, &client, &server));
    }
}

/// Reads until the stream ends, and how it does.
async fn read_all(reader: &mut dyn ConnectionReader) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(4096);
        match reader.read(&mut bytes).await {
            Ok(0) => return (bytes.to_vec(), None),
            Ok(_) => {}
            Err(error) => return (bytes.to_vec(), Some(error.kind())),
        }
    }
}

#[test]
fn machines_reach_each_other_by_address_and_name() {
    check(async |_, client, server| {
        let (mut near, mut far, listener) = connected(client, server).await;
        assert_eq!((near.local.ip(), near.peer), (client.ip(), listener.local_address()));
        assert_eq!((far.peer, far.local), (near.local, near.peer));
        near.writer.write_all(&[Bytes::from_static(b"hello")]).await.unwrap();
        drop(near);
        assert_eq!(read_all(&mut *far.reader).await, (b"hello".to_vec(), None));
        let resolved = client.runtime().net.resolve("server", 9092).await.unwrap();
        assert_eq!(resolved, [SocketAddr::new(server.ip(), 9092)]);
        let error = client.runtime().net.resolve("nobody", 9092).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn loopback_reaches_only_the_machine_itself() {
    check(async |_, client, server| {
        let listener = server.runtime().net.listen("127.0.0.1:9092".parse().unwrap(), 1).await.unwrap();
        assert!(server.runtime().net.connect(listener.local_address()).await.is_ok());
        for address in [listener.local_address(), SocketAddr::new(server.ip(), 9092)] {
            let error = client.runtime().net.connect(address).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        let everywhere = server.runtime().net.listen("0.0.0.0:9093".parse().unwrap(), 1).await.unwrap();
        let address = SocketAddr::new(server.ip(), everywhere.local_address().port());
        assert_eq!(client.runtime().net.connect(address).await.unwrap().peer, address);
    });
}

#[test]
fn what_is_sent_is_cut_into_pieces_of_any_size() {
    let mut sizes = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let simulation = Simulation::new(seed);
        let (client, server) = (simulation.machine("client"), simulation.machine("server"));
        simulation.block_on(async {
            let (mut near, mut far, _listener) = connected(&client, &server).await;
            near.writer.write_all(&[Bytes::from(vec![1; 1_000])]).await.unwrap();
            let mut bytes = BytesMut::with_capacity(1_000);
            sizes.insert(far.reader.read(&mut bytes).await.unwrap());
        });
    }
    assert!(sizes.contains(&1_000) && sizes.len() > 10, "{sizes:?}");
}

#[test]
fn a_crash_ends_the_peers_connections_and_its_listener() {
    for crash in [Crash::PowerCut, Crash::Kill] {
        check(async |simulation, client, server| {
            let (mut near, far, listener) = connected(client, server).await;
            let address = listener.local_address();
            near.writer.write_all(&[Bytes::from_static(b"unread")]).await.unwrap();
            simulation.clock().sleep(Duration::from_millis(10)).await;
            server.crash(crash);
            assert_eq!(read_all(&mut *near.reader).await, (vec![], Some(ErrorKind::ConnectionReset)));
            assert!(near.writer.write_all(&[Bytes::from_static(b"more")]).await.is_err());
            drop((far, listener));
            let refused = client.runtime().net.connect(address).await.err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            server.restart();
            connected(client, server).await;
        });
    }
}

#[test]
fn a_crash_may_take_a_tail_of_what_was_on_the_way_and_nothing_else() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let simulation = Simulation::new(seed);
        let (client, server) = (simulation.machine("client"), simulation.machine("server"));
        simulation.block_on(async {
            let (mut near, mut far, _listener) = connected(&client, &server).await;
            for byte in 0..5 {
                far.writer.write_all(&[Bytes::from(vec![byte; 10])]).await.unwrap();
            }
            server.crash(Crash::PowerCut);
            let (bytes, end) = read_all(&mut *near.reader).await;
            assert_eq!(end, Some(ErrorKind::ConnectionReset));
            assert!(bytes.iter().enumerate().all(|(index, byte)| usize::from(*byte) == index / 10));
            lengths.insert(bytes.len());
        });
    }
    assert!(lengths.contains(&0) && lengths.contains(&50), "{lengths:?}");
}

#[test]
fn a_cut_holds_back_what_is_sent_until_it_heals() {
    check(async |simulation, client, server| {
        let (mut near, mut far, listener) = connected(client, server).await;
        simulation.network().cut(client, server);
        near.writer.write_all(&[Bytes::from_static(b"question")]).await.unwrap();
        far.writer.write_all(&[Bytes::from_static(b"answer")]).await.unwrap();
        drop(far.writer);
        let mut bytes = BytesMut::with_capacity(100);
        near.reader.read_exact(&mut bytes, 6).await.unwrap();
        let connecting = client.runtime().net.connect(listener.local_address());
        let mut read = Box::pin(read_all(&mut *far.reader));
        let waited =
            futures_util::future::select(&mut read, simulation.clock().sleep(Duration::from_secs(5)));
        assert!(matches!(waited.await, futures_util::future::Either::Right(_)), "one way is cut");
        simulation.network().heal();
        drop(near);
        assert_eq!(read.await, (b"question".to_vec(), None));
        connecting.await.unwrap();
    });
}

#[test]
fn faults_refuse_and_reset() {
    check(async |simulation, client, server| {
        let (mut near, mut far, listener) = connected(client, server).await;
        simulation.network().set_faults(NetworkFaults {
            refuse: Rate::ALWAYS,
            reset: Rate::ALWAYS,
            ..NetworkFaults::default()
        });
        let refused = client.runtime().net.connect(listener.local_address()).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let error = near.writer.write_all(&[Bytes::from_static(b"lost")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(read_all(&mut *far.reader).await, (vec![], Some(ErrorKind::ConnectionReset)));
        assert_eq!(read_all(&mut *near.reader).await, (vec![], Some(ErrorKind::ConnectionReset)));
    });
}

#[test]
fn a_range_that_has_left_memory_is_read_and_sent() {
    check(async |_, client, server| {
        let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number / 7) as u8).collect();
        let file = durable(&server.runtime().disk, "file", &bytes).await;
        let (mut near, mut far, _listener) = connected(client, server).await;
        server.disk().evict("file");
        let range = FileRange { file, position: 1_000, len: 299_000 };
        let sending = async {
            far.writer.send_file_all(&range).await.unwrap();
            drop(far);
        };
        let ((), (received, end)) = join(sending, read_all(&mut *near.reader)).await;
        assert_eq!(end, None);
        assert!(received == bytes[1_000..]);
    });
}
