//! Brings unmodified clients under `target/compat/`, once, without installing anything on the machine.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// One preparation at a time: tests of one process run side by side.
static PREPARING: Mutex<()> = Mutex::new(());

/// Why a client can't be had here.
pub(crate) struct Skip(String);

impl Skip {
    pub(crate) fn because(reason: &str) -> Skip {
        Skip(reason.to_owned())
    }

    /// Says so where it is seen even though the test passes: past the test harness's capture.
    pub(crate) fn say(&self, client: &str) {
        let line = format!("SKIPPED {client}: {}\n", self.0);
        std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
    }
}

/// Where the scripts of this folder are.
pub(crate) fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

fn target_directory() -> PathBuf {
    // <target>/debug/ottla -> <target>/compat
    let program = Path::new(env!("CARGO_BIN_EXE_ottla"));
    program.ancestors().nth(2).expect("the program lies in target/<profile>").join("compat")
}

/// Packages of the Python registry at pinned versions.
pub(crate) struct PythonPackages {
    pub(crate) name: &'static str,
    pub(crate) requirements: &'static [&'static str],
}

impl PythonPackages {
    /// The directory for `PYTHONPATH`.
    pub(crate) fn prepare(&self) -> Result<PathBuf, Skip> {
        prepare(self.name, &self.requirements.join("\n"), |directory| {
            let mut pip = Command::new("python3");
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--only-binary=:all:",
            ]);
            pip.arg("--target").arg(directory).args(self.requirements);
            run(pip).map(drop)
        })
    }
}

/// Debian's kcat, unpacked.
pub(crate) struct Kcat {
    root: PathBuf,
}

impl Kcat {
    pub(crate) fn prepare() -> Result<Kcat, Skip> {
        const PACKAGES: [&str; 3] = ["kcat", "librdkafka1", "libyajl2"];
        let root = prepare("kcat", &PACKAGES.join("\n"), |directory| {
            let lists = directory.join("lists");
            fs::create_dir_all(lists.join("partial")).map_err(|error| Skip(error.to_string()))?;
            let apt = || {
                let mut apt = Command::new("apt-get");
                apt.current_dir(directory).arg("-o").arg(format!("Dir::State::lists={}", lists.display()));
                // As root, apt drops to a user that may not write here.
                apt.args(["-o", "APT::Sandbox::User="]);
                apt
            };
            let mut update = apt();
            update.args(["update", "-qq"]);
            run(update)?;
            let mut download = apt();
            download.args(["download", "-qq"]).args(PACKAGES);
            run(download)?;
            for package in fs::read_dir(directory).map_err(|error| Skip(error.to_string()))?.flatten() {
                if package.path().extension().is_some_and(|extension| extension == "deb") {
                    let mut unpack = Command::new("dpkg-deb");
                    unpack.arg("-x").arg(package.path()).arg(directory);
                    run(unpack)?;
                }
            }
            fs::remove_dir_all(&lists).map_err(|error| Skip(error.to_string()))
        })?;
        Ok(Kcat { root })
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.root.join("usr/bin/kcat")
    }

    /// For `LD_LIBRARY_PATH`.
    pub(crate) fn libraries(&self) -> PathBuf {
        let lib = self.root.join("usr/lib");
        let multiarch = fs::read_dir(&lib).ok().and_then(|entries| {
            entries.flatten().map(|entry| entry.path()).find(|path| path.join("librdkafka.so.1").exists())
        });
        multiarch.unwrap_or(lib)
    }
}

/// Makes a directory whole or not at all: it is filled beside its place and renamed. `stamp` is what it was made
/// of; another one makes it again.
fn prepare(name: &str, stamp: &str, fill: impl FnOnce(&Path) -> Result<(), Skip>) -> Result<PathBuf, Skip> {
    let _one_at_a_time = PREPARING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = target_directory().join(name);
    if fs::read_to_string(place.join("prepared-from")).is_ok_and(|found| found == stamp) {
        return Ok(place);
    }
    let unfinished = target_directory().join(format!("{name}.{}", std::process::id()));
    let io = |error: std::io::Error| Skip(error.to_string());
    fs::create_dir_all(&unfinished).map_err(io)?;
    let filled = fill(&unfinished);
    if filled.is_err() {
        // Half a client is of no use, and the reason is already at hand.
        let _ = fs::remove_dir_all(&unfinished);
    }
    filled?;
    fs::write(unfinished.join("prepared-from"), stamp).map_err(io)?;
    if place.exists() {
        fs::remove_dir_all(&place).map_err(io)?;
    }
    fs::rename(&unfinished, &place).map_err(io)?;
    Ok(place)
}

fn run(mut command: Command) -> Result<Output, Skip> {
    let what = format!("{command:?}");
    match command.output() {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Skip(format!("{what}: {}", said.lines().last().unwrap_or("failed without a word"))))
        }
        Err(error) => Err(Skip(format!("{what}: {error}"))),
    }
}
