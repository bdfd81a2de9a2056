"""Groups with aiokafka: aiokafka_groups.py HOST:PORT"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from checks import Checks

broker = sys.argv[1]
checks = Checks()
TOPIC = GROUP = "aiokafka-groups"


async def member():
    one = AIOKafkaConsumer(TOPIC, bootstrap_servers=broker, group_id=GROUP, auto_offset_reset="earliest",
                           enable_auto_commit=False, session_timeout_ms=10_000, heartbeat_interval_ms=300)
    await one.start()
    return one


async def poll_until(members, condition, what, seconds=30):
    found, deadline = [], asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        for one in members:
            for records in (await one.getmany(timeout_ms=100)).values():
                found.extend(int(record.value) for record in records)
        if condition(found):
            return sorted(found)
    raise TimeoutError(f"{what}: not within {seconds} s; {[one.assignment() for one in members]}, {found}")


async def write(first, count):
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for index in range(first, first + count):
            await producer.send_and_wait(TOPIC, str(index).encode(), partition=index % 4)


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 4, 1)])
    await write(0, 40)
    one = await member()
    checks.equal("one member reads everything", list(range(40)), await poll_until([one], lambda found: len(found) == 40, "all"))
    await one.commit()
    # It waits for the others to join, who have to be polled for that.
    joining = asyncio.create_task(member())
    while not joining.done():
        await one.getmany(timeout_ms=100)
    two = joining.result()
    await poll_until([one, two], lambda _: len(one.assignment()) == len(two.assignment()) == 2, "two members share")
    await write(40, 20)
    checks.equal("each record once", list(range(40, 60)), await poll_until([one, two], lambda found: len(found) == 20, "new"))
    await one.commit()
    await two.commit()
    committed = [await one.committed(TopicPartition(TOPIC, index)) for index in range(4)]
    checks.equal("committed", [15, 15, 15, 15], committed)
    await two.stop()
    await poll_until([one], lambda _: len(one.assignment()) == 4, "the one that is left has all")
    await one.stop()
    await write(60, 8)
    again = await member()
    checks.equal("it goes on where they were", list(range(60, 68)), await poll_until([again], lambda found: len(found) == 8, "rest"))
    await again.stop()
    listed = [row[0] for row in await admin.list_consumer_groups()]
    checks.equal("listed", True, GROUP in listed)
    await admin.close()


asyncio.run(main())
checks.finish()
