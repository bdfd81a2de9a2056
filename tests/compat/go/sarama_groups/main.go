// Groups with sarama, by today's versions of the protocol and by the oldest: sarama_groups HOST:PORT
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"checks/checks"

	"github.com/IBM/sarama"
)

var broker = os.Args[1]

// member is a consumer of a group that notes what it reads and holds.
type member struct {
	group sarama.ConsumerGroup
	stop  context.CancelFunc
	ended chan struct{}
	lock  sync.Mutex
	read  []int
	held  int
}

func (one *member) Setup(session sarama.ConsumerGroupSession) error {
	one.lock.Lock()
	defer one.lock.Unlock()
	one.held = 0
	for _, partitions := range session.Claims() {
		one.held += len(partitions)
	}
	return nil
}

func (one *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (one *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			one.lock.Lock()
			one.read = append(one.read, checks.Must(strconv.Atoi(string(message.Value))))
			one.lock.Unlock()
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func config(version sarama.KafkaVersion) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = version
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Metadata.AllowAutoTopicCreation = false
	return config
}

func join(config *sarama.Config, name, topic string) *member {
	ctx, stop := context.WithCancel(context.Background())
	one := &member{group: checks.Must(sarama.NewConsumerGroup([]string{broker}, name, config)), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(one.ended)
		for ctx.Err() == nil {
			if err := one.group.Consume(ctx, []string{topic}, one); err != nil && ctx.Err() == nil {
				checks.Equal("a session of the group", nil, err)
				return
			}
		}
	}()
	return one
}

func (one *member) leave() {
	one.stop()
	<-one.ended
	checks.Equal("it leaves", nil, one.group.Close())
}

func (one *member) holds() int {
	one.lock.Lock()
	defer one.lock.Unlock()
	return one.held
}

func taken(members ...*member) []int {
	var all []int
	for _, one := range members {
		one.lock.Lock()
		all = append(all, one.read...)
		one.lock.Unlock()
	}
	sort.Ints(all)
	return all
}

func until(what string, holds func() bool) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	checks.Equal(what+", in time", true, false)
}

func numbers(first, count int) []int {
	var all []int
	for index := first; index < first+count; index++ {
		all = append(all, index)
	}
	return all
}

func each(version sarama.KafkaVersion) {
	config, name := config(version), version.String()
	topic, group := "sarama-groups-"+name, "sarama-groups-"+name
	admin := checks.Must(sarama.NewClusterAdmin([]string{broker}, config))
	checks.Equal("a topic is made", nil, admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 4, ReplicationFactor: 1}, false))
	producer := checks.Must(sarama.NewSyncProducer([]string{broker}, config))
	write := func(first, count int) {
		for _, index := range numbers(first, count) {
			message := &sarama.ProducerMessage{Topic: topic, Partition: int32(index % 4), Value: sarama.StringEncoder(strconv.Itoa(index))}
			_, _, err := producer.SendMessage(message)
			checks.Equal("a record is written", nil, err)
		}
	}
	write(0, 20)
	one := join(config, group, topic)
	until("all records", func() bool { return len(taken(one)) == 20 })
	checks.Equal(name+": one member reads everything", numbers(0, 20), taken(one))
	two := join(config, group, topic)
	until("two members share", func() bool { return one.holds() == 2 && two.holds() == 2 })
	write(20, 8)
	until("the new records", func() bool { return len(taken(one, two)) == 28 })
	checks.Equal(name+": each record once", numbers(0, 28), taken(one, two))
	described := checks.Must(admin.DescribeConsumerGroups([]string{group}))[0]
	checks.Equal(name+": described", []any{"Stable", "range", 2}, []any{described.State, described.Protocol, len(described.Members)})
	two.leave()
	until("the one that is left has all", func() bool { return one.holds() == 4 })
	one.leave()
	write(28, 4)
	again := join(config, group, topic)
	until("what came since", func() bool { return len(taken(again)) == 4 })
	checks.Equal(name+": it goes on where they were", numbers(28, 4), taken(again))
	again.leave()
	checks.Equal(name+": deleted", nil, admin.DeleteConsumerGroup(group))
}

