//! Clients from the Python registry.

use std::process::Command;

use ottla_testkit::foreign::{Skip, run};

use super::{limited, source, store};

/// Packages at pinned versions.
pub(crate) struct PythonPackages {
    pub(crate) name: &'static str,
    pub(crate) requirements: &'static [&'static str],
}

impl PythonPackages {
    pub(crate) fn checks(&self, script: &str) -> Result<Command, Skip> {
        let library = store().prepare(self.name, &self.requirements.join("\n"), |directory| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            pip.args(["--only-binary=:all:", "--target"]).arg(directory).args(self.requirements);
            run(&mut pip).map(drop)
        })?;
        let mut python = limited("python3");
        python.arg("-u").arg(source(script)).env("PYTHONPATH", library);
        Ok(python)
    }
}
