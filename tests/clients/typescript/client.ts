// Uses a client that openapi-typescript made from the document: creates, publishes, lists, deletes, and reads problems.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { env: Record<string, string | undefined>; exitCode: number };

type Subscription = components["schemas"]["Subscription"];
type Problem = components["schemas"]["Problem"];

const baseUrl = process.env["POSTRIDER_URL"] ?? "";
const key = process.env["POSTRIDER_KEY"] ?? "";
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`not so: ${what}`);
}

/** The problem of an answer that has no data, with the code that is expected. */
function expectProblem(answer: { error?: Problem; data?: unknown; response: Response }, status: number, code: Problem["code"]): Problem {
  check(answer.data === undefined && answer.error !== undefined, `${code} has a problem and no data`);
  check(answer.response.status === status, `${code} has the status ${status}, not ${answer.response.status}`);
  check(answer.error.code === code, `${answer.error.code} is ${code}`);
  check(answer.error.request_id === answer.response.headers.get("x-request-id"), `${code} names its request`);
  return answer.error;
}

async function subscribe(external_id: string): Promise<Subscription> {
  const created = await client.POST("/subscriptions/", {
    body: {
      target_url: "https://hooks.example.com/in",
      external_id,
      event_types: ["order.created", "invoice.*"],
      auth: { type: "bearer", token: "secret-of-the-receiver" },
      metadata: { team: "billing" },
      rate_limit: 50,
    },
  });
  check(created.data !== undefined, `created: ${JSON.stringify(created.error)}`);
  check(created.data.secret_key.startsWith("whsec_"), "the secret is shown once");
  check(created.data.auth?.type === "bearer" && created.data.retry_schedule === null, "an object that may be null, and a null");
  return created.data;
}

async function publish(subscription: Subscription): Promise<void> {
  const name = subscription.external_id ?? "";
  const ingested = await client.POST("/ingest/{subscription_id}", {
    params: { path: { subscription_id: name }, header: { "X-Event-Type": "order.created", "Idempotency-Key": "ts:order-7" } },
    body: { order: 7, lines: [{ sku: "A1", nested: { deep: null } }] },
  });
  check(ingested.data?.duplicate === false, `ingested: ${JSON.stringify(ingested.error)}`);
  const published = await client.POST("/events", {
    params: { query: { subscription_id: subscription.id }, header: { "X-Event-Type": "invoice.due" } },
    body: [{ invoice: 12 }, "a list"],
  });
  check(published.data?.matched === 1, `published: ${JSON.stringify(published.error)}`);
  const batch = await client.POST("/events/batch", {
    body: { events: [{ event_type: "order.created", payload: { order: 8 } }, { event_type: "a b", payload: {} }] },
  });
  check(batch.data?.data[0]?.status === 202, `batch: ${JSON.stringify(batch)}`);
  check(batch.data.data[1]?.problem?.code === "validation_failed", "an event of a batch has its own problem");
  const status = await client.GET("/status/{webhook_id}", { params: { path: { webhook_id: ingested.data.webhook_id } } });
  const delivery = status.data?.deliveries[0];
  check(delivery?.subscription_id === subscription.id, `status: ${JSON.stringify(status)}`);
  const states: Record<typeof delivery.status, boolean> = {
    pending: true, sending: true, held: true, failed: true, succeeded: true, cancelled: true, expired: true, skipped: true,
  };
  check(states[delivery.status], `a known status: ${delivery.status}`);
}

async function list(subscription: Subscription): Promise<void> {
  const seen: string[] = [];
  let cursor: string | null | undefined = undefined;
  do {
    const page: Awaited<ReturnType<typeof pageAfter>> = await pageAfter(cursor);
    check(page.data !== undefined, `listed: ${JSON.stringify(page.error)}`);
    seen.push(...page.data.data.map((row) => row.id));
    cursor = page.data.next_cursor;
  } while (cursor !== null);
  check(seen.includes(subscription.id) && new Set(seen).size === seen.length, "every page has other rows");
  const logs = await client.GET("/status/logs/{subscription_id}", { params: { path: { subscription_id: subscription.id } } });
  check(Array.isArray(logs.data?.data), `logs: ${JSON.stringify(logs)}`);
}

function pageAfter(cursor: string | undefined | null) {
  return client.GET("/subscriptions/", { params: { query: { limit: 1, ...(cursor ? { cursor } : {}) } } });
}

async function problems(subscription: Subscription): Promise<void> {
  const path = { subscription_id: subscription.id };
  const invalid = await client.POST("/subscriptions/", { body: { target_url: "ftp://hooks.example.com" } });
  const { errors } = expectProblem(invalid, 422, "validation_failed");
  check(errors?.[0]?.pointer === "/target_url", `the field is named: ${JSON.stringify(errors)}`);
  const unwanted = await client.POST("/ingest/{subscription_id}", { params: { path, header: { "X-Event-Type": "user.created" } }, body: {} });
  expectProblem(unwanted, 422, "event_type_not_wanted");
  const taken = await client.POST("/subscriptions/", { body: { target_url: "https://hooks.example.com", external_id: subscription.external_id ?? "" } });
  expectProblem(taken, 409, "external_id_taken");
  const stranger = createClient<paths>({ baseUrl });
  expectProblem(await stranger.GET("/subscriptions/"), 401, "unauthenticated");
}

async function remove(subscription: Subscription): Promise<void> {
  const path = { subscription_id: subscription.external_id ?? "" };
  const deleted = await client.DELETE("/subscriptions/{subscription_id}", { params: { path } });
  check(deleted.data?.id === subscription.id, `deleted: ${JSON.stringify(deleted.error)}`);
  expectProblem(await client.GET("/subscriptions/{subscription_id}", { params: { path } }), 404, "subscription_not_found");
}

const subscriptions = [await subscribe("ts:orders"), await subscribe("ts:invoices")] as const;
await publish(subscriptions[0]);
await list(subscriptions[0]);
await problems(subscriptions[0]);
for (const subscription of subscriptions) await remove(subscription);
console.log("clients: openapi-typescript and openapi-fetch created, published, listed, deleted and read problems");
