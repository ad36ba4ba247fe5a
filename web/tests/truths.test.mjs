// What the dashboard shows stays true: while it is looked at, while something else is asked for, and for whoever looks.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, fits, launch, shot, signIn, visit, withTenant } from './browser.mjs'
import { answering, client, until } from './data.mjs'

const { SERVER, LOCKED, OPERATOR_KEY } = process.env
// Lists and numbers are of a tenant, so each run has one of its own.
const TENANT = `truths-${process.pid}`
let browser, receiver, api, operator

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), answering()])
  await client(SERVER)('PUT', `/tenants/${TENANT}`, { name: 'Truths' })
  api = client(SERVER, { 'postrider-tenant': TENANT })
  operator = client(LOCKED, { authorization: `Bearer ${OPERATOR_KEY}` })
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const visitTenant = (hash, options, look) => visit(browser, SERVER, withTenant(hash, TENANT), options, look)
const named = (name) => `${name}-${process.pid}`
const subscribe = async (name, more = {}) => {
  const form = { external_id: named(name), target_url: receiver.url(200), event_types: [`${name}.happened`], retry_schedule: 'none', ...more }
  return (await api('POST', '/subscriptions/', form)).id
}
const change = (id, form) => api('PATCH', `/subscriptions/${id}`, form)
const publish = async (name, headers = {}) => (await api('POST', '/events', {}, { 'x-event-type': `${name}.happened`, ...headers })).webhook_id
const deliveries = async (id) => (await api('GET', `/deliveries?subscription_id=${id}&limit=100`)).data
const end = (id, count, status) => until(`${count} ${status}`, async () => (await deliveries(id)).filter((one) => one.status === status).length === count)
const scroll = (page, top) => page.evaluate((top) => window.scrollTo({ top }), top)
/** The row of a delivery, once it says so. */
const reads = (page, webhook, text) => page.locator('tbody tr', { has: page.locator(`a[href*="${webhook}"]`) }).filter({ hasText: text }).waitFor()
const enter = async (page, key) => {
  await page.getByLabel('API key').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
}
/** Runs the clock of a page until something is so. */
const later = (page, what, check) => until(what, async () => (await page.clock.runFor(31_000), await check()))

/** A live list that is longer than its window. */
const watchLive = (ids, look) =>
  visitTenant(`#/deliveries?${ids.map((id) => `subscription_id=${id}`).join('&')}`, {}, async (page) => {
    await page.setViewportSize({ width: 1440, height: 420 })
    await page.locator('tbody tr:not(.skeleton)').first().waitFor()
    // The list is read once more when the stream is open.
    const read = page.waitForResponse((response) => new URL(response.url()).pathname === '/deliveries')
    await page.getByRole('button', { name: 'Live', exact: true }).click()
    await page.locator('.live.is-live').waitFor()
    await read
    await look(page)
  })

test('a change that waited in a live list does not undo a newer one', async () => {
  const id = await subscribe('waiting')
  for (let number = 0; number < 20; number += 1) await publish('waiting')
  await end(id, 20, 'succeeded')
  await watchLive([id], async (page) => {
    await change(id, { target_url: receiver.url(500) })
    await scroll(page, 300)
    const webhook = await publish('waiting')
    await end(id, 1, 'failed')
    await page.locator('.waiting', { hasText: '1 new' }).waitFor()
    await scroll(page, 0)
    await change(id, { target_url: receiver.url(200) })
    await api('POST', `/events/${webhook}/retry?subscription_id=${id}`)
    await reads(page, webhook, 'Succeeded')
    await page.locator('.waiting').waitFor({ state: 'detached' })
    await reads(page, webhook, 'Succeeded')
  })
})

test('what a drawer has read does not wait in the list beside it', async () => {
  const [slow, quick] = [await subscribe('opened', { is_active: false }), await subscribe('beside')]
  const webhook = await publish('opened')
  await end(slow, 1, 'held')
  for (let number = 0; number < 20; number += 1) await publish('beside')
  await end(quick, 20, 'succeeded')
  await watchLive([slow, quick], async (page) => {
    await page.locator(`tbody a[href*="${webhook}"]`).scrollIntoViewIfNeeded()
    await change(slow, { target_url: receiver.url(500), is_active: true })
    await page.locator('.waiting', { hasText: '1 new' }).waitFor()
    await end(slow, 1, 'failed')
    await page.locator(`tbody a[href*="${webhook}"]`).click()
    await page.locator('dialog .sheet-head .pill', { hasText: 'Failed' }).waitFor()
    await reads(page, webhook, 'Failed')
    await page.locator('.waiting').waitFor({ state: 'detached' })
  })
})

