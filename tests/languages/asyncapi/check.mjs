// Reads {"document": text, "events": [CloudEvent]} from standard input. Fails unless the parser of AsyncAPI accepts the
// document without a remark, and each event is one of its messages and no other.
// Run it where the packages are: node looks for them in the working directory.
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

const require = createRequire(`${process.cwd()}/`);
const { Parser } = require('@asyncapi/parser');
const addFormats = require('ajv-formats');
const DIALECTS = {
  'application/schema+json;version=draft-07': require('ajv').default,
  'application/schema+json;version=draft-2020-12': require('ajv/dist/2020').default,
};

const input = JSON.parse(await text(process.stdin));
const { document, diagnostics } = await new Parser().parse(input.document);
const found = diagnostics.map(({ code, path, message }) => `${code} at ${path.join('/')}: ${message}`);

// The messages that the application sends. Their schemas are taken from the document as it is: the parser replaces references.
const sent = document?.operations().filterBySend().flatMap((operation) => operation.messages().all()) ?? [];
const messages = sent.map((message) => {
  // The schemas have formats of numbers in Rust.
  const dialect = new DIALECTS[message.payload().schemaFormat()]({ strict: false, logger: false });
  addFormats(dialect).addSchema(JSON.parse(input.document), 'document');
  const place = `document#/channels/feed/messages/${message.id()}/payload/schema`;
  return { name: message.name(), validate: dialect.compile({ $ref: place }) };
});
for (const event of input.events) {
  const names = messages.filter(({ validate }) => validate(event)).map(({ name }) => name);
  const known = messages.some(({ name }) => name === event.type);
  if (names.join() !== (known ? event.type : 'event')) {
    const errors = messages.map(({ name, validate }) => [name, validate.errors]);
    found.push(`${event.id} of type ${event.type} is [${names}]: ${JSON.stringify(errors)}`);
  }
}
console.log(`${messages.map(({ name }) => name)}: ${input.events.length} events`);
found.forEach((one) => console.error(one));
process.exitCode = found.length ? 1 : 0;
