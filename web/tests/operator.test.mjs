// What an operator does: refused requests, replays, tenants, keys, and the service itself.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, fits, launch, shot, signIn, visit } from './browser.mjs'
import { client, fill, HOSTILE, receivers, until } from './data.mjs'

const { SERVER, LOCKED, OPERATOR_KEY, TENANT_KEY } = process.env
let browser, receiver, data, operator

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), receivers()])
  data = await fill(SERVER, receiver, 6)
  operator = client(SERVER)
  await until('failures', async () => (await data.api('GET', '/deliveries?status=failed&subscription_id=ledger&limit=100')).data.length >= 6)
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const visitAcme = (hash, options, look) => visit(browser, SERVER, `${hash}${hash.includes('?') ? '&' : '?'}tenant=acme`, options, look)
const loaded = (page) => page.waitForFunction(() => document.querySelector('main h1, main h2') && !document.querySelector('[aria-busy=true]'))
const rowOf = (page, table, text) => page.getByRole('table', { name: table }).locator('tr', { hasText: text })
const unique = (name) => `${name}-${Date.now().toString(36)}-${Math.floor(Math.random() * 1e6).toString(36)}`

/** A refused request whose detail and body are known. */
async function refusal(body = '{"broken": ', headers = {}) {
  const key = unique('refused')
  await data.api('POST', '/events', body, { 'x-event-type': 'order.created', 'idempotency-key': key, mayFail: true, ...headers })
  return until('the refusal', async () => (await data.api('GET', '/refusals?limit=20')).data.find((one) => one.idempotency_key === key))
}

test('every screen of an operator shows itself in light and dark, wide and narrow, to everybody', async (t) => {
  const { id: refused } = await refusal(`"${HOSTILE.replace(/"/g, '')}"`)
  const { id: replay } = await data.api('POST', '/replays', { only: { status: ['failed'], subscription_id: 'crm' }, rate: 100 })
  const { id: acme } = await operator('GET', '/tenants/acme')
  const screens = {
    refusals: '#/refusals',
    'refusal-drawer': `#/refusals?open=${refused}`,
    refusal: `#/refusals/${refused}`,
    replays: '#/replays',
    replay: `#/replays/${replay}`,
    'replay-drawer': `#/replays?open=${replay}`,
    'replay-new': '#/replays?new=1',
    tenants: '#/tenants',
    tenant: `#/tenants/${acme}`,
    'tenant-new': '#/tenants?new=1',
    keys: '#/keys',
    'key-new': '#/keys?new=1',
    operations: '#/operations',
  }
  for (const [name, hash] of Object.entries(screens)) {
    for (const [width, theme] of [[1440, 'light'], [1440, 'dark'], [360, 'light'], [360, 'dark']]) {
      await t.test(`${name}, ${width}, ${theme}`, () =>
        visitAcme(hash, { width, theme }, async (page) => {
          await loaded(page)
          await fits(page)
          await shot(page, `${name}-${width}-${theme}`)
          await accessible(page)
        }),
      )
    }
  }
})

test('a refused request says why, what to do and what had been sent', async (t) => {
  const { id, detail } = await refusal(`"${HOSTILE.replace(/"/g, '')}"`)
  await t.test('found by its code', () =>
    visitAcme('#/refusals', {}, async (page) => {
      await page.getByRole('button', { name: 'Code', exact: true }).click()
      await page.getByLabel('Not a payload').check()
      await page.keyboard.press('Escape')
      await page.waitForFunction(() => [...document.querySelectorAll('tbody tr:not(.skeleton)')].every((row) => row.textContent.includes('Not a payload')))
      await page.locator(`tbody a[href*="${id}"]`).click()
      const drawer = page.locator('dialog.drawer')
      await drawer.locator('.why strong', { hasText: detail }).waitFor()
      await drawer.locator('.why p', { hasText: 'The detail names the rule' }).waitFor()
      await drawer.locator('pre', { hasText: 'window.hacked' }).waitFor()
      await drawer.getByRole('link', { name: 'Open as a page' }).click()
      await page.locator('main .why strong', { hasText: detail }).waitFor()
    }))
  await t.test('no match', () =>
    visitAcme('#/refusals?code=too_many_hops', {}, async (page) => {
      await page.getByText('No refused request matches these filters').waitFor()
      await page.getByRole('button', { name: 'Clear filters' }).click()
      await page.locator('tbody a[data-row]').first().waitFor()
    }))
  await t.test('one that is not there', () =>
    visitAcme('#/refusals/01990000-0000-7000-8000-000000000000', {}, (page) => page.getByText('There is no such refused request').waitFor()))
})

