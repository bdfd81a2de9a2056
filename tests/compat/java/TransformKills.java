import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * Consume, transform, produce with the Java client while its broker is killed: TransformKills classic|consumer HOST:PORT.
 *
 * <p>Two members of a group take numbers from one topic to another in transactions, and leave and come back, until standard
 * input ends; a line is printed for each 500 that were taken on. Then each has to have arrived once, and in order.
 */
final class TransformKills {
    private static final int PARTITIONS = 4;
    private static final int MEMBERS = 2;

    private static String input;
    private static String output;
    private static String protocol;
    private static final AtomicInteger taken = new AtomicInteger();
    private static final AtomicInteger setbacks = new AtomicInteger();
    private static final AtomicBoolean done = new AtomicBoolean();
    private static final List<Exception> failures = Collections.synchronizedList(new ArrayList<>());

    private TransformKills() {}

    public static void main(String[] arguments) throws Exception {
        protocol = arguments[0];
        ClientChecks.broker = arguments[1];
        input = "java-taken-" + protocol;
        output = "java-given-" + protocol;
        List<TopicPartition> inputs = IntStream.range(0, PARTITIONS).mapToObj(index -> new TopicPartition(input, index)).toList();
        int sent;
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[1]))) {
            admin.createTopics(List.of(input, output).stream().map(name -> new NewTopic(name, PARTITIONS, (short) 1)).toList()).all().get();
            List<Thread> members = IntStream.range(0, MEMBERS).mapToObj(number -> new Thread(() -> transform(number))).toList();
            members.forEach(Thread::start);
            sent = feed();
            Checks.equal("everything is taken on", true, isAllTaken(admin, inputs));
            done.set(true);
            for (Thread member : members) {
                member.join();
            }
        }
        Checks.equal("without an error", List.of(), failures);
        System.out.println(setbacks + " times a member had to begin anew or to abort");
        for (int partition = 0; partition < PARTITIONS; partition++) {
            int first = partition;
            Checks.equal("each is there once, in order: partition " + partition,
                IntStream.range(0, sent).filter(number -> number % PARTITIONS == first).boxed().toList(),
                ClientChecks.read(output, partition, 0, Map.of("isolation.level", "read_committed")).stream()
                    .map(record -> Integer.valueOf(new String(record.value()))).toList());
        }
        Checks.finish();
    }

    /** Sends numbers until standard input ends: how many. */
    private static int feed() throws Exception {
        Thread end = new Thread(() -> {
            try {
                // Nothing is written to it: that something can be read means its end.
                System.in.read();
            } catch (java.io.IOException thrown) {
                failures.add(thrown);
            }
        });
        end.start();
        int sent = 0;
        try (KafkaProducer<byte[], byte[]> producer = ClientChecks.producer(Map.of("linger.ms", 2, "max.block.ms", 60_000))) {
            while (end.isAlive()) {
                for (int more = 0; more < 10; more++) {
                    producer.send(new ProducerRecord<>(input, sent % PARTITIONS, null, String.valueOf(sent).getBytes()), (placed, error) -> {
                        if (error != null) {
                            failures.add(error);
                        }
                    });
                    sent++;
                }
                Thread.sleep(10);
            }
        }
        return sent;
    }

    /** Whether the group gets to the end of its input. */
    private static boolean isAllTaken(Admin admin, List<TopicPartition> inputs) throws Exception {
        Map<TopicPartition, OffsetSpec> latest = inputs.stream().collect(Collectors.toMap(Function.identity(), place -> OffsetSpec.latest()));
        Map<TopicPartition, Long> ends = new HashMap<>();
        admin.listOffsets(latest).all().get().forEach((place, found) -> ends.put(place, found.offset()));
        long deadline = System.nanoTime() + Duration.ofSeconds(90).toNanos();
        Map<TopicPartition, Long> committed = new HashMap<>();
        while (System.nanoTime() < deadline && !committed.equals(ends)) {
            Thread.sleep(100);
            committed.clear();
            admin.listConsumerGroupOffsets(input).partitionsToOffsetAndMetadata().get()
                .forEach((place, offset) -> committed.put(place, offset == null ? 0 : offset.offset()));
        }
        return committed.equals(ends);
    }

    /** A member, time and again. */
    private static void transform(int number) {
        Random random = new Random(number);
        while (!done.get()) {
            try (KafkaProducer<byte[], byte[]> producer = producer(number); KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                producer.initTransactions();
                consumer.subscribe(List.of(input));
                long until = System.nanoTime() + Duration.ofMillis(2000 + random.nextInt(6000)).toNanos();
                while (!done.get() && System.nanoTime() < until) {
                    ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                    if (!records.isEmpty()) {
                        take(producer, consumer, records);
                    }
                }
            } catch (KafkaException thrown) {
                // Whether its last transaction was committed it finds out from the group's offsets.
                setbacks.incrementAndGet();
                System.err.println("member " + number + " begins anew: " + thrown);
            } catch (Exception thrown) {
                failures.add(thrown);
                return;
            }
        }
    }

    private static void take(
            KafkaProducer<byte[], byte[]> producer, KafkaConsumer<byte[], byte[]> consumer, ConsumerRecords<byte[], byte[]> records) {
        Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
        try {
            producer.beginTransaction();
            for (ConsumerRecord<byte[], byte[]> record : records) {
                producer.send(new ProducerRecord<>(output, record.partition(), null, record.value()));
                positions.put(new TopicPartition(input, record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
        } catch (KafkaException thrown) {
            setbacks.incrementAndGet();
            System.err.println("aborts: " + thrown);
            producer.abortTransaction();
            goBack(consumer);
            return;
        }
        producer.commitTransaction();
        int before = taken.getAndAdd(records.count());
        for (int more = before / 500 + 1; more <= (before + records.count()) / 500; more++) {
            System.out.println("acknowledged " + more * 500);
        }
    }

    /** Reads again what was aborted. */
    private static void goBack(KafkaConsumer<byte[], byte[]> consumer) {
        Collection<TopicPartition> assigned = consumer.assignment();
        consumer.committed(Set.copyOf(assigned)).forEach((place, offset) -> consumer.seek(place, offset == null ? 0 : offset.offset()));
    }

    private static KafkaProducer<byte[], byte[]> producer(int number) {
        return ClientChecks.producer(Map.of("transactional.id", input + "-" + number, "transaction.timeout.ms", 10_000, "linger.ms", 2));
    }

    private static KafkaConsumer<byte[], byte[]> consumer() {
        Map<String, Object> options = new HashMap<>(Map.of("group.id", input, "group.protocol", protocol, "isolation.level", "read_committed",
            "enable.auto.commit", false, "auto.offset.reset", "earliest", "max.poll.records", 50));
        if (protocol.equals("classic")) {
            options.put("session.timeout.ms", 6000);
        }
        return ClientChecks.consumer(options);
    }
}
