// What somebody does with the dashboard, in a real browser.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { after, before, test } from 'node:test'
import { accessible, fits, launch, shot, signIn, visit } from './browser.mjs'
import { client, fill, HOSTILE, receivers, until } from './data.mjs'

const { SERVER, LOCKED, OPERATOR_KEY, TENANT_KEY } = process.env
const TENANT = 'tenant=acme'
let browser, receiver, data

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), receivers()])
  data = await fill(SERVER, receiver)
  for (const name of ['ledger', 'mail', 'crm']) {
    await until(`failures of ${name}`, async () => (await data.api('GET', `/deliveries?status=failed&subscription_id=${name}&limit=1`)).data.length)
  }
  await until('the timeout', async () => (await data.api('GET', '/attempts?outcome=timeout&limit=1')).data.length)
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const visitAcme = (hash, options, look) => visit(browser, SERVER, `${hash}${hash.includes('?') ? '&' : '?'}${TENANT}`, options, look)
const one = async (filters) => (await data.api('GET', `/deliveries?limit=1&${filters}`)).data[0]
const loaded = (page) => page.waitForFunction(() => document.querySelector('main h1, main h2, .sign-in') && !document.querySelector('[aria-busy=true]'))

test('every screen shows itself in light and dark, wide and narrow, to everybody', async (t) => {
  const failed = await one('status=failed&subscription_id=ledger')
  const created = data.published.find(({ type }) => type === 'order.created').id
  const { id: replay } = await data.api('POST', '/replays', { only: { status: ['failed'], subscription_id: 'crm' }, rate: 100 })
  const screens = {
    overview: '#/?range=1h',
    deliveries: '#/deliveries',
    'delivery-drawer': `#/deliveries?open=${failed.webhook_id}/${failed.subscription_id}`,
    delivery: `#/deliveries/${failed.webhook_id}/${failed.subscription_id}`,
    'delivery-payload': `#/deliveries/${failed.webhook_id}/${failed.subscription_id}?tab=payload`,
    events: '#/events',
    event: `#/events/${created}`,
    'event-payload': `#/events/${created}?tab=payload`,
    publish: '#/publish',
    replay: `#/replays/${replay}`,
    'deliveries-no-match': '#/deliveries?event_type=nobody.has.this',
    nowhere: '#/nowhere',
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

test('from an order number to the reason and the retry in three clicks', () =>
  visitAcme('#/', {}, async (page) => {
    await loaded(page)
    await page.keyboard.press('/')
    await page.keyboard.type('order-4702')
    const row = page.locator('#found [role=option]', { hasText: 'ledger' })
    await row.waitFor()
    await shot(page, 'search')
    await accessible(page)
    await row.click()
    await page.locator('.why', { hasText: 'the receiver answered 500' }).waitFor()
    await page.getByRole('button', { name: 'Retry now' }).click()
    await page.locator('.attempt-trigger', { hasText: 'Retried by hand' }).waitFor()
  }))

test('an id that is pasted and followed by Enter at once opens its page, and the next search begins anew', async () => {
  const { webhook_id, subscription_id } = await one('status=failed&subscription_id=ledger')
  await visitAcme('#/', {}, async (page) => {
    await loaded(page)
    const box = page.getByRole('combobox', { name: 'Search' })
    await page.keyboard.press('/')
    await page.keyboard.insertText(subscription_id)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'ledger' }).waitFor()
    await page.keyboard.press('/')
    await page.keyboard.insertText('order-4702')
    await page.keyboard.press('Escape')
    await page.keyboard.press('/')
    await page.keyboard.insertText(webhook_id)
    assert.equal(await box.inputValue(), webhook_id)
    await page.keyboard.press('Enter')
    await page.waitForURL((url) => url.hash.includes(webhook_id))
  })
})

test('from the overview to the reason and the retry in three clicks', () =>
  visitAcme('#/?range=1h', {}, async (page) => {
    await page.getByRole('table', { name: 'Newest failed deliveries' }).locator('a[data-row]').first().click()
    await page.locator('.why').waitFor()
    await page.getByRole('button', { name: 'Retry now' }).click()
    await page.locator('.toast', { hasText: 'Queued again' }).waitFor()
  }))

test('the overview shows how many deliveries waited', () => {
  execFileSync('psql', [process.env.DATABASE_URL, '-qAtc', "update queue_depth_minutes set at = at - interval '1 minute'", '-c', 'select queue_depth_measure_1(10000, 100, 0)'])
  return visitAcme('#/?range=1h', {}, async (page) => {
    await page.getByRole('img', { name: /^Queue depth: Pending up to \d+, Held up to [1-9]\d*$/ }).waitFor()
  })
})

test('each reason why something did not arrive is said in words', async (t) => {
  const reasons = {
    ledger: ['status=failed&subscription_id=ledger', 'No retries left', 'the receiver answered 500'],
    crm: ['status=failed&subscription_id=crm', 'No retries left', 'Its body usually says why'],
    mail: ['status=failed&subscription_id=mail', 'No retries left', 'The name could not be resolved'],
    slow: ['status=pending&subscription_id=slow', 'Timeout', 'did not answer in time'],
    stock: ['status=pending&subscription_id=stock', 'Receiver error', 'in its log'],
    archive: ['status=held&subscription_id=archive', 'Subscription disabled', 'Resume the subscription'],
  }
  for (const [name, [filters, title, advice]] of Object.entries(reasons)) {
    await t.test(name, async () => {
      const row = await one(filters)
      await visitAcme(`#/deliveries/${row.webhook_id}/${row.subscription_id}`, {}, async (page) => {
        const why = page.locator('.why')
        await why.waitFor()
        assert.match(await why.locator('strong').textContent(), new RegExp(title))
        assert.match(await why.textContent(), new RegExp(advice))
      })
    })
  }
  const german = data.published.filter(({ type }) => type === 'order.created')[0].id
  await t.test('who did not get it', () =>
    visitAcme(`#/events/${german}`, {}, async (page) => {
      const missed = page.getByRole('table', { name: 'Subscriptions without this event' })
      await missed.locator('tr', { hasText: 'abroad' }).getByText('Excluded by filter').waitFor()
      await missed.locator('tr', { hasText: 'crm' }).getByText('Event type not wanted').waitFor()
    }),
  )
})

test('a list follows what happens, and waits while somebody reads further down', () =>
  visitAcme('#/deliveries', {}, async (page) => {
    await page.locator('tbody tr:not(.skeleton)').first().waitFor()
    await page.getByRole('button', { name: 'Live', exact: true }).click()
    await page.locator('.live.is-live').waitFor()
    const publish = (number) => data.api('POST', '/events', { data: { number } }, { 'x-event-type': 'order.live' })
    const arrives = async (id) => page.waitForFunction((id) => document.querySelector(`tbody a[href*="${id}"]`)?.closest('tr')?.textContent?.includes('Succeeded'), id)
    await arrives((await publish(1)).webhook_id)
    const top = await page.locator('tbody tr').first().textContent()
    await page.evaluate(() => window.scrollTo({ top: 400 }))
    const second = (await publish(2)).webhook_id
    await page.locator('.waiting').waitFor()
    assert.equal(await page.locator('tbody tr').first().textContent().then((text) => text.slice(0, 10)), top.slice(0, 10))
    assert.equal(await page.locator(`tbody a[href*="${second}"]`).count(), 0)
    await shot(page, 'live-waiting')
    await page.locator('.waiting').click()
    await arrives(second)
  }))

test('events that come are counted, and shown when somebody wants to see them', () =>
  visitAcme('#/events', {}, async (page) => {
    await page.locator('tbody a[data-row]').first().waitFor()
    // The list is read once more when the stream is open.
    const read = page.waitForResponse((response) => new URL(response.url()).pathname === '/events')
    await page.getByRole('button', { name: 'Live', exact: true }).click()
    await page.locator('.live.is-live').waitFor()
    await read
    const { webhook_id } = await data.api('POST', '/events', { data: {} }, { 'x-event-type': 'order.live' })
    await page.locator('.waiting', { hasText: '1 new' }).waitFor()
    assert.equal(await page.locator(`tbody a[href*="${webhook_id}"]`).count(), 0)
    await page.locator('.waiting').click()
    await page.locator(`tbody a[href*="${webhook_id}"]`).waitFor()
  }))

test('an event with more deliveries than a page shows all of them, page by page', async () => {
  await client(SERVER)('PUT', '/tenants/crowd', { name: 'Crowd' })
  const api = client(SERVER, { 'postrider-tenant': 'crowd' })
  const have = (await api('GET', '/subscriptions/?limit=1')).data.length
  for (let number = 0; number < (have ? 0 : 120); number += 1) await api('POST', '/subscriptions/', { external_id: `crowd-${number}`, target_url: receiver.url('/ok') })
  const { webhook_id } = await api('POST', '/events', { data: {} }, { 'x-event-type': 'crowd.came' })
  await visit(browser, SERVER, `#/events/${webhook_id}?tenant=crowd`, {}, async (page) => {
    await page.locator('.tabs .count', { hasText: '120' }).waitFor()
    const names = () => page.locator('tbody a[data-row]').allTextContents()
    await page.locator('tbody a[data-row]').first().waitFor()
    const seen = new Set(await names())
    while (await page.getByRole('button', { name: 'Older' }).isEnabled()) {
      const [first] = await names()
      await page.getByRole('button', { name: 'Older' }).click()
      await page.waitForFunction((name) => ![name, undefined].includes(document.querySelector('tbody a[data-row]')?.textContent), first)
      for (const name of await names()) seen.add(name)
    }
    assert.equal(seen.size, 120)
  })
})

test('a live list with a filter loses what no longer fits it', async () => {
  const failed = await one('status=failed&subscription_id=crm')
  await visitAcme('#/deliveries?status=failed&subscription_id=crm', {}, async (page) => {
    const row = page.locator(`tbody a[href*="${failed.webhook_id}"]`)
    await row.waitFor()
    await page.getByRole('button', { name: 'Live', exact: true }).click()
    await page.locator('.live.is-live').waitFor()
    await data.api('PATCH', `/subscriptions/${data.subscriptions.crm.id}`, { target_url: receiver.url('/ok') })
    await data.api('POST', `/events/${failed.webhook_id}/retry?subscription_id=${failed.subscription_id}`)
    await row.waitFor({ state: 'detached' })
    await data.api('PATCH', `/subscriptions/${data.subscriptions.crm.id}`, { target_url: receiver.url('/reject') })
  })
})

test('what strangers send is only ever text', async (t) => {
  const text = HOSTILE.slice(0, 30)
  await t.test('a payload', () =>
    visitAcme(`#/events/${data.hostile}?tab=payload`, {}, (page) => page.locator('pre', { hasText: 'onerror' }).waitFor()))
  await t.test('a header and a body of a response', async () => {
    const row = await one('status=failed&subscription_id=crm')
    await visitAcme(`#/deliveries/${row.webhook_id}/${row.subscription_id}`, {}, async (page) => {
      await page.locator('.fields dd', { hasText: text }).waitFor()
      await page.locator('.json pre', { hasText: '<script>' }).waitFor()
    })
  })
  await t.test('the name of a tenant', () =>
    visit(browser, SERVER, '#/deliveries', {}, async (page) => {
      await page.locator('.tenant-button').click()
      await page.locator('.tenant-choice button', { hasText: text }).waitFor()
    }))
  await t.test('a search', () =>
    visitAcme('#/', {}, async (page) => {
      await page.locator('[data-search]').fill('<script>window.hacked')
      await page.locator('#found [role=option]').first().waitFor()
    }))
  await t.test('an address', () =>
    visitAcme(`#/deliveries?event_type=${encodeURIComponent(HOSTILE)}`, { fails: ['422'] }, async (page) => {
      await page.locator('.chip b', { hasText: text }).waitFor()
      await page.locator('.failure').waitFor()
    }))
})

test('all that failed is retried after a look at the plan', () =>
  visitAcme('#/deliveries?status=failed&subscription_id=mail', {}, async (page) => {
    await page.getByRole('button', { name: 'Retry all…' }).click()
    const plan = page.locator('.big-number')
    await plan.waitFor()
    const count = Number.parseInt(await plan.textContent(), 10)
    assert.equal(count, (await data.api('GET', '/deliveries?status=failed&subscription_id=mail&limit=100')).data.length)
    await page.locator('.split li', { hasText: 'mail' }).waitFor()
    await shot(page, 'plan')
    await accessible(page)
    await page.getByRole('button', { name: `Retry ${count}` }).click()
    await page.locator('.pill', { hasText: 'Finished' }).waitFor()
    assert.match(await page.locator('.big-number').textContent(), new RegExp(`^${count} of ${count}`))
  }))

test('a command copied from an attempt does what the attempt did', async () => {
  const row = await one('status=failed&subscription_id=crm')
  await visitAcme(`#/deliveries/${row.webhook_id}/${row.subscription_id}`, {}, async (page) => {
    await page.getByRole('button', { name: 'Copy as curl' }).first().click()
    await page.locator('.toast', { hasText: 'curl' }).waitFor()
    const command = await page.evaluate(() => navigator.clipboard.readText())
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { timeout: 10_000 })
    assert.match(stdout, /^HTTP\/1.1 401/)
    assert.match(command, new RegExp(row.webhook_id))
    assert.match(command, /\*{8}/)
  })
})

