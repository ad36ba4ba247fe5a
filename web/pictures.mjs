// Takes the pictures of docs/images/: a postrider of its own delivers for some minutes to receivers that take 20 to 200 ms,
// one of which breaks in between. Usage: node pictures.mjs BINARY [MINUTES]
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { launch } from './tests/browser.mjs'
import { client, until } from './tests/data.mjs'

const MINUTES = Number(process.argv[3] ?? 20)
const IMAGES = new URL('../docs/images/', import.meta.url).pathname
const random = (low, high) => low + Math.random() * (high - low)
const wait = (ms) => new Promise((ready) => setTimeout(ready, ms))

const started = Date.now()
const part = () => (Date.now() - started) / (MINUTES * 60_000)
const isBroken = () => part() > 0.55 && part() < 0.7

/** The status that a receiver answers with. */
const ANSWERS = {
  '/shop': () => 200,
  '/ledger': () => (isBroken() ? 503 : 200),
  '/crm': () => (Math.random() < 0.04 ? 429 : 204),
  '/search': () => (Math.random() < 0.02 ? 500 : 200),
  '/partner': () => 401,
}
const receiver = createServer((request, response) => {
  request.resume()
  request.on('end', async () => {
    await wait(random(20, 200) * (isBroken() && request.url === '/ledger' ? 4 : 1))
    response.statusCode = (ANSWERS[request.url] ?? (() => 404))()
    response.setHeader('content-type', 'application/json')
    response.end(response.statusCode === 204 ? undefined : JSON.stringify(response.statusCode < 300 ? { received: true } : { error: 'try again later' }))
  })
})
await new Promise((ready) => receiver.listen(0, '127.0.0.1', ready))
const url = (path) => `http://127.0.0.1:${receiver.address().port}${path}`

const free = () =>
  new Promise((ready) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => ready(`127.0.0.1:${port}`))
    })
  })
const [listen, ops] = [await free(), await free()]
const folder = mkdtempSync(join(tmpdir(), 'postrider-pictures-'))
const postrider = spawn(resolve(process.argv[2]), ['dev'], {
  cwd: folder,
  env: { ...process.env, POSTRIDER_LISTEN: listen, POSTRIDER_OPS_LISTEN: ops, POSTRIDER_LOG: 'error' },
  stdio: ['ignore', 'ignore', 'inherit'],
})
const ended = new Promise((ready) => postrider.on('exit', ready))
const SERVER = `http://${listen}`
let browser
try {
  await until('postrider', () => fetch(`http://${ops}/readyz`).then(({ ok }) => ok, () => false), 120_000)
  await client(SERVER)('PUT', '/tenants/acme', { name: 'Acme' })
  await client(SERVER)('PUT', '/tenants/globex', { name: 'Globex' })
  const api = client(SERVER, { 'postrider-tenant': 'acme' })
  const retry_schedule = '5s,20s,1m,2m'
  const subscriptions = [
    { external_id: 'shop', description: 'Shop', event_types: ['order.*'] },
    { external_id: 'ledger', description: 'Ledger', event_types: ['order.*', 'invoice.*'] },
    { external_id: 'crm', description: 'CRM', event_types: ['customer.*'] },
    { external_id: 'search', description: 'Search index' },
    { external_id: 'partner', description: 'Partner in France', event_types: ['order.*'], filter: { data: { country: 'FR' } }, retry_schedule: '1s' },
  ]
  for (const one of subscriptions) await api('POST', '/subscriptions/', { retry_schedule, target_url: url(`/${one.external_id}`), ...one })

  const types = ['order.created', 'order.created', 'order.paid', 'order.shipped', 'invoice.sent', 'customer.updated']
  const pick = (list) => list[Math.floor(Math.random() * list.length)]
  let order = 48_000
  while (part() < 1) {
    const data = { order: (order += 1), country: pick(['DE', 'DE', 'FR', 'US']), total: Number(random(5, 400).toFixed(2)), currency: 'EUR' }
    const type = pick(types)
    await api('POST', '/events', { type, timestamp: new Date().toISOString(), data }, { 'x-event-type': type, 'idempotency-key': `order-${order}` })
    // Busier in the middle.
    await wait(random(0.5, 1.5) * (260 - 180 * Math.sin(Math.PI * part())))
  }
  // Analytics are complete a moment later.
  await until('the roll-ups', async () => Date.parse((await api('GET', '/analytics/summary')).complete_until) > started + MINUTES * 60_000, 120_000)

  mkdirSync(IMAGES, { recursive: true })
  browser = await launch()
  const minute = (moment, up) => new Date((up ? Math.ceil : Math.floor)(moment / 60_000) * 60_000).toISOString().slice(0, 19) + 'Z'
  const span = `since=${minute(started + 60_000, false)}&until=${minute(started + MINUTES * 60_000, false)}`
  const failed = (await api('GET', '/deliveries?status=failed&subscription_id=partner&limit=1')).data[0]
  const screens = {
    overview: [`#/?tenant=acme&${span}`, 'light'],
    delivery: [`#/deliveries?tenant=acme&open=${failed.webhook_id}/${failed.subscription_id}`, 'light'],
    event: [`#/events/${failed.webhook_id}?tenant=acme`, 'light'],
    subscriptions: ['#/subscriptions?tenant=acme', 'dark'],
  }
  for (const [name, [hash, colorScheme]] of Object.entries(screens)) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme })
    await page.goto(`${SERVER}/${hash}`)
    await page.waitForFunction(() => document.querySelector('main h1, main h2') && !document.querySelector('[aria-busy=true]'))
    await page.waitForLoadState('networkidle').catch(() => undefined)
    await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one.effect?.getTiming().iterations !== Infinity).map((one) => one.finished.catch(() => undefined))))
    await page.screenshot({ path: `${IMAGES}${name}.png` })
    await page.close()
  }
} finally {
  await browser?.close()
  postrider.kill('SIGTERM')
  await ended
  receiver.close()
  receiver.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
}
