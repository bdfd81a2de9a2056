//! Retention removes no more than the configs of a topic say.

use super::Violation;
use crate::history::History;

const ANOMALY: &str = "removed-too-much";

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let retention = |topic, key: &str| -> Option<i64> {
        history.topics.get(topic).and_then(|plan| plan.configs.get(key)?.parse().ok())
    };
    for poll in &history.polls {
        let topic = &poll.of.topic;
        let may_remove =
            ["retention.ms", "retention.bytes"].iter().any(|key| retention(topic, key).is_some());
        let log_start = poll.log_start.filter(|start| *start > 0 && !may_remove);
        if let Some(log_start) = log_start {
            let text = format!("begins at {log_start}, though it keeps everything");
            let moments = vec![poll.completed];
            found.push(Violation { anomaly: ANOMALY, text, of: Some(poll.of), moments });
        }
    }
    for audit in history.audits.iter().filter(|audit| audit.settled && audit.log_start > 0) {
        let topic = &audit.of.topic;
        let flushes = history.topics.get(topic).is_none_or(|plan| plan.flushes());
        let (Some(bytes), None, true) =
            (retention(topic, "retention.bytes"), retention(topic, "retention.ms"), flushes)
        else {
            continue;
        };
        if audit.bytes < u64::try_from(bytes).unwrap_or(0) {
            let text = format!("{} bytes are left, {bytes} should be", audit.bytes);
            let moments = vec![audit.invoked];
            found.push(Violation { anomaly: ANOMALY, text, of: Some(audit.of), moments });
        }
    }
}
