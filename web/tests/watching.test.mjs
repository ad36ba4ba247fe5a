// What somebody sees who keeps a page open while deliveries go on.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, beforeEach, test } from 'node:test'
import { accessible, fits, launch, shot, visit } from './browser.mjs'
import { client, until } from './data.mjs'

const { SERVER } = process.env
const TENANT = 'watched'
let browser, receiver, api

/** Answers each path as a test says, 200 otherwise. */
async function adjustable() {
  const answers = new Map()
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', async () => {
      const { status = 200, headers = {}, after } = answers.get(request.url) ?? {}
      await after
      response.writeHead(status, headers).end()
    })
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address()
  return {
    url: (path) => `http://127.0.0.1:${port}${path}`,
    answer: (path, status, headers, after) => answers.set(path, { status, headers, after }),
    stop: () => (server.closeAllConnections(), server.close()),
  }
}

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), adjustable()])
  await client(SERVER)('PUT', `/tenants/${TENANT}`, { name: 'Watched' })
  api = client(SERVER, { 'postrider-tenant': TENANT })
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

let count = 0
/** A subscription of its own for each test: its name, its id and its path at the receiver. */
const mine = {}
beforeEach(() => {
  count += 1
  mine.name = `watched-${process.pid}-${count}`
  mine.path = `/${mine.name}`
  mine.type = `${mine.name}.happened`
})
const subscribe = async (status, more = {}, headers = {}) => {
  receiver.answer(mine.path, status, headers)
  const form = { external_id: mine.name, target_url: receiver.url(mine.path), event_types: [mine.type], retry_schedule: '20s,1h', ...more }
  mine.id = (await api('POST', '/subscriptions/', form)).id
}
const publish = async (payload = { number: 1 }) => (await api('POST', '/events', payload, { 'x-event-type': mine.type })).webhook_id
const delivery = async (webhook) => (await api('GET', `/deliveries?subscription_id=${mine.id}&limit=100`)).data.find((one) => one.webhook_id === webhook)
const ends = (webhook, status) => until(`${status} of ${webhook}`, async () => (await delivery(webhook))?.status === status)
const retry = (webhook) => api('POST', `/events/${webhook}/retry?subscription_id=${mine.id}`)
const visitMine = (hash, options, look) => visit(browser, SERVER, `${hash}${hash.includes('?') ? '&' : '?'}tenant=${TENANT}`, options, look)
const pill = (place, text) => place.locator('.sheet-head .pill', { hasText: text })

test('an event is watched from its first failure to its success', async () => {
  await subscribe(500)
  const webhook = await publish()
  await visitMine(`#/events/${webhook}`, {}, async (page) => {
    const row = page.getByRole('table', { name: 'Deliveries of this event' }).locator('tr', { hasText: mine.name })
    await row.getByText('Retrying').waitFor()
    receiver.answer(mine.path, 200)
    await retry(webhook)
    await row.getByText('Succeeded').waitFor()
    await pill(page, 'Succeeded').waitFor()
  })
})

test('the attempt that ended a delivery is in its timeline, however the answers came', async () => {
  await subscribe(500, { retry_schedule: 'none' })
  const webhook = await publish()
  await ends(webhook, 'failed')
  await visitMine(`#/deliveries/${webhook}/${mine.id}`, {}, async (page) => {
    await page.locator('.attempt-number', { hasText: '#1' }).waitFor()
    // A list of attempts that was asked for before the page knew of the success is one without the last attempt.
    const before = await api('GET', `/attempts?webhook_id=${webhook}&limit=100`)
    let isKnown = false
    await page.route('**/deliveries?*', async (route) => {
      const response = await route.fetch()
      isKnown ||= (await response.text()).includes('"succeeded"')
      await route.fulfill({ response })
    })
    await page.route('**/attempts?*', (route) => (isKnown ? route.continue() : route.fulfill({ json: before })))
    receiver.answer(mine.path, 200)
    await page.getByRole('button', { name: 'Retry now' }).click()
    await pill(page, 'Succeeded').waitFor()
    await page.locator('.attempt-number', { hasText: '#2' }).waitFor()
  })
})

