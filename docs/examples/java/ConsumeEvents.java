import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Follow every ticket from its first fact on. Argument: the consumer group. Ends with Ctrl-C. */
public final class ConsumeEvents {
    public static void main(String[] arguments) {
        String broker = System.getenv("KAFKA_BOOTSTRAP");
        if (broker == null || arguments.length != 1) {
            System.err.println("usage: KAFKA_BOOTSTRAP=host:port java … ConsumeEvents.java GROUP");
            System.exit(2);
        }
        Properties settings = new Properties();
        settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, broker);
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, arguments[0]);
        settings.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
        settings.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest"); // a new group begins with the first fact
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        settings.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);

        // The highest ce_sequence seen of each ticket. A service keeps it in its database, in the effect's transaction.
        Map<String, Long> seen = new HashMap<>();

        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }));
        try (consumer) {
            consumer.subscribe(List.of("opora.tickets"));
            while (true) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofSeconds(1));
                for (ConsumerRecord<String, String> record : records) {
                    String subject = text(record, "ce_subject");
                    long sequence = Long.parseLong(text(record, "ce_sequence"));
                    if (sequence <= seen.getOrDefault(subject, 0L)) {
                        continue; // delivered before
                    }
                    System.out.println(String.join(" ", text(record, "ce_time"), text(record, "ce_type"), subject,
                            Long.toString(sequence), record.value()));
                    seen.put(subject, sequence);
                }
                if (!records.isEmpty()) {
                    consumer.commitSync(); // after the effect: what breaks off before is delivered again
                }
            }
        } catch (WakeupException asked) {
            System.err.println("stopped");
        }
    }

    private static String text(ConsumerRecord<String, String> record, String name) {
        Header header = record.headers().lastHeader(name);
        if (header == null) {
            String place = String.format("%s-%d at %d", record.topic(), record.partition(), record.offset());
            throw new IllegalStateException(place + " lacks " + name);
        }
        return new String(header.value(), StandardCharsets.UTF_8);
    }
}
