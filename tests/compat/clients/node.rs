//! Clients from npm.

use std::process::Command;

use ottla_testkit::foreign::{Skip, run};

use super::{limited, source, store};

/// Packages at pinned versions.
pub(crate) struct NodePackages {
    pub(crate) name: &'static str,
    pub(crate) requirements: &'static [&'static str],
}

impl NodePackages {
    pub(crate) fn checks(&self, script: &str) -> Result<Command, Skip> {
        let library = store().prepare(self.name, &self.requirements.join("\n"), |directory| {
            run(Command::new("node").arg("--version"))?;
            let mut npm = Command::new("npm");
            // Their own install scripts would build or fetch more.
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
            npm.arg("--prefix").arg(directory).args(self.requirements);
            run(&mut npm).map(drop)
        })?;
        let mut node = limited("node");
        node.arg(source(script)).env("NODE_PATH", library.join("node_modules"));
        Ok(node)
    }
}
