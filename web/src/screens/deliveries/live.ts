// Keeps a list of deliveries current from the live stream, without asking the server again.
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Page, Resource } from '../../api/resource'
import { isAll } from '../../api/session'
import { useStream, type StreamItem } from '../../api/stream'
import { isNearTop } from '../../ui/live'
import { customSpan } from '../../ui/time_range'
import { type Delivery, isEnded } from '../../words'

/** Where there would be more rows, the page is loaded again. */
const MAX_ROWS = 200
/** Changes that wait to be shown; where there are more, the page is loaded again then. */
const MOST_HELD = 1_000
/** A change that came so long before a request is in its answer. */
const SETTLED_MS = 1_000
/** Between two loads because of rows that were left out. */
const RELOAD_MS = 5_000

export const keyOf = (one: { webhook_id: string; subscription_id: string }) => `${one.webhook_id}/${one.subscription_id}`

/** Names of object and, where all tenants are shown, its tenant. */
export const openKey = (row: Delivery) => (isAll.value ? `${keyOf(row)}/${row.tenant_id}` : keyOf(row))

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
    const [at, last] = [Date.parse(item.created_at), row.last_attempt ? Date.parse(row.last_attempt) : 0]
    // The row was loaded after it.
    if (at < last) return row
    const isKept = isEnded(row.status) || (at === last && row.status === 'held')
    return {
      ...row,
      status: item.is_success ? 'succeeded' : isKept ? row.status : 'pending',
      reason: isKept && !item.is_success ? row.reason : null,
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

/** Whether a row that was read after a change shows it, so that the change would only undo what came later. */
function isIn(row: Delivery, item: StreamItem): boolean {
  if (item.kind === 'accepted' || keyOf(item) !== keyOf(row)) return false
  return (item.kind === 'attempt' ? item.attempt_number : item.attempts) <= row.attempts
}

/** The rows with what happened to them. Ids order deliveries: newest event first, then by subscription. */
function merge(rows: Delivery[], items: StreamItem[]): { rows: Delivery[]; fresh: Set<string> } {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]))
  const names = new Map(rows.filter((row) => row.target_url).map((row) => [row.subscription_id, row]))
  const fresh = new Set<string>()
  for (const item of items) {
    if (item.kind === 'accepted' || (item.kind === 'attempt' && item.trigger === 'test')) continue
    const key = keyOf(item)
    const named = names.get(item.subscription_id)
    const row = byKey.get(key) ?? { ...blank(item), external_id: named?.external_id ?? null, target_url: named?.target_url ?? null }
    const now = changed(row as Delivery, item)
    byKey.set(key, now)
    fresh.add(openKey(now))
  }
  return { rows: [...byKey.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? 1 : -1)), fresh }
}

interface Live {
  rows: Delivery[] | null
  fresh: ReadonlySet<string>
  /** Changes that wait while the reader is further down, and whether there are more than these. */
  waiting: number
  more: boolean
  show: () => void
  /** Takes over a row that was read after the list, whatever the filters: it stays where the reader left it. */
  update: (row: Delivery) => void
}

/** Whether the loaded page, and not a later one, is where a delivery belongs. */
function isOnPage(page: Page<Delivery>, row: Delivery): boolean {
  if (!page.next_cursor) return true
  if (page.examined_to) return Date.parse(row.accepted_at) >= Date.parse(page.examined_to)
  const last = page.data.at(-1)
  return !last || keyOf(row) >= keyOf(last)
}

/**
 * `filters` and `since` are those of the list. Status and reason are compared here, not by the stream: a row that no
 * longer has them has to go. So is `since`, because a range like "the last hour" moves on. Where the list does not begin
 * with the newest, `grows` is false: rows change, and none is added.
 */
export function useLiveRows(page: Resource<Page<Delivery>>, filters: Record<string, string[]>, since: string | undefined, grows: boolean): Live {
  const { status, reason, ...followed } = filters
  const loaded = page.data
  const [rows, setRows] = useState(loaded?.data ?? null)
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set())
  // Read where the next items come, which may be before the view is drawn again.
  const held = useRef<StreamItem[]>([])
  const [waiting, setWaiting] = useState(0)
  const [isBehind, setBehind] = useState(false)
  const [isCut, setCut] = useState(false)
  // What came while a page was loading may be missing in it.
  const recent = useRef<{ at: number; items: StreamItem[] }[]>([])

  const isWanted = (row: Delivery) =>
    (!status || status.includes(row.status)) &&
    (!reason || reason.includes(row.reason ?? '')) &&
    (!since || Date.parse(row.accepted_at) >= Date.parse(since))
  const withItems = (before: Delivery[], items: StreamItem[]) => {
    const shown = new Set(before.map(keyOf))
    const merged = merge(before, items)
    setFresh(merged.fresh)
    const rows = merged.rows.filter((row) => isWanted(row) && (shown.has(keyOf(row)) || (grows && loaded && isOnPage(loaded, row))))
    setCut(rows.length > MAX_ROWS)
    return rows.slice(0, MAX_ROWS)
  }
  const hold = (items: StreamItem[]) => {
    held.current = items
    setWaiting(new Set(items.flatMap((item) => (item.kind === 'accepted' ? [] : [keyOf(item)]))).size)
  }
  /** In the order in which they came: what waited is older than `items`, and would undo them later. */
  const apply = (items: StreamItem[]) => {
    const all = [...held.current, ...items]
    hold([])
    setRows((before) => before && withItems(before, all))
  }

  useEffect(() => {
    recent.current = recent.current.filter(({ at }) => at >= page.askedAt)
    setRows(loaded && withItems(loaded.data, recent.current.flatMap(({ items }) => items)))
    hold([])
    setBehind(false)
  }, [loaded])
  // The rows that were left out are on no page.
  useEffect(() => {
    if (!isCut || page.asking) return
    const timer = setTimeout(page.refresh, RELOAD_MS)
    return () => clearTimeout(timer)
  }, [isCut, page.asking])
  useStream(
    { ...followed, ...customSpan() },
    (items) => {
      const at = performance.now()
      recent.current = [...recent.current.filter((one) => page.asking || one.at > at - SETTLED_MS), { at, items }]
      if (isNearTop()) return apply(items)
      if (held.current.length + items.length <= MOST_HELD) hold([...held.current, ...items])
      else setBehind(true)
    },
    () => (isNearTop() ? page.refresh() : setBehind(true)),
  )
  const show = () => {
    window.scrollTo({ top: 0 })
    if (isBehind) return page.refresh()
    apply([])
  }
  const update = (row: Delivery) => {
    if (rows?.some((one) => keyOf(one) === keyOf(row))) hold(held.current.filter((item) => !isIn(row, item)))
    setRows((before) => before && before.map((one) => (keyOf(one) === keyOf(row) && one.attempts <= row.attempts ? row : one)))
  }
  return { rows, fresh, waiting, more: isBehind, show, update }
}
