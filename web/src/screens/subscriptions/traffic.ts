// How many attempts went well in each of the last 24 hours, of each subscription or event type.
import { get, type Schemas } from '../../api/client'

export interface Traffic {
  accepted: number[]
  delivered: number[]
  failed: number[]
}

export interface TrafficTable {
  of: ReadonlyMap<string, Traffic>
  /** The server lists the busiest only: nothing is known of others. */
  truncated: boolean
  /** So many of the last hours were counted. */
  hours: number
}

/** Null where it is not known: the busiest alone were counted, and this is none of them. */
export function trafficOf(table: TrafficTable, name: string): Traffic | null {
  return table.of.get(name) ?? (table.truncated ? null : { accepted: [], delivered: [], failed: [] })
}

const HOUR = 3_600_000
export const HOURS = 24

export async function loadTraffic(by: 'subscription' | 'event_type', signal: AbortSignal): Promise<TrafficTable> {
  const since = (Math.floor(Date.now() / HOUR) - HOURS + 1) * HOUR
  const table = await get('/analytics/deliveries', { query: { since: new Date(since).toISOString(), bucket: '1h', group_by: by }, signal })
  const of = new Map<string, Traffic>()
  for (const row of table.data) {
    const hour = Math.round((Date.parse(row.bucket) - since) / HOUR)
    if (row.group && hour >= 0 && hour < HOURS) add(of, row.group, hour, row)
  }
  const missing = Math.max(Math.round((Date.parse(table.since) - since) / HOUR), 0)
  return { of, truncated: table.truncated, hours: HOURS - missing }
}

function add(of: Map<string, Traffic>, group: string, hour: number, row: Schemas['AnalyticsRow']): void {
  const zeros = () => Array.from({ length: HOURS }, () => 0)
  const traffic = of.get(group) ?? { accepted: zeros(), delivered: zeros(), failed: zeros() }
  traffic.accepted[hour] = row.accepted
  traffic.delivered[hour] = row.delivered
  traffic.failed[hour] = row.failed
  of.set(group, traffic)
}

export const total = (values: number[] | undefined) => (values ?? []).reduce((sum, value) => sum + value, 0)

/** `delivered` of all attempts; null without attempts. */
export function successRate(traffic: Traffic | null): number | null {
  const [good, bad] = [total(traffic?.delivered), total(traffic?.failed)]
  return good + bad ? good / (good + bad) : null
}
