import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/** Ask for help: one ticket.submitted on opora.requests. Arguments: the id of what happened, the case it is about. */
public final class PublishEvent {
    public static void main(String[] arguments) throws Exception {
        String broker = System.getenv("KAFKA_BOOTSTRAP");
        if (broker == null || arguments.length != 2) {
            System.err.println("usage: KAFKA_BOOTSTRAP=host:port java … PublishEvent.java ID SUBJECT");
            System.exit(2);
        }
        String id = arguments[0];
        String subject = arguments[1];

        Map<String, String> event = new LinkedHashMap<>();
        event.put("ce_specversion", "1.0");
        event.put("ce_type", "ticket.submitted");
        event.put("ce_source", "//monitoring.example");
        event.put("ce_id", id); // of what happened, not of this attempt: sent again, it opens no second ticket
        event.put("ce_subject", subject);
        event.put("ce_time", Instant.now().toString());
        event.put("content-type", "application/json");
        String data = """
            {"title": "Disk almost full on db-7", "impact": "high", "requester_email": "ops@monitoring.example"}""";

        Properties settings = new Properties();
        settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, broker);
        settings.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
        settings.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
        settings.put(ProducerConfig.ACKS_CONFIG, "all");
        settings.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 30_000); // with retries, then the send fails
        settings.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 10_000);
        settings.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, 30_000);

        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            ProducerRecord<String, String> record = new ProducerRecord<>("opora.requests", subject, data);
            event.forEach((name, text) -> record.headers().add(name, text.getBytes(StandardCharsets.UTF_8)));
            RecordMetadata place = producer.send(record).get(); // when the broker has it; throws when it has not
            System.out.printf("published %s about %s: partition %d, offset %d%n",
                    id, subject, place.partition(), place.offset());
        }
    }
}
