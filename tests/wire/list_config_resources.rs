//! ListConfigResources: which types there are, and what each lists.

use ottla_protocol::api::list_config_resources::ListConfigResourcesRequest;
use ottla_testkit::wire_client::WireClient;

use crate::bed::Bed;
use crate::check::Checks;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

fn list(client: &mut WireClient, types: &[i8]) -> (i16, Vec<(i8, String)>) {
    let response = client.request(1, &ListConfigResourcesRequest { resource_types: types.to_vec() });
    let rows = response.config_resources.iter();
    (response.error_code, rows.map(|row| (row.resource_type, row.resource_name.to_string())).collect())
}

#[test]
fn topics_and_brokers_are_listed_whether_configured_or_not() {
    let bed = Bed::shared();
    let (plain, configured) = (bed.topic(1, &[]), bed.topic(1, &[("flush.ms", "5")]));
    let mut client = bed.client();
    let broker = (BROKER, "1".to_owned());
    let logger = (LOGGER, "1".to_owned());
    let topics = [(TOPIC, plain.name.to_string()), (TOPIC, configured.name.to_string())];
    for asked in [&[][..], &[GROUP, METRICS, LOGGER, BROKER, TOPIC], &[BROKER, TOPIC, LOGGER, BROKER]] {
        let (error, rows) = list(&mut client, asked);
        assert_eq!(error, 0);
        assert!([&broker, &logger].into_iter().chain(&topics).all(|row| rows.contains(row)), "{rows:?}");
    }
    assert_eq!(list(&mut client, &[BROKER]), (0, vec![broker]));
    assert_eq!(list(&mut client, &[LOGGER]), (0, vec![logger]));
    let (error, rows) = list(&mut client, &[TOPIC, TOPIC]);
    assert_eq!(error, 0);
    assert!(rows.iter().all(|(kind, _)| *kind == TOPIC));
    for topic in &topics {
        assert_eq!(rows.iter().filter(|row| *row == topic).count(), 1, "{topic:?}");
    }
}

#[test]
fn version_0_lists_subscriptions_to_metrics_only() {
    let bed = Bed::shared();
    bed.topic(1, &[]);
    let response = bed.client().request(0, &ListConfigResourcesRequest::default());
    assert_eq!(response.error_code, 0);
    assert!(response.config_resources.iter().all(|row| row.resource_type == METRICS));
}

#[test]
fn a_type_that_is_unknown_fails_the_request() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    for types in [&[0][..], &[1], &[-1], &[64], &[TOPIC, 99]] {
        checks.same(format!("{types:?}"), list(&mut client, types), (35, vec![]));
    }
}
