// What the overview says of a service that is not well, and whether the page keeps still meanwhile.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, fits, launch, shot, visit, withTenant } from './browser.mjs'
import { answering, client, until } from './data.mjs'

const { SERVER } = process.env
const OVERVIEW = 'overview'
let browser, receiver, api

const subscription = (external_id, status, event_types) => api('POST', '/subscriptions/', { external_id, target_url: receiver.url(status), event_types, retry_schedule: 'none' })
const publish = (type) => api('POST', '/events', { number: 1 }, { 'x-event-type': type })
const read = (id) => api('GET', `/subscriptions/${id}`)

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), answering()])
  await client(SERVER)('PUT', `/tenants/${OVERVIEW}`, { name: 'Overlook' })
  api = client(SERVER, { 'postrider-tenant': OVERVIEW })
  await subscription('gone', 410, ['letter.*'])
  await subscription('mended', 500, ['parcel.*'])
  await publish('letter.sent')
  await until('the end of a receiver', async () => (await read('gone')).disabled_reason === 'gone')
  for (let count = 0; count < 3; count += 1) await publish('letter.sent')
  for (let count = 0; count < 2; count += 1) await publish('parcel.sent')
  await until('failures', async () => (await read('mended')).health.failures === 2)
  await api('PATCH', '/subscriptions/mended', { target_url: receiver.url(204) })
  await publish('parcel.sent')
  await until('a success', async () => (await read('mended')).health.state === 'healthy')
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const visitTenant = (hash, options, look) => visit(browser, SERVER, withTenant(hash, OVERVIEW), options, look)
const needing = (page) => page.getByRole('list', { name: 'Subscriptions that need attention' })
const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString().slice(0, 17) + '00Z'

test('what is disabled and holds deliveries comes first, whatever the chosen time', () =>
  visitTenant(`#/?since=${ago(30)}&until=${ago(20)}`, {}, async (page) => {
    const first = needing(page).locator('li').first()
    await first.getByText('gone', { exact: true }).waitFor()
    await first.locator('.pill', { hasText: 'Disabled' }).waitFor()
    await shot(page, 'overview-attention')
    await accessible(page)
    await first.getByRole('link', { name: '3 held' }).click()
    await page.getByRole('table', { name: 'Deliveries' }).locator('tr', { hasText: 'Subscription disabled' }).first().waitFor()
  }))

test('with all tenants, what needs attention names its tenant', () =>
  visit(browser, SERVER, '', {}, async (page) => {
    await needing(page).locator('li', { hasText: 'gone' }).getByText('Overlook').first().waitFor()
    await page.getByRole('table', { name: 'Newest failed deliveries' }).getByText('Overlook').first().waitFor()
    await needing(page).locator('li', { hasText: 'gone' }).filter({ hasText: 'Overlook' }).getByRole('link', { name: 'gone' }).first().click()
    await page.getByRole('heading', { name: 'gone' }).waitFor()
  }))

test('failures are counted in the chosen time, as the charts do', () =>
  visitTenant('#/?range=1h', {}, async (page) => {
    const mended = needing(page).locator('li', { hasText: 'mended' })
    // Numbers are folded some seconds after the attempts.
    await until('the failures', async () => {
      await page.reload()
      await page.locator('.attention .card-list li').first().waitFor()
      return (await mended.count()) === 1
    }, 120_000)
    await mended.getByRole('link', { name: '2 failed' }).waitFor()
    await page.evaluate((hash) => (window.location.hash = hash), `#/?since=${ago(30)}&until=${ago(20)}&tenant=${OVERVIEW}`)
    await mended.waitFor({ state: 'detached' })
    await needing(page).getByText('gone', { exact: true }).waitFor()
  }))

test('the number of failing subscriptions leads to them', () =>
  visitTenant('#/', {}, async (page) => {
    await page.locator('a.tile', { hasText: 'Failing subscriptions' }).click()
    await page.getByRole('table', { name: 'Subscriptions' }).locator('tr', { hasText: 'gone' }).getByText('Disabled').waitFor()
  }))

