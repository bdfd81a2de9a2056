"""An idempotent producer of confluent-kafka while its broker is killed: confluent_kafka_kills.py HOST:PORT

It sends numbers until its standard input ends, with a line for each 500 that are acknowledged. Then each has to be there
once, and in order."""

import select
import sys
import time

from checks import Checks
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

broker, topic = sys.argv[1], "confluent-kills"
checks, failures, acknowledged, sent = Checks(), [], 0, 0


def delivered(error, _):
    global acknowledged
    if error:
        failures.append(error)
        return
    acknowledged += 1
    if acknowledged % 500 == 0:
        print("acknowledged", acknowledged)


admin = AdminClient({"bootstrap.servers": broker})
admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=20)
producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True, "linger.ms": 2, "batch.num.messages": 50})
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(20):
        producer.produce(topic, b"%d" % sent, partition=0, on_delivery=delivered)
        sent += 1
    producer.poll(0)
    time.sleep(0.01)
checks.equal("everything is delivered", 0, producer.flush(60))
checks.equal("without an error", [], failures)

reader = Consumer({"bootstrap.servers": broker, "group.id": "unused", "enable.auto.commit": False})
reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
_, end = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
found, deadline = [], time.monotonic() + 30
while len(found) < end and time.monotonic() < deadline:
    found += [int(message.value()) for message in reader.consume(1000, 1.0) if not message.error()]
checks.equal("each is there once, in order", list(range(sent)), found)
checks.finish()
