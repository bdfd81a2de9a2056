package main

import (
	"fmt"
	"sort"
	"time"

	"checks/checks"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	plainTopic  = "franz-transactions"
	inputTopic  = "franz-input"
	outputTopic = "franz-output"
)

// transactions ends transactions either way, and takes records from a topic to another in them.
func transactions() {
	admin := kadm.NewClient(client())
	for _, created := range checks.Must(admin.CreateTopics(ctx, 2, 1, nil, plainTopic, inputTopic, outputTopic)) {
		checks.Equal("a topic is made", nil, created.Err)
	}
	producer := client(kgo.TransactionalID("franz-one"))
	for turn, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		checks.Equal("a transaction begins", nil, producer.BeginTransaction())
		for index := range 20 {
			producer.Produce(ctx, record(plainTopic, int32(index%2), fmt.Sprintf("%d-%02d", turn, index)), nil)
		}
		checks.Equal("its records are written", nil, producer.Flush(ctx))
		checks.Equal("it ends", nil, producer.EndTransaction(ctx, end))
	}
	producer.Close()
	checks.Equal("what was committed is read", 40, len(valuesOf(plainTopic, kgo.ReadCommitted())))
	checks.Equal("who asks for it reads all", 60, len(valuesOf(plainTopic, kgo.ReadUncommitted())))
	transform()
}

func record(topic string, partition int32, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
}

// transform copies all input, aborting now and then: each record has to arrive once.
func transform() {
	source := client()
	var expected []string
	for index := range 200 {
		value := fmt.Sprintf("%03d", index)
		expected = append(expected, value)
		checks.Must(source.ProduceSync(ctx, record(inputTopic, int32(index%2), value)).First())
	}
	source.Close()
	session := checks.Must(kgo.NewGroupTransactSession(
		kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("franz-transform"),
		kgo.ConsumerGroup("franz-transform"), kgo.ConsumeTopics(inputTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets()))
	taken := 0
	for turn := 0; taken < 200 && turn < 100; turn++ {
		fetches := session.PollRecords(ctx, 25)
		checks.Equal("a transaction begins", nil, session.Begin())
		fetches.EachRecord(func(in *kgo.Record) {
			session.Produce(ctx, record(outputTopic, in.Partition, string(in.Value)), nil)
		})
		end := kgo.TryCommit
		if turn%3 == 1 {
			end = kgo.TryAbort
		}
		committed, err := session.End(ctx, end)
		checks.Equal("it ends", nil, err)
		if committed {
			taken += fetches.NumRecords()
		}
	}
	session.Close()
	found := valuesOf(outputTopic, kgo.ReadCommitted())
	sort.Strings(found)
	checks.Equal("each input has one output", expected, found)
}

// valuesOf reads both partitions to their ends, once no transaction is open there any more.
func valuesOf(topic string, isolation kgo.IsolationLevel) []string {
	ends := stableEnds(topic)
	start := kgo.NewOffset().AtStart()
	places := map[string]map[int32]kgo.Offset{topic: {0: start, 1: start}}
	// The end lies behind a marker.
	reader := client(kgo.FetchIsolationLevel(isolation), kgo.ConsumePartitions(places), kgo.KeepControlRecords())
	defer reader.Close()
	var found []string
	reached := map[int32]int64{}
	for reached[0] < ends[0] || reached[1] < ends[1] {
		fetches := reader.PollFetches(ctx)
		checks.Must(fetches, ctx.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			reached[record.Partition] = record.Offset + 1
			if !record.Attrs.IsControl() {
				found = append(found, string(record.Value))
			}
		})
	}
	return found
}

// stableEnds waits until what is stable is all there is: the last marker may come after the answer to who ended it.
func stableEnds(topic string) map[int32]int64 {
	admin := kadm.NewClient(client())
	defer admin.Close()
	for {
		all := checks.Must(admin.ListEndOffsets(ctx, topic))
		stable := checks.Must(admin.ListCommittedOffsets(ctx, topic))
		ends := map[int32]int64{}
		all.Each(func(end kadm.ListedOffset) {
			if same, there := stable.Lookup(topic, end.Partition); there && same.Offset == end.Offset {
				ends[end.Partition] = end.Offset
			}
		})
		if len(ends) == 2 {
			return ends
		}
		time.Sleep(10 * time.Millisecond)
	}
}