test('no list scrolls sideways, however narrow the window and long the names', async (t) => {
  await client(SERVER)('PATCH', `/tenants/${OVERVIEW}`, { name: 'Overlook '.repeat(11).trim() })
  await subscription('long', 204, ['parcel.returned.to.the.sender.because.nobody.was.at.home', 'parcel.sent'])
  await api('POST', '/events', {}, { 'x-event-type': 'parcel.returned.to.the.sender.because.nobody.was.at.home', 'idempotency-key': `${'long'.repeat(40)}-${Date.now()}` })
  const lists = ['#/?range=1h', '#/deliveries', '#/events', '#/refusals', '#/tenants', '#/keys', '#/operations']
  const ofTenant = ['#/subscriptions', '#/replays', '#/event-types'].map((hash) => withTenant(hash, OVERVIEW))
  for (const hash of [...lists, ...lists.map((hash) => withTenant(hash, OVERVIEW)), ...ofTenant]) {
    await t.test(hash, () =>
      visit(browser, SERVER, hash, {}, async (page) => {
        await page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('[aria-busy=true]'))
        for (const width of [721, 861, 900, 1024, 1280]) {
          await page.setViewportSize({ width, height: 900 })
          await fits(page)
        }
      }),
    )
  }
})

test('on a telephone a panel stays on the screen, and Esc closes the menu', () =>
  visitTenant('#/', { width: 360 }, async (page) => {
    await page.getByRole('button', { name: 'Custom' }).click()
    const { x, width } = await page.locator('.popover').boundingBox()
    assert.ok(x >= 0 && x + width <= 360, `it goes from ${x} to ${x + width}`)
    await shot(page, 'custom-360')
    await fits(page)
    await page.keyboard.press('Escape')
    const menu = page.getByRole('button', { name: 'Menu' })
    await menu.click()
    await page.locator('.veil').waitFor()
    await page.keyboard.press('Escape')
    await page.locator('.veil').waitFor({ state: 'detached' })
    assert.ok(await menu.evaluate((button) => button === document.activeElement), 'the focus is back')
  }))

test('what has just opened is closed by the very next key or press', async (t) => {
  const opened = [
    ['the menu', 'Menu', '.veil', 'keydown', { key: 'Escape' }],
    ['a panel', 'Custom', '.popover', 'pointerdown', {}],
  ]
  for (const [what, name, part, type, keys] of opened) {
    await t.test(what, () =>
      visitTenant('#/', { width: 360 }, async (page) => {
        const button = page.getByRole('button', { name })
        await button.waitFor()
        // In the same moment in which it is there, before it is painted.
        await page.evaluate(
          ([part, type, keys]) => {
            new MutationObserver((_, observer) => {
              if (!document.querySelector(part)) return
              observer.disconnect()
              window.wasThere = true
              document.querySelector('main').dispatchEvent(Object.assign(new Event(type, { bubbles: true }), keys))
            }).observe(document.body, { childList: true, subtree: true })
          },
          [part, type, keys],
        )
        await button.click()
        await page.waitForFunction(() => window.wasThere)
        await page.locator(part).waitFor({ state: 'detached' })
      }),
    )
  }
})

