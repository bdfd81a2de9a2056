//! Requests by API, counted on every connection: a few relaxed additions each, through handles made at start.

use metrics::{Counter, Gauge, Histogram};
use ottla_protocol::api::ApiKey;
use ottla_runtime::MonotonicTime;

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

/// A request that has arrived and is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    place: u8,
    at: MonotonicTime,
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

    /// A request is there whole, as `bytes` behind its size field.
    pub(crate) fn on_request(&self, api_key: i16, bytes: usize, at: MonotonicTime) -> Asked {
        let known = usize::try_from(api_key).ok().and_then(|number| self.places.get(number).copied());
        let place = known.unwrap_or(u8::MAX);
        let api = self.api(place);
        api.requests.increment(1);
        api.request_bytes.increment(bytes as u64 + SIZE_BYTES);
        Asked { place, at }
    }

    /// Its answer of so many bytes, size field included, is ready to leave.
    pub(crate) fn on_response(&self, asked: Asked, bytes: u64, now: MonotonicTime) {
        let api = self.api(asked.place);
        api.response_bytes.increment(bytes);
        api.duration.record(now.since(asked.at));
    }

    /// It has no answer, as its client wanted it.
    pub(crate) fn on_no_response(&self, asked: Asked, now: MonotonicTime) {
        self.api(asked.place).duration.record(now.since(asked.at));
    }

    fn api(&self, place: u8) -> &ApiMetrics {
        let api = self.by_api.get(usize::from(place)).or(self.by_api.last());
        api.expect("there is one for what no API is")
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
    use super::*;

    #[test]
    fn each_api_has_its_own_place_and_what_is_none_has_one_too() {
        let metrics = RequestMetrics::register();
        let place = |key| metrics.on_request(key, 0, MonotonicTime(0)).place;
        let mut seen: Vec<u8> = ApiKey::ALL.iter().map(|api| place(api.code())).collect();
        assert_eq!(seen.len(), ApiKey::ALL.len());
        assert!(seen.iter().all(|place| usize::from(*place) < ApiKey::ALL.len()));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), ApiKey::ALL.len());
        for unknown in [-1, 5, 999, i16::MAX, i16::MIN] {
            assert_eq!(place(unknown), u8::MAX, "{unknown}");
        }
    }
}
