//! The generator: connections on threads of their own, each with some requests in flight.
//!
//! In a closed loop a request leaves when an earlier one has been answered, and its latency counts from its sending. In
//! an open loop each request has a time at which it is to leave, whatever became of the others, and its latency counts
//! from that time: a broker that stands still for a second is charged with every request of that second (that is what
//! correcting for coordinated omission means).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use ottla_protocol::api::api_versions::ApiVersionsRequest;

use super::frames::BuiltRequest;
use super::latency::Latencies;
use super::progress::Progress;
use super::wire::Wire;

/// What one connection sends, its requests in turn, and to whom.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Vec<&'a BuiltRequest>,
    pub(crate) answers: Answers,
    /// Who hears, for each of the requests, of the moment from which its latency counts, before it leaves. Empty for
    /// nobody.
    pub(crate) listeners: Vec<mpsc::Sender<Instant>>,
}

impl Lane<'_> {
    fn tell(&self, sent: u64, from: Instant) {
        let place = usize::try_from(sent).unwrap_or(usize::MAX) % self.requests.len();
        if let Some(listener) = self.listeners.get(place) {
            // Whoever listened has given up, and says why itself.
            let _unheard = listener.send(from);
        }
    }
}

/// How answers are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answers {
    /// Produce answers of this version; an error in one ends the load.
    Produced { version: i16 },
    /// Any answers, taken without a look at them; their bytes count. Each is to have as many as this.
    Discarded { bytes_min: usize },
    /// There are none: a request counts once it has been sent.
    None,
    /// One byte, once everything has been sent.
    OneAtTheEnd,
}

impl Answers {
    fn are_awaited(self) -> bool {
        matches!(self, Answers::Produced { .. } | Answers::Discarded { .. })
    }

    /// Waits until what was sent without an answer has been taken.
    fn finish(self, wire: &mut Wire) -> Result<()> {
        match self {
            Answers::OneAtTheEnd => wire.finish_pouring(),
            // A connection's requests are dealt with in order.
            Answers::None => wire.call(&ApiVersionsRequest::default(), 0).map(drop),
            Answers::Produced { .. } | Answers::Discarded { .. } => Ok(()),
        }
    }
}

/// When a load is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Each connection has sent so many requests.
    Count(u64),
    /// So much time has passed.
    Elapsed(Duration),
}

/// How connections send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Unanswered requests of one connection, at most.
    pub(crate) in_flight: usize,
    /// Requests a second over all connections; none for as fast as it goes.
    pub(crate) rate: Option<f64>,
    pub(crate) until: Until,
}

/// What a load has done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    /// Of batches sent, or of answers.
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) requests: u64,
    pub(crate) latencies: Latencies,
}

impl Done {
    pub(crate) fn add(&mut self, other: &Done) {
        self.bytes += other.bytes;
        self.records += other.records;
        self.requests += other.requests;
        self.latencies.add(&other.latencies);
    }
}

/// Runs a load to its end: everything that was sent has been answered.
pub(crate) fn run(lanes: &[Lane<'_>], pace: Pace, progress: &Progress) -> Result<Done> {
    let failed = AtomicBool::new(false);
    let wires = lanes.iter().map(|lane| Wire::connect(lane.address)).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .iter()
            .zip(wires)
            .enumerate()
            .map(|(index, (lane, wire))| {
                let connection =
                    Connection { lane, pace, began, index, count: lanes.len(), failed: &failed, progress };
                scope.spawn(move || {
                    let outcome = connection.run(wire);
                    if outcome.is_err() {
                        connection.failed.store(true, Ordering::Relaxed);
                    }
                    outcome
                })
            })
            .collect();
        let mut all = Done::default();
        for thread in threads {
            all.add(&thread.join().map_err(|_| anyhow!("a connection's thread panicked"))??);
        }
        progress.check_interrupted()?;
        Ok(all)
    })
}

/// One connection's part of a load.
#[derive(Clone, Copy)]
struct Connection<'a> {
    lane: &'a Lane<'a>,
    pace: Pace,
    began: Instant,
    index: usize,
    count: usize,
    /// Another connection has failed: nobody needs the rest.
    failed: &'a AtomicBool,
    progress: &'a Progress,
}

impl<'a> Connection<'a> {
    fn run(&self, wire: Wire) -> Result<Done> {
        match self.pace.rate {
            None => self.closed_loop(wire),
            Some(rate) => self.open_loop(wire, rate / self.count as f64),
        }
    }

