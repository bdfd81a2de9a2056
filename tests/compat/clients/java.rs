//! Apache Kafka's Java client and its command-line tools, driven by the programs of `tests/compat/java`.

use std::process::Command;

use ottla_testkit::foreign::{Skip, kafka_jars, run};

use super::{contents, limited, source, store};

/// One of the programs, named like its class.
pub(crate) fn java(class: &str) -> Result<Command, Skip> {
    let jars = kafka_jars(env!("CARGO_BIN_EXE_ottla"))?;
    let jars = format!("{}/*", jars.display());
    let version = run(Command::new("javac").arg("-version"))?;
    let stamp = String::from_utf8_lossy(&version.stdout).into_owned() + &jars + &contents(&source("java"))?;
    let classes = store().prepare("java", &stamp, |directory| {
        let mut compile = Command::new("javac");
        compile.args(["-cp", &jars, "-d"]).arg(directory);
        compile.args(
            ["Checks", "ClientChecks", "AdminChecks", "ToolChecks"]
                .map(|name| source("java").join(name).with_extension("java")),
        );
        run(&mut compile).map(drop)
    })?;
    let mut java = limited("java");
    java.args([
        "-Xmx384m",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        &format!("{}:{jars}", classes.display()),
        class,
    ]);
    Ok(java)
}