test('a press on a drawer keeps it open, also on its scrollbar and where it is empty', async () => {
  const id = await subscribe('pressed')
  const webhook = await publish('pressed')
  await end(id, 1, 'succeeded')
  await visitTenant(`#/deliveries?subscription_id=${id}`, {}, async (page) => {
    await page.locator(`tbody a[href*="${webhook}"]`).click()
    const drawer = page.locator('dialog.drawer')
    await drawer.locator('.attempt').waitFor()
    const { x, y, width, height } = await drawer.boundingBox()
    // A scrollbar is at the right edge; below the last line there is nothing.
    for (const [left, top] of [[x + width - 3, y + height / 2], [x + width / 2, y + height - 3]]) {
      assert.equal(await page.evaluate(([left, top]) => document.elementFromPoint(left, top)?.localName, [left, top]), 'dialog')
      await page.mouse.move(left, top)
      await page.mouse.down()
      await page.mouse.move(left, top - 40)
      await page.mouse.up()
    }
    await drawer.getByRole('link', { name: 'Payload' }).click()
    await drawer.locator('figure', { hasText: 'Payload' }).first().waitFor()
    await page.mouse.click(x - 20, y + height / 2)
    await drawer.waitFor({ state: 'detached' })
  })
})

/** Answers both summaries of the overview: of the chosen time, and of the one before. */
const summarize = (page, now, before = {}, ready = () => undefined) =>
  page.route('**/analytics/summary?*', async (route) => {
    const isBefore = route.request().url().includes('until=')
    const response = await route.fetch()
    const json = { ...(await response.json()), ...(isBefore ? before : now) }
    if (isBefore) await ready()
    await route.fulfill({ response, json })
  })

test('the numbers of another time are marked as such, and compared with their own time before', () =>
  visitTenant('#/?range=24h', {}, async (page) => {
    const now = { accepted: 70, attempts: 70 }
    let release = () => undefined
    let held = Promise.resolve()
    await summarize(page, now, { accepted: 10 }, () => held)
    await page.reload()
    const tile = page.locator('.tile', { hasText: 'Events accepted' })
    await tile.getByText('+600 % on the time before').waitFor()
    await page.locator('.numbers:not(.is-loading)').waitFor()
    held = new Promise((ready) => (release = ready))
    now.accepted = 5
    await page.getByRole('button', { name: '1 h', exact: true }).click()
    await tile.locator('.tile-value', { hasText: /^5$/ }).waitFor()
    assert.equal(await tile.locator('.tile-note').textContent(), '')
    await page.locator('.numbers.is-loading').waitFor()
    release()
    await tile.getByText('−50 % on the time before').waitFor()
    await page.locator('.numbers:not(.is-loading)').waitFor()
  }))

test('a share says all only of all, and a time says the rest of a minute or an hour', () =>
  visitTenant('#/', {}, async (page) => {
    const latency = { p50: 60_000, p95: 119_000, p99: 7_140_000 }
    const now = { accepted: 10_000, attempts: 10_000, success_rate: 0.9996, time_to_delivery_ms: latency }
    await summarize(page, now)
    const rate = page.locator('.tile', { hasText: 'Success rate' }).locator('.tile-value')
    for (const [share, text] of [[0.9996, '99.9 %'], [1, '100 %'], [0.0004, '0.1 %'], [0, '0 %'], [0.052, '5 %']]) {
      now.success_rate = share
      await page.reload()
      await rate.filter({ hasText: new RegExp(`^${text}$`) }).waitFor()
    }
    const time = page.locator('.tile', { hasText: 'Time to delivery' })
    assert.equal(await time.locator('.tile-value').textContent(), '1 min 59 s')
    assert.equal(await time.locator('.tile-note').textContent(), 'p50 1 min · p99 1 h 59 min')
  }))

