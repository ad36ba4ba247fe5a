// All events that were published.
import { useEffect, useMemo, useState } from 'preact/hooks'
import { get, type Schemas } from '../../api/client'
import { fill, useResource } from '../../api/resource'
import { isAll, may } from '../../api/session'
import { useStream } from '../../api/stream'
import { go, here, href, query } from '../../route'
import { tenantName } from '../../shell/tenants'
import { clearFilters, type Filter, Filters } from '../../ui/filters'
import { isNearTop, LiveToggle, Waiting } from '../../ui/live'
import { bytes, Moment } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Empty } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { customSpan, span, TimeRange } from '../../ui/time_range'
import { EVENT_STATUSES } from '../../words'
import { showSubscription } from '../subscriptions/name'
import { Counts } from './counts'

type Event = Schemas['FoundEventAnswer']
const LIMIT = 50
const MOST_COUNTED = 1_000

const FILTERS: Filter[] = [
  { name: 'status', label: 'Status', choices: (['pending', 'succeeded', 'failed', 'no_match'] as const).map((value) => ({ value, label: EVENT_STATUSES[value].label })) },
  { name: 'event_type', label: 'Event type', hint: 'As in order.created' },
  { name: 'subscription_id', label: 'Subscription', show: showSubscription, hint: 'Its id or external id' },
  { name: 'idempotency_key', label: 'Idempotency key', single: true },
  { name: 'ordering_key', label: 'Ordering key', single: true },
  { name: 'payload', label: 'Payload contains', single: true, hint: 'At least 3 characters, compared byte for byte' },
]

const columns = (all: boolean): Column<Event>[] => [
  { name: 'type', head: 'Event type', narrow: 'title', kind: 'wide', cell: (row) => <span class="mono">{row.event_type ?? 'no type'}</span> },
  { name: 'status', head: 'Status', narrow: 'status', cell: (row) => <Pill tone={EVENT_STATUSES[row.status].tone}>{EVENT_STATUSES[row.status].label}</Pill> },
  { name: 'counts', head: 'Deliveries', narrow: 'under', cell: (row) => <Counts counts={row.counts} more={row.counts_more} /> },
  ...(all ? [{ name: 'tenant', head: 'Tenant', cell: (row: Event) => tenantName(row.tenant_id) }] : []),
  { name: 'key', head: 'Idempotency key', kind: 'wide', cell: (row) => <span class="mono faint">{row.idempotency_key ?? ''}</span> },
  { name: 'size', head: 'Size', kind: 'number', cell: (row) => bytes(row.payload_bytes) },
  { name: 'accepted', head: 'Accepted', narrow: 'side', cell: (row) => <Moment at={row.accepted_at} /> },
]

export function EventsScreen() {
  const named = FILTERS.map(({ name }) => [name, query.value.getAll(name)] as const).filter(([, values]) => values.length)
  const filters = Object.fromEntries(named)
  const time = span(null)
  const cursor = query.value.get('cursor') ?? undefined
  const what = JSON.stringify([filters, time, cursor])
  const page = useResource(
    what,
    (signal) => fill<Event>(LIMIT, (cursor) => get('/events', { query: { ...(filters as object), ...time, limit: LIMIT, ...(cursor ? { cursor } : {}) }, signal }), cursor),
    true,
  )
  // What came is only counted: how it goes is in the list, and that is asked for when somebody wants to see it.
  const [came, setCame] = useState<{ id: string; at: number }[]>([])
  const [isBehind, setBehind] = useState(false)
  useEffect(() => {
    setBehind(false)
    setCame((before) => before.filter(({ at }) => at >= page.askedAt))
  }, [page.data])
  const types = query.value.getAll('event_type')
  useStream(
    { ...(types.length ? { event_type: types } : {}), ...customSpan() },
    (items) => {
      const at = performance.now()
      const ids = items.flatMap((item) => (item.kind === 'accepted' ? [{ id: item.webhook_id, at }] : []))
      setCame((before) => {
        if (before.length + ids.length <= MOST_COUNTED) return [...before, ...ids]
        setBehind(true)
        return before
      })
    },
    () => (isNearTop() ? page.refresh() : setBehind(true)),
  )
  const listed = new Set(page.data?.data.map((row) => row.webhook_id))
  const waiting = came.filter(({ id }) => !listed.has(id)).length
  const show = () => {
    window.scrollTo({ top: 0 })
    if (cursor) go(here({ cursor: null }))
    else page.reload()
  }
  const all = isAll.value
  const shown = useMemo(() => columns(all), [all])
  return (
    <>
      <header class="page-head">
        <h1>Events</h1>
        <span class="grow" />
        <LiveToggle refresh={page.reload} />
        {may.value.publish && (
          <a class="button primary" href={href('/publish')}>
            Publish an event
          </a>
        )}
      </header>
      <Filters filters={FILTERS}>
        <TimeRange otherwise={null} any />
      </Filters>
      <Waiting count={waiting} more={isBehind} unfiltered={named.some(([name]) => name !== 'event_type')} show={show} />
      <Table
        label="Events"
        columns={shown}
        rows={page.data?.data ?? null}
        rowKey={(row) => row.webhook_id}
        link={(row) => href(`/events/${row.webhook_id}`, all ? { tenant: row.tenant_id } : {})}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        empty={
          named.length || Object.keys(time).length ? (
            <Empty icon="search" title="No event matches these filters">
              <button type="button" class="button" onClick={() => clearFilters(FILTERS)}>
                Clear filters
              </button>
            </Empty>
          ) : (
            <Empty icon="events" title="No event has been published yet">
              {may.value.publish && (
                <p>
                  Publish one here, or with <code>POST /events</code>.
                </p>
              )}
            </Empty>
          )
        }
      />
      <Pager next={page.data?.next_cursor} examinedTo={page.data?.examined_to} found={page.data?.data.length ?? 0} loading={page.loading} />
    </>
  )
}
