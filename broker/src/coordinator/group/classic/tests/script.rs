//! Scripts of events against one classic group, and what they have to bring about.
//!
//! A line is `event => outcomes`, the outcomes parted by `;`. Clients have names, and member ids are shown by them: `a` is the
//! first id that client `a` got, `a2` the second.
//!
//! ```text
//! a joins [v3] [i=instance] [p=range:meta,sticky] [type=consumer] [session=ms] [rebalance=ms] [id=a2]
//! a syncs [b=text ...] [gen=3] [i=instance] [v4] [type=consumer] [p=range] [id=a2]
//! a beats [gen=3] [i=instance] [id=a2]
//! a leaves [v2] [b ...] [i=instance]
//! a commits [gen=3] [i=instance] [txn] [id=a2]
//! after 3000
//! reload
//! describe
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, WallTime};

use super::super::{
    ClassicAnswer, ClassicEffects, ClassicGroup, ClassicRules, Client, Committer, GroupMetadataValue, Join,
};
use crate::coordinator::core::{Append, Effect, Now, Ticket};

/// Plays a script with the usual rules.
#[track_caller]
pub(super) fn check(script: &str) {
    check_with(ClassicRules::default(), script);
}

/// Plays a script without the initial delay.
#[track_caller]
pub(super) fn check_at_once(script: &str) {
    check_with(ClassicRules { initial_rebalance_delay: Duration::ZERO, ..ClassicRules::default() }, script);
}

#[track_caller]
pub(super) fn check_with(rules: ClassicRules, script: &str) {
    let mut stage = Stage::new(rules);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, expected) = line.split_once("=>").unwrap_or((line, ""));
        let found = stage.play(event.trim());
        let expected: Vec<&str> =
            expected.split(';').map(str::trim).filter(|outcome| !outcome.is_empty()).collect();
        assert_eq!(found, expected, "in the line: {line}\nof: {script}");
    }
}

pub(super) struct Stage {
    pub(super) group: ClassicGroup,
    rules: ClassicRules,
    now: Now,
    /// The clients that wait, by their tickets.
    waiting: BTreeMap<Ticket, String>,
    next_ticket: u64,
    /// Every id that was given, by how it is shown.
    shown: BTreeMap<Str, String>,
    /// Each client's newest id and generation.
    ids: BTreeMap<String, (Str, i32)>,
    log: Vec<GroupMetadataValue>,
}

/// The words of an event behind its verb.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str, default: i32) -> i32 {
        self.value(key).map_or(default, |text| text.parse().expect("a number"))
    }

    fn text(&self, key: &str) -> Option<Str> {
        self.value(key).map(Str::copy_of)
    }

    fn version(&self, default: i16) -> i16 {
        let stated = self.0.iter().find_map(|word| word.strip_prefix('v')?.parse().ok());
        stated.unwrap_or(default)
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }
}

