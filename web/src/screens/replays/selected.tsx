// What a replay sends again, in words.
import type { Schemas } from '../../api/client'
import { REASONS, type Status, statusWord, type Tone } from '../../words'
import { SubscriptionName } from '../subscriptions/name'

export type Replay = Schemas['Replay']
export type Only = Schemas['DeliverySelection']

export const STATES: Record<Replay['status'], { label: string; tone: Tone }> = {
  running: { label: 'Running', tone: 'blue' },
  finished: { label: 'Finished', tone: 'grey' },
  cancelled: { label: 'Cancelled', tone: 'plain' },
}

/** How many there are. A delivery that failed after they were counted is sent as well. */
export const totalOf = ({ total, replayed }: Replay): number | null => (total === null || total === undefined ? null : Math.max(total, replayed))

/** How much of it is done, from 0 to 1; null where nobody counted. */
export function share({ status, replayed, total }: Replay): number | null {
  if (status === 'finished') return 1
  return total ? Math.min(replayed / total, 1) : null
}

const statusLabel = (status: string) => (status === 'missed' ? 'not received' : statusWord(status as Status, 0).label.toLowerCase())

interface Selection {
  status: string[]
  event_type: string[]
  subscription_id: string[]
  reason: string[]
  since: string | null
  until: string
}

/** The filters, of both kinds of replay. */
export function filtersOf(replay: Replay): Selection {
  const only = (replay.only ?? {}) as Record<string, string[] | string | null | undefined>
  const list = (name: string) => [only[name] ?? []].flat()
  const text = (name: string) => list(name)[0] ?? null
  const { since, until } = { since: text('since') ?? replay.since, until: text('until') ?? replay.until }
  if (replay.only) return { status: list('status'), event_type: list('event_type'), subscription_id: list('subscription_id'), reason: list('reason'), since, until }
  return { status: replay.statuses, event_type: replay.event_types, subscription_id: replay.subscription_id ? [replay.subscription_id] : [], reason: [], since, until }
}

/** The filters of a list that has its deliveries. Their statuses and reasons have changed since. */
export function deliveriesOf(replay: Replay) {
  const { status, subscription_id, event_type, since, until } = filtersOf(replay)
  // Events that were chosen by a delivery of one subscription may have gone to others.
  const isElsewhere = replay.to === 'matching' && status.length > 0
  return { subscription_id: isElsewhere ? [] : subscription_id, event_type, ...(since ? { since } : {}), until }
}

const inFull = (reason: string) => (REASONS as Record<string, { label: string }>)[reason]?.label ?? reason

export function inWords(replay: Replay): string {
  const { status, event_type, reason } = filtersOf(replay)
  const what = status.length ? status.map(statusLabel).join(', ') : replay.to === 'matching' ? 'all events' : 'failed, expired, skipped'
  const types = event_type.length > 2 ? `${event_type.length} event types` : event_type.join(', ')
  const text = [what, ...reason.map(inFull), types].filter(Boolean).join(' · ')
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

/** To whom it sends: one subscription, or some, or all that are selected. */
export function Receivers({ replay }: { replay: Replay }) {
  const ids = filtersOf(replay).subscription_id
  const [first] = ids
  if (first === undefined) return <>{replay.to === 'matching' ? 'Those that match now' : 'As before'}</>
  return ids.length === 1 ? <SubscriptionName id={first} /> : <>{ids.length} subscriptions</>
}
