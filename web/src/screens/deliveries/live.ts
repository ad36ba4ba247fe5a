// Keeps a list of deliveries current from the live stream, without asking the server again.
import { useCallback, useEffect, useState } from 'preact/hooks'
import { useStream, type StreamItem } from '../../api/stream'
import type { Delivery } from '../../words'

/** More rows than this are left out at the end. */
const MAX_ROWS = 200
/** How far down a reader may be and still see new rows come. */
const NEAR_TOP_PX = 80

export const keyOf = (one: { webhook_id: string; subscription_id: string }) => `${one.webhook_id}/${one.subscription_id}`

/** A UUIDv7 begins with its milliseconds. */
export function acceptedAt(webhookId: string): string {
  return new Date(parseInt(webhookId.replace(/-/g, '').slice(0, 12), 16)).toISOString()
}

function blank(item: { webhook_id: string; subscription_id: string; event_type: string | null; tenant_id: string }): Delivery {
  return {
    webhook_id: item.webhook_id,
    subscription_id: item.subscription_id,
    event_type: item.event_type,
    tenant_id: item.tenant_id,
    external_id: null,
    target_url: null,
    status: 'pending',
    reason: null,
    attempts: 0,
    last_outcome: null,
    last_status_code: null,
    error_message: null,
    accepted_at: acceptedAt(item.webhook_id),
    last_attempt: null,
    next_attempt_at: null,
  } as Delivery
}

function changed(row: Delivery, item: StreamItem): Delivery {
  if (item.kind === 'attempt') {
    return {
      ...row,
      status: item.is_success ? 'succeeded' : row.status === 'succeeded' || row.status === 'failed' ? row.status : 'pending',
      reason: null,
      attempts: Math.max(row.attempts, item.attempt_number),
      last_outcome: item.outcome,
      last_status_code: item.status_code ?? null,
      error_message: item.error_message ?? null,
      last_attempt: item.created_at,
      next_attempt_at: null,
    } as Delivery
  }
  if (item.kind === 'ended') return { ...row, status: item.status, reason: item.reason, attempts: Math.max(row.attempts, item.attempts), next_attempt_at: null } as Delivery
  return row
}

/** The rows with what happened to them. Ids order deliveries: newest event first, then by subscription. */
export function merge(rows: Delivery[], items: StreamItem[]): { rows: Delivery[]; fresh: Set<string> } {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]))
  const names = new Map(rows.filter((row) => row.target_url).map((row) => [row.subscription_id, row]))
  const fresh = new Set<string>()
  for (const item of items) {
    if (item.kind === 'accepted' || (item.kind === 'attempt' && item.trigger === 'test')) continue
    const key = keyOf(item)
    const named = names.get(item.subscription_id)
    const row = byKey.get(key) ?? { ...blank(item), external_id: named?.external_id ?? null, target_url: named?.target_url ?? null }
    byKey.set(key, changed(row as Delivery, item))
    fresh.add(key)
  }
  const sorted = [...byKey.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? 1 : -1))
  return { rows: sorted.slice(0, MAX_ROWS), fresh }
}

interface Live {
  rows: Delivery[] | null
  fresh: ReadonlySet<string>
  /** Changes that wait while the reader is further down. */
  waiting: number
  show: () => void
}

/**
 * `filters` are those of the list. Status and reason are compared here, not by the stream: a row that no longer has
 * them has to go. Where the list does not begin with the newest, `grows` is false: rows change, and none is added.
 */
export function useLiveRows(loaded: Delivery[] | null, filters: Record<string, string[]>, grows: boolean, missed: () => void): Live {
  const { status, reason, ...followed } = filters
  const [rows, setRows] = useState(loaded)
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set())
  const [held, setHeld] = useState<StreamItem[]>([])
  useEffect(() => {
    setRows(loaded)
    setHeld([])
    setFresh(new Set())
  }, [loaded])
  const apply = useCallback(
    (items: StreamItem[]) =>
      setRows((before) => {
        if (!before) return before
        const shown = new Set(before.map(keyOf))
        const merged = merge(before, items)
        setFresh(merged.fresh)
        const isWanted = (row: Delivery) => (!status || status.includes(row.status)) && (!reason || reason.includes(row.reason ?? ''))
        return merged.rows.filter((row) => isWanted(row) && (grows || shown.has(keyOf(row))))
      }),
    [grows, status?.join(), reason?.join()],
  )
  useStream(
    followed,
    (items) => (window.scrollY < NEAR_TOP_PX ? apply(items) : setHeld((before) => [...before, ...items].slice(-1_000))),
    missed,
  )
  const show = () => {
    window.scrollTo({ top: 0 })
    apply(held)
    setHeld([])
  }
  const waiting = new Set(held.flatMap((item) => (item.kind === 'accepted' ? [] : [keyOf(item)]))).size
  return { rows, fresh, waiting, show }
}
