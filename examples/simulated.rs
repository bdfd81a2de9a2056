//! A broker and a client on simulated machines: virtual time, no socket, no file, one thread, one seed. Then the power
//! goes, and what was acknowledged is still there.
//!
//! ```text
//! cargo run --release --example simulated
//! ```

#![expect(clippy::print_stdout, reason = "it shows what happens")]
#![expect(clippy::disallowed_methods, reason = "it shows how little real time it takes")]

use std::time::{Duration, Instant};

use anyhow::Result;
use ottla_broker::Broker;
use ottla_client::producer::Record;
use ottla_client::{Client, ClientConfig, ProducerConfig};
use ottla_runtime::Runtime;
use ottla_runtime::simulated::{Crash, Simulation};

fn main() -> Result<()> {
    let began = Instant::now();
    // The same seed gives the same run, down to the order in which tasks take their turns.
    let simulation = Simulation::new(42);
    let (machine, laptop) = (simulation.machine("broker"), simulation.machine("laptop"));
    let address = format!("{}:9092", machine.ip());
    let start = |runtime: Runtime| Broker::builder("/data").listen(&address).start(runtime);

    let broker = simulation.block_on(start(machine.runtime()))?;
    simulation.block_on(produce(laptop.runtime(), &address, b"first"))?;
    println!("start to first produce: {:.1} ms of real time", began.elapsed().as_secs_f64() * 1000.0);

    simulation.run_for(Duration::from_secs(3600));
    println!("an hour later: {:.1} ms of real time", began.elapsed().as_secs_f64() * 1000.0);

    machine.crash(Crash::PowerCut);
    drop(broker);
    let broker = simulation.block_on(start(machine.restart()))?;
    simulation.block_on(produce(laptop.runtime(), &address, b"after the power cut"))?;
    simulation.block_on(broker.stop());
    Ok(())
}

async fn produce(runtime: Runtime, address: &str, value: &[u8]) -> Result<()> {
    let config = ClientConfig { bootstrap_servers: vec![address.to_owned()], ..ClientConfig::default() };
    let client = Client::connect(runtime, config).await?;
    let producer = client.producer(ProducerConfig::default())?;
    let written = producer.send(Record::to("greetings").value(value)).await?.await?;
    println!("{:?} is at offset {}", String::from_utf8_lossy(value), written.offset.0);
    producer.close().await;
    Ok(())
}
