// kafkajs against a broker without automatic topics: kafkajs_checks.js HOST:PORT
//
// Its consumer does nothing without a group; what is below it (the cluster's Fetch with its decoding) reads here.
'use strict'

const { isDeepStrictEqual } = require('util')
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, Partitioners, logLevel } = require('kafkajs')
const Cluster = require('kafkajs/src/cluster')
const Batch = require('kafkajs/src/consumer/batch')
const snappy = require('kafkajs-snappy')
const { ZstdCodec } = require('zstd-codec')

CompressionCodecs[CompressionTypes.Snappy] = snappy
const zstd = new Promise(resolve => ZstdCodec.run(codec => resolve(new codec.Simple())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async buffer => Buffer.from((await zstd).decompress(buffer)),
})

const CODECS = { none: 0, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, zstd: CompressionTypes.ZSTD }
const COUNT = 300
const broker = process.argv[2]
const kafka = new Kafka({ clientId: 'checks', brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries: 2 } })
const admin = kafka.admin()
let failed = 0

function equal(name, expected, found) {
  if (isDeepStrictEqual(expected, found)) return console.log(`ok      ${name}`)
  failed += 1
  const short = value => (JSON.stringify(value) ?? String(value)).slice(0, 400)
  console.log(`FAILED  ${name}: expected ${short(expected)}, found ${short(found)}`)
}

/** The type, or the name, of the error that a promise ends with. */
async function errorOf(promise) {
  try {
    return `no error, but ${JSON.stringify(await promise)}`
  } catch (error) {
    // An error of several topics or after several tries carries the real one.
    const cause = error.errors ? error.errors[0] : error.type ? error : error.cause || error
    return cause.type || cause.name
  }
}

const producer = options => kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })

async function withProducer(options, action) {
  const one = producer(options)
  await one.connect()
  try {
    return await action(one)
  } finally {
    await one.disconnect()
  }
}

/** Messages with nulls, empty values, doubled header keys and binary bytes among them. */
function messages(codec) {
  return Array.from({ length: COUNT }, (_, index) => ({
    key: index % 7 === 3 ? null : Buffer.from(`key-${index % 10}`),
    value: index % 11 === 5 ? null : index % 13 === 6 ? Buffer.alloc(0)
      : Buffer.concat([Buffer.from(Array.from({ length: index % 300 }, (_, place) => (index * 31 + place) % 256)), Buffer.from(codec)]),
    headers: index % 3 ? {} : { n: [Buffer.from(`${index}`), Buffer.from('again')], empty: Buffer.alloc(0) },
    timestamp: `${1_700_000_000_000 + index * 10}`,
    partition: 1,
  }))
}

let cluster

/** Messages of a partition from an offset to the end, batch by batch. */
async function read(topic, partition, offset, { maxBytes = 1 << 20, isolationLevel = 0 } = {}) {
  await cluster.addTargetTopic(topic)
  const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))
  const node = await cluster.findBroker({ nodeId })
  const found = []
  for (;;) {
    const { responses } = await node.fetch({
      replicaId: -1, isolationLevel, maxWaitTime: 10, minBytes: 1, maxBytes,
      topics: [{ topic, partitions: [{ partition, fetchOffset: offset, maxBytes }] }],
    })
    const batch = new Batch(topic, offset, responses[0].partitions[0])
    found.push(...batch.messages)
    if (batch.isEmpty()) return found
    offset = Number(batch.lastOffset()) + 1
  }
}

const asSent = ({ key, value, headers, timestamp }) => ({ key, value, headers, timestamp, partition: 1 })
const nodeOf = async () => (await cluster.findControllerBroker()).nodeId