test('nothing moves while the overview loads, whatever comes first', async (t) => {
  for (const width of [1280, 360]) {
    await t.test(`${width} px wide`, () =>
      visit(browser, SERVER, '', { width }, async (page) => {
        await page.addInitScript(() => {
          window.moved = 0
          new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (window.moved += value))).observe({ type: 'layout-shift', buffered: true })
        })
        // The outcomes come last: the charts beside them are there before.
        const rest = new Set()
        await page.route(/analytics\/deliveries\?.*group_by=outcome/, (route) => new Promise((ready) => rest.add(ready)).then(() => route.continue()))
        await page.goto(`${SERVER}/?again#/?range=1h&tenant=${OVERVIEW}`)
        await page.getByRole('img', { name: /^Queue depth/ }).locator('canvas').waitFor()
        rest.forEach((ready) => ready())
        await page.getByRole('img', { name: /^Attempts by outcome/ }).locator('canvas').waitFor()
        await page.waitForFunction(() => !document.querySelector('[aria-busy=true]'))
        assert.ok((await page.evaluate(() => window.moved)) < 0.02, `it moved by ${await page.evaluate(() => window.moved)}`)
      }),
    )
  }
})

test('with all tenants each row says whose it is, and what belongs to one offers the choice', async (t) => {
  await t.test('the search', () =>
    visit(browser, SERVER, '', {}, async (page) => {
      await page.getByRole('combobox', { name: 'Search' }).fill('mended')
      await page.getByRole('option').filter({ hasText: /^mendedSubscription of Overlook/ }).waitFor()
    }))
  for (const hash of ['#/subscriptions', '#/subscriptions/~new', '#/event-types', '#/replays', '#/publish']) {
    await t.test(hash, () =>
      visit(browser, SERVER, hash, {}, async (page) => {
        const choice = page.locator('main .tenant-choice')
        await choice.waitFor()
        await accessible(page)
        await choice.getByLabel('Find a tenant').fill(OVERVIEW)
        await choice.getByRole('button', { name: OVERVIEW }).click()
        await choice.waitFor({ state: 'detached' })
        assert.match(page.url(), new RegExp(`${hash}\\?tenant=`))
      }))
  }
})

test('a tenant leads to its subscriptions', async () => {
  const { id } = await client(SERVER)('GET', `/tenants/${OVERVIEW}`)
  await visit(browser, SERVER, `#/tenants/${id}`, {}, async (page) => {
    await page.getByRole('navigation', { name: 'Of this tenant' }).getByRole('link', { name: 'Subscriptions' }).click()
    await page.getByRole('table', { name: 'Subscriptions' }).locator('tr', { hasText: 'gone' }).waitFor()
  })
})

test('no two labels of an axis are alike, however short the time', () =>
  visit(browser, SERVER, '', {}, async (page) => {
    await page.addInitScript(() => {
      window.written = new Map()
      const { clearRect, fillText } = CanvasRenderingContext2D.prototype
      CanvasRenderingContext2D.prototype.clearRect = function (...area) {
        window.written.set(this.canvas, [])
        clearRect.apply(this, area)
      }
      CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        window.written.get(this.canvas)?.push(text)
        fillText.call(this, text, ...place)
      }
    })
    await page.goto(`${SERVER}/?again#/?since=${ago(4)}&until=${ago(2)}&tenant=${OVERVIEW}`)
    await page.getByRole('img', { name: /^Events accepted/ }).locator('canvas').waitFor()
    const times = await page.waitForFunction(() => {
      const texts = window.written.get(document.querySelector('[aria-label^="Events accepted"] canvas'))?.filter((text) => /^\d\d:\d\d$/.test(text))
      return texts?.length > 1 && texts
    })
    const labels = await times.jsonValue()
    assert.deepEqual([...new Set(labels)], labels)
  }))

test('on a telephone the search says the whole reason', () =>
  visitTenant('#/', { width: 360 }, async (page) => {
    const [{ webhook_id }] = (await api('GET', '/deliveries?status=failed&subscription_id=mended&limit=1')).data
    await page.getByRole('combobox', { name: 'Search' }).fill(webhook_id)
    const reason = page.getByRole('option').filter({ hasText: 'http_5xx' }).locator('.found-text .faint').first()
    await reason.waitFor()
    assert.ok(await reason.evaluate((text) => text.scrollWidth <= text.clientWidth), 'nothing is cut off')
    await shot(page, 'search-360')
  }))
