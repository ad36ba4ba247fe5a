// What state a subscription is in, why and since when.
import type { Schemas } from '../../api/client'
import { number } from '../../ui/moment'
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

/** Counted up to 1,000. */
export const heldOf = ({ health: { held } }: Subscription) => (held >= 1_000 ? '1,000 or more' : number(held))

/** What is to be said of the deliveries that are held, or else of the failures. */
export function noteOfHeld({ is_active, health: { held, failures } }: Subscription): string {
  if (!is_active) return held ? 'sent when it is resumed' : 'new ones are held until it is resumed'
  return failures ? `${number(failures)} ${noun(failures, 'failure')} since the last success` : 'no failure since the last success'
}

export const nameOf = (one: Subscription) => subscriptionName({ ...one, subscription_id: one.id })
export const noun = (count: number, one: string, many = `${one}s`) => (count === 1 ? one : many)
