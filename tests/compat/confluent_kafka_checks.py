"""confluent-kafka (librdkafka) against a broker: confluent_kafka_checks.py HOST:PORT"""

import sys
import time

from checks import Checks, records
from confluent_kafka import (OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, KafkaException, Producer,
                             TopicCollection, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec, ResourceType)

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
COUNT = 500
broker = sys.argv[1]
checks = Checks()
admin = AdminClient({"bootstrap.servers": broker})


def code_of(error):
    inner = error.args[0] if error.args else error
    return inner.code() if isinstance(inner, KafkaError) else repr(error)


def create(*topics):
    for future in admin.create_topics(list(topics), operation_timeout=10).values():
        future.result(timeout=20)


def consumer():
    # Assignment only: the group id is asked for, but nothing is joined or committed.
    return Consumer({
        "bootstrap.servers": broker, "group.id": "unused", "enable.auto.commit": False,
        "auto.offset.reset": "error", "enable.partition.eof": True, "check.crcs": True,
    })


def read(topic, partition, offset, isolation="read_uncommitted"):
    """All records from `offset` to the end."""
    reader = consumer()
    reader.assign([TopicPartition(topic, partition, offset)])
    found, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline:
        message = reader.poll(1.0)
        if message is None:
            continue
        if message.error():
            reader.close()
            if message.error().code() == KafkaError._PARTITION_EOF:
                return found
            raise KafkaException(message.error())
        found.append(message)
    raise TimeoutError(f"{topic}-{partition} from {offset}: no end within 30 s, {len(found)} records so far")


def as_sent(message):
    return message.key(), message.value(), message.headers() or [], message.timestamp()[1]


create(*[NewTopic(f"confluent-{codec}", num_partitions=3, replication_factor=1) for codec in CODECS])
for codec in CODECS:
    topic, failures, places = f"confluent-{codec}", [], []
    producer = Producer({
        "bootstrap.servers": broker, "compression.type": codec, "acks": "all", "linger.ms": 5,
        "enable.idempotence": codec in ("none", "zstd"),
    })

    def delivered(error, message):
        failures.append(error) if error else places.append((message.partition(), message.offset()))

    sent = list(records(COUNT, codec))
    for key, value, headers, timestamp in sent:
        producer.produce(topic, value, key, partition=1, headers=headers, timestamp=timestamp, on_delivery=delivered)
    checks.equal(f"{codec}: everything is delivered", 0, producer.flush(30))
    checks.equal(f"{codec}: without an error", [], failures)
    checks.equal(f"{codec}: offsets count up", [(1, offset) for offset in range(COUNT)], places)
    checks.equal(f"{codec}: from the beginning, byte for byte", sent,
                 [as_sent(message) for message in read(topic, 1, OFFSET_BEGINNING)])
    checks.equal(f"{codec}: from the middle", sent[123:], [as_sent(message) for message in read(topic, 1, 123)])
    reader = consumer()
    checks.equal(f"{codec}: watermarks", (0, COUNT),
                 reader.get_watermark_offsets(TopicPartition(topic, 1), timeout=10))
    [by_time] = reader.offsets_for_times([TopicPartition(topic, 1, sent[200][3])], timeout=10)
    checks.equal(f"{codec}: offset of a record's time", 200, by_time.offset)
    [between] = reader.offsets_for_times([TopicPartition(topic, 1, sent[200][3] + 1)], timeout=10)
    checks.equal(f"{codec}: offset of the time after it", 201, between.offset)
    reader.close()
    checks.equal(f"{codec}: from a time", sent[200:], [as_sent(m) for m in read(topic, 1, by_time.offset)])
    checks.equal(f"{codec}: nothing lies beyond the end", [], read(topic, 1, COUNT))

# Keys decide the partition, and what one key sent stays in order.
producer = Producer({"bootstrap.servers": broker, "partitioner": "murmur2_random"})
for index in range(300):
    producer.produce("confluent-none", b"%d" % index, b"k%d" % (index % 20), headers=[("keyed", b"1")])
checks.equal("keyed records are delivered", 0, producer.flush(30))
by_key = {}
for partition in range(3):
    for message in read("confluent-none", partition, OFFSET_BEGINNING):
        if message.headers() == [("keyed", b"1")]:
            by_key.setdefault(message.key(), []).append((message.partition(), int(message.value())))
checks.equal("each key has one partition", [1] * 20, [len({p for p, _ in seen}) for seen in by_key.values()])
checks.equal("each key is in order", True, all(seen == sorted(seen) for seen in by_key.values()))

metadata = admin.list_topics(timeout=10)
checks.equal("topics are listed", True, {f"confluent-{codec}" for codec in CODECS} <= set(metadata.topics))
checks.equal("three partitions", [0, 1, 2], sorted(metadata.topics["confluent-gzip"].partitions))
cluster = admin.describe_cluster(request_timeout=10).result(timeout=10)
checks.equal("the cluster has one node and an id", (1, 22), (len(cluster.nodes), len(cluster.cluster_id)))

create(NewTopic("confluent-config", 1, 1, config={"retention.ms": "3600000", "segment.bytes": "1048576"}))
[described] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, "confluent-config")]).values()
configs = described.result(timeout=10)
checks.equal("a topic's config is its own", ("3600000", 1), (configs["retention.ms"].value, configs["retention.ms"].source))
checks.equal("a default says so", ("604800000", 5), (configs["segment.ms"].value, configs["segment.ms"].source))

