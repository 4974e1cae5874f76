// Follow every ticket from its first fact on. Argument: the consumer group. Ends with Ctrl-C.
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, stringDeserializers } from '@platformatic/kafka'

const groupId = process.argv[2]
const broker = process.env.KAFKA_BOOTSTRAP
if (!broker || !groupId) {
  console.error('usage: KAFKA_BOOTSTRAP=host:port node consume-events.mjs GROUP')
  process.exit(2)
}
const consumer = new Consumer({
  groupId,
  clientId: 'follower',
  bootstrapBrokers: broker.split(','),
  deserializers: stringDeserializers,
  autocommit: false,
  sessionTimeout: 10_000,
  rebalanceTimeout: 20_000,
  maxWaitTime: 500
})
const stream = await consumer.consume({
  topics: ['opora.tickets'],
  mode: MessagesStreamModes.COMMITTED,
  fallbackMode: MessagesStreamFallbackModes.EARLIEST // a new group begins with the first fact
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stream.close())

// The highest ce_sequence seen of each ticket. A service keeps it in its database, in the effect's transaction.
const seen = new Map()

for await (const message of stream) {
  const subject = message.headers.get('ce_subject')
  const sequence = Number(message.headers.get('ce_sequence'))
  if (sequence > (seen.get(subject) ?? 0)) { // else it was delivered before
    console.log(message.headers.get('ce_time'), message.headers.get('ce_type'), subject, sequence, message.value)
    seen.set(subject, sequence)
  }
  await message.commit() // after the effect: what breaks off before is delivered again
}
await consumer.close()
