// What a customer sees with a portal link, and how it ends.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { accessible, fits, launch, shot, signIn, visit } from './browser.mjs'
import { client, fill, receivers, until } from './data.mjs'

const { SERVER, LOCKED, OPERATOR_KEY, DATABASE_URL, PORTAL_HOST } = process.env
let browser, receiver, data, operator

before(async () => {
  ;[browser, receiver] = await Promise.all([launch(), receivers()])
  data = await fill(SERVER, receiver, 3)
  operator = client(LOCKED, { authorization: `Bearer ${OPERATOR_KEY}` })
  await until('a failure', async () => (await data.api('GET', '/deliveries?status=failed&limit=1')).data.length)
})
after(async () => {
  await browser?.close()
  receiver?.stop()
})

const session = (capabilities = ['read', 'manage']) => operator('POST', '/portal-sessions', { tenant: 'acme', capabilities })
const fragment = ({ url }) => new URL(url).hash
const overview = (page) => page.getByRole('heading', { name: 'Overview' }).waitFor()

test('a customer sees its own webhooks, and nothing that the link does not open is asked for', async (t) => {
  const opened = await session()
  for (const [width, theme] of [[1440, 'light'], [1440, 'dark'], [360, 'light'], [360, 'dark']]) {
    await t.test(`${width}, ${theme}`, () =>
      visit(browser, LOCKED, fragment(opened), { width, theme }, async (page) => {
        const refused = []
        page.on('response', (response) => response.status() >= 400 && refused.push(`${response.status()} ${response.url()}`))
        await overview(page)
        await page.locator('.brand', { hasText: 'Acme' }).waitFor({ state: 'attached' })
        assert.ok(!page.url().includes('prp_'), page.url())
        assert.equal(await page.locator('.tenant-button').count(), 0, 'there is nothing to switch')
        const offered = await page.locator('.menu a').evaluateAll((links) => links.map((link) => [link.textContent.trim(), link.getAttribute('href')]))
        for (const name of ['Refusals', 'Tenants', 'Keys', 'Operations']) assert.ok(!offered.some(([label]) => label === name), `${name} is offered`)
        for (const [label, href] of offered) {
          await page.evaluate((href) => (window.location.hash = href), href)
          await page.getByRole('heading', { name: label, exact: true }).first().waitFor()
          await page.waitForFunction(() => !document.querySelector('[aria-busy=true]'))
          await fits(page)
        }
        assert.deepEqual(refused, [])
        await shot(page, `portal-${width}-${theme}`)
        await accessible(page)
      }))
  }
})

test('who may only look is offered nothing else', async () => {
  const failed = (await data.api('GET', '/deliveries?status=failed&limit=1')).data[0]
  const delivery = `/deliveries/${failed.webhook_id}/${failed.subscription_id}`
  await visit(browser, LOCKED, fragment(await session(['read'])), {}, async (page) => {
    await overview(page)
    await page.evaluate((hash) => (window.location.hash = hash), delivery)
    await page.locator('.why').waitFor()
    assert.equal(await page.getByRole('button', { name: /Retry|Cancel/ }).count(), 0)
    await page.evaluate(() => (window.location.hash = '#/replays'))
    await page.getByRole('heading', { name: 'Replays' }).waitFor()
    assert.equal(await page.getByRole('link', { name: 'New replay' }).count(), 0)
    await page.evaluate(() => (window.location.hash = '#/publish'))
    await page.getByText('This link does not open this page').waitFor()
  })
  await visit(browser, LOCKED, fragment(await session()), {}, async (page) => {
    await overview(page)
    await page.evaluate((hash) => (window.location.hash = hash), delivery)
    await page.getByRole('button', { name: 'Retry now' }).click()
    await page.locator('.toast', { hasText: 'Queued again' }).waitFor()
  })
})

test('an operator makes a link for a tenant, sees it once, and ends it', () =>
  visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, OPERATOR_KEY)
    await page.evaluate(() => (window.location.hash = '#/tenants?q=acme'))
    await page.locator('tbody a[data-row]').first().click()
    await page.getByRole('button', { name: 'Portal link' }).click()
    const dialog = page.getByRole('dialog', { name: 'Portal link' })
    await dialog.getByLabel('Managing').uncheck()
    await dialog.getByLabel('Expires after').selectOption('900')
    await dialog.getByRole('button', { name: 'Make a link' }).click()
    await dialog.getByRole('button', { name: 'Copy' }).click()
    await page.locator('.toast', { hasText: 'Link copied' }).waitFor()
    const link = await page.evaluate(() => navigator.clipboard.readText())
    assert.match(link, /#token=prp_/)
    const token = new URL(link).hash.slice('#token='.length)
    const who = () => client(LOCKED, { authorization: `Bearer ${token}` })('GET', '/me', undefined, { mayFail: true })
    assert.deepEqual([(await who()).tenant_name, (await who()).capabilities], ['Acme', ['read']])
    await accessible(page)
    await page.keyboard.press('Escape')
    await dialog.locator('.once').waitFor()
    await dialog.getByRole('button', { name: 'End it now' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.ok(!(await page.content()).includes(token), 'it is shown once')
    await until('the end of the link', async () => (await who()).code === 'unauthenticated')
  }))

test('a link that is opened beside a key asks before it takes the key’s place', async () => {
  const hash = fragment(await session())
  await visit(browser, LOCKED, '', { fails: ['401'] }, async (page) => {
    await signIn(page, OPERATOR_KEY)
    const open = () => page.evaluate((hash) => (window.location.hash = hash), hash)
    await open()
    await page.getByRole('alertdialog', { name: 'Leave your key?' }).waitFor()
    assert.ok(!page.url().includes('prp_'), page.url())
    await accessible(page)
    await page.getByRole('button', { name: 'Keep my key' }).click()
    await page.locator('.tenant-button').waitFor()
    await open()
    await page.getByRole('button', { name: 'Open the portal' }).click()
    await page.locator('.brand', { hasText: 'Acme' }).waitFor({ state: 'attached' })
    assert.equal(await page.locator('.tenant-button').count(), 0)
  })
})

