// How long each screen takes to its first data, in a browser, at a server that already has much. Prints a table. Goals depend
// on the machine: that one is missed is no failure, that a screen shows nothing is.
// Usage: POSTRIDER_KEY=… node screens.mjs SERVER TENANT   (an operator's key, and the external id of a large tenant)
import { launch, signIn, withTenant } from './tests/browser.mjs'
import { client } from './tests/data.mjs'

const [SERVER, TENANT] = process.argv.slice(2)
const KEY = process.env.POSTRIDER_KEY
/** Visits that are measured, after one that warms. */
const VISITS = 10
const GOAL_MS = 300

const ask = client(SERVER, { authorization: `Bearer ${KEY}`, 'postrider-tenant': TENANT })
const first = async (path) => (await ask('GET', path)).data[0]
const [delivery, event, subscription] = await Promise.all(['/deliveries?status=failed&limit=1', '/events?limit=1', '/subscriptions/?limit=1'].map(first))

const TILE = 'main .tile-value'
const CHART = 'main figure.chart canvas'
const ROW = 'main tbody tr:not(.skeleton)'
/** Of a list that may have no rows. */
const LIST = `${ROW}, main .empty:not(:has(h1))`
const SCREENS = [
  ...['*', TENANT].flatMap((tenant) => [
    ...['1h', '24h', '7d', '30d'].map((range) => [`overview, ${range}`, `/?range=${range}`, TILE, tenant]),
    ['overview, charts', '/', CHART, tenant],
    ['overview, needs attention', '/', 'main .attention li, main .attention .empty', tenant],
    ['deliveries', '/deliveries', LIST, tenant],
    ['deliveries, failed', '/deliveries?status=failed', ROW, tenant],
    ['events', '/events', ROW, tenant],
    ['refusals', '/refusals', LIST, tenant],
  ]),
  ['subscriptions', '/subscriptions', ROW, TENANT],
  ['subscriptions, found by text', '/subscriptions?q=history', ROW, TENANT],
  ['subscriptions, disabled', '/subscriptions?state=disabled', ROW, TENANT],
  ['subscription', `/subscriptions/${subscription.id}`, 'main dl.facts', TENANT],
  ['subscription, numbers', `/subscriptions/${subscription.id}`, TILE, TENANT],
  ['delivery', `/deliveries/${delivery.webhook_id}/${delivery.subscription_id}`, 'main .why', TENANT],
  ['event', `/events/${event.webhook_id}`, 'main dl.facts', TENANT],
  ['replays', '/replays', LIST, TENANT],
  ['event types', '/event-types', LIST, TENANT],
  ['tenants', '/tenants', ROW, '*'],
  ['keys', '/keys', ROW, '*'],
  ['operations', '/operations', TILE, '*'],
]

/** From the click to the frame that has the data. */
const visit = (page, hash, selector) =>
  page.evaluate(
    ([hash, selector, mostMs]) =>
      new Promise((done, fail) => {
        const began = performance.now()
        location.hash = hash
        const look = () => {
          const took = performance.now() - began
          if (document.querySelector(selector)) done(took)
          else if (took > mostMs) fail(new Error(`${hash} shows no ${selector}`))
          else requestAnimationFrame(look)
        }
        requestAnimationFrame(look)
      }),
    [hash, selector, 10_000],
  )

const browser = await launch()
try {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage()
  await page.goto(`${SERVER}/`)
  await signIn(page, KEY)
  console.log('| screen | tenant | median (ms) | worst (ms) | goal met |\n| --- | --- | ---: | ---: | --- |')
  for (const [name, path, selector, tenant] of SCREENS) {
    const hash = withTenant(`#${path}`, tenant)
    const took = []
    for (let number = 0; number <= VISITS; number++) {
      // No screen has this address: what was shown is gone.
      await page.evaluate(() => (location.hash = '#/nowhere'))
      await page.waitForFunction((selector) => !document.querySelector(selector), selector)
      const ms = await visit(page, hash, selector)
      if (number > 0) took.push(ms)
    }
    took.sort((one, other) => one - other)
    const median = took[VISITS / 2]
    console.log(`| ${name} | ${tenant} | ${median.toFixed(0)} | ${took.at(-1).toFixed(0)} | ${median <= GOAL_MS ? 'yes' : 'no'} |`)
  }
} finally {
  await browser.close()
}
