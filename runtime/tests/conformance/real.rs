//! The suite on this machine.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use futures_util::future::{Either, select};
use ottla_runtime::{TaskEnd, real};

use crate::world::{Case, World};

/// How long a case may take before it counts as hanging.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);

struct Machine;

impl World for Machine {
    fn run<C, F>(case: C)
    where
        C: Fn(Case) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        // Beside the build rather than in /tmp, which may be a file system in memory.
        let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let path = directory.path().to_owned();
        let end = real::block_on(NonZeroUsize::new(2), |runtime| async move {
            let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let task =
                runtime.spawner.spawn("case", case(Case { runtime: runtime.clone(), directory: path, host }));
            match select(task, Box::pin(runtime.clock.sleep(CASE_TIME_MAX))).await {
                Either::Left((end, _)) => end,
                Either::Right(((), _)) => panic!("the case did not end in {CASE_TIME_MAX:?}"),
            }
        });
        assert_eq!(end.unwrap(), TaskEnd::Finished);
    }
}

crate::every_case!(Machine);