test('no two labels of minutes are alike', () =>
  visitTenant('#/', {}, async (page) => {
    await page.addInitScript(() => {
      window.written = new Map()
      const { clearRect, fillText } = CanvasRenderingContext2D.prototype
      CanvasRenderingContext2D.prototype.clearRect = function (...area) {
        window.written.set(this.canvas, [])
        clearRect.apply(this, area)
      }
      CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        window.written.get(this.canvas)?.push({ text, right: place[0], width: this.measureText(text).width })
        fillText.call(this, text, ...place)
      }
    })
    await summarize(page, { accepted: 1 })
    await page.route(/analytics\/deliveries\?(?!.*group_by)/, async (route) => {
      const response = await route.fetch()
      const json = await response.json()
      for (const row of json.data) row.time_to_delivery_ms = { p50: 1_000, p95: 60_000, p99: 95_000 }
      await route.fulfill({ response, json })
    })
    await page.reload()
    await page.getByRole('img', { name: /^Time to delivery/ }).locator('canvas').waitFor()
    const drawn = await page.waitForFunction(() => {
      const texts = window.written.get(document.querySelector('[aria-label^="Time to delivery"] canvas'))?.filter(({ text }) => / (ms|s|min)$/.test(text))
      return texts?.length > 1 && texts
    })
    const labels = await drawn.jsonValue()
    const texts = labels.map(({ text }) => text)
    assert.deepEqual([...new Set(texts)], texts)
    assert.ok(texts.some((text) => /^1 min \d+ s$/.test(text)), String(texts))
    for (const { text, right, width } of labels) assert.ok(width <= right, `${text} has ${right} px`)
    await shot(page, 'minutes')
  }))

test('an arrow that is pressed before the search has answered marks the first row', async () => {
  const id = await subscribe('arrow')
  await visitTenant('#/', {}, async (page) => {
    const box = page.getByRole('combobox', { name: 'Search' })
    let release
    const held = new Promise((ready) => (release = ready))
    await page.route('**/search?*', (route) => held.then(() => route.continue()))
    await box.fill(id)
    await box.press('ArrowDown')
    release()
    await page.getByRole('option', { selected: true }).waitFor()
    await box.press('Enter')
    await page.getByRole('heading', { name: named('arrow') }).waitFor()
  })
})

test('a search that failed or found nothing asks again', () =>
  visitTenant('#/', { fails: ['Failed to load resource'] }, async (page) => {
    const box = page.getByRole('combobox', { name: 'Search' })
    const key = named('asked-again')
    await page.route('**/search?*', (route) => route.abort())
    await box.fill(key)
    await page.locator('.found .field-error').waitFor()
    await page.unroute('**/search?*')
    await box.press('Escape')
    await box.click()
    await page.getByText('Nothing has this id').waitFor()
    await accessible(page)
    const webhook = await publish('searched', { 'idempotency-key': key })
    await box.press('Enter')
    await page.waitForURL((url) => url.hash.includes(`/events/${webhook}`))
  }))

test('what is shown once is copied without https, also from a dialog over a drawer, and says whether it was', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await page.addInitScript(() => {
      window.clipboard = navigator.clipboard
      Object.defineProperty(navigator, 'clipboard', { value: undefined })
    })
    await page.reload()
    await signIn(page, OPERATOR_KEY)
    await page.evaluate((tenant) => (window.location.hash = `#/tenants?q=${tenant}`), TENANT)
    await page.locator('tbody a[data-row]', { hasText: 'Truths' }).click()
    await page.getByRole('button', { name: 'Portal link' }).click()
    const dialog = page.getByRole('dialog', { name: 'Portal link' })
    await dialog.getByRole('button', { name: 'Make a link' }).click()
    const button = dialog.getByRole('button', { name: 'Copy' })
    const icon = () => button.locator('path').first().getAttribute('d')
    await button.waitFor()
    const before = await icon()
    await page.evaluate(() => ((window.execCommand = document.execCommand), (document.execCommand = () => false)))
    await button.click()
    await page.locator('.toast', { hasText: 'did not let the dashboard copy' }).waitFor()
    assert.equal(await icon(), before, 'nothing was copied')
    await page.evaluate(() => (document.execCommand = window.execCommand))
    await button.click()
    await page.locator('.toast', { hasText: 'Link copied' }).waitFor()
    assert.notEqual(await icon(), before)
    assert.equal(await page.evaluate(() => window.clipboard.readText()), await dialog.locator('.once code').textContent())
  }))

