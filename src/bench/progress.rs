//! How far a load is, on standard error: one line that changes on a terminal, a line now and then elsewhere. And whether
//! the user has seen enough: after Ctrl-C everything ends early, so that nothing is left behind.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};

/// How often it says something.
const ON_A_TERMINAL: Duration = Duration::from_millis(500);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Counts what is being done, and says so. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_quiet: bool,
    /// What is going on.
    label: Mutex<String>,
    bytes: AtomicU64,
    requests: AtomicU64,
    is_over: AtomicBool,
    is_interrupted: AtomicBool,
    speaker: Mutex<Option<JoinHandle<()>>>,
}

impl Progress {
    /// Begins to speak, unless it shall be quiet.
    pub(crate) fn start(is_quiet: bool) -> Progress {
        let progress = Progress(Arc::new(Shared {
            is_quiet,
            label: Mutex::default(),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            speaker: Mutex::default(),
        }));
        let listener = progress.clone();
        thread::spawn(move || listener.wait_for_interrupts());
        if !is_quiet {
            let speaker = progress.clone();
            *progress.0.speaker.lock() = Some(thread::spawn(move || speaker.speak()));
        }
        progress
    }

    /// Counts an answered request.
    pub(crate) fn count(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// What follows is this.
    pub(crate) fn label(&self, text: impl Into<String>) {
        *self.0.label.lock() = text.into();
    }

    /// Says a line that stays.
    pub(crate) fn say(&self, line: &str) {
        if !self.0.is_quiet {
            // Nobody may be listening any more.
            let _unheard =
                writeln!(stderr(), "{}{line}", if stderr().is_terminal() { "\r\x1b[K" } else { "" });
        }
    }

    /// Fails once the user has asked to stop.
    pub(crate) fn check_interrupted(&self) -> Result<()> {
        ensure!(!self.is_interrupted(), "interrupted");
        Ok(())
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.is_interrupted.load(Ordering::Relaxed)
    }

    /// The first one is remembered, the second ends the process at once.
    fn wait_for_interrupts(&self) -> Result<()> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        tokio.block_on(async {
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if self.0.is_interrupted.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
                self.say("stopping; again to stop at once, and leave topics and files behind");
            }
        })
    }

    /// Stops speaking.
    pub(crate) fn finish(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        if let Some(speaker) = self.0.speaker.lock().take() {
            speaker.thread().unpark();
            let _ended = speaker.join();
        }
    }

    fn speak(&self) {
        let is_terminal = stderr().is_terminal();
        let pause = if is_terminal { ON_A_TERMINAL } else { ELSEWHERE };
        let (mut then, mut bytes, mut requests) = (Instant::now(), 0, 0);
        loop {
            thread::park_timeout(pause);
            if self.0.is_over.load(Ordering::Relaxed) {
                break;
            }
            let (now_bytes, now_requests) =
                (self.0.bytes.load(Ordering::Relaxed), self.0.requests.load(Ordering::Relaxed));
            let seconds = then.elapsed().as_secs_f64();
            let label = self.0.label.lock().clone();
            if label.is_empty() {
                continue;
            }
            let line = format!(
                "{label}: {:.0} MB/s, {:.0} requests/s",
                (now_bytes - bytes) as f64 / 1e6 / seconds,
                (now_requests - requests) as f64 / seconds,
            );
            (then, bytes, requests) = (Instant::now(), now_bytes, now_requests);
            let (before, behind) = if is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
            let _unheard = write!(stderr(), "{before}{line}{behind}");
        }
        if is_terminal {
            let _unheard = write!(stderr(), "\r\x1b[K");
        }
    }
}
