"""Groups with kafka-python: kafka_python_groups.py HOST:PORT"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from checks import Checks
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata

broker = sys.argv[1]
checks = Checks()
TOPIC = GROUP = "kafka-python-groups"


def member(**options):
    return KafkaConsumer(TOPIC, bootstrap_servers=broker, group_id=GROUP, auto_offset_reset="earliest",
                         enable_auto_commit=False, session_timeout_ms=10_000, heartbeat_interval_ms=300, **options)


def poll_until(members, condition, what, seconds=30):
    """Polls every member in a thread of its own, for long enough to join: a join that is answered between two polls is
    lost by kafka-python 3.0.12, whose next poll takes it for done and never takes the assignment on."""
    found, deadline = [], time.monotonic() + seconds
    with ThreadPoolExecutor(len(members)) as threads:
        while time.monotonic() < deadline:
            for polled in threads.map(lambda one: one.poll(timeout_ms=3000), members):
                for records in polled.values():
                    found.extend(int(record.value) for record in records)
            if condition(found):
                return sorted(found)
    raise TimeoutError(f"{what}: not within {seconds} s; {[one.assignment() for one in members]}, {found}")


def write(first, count):
    producer = KafkaProducer(bootstrap_servers=broker)
    for index in range(first, first + count):
        producer.send(TOPIC, str(index).encode(), partition=index % 4)
    producer.flush(20)
    producer.close()


admin = KafkaAdminClient(bootstrap_servers=broker)
admin.create_topics([NewTopic(TOPIC, 4, 1)])
write(0, 40)
one = member()
checks.equal("one member reads everything", list(range(40)), poll_until([one], lambda found: len(found) == 40, "all"))
one.commit()
two = member()
poll_until([one, two], lambda _: len(one.assignment()) == len(two.assignment()) == 2, "two members share")
write(40, 20)
checks.equal("each record once", list(range(40, 60)), poll_until([one, two], lambda found: len(found) == 20, "new"))
for each in [one, two]:
    each.commit()
places = [TopicPartition(TOPIC, index) for index in range(4)]
checks.equal("committed", [15, 15, 15, 15], [one.committed(place) for place in places])
two.close()
poll_until([one], lambda _: len(one.assignment()) == 4, "the one that is left has all")
one.close()
write(60, 8)
again = member()
checks.equal("it goes on where they were", list(range(60, 68)), poll_until([again], lambda found: len(found) == 8, "rest"))
again.commit({places[0]: OffsetAndMetadata(3, "told", -1)})
checks.equal("committed with metadata", "told", again.committed(places[0], metadata=True).metadata)
again.close()
checks.finish()
