// The catalogue: what events there are, and what they look like.
import { useMemo } from 'preact/hooks'
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { chosen, isAll, may } from '../../api/session'
import { href, query } from '../../route'
import { Icon } from '../../ui/icons'
import { Moment, number } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Empty } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { ChooseTenant } from '../events/publish'
import type { EventType } from '../subscriptions/catalogue'
import { NotKnown } from '../subscriptions/hours'
import { loadTraffic, total, trafficOf, type TrafficTable } from '../subscriptions/traffic'

const REFRESH_MS = 30_000
const LIMIT = 50

function Marks({ of }: { of: EventType }) {
  return (
    <span class="state-cell">
      {of.deprecated && <Pill tone="amber">Deprecated</Pill>}
      {of.schema ? <Pill tone={of.validate ? 'green' : 'plain'}>{of.validate ? 'Validated' : 'Described'}</Pill> : <span class="faint">{of.deprecated ? '' : 'no schema'}</span>}
    </span>
  )
}

function Accepted({ traffic, type }: { traffic: TrafficTable; type: string }) {
  const known = trafficOf(traffic, type)
  return known ? <>{number(total(known.accepted))}</> : <NotKnown />
}

const columns = (traffic: TrafficTable | null): Column<EventType>[] => [
  { name: 'type', head: 'Event type', narrow: 'title', cell: (row) => <span class="mono">{row.name}</span> },
  { name: 'about', head: 'Description', kind: 'wide', narrow: 'under', cell: (row) => row.description ?? <span class="faint">–</span> },
  { name: 'marks', head: 'Schema', narrow: 'status', cell: (row) => <Marks of={row} /> },
  { name: 'events', head: 'Events, 24 h', kind: 'number', cell: (row) => traffic && <Accepted traffic={traffic} type={row.name} /> },
  { name: 'updated', head: 'Changed', narrow: 'side', cell: (row) => <Moment at={row.updated_at} /> },
]

export function EventTypesScreen() {
  if (isAll.value) return <ChooseTenant what="Each tenant has its own event types." />
  return <List />
}

function List() {
  const cursor = query.value.get('cursor') ?? undefined
  const page = useResource(JSON.stringify([chosen.value, cursor]), (signal) => get('/event-types', { query: { limit: LIMIT, ...(cursor ? { cursor } : {}) }, signal }), true)
  const traffic = useResource(`${chosen.value}`, (signal) => loadTraffic('event_type', signal), true)
  usePolling(REFRESH_MS, page, traffic)
  const shown = useMemo(() => columns(traffic.data), [traffic.data])
  const add = may.value.admin && (
    <a class="button primary" href={href('/event-types/~new')}>
      <Icon name="plus" /> New event type
    </a>
  )
  return (
    <>
      <header class="page-head">
        <h1>Event types</h1>
        <span class="grow" />
        {add}
      </header>
      <Table
        label="Event types"
        columns={shown}
        rows={page.data?.data ?? null}
        rowKey={(row) => row.name}
        link={(row) => href(`/event-types/${row.name}`)}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        empty={
          <Empty icon="types" title="No event type is described yet">
            <p>Describe what your events are: receivers choose from the list, and payloads can be checked against a schema.</p>
            {add}
          </Empty>
        }
      />
      <Pager next={page.data?.next_cursor} found={page.data?.data.length ?? 0} loading={page.loading} />
    </>
  )
}
