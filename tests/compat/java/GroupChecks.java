import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Groups with the Java client, classic protocol, against a broker without automatic topics: GroupChecks HOST:PORT. */
final class GroupChecks {
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";
    private static final int PARTITIONS = 4;
    private static String broker;

    private GroupChecks() {}

    /** A consumer that notes what it reads and what it had to give up. It is polled by hand. */
    private static final class Member implements ConsumerRebalanceListener, AutoCloseable {
        final KafkaConsumer<String, String> consumer;
        final List<Integer> read = new ArrayList<>();
        int revoked;

        Member(String group, String topic, Map<String, Object> more) {
            Map<String, Object> options = new HashMap<>(Map.of(
                "bootstrap.servers", broker, "group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", false,
                "heartbeat.interval.ms", 200, "session.timeout.ms", 10_000, "fetch.max.wait.ms", 50, "allow.auto.create.topics", false));
            options.putAll(more);
            consumer = new KafkaConsumer<>(options, new StringDeserializer(), new StringDeserializer());
            consumer.subscribe(List.of(topic), this);
        }

        void poll() {
            consumer.poll(Duration.ofMillis(50)).forEach(record -> read.add(Integer.valueOf(record.value())));
        }

        int holds() {
            return consumer.assignment().size();
        }

        @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

        @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            revoked += partitions.size();
        }

