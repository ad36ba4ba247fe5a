// What a form shows is what it saves, and what is typed or shown once is not lost on the way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { runnerImport } from 'vite'
import { accessible, launch, signIn, visit, withTenant } from './browser.mjs'
import { answering, client, until } from './data.mjs'

const { SERVER, LOCKED, OPERATOR_KEY } = process.env
const TENANT = `forms-${process.pid}`
let browser, receiver, api, rowsOf, filterOf

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), answering()])
  await client(SERVER)('PUT', `/tenants/${TENANT}`, { name: 'Forms' })
  api = client(SERVER, { 'postrider-tenant': TENANT })
  ;({ module: { conditionsOf: rowsOf, filterOf } } = await runnerImport(new URL('../src/screens/subscriptions/conditions.ts', import.meta.url).pathname))
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const visitTenant = (hash, options, look) => visit(browser, SERVER, withTenant(hash, TENANT), options, look)
const subscribe = (name, more = {}) => api('POST', '/subscriptions/', { external_id: name, target_url: receiver.url(204), event_types: [`${name}.happened`], retry_schedule: 'none', ...more })
const read = (id) => api('GET', `/subscriptions/${id}`)
const button = (page, name) => page.getByRole('button', { name, exact: true })
const says = (page, text) => page.locator('.toast', { hasText: text }).waitFor()

const row = (path, operator, value) => ({ path, operator, value })

test('rows of conditions make the filter that they show', () => {
  const cases = [
    [[row('data.country', '$ne', 'DE'), row('data.country', '$ne', 'FR')], { data: { country: { $ne: 'DE', $and: [{ $ne: 'FR' }] } } }],
    [[row('a', '$eq', '1'), row('a', '$eq', '2'), row('a', '$eq', '3')], { a: { $eq: 1, $and: [{ $eq: 2 }, { $eq: 3 }] } }],
    [[row('a', '$gt', '1'), row('a', '$lt', '5')], { a: { $gt: 1, $lt: 5 } }],
    [[row('a', '$eq', '1'), row('a.b', '$eq', '2')], { a: { $eq: 1, b: 2 } }],
    [[row('a', '$in', ' x , "a,b" ,"", 5,, true')], { a: { $in: ['x', 'a,b', '', 5, true] } }],
    [[row('a', '$in', '[1, "2", null]')], { a: { $in: [1, '2', null] } }],
    [[row('a', '$in', 'say "hi", there')], { a: { $in: ['say "hi"', 'there'] } }],
    [[row('a', '$in', '"a"b, c')], { a: { $in: ['"a"b', 'c'] } }],
    [[row('a', '$in', '')], { a: { $in: [] } }],
    [[row('__proto__', '$eq', '1')], JSON.parse('{"__proto__": 1}')],
  ]
  for (const [rows, filter] of cases) assert.deepEqual(JSON.stringify(filterOf(rows)), JSON.stringify(filter))
})

test('a condition that cannot be kept as it is shown is not in the filter', () => {
  for (const fault of [row('', '$eq', '1'), row('a..b', '$eq', '1'), row('a.$not', '$eq', '1'), row('a', '$eq', '1e400'), row('a', '$eq', '1e-400'), row('a', '$eq', '0.1000000000000000055'), row('a', '$in', '1, 9007199254740993')]) {
    assert.equal(filterOf([fault]), null, JSON.stringify(fault))
  }
  for (const text of ['"9007199254740993"', 'order-9007199254740993', '0.000', '1e300']) assert.ok(filterOf([row('a', '$eq', text)]), text)
})

test('a stored filter is shown as rows that make it again, or as JSON', () => {
  const asRows = [
    { a: { $in: ['x', 'a,b'] } },
    { a: { $in: ['', 'DE'] } },
    { a: { $nin: ['[1', '2]', '"a', 'b"', ' x ', '5', 5, null, 'say "hi"'] } },
    { a: { $in: [] } },
    { a: '', b: '5', c: 'a, b', d: '[1]', e: '"', f: { $ne: 'null' } },
    { a: { $lt: 5, $ne: 1, $and: [{ $ne: 2 }, { $lt: 7 }], b: { c: true } } },
    { a: { $eq: 5 } },
    JSON.parse('{"__proto__": {"constructor": 1}}'),
  ]
  const simple = (filter) => JSON.parse(JSON.stringify(filter).replace('{"$eq":5}', '5'))
  for (const filter of asRows) {
    const rows = rowsOf(filter)
    assert.ok(rows, JSON.stringify(filter))
    assert.deepEqual(filterOf(rows), simple(filter))
  }
  const asJson = [
    { $and: [{ a: 1 }, { a: 2 }] },
    { a: { $and: [{ $gt: 1 }, { $lt: 5 }] } },
    { a: { $ne: 1, $and: [2] } },
    { a: { $ne: 1, $and: [{ $or: [1, 2] }] } },
    { a: [1, 2] },
    { a: { $in: [[1]] } },
    { 'a.b': 1 },
    { ' a': 1 },
    { a: { $not: 1 } },
  ]
  for (const filter of asJson) assert.equal(rowsOf(filter), null, JSON.stringify(filter))
})

