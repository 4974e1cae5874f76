// Ask for help: one ticket.submitted on opora.requests. Arguments: the id of what happened, the case it is about.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	broker := os.Getenv("KAFKA_BOOTSTRAP")
	if broker == "" || len(os.Args) != 3 {
		log.Fatal("usage: KAFKA_BOOTSTRAP=host:port publish ID SUBJECT")
	}
	id, subject := os.Args[1], os.Args[2]
	event := [][2]string{
		{"ce_specversion", "1.0"},
		{"ce_type", "ticket.submitted"},
		{"ce_source", "//monitoring.example"},
		{"ce_id", id}, // of what happened, not of this attempt: sent again, it opens no second ticket
		{"ce_subject", subject},
		{"ce_time", time.Now().UTC().Format(time.RFC3339Nano)},
		{"content-type", "application/json"},
	}
	record := &kgo.Record{
		Topic: "opora.requests",
		Key:   []byte(subject),
		Value: []byte(`{"title": "Disk almost full on db-7", "impact": "high", "requester_email": "ops@monitoring.example"}`),
	}
	for _, attribute := range event {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: attribute[0], Value: []byte(attribute[1])})
	}

	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	bounded, cancel := context.WithTimeout(context.Background(), 30*time.Second) // with retries, then the send fails
	defer cancel()
	written, err := client.ProduceSync(bounded, record).First() // returns when the broker has it
	if err != nil {
		log.Fatalf("%s was not acknowledged, send it again under the same id: %v", id, err)
	}
	fmt.Printf("published %s about %s: partition %d, offset %d\n", id, subject, written.Partition, written.Offset)
}
