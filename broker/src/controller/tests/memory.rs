//! How much memory an image takes. Run by hand:
//! `cargo test -p ottla-broker --release memory -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "the figures are what the run is for")]

use super::super::proposal::{CreateTopics, Proposal};
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
