// A server's worth of data to look at, made through the API: receivers that answer, fail and keep silent, subscriptions
// of every kind, events, refused requests. Returns what the tests ask for.
import { createServer } from 'node:http'

/** What a stranger might send, hoping that somebody's browser runs it. */
export const HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"\'`${1}'

export async function receivers() {
  const answer = { '/ok': 200, '/fail': 500, '/reject': 401, '/gone': 410 }
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => {
      const path = new URL(request.url, 'http://receiver').pathname
      if (path === '/silent') return
      response.statusCode = answer[path] ?? 404
      response.setHeader('x-served-by', HOSTILE)
      response.setHeader('content-type', 'application/json')
      response.end(response.statusCode === 200 ? '{"received":true}' : JSON.stringify({ error: `no luck: ${HOSTILE}` }))
    })
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address()
  return { url: (path) => `http://127.0.0.1:${port}${path}`, stop: () => (server.closeAllConnections(), server.close()) }
}

/** A receiver that answers with the status that its path names. */
export async function answering() {
  const server = createServer((request, response) => (request.resume(), response.writeHead(Number(request.url.slice(1, 4))).end()))
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address()
  return { url: (status) => `http://127.0.0.1:${port}/${status}`, stop: () => (server.closeAllConnections(), server.close()) }
}

export function client(server, headers = {}) {
  return async (method, path, body, more = {}) => {
    const response = await fetch(new URL(path, server), {
      method,
      headers: { 'content-type': 'application/json', ...headers, ...more },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const answer = await response.json()
    if (!response.ok && !more.mayFail) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`)
    return answer
  }
}

export async function until(what, check, limitMs = 20_000) {
  const end = Date.now() + limitMs
  for (;;) {
    const found = await check()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** `events` of each kind. A run adds to what is there. */
export async function fill(server, receiver, events = 12) {
  const tenant = { external_id: 'acme', name: 'Acme' }
  await client(server)('PUT', '/tenants/acme', { name: tenant.name, metadata: { plan: 'gold' } })
  await client(server)('PUT', '/tenants/hostile', { name: HOSTILE })
  const api = client(server, { 'postrider-tenant': 'acme' })
  const have = (await api('GET', '/subscriptions/?limit=100')).data
  const subscription = async (external_id, path, more = {}) => {
    const known = have.find((one) => one.external_id === external_id)
    const target_url = path.startsWith('http') ? path : receiver.url(path)
    const form = { external_id, target_url, ...more }
    return known ? api('PATCH', `/subscriptions/${known.id}`, form) : api('POST', '/subscriptions/', form)
  }
  const subscriptions = {
    shop: await subscription('shop', '/ok', { description: 'Orders for the shop', event_types: ['order.*'] }),
    ledger: await subscription('ledger', '/fail', { description: 'Books every order', event_types: ['order.*'], retry_schedule: '1s' }),
    stock: await subscription('stock', '/fail', { description: 'Reserves goods', event_types: ['order.created'], retry_schedule: '5m,30m,2h' }),
    slow: await subscription('slow', '/silent', { description: 'Answers nobody', event_types: ['order.created'], request_timeout_ms: 1_000, retry_schedule: '10m' }),
    mail: await subscription('mail', 'http://mail.invalid/hook', { description: 'Its name does not exist', event_types: ['customer.*'], retry_schedule: '1s' }),
    crm: await subscription('crm', '/reject', { description: 'Rejects the signature', event_types: ['customer.*'], retry_schedule: 'none' }),
    archive: await subscription('archive', '/ok', { description: 'Switched off', is_active: false }),
    abroad: await subscription('abroad', '/ok', { description: 'Only from abroad', event_types: ['order.*'], filter: { data: { country: { $ne: 'DE' } } } }),
    hostile: await subscription('hostile', '/ok', { description: HOSTILE, event_types: ['hostile.*'] }),
  }
  const published = []
  const publish = async (type, payload, more = {}) => {
    const answer = await api('POST', '/events', payload, { 'x-event-type': type, ...more })
    published.push({ type, id: answer.webhook_id })
    return answer.webhook_id
  }
  for (let number = 1; number <= events; number += 1) {
    const order = 4_700 + number
    await publish('order.created', { type: 'order.created', data: { id: order, number: `order-${order}`, total: 19.9 * number, country: number % 3 ? 'DE' : 'FR' } })
    if (number % 2) await publish('order.paid', { data: { id: order, country: 'DE' } }, { 'idempotency-key': `paid-${order}-${Date.now()}` })
    if (number % 3 === 0) await publish('customer.updated', { data: { id: number, email: `customer-${number}@example.com` } })
  }
  const hostile = await publish('hostile.event', JSON.stringify({ data: { text: HOSTILE } }))
  await publish('nobody.wants.this', { data: {} }, { 'idempotency-key': HOSTILE.replace(/[^\x21-\x7e]/g, '') + Date.now() })
  for (const body of ['{"broken": ', `"${HOSTILE.replace(/"/g, '')}"`]) await api('POST', '/events', body, { 'x-event-type': 'order.created', mayFail: true })
  await api('POST', `/ingest/${subscriptions.archive.id}`, { late: true }, { 'x-event-type': 'order.created', mayFail: true })
  await api('PUT', '/event-types/order.created', { description: 'Somebody ordered', example: { data: { id: 4711, total: 25 } } })
  return { api, subscriptions, published, hostile }
}

// `node tests/data.mjs http://127.0.0.1:8000` fills a server by hand and keeps its receivers until it is stopped.
if (process.argv[1] === new URL(import.meta.url).pathname) {
  const receiver = await receivers()
  await fill(process.argv[2] ?? 'http://127.0.0.1:8000', receiver, Number(process.argv[3] ?? 40))
  console.log('filled; the receivers answer until this is stopped')
}
