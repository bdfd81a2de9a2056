//! An ext4 file system in a file, whose power can be cut: the `EXT4_IOC_SHUTDOWN` ioctl stops it without writing what
//! only its journal and cache hold. Needs root and loop devices.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Enough for a run.
const IMAGE_BYTES: u64 = 512 * 1024 * 1024;

/// `EXT4_IOC_SHUTDOWN`, which is `_IOR('X', 125, u32)`, with NOLOGFLUSH. Python can do it without unsafe code, and the
/// tests need Python anyway.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A mounted file system; unmounted when this is dropped.
pub(crate) struct LoopExt4 {
    image: PathBuf,
    mounted_at: PathBuf,
}

impl LoopExt4 {
    /// Makes and mounts one within `directory`. The error says why that can't be done here.
    pub(crate) fn make(directory: &Path) -> Result<LoopExt4, String> {
        let (image, mounted_at) = (directory.join("ext4.image"), directory.join("mounted"));
        let failed = |error: std::io::Error| error.to_string();
        std::fs::create_dir(&mounted_at).map_err(failed)?;
        let file = std::fs::File::create(&image).map_err(failed)?;
        file.set_len(IMAGE_BYTES).map_err(failed)?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_ref()])?;
        mount(&image, &mounted_at)?;
        let file_system = LoopExt4 { image, mounted_at };
        // Whether the ioctl works here is better known before than in the middle.
        file_system.shut_down()?;
        file_system.remount()?;
        Ok(file_system)
    }

    /// Where it is mounted.
    pub(crate) fn mounted_at(&self) -> &Path {
        &self.mounted_at
    }

    /// Cuts the power: from now on nothing reaches the medium, and what had not is lost.
    pub(crate) fn cut_power(&mut self) {
        self.shut_down().expect("it worked when the file system was made");
    }

    /// Brings it back after a power cut; nobody has a file of it open.
    pub(crate) fn come_back(&mut self) {
        self.remount().expect("it was mounted before");
    }

    fn shut_down(&self) -> Result<(), String> {
        run("python3", &["-c".as_ref(), SHUTDOWN.as_ref(), self.mounted_at.as_ref()])
    }

    fn remount(&self) -> Result<(), String> {
        run("umount", &[self.mounted_at.as_ref()])?;
        mount(&self.image, &self.mounted_at)
    }
}

impl Drop for LoopExt4 {
    fn drop(&mut self) {
        // Lazily, so that a broker that a failed test left behind does not keep it.
        let _mounted_no_more = run("umount", &["-l".as_ref(), self.mounted_at.as_ref()]);
    }
}

fn mount(image: &Path, at: &Path) -> Result<(), String> {
    run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), at.as_ref()])
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