test('the keyboard is enough', () =>
  visitAcme('#/deliveries', {}, async (page) => {
    await page.locator('tbody a[data-row]').first().waitFor()
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.keyboard.press('k')
    const focused = await page.evaluate(() => document.activeElement?.getAttribute('href'))
    assert.equal(focused, await page.locator('tbody a[data-row]').first().getAttribute('href'))
    await page.keyboard.press('Enter')
    await page.locator('dialog.drawer .sheet-head h2').waitFor()
    assert.ok(await page.evaluate(() => document.activeElement?.closest('dialog')), 'the focus is in the drawer')
    await page.keyboard.press('Escape')
    await page.locator('dialog').waitFor({ state: 'detached' })
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('href')), focused, 'the focus is back')
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor({ state: 'detached' })
    await page.keyboard.press('/')
    assert.ok(await page.evaluate(() => document.activeElement?.hasAttribute('data-search')))
  }))

test('filters stand in the address and survive a reload', () =>
  visitAcme('#/deliveries', {}, async (page) => {
    await page.locator('tbody a[data-row]').first().waitFor()
    await page.getByRole('button', { name: 'Status', exact: true }).click()
    await page.getByLabel('Held').check()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Subscription', exact: true }).click()
    await page.getByLabel('Subscription', { exact: true }).fill('archive')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].every((row) => row.textContent.includes('archive') && row.textContent.includes('Held')))
    assert.match(page.url(), /status=held.*subscription_id=archive|subscription_id=archive.*status=held/)
    await page.reload()
    await page.locator('.chip b', { hasText: 'archive' }).waitFor()
    await page.getByRole('button', { name: 'Clear', exact: true }).click()
    await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].some((row) => row.textContent.includes('Succeeded')))
  }))

