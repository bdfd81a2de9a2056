//! Metrics and health over HTTP, for `ottla serve`: the recorder of the process, and a small server beside the broker.
//!
//! | file | what |
//! |---|---|
//! | `recorder` | the recorder behind the `metrics` facade |
//! | `process` | figures of the process |
//! | `pages` | what is served |
//! | `server`, `io` | HTTP on the seams |

mod io;
mod pages;
mod process;
mod recorder;
mod server;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::net::SocketAddr;

use metrics_exporter_prometheus::PrometheusHandle;
use ottla_broker::BrokerStatus;
use ottla_broker::config::Endpoint;
use ottla_runtime::{Listener, Runtime};
use tracing::{info, warn};

use crate::Failure;

/// Where it is served if nobody says where.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:9644";

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 16;

/// What `--http-listen` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HttpListen {
    /// Nothing: [`DEFAULT_ADDRESS`] if that is free.
    Default,
    /// There, or not at all.
    At(Endpoint),
    /// Nowhere.
    Nowhere,
}

impl HttpListen {
    /// Reads the option.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: Option<&str>) -> Result<HttpListen, Failure> {
        match text {
            None => Ok(HttpListen::Default),
            Some("none") => Ok(HttpListen::Nowhere),
            Some(text) => text.parse().map(HttpListen::At).map_err(|error| {
                Failure::Usage(format!("--http-listen {text}: {error}; `none` turns it off"))
            }),
        }
    }
}

/// Metrics and health of this process's broker, over HTTP.
pub(crate) struct Observation {
    /// Where it is served.
    pub(crate) address: SocketAddr,
    listener: Box<dyn Listener>,
    recorded: PrometheusHandle,
}

impl Observation {
    /// Begins to listen and to record; before the broker is made, whose counters are had from the recorder. Nothing if
    /// it is turned off, or if the default address is taken.
    ///
    /// # Errors
    /// It can't listen where it was told to.
    pub(crate) async fn begin(listen: HttpListen, runtime: &Runtime) -> Result<Option<Observation>, Failure> {
        let (endpoint, was_asked_for) = match listen {
            HttpListen::Nowhere => return Ok(None),
            HttpListen::At(endpoint) => (endpoint, true),
            HttpListen::Default => (DEFAULT_ADDRESS.parse().expect("it is an address"), false),
        };
        let listener = match bind(&endpoint, runtime).await {
            Ok(listener) => listener,
            Err(error) if was_asked_for => {
                let what_to_do = match error.kind() {
                    ErrorKind::AddrInUse => "another program listens there: choose another port",
                    _ => "choose an address of this machine",
                };
                return Err(Failure::Failed(format!(
                    "can't serve metrics and health on {endpoint}: {error}; {what_to_do} with --http-listen, or turn them off with --http-listen none"
                )));
            }
            Err(error) => {
                warn!(
                    "no metrics and health: {endpoint} can't be had ({error}); choose another address with --http-listen, or `--http-listen none`"
                );
                return Ok(None);
            }
        };
        let recorder = recorder::recorder();
        let recorded = recorder.handle();
        metrics::set_global_recorder(recorder)
            .map_err(|_| Failure::Failed("metrics are recorded by somebody else already".to_owned()))?;
        ottla_broker::metrics::describe();
        Ok(Some(Observation { address: listener.local_address(), listener, recorded }))
    }

    /// Serves until the process ends.
    pub(crate) fn serve(self, status: BrokerStatus, runtime: &Runtime) {
        info!("metrics and health on http://{}", self.address);
        runtime.spawner.spawn("metrics", recorder::sum_up(self.recorded.clone(), runtime.clock.clone()));
        let router = pages::router(status, self.recorded, runtime.clock.clone());
        let serving = server::serve(self.listener, router, runtime.clock.clone(), runtime.spawner.clone());
        runtime.spawner.spawn("http", serving);
    }
}

async fn bind(endpoint: &Endpoint, runtime: &Runtime) -> std::io::Result<Box<dyn Listener>> {
    let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
    let mut last = std::io::Error::from(ErrorKind::AddrNotAvailable);
    for address in runtime.net.resolve(host, endpoint.port).await? {
        match runtime.net.listen(address, BACKLOG).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