test('what a paused subscription holds leads to the subscription, and not to a retry that changes nothing', async () => {
  await subscribe(200, { is_active: false })
  const webhook = await publish()
  await visitMine(`#/deliveries/${webhook}/${mine.id}`, {}, async (page) => {
    await page.locator('.why', { hasText: 'Resume the subscription' }).waitFor()
    assert.equal(await page.getByRole('button', { name: 'Retry now' }).count(), 0)
    await accessible(page)
    await page.getByRole('link', { name: 'To the subscription' }).click()
    await page.getByRole('button', { name: 'Resume', exact: true }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Resume', exact: true }).click()
    await page.goBack()
    await pill(page, 'Succeeded').waitFor()
  })
})

test('a retry that is held says so', async () => {
  await subscribe(500, { retry_schedule: 'none' })
  const webhook = await publish()
  await ends(webhook, 'failed')
  await visitMine(`#/deliveries/${webhook}/${mine.id}`, {}, async (page) => {
    await pill(page, 'Failed').waitFor()
    await api('PATCH', `/subscriptions/${mine.id}`, { is_active: false })
    await page.getByRole('button', { name: 'Retry now' }).click()
    await page.locator('.toast', { hasText: 'Queued again, but held: its subscription is disabled' }).waitFor()
    await pill(page, 'Held').waitFor()
  })
})

test('what waits for its receiver says until when', async () => {
  await subscribe(503, {}, { 'retry-after': '600' })
  await publish()
  const readProbe = async () => (await api('GET', `/subscriptions/${mine.id}`)).health.next_probe_at
  await until('the receiver’s wish', readProbe)
  const webhook = await publish({ number: 2 })
  await ends(webhook, 'held')
  await visitMine(`#/deliveries/${webhook}/${mine.id}`, {}, async (page) => {
    await page.locator('.why', { hasText: /The receiver is tried again in \d+ min/ }).waitFor()
    const next = page.locator('.facts > div', { hasText: 'Next attempt' }).getByText(/in \d+ min/)
    await next.waitFor()
    assert.equal(await next.getAttribute('datetime'), await readProbe())
    await shot(page, 'held')
    assert.equal(await page.getByRole('button', { name: 'Retry now' }).count(), 0)
  })
})

test('the row of a list follows what is open beside it', async () => {
  await subscribe(500, { retry_schedule: 'none' })
  const webhook = await publish()
  await ends(webhook, 'failed')
  await visitMine(`#/deliveries?subscription_id=${mine.name}`, {}, async (page) => {
    const row = page.getByRole('table', { name: 'Deliveries' }).locator('tr', { hasText: mine.type })
    await row.click()
    const drawer = page.locator('dialog.drawer')
    await pill(drawer, 'Failed').waitFor()
    let release
    receiver.answer(mine.path, 200, {}, new Promise((resolve) => (release = resolve)))
    await drawer.getByRole('button', { name: 'Retry now' }).click()
    await pill(drawer, 'Sending').waitFor()
    release()
    await pill(drawer, 'Succeeded').waitFor()
    await page.keyboard.press('Escape')
    await drawer.waitFor({ state: 'detached' })
    assert.match(await row.textContent(), /Succeeded/)
  })
})

test('a list that is not live is read again when somebody asks for it', async () => {
  await subscribe(200)
  await ends(await publish(), 'succeeded')
  for (const [hash, table] of [[`#/deliveries?subscription_id=${mine.name}`, 'Deliveries'], [`#/events?event_type=${mine.type}`, 'Events']]) {
    await visitMine(hash, { width: 360 }, async (page) => {
      await page.getByRole('table', { name: table }).locator('a[data-row]').first().waitFor()
      const webhook = await publish()
      await page.getByRole('button', { name: 'Refresh' }).click()
      await page.locator(`a[data-row][href*="${webhook}"]`).waitFor()
      await fits(page)
      await shot(page, `refresh-${table}`)
    })
  }
})

test('a drawer without anything to show is closed by its button', async () => {
  const gone = '01990000-0000-7000-8000-000000000000'
  const drawers = { deliveries: `${gone}/${gone}`, refusals: gone, replays: gone, tenants: gone }
  for (const [screen, open] of Object.entries(drawers)) {
    await visitMine(`#/${screen}?open=${open}`, { width: 360, fails: ['404'] }, async (page) => {
      const drawer = page.locator('dialog.drawer')
      await drawer.getByRole('alert').waitFor()
      await accessible(page)
      await fits(page)
      await shot(page, `drawer-nothing-${screen}`)
      await drawer.getByRole('button', { name: 'Close' }).click()
      await drawer.waitFor({ state: 'detached' })
    })
  }
})

test('a drawer that still loads is closed by its button', async () => {
  await subscribe(200)
  await ends(await publish(), 'succeeded')
  await visitMine('#/deliveries', { width: 360 }, async (page) => {
    let release
    const held = new Promise((resolve) => (release = resolve))
    await page.route('**/events/*', (route) => held.then(() => route.continue()))
    await page.locator('tbody a[data-row]').first().click()
    await page.locator('dialog.drawer').getByRole('button', { name: 'Close' }).click()
    await page.locator('dialog.drawer').waitFor({ state: 'detached' })
    release()
  })
})

test('a replay warns of what would not arrive, and shows what did not', async () => {
  await subscribe(500, { retry_schedule: 'none' })
  const paused = `${mine.name}-paused`
  const { id } = await api('POST', '/subscriptions/', { external_id: paused, target_url: receiver.url(mine.path), event_types: [mine.type], retry_schedule: 'none' })
  for (const number of [1, 2]) await publish({ number })
  await until('failures', async () => (await api('GET', `/deliveries?status=failed&event_type=${mine.type}`)).data.length === 4)
  await api('PATCH', `/subscriptions/${id}`, { is_active: false })
  await visitMine(`#/deliveries?status=failed&event_type=${mine.type}`, {}, async (page) => {
    await page.getByRole('button', { name: 'Retry all…' }).click()
    const warning = page.locator('dialog .why', { hasText: 'Not all of it arrives now' })
    await warning.locator('p', { hasText: `${paused}: 2 held: its subscription is disabled` }).waitFor()
    await warning.locator('p', { hasText: `${mine.name}: 2 likely to fail: 2 failed attempts` }).waitFor()
    await shot(page, 'plan-warning')
    await accessible(page)
    await page.getByRole('button', { name: 'Retry 4' }).click()
    await page.locator('.big-number', { hasText: '4 of 4 queued again' }).waitFor()
    await page.locator('.outcome', { hasText: '2 failed' }).getByText('2 held').waitFor()
    await shot(page, 'replay-outcome')
    await accessible(page)
    await page.locator('.outcome').getByRole('link', { name: '2 held' }).click()
    const rows = page.getByRole('table', { name: 'Deliveries' }).locator('tbody tr:not(.skeleton)')
    await rows.first().waitFor()
    assert.deepEqual((await rows.allTextContents()).map((text) => text.includes(paused)), [true, true])
    await page.goBack()
    await page.locator('.facts > div', { hasText: 'Deliveries' }).getByRole('link', { name: 'Show' }).click()
    await page.waitForFunction(() => document.querySelectorAll('tbody a[data-row]').length === 4)
    assert.match(page.url(), /until=/)
  })
})

test('nothing in a payload hides itself or turns around what stands beside it', async () => {
  const webhook = await publish(JSON.stringify({ rlo: '\u202eabc', zero: 'a\u200bb\ufeff', arabic: 'شركة الاختبار', family: '👩‍👧' }))
  await visitMine(`#/events/${webhook}?tab=payload`, {}, async (page) => {
    const text = page.locator('.json pre')
    await text.getByText('"\\u202eabc"').waitFor()
    await text.getByText('"a\\u200bb\\ufeff"').waitFor()
    await text.getByText('"👩‍👧"').waitFor()
    assert.ok(!(await text.textContent()).includes('\u202e'))
    // The closing quote of a text from right to left is on its left, and the comma after it on the right of all of it.
    const [value, line] = await text.evaluate((pre) => {
      const arabic = [...pre.querySelectorAll('.json-string')].find((one) => one.textContent.includes('شركة'))
      const comma = document.createRange()
      // What has no colour follows as text; an empty one is the colon of a key.
      const after = [arabic.nextSibling, arabic.nextSibling.nextSibling].find((one) => one.textContent.startsWith(','))
      comma.setStart(after, 0)
      comma.setEnd(after, 1)
      return [arabic.getBoundingClientRect().right, comma.getBoundingClientRect().left]
    })
    assert.ok(line >= value - 1, `the comma is at ${line}, the text ends at ${value}`)
    await shot(page, 'payload-bidi')
    await page.getByRole('button', { name: 'Raw' }).click()
    await text.getByText('\\u202eabc').waitFor()
    await page.getByRole('button', { name: /^Copy Payload/ }).click()
    await page.locator('.toast', { hasText: 'Copied' }).waitFor()
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /\u202eabc/)
  })
})

