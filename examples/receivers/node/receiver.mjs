// A receiver: verifies each delivery, drops what it has seen, answers before it works.
// npm ci && WEBHOOK_SECRET=whsec_… node receiver.mjs

import { createServer } from "node:http";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const MAX_BODY = 1 << 20;
const webhook = new Webhook(process.env.WEBHOOK_SECRET);
// In production both are one table of your database with a unique webhook_id: insert the
// event there, answer, and let a worker read the table. Memory forgets at a restart.
const seen = new Set();
const work = (id, type, event) => console.log(`accepted ${id} ${type} ${JSON.stringify(event)}`);

async function receive(request, response) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) return response.writeHead(413, { connection: "close" }).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks); // the bytes as they came: never parse and stringify them first
  const id = request.headers["webhook-id"];
  let event;
  try {
    event = webhook.verify(body, request.headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.log(`refused ${id}: ${error.message}`);
    return response.writeHead(401).end();
  }
  const isNew = !seen.has(id);
  seen.add(id);
  response.writeHead(204).end();
  if (isNew) setImmediate(work, id, request.headers["x-event-type"], event);
  else console.log(`duplicate ${id}`);
}

const port = Number(process.env.PORT ?? 9100);
createServer((request, response) => {
  receive(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
}).listen(port, "127.0.0.1", () => console.log(`listening on ${port}`));
