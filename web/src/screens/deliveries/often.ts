// How often a view of deliveries looks again.
import { type Delivery, isEnded } from '../../words'

/** While something may happen at any moment. */
export const SOON_MS = 2_000
/** While it waits for long. */
const LATER_MS = 15_000

/** Null once all of them have ended. */
export function refreshMs(rows: Pick<Delivery, 'status' | 'next_attempt_at'>[]): number | null {
  const open = rows.filter(({ status }) => !isEnded(status))
  if (!open.length) return null
  const isNear = (at: string | null) => at !== null && Date.parse(at) - Date.now() < 2 * LATER_MS
  return open.some(({ status, next_attempt_at }) => status === 'sending' || isNear(next_attempt_at)) ? SOON_MS : LATER_MS
}
