// One event: its payload, its deliveries, and who it was not sent to and why.
import { useState } from 'preact/hooks'
import { asProblem, get, post, type Schemas } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { may } from '../../api/session'
import { href, here, query } from '../../route'
import { Icon } from '../../ui/icons'
import { type Filter, Filters } from '../../ui/filters'
import { bytes, Id, Moment, number } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Bones, Empty, Failure, Outdated } from '../../ui/states'
import { Pill, StatusPill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { Tabs } from '../../ui/tabs'
import { useSubject } from '../../ui/title'
import { toast } from '../../ui/toast'
import { EVENT_STATUSES, NOT_DELIVERED, REASONS, STATUSES, statusWord, subscriptionName, withoutScheme } from '../../words'
import { refreshMs, SOON_MS } from '../deliveries/often'
import { Fact } from '../deliveries/view'
import { OfTenant } from '../of_tenant'
import { Counts } from './counts'
import { Payload } from './payload'

type Row = Schemas['DeliveryAnswer']
type Missed = Schemas['NotDeliveredAnswer']

/** While deliveries that are not on the page have not ended. */
const OTHERS_MS = 5_000

/** How often to look again; null once it has ended. */
function lookMs({ status, deliveries, counts }: Schemas['EventAnswer']): number | null {
  if (status !== 'pending') return null
  const total = totalOf(counts)
  // One that came from SQL is published in a moment.
  if (!total) return SOON_MS
  return total > deliveries.length ? OTHERS_MS : refreshMs(deliveries)
}

const totalOf = (counts: Schemas['DeliveryCounts']) => STATUSES.reduce((sum, status) => sum + counts[status], 0)

export function EventPage({ params }: { params: Record<string, string> }) {
  const webhook = params.webhook ?? ''
  return (
    <OfTenant id={webhook} what="An event belongs to one tenant.">
      <Loaded webhook={webhook} />
    </OfTenant>
  )
}

function Loaded({ webhook }: { webhook: string }) {
  const event = useResource(webhook, (signal) => get('/events/{webhook_id}', { at: { webhook_id: webhook }, signal }))
  const everyMs = event.data && lookMs(event.data)
  usePolling(everyMs, event)
  useSubject(event.data?.event_type)
  if (event.problem && !event.data) return <Failure problem={event.problem} retry={event.reload} />
  if (!event.data) return <Bones lines={8} />
  const one = event.data
  const tab = query.value.get('tab') === 'payload' ? 'payload' : 'deliveries'
  const { label, tone } = EVENT_STATUSES[one.status]
  const total = totalOf(one.counts)
  return (
    <article class="sheet">
      <a class="back" href={href('/events')}>
        <Icon name="left" /> Events
      </a>
      <header class="sheet-head">
        <Pill tone={tone}>{label}</Pill>
        <h1 class="mono">{one.event_type ?? 'no type'}</h1>
        {total > 0 && <Counts counts={one.counts} more={one.counts_more} />}
        <span class="grow" />
        <RetryAll webhook={webhook} counts={one.counts} done={event.reload} />
      </header>
      <Outdated of={event} />
      {one.error_message && one.status !== 'succeeded' && (
        <div class={`why ${one.status === 'failed' || one.status === 'refused' ? 'red' : 'amber'}`}>
          <Icon name="warn" />
          <p class="mono wrap">{one.error_message}</p>
        </div>
      )}
      <Facts one={one} />
      <Tabs
        tabs={[
          { name: 'deliveries', label: <>Deliveries <span class="count">{number(total)}</span></> },
          { name: 'payload', label: 'Payload' },
        ]}
        current={tab}
        link={(name) => here({ tab: name === 'deliveries' ? null : name })}
      />
      {tab === 'payload' ? (
        <Payload webhook={webhook} />
      ) : (
        <>
          <Deliveries webhook={webhook} first={one.deliveries} total={total} everyMs={everyMs} />
          {one.not_delivered.length > 0 && <NotDelivered rows={one.not_delivered} />}
        </>
      )}
    </article>
  )
}

function Facts({ one }: { one: Schemas['EventAnswer'] }) {
  return (
    <dl class="facts">
      <Fact name="Event" wide>
        <Id id={one.webhook_id} whole />
      </Fact>
      <Fact name="Accepted">
        <Moment at={one.accepted_at} />
      </Fact>
      <Fact name="Published">{one.fan_out ? 'to all that want it' : 'to one subscription'}</Fact>
      <Fact name="Payload">{bytes(one.payload_bytes)}</Fact>
      {one.idempotency_key && (
        <Fact name="Idempotency key">
          <Id id={one.idempotency_key} whole />
        </Fact>
      )}
      {one.ordering_key && (
        <Fact name="Ordering key">
          <Id id={one.ordering_key} whole />
        </Fact>
      )}
      {one.deliver_at && (
        <Fact name="Scheduled for">
          <Moment at={one.deliver_at} />
        </Fact>
      )}
      {one.expires_at && (
        <Fact name="Expires">
          <Moment at={one.expires_at} />
        </Fact>
      )}
    </dl>
  )
}

const DELIVERIES: Column<Row>[] = [
  { name: 'subscription', head: 'Subscription', kind: 'wide', narrow: 'title', cell: (row) => subscriptionName(row) },
  { name: 'status', head: 'Status', narrow: 'status', cell: (row) => <StatusPill status={row.status} attempts={row.attempts} /> },
  {
    name: 'reason',
    head: 'Last result',
    kind: 'wide',
    narrow: 'under',
    cell: (row) => (row.status === 'held' && row.reason ? REASONS[row.reason].label : (row.error_message ?? (row.is_success ? 'Delivered' : (row.reason && REASONS[row.reason].label) || '–'))),
  },
  { name: 'attempts', head: 'Attempts', kind: 'number', cell: (row) => row.attempts },
  { name: 'next', head: 'Next', cell: (row) => <Moment at={row.next_attempt_at} none="" /> },
  { name: 'last', head: 'Last attempt', narrow: 'side', cell: (row) => <Moment at={row.last_attempt} /> },
]

const STATUS: Filter = { name: 'status', label: 'Status', choices: STATUSES.map((value) => ({ value, label: statusWord(value, 0).label })) }

/** The event has its first deliveries with it. Only where there are more, pages of them are asked for. */
function Deliveries({ webhook, first, total, everyMs }: { webhook: string; first: Row[]; total: number; everyMs: number | null }) {
  const status = query.value.getAll('status') as Row['status'][]
  const cursor = query.value.get('cursor')
  const many = total > first.length
  const page = useResource(JSON.stringify([webhook, status, cursor, total, everyMs === null]), async (signal) => {
    if (!many) return { data: first }
    const query = { ...(status.length ? { status } : {}), ...(cursor ? { cursor } : {}) }
    return get('/events/{webhook_id}/deliveries', { at: { webhook_id: webhook }, query, signal })
  }, true)
  usePolling(many ? everyMs : null, page)
  return (
    <>
      {many && <Filters filters={[STATUS]} />}
      <Table
        label="Deliveries of this event"
        columns={DELIVERIES}
        rows={many ? (page.data?.data ?? null) : first}
        rowKey={(row) => row.subscription_id}
        link={(row) => href(`/deliveries/${webhook}/${row.subscription_id}`)}
        problem={page.problem}
        retry={page.reload}
        loading={many && page.loading}
        empty={
          many ? (
            <Empty icon="search" title="No delivery has this status" />
          ) : (
            <Empty icon="subscriptions" title="It was sent to nobody">
              <p>No subscription wanted it when it was accepted.</p>
            </Empty>
          )
        }
      />
      {many && <Pager next={(page.data as Schemas['DeliveryPage'] | null)?.next_cursor} found={page.data?.data.length ?? 0} loading={page.loading} />}
    </>
  )
}

const MISSED: Column<Missed>[] = [
  { name: 'subscription', head: 'Subscription', kind: 'wide', narrow: 'title', cell: (row) => subscriptionName(row) },
  { name: 'target', head: 'Target', kind: 'wide', cell: (row) => <span class="faint">{withoutScheme(row.target_url)}</span> },
  {
    name: 'why',
    head: 'Why not',
    narrow: 'under',
    cell: (row) => (
      <>
        {NOT_DELIVERED[row.reason].label} <span class="faint">· {NOT_DELIVERED[row.reason].advice}</span>
      </>
    ),
  },
]

function NotDelivered({ rows }: { rows: Missed[] }) {
  return (
    <section>
      <h2>Not sent to</h2>
      <p class="faint">Judged by the subscriptions as they are now.</p>
      <Table label="Subscriptions without this event" columns={MISSED} rows={rows} rowKey={(row) => row.subscription_id} link={(row) => href(`/subscriptions/${row.subscription_id}`)} empty={null} />
    </section>
  )
}

function RetryAll({ webhook, counts, done }: { webhook: string; counts: Schemas['DeliveryCounts']; done: () => void }) {
  const [busy, setBusy] = useState(false)
  if (!may.value.retry || counts.failed + counts.expired + counts.skipped + counts.pending === 0) return null
  const retry = async () => {
    setBusy(true)
    try {
      const { retried } = await post('/events/{webhook_id}/retry', { at: { webhook_id: webhook } })
      toast(retried === 1 ? '1 delivery queued again' : `${retried} deliveries queued again`)
      done()
    } catch (error) {
      const problem = asProblem(error)
      toast(problem.detail ?? problem.title, 'bad')
    }
    setBusy(false)
  }
  return (
    <button type="button" class="button primary" disabled={busy} onClick={() => void retry()}>
      <Icon name="replays" /> Retry what failed
    </button>
  )
}
