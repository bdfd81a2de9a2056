import static java.util.Map.entry;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's Java client against a broker without automatic topics: ClientChecks HOST:PORT. */
final class ClientChecks {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final int COUNT = 400;
    static final long BEGINNING = 1_700_000_000_000L;
    static final long FUTURE = 9_999_999_999_999L;
    static final Duration PATIENCE = Duration.ofSeconds(20);
    static String broker;

    private ClientChecks() {}

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker))) {
            List<NewTopic> topics = new ArrayList<>();
            CODECS.forEach(codec -> topics.add(new NewTopic("java-" + codec, 2, (short) 1)));
            topics.add(new NewTopic("java-acks", 1, (short) 1));
            topics.add(new NewTopic("java-keyed", 3, (short) 1));
            topics.add(new NewTopic("java-stamped", 1, (short) 1).configs(Map.of("message.timestamp.type", "LogAppendTime")));
            admin.createTopics(topics).all().get();
            for (String codec : CODECS) {
                eachCodec(codec);
            }
            eachAcks();
            keysAndOrder();
            brokersTime();
            mistakes();
            AdminChecks.run(admin);
        }
        Checks.finish();
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        Map<String, Object> options = new HashMap<>(Map.of("bootstrap.servers", broker, "max.block.ms", 20_000));
        options.putAll(more);
        return new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> more) {
        Map<String, Object> options = new HashMap<>(Map.of(
            "bootstrap.servers", broker, "auto.offset.reset", "none", "allow.auto.create.topics", false,
            "default.api.timeout.ms", 15_000, "fetch.max.wait.ms", 50));
        options.putAll(more);
        return new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Records of a partition from an offset to the end seen at the start. */
    static List<ConsumerRecord<byte[], byte[]>> read(String topic, int partition, long from, Map<String, Object> options) {
        TopicPartition place = new TopicPartition(topic, partition);
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> reader = consumer(options)) {
            reader.assign(List.of(place));
            reader.seek(place, from);
            long end = reader.endOffsets(List.of(place)).get(place);
            long deadline = System.currentTimeMillis() + PATIENCE.toMillis();
            while (reader.position(place) < end) {
                reader.poll(Duration.ofMillis(500)).forEach(found::add);
                if (deadline < System.currentTimeMillis()) {
                    throw new IllegalStateException(place + ": no end within " + PATIENCE);
                }
            }
        }
        return found;
    }

    private static List<Checks.Sent> asSent(Collection<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(one -> Checks.sent(one.key(), one.value(), one.headers(), one.timestamp())).toList();
    }

    private static List<Header> headers(int index) {
        return index % 3 != 0 ? List.of() : List.of(
            new RecordHeader("n", String.valueOf(index).getBytes()), new RecordHeader("n", "again".getBytes()),
            new RecordHeader("null", (byte[]) null), new RecordHeader("empty", new byte[0]));
    }

    private static void eachCodec(String codec) throws Exception {
        String topic = "java-" + codec;
        List<Checks.Sent> sent = new ArrayList<>();
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        // Small batches, so that five of them are under way at once.
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of(
                "compression.type", codec, "acks", "all", "enable.idempotence", true, "linger.ms", 5, "batch.size", 4000))) {
            for (int index = 0; index < COUNT; index++) {
                long time = BEGINNING + index * 10;
                ProducerRecord<byte[], byte[]> record =
                    new ProducerRecord<>(topic, 1, time, Checks.key(index), Checks.value(index, codec), headers(index));
                sent.add(Checks.sent(record.key(), record.value(), record.headers(), time));
                futures.add(producer.send(record));
            }
            producer.flush();
        }
        List<Long> offsets = new ArrayList<>();
        for (Future<RecordMetadata> future : futures) {
            offsets.add(future.get().offset());
        }
        Checks.equal(codec + ": offsets count up", IntStream.range(0, COUNT).mapToObj(Long::valueOf).toList(), offsets);
        List<ConsumerRecord<byte[], byte[]>> found = read(topic, 1, 0, Map.of());
        Checks.equal(codec + ": from the beginning, byte for byte", sent, asSent(found));
        Checks.equal(codec + ": the leader's epoch is there", Optional.of(0),
            found.get(0).leaderEpoch().map(epoch -> Math.min(epoch, 0)));
        Checks.equal(codec + ": from the middle, only what is committed", sent.subList(123, COUNT),
            asSent(read(topic, 1, 123, Map.of("isolation.level", "read_committed"))));
        Checks.equal(codec + ": in small fetches", sent.subList(300, COUNT),
            asSent(read(topic, 1, 300, Map.of("max.partition.fetch.bytes", 64, "max.poll.records", 3))));
        TopicPartition empty = new TopicPartition(topic, 0);
        TopicPartition place = new TopicPartition(topic, 1);
        try (KafkaConsumer<byte[], byte[]> reader = consumer(Map.of())) {
            Checks.equal(codec + ": beginnings", Map.of(empty, 0L, place, 0L), reader.beginningOffsets(List.of(empty, place)));
            Checks.equal(codec + ": ends", Map.of(empty, 0L, place, (long) COUNT), reader.endOffsets(List.of(empty, place)));
            Map<String, Long> times = new LinkedHashMap<>();
            times.put("a record's time", 200L);
            times.put("the time after it", 201L);
            times.put("the beginning of time", 0L);
            for (Map.Entry<String, Long> time : times.entrySet()) {
                long asked = switch (time.getKey()) {
                    case "a record's time" -> BEGINNING + 2000;
                    case "the time after it" -> BEGINNING + 2001;
                    default -> 0;
                };
                OffsetAndTimestamp at = reader.offsetsForTimes(Map.of(place, asked)).get(place);
                Checks.equal(codec + ": offset of " + time.getKey(), entry(time.getValue(), BEGINNING + 10 * time.getValue()),
                    entry(at.offset(), at.timestamp()));
            }
            Checks.equal(codec + ": no offset in the future", true, reader.offsetsForTimes(Map.of(place, FUTURE)).get(place) == null);
            reader.assign(List.of(place));
            reader.seekToEnd(List.of(place));
            Checks.equal(codec + ": the end's position", (long) COUNT, reader.position(place));
            Checks.equal(codec + ": nothing lies beyond the end", true, reader.poll(Duration.ofMillis(20)).isEmpty());
            reader.seekToBeginning(List.of(place));
            reader.poll(Duration.ofSeconds(5));
            Checks.equal(codec + ": what it lags behind is known", true, reader.currentLag(place).isPresent());
        }
    }

    private static void eachAcks() throws Exception {
        for (String acks : List.of("0", "1", "all")) {
            try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("acks", acks, "enable.idempotence", false))) {
                for (int index = 0; index < 20; index++) {
                    producer.send(new ProducerRecord<>("java-acks", 0, null, String.valueOf(index).getBytes()));
                }
            }
        }
        List<String> expected = IntStream.range(0, 60).mapToObj(index -> String.valueOf(index % 20)).toList();
        Checks.equal("records of every acks arrive, in order", expected,
            read("java-acks", 0, 0, Map.of()).stream().map(one -> new String(one.value())).toList());
    }

    private static void keysAndOrder() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("batch.size", 500, "compression.type", "zstd"))) {
            for (int index = 0; index < 6000; index++) {
                producer.send(new ProducerRecord<>("java-keyed", ("k" + index % 20).getBytes(), String.valueOf(index).getBytes()));
            }
        }
        Map<String, List<Integer>> values = new HashMap<>();
        Map<String, Set<Integer>> partitions = new HashMap<>();
        try (KafkaConsumer<byte[], byte[]> reader = consumer(Map.of())) {
            List<TopicPartition> places = IntStream.range(0, 3).mapToObj(one -> new TopicPartition("java-keyed", one)).toList();
            reader.assign(places);
            reader.seekToBeginning(places);
            long deadline = System.currentTimeMillis() + PATIENCE.toMillis();
            for (int seen = 0; seen < 6000 && System.currentTimeMillis() < deadline; ) {
                for (ConsumerRecord<byte[], byte[]> record : reader.poll(Duration.ofMillis(500))) {
                    seen++;
                    String key = new String(record.key());
                    values.computeIfAbsent(key, unused -> new ArrayList<>()).add(Integer.valueOf(new String(record.value())));
                    partitions.computeIfAbsent(key, unused -> new HashSet<>()).add(record.partition());
                }
            }
        }
        for (int key = 0; key < 20; key++) {
            int first = key;
            Checks.equal("key " + key + " has one partition", 1, partitions.getOrDefault("k" + key, Set.of()).size());
            Checks.equal("key " + key + " is whole and in order",
                IntStream.range(0, 300).mapToObj(turn -> first + 20 * turn).toList(), values.get("k" + key));
        }
    }

    private static void brokersTime() throws Exception {
        long before = System.currentTimeMillis();
        RecordMetadata placed;
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
            placed = producer.send(new ProducerRecord<>("java-stamped", 0, BEGINNING, null, new byte[] {1})).get();
        }
        ConsumerRecord<byte[], byte[]> found = read("java-stamped", 0, 0, Map.of()).get(0);
        Checks.equal("the broker's time is the record's", "LogAppendTime", found.timestampType().toString());
        Checks.equal("it is now", true, before <= found.timestamp() && found.timestamp() <= System.currentTimeMillis());
        Checks.equal("the producer was told", found.timestamp(), placed.timestamp());
    }

    private static void mistakes() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("max.request.size", 5_000_000, "max.block.ms", 2500))) {
            Checks.fails("a record that is too large", "MESSAGE_TOO_LARGE",
                () -> producer.send(new ProducerRecord<>("java-acks", 0, null, new byte[2_000_000])).get());
            Checks.equal("the next one is taken", 60L, producer.send(new ProducerRecord<>("java-acks", 0, null, new byte[1])).get().offset());
            Checks.fails("a topic that isn't there is not made", "REQUEST_TIMED_OUT",
                () -> producer.send(new ProducerRecord<>("java-nowhere", new byte[1])).get());
            Checks.fails("a partition that isn't there", "REQUEST_TIMED_OUT",
                () -> producer.send(new ProducerRecord<>("java-acks", 7, null, new byte[1])).get());
            Checks.fails("a name that no topic can have", "INVALID_TOPIC_EXCEPTION",
                () -> producer.send(new ProducerRecord<>("a b", new byte[1])).get());
        }
        TopicPartition place = new TopicPartition("java-gzip", 1);
        try (KafkaConsumer<byte[], byte[]> reader = consumer(Map.of())) {
            reader.assign(List.of(place));
            reader.seek(place, 1_000_000);
            Checks.fails("an offset out of range", "OffsetOutOfRangeException", () -> reader.poll(PATIENCE).count());
            Checks.fails("the end of a partition that isn't there", "REQUEST_TIMED_OUT",
                () -> reader.endOffsets(List.of(new TopicPartition("java-gzip", 9)), Duration.ofMillis(500)));
            Checks.equal("a topic that isn't there has no partitions", List.of(), reader.partitionsFor("java-nowhere"));
            Checks.equal("one that is has them", 2, reader.partitionsFor("java-gzip").size());
        }
    }
}
