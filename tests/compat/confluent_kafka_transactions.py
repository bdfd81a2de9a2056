"""Transactions of confluent-kafka (librdkafka) against a broker: confluent_kafka_transactions.py HOST:PORT"""

import sys
import time

from checks import Checks
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

broker = sys.argv[1]
checks = Checks()
admin = AdminClient({"bootstrap.servers": broker})
INPUT, OUTPUT, PLAIN = "confluent-input", "confluent-output", "confluent-transactions"
for created in admin.create_topics([NewTopic(name, 2, 1) for name in (INPUT, OUTPUT, PLAIN)]).values():
    created.result(timeout=20)


def code_of(error):
    inner = error.args[0] if error.args else error
    return inner.code() if isinstance(inner, KafkaError) else repr(error)


def producer(transactional_id, **options):
    config = {"bootstrap.servers": broker, "transactional.id": transactional_id, **options}
    return Producer({name.replace("_", "."): value for name, value in config.items()})


def consumer(group, isolation="read_committed"):
    return Consumer({
        "bootstrap.servers": broker, "group.id": group, "isolation.level": isolation, "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "enable.partition.eof": True, "session.timeout.ms": 6000,
    })


def read(topic, isolation="read_committed"):
    """The values of both partitions, up to their ends as this isolation sees them."""
    reader = consumer("reader", isolation)
    reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(2)])
    found, ends, deadline = [], set(), time.monotonic() + 30
    while len(ends) < 2 and time.monotonic() < deadline:
        message = reader.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            ends.add(message.partition())
        else:
            found.append(message.value().decode())
    reader.close()
    return sorted(found)


def write(one, prefix, count=20):
    one.begin_transaction()
    for index in range(count):
        one.produce(PLAIN, f"{prefix}-{index:02}", partition=index % 2)


def values(prefix, count=20):
    return [f"{prefix}-{index:02}" for index in range(count)]


one = producer("confluent-one")
one.init_transactions(30)
write(one, "a")
one.commit_transaction(30)
write(one, "b")
one.flush(30)
one.abort_transaction(30)
write(one, "c")
one.commit_transaction(30)
checks.equal("what was committed is read", values("a") + values("c"), read(PLAIN))
everything = values("a") + values("b") + values("c")
checks.equal("who asks for it reads what was aborted too", everything, read(PLAIN, "read_uncommitted"))

write(one, "d")
one.flush(30)
checks.equal("an open transaction is not read", values("a") + values("c"), read(PLAIN))
other = producer("confluent-one")
other.init_transactions(30)


def zombie():
    one.commit_transaction(30)


checks.raises("a producer whose id was taken over is fenced", code_of, KafkaError._FENCED, zombie)
write(other, "e")
other.commit_transaction(30)
checks.equal("what it wrote is aborted", values("a") + values("c") + values("e"), read(PLAIN))

# Consume, transform, produce: some transactions are aborted, and their input comes again.
source = Producer({"bootstrap.servers": broker})
for index in range(200):
    source.produce(INPUT, str(index), partition=index % 2)
source.flush(30)
transform = producer("confluent-transform")
transform.init_transactions(30)
taken = 0
for turn in range(40):
    reader = consumer("confluent-transform")
    reader.subscribe([INPUT])
    ended, count, deadline = set(), 0, time.monotonic() + 30
    transform.begin_transaction()
    while count < 25 and len(ended) < 2 and time.monotonic() < deadline:
        message = reader.poll(1.0)
        if message is None:
            continue
        if message.error():
            ended.add(message.partition())
            continue
        transform.produce(OUTPUT, message.value(), partition=message.partition())
        count += 1
    positions = reader.position(reader.assignment())
    transform.send_offsets_to_transaction(positions, reader.consumer_group_metadata(), 30)
    if turn % 3 == 1:
        transform.abort_transaction(30)
    else:
        transform.commit_transaction(30)
        taken += count
    reader.close()
    if 200 <= taken:
        break
checks.equal("all input was taken", 200, taken)
checks.equal("each input has one output", sorted(str(index) for index in range(200)), read(OUTPUT))
checks.finish()