test('a replay is planned, begun with its numbers, moves, and is cancelled', () =>
  visitAcme('#/replays', { fails: ['422'] }, async (page) => {
    await page.getByRole('link', { name: 'New replay' }).first().click()
    const dialog = page.getByRole('dialog', { name: 'New replay' })
    await dialog.getByLabel('Event types', { exact: true }).fill('not/a/type')
    await dialog.getByRole('button', { name: 'Count' }).click()
    await dialog.locator('.field.has-error', { hasText: 'Event types' }).locator('.field-error').first().waitFor()
    await dialog.getByLabel('Event types', { exact: true }).fill('')
    await dialog.getByLabel('Subscriptions', { exact: true }).fill('ledger')
    await dialog.getByRole('button', { name: 'Count' }).click()
    const count = Number.parseInt(await dialog.locator('.big-number').textContent(), 10)
    assert.equal(count, (await data.api('GET', '/deliveries?status=failed&status=expired&status=skipped&subscription_id=ledger&limit=100')).data.length)
    await dialog.locator('.split li', { hasText: 'ledger' }).waitFor()
    assert.ok((await dialog.locator('.sample a').count()) > 0, 'a sample')
    await dialog.getByLabel('At most a second').fill('1')
    await shot(page, 'replay-plan')
    await accessible(page)
    await dialog.getByRole('button', { name: `Send ${count} again` }).click()
    const drawer = page.getByRole('dialog', { name: 'Replay' })
    await drawer.getByText('Running').waitFor()
    await drawer.getByText('Somebody without a key').waitFor()
    await page.locator('tbody tr:first-child', { hasText: 'Somebody without a key' }).waitFor()
    const bar = 'tbody tr:first-child .replay-progress'
    const before = Number.parseInt(await page.locator(bar).textContent(), 10)
    await page.waitForFunction(([selector, before]) => Number.parseInt(document.querySelector(selector)?.textContent ?? '', 10) > before, [bar, before])
    await page.keyboard.press('Escape')
    await rowOf(page, 'Replays', 'Running').first().getByRole('button', { name: 'Cancel' }).click()
    await page.locator('tbody tr:first-child', { hasText: 'Cancelled' }).waitFor()
  }))

test('a replay sends to a subscription that matches now what it never got', async () => {
  const late = unique('late')
  await data.api('POST', '/subscriptions/', { external_id: late, target_url: receiver.url('/ok'), event_types: ['order.paid'] })
  await visitAcme('#/replays?new=1', {}, async (page) => {
    const dialog = page.getByRole('dialog', { name: 'New replay' })
    await dialog.getByLabel('All subscriptions that match now').check()
    await dialog.getByText('All events, also those that nobody got.').waitFor()
    await dialog.getByLabel('Subscriptions', { exact: true }).fill(late)
    await dialog.getByRole('button', { name: 'Count' }).click()
    await dialog.locator('.split li', { hasText: late }).waitFor()
    await dialog.getByLabel('At most a second').fill('1000')
    await dialog.getByRole('button', { name: /^Send/ }).click()
    await page.getByRole('dialog', { name: 'Replay' }).getByText('Finished').waitFor()
  })
  const got = await until('its deliveries', async () => (await data.api('GET', `/deliveries?status=succeeded&subscription_id=${late}`)).data)
  assert.ok(got.length > 0 && got.every(({ event_type }) => event_type === 'order.paid'))
})

test('a replay belongs to one tenant', () =>
  visit(browser, SERVER, '#/replays', {}, (page) => page.getByText('Choose a tenant').waitFor()))

