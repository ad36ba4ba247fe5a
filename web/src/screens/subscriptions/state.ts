// What state a subscription is in, why and since when.
import type { Schemas } from '../../api/client'
import { subscriptionName, type Tone } from '../../words'

export type Subscription = Schemas['Subscription']

export interface State {
  label: 'Active' | 'Paused' | 'Degraded' | 'Disabled'
  tone: Tone
  why: string | null
  since: string | null
}

/** Why postrider itself disabled it. */
const DISABLED: Record<string, string> = {
  gone: 'The receiver answered 410 Gone',
  receiver: 'The receiver asked for it',
  failing: 'No success for days',
}

const BY_SOMEBODY = /^by (.*) at (\S+)$/

function inactive(one: Subscription): State {
  const reason = one.disabled_reason ?? ''
  const known = DISABLED[reason]
  if (known) return { label: 'Disabled', tone: 'red', why: known, since: one.updated_at }
  const [, who, at] = BY_SOMEBODY.exec(reason) ?? []
  return { label: 'Paused', tone: 'grey', why: who ? `By ${who}` : null, since: at ?? null }
}

export function stateOf(one: Subscription): State {
  if (!one.is_active) return inactive(one)
  const { state, failures, failing_since } = one.health
  const since = failing_since ?? null
  switch (state) {
    case 'healthy':
      return { label: 'Active', tone: 'green', why: null, since: null }
    case 'failing':
      return { label: 'Degraded', tone: 'amber', why: failures === 1 ? '1 failure' : `${failures} failures`, since }
    case 'open':
      return { label: 'Degraded', tone: 'amber', why: 'Breaker open', since }
    case 'throttled':
      return { label: 'Degraded', tone: 'amber', why: 'Receiver asked to wait', since }
    case 'recovering':
      return { label: 'Active', tone: 'blue', why: 'Recovers', since }
  }
}

export const nameOf = (one: Subscription) => subscriptionName({ ...one, subscription_id: one.id })
export const noun = (count: number, one: string, many = `${one}s`) => (count === 1 ? one : many)
