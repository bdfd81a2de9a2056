// Groups with franz-go, classic protocol: franz_go_groups HOST:PORT
package main

import (
	"context"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"checks/checks"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	broker = os.Args[1]
	ctx, _ = context.WithTimeout(context.Background(), 2*time.Minute)
)

// member is a consumer of a group that notes what it reads and holds.
type member struct {
	client *kgo.Client
	lock   sync.Mutex
	read   []int
	held   map[int32]bool
	lost   int
}

func join(group, topic string, options ...kgo.Opt) *member {
	one := &member{held: map[int32]bool{}}
	note := func(partitions map[string][]int32, has bool) {
		one.lock.Lock()
		defer one.lock.Unlock()
		for _, partition := range partitions[topic] {
			if has {
				one.held[partition] = true
			} else {
				delete(one.held, partition)
				one.lost++
			}
		}
	}
	base := []kgo.Opt{
		kgo.SeedBrokers(broker), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(300 * time.Millisecond), kgo.SessionTimeout(10 * time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { note(got, true) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { note(gone, false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { note(gone, false) }),
	}
	one.client = checks.Must(kgo.NewClient(append(base, options...)...))
	go func() {
		for {
			fetches := one.client.PollFetches(ctx)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				return
			}
			one.lock.Lock()
			fetches.EachRecord(func(record *kgo.Record) {
				one.read = append(one.read, checks.Must(strconv.Atoi(string(record.Value))))
			})
			one.lock.Unlock()
		}
	}()
	return one
}

func (one *member) holds() int {
	one.lock.Lock()
	defer one.lock.Unlock()
	return len(one.held)
}

// taken is what members have read since this was last asked.
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

func forget(members ...*member) {
	for _, one := range members {
		one.lock.Lock()
		one.read = nil
		one.lock.Unlock()
	}
}

func until(what string, holds func() bool) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	checks.Equal(what+", in time", true, false)
}

func write(topic string, first, count int) {
	producer := checks.Must(kgo.NewClient(kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner())))
	defer producer.Close()
	for index := first; index < first+count; index++ {
		record := &kgo.Record{Topic: topic, Partition: int32(index % 4), Value: []byte(strconv.Itoa(index))}
		checks.Equal("a record is written", nil, producer.ProduceSync(ctx, record).FirstErr())
	}
}

func numbers(first, count int) []int {
	var all []int
	for index := first; index < first+count; index++ {
		all = append(all, index)
	}
	return all
}

func each(admin *kadm.Client, name string, balancer kgo.GroupBalancer) {
	topic, group := "franz-groups-"+name, "franz-groups-"+name
	checks.Must(admin.CreateTopic(ctx, 4, 1, nil, topic))
	write(topic, 0, 20)
	one := join(group, topic, kgo.Balancers(balancer))
	until("all records", func() bool { return len(taken(one)) == 20 })
	checks.Equal(name+": one member reads everything", numbers(0, 20), taken(one))
	checks.Equal(name+": committed", nil, one.client.CommitUncommittedOffsets(ctx))
	two := join(group, topic, kgo.Balancers(balancer))
	until("two members share", func() bool { return one.holds() == 2 && two.holds() == 2 })
	forget(one, two)
	write(topic, 20, 8)
	until("the new records", func() bool { return len(taken(one, two)) == 8 })
	checks.Equal(name+": each record once", numbers(20, 8), taken(one, two))
	checks.Equal(name+": committed", nil, one.client.CommitUncommittedOffsets(ctx))
	checks.Equal(name+": committed", nil, two.client.CommitUncommittedOffsets(ctx))
	if name == "cooperative-sticky" {
		checks.Equal("cooperative: only what moved was given up", 2, one.lost)
	}
	described := checks.Must(admin.DescribeGroups(ctx, group))[group]
	checks.Equal(name+": described", []any{"Stable", name, 2}, []any{described.State, described.Protocol, len(described.Members)})
	lag := checks.Must(admin.Lag(ctx, group))[group]
	checks.Equal(name+": nothing is behind", int64(0), lag.Lag.Total())
	two.client.Close()
	until("the one that is left has all", func() bool { return one.holds() == 4 })
	one.client.Close()
	write(topic, 28, 4)
	again := join(group, topic, kgo.Balancers(balancer))
	until("what came since", func() bool { return len(taken(again)) == 4 })
	checks.Equal(name+": it goes on where they were", numbers(28, 4), taken(again))
	again.client.Close()
	checks.Equal(name+": deleted", nil, checks.Must(admin.DeleteGroups(ctx, group))[group].Err)
}

func static(admin *kadm.Client) {
	checks.Must(admin.CreateTopic(ctx, 4, 1, nil, "franz-static"))
	one := join("franz-static", "franz-static", kgo.InstanceID("one"))
	two := join("franz-static", "franz-static", kgo.InstanceID("two"))
	until("two members share", func() bool { return one.holds() == 2 && two.holds() == 2 })
	lost := one.lost
	two.client.Close()
	two = join("franz-static", "franz-static", kgo.InstanceID("two"))
	until("it is back", func() bool { return two.holds() == 2 })
	checks.Equal("static: the other noticed nothing", []int{2, lost}, []int{one.holds(), one.lost})
	one.client.Close()
	two.client.Close()
	left := checks.Must(admin.LeaveGroup(ctx, kadm.LeaveGroup("franz-static").InstanceIDs("one", "two").Reason("done")))
	checks.Equal("static: taken out", nil, left.Error())
}

func main() {
	admin := kadm.NewClient(checks.Must(kgo.NewClient(kgo.SeedBrokers(broker))))
	each(admin, "range", kgo.RangeBalancer())
	each(admin, "cooperative-sticky", kgo.CooperativeStickyBalancer())
	static(admin)
	checks.Finish()
}
