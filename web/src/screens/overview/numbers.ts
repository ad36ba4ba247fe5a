// The numbers of the overview, from the analytics of the API.
import { get, type Schemas } from '../../api/client'
import { RANGES, range, span } from '../../ui/time_range'
import type { Series } from '../../ui/plot'

type Row = Schemas['AnalyticsRow']
export type Summary = Schemas['AnalyticsSummary']

/** What happened over time, by bucket. */
export interface TimeSeries {
  times: number[]
  rows: Row[]
}

export interface FailingList {
  rows: Failing[]
  /** There was too much to count all of it. */
  truncated: boolean
  /** Where counting begins, if that is not the chosen time. */
  countedSince: string | null
}

export interface Failing {
  id: string
  tenant: string | null
  attempts: number
  failed: number
}

/** Outcomes by what went wrong, in the order in which they are stacked. */
const CLASSES: [label: string, color: string, matches: (outcome: string) => boolean][] = [
  ['Delivered', '--chart-green', (outcome) => outcome === 'delivered'],
  ['4xx', '--chart-amber', (outcome) => outcome === 'http_4xx'],
  ['5xx', '--chart-red', (outcome) => outcome === 'http_5xx'],
  ['Timeout', '--chart-purple', (outcome) => outcome === 'timeout' || outcome === 'connect_timeout'],
  ['DNS', '--chart-blue', (outcome) => outcome.startsWith('dns_')],
  ['Connection, TLS, other', '--chart-grey', () => true],
]

export const loadSummary = (signal: AbortSignal): Promise<Summary> => get('/analytics/summary', { query: span('24h'), signal })

export async function loadTimeSeries(signal: AbortSignal): Promise<TimeSeries> {
  const { data } = await get('/analytics/deliveries', { query: span('24h'), signal })
  return { times: data.map((row) => Date.parse(row.bucket) / 1_000), rows: data }
}

export async function loadOutcomes(signal: AbortSignal): Promise<Row[]> {
  return (await get('/analytics/deliveries', { query: { ...span('24h'), group_by: 'outcome' }, signal })).data
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** The API keeps shorter buckets so long. */
const MINUTES_KEPT = 48 * HOUR
/** The API divides a span into at most so many buckets. */
const MOST_BUCKETS = 300

/** The bucket of the charts, so that both count the same time: the API takes it by itself, but not by subscription. */
function bucketOf({ since, until }: { since?: string; until?: string }): '1m' | '5m' | '1h' | '1d' {
  if (!since) return '1h'
  const length = (until ? Date.parse(until) : Date.now()) - Date.parse(since)
  const isRecent = Date.now() - Date.parse(since) <= MINUTES_KEPT
  if (isRecent && length <= MOST_BUCKETS * MINUTE) return '1m'
  if (isRecent && length <= MOST_BUCKETS * 5 * MINUTE) return '5m'
  return length <= MOST_BUCKETS * HOUR ? '1h' : '1d'
}

/** Minutes are counted from the newest attempts. Where these are too many, hours have all of them. */
export async function loadFailing(signal: AbortSignal): Promise<FailingList> {
  const time = span('24h')
  const ask = (bucket: '1m' | '5m' | '1h' | '1d') => get('/analytics/deliveries', { query: { ...time, group_by: 'subscription', bucket }, signal })
  const bucket = bucketOf(time)
  const table = await ask(bucket)
  if (table.truncated && bucket === '5m') {
    const hours = await ask('1h')
    return { rows: sums(hours.data), truncated: hours.truncated, countedSince: hours.since }
  }
  return { rows: sums(table.data), truncated: table.truncated, countedSince: table.truncated ? table.since : null }
}

/** The span before, of the same length; null where the chosen span is not up to now. */
export async function loadBefore(signal: AbortSignal): Promise<Summary | null> {
  const chosen = range('24h')
  if (!chosen) return null
  const end = Math.floor((Date.now() - RANGES[chosen]) / 60_000) * 60_000
  const query = { since: new Date(end - RANGES[chosen]).toISOString(), until: new Date(end).toISOString() }
  return get('/analytics/summary', { query, signal }).catch(() => null)
}

export function byClass(rows: Row[], times: number[]): Series[] {
  const index = new Map(times.map((time, index) => [time, index]))
  const series = CLASSES.map(([label, color]) => ({ label, color, values: times.map(() => 0 as number | null) }))
  for (const row of rows) {
    const at = index.get(Date.parse(row.bucket) / 1_000)
    if (at === undefined || !row.group) continue
    const one = series[CLASSES.findIndex(([, , matches]) => matches(row.group ?? ''))]
    if (one) one.values[at] = (one.values[at] ?? 0) + row.attempts
  }
  return series.filter((one, place) => place === 0 || one.values.some((value) => value))
}

function sums(rows: Row[]): Failing[] {
  const found = new Map<string, Failing>()
  for (const row of rows) {
    if (!row.group) continue
    const one = found.get(row.group) ?? { id: row.group, tenant: row.tenant_id ?? null, attempts: 0, failed: 0 }
    found.set(row.group, { ...one, attempts: one.attempts + row.attempts, failed: one.failed + row.failed })
  }
  return [...found.values()].filter((one) => one.failed)
}
