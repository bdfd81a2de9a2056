//! Groups and transactions of a broker that is killed, and a storm of members.

use std::path::Path;
use std::time::Duration;

use ottla_runtime::{Runtime, real};
use ottla_sim::Live;
use ottla_sim::history::Ending;

use crate::{Bed, expect_none, expect_to_hold_through_kills, note_figures, number};

/// How long members may take to have all partitions between them, once nobody joins, leaves or dies any more.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// Members of both protocols that commit, leave, die and come back; transactions, also such as take offsets on; compaction.
#[test]
fn coordinators_keep_their_word_through_kills() {
    expect_to_hold_through_kills(Live::coordinated);
}

/// The coordinator is killed in the middle of it.
#[test]
fn a_storm_of_members_settles() {
    let members = u32::try_from(number("OTTLA_CRASH_MEMBERS", 20)).expect("not that many");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let run = real::block_on(None, |runtime| async move { storm(runtime, members, &data).await });
    run.expect("a runtime");
}

async fn storm(runtime: Runtime, members: u32, data: &Path) {
    let seconds = number("OTTLA_CRASH_STORM_SECONDS", 4);
    let mut bed = Bed::new(runtime, |runtime, address, seed| Live::storm(runtime, address, seed, members));
    let clock = bed.runtime.clock.clone();
    let broker = bed.start(data);
    bed.live.begin().await;
    clock.sleep(Duration::from_secs(seconds)).await;
    broker.kill();
    bed.live.after_end(Ending::Kill);
    let broker = bed.start(data);
    clock.sleep(Duration::from_secs(seconds)).await;
    bed.live.drain().await.expect("the broker answers");
    let took = bed.live.settle().await.expect("the broker answers");
    let used = broker.processor_time();
    bed.live.read_all().await.expect("everything can be read");
    let acknowledged = bed.live.acknowledged();
    let (violations, history) = bed.live.finish();
    note_figures(&history, acknowledged);
    note_storm(members, took, used);
    expect_none(&violations, &history);
    assert!(took <= SETTLED_WITHIN, "{members} members of each protocol took {took:?} to settle");
}

#[expect(clippy::print_stdout, reason = "the figures of a run, which the test harness shows when asked")]
fn note_storm(members: u32, took: Duration, used: Duration) {
    println!(
        "{members} members of each protocol: settled in {took:?}; the broker has used {used:?} of a processor"
    );
}
