//! ListGroups: all groups, or those of some states and types.

use ottla_protocol::api::list_groups::ListGroupsRequest;
use ottla_protocol::wire::Str;

use crate::bed::Bed;
use crate::check::Checks;
use crate::group_members::fresh_group;
use crate::offset_commit::{commit, request, row};

#[test]
fn groups_are_listed_by_state_and_type() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let group = fresh_group(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    assert_eq!(commit(&mut client, 9, &request(&group, &topic, vec![row(0, 5)])), [0]);
    let texts = |texts: &[&'static str]| texts.iter().map(|text| Str::from(*text)).collect::<Vec<_>>();
    for (version, states, types, is_listed) in [
        (0, &[][..], &[][..], true),
        (3, &[], &[], true),
        (4, &["Empty"], &[], true),
        (4, &["eMPTY"], &[], true),
        (4, &["Stable"], &[], false),
        (4, &["Stable", "Empty"], &[], true),
        (4, &["nonsense"], &[], false),
        (5, &[], &["Classic"], true),
        (5, &[], &["classic"], true),
        (5, &[], &["Consumer"], false),
        (5, &["Empty"], &["Consumer", "Classic"], true),
    ] {
        let asked = ListGroupsRequest { states_filter: texts(states), types_filter: texts(types) };
        let answer = client.request(version, &asked);
        assert_eq!(answer.error_code, 0);
        let found = answer.groups.iter().find(|row| row.group_id == group);
        checks.same(format!("v{version} {states:?} {types:?}"), found.is_some(), is_listed);
        let Some(found) = found else { continue };
        checks.same("type", &*found.protocol_type, "");
        checks.same("state", &*found.group_state, if 4 <= version { "Empty" } else { "" });
        checks.same(
            "group type",
            &*found.group_type.to_ascii_lowercase(),
            if 5 <= version { "classic" } else { "" },
        );
    }
}