async function eachCodec([codec, compression]) {
  const topic = `kafkajs-${codec}`
  const sent = messages(codec)
  // The idempotent producer has one request at a time under way.
  await withProducer({ idempotent: codec !== 'gzip', maxInFlightRequests: 1 }, async one => {
    for (let from = 0; from < COUNT; from += 100) {
      const [answer] = await one.send({ topic, acks: -1, compression, messages: sent.slice(from, from + 100) })
      equal(`${codec}: ${from} is placed`, ['0', `${from}`, 1], [`${answer.errorCode}`, answer.baseOffset, answer.partition])
    }
  })
  const found = await read(topic, 1, 0)
  equal(`${codec}: offsets count up`, sent.map((_, index) => `${index}`), found.map(message => message.offset))
  equal(`${codec}: from the beginning, byte for byte`, sent, found.map(asSent))
  equal(`${codec}: from the middle, only what is committed`, sent.slice(123),
    (await read(topic, 1, 123, { isolationLevel: 1 })).map(asSent))
  equal(`${codec}: in small fetches`, sent.slice(250), (await read(topic, 1, 250, { maxBytes: 64 })).map(asSent))
  equal(`${codec}: nothing lies beyond the end`, [], await read(topic, 1, COUNT))
  const byPartition = rows => Object.fromEntries(rows.map(({ partition, ...rest }) => [partition, rest]))
  equal(`${codec}: the ends of its partitions`,
    { 0: { offset: '0', high: '0', low: '0' }, 1: { offset: `${COUNT}`, high: `${COUNT}`, low: '0' } },
    byPartition(await admin.fetchTopicOffsets(topic)))
  for (const [name, time, offset] of [["a message's time", 2000, 200], ['the time after it', 2001, 201], ['a time before all', -5, 0]])
    equal(`${codec}: offset of ${name}`, `${offset}`,
      byPartition(await admin.fetchTopicOffsetsByTimestamp(topic, 1_700_000_000_000 + time))[1].offset)
  // kafkajs asks for the end where nothing is as late.
  equal(`${codec}: no offset in the future`, `${COUNT}`,
    byPartition(await admin.fetchTopicOffsetsByTimestamp(topic, 9_999_999_999_999))[1].offset)
}

async function eachAcks() {
  await withProducer({}, async one => {
    for (const acks of [0, 1, -1])
      await one.send({ topic: 'kafkajs-acks', acks, messages: Array.from({ length: 20 }, (_, i) => ({ value: `${i}`, partition: 0 })) })
  })
  const expected = [0, 1, 2].flatMap(() => Array.from({ length: 20 }, (_, i) => `${i}`))
  equal('messages of every acks arrive, in order', expected, (await read('kafkajs-acks', 0, 0)).map(({ value }) => value.toString()))
}

async function keysAndOrder() {
  await withProducer({}, async one => {
    for (let from = 0; from < 300; from += 50)
      await one.sendBatch({
        topicMessages: [{ topic: 'kafkajs-keyed', messages: Array.from({ length: 50 }, (_, i) => ({ key: `k${(from + i) % 20}`, value: `${from + i}` })) }],
      })
  })
  const byKey = new Map()
  for (const partition of [0, 1, 2])
    for (const { key, value } of await read('kafkajs-keyed', partition, 0))
      byKey.set(key.toString(), [...(byKey.get(key.toString()) || []), [partition, Number(value)]])
  equal('each key has one partition', true, byKey.size === 20 && [...byKey.values()].every(seen => new Set(seen.map(([p]) => p)).size === 1))
  equal('each key is whole and in order', true,
    [...byKey.entries()].every(([key, seen]) => isDeepStrictEqual(seen.map(([, n]) => n), Array.from({ length: 15 }, (_, i) => Number(key.slice(1)) + 20 * i))))
}

