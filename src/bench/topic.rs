//! The topic that a command measures with: there already, or made for it and deleted afterwards.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::control::{Control, Leaders, NewTopic};
use super::options::TopicArguments;
use super::progress::Progress;

/// A topic to measure with.
pub(crate) struct BenchTopic<'a> {
    control: &'a Control,
    pub(crate) name: String,
    pub(crate) leaders: Leaders,
    /// It was made here, and shall not be left behind.
    is_ours: bool,
}

impl<'a> BenchTopic<'a> {
    /// Takes the topic that there is, or creates it; says which.
    pub(crate) fn prepare(
        control: &'a Control,
        arguments: &TopicArguments,
        progress: &Progress,
    ) -> Result<BenchTopic<'a>> {
        let name = arguments.topic.clone();
        if let Some(leaders) = control.leaders(&name)? {
            progress.say(&format!(
                "topic {name} exists, with {} partitions; it is used and left there",
                leaders.len()
            ));
            return Ok(BenchTopic { control, name, leaders, is_ours: false });
        }
        let configs = &arguments.topic_configs;
        let leaders = control.create_topic(&NewTopic {
            name: &name,
            partitions: arguments.partitions,
            replication_factor: arguments.replication_factor,
            configs: configs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        })?;
        let later = if arguments.keep { "it stays" } else { "it is deleted at the end" };
        progress.say(&format!("created topic {name} with {} partitions; {later}", leaders.len()));
        Ok(BenchTopic { control, name, leaders, is_ours: !arguments.keep })
    }

    /// Which partitions each of `count` connections has to do with, and where their leader listens: every partition
    /// of one leader, each connection beginning at another one.
    pub(crate) fn shares(&self, count: usize) -> Result<Vec<(SocketAddr, Vec<i32>)>> {
        let mut addresses: Vec<SocketAddr> = self.leaders.values().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        ensure!(
            addresses.len() <= count,
            "{} brokers lead partitions of {}: use that many --connections at least",
            addresses.len(),
            self.name
        );
        let share = |(connection, address): (usize, &SocketAddr)| {
            let mut partitions: Vec<i32> = self
                .leaders
                .iter()
                .filter(|(_, leader)| *leader == address)
                .map(|(index, _)| *index)
                .collect();
            let begin = connection * partitions.len() / count;
            partitions.rotate_left(begin);
            (*address, partitions)
        };
        Ok(addresses.iter().cycle().take(count).enumerate().map(share).collect())
    }
}

impl Drop for BenchTopic<'_> {
    fn drop(&mut self) {
        if self.is_ours {
            // The broker may be gone; there is nothing more to be done then.
            let _tried = self.control.delete_topic(&self.name);
        }
    }
}
