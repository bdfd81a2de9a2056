//! Programs that are not ours, brought from the public registries once and kept under `target/`, with nothing installed
//! on the machine. Where one can't be had there is a reason, and the test that wanted it says SKIPPED and passes.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// Apache Kafka's version here: the newest whose artifacts are all published.
pub const KAFKA_VERSION: &str = "4.3.1";

/// Why a program can't be had here.
#[derive(Debug, Clone)]
pub struct Skip(String);

impl Skip {
    /// A reason of one's own.
    pub fn because(reason: impl Into<String>) -> Skip {
        Skip(reason.into())
    }

    /// Says so where it is seen even though the test passes: past the test harness's capture.
    pub fn say(&self, program: &str) {
        let line = format!("SKIPPED {program}: {}\n", self.0);
        io::stderr().write_all(line.as_bytes()).expect("standard error is open");
    }
}

impl From<io::Error> for Skip {
    fn from(error: io::Error) -> Skip {
        Skip(error.to_string())
    }
}

/// A folder beside our own program's, for what is brought here.
#[derive(Debug, Clone)]
pub struct Store {
    place: PathBuf,
}

impl Store {
    /// `<target>/<folder>`, where `program` is `<target>/<profile>/ottla`.
    pub fn beside(program: &str, folder: &str) -> Store {
        let target = Path::new(program).ancestors().nth(2).expect("the program lies in target/<profile>");
        Store { place: target.join(folder) }
    }

    /// Where everything lies.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Makes a directory whole or not at all: it is filled beside its place and renamed. `stamp` is what it was made
    /// of; another one makes it again. One at a time: tests of one process run side by side.
    pub fn prepare(
        &self,
        name: &str,
        stamp: &str,
        fill: impl FnOnce(&Path) -> Result<(), Skip>,
    ) -> Result<PathBuf, Skip> {
        static PREPARING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place.join(name);
        if fs::read_to_string(place.join("prepared-from")).is_ok_and(|found| found == stamp) {
            return Ok(place);
        }
        let unfinished = self.place.join(format!("{name}.{}", std::process::id()));
        fs::create_dir_all(&unfinished)?;
        let filled = fill(&unfinished);
        if filled.is_err() {
            // Half a program is of no use, and the reason is already at hand.
            let _ = fs::remove_dir_all(&unfinished);
        }
        filled?;
        fs::write(unfinished.join("prepared-from"), stamp)?;
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::rename(&unfinished, &place)?;
        Ok(place)
    }
}

/// Runs a command to its end; what it said last is the reason if it fails.
pub fn run(command: &mut Command) -> Result<Output, Skip> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Skip(format!("{command:?}: {}", said.lines().last().unwrap_or("failed without a word"))))
        }
        Err(error) => Err(Skip(format!("{:?}: {error}", command.get_program()))),
    }
}

/// The directory with Apache Kafka's jars: the one that `OTTLA_KAFKA_LIBS` names, or one under `target/kafka/`, which
/// Maven fills. `program` is our own, `<target>/<profile>/ottla`.
pub fn kafka_jars(program: &str) -> Result<PathBuf, Skip> {
    if let Some(given) = std::env::var_os("OTTLA_KAFKA_LIBS") {
        return run(Command::new("java").arg("-version")).map(|_| PathBuf::from(given));
    }
    maven_jars(&Store::beside(program, "kafka"), KAFKA_VERSION, &["kafka_2.13", "kafka-tools"])
}

/// The directory with the jars of artifacts of Apache Kafka in this version, and with all that they need.
pub fn maven_jars(store: &Store, version: &str, artifacts: &[&str]) -> Result<PathBuf, Skip> {
    run(Command::new("java").arg("-version"))?;
    let project = maven_project(version, artifacts);
    store.prepare(version, &project, |directory| {
        run(Command::new("mvn").arg("-version"))?;
        fs::write(directory.join("pom.xml"), &project)?;
        let copy = ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."];
        run(Command::new("mvn").current_dir(directory).args(copy)).map(drop)
    })
}

fn maven_project(version: &str, artifacts: &[&str]) -> String {
    let dependency = |name: &&str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>test</groupId><artifactId>kafka</artifactId><version>1</version>\
         <dependencies>{}</dependencies></project>",
        artifacts.iter().map(dependency).collect::<String>()
    )
}
