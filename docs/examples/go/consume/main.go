// Follow every ticket from its first fact on. Argument: the consumer group. Ends with Ctrl-C.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	broker := os.Getenv("KAFKA_BOOTSTRAP")
	if broker == "" || len(os.Args) != 2 {
		log.Fatal("usage: KAFKA_BOOTSTRAP=host:port consume GROUP")
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker),
		kgo.ConsumerGroup(os.Args[1]),
		kgo.ConsumeTopics("opora.tickets"),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), // a new group begins with the first fact
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), // no partition moves between the effect and its commit
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseAllowingRebalance()
	running, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// The highest ce_sequence seen of each ticket. A service keeps it in its database, in the effect's transaction.
	seen := map[string]int64{}

	for running.Err() == nil {
		fetches := client.PollRecords(running, 500)
		for _, failed := range fetches.Errors() {
			if running.Err() == nil {
				log.Fatalf("%s-%d: %v", failed.Topic, failed.Partition, failed.Err)
			}
		}
		fetches.EachRecord(func(record *kgo.Record) {
			subject := text(record, "ce_subject")
			sequence, err := strconv.ParseInt(text(record, "ce_sequence"), 10, 64)
			if err != nil {
				log.Fatalf("%s-%d at %d: ce_sequence: %v", record.Topic, record.Partition, record.Offset, err)
			}
			if sequence <= seen[subject] {
				return // delivered before
			}
			fmt.Println(text(record, "ce_time"), text(record, "ce_type"), subject, sequence, string(record.Value))
			seen[subject] = sequence
		})
		// After the effect: what breaks off before is delivered again.
		if err := client.CommitRecords(context.Background(), fetches.Records()...); err != nil {
			log.Fatal(err)
		}
		client.AllowRebalance()
	}
}

func text(record *kgo.Record, name string) string {
	for _, header := range record.Headers {
		if header.Key == name {
			return string(header.Value)
		}
	}
	log.Fatalf("%s-%d at %d lacks %s", record.Topic, record.Partition, record.Offset, name)
	return ""
}
