// Subscriptions and event types in a real browser, with receivers that really get what is sent.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { accessible, fits, launch, shot, signIn, visit } from './browser.mjs'
import { client, HOSTILE, until } from './data.mjs'

const { SERVER, LOCKED, OPERATOR_KEY, TENANT_KEY } = process.env
const WORKSHOP = 'workshop'
let browser, receiver, api

/** Answers what its path says, and keeps what came. */
async function recorder() {
  const got = []
  const server = createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    got.push({ path: request.url, headers: request.headers, body: Buffer.concat(parts).toString() })
    response.writeHead(Number(request.url.slice(1, 4)) || 204, { 'x-served-by': HOSTILE }).end(HOSTILE)
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address()
  return { port, url: (path) => `http://127.0.0.1:${port}${path}`, got: (path) => got.filter((one) => one.path === path), stop: () => (server.closeAllConnections(), server.close()) }
}

const subscription = (external_id, path, more = {}) => api('POST', '/subscriptions/', { external_id, target_url: receiver.url(path), ...more })
const read = (id) => api('GET', `/subscriptions/${id}`)
const publish = (type, payload) => api('POST', '/events', payload, { 'x-event-type': type })

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), recorder()])
  const operator = client(SERVER)
  await operator('PUT', `/tenants/${WORKSHOP}`, { name: 'Workshop' })
  api = client(SERVER, { 'postrider-tenant': WORKSHOP })
  await api('PUT', '/event-types/order.created', {
    description: 'Somebody ordered',
    schema: { type: 'object', properties: { id: { type: 'integer' } } },
    example: { id: 7, total: 25 },
    validate: true,
  })
  await api('PUT', '/event-types/order.paid', { description: 'An order was paid', deprecated: true })
  await api('PUT', '/event-types/order.created.v2', { description: HOSTILE })
  await subscription('good', '/204/good', { description: HOSTILE, event_types: ['order.created', 'order.paid', 'order.sent', 'invoice.*'] })
  await subscription('bad', '/500/bad', { event_types: ['order.created'], retry_schedule: 'none', headers: { 'X-Team': 'blue' } })
  await subscription('paused', '/204/paused', { event_types: ['order.*'], is_active: false })
  for (let id = 1; id <= 12; id += 1) await publish('order.created', { id, total: id * 10, data: { country: id % 3 ? 'DE' : 'FR' } })
  await until('failures', async () => (await api('GET', '/deliveries?status=failed&subscription_id=bad&limit=100')).data.length === 12)
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const visitWorkshop = (hash, options, look) => visit(browser, SERVER, `${hash}${hash.includes('?') ? '&' : '?'}tenant=${WORKSHOP}`, options, look)
const loaded = (page) => page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('[aria-busy=true]'))
const row = (page, name) => page.getByRole('table', { name: 'Subscriptions' }).locator('tr', { has: page.locator('.row-anchor', { hasText: name }) })
const button = (page, name) => page.getByRole('button', { name, exact: true })
const says = (page, text) => page.locator('.toast', { hasText: text }).waitFor()

test('every screen of subscriptions and event types shows itself in light and dark, wide and narrow, to everybody', async (t) => {
  const { id } = await read('bad')
  const paused = await read('paused')
  const screens = {
    subscriptions: '#/subscriptions',
    'subscriptions-no-match': '#/subscriptions?q=nobody',
    'subscription-new': '#/subscriptions/~new',
    subscription: `#/subscriptions/${id}?range=1h`,
    'subscription-paused': `#/subscriptions/${paused.id}`,
    'subscription-deliveries': `#/subscriptions/${id}?part=deliveries`,
    'subscription-settings': `#/subscriptions/${id}?part=settings`,
    'subscription-secrets': `#/subscriptions/${id}?part=secrets`,
    'subscription-testing': `#/subscriptions/${id}?part=testing`,
    'event-types': '#/event-types',
    'event-type': '#/event-types/order.created',
    'event-type-edit': '#/event-types/order.created?edit=yes',
    'event-type-new': '#/event-types/~new',
  }
  for (const [name, hash] of Object.entries(screens)) {
    for (const [width, theme] of [[1440, 'light'], [1440, 'dark'], [360, 'light'], [360, 'dark']]) {
      await t.test(`${name}, ${width}, ${theme}`, () =>
        visitWorkshop(hash, { width, theme }, async (page) => {
          await loaded(page)
          await fits(page)
          await shot(page, `${name}-${width}-${theme}`)
          await accessible(page)
        }),
      )
    }
  }
})

