//! A node of Apache Kafka's on a directory of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ottla_testkit::wait::{try_wait_for, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A directory for a node of Kafka's that is broker and controller.
pub(super) struct Home {
    pub(super) libraries: PathBuf,
    /// Where the node's files lie; its log directory is `data` in it.
    pub(super) place: PathBuf,
    address: SocketAddr,
}

/// A node that runs. Dropped, it is killed.
pub(super) struct Kafka {
    pub(super) address: SocketAddr,
    process: Child,
}

impl Home {
    /// Formats `place/data`.
    pub(super) fn format(libraries: PathBuf, place: &Path) -> Home {
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [address, controller] = ports.map(|port| port.local_addr().expect("it is bound"));
        let home = Home { libraries, place: place.to_owned(), address };
        fs::write(place.join("server.properties"), home.properties(controller))
            .expect("the directory can be written to");
        let mut format = home.java("kafka.tools.StorageTool");
        format.args(["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", "server.properties", "--standalone"]);
        let formatted = format.output().expect("java runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        home
    }

    /// The cleaner looks for work every second, and a node alone has all that transactions need.
    fn properties(&self, controller: SocketAddr) -> String {
        let address = self.address;
        format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers={controller}\n\
             listeners=PLAINTEXT://{address},CONTROLLER://{controller}\nadvertised.listeners=PLAINTEXT://{address}\n\
             inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\noffsets.topic.replication.factor=1\nlog.cleaner.backoff.ms=1000\n\
             log.initial.task.delay.ms=600000\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=1\n",
            self.place.join("data").display()
        )
    }

    /// Has the node leave compacted logs as they are from its next start on.
    pub(super) fn stop_cleaning(&self) {
        let path = self.place.join("server.properties");
        let properties = fs::read_to_string(&path).expect("it was written");
        fs::write(path, properties + "log.cleaner.enable=false\n").expect("the directory can be written to");
    }

    /// Starts the node.
    pub(super) fn start(&self) -> Kafka {
        let log = File::create(self.place.join("server.log")).expect("the directory can be written to");
        let mut serve = self.java("kafka.Kafka");
        serve.arg("server.properties").stdin(Stdio::null());
        serve.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let address = self.address;
        let kafka = Kafka { address, process: serve.spawn().expect("java runs") };
        let listens = try_wait_for(PATIENCE, || TcpStream::connect(address).ok());
        assert!(
            listens.is_some(),
            "{}",
            fs::read_to_string(self.place.join("server.log")).unwrap_or_default()
        );
        kafka
    }

    /// One of Kafka's programs.
    pub(super) fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        java.current_dir(&self.place).args(["-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp"]);
        java.arg(format!("{}/*", self.libraries.display())).arg(class);
        java
    }

    /// Whether Kafka's own tool reads every segment of the partition and finds every batch sound. The number of segments.
    pub(super) fn dump(&self, partition: &str) -> usize {
        let directory = self.place.join("data").join(partition);
        let mut files: Vec<String> = fs::read_dir(&directory)
            .expect("the partition has a directory")
            .map(|entry| entry.expect("it can be listed").path().display().to_string())
            .filter(|path| path.ends_with(".log"))
            .collect();
        files.sort();
        let mut tool = self.java("org.apache.kafka.tools.DumpLogSegments");
        tool.args(["--deep-iteration", "--files", &files.join(",")]);
        let output = tool.output().expect("java runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("isvalid: true") && !said.contains("isvalid: false"), "{said}");
        files.len()
    }
}

impl Kafka {
    /// Stops it as an operator does, with SIGTERM.
    pub(super) fn stop(mut self) {
        let id = self.process.id().to_string();
        let told = Command::new("kill").arg(id).status().expect("kill runs");
        assert!(told.success());
        wait_for("Kafka stops", PATIENCE, || self.process.try_wait().expect("it is ours"));
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}
