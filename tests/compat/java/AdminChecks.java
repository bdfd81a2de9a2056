import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TopicListing;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;

/** Every method of the admin client that needs neither groups, transactions nor security. */
final class AdminChecks {
    private static final ConfigResource TOPIC = new ConfigResource(ConfigResource.Type.TOPIC, "java-config");
    private static final long LAST = ClientChecks.COUNT - 1;
    private static final TopicPartition PLACE = new TopicPartition("java-gzip", 1);
    private final Admin admin;
    private int node;

    private AdminChecks(Admin admin) {
        this.admin = admin;
    }

    /** After the records of ClientChecks are there. */
    static void run(Admin admin) throws Exception {
        AdminChecks checks = new AdminChecks(admin);
        checks.cluster();
        checks.topics();
        checks.topicConfigs();
        checks.brokerConfigs();
        checks.partitions();
        checks.offsets();
        checks.producers();
        checks.directories();
        checks.deleteRecords();
        checks.deleteTopics();
    }

    private void cluster() throws Exception {
        var cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        Checks.equal("the cluster has one node", 1, cluster.nodes().get().size());
        node = cluster.controller().get().id();
        Checks.equal("which is its controller", node, cluster.nodes().get().iterator().next().id());
        Checks.equal("and has an id", 22, cluster.clusterId().get().length());
        FeatureMetadata features = admin.describeFeatures().featureMetadata().get();
        Checks.equal("features can be asked for", true, features.finalizedFeatures() != null);
    }

    private static NewTopic topic(String name, int partitions, int replicas) {
        return new NewTopic(name, partitions, (short) replicas);
    }

    private Callable<?> creating(NewTopic topic) {
        return () -> admin.createTopics(List.of(topic)).all().get();
    }

    private void topics() throws Exception {
        CreateTopicsResult made = admin.createTopics(List.of(
            topic("java-config", 1, 1).configs(Map.of("retention.ms", "3600000")),
            new NewTopic("java-assigned", Map.of(0, List.of(node), 1, List.of(node))),
            topic("java-default", -1, -1)));
        made.all().get();
        Checks.equal("a topic's config is in the answer", "3600000", made.config("java-config").get().get("retention.ms").value());
        Checks.equal("partitions by assignment", 2, made.numPartitions("java-assigned").get());
        Checks.equal("partitions by default", 4, made.numPartitions("java-default").get());
        Set<String> listed = new TreeSet<>(admin.listTopics().names().get());
        Checks.equal("topics are listed", true, listed.containsAll(Set.of("java-config", "java-assigned", "java-zstd")));
        TopicListing one = admin.listTopics().namesToListings().get().get("java-config");
        Uuid id = made.topicId("java-config").get();
        Checks.equal("with their ids", id, one.topicId());

        // By name through DescribeTopicPartitions, one partition a page; by id through Metadata.
        TopicDescription described = admin.describeTopics(List.of("java-default", "java-keyed"),
            new DescribeTopicsOptions().partitionSizeLimitPerResponse(1)).allTopicNames().get().get("java-default");
        Checks.equal("every partition is described", List.of(0, 1, 2, 3), described.partitions().stream().map(p -> p.partition()).toList());
        Checks.equal("its leader, replicas and in-sync replicas", List.of(node, node, node),
            List.of(described.partitions().get(3).leader().id(), described.partitions().get(3).replicas().get(0).id(),
                described.partitions().get(3).isr().get(0).id()));
        Checks.equal("by id", "java-config",
            admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name());
        Checks.fails("a topic that isn't there", "UNKNOWN_TOPIC_OR_PARTITION", () -> admin.describeTopics(List.of("java-nowhere")).allTopicNames().get());
        Checks.fails("an id that isn't there", "UNKNOWN_TOPIC_ID",
            () -> admin.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get());

        Checks.fails("a topic that exists", "TOPIC_ALREADY_EXISTS", creating(topic("java-gzip", 1, 1)));
        Checks.fails("a bad topic name", "INVALID_TOPIC_EXCEPTION", creating(topic("a b", 1, 1)));
        Checks.fails("no partitions", "INVALID_PARTITIONS", creating(topic("java-odd", 0, 1)));
        Checks.fails("more replicas than brokers", "INVALID_REPLICATION_FACTOR", creating(topic("java-odd", 1, 3)));
        Checks.fails("a replica nowhere", "INVALID_REPLICA_ASSIGNMENT", creating(new NewTopic("java-odd", Map.of(0, List.of(77)))));
        Checks.fails("an unknown config", "INVALID_CONFIG", creating(topic("java-odd", 1, 1).configs(Map.of("no.such.config", "1"))));
        Checks.fails("a bad config value", "INVALID_CONFIG", creating(topic("java-odd", 1, 1).configs(Map.of("retention.ms", "soon"))));
        admin.createTopics(List.of(topic("java-odd", 1, 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
        Checks.equal("what is only validated is not made", false, admin.listTopics().names().get().contains("java-odd"));
    }

    private String config(ConfigResource resource, String name) throws Exception {
        Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        ConfigEntry entry = config.get(name);
        return entry == null ? "absent" : entry.value() + " " + entry.source();
    }

    private void alter(ConfigResource resource, AlterConfigOp... operations) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource, List.of(operations))).all().get();
    }

