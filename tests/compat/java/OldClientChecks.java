import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java client of Kafka 2.1, the oldest that Kafka 4 serves: OldClientChecks HOST:PORT. */
final class OldClientChecks {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final int COUNT = 300;
    private static final long BEGINNING = 1_700_000_000_000L;
    private static String broker;

    private OldClientChecks() {}

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        try (AdminClient admin = AdminClient.create(Map.of("bootstrap.servers", broker))) {
            List<NewTopic> topics = new ArrayList<>();
            CODECS.forEach(codec -> topics.add(new NewTopic("old-" + codec, 2, (short) 1)));
            admin.createTopics(topics).all().get();
            for (String codec : CODECS) {
                eachCodec(codec);
            }
            administer(admin);
            groups(admin);
            transactions();
        }
        Checks.finish();
    }

    private static KafkaConsumer<byte[], byte[]> member(String group) {
        return new KafkaConsumer<>(Map.of("bootstrap.servers", broker, "group.id", group, "auto.offset.reset", "earliest",
            "enable.auto.commit", false, "fetch.max.wait.ms", 50, "heartbeat.interval.ms", 200, "isolation.level", "read_committed"),
            new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Polls them in turn until the condition holds. */
    private static void pollUntil(BooleanSupplier holds, List<ConsumerRecord<byte[], byte[]>> found, List<KafkaConsumer<byte[], byte[]>> members) {
        long deadline = System.currentTimeMillis() + 30_000;
        while (!holds.getAsBoolean() && System.currentTimeMillis() < deadline) {
            for (KafkaConsumer<byte[], byte[]> member : members) {
                member.poll(Duration.ofMillis(100)).forEach(found::add);
            }
        }
    }

    private static void groups(AdminClient admin) throws Exception {
        admin.createTopics(List.of(new NewTopic("old-shared", 2, (short) 1))).all().get();
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
            for (int index = 0; index < 100; index++) {
                producer.send(new ProducerRecord<>("old-shared", index % 2, null, Checks.value(index, ""))).get();
            }
        }
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> one = member("old-group"); KafkaConsumer<byte[], byte[]> two = member("old-group")) {
            one.subscribe(List.of("old-shared"));
            pollUntil(() -> found.size() == 100, found, List.of(one));
            Checks.equal("group: a member reads everything", 100, found.size());
            one.commitSync();
            two.subscribe(List.of("old-shared"));
            Thread joining = new Thread(() -> pollUntil(() -> two.assignment().size() == 1, new ArrayList<>(), List.of(two)));
            joining.start();
            pollUntil(() -> !joining.isAlive(), found, List.of(one));
            joining.join();
            Checks.equal("group: two members share", List.of(1, 1), List.of(one.assignment().size(), two.assignment().size()));
            Checks.equal("group: nothing is read twice", 100, found.size());
            Checks.equal("group: described", "Stable 2", admin.describeConsumerGroups(List.of("old-group")).all().get().values().stream()
                .map(group -> group.state() + " " + group.members().size()).findFirst().get());
        }
        Checks.equal("group: listed", true, admin.listConsumerGroups().all().get().stream().anyMatch(group -> group.groupId().equals("old-group")));
        TopicPartition place = new TopicPartition("old-shared", 0);
        Checks.equal("group: its offsets", 50L, admin.listConsumerGroupOffsets("old-group").partitionsToOffsetAndMetadata().get().get(place).offset());
        try (KafkaConsumer<byte[], byte[]> again = member("old-group")) {
            again.assign(List.of(place));
            Checks.equal("group: it goes on where they were", 50L, again.position(place));
        }
        admin.deleteConsumerGroups(List.of("old-group")).all().get();
        Checks.equal("group: deleted", false, admin.listConsumerGroups().all().get().stream().anyMatch(group -> group.groupId().equals("old-group")));
    }

    /** What the group reads is written elsewhere; one transaction of four is aborted. */
    private static void transactions() {
        int expected = 0;
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("transactional.id", "old-transaction"))) {
            producer.initTransactions();
            for (int number = 0; number < 4; number++) {
                producer.beginTransaction();
                for (int index = 0; index < 10; index++) {
                    producer.send(new ProducerRecord<>("old-snappy", 0, null, Checks.value(index, "")));
                }
                producer.sendOffsetsToTransaction(Map.of(new TopicPartition("old-shared", 1), new OffsetAndMetadata(number)), "old-taker");
                if (number == 3) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                    expected += 10;
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        TopicPartition place = new TopicPartition("old-snappy", 0);
        try (KafkaConsumer<byte[], byte[]> reader = member("old-taker")) {
            reader.assign(List.of(place));
            reader.seekToBeginning(List.of(place));
            long end = reader.endOffsets(List.of(place)).get(place);
            pollUntil(() -> end <= reader.position(place), found, List.of(reader));
            Checks.equal("transactions: the offset that was committed last", 2L, reader.committed(new TopicPartition("old-shared", 1)).offset());
        }
        Checks.equal("transactions: what was committed is read", expected, found.size());
    }

    private static KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        Map<String, Object> options = new HashMap<>(Map.of("bootstrap.servers", broker, "acks", "all"));
        options.putAll(more);
        return new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static List<ConsumerRecord<byte[], byte[]>> read(String topic, long from, Map<String, Object> more) {
        Map<String, Object> options = new HashMap<>(Map.of(
            "bootstrap.servers", broker, "auto.offset.reset", "none", "fetch.max.wait.ms", 50, "enable.auto.commit", false));
        options.putAll(more);
        TopicPartition place = new TopicPartition(topic, 1);
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> reader = new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            reader.assign(List.of(place));
            reader.seek(place, from);
            long end = reader.endOffsets(List.of(place)).get(place);
            long deadline = System.currentTimeMillis() + 20_000;
            while (reader.position(place) < end && System.currentTimeMillis() < deadline) {
                reader.poll(Duration.ofMillis(500)).forEach(found::add);
            }
            if (more.isEmpty() && from == 0) {
                Checks.equal(topic + ": offset of a time", 200L,
                    reader.offsetsForTimes(Map.of(place, BEGINNING + 1995)).get(place).offset());
                Checks.equal(topic + ": beginning", Map.of(place, 0L), reader.beginningOffsets(List.of(place)));
            }
        }
        return found;
    }

    private static List<Checks.Sent> asSent(List<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(one -> Checks.sent(one.key(), one.value(), one.headers(), one.timestamp())).toList();
    }

    private static void eachCodec(String codec) throws Exception {
        String topic = "old-" + codec;
        List<Checks.Sent> sent = new ArrayList<>();
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of(
                "compression.type", codec, "enable.idempotence", !codec.equals("gzip"), "linger.ms", 5, "batch.size", 4000))) {
            for (int index = 0; index < COUNT; index++) {
                List<Header> headers = index % 3 == 0 ? List.of(new RecordHeader("n", new byte[] {(byte) index})) : List.of();
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, 1, BEGINNING + index * 10,
                    Checks.key(index), Checks.value(index, codec), headers);
                sent.add(Checks.sent(record.key(), record.value(), record.headers(), record.timestamp()));
                futures.add(producer.send(record));
            }
        }
        List<Long> offsets = new ArrayList<>();
        for (Future<RecordMetadata> future : futures) {
            offsets.add(future.get().offset());
        }
        Checks.equal(codec + ": offsets count up", IntStream.range(0, COUNT).mapToObj(Long::valueOf).toList(), offsets);
        Checks.equal(codec + ": from the beginning, byte for byte", sent, asSent(read(topic, 0, Map.of())));
        Checks.equal(codec + ": from the middle, in small fetches, only what is committed", sent.subList(123, COUNT),
            asSent(read(topic, 123, Map.of("max.partition.fetch.bytes", 64, "isolation.level", "read_committed"))));
    }

    private static void administer(AdminClient admin) throws Exception {
        Checks.equal("one node", 1, admin.describeCluster().nodes().get().size());
        int node = admin.describeCluster().controller().get().id();
        Checks.equal("topics are listed", true, admin.listTopics().names().get().contains("old-lz4"));
        Checks.equal("and described", 2, admin.describeTopics(List.of("old-gzip")).all().get().get("old-gzip").partitions().size());
        ConfigResource gzip = new ConfigResource(ConfigResource.Type.TOPIC, "old-gzip");
        admin.alterConfigs(Map.of(gzip, new Config(List.of(new ConfigEntry("retention.ms", "3600000"))))).all().get();
        ConfigEntry retention = admin.describeConfigs(List.of(gzip)).all().get().get(gzip).get("retention.ms");
        Checks.equal("a config is altered", "3600000 DYNAMIC_TOPIC_CONFIG", retention.value() + " " + retention.source());
        ConfigResource own = new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(node));
        Checks.equal("a broker's config", "4", admin.describeConfigs(List.of(own)).all().get().get(own).get("num.partitions").value());
        admin.createPartitions(Map.of("old-gzip", NewPartitions.increaseTo(3))).all().get();
        Checks.equal("partitions are added", 3, admin.describeTopics(List.of("old-gzip")).all().get().get("old-gzip").partitions().size());
        TopicPartition place = new TopicPartition("old-none", 1);
        Checks.equal("records are deleted", 100L,
            admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(100))).lowWatermarks().get(place).get().lowWatermark());
        Checks.equal("what is left begins there", 100L, read("old-none", 100, Map.of()).get(0).offset());
        Checks.equal("log directories", true, 0 < admin.describeLogDirs(List.of(node)).all().get().get(node)
            .values().iterator().next().replicaInfos.get(place).size);
        Checks.fails("a topic that exists", "TOPIC_ALREADY_EXISTS",
            () -> admin.createTopics(Collections.singleton(new NewTopic("old-gzip", 1, (short) 1))).all().get());
        Checks.fails("a topic that isn't there", "UNKNOWN_TOPIC_OR_PARTITION", () -> admin.describeTopics(List.of("old-nowhere")).all().get());
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("max.request.size", 5_000_000))) {
            Checks.fails("a record that is too large", "MESSAGE_TOO_LARGE",
                () -> producer.send(new ProducerRecord<>("old-none", 1, null, new byte[2_000_000])).get());
        }
        admin.deleteTopics(List.of("old-lz4")).all().get();
        Checks.equal("a deleted topic is gone", false, admin.listTopics().names().get().contains("old-lz4"));
    }
}
