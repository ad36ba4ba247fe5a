// A browser that finds no name but this machine, and complains about everything that a page does wrong.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const SHOTS = new URL('../shots/', import.meta.url).pathname

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  })
}

/** The overview reads the subscriptions that failed, also those that another test has deleted since. */
const isOfDeleted = (message) => message.text().includes('404') && /\/subscriptions\/[0-9a-f-]{36}$/.test(message.location().url)

/** The address of a screen with this tenant chosen. */
export const withTenant = (hash, tenant) => `${hash}${hash.includes('?') ? '&' : '?'}tenant=${encodeURIComponent(tenant)}`

/** A page of a new visitor. At its end nothing may have gone wrong, and nothing been asked of another server. */
export async function visit(browser, server, hash, { width = 1440, theme = 'light', fails = [] } = {}, look) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme, permissions: ['clipboard-read', 'clipboard-write'] })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const wrong = []
  const foreign = []
  page.on('pageerror', (error) => wrong.push(error.message))
  page.on('console', (message) => message.type() === 'error' && !isOfDeleted(message) && !fails.some((fail) => message.text().includes(fail)) && wrong.push(message.text()))
  page.on('request', (request) => !request.url().startsWith(server) && !/^(data|blob):/.test(request.url()) && foreign.push(request.url()))
  try {
    await page.goto(`${server}/${hash}`)
    await look(page)
    assert.deepEqual(wrong, [], 'the page complained')
    assert.deepEqual(foreign, [], 'another server was asked')
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'a stranger’s script ran')
  } catch (error) {
    await page.screenshot({ path: `${SHOTS}failed.png` }).catch(() => undefined)
    throw error
  } finally {
    await context.close()
  }
}

export async function signIn(page, key) {
  await page.getByLabel('API key').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
}

export async function shot(page, name) {
  // Pills and rows fade in.
  await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one.effect?.getTiming().iterations !== Infinity).map((one) => one.finished.catch(() => undefined))))
  await page.screenshot({ path: `${SHOTS}${name}.png` })
}

/** WCAG 2.2 A and AA, and what axe calls best practice. */
export async function accessible(page) {
  await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  const told = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary?.split('\n')[1]?.trim()}`))
  assert.deepEqual(told, [], 'axe found violations')
}

export async function fits(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  assert.equal(over, 0, 'the page scrolls sideways')
}