test('the list says who gets what and how well that goes', () =>
  visitWorkshop('#/subscriptions', {}, async (page) => {
    await row(page, 'good').getByText('+1').waitFor()
    await row(page, 'good').locator('.description', { hasText: '<img src=x' }).waitFor()
    await row(page, 'bad').locator('.pill', { hasText: 'Degraded' }).waitFor()
    await row(page, 'bad').getByText('12 failures').waitFor()
    await row(page, 'paused').locator('.pill', { hasText: 'Paused' }).waitFor()
    // Numbers are folded some seconds after the attempts.
    await until('the numbers', async () => {
      await page.reload()
      await page.locator('svg.hours').first().waitFor()
      return (await row(page, 'bad').locator('.col-rate').textContent()) === '0 %' && (await row(page, 'good').locator('.col-rate').textContent()) === '100 %'
    }, 120_000)
    assert.equal(await row(page, 'bad').locator('svg.hours').getAttribute('aria-label'), '0 delivered, 12 failed in 24 hours')
    await row(page, 'bad').getByRole('button', { name: 'Copy the target' }).click()
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), receiver.url('/500/bad'))
    assert.match(page.url(), /#\/subscriptions\?/, 'copying opens nothing')
  }))

test('a subscription is found by a part of its URL and by its state', () =>
  visitWorkshop('#/subscriptions', {}, async (page) => {
    await button(page, 'Name or URL').click()
    await page.getByLabel('Name or URL', { exact: true }).fill('/500/BAD')
    await page.keyboard.press('Enter')
    await row(page, 'paused').waitFor({ state: 'detached' })
    await row(page, 'bad').waitFor()
    await page.getByRole('button', { name: 'Remove the filter Name or URL' }).click()
    await row(page, 'paused').waitFor()
    await button(page, 'State').click()
    await page.getByLabel('Paused or disabled').check()
    await row(page, 'bad').waitFor({ state: 'detached' })
    await row(page, 'paused').waitFor()
    assert.match(page.url(), /state=disabled/)
  }))

test('a subscription is made: target checked, types chosen, filter tried, secret shown once', () =>
  visitWorkshop('#/subscriptions', { fails: ['422'] }, async (page) => {
    await page.getByRole('link', { name: 'New subscription' }).click()
    const url = page.getByLabel('URL')
    await url.fill('http://10.0.0.1/hook')
    await page.locator('.field.has-error', { has: url }).locator('.field-error').waitFor()
    await url.fill(receiver.url('/204/made'))
    await page.getByText('http is not encrypted').waitFor()
    assert.equal((await api('GET', '/subscriptions/?limit=100')).data.length, 3, 'a check makes nothing')

    await page.getByLabel('Only these').check()
    await page.locator('.chooser-list').getByText('order.*').click()
    await page.getByLabel('Chosen event types').getByText('order.*').waitFor()
    assert.ok(await page.getByRole('checkbox', { name: /^order\.created S/ }).isDisabled(), 'the wildcard has it already')
    await button(page, 'Add a condition').click()
    await page.getByLabel('Field', { exact: true }).fill('total')
    await page.getByLabel('Operator').selectOption('is greater than')
    await page.getByLabel('Value').fill('60')
    await page.locator('.trial .big-number', { hasText: /^6 of the newest 12 events/ }).waitFor()
    assert.deepEqual(
      await page.locator('datalist option').evaluateAll((options) => options.map(({ value }) => value)),
      ['id', 'total', 'data.country'],
      'the fields of the newest event are suggested',
    )
    await shot(page, 'subscription-new-filled')
    await accessible(page)

    await button(page, 'Create').click()
    const secret = await page.locator('.once code').textContent()
    assert.match(secret, /^whsec_/)
    for (const language of ['Node', 'Python', 'Go', 'Ruby', 'PHP', 'Rust']) {
      await button(page, language).click()
      assert.match(await page.locator('.code-block pre').nth(1).textContent(), /WEBHOOK_SECRET/, language)
    }
    await shot(page, 'subscription-made')
    await accessible(page)

    const { id, filter, event_types } = (await api('GET', '/subscriptions/?limit=1')).data[0]
    assert.deepEqual({ filter, event_types }, { filter: { total: { $gt: 60 } }, event_types: ['order.*'] })
    await publish('order.created', { id: 99, total: 61 })
    const { headers, body } = (await until('the delivery', () => receiver.got('/204/made').at(-1)))
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
    const expected = createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64')
    assert.equal(headers['webhook-signature'], `v1,${expected}`)
    assert.match(page.url(), new RegExp(`#/subscriptions/${id}`))
    await page.keyboard.press('Escape')
    assert.equal(await page.locator('.once code').textContent(), secret, 'Esc does not take it away')
    await page.goBack()
    await row(page, 'good').waitFor()
    await page.goForward()
    assert.equal(await page.locator('.once code').textContent(), secret, 'nor does the way back and forth')
    await button(page, 'I have it').click()
    await page.getByRole('link', { name: 'Secrets' }).click()
    await page.getByText('Current secret').waitFor()
    assert.ok(!(await page.content()).includes(secret), 'it is not shown again')
    await api('DELETE', `/subscriptions/${id}`)
  }))

