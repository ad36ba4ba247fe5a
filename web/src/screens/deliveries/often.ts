// How often a view of deliveries looks again.
import { type Delivery, isEnded, type Reason } from '../../words'

/** While something may happen at any moment. */
export const SOON_MS = 2_000
/** While it waits for long. */
const LATER_MS = 15_000

/** What is held for these reasons is usually sent within seconds. */
const SHORT: (Reason | null)[] = ['recovering', 'rate_limit', 'concurrency']

/** Null once all of them have ended. */
export function refreshMs(rows: Pick<Delivery, 'status' | 'reason' | 'next_attempt_at'>[]): number | null {
  const open = rows.filter(({ status }) => !isEnded(status))
  if (!open.length) return null
  const isNear = (at: string | null) => at !== null && Date.parse(at) - Date.now() < 2 * LATER_MS
  const isSoon = open.some(({ status, reason, next_attempt_at }) => status === 'sending' || isNear(next_attempt_at) || (status === 'held' && SHORT.includes(reason)))
  return isSoon ? SOON_MS : LATER_MS
}
