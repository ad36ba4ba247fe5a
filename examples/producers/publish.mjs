// Publishes one event, with Node 18 or newer. Usage: POSTRIDER_KEY=prk_… node publish.mjs EVENT-TYPE JSON IDEMPOTENCY-KEY

const api = process.env.POSTRIDER_API ?? "http://localhost:8000";
const key = process.env.POSTRIDER_KEY ?? "none";
const tries = 6;

async function publish(eventType, payload, idempotencyKey) {
  const headers = {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    "x-event-type": eventType,
    "idempotency-key": idempotencyKey,
  };
  for (let attempt = 0; attempt < tries; attempt += 1) {
    let wait = 200 * 2 ** attempt;
    try {
      const signal = AbortSignal.timeout(10_000);
      const response = await fetch(`${api}/events`, { method: "POST", headers, body: payload, signal });
      const answer = await response.json();
      if (response.ok) return answer;
      // Below 500 the request is wrong, except 429: too many events in this second.
      if (response.status < 500 && response.status !== 429) {
        console.error(answer);
        process.exit(1);
      }
      wait = Math.max(wait, 1000 * Number(response.headers.get("retry-after") ?? 0));
    } catch (error) {
      if (!(error instanceof TypeError) && error.name !== "TimeoutError") throw error;
      // No response. The key makes it safe to repeat.
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  throw new Error("postrider does not accept events; keep this one and publish it later with the same key");
}

console.log(JSON.stringify(await publish(...process.argv.slice(2, 5))));
