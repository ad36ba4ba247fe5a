// What the dashboard says where something is missing: a subscription that was deleted, or the server for a while.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, fits, launch, shot, visit, withTenant } from './browser.mjs'
import { answering, client, until } from './data.mjs'

const { SERVER } = process.env
// Few subscriptions are shown as those that need attention, so each run has a tenant of its own.
const TENANT = `faults-${process.pid}`
let browser, receiver, api

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), answering()])
  await client(SERVER)('PUT', `/tenants/${TENANT}`, { name: 'Faults' })
  api = client(SERVER, { 'postrider-tenant': TENANT })
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const visitTenant = (hash, options, look) => visit(browser, SERVER, withTenant(hash, TENANT), options, look)
const subscribe = async (name, more = {}) => {
  const form = { external_id: `${name}-${process.pid}`, target_url: receiver.url(500), event_types: [`${name}.happened`], retry_schedule: 'none', ...more }
  return (await api('POST', '/subscriptions/', form)).id
}
const publish = async (name) => (await api('POST', '/events', {}, { 'x-event-type': `${name}.happened` })).webhook_id
const deliveries = async (id) => (await api('GET', `/deliveries?subscription_id=${id}`)).data
const fails = (id) => until('the failure', async () => (await deliveries(id)).some((one) => one.status === 'failed'))

test('a retry to a subscription that was deleted says that nothing is sent', async () => {
  const id = await subscribe('deleted')
  const webhook = await publish('deleted')
  await fails(id)
  await visitTenant(`#/deliveries/${webhook}/${id}`, {}, async (page) => {
    await page.locator('.sheet-head .pill', { hasText: 'Failed' }).waitFor()
    await api('DELETE', `/subscriptions/${id}`)
    await page.getByRole('button', { name: 'Retry now' }).click()
    await page.locator('.toast', { hasText: 'Not sent: its subscription was deleted' }).waitFor()
  })
})

test('a subscription that was deleted needs no attention', async () => {
  const [gone, kept] = [await subscribe('removed'), await subscribe('kept')]
  await publish('removed')
  await publish('kept')
  await Promise.all([gone, kept].map(fails))
  await api('DELETE', `/subscriptions/${gone}`)
  // Counts are some seconds behind.
  const isCounted = async () => (await api('GET', '/analytics/deliveries?group_by=subscription')).data.some((row) => row.group === gone && row.failed)
  await until('the count of failures', isCounted, 60_000)
  await visitTenant('#/?range=1h', {}, async (page) => {
    const rows = page.getByRole('list', { name: 'Subscriptions that need attention' }).locator('li')
    await rows.filter({ hasText: `kept-${process.pid}` }).getByRole('link', { name: '1 failed attempt' }).waitFor()
    assert.equal(await rows.locator(`a[href*="${gone}"]`).count(), 0)
  })
})

test('large numbers of a subscription stay in its row, and beside its name', async () => {
  const id = await subscribe('busy')
  await publish('busy')
  await fails(id)
  await visitTenant('#/', {}, async (page) => {
    await page.route('**/subscriptions/?*', async (route) => {
      const response = await route.fetch()
      const answer = await response.json()
      for (const one of answer.data) if (one.id === id) one.health.held = 1_000
      await route.fulfill({ response, json: answer })
    })
    await page.route('**/analytics/deliveries?*group_by=subscription*', async (route) => {
      const response = await route.fetch()
      const answer = await response.json()
      const [row] = (await api('GET', '/analytics/deliveries')).data
      await route.fulfill({ response, json: { ...answer, data: [{ ...row, group: id, attempts: 1_234, failed: 1_234 }] } })
    })
    await page.reload()
    const row = page.getByRole('list', { name: 'Subscriptions that need attention' }).locator('li', { hasText: `busy-${process.pid}` })
    await row.getByRole('link', { name: '1,000+ held' }).waitFor()
    await row.getByRole('link', { name: '1,234 failed attempts' }).waitFor()
    for (const width of [360, 721, 1101, 1361, 1440]) {
      await page.setViewportSize({ width, height: 900 })
      await fits(page)
      assert.ok(await row.evaluate((li) => li.scrollWidth <= li.clientWidth), `${width} px: the row is as wide as its card`)
      const boxes = await row.evaluate((li) => [...li.querySelectorAll('.ellipsis, .pill, .share a')].map((one) => one.getBoundingClientRect().toJSON()))
      const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1
      boxes.forEach((one, at) => boxes.slice(at + 1).forEach((other) => assert.ok(!overlap(one, other), `${width} px: ${JSON.stringify([one, other])}`)))
      assert.ok(boxes[0].width > 60, `${width} px: the name has ${boxes[0].width} px`)
      await row.scrollIntoViewIfNeeded()
      await shot(page, `attention-${width}`)
    }
  })
})

