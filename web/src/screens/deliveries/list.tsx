// All deliveries, with filters; one opens beside the list.
import { useMemo } from 'preact/hooks'
import { get } from '../../api/client'
import { fill, useResource } from '../../api/resource'
import { isAll, may } from '../../api/session'
import { here, href, query } from '../../route'
import { tenantName } from '../../shell/tenants'
import { clearFilters, type Filter, Filters } from '../../ui/filters'
import { LiveToggle, Waiting } from '../../ui/live'
import { Moment } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Empty } from '../../ui/states'
import { Code, StatusPill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { span, TimeRange } from '../../ui/time_range'
import { type Delivery, OUTCOMES, REASONS, STATUSES, statusWord, subscriptionName, withoutScheme } from '../../words'
import { showSubscription } from '../subscriptions/name'
import { BulkActions } from './bulk'
import { DeliveryDrawer } from './drawer'
import { openKey, useLiveRows } from './live'

const LIMIT = 50

export const DELIVERY_FILTERS: Filter[] = [
  { name: 'status', label: 'Status', choices: STATUSES.map((value) => ({ value, label: statusWord(value, 0).label })) },
  { name: 'reason', label: 'Reason', choices: Object.entries(REASONS).map(([value, { label }]) => ({ value, label })) },
  { name: 'subscription_id', label: 'Subscription', show: showSubscription, hint: 'Its id or external id' },
  { name: 'event_type', label: 'Event type', hint: 'As in order.created' },
]

/** The filters of the address, as the API takes them. */
export function selection(): Record<string, string[]> {
  const named = DELIVERY_FILTERS.map(({ name }) => [name, query.value.getAll(name)] as const)
  return Object.fromEntries(named.filter(([, values]) => values.length))
}

/** The last result: the code of an answer, else what went wrong, or why it waits. */
export function Result({ row }: { row: Pick<Delivery, 'status' | 'reason' | 'last_outcome' | 'last_status_code'> }) {
  const waits = row.status === 'held' && row.reason ? REASONS[row.reason].label : null
  const met = row.last_outcome ? OUTCOMES[row.last_outcome] : null
  if (!waits && !met) return <span class="faint">{row.reason ? REASONS[row.reason].label : '–'}</span>
  return (
    <span class="result">
      {!waits && <Code code={row.last_status_code} />}
      <span class="result-text">{waits ?? met?.label}</span>
    </span>
  )
}

export const deliveryColumns = (all: boolean): Column<Delivery>[] => [
  { name: 'type', head: 'Event type', narrow: 'title', kind: 'wide', cell: (row) => <span class="mono">{row.event_type ?? 'no type'}</span> },
  { name: 'status', head: 'Status', narrow: 'status', cell: (row) => <StatusPill status={row.status} attempts={row.attempts} /> },
  {
    name: 'subscription',
    head: 'Subscription',
    kind: 'wide',
    narrow: 'under',
    cell: (row) => (
      <span class="two" title={row.target_url ?? row.subscription_id}>
        {subscriptionName(row)} {row.external_id && row.target_url && <span class="faint">{withoutScheme(row.target_url)}</span>}
      </span>
    ),
  },
  ...(all ? [{ name: 'tenant', head: 'Tenant', cell: (row: Delivery) => tenantName(row.tenant_id) }] : []),
  { name: 'result', head: 'Last result', narrow: 'under', cell: (row) => <Result row={row} /> },
  { name: 'attempts', head: 'Attempts', kind: 'number', cell: (row) => row.attempts },
  { name: 'next', head: 'Next', cell: (row) => <Moment at={row.next_attempt_at} none="" /> },
  { name: 'accepted', head: 'Accepted', narrow: 'side', cell: (row) => <Moment at={row.accepted_at} /> },
]

export function DeliveriesScreen() {
  return <DeliveryList />
}

/** The list with its filters; of one subscription alone, where it is named. */
export function DeliveryList({ subscription }: { subscription?: string }) {
  const choices = subscription ? DELIVERY_FILTERS.filter(({ name }) => name !== 'subscription_id') : DELIVERY_FILTERS
  const filters = subscription ? { ...selection(), subscription_id: [subscription] } : selection()
  const time = span(null)
  const cursor = query.value.get('cursor') ?? undefined
  const what = JSON.stringify([filters, time, cursor])
  const page = useResource(
    what,
    (signal) =>
      fill<Delivery>(
        LIMIT,
        (cursor) => get('/deliveries', { query: { ...(filters as object), ...time, limit: LIMIT, ...(cursor ? { cursor } : {}) }, signal }),
        cursor,
      ),
    true,
  )
  const live = useLiveRows(page, filters, time.since, !cursor)
  const open = query.value.get('open')
  const filtered = choices.some(({ name }) => query.value.has(name)) || Object.keys(time).length > 0
  const columns = useMemo(() => deliveryColumns(isAll.value).filter(({ name }) => !subscription || name !== 'subscription'), [isAll.value])
  return (
    <>
      <header class="page-head">
        {!subscription && <h1>Deliveries</h1>}
        <span class="grow" />
        <LiveToggle refresh={page.reload} />
        {may.value.manage && <BulkActions filters={filters} time={time} done={page.reload} />}
      </header>
      <Filters filters={choices}>
        <TimeRange otherwise={null} any />
      </Filters>
      <Waiting count={live.waiting} more={live.more} show={live.show} />
      <Table
        label="Deliveries"
        columns={columns}
        rows={live.rows}
        rowKey={openKey}
        link={(row) => here({ open: openKey(row) })}
        open={open}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        fresh={live.fresh}
        empty={
          filtered ? (
            <Empty icon="search" title="No delivery matches these filters">
              <button type="button" class="button" onClick={() => clearFilters(choices)}>
                Clear filters
              </button>
            </Empty>
          ) : (
            <Empty icon="deliveries" title="Nothing has been delivered yet">
              <p>{subscription ? 'It gets each new event that it wants.' : 'Each event makes a delivery for every subscription that wants it.'}</p>
              {may.value.publish && (
                <a class="button" href={href('/publish')}>
                  Publish an event
                </a>
              )}
            </Empty>
          )
        }
      />
      <Pager next={page.data?.next_cursor} examinedTo={page.data?.examined_to} found={live.rows?.length ?? 0} loading={page.loading} />
      {open && <DeliveryDrawer open={open} seen={live.update} />}
    </>
  )
}
