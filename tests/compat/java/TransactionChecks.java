import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Transactions of the Java client, of version 2 where the broker has it: TransactionChecks HOST:PORT. */
final class TransactionChecks {
    private static final String PLAIN = "java-transactions";
    private static final String INPUT = "java-input";
    private static final String OUTPUT = "java-output";

    private static String broker;

    private TransactionChecks() {}

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker))) {
            admin.createTopics(List.of(topic(PLAIN), topic(INPUT), topic(OUTPUT))).all().get();
            Checks.equal("version 2 is finalized", (short) 2,
                admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("transaction.version").maxVersionLevel());
            commitsAndAborts(admin);
            transforms();
        }
        Checks.finish();
    }

    private static NewTopic topic(String name) {
        return new NewTopic(name, 2, (short) 1);
    }

    private static KafkaProducer<String, String> producer(String id) {
        Map<String, Object> options = new HashMap<>(Map.of("bootstrap.servers", broker, "max.block.ms", 30_000));
        if (id != null) {
            options.put("transactional.id", id);
        }
        return new KafkaProducer<>(options, new StringSerializer(), new StringSerializer());
    }

    private static KafkaConsumer<String, String> consumer(String group, String isolation) {
        Map<String, Object> options = Map.of("bootstrap.servers", broker, "group.id", group, "isolation.level", isolation,
            "enable.auto.commit", false, "auto.offset.reset", "earliest");
        return new KafkaConsumer<>(options, new StringDeserializer(), new StringDeserializer());
    }

    private static void write(KafkaProducer<String, String> producer, String prefix) {
        producer.beginTransaction();
        for (int index = 0; index < 20; index++) {
            producer.send(new ProducerRecord<>(PLAIN, index % 2, null, prefix + index));
        }
    }

    private static List<String> values(String... prefixes) {
        List<String> all = new ArrayList<>();
        for (String prefix : prefixes) {
            IntStream.range(0, 20).forEach(index -> all.add(prefix + index));
        }
        return all.stream().sorted().toList();
    }

    /** The values of both partitions up to their ends, as this isolation sees them. */
    private static List<String> read(String topic, String isolation) {
        List<String> found = new ArrayList<>();
        try (KafkaConsumer<String, String> reader = consumer("java-reader", isolation)) {
            List<TopicPartition> both = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1));
            reader.assign(both);
            reader.seekToBeginning(both);
            Map<TopicPartition, Long> ends = reader.endOffsets(both);
            long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
            while (both.stream().anyMatch(one -> reader.position(one) < ends.get(one)) && System.nanoTime() < deadline) {
                for (ConsumerRecord<String, String> record : reader.poll(Duration.ofMillis(200))) {
                    found.add(record.value());
                }
            }
        }
        return found.stream().sorted().toList();
    }

    private static void commitsAndAborts(Admin admin) throws Exception {
        KafkaProducer<String, String> one = producer("java-one");
        one.initTransactions();
        write(one, "a");
        one.commitTransaction();
        write(one, "b");
        one.flush();
        one.abortTransaction();
        write(one, "c");
        one.commitTransaction();
        Checks.equal("what was committed is read", values("a", "c"), read(PLAIN, "read_committed"));
        Checks.equal("who asks for it reads all", values("a", "b", "c"), read(PLAIN, "read_uncommitted"));
        write(one, "d");
        one.flush();
        TransactionDescription open = admin.describeTransactions(List.of("java-one")).all().get().get("java-one");
        Checks.equal("it is ongoing", "Ongoing", open.state().toString());
        Checks.equal("of both partitions", 2, open.topicPartitions().size());
        Checks.equal("an open transaction is not read", values("a", "c"), read(PLAIN, "read_committed"));
        try (KafkaProducer<String, String> other = producer("java-one")) {
            other.initTransactions();
            String said = Checks.errorOf(() -> {
                one.commitTransaction();
                return null;
            });
            Checks.equal("a producer whose id was taken over is fenced", true,
                List.of("PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE").contains(said) || said.contains("Fenced"));
            write(other, "e");
            other.commitTransaction();
        }
        one.close(Duration.ZERO);
        Checks.equal("what it wrote is aborted", values("a", "c", "e"), read(PLAIN, "read_committed"));
        int listed = admin.listTransactions().all().get().size();
        Checks.equal("it is listed", 1, listed);
    }

    /** Consume, transform, produce: some transactions are aborted, and their input comes again. */
    private static void transforms() {
        try (KafkaProducer<String, String> source = producer(null)) {
            IntStream.range(0, 200).forEach(number -> source.send(new ProducerRecord<>(INPUT, number % 2, null, String.valueOf(number))));
        }
        try (KafkaProducer<String, String> transform = producer("java-transform")) {
            transform.initTransactions();
            int taken = 0;
            for (int turn = 0; taken < 200 && turn < 40; turn++) {
                taken += transformOnce(transform, turn % 3 == 1);
            }
        }
        List<String> expected = IntStream.range(0, 200).mapToObj(String::valueOf).sorted().toList();
        Checks.equal("each input has one output", expected, read(OUTPUT, "read_committed"));
    }

    private static int transformOnce(KafkaProducer<String, String> transform, boolean aborts) {
        try (KafkaConsumer<String, String> reader = consumer("java-transform", "read_committed")) {
            reader.subscribe(List.of(INPUT));
            Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
            int count = 0;
            transform.beginTransaction();
            long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
            while (count == 0 && System.nanoTime() < deadline) {
                for (ConsumerRecord<String, String> record : reader.poll(Duration.ofMillis(200))) {
                    if (25 <= count) {
                        break;
                    }
                    transform.send(new ProducerRecord<>(OUTPUT, record.partition(), null, record.value()));
                    positions.put(new TopicPartition(INPUT, record.partition()), new OffsetAndMetadata(record.offset() + 1));
                    count++;
                }
            }
            transform.sendOffsetsToTransaction(positions, reader.groupMetadata());
            if (aborts) {
                transform.abortTransaction();
                return 0;
            }
            transform.commitTransaction();
            return count;
        }
    }
}
