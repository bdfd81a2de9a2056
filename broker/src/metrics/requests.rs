//! Requests by API, counted on every connection through handles made at start: a few additions each.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use ottla_protocol::api::ApiKey;
use ottla_runtime::{Clock, MonotonicTime};

use super::table;

/// What is counted of a broker's requests.
pub(crate) struct RequestMetrics {
    /// In the order of [`ApiKey::ALL`], and one more for what no API is.
    by_api: Vec<ApiMetrics>,
    /// By an API's number, its place in `by_api`.
    places: Vec<u8>,
}

struct ApiMetrics {
    requests: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    duration: Histogram,
}

/// The bytes of a frame's size field.
const SIZE_BYTES: u64 = 4;

impl RequestMetrics {
    /// Counters at the recorder that is installed now.
    pub(crate) fn register() -> RequestMetrics {
        let names = ApiKey::ALL.iter().map(|api| api.name()).chain(["unknown"]);
        let mut places = Vec::new();
        for (api, place) in ApiKey::ALL.iter().zip(0..) {
            let number = usize::try_from(api.code()).expect("an API's number is not negative");
            places.resize(places.len().max(number + 1), u8::MAX);
            if let Some(entry) = places.get_mut(number) {
                *entry = place;
            }
        }
        RequestMetrics { by_api: names.map(ApiMetrics::register).collect(), places }
    }

    fn place_of(&self, api_key: i16) -> u8 {
        let known = usize::try_from(api_key).ok().and_then(|number| self.places.get(number).copied());
        known.unwrap_or(u8::MAX)
    }

    fn api(&self, place: u8) -> &ApiMetrics {
        let api = self.by_api.get(usize::from(place)).or(self.by_api.last());
        api.expect("there is one for what no API is")
    }
}

/// Produce requests that are added up before all counters hear of them.
const PRODUCE_ADDED_UP_MAX: u64 = 64;
/// Of Produce requests that come while others wait, one in so many is timed; asking for the time costs more than all the
/// counting.
const PRODUCE_TIMED_ONE_IN: u64 = 8;

/// What one connection counts. Its Produce requests are added up in plain numbers while more of them wait.
pub(crate) struct RequestTally {
    metrics: Arc<RequestMetrics>,
    requests: u64,
    request_bytes: u64,
    response_bytes: u64,
    /// Produce requests that were answered and not timed.
    untimed: u64,
    /// What the last one took that was timed.
    last_took: Duration,
}

/// A request that has arrived and is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    place: u8,
    /// When it arrived, unless another one's time stands for its.
    at: Option<MonotonicTime>,
}

const PRODUCE_PLACE: u8 = 0;
const _: () = assert!(ApiKey::Produce.code() == 0, "the first of all APIs");

impl RequestTally {
    pub(crate) fn new(metrics: Arc<RequestMetrics>) -> RequestTally {
        RequestTally {
            metrics,
            requests: 0,
            request_bytes: 0,
            response_bytes: 0,
            untimed: 0,
            last_took: Duration::ZERO,
        }
    }

    /// A request is there whole, as `bytes` behind its size field; other Produce requests wait, or not.
    pub(crate) fn on_request(
        &mut self,
        api_key: i16,
        bytes: usize,
        others_wait: bool,
        clock: &Clock,
    ) -> Asked {
        let place = self.metrics.place_of(api_key);
        let bytes = bytes as u64 + SIZE_BYTES;
        if place != PRODUCE_PLACE {
            let api = self.metrics.api(place);
            api.requests.increment(1);
            api.request_bytes.increment(bytes);
            return Asked { place, at: Some(clock.now()) };
        }
        self.requests += 1;
        self.request_bytes += bytes;
        let is_timed = !others_wait || self.requests.is_multiple_of(PRODUCE_TIMED_ONE_IN);
        if PRODUCE_ADDED_UP_MAX <= self.requests {
            self.flush();
        }
        Asked { place, at: is_timed.then(|| clock.now()) }
    }

    /// Its answer is ready to leave, of so many bytes with the size field; 0 if its client wanted none.
    pub(crate) fn on_response(&mut self, asked: Asked, bytes: u64, clock: &Clock) {
        let api = self.metrics.api(asked.place);
        if asked.place != PRODUCE_PLACE {
            api.response_bytes.increment(bytes);
        } else {
            self.response_bytes += bytes;
        }
        match asked.at {
            None => self.untimed += 1,
            Some(at) if asked.place != PRODUCE_PLACE => api.duration.record(clock.now().since(at)),
            Some(at) => {
                self.last_took = clock.now().since(at);
                self.untimed += 1;
                self.record_durations();
            }
        }
    }