test('two conditions with one field and one operator are both saved, and both shown again', async () => {
  const { id } = await subscribe('neither', { filter: { country: { $in: ['', 'a,b'] } } })
  await visitTenant(`#/subscriptions/${id}?part=settings`, {}, async (page) => {
    const rows = page.locator('.condition')
    for (const country of ['DE', 'FR']) {
      await button(page, 'Add a condition').click()
      await rows.last().getByLabel('Field').fill('country')
      await rows.last().getByLabel('Operator').selectOption('is not')
      await rows.last().getByLabel('Value').fill(country)
    }
    await button(page, 'Save').click()
    await says(page, 'Saved')
    const { filter } = await read(id)
    assert.deepEqual(filter, { country: { $in: ['', 'a,b'], $ne: 'DE', $and: [{ $ne: 'FR' }] } })
    await page.reload()
    await rows.nth(2).waitFor()
    assert.deepEqual(await rows.getByLabel('Value').evaluateAll((inputs) => inputs.map(({ value }) => value)), ['"", "a,b"', 'DE', 'FR'])
  })
})

test('a number that a browser rounds is refused at its row', async () => {
  const { id } = await subscribe('exact')
  await visitTenant(`#/subscriptions/${id}?part=settings`, {}, async (page) => {
    await button(page, 'Add a condition').click()
    await page.locator('.condition').getByLabel('Field').fill('order')
    await page.locator('.condition').getByLabel('Value').fill('0.1000000000000000055')
    assert.ok(await button(page, 'Write it as JSON').isDisabled(), 'the JSON would have another number')
    await button(page, 'Save').click()
    await page.locator('.conditions .field-error', { hasText: 'rounds the number 0.1000000000000000055' }).waitFor()
    await accessible(page)
    assert.equal((await read(id)).filter, null)
    await page.locator('.condition').getByLabel('Value').fill('"0.1000000000000000055"')
    await button(page, 'Save').click()
    await says(page, 'Saved')
    assert.deepEqual((await read(id)).filter, { order: '0.1000000000000000055' })
  })
})

test('whatever leads away from unsaved settings asks first, and a link to another tab does not', async () => {
  const other = await subscribe('beside', { event_types: ['asking.happened'] })
  const { webhook_id } = await api('POST', '/events', { country: 'DE' }, { 'x-event-type': 'asking.happened' })
  // It has not got the event that it wants now.
  const { id, external_id } = await subscribe('asking')
  await client(SERVER)('PUT', `/tenants/${TENANT}-2`, { name: 'Forms of others' })
  await visitTenant(`#/subscriptions/${id}?part=settings`, {}, async (page) => {
    const question = page.getByRole('dialog', { name: 'Leave without saving?' })
    const isAsked = async () => {
      await question.getByRole('button', { name: 'Close' }).first().click()
      await question.waitFor({ state: 'detached' })
      assert.equal(await page.getByLabel('Description').inputValue(), 'Half written')
    }
    const search = async (text) => {
      await page.getByRole('combobox', { name: 'Search' }).fill(text)
      await page.getByRole('option', { name: text }).first().click()
    }
    await page.getByLabel('Description').fill('Half written')
    await search(other.external_id)
    await isAsked()
    await search(external_id)
    await page.getByRole('link', { name: 'Settings' }).click()
    assert.equal(await question.count(), 0, 'it is this page')
    await page.locator('.tenant-button').click()
    await page.locator('.tenant-choice').getByRole('button', { name: 'Forms of others' }).click()
    await isAsked()
    await page.getByRole('link', { name: 'To the content' }).press('Enter')
    assert.equal(await question.count(), 0, 'it is a place of this page')

    const sample = page.locator('.trial a[target=_blank]').first()
    const [tab] = await Promise.all([page.context().waitForEvent('page'), sample.click()])
    assert.ok(tab.url().includes(webhook_id), tab.url())
    await tab.close()
    assert.equal(await question.count(), 0, 'this tab stays')

    await page.getByRole('button', { name: 'Recover…' }).click()
    await page.getByLabel('Also what it never got').check()
    await page.getByRole('button', { name: /^Send \d+ again$/ }).click()
    await isAsked()
    assert.equal(await page.getByRole('dialog').count(), 0, 'the replay has begun: its dialog is closed')
    await search(other.external_id)
    await question.getByRole('button', { name: 'Leave' }).click()
    await page.getByRole('heading', { name: 'beside' }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { name: 'asking' }).waitFor()
  })
})