async function administration() {
  const about = await admin.describeCluster()
  equal('the cluster has one node, its controller, and an id', [1, about.brokers[0].nodeId, 22],
    [about.brokers.length, about.controller, about.clusterId.length])
  equal('the node is where it was reached', broker, `${about.brokers[0].host}:${about.brokers[0].port}`)
  const listed = await admin.listTopics()
  equal('topics are listed', true, Object.keys(CODECS).every(codec => listed.includes(`kafkajs-${codec}`)))
  const { topics: [described] } = await admin.fetchTopicMetadata({ topics: ['kafkajs-gzip'] })
  equal('its partitions, leaders and replicas', [[0, 0, 1, [1], [1]], [0, 1, 1, [1], [1]]],
    described.partitions.sort((a, b) => a.partitionId - b.partitionId)
      .map(p => [p.partitionErrorCode, p.partitionId, p.leader, p.replicas, p.isr]))
  equal("a topic that isn't there", 'UNKNOWN_TOPIC_OR_PARTITION', await errorOf(admin.fetchTopicMetadata({ topics: ['kafkajs-nowhere'] })))

  const configs = async (type, name, configNames) => {
    const answer = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type, name, configNames }] })
    return Object.fromEntries(answer.resources[0].configEntries.map(row => [row.configName, row]))
  }
  let rows = await configs(ConfigResourceTypes.TOPIC, 'kafkajs-config', ['retention.ms', 'segment.ms'])
  equal("a topic's config is its own", ['3600000', 1], [rows['retention.ms'].configValue, rows['retention.ms'].configSource])
  equal('a default says so', ['604800000', 5], [rows['segment.ms'].configValue, rows['segment.ms'].configSource])
  equal('its synonyms', [['retention.ms', '3600000', 1]],
    rows['retention.ms'].configSynonyms.map(one => [one.configName, one.configValue, one.configSource]))
  const alter = (name, configEntries, validateOnly = false) =>
    admin.alterConfigs({ validateOnly, resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries }] })
  await alter('kafkajs-config', [{ name: 'segment.bytes', value: '2097152' }], true)
  rows = await configs(ConfigResourceTypes.TOPIC, 'kafkajs-config', ['segment.bytes'])
  equal('what is only validated is not changed', '1073741824', rows['segment.bytes'].configValue)
  await alter('kafkajs-config', [{ name: 'segment.bytes', value: '2097152' }])
  rows = await configs(ConfigResourceTypes.TOPIC, 'kafkajs-config', ['segment.bytes', 'retention.ms'])
  equal('AlterConfigs sets what it names, and takes back the rest', ['2097152', 1, '604800000', 5],
    [rows['segment.bytes'].configValue, rows['segment.bytes'].configSource, rows['retention.ms'].configValue, rows['retention.ms'].configSource])
  equal('a bad value', 'INVALID_CONFIG', await errorOf(alter('kafkajs-config', [{ name: 'retention.ms', value: 'soon' }])))
  equal("configs of a topic that isn't there", 'UNKNOWN_TOPIC_OR_PARTITION', await errorOf(alter('kafkajs-nowhere', [])))
  rows = await configs(ConfigResourceTypes.BROKER, `${await nodeOf()}`, ['num.partitions', 'auto.create.topics.enable'])
  equal("the broker's own", ['4', 'false'], [rows['num.partitions'].configValue, rows['auto.create.topics.enable'].configValue])

  await admin.createPartitions({ topicPartitions: [{ topic: 'kafkajs-config', count: 4 }] })
  equal('partitions are added', 4, (await admin.fetchTopicMetadata({ topics: ['kafkajs-config'] })).topics[0].partitions.length)
  equal('never fewer', 'INVALID_PARTITIONS', await errorOf(admin.createPartitions({ topicPartitions: [{ topic: 'kafkajs-config', count: 2 }] })))

  await admin.deleteTopicRecords({ topic: 'kafkajs-none', partitions: [{ partition: 1, offset: '100' }] })
  equal('the beginning has moved', '100', (await admin.fetchTopicOffsets('kafkajs-none')).find(one => one.partition === 1).low)
  equal('what is left begins there', '100', (await read('kafkajs-none', 1, 100))[0].offset)
  equal('what was deleted is out of range', 'OFFSET_OUT_OF_RANGE', await errorOf(read('kafkajs-none', 1, 99)))
  // kafkajs compares with the end itself, but takes -1 for the end.
  await admin.deleteTopicRecords({ topic: 'kafkajs-none', partitions: [{ partition: 1, offset: '-1' }] })
  equal('everything is deleted', `${COUNT}`, (await admin.fetchTopicOffsets('kafkajs-none')).find(one => one.partition === 1).low)
}

