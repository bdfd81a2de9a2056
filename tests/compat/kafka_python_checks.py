"""kafka-python against a broker: kafka_python_checks.py HOST:PORT"""

import sys

from checks import Checks, records
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
COUNT = 400
broker = sys.argv[1]
checks = Checks()
admin = KafkaAdminClient(bootstrap_servers=broker)


def code_of(error):
    return getattr(error, "errno", repr(error))


def read(topic, partition, offset=None, time=None, until=None):
    """Records of a partition from an offset, a time or the beginning, to the end seen at the start."""
    place = TopicPartition(topic, partition)
    reader = KafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, consumer_timeout_ms=20000, check_crcs=True)
    reader.assign([place])
    end = until if until is not None else reader.end_offsets([place])[place]
    if time is not None:
        offset = reader.offsets_for_times({place: time})[place].offset
    if offset is None:
        reader.seek_to_beginning(place)
    else:
        reader.seek(place, offset)
    found = []
    while reader.position(place) < end:
        found.append(next(reader))
    reader.close()
    return found


def as_sent(record):
    return record.key, record.value, list(record.headers), record.timestamp


admin.create_topics([NewTopic(f"python-{codec}", 2, 1) for codec in CODECS])
ends = {}
for codec in CODECS:
    topic = f"python-{codec}"
    producer = KafkaProducer(bootstrap_servers=broker, compression_type=codec, acks="all", linger_ms=5)
    # kafka-python packs a null header value as an empty one and sends no record without key and value.
    sent = [(key, value, [pair for pair in headers if pair[1] is not None], time)
            for key, value, headers, time in records(COUNT, str(codec)) if key or value]
    futures = [producer.send(topic, value, key, headers, 1, time) for key, value, headers, time in sent]
    producer.flush(30)
    checks.equal(f"{codec}: offsets count up", list(range(len(sent))), [future.get(10).offset for future in futures])
    producer.close()
    ends[codec] = len(sent)
    checks.equal(f"{codec}: from the beginning, byte for byte", sent, [as_sent(record) for record in read(topic, 1)])
    checks.equal(f"{codec}: from a time", sent[150:], [as_sent(record) for record in read(topic, 1, time=sent[150][3])])
    checks.equal(f"{codec}: nothing lies beyond the end", [], read(topic, 1, offset=len(sent)))

producer = KafkaProducer(bootstrap_servers=broker)
for index in range(200):
    producer.send("python-None", b"%d" % index, b"k%d" % (index % 20), [("keyed", b"1")])
producer.flush(30)
by_key = {}
for partition in range(2):
    for record in read("python-None", partition):
        if record.headers and record.headers[0] == ("keyed", b"1"):
            by_key.setdefault(record.key, []).append((record.partition, int(record.value)))
checks.equal("each key has one partition", [1] * 20, [len({p for p, _ in seen}) for seen in by_key.values()])
checks.equal("each key is in order", True, all(seen == sorted(seen) for seen in by_key.values()))

reader = KafkaConsumer(bootstrap_servers=broker)
checks.equal("topics are listed", True, {f"python-{codec}" for codec in CODECS} <= reader.topics())
place = TopicPartition("python-gzip", 1)
checks.equal("beginning and end", ({place: 0}, {place: ends["gzip"]}),
             (reader.beginning_offsets([place]), reader.end_offsets([place])))
checks.equal("no offset in the future", {place: None}, reader.offsets_for_times({place: 9_999_999_999_999}))
reader.close()

for name, expected, action in [
    ("a topic that exists", 36, lambda: admin.create_topics([NewTopic("python-gzip", 1, 1)])),
    ("a bad topic name", 17, lambda: admin.create_topics([NewTopic("a b", 1, 1)])),
    ("more replicas than brokers", 38, lambda: admin.create_topics([NewTopic("three", 1, 3)])),
    ("a bad config value", 40, lambda: admin.create_topics([NewTopic("odd", 1, 1, topic_configs={"retention.ms": "x"})])),
    ("a record that is too large", 10, lambda: KafkaProducer(
        bootstrap_servers=broker, max_request_size=5_000_000).send("python-None", b"x" * 2_000_000).get(20)),
]:
    checks.raises(name, code_of, expected, action)

page = admin.describe_topic_partitions(["python-gzip", "python-zstd"], response_partition_limit=3)
checks.equal("a page of partitions, and where the next begins", (2, 1, ("python-zstd", 1)),
             (len(page["topics"][0]["partitions"]), len(page["topics"][1]["partitions"]),
              (page["next_cursor"]["topic_name"], page["next_cursor"]["partition_index"])))
empty = TopicPartition("python-gzip", 0)
for name, spec, expected in [("latest", -1, (ends["gzip"], 0)), ("earliest", -2, (0, 0)), ("of the latest time", -3, (ends["gzip"] - 1, -1)),
                             ("earliest local", -4, (0, 0)), ("latest tiered", -5, (-1, -1))]:
    found = admin.list_partition_offsets({place: spec, empty: spec})
    checks.equal(f"offset {name}", expected, (found[place].offset, found[empty].offset))
producers = admin.describe_producers([place, empty])
checks.equal("who has written", ([ends["gzip"] - 1], []),
             tuple([state.last_sequence for state in producers[one].active_producers] for one in (place, empty)))


def configs():
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "python-gzip")])
    return {name: entry["value"] for name, entry in described["topic"]["python-gzip"].items()}


admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "python-gzip", {"segment.ms": "7200000"})])
checks.equal("a config is set", "7200000", configs().get("segment.ms"))
admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, "python-gzip", ["segment.ms"])])
checks.equal("and taken back", None, configs().get("segment.ms"))
bad = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "python-gzip", {"segment.ms": "soon"})])
checks.equal("a bad value", True, bad["topic"]["python-gzip"].startswith("[Error 40]"))
admin.create_partitions({"python-gzip": 4})
checks.equal("partitions are added", 4, len(admin.describe_topics(["python-gzip"])[0]["partitions"]))
checks.raises("never fewer partitions", code_of, 37, lambda: admin.create_partitions({"python-gzip": 2}))
checks.equal("records are deleted", 100, admin.delete_records({place: 100})[place]["low_watermark"])
checks.equal("what is left begins there", 100, read("python-gzip", 1)[0].offset)
checks.raises("deleting beyond the end", code_of, 1, lambda: admin.delete_records({place: 100_000}))

admin.delete_topics(["python-lz4"])
checks.equal("a deleted topic is gone", False, "python-lz4" in admin.list_topics())
checks.raises("deleting it again", code_of, 3, lambda: admin.delete_topics(["python-lz4"]))
checks.finish()
