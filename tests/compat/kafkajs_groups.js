// Groups with kafkajs: kafkajs_groups.js HOST:PORT
'use strict'

const { isDeepStrictEqual } = require('util')
const { Kafka, logLevel, Partitioners } = require('kafkajs')

const kafka = new Kafka({ clientId: 'groups', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const topic = 'kafkajs-groups'
const groupId = 'kafkajs-groups'
let failed = 0

function equal(name, expected, found) {
  if (isDeepStrictEqual(expected, found)) return console.log(`ok      ${name}`)
  failed += 1
  console.log(`FAILED  ${name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`)
}

async function until(what, condition) {
  const deadline = Date.now() + 30000
  while (Date.now() < deadline) {
    const found = await condition()
    if (found) return found
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`${what}: not within 30 s`)
}

/** A consumer that notes what it reads and what it was assigned. */
async function member(read) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 300, maxWaitTimeInMs: 100 })
  const one = { consumer, held: 0 }
  consumer.on(consumer.events.GROUP_JOIN, event => {
    one.held = (event.payload.memberAssignment[topic] || []).length
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({ autoCommitThreshold: 1, eachMessage: async ({ message }) => read.push(Number(message.value.toString())) })
  return one
}

async function write(first, count) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const messages = Array.from({ length: count }, (_, index) => ({ value: String(first + index), partition: (first + index) % 4 }))
  await producer.send({ topic, messages })
  await producer.disconnect()
}

const numbers = (first, count) => Array.from({ length: count }, (_, index) => first + index)
const sorted = list => [...list].sort((a, b) => a - b)

async function main() {
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 4 }] })
  await write(0, 40)
  const read = []
  const one = await member(read)
  await until('all records', () => read.length === 40)
  equal('one member reads everything', numbers(0, 40), sorted(read))
  const two = await member(read)
  await until('two members share', () => one.held === 2 && two.held === 2)
  read.length = 0
  await write(40, 20)
  await until('the new records', () => read.length === 20)
  equal('each record once', numbers(40, 20), sorted(read))
  const described = (await admin.describeGroups([groupId])).groups[0]
  equal('described', ['Stable', 'consumer', 2], [described.state, described.protocolType, described.members.length])
  await two.consumer.disconnect()
  await until('the one that is left has all', () => one.held === 4)
  await one.consumer.disconnect()
  const committed = await admin.fetchOffsets({ groupId, topics: [topic] })
  equal('committed', [15, 15, 15, 15], committed[0].partitions.map(row => Number(row.offset)))
  await write(60, 8)
  read.length = 0
  const again = await member(read)
  await until('what came since', () => read.length === 8)
  equal('it goes on where they were', numbers(60, 8), sorted(read))
  await again.consumer.disconnect()
  await admin.resetOffsets({ groupId, topic, earliest: true })
  read.length = 0
  const reset = await member(read)
  await until('everything again', () => read.length === 68)
  equal('after a reset it begins anew', numbers(0, 68), sorted(read))
  await reset.consumer.disconnect()
  await admin.deleteGroups([groupId])
  equal('deleted', false, (await admin.listGroups()).groups.some(row => row.groupId === groupId))
  await admin.disconnect()
}

main().then(() => process.exit(failed ? 1 : 0), error => {
  console.log(error)
  process.exit(1)
})
