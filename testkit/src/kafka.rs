//! Apache Kafka: one node, broker and controller, on ports of its own, from the jars of
//! [`crate::foreign::kafka_jars`].

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::try_wait_for;

/// How long Kafka may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node. It ends with this value, and with this process however that ends: then its standard input is closed, for
/// which its keeper waits.
#[derive(Debug)]
pub struct KafkaNode {
    address: SocketAddr,
    keeper: Child,
    _directory: tempfile::TempDir,
}

impl KafkaNode {
    /// Formats a directory and starts a node on it, with these properties besides those that it needs; waits until it
    /// listens. `libraries` has the jars. Panics with Kafka's last words if it doesn't start.
    pub fn start(libraries: &Path, properties: &[(&str, &str)]) -> KafkaNode {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = directory.path();
        let (address, controller) = free_addresses();
        let mut text = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.bootstrap.servers={controller}\n\
             listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{address}\n\
             inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\noffsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n",
            place.join("data").display()
        );
        text.extend(properties.iter().map(|(key, value)| format!("{key}={value}\n")));
        fs::write(place.join("server.properties"), text).expect("the directory can be written to");
        // The keeper runs Kafka until its own standard input ends.
        let script = "java -Xmx512m -cp \"$0/*\" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ \
                      -c server.properties --standalone >format.log 2>&1 || exit 1\n\
                      java -Xmx512m -XX:TieredStopAtLevel=1 -cp \"$0/*\" kafka.Kafka server.properties \
                      >server.log 2>&1 &\n\
                      read -r _ || true\nkill -9 $!";
        let mut keeper = Command::new("sh");
        keeper.args(["-c", script]).arg(libraries).current_dir(place);
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let keeper = keeper.expect("sh starts");
        let listens = try_wait_for(PATIENCE, || TcpStream::connect(address).ok());
        assert!(listens.is_some(), "Kafka did not start; it said:\n{}", last_words(place));
        KafkaNode { address, keeper, _directory: directory }
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for KafkaNode {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _status = self.keeper.wait();
    }
}

fn free_addresses() -> (SocketAddr, SocketAddr) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [one, two] = listeners.map(|listener| listener.local_addr().expect("it is bound"));
    (one, two)
}

fn last_words(place: &Path) -> String {
    let mut said = String::new();
    for name in ["format.log", "server.log"] {
        if let Ok(mut file) = fs::File::open(place.join(name)) {
            let _unreadable = file.read_to_string(&mut said);
        }
    }
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