test('the name of a tenant is read from its own side', async () => {
  await client(SERVER)('PUT', '/tenants/arabic', { name: 'شركة الاختبار للتجارة والصناعة والتوزيع' })
  await visit(browser, SERVER, '#/deliveries?tenant=arabic', {}, async (page) => {
    await page.locator('.tenant-name', { hasText: 'شركة' }).waitFor()
    assert.equal(await page.locator('.tenant-name').evaluate((one) => getComputedStyle(one).direction), 'rtl')
    await shot(page, 'tenant-arabic')
  })
})

test('the status of an event says no more than its deliveries do', async () => {
  await subscribe(500, { retry_schedule: 'none' })
  await api('POST', '/subscriptions/', { external_id: `${mine.name}-held`, target_url: receiver.url(mine.path), event_types: [mine.type], is_active: false })
  const webhook = await publish()
  await ends(webhook, 'failed')
  for (const width of [1280, 360]) {
    await visitMine(`#/events/${webhook}`, { width }, async (page) => {
      await pill(page, 'In progress').waitFor()
      await page.locator('.sheet-head .count-dot.red', { hasText: '1' }).waitFor()
      await page.locator('.sheet-head .count-dot.purple', { hasText: '1' }).waitFor()
      await page.locator('.tabs', { hasText: 'Deliveries 2' }).waitFor()
      await fits(page)
      await accessible(page)
      await shot(page, `event-split-${width}`)
    })
  }
})

