// What needs somebody: subscriptions that are disabled, hold deliveries or fail, and the newest deliveries that were given up.
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { chosen, isAll } from '../../api/session'
import { href } from '../../route'
import { tenantName } from '../../shell/tenants'
import { Moment, number } from '../../ui/moment'
import { Bones, Empty, Failure } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { timeOf } from '../../ui/time_range'
import { type Delivery, subscriptionName } from '../../words'
import { Result } from '../deliveries/list'
import { keyOf } from '../deliveries/live'
import { noun } from '../subscriptions/state'
import type { FailingList } from './numbers'
import { loadTroubles, MOST_ROWS, type Trouble } from './trouble'

const NEWEST = 8
export const REFRESH_MS = 30_000

/** What is wrong now, so it is asked for again also while the chosen time is past. */
export function Attention({ failing }: { failing: FailingList | null }) {
  const now = useResource(JSON.stringify([chosen.value, failing?.rows]), (signal) => (failing ? loadTroubles(failing.rows, signal) : Promise.resolve(null)), true)
  usePolling(REFRESH_MS, now)
  const rows = now.data
  return (
    <div class="attention">
      <section>
        <header>
          <h2>Subscriptions that need attention</h2>
          {!isAll.value && <a href={href('/subscriptions')}>All</a>}
        </header>
        {now.problem && <Failure problem={now.problem} retry={now.reload} />}
        {now.problem && !rows ? null : !failing || !rows ? (
          <div class="card-list">
            <Bones lines={6} />
          </div>
        ) : rows.length === 0 ? (
          <Empty icon="check" title={failing.truncated ? 'None of the busiest subscriptions' : isAll.value ? 'None known' : 'None'}>
            <p>None {!isAll.value && 'is disabled, '}holds deliveries or failed in this time.</p>
          </Empty>
        ) : (
          <ul class="card-list" aria-label="Subscriptions that need attention">
            {rows.slice(0, MOST_ROWS).map((one) => <TroubleRow key={one.id} one={one} />)}
          </ul>
        )}
        {rows && rows.length > MOST_ROWS && <p class="faint">{number(rows.length - MOST_ROWS)} more are not shown.</p>}
        {failing && <Counted of={failing} />}
      </section>
      <section>
        <header>
          <h2>Newest failed deliveries</h2>
          <a href={href('/deliveries', { status: 'failed' })}>All</a>
        </header>
        <Newest />
      </section>
    </div>
  )
}

/** Where failures are not those of exactly the chosen time. */
function Counted({ of: { truncated, countedSince } }: { of: FailingList }) {
  if (!countedSince) return null
  return (
    <p class="faint">
      {truncated ? 'There were too many attempts to count all: failures are those of the busiest subscriptions, since ' : 'Failures are counted by whole hours, since '}
      <Moment at={countedSince} />.
    </p>
  )
}

function TroubleRow({ one }: { one: Trouble }) {
  const within = isAll.value && one.tenant ? { tenant: one.tenant } : {}
  const deliveries = (status: string[]) => href('/deliveries', { subscription_id: one.id, status, ...within })
  return (
    <li>
      <span class="ellipsis">
        <a href={href(`/subscriptions/${one.id}`, within)} title={one.name ?? one.id}>
          {one.name ?? one.id.slice(-12)}
        </a>
        {isAll.value && one.tenant && <span class="faint of-tenant">{tenantName(one.tenant)}</span>}
      </span>
      {one.state ? <Pill tone={one.state.tone}>{one.state.label}</Pill> : <span />}
      <span class="share">
        {one.held > 0 && (
          <a href={deliveries(['held'])}>
            {number(one.held)}
            {one.heldMore && '+'} held
          </a>
        )}
        {one.failed > 0 && (
          <a href={href('/deliveries', { subscription_id: one.id, status: ['failed', 'pending', 'held'], ...timeOf('24h'), ...within })} title={`${one.failed} of ${one.attempts} attempts failed; show what did not arrive of the events of this time`}>
            {one.held === 0 && (
              <span class="meter bad" aria-hidden="true">
                <span style={{ width: `${(one.failed / one.attempts) * 100}%` }} />
              </span>
            )}
            {number(one.failed)} failed {noun(one.failed, 'attempt')}
          </a>
        )}
        {one.held === 0 && one.failed === 0 && <span class="faint">{one.state?.why}</span>}
      </span>
    </li>
  )
}

const COLUMNS: Column<Delivery>[] = [
  { name: 'type', head: 'Event type', kind: 'wide', narrow: 'title', cell: (row) => <span class="mono">{row.event_type ?? 'no type'}</span> },
  {
    name: 'subscription',
    head: 'Subscription',
    kind: 'wide',
    narrow: 'under',
    cell: (row) => (
      <>
        {subscriptionName(row)} {isAll.value && <span class="faint of-tenant">{tenantName(row.tenant_id)}</span>}
      </>
    ),
  },
  { name: 'result', head: 'Last result', narrow: 'under', cell: (row) => <Result row={row} /> },
  { name: 'last', head: 'Last attempt', narrow: 'side', cell: (row) => <Moment at={row.last_attempt} /> },
]

function Newest() {
  const failed = useResource(`failed/${chosen.value}`, (signal) => get('/deliveries', { query: { status: ['failed'], limit: NEWEST }, signal }))
  usePolling(REFRESH_MS, failed)
  if (failed.loading && !failed.data) return <Bones lines={6} />
  return (
    <Table
      label="Newest failed deliveries"
      columns={COLUMNS}
      rows={failed.data?.data ?? null}
      rowKey={keyOf}
      link={(row) => href(`/deliveries/${keyOf(row)}`, isAll.value ? { tenant: row.tenant_id } : {})}
      problem={failed.problem}
      retry={failed.reload}
      empty={<Empty icon="check" title="No delivery has failed" />}
    />
  )
}