impl Stage {
    pub(super) fn new(rules: ClassicRules) -> Stage {
        let now = Now { monotonic: MonotonicTime(0), wall: WallTime(1_000_000) };
        Stage {
            group: ClassicGroup::new(&Str::from("g"), now),
            rules,
            now,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            shown: BTreeMap::new(),
            ids: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// Plays one event, and tells what came of it.
    pub(super) fn play(&mut self, event: &str) -> Vec<String> {
        let words: Vec<&str> = event.split_whitespace().collect();
        let mut effects = ClassicEffects::default();
        let mut outcomes = Vec::new();
        match words[..] {
            ["after", ms] => return self.pass(ms.parse().expect("milliseconds")),
            ["reload"] => self.reload(&mut effects),
            ["describe"] => outcomes.push(self.describe()),
            [client, verb, ref rest @ ..] => {
                let words = Words(rest.to_vec());
                match verb {
                    "joins" => self.join(client, &words, &mut effects),
                    "syncs" => self.sync(client, &words, &mut effects),
                    "leaves" => self.leave(client, &words, &mut effects),
                    "beats" => outcomes.push(self.beat(client, &words)),
                    "commits" => outcomes.push(self.commit(client, &words)),
                    other => panic!("no verb {other:?}"),
                }
            }
            _ => panic!("no event {event:?}"),
        }
        outcomes.extend(self.take(effects));
        outcomes
    }

    /// Time passes; what is due is done when it is.
    fn pass(&mut self, ms: u64) -> Vec<String> {
        let until = self.now.monotonic.after(Duration::from_millis(ms));
        let wall = self.now.wall.0 + i64::try_from(ms).expect("not that long");
        let mut outcomes = Vec::new();
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= until) {
            assert!(self.now.monotonic <= due, "a deadline lies ahead");
            self.now.monotonic = due;
            let mut effects = ClassicEffects::default();
            self.group.on_time(self.now, &self.rules, &mut effects);
            outcomes.extend(self.take(effects));
            assert!(self.group.next_deadline().is_none_or(|next| due < next), "what is due has been done");
        }
        self.now = Now { monotonic: until, wall: WallTime(wall) };
        outcomes
    }

    pub(super) fn set_rules(&mut self, rules: ClassicRules) {
        self.rules = rules;
    }

    fn reload(&mut self, effects: &mut ClassicEffects) {
        self.group = ClassicGroup::loading(&Str::from("g"));
        for record in &self.log {
            self.group.replay(record);
        }
        self.waiting.clear();
        self.group.on_loaded(self.now, &self.rules, effects);
    }

    fn ticket(&mut self, client: &str) -> Ticket {
        self.next_ticket += 1;
        self.waiting.insert(Ticket(self.next_ticket), client.to_owned());
        Ticket(self.next_ticket)
    }

    /// The id of that name, or one that nobody has.
    fn id_of(&self, name: &str) -> Str {
        let known = self.shown.iter().find(|(_, shown)| *shown == name).map(|(id, _)| id.clone());
        known.unwrap_or_else(|| Str::copy_of(name))
    }

    fn identity(&self, client: &str, words: &Words<'_>) -> (Str, i32) {
        let (id, generation) = self.ids.get(client).cloned().unwrap_or((Str::EMPTY, 0));
        let id = match words.value("id") {
            Some("") => Str::EMPTY,
            Some(name) => self.id_of(name),
            None => id,
        };
        (id, words.number("gen", generation))
    }

    fn join(&mut self, client: &str, words: &Words<'_>, effects: &mut ClassicEffects) {
        let protocols = words.value("p").unwrap_or("range:m");
        let protocols = protocols.split(',').filter(|text| !text.is_empty()).map(|text| {
            let (name, metadata) = text.split_once(':').unwrap_or((text, "m"));
            JoinGroupRequestProtocol {
                name: Str::copy_of(name),
                metadata: Bytes::copy_from_slice(metadata.as_bytes()),
            }
        });
        let version = words.version(9);
        let request = JoinGroupRequest {
            group_id: Str::from("g"),
            session_timeout_ms: words.number("session", 10_000),
            rebalance_timeout_ms: words.number("rebalance", if version == 0 { -1 } else { 60_000 }),
            member_id: self.identity(client, words).0,
            group_instance_id: words.text("i"),
            protocol_type: words.text("type").unwrap_or(Str::from("consumer")),
            protocols: protocols.collect(),
            ..JoinGroupRequest::default()
        };
        let ticket = self.ticket(client);
        if let Some(error) = self.rules.join_refusal(&request) {
            let refused = super::super::answers::join_refused(&request.member_id, error);
            return effects.answer(ticket, ClassicAnswer::Join(refused));
        }
        let client = Client { id: Str::copy_of(client), host: Str::from("/127.0.0.1") };
        let id_bytes = u128::from(self.next_ticket).to_be_bytes();
        let join = Join { version, client, id_bytes, request };
        self.group.on_join(self.now, &self.rules, ticket, &join, effects);
    }

    fn sync(&mut self, client: &str, words: &Words<'_>, effects: &mut ClassicEffects) {
        let (member_id, generation_id) = self.identity(client, words);
        let assigned = words.0.iter().filter_map(|word| word.split_once('='));
        let assigned = assigned.filter(|(key, _)| !["gen", "i", "type", "p", "id"].contains(key));
        let version = words.version(5);
        let request = SyncGroupRequest {
            group_id: Str::from("g"),
            generation_id,
            member_id,
            group_instance_id: words.text("i"),
            protocol_type: words.text("type").or(Some(Str::from("consumer"))),
            protocol_name: words.text("p").or(Some(Str::from("range"))),
            assignments: assigned
                .map(|(name, text)| SyncGroupRequestAssignment {
                    member_id: self.id_of(name),
                    assignment: Bytes::copy_from_slice(text.as_bytes()),
                })
                .collect(),
        };
        let ticket = self.ticket(client);
        self.group.on_sync(self.now, &self.rules, ticket, version, &request, effects);
    }

    fn beat(&mut self, client: &str, words: &Words<'_>) -> String {
        let (member_id, generation_id) = self.identity(client, words);
        let request = HeartbeatRequest {
            group_id: Str::from("g"),
            generation_id,
            member_id,
            group_instance_id: words.text("i"),
        };
        self.group.on_heartbeat(self.now, &request).name().to_owned()
    }

    fn commit(&mut self, client: &str, words: &Words<'_>) -> String {
        let (member_id, generation) = self.identity(client, words);
        let instance_id = words.text("i");
        let committer = Committer {
            member_id: &member_id,
            instance_id: instance_id.as_ref(),
            generation,
            is_transactional: words.has("txn"),
        };
        match self.group.check_commit(committer) {
            Ok(()) => {
                self.group.on_commit(self.now, &member_id);
                "NONE".to_owned()
            }
            Err(error) => error.name().to_owned(),
        }
    }

    fn leave(&mut self, client: &str, words: &Words<'_>, effects: &mut ClassicEffects) {
        let (own, _) = self.identity(client, words);
        let others = words.0.iter().filter(|word| !word.contains('=') && !word.starts_with('v'));
        let mut members: Vec<LeaveGroupRequestMember> = others
            .map(|name| LeaveGroupRequestMember {
                member_id: self.id_of(name),
                ..LeaveGroupRequestMember::default()
            })
            .collect();
        if members.is_empty() {
            members.push(LeaveGroupRequestMember {
                member_id: own.clone(),
                group_instance_id: words.text("i"),
                reason: None,
            });
        }
        let request = LeaveGroupRequest { group_id: Str::from("g"), member_id: own, members };
        let ticket = self.ticket(client);
        self.group.on_leave(self.now, &self.rules, ticket, words.version(5), &request, effects);
    }

    /// Names the ids that are new: `a` for the first of client `a`, `a2` for the second.
    fn name_ids(&mut self) {
        let of_members =
            self.group.members.iter().map(|(id, member)| (member.place, id, member.client_id.clone()));
        // A given id ends with a UUID.
        let of_pending =
            self.group.pending.keys().map(|id| (u64::MAX, id, Str::copy_of(&id[..id.len() - 37])));
        let mut new: Vec<_> = of_members
            .chain(of_pending)
            .filter(|(_, id, _)| !self.shown.contains_key(*id))
            .map(|(place, id, client)| (place, id.clone(), client))
            .collect();
        new.sort();
        for (_, id, client) in new {
            let mut names = (1..)
                .map(|count: usize| if count == 1 { client.to_string() } else { format!("{client}{count}") });
            let name = names.find(|name| !self.shown.values().any(|known| known == name));
            self.shown.insert(id, name.expect("numbers don't end"));
        }
    }

    fn take(&mut self, effects: ClassicEffects) -> Vec<String> {
        self.name_ids();
        let mut outcomes = Vec::new();
        for effect in effects.list {
            match effect {
                Effect::Append(Append::Record(record)) => {
                    outcomes.push(self.show_record(&record));
                    self.log.push(record);
                    self.assert_log_says_the_same();
                }
                Effect::Answer { ticket, answer } => {
                    let client = self.waiting.remove(&ticket).expect("a request is answered once");
                    outcomes.push(self.show_answer(&client, answer));
                }
                other => panic!("a classic group has no effect like {other:?}"),
            }
        }
        self.assert_consistent();
        outcomes
    }

    /// What is loaded is what was written.
    fn assert_log_says_the_same(&self) {
        let mut loaded = ClassicGroup::loading(&Str::from("g"));
        for record in &self.log {
            loaded.replay(record);
        }
        assert_eq!(Some(&loaded.to_record()), self.log.last());
    }

    fn assert_consistent(&self) {
        let group = &self.group;
        let joining = group.members.values().filter(|member| member.joining.is_some()).count();
        let owing = group.members.values().filter(|member| member.owes_sync).count();
        assert_eq!((group.joining_count, group.owing_count), (joining, owing));
        assert_eq!(group.members.is_empty(), group.leader.is_none());
        assert!(group.leader.as_ref().is_none_or(|leader| group.members.contains_key(leader)));
        for name in group.members.values().flat_map(|member| &member.protocols).map(|known| &known.name) {
            let has = |known: &super::super::Protocol| known.name == *name;
            let count = group.members.values().filter(|member| member.protocols.iter().any(has)).count();
            assert_eq!(group.supported.get(name), Some(&count));
        }
        let waits = self.waiting.len();
        let parked = group
            .members
            .values()
            .map(|member| usize::from(member.joining.is_some()) + usize::from(member.syncing.is_some()))
            .sum::<usize>();
        assert_eq!(waits, parked, "everybody who waits is known to the group");
    }

    fn show(&self, id: &Str) -> String {
        self.shown.get(id).cloned().unwrap_or_else(|| format!("?{id}"))
    }

    fn show_answer(&mut self, client: &str, answer: ClassicAnswer) -> String {
        match answer {
            ClassicAnswer::Join(answer) => self.show_join(client, answer),
            ClassicAnswer::Sync(answer) if answer.error_code == 0 => {
                format!("{client} synced {}", String::from_utf8_lossy(&answer.assignment))
                    .trim_end()
                    .to_owned()
            }
            ClassicAnswer::Sync(answer) => format!("{client} sync {}", name(answer.error_code)),
            ClassicAnswer::Leave(answer) => {
                let rows: Vec<&str> = answer.members.iter().map(|row| name(row.error_code)).collect();
                format!("{client} left {} {}", name(answer.error_code), rows.join(" ")).trim_end().to_owned()
            }
        }
    }

    fn show_join(&mut self, client: &str, answer: JoinGroupResponse) -> String {
        let is_given = answer.error_code == 0 || answer.error_code == ErrorCode::MemberIdRequired.code();
        if is_given {
            let generation = if answer.error_code == 0 { answer.generation_id } else { 0 };
            self.ids.insert(client.to_owned(), (answer.member_id.clone(), generation));
        } else {
            assert_eq!((answer.generation_id, &answer.protocol_name, answer.members.len()), (-1, &None, 0));
        }
        if answer.error_code != 0 {
            return format!("{client} join {}", name(answer.error_code));
        }
        let mut text = format!(
            "{client} joined {} {} led by {}",
            answer.generation_id,
            answer.protocol_name.as_deref().unwrap_or("-"),
            self.show(&answer.leader),
        );
        if !answer.members.is_empty() {
            let members = answer.members.iter();
            let rows = members.map(|row| {
                format!("{}:{}", self.show(&row.member_id), String::from_utf8_lossy(&row.metadata))
            });
            text += &format!(" with {}", rows.collect::<Vec<_>>().join(" "));
        }
        if answer.skip_assignment {
            text += " skipping";
        }
        text
    }

    fn show_record(&self, record: &GroupMetadataValue) -> String {
        let mut text = format!("wrote {}", record.generation);
        for member in &record.members {
            let assignment = String::from_utf8_lossy(&member.assignment);
            text += &format!(" {}={assignment}", self.show(&member.member_id));
        }
        text
    }

    fn describe(&self) -> String {
        let row = self.group.describe();
        let mut text = format!("{} {}/{}", row.group_state, row.protocol_type, row.protocol_data);
        for member in &row.members {
            let metadata = String::from_utf8_lossy(&member.member_metadata);
            let assignment = String::from_utf8_lossy(&member.member_assignment);
            text += &format!(" {}:{metadata}={assignment}", self.show(&member.member_id));
        }
        text
    }
}

fn name(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("?", ErrorCode::name)
}