test('a plan says of which subscriptions the state could not be read', async () => {
  const [refused, gone] = [await subscribe('planned'), await subscribe('planned', { external_id: `planned-gone-${process.pid}` })]
  await publish('planned')
  await Promise.all([refused, gone].map(fails))
  await visitTenant(`#/deliveries?status=failed&subscription_id=${refused}&subscription_id=${gone}`, { fails: ['Failed to load resource'] }, async (page) => {
    const answer = (id, status, code) => page.route(`**/subscriptions/${id}`, (route) => route.fulfill({ status, json: { title: code, status, code } }))
    await answer(refused, 429, 'too_many_requests')
    await answer(gone, 404, 'subscription_not_found')
    await page.getByRole('button', { name: 'Retry all…' }).click()
    const rows = page.locator('dialog .split li')
    await rows.filter({ hasText: `${refused.slice(-12)}, state could not be read` }).waitFor()
    await rows.filter({ hasText: `${gone.slice(-12)}, deleted` }).waitFor()
    await accessible(page)
    await fits(page)
  })
})

test('the outcome of a replay is shown also where the server ends its pages early', async () => {
  const id = await subscribe('replayed')
  await publish('replayed')
  await fails(id)
  const only = { status: ['failed'], subscription_id: [id] }
  const { token } = await api('POST', '/replays', { only, dry_run: true })
  const replay = (await api('POST', '/replays', { only, token })).id
  await until('the end of the replay', async () => (await api('GET', `/replays/${replay}`)).status === 'finished')
  await until('the second failure', async () => (await deliveries(id)).some((one) => one.status === 'failed' && one.attempts === 2))
  await visitTenant(`#/replays/${replay}`, {}, async (page) => {
    let pages = 0
    await page.route(/\/deliveries\?/, async (route) => {
      const isFirst = !route.request().url().includes('cursor=')
      pages += 1
      if (isFirst) return route.fulfill({ json: { data: [], next_cursor: 'next' } })
      const response = await route.fetch({ url: route.request().url().replace(/cursor=[^&]*&?/, '') })
      await route.fulfill({ response })
    })
    await page.reload()
    await page.locator('.outcome', { hasText: 'all deliveries with these filters, of any status' }).getByRole('link', { name: '1 failed' }).waitFor()
    assert.ok(pages >= 2, `${pages} pages`)
  })
})

test('a page that cannot be read again says how old it is', async () => {
  const id = await subscribe('slow', { is_active: false })
  const webhook = await publish('slow')
  for (const hash of [`#/deliveries/${webhook}/${id}`, `#/events/${webhook}`]) {
    await visitTenant(hash, { fails: ['Failed to load resource'] }, async (page) => {
      await page.locator('.sheet-head').waitFor()
      await page.clock.install()
      await page.reload()
      await page.locator('.sheet-head').waitFor()
      await page.route(/\/(events|deliveries)[/?]/, (route) => route.abort())
      const note = page.getByRole('status').filter({ hasText: 'Not current: last read' })
      await until('the note', async () => (await page.clock.runFor(16_000), await note.count()))
      await accessible(page)
      await shot(page, 'not-current')
      await page.unroute(/\/(events|deliveries)[/?]/)
      await until('the answer', async () => (await page.clock.runFor(16_000), !(await note.count())))
    })
  }
})

test('a server that has no room for a read is asked again after the time that it names', () =>
  visitTenant('#/operations', { fails: ['status of 429'] }, async (page) => {
    let refused = 0
    await page.route(/\/analytics\/summary/, (route) => {
      if (refused++ > 1) return route.continue()
      const problem = { title: 'Too many requests', status: 429, code: 'too_many_requests', detail: '2 requests of this tenant are answered at a time' }
      return route.fulfill({ status: 429, headers: { 'retry-after': '1' }, contentType: 'application/problem+json', json: problem })
    })
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.locator('.tile-value').first().waitFor()
    assert.ok(refused > 2, `${refused} were asked`)
    assert.equal(await page.getByText('Too many requests').count(), 0)
  }))
