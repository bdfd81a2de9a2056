"""Groups with confluent-kafka (librdkafka), classic protocol: confluent_kafka_groups.py HOST:PORT"""

import sys
import time

from checks import Checks
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
broker = sys.argv[1]
checks = Checks()
admin = AdminClient({"bootstrap.servers": broker})


class Member:
    """A consumer that counts its rebalances."""

    def __init__(self, group, topic, **options):
        self.changes = []
        self.consumer = Consumer({
            "bootstrap.servers": broker, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "session.timeout.ms": 10_000, "heartbeat.interval.ms": 300,
            **{name.replace("_", "."): value for name, value in options.items()},
        })
        self.consumer.subscribe(
            [topic],
            on_assign=lambda _, partitions: self.changes.append(("+", len(partitions))),
            on_revoke=lambda _, partitions: self.changes.append(("-", len(partitions))),
        )

    def held(self):
        return sorted(place.partition for place in self.consumer.assignment())


def poll_until(members, condition, what, seconds=30):
    """Polls all members until the condition holds; what they read."""
    found, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        for member in members:
            message = member.consumer.poll(0.05)
            if message is not None and message.error() is None:
                found.append(message)
        if condition(found):
            return found
    raise TimeoutError(f"{what}: not within {seconds} s; {[member.held() for member in members]}, {len(found)} records")


def shared_out(members):
    """Everybody has something, and each partition is somebody's."""
    def holds(_):
        held = [member.held() for member in members]
        return all(held) and sorted(sum(held, [])) == list(range(PARTITIONS))
    return holds


def write(topic, first, count):
    producer = Producer({"bootstrap.servers": broker})
    for index in range(first, first + count):
        producer.produce(topic, str(index).encode(), partition=index % PARTITIONS)
    producer.flush(20)


def values(messages):
    return sorted(int(message.value()) for message in messages)


def each_strategy(strategy):
    topic = group = f"groups-{strategy}"
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1)], operation_timeout=10).values():
        future.result(timeout=20)
    write(topic, 0, 100)
    one = Member(group, topic, partition_assignment_strategy=strategy)
    read = poll_until([one], lambda found: len(found) == 100, "all records")
    checks.equal(f"{strategy}: one member reads everything", list(range(100)), values(read))
    one.consumer.commit(asynchronous=False)
    two = Member(group, topic, partition_assignment_strategy=strategy)
    poll_until([one, two], shared_out([one, two]), "two members share")
    checks.equal(f"{strategy}: they share evenly", [2, 2], [len(one.held()), len(two.held())])
    write(topic, 100, 40)
    read = poll_until([one, two], lambda found: len(found) == 40, "the new records")
    checks.equal(f"{strategy}: each record once", list(range(100, 140)), values(read))
    for member in [one, two]:
        member.consumer.commit(asynchronous=False)

    described = admin.describe_consumer_groups([group])[group].result(timeout=20)
    checks.equal(f"{strategy}: described", ("STABLE", 2, strategy, True),
                 (described.state.name, len(described.members), described.partition_assignor,
                  all(member.host for member in described.members)))
    shares = sorted(sorted(place.partition for place in member.assignment.topic_partitions) for member in described.members)
    checks.equal(f"{strategy}: and who has what", sorted([one.held(), two.held()]), shares)
    listed = [row.group_id for row in admin.list_consumer_groups().result(timeout=20).valid]
    checks.equal(f"{strategy}: listed", True, group in listed)

    if strategy == "cooperative-sticky":
        # Nobody gives up what it keeps: what was ever revoked of the first is what the second got.
        checks.equal("cooperative: only what moved was revoked", 2, sum(count for sign, count in one.changes if sign == "-"))
    two.consumer.close()
    poll_until([one], lambda _: one.held() == list(range(PARTITIONS)), "the one that is left has all")
    one.consumer.close()

    again = Member(group, topic, partition_assignment_strategy=strategy)
    write(topic, 140, 10)
    read = poll_until([again], lambda found: len(found) == 10, "what came since")
    checks.equal(f"{strategy}: it goes on where they were", list(range(140, 150)), values(read))
    again.consumer.close()


def static_members():
    topic = group = "groups-static"
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1)], operation_timeout=10).values():
        future.result(timeout=20)
    one = Member(group, topic, group_instance_id="one")
    two = Member(group, topic, group_instance_id="two")
    poll_until([one, two], shared_out([one, two]), "two members share")
    before, changes = one.held(), list(one.changes)
    held = two.held()
    two.consumer.close()
    two = Member(group, topic, group_instance_id="two")
    poll_until([one, two], lambda _: two.held(), "it is back")
    checks.equal("static: it has what it had", held, two.held())
    checks.equal("static: the other noticed nothing", (before, changes), (one.held(), one.changes))
    one.consumer.close()
    two.consumer.close()


def offsets():
    group, topic = "groups-offsets", "groups-range"
    consumer = Consumer({"bootstrap.servers": broker, "group.id": group, "enable.auto.commit": False})
    place = lambda offset: TopicPartition(topic, 0, offset)
    checks.equal("offsets: none yet", [-1001], [row.offset for row in consumer.committed([place(-1001)], 20)])
    consumer.commit(offsets=[TopicPartition(topic, 0, 7, metadata="told")], asynchronous=False)
    row = consumer.committed([place(-1001)], 20)[0]
    checks.equal("offsets: committed without a member", (7, "told"), (row.offset, row.metadata))
    consumer.close()
    altered = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [place(3)])])
    altered[group].result(timeout=20)
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(timeout=20)
    checks.equal("offsets: altered", [(topic, 0, 3)],
                 [(row.topic, row.partition, row.offset) for row in listed.topic_partitions])
    member = Member(group, topic)
    poll_until([member], lambda _: member.held(), "it joined")
    altered = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [place(0)])])[group].result(timeout=20)
    checks.equal("offsets: not under a member", ["UNKNOWN_MEMBER_ID"], [row.error.name() for row in altered.topic_partitions])
    try:
        admin.delete_consumer_groups([group])[group].result(timeout=20)
        found = "no error"
    except KafkaException as error:
        found = error.args[0].name()
    checks.equal("groups: not deleted under a member", "NON_EMPTY_GROUP", found)
    member.consumer.close()
    admin.delete_consumer_groups([group])[group].result(timeout=20)
    listed = [row.group_id for row in admin.list_consumer_groups().result(timeout=20).valid]
    checks.equal("groups: deleted", False, group in listed)


for strategy in ["range", "roundrobin", "cooperative-sticky"]:
    each_strategy(strategy)
static_members()
offsets()
checks.finish()
