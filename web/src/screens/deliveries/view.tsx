// One delivery: why it is where it is, what can be done, and each attempt in full.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { get, type Schemas } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { here, href, query } from '../../route'
import { Unfilled } from '../../ui/dialog'
import { Icon } from '../../ui/icons'
import { copy, Id, Moment } from '../../ui/moment'
import { Bones, Failure, Outdated } from '../../ui/states'
import { StatusPill } from '../../ui/status'
import { Tabs } from '../../ui/tabs'
import { type Delivery, isEnded, OUTCOMES, REASONS, subscriptionName, withoutScheme } from '../../words'
import { Payload } from '../events/payload'
import { Actions } from './actions'
import { Attempts } from './attempts'
import { probeOf, useHolder } from './holder'
import { refreshMs } from './often'

interface Props {
  webhook: string
  subscription: string
  tenant?: string | undefined
  tools?: ComponentChildren
  /** Each time it was read. */
  seen?: (row: Delivery) => void
}

const UNKNOWN = { title: 'There is no such delivery', detail: 'Its event may be older than what is kept.', status: 404, code: 'delivery_not_found' }

interface Found {
  row: Delivery | null
  event: Schemas['EventAnswer']
}

/** No route reads one delivery; the list finds it by its subscription and the time of its event. What is shown of that never changes. */
async function find({ webhook, subscription, tenant }: Props, known: Found['event'] | undefined, signal: AbortSignal): Promise<Found> {
  const event = known ?? (await get('/events/{webhook_id}', { at: { webhook_id: webhook }, tenant, signal }))
  const since = event.accepted_at
  const until = new Date(Date.parse(since) + 1).toISOString()
  let cursor: string | null | undefined
  do {
    const query = { subscription_id: [subscription], since, until, limit: 100, ...(cursor ? { cursor } : {}) }
    const page = await get('/deliveries', { query, tenant, signal })
    const row = page.data.find((one) => one.webhook_id === webhook)
    if (row) return { row, event }
    cursor = page.next_cursor
  } while (cursor)
  return { row: null, event }
}

export function DeliveryView(props: Props) {
  const { webhook, subscription, tenant } = props
  const key = `${webhook}/${subscription}/${tenant}`
  const event = useRef<Found['event']>(undefined)
  const delivery = useResource(key, async (signal) => {
    const found = await find(props, event.current?.webhook_id === webhook ? event.current : undefined, signal)
    event.current = found.event
    return found
  })
  const row = delivery.data?.row
  useEffect(() => {
    if (row) props.seen?.(row)
  }, [row])
  const subscriber = useHolder(row, tenant)
  const probe = probeOf(subscriber.data)
  usePolling(row ? refreshMs([row]) : null, delivery, subscriber)

  if (!delivery.data || !row) {
    return (
      <Unfilled tools={props.tools}>
        {delivery.problem ? <Failure problem={delivery.problem} retry={delivery.reload} /> : delivery.loading ? <Bones lines={8} /> : <Failure problem={UNKNOWN} />}
      </Unfilled>
    )
  }
  const tab = query.value.get('tab') === 'payload' ? 'payload' : 'attempts'
  const Heading = props.tools ? 'h2' : 'h1'
  return (
    <article class="delivery">
      <header class="sheet-head">
        <StatusPill status={row.status} attempts={row.attempts} />
        <Heading class="mono">{row.event_type ?? 'no type'}</Heading>
        <span class="grow" />
        <Actions row={row} tenant={tenant} done={delivery.reload} />
        {props.tools}
      </header>
      <Outdated of={delivery} />
      <Why row={row} probe={probe} />
      <Facts row={row} event={delivery.data.event} probe={probe} tenant={tenant} />
      <Tabs
        tabs={[
          { name: 'attempts', label: <>Attempts {row.attempts > 0 && <span class="count">{row.attempts}</span>}</> },
          { name: 'payload', label: 'Payload' },
        ]}
        current={tab}
        link={(name) => here({ tab: name === 'attempts' ? null : name })}
      />
      {tab === 'attempts' ? (
        <Attempts row={row} tenant={tenant} />
      ) : (
        <Payload webhook={webhook} tenant={tenant} />
      )}
    </article>
  )
}

function Facts({ row, event, probe, tenant }: { row: Delivery; event: Schemas['EventAnswer']; probe: string | null; tenant: string | undefined }) {
  const webhook = row.webhook_id
  return (
    <dl class="facts">
      <Fact name="Subscription">
        <a href={href(`/subscriptions/${row.subscription_id}`, tenant ? { tenant } : {})}>{subscriptionName(row)}</a>
      </Fact>
      <Fact name="Target">
        <span class="mono wrap">{row.target_url ? withoutScheme(row.target_url) : '–'}</span>
      </Fact>
      <Fact name="Event">
        <a class="mono" href={href(`/events/${webhook}`, tenant ? { tenant } : {})} title={webhook}>
          …{webhook.slice(-12)}
        </a>{' '}
        <button type="button" class="icon-button small" aria-label="Copy the event's id" title="Copy the event's id" onClick={() => void copy(webhook, 'Id copied')}>
          <Icon name="copy" />
        </button>
      </Fact>
      <Fact name="Accepted">
        <Moment at={row.accepted_at} />
      </Fact>
      <Fact name="Last attempt">
        <Moment at={row.last_attempt} />
      </Fact>
      <Fact name="Next attempt">
        <Moment at={row.next_attempt_at ?? probe} none={isEnded(row.status) ? 'none' : 'not known yet'} />
      </Fact>
      {event.idempotency_key && (
        <Fact name="Idempotency key">
          <Id id={event.idempotency_key} whole />
        </Fact>
      )}
      {event.ordering_key && (
        <Fact name="Ordering key">
          <Id id={event.ordering_key} whole />
        </Fact>
      )}
    </dl>
  )
}

export function Fact({ name, children, wide = false }: { name: string; children: ComponentChildren; wide?: boolean }) {
  return (
    <div class={wide ? 'two-wide' : undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** Why it did not arrive, in a sentence, and what to do. */
function Why({ row, probe }: { row: Delivery; probe: string | null }) {
  if (row.status === 'succeeded') return null
  const reason = row.reason ? REASONS[row.reason] : null
  const met = row.last_outcome && row.last_outcome !== 'delivered' ? OUTCOMES[row.last_outcome] : null
  const title = row.status === 'pending' || row.status === 'sending' ? (met?.label ?? 'Waits to be sent') : (reason?.label ?? met?.label ?? 'Not delivered')
  const tone = row.status === 'held' ? 'purple' : row.status === 'failed' || row.status === 'expired' ? 'red' : row.status === 'pending' && met ? 'amber' : 'grey'
  return (
    <div class={`why ${tone}`}>
      <Icon name={tone === 'grey' || tone === 'purple' ? 'info' : 'warn'} />
      <div>
        <strong>{title}</strong>
        {row.error_message && <p class="mono wrap">{row.error_message}</p>}
        {met && <p>{met.advice}</p>}
        {reason && <p>{reason.advice}</p>}
        {probe && (
          <p>
            The receiver is tried again <Moment at={probe} />.
          </p>
        )}
        {!met && !reason && <p>{row.status === 'sending' ? 'A worker is sending it.' : 'It is due, or a worker takes it soon.'}</p>}
      </div>
    </div>
  )
}