test('a subscription is deleted without a question about its unsaved settings', async () => {
  const { id } = await subscribe('unwanted')
  await visitTenant(`#/subscriptions/${id}?part=settings`, {}, async (page) => {
    await page.getByLabel('Description').fill('Half written')
    await page.getByRole('button', { name: 'More actions' }).click()
    await button(page, 'Delete').click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByRole('heading', { name: 'Subscriptions', exact: true }).waitFor()
    assert.equal(await page.getByRole('dialog').count(), 0)
  })
})

const toHash = (page, hash) => page.evaluate((hash) => (window.location.hash = hash), hash)
const once = (page) => page.locator('.once code')

test('a rotated secret outlives the way back and forth', async () => {
  const { id } = await subscribe('rotated')
  await visitTenant('#/subscriptions', {}, async (page) => {
    await page.locator('a[data-row]', { hasText: 'rotated' }).click()
    await page.getByRole('link', { name: 'Secrets' }).click()
    await page.getByRole('button', { name: 'Rotate…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Rotate', exact: true }).click()
    const secret = await once(page).textContent()
    await accessible(page)
    await page.keyboard.press('Escape')
    await page.goBack()
    await page.locator('.tile', { hasText: 'Held now' }).waitFor()
    assert.equal(await once(page).textContent(), secret, 'Back to another part of its page')
    await page.goBack()
    await page.getByRole('heading', { name: 'Subscriptions', exact: true }).waitFor()
    assert.equal(await once(page).count(), 0, 'it belongs to the page of the subscription')
    await page.goForward()
    assert.equal(await once(page).textContent(), secret)
    await button(page, 'I have it').click()
    await once(page).waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Secrets' }).click()
    await page.locator('.card-list', { hasText: 'Secret before' }).waitFor()
    assert.ok(!(await page.content()).includes(secret), 'it is not shown again')
  })
  await api('DELETE', `/subscriptions/${id}`)
})

test('a rotated secret outlives a new link of the page around the portal', async () => {
  const operator = client(LOCKED, { authorization: `Bearer ${OPERATOR_KEY}` })
  const link = async (tenant) => new URL((await operator('POST', '/portal-sessions', { tenant, capabilities: ['read', 'manage'] })).url).hash
  const { id } = await subscribe('renewed')
  await client(SERVER)('PUT', `/tenants/${TENANT}-2`, { name: 'Forms of others' })
  await visit(browser, LOCKED, await link(TENANT), {}, async (page) => {
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await toHash(page, `#/subscriptions/${id}?part=secrets`)
    await page.getByRole('button', { name: 'Rotate…' }).click()
    // The link is renewed while the server makes the secret.
    const renewed = await link(TENANT)
    await page.route('**/rotate-secret', async (route) => {
      const response = await route.fetch()
      await toHash(page, renewed)
      await page.getByRole('heading', { name: 'Overview' }).waitFor()
      await route.fulfill({ response })
    })
    const answer = page.waitForResponse('**/rotate-secret')
    await page.getByRole('dialog').getByRole('button', { name: 'Rotate', exact: true }).click()
    const { secret_key } = await (await answer).json()
    await toHash(page, `#/subscriptions/${id}`)
    assert.equal(await once(page).textContent(), secret_key)
    await toHash(page, await link(`${TENANT}-2`))
    await page.locator('.brand', { hasText: 'Forms of others' }).waitFor()
    assert.equal(await once(page).count(), 0, 'another tenant is not shown it')
    await toHash(page, await link(TENANT))
    await page.locator('.brand', { hasText: 'Forms' }).waitFor()
    await toHash(page, `#/subscriptions/${id}`)
    await button(page, 'I have it').click()
    await once(page).waitFor({ state: 'detached' })
  })
  await api('DELETE', `/subscriptions/${id}`)
})