    private static AlterConfigOp operation(OpType type, String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    private void topicConfigs() throws Exception {
        Checks.equal("a topic's own", "3600000 DYNAMIC_TOPIC_CONFIG", config(TOPIC, "retention.ms"));
        Checks.equal("a default", "604800000 DEFAULT_CONFIG", config(TOPIC, "segment.ms"));
        Config whole = admin.describeConfigs(List.of(TOPIC),
            new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(TOPIC);
        Checks.equal("types", ConfigEntry.ConfigType.LONG, whole.get("retention.ms").type());
        Checks.equal("synonyms", "retention.ms=3600000", whole.get("retention.ms").synonyms().stream()
            .map(synonym -> synonym.name() + "=" + synonym.value()).collect(Collectors.joining(" ")));
        alter(TOPIC, operation(OpType.SET, "segment.ms", "7200000"), operation(OpType.APPEND, "cleanup.policy", "compact"));
        Checks.equal("set", "7200000 DYNAMIC_TOPIC_CONFIG", config(TOPIC, "segment.ms"));
        Checks.equal("appended", "delete,compact DYNAMIC_TOPIC_CONFIG", config(TOPIC, "cleanup.policy"));
        alter(TOPIC, operation(OpType.DELETE, "segment.ms", null), operation(OpType.SUBTRACT, "cleanup.policy", "compact"));
        Checks.equal("deleted", "604800000 DEFAULT_CONFIG", config(TOPIC, "segment.ms"));
        Checks.equal("subtracted", "delete DYNAMIC_TOPIC_CONFIG", config(TOPIC, "cleanup.policy"));
        AlterConfigOp bad = operation(OpType.SET, "segment.ms", "soon");
        Checks.fails("a bad value", "INVALID_CONFIG", () -> { alter(TOPIC, bad); return "done"; });
        Checks.fails("a list operation on a number", "INVALID_CONFIG",
            () -> { alter(TOPIC, operation(OpType.APPEND, "segment.ms", "1")); return "done"; });
        admin.incrementalAlterConfigs(Map.of(TOPIC, List.of(operation(OpType.SET, "segment.ms", "1234567"))),
            new AlterConfigsOptions().validateOnly(true)).all().get();
        Checks.equal("what is only validated is not changed", "604800000 DEFAULT_CONFIG", config(TOPIC, "segment.ms"));
        ConfigResource nowhere = new ConfigResource(ConfigResource.Type.TOPIC, "java-nowhere");
        Checks.fails("configs of a topic that isn't there", "UNKNOWN_TOPIC_OR_PARTITION", () -> config(nowhere, "segment.ms"));
        Checks.fails("nor can they be set", "UNKNOWN_TOPIC_OR_PARTITION",
            () -> { alter(nowhere, operation(OpType.SET, "segment.ms", "1234567")); return "done"; });
    }

    private void brokerConfigs() throws Exception {
        ConfigResource own = new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(node));
        ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
        ConfigResource zstd = new ConfigResource(ConfigResource.Type.TOPIC, "java-zstd");
        alter(all, operation(OpType.SET, "log.segment.bytes", "223456789"));
        alter(own, operation(OpType.SET, "log.segment.bytes", "123456789"));
        Checks.equal("the broker's own", "123456789 DYNAMIC_BROKER_CONFIG", config(own, "log.segment.bytes"));
        Checks.equal("all brokers'", "223456789 DYNAMIC_DEFAULT_BROKER_CONFIG", config(all, "log.segment.bytes"));
        Checks.equal("what a topic makes of it", "123456789 DYNAMIC_BROKER_CONFIG", config(zstd, "segment.bytes"));
        alter(own, operation(OpType.DELETE, "log.segment.bytes", null));
        Checks.equal("then all brokers'", "223456789 DYNAMIC_DEFAULT_BROKER_CONFIG", config(zstd, "segment.bytes"));
        alter(all, operation(OpType.DELETE, "log.segment.bytes", null));
        Checks.equal("then the default", "1073741824 DEFAULT_CONFIG", config(zstd, "segment.bytes"));
        Checks.fails("a config that is read at start", "INVALID_REQUEST",
            () -> { alter(own, operation(OpType.SET, "node.id", "7")); return "done"; });
        Collection<ConfigResource> listed =
            admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER), new ListConfigResourcesOptions()).all().get();
        Checks.equal("resources are listed", true, listed.contains(TOPIC) && listed.contains(own));
    }

    private void partitions() throws Exception {
        admin.createPartitions(Map.of("java-config", NewPartitions.increaseTo(3, List.of(List.of(node), List.of(node))))).all().get();
        admin.createPartitions(Map.of("java-config", NewPartitions.increaseTo(9)), new CreatePartitionsOptions().validateOnly(true)).all().get();
        Checks.equal("two more partitions, and none of those only validated", 3,
            admin.describeTopics(List.of("java-config")).allTopicNames().get().get("java-config").partitions().size());
        for (Map.Entry<String, Map<String, NewPartitions>> mistake : Map.of(
                "INVALID_PARTITIONS", Map.of("java-config", NewPartitions.increaseTo(2)),
                "UNKNOWN_TOPIC_OR_PARTITION", Map.of("java-nowhere", NewPartitions.increaseTo(2)),
                "INVALID_REPLICA_ASSIGNMENT", Map.of("java-config", NewPartitions.increaseTo(4, List.of(List.of(77))))).entrySet()) {
            Checks.fails("partitions that can't be", mistake.getKey(), () -> admin.createPartitions(mistake.getValue()).all().get());
        }
    }

    private String offset(OffsetSpec spec) throws Exception {
        ListOffsetsResultInfo found = admin.listOffsets(Map.of(PLACE, spec)).all().get().get(PLACE);
        return found.offset() + " " + found.timestamp();
    }

    private void offsets() throws Exception {
        long time = ClientChecks.BEGINNING;
        Checks.equal("earliest", "0 -1", offset(OffsetSpec.earliest()));
        Checks.equal("latest", LAST + 1 + " -1", offset(OffsetSpec.latest()));
        Checks.equal("of a time", "200 " + (time + 2000), offset(OffsetSpec.forTimestamp(time + 1995)));
        Checks.equal("of a time to come", "-1 -1", offset(OffsetSpec.forTimestamp(ClientChecks.FUTURE)));
        Checks.equal("of the latest time", LAST + " " + (time + 10 * LAST), offset(OffsetSpec.maxTimestamp()));
        Checks.equal("earliest local", "0 -1", offset(OffsetSpec.earliestLocal()));
        Checks.equal("latest tiered", "-1 -1", offset(OffsetSpec.latestTiered()));
        Checks.equal("earliest pending upload", "-1 -1", offset(OffsetSpec.earliestPendingUpload()));
        Checks.fails("of a topic that isn't there", "UNKNOWN_TOPIC_OR_PARTITION", () -> admin.listOffsets(
            Map.of(new TopicPartition("java-nowhere", 0), OffsetSpec.latest()), new ListOffsetsOptions().timeoutMs(5000)).all().get());
    }

    private void producers() throws Exception {
        List<ProducerState> active = admin.describeProducers(List.of(PLACE)).partitionResult(PLACE).get().activeProducers();
        Checks.equal("one producer has written", 1, active.size());
        ProducerState producer = active.get(0);
        Checks.equal("how far it came", LAST + " " + (ClientChecks.BEGINNING + 10 * LAST) + " OptionalLong.empty",
            producer.lastSequence() + " " + producer.lastTimestamp() + " " + producer.currentTransactionStartOffset());
        TopicPartition empty = new TopicPartition("java-gzip", 0);
        Checks.equal("nobody elsewhere", 0, admin.describeProducers(List.of(empty)).partitionResult(empty).get().activeProducers().size());
    }

    private void directories() throws Exception {
        Map<String, LogDirDescription> directories = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
        Checks.equal("one log directory", 1, directories.size());
        LogDirDescription directory = directories.values().iterator().next();
        Checks.equal("without an error", true, directory.error() == null);
        Checks.equal("with a size and room", true, 0 < directory.usableBytes().getAsLong() && directory.usableBytes().getAsLong() < directory.totalBytes().getAsLong());
        Checks.equal("a partition has a size", true, 5000 < directory.replicaInfos().get(PLACE).size());
        TopicPartitionReplica replica = new TopicPartitionReplica("java-gzip", 1, node);
        Checks.equal("a replica's directory", directories.keySet().iterator().next(),
            admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica).getCurrentReplicaLogDir());
    }

    private long deleteBefore(TopicPartition place, long offset) throws Exception {
        return admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(offset))).lowWatermarks().get(place).get().lowWatermark();
    }

    private void deleteRecords() throws Exception {
        TopicPartition place = new TopicPartition("java-none", 1);
        Checks.equal("records are deleted", 100L, deleteBefore(place, 100));
        Checks.equal("what is left", IntStream.rangeClosed(100, (int) LAST).mapToObj(Long::valueOf).toList(),
            ClientChecks.read("java-none", 1, 100, Map.of()).stream().map(record -> record.offset()).toList());
        Checks.fails("what was deleted is out of range", "OffsetOutOfRangeException", () -> ClientChecks.read("java-none", 1, 99, Map.of()));
        Checks.fails("deleting beyond the end", "OFFSET_OUT_OF_RANGE", () -> deleteBefore(place, 10_000));
        Checks.equal("everything is deleted", LAST + 1, deleteBefore(place, -1));
        Checks.equal("an empty topic begins at its end", true, ClientChecks.read("java-none", 1, LAST + 1, Map.of()).isEmpty());
    }

    private void deleteTopics() throws Exception {
        Uuid id = admin.describeTopics(List.of("java-default")).allTopicNames().get().get("java-default").topicId();
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        admin.deleteTopics(List.of("java-lz4")).all().get();
        Set<String> left = admin.listTopics().names().get();
        Checks.equal("by id and by name", true, !left.contains("java-default") && !left.contains("java-lz4") && left.contains("java-gzip"));
        Checks.fails("deleting it again", "UNKNOWN_TOPIC_OR_PARTITION", () -> admin.deleteTopics(List.of("java-lz4")).all().get());
        Checks.fails("and by id", "UNKNOWN_TOPIC_ID", () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
    }
}
