// Ask for help: one ticket.submitted on opora.requests. Arguments: the id of what happened, the case it is about.
import { compatibilityPartitioner, ProduceAcks, Producer, stringSerializers } from '@platformatic/kafka'

const [id, subject] = process.argv.slice(2)
const broker = process.env.KAFKA_BOOTSTRAP
if (!broker || !subject) {
  console.error('usage: KAFKA_BOOTSTRAP=host:port node publish-event.mjs ID SUBJECT')
  process.exit(2)
}
const event = {
  ce_specversion: '1.0',
  ce_type: 'ticket.submitted',
  ce_source: '//monitoring.example',
  ce_id: id, // of what happened, not of this attempt: sent again, it opens no second ticket
  ce_subject: subject,
  ce_time: new Date().toISOString(),
  'content-type': 'application/json'
}
const data = { title: 'Disk almost full on db-7', impact: 'high', requester_email: 'ops@monitoring.example' }

const producer = new Producer({
  clientId: 'monitoring',
  bootstrapBrokers: broker.split(','),
  serializers: stringSerializers,
  acks: ProduceAcks.ALL,
  partitioner: compatibilityPartitioner, // the partition that every other client gives a key
  retries: 10, // a second apart, then the send fails
  retryDelay: 1000
})
try {
  const { offsets } = await producer.send({
    messages: [{ topic: 'opora.requests', key: subject, value: JSON.stringify(data), headers: event }]
  }) // returns when the broker has it
  console.log(`published ${id} about ${subject}: partition ${offsets[0].partition}, offset ${offsets[0].offset}`)
} finally {
  await producer.close()
}
