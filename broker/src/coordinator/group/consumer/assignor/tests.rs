//! What every assignor owes, what each promises beyond that, and how much moves.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const BOTH: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

fn topic_id(place: usize) -> TopicId {
    TopicId([u8::try_from(place + 1).expect("few topics in a test"); 16])
}

fn topic(place: usize, partition_count: i32) -> TopicToAssign {
    TopicToAssign { id: topic_id(place), partition_count, racks: Vec::new() }
}

/// A problem in a form that owns everything.
#[derive(Debug, Clone, Default)]
struct Case {
    topics: Vec<TopicToAssign>,
    members: BTreeMap<String, CaseMember>,
}

#[derive(Debug, Clone, Default)]
struct CaseMember {
    instance_id: Option<String>,
    rack_id: Option<String>,
    topics: Vec<usize>,
    current: Partitions,
}

impl Case {
    /// Members as `name: topic topic`, topics as partition counts.
    fn new(topics: &[i32], members: &[&str]) -> Case {
        let topics = topics.iter().enumerate().map(|(place, count)| topic(place, *count)).collect();
        let mut case = Case { topics, ..Case::default() };
        for member in members {
            case.join(member);
        }
        case
    }

    fn join(&mut self, member: &str) {
        let (name, topics) = member.split_once(':').expect("a name, a colon, topics");
        let topics = topics.split_whitespace().map(|place| place.parse().expect("a topic's place")).collect();
        self.members.insert(name.to_owned(), CaseMember { topics, ..CaseMember::default() });
    }

    fn solve(&self, assignor: Assignor) -> BTreeMap<String, Partitions> {
        let problem = Problem {
            topics: self.topics.clone(),
            members: self
                .members
                .iter()
                .map(|(name, member)| MemberToAssign {
                    member_id: name,
                    instance_id: member.instance_id.as_deref(),
                    rack_id: member.rack_id.as_deref(),
                    topics: member.topics.clone().into(),
                    current: &member.current,
                })
                .collect(),
        };
        let solved = assignor.assign(&problem);
        assert_eq!(solved, assignor.assign(&problem), "the same problem has the same answer");
        assert_eq!(solved.len(), self.members.len());
        self.members.keys().cloned().zip(solved).collect()
    }

    /// Takes an assignment as the previous target; how many partitions changed hands.
    fn adopt(&mut self, solved: &BTreeMap<String, Partitions>) -> usize {
        let mut moved = 0;
        for (name, member) in &mut self.members {
            moved +=
                member.current.iter().filter(|(topic, index)| !solved[name].contains(*topic, *index)).count();
            member.current = solved[name].clone();
        }
        moved
    }

    /// What holds of every assignor's answer.
    fn assert_complete(&self, solved: &BTreeMap<String, Partitions>) {
        let mut given = BTreeSet::new();
        for (name, partitions) in solved {
            for (id, index) in partitions.iter() {
                let place =
                    self.topics.iter().position(|topic| topic.id == id).expect("a topic of the problem");
                assert!(self.members[name].topics.contains(&place), "{name} has {place}-{index} unasked");
                assert!((0..self.topics[place].partition_count).contains(&index));
                assert!(given.insert((id, index)), "{place}-{index} is given twice");
            }
        }
        let wanted: BTreeSet<usize> =
            self.members.values().flat_map(|member| member.topics.clone()).collect();
        let all: i32 = wanted.iter().map(|place| self.topics[*place].partition_count).sum();
        assert_eq!(given.len(), usize::try_from(all).expect("no negative counts"), "everything is given");
    }

    /// No partition could move to a subscriber that has two fewer.
    fn assert_even(&self, solved: &BTreeMap<String, Partitions>) {
        for (place, topic) in self.topics.iter().enumerate() {
            let counts = |name: &String| solved[name].count();
            let least =
                self.members.iter().filter(|(_, m)| m.topics.contains(&place)).map(|(n, _)| counts(n)).min();
            let most =
                solved.iter().filter(|(_, p)| !p.of(topic.id).is_empty()).map(|(n, _)| counts(n)).max();
            assert!(
                least.zip(most).is_none_or(|(least, most)| most <= least + 1),
                "{place}: {least:?} {most:?}"
            );
        }
    }
}

fn shown(case: &Case, solved: &BTreeMap<String, Partitions>) -> String {
    let rows: Vec<String> = solved
        .iter()
        .map(|(name, partitions)| {
            let topics: Vec<String> = case
                .topics
                .iter()
                .enumerate()
                .filter(|(_, topic)| !partitions.of(topic.id).is_empty())
                .map(|(place, topic)| format!("{place}{:?}", partitions.of(topic.id)))
                .collect();
            format!("{name} {}", topics.join(" "))
        })
        .collect();
    rows.join("; ").replace(", ", ",")
}

fn check(assignor: Assignor, topics: &[i32], members: &[&str], expected: &str) {
    let case = Case::new(topics, members);
    let solved = case.solve(assignor);
    case.assert_complete(&solved);
    assert_eq!(shown(&case, &solved), expected, "{assignor:?} {topics:?} {members:?}");
}