async function mistakes() {
  const create = (topic, rest) => errorOf(admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: 1, replicationFactor: 1, ...rest }] }))
  // kafkajs answers false, not with an error, where the topic is there.
  equal('a topic that exists', 'no error, but false', await create('kafkajs-gzip'))
  equal('a bad topic name', 'INVALID_TOPIC_EXCEPTION', await create('a b'))
  equal('no partitions', 'INVALID_PARTITIONS', await create('kafkajs-odd', { numPartitions: 0 }))
  equal('more replicas than brokers', 'INVALID_REPLICATION_FACTOR', await create('kafkajs-odd', { replicationFactor: 3 }))
  equal('an unknown config', 'INVALID_CONFIG', await create('kafkajs-odd', { configEntries: [{ name: 'no.such.config', value: '1' }] }))
  await withProducer({ retry: { retries: 1 } }, async one => {
    const send = (topic, message) => errorOf(one.send({ topic, messages: [message] }))
    equal('a message that is too large', 'MESSAGE_TOO_LARGE', await send('kafkajs-acks', { value: 'x'.repeat(2_000_000) }))
    equal('the next one is taken', '60', (await one.send({ topic: 'kafkajs-acks', messages: [{ value: 'small' }] }))[0].baseOffset)
    equal("a topic that isn't there is not made", 'UNKNOWN_TOPIC_OR_PARTITION', await send('kafkajs-nowhere', { value: 'x' }))
  })
  await withProducer({ transactionalId: 'kafkajs', idempotent: true, maxInFlightRequests: 1 }, async one => {
    for (const end of ['commit', 'abort', 'commit']) {
      const transaction = await one.transaction()
      await transaction.send({ topic: 'kafkajs-transactions', messages: [{ value: end }, { value: end }] })
      await transaction[end]()
    }
  })
  // Each end has a marker behind its two records, which may come after the answer.
  const deadline = Date.now() + 30000
  const end = async () => (await admin.fetchTopicOffsets('kafkajs-transactions'))[0].high
  while (await end() !== '9' && Date.now() < deadline) await new Promise(resolve => setTimeout(resolve, 20))
  equal('transactions end either way', '9', await end())
  equal('no group is listed', 0, (await admin.listGroups()).groups.length)
}

async function main() {
  await admin.connect()
  cluster = new Cluster({
    logger: admin.logger(), socketFactory: require('kafkajs/src/network/socketFactory')(), brokers: [broker], clientId: 'reader',
    connectionTimeout: 5000, requestTimeout: 20000, metadataMaxAge: 300000, allowAutoTopicCreation: false,
  })
  await cluster.connect()
  equal('topics are made', true, await admin.createTopics({
    topics: [
      ...Object.keys(CODECS).map(codec => ({ topic: `kafkajs-${codec}`, numPartitions: 2 })),
      { topic: 'kafkajs-acks', numPartitions: 1 }, { topic: 'kafkajs-transactions', numPartitions: 1 }, { topic: 'kafkajs-keyed', numPartitions: 3 },
      { topic: 'kafkajs-config', numPartitions: 1, configEntries: [{ name: 'retention.ms', value: '3600000' }] },
    ],
  }))
  for (const codec of Object.entries(CODECS)) await eachCodec(codec)
  await eachAcks()
  await keysAndOrder()
  await administration()
  await mistakes()
  await admin.deleteTopics({ topics: ['kafkajs-zstd'] })
  equal('a deleted topic is gone', false, (await admin.listTopics()).includes('kafkajs-zstd'))
  equal('deleting it again', 'UNKNOWN_TOPIC_OR_PARTITION', await errorOf(admin.deleteTopics({ topics: ['kafkajs-zstd'] })))
  await cluster.disconnect()
  await admin.disconnect()
}

main().then(() => process.exit(failed ? 1 : 0), error => {
  console.log(`FAILED  ${error.stack}`)
  process.exit(1)
})