test('the code for Node takes a real delivery and refuses a forged one', () =>
  visitWorkshop('#/subscriptions/~new', { fails: ['422'] }, async (page) => {
    const { port } = await recorder().then(({ port, stop }) => (stop(), { port }))
    await page.getByLabel('URL').fill(`http://127.0.0.1:${port}/`)
    await button(page, 'Create').click()
    const secret = await page.locator('.once code').textContent()
    const code = await page.locator('.code-block pre').nth(1).textContent()
    const file = new URL('../shots/receiver.mjs', import.meta.url).pathname
    writeFileSync(file, code.replace('9100', String(port)))
    const program = spawn(process.execPath, [file], { env: { ...process.env, WEBHOOK_SECRET: secret }, stdio: ['ignore', 'pipe', 'inherit'] })
    let printed = ''
    program.stdout.on('data', (text) => (printed += text))
    try {
      await until('the receiver', () => fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false))
      await button(page, 'I have it').click()
      await page.getByRole('link', { name: 'Send a test event' }).click()
      await page.getByLabel('Payload').fill('{"text": "größer – 1.0"}')
      await button(page, 'Send').click()
      await page.locator('.test-result .code', { hasText: '204' }).waitFor()
      await until('what it prints', () => printed.includes('größer'))
      const forged = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}', headers: { 'webhook-id': 'x', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': `v1,${'A'.repeat(43)}=` } })
      assert.equal(forged.status, 401)
    } finally {
      program.kill()
      await api('DELETE', `/subscriptions/${(await api('GET', '/subscriptions/?limit=1')).data[0].id}`)
    }
  }))

test('what the server refuses of a new subscription is said at its field', () =>
  visitWorkshop('#/subscriptions/~new', { fails: ['422'] }, async (page) => {
    await page.getByLabel('URL').fill(receiver.url('/204/refused'))
    await page.getByLabel('Only these').check()
    await button(page, 'Create').click()
    await page.locator('.field-error', { hasText: 'needs at least one' }).waitFor()
    await page.getByLabel('Find or add an event type').fill('order created')
    await button(page, 'Create').click()
    await page.locator('.field-error', { hasText: 'order created is typed, but not added' }).waitFor()
    await page.getByLabel('Find or add an event type').press('Enter')
    await button(page, 'Write it as JSON').click()
    await page.getByLabel('Filter as JSON').fill('{"id": 12345678901234567890}')
    await page.locator('.field-error', { hasText: 'rounds' }).waitFor()
    await page.getByLabel('Filter as JSON').fill('{"total": {"$above": 5}}')
    await page.locator('summary').click()
    await button(page, 'Add a header').click()
    await page.getByLabel('Name').first().fill('Webhook-Id')
    await page.getByLabel('Value').first().fill('x')
    await page.getByLabel('Retries').selectOption('Own delays…')
    await page.getByLabel('Delays').fill('soon')
    await page.locator('summary').click()
    await button(page, 'Create').click()
    const field = (legend) => page.locator('.field', { has: page.locator(`:is(legend, label):text-is("${legend}")`) }).locator('.field-error')
    await field('Headers').getByText('must not be given').waitFor()
    await field('Event types').getByText('must be segments').waitFor()
    await field('Filter').getByText('is not an operator').waitFor()
    await field('Delays').getByText('must be standard').waitFor()
    await page.getByRole('alert').getByText('See the fields in red').waitFor()
    assert.equal(await page.getByText('errors names each').count(), 0)
    await shot(page, 'subscription-refused')
    await accessible(page)
    assert.equal((await api('GET', '/subscriptions/?limit=100')).data.length, 3)
  }))

