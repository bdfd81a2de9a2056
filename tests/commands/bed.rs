//! A broker, and commands that are run against it.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ottla_testkit::process::{BrokerCommand, BrokerProcess};
use ottla_testkit::wait::try_wait_for;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker and its data.
pub(crate) struct Bed {
    pub(crate) broker: BrokerProcess,
    _directory: tempfile::TempDir,
}

/// A command that is going to run.
pub(crate) struct Ottla {
    command: Command,
    input: Vec<u8>,
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) said: String,
}

impl Bed {
    /// The broker that tests share. It lives as long as one of them runs.
    pub(crate) fn shared() -> Arc<Bed> {
        static SHARED: Mutex<Weak<Bed>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(bed) = shared.upgrade() {
            return bed;
        }
        let bed = Arc::new(Bed::new());
        *shared = Arc::downgrade(&bed);
        bed
    }

    /// A broker of its own.
    pub(crate) fn new() -> Bed {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let broker = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), directory.path().join("data")).start();
        Bed { broker, _directory: directory }
    }

    /// `ottla` with these words, which are parted by spaces, against this broker.
    pub(crate) fn ottla(&self, words: &str) -> Ottla {
        let mut ottla = Ottla::new(words);
        ottla.command.env("OTTLA_BOOTSTRAP_SERVER", self.broker.address().to_string());
        ottla
    }

    /// A topic that nobody else has.
    pub(crate) fn topic(&self, partitions: u32) -> String {
        let name = fresh_name();
        self.ottla(&format!("topic create {name} --partitions {partitions}")).expect_success();
        name
    }

    /// The same with these lines in it.
    pub(crate) fn topic_with(&self, partitions: u32, lines: &str) -> String {
        let name = self.topic(partitions);
        self.ottla(&format!("produce {name}")).input(lines).expect_success();
        name
    }
}

/// A name that nobody else has.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("topic-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Ottla {
    /// `ottla` with these words and no broker in particular.
    pub(crate) fn new(words: &str) -> Ottla {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command.args(words.split(' ').filter(|word| !word.is_empty()));
        command.env_remove("OTTLA_BOOTSTRAP_SERVER").env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ottla { command, input: Vec::new() }
    }

    /// One more word, with spaces or whatever it has.
    pub(crate) fn word(mut self, word: &str) -> Ottla {
        self.command.arg(word);
        self
    }

    /// What comes on standard input.
    pub(crate) fn input(mut self, input: impl AsRef<[u8]>) -> Ottla {
        self.input = input.as_ref().to_vec();
        self
    }

    /// Starts it; its standard input stays open.
    pub(crate) fn start(mut self) -> Child {
        self.command.spawn().expect("the program starts")
    }

    /// Runs it to its end: exit code, what it printed, what it said.
    pub(crate) fn run_to_bytes(self) -> Output {
        let input = self.input.clone();
        let mut child = self.start();
        let mut stdin = child.stdin.take().expect("standard input is piped");
        #[expect(clippy::disallowed_methods, reason = "a test's own thread that feeds a process")]
        let feeder = std::thread::spawn(move || {
            // A command that stops reading has its reason.
            let _unread = stdin.write_all(&input);
        });
        let output = wait_with_output(child);
        feeder.join().expect("writing does not panic");
        output
    }

    pub(crate) fn run(self) -> Ended {
        let output = self.run_to_bytes();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), output: text(&output.stdout), said: text(&output.stderr) }
    }

    /// Runs it where it has to succeed: what it printed.
    #[track_caller]
    pub(crate) fn expect_success(self) -> String {
        let ended = self.run();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.said, "", "nothing to be said");
        ended.output
    }

    /// Runs it where it has to fail, with this code, and saying each of these words in one line that begins as ours do.
    #[track_caller]
    pub(crate) fn expect_failure(self, code: i32, words: &[&str]) {
        let ended = self.run();
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let ours = |line: &str| line.starts_with("ottla: ") || line.starts_with("error: ");
        assert!(ended.said.lines().next().is_some_and(ours), "{ended:?}");
        for word in words {
            assert!(ended.said.contains(word), "{word:?} is not said: {ended:?}");
        }
        assert!(!ended.said.contains("panicked"), "{ended:?}");
    }
}

/// Everything a process prints, however much; panics if it does not end.
pub(crate) fn wait_with_output(child: Child) -> Output {
    let id = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    #[expect(clippy::disallowed_methods, reason = "a test's own thread that reads what a process prints")]
    let reader = std::thread::spawn(move || {
        let _nobody_waits = sender.send(child.wait_with_output().expect("it is our child"));
    });
    let output = receiver.recv_timeout(PATIENCE);
    if output.is_err() {
        let id = nix::unistd::Pid::from_raw(i32::try_from(id).expect("process ids are small"));
        let _gone = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
    }
    reader.join().expect("reading does not panic");
    output.expect("the command ends")
}

/// Waits until `probe` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    try_wait_for(PATIENCE, probe).unwrap_or_else(|| panic!("{what}: it did not happen"))
}