test('clearing the filters clears the time too', () =>
  visitAcme('#/deliveries?status=succeeded&since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z', {}, async (page) => {
    await page.getByRole('button', { name: 'Clear', exact: true }).click()
    await page.locator('tbody a[data-row]').first().waitFor()
    assert.doesNotMatch(page.url(), /since|until|status/)
  }))

test('older and newer pages', async () => {
  await visitAcme('#/deliveries', {}, async (page) => {
    const first = () => page.locator('tbody a[data-row]').first().getAttribute('href')
    await page.locator('tbody a[data-row]').first().waitFor()
    const newest = await first()
    await page.getByRole('button', { name: 'Older' }).click()
    await page.waitForFunction((newest) => document.querySelector('tbody a[data-row]')?.getAttribute('href') !== newest, newest)
    assert.ok((await first()).split('/')[0] !== '', 'rows of the next page')
    await page.getByRole('button', { name: 'Newer' }).click()
    await page.waitForFunction((newest) => document.querySelector('tbody a[data-row]')?.getAttribute('href') === newest, newest)
    await page.getByRole('button', { name: 'Older' }).click()
    await page.waitForFunction(() => window.location.hash.includes('cursor'))
    await page.getByRole('link', { name: 'Events', exact: true }).click()
    await page.getByRole('table', { name: 'Events' }).locator('a[data-row]').first().waitFor()
    await page.goBack()
    await page.getByRole('button', { name: 'Newer' }).click()
    await page.waitForFunction((newest) => document.querySelector('tbody a[data-row]')?.getAttribute('href') === newest, newest)
  })
})

