//! A broker as users run it: a process of its own, on a port of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a broker may take to start or stop in a test before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the line says that names the address (standard error of `ottla serve`).
const LISTENING: &str = "listening on ";

/// What the line says that names the address of HTTP, which comes before that.
const HTTP: &str = "metrics and health on http://";

/// How to start a broker.
#[derive(Debug, Clone)]
pub struct BrokerCommand {
    program: PathBuf,
    data_directory: PathBuf,
    listen: String,
    http_listen: String,
    arguments: Vec<String>,
    descriptors: Option<u32>,
}

impl BrokerCommand {
    /// `program serve` on any free port of 127.0.0.1, with its data in `data_directory` and without HTTP.
    pub fn new(program: impl Into<PathBuf>, data_directory: impl Into<PathBuf>) -> BrokerCommand {
        BrokerCommand {
            program: program.into(),
            data_directory: data_directory.into(),
            listen: "127.0.0.1:0".to_owned(),
            http_listen: "none".to_owned(),
            arguments: Vec::new(),
            descriptors: None,
        }
    }

    /// Adds `--set KEY=VALUE`.
    #[must_use]
    pub fn set(self, key: &str, value: impl std::fmt::Display) -> BrokerCommand {
        self.argument("--set").argument(format!("{key}={value}"))
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> BrokerCommand {
        self.arguments.push(argument.into());
        self
    }

    /// Listens on this address instead of a free port; an empty one leaves it to the configuration.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> BrokerCommand {
        self.listen = address.into();
        self
    }

    /// Serves HTTP on this address; with an empty one, where it does by default.
    #[must_use]
    pub fn http_listen(mut self, address: impl Into<String>) -> BrokerCommand {
        self.http_listen = address.into();
        self
    }

    /// Lets it have no more than so many files and sockets open.
    #[must_use]
    pub fn descriptor_limit(mut self, descriptors: u32) -> BrokerCommand {
        self.descriptors = Some(descriptors);
        self
    }

    /// The command line, for tests that start it in a way of their own.
    pub fn to_command(&self) -> Command {
        let mut command = match self.descriptors {
            None => Command::new(&self.program),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\"")).arg(&self.program);
                shell
            }
        };
        command
            .args(["serve", "--data-dir"])
            .arg(&self.data_directory)
            .args(["--listen", &self.listen].into_iter().filter(|_| !self.listen.is_empty()))
            .args(["--http-listen", &self.http_listen].into_iter().filter(|_| !self.http_listen.is_empty()))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it where it is expected to end by itself: its exit code and what it said. Panics if it runs on.
    pub fn run_to_end(&self) -> (Option<i32>, String) {
        let mut child = self.to_command().spawn().expect("the broker's program starts");
        let ended = crate::wait::try_wait_for(PATIENCE, || child.try_wait().expect("it is our child"));
        if ended.is_none() {
            let _already_gone = child.kill();
        }
        // It says a few lines at most, which fit into the pipe while nobody reads.
        let output = child.wait_with_output().expect("it is our child");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(ended.is_some(), "the broker was expected to end, but ran on; it said:\n{said}");
        (output.status.code(), said)
    }

    /// Starts it and waits until it listens. Panics with what it said if it doesn't.
    pub fn start(&self) -> BrokerProcess {
        let mut child = self.to_command().spawn().expect("the broker's program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (send_address, address) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let log = Arc::clone(&said);
        #[expect(clippy::disallowed_methods, reason = "a test's own thread that reads what a process says")]
        let listener = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    // The second such line, if any, finds nobody waiting.
                    let _unheard = send_address.send(address);
                }
                let mut log = log.lock().expect("no reader panics while it holds the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        match address.recv_timeout(PATIENCE) {
            Ok(address) => BrokerProcess { child, address, said, listener: Some(listener) },
            Err(_) => {
                let _already_gone = child.kill();
                let _status = child.wait();
                panic!("the broker did not start; it said:\n{}", said.lock().expect("the reader is done"));
            }
        }
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    address_behind(line, LISTENING)
}

fn address_behind(line: &str, words: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(words)?;
    rest.split(|c: char| c.is_whitespace() || c == ',' || c == '"').next()?.parse().ok()
}

/// A running broker; killed when this is dropped.
#[derive(Debug)]
pub struct BrokerProcess {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
    /// Ends once the process has said its last word.
    listener: Option<JoinHandle<()>>,
}

impl BrokerProcess {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it serves HTTP, if it does.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.said().lines().find_map(|line| address_behind(line, HTTP))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().expect("no reader panics while it holds the log").clone()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.kill_in_place();
    }

    /// Asks it to stop (SIGTERM) and waits until it has; panics if that takes too long.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Waits until it ends by itself and all that it said is there; panics if that takes too long.
    pub fn wait(&mut self) -> ExitStatus {
        let status = crate::wait::wait_for("the broker ends", PATIENCE, || {
            self.child.try_wait().expect("it is our child")
        });
        if let Some(listener) = self.listener.take() {
            listener.join().expect("reading lines does not panic");
        }
        status
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("process ids are small");
        // It may have ended already.
        let _gone = kill(Pid::from_raw(id), signal);
    }

    /// Its resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.id().to_string()).join("status"))
            .expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says VmRSS");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("VmRSS is a number")
    }

    /// How long it has used a processor, to a hundredth of a second.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(Path::new("/proc").join(self.id().to_string()).join("stat"))
            .expect("the process runs");
        // The name, in brackets, may have spaces.
        let (_, fields) = stat.rsplit_once(')').expect("Linux puts the name in brackets");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>());
        Duration::from_millis(10 * ticks.map(|count| count.expect("it is a number")).sum::<u64>())
    }

    fn kill_in_place(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        self.kill_in_place();
    }
}
