// How it goes: numbers, charts, and what needs somebody.
import { useMemo } from 'preact/hooks'
import type { Schemas } from '../../api/client'
import { type Resource, usePolling, useResource } from '../../api/resource'
import { may } from '../../api/session'
import { href, query } from '../../route'
import { Chart } from '../../ui/chart'
import { milliseconds, Moment, number } from '../../ui/moment'
import type { Series } from '../../ui/plot'
import { Bones, Empty, Failure } from '../../ui/states'
import { custom, TimeRange } from '../../ui/time_range'
import { Attention, REFRESH_MS } from './attention'
import { byClass, type FailingList, loadBefore, loadFailing, loadOutcomes, loadSummary, loadTimeSeries, type Summary, type TimeSeries } from './numbers'
import { Tiles } from './tiles'

export function Overview() {
  const what = JSON.stringify([query.value.get('range'), custom.value])
  // Each is shown when it comes: the tiles do not wait for the most expensive question.
  const now = useResource(what, loadSummary, true)
  const timeSeries = useResource(what, loadTimeSeries, true)
  const before = useResource(what, loadBefore, true)
  const outcomes = useResource(what, loadOutcomes, true)
  const failing = useResource(what, loadFailing, true)
  const all = [now, timeSeries, before, outcomes, failing]
  const problem = all.find((one) => one.problem)?.problem
  const reload = () => all.forEach((one) => one.reload())
  const moves = !custom.value.until
  usePolling(moves ? REFRESH_MS : null, ...all)
  return (
    <>
      <header class="page-head">
        <h1>Overview</h1>
        <span class="grow" />
        <span class="faint">
          counted until <Moment at={now.data?.complete_until} none="…" />
        </span>
        <TimeRange otherwise="24h" />
      </header>
      {problem && <Failure problem={problem} retry={reload} />}
      {now.data ? (
        // Another time is asked for: what is shown is of the one before, until all of it has come.
        <div class={`numbers${all.some(isOld) ? ' is-loading' : ''}`} aria-busy={all.some(isOld)}>
          <Loaded now={now.data} timeSeries={timeSeries.data} before={before.loading ? null : before.data} outcomes={outcomes.data} failing={failing.data} />
        </div>
      ) : (
        !problem && <Loading />
      )}
    </>
  )
}

const isOld = ({ data, loading }: Resource<unknown>) => loading && data !== null

/** As high as what comes, so that nothing jumps. */
function Loading() {
  return (
    <>
      <div class="tiles">
        {Array.from({ length: 6 }, (_, index) => (
          <div key={index} class="tile">
            <Bones lines={2} />
          </div>
        ))}
      </div>
      <NoCharts />
    </>
  )
}

function NoCharts() {
  return (
    <div class="charts">
      <div class="chart is-empty" />
      <div class="chart is-empty" />
      <div class="chart is-empty" />
      <div class="chart is-empty" />
    </div>
  )
}

const sum = (values: (number | null)[]) => number(values.reduce<number>((sum, value) => sum + (value ?? 0), 0))

/** What waits is no sum. */
function most({ values }: Series) {
  const known = values.filter((value) => value !== null)
  return known.length ? `up to ${number(Math.max(...known))}` : '–'
}

interface LoadedProps {
  now: Summary
  timeSeries: TimeSeries | null
  before: Summary | null
  outcomes: Schemas['AnalyticsRow'][] | null
  failing: FailingList | null
}

function Loaded({ now, timeSeries, before, outcomes, failing }: LoadedProps) {
  const quiet = now.accepted === 0 && now.attempts === 0 && now.pending === 0 && now.held === 0
  return (
    <>
      <Tiles now={now} before={before} timeSeries={timeSeries} />
      {quiet ? (
        <Empty icon="overview" title="Nothing happened in this time">
          <p>Choose a longer time{may.value.publish && ', or publish an event'}.</p>
          {may.value.publish && (
            <a class="button" href={href('/publish')}>
              Publish an event
            </a>
          )}
        </Empty>
      ) : timeSeries ? (
        <Charts now={now} timeSeries={timeSeries} outcomes={outcomes} />
      ) : (
        <NoCharts />
      )}
      <Attention failing={failing} />
    </>
  )
}

function Charts({ now, timeSeries, outcomes }: { now: Summary; timeSeries: TimeSeries; outcomes: Schemas['AnalyticsRow'][] | null }) {
  const { rows, times } = timeSeries
  const classes = useMemo(() => outcomes && byClass(outcomes, times), [timeSeries, outcomes])
  const accepted = useMemo<Series[]>(() => [{ label: 'Accepted', color: '--accent', values: rows.map((row) => row.accepted) }], [timeSeries])
  const latency = useMemo<Series[]>(
    () =>
      (['p50', 'p95', 'p99'] as const).map((name, index) => ({
        label: name,
        color: ['--accent', '--chart-amber', '--chart-purple'][index] ?? '--accent',
        values: rows.map((row) => row.time_to_delivery_ms[name] ?? null),
      })),
    [timeSeries],
  )
  const waiting = useMemo<Series[]>(
    () => [
      { label: 'Pending', color: '--accent', values: rows.map((row) => row.pending ?? null) },
      { label: 'Held', color: '--chart-amber', values: rows.map((row) => row.held ?? null) },
    ],
    [timeSeries],
  )
  // Without keys the chart that comes last would take the place of the one beside it, and all would move.
  return (
    <div class="charts">
      {classes ? (
        <Chart key="Attempts by outcome" title="Attempts by outcome" kind="bars" times={times} series={classes} format={number} total={(one) => sum(one.values)} />
      ) : (
        <div key="none" class="chart is-empty" />
      )}
      <Chart key="Events accepted" title="Events accepted" kind="bars" times={times} series={accepted} format={number} total={(one) => sum(one.values)} />
      <Chart key="Time to delivery" title="Time to delivery" kind="lines" times={times} series={latency} format={milliseconds} total={(one) => milliseconds(now.time_to_delivery_ms[one.label as 'p50'])} />
      <Chart key="Queue depth" title="Queue depth" kind="lines" times={times} series={waiting} format={number} total={most} gaps />
    </div>
  )
}
