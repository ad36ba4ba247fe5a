// Where the reader is: the path and query behind `#`, so that every view has a link, under any prefix of a proxy.
import { computed, signal } from '@preact/signals'

const fragment = signal(window.location.hash)

/** Whether another page shows the dashboard in a frame. The browser keeps one history for both: going back may move the other page. */
export const isFramed = window.parent !== window

/** What the browser keeps with each entry of its history: the views before it, the newest last, and how far they were scrolled. */
interface Entry {
  trail: { link: string; y: number }[]
  /** How far this view was scrolled when its page was reloaded or left. */
  y?: number
}

/** Views that are remembered; older ones are not gone back to. */
const LONGEST_TRAIL = 20
const trailOf = (state: unknown) => (state as Entry | null)?.trail ?? []
let trail = trailOf(window.history.state)
/** If the browser has not gone back by then, it will not: it usually takes under 50 ms, so this leaves 20 times as long. */
const GO_BACK_MS = 1_000
/** Runs while the browser goes back. */
let goingBack: ReturnType<typeof setTimeout> | undefined
const hasGoneBack = () => (clearTimeout(goingBack), (goingBack = undefined))
/** How far the view was scrolled when the reader left it who came back now. */
let returnY = (window.history.state as Entry | null)?.y ?? 0

// An entry without a state is one that a link has just made.
window.history.replaceState({ trail } satisfies Entry, '')
// Where a view was, the dashboard knows; the browser would look before its rows are loaded.
window.history.scrollRestoration = 'manual'
/** For a reload. Not between the browser's move to another entry and the hashchange that says so. */
const keepY = () => {
  if (window.location.hash === fragment.value) window.history.replaceState({ trail, y: window.scrollY } satisfies Entry, '')
}
// Chromium has read the state for a reload before pagehide; older Safaris have no scrollend.
document.addEventListener('scrollend', keepY)
window.addEventListener('pagehide', keepY)

/** What the trail is once the reader has gone on from here. */
const extended = () => [...trail, { link: fragment.value, y: window.scrollY }].slice(-LONGEST_TRAIL)

// By the HTML standard, a link to the address where the reader already is replaces the entry by one without a state, and
// no hashchange follows. Chromium keeps the state.
window.addEventListener('popstate', () => {
  if (window.history.state === null && window.location.hash === fragment.value) window.history.replaceState({ trail } satisfies Entry, '')
})

window.addEventListener('hashchange', () => {
  hasGoneBack()
  // A link made a new entry; otherwise the reader went back or forward to one.
  const isNew = window.history.state === null
  returnY = isNew ? 0 : (trail.findLast((one) => same(one.link, window.location.hash))?.y ?? 0)
  if (isNew) window.history.replaceState({ trail: extended() } satisfies Entry, '')
  trail = trailOf(window.history.state)
  fragment.value = window.location.hash
})

function split(hash: string): [path: string, query: string] {
  const text = hash.replace(/^#/, '')
  const mark = text.indexOf('?')
  return mark < 0 ? [text, ''] : [text.slice(0, mark), text.slice(mark + 1)]
}

export const path = computed(() => split(fragment.value)[0] || '/')
export const query = computed(() => new URLSearchParams(split(fragment.value)[1]))

/** Whether two links lead to one view, however they are written. */
const same = (one: string, other: string) => split(one)[0] === split(other)[0] && String(new URLSearchParams(split(one)[1])) === String(new URLSearchParams(split(other)[1]))

/** Whether a link leads to another page, and not to another view of this one. */
export const leadsAway = (link: string) => (split(link)[0] || '/') !== path.value

/** Where a view that is shown anew begins. */
export const firstY = () => returnY

type Params = Record<string, string | readonly string[] | null | undefined>

function apply(target: URLSearchParams, params: Params): URLSearchParams {
  for (const [name, value] of Object.entries(params)) {
    target.delete(name)
    if (typeof value === 'string') target.set(name, value)
    else value?.forEach((one) => target.append(name, one))
  }
  return target
}

function join(to: string, params: URLSearchParams): string {
  const text = params.toString()
  return `#${to}${text && '?' + text}`
}

/** A link to a view. The chosen tenant goes along unless `params` names another. */
export function href(to: string, params: Params = {}): string {
  const tenant = query.value.get('tenant')
  return join(to, apply(new URLSearchParams(tenant ? { tenant } : {}), params))
}

/** A link to this view with other parameters; `null` removes one. */
export function here(params: Params): string {
  return join(path.value, apply(new URLSearchParams(query.value), params))
}

/** Asked before `go` leads to another page: it asks the reader, and goes on with `leaveTo`. */
let guard: ((link: string) => void) | null = null

/** The page has something that would be lost. Returns what ends that. */
export function guardLeaving(ask: (link: string) => void): () => void {
  guard = ask
  return () => {
    if (guard === ask) guard = null
  }
}

export function go(link: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push' && guard && leadsAway(link)) guard(link)
  else move(link, how)
}

/** Goes to another page although something is lost there: the reader was asked. */
export const leaveTo = (link: string) => move(link, 'push')

function move(link: string, how: 'push' | 'replace'): void {
  if (how === 'push') trail = extended()
  returnY = 0
  const entry: Entry = { trail }
  if (how === 'push') window.history.pushState(entry, '', link)
  else window.history.replaceState(entry, '', link)
  fragment.value = link
}

/**
 * Undoes what led here: back to `link`, if the reader came from there, so that the browser's Back does not lead here again.
 * In a frame it shows `link` in place of this view instead.
 */
export function undo(link: string): void {
  // Esc may come twice before the browser has gone back.
  if (goingBack !== undefined) return
  if (isFramed) return go(link, 'replace')
  const at = trail.findLastIndex((one) => same(one.link, link))
  // Only over views of this page: an earlier visit of it is not where the reader came from.
  if (at < 0 || trail.slice(at).some((one) => split(one.link)[0] !== path.value)) return go(link, 'replace')
  const from = fragment.value
  goingBack = setTimeout(() => {
    hasGoneBack()
    if (fragment.value === from) go(link, 'replace')
  }, GO_BACK_MS)
  window.history.go(at - trail.length)
}