test('a link that expires says so by itself', async () => {
  const opened = await session()
  execFileSync('psql', [DATABASE_URL, '-qc', `update api_keys set expires_at = now() + interval '3 s' where id = '${opened.id}'`])
  await visit(browser, LOCKED, fragment(opened), { fails: ['401'] }, async (page) => {
    await page.getByRole('heading', { name: 'This link has expired' }).waitFor()
    await shot(page, 'portal-expired')
    await accessible(page)
    await page.reload()
    await page.getByRole('heading', { name: 'This link works no longer' }).waitFor()
  })
})

test('a link that was withdrawn says so when something is asked for, and a new link goes on', async () => {
  const [opened, next] = [await session(), await session()]
  await visit(browser, LOCKED, fragment(opened), { fails: ['401'] }, async (page) => {
    await overview(page)
    await operator('DELETE', `/keys/${opened.id}`)
    const ended = page.getByRole('heading', { name: 'This link works no longer' })
    await until('the end', async () => {
      if (await ended.count()) return true
      await page.evaluate(() => (window.location.hash = window.location.hash === '#/events' ? '#/replays' : '#/events'))
      return false
    })
    await page.evaluate((hash) => (window.location.hash = hash), fragment(next))
    await page.locator('.brand', { hasText: 'Acme' }).waitFor()
    assert.ok(!page.url().includes('prp_'), page.url())
    await page.getByRole('button', { name: 'Leave' }).click()
    await page.getByRole('heading', { name: 'You have left' }).waitFor()
    assert.equal(await page.evaluate(() => Object.values(sessionStorage).join()), '')
  })
})

test('a secret that is shown once outlives a new link of the same tenant', async () => {
  await visit(browser, LOCKED, fragment(await session()), {}, async (page) => {
    await overview(page)
    await page.evaluate(() => (window.location.hash = '#/subscriptions/~new'))
    await page.getByLabel('URL').fill('https://receiver.example/hook')
    await page.getByRole('button', { name: 'Create', exact: true }).click()
    const secret = await page.locator('.once code').first().textContent()
    const made = new URL(page.url()).hash
    await page.evaluate((hash) => (window.location.hash = hash), fragment(await session()))
    await overview(page)
    await page.evaluate((hash) => (window.location.hash = hash), made)
    await page.locator('.once code', { hasText: secret }).waitFor()
    await page.getByRole('button', { name: 'I have it' }).click()
    await page.locator('.once code').waitFor({ state: 'detached' })
    await page.evaluate(() => (window.location.hash = '#/'))
    await overview(page)
    await data.api('DELETE', `/subscriptions/${made.match(/[0-9a-f-]{36}/)[0]}`)
  })
})

test('the page around it chooses light or dark', async () => {
  const hash = fragment(await session())
  await visit(browser, LOCKED, `${hash}&theme=dark`, { theme: 'light' }, async (page) => {
    await overview(page)
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark')
    await page.reload()
    await overview(page)
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark', 'after it was loaded again')
  })
  await visit(browser, LOCKED, `?theme=light${hash}`, { theme: 'dark' }, async (page) => {
    await overview(page)
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light')
  })
})

test('it works in a frame of an allowed page, also where storage is forbidden', async () => {
  const hash = fragment(await session())
  const page_ = `<!doctype html><title>Shop</title><iframe title="Webhooks" src="${LOCKED}/${hash}&theme=dark" style="width:800px;height:600px"></iframe>`
  const host = createServer((_, response) => response.setHeader('content-type', 'text/html').end(page_))
  await new Promise((ready) => host.listen(new URL(PORTAL_HOST).port, '127.0.0.1', ready))
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 } })
  try {
    await context.addInitScript(() => {
      for (const name of ['localStorage', 'sessionStorage']) {
        Object.defineProperty(window, name, {
          get() {
            throw new DOMException('The page may not store anything', 'SecurityError')
          },
        })
      }
    })
    const page = await context.newPage()
    const wrong = []
    page.on('pageerror', (error) => wrong.push(error.message))
    await page.goto(PORTAL_HOST)
    const frame = page.frameLocator('iframe')
    await frame.getByRole('heading', { name: 'Overview' }).waitFor()
    assert.equal(await frame.locator('html').getAttribute('data-theme'), 'dark')
    await frame.getByRole('button', { name: 'Menu' }).click()
    await frame.getByRole('link', { name: 'Deliveries', exact: true }).click()
    await frame.locator('tbody a[data-row]').first().click()
    // The browser has one history for the page and the frame: going back would move the page.
    await page.evaluate(() => window.history.pushState(null, '', '#basket'))
    for (const closed of [1, 2]) {
      await frame.locator('dialog.drawer').getByRole('button', { name: 'Close' }).click()
      await frame.locator('dialog.drawer').waitFor({ state: 'detached' })
      assert.equal(page.url(), `${PORTAL_HOST}/#basket`, 'the page around it stays')
      if (closed === 1) await frame.locator('tbody a[data-row]').first().click()
    }
    assert.equal(await frame.getByRole('button', { name: 'Leave' }).count(), 0, 'one leaves by the page around it')
    assert.equal(await frame.getByText('API key').count(), 0)
    await shot(page, 'portal-frame')
    assert.deepEqual(wrong, [])
  } finally {
    await context.close()
    host.closeAllConnections()
    host.close()
  }
})
