package main

import (
	"strings"

	"checks/checks"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func createTopics(admin *kadm.Client) {
	var topics []string
	for _, codec := range codecs {
		topics = append(topics, "franz-"+codec.name)
	}
	made := checks.Must(admin.CreateTopics(ctx, 2, 1, nil, topics...))
	checks.Equal("topics are made", nil, made.Error())
	for _, topic := range []struct {
		name       string
		partitions int32
	}{{"franz-acks", 1}, {"franz-keyed", 4}, {"franz-default", -1}} {
		one := checks.Must(admin.CreateTopic(ctx, topic.partitions, -1, nil, topic.name))
		want := topic.partitions
		if want == -1 {
			want = 4
		}
		checks.Equal(topic.name+" has its partitions", []int32{want, 1}, []int32{one.NumPartitions, int32(one.ReplicationFactor)})
	}
	hour := "3600000"
	one := checks.Must(admin.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": &hour}, "franz-config"))
	config := one.Configs["retention.ms"]
	checks.Equal("the answer has the topic's configs", "3600000 DYNAMIC_TOPIC_CONFIG", config.MaybeValue()+" "+config.Source.String())
}

func configsOf(resources kadm.ResourceConfigs, err error) map[string]string {
	found := map[string]string{}
	for _, resource := range checks.Must(resources, err) {
		if resource.Err != nil {
			found["error"] = resource.Err.(*kerr.Error).Message
		}
		for _, config := range resource.Configs {
			found[config.Key] = config.MaybeValue() + " " + config.Source.String()
		}
	}
	return found
}

// exists asks with a client that has cached nothing yet.
func exists(topic string) bool {
	fresh := client()
	defer fresh.Close()
	return checks.Must(kadm.NewClient(fresh).ListTopics(ctx)).Has(topic)
}

func administer(admin *kadm.Client) {
	cluster := checks.Must(admin.BrokerMetadata(ctx))
	checks.Equal("the cluster has one node, its controller, and an id", []int{1, int(cluster.Controller), 22},
		[]int{len(cluster.Brokers), int(cluster.Brokers[0].NodeID), len(cluster.Cluster)})
	node := cluster.Controller
	topics := checks.Must(admin.ListTopics(ctx))
	gzip := topics["franz-gzip"]
	checks.Equal("topics are listed", []bool{true, true}, []bool{topics.Has("franz-keyed"), topics.Has("franz-default")})
	checks.Equal("with their partitions", []int{2, 4}, []int{len(gzip.Partitions), len(topics["franz-default"].Partitions)})
	checks.Equal("its replicas", []int32{node, node, node}, []int32{gzip.Partitions[1].Leader, gzip.Partitions[1].Replicas[0], gzip.Partitions[1].ISR[0]})
	checks.Equal("a topic that isn't there", int16(3), code(checks.Must(admin.ListTopics(ctx, "franz-nowhere"))["franz-nowhere"].Err))

	var epochs kadm.OffsetForLeaderEpochRequest
	epochs.Add("franz-gzip", 1, gzip.Partitions[1].LeaderEpoch)
	for _, at := range checks.Must(admin.OffsetForLeaderEpoch(ctx, epochs))["franz-gzip"] {
		checks.Equal("the end of the leader's epoch", []int64{int64(gzip.Partitions[1].LeaderEpoch), count}, []int64{int64(at.LeaderEpoch), at.EndOffset})
	}

	producers := checks.Must(admin.DescribeProducers(ctx, kadm.TopicsSet{"franz-gzip": {0: {}, 1: {}}}))
	checks.Equal("a partition that nobody has written to has no producers", 0, len(producers["franz-gzip"].Partitions[0].ActiveProducers))
	active := producers["franz-gzip"].Partitions[1].ActiveProducers.Sorted()
	checks.Equal("one producer has written", 1, len(active))
	checks.Equal("how far it came", []int64{count - 1, 1_700_000_000_000 + 10*(count-1), -1},
		[]int64{int64(active[0].LastSequence), active[0].LastTimestamp, active[0].CurrentTxnStartOffset})

	for _, directories := range checks.Must(admin.DescribeAllLogDirs(ctx, nil)) {
		for _, directory := range directories {
			checks.Equal("the log directory is sound", nil, directory.Err)
			checks.Equal("its volume has a size and room", true, 0 < directory.UsableBytes && directory.UsableBytes < directory.TotalBytes)
			partition, found := directory.Topics.Lookup("franz-none", 1)
			checks.Equal("a partition lies there and has a size", []bool{true, true}, []bool{found, 10_000 < partition.Size})
		}
	}

	configs(admin, node)
	partitions(admin)
	deleteRecords(admin)
	mistakesOfAdministrators(admin)

	checks.Equal("a topic is deleted", nil, checks.Must(admin.DeleteTopic(ctx, "franz-lz4")).Err)
	_, err := admin.DeleteTopic(ctx, "franz-lz4")
	checks.Equal("deleting it again", int16(3), code(err))
	checks.Equal("it is gone", false, exists("franz-lz4"))
}

func configs(admin *kadm.Client, node int32) {
	value := func(text string) *string { return &text }
	alter := func(topic string, changes ...kadm.AlterConfig) error {
		answers := checks.Must(admin.AlterTopicConfigs(ctx, changes, topic))
		return answers[0].Err
	}
	topic := func() map[string]string { return configsOf(admin.DescribeTopicConfigs(ctx, "franz-config")) }
	checks.Equal("a default says so", "604800000 DEFAULT_CONFIG", topic()["segment.ms"])
	checks.Equal("set and appended", nil, alter("franz-config", kadm.AlterConfig{Op: kadm.SetConfig, Name: "segment.ms", Value: value("7200000")},
		kadm.AlterConfig{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: value("compact")}))
	checks.Equal("both are there", []string{"7200000 DYNAMIC_TOPIC_CONFIG", "delete,compact DYNAMIC_TOPIC_CONFIG"},
		[]string{topic()["segment.ms"], topic()["cleanup.policy"]})
	checks.Equal("deleted and subtracted", nil, alter("franz-config", kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "segment.ms"},
		kadm.AlterConfig{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: value("compact")}))
	checks.Equal("what was before", []string{"604800000 DEFAULT_CONFIG", "delete DYNAMIC_TOPIC_CONFIG"},
		[]string{topic()["segment.ms"], topic()["cleanup.policy"]})
	bad := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.ms", Value: value("soon")}}
	checks.Equal("a bad value", int16(40), code(alter("franz-config", bad...)))
	checks.Equal("a bad value, only validated", int16(40), code(checks.Must(admin.ValidateAlterTopicConfigs(ctx, bad, "franz-config"))[0].Err))
	checks.Equal("configs of a topic that isn't there", int16(3), code(alter("franz-nowhere", kadm.AlterConfig{Name: "segment.ms", Value: value("1")})))
	checks.Equal("all at once", nil, checks.Must(admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: value("2000")}}, "franz-config"))[0].Err)
	checks.Equal("takes back the rest", []string{"2000 DYNAMIC_TOPIC_CONFIG", "604800000 DEFAULT_CONFIG"},
		[]string{topic()["max.message.bytes"], topic()["retention.ms"]})

	brokers := func(ids ...int32) map[string]string { return configsOf(admin.DescribeBrokerConfigs(ctx, ids...)) }
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.retention.ms", Value: value("123456789")}}
	checks.Equal("a config of this broker", nil, checks.Must(admin.AlterBrokerConfigs(ctx, set, node))[0].Err)
	checks.Equal("is the broker's", "123456789 DYNAMIC_BROKER_CONFIG", brokers(node)["log.retention.ms"])
	checks.Equal("and its topics'", "123456789 DYNAMIC_BROKER_CONFIG", topic()["retention.ms"])
	set[0].Value = value("223456789")
	checks.Equal("a config of all brokers", nil, checks.Must(admin.AlterBrokerConfigs(ctx, set))[0].Err)
	checks.Equal("lies below", "123456789 DYNAMIC_BROKER_CONFIG", brokers(node)["log.retention.ms"])
	checks.Equal("and is listed by itself", "223456789 DYNAMIC_DEFAULT_BROKER_CONFIG", brokers()["log.retention.ms"])
	set[0].Op = kadm.DeleteConfig
	checks.Must(admin.AlterBrokerConfigs(ctx, set, node))
	checks.Equal("shows when the other is deleted", "223456789 DYNAMIC_DEFAULT_BROKER_CONFIG", topic()["retention.ms"])
	checks.Must(admin.AlterBrokerConfigs(ctx, set))
	checks.Equal("then the default", "604800000 DEFAULT_CONFIG", topic()["retention.ms"])
	readOnly := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "node.id", Value: value("7")}}
	checks.Equal("a config that is read at start", int16(42), code(checks.Must(admin.AlterBrokerConfigs(ctx, readOnly, node))[0].Err))

	listed := checks.Must(admin.ListConfigResources(ctx, kadm.ConfigResourceTopic, kadm.ConfigResourceBroker))
	checks.Equal("resources with configs are listed", true, strings.Contains(strings.Join(listed.Names(), " "), "franz-config"))
}

