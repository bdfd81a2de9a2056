//! Apache Kafka's Java client and its command-line tools, driven by the programs of `tests/compat/java`.

use std::path::Path;
use std::process::Command;

use ottla_testkit::foreign::{Skip, Store, kafka_jars, maven_jars, run};

use super::{compile, contents, limited, source, store};

/// The oldest client that Kafka 4 serves.
const OLD_VERSION: &str = "2.1.1";

/// A program of the client and tools of today, named like its class.
pub(crate) fn java(class: &str) -> Result<Command, Skip> {
    let jars = kafka_jars(env!("CARGO_BIN_EXE_ottla"))?;
    program(
        "java",
        &jars,
        &[
            "Checks",
            "ClientChecks",
            "AdminChecks",
            "GroupChecks",
            "KillChecks",
            "ToolChecks",
            "TransactionChecks",
            "TransformKills",
        ],
        class,
    )
}

/// The program of the oldest client.
pub(crate) fn old_java() -> Result<Command, Skip> {
    let kafka = Store::beside(env!("CARGO_BIN_EXE_ottla"), "kafka");
    let jars = maven_jars(&kafka, OLD_VERSION, &["kafka-clients"])?;
    program("java-old", &jars, &["Checks", "OldClientChecks"], "OldClientChecks")
}

fn program(name: &str, jars: &Path, classes: &[&str], main: &str) -> Result<Command, Skip> {
    let jars = format!("{}/*", jars.display());
    let version = run(Command::new("javac").arg("-version"))?;
    let stamp = String::from_utf8_lossy(&version.stdout).into_owned() + &jars + &contents(&source("java"))?;
    let compiled = store().prepare(name, &stamp, |directory| {
        let mut javac = Command::new("javac");
        javac.args(["-cp", &jars, "-d"]).arg(directory);
        javac.args(classes.iter().map(|class| source("java").join(class).with_extension("java")));
        compile(&mut javac);
        Ok(())
    })?;
    let mut java = limited("java");
    java.args([
        "-Xmx384m",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        &format!("{}:{jars}", compiled.display()),
        main,
    ]);
    Ok(java)
}
