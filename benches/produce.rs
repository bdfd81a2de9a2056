//! What the broker's hot paths cost, beside the least that the same work costs on the same machine.
//!
//! `cargo bench --bench produce [-- SECTION...]`. A real `ottla serve` takes frames that were built beforehand, so that
//! the generator is not what is measured; rounds of it alternate with rounds of a minimal program (`support/limits.rs`)
//! that does only the work itself. Medians are printed, and the ratio. A virtual machine's memory costs much at its first
//! touch, which is why it is touched before, why rounds alternate, and why only figures of one run compare
//! (`docs/performance.md`). Nothing is asserted. Sections: `produce`, `fetch`, `many`, `single`, `group`.

#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

mod support;

use anyhow::Result;

use support::pages::WarmPages;
use support::{limits, sections, workspace};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == limits::ARGUMENT
    {
        return limits::run(rest);
    }
    let wanted = |section: &str| arguments.is_empty() || arguments.iter().any(|name| name == section);
    let workspace = workspace()?;
    let warm = WarmPages::fill(workspace.path())?;
    println!("{warm}");
    for (name, run) in sections::ALL {
        if wanted(name) {
            println!("\n== {name}");
            run(workspace.path())?;
        }
    }
    Ok(())
}
