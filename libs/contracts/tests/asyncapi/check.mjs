// Reads an AsyncAPI document on standard input with AsyncAPI's own parser; prints what it found, as JSON.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const found = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("/"), message }));
const read = document && {
  version: document.version(),
  channels: document.channels().all().map((channel) => channel.address()),
  operations: document.operations().all().length,
  messages: document.components().messages().all().map((message) => ({
    name: message.name(),
    schema: message.payload().$id(),
    examples: message.examples().all().length,
  })),
};
process.stdout.write(JSON.stringify({ found, read: read ?? null }));
