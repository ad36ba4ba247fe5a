// The subscription that holds a delivery back: why, and until when.
import { get, type Schemas } from '../../api/client'
import { type Resource, useResource } from '../../api/resource'
import { exact } from '../../ui/moment'
import type { Delivery } from '../../words'

type Subscription = Schemas['Subscription']

export const readSubscription = (row: Delivery, tenant: string | undefined, signal?: AbortSignal) =>
  get('/subscriptions/{subscription_id}', { at: { subscription_id: row.subscription_id }, tenant, signal })

/** Only of a delivery that is held. */
export function useHolder(row: Delivery | null | undefined, tenant: string | undefined): Resource<Subscription | null> {
  const held = row?.status === 'held' ? row : null
  return useResource(`${held?.subscription_id}`, (signal) => (held ? readSubscription(held, tenant, signal) : Promise.resolve(null)))
}

/** When the receiver is tried again; null where nothing holds it back. */
export function probeOf(one: Subscription | null): string | null {
  if (!one?.is_active || !one.health.next_probe_at) return null
  return Date.parse(one.health.next_probe_at) > Date.now() ? one.health.next_probe_at : null
}

/** Why a delivery to it that is queued now is not sent now; null where it is. */
export function holdOf(one: Subscription): string | null {
  if (!one.is_active) return 'its subscription is disabled'
  const probe = probeOf(one)
  if (!probe) return null
  return `${one.health.state === 'throttled' ? 'its receiver asked to wait' : 'its receiver failed many times in a row'} and is tried again at ${exact(probe).slice(11, 19)} UTC`
}
