// What `GET /operations` answers, and what in it needs somebody.
import type { Schemas } from '../../api/client'

export type Operations = Schemas['Operations']
export type Partition = Schemas['Partition']

interface Concern {
  title: string
  advice: string
}

/** From these on something is wrong, as docs/operations.md says. */
export const OLD_TRANSACTION_SECONDS = 60
export const LATE_OUTBOX_SECONDS = 5
const FULL = 0.9
const DAY_MS = 86_400_000

export function concerns(now: Operations): Concern[] {
  const found: Concern[] = []
  const lost = now.replicas.filter((one) => one.is_lost).length
  if (lost) found.push({ title: lost === 1 ? 'A replica is lost' : `${lost} replicas are lost`, advice: 'They gave no sign of life for 10 seconds: they were killed, or cannot reach the database. Others take over their deliveries.' })
  if (!now.replicas.some((one) => !one.is_lost && one.role !== 'api')) found.push({ title: 'Nobody delivers', advice: 'No replica runs as serve or worker. Start one: events wait until then.' })
  const old = now.oldest_transaction
  if (old && old.seconds > OLD_TRANSACTION_SECONDS) {
    const end = old.kind === 'prepared' ? `rollback prepared '${old.name.replace(/'/g, "''")}'` : `select pg_terminate_backend(${old.name})`
    found.push({ title: 'A transaction is open for long', advice: `It keeps old rows from being removed. End it: ${end}` })
  }
  if (now.outbox.lag_seconds > LATE_OUTBOX_SECONDS) found.push({ title: 'Events from SQL wait', advice: 'No replica accepts them, or publishing from SQL is blocked. Is one running as serve or api?' })
  const last = now.partitions.reduce((last, { until }) => (until > last ? until : last), '')
  if (last < new Date(Date.now() + DAY_MS).toISOString()) found.push({ title: 'No partition is ready for tomorrow', advice: 'No replica runs as serve or worker, or it may not create tables. Its log says why.' })
  const { connections, max_connections } = now.database
  if (connections >= max_connections * FULL) found.push({ title: 'The database has few connections left', advice: 'Put a pooler in front, make pools smaller, or raise max_connections.' })
  return found
}

export interface Day {
  since: string
  events: Partition | undefined
  attempts: Partition | undefined
}

/** Partitions of one day in one row, newest first. */
export function days(partitions: Partition[]): Day[] {
  const found = new Map<string, Day>()
  for (const one of partitions) {
    const day = found.get(one.since) ?? { since: one.since, events: undefined, attempts: undefined }
    found.set(one.since, one.table === 'events' ? { ...day, events: one } : { ...day, attempts: one })
  }
  return [...found.values()].sort((a, b) => (a.since < b.since ? 1 : -1))
}
