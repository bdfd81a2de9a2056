//! Apache Kafka, from Maven, one node for all tests of a run.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use ottla_testkit::foreign::{Skip, kafka_jars};
use ottla_testkit::wait::try_wait_for;

use crate::bed::PATIENCE;

/// A node. It ends with this process: then its standard input is closed, for which its keeper waits.
struct Node {
    address: String,
    _keeper: Child,
    _directory: tempfile::TempDir,
}

/// Where Kafka listens; started at the first call.
pub(crate) fn address() -> Result<String, Skip> {
    static NODE: OnceLock<Result<Node, Skip>> = OnceLock::new();
    let node = NODE.get_or_init(|| kafka_jars(env!("CARGO_BIN_EXE_ottla")).map(|jars| start(&jars)));
    node.as_ref().map(|node| node.address.clone()).map_err(Clone::clone)
}

/// Starts a node that is broker and controller, and waits until it listens.
fn start(libraries: &Path) -> Node {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path();
    let (port, controller_port) = free_ports();
    let address = format!("127.0.0.1:{port}");
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://{address}\n\
         inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dirs={}\noffsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n",
        place.join("data").display()
    );
    fs::write(place.join("server.properties"), properties).expect("the directory can be written to");
    // The keeper runs Kafka until its own standard input ends, however this process ends.
    let script = "java -Xmx512m -cp \"$0/*\" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ \
                  -c server.properties --standalone >format.log 2>&1 || exit 1\n\
                  java -Xmx512m -XX:TieredStopAtLevel=1 -cp \"$0/*\" kafka.Kafka server.properties \
                  >server.log 2>&1 &\n\
                  read -r _ || true\nkill -9 $!";
    let mut keeper = Command::new("sh");
    keeper.args(["-c", script]).arg(libraries).current_dir(place);
    let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let keeper = keeper.expect("sh starts");
    let listens = try_wait_for(2 * PATIENCE, || TcpStream::connect(&address).ok());
    assert!(listens.is_some(), "Kafka did not start; it said:\n{}", last_words(place));
    Node { address, _keeper: keeper, _directory: directory }
}

fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [one, two] = listeners.map(|listener| listener.local_addr().expect("it is bound").port());
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
