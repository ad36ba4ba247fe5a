// The event types that a tenant has: those that are described, and those that came in the last days.
import { get, type Schemas } from '../../api/client'

export type EventType = Schemas['EventType']

export interface Known {
  name: string
  description: string | null
  example: unknown
  deprecated: boolean
}

const DAY = 86_400_000
const PAGE = 100
/** More are not offered; their names can be typed. */
const MOST = 1_000

async function describedTypes(signal: AbortSignal): Promise<EventType[]> {
  const types: EventType[] = []
  let cursor: string | null | undefined
  do {
    const page = await get('/event-types', { query: { limit: PAGE, ...(cursor ? { cursor } : {}) }, signal })
    types.push(...page.data)
    cursor = page.next_cursor
  } while (cursor && types.length < MOST)
  return types
}

export async function loadCatalogue(signal: AbortSignal): Promise<Known[]> {
  const since = new Date(Math.floor(Date.now() / DAY - 1) * DAY).toISOString()
  const [described, seen] = await Promise.all([
    describedTypes(signal),
    get('/analytics/deliveries', { query: { since, bucket: '1d', group_by: 'event_type' }, signal }).then(({ data }) => data.filter((row) => row.accepted), () => []),
  ])
  const known = new Map<string, Known>()
  for (const row of seen) if (row.group && /^[\w-]+(\.[\w-]+)*$/.test(row.group)) known.set(row.group, { name: row.group, description: null, example: null, deprecated: false })
  for (const type of described) known.set(type.name, { name: type.name, description: type.description ?? null, example: type.example, deprecated: type.deprecated })
  return [...known.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

export interface Group {
  /** As in `order.*`; null for types without a dot. */
  wildcard: string | null
  types: Known[]
}

/** By what stands before the first dot. */
export function groups(types: Known[]): Group[] {
  const found = new Map<string | null, Known[]>()
  for (const type of types) {
    const dot = type.name.indexOf('.')
    const wildcard = dot < 0 ? null : `${type.name.slice(0, dot)}.*`
    found.set(wildcard, [...(found.get(wildcard) ?? []), type])
  }
  return [...found].map(([wildcard, types]) => ({ wildcard, types }))
}

/** Whether one of the patterns, names, `prefix.*` or `*`, is about a type or about all that a pattern is about. */
export function covers(patterns: string[], name: string): boolean {
  return patterns.some((pattern) => pattern === name || pattern === '*' || (pattern.endsWith('.*') && name.startsWith(pattern.slice(0, -1))))
}
