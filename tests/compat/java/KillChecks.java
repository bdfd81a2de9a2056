import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * An idempotent producer of the Java client while its broker is killed: KillChecks HOST:PORT.
 *
 * <p>It sends numbers until its standard input ends, with a line for each 500 that are acknowledged. Then each has to be
 * there once, and in order.
 */
final class KillChecks {
    private static final String TOPIC = "java-kills";

    private KillChecks() {}

    public static void main(String[] arguments) throws Exception {
        ClientChecks.broker = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            admin.createTopics(List.of(new NewTopic(TOPIC, 1, (short) 1))).all().get();
        }
        AtomicInteger acknowledged = new AtomicInteger();
        List<Exception> failures = new ArrayList<>();
        int sent = 0;
        Map<String, Object> options = Map.of("linger.ms", 2, "batch.size", 1000, "max.block.ms", 60_000, "compression.type", "lz4");
        try (KafkaProducer<byte[], byte[]> producer = ClientChecks.producer(options)) {
            // Nothing is written to it: that something can be read means its end.
            Thread end = new Thread(() -> {
                try {
                    System.in.read();
                } catch (java.io.IOException thrown) {
                    failures.add(thrown);
                }
            });
            end.start();
            while (end.isAlive()) {
                for (int more = 0; more < 20; more++) {
                    producer.send(new ProducerRecord<>(TOPIC, 0, null, String.valueOf(sent).getBytes()), (placed, error) -> {
                        if (error != null) {
                            failures.add(error);
                        } else if (acknowledged.incrementAndGet() % 500 == 0) {
                            System.out.println("acknowledged " + acknowledged);
                        }
                    });
                    sent++;
                }
                Thread.sleep(10);
            }
        }
        Checks.equal("without an error", List.of(), failures);
        Checks.equal("each is there once, in order", IntStream.range(0, sent).boxed().toList(),
            ClientChecks.read(TOPIC, 0, 0, Map.of()).stream().map(record -> Integer.valueOf(new String(record.value()))).toList());
        Checks.finish();
    }
}