test('a new key outlives the way back and forth, for who made it', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, OPERATOR_KEY)
    await page.locator('.menu').getByRole('link', { name: 'Keys' }).click()
    await page.getByRole('link', { name: 'New key' }).first().click()
    const dialog = page.getByRole('dialog', { name: 'New key' })
    await dialog.getByLabel('Name', { exact: true }).fill('Forms')
    await dialog.getByRole('radio', { name: 'All tenants' }).check()
    await dialog.getByRole('radio', { name: 'Admin' }).check()
    await dialog.getByRole('button', { name: 'Create' }).click()
    const key = await once(page).textContent()
    await page.goBack()
    await page.waitForFunction(() => !window.location.hash.includes('new='))
    assert.equal(await once(page).textContent(), key, 'Back to the list')
    await page.goBack()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await button(page, 'Forget the key').click()
    await page.getByLabel('API key').fill(key)
    await button(page, 'Sign in').click()
    await page.locator('.menu').getByRole('link', { name: 'Keys' }).click()
    await page.getByRole('heading', { name: 'Keys', exact: true }).waitFor()
    assert.equal(await once(page).count(), 0, 'another key is not shown it')
    await button(page, 'Forget the key').click()
    await page.getByLabel('API key').fill(OPERATOR_KEY)
    await button(page, 'Sign in').click()
    await page.getByRole('heading', { name: 'Keys', exact: true }).waitFor()
    assert.equal(await once(page).textContent(), key)
    await button(page, 'Done').click()
    await dialog.waitFor({ state: 'detached' })
    assert.equal(await page.evaluate(() => window.location.hash), '#/keys')
    await page.getByRole('link', { name: 'New key' }).first().click()
    await dialog.getByLabel('Name', { exact: true }).waitFor()
  }))

test('a portal link outlives the way back and forth', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, OPERATOR_KEY)
    const list = `#/tenants?q=${TENANT}`
    await toHash(page, list)
    await page.locator('tbody a[data-row]', { hasText: /^Forms$/ }).click()
    await page.getByRole('button', { name: 'Portal link' }).click()
    await button(page, 'Make a link').click()
    const link = await once(page).textContent()
    await page.goBack()
    await page.locator('dialog').first().waitFor({ state: 'detached' })
    await page.goForward()
    assert.equal(await once(page).textContent(), link)
    await accessible(page)
    await button(page, 'Done').click()
    await once(page).waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Portal link' }).click()
    await button(page, 'Make a link').waitFor()
  }))

test('what is typed while the settings are saved stays, and is saved next', async () => {
  const { id } = await subscribe('typing', { filter: { total: 1 } })
  await visitTenant(`#/subscriptions/${id}?part=settings`, {}, async (page) => {
    let answer
    const isSent = new Promise((sent) =>
      page.route(`**/subscriptions/${id}`, async (route) => {
        if (route.request().method() !== 'PATCH') return route.continue()
        const response = await route.fetch()
        answer = () => route.fulfill({ response })
        sent()
      }),
    )
    const value = page.locator('.condition').getByLabel('Value')
    await page.getByLabel('Description').fill('First')
    await page.getByLabel('Requests a second').fill('40')
    await button(page, 'Save').click()
    await isSent
    await page.getByLabel('Description').fill('Second')
    await value.fill('2')
    assert.ok(await button(page, 'Undo').isDisabled(), 'what was sent cannot be undone')
    await answer()
    await says(page, 'Saved')
    assert.equal(await page.getByLabel('Description').inputValue(), 'Second')
    assert.equal(await value.inputValue(), '2')
    const stored = async () => (({ description, rate_limit, filter }) => ({ description, rate_limit, filter }))(await read(id))
    assert.deepEqual(await stored(), { description: 'First', rate_limit: 40, filter: { total: 1 } })
    await page.unroute(`**/subscriptions/${id}`)
    // Somebody else changes the field that was sent: what is typed now is of other fields.
    await api('PATCH', `/subscriptions/${id}`, { rate_limit: 50 })
    await button(page, 'Save').click()
    await until('what was typed', async () => (await read(id)).description === 'Second')
    assert.deepEqual(await stored(), { description: 'Second', rate_limit: 50, filter: { total: 2 } })
    await page.waitForFunction(() => [...document.querySelectorAll('button')].find((one) => one.textContent === 'Save')?.disabled)
  })
})