#[test]
fn range_gives_contiguous_blocks_that_line_up() {
    use Assignor::Range;
    check(Range, &[3, 3], &["a: 0 1", "b: 0 1"], "a 0[0,1] 1[0,1]; b 0[2] 1[2]");
    check(Range, &[7], &["a: 0", "b: 0", "c: 0"], "a 0[0,1,2]; b 0[3,4]; c 0[5,6]");
    check(Range, &[1, 2], &["a: 0 1", "b: 0 1", "c: 0 1"], "a 0[0] 1[0]; b 1[1]; c ");
    check(Range, &[4, 2], &["a: 0", "b: 0 1", "c: 1"], "a 0[0,1]; b 0[2,3] 1[0]; c 1[1]");
}

/// Two members and the racks of four partitions' replicas: what range gives them.
fn check_range_near(racks_of: [&[&'static str]; 4], expected: &str) {
    let mut case = Case::new(&[4, 4], &["a: 0 1", "b: 0 1"]);
    for topic in &mut case.topics {
        topic.racks =
            racks_of.map(|racks| racks.iter().map(|rack| Str::from_static(rack)).collect()).to_vec();
    }
    for (name, rack) in [("a", "west"), ("b", "east")] {
        case.members.get_mut(name).expect("joined").rack_id = Some(rack.to_owned());
    }
    let solved = case.solve(Assignor::Range);
    case.assert_complete(&solved);
    assert_eq!(shown(&case, &solved), expected, "{racks_of:?}");
}

#[test]
fn range_gives_what_is_near_and_no_more_of_it_than_a_block() {
    let (west, east): (&[&str], &[&str]) = (&["west"], &["east"]);
    check_range_near([east, east, west, west], "a 0[2,3] 1[2,3]; b 0[0,1] 1[0,1]");
    check_range_near([east, west, east, west], "a 0[1,3] 1[1,3]; b 0[0,2] 1[0,2]");
    check_range_near([west, west, west, east], "a 0[0,1] 1[0,1]; b 0[2,3] 1[2,3]");
    check_range_near([&["east", "west"]; 4], "a 0[0,1] 1[0,1]; b 0[2,3] 1[2,3]");
    check_range_near([&["east", "west"], &["east", "west"], west, west], "a 0[2,3] 1[2,3]; b 0[0,1] 1[0,1]");
    check_range_near([&["north"]; 4], "a 0[0,1] 1[0,1]; b 0[2,3] 1[2,3]");
}

#[test]
fn range_lines_topics_up_before_it_looks_for_what_is_near() {
    let mut case = Case::new(&[2, 2], &["a: 0 1", "b: 0 1"]);
    let (west, east) = (Str::from_static("west"), Str::from_static("east"));
    case.topics[0].racks = vec![vec![east.clone()], vec![west.clone()]];
    case.topics[1].racks = vec![vec![west], vec![east]];
    for (name, rack) in [("a", "west"), ("b", "east")] {
        case.members.get_mut(name).expect("joined").rack_id = Some(rack.to_owned());
    }
    assert_eq!(shown(&case, &case.solve(Assignor::Range)), "a 0[0] 1[0]; b 0[1] 1[1]");
}

#[test]
fn uniform_gives_everybody_equally_many() {
    use Assignor::Uniform;
    check(Uniform, &[4], &["a: 0", "b: 0"], "a 0[0,2]; b 0[1,3]");
    check(Uniform, &[1, 2], &["a: 0 1", "b: 0 1", "c: 0 1"], "a 0[0]; b 1[0]; c 1[1]");
    check(Uniform, &[2, 4], &["a: 0 1", "b: 1"], "a 0[0,1] 1[2]; b 1[0,1,3]");
    check(Uniform, &[0], &["a: 0"], "a ");
    check(Uniform, &[2], &["a:", "b: 0"], "a ; b 0[0,1]");
}

#[test]
fn a_static_member_keeps_its_range_under_a_new_member_id() {
    let mut case = Case::new(&[4], &["m1: 0", "m2: 0"]);
    for (name, instance) in [("m1", "x"), ("m2", "y")] {
        case.members.get_mut(name).expect("joined").instance_id = Some(instance.to_owned());
    }
    let before = case.solve(Assignor::Range);
    let restarted = case.members.remove("m1").expect("joined");
    case.members.insert("m3".to_owned(), restarted);
    let after = case.solve(Assignor::Range);
    assert_eq!((&before["m1"], &before["m2"]), (&after["m3"], &after["m2"]));
}

#[test]
fn uniform_moves_no_more_than_a_newcomer_gets() {
    let mut case = Case::new(&[10, 10], &["a: 0 1", "b: 0 1", "c: 0 1"]);
    case.adopt(&case.solve(Assignor::Uniform));
    case.join("d: 0 1");
    let solved = case.solve(Assignor::Uniform);
    assert_eq!(case.adopt(&solved), 5);
    case.members.remove("b");
    let solved = case.solve(Assignor::Uniform);
    assert_eq!(case.adopt(&solved), 0, "those who stay give up nothing");
}

#[test]
fn uniform_prefers_members_near_a_replica() {
    let mut case = Case::new(&[4], &["a: 0", "b: 0"]);
    let (west, east) = (Str::from_static("west"), Str::from_static("east"));
    case.topics[0].racks = [&east, &east, &west, &west].map(|rack| vec![rack.clone()]).to_vec();
    case.members.get_mut("a").expect("joined").rack_id = Some("west".to_owned());
    case.members.get_mut("b").expect("joined").rack_id = Some("east".to_owned());
    assert_eq!(shown(&case, &case.solve(Assignor::Uniform)), "a 0[2,3]; b 0[0,1]");
    case.topics.push(topic(1, 1));
    case.join("c: 1");
    let solved = case.solve(Assignor::Uniform);
    case.assert_complete(&solved);
    case.assert_even(&solved);
}

#[test]
fn what_no_longer_exists_is_not_kept() {
    for assignor in BOTH {
        let mut case = Case::new(&[2], &["a: 0"]);
        case.members.get_mut("a").expect("joined").current =
            Partitions::from_lists([(topic_id(0), vec![1, 7, -1]), (topic_id(9), vec![0])]);
        let solved = case.solve(assignor);
        case.assert_complete(&solved);
    }
}

#[test]
fn a_large_group_is_assigned_quickly() {
    let topics: Vec<i32> = vec![100; 100];
    let names: Vec<String> = (0..500)
        .map(|n| format!("m{n:03}: {}", (0..100).map(|t| format!("{t} ")).collect::<String>()))
        .collect();
    let mut members: Vec<&str> = names.iter().map(String::as_str).collect();
    let case = Case::new(&topics, &members);
    let odd = "odd: 7".to_owned();
    members.push(&odd);
    for (assignor, case) in [
        (Assignor::Uniform, case.clone()),
        (Assignor::Range, case),
        (Assignor::Uniform, Case::new(&topics, &members)),
    ] {
        let mut case = case;
        let solved = case.solve(assignor);
        case.assert_complete(&solved);
        case.adopt(&solved);
        assert_eq!(case.solve(assignor), solved, "what is even stays as it is");
    }
}

fn cases() -> impl Strategy<Value = (Case, Vec<(u8, usize, i32)>)> {
    let topics = prop::collection::vec(0..12i32, 1..5);
    (topics, any::<bool>(), any::<bool>()).prop_flat_map(|(counts, alike, racks)| {
        let topic_count = counts.len();
        let subscription = prop::collection::btree_set(0..topic_count, 0..=topic_count);
        let members = prop::collection::vec((subscription, prop::option::of(0..3u8)), 1..9);
        let changes = prop::collection::vec((0..4u8, 0..16usize, 0..12i32), 0..6);
        (members, changes).prop_map(move |(members, changes)| {
            let mut case = Case::new(&counts, &[]);
            for (place, topic) in case.topics.iter_mut().enumerate().filter(|_| racks) {
                topic.racks = (0..topic.partition_count)
                    .map(|index| {
                        vec![Str::from(format!("r{}", (usize::try_from(index).expect("small") + place) % 3))]
                    })
                    .collect();
            }
            for (nth, (topics, rack)) in members.iter().enumerate() {
                let topics =
                    if alike { (0..topic_count).collect() } else { topics.iter().copied().collect() };
                let rack_id = rack.filter(|_| racks).map(|rack| format!("r{rack}"));
                case.members
                    .insert(format!("m{nth}"), CaseMember { topics, rack_id, ..CaseMember::default() });
            }
            (case, changes)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_assignor_gives_everything_once((case, changes) in cases()) {
        for assignor in BOTH {
            let mut case = case.clone();
            for (kind, member, number) in [(3, 0, 0)].into_iter().chain(changes.iter().copied()) {
                match kind {
                    0 if 1 < case.members.len() => {
                        let name = case.members.keys().nth(member % case.members.len()).cloned();
                        case.members.remove(&name.expect("in range"));
                    }
                    1 => {
                        let topics = (0..case.topics.len()).collect();
                        case.members.insert(format!("n{member}"), CaseMember { topics, ..CaseMember::default() });
                    }
                    2 => {
                        let place = member % case.topics.len();
                        case.topics[place].partition_count = number;
                        case.topics[place].racks.clear();
                    }
                    _ => {}
                }
                let solved = case.solve(assignor);
                case.assert_complete(&solved);
                if assignor == Assignor::Uniform {
                    case.assert_even(&solved);
                    case.adopt(&solved);
                    let again = case.solve(assignor);
                    prop_assert_eq!(again, solved, "what is even stays as it is");
                }
                case.adopt(&case.solve(assignor));
            }
        }
    }
}
