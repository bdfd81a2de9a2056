//! The suite in the simulated world, over several seeds.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ottla_runtime::simulated::Simulation;
use ottla_runtime::{DiskWait as _, TaskEnd};

use crate::world::{Case, World};

/// How many seeds each case runs under.
const SEED_COUNT: u64 = 10;

struct Simulated;

impl World for Simulated {
    fn run<C, F>(case: C)
    where
        C: Fn(Case) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        for seed in 0..SEED_COUNT {
            let simulation = Simulation::new(seed);
            // Some cases let a task panic; the one that matters is asked for below.
            simulation.expect_panics();
            let runtime = simulation.machine("one").runtime();
            let end = simulation.block_on(async {
                let directory = PathBuf::from("/case");
                runtime.disk.create_directory_wait(&directory).await.unwrap();
                let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
                runtime.spawner.spawn("case", case(Case { runtime: runtime.clone(), directory, host })).await
            });
            assert_eq!(end, TaskEnd::Finished, "seed {seed}");
        }
    }
}

crate::every_case!(Simulated);
