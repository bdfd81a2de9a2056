package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"checks/checks"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	takenTopic = "franz-taken"
	givenTopic = "franz-given"
	places     = 4
)

// transforms has two members of a group take numbers from one topic to another in transactions while their broker is killed,
// until standard input ends, with a line for each 500 that were taken on. Then each has to have arrived once, and in order.
func transforms() {
	admin := kadm.NewClient(client())
	for _, created := range checks.Must(admin.CreateTopics(ctx, places, 1, nil, takenTopic, givenTopic)) {
		checks.Equal("a topic is made", nil, created.Err)
	}
	running, stop := context.WithCancel(ctx)
	var taken, setbacks atomic.Int64
	var members sync.WaitGroup
	for number := range 2 {
		members.Add(1)
		go func() {
			defer members.Done()
			for running.Err() == nil {
				if err := member(running, number, &taken); err != nil && running.Err() == nil {
					setbacks.Add(1)
					fmt.Fprintln(os.Stderr, "member", number, "begins anew:", err)
				}
			}
		}()
	}
	sent := feed()
	deadline := time.Now().Add(90 * time.Second)
	for !isAllTaken(admin) && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
	}
	checks.Equal("everything is taken on", true, isAllTaken(admin))
	stop()
	members.Wait()
	fmt.Println(setbacks.Load(), "times a member had to begin anew")
	for partition := range places {
		var expected, found []string
		for number := partition; number < sent; number += places {
			expected = append(expected, strconv.Itoa(number))
		}
		ends := checks.Must(admin.ListCommittedOffsets(ctx, givenTopic))
		end, _ := ends.Lookup(givenTopic, int32(partition))
		for _, record := range committedUpTo(int32(partition), end.Offset) {
			found = append(found, string(record.Value))
		}
		checks.Equal(fmt.Sprint("each is there once, in order: partition ", partition), expected, found)
	}
}

// feed sends numbers until standard input ends: how many.
func feed() int {
	producer := client()
	defer producer.Close()
	ended := make(chan struct{})
	go func() {
		// Nothing is written to it: that something can be read means its end.
		os.Stdin.Read(make([]byte, 1))
		close(ended)
	}()
	for sent := 0; ; {
		for range 10 {
			producer.Produce(ctx, record(takenTopic, int32(sent%places), strconv.Itoa(sent)), func(_ *kgo.Record, err error) {
				if err != nil {
					checks.Equal("a record is delivered", nil, err)
				}
			})
			sent++
		}
		select {
		case <-ended:
			checks.Equal("everything is delivered", nil, producer.Flush(ctx))
			return sent
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// member is one for some seconds.
func member(running context.Context, number int, taken *atomic.Int64) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(10*time.Second),
		kgo.TransactionalID(fmt.Sprint(takenTopic, "-", number)), kgo.ConsumerGroup(takenTopic), kgo.ConsumeTopics(takenTopic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6*time.Second), kgo.RequireStableFetchOffsets())
	if err != nil {
		return err
	}
	defer session.Close()
	until := time.Now().Add(time.Duration(4+3*number) * time.Second)
	for time.Now().Before(until) && running.Err() == nil {
		waiting, cancel := context.WithTimeout(running, 200*time.Millisecond)
		fetches := session.PollRecords(waiting, 50)
		cancel()
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return err
		}
		var failed atomic.Bool
		fetches.EachRecord(func(in *kgo.Record) {
			session.Produce(ctx, record(givenTopic, in.Partition, string(in.Value)), func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(true)
				}
			})
		})
		if err := session.Client().Flush(ctx); err != nil {
			return err
		}
		committed, err := session.End(ctx, kgo.TransactionEndTry(!failed.Load()))
		if err != nil {
			return err
		}
		if committed {
			count := int64(fetches.NumRecords())
			before := taken.Add(count) - count
			for more := before/500 + 1; more <= (before+count)/500; more++ {
				fmt.Println("acknowledged", more*500)
			}
		}
	}
	return nil
}

// isAllTaken tells whether the group is at the end of its input.
func isAllTaken(admin *kadm.Client) bool {
	ends := checks.Must(admin.ListEndOffsets(ctx, takenTopic))
	offsets, err := admin.FetchOffsets(ctx, takenTopic)
	if err != nil {
		return false
	}
	for partition := range int32(places) {
		end, _ := ends.Lookup(takenTopic, partition)
		committed, known := offsets.Lookup(takenTopic, partition)
		if !known || committed.At != end.Offset {
			return false
		}
	}
	return true
}

// committedUpTo reads a partition's committed records up to where nothing more is committed. Its last offsets may be those of
// markers.
func committedUpTo(partition int32, end int64) []*kgo.Record {
	place := map[string]map[int32]kgo.Offset{givenTopic: {partition: kgo.NewOffset().AtStart()}}
	reader := client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumePartitions(place), kgo.KeepControlRecords())
	defer reader.Close()
	var found []*kgo.Record
	for next := int64(0); next < end; {
		fetches := reader.PollFetches(ctx)
		checks.Equal("it can be read", nil, fetches.Err())
		if fetches.Err() != nil {
			break
		}
		fetches.EachRecord(func(record *kgo.Record) {
			next = record.Offset + 1
			if !record.Attrs.IsControl() {
				found = append(found, record)
			}
		})
	}
	return found
}
