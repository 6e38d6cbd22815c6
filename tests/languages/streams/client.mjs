// Prints each event of a Durable Stream, until there are so many. After an error it continues where it was.
import { stream } from "@durable-streams/client"

const [url, live, count] = process.argv.slice(2)
let offset = "-1"
let seen = 0
for (;;) {
  try {
    const session = await stream({ url, offset, live: live === "sse" ? "sse" : "long-poll" })
    session.subscribeJson((batch) => {
      for (const event of batch.items) console.log(event.sequence, event.id)
      offset = batch.offset
      seen += batch.items.length
      if (seen >= count) process.exit()
    })
    await session.closed
  } catch (error) {
    console.error(`${error}`)
  }
  await new Promise((again) => setTimeout(again, 100))
}