        @Override public void close() {
            consumer.close();
        }
    }

    private static void until(String what, List<Member> members, BooleanSupplier holds) {
        long deadline = System.currentTimeMillis() + 30_000;
        while (System.currentTimeMillis() < deadline) {
            members.forEach(Member::poll);
            if (holds.getAsBoolean()) {
                return;
            }
        }
        Checks.equal(what + ", in time", true, false);
    }

    private static List<Integer> taken(Member... members) {
        List<Integer> all = new ArrayList<>();
        for (Member member : members) {
            all.addAll(member.read);
            member.read.clear();
        }
        return all.stream().sorted().toList();
    }

    private static List<Integer> numbers(int first, int count) {
        return IntStream.range(first, first + count).boxed().toList();
    }

    private static void write(String topic, int first, int count) throws Exception {
        try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", broker), new StringSerializer(), new StringSerializer())) {
            for (int index : numbers(first, count)) {
                producer.send(new ProducerRecord<>(topic, index % PARTITIONS, null, String.valueOf(index))).get();
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker))) {
            for (String assignor : List.of("RangeAssignor", "StickyAssignor", "CooperativeStickyAssignor")) {
                each(admin, assignor);
            }
            staticMembers(admin);
            zombies(admin);
        }
        Checks.finish();
    }

    private static void each(Admin admin, String assignor) throws Exception {
        String topic = "java-groups-" + assignor;
        admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
        write(topic, 0, 40);
        Map<String, Object> options = Map.of("partition.assignment.strategy", ASSIGNORS + assignor);
        Member one = new Member(topic, topic, options);
        until(assignor + ": all records", List.of(one), () -> one.read.size() == 40);
        Checks.equal(assignor + ": one member reads everything", numbers(0, 40), taken(one));
        one.consumer.commitSync();
        Member two = new Member(topic, topic, options);
        until(assignor + ": two members share", List.of(one, two), () -> one.holds() == 2 && two.holds() == 2);
        write(topic, 40, 20);
        until(assignor + ": the new records", List.of(one, two), () -> one.read.size() + two.read.size() == 20);
        Checks.equal(assignor + ": each record once", numbers(40, 20), taken(one, two));
        one.consumer.commitSync();
        two.consumer.commitSync();
        if (assignor.startsWith("Cooperative")) {
            Checks.equal("cooperative: only what moved was given up", 2, one.revoked);
        }
        var described = admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
        Checks.equal(assignor + ": described", List.of("STABLE", 2), List.of(described.groupState().name(), described.members().size()));
        Checks.equal(assignor + ": shares add up", PARTITIONS,
            described.members().stream().mapToInt(member -> member.assignment().topicPartitions().size()).sum());
        two.close();
        until(assignor + ": the one that is left has all", List.of(one), () -> one.holds() == PARTITIONS);
        one.close();
        write(topic, 60, 8);
        try (Member again = new Member(topic, topic, options)) {
            until(assignor + ": what came since", List.of(again), () -> again.read.size() == 8);
            Checks.equal(assignor + ": it goes on where they were", numbers(60, 8), taken(again));
        }
        TopicPartition place = new TopicPartition(topic, 0);
        admin.alterConsumerGroupOffsets(topic, Map.of(place, new OffsetAndMetadata(3, "told"))).all().get();
        Checks.equal(assignor + ": altered", new OffsetAndMetadata(3, "told"),
            admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().get(place));
        admin.deleteConsumerGroupOffsets(topic, Set.of(place)).all().get();
        Checks.equal(assignor + ": an offset deleted", null,
            admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().get(place));
        admin.deleteConsumerGroups(List.of(topic)).all().get();
        Checks.equal(assignor + ": deleted", false,
            admin.listGroups().all().get().stream().anyMatch(group -> group.groupId().equals(topic)));
    }

    private static void staticMembers(Admin admin) throws Exception {
        String topic = "java-static";
        admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
        Member one = new Member(topic, topic, Map.of("group.instance.id", "one"));
        Member two = new Member(topic, topic, Map.of("group.instance.id", "two"));
        until("static: two members share", List.of(one, two), () -> one.holds() == 2 && two.holds() == 2);
        int revoked = one.revoked;
        Set<TopicPartition> held = two.consumer.assignment();
        two.close();
        Member back = new Member(topic, topic, Map.of("group.instance.id", "two"));
        until("static: it is back", List.of(one, back), () -> back.holds() == 2);
        Checks.equal("static: it has what it had", held, back.consumer.assignment());
        Checks.equal("static: the other noticed nothing", List.of(revoked, 2), List.of(one.revoked, one.holds()));
        // A second one of the same name takes its place, and the first is fenced.
        Member thief = new Member(topic, topic, Map.of("group.instance.id", "two"));
        until("static: another takes its place", List.of(one, thief), () -> thief.holds() == 2);
        Checks.fails("static: and it is fenced", "FENCED_INSTANCE_ID", () -> {
            long deadline = System.currentTimeMillis() + 20_000;
            while (System.currentTimeMillis() < deadline) {
                back.poll();
            }
            return null;
        });
        for (Member member : List.of(one, back, thief)) {
            member.close();
        }
        admin.removeMembersFromConsumerGroup(topic, new RemoveMembersFromConsumerGroupOptions(
            List.of(new MemberToRemove("one"), new MemberToRemove("two")))).all().get();
        Checks.equal("static: taken out", "EMPTY", admin.describeConsumerGroups(List.of(topic)).all().get().get(topic).groupState().name());
    }

    /** A member that was taken out can't commit. */
    private static void zombies(Admin admin) throws Exception {
        String topic = "java-zombies";
        admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
        write(topic, 0, 8);
        Member one = new Member(topic, topic, Map.of("max.poll.interval.ms", 10_000));
        until("zombies: it reads", List.of(one), () -> one.read.size() == 8);
        admin.removeMembersFromConsumerGroup(topic, new RemoveMembersFromConsumerGroupOptions()).all().get();
        Member two = new Member(topic, topic, Map.of());
        until("zombies: another has it all", List.of(two), () -> two.holds() == PARTITIONS);
        two.consumer.commitSync();
        try {
            one.consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0)));
            Checks.equal("zombies: its commit", "refused", "taken");
        } catch (CommitFailedException refused) {
            Checks.equal("zombies: its commit", "refused", "refused");
        }
        one.consumer.close();
        two.close();
    }
}
