// How a subscription is called, where only its id is known.
import { get } from '../../api/client'
import { useResource } from '../../api/resource'
import { isAll } from '../../api/session'
import { href } from '../../route'
import { subscriptionName } from '../../words'

/** The name of a subscription is asked for once, for all rows that show it. */
const names = new Map<string, Promise<string>>()

function nameOf(id: string): Promise<string> {
  const known = names.get(id)
  if (known) return known
  const asked = get('/subscriptions/{subscription_id}', { at: { subscription_id: id } }).then((one) => subscriptionName({ ...one, subscription_id: id }))
  names.set(id, asked)
  asked.catch(() => names.delete(id))
  return asked
}

/** The name may be another one from now on. */
export const forgetName = (id: string) => names.delete(id)

export function SubscriptionName({ id, link = false }: { id: string; link?: boolean }) {
  const name = useResource(id, () => nameOf(id))
  const shown = name.data ?? <span class="mono">…{id.slice(-12)}</span>
  return link ? (
    <a class="wrap" href={href(`/subscriptions/${id}`)} title={id}>
      {shown}
    </a>
  ) : (
    <span title={id}>{shown}</span>
  )
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** As a filter names it: by its id or its external id. Where all tenants are shown, an id tells nothing about whose it is. */
export const showSubscription = (value: string) => (UUID.test(value) && !isAll.value ? <SubscriptionName id={value} /> : value)