test('a list that is not live shows what was cancelled, also where that ended halfway', async () => {
  const id = await subscribe('given-up', { is_active: false })
  await publish('given-up')
  await end(id, 1, 'held')
  await visitTenant(`#/deliveries?subscription_id=${id}`, { fails: ['Failed to load resource'] }, async (page) => {
    let requests = 0
    await page.route('**/deliveries/cancel', async (route) => {
      requests += 1
      if (requests === 3) return route.abort()
      const response = await route.fetch()
      const answer = await response.json()
      // After the plan: some were cancelled, and the request for the rest fails.
      await route.fulfill({ response, json: requests === 2 ? { ...answer, more: true } : answer })
    })
    const cancelAll = async (answer) => {
      await page.getByRole('button', { name: 'Cancel all…' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel 1' }).click()
      await answer.waitFor()
    }
    await cancelAll(page.locator('dialog .failure'))
    await page.locator('tbody tr', { hasText: 'Cancelled' }).waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click()
    const webhook = await publish('given-up')
    await end(id, 1, 'held')
    await page.getByRole('button', { name: 'Refresh' }).click()
    await reads(page, webhook, 'Held')
    await cancelAll(page.locator('.toast', { hasText: '1 cancelled' }))
    await reads(page, webhook, 'Cancelled')
  })
})

test('a key that may only publish gets the id of its event, and is offered nothing else', async () => {
  const { key } = await operator('POST', '/keys', { tenant: TENANT, scope: 'publish' })
  await visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await enter(page, key)
    await page.getByText('It is made for publishing').waitFor()
    assert.equal(await page.getByRole('combobox', { name: 'Search' }).count(), 0)
    await page.getByRole('link', { name: 'Publish an event' }).click()
    await page.getByLabel('Payload').fill('{"kept":true}')
    assert.equal(await page.getByRole('link', { name: 'Events', exact: true }).count(), 0)
    await page.getByRole('button', { name: 'Publish', exact: true }).click()
    await page.getByRole('button', { name: 'Copy' }).click()
    await page.locator('.toast', { hasText: 'Event id copied' }).waitFor()
    await accessible(page)
    await fits(page)
    await shot(page, 'published')
    const id = await page.evaluate(() => navigator.clipboard.readText())
    assert.equal((await api('GET', `/events/${id}`)).webhook_id, id)
  })
})

test('who may only read is neither told to publish nor led to the page of a tenant', async () => {
  const quiet = `quiet-${process.pid}`
  await operator('PUT', `/tenants/${quiet}`, { name: 'Quiet' })
  const { key } = await operator('POST', '/keys', { tenant: null, scope: 'read' })
  await api('POST', '/events', '{"broken": ', { mayFail: true })
  const [refusal] = await until('the refusal', async () => {
    const { data } = await api('GET', '/refusals')
    return data.length && data
  })
  await visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, key)
    const open = (hash) => page.evaluate((hash) => (window.location.hash = hash), hash)
    await open(`#/events?tenant=${quiet}`)
    await page.getByText('No event has been published yet').waitFor()
    assert.equal(await page.getByText('Publish one here').count(), 0)
    await open(`#/?tenant=${quiet}`)
    await page.getByText('Choose a longer time.').waitFor()
    await open(`#/refusals/${refusal.id}?tenant=${TENANT}`)
    await page.locator('.facts > div', { hasText: 'Tenant' }).waitFor()
    assert.equal(await page.locator('main a[href*="/tenants/"]').count(), 0)
    const box = page.getByRole('combobox', { name: 'Search' })
    await box.fill(refusal.tenant_id)
    await box.press('Enter')
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
  })
})

test('a tenant that is renamed on its own page has its new name in the switch', async () => {
  const { id } = await client(SERVER)('PUT', `/tenants/renamed-${process.pid}`, { name: 'Before' })
  await visit(browser, SERVER, `#/tenants/${id}?tenant=${id}`, {}, async (page) => {
    await page.locator('.tenant-button', { hasText: 'Before' }).waitFor()
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('Afterwards')
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
    await page.locator('.tenant-button', { hasText: 'Afterwards' }).waitFor()
  })
})

test('a replay that ended before it was cancelled says so', async () => {
  const id = await subscribe('ended', { target_url: receiver.url(500) })
  await publish('ended')
  await end(id, 1, 'failed')
  const only = { status: ['failed'], subscription_id: [id] }
  const { token } = await api('POST', '/replays', { only, dry_run: true })
  const replay = (await api('POST', '/replays', { only, token })).id
  await until('its end', async () => (await api('GET', `/replays/${replay}`)).status === 'finished')
  await visitTenant(`#/replays/${replay}`, {}, async (page) => {
    await page.route(`**/replays/${replay}`, async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, json: { ...(await response.json()), status: 'running' } })
    })
    await page.reload()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.locator('.toast', { hasText: 'It had ended already' }).waitFor()
  })
})

test('the list of subscriptions follows how they do', async () => {
  const id = await subscribe('followed')
  await visitTenant(`#/subscriptions?q=${named('followed')}`, {}, async (page) => {
    const row = page.locator('tbody tr', { hasText: named('followed') })
    await row.waitFor()
    await page.clock.install()
    await page.reload()
    await row.getByText('Active').waitFor()
    await change(id, { is_active: false })
    await later(page, 'the pause', () => row.getByText('Paused').count())
  })
})
