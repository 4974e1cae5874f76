"""The ways by which requests reach intake beside HTTP and Kafka."""