    fn is_over(&self, sent: u64) -> bool {
        let by_itself = match self.pace.until {
            Until::Count(count) => sent >= count,
            Until::Elapsed(duration) => self.began.elapsed() >= duration,
        };
        by_itself || self.failed.load(Ordering::Relaxed) || self.progress.is_interrupted()
    }

    fn closed_loop(&self, mut wire: Wire) -> Result<Done> {
        let mut done = Done::default();
        let mut unanswered = VecDeque::with_capacity(self.pace.in_flight);
        for (sent, request) in (0..).zip(self.lane.requests.iter().cycle()) {
            if self.is_over(sent) {
                break;
            }
            if unanswered.len() == self.pace.in_flight {
                self.take_answer(&mut wire, &mut unanswered, &mut done)?;
            }
            let now = Instant::now();
            self.lane.tell(sent, now);
            wire.send(&request.frame)?;
            if self.lane.answers.are_awaited() {
                unanswered.push_back((now, *request));
            } else {
                self.on_answered(request, 0, &mut done);
            }
        }
        while !unanswered.is_empty() {
            self.take_answer(&mut wire, &mut unanswered, &mut done)?;
        }
        self.lane.answers.finish(&mut wire)?;
        Ok(done)
    }

    fn take_answer(
        &self,
        wire: &mut Wire,
        unanswered: &mut VecDeque<(Instant, &'a BuiltRequest)>,
        done: &mut Done,
    ) -> Result<()> {
        let Some((from, request)) = unanswered.pop_front() else { return Ok(()) };
        let answer_bytes = self.receive(wire)?;
        done.latencies.record(from.elapsed());
        self.on_answered(request, answer_bytes, done);
        Ok(())
    }

    /// Takes an answer, and says how many bytes of it count.
    fn receive(&self, wire: &mut Wire) -> Result<u64> {
        match self.lane.answers {
            Answers::Produced { version } => wire.receive_produced(version).map(|()| 0),
            Answers::Discarded { bytes_min } => {
                let bytes = wire.discard()?;
                anyhow::ensure!(bytes_min <= bytes, "an answer was short: {bytes} bytes of {bytes_min}");
                Ok(bytes as u64)
            }
            Answers::None | Answers::OneAtTheEnd => Ok(0),
        }
    }

    fn on_answered(&self, request: &BuiltRequest, answer_bytes: u64, done: &mut Done) {
        let bytes = request.batch_bytes + answer_bytes;
        done.bytes += bytes;
        done.records += request.record_count;
        done.requests += 1;
        self.progress.count(bytes);
    }

    /// One thread sends when it is time, this one takes the answers.
    fn open_loop(&self, mut wire: Wire, rate: f64) -> Result<Done> {
        let mut sending = wire.second()?;
        // It is full when as many as may be are unanswered; what is to leave meanwhile leaves late, and says since when.
        let (to_answer, answers) = mpsc::sync_channel(self.pace.in_flight - 1);
        thread::scope(|scope| {
            let sender = scope.spawn(move || -> Result<()> {
                // Connections take turns.
                let first = self.index as f64 / self.count as f64;
                for (sent, request) in (0..).zip(self.lane.requests.iter().cycle()) {
                    let due = self.began + Duration::from_secs_f64((sent as f64 + first) / rate);
                    if self.is_over_at(sent, due) {
                        break;
                    }
                    wait_until(due);
                    if to_answer.send((due, *request)).is_err() {
                        break;
                    }
                    self.lane.tell(sent, due);
                    sending.send(&request.frame)?;
                }
                Ok(())
            });
            let mut done = Done::default();
            for (due, request) in answers {
                let answer_bytes = self.receive(&mut wire)?;
                done.latencies.record(due.elapsed());
                self.on_answered(request, answer_bytes, &mut done);
            }
            sender.join().map_err(|_| anyhow!("a connection's thread panicked"))??;
            self.lane.answers.finish(&mut wire)?;
            Ok(done)
        })
    }

    /// Every request whose time lies within the load is sent, however late.
    fn is_over_at(&self, sent: u64, due: Instant) -> bool {
        let by_itself = match self.pace.until {
            Until::Count(count) => sent >= count,
            Until::Elapsed(duration) => self.began + duration <= due,
        };
        by_itself || self.failed.load(Ordering::Relaxed) || self.progress.is_interrupted()
    }
}

/// Sleeps until then. Linux wakes a thread some 50 us late, which counts as the broker's.
pub(crate) fn wait_until(then: Instant) {
    let left = then.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}
