//! A broker that is started here, as users start it, and the directory that its data is in.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

/// What the line says that names the address.
const LISTENING: &str = "listening on ";

/// A directory of its own, removed when this is dropped.
pub(crate) struct Workspace {
    path: PathBuf,
}

impl Workspace {
    /// Makes one in `parent`, which has to be on a disk.
    pub(crate) fn create(parent: &Path) -> Result<Workspace> {
        let shown = parent.display();
        let kind =
            statfs(parent).with_context(|| format!("{shown} can't be used; name another --directory"))?;
        if kind.filesystem_type() == TMPFS_MAGIC {
            bail!("{shown} is memory, not a disk: name a --directory on the disk to be measured");
        }
        let path = parent.join(format!("ottla-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("{} can't be made", path.display()))?;
        Ok(Workspace { path: path.canonicalize()? })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What can't be removed stays where the user can see it.
        let _left = std::fs::remove_dir_all(&self.path);
    }
}

/// A broker of our own. Dropped, it is killed; its data goes when the next one starts in the same directory, so that each
/// round writes into memory that was freed a moment before, as those of the limits do.
pub(crate) struct OwnBroker {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl OwnBroker {
    /// Starts `program serve` on a free port with its data in `directory`, and waits until it serves.
    pub(crate) fn start(program: &Path, directory: &Path, settings: &[&str]) -> Result<OwnBroker> {
        let data = directory.join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data).with_context(|| format!("{} can't be removed", data.display()))?;
        }
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "none", "--data-dir"])
            .arg(&data)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} can't be started", program.display()))?;
        let mut stderr = BufReader::new(child.stderr.take().context("it is piped")?);
        let mut said = String::new();
        let mut broker = OwnBroker { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        loop {
            let mut line = String::new();
            if stderr.read_line(&mut line)? == 0 {
                bail!("the broker did not start; it said:\n{said}");
            }
            if let Some(address) = address_in(&line) {
                broker.address = address;
                break;
            }
            said += &line;
        }
        // What it says later has to go somewhere, or it would wait.
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Ok(broker)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(LISTENING)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_what_serve_says() {
        let line = "2026-11-21T12:00:00Z  INFO listening on 127.0.0.1:9092\n";
        assert_eq!(address_in(line), "127.0.0.1:9092".parse().ok());
        assert_eq!(address_in("INFO data in ./ottla-data"), None);
    }
}
