//! Apache Kafka, from Maven, one node for all tests of a run.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use ottla_testkit::wait::try_wait_for;

use crate::bed::PATIENCE;

/// The newest version whose artifacts are all published.
const VERSION: &str = "4.3.1";

/// Why there is no Kafka here.
#[derive(Debug, Clone)]
pub(crate) struct Skip(String);

impl Skip {
    /// Says so where it is seen even though the test passes: past the test harness's capture.
    pub(crate) fn say(&self) {
        let line = format!("SKIPPED Apache Kafka: {}\n", self.0);
        std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
    }
}

/// A node. It ends with this process: then its standard input is closed, for which its keeper waits.
struct Node {
    address: String,
    _keeper: Child,
    _directory: tempfile::TempDir,
}

/// Where Kafka listens; started at the first call.
pub(crate) fn address() -> Result<String, Skip> {
    static NODE: OnceLock<Result<Node, Skip>> = OnceLock::new();
    let node = NODE.get_or_init(|| Ok(start(&libraries()?)));
    node.as_ref().map(|node| node.address.clone()).map_err(Clone::clone)
}

/// Kafka's jars.
fn libraries() -> Result<PathBuf, Skip> {
    run(Command::new("java").arg("-version"))?;
    if let Some(given) = std::env::var_os("OTTLA_KAFKA_LIBS") {
        return Ok(PathBuf::from(given));
    }
    // <target>/debug/ottla -> <target>/kafka
    let program = Path::new(env!("CARGO_BIN_EXE_ottla"));
    let target = program.ancestors().nth(2).expect("the program lies in target/<profile>").join("kafka");
    let place = target.join(VERSION);
    if place.is_dir() {
        return Ok(place);
    }
    run(Command::new("mvn").arg("-version"))?;
    let io = |error: std::io::Error| Skip(error.to_string());
    // It is filled beside its place and renamed, so that it is whole or not there.
    let unfinished = target.join(format!("{VERSION}.{}", std::process::id()));
    fs::create_dir_all(&unfinished).map_err(io)?;
    fs::write(unfinished.join("pom.xml"), project()).map_err(io)?;
    let mut maven = Command::new("mvn");
    maven.current_dir(&unfinished).args([
        "-q",
        "-B",
        "dependency:copy-dependencies",
        "-DoutputDirectory=libs",
    ]);
    let brought = run(&mut maven).and_then(|()| fs::rename(unfinished.join("libs"), &place).map_err(io));
    let _leftovers = fs::remove_dir_all(&unfinished);
    brought.map(|()| place)
}

fn project() -> String {
    let dependency = |name: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{name}</artifactId>\
             <version>{VERSION}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>test</groupId><artifactId>kafka</artifactId><version>1</version>\
         <dependencies>{}{}</dependencies></project>",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    )
}

fn run(command: &mut Command) -> Result<(), Skip> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Skip(format!("{command:?}: {}", said.lines().last().unwrap_or("failed without a word"))))
        }
        Err(error) => Err(Skip(format!("{command:?}: {error}"))),
    }
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