test('a tenant is created, found, changed, and deleted after it was named', () =>
  visit(browser, SERVER, '#/tenants', { fails: ['409', '422'] }, async (page) => {
    const external = unique('wayne')
    await page.getByRole('link', { name: 'New tenant' }).click()
    const created = page.getByRole('dialog', { name: 'New tenant' })
    await created.getByLabel('Name', { exact: true }).fill('Wayne Enterprises')
    await created.getByLabel('External id').fill('two words')
    await created.getByRole('button', { name: 'Create' }).click()
    await created.locator('.field.has-error', { hasText: 'External id' }).waitFor()
    await shot(page, 'tenant-refused')
    await accessible(page)
    await created.getByLabel('External id').fill('acme')
    await created.getByRole('button', { name: 'Create' }).click()
    await created.getByText('External id taken').waitFor()
    await created.getByLabel('External id').fill(external)
    await created.getByLabel('Most events a second').fill('7')
    await created.getByRole('button', { name: 'Add an entry' }).click()
    const metadata = created.locator('.pair')
    await metadata.getByLabel('Name').fill('plan')
    await metadata.getByLabel('Value').fill(HOSTILE)
    await created.getByRole('button', { name: 'Create' }).click()
    const drawer = page.locator('dialog.drawer')
    await drawer.locator('.fields dd', { hasText: 'onerror' }).waitFor()
    assert.deepEqual((await operator('GET', `/tenants/${external}`)).metadata, { plan: HOSTILE })

    await drawer.getByRole('button', { name: 'Edit' }).click()
    const edited = page.getByRole('dialog', { name: 'Edit tenant' })
    await edited.getByRole('button', { name: 'Remove plan' }).click()
    await edited.getByLabel('Most events a second').fill('')
    await edited.getByLabel('Most subscriptions').fill('3')
    await edited.getByRole('button', { name: 'Save' }).click()
    await edited.waitFor({ state: 'detached' })
    const saved = await operator('GET', `/tenants/${external}`)
    assert.deepEqual([saved.metadata, saved.limits], [{}, { max_subscriptions: 3, publish_per_second: null }])

    const api = client(SERVER, { 'postrider-tenant': external })
    await api('POST', '/subscriptions/', { target_url: receiver.url('/ok'), is_active: false })
    for (const number of [1, 2]) await api('POST', '/events', { number }, { 'x-event-type': 'bat.signal' })
    await page.keyboard.press('Escape')
    await page.getByLabel('Find tenants').fill(external)
    await page.waitForFunction(() => document.querySelectorAll('tbody a[data-row]').length === 1)
    await page.locator('tbody a[data-row]').click()
    await drawer.getByRole('button', { name: 'Delete…' }).click()
    const question = page.getByRole('dialog', { name: 'Delete this tenant?' })
    await question.getByText('2 deliveries that wait are cancelled').waitFor()
    const deed = question.getByRole('button', { name: 'Delete', exact: true })
    assert.ok(await deed.isDisabled(), 'its name has to be typed')
    await question.getByLabel(`Type ${external} to confirm`).fill(external)
    await shot(page, 'tenant-delete')
    await accessible(page)
    await deed.click()
    await page.locator('.big-number', { hasText: '2 pending deliveries were cancelled' }).waitFor()
    await page.getByRole('button', { name: 'Done' }).click()
    await page.getByText('No tenant has this in its name or external id').waitFor()
    assert.equal((await operator('GET', `/tenants/${external}`, undefined, { mayFail: true })).code, 'tenant_not_found')
  }))

