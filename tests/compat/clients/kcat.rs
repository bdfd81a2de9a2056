//! Debian's kcat, unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ottla_testkit::foreign::{Skip, run};

use super::{limited, source, store};

const PACKAGES: [&str; 3] = ["kcat", "librdkafka1", "libyajl2"];

/// A script that finds kcat in `$KCAT`.
pub(crate) fn kcat(script: &str) -> Result<Command, Skip> {
    let root = store().prepare("kcat", &PACKAGES.join("\n"), fill)?;
    let mut bash = limited("bash");
    bash.arg(source(script)).env("KCAT", root.join("usr/bin/kcat")).env("LD_LIBRARY_PATH", libraries(&root));
    Ok(bash)
}

fn fill(directory: &Path) -> Result<(), Skip> {
    let lists = directory.join("lists");
    fs::create_dir_all(lists.join("partial"))?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.current_dir(directory).arg("-o").arg(format!("Dir::State::lists={}", lists.display()));
        // As root, apt drops to a user that may not write here.
        apt.args(["-o", "APT::Sandbox::User="]);
        apt
    };
    run(apt().args(["update", "-qq"]))?;
    run(apt().args(["download", "-qq"]).args(PACKAGES))?;
    for package in fs::read_dir(directory)?.flatten() {
        if package.path().extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(package.path()).arg(directory))?;
        }
    }
    Ok(fs::remove_dir_all(&lists)?)
}

fn libraries(root: &Path) -> PathBuf {
    let lib = root.join("usr/lib");
    let multiarch = fs::read_dir(&lib).ok().and_then(|entries| {
        entries.flatten().map(|entry| entry.path()).find(|path| path.join("librdkafka.so.1").exists())
    });
    multiarch.unwrap_or(lib)
}