// oldest goes through a group's life in the first versions of its requests, of which Apache Kafka 4 refuses some.
func oldest(join, commit, fetch int16) {
	name := fmt.Sprintf("JoinGroup %d, OffsetCommit %d, OffsetFetch %d", join, commit, fetch)
	topic, group := fmt.Sprintf("sarama-oldest-%d", join), fmt.Sprintf("sarama-oldest-%d", join)
	config := config(sarama.MaxVersion)
	admin := checks.Must(sarama.NewClusterAdmin([]string{broker}, config))
	checks.Equal("a topic is made", nil, admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	coordinator := checks.Must(checks.Must(sarama.NewClient([]string{broker}, config)).Coordinator(group))
	joining := &sarama.JoinGroupRequest{Version: join, GroupId: group, SessionTimeout: 10000, RebalanceTimeout: 10000, ProtocolType: "consumer"}
	joining.AddGroupProtocol("range", []byte("m"))
	joined := checks.Must(coordinator.JoinGroup(joining))
	checks.Equal(name+": joins as the leader", []any{sarama.ErrNoError, int32(1), joined.MemberId}, []any{joined.Err, joined.GenerationId, joined.LeaderId})
	syncing := &sarama.SyncGroupRequest{GroupId: group, GenerationId: joined.GenerationId, MemberId: joined.MemberId}
	syncing.AddGroupAssignment(joined.MemberId, []byte("a"))
	synced := checks.Must(coordinator.SyncGroup(syncing))
	checks.Equal(name+": has its part", []any{sarama.ErrNoError, []byte("a")}, []any{synced.Err, synced.MemberAssignment})
	beat := func() sarama.KError {
		return checks.Must(coordinator.Heartbeat(&sarama.HeartbeatRequest{GroupId: group, GenerationId: joined.GenerationId, MemberId: joined.MemberId})).Err
	}
	checks.Equal(name+": is alive", sarama.ErrNoError, beat())
	committing := &sarama.OffsetCommitRequest{Version: commit, ConsumerGroup: group, ConsumerGroupGeneration: joined.GenerationId, ConsumerID: joined.MemberId}
	committing.AddBlock(topic, 0, 5, sarama.ReceiveTime, "meta")
	if commit == 0 {
		// It doesn't say who it is from, so nobody may be there.
		checks.Equal(name+": is refused while there is a member", sarama.ErrUnknownMemberId, checks.Must(coordinator.CommitOffset(committing)).Errors[topic][0])
		leaving := &sarama.LeaveGroupRequest{GroupId: group, MemberId: joined.MemberId}
		checks.Equal(name+": leaves", sarama.ErrNoError, checks.Must(coordinator.LeaveGroup(leaving)).Err)
		checks.Equal(name+": has left", sarama.ErrUnknownMemberId, beat())
	}
	checks.Equal(name+": commits", sarama.ErrNoError, checks.Must(coordinator.CommitOffset(committing)).Errors[topic][0])
	fetching := &sarama.OffsetFetchRequest{Version: fetch, ConsumerGroup: group}
	fetching.AddPartition(topic, 0)
	block := checks.Must(coordinator.FetchOffset(fetching)).GetBlock(topic, 0)
	checks.Equal(name+": finds it", []any{int64(5), "meta", sarama.ErrNoError}, []any{block.Offset, block.Metadata, block.Err})
}

func main() {
	for _, version := range []sarama.KafkaVersion{sarama.MaxVersion, sarama.V2_0_0_0, sarama.V1_1_0_0} {
		each(version)
	}
	oldest(2, 1, 1)
	oldest(1, 1, 0)
	oldest(0, 0, 0)
	checks.Finish()
}
