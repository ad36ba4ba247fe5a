// The browser's Back and Forward, a reload, and where a view is found again.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, visit } from './browser.mjs'
import { client, until } from './data.mjs'

const { SERVER } = process.env
const TENANT = `wanderer-${process.pid}`
let browser, api, refusal

before(async () => {
  browser = await launch()
  await client(SERVER)('PUT', `/tenants/${TENANT}`, { name: 'Wanderer' })
  api = client(SERVER, { 'postrider-tenant': TENANT })
  // Nothing is sent: its deliveries are held.
  await api('POST', '/subscriptions/', { target_url: 'http://127.0.0.1:40009/wanderer', is_active: false })
  // More than a page of a list, which has 50.
  for (let number = 0; number < 80; number += 1) await api('POST', '/events', { number }, { 'x-event-type': 'step.taken' })
  await api('POST', '/events', '{"broken": ', { 'x-event-type': 'step.taken', mayFail: true })
  refusal = await until('a refusal', async () => (await api('GET', '/refusals?limit=1')).data[0])
})
after(() => browser?.close())

const visitMine = (hash, look) => visit(browser, SERVER, `${hash}?tenant=${TENANT}`, {}, look)
const menu = (page, name) => page.locator('.menu').getByRole('link', { name, exact: true }).click()
const title = (page, name) => page.getByRole('heading', { name, exact: true }).waitFor()
const rows = (page) => page.locator('tbody a[data-row]')
const scrolled = (page) => page.evaluate(() => window.scrollY)
const scrollsTo = (page, y) => page.waitForFunction((y) => Math.abs(window.scrollY - y) <= 1, y)
const toEnd = async (page) => {
  await page.evaluate(() => window.scrollTo({ top: document.documentElement.scrollHeight }))
  const y = await scrolled(page)
  assert.ok(y > 200, `scrolled ${y}`)
  return y
}

test('a link that is followed twice leaves Back and the place as they were', () =>
  visitMine('#/', async (page) => {
    await menu(page, 'Events')
    await rows(page).first().waitFor()
    await menu(page, 'Events')
    const y = await toEnd(page)
    await rows(page).last().click()
    await title(page, 'step.taken')
    await page.goBack()
    await rows(page).first().waitFor()
    await scrollsTo(page, y)
  }))

test('who closes a drawer is not taken back to an earlier visit of its list', () =>
  visitMine('#/', async (page) => {
    for (const name of ['Refusals', 'Events', 'Deliveries']) {
      await menu(page, name)
      await title(page, name)
    }
    await page.evaluate((hash) => (window.location.hash = hash), `#/refusals?tenant=${TENANT}&open=${refusal.id}`)
    const drawer = page.locator('dialog.drawer')
    await drawer.getByRole('button', { name: 'Close' }).click()
    await drawer.waitFor({ state: 'detached' })
    await title(page, 'Refusals')
    await page.goBack()
    await title(page, 'Deliveries')
    await page.goBack()
    await title(page, 'Events')
  }))

test('another page of a list begins at its top, and Back and a reload find the place again', () =>
  visitMine('#/deliveries', async (page) => {
    await page.setViewportSize({ width: 1440, height: 500 })
    await rows(page).nth(49).waitFor()
    const first = await toEnd(page)
    await page.getByRole('button', { name: 'Older' }).click()
    await scrollsTo(page, 0)
    await page.waitForFunction(() => document.querySelectorAll('tbody a[data-row]').length === 30)
    const second = await toEnd(page)
    assert.ok(Math.abs(first - second) > 200, `the pages are as long as each other: ${first} and ${second}`)
    await page.waitForFunction((y) => window.history.state.y === y, second)
    await page.reload()
    await rows(page).nth(29).waitFor()
    await scrollsTo(page, second)
    await page.goBack()
    await rows(page).nth(49).waitFor()
    await scrollsTo(page, first)
  }))