resource = ConfigResource(ResourceType.TOPIC, "confluent-config", incremental_configs=[
    ConfigEntry("segment.ms", "7200000", incremental_operation=AlterConfigOpType.SET),
    ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE),
    ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND)])
[altered] = admin.incremental_alter_configs([resource]).values()
altered.result(timeout=10)
[described] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, "confluent-config")]).values()
configs = described.result(timeout=10)
checks.equal("configs are set, deleted and appended to", ("7200000", "604800000", "delete,compact"),
             tuple(configs[name].value for name in ("segment.ms", "retention.ms", "cleanup.policy")))
[added] = admin.create_partitions([NewPartitions("confluent-config", 4)], operation_timeout=10).values()
added.result(timeout=20)
[described] = admin.describe_topics(TopicCollection(["confluent-config"])).values()
checks.equal("partitions are added, each with a leader and its replicas", [(id, 1, 1) for id in range(4)],
             [(p.id, len(p.replicas), len(p.isr)) for p in described.result(timeout=10).partitions if p.leader])
checks.raises("never fewer partitions", code_of, KafkaError.INVALID_PARTITIONS, lambda: list(
    admin.create_partitions([NewPartitions("confluent-config", 2)]).values())[0].result(timeout=10))
[described] = admin.describe_topics(TopicCollection(["confluent-nowhere"])).values()
checks.raises("a topic that isn't there", code_of, KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: described.result(timeout=10))

place = TopicPartition("confluent-zstd", 1)
for name, spec, offset in [("earliest", OffsetSpec.earliest(), 0), ("latest", OffsetSpec.latest(), COUNT),
                           ("of the latest time", OffsetSpec.max_timestamp(), COUNT - 1),
                           ("of a time", OffsetSpec.for_timestamp(1_700_000_001_995), 200)]:
    [listed] = admin.list_offsets({place: spec}).values()
    checks.equal(f"offset {name}", offset, listed.result(timeout=10).offset)
[deleted] = admin.delete_records([TopicPartition("confluent-zstd", 1, 100)]).values()
checks.equal("records are deleted", 100, deleted.result(timeout=10).low_watermark)
checks.equal("what is left begins there", 100, read("confluent-zstd", 1, OFFSET_BEGINNING)[0].offset())
[deleted] = admin.delete_records([TopicPartition("confluent-zstd", 1, 100_000)]).values()
checks.raises("deleting beyond the end", code_of, KafkaError.OFFSET_OUT_OF_RANGE, lambda: deleted.result(timeout=10))

checks.raises("a topic that exists", code_of, KafkaError.TOPIC_ALREADY_EXISTS,
              lambda: create(NewTopic("confluent-gzip", 1, 1)))
checks.raises("a bad topic name", code_of, KafkaError.TOPIC_EXCEPTION, lambda: create(NewTopic("a b", 1, 1)))
checks.raises("no partitions", code_of, KafkaError.INVALID_PARTITIONS, lambda: create(NewTopic("zero", 0, 1)))
checks.raises("more replicas than brokers", code_of, KafkaError.INVALID_REPLICATION_FACTOR,
              lambda: create(NewTopic("three", 1, 3)))
checks.raises("an unknown config", code_of, KafkaError.INVALID_CONFIG,
              lambda: create(NewTopic("odd", 1, 1, config={"no.such.config": "1"})))
checks.raises("a bad config value", code_of, KafkaError.INVALID_CONFIG,
              lambda: create(NewTopic("odd", 1, 1, config={"retention.ms": "soon"})))
checks.raises("an offset out of range", code_of, KafkaError._AUTO_OFFSET_RESET,
              lambda: read("confluent-none", 1, 10_000_000))
# Without an offset, librdkafka asks what the group has committed: it crashes where it cannot ask.
checks.raises("nothing is committed", code_of, KafkaError._AUTO_OFFSET_RESET,
              lambda: read("confluent-none", 1, OFFSET_INVALID))
reader = consumer()
committed = reader.committed([TopicPartition("confluent-none", p) for p in range(3)], timeout=10)
checks.equal("no partition has a committed offset", [OFFSET_INVALID] * 3, [row.offset for row in committed])
reader.close()


def too_large():
    errors = []
    large = Producer({"bootstrap.servers": broker, "message.max.bytes": 5_000_000})
    large.produce("confluent-none", b"x" * 2_000_000, on_delivery=lambda error, _: errors.append(error))
    large.flush(30)
    raise KafkaException(errors[0])


checks.raises("a record that is too large", code_of, KafkaError.MSG_SIZE_TOO_LARGE, too_large)

for future in admin.delete_topics(["confluent-lz4"], operation_timeout=10).values():
    future.result(timeout=20)
checks.equal("a deleted topic is gone", False, "confluent-lz4" in admin.list_topics(timeout=10).topics)
checks.raises("deleting it again", code_of, KafkaError.UNKNOWN_TOPIC_OR_PART,
              lambda: admin.delete_topics(["confluent-lz4"])["confluent-lz4"].result(timeout=10))
checks.finish()