test('an event is published once it is written, and what is wrong is said at its field', () =>
  visitAcme('#/publish', { fails: ['400', '422'] }, async (page) => {
    const sent = []
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()))
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByLabel('Payload').fill('{\n  "broken": ')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.locator('.field.has-error', { hasText: 'Payload' }).getByText('something is missing at line 2, column 13').waitFor()
    await page.getByLabel('Payload').fill('{\n  "a": 1,\n  b: 2\n}')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.locator('.field-error', { hasText: 'b is not expected at line 3, column 3' }).waitFor()
    await shot(page, 'publish-broken')
    await accessible(page)
    assert.deepEqual(sent, [], 'nothing was published')
    await page.getByLabel('Payload').fill('{}')
    await page.getByLabel('Event type').fill('no type')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.locator('.field.has-error', { hasText: 'Event type' }).locator('.field-error').waitFor()
    await shot(page, 'publish-refused')
    await accessible(page)
    await data.api('PUT', '/event-types/order.checked', { schema: { type: 'object', required: ['id'] }, validate: true })
    await page.getByLabel('Event type').fill('order.checked')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.locator('.field.has-error', { hasText: 'Payload' }).getByText('"id" is a required property').waitFor()
    await page.locator('datalist option[value="order.created"]').waitFor({ state: 'attached' })
    await page.getByLabel('Event type').fill('order.created')
    await page.getByRole('button', { name: 'Use the example of order.created' }).click()
    assert.deepEqual(JSON.parse(await page.getByLabel('Payload').inputValue()), { data: { id: 4711, total: 25 } })
    await page.getByLabel('Payload').fill('{"data": {"country": "FR"}}')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByRole('table', { name: 'Deliveries of this event' }).locator('tr', { hasText: 'shop' }).waitFor()
  }))

