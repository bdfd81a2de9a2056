//! What is served over HTTP: the metrics, and whether the broker is alive and ready.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use ottla_broker::BrokerStatus;
use ottla_runtime::{Clock, MonotonicTime};

use super::process;

/// Metrics are the same for so long, however often they are asked for.
const METRICS_AGE_MAX: Duration = Duration::from_millis(100);

/// What the text format of Prometheus calls itself.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What exists.
const PATHS: &str = "/metrics\n/health/live\n/health/ready\n";

struct Pages {
    status: BrokerStatus,
    recorded: PrometheusHandle,
    clock: Clock,
    rendered: Mutex<Option<(MonotonicTime, Bytes)>>,
}

/// Everything that is served.
pub(super) fn router(status: BrokerStatus, recorded: PrometheusHandle, clock: Clock) -> Router {
    let pages = Pages { status, recorded, clock, rendered: Mutex::default() };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .fallback(nothing)
        .with_state(Arc::new(pages))
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    ([(CONTENT_TYPE, METRICS_TYPE)], pages.metrics()).into_response()
}

async fn live(State(pages): State<Arc<Pages>>) -> Response {
    verdict("alive", pages.status.liveness())
}

async fn ready(State(pages): State<Arc<Pages>>) -> Response {
    verdict("ready", pages.status.readiness())
}

async fn nothing(path: Uri) -> Response {
    let text = format!("There is no {}. What there is:\n{PATHS}", path.path());
    (StatusCode::NOT_FOUND, text).into_response()
}

fn verdict(yes: &str, result: Result<(), String>) -> Response {
    match result {
        Ok(()) => format!("{yes}\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

impl Pages {
    fn metrics(&self) -> Bytes {
        // Held while it is rendered: of many who ask at once, one does the work.
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if let Some((at, text)) = rendered.as_ref()
            && now.since(*at) < METRICS_AGE_MAX
        {
            return text.clone();
        }
        self.status.update_gauges();
        let mut text = self.recorded.render();
        process::render(&mut text);
        let text = Bytes::from(text);
        *rendered = Some((now, text.clone()));
        text
    }
}
