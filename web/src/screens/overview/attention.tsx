// What needs somebody: subscriptions that fail, and the newest deliveries that were given up.
import { get } from '../../api/client'
import { useResource } from '../../api/resource'
import { chosen, isAll } from '../../api/session'
import { href } from '../../route'
import { Moment, number } from '../../ui/moment'
import { Bones, Empty } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { timeOf } from '../../ui/time_range'
import { type Delivery, subscriptionName } from '../../words'
import { Result } from '../deliveries/list'
import { keyOf } from '../deliveries/live'
import { nameOf, noun, stateOf } from '../subscriptions/state'
import type { Failing, FailingList } from './numbers'

const NEWEST = 8

export function Attention({ failing }: { failing: FailingList | null }) {
  return (
    <div class="attention">
      <section>
        <header>
          <h2>Subscriptions with failures</h2>
        </header>
        {!failing ? (
          <Bones lines={6} />
        ) : failing.rows.length === 0 ? (
          <Empty icon="check" title={failing.truncated ? 'No failures among the busiest subscriptions' : 'No failures in this time'} />
        ) : (
          <ul class="card-list">
            {failing.rows.map((one) => (
              <FailingRow key={one.id} one={one} />
            ))}
          </ul>
        )}
        {failing?.truncated && <p class="faint">There are too many subscriptions to count all: these are of the busiest.</p>}
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

function FailingRow({ one }: { one: Failing }) {
  const tenant = isAll.value ? (one.tenant ?? undefined) : undefined
  const subscription = useResource(`${one.id}/${chosen.value}`, (signal) => get('/subscriptions/{subscription_id}', { at: { subscription_id: one.id }, tenant, signal }))
  const known = subscription.data
  const state = known && stateOf(known)
  return (
    <li>
      <a class="ellipsis" href={href(`/subscriptions/${one.id}`, tenant ? { tenant } : {})} title={known?.target_url}>
        {known ? nameOf(known) : one.id.slice(-12)}
      </a>
      {state ? (
        <Pill tone={state.tone}>{state.label}</Pill>
      ) : (
        <span />
      )}
      <a class="share" href={href('/deliveries', { subscription_id: one.id, status: ['failed', 'pending', 'held'], ...timeOf('24h'), ...(tenant ? { tenant } : {}) })} title={`${one.failed} of ${one.attempts} attempts failed; show what did not arrive of the events of this time`}>
        <span class="meter bad" aria-hidden="true">
          <span style={{ width: `${(one.failed / one.attempts) * 100}%` }} />
        </span>
        {number(one.failed)} failed {noun(one.failed, 'attempt')}
      </a>
    </li>
  )
}

const COLUMNS: Column<Delivery>[] = [
  { name: 'type', head: 'Event type', kind: 'wide', narrow: 'title', cell: (row) => <span class="mono">{row.event_type ?? 'no type'}</span> },
  { name: 'subscription', head: 'Subscription', kind: 'wide', narrow: 'under', cell: (row) => subscriptionName(row) },
  { name: 'result', head: 'Last result', narrow: 'under', cell: (row) => <Result row={row} /> },
  { name: 'last', head: 'Last attempt', narrow: 'side', cell: (row) => <Moment at={row.last_attempt} /> },
]

function Newest() {
  const failed = useResource(`failed/${chosen.value}`, (signal) => get('/deliveries', { query: { status: ['failed'], limit: NEWEST }, signal }))
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