test('a list without anything says what to do next', async () => {
  await client(SERVER)('PUT', '/tenants/empty', { name: 'Empty' })
  await visit(browser, SERVER, '#/deliveries?tenant=empty', {}, async (page) => {
    await page.getByText('Nothing has been delivered yet').waitFor()
    await page.getByRole('link', { name: 'Publish an event' }).waitFor()
    await shot(page, 'deliveries-empty')
    await accessible(page)
  })
})

test('a network that fails is said, and tried again', () =>
  visitAcme('#/deliveries', { fails: ['ERR_INTERNET_DISCONNECTED'] }, async (page) => {
    await page.locator('tbody a[data-row]').first().waitFor()
    await page.context().setOffline(true)
    await page.getByRole('link', { name: 'Events' }).click()
    await page.getByText('The server cannot be reached').waitFor()
    await shot(page, 'unreachable')
    await page.context().setOffline(false)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('table', { name: 'Events' }).locator('a[data-row]').first().waitFor()
  }))

test('a key is asked for once, kept in this tab only, and forgotten', () =>
  visit(browser, LOCKED, '#/deliveries', { fails: ['401'] }, async (page) => {
    await page.getByLabel('API key').waitFor()
    await shot(page, 'sign-in')
    await accessible(page)
    await page.getByLabel('API key').fill('prk_wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').getByText('This key is not valid').waitFor()
    await page.getByLabel('API key').fill(OPERATOR_KEY)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Deliveries' }).waitFor()
    await page.locator('tbody a[data-row]').first().waitFor()
    assert.equal(await page.evaluate(() => Object.values(localStorage).join()), '')
    assert.equal(await page.evaluate(() => document.cookie), '')
    await page.reload()
    await page.locator('tbody a[data-row]').first().waitFor()
    await page.getByRole('button', { name: 'Forget the key' }).click()
    await page.getByLabel('API key').waitFor()
    assert.equal(await page.evaluate(() => Object.values(sessionStorage).join()), '')
  }))

test('a key that is revoked while it is used is said to be that', async () => {
  const operator = client(LOCKED, { authorization: `Bearer ${OPERATOR_KEY}` })
  const { id, key } = await operator('POST', '/keys', { name: 'short', tenant: 'acme', scope: 'read' })
  await visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, key)
    await operator('DELETE', `/keys/${id}`)
    await until('the end of the key', async () => (await client(LOCKED, { authorization: `Bearer ${key}` })('GET', '/me', undefined, { mayFail: true })).code === 'unauthenticated')
    // The next request that anything on the page makes.
    await page.evaluate(() => (window.location.hash = '#/events'))
    await page.getByText('Your key was revoked or has expired. Sign in again.').waitFor()
  })
})

test('what a key may not do is not offered', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, TENANT_KEY)
    await page.getByRole('link', { name: 'Deliveries', exact: true }).click()
    await page.locator('tbody a[data-row]').first().click()
    await page.locator('dialog .sheet-head h2').waitFor()
    assert.equal(await page.getByRole('button', { name: /Retry|Cancel/ }).count(), 0)
    assert.equal(await page.locator('.tenant-button').count(), 0)
  }))

test('a key with characters that nobody sees is told from one that is wrong', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await page.getByLabel('API key').fill(`${TENANT_KEY}\u200b`)
    const asked = []
    page.on('request', (request) => asked.push(request.url()))
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').getByText('copy the key again').waitFor()
    assert.deepEqual(asked, [])
    assert.equal(await page.evaluate(() => Object.values(sessionStorage).join()), '')
  }))

test('no link brings an API key, and none is read anywhere but at the start', () =>
  visit(browser, LOCKED, `#token=${TENANT_KEY}`, { fails: ['401'] }, async (page) => {
    await page.getByLabel('API key').waitFor()
    assert.ok(!page.url().includes(TENANT_KEY), 'it is taken out of the address')
    await signIn(page, OPERATOR_KEY)
    await page.evaluate((hash) => (window.location.hash = hash), `#/deliveries?token=${TENANT_KEY}`)
    await page.getByRole('heading', { name: 'Deliveries' }).waitFor()
    await page.locator('.tenant-button').waitFor()
  }))
