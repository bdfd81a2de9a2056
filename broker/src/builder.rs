//! Starting a broker inside a program: a directory, some keys, a runtime.
//!
//! Differs from `ottla serve` in what it assumes: any free port of 127.0.0.1, and nothing about the process.

use std::fmt::Display;
use std::path::PathBuf;

use ottla_runtime::Runtime;
use tracing::warn;

use crate::broker::{Broker, StartError};
use crate::config::{BrokerConfig, Settings};

/// How many files and sockets a process may have open where nobody has raised the limit.
const OPEN_FILES_USUALLY: u64 = 1024;

/// What a mistake in a key is said to be the fault of.
const SET: &str = "BrokerBuilder::set";
const LISTEN: &str = "BrokerBuilder::listen";
const DIRECTORY: &str = "Broker::builder";

/// A broker that is going to be started; made by [`Broker::builder`].
#[derive(Debug, Clone)]
pub struct BrokerBuilder {
    settings: Settings,
    data_directory: PathBuf,
    open_files_max: u64,
}

impl BrokerBuilder {
    pub(crate) fn new(data_directory: PathBuf) -> BrokerBuilder {
        let settings = Settings::default();
        let builder = BrokerBuilder { settings, data_directory, open_files_max: OPEN_FILES_USUALLY };
        builder.listen("127.0.0.1:0")
    }

    /// Sets one key of Kafka's, or of ours (`ottla.`), as `--set` of `ottla serve` does. The last value counts.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Display) -> BrokerBuilder {
        self.settings.set_by_flag(SET, key, &value.to_string());
        self
    }

    /// Listens on `host:port` instead of any free port of 127.0.0.1. With port 0 the system chooses one, and
    /// [`Broker::address`] says which. On a simulated machine: that machine's address.
    #[must_use]
    pub fn listen(mut self, address: impl Display) -> BrokerBuilder {
        self.settings.set_by_flag(LISTEN, "listeners", &format!("PLAINTEXT://{address}"));
        self
    }

    /// How many files and sockets the broker may have open: at most what the process may. Default 1024. It decides how
    /// many logs are kept open, and how many connections there may be.
    #[must_use]
    pub fn open_files_max(mut self, count: u64) -> BrokerBuilder {
        self.open_files_max = count;
        self
    }

    /// Starts it: when this returns, clients are served. Keys that change nothing here are named in the program's log.
    pub async fn start(mut self, runtime: Runtime) -> Result<Broker, StartError> {
        self.settings.set_by_flag(DIRECTORY, "log.dirs", &self.data_directory.to_string_lossy());
        let (mut config, without_effect) = BrokerConfig::read(&self.settings)?;
        // As it is, whatever characters are in it.
        config.log.directory = self.data_directory;
        for line in without_effect.lines() {
            warn!("{line}");
        }
        Broker::start(config, self.open_files_max, runtime).await
    }
}
