use std::net::SocketAddr;

use futures_util::future::join;
use ottla_runtime::Connection;
use ottla_runtime::simulated::Simulation;

use super::*;

const STALL: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(600);
const MAX: usize = 100;

/// What a reader makes of a client's bytes, frame by frame: their lengths, and how it ends.
struct Script {
    budget: Arc<RequestBudget>,
    /// Bytes, and how long the client waits before it sends them.
    sends: Vec<(u64, Vec<u8>)>,
    /// Somebody else's bytes, and when they are given back.
    release: Option<(u64, RequestBytes)>,
}

async fn connected(simulation: &Simulation) -> (Connection, Connection) {
    let (client, server) = (simulation.machine("client").runtime(), simulation.machine("server"));
    let address = SocketAddr::new(server.ip(), 0);
    let mut listener = server.runtime().net.listen(address, 16).await.unwrap();
    let (near, far) = join(client.net.connect(listener.local_address()), listener.accept()).await;
    (near.unwrap(), far.unwrap())
}

impl Script {
    fn new(sends: Vec<(u64, Vec<u8>)>) -> Script {
        Script { budget: RequestBudget::new(1 << 20), sends, release: None }
    }

    /// The frames' lengths, what ended them, and after how many seconds.
    fn run(self) -> (Vec<usize>, FrameError, u64) {
        let simulation = Simulation::new(7);
        let clock = simulation.machine("server").runtime().clock;
        simulation.block_on(async {
            let (near, far) = connected(&simulation).await;
            let limits = ReadLimits { frame_bytes_max: MAX, stall: STALL, idle: Some(IDLE) };
            let reading = FrameReading { budget: self.budget, buffers: Arc::default() };
            let mut reader = FrameReader::new(far.reader, &reading, clock.clone(), limits);
            let began = clock.now();
            let releasing = async {
                if let Some((after, bytes)) = self.release {
                    clock.sleep(Duration::from_secs(after)).await;
                    drop(bytes);
                }
                std::future::pending::<()>().await;
            };
            let sending = async {
                let Connection { mut writer, reader, .. } = near;
                for (pause, bytes) in self.sends {
                    clock.sleep(Duration::from_secs(pause)).await;
                    // The other side may have given up.
                    let _sent = writer.write_all(&[Bytes::from(bytes)]).await;
                }
                clock.sleep(IDLE * 2).await;
                drop((writer, reader));
            };
            let reading = async {
                let mut lengths = Vec::new();
                loop {
                    match reader.next_frame().await {
                        Ok(frame) => lengths.push(frame.bytes.len()),
                        Err(error) => return (lengths, error, clock.now().since(began).as_secs()),
                    }
                }
            };
            tokio::select! {
                biased;
                found = reading => found,
                () = releasing => unreachable!("it never ends"),
                () = sending => panic!("the reader waits for a client that has gone"),
            }
        })
    }
}

fn frame(len: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(len).unwrap().to_be_bytes().to_vec();
    bytes.resize(len + 4, 7);
    bytes
}

#[test]
fn sizes_that_no_request_has_end_the_connection() {
    for (size, expected) in [(-1_i32, -1), (0, 0), (101, 101), (i32::MAX, i32::MAX), (i32::MIN, i32::MIN)] {
        let (frames, error, _) = Script::new(vec![(0, size.to_be_bytes().to_vec())]).run();
        assert_eq!(frames, [0; 0]);
        assert!(matches!(error, FrameError::Size { size, max: MAX } if size == expected), "{error}");
    }
}

#[test]
fn frames_are_cut_wherever_the_network_cuts_them() {
    let all = [frame(1), frame(100), frame(50), frame(2)].concat();
    for piece in [1, 2, 3, 5, 7, 60, 1000] {
        let sends = all.chunks(piece).map(|piece| (1, piece.to_vec())).collect();
        let (frames, error, _) = Script::new(sends).run();
        assert_eq!(frames, [1, 100, 50, 2], "pieces of {piece}");
        assert!(matches!(error, FrameError::Idle(_)), "{error}");
    }
}

#[test]
fn frame_without_progress_is_given_up_and_one_that_trickles_is_not() {
    let (frames, error, seconds) = Script::new(vec![(0, frame(50)[..20].to_vec())]).run();
    assert!(frames.is_empty() && matches!(error, FrameError::Stalled(_)), "{error}");
    assert_eq!(seconds, 30);
    // Part of a size counts as a frame that has begun.
    let (_, error, seconds) = Script::new(vec![(100, vec![0, 0])]).run();
    assert!(matches!(error, FrameError::Stalled(_)), "{error}");
    assert_eq!(seconds, 130);
    let trickle = frame(50).into_iter().map(|byte| (29, vec![byte])).collect();
    assert_eq!(Script::new(trickle).run().0, [50]);
}

#[test]
fn connection_that_asks_for_nothing_is_ended_after_a_while() {
    let (_, error, seconds) = Script::new(vec![(100, frame(5)), (599, frame(5))]).run();
    assert!(matches!(error, FrameError::Idle(_)), "{error}");
    assert_eq!(seconds, 100 + 599 + 600);
}

#[test]
fn client_that_the_budget_makes_wait_is_not_given_up() {
    let budget = RequestBudget::new(50);
    // Somebody else's frame is older, and what it holds leaves no room.
    let older = budget.begin(60);
    let sends = vec![(0, frame(40)[..10].to_vec()), (20, frame(40)[10..].to_vec())];
    let script = Script { budget, sends, release: Some((100, older)) };
    let (frames, error, seconds) = script.run();
    assert_eq!(frames, [40]);
    assert!(matches!(error, FrameError::Idle(_)), "{error}");
    assert_eq!(seconds, 100 + 600);
}