    /// The last one that was timed stands for those that were not.
    fn record_durations(&mut self) {
        let count = usize::try_from(std::mem::take(&mut self.untimed)).unwrap_or(usize::MAX);
        self.metrics.api(PRODUCE_PLACE).duration.record_many(self.last_took, count);
    }

    /// All counters hear of what was added up.
    pub(crate) fn flush(&mut self) {
        if 0 < self.untimed {
            self.record_durations();
        }
        if self.requests == 0 && self.response_bytes == 0 {
            return;
        }
        let produce = self.metrics.api(PRODUCE_PLACE);
        produce.requests.increment(std::mem::take(&mut self.requests));
        produce.request_bytes.increment(std::mem::take(&mut self.request_bytes));
        produce.response_bytes.increment(std::mem::take(&mut self.response_bytes));
    }
}

impl Drop for RequestTally {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What is counted of a broker's Fetch requests.
pub(crate) struct FetchMetrics {
    /// Bytes of records that leave by sendfile.
    pub(crate) sendfile_bytes: Counter,
    /// Bytes of records that leave through the broker's memory.
    pub(crate) copied_bytes: Counter,
    waiting: Gauge,
}

/// A Fetch that waits; it counts as waiting until this is dropped.
pub(crate) struct WaitingFetch<'a>(&'a Gauge);

impl FetchMetrics {
    /// Counters at the recorder that is installed now.
    pub(crate) fn register() -> FetchMetrics {
        FetchMetrics {
            sendfile_bytes: table::FETCH_BYTES.counter(&["sendfile"]),
            copied_bytes: table::FETCH_BYTES.counter(&["copy"]),
            waiting: table::FETCH_WAITING.gauge(&[]),
        }
    }

    /// A Fetch begins to wait for records.
    pub(crate) fn begin_waiting(&self) -> WaitingFetch<'_> {
        self.waiting.increment(1.0);
        WaitingFetch(&self.waiting)
    }
}

impl Drop for WaitingFetch<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl ApiMetrics {
    fn register(api: &str) -> ApiMetrics {
        ApiMetrics {
            requests: table::REQUESTS.counter(&[api]),
            request_bytes: table::REQUEST_BYTES.counter(&[api]),
            response_bytes: table::RESPONSE_BYTES.counter(&[api]),
            duration: table::REQUEST_DURATION.histogram(&[api]),
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_runtime::WallTime;

    use super::*;

    #[test]
    fn each_api_has_its_own_place_and_what_is_none_has_one_too() {
        let metrics = RequestMetrics::register();
        let mut seen: Vec<u8> = ApiKey::ALL.iter().map(|api| metrics.place_of(api.code())).collect();
        assert_eq!(seen.first(), Some(&PRODUCE_PLACE));
        assert!(seen.iter().all(|place| usize::from(*place) < ApiKey::ALL.len()));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), ApiKey::ALL.len());
        for unknown in [-1, 5, 999, i16::MAX, i16::MIN] {
            assert_eq!(metrics.place_of(unknown), u8::MAX, "{unknown}");
        }
    }

    #[test]
    fn produce_requests_in_a_row_are_added_up_and_one_in_eight_is_timed() {
        let (clock, _handle) = Clock::manual(WallTime(0));
        let mut tally = RequestTally::new(Arc::new(RequestMetrics::register()));
        let mut timed = |others_wait| tally.on_request(0, 100, others_wait, &clock).at.is_some();
        assert!(timed(false), "the first one, or one alone");
        let times: Vec<bool> = (0..16).map(|_| timed(true)).collect();
        assert_eq!(times.iter().filter(|is_timed| **is_timed).count(), 2, "{times:?}");
        assert_eq!(tally.requests, 17);
        for _ in 0..48 {
            tally.on_request(0, 100, true, &clock);
        }
        assert_eq!(tally.requests, 1, "64 were handed on");
        assert!(tally.on_request(1, 100, true, &clock).at.is_some(), "any other API always is");
    }
}
