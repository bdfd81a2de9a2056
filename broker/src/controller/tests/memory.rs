//! How much memory an image takes, and how long a restart. Run by hand:
//! `cargo test -p ottla-broker --release memory -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "the figures are what the run is for")]

use ottla_protocol::types::BrokerId;

use super::super::proposal::{CreateTopics, Proposal};
use super::super::{Metadata, OpenOptions};
use super::{Cluster, request, topic};

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it has this line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn measure(topics: usize, partitions: i32) {
    let mut cluster = Cluster::of(1);
    let before = resident_kib();
    for first in (0..topics).step_by(100) {
        let batch =
            (first..topics.min(first + 100)).map(|n| topic(&format!("some-topic-{n:06}"), partitions, 1));
        cluster.propose(Proposal::CreateTopics(CreateTopics { topics: batch.collect(), ..request() }));
        cluster.records.clear();
    }
    let taken = (resident_kib() - before) * 1024;
    let count = cluster.image.partition_count();
    println!("{topics} topics, {count} partitions: {taken} bytes, {} a partition", taken / count as u64);
}

#[test]
#[ignore = "prints figures"]
fn memory_of_a_hundred_thousand_partitions() {
    println!("a partition is {} bytes", size_of::<super::super::PartitionImage>());
    println!("a topic is {} bytes", size_of::<super::super::TopicImage>());
    measure(1000, 100);
    measure(10_000, 10);
    measure(100_000, 1);
}

#[test]
#[ignore = "prints figures"]
fn restart_with_a_hundred_thousand_partitions() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    ottla_runtime::real::block_on(None, |runtime| async move {
        let options = OpenOptions::new(directory.path(), BrokerId(1));
        for start in 0..4 {
            let began = runtime.clock.now();
            let metadata = Metadata::open(&runtime, options.clone()).await.expect("a directory of ours");
            let took = runtime.clock.now().since(began);
            println!("start {start}: {} partitions in {took:?}", metadata.image().partition_count());
            for first in (0..100_000).step_by(500).take(if start == 0 { 200 } else { 0 }) {
                let batch = (first..first + 500).map(|n| topic(&format!("some-topic-{n:06}"), 1, 1));
                let request = CreateTopics { topics: batch.collect(), ..request() };
                metadata.create_topics(request).await.expect("a working disk");
            }
            let took = runtime.clock.now().since(began);
            println!("start {start}: closed after {took:?}");
            metadata.close().await;
        }
        for entry in
            std::fs::read_dir(directory.path().join("ottla-metadata")).expect("it is there").flatten()
        {
            println!("{:?} {}", entry.file_name(), entry.metadata().map_or(0, |file| file.len()));
        }
    })
    .expect("a runtime");
}
