import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Kafka's own command-line tools against a broker without automatic topics: ToolChecks HOST:PORT.
 *
 * <p>Their mains run in one virtual machine, since starting one costs more than the tools do.
 */
final class ToolChecks {
    private static final String TOOLS = "org.apache.kafka.tools.";
    private static String broker;

    /** How a tool ended, with what it printed to both outputs. */
    record Run(int code, String said) {}

    /** The code of the first exit that a tool asked for: some catch what that throws, and exit again. */
    private static Integer exited;

    /** What the tool that runs wants to have done at its end. */
    private static final List<Runnable> hooks = new ArrayList<>();

    private static final class Exited extends Error {}

    private static void exit(int code) {
        exited = exited == null ? code : exited;
        throw new Exited();
    }

    private ToolChecks() {}

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        Exit.setExitProcedure((code, message) -> exit(code));
        Exit.setHaltProcedure((code, message) -> exit(code));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        topics();
        configs();
        console();
        offsetsAndRecords();
        load();
        groups();
        groupsOfBothProtocols();
        transactions();
        cluster();
        deletion();
        Checks.finish();
    }

    private static Run run(String tool, String input, String... arguments) throws Exception {
        PrintStream out = System.out;
        PrintStream error = System.err;
        InputStream in = System.in;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        try (PrintStream captured = new PrintStream(said, true)) {
            System.setOut(captured);
            System.setErr(captured);
            System.setIn(new ByteArrayInputStream(input.getBytes()));
            return new Run(codeOf(tool, arguments), said.toString());
        } finally {
            System.setOut(out);
            System.setErr(error);
            System.setIn(in);
        }
    }

    private static int codeOf(String tool, String[] arguments) throws Exception {
        String name = tool.startsWith("kafka.") ? tool : TOOLS + tool;
        exited = null;
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException thrown) {
            if (exited == null) {
                thrown.getCause().printStackTrace(System.err);
                return -1;
            }
        } finally {
            hooks.forEach(Runnable::run);
            hooks.clear();
        }
        return exited == null ? 0 : exited;
    }

    /** A tool that does its last things when its virtual machine ends. */
    private static Run process(String tool, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java"),
            "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), TOOLS + tool));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes());
        return new Run(process.waitFor(), said);
    }

    /** A tool that is told where the broker is; the words of a line are its arguments. */
    private static Run tool(String tool, String arguments) throws Exception {
        return run(tool, "", ("--bootstrap-server " + broker + " " + arguments).trim().split(" "));
    }

    /** It has to end with this code, and what it said has to contain a match. */
    private static void says(String name, int code, String pattern, Run run) {
        boolean holds = run.code == code && Pattern.compile(pattern, Pattern.DOTALL).matcher(run.said).find();
        Checks.equal(name, "exit " + code + ", /" + pattern + "/", holds ? "exit " + code + ", /" + pattern + "/" : run.toString());
    }

    private static List<String> lines(Run run) {
        return run.said.lines().filter(line -> !line.startsWith("SLF4J")).toList();
    }

    private static void topics() throws Exception {
        says("topics: created", 0, "Created topic tools\\.",
            tool("TopicCommand", "--create --topic tools --partitions 3 --replication-factor 1 --config retention.ms=3600000"));
        says("topics: created with defaults", 0, "Created topic tools-keyed", tool("TopicCommand", "--create --topic tools-keyed"));
        says("topics: created again", 1, "already exists", tool("TopicCommand", "--create --topic tools"));
        says("topics: created if it isn't there", 0, "", tool("TopicCommand", "--create --if-not-exists --topic tools"));
        says("topics: a bad config", 1, "Unknown topic config name|no.such.config", tool("TopicCommand", "--create --topic tools-odd --config no.such.config=1"));
        says("topics: too many replicas", 1, "(?i)replication factor", tool("TopicCommand", "--create --topic tools-odd --replication-factor 3"));
        Checks.equal("topics: listed", List.of("tools", "tools-keyed"),
            lines(tool("TopicCommand", "--list")).stream().filter(name -> name.startsWith("tools")).sorted().toList());
        Run described = tool("TopicCommand", "--describe --topic tools");
        says("topics: described", 0, "Topic: tools\tTopicId: \\S{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: .*retention.ms=3600000", described);
        says("topics: each partition", 0, "Partition: 2\tLeader: (\\d+)\tReplicas: \\1\tIsr: \\1", described);
        says("topics: partitions added", 0, "", tool("TopicCommand", "--alter --topic tools --partitions 4"));
        says("topics: and seen", 0, "PartitionCount: 4", tool("TopicCommand", "--describe --topic tools"));
        says("topics: never fewer", 1, "(?i)partition", tool("TopicCommand", "--alter --topic tools --partitions 2"));
        says("topics: described where there is none", 1, "does not exist", tool("TopicCommand", "--describe --topic tools-nowhere"));
        says("topics: none without a leader", 0, "^(?!.*Topic: )", tool("TopicCommand", "--describe --topic tools --unavailable-partitions"));
        says("topics: those with configs of their own", 0, "Topic: tools\t", tool("TopicCommand", "--describe --topics-with-overrides"));
    }

    private static Run groupTool(String arguments) throws Exception {
        return tool("consumer.group.ConsumerGroupCommand", arguments);
    }

    private static void groups() throws Exception {
        says("groups: a topic", 0, "Created", tool("TopicCommand", "--create --topic tools-grouped --partitions 2 --replication-factor 1"));
        String numbers = IntStream.range(0, 100).mapToObj(n -> n + "\n").collect(Collectors.joining());
        says("groups: written", 0, "", run("ConsoleProducer", numbers, "--bootstrap-server", broker, "--topic", "tools-grouped"));
        says("groups: consumed by a group", 0, "Processed a total of 100 messages",
            tool("consumer.ConsoleConsumer", "--topic tools-grouped --group tools-group --from-beginning --max-messages 100 --timeout-ms 30000"));
        says("groups: listed", 0, "(?m)^tools-group\\s+Classic\\s+Empty$|(?m)^tools-group$", groupTool("--list"));
        says("groups: listed with states", 0, "tools-group\\s+Empty", groupTool("--list --state"));
        says("groups: described", 0, "tools-group\\s+tools-grouped\\s+0\\s+\\d+\\s+\\d+\\s+0\\s", groupTool("--describe --group tools-group"));
        says("groups: described by state", 0, "tools-group.*Empty\\s+0", groupTool("--describe --group tools-group --state"));
        says("groups: no active members", 0, "has no active members", groupTool("--describe --group tools-group --members"));
        says("groups: one that isn't there", 0, "Group tools-nobody not found", groupTool("--describe --group tools-nobody"));
        says("groups: a reset on trial", 0, "tools-group\\s+tools-grouped\\s+[01]\\s+0", groupTool("--reset-offsets --group tools-group --topic tools-grouped --to-earliest --dry-run"));
        says("groups: which changed nothing", 0, "tools-group\\s+tools-grouped\\s+0\\s+\\d+\\s+\\d+\\s+0\\s", groupTool("--describe --group tools-group"));
        says("groups: reset", 0, "tools-group\\s+tools-grouped\\s+1\\s+0", groupTool("--reset-offsets --group tools-group --topic tools-grouped --to-earliest --execute"));
        says("groups: everything again", 0, "Processed a total of 100 messages",
            tool("consumer.ConsoleConsumer", "--topic tools-grouped --group tools-group --max-messages 100 --timeout-ms 30000"));
        says("groups: shifted back", 0, "tools-group\\s+tools-grouped\\s+0", groupTool("--reset-offsets --group tools-group --topic tools-grouped:0 --shift-by -1 --execute"));
        says("groups: offsets deleted", 0, "tools-grouped\\s+0\\s+Successful", groupTool("--delete-offsets --group tools-group --topic tools-grouped:0"));
        says("groups: deleted", 0, "Deletion of requested consumer groups \\('tools-group'\\) was successful", groupTool("--delete --group tools-group"));
        Checks.equal("groups: gone", false, groupTool("--list").said.contains("tools-group"));
    }

    /** What the tool tells of members while there are some, and every way to reset offsets once there are none. */
    private static void groupsOfBothProtocols() throws Exception {
        // Few records all go to one partition.
        int full = 0 < endOf("tools-grouped", 0) ? 0 : 1;
        for (String protocol : List.of("classic", "consumer")) {
            String group = "tools-" + protocol;
            String kind = protocol.equals("classic") ? "Classic" : "Consumer";
            try (KafkaConsumer<byte[], byte[]> member = new KafkaConsumer<>(Map.of("bootstrap.servers", broker, "group.id", group,
                    "group.protocol", protocol, "auto.offset.reset", "earliest", "client.id", "tools-client"),
                    new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                member.subscribe(List.of("tools-grouped"));
                int read = 0;
                long deadline = System.nanoTime() + 30_000_000_000L;
                while (read < 100 && System.nanoTime() < deadline) {
                    read += member.poll(Duration.ofMillis(200)).count();
                }
                Checks.equal(protocol + " group: everything is read", 100, read);
                member.commitSync();
                says(protocol + " group: described with its member", 0,
                    group + "\\s+tools-grouped\\s+1\\s+\\d+\\s+\\d+\\s+0\\s+\\S+\\s+/127.0.0.1\\s+tools-client", groupTool("--describe --group " + group));
                says(protocol + " group: its member", 0, group + "\\s+\\S+\\s+/127.0.0.1\\s+tools-client\\s+2", groupTool("--describe --group " + group + " --members"));
                says(protocol + " group: what it has", 0, "tools-grouped[:(]0,\\s*1|tools-grouped:0,tools-grouped:1", groupTool("--describe --group " + group + " --members --verbose"));
                says(protocol + " group: its state", 0, group + "\\s+.*Stable\\s+1", groupTool("--describe --group " + group + " --state"));
                says(protocol + " group: listed by type and state", 0, group + "\\s+" + kind + "\\s+Stable",
                    groupTool("--list --type " + protocol + " --state Stable"));
                says(protocol + " group: not reset while it has members", 0, "(?i)inactive|stable", groupTool("--reset-offsets --group " + group + " --all-topics --to-earliest --execute"));
                says(protocol + " group: not deleted while it has members", 0, "(?i)not empty|could not be deleted", groupTool("--delete --group " + group));
            }
            String reset = "--reset-offsets --group " + group + " --topic tools-grouped";
            says(protocol + " group: to an offset", 0, group + "\\s+tools-grouped\\s+" + full + "\\s+1\\s", groupTool(reset + ":" + full + " --to-offset 1 --execute"));
            says(protocol + " group: and seen", 0, group + "\\s+tools-grouped\\s+" + full + "\\s+1\\s", groupTool("--describe --group " + group));
            says(protocol + " group: to a time before all", 0, "tools-grouped\\s+" + full + "\\s+0\\s", groupTool(reset + " --to-datetime 2020-01-01T00:00:00.000 --execute"));
            says(protocol + " group: back by a duration", 0, "tools-grouped\\s+" + full + "\\s+0\\s", groupTool(reset + " --by-duration P1D --execute"));
            says(protocol + " group: to the end", 0, "tools-grouped\\s+" + full + "\\s+[1-9]", groupTool(reset + " --to-latest --execute"));
            says(protocol + " group: with no lag left", 0, "tools-grouped\\s+0\\s+(\\d+)\\s+\\1\\s+0\\s", groupTool("--describe --all-groups"));
            Path file = Files.createTempFile("reset", ".csv");
            Files.writeString(file, lines(groupTool(reset + " --to-earliest --dry-run --export")).stream()
                .filter(line -> line.contains("tools-grouped")).collect(Collectors.joining("\n")));
            says(protocol + " group: from a file", 0, "tools-grouped\\s+" + full + "\\s+0\\s", groupTool("--reset-offsets --group " + group + " --from-file " + file + " --execute"));
            Files.delete(file);
            says(protocol + " group: everything again", 0, "Processed a total of 100 messages", tool("consumer.ConsoleConsumer",
                "--topic tools-grouped --group " + group + " --command-property group.protocol=" + protocol + " --max-messages 100 --timeout-ms 30000"));
            says(protocol + " group: listed with its type", 0, group + "\\s+" + kind + "\\s+consumer", tool("GroupsCommand", "--list"));
            says(protocol + " group: deleted", 0, "was successful", groupTool("--delete --group " + group));
            says(protocol + " group: gone", 0, "Group " + group + " not found|does not exist", groupTool("--describe --group " + group));
        }
    }

    private static Run transactionTool(String arguments) throws Exception {
        return run("TransactionsCommand", "", ("--bootstrap-server " + broker + " " + arguments).split(" "));
    }

    private static void transactions() throws Exception {
        says("transactions: a topic", 0, "Created", tool("TopicCommand", "--create --topic tools-paid --partitions 2 --replication-factor 1"));
        Map<String, Object> options = Map.of("bootstrap.servers", broker, "transactional.id", "tools-transaction", "transaction.timeout.ms", 60_000);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("tools-paid", 0, null, new byte[3])).get();
            says("transactions: listed", 0, "tools-transaction\\s+\\d+\\s+\\d+\\s+Ongoing", transactionTool("list"));
            says("transactions: not one that took long", 0, "^(?!.*tools-transaction)", transactionTool("list --duration-filter 50000"));
            says("transactions: by a pattern", 0, "tools-transaction\\s+\\d+", transactionTool("list --transactional-id-pattern tools-.*"));
            says("transactions: described", 0, "\\d+\\s+tools-transaction\\s+\\d+\\s+\\d+\\s+Ongoing\\s+60000\\s+\\d+\\s+\\d+\\s+tools-paid-0",
                transactionTool("describe --transactional-id tools-transaction"));
            Run writers = transactionTool("describe-producers --topic tools-paid --partition 0");
            says("transactions: who writes, from where", 0, "\\d+\\s+\\d+\\s+-1\\s+0\\s+\\d+\\s+0", writers);
            says("transactions: none hangs", 0, "^(?!.*tools-paid)", transactionTool("find-hanging --broker-id " + nodeId() + " --max-transaction-timeout 0"));
            Checks.equal("get-offsets: up to the open transaction", List.of("tools-paid:0:1", "tools-paid:1:0"), lines(tool("GetOffsetShell", "--topic tools-paid --time latest")));
            says("transactions: none is read", 0, "Processed a total of 0 messages", tool("consumer.ConsoleConsumer",
                "--topic tools-paid --partition 0 --offset earliest --isolation-level read_committed --max-messages 1 --timeout-ms 1000"));
            says("transactions: aborted by hand", 0, "^(?!.*rror)", transactionTool("abort --topic tools-paid --partition 0 --start-offset 0"));
            says("transactions: and closed", 0, "None", transactionTool("describe-producers --topic tools-paid --partition 0"));
            producer.abortTransaction();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("tools-paid", 1, null, new byte[3])).get();
            producer.commitTransaction();
        }
        says("transactions: the next one is read", 0, "Processed a total of 1 messages", tool("consumer.ConsoleConsumer",
            "--topic tools-paid --partition 1 --offset earliest --isolation-level read_committed --max-messages 1 --timeout-ms 15000"));
        says("transactions: over", 0, "tools-transaction\\s+\\d+\\s+\\d+\\s+CompleteCommit", transactionTool("list"));
    }

    private static Run configTool(String arguments) throws Exception {
        return tool("kafka.admin.ConfigCommand", arguments);
    }

    private static void configs() throws Exception {
        says("configs: of a topic", 0, "retention.ms=3600000 sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:retention.ms=3600000",
            configTool("--describe --entity-type topics --entity-name tools"));
        says("configs: all of a topic", 0, "segment.ms=604800000 sensitive=false synonyms=\\{", configTool("--describe --all --topic tools"));
        says("configs: altered", 0, "Completed updating config for topic tools",
            configTool("--alter --topic tools --add-config segment.ms=7200000,cleanup.policy=[compact,delete]"));
        says("configs: as they were given", 0, "cleanup.policy=compact,delete .*segment.ms=7200000|segment.ms=7200000 .*cleanup.policy=compact,delete",
            configTool("--describe --topic tools"));
        says("configs: deleted", 0, "Completed", configTool("--alter --topic tools --delete-config segment.ms,cleanup.policy"));
        Run left = configTool("--describe --topic tools");
        Checks.equal("configs: gone", false, left.said.contains("segment.ms") || left.said.contains("cleanup.policy"));
        says("configs: deleted where there is none", 0, "Completed", configTool("--alter --topic tools --delete-config segment.ms"));
        says("configs: a bad value", 1, "(?i)invalid value|soon", configTool("--alter --topic tools --add-config segment.ms=soon"));
        says("configs: of a topic that isn't there", 0, "The topic 'tools-nowhere' doesn't exist", configTool("--describe --topic tools-nowhere"));
        String node = nodeId();
        says("configs: of a broker", 0, "Completed updating config for broker " + node, configTool("--alter --broker " + node + " --add-config log.retention.ms=123456789"));
        says("configs: of all brokers", 0, "Completed updating default config for brokers", configTool("--alter --broker-defaults --add-config log.retention.ms=223456789"));
        says("configs: a broker's", 0, "log.retention.ms=123456789 .*DYNAMIC_BROKER_CONFIG:log.retention.ms=123456789, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=223456789",
            configTool("--describe --broker " + node));
        says("configs: all of a broker", 0, "num.partitions=4 ", configTool("--describe --all --broker " + node));
        says("configs: all brokers'", 0, "log.retention.ms=223456789", configTool("--describe --broker-defaults"));
        says("configs: of a broker, deleted", 0, "Completed", configTool("--alter --broker " + node + " --delete-config log.retention.ms"));
        says("configs: of all brokers, deleted", 0, "Completed", configTool("--alter --broker-defaults --delete-config log.retention.ms"));
        says("configs: one that is read at start", 1, "(?i)node.id", configTool("--alter --broker " + node + " --add-config node.id=7"));
    }

    private static String nodeId() throws Exception {
        Run described = tool("TopicCommand", "--describe --topic tools");
        var leader = Pattern.compile("Leader: (\\d+)").matcher(described.said);
        return leader.find() ? leader.group(1) : "none";
    }

    private static void console() throws Exception {
        String[] plain = {"--bootstrap-server", broker, "--topic", "tools"};
        String numbers = IntStream.range(0, 100).mapToObj(n -> n + "\n").collect(Collectors.joining());
        says("console: produced", 0, "", run("ConsoleProducer", numbers, plain));
        String[] keyed = {"--bootstrap-server", broker, "--topic", "tools-keyed", "--compression-codec", "zstd",
            "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
            "--reader-property", "key.separator=|", "--reader-property", "headers.delimiter=#"};
        says("console: with keys and headers", 0, "", run("ConsoleProducer", "h1:v1,h1:v2#k1|one\nh2:v#k1|two\n", keyed));
        int total = 0;
        for (int partition = 0; partition < 4; partition++) {
            total += ends("tools")[partition];
        }
        Checks.equal("console: everything arrived", 100, total);
        int partition = IntStream.range(0, 4).filter(one -> 0 < endOf("tools", one)).findFirst().orElse(0);
        Run all = tool("consumer.ConsoleConsumer", "--topic tools --partition " + partition + " --offset earliest --timeout-ms 15000 --max-messages " + endOf("tools", partition));
        List<Integer> values = lines(all).stream().filter(line -> line.matches("\\d+")).map(Integer::valueOf).toList();
        Checks.equal("console: consumed in order", values.stream().sorted().toList(), values);
        says("console: consumed to the end", 0, "Processed a total of " + endOf("tools", partition) + " messages", all);
        Run last = tool("consumer.ConsoleConsumer", "--topic tools --partition " + partition + " --offset " + (endOf("tools", partition) - 1) + " --max-messages 1 --timeout-ms 15000");
        says("console: from an offset", 0, "(?m)^" + values.get(values.size() - 1) + "$", last);
        int where = IntStream.range(0, 4).filter(one -> 0 < endOf("tools-keyed", one)).findFirst().orElse(0);
        says("console: keys, headers, offsets and partitions", 0,
            "CreateTime:\\d+\tPartition:" + where + "\tOffset:0\th1:v1,h1:v2\tk1\tone\nCreateTime:\\d+\tPartition:" + where + "\tOffset:1\th2:v\tk1\ttwo",
            tool("consumer.ConsoleConsumer", "--topic tools-keyed --partition " + where + " --offset earliest --max-messages 2 --timeout-ms 15000"
                + " --isolation-level read_committed --formatter-property print.key=true --formatter-property print.headers=true --formatter-property print.timestamp=true"
                + " --formatter-property print.offset=true --formatter-property print.partition=true"));
        says("console: nothing more", 0, "Processed a total of 0 messages",
            tool("consumer.ConsoleConsumer", "--topic tools-keyed --partition " + where + " --offset latest --max-messages 1 --timeout-ms 300"));
    }

    private static int[] ends(String topic) throws Exception {
        int[] ends = new int[4];
        for (String line : lines(tool("GetOffsetShell", "--topic " + topic))) {
            String[] parts = line.split(":");
            if (parts.length == 3 && parts[0].equals(topic)) {
                ends[Integer.parseInt(parts[1])] = Integer.parseInt(parts[2]);
            }
        }
        return ends;
    }

    private static int endOf(String topic, int partition) {
        try {
            return ends(topic)[partition];
        } catch (Exception thrown) {
            throw new IllegalStateException(thrown);
        }
    }

    private static void offsetsAndRecords() throws Exception {
        says("topics: one for offsets", 0, "Created", tool("TopicCommand", "--create --topic tools-offsets --partitions 2"));
        Run verifiable = process("VerifiableProducer", "--bootstrap-server", broker, "--topic", "tools-offsets", "--max-messages", "50",
            "--message-create-time", "1700000000000");
        says("verifiable producer: everything is acknowledged", 0, "\"acked\":50", verifiable);
        Checks.equal("verifiable producer: each by itself", 50L, verifiable.said.lines().filter(line -> line.contains("producer_send_success")).count());
        int[] ends = ends("tools-offsets");
        Checks.equal("get-offsets: all of them", 50, Arrays.stream(ends).sum());
        Checks.equal("get-offsets: earliest", List.of("tools-offsets:0:0", "tools-offsets:1:0"), offsetsAt("earliest"));
        Checks.equal("get-offsets: earliest local", List.of("tools-offsets:0:0", "tools-offsets:1:0"), offsetsAt("-4"));
        Checks.equal("get-offsets: latest", List.of("tools-offsets:0:" + ends[0], "tools-offsets:1:" + ends[1]), offsetsAt("latest"));
        Checks.equal("get-offsets: latest tiered, and there is none", List.of(), offsetsAt("-5"));
        Checks.equal("get-offsets: of a time to come", List.of(), offsetsAt("9999999999999"));
        says("get-offsets: the latest time", 0, "tools-offsets:\\d:\\d+", tool("GetOffsetShell", "--topic-partitions tools-offsets:0-2 --time max-timestamp"));
        says("get-offsets: where there is none", 1, "(?i)could not match", tool("GetOffsetShell", "--topic tools-nowhere"));
        int half = endOf("tools-offsets", 0) / 2;
        Path file = Files.createTempFile("delete-records", ".json");
        Files.writeString(file, "{\"partitions\":[{\"topic\":\"tools-offsets\",\"partition\":0,\"offset\":" + half
            + "},{\"topic\":\"tools-offsets\",\"partition\":1,\"offset\":100000}],\"version\":1}");
        Run deleted = tool("DeleteRecordsCommand", "--offset-json-file " + file);
        Files.delete(file);
        says("delete-records: the new beginning", 0, "partition: tools-offsets-0\tlow_watermark: " + half + "\n", deleted);
        says("delete-records: beyond the end", 0, "partition: tools-offsets-1\terror: .*OffsetOutOfRange", deleted);
        says("get-offsets: after it", 0, "tools-offsets:0:" + half + "\n", tool("GetOffsetShell", "--topic tools-offsets --time earliest"));
    }

    private static List<String> offsetsAt(String time) throws Exception {
        return lines(tool("GetOffsetShell", "--topic tools-offsets --time " + time));
    }

    private static void load() throws Exception {
        says("topics: one for load", 0, "Created", tool("TopicCommand", "--create --topic tools-load --partitions 4"));
        String[] arguments = {"--bootstrap-server", broker, "--topic", "tools-load", "--num-records", "20000", "--record-size", "200",
            "--throughput", "-1", "--command-property", "acks=all", "--command-property", "compression.type=lz4", "--command-property", "linger.ms=5"};
        says("producer-perf-test: all sent", 0, "20000 records sent.*99.9th", run("ProducerPerformance", "", arguments));
        Checks.equal("producer-perf-test: all there", 20000, Arrays.stream(ends("tools-load")).sum());
        says("transactions: who writes", 0, "ProducerId\\s+ProducerEpoch\\s+LatestCoordinatorEpoch\\s+LastSequence",
            run("TransactionsCommand", "", "--bootstrap-server", broker, "describe-producers", "--topic", "tools-load", "--partition", "0"));
    }

    private static void cluster() throws Exception {
        says("cluster: its id", 0, "Cluster ID: \\S{22}", run("ClusterTool", "", "cluster-id", "--bootstrap-server", broker));
        says("cluster: its nodes", 0, "127.0.0.1", run("ClusterTool", "", "list-endpoints", "--bootstrap-server", broker));
        Run versions = tool("BrokerApiVersionsCommand", "");
        says("broker-api-versions: what is served", 0, "Produce\\(0\\): 0 to \\d+ \\[usable: \\d+\\]|Produce\\(0\\): \\d+ to \\d+ \\[usable: \\d+\\]", versions);
        says("broker-api-versions: by all of Kafka's versions", 0, "DescribeTopicPartitions\\(75\\): 0 \\[usable: 0\\]", versions);
        Run features = run("FeatureCommand", "", "--bootstrap-server", broker, "describe");
        Checks.equal("features: described", 0, features.code);
        says("log-dirs: each partition", 0, "\"partition\":\"tools-load-0\",\"size\":[1-9]\\d+,\"offsetLag\":0,\"isFuture\":false", tool("LogDirsCommand", "--describe"));
        says("log-dirs: of one topic", 0, "\"partition\":\"tools-load-3\"", tool("LogDirsCommand", "--describe --topic-list tools-load"));
        says("topics: one for compatibility", 0, "Created", tool("TopicCommand", "--create --topic tools-compatible --partitions 1"));
        // Apache Kafka knows of access control lists; nothing else is different there.
        says("client compatibility test", 0, "SUCCESS", tool("ClientCompatibilityTest", "--topic tools-compatible --num-cluster-nodes 1"
            + " --offsets-for-times-supported true --cluster-id-supported true --expect-record-too-large-exception false"
            + " --create-topics-supported true --describe-configs-supported true --idempotent-producer-supported true"
            + " --describe-acls-supported false"));
        says("client-metrics: nothing to list", 0, "", run("ClientMetricsCommand", "", "--bootstrap-server", broker, "--list"));
    }

    private static void deletion() throws Exception {
        says("topics: deleted", 0, "", tool("TopicCommand", "--delete --topic tools-load"));
        Checks.equal("topics: gone", false, lines(tool("TopicCommand", "--list")).contains("tools-load"));
        says("topics: deleted again", 1, "does not exist", tool("TopicCommand", "--delete --topic tools-load"));
        says("topics: deleted if it is there", 0, "", tool("TopicCommand", "--delete --if-exists --topic tools-load"));
    }
}