test('a key is shown once, works, and is revoked after a question', () =>
  visit(browser, SERVER, '#/keys', { fails: ['404'] }, async (page) => {
    const name = unique('ci')
    const whoIs = (key) => client(LOCKED, { authorization: `Bearer ${key}` })('GET', '/me', undefined, { mayFail: true })
    await page.getByRole('link', { name: 'New key' }).first().click()
    const dialog = page.getByRole('dialog', { name: 'New key' })
    await dialog.getByLabel('Name', { exact: true }).fill(name)
    await dialog.getByLabel('Tenant', { exact: true }).fill('nobody-has-this')
    await dialog.getByLabel('Support').check()
    await dialog.getByLabel('Expires').selectOption('30')
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByText('No such tenant').first().waitFor()
    await dialog.getByLabel('Tenant', { exact: true }).fill('acme')
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByText('It is shown this once').waitFor()
    await dialog.getByRole('button', { name: 'Copy' }).click()
    await page.locator('.toast', { hasText: 'Key copied' }).waitFor()
    const key = await page.evaluate(() => navigator.clipboard.readText())
    assert.equal(key, (await dialog.locator('.once code').textContent()).trim())
    const who = await whoIs(key)
    assert.deepEqual([who.kind, who.tenant_name, who.scope], ['tenant', 'Acme', 'support'])
    await accessible(page)
    await page.keyboard.press('Escape')
    await dialog.locator('.once').waitFor()
    await dialog.getByRole('button', { name: 'Done' }).click()
    assert.ok(!(await page.content()).includes(key), 'it is shown once')

    await rowOf(page, 'Keys', name).getByText('Active').waitFor()
    await rowOf(page, 'Keys', name).getByRole('button', { name: /^Revoke/ }).click()
    await page.getByRole('dialog', { name: 'Revoke this key?' }).getByRole('button', { name: 'Revoke' }).click()
    await rowOf(page, 'Keys', name).getByText('Revoked').waitFor()
    await until('the end of the key', async () => (await whoIs(key)).code === 'unauthenticated')
  }))

test('an operator’s key for all tenants is asked for as such', () =>
  visit(browser, SERVER, '#/keys?new=1', {}, async (page) => {
    const name = unique('backend')
    const dialog = page.getByRole('dialog', { name: 'New key' })
    await dialog.getByLabel('Name', { exact: true }).fill(name)
    await dialog.getByLabel('All tenants').check()
    await dialog.getByLabel('Read', { exact: false }).first().check()
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByText('names a tenant in the header').waitFor()
    await dialog.getByRole('button', { name: 'Done' }).click()
    await rowOf(page, 'Keys', name).getByText('All tenants').waitFor()
  }))

test('how the service does: replicas, partitions, settings without secrets', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, OPERATOR_KEY)
    await page.getByRole('link', { name: 'Operations' }).click()
    await rowOf(page, 'Replicas', 'serve').getByText('Running').waitFor()
    await rowOf(page, 'Replicas', 'API').last().getByText('Running').waitFor()
    assert.equal(await page.getByRole('table', { name: 'Replicas' }).locator('tbody tr').count(), 2)
    const today = new Date().toISOString().slice(0, 10)
    await rowOf(page, 'Partitions', today).getByText(/KiB|MiB/).first().waitFor()
    await rowOf(page, 'Settings', 'POSTRIDER_MASTER_KEYS').getByText('********').waitFor()
    await rowOf(page, 'Settings', 'POSTRIDER_AUTH').getByText('environment').waitFor()
    await page.getByLabel('Find settings').fill('retention')
    await rowOf(page, 'Settings', 'POSTRIDER_LOG_RETENTION').waitFor()
    assert.equal(await page.locator('.why').count(), 0, 'nothing is wrong')
    const beat = () => page.getByRole('table', { name: 'Replicas' }).locator('time').last().getAttribute('datetime')
    const before = await beat()
    await page.waitForFunction((before) => [...document.querySelectorAll('table[aria-label=Replicas] time')].at(-1)?.getAttribute('datetime') !== before, before)
  }))

test('what a key may not see is neither offered nor opened', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, TENANT_KEY)
    const offered = await page.locator('.menu a').allTextContents()
    for (const name of ['Tenants', 'Keys', 'Operations']) assert.ok(!offered.some((one) => one.includes(name)), `${name} is offered`)
    for (const hash of ['#/tenants', '#/keys', '#/operations']) {
      await page.evaluate((hash) => (window.location.hash = hash), hash)
      await page.getByText('This key does not open this page').waitFor()
    }
    await page.getByRole('link', { name: 'Replays' }).click()
    await page.getByRole('heading', { name: 'Replays' }).waitFor()
    assert.equal(await page.getByRole('link', { name: 'New replay' }).count(), 0)
  }))
