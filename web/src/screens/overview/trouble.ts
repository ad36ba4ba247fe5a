// Which subscriptions need somebody: those that are disabled or whose breaker is open, those that hold deliveries, and
// those with failures in the chosen time.
import { asProblem, get } from '../../api/client'
import { fill } from '../../api/resource'
import { isAll } from '../../api/session'
import { type Delivery, subscriptionName } from '../../words'
import { nameOf, type State, stateOf, type Subscription } from '../subscriptions/state'
import type { Failing } from './numbers'

export interface Trouble {
  id: string
  tenant: string | null
  /** Null where it was not read. */
  name: string | null
  /** Null where it was not read. */
  state: State | null
  held: number
  /** There are more held deliveries than were counted. */
  heldMore: boolean
  failed: number
  attempts: number
}

const PAGE = 100
/** `fill` asks for three pages at most. */
const MOST_SUBSCRIPTIONS = 300
/** States of a subscription that is not healthy. One that was disabled because it failed is counted as failing. */
export const UNWELL = ['disabled', 'failing', 'open', 'throttled', 'recovering'] as const
/** The API counts held deliveries of a subscription up to this. */
const MOST_HELD = 1_000

export const MOST_ROWS = 8
/** Subscriptions that are read one by one: for each row that is shown, two may have been deleted. */
const MOST_READ = 3 * MOST_ROWS

/** What is wrong now, whatever the chosen time, and what failed in that time. Worst first; those that are well are left out. */
export async function loadTroubles(failing: Failing[], signal: AbortSignal): Promise<Trouble[]> {
  const now = isAll.value ? await holding(signal) : await unwell(signal)
  return ranked(await readMissing(ranked(together(now, failing)), signal))
}

async function unwell(signal: AbortSignal): Promise<Trouble[]> {
  const page = await fill<Subscription>(MOST_SUBSCRIPTIONS, (cursor) => get('/subscriptions/', { query: { state: [...UNWELL], limit: PAGE, ...(cursor ? { cursor } : {}) }, signal }))
  return page.data.map(ofSubscription)
}

/** All tenants have no list of subscriptions, so there the newest held deliveries say which are not well. */
async function holding(signal: AbortSignal): Promise<Trouble[]> {
  const { data, next_cursor } = await fill<Delivery>(PAGE, (cursor) => get('/deliveries', { query: { status: ['held'], limit: PAGE, ...(cursor ? { cursor } : {}) }, signal }))
  return ofHeld(data, Boolean(next_cursor))
}

const ofSubscription = (one: Subscription): Trouble => ({
  id: one.id,
  tenant: null,
  name: nameOf(one),
  state: stateOf(one),
  held: one.health.held,
  heldMore: one.health.held >= MOST_HELD,
  failed: 0,
  attempts: 0,
})

function ofHeld(rows: Delivery[], more: boolean): Trouble[] {
  const found = new Map<string, Trouble>()
  for (const row of rows) {
    const before = found.get(row.subscription_id)
    const name = row.external_id || row.target_url ? subscriptionName(row) : null
    found.set(row.subscription_id, { id: row.subscription_id, tenant: row.tenant_id, name, state: null, held: (before?.held ?? 0) + 1, heldMore: more, failed: 0, attempts: 0 })
  }
  return [...found.values()]
}

function together(now: Trouble[], failing: Failing[]): Trouble[] {
  const found = new Map(now.map((one) => [one.id, one]))
  for (const { id, tenant, failed, attempts } of failing) {
    const known = found.get(id) ?? { id, name: null, state: null, held: 0, heldMore: false }
    found.set(id, { ...known, tenant, failed, attempts })
  }
  return [...found.values()]
}

/** Reads the subscriptions of the rows that are shown, where nothing has said their state. Those that were deleted are left out. */
async function readMissing(rows: Trouble[], signal: AbortSignal): Promise<Trouble[]> {
  const known: Trouble[] = []
  let reads = 0
  // One after the other: the server answers few requests of one caller at a time, and refuses those that wait for long.
  for (const row of rows) {
    if (row.state || known.length >= MOST_ROWS || reads >= MOST_READ) {
      known.push(row)
      continue
    }
    reads += 1
    const one = await read(row, signal)
    if (one) known.push(one)
  }
  return known
}

/** Null where it was deleted; the row as it is where its subscription cannot be read now. */
async function read(row: Trouble, signal: AbortSignal): Promise<Trouble | null> {
  const tenant = isAll.value ? (row.tenant ?? undefined) : undefined
  try {
    const one = await get('/subscriptions/{subscription_id}', { at: { subscription_id: row.id }, tenant, signal })
    return { ...ofSubscription(one), tenant: row.tenant, failed: row.failed, attempts: row.attempts }
  } catch (error) {
    signal.throwIfAborted()
    return asProblem(error).status === 404 ? null : row
  }
}

function rank({ state, held, failed }: Trouble): number {
  if (state?.label === 'Disabled') return 0
  if (state?.why === 'Breaker open') return 1
  if (held > 0) return 2
  return state?.label === 'Degraded' || failed > 0 ? 3 : 4
}

const NONE = 4

const ranked = (rows: Trouble[]) => rows.filter((one) => rank(one) < NONE).sort((a, b) => rank(a) - rank(b) || b.held - a.held || b.failed - a.failed)
