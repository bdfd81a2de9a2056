"""aiokafka against a broker without automatic topics: aiokafka_checks.py HOST:PORT"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from checks import Checks, records

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
COUNT = 400
FUTURE = 9_999_999_999_999
broker = sys.argv[1]
checks = Checks()


def code_of(error):
    return error.errno if isinstance(error, KafkaError) else repr(error)


async def error_of(awaitable):
    """The Kafka error code that it fails with."""
    try:
        return f"no error, but {await awaitable!r}"
    except Exception as error:  # any kind: what counts is its code
        return code_of(error)


def answers(response, rows):
    """The error code of each row of a response, by name."""
    return {row[0]: row[1] for row in getattr(response, rows)}


def consumer(**options):
    return AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="none",
                            check_crcs=True, **options)


async def read(topic, partition, offset=None, **options):
    """Records of a partition from an offset, or the beginning, to the end seen at the start."""
    place, found = TopicPartition(topic, partition), []
    async with consumer(**options) as reader:
        reader.assign([place])
        end = (await reader.end_offsets([place]))[place]
        if offset is None:
            await reader.seek_to_beginning(place)
        else:
            reader.seek(place, offset)
        while await reader.position(place) < end:
            found.append(await asyncio.wait_for(reader.getone(place), 20))
    return found


def as_sent(record):
    return record.key, record.value, [tuple(header) for header in record.headers], record.timestamp


async def each_codec(codec):
    topic, place = f"aiokafka-{codec}", TopicPartition(f"aiokafka-{codec}", 1)
    # aiokafka sends no record that has neither key nor value.
    sent = [record for record in records(COUNT, str(codec)) if record[0] is not None or record[1] is not None]
    async with AIOKafkaProducer(bootstrap_servers=broker, compression_type=codec, enable_idempotence=True,
                                linger_ms=5) as producer:
        futures = [await producer.send(topic, value, key, 1, time, headers) for key, value, headers, time in sent]
        delivered = await asyncio.wait_for(asyncio.gather(*futures), 30)
    checks.equal(f"{codec}: offsets count up", list(range(len(sent))), [one.offset for one in delivered])
    checks.equal(f"{codec}: from the beginning, byte for byte", sent, [as_sent(r) for r in await read(topic, 1)])
    checks.equal(f"{codec}: from the middle, only what is committed", sent[123:],
                 [as_sent(r) for r in await read(topic, 1, 123, isolation_level="read_committed")])
    checks.equal(f"{codec}: in small fetches", sent[300:],
                 [as_sent(r) for r in await read(topic, 1, 300, max_partition_fetch_bytes=64)])
    checks.equal(f"{codec}: nothing lies beyond the end", [], await read(topic, 1, len(sent)))
    async with consumer() as reader:
        reader.assign([place])
        checks.equal(f"{codec}: beginning and end", ({place: 0}, {place: len(sent)}),
                     (await reader.beginning_offsets([place]), await reader.end_offsets([place])))
        for name, time, expected in [("a record's time", sent[200][3], (200, sent[200][3])),
                                     ("the time after it", sent[200][3] + 1, (201, sent[201][3])),
                                     ("the beginning of time", 0, (0, sent[0][3]))]:
            found = (await reader.offsets_for_times({place: time}))[place]
            checks.equal(f"{codec}: offset of {name}", expected, (found.offset, found.timestamp))
        checks.equal(f"{codec}: no offset in the future", {place: None},
                     await reader.offsets_for_times({place: FUTURE}))


async def each_acks():
    for acks in (0, 1, "all"):
        async with AIOKafkaProducer(bootstrap_servers=broker, acks=acks) as producer:
            for index in range(20):
                await producer.send("aiokafka-acks", b"%d" % index, partition=0)
            await producer.flush()
    # Whoever asks for no acknowledgement may be gone before the broker has written.
    for _ in range(100):
        found = await read("aiokafka-acks", 0)
        if len(found) == 60:
            break
        await asyncio.sleep(0.05)
    checks.equal("records of every acks arrive, in order", [b"%d" % i for i in range(20)] * 3,
                 [record.value for record in found])


async def keys_and_order():
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        futures = [await producer.send("aiokafka-keyed", b"%d" % index, b"k%d" % (index % 20)) for index in range(300)]
        await asyncio.gather(*futures)
    by_key = {}
    # Several partitions at once, as they come.
    places = [TopicPartition("aiokafka-keyed", partition) for partition in range(3)]
    async with consumer() as reader:
        reader.assign(places)
        await reader.seek_to_beginning(*places)
        seen = 0
        while seen < 300:
            for batch in (await asyncio.wait_for(reader.getmany(timeout_ms=1000), 20)).values():
                for record in batch:
                    seen += 1
                    by_key.setdefault(record.key, []).append((record.partition, int(record.value)))
    checks.equal("each key has one partition", [1] * 20, [len({p for p, _ in found}) for found in by_key.values()])
    checks.equal("each key is in order", True, all(found == sorted(found) for found in by_key.values()))


async def a_reader_that_waits():
    place = TopicPartition("aiokafka-waits", 0)
    async with consumer() as reader, AIOKafkaProducer(bootstrap_servers=broker) as producer:
        reader.assign([place])
        await reader.seek_to_end(place)
        waiting = asyncio.ensure_future(reader.getone(place))
        for index in range(3):
            await asyncio.sleep(0.1)
            placed = await producer.send_and_wait("aiokafka-waits", b"%d" % index, partition=0)
            found = await asyncio.wait_for(waiting, 20)
            checks.equal(f"a reader at the end is woken, {index}", (placed.offset, b"%d" % index),
                         (found.offset, found.value))
            waiting = asyncio.ensure_future(reader.getone(place))
        waiting.cancel()


async def administration(admin):
    cluster = await admin.describe_cluster()
    checks.equal("the cluster has one node and an id", (1, 22), (len(cluster["brokers"]), len(cluster["cluster_id"])))
    topics = await admin.list_topics()
    checks.equal("topics are listed", True, {f"aiokafka-{codec}" for codec in CODECS} <= set(topics))
    [topic] = await admin.describe_topics(["aiokafka-gzip"])
    checks.equal("its partitions, leaders and replicas", [(0, 0, 1, [1], [1]), (0, 1, 1, [1], [1])],
                 [(p["error_code"], p["partition"], p["leader"], p["replicas"], p["isr"])
                  for p in sorted(topic["partitions"], key=lambda p: p["partition"])])
    [topic] = await admin.describe_topics(["aiokafka-nowhere"])
    checks.equal("a topic that isn't there", (3, []), (topic["error_code"], topic["partitions"]))

    resource = ConfigResource(ConfigResourceType.TOPIC, "aiokafka-config")

    async def configs():
        [response] = await admin.describe_configs([resource])
        [(code, _, _, _, rows)] = [entry[:5] for entry in response.resources]
        return code, {row[0]: row[1:] for row in rows}

    code, rows = await configs()
    checks.equal("a topic's config is its own", (0, ("3600000", 1)), (code, (rows["retention.ms"][0], rows["retention.ms"][2])))
    checks.equal("a default says so", ("604800000", 5), (rows["segment.ms"][0], rows["segment.ms"][2]))
    changed = ConfigResource(ConfigResourceType.TOPIC, "aiokafka-config", {"segment.bytes": "2097152"})
    await admin.alter_configs([changed])
    code, rows = await configs()
    checks.equal("AlterConfigs sets what it names, and takes back the rest", ("2097152", 1, "604800000", 5),
                 (rows["segment.bytes"][0], rows["segment.bytes"][2], rows["retention.ms"][0], rows["retention.ms"][2]))

    await admin.create_partitions({"aiokafka-config": NewPartitions(4)})
    [topic] = await admin.describe_topics(["aiokafka-config"])
    checks.equal("partitions are added", 4, len(topic["partitions"]))
    checks.equal("never fewer partitions", 37, await error_of(admin.create_partitions({"aiokafka-config": NewPartitions(2)})))
    checks.equal("partitions of nowhere", 3, await error_of(admin.create_partitions({"aiokafka-nowhere": NewPartitions(2)})))

    place = TopicPartition("aiokafka-None", 1)
    checks.equal("records are deleted", {place: 100}, await admin.delete_records({place: RecordsToDelete(100)}))
    async with consumer() as reader:
        checks.equal("the beginning has moved", {place: 100}, await reader.beginning_offsets([place]))
    checks.equal("what is left begins there", 100, (await read("aiokafka-None", 1))[0].offset)
    checks.equal("what was deleted is out of range", 1, await error_of(read("aiokafka-None", 1, 99)))
    checks.equal("deleting beyond the end", 1, await error_of(admin.delete_records({place: RecordsToDelete(10_000)})))


async def mistakes(admin):
    for name, code, topic in [
        ("a topic that exists", 36, NewTopic("aiokafka-gzip", 1, 1)),
        ("a bad topic name", 17, NewTopic("a b", 1, 1)),
        ("no partitions", 37, NewTopic("aiokafka-odd", 0, 1)),
        ("more replicas than brokers", 38, NewTopic("aiokafka-odd", 1, 3)),
        ("an unknown config", 40, NewTopic("aiokafka-odd", 1, 1, topic_configs={"no.such.config": "1"})),
        ("a bad config value", 40, NewTopic("aiokafka-odd", 1, 1, topic_configs={"retention.ms": "soon"})),
    ]:
        checks.equal(name, {topic.name: code}, answers(await admin.create_topics([topic]), "topic_errors"))
    await admin.create_topics([NewTopic("aiokafka-odd", 1, 1)], validate_only=True)
    checks.equal("what is only validated is not made", False, "aiokafka-odd" in await admin.list_topics())

    async with AIOKafkaProducer(bootstrap_servers=broker, max_request_size=5_000_000) as producer:
        checks.equal("a record that is too large", 10,
                     await error_of(producer.send_and_wait("aiokafka-acks", b"x" * 2_000_000, partition=0)))
        checks.equal("the next one is taken", 60, (await producer.send_and_wait("aiokafka-acks", b"small", partition=0)).offset)
    async with AIOKafkaProducer(bootstrap_servers=broker, request_timeout_ms=1500) as producer:
        checks.equal("a topic that isn't there is not made", 3, await error_of(producer.send_and_wait("aiokafka-nowhere", b"x")))
    place = TopicPartition("aiokafka-gzip", 1)
    async with consumer() as reader:
        reader.assign([place])
        reader.seek(place, 1_000_000)
        checks.equal("an offset beyond the end is out of range", 1, await error_of(asyncio.wait_for(reader.getone(place), 20)))


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    made = await admin.create_topics([
        *(NewTopic(f"aiokafka-{codec}", 2, 1) for codec in CODECS), NewTopic("aiokafka-acks", 1, 1),
        NewTopic("aiokafka-keyed", 3, 1), NewTopic("aiokafka-waits", 1, 1),
        NewTopic("aiokafka-config", 1, 1, topic_configs={"retention.ms": "3600000"}),
    ])
    checks.equal("topics are made", {0}, set(answers(made, "topic_errors").values()))
    for codec in CODECS:
        await each_codec(codec)
    await each_acks()
    await keys_and_order()
    await a_reader_that_waits()
    await administration(admin)
    await mistakes(admin)
    names = ["aiokafka-lz4", "aiokafka-nowhere"]
    checks.equal("one topic deleted, one not there", {"aiokafka-lz4": 0, "aiokafka-nowhere": 3},
                 answers(await admin.delete_topics(names), "topic_error_codes"))
    checks.equal("a deleted topic is gone", False, "aiokafka-lz4" in await admin.list_topics())
    await admin.close()


asyncio.run(main())
checks.finish()