test('a condition without a field is refused at its row, and makes no subscription that gets everything', async () => {
  let made = null
  await visitWorkshop('#/subscriptions/~new', { fails: ['422'] }, async (page) => {
    await page.getByLabel('URL').fill(receiver.url('/204/fieldless'))
    await page.getByLabel('External id').fill('fieldless')
    await button(page, 'Add a condition').click()
    await page.getByLabel('Value').fill('100')
    assert.ok(await button(page, 'Write it as JSON').isDisabled(), 'the row would be lost')
    await button(page, 'Create').click()
    await page.locator('.conditions .field-error', { hasText: 'Name the field' }).waitFor()
    await accessible(page)
    assert.deepEqual((await api('GET', '/subscriptions/?external_id=fieldless')).data, [])
    await page.getByLabel('Field', { exact: true }).fill('total')
    await page.locator('.conditions .field-error').waitFor({ state: 'detached' })
    await button(page, 'Create').click()
    await page.locator('.once code').waitFor()
    ;[made] = (await api('GET', '/subscriptions/?external_id=fieldless')).data
    assert.deepEqual(made.filter, { total: 100 })
  })
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('settings: only what was changed is sent, and what was stored as a filter stays one', async () => {
  const made = await subscription('settings', '/204/settings', { event_types: ['order.*'], metadata: { team: 'blue', room: '7' }, headers: { 'X-Key': 'secret' }, auth: { type: 'bearer', token: 'token' } })
  await visitWorkshop(`#/subscriptions/${made.id}?part=settings`, {}, async (page) => {
    await page.getByLabel('Description').fill('Changed here')
    await page.getByLabel('Requests a second').fill('40')
    await page.getByRole('link', { name: 'Secrets' }).click()
    await page.getByText('Current secret').waitFor()
    await page.getByRole('link', { name: 'Settings' }).click()
    assert.equal(await page.getByLabel('Description').inputValue(), 'Changed here', 'a look at another part takes nothing away')
    await button(page, 'Remove room').click()
    await button(page, 'Add a condition').click()
    await page.getByLabel('Value').first().fill('100')
    await page.getByRole('link', { name: 'Secrets' }).click()
    // Somebody else adds an entry, and the page has read it before it shows the settings again.
    await api('PATCH', `/subscriptions/${made.id}`, { metadata: { floor: '3' }, description: 'Changed there' })
    await page.locator('.description-line', { hasText: 'Changed there' }).waitFor()
    await page.getByRole('link', { name: 'Settings' }).click()
    assert.equal(await page.locator('.condition').getByLabel('Value').inputValue(), '100', 'a condition without a field stays')
    await button(page, 'Remove the condition').click()
    await api('PATCH', `/subscriptions/${made.id}`, { event_types: ['invoice.*'] })
    await button(page, 'Save').click()
    await says(page, 'Saved')
    const { description, rate_limit, metadata, event_types, headers, auth } = await read(made.id)
    assert.deepEqual({ description, rate_limit, metadata, event_types }, { description: 'Changed here', rate_limit: 40, metadata: { team: 'blue', floor: '3' }, event_types: ['invoice.*'] })
    assert.deepEqual({ headers, auth }, { headers: { 'x-key': '********' }, auth: { type: 'bearer' } })
    assert.ok(await button(page, 'Save').isDisabled(), 'nothing is left to save')
  })
  const filters = [
    { total: { $gt: 60, $lte: 90 }, data: { country: { $in: ['DE', 'FR'] } }, id: '5', paid: true, note: null },
    { number: 1.5, text: 'a, b', word: 'true', 'with.dot': 1 },
    { $or: [{ total: 1 }, { total: { $not: { $gt: 2 } } }] },
    { items: { sku: { $startsWith: ' x' }, gone: { $exist: false } } },
  ]
  for (const filter of filters) {
    await api('PATCH', `/subscriptions/${made.id}`, { filter })
    await visitWorkshop(`#/subscriptions/${made.id}?part=settings`, {}, async (page) => {
      await page.getByRole('link', { name: 'Settings' }).waitFor()
      const asJson = page.getByLabel('Filter as JSON')
      const rows = page.getByLabel('Field', { exact: true })
      await asJson.or(rows.first()).waitFor()
      const asRows = (await rows.count()) > 0
      assert.equal(asRows, !('$or' in filter) && !('with.dot' in filter), JSON.stringify(filter))
      if (!asRows) return
      await button(page, 'Add a condition').click()
      await page.getByLabel('Field', { exact: true }).last().fill('extra')
      await page.locator('.condition').last().getByLabel('Value').fill('1')
      await button(page, 'Save').click()
      await says(page, 'Saved')
      assert.deepEqual((await read(made.id)).filter, { ...filter, extra: 1 })
    })
  }
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('paused and resumed from the list, after a question', () =>
  visitWorkshop('#/subscriptions', {}, async (page) => {
    const act = async (what) => {
      await row(page, 'good').getByRole('button', { name: 'Actions of good' }).click()
      await row(page, 'good').getByRole('button', { name: what }).click()
      const dialog = page.getByRole('dialog')
      await shot(page, `subscription-${what.toLowerCase()}`)
      await dialog.getByRole('button', { name: what, exact: true }).click()
    }
    await act('Pause')
    await row(page, 'good').locator('.pill', { hasText: 'Paused' }).waitFor()
    assert.equal((await read('good')).is_active, false)
    const before = receiver.got('/204/good').length
    await publish('order.paid', { id: 50 })
    await act('Resume')
    await row(page, 'good').locator('.pill', { hasText: 'Active' }).waitFor()
    await until('what was held', () => receiver.got('/204/good').length === before + 1)
  }))

test('a secret is rotated: shown once, signs at once, and the old one counts down', async () => {
  const made = await subscription('rotated', '/204/rotated')
  await visitWorkshop(`#/subscriptions/${made.id}?part=secrets`, {}, async (page) => {
    await page.getByRole('button', { name: 'Rotate…' }).click()
    await page.getByLabel('The old one stays valid for').selectOption('An hour')
    await page.getByRole('dialog').getByRole('button', { name: 'Rotate', exact: true }).click()
    const secret = await page.locator('.once code').textContent()
    assert.match(secret, /^whsec_/)
    assert.notEqual(secret, made.secret_key)
    await shot(page, 'subscription-rotated')
    await accessible(page)
    await button(page, 'I have it').click()
    await page.locator('.card-list time', { hasText: /^in 00:5\d:\d\d$/ }).waitFor()
    await page.getByRole('link', { name: 'Testing' }).click()
    await button(page, 'Send').click()
    await page.locator('.test-result .code', { hasText: '204' }).waitFor()
    const { headers, body } = receiver.got('/204/rotated').at(-1)
    const sign = (key) => `v1,${createHmac('sha256', Buffer.from(key.slice(6), 'base64')).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64')}`
    assert.equal(headers['webhook-signature'], `${sign(secret)} ${sign(made.secret_key)}`)
  })
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('a test event is sent and its attempt is shown in full', async () => {
  const { id } = await read('bad')
  await visitWorkshop(`#/subscriptions/${id}?part=testing`, { fails: ['422'] }, async (page) => {
    await page.getByLabel('Payload').fill('{"broken": ')
    await button(page, 'Send').click()
    await page.locator('.field-error', { hasText: 'is not valid JSON' }).waitFor()
    await page.getByLabel('Payload').fill('')
    await page.getByLabel('Event type').fill('order.created')
    await page.waitForFunction(() => document.querySelector('textarea')?.value.includes('"total": 25'))
    await button(page, 'Send').click()
    const result = page.locator('.test-result')
    await result.locator('.pill', { hasText: 'Receiver error (5xx)' }).waitFor()
    await result.locator('.json pre', { hasText: '<script>' }).waitFor()
    await result.locator('.fields dd', { hasText: '<img src=x' }).waitFor()
    await shot(page, 'subscription-tested')
    await accessible(page)
    assert.deepEqual(JSON.parse(receiver.got('/500/bad').at(-1).body), { id: 7, total: 25 })
    await page.getByLabel('Event type').fill('no such type')
    await button(page, 'Send').click()
    await page.locator('.field.has-error', { hasText: 'Event type' }).waitFor()
  })
})

test('what a subscription lost is sent again, after a look at how much that is', async () => {
  const made = await subscription('lost', '/500/lost', { event_types: ['order.created'], retry_schedule: 'none' })
  for (let id = 1; id <= 3; id += 1) await publish('order.created', { id })
  await until('failures', async () => (await api('GET', '/deliveries?status=failed&subscription_id=lost')).data.length === 3)
  await api('PATCH', `/subscriptions/${made.id}`, { target_url: receiver.url('/204/found') })
  await visitWorkshop(`#/subscriptions/${made.id}`, {}, async (page) => {
    await page.getByRole('button', { name: 'Recover…' }).click()
    await page.locator('.big-number', { hasText: /^3 deliveries/ }).waitFor()
    await shot(page, 'subscription-recover')
    await accessible(page)
    await button(page, 'Send 3 again').click()
    await page.locator('.pill', { hasText: 'Finished' }).waitFor()
    await until('what was lost', () => receiver.got('/204/found').length === 3)
    await page.goBack()
    await page.getByRole('button', { name: 'Recover…' }).click()
    await page.getByLabel('Also what it never got').check()
    await page.locator('.big-number', { hasText: /^\d\d deliveries/ }).waitFor()
  })
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('its deliveries are the list with one subscription, and open beside it', async () => {
  const { id } = await read('bad')
  await visitWorkshop(`#/subscriptions/${id}`, {}, async (page) => {
    await page.getByRole('navigation', { name: 'Parts of this page' }).getByRole('link', { name: 'Deliveries' }).click()
    await page.getByRole('table', { name: 'Deliveries' }).locator('a[data-row]').first().waitFor()
    assert.equal(await button(page, 'Subscription').count(), 0)
    await page.locator('a[data-row]').first().click()
    await page.locator('dialog .why').waitFor()
    await page.keyboard.press('Escape')
    await page.locator('dialog').waitFor({ state: 'detached' })
    await page.getByRole('table', { name: 'Deliveries' }).waitFor()
    assert.match(page.url(), /part=deliveries/)
  })
})

test('the head of its page follows how it does, and what is typed in the settings stays', async () => {
  const made = await subscription('recovering', '/500/recovering', { retry_schedule: 'none' })
  await publish('order.sent', { id: 1 })
  await until('a failure', async () => (await read(made.id)).health.failures)
  await visitWorkshop(`#/subscriptions/${made.id}?part=settings`, {}, async (page) => {
    const head = page.locator('.sheet-head')
    await head.getByText('Degraded').waitFor()
    await page.waitForFunction(() => document.title === 'recovering · Subscription · postrider')
    await page.getByLabel('Description').fill('Half written')
    await api('PATCH', `/subscriptions/${made.id}`, { target_url: receiver.url('/204/recovering') })
    await publish('order.sent', { id: 2 })
    await head.getByText('Active').waitFor()
    await page.locator('.why').waitFor({ state: 'detached' })
    assert.equal(await page.getByLabel('Description').inputValue(), 'Half written')
    await page.getByRole('link', { name: 'Secrets' }).click()
    await page.getByText('Current secret').waitFor()
    const question = page.getByRole('dialog', { name: 'Leave without saving?' })
    const leave = () => page.locator('.menu').getByRole('link', { name: 'Events', exact: true }).click()
    await leave()
    await question.waitFor()
    await accessible(page)
    await question.getByRole('button', { name: 'Close' }).first().click()
    await page.getByText('Current secret').waitFor()
    await leave()
    await question.getByRole('button', { name: 'Leave' }).click()
    await page.getByRole('heading', { name: 'Events', exact: true }).waitFor()
    assert.equal(await question.count(), 0)
  })
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('what is held is cancelled, after a question', async () => {
  const made = await subscription('holding', '/204/holding', { is_active: false })
  for (let id = 1; id <= 3; id += 1) await publish('order.sent', { id })
  await until('what is held', async () => (await read(made.id)).health.held === 3)
  await visitWorkshop(`#/subscriptions/${made.id}`, {}, async (page) => {
    await page.locator('.why', { hasText: '3 held' }).waitFor()
    await page.getByRole('button', { name: 'More actions' }).click()
    await button(page, 'Cancel what is held').click()
    await button(page, 'Cancel them').click()
    await says(page, '3 cancelled')
    assert.equal((await api('GET', '/deliveries?status=cancelled&subscription_id=holding')).data.length, 3)
    assert.equal((await read(made.id)).is_active, false)
  })
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('a subscription that its receiver ended says what is held, and what sends it', async () => {
  const made = await subscription('ended', '/410/ended', { event_types: ['farewell'] })
  await publish('farewell', { id: 1 })
  await until('its end', async () => (await read(made.id)).disabled_reason === 'gone')
  for (let id = 2; id <= 3; id += 1) await publish('farewell', { id })
  await visitWorkshop(`#/subscriptions/${made.id}`, {}, async (page) => {
    await page.locator('.tile', { hasText: 'Held now' }).getByText('sent when it is resumed').waitFor()
    await page.getByRole('button', { name: 'Recover…' }).click()
    await page.getByRole('dialog').getByText('2 deliveries are held besides. To send all of it, resume the subscription.').waitFor()
    await shot(page, 'subscription-ended')
    await accessible(page)
  })
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('one failure is not several', async () => {
  const made = await subscription('once', '/500/once', { event_types: ['farewell'], retry_schedule: 'none' })
  await publish('farewell', { id: 1 })
  await until('a failure', async () => (await read(made.id)).health.failures === 1)
  await visitWorkshop(`#/subscriptions/${made.id}`, {}, (page) => page.locator('.tile', { hasText: 'Held now' }).getByText('1 failure since the last success').waitFor())
  await api('DELETE', `/subscriptions/${made.id}`)
})

test('deleted from its page, after a question', async () => {
  const { id } = await subscription('deleted', '/204/deleted')
  await visitWorkshop(`#/subscriptions/${id}`, {}, async (page) => {
    await page.getByRole('button', { name: 'More actions' }).click()
    await button(page, 'Delete').click()
    await page.getByRole('dialog').getByText('cannot be undone').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByRole('table', { name: 'Subscriptions' }).locator('a[data-row]').first().waitFor()
    assert.equal(await row(page, 'deleted').count(), 0)
    assert.deepEqual((await api('GET', '/subscriptions/?external_id=deleted')).data, [])
  })
})

test('a subscription that somebody else deletes is not shown as alive', async () => {
  const { id } = await subscription('deleted-elsewhere', '/204/deleted')
  await visitWorkshop(`#/subscriptions/${id}`, { fails: ['404'] }, async (page) => {
    await page.locator('.sheet-head').getByText('Active').waitFor()
    await api('DELETE', `/subscriptions/${id}`)
    await page.getByRole('alert').waitFor()
    assert.equal(await page.locator('.sheet-head').count(), 0)
  })
})

test('an event type is described, its schema checked, changed and deleted', () =>
  visitWorkshop('#/event-types', { fails: ['422'] }, async (page) => {
    await page.getByRole('link', { name: 'New event type' }).click()
    await page.getByLabel('Name').fill('invoice sent')
    await page.getByRole('textbox', { name: 'Schema' }).fill('{"type": "object", "properties": {"id": {"type": "nonsense"}}}')
    await button(page, 'Create').click()
    await page.locator('.field.has-error', { has: page.getByLabel('Name') }).locator('.field-error').waitFor()
    await page.getByLabel('Name').fill('invoice.sent')
    await button(page, 'Create').click()
    await page.locator('.field.has-error', { has: page.getByRole('textbox', { name: 'Schema' }) }).locator('.field-error', { hasText: '/properties/id/type' }).waitFor()
    await shot(page, 'event-type-refused')
    await accessible(page)
    await page.getByRole('textbox', { name: 'Schema' }).fill('{"type": "object", "required": ["id"]}')
    await page.getByLabel('Check payloads').check()
    await page.getByLabel('Example').fill('{"id": 7}')
    await button(page, 'Create').click()
    await page.getByRole('heading', { name: 'invoice.sent' }).waitFor()
    await page.getByText('refused if they break the schema').waitFor()
    assert.equal((await api('POST', '/events', { no: 'id' }, { 'x-event-type': 'invoice.sent', mayFail: true })).code, 'schema_mismatch')

    await page.getByRole('link', { name: 'Edit' }).click()
    await page.getByLabel('Deprecated').check()
    await button(page, 'Save').click()
    await page.locator('.pill', { hasText: 'Deprecated' }).waitFor()
    const { deprecated, validate, example } = await api('GET', '/event-types/invoice.sent')
    assert.deepEqual({ deprecated, validate, example }, { deprecated: true, validate: true, example: { id: 7 } })
    await button(page, 'Delete').click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByRole('table', { name: 'Event types' }).locator('a[data-row]').first().waitFor()
    assert.equal((await api('GET', '/event-types/invoice.sent', undefined, { mayFail: true })).status, 404)
  }))

test('lists without anything say what to do next', async () => {
  await client(SERVER)('PUT', '/tenants/nothing', { name: 'Nothing' })
  await visit(browser, SERVER, '#/subscriptions?tenant=nothing', {}, async (page) => {
    await page.getByText('Nobody gets events yet').waitFor()
    await shot(page, 'subscriptions-empty')
    await accessible(page)
    await page.getByRole('link', { name: 'Event types' }).click()
    await page.getByText('No event type is described yet').waitFor()
    await accessible(page)
  })
  await visit(browser, SERVER, '#/subscriptions', {}, (page) => page.getByText('Choose a tenant').waitFor())
})

test('who may only read is offered no change', async () => {
  const operator = client(LOCKED, { authorization: `Bearer ${OPERATOR_KEY}`, 'postrider-tenant': 'acme' })
  await operator('PUT', '/event-types/read.only', { description: 'To be read' })
  const { id } = await operator('POST', '/subscriptions/', { target_url: 'https://example.com/hook' })
  await visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, TENANT_KEY)
    await page.getByRole('link', { name: 'Event types' }).click()
    await page.locator('a[data-row]', { hasText: 'read.only' }).waitFor()
    assert.equal(await page.getByRole('link', { name: 'New event type' }).count(), 0)
    await page.locator('a[data-row]', { hasText: 'read.only' }).click()
    await page.getByRole('heading', { name: 'read.only' }).waitFor()
    assert.equal(await page.getByRole('button', { name: 'Delete' }).count(), 0)
    await page.getByRole('link', { name: 'Subscriptions' }).click()
    await page.getByRole('heading', { name: 'Subscriptions' }).waitFor()
    await loaded(page)
    assert.equal(await page.getByRole('link', { name: 'New subscription' }).count(), 0)
    await page.locator('a[data-row]').first().click()
    await page.getByRole('link', { name: 'Settings' }).click()
    await page.getByText('as the instance does').first().waitFor()
    assert.equal(await page.getByRole('button', { name: /Pause|Resume|Recover|Save|More actions/ }).count(), 0)
    assert.equal(await page.getByRole('link', { name: 'Testing' }).count(), 0)
    await page.getByRole('link', { name: 'Secrets' }).click()
    await page.getByText('Current secret').waitFor()
    assert.equal(await page.getByRole('button', { name: /Rotate/ }).count(), 0)
  })
  await operator('DELETE', `/subscriptions/${id}`)
})
