//! Keeps the map of the house honest: decisions stay pure, APIs have their handler and their tests, documents name what
//! they promise to name.

use std::fs;
use std::path::{Path, PathBuf};

use ottla_broker::config::keys::{broker_keys, differing_defaults};
use ottla_broker::metrics::{self, Metric};
use ottla_protocol::api::ApiKey;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below `folder`.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A file's lines of code, numbered from 1: no comments, and nothing from its tests on.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_tests = |line: &str| line.trim_start().starts_with("#[cfg(test)]");
    text.lines()
        .enumerate()
        .take_while(move |(_, line)| !is_tests(line))
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "testing")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The files that the `Decisions:` sentence of a folder's `mod.rs` names, those in folders of their names included.
fn decision_files(folder: &Path) -> Vec<PathBuf> {
    let text = read(&folder.join("mod.rs"));
    let documentation: String = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let (_, list) = documentation
        .split_once("Decisions:")
        .unwrap_or_else(|| panic!("{}/mod.rs says which files are decisions", folder.display()));
    let list = list.split('.').next().unwrap_or_default();
    let mut files = Vec::new();
    for name in list.split('`').skip(1).step_by(2) {
        let (file, own) = (folder.join(format!("{name}.rs")), folder.join(name));
        assert!(file.is_file() || own.is_dir(), "{}: there is no {name}", folder.display());
        files.extend(file.is_file().then_some(file));
        if own.is_dir() {
            files.extend(rust_files(&own));
        }
    }
    assert!(!files.is_empty(), "{}: decisions are listed", folder.display());
    files.retain(|file| !is_test_file(file));
    files
}

/// What a decision has no business with: runtimes, clocks, files, sockets, threads, locks, channels, and maps whose
/// order changes from run to run.
const NOT_FOR_DECISIONS: &[&str] = &[
    "tokio",
    ".await",
    "async fn",
    "async move",
    "std::fs",
    "std::thread",
    "std::sync::mpsc",
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Mutex",
    "RwLock",
    "ArcSwap",
    "Atomic",
    "DiskRef",
    "FileRef",
    "Spawner",
    "Clock",
    "HashMap",
    "HashSet",
];

/// Whether `word` stands in the line as a word of its own, or as the beginning of one if it names a family.
fn names(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(place, _)| {
        let before = line[..place].chars().next_back();
        let behind = line[place + word.len()..].chars().next();
        !before.is_some_and(is_part) && (word == "Atomic" || !behind.is_some_and(is_part))
    })
}

#[test]
fn decisions_know_no_runtime_clock_file_or_socket() {
    let source = root().join("broker/src");
    let mut files: Vec<PathBuf> = ["log", "controller", "replication", "network", "take_over"]
        .iter()
        .flat_map(|name| decision_files(&source.join(name)))
        .collect();
    files.push(source.join("health.rs"));
    for folder in ["producer", "consumer"] {
        files.extend(decision_files(&root().join("client/src").join(folder)));
    }
    // The configuration and the codec are pure as a whole.
    for folder in [source.join("config"), root().join("protocol/src")] {
        files.extend(rust_files(&folder).into_iter().filter(|file| !is_test_file(file)));
    }
    // It counts what it allocates, in tests only.
    files.retain(|file| !file.ends_with("wire/counting_allocator.rs"));
    let mut found = Vec::new();
    for file in &files {
        for (number, line) in code_lines(&read(file)) {
            for word in NOT_FOR_DECISIONS.iter().filter(|word| names(line, word)) {
                found.push(format!("{}:{number}: {word}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "decisions name what belongs to effects:\n{}", found.join("\n"));
}

/// `CreateTopics` as a file is called: `create_topics`.
fn module_name(api: ApiKey) -> String {
    let mut name = String::new();
    for character in api.name().chars() {
        if character.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(character.to_lowercase());
    }
    name
}

#[test]
fn every_api_has_its_handler_and_its_tests() {
    let tests = read(&root().join("tests/wire/main.rs"));
    for api in ApiKey::ALL {
        let module = module_name(*api);
        for folder in ["protocol/src/api", "broker/src/api", "tests/wire", "tests/recordings"] {
            let file = root().join(folder).join(format!("{module}.rs"));
            assert!(file.is_file(), "{}: {} has no file", file.display(), api.name());
        }
        assert!(tests.contains(&format!("mod {module};")), "tests/wire/main.rs does not run {module}");
        let file = root().join("tests/wire").join(format!("{module}.rs"));
        assert!(read(&file).contains("#[test]"), "{} tests something", file.display());
        let recording = root().join("tests/recordings").join(format!("{module}.json"));
        assert!(recording.is_file(), "{}: {} has no recording", recording.display(), api.name());
    }
}

#[test]
fn unsafe_code_lies_in_the_one_module_of_system_calls() {
    let known = ["runtime/src/real/disk/syscalls.rs", "protocol/src/wire/counting_allocator.rs"];
    for folder in ["src", "protocol/src", "runtime/src", "broker/src", "testkit/src", "client/src"] {
        for file in rust_files(&root().join(folder)) {
            if known.iter().any(|known| file.ends_with(known)) {
                continue;
            }
            for (number, line) in code_lines(&read(&file)) {
                let is_unsafe =
                    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code"]
                        .iter()
                        .any(|form| line.contains(form));
                assert!(!is_unsafe, "{}:{number}: unsafe code", file.display());
            }
        }
    }
}

#[test]
fn the_differences_from_kafka_are_listed() {
    let text = read(&root().join("docs/differences.md"));
    let row_of = |key: &str| text.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
    for (key, differs) in differing_defaults() {
        let row =
            row_of(key.name).unwrap_or_else(|| panic!("docs/differences.md has no row for {}", key.name));
        for default in
            [key.default, differs.kafka_default].into_iter().flatten().filter(|text| !text.is_empty())
        {
            assert!(row.contains(&format!("`{default}`")), "{}: the row does not say {default:?}", key.name);
        }
    }
    for key in broker_keys().values().filter(|key| key.name.starts_with("ottla.")) {
        let row =
            row_of(key.name).unwrap_or_else(|| panic!("docs/differences.md has no row for {}", key.name));
        if let Some(default) = key.default {
            assert!(row.contains(&format!("`{default}`")), "{}: the row does not say {default:?}", key.name);
        }
    }
}

#[test]
fn the_page_of_metrics_has_every_metric_and_no_other() {
    let text = read(&root().join("docs/metrics.md"));
    let row_of = |metric: &Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let Metric { name, kind, help, .. } = metric;
        format!("| `{name}` | {} | {} | {help} |", kind.name(), labels.join(", "))
    };
    let rows: Vec<String> = metrics::ALL.iter().map(|metric| row_of(metric)).collect();
    for row in &rows {
        assert!(text.lines().any(|line| line == row), "docs/metrics.md has no row\n{row}");
    }
    let is_name = |line: &str| line.starts_with("| `ottla_") || line.starts_with("| `process_");
    for line in text.lines().filter(|line| is_name(line)) {
        assert!(rows.iter().any(|row| row == line), "docs/metrics.md speaks of what there is not:\n{line}");
    }
}
