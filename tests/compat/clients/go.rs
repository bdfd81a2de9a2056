//! Clients from the Go module proxy: the programs of `tests/compat/go`, built with the versions of its `go.mod`.

use std::process::Command;

use ottla_testkit::foreign::{Skip, run};

use super::{compile, contents, limited, source, store};

/// One of the programs, named like its folder.
pub(crate) fn go(program: &str) -> Result<Command, Skip> {
    let version = run(Command::new("go").arg("version"))?;
    let stamp = String::from_utf8_lossy(&version.stdout).into_owned() + &contents(&source("go"))?;
    let programs = store().prepare("go", &stamp, |directory| {
        // Modules and objects are kept for the next build.
        let cache = store().place().join("go-cache");
        let go = |arguments: &[&str]| {
            let mut go = Command::new("go");
            go.current_dir(source("go"))
                .args(arguments)
                .env("GOTOOLCHAIN", "local")
                .env("GOFLAGS", "-modcacherw");
            go.env("GOMODCACHE", cache.join("modules")).env("GOCACHE", cache.join("objects"));
            go
        };
        run(&mut go(&["mod", "download"]))?;
        compile(go(&["build", "-buildvcs=false", "-o"]).arg(directory).arg("./..."));
        Ok(())
    })?;
    Ok(limited(programs.join(program)))
}
