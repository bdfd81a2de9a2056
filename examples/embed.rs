//! A broker inside a program, on a free port, with its data in a directory of its own: what a test, a demo or a desktop
//! program needs. Any Kafka client can talk to it; here it is our own.
//!
//! ```text
//! cargo run --example embed
//! ```

#![expect(clippy::print_stdout, reason = "it shows what happens")]

use anyhow::Result;
use ottla_broker::Broker;
use ottla_client::consumer::OffsetReset;
use ottla_client::producer::Record;
use ottla_client::{Client, ClientConfig, ConsumerConfig, ProducerConfig, TopicPartition};
use ottla_protocol::types::PartitionIndex;
use ottla_runtime::{Runtime, real};

fn main() -> Result<()> {
    real::block_on(None, embed)?
}

async fn embed(runtime: Runtime) -> Result<()> {
    let directory = tempfile::tempdir()?;
    // In a program with a tokio runtime of its own: Runtime::real(Handle::current()).
    let broker = Broker::builder(directory.path())
        .set("ottla.flush.policy", "os") // Nobody would miss this data after a power cut.
        .start(runtime.clone())
        .await?;
    println!("a broker listens on {}", broker.address());

    let bootstrap_servers = vec![broker.address().to_string()];
    let client =
        Client::connect(runtime, ClientConfig { bootstrap_servers, ..ClientConfig::default() }).await?;
    let producer = client.producer(ProducerConfig::default())?;
    let delivery = producer.send(Record::to("greetings").key(b"en").value(b"hello")).await?;
    let written = delivery.await?;
    println!("written to {}-{} at offset {}", written.topic, written.partition.0, written.offset.0);

    let from_the_beginning =
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut consumer = client.consumer(from_the_beginning);
    consumer.assign([TopicPartition::new("greetings", PartitionIndex(0))]);
    let record = consumer.next_record().await?;
    println!("read {}", String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()));

    producer.close().await;
    broker.stop().await;
    Ok(())
}
