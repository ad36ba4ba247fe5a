// The numbers and charts of one subscription.
import { useMemo } from 'preact/hooks'
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { may } from '../../api/session'
import { href, query } from '../../route'
import { Chart } from '../../ui/chart'
import { milliseconds, Moment, number } from '../../ui/moment'
import type { Series } from '../../ui/plot'
import { Bones, Empty, Failure } from '../../ui/states'
import { custom, span, TimeRange } from '../../ui/time_range'
import { byClass } from '../overview/numbers'
import { Tile } from '../../ui/tile'
import { percent } from '../overview/tiles'
import type { PartProps } from './page'
import { noteOfHeld, type Subscription } from './state'

const REFRESH_MS = 30_000

async function load(id: string, signal: AbortSignal) {
  const time = { ...span('24h'), subscription_id: id }
  const [all, outcomes] = await Promise.all([
    get('/analytics/deliveries', { query: { ...time, group_by: 'subscription' }, signal }),
    get('/analytics/deliveries', { query: { ...time, group_by: 'outcome' }, signal }),
  ])
  const times = all.data.map((row) => Date.parse(row.bucket) / 1_000)
  const since = (table: typeof all) => (table.truncated ? table.since : null)
  return { rows: all.data, times, outcomes: byClass(outcomes.data, times), since: since(all), outcomesSince: all.truncated ? null : since(outcomes) }
}

type Loaded = Awaited<ReturnType<typeof load>>

export function SubscriptionOverview({ one }: PartProps) {
  const what = JSON.stringify([one.id, query.value.get('range'), custom.value])
  const numbers = useResource(what, (signal) => load(one.id, signal), true)
  usePolling(custom.value.until ? null : REFRESH_MS, numbers)
  return (
    <>
      <div class="page-head">
        <TimeRange otherwise="24h" />
      </div>
      {numbers.problem && <Failure problem={numbers.problem} retry={numbers.reload} />}
      {numbers.data ? (
        // Another time is asked for: what is shown is of the one before.
        <div class={`numbers${numbers.loading ? ' is-loading' : ''}`} aria-busy={numbers.loading}>
          <Shown one={one} loaded={numbers.data} />
        </div>
      ) : (
        !numbers.problem && <Loading />
      )}
    </>
  )
}

function Loading() {
  return (
    <>
      <div class="tiles four">
        {Array.from({ length: 4 }, (_, index) => (
          <div key={index} class="tile">
            <Bones lines={2} />
          </div>
        ))}
      </div>
      <div class="charts two-charts">
        <div class="chart is-empty" />
        <div class="chart is-empty" />
      </div>
    </>
  )
}

const PERCENTILES = ['p50', 'p95', 'p99'] as const

function Shown({ one, loaded }: { one: Subscription; loaded: Loaded }) {
  const { rows, times, outcomes } = loaded
  const latency = useMemo<Series[]>(
    () => PERCENTILES.map((name, index) => ({ label: name, color: ['--accent', '--chart-amber', '--chart-purple'][index] ?? '--accent', values: rows.map((row) => row.time_to_delivery_ms[name] ?? null) })),
    [loaded],
  )
  const sum = (name: 'attempts' | 'delivered' | 'failed' | 'accepted') => rows.reduce((sum, row) => sum + row[name], 0)
  const [attempts, failed] = [sum('attempts'), sum('failed')]
  const rate = attempts ? sum('delivered') / attempts : null
  const highest = (name: 'p50' | 'p95' | 'p99') => Math.max(...rows.map((row) => row.time_to_delivery_ms[name] ?? 0))
  const worst = (name: 'p50' | 'p95' | 'p99') => milliseconds(highest(name) || null)
  const { held } = one.health
  const link = (status: string | string[]) => href(`/subscriptions/${one.id}`, { part: 'deliveries', status })
  return (
    <>
      <CountedSince what="these numbers begin" at={loaded.since} />
      <div class="tiles four">
        <Tile name="Deliveries begun" value={number(sum('accepted'))} note={`${number(attempts)} attempts`} values={rows.map((row) => row.accepted)} link={href(`/subscriptions/${one.id}`, { part: 'deliveries' })} />
        <Tile name="Success rate" value={percent(rate)} tone={rate !== null && rate < 0.95 ? 'bad' : undefined} note={`${number(failed)} failed`} values={rows.map((row) => row.success_rate ?? null)} link={link('failed')} />
        <Tile name="Time to delivery, p95" value={worst('p95')} note="the slowest part of this time" values={rows.map((row) => row.time_to_delivery_ms.p95 ?? null)} />
        <Tile name="Held now" value={held >= 1_000 ? '1,000+' : number(held)} tone={held ? 'bad' : undefined} note={noteOfHeld(one)} link={link('held')} />
      </div>
      {attempts === 0 ? (
        <Empty icon="overview" title="No attempts in this time">
          <p>Choose a longer time{may.value.manage && ', or send a test event'}.</p>
        </Empty>
      ) : (
        <div class="charts two-charts">
          <div>
            <Chart title="Attempts by outcome" kind="bars" times={times} series={outcomes} format={number} total={({ values }) => number(values.reduce<number>((sum, value) => sum + (value ?? 0), 0))} />
            <CountedSince what="this chart begins" at={loaded.outcomesSince} />
          </div>
          <Chart title="Time to delivery" kind="lines" times={times} series={latency} format={milliseconds} total={({ label }) => worst(label as 'p50')} />
        </div>
      )}
    </>
  )
}

/** The server counts outcomes from the newest attempts alone; the other numbers too, if the time is short. */
function CountedSince({ what, at }: { what: string; at: string | null }) {
  if (!at) return null
  return (
    <p class="faint">
      There were too many attempts to count all: {what} <Moment at={at} />.
    </p>
  )
}
