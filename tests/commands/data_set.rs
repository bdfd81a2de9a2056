//! The data set that the clients of `tests/compat` move, moved by our own command.

use std::path::Path;
use std::process::Command;

use crate::bed::Bed;

#[test]
fn a_data_set_comes_back_through_six_partitions_with_each_codec() {
    let bed = Bed::shared();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/data_set.sh");
    let output = Command::new("bash")
        .arg(script)
        .arg(bed.broker.address().to_string())
        .env("OTTLA", env!("CARGO_BIN_EXE_ottla"))
        // The documented size is ten times that.
        .env("RECORDS", "40000")
        .output()
        .expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (output, said, status) = (text(&output.stdout), text(&output.stderr), output.status);
    assert!(status.success(), "{status}\n{output}\n{said}");
    let sound = output
        .lines()
        .filter(|line| line.starts_with("ok ") && line.contains(": 6 partitions, 40000 records"));
    assert_eq!(sound.count(), 5, "{output}");
}