test('what failed on the overview leads to the deliveries of the same time, under the name of the subscription', async () => {
  await client(SERVER)('PUT', '/tenants/overseen', { name: 'Overseen' })
  const own = client(SERVER, { 'postrider-tenant': 'overseen' })
  receiver.answer(mine.path, 500)
  await own('POST', '/subscriptions/', { external_id: mine.name, target_url: receiver.url(mine.path), retry_schedule: 'none' })
  await own('POST', '/events', {}, { 'x-event-type': mine.type })
  // Counts are some seconds behind.
  await until('the count of failures', async () => (await own('GET', '/analytics/deliveries?group_by=subscription')).data.some((row) => row.failed), 60_000)
  await visit(browser, SERVER, '#/?range=1h&tenant=overseen', {}, async (page) => {
    await page.locator('.card-list li', { hasText: mine.name }).getByRole('link', { name: '1 failed attempt' }).click()
    await page.locator('.chip', { hasText: 'Subscription' }).locator('b', { hasText: mine.name }).waitFor()
    await page.getByRole('button', { name: '1 h', pressed: true }).waitFor()
    await page.locator('tbody a[data-row]').first().waitFor()
    await shot(page, 'chip-name')
    await accessible(page)
  })
})

test('who closes a drawer is where it was opened, also for the browser’s Back', async () => {
  await subscribe(200)
  await ends(await publish(), 'succeeded')
  await visitMine('#/event-types', {}, async (page) => {
    await page.getByRole('heading', { name: 'Event types' }).waitFor()
    await page.getByRole('link', { name: 'Deliveries', exact: true }).click()
    await page.locator('tbody a[data-row]').first().click()
    const drawer = page.locator('dialog.drawer')
    await drawer.getByRole('link', { name: 'Payload' }).click()
    await drawer.locator('.json pre').waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')
    await drawer.waitFor({ state: 'detached' })
    await page.getByRole('heading', { name: 'Deliveries' }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { name: 'Event types' }).waitFor()
    await page.goForward()
    await page.locator('tbody a[data-row]').first().waitFor()
    assert.equal(await drawer.count(), 0)
  })
})

test('a drawer that was opened by a link closes to its list', async () => {
  await subscribe(200)
  const webhook = await publish()
  await visitMine(`#/deliveries?open=${webhook}/${mine.id}`, {}, async (page) => {
    await page.locator('dialog.drawer').getByRole('button', { name: 'Close' }).click()
    await page.locator('dialog.drawer').waitFor({ state: 'detached' })
    await page.getByRole('heading', { name: 'Deliveries' }).waitFor()
  })
})

test('a list is found again where it was left', async () => {
  for (let number = 0; number < 40; number += 1) await publish({ number })
  await visitMine(`#/events?event_type=${mine.type}`, {}, async (page) => {
    const rows = page.getByRole('table', { name: 'Events' }).locator('a[data-row]')
    await rows.last().scrollIntoViewIfNeeded()
    const y = await page.evaluate(() => window.scrollY)
    assert.ok(y > 200, `scrolled ${y}`)
    await rows.last().click()
    await page.getByRole('heading', { name: mine.type }).waitFor()
    assert.equal(await page.evaluate(() => window.scrollY), 0)
    await page.goBack()
    await page.waitForFunction((y) => Math.abs(window.scrollY - y) <= 1, y)
    await page.getByRole('link', { name: 'Deliveries', exact: true }).click()
    await page.getByRole('heading', { name: 'Deliveries' }).waitFor()
    assert.equal(await page.evaluate(() => window.scrollY), 0)
  })
})