test('a selection that is too large to be counted is said to be that', async () => {
  const detail = 'selects too many deliveries to count them in 8 s: narrow it, for example by since'
  await visitTenant('#/replays?new=1', { fails: ['422'] }, async (page) => {
    let errors = [{ pointer: '/only', code: 'too_many', detail }]
    await page.route('**/replays', (route) => (route.request().method() === 'POST' ? route.fulfill({ status: 422, json: { title: 'Invalid fields', status: 422, code: 'invalid_fields', errors } }) : route.continue()))
    const dialog = page.getByRole('dialog', { name: 'New replay' })
    await button(dialog, 'Count').click()
    const alert = dialog.getByRole('alert')
    await alert.getByText('This is not counted yet').waitFor()
    await alert.getByText(detail).waitFor()
    await accessible(page)
    errors = [{ pointer: '/only/since', code: 'format', detail: 'must be a time' }, { pointer: '/only/reason', code: 'conflict', detail: 'fits no status' }]
    await button(dialog, 'Count').click()
    await alert.getByText('fits no status').waitFor()
    assert.equal(await alert.getByText('must be a time').count(), 0, 'its field says it')
    await dialog.locator('.field-error', { hasText: 'must be a time' }).waitFor()
  })
})

test('numbers that are complete are not said to be cut, and those of another time are pale', async () => {
  const { id } = await subscribe('counted')
  await api('POST', '/events', {}, { 'x-event-type': 'counted.happened' })
  const table = async (truncated, group) => {
    const bucket = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000).toISOString()
    const percentiles = { p50: 10, p95: 20, p99: 30 }
    const row = { bucket, group, accepted: 7, attempts: 7, delivered: 7, failed: 0, success_rate: 1, time_to_first_attempt_ms: percentiles, time_to_delivery_ms: percentiles }
    return { data: [row], bucket: '1h', since: new Date(Date.now() - 40 * 60_000).toISOString(), until: new Date().toISOString(), complete_until: new Date().toISOString(), truncated }
  }
  await visitTenant(`#/subscriptions/${id}`, {}, async (page) => {
    const cut = { all: false, outcomes: true }
    let release = () => undefined
    let held = Promise.resolve()
    await page.route('**/analytics/deliveries?*', async (route) => {
      await held
      const byOutcome = route.request().url().includes('group_by=outcome')
      await route.fulfill({ json: await table(byOutcome ? cut.outcomes : cut.all, byOutcome ? 'delivered' : id) })
    })
    await page.reload()
    const numbers = page.locator('.numbers')
    const charts = page.locator('.charts')
    await charts.getByText('this chart begins 40 min ago').waitFor()
    assert.equal(await page.getByText('these numbers begin').count(), 0, 'the tiles are complete')
    await accessible(page)

    held = new Promise((go) => (release = go))
    await page.getByRole('button', { name: '7 d', exact: true }).click()
    await page.locator('.numbers.is-loading').waitFor()
    Object.assign(cut, { all: true, outcomes: false })
    release()
    await page.locator('.numbers:not(.is-loading)').waitFor()
    await numbers.getByText('these numbers begin 40 min ago').waitFor()
    assert.equal(await page.getByText('this chart begins').count(), 0)
  })
})

test('who may only look is not told to send a test event', async () => {
  const operator = client(LOCKED, { authorization: `Bearer ${OPERATOR_KEY}` })
  const { id } = await subscribe('silent')
  const link = new URL((await operator('POST', '/portal-sessions', { tenant: TENANT, capabilities: ['read'] })).url).hash
  await visit(browser, LOCKED, link, {}, async (page) => {
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await toHash(page, `#/subscriptions/${id}`)
    await page.getByText('Choose a longer time.').waitFor()
  })
})

test('a subscription that is renamed has its new name wherever it is shown', async () => {
  const { id } = await subscribe('old-name')
  await visitTenant(`#/deliveries?subscription_id=${id}`, {}, async (page) => {
    const chip = page.locator('.filters')
    await chip.getByText('old-name').waitFor()
    await toHash(page, `#/subscriptions/${id}?part=settings&tenant=${TENANT}`)
    await page.getByLabel('External id').fill('new-name')
    await button(page, 'Save').click()
    await says(page, 'Saved')
    await toHash(page, `#/deliveries?subscription_id=${id}&tenant=${TENANT}`)
    await chip.getByText('new-name').waitFor()
  })
})
