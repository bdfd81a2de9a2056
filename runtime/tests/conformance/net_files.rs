//! Files sent over connections.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use ottla_runtime::{ConnectionReader, DiskWait as _, FileRange, FileRef, FileWait as _};

use crate::world::{Case, pattern};

async fn file_with(case: &Case, content: &[u8]) -> FileRef {
    let file = case.create("sent").await;
    file.write_at_wait(0, vec![Bytes::copy_from_slice(content)]).await.unwrap();
    file
}

fn range_of(file: &FileRef, position: usize, len: usize) -> FileRange {
    FileRange { file: Arc::clone(file), position: position as u64, len: len as u64 }
}

async fn read_exactly(reader: &mut dyn ConnectionReader, len: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    reader.read_exact(&mut bytes, len).await.unwrap();
    bytes
}

pub(crate) async fn ranges_of_a_file_arrive_whole(case: Case) {
    let content = pattern(300_000);
    let file = file_with(&case, &content).await;
    let (mut client, mut server) = case.connected().await;
    let ranges =
        [(0, 1), (1, 100), (4_095, 2), (4_096, 4_096), (0, 65_536), (299_999, 1), (100_001, 199_999)];
    for (position, len) in ranges {
        let range = range_of(&file, position, len);
        let sending = server.writer.send_file_all(&range);
        let (sent, received) = join(sending, read_exactly(&mut *client.reader, len)).await;
        sent.unwrap();
        assert!(received == content[position..position + len], "{len} bytes from {position}");
    }
}

pub(crate) async fn files_and_bytes_arrive_in_the_order_in_which_they_were_sent(case: Case) {
    let file = file_with(&case, b"0123456789").await;
    let (mut client, mut server) = case.connected().await;
    server.writer.write_all(&[Bytes::from_static(b"<")]).await.unwrap();
    server.writer.send_file_all(&range_of(&file, 2, 3)).await.unwrap();
    server.writer.write_all(&[Bytes::from_static(b"|")]).await.unwrap();
    server.writer.send_file_all(&range_of(&file, 7, 3)).await.unwrap();
    server.writer.write_all(&[Bytes::from_static(b">")]).await.unwrap();
    assert_eq!(&read_exactly(&mut *client.reader, 9).await[..], b"<234|789>");
}

pub(crate) async fn a_large_range_arrives_in_several_sends(case: Case) {
    let content = pattern(8 * 1024 * 1024);
    let file = file_with(&case, &content).await;
    let (mut client, mut server) = case.connected().await;
    let range = range_of(&file, 0, content.len());
    let sending = server.writer.send_file_all(&range);
    let (sent, received) = join(sending, read_exactly(&mut *client.reader, content.len())).await;
    sent.unwrap();
    assert!(received == content);
}

pub(crate) async fn an_empty_range_sends_nothing(case: Case) {
    let file = file_with(&case, b"abc").await;
    let (mut client, mut server) = case.connected().await;
    for position in [0, 3, 1_000] {
        let range = range_of(&file, position, 0);
        let sent = std::future::poll_fn(|context| server.writer.poll_send_file(context, &range)).await;
        assert_eq!(sent.unwrap(), 0);
    }
    server.writer.write_all(&[Bytes::from_static(b".")]).await.unwrap();
    assert_eq!(&read_exactly(&mut *client.reader, 1).await[..], b".");
}

pub(crate) async fn a_range_beyond_the_file_is_an_unexpected_end(case: Case) {
    let file = file_with(&case, &pattern(1_000)).await;
    let (_client, mut server) = case.connected().await;
    for (position, len) in [(1_000, 1), (500, 501), (5_000, 10)] {
        let error = server.writer.send_file_all(&range_of(&file, position, len)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
    file.truncate_wait(10).await.unwrap();
    let error = server.writer.send_file_all(&range_of(&file, 500, 10)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

pub(crate) async fn a_removed_file_can_still_be_sent(case: Case) {
    let file = file_with(&case, b"removed").await;
    case.runtime.disk.remove_file_wait(&case.path("sent")).await.unwrap();
    let (mut client, mut server) = case.connected().await;
    server.writer.send_file_all(&range_of(&file, 0, 7)).await.unwrap();
    assert_eq!(&read_exactly(&mut *client.reader, 7).await[..], b"removed");
}