func partitions(admin *kadm.Client) {
	_, err := admin.CreatePartitions(ctx, 2, "franz-config")
	checks.Equal("two more partitions", nil, err)
	checks.Equal("three in all", 3, len(checks.Must(admin.ListTopics(ctx, "franz-config"))["franz-config"].Partitions))
	only := checks.Must(admin.ValidateUpdatePartitions(ctx, 9, "franz-config"))
	checks.Equal("only validated", int16(0), code(only.Error()))
	checks.Equal("still three", 3, len(checks.Must(admin.ListTopics(ctx, "franz-config"))["franz-config"].Partitions))
	fewer := checks.Must(admin.UpdatePartitions(ctx, 1, "franz-config"))
	checks.Equal("never fewer", int16(37), code(fewer.Error()))
}

func deleteRecords(admin *kadm.Client) {
	before := func(topic string, partition int32, offset int64) (kadm.DeleteRecordsResponse, error) {
		var offsets kadm.Offsets
		offsets.AddOffset(topic, partition, offset, -1)
		return checks.Must(admin.DeleteRecords(ctx, offsets)).On(topic, partition, nil)
	}
	deleted, _ := before("franz-zstd", 1, 100)
	checks.Equal("records are deleted", []int64{100, 0}, []int64{deleted.LowWatermark, int64(code(deleted.Err))})
	found, err := read("franz-zstd", 1, kgo.NewOffset().AtStart(), count)
	checks.Equal("what is left can be read", nil, err)
	checks.Equal("and begins there", checks.Records(count, "zstd")[100:], asSent(found))
	_, err = read("franz-zstd", 1, kgo.NewOffset().At(99), count, kgo.KeepRetryableFetchErrors())
	checks.Equal("what was deleted is out of range", int16(1), code(err))
	deleted, _ = before("franz-zstd", 1, 10_000)
	checks.Equal("deleting beyond the end", int16(1), code(deleted.Err))
	deleted, _ = before("franz-zstd", 1, -1)
	checks.Equal("everything is deleted", int64(count), deleted.LowWatermark)
}

func mistakesOfAdministrators(admin *kadm.Client) {
	text := func(text string) *string { return &text }
	for _, mistake := range []struct {
		name, topic string
		partitions  int32
		replicas    int16
		configs     map[string]*string
		code        int16
	}{
		{"a topic that exists", "franz-gzip", 1, 1, nil, 36},
		{"a bad topic name", "a b", 1, 1, nil, 17},
		{"no partitions", "franz-odd", 0, 1, nil, 37},
		{"more replicas than brokers", "franz-odd", 1, 3, nil, 38},
		{"an unknown config", "franz-odd", 1, 1, map[string]*string{"no.such.config": text("1")}, 40},
		{"a bad config value", "franz-odd", 1, 1, map[string]*string{"retention.ms": text("soon")}, 40},
	} {
		_, err := admin.CreateTopic(ctx, mistake.partitions, mistake.replicas, mistake.configs, mistake.topic)
		checks.Equal(mistake.name, mistake.code, code(err))
	}
	validated := checks.Must(admin.ValidateCreateTopics(ctx, 1, 1, nil, "franz-odd"))
	checks.Equal("only validated", int16(0), code(validated.Error()))
	checks.Equal("is not made", false, exists("franz-odd"))
}
