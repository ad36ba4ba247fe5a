// Which subscriptions need somebody: those that are disabled or whose breaker is open, those that hold deliveries, and
// those with failures in the chosen time.
import { get } from '../../api/client'
import { fill } from '../../api/resource'
import { isAll } from '../../api/session'
import { type Delivery, subscriptionName } from '../../words'
import { nameOf, type State, stateOf, type Subscription } from '../subscriptions/state'
import type { Failing } from './numbers'

export interface Trouble {
  id: string
  tenant: string | null
  /** Null where it has to be asked for. */
  name: string | null
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
/** All but healthy ones. */
const STATES = ['disabled', 'failing', 'open', 'throttled', 'recovering'] as const
/** The API counts held deliveries of a subscription up to this. */
export const MOST_HELD = 1_000

/** With all tenants, so many of those that hold most are asked for their state at a time. */
const MOST_ASKED = 8

/** What is wrong now, whatever the chosen time. All tenants have no list of subscriptions, so there the newest held deliveries say it. */
export async function loadTroubles(signal: AbortSignal): Promise<Trouble[]> {
  if (isAll.value) {
    const { data, next_cursor } = await get('/deliveries', { query: { status: ['held'], limit: PAGE }, signal })
    return withStates(ofHeld(data, Boolean(next_cursor)), signal)
  }
  const page = await fill<Subscription>(MOST_SUBSCRIPTIONS, (cursor) => get('/subscriptions/', { query: { state: [...STATES], limit: PAGE, ...(cursor ? { cursor } : {}) }, signal }))
  return page.data.map(ofSubscription)
}

export const ofSubscription = (one: Subscription): Trouble => ({
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

/** A held delivery does not say who disabled its subscription: somebody, or postrider because of failures. */
async function withStates(rows: Trouble[], signal: AbortSignal): Promise<Trouble[]> {
  const most = [...rows].sort((a, b) => b.held - a.held)
  const known: Trouble[] = []
  // One after the other: the server answers few requests of one caller at a time, and refuses those that wait for long.
  for (const row of most.slice(0, MOST_ASKED)) {
    const one = await get('/subscriptions/{subscription_id}', { at: { subscription_id: row.id }, tenant: row.tenant ?? undefined, signal }).catch(() => null)
    known.push(one ? { ...ofSubscription(one), tenant: row.tenant } : row)
  }
  return [...known, ...most.slice(MOST_ASKED)]
}

function rank({ state, held, failed }: Trouble): number {
  if (state?.label === 'Disabled') return 0
  if (state?.why === 'Breaker open') return 1
  if (held > 0) return 2
  return state?.label === 'Degraded' || failed > 0 ? 3 : 4
}

const NONE = 4

/** Worst first; those that are well are left out. */
export function troubles(now: Trouble[], failing: Failing[]): Trouble[] {
  const found = new Map(now.map((one) => [one.id, one]))
  for (const { id, tenant, failed, attempts } of failing) {
    const known = found.get(id) ?? { id, name: null, state: null, held: 0, heldMore: false }
    found.set(id, { ...known, tenant, failed, attempts })
  }
  return [...found.values()].filter((one) => rank(one) < NONE).sort((a, b) => rank(a) - rank(b) || b.held - a.held || b.failed - a.failed)
}
