// The span of time of a view, in its address: `range` for the last so long, or `since` and `until`.
import { computed } from '@preact/signals'
import { useState } from 'preact/hooks'
import { go, here, query } from '../route'
import { Popover } from './popover'

const HOUR = 3_600_000
export const RANGES = { '1h': HOUR, '24h': 24 * HOUR, '7d': 7 * 24 * HOUR, '30d': 30 * 24 * HOUR } as const
type Range = keyof typeof RANGES
const LABELS: Record<Range, string> = { '1h': '1 h', '24h': '24 h', '7d': '7 d', '30d': '30 d' }
const isRange = (text: string | null): text is Range => text !== null && text in RANGES

export const custom = computed(() => ({ since: query.value.get('since'), until: query.value.get('until') }))

/** `since` and `until` of the address, as the stream takes them. */
export function customSpan(): Record<string, string[]> {
  const { since, until } = custom.value
  return { ...(since ? { since: [since] } : {}), ...(until ? { until: [until] } : {}) }
}

/** The chosen range, or null where `since` or `until` says otherwise, or nothing. */
export function range(otherwise: Range | null): Range | null {
  const { since, until } = custom.value
  if (since || until) return null
  const named = query.value.get('range')
  return isRange(named) ? named : otherwise
}

/** What the API is asked for. It begins at a whole minute, so that a list does not change its key each second. */
export function span(otherwise: Range | null): { since?: string; until?: string } {
  const chosen = range(otherwise)
  if (chosen) return { since: new Date(Math.floor((Date.now() - RANGES[chosen]) / 60_000) * 60_000).toISOString() }
  const { since, until } = custom.value
  return { ...(since ? { since } : {}), ...(until ? { until } : {}) }
}

/** The span of this view, for a link to another one. */
export function timeOf(otherwise: Range): Record<string, string | null> {
  return { range: range(otherwise), ...custom.value }
}

interface Props {
  otherwise: Range | null
  /** A list may show everything. */
  any?: boolean
}

export function TimeRange({ otherwise, any = false }: Props) {
  const current = range(otherwise)
  const { since, until } = custom.value
  const choose = (value: string | null) => go(here({ range: value, since: null, until: null, cursor: null }), 'replace')
  const isCustom = Boolean(since ?? until)
  return (
    <div class="segments" role="group" aria-label="Time">
      {any && (
        <button type="button" aria-pressed={!current && !isCustom} onClick={() => choose(null)}>
          All
        </button>
      )}
      {(Object.keys(RANGES) as Range[]).map((one) => (
        <button key={one} type="button" aria-pressed={current === one} onClick={() => choose(one)}>
          {LABELS[one]}
        </button>
      ))}
      <Popover class={isCustom ? 'is-set' : ''} label={isCustom ? `${short(since) || '…'} – ${short(until) || 'now'}` : 'Custom'}>
        {(close) => <Custom close={close} />}
      </Popover>
    </div>
  )
}

const short = (at: string | null) => at?.slice(5, 16).replace('T', ' ') ?? ''

function Custom({ close }: { close: () => void }) {
  const field = (at: string | null) => at?.slice(0, 16) ?? ''
  const [since, setSince] = useState(field(custom.value.since))
  const [until, setUntil] = useState(field(custom.value.until))
  const apply = (event: Event) => {
    event.preventDefault()
    const moment = (text: string) => (text ? `${text}:00Z` : null)
    go(here({ range: null, since: moment(since), until: moment(until), cursor: null }), 'replace')
    close()
  }
  return (
    <form class="chip-form" onSubmit={apply}>
      <label>
        From (UTC)
        <input type="datetime-local" value={since} onInput={(event) => setSince(event.currentTarget.value)} />
      </label>
      <label>
        Until (UTC)
        <input type="datetime-local" value={until} onInput={(event) => setUntil(event.currentTarget.value)} />
      </label>
      <button type="submit" class="button primary">
        Apply
      </button>
    </form>
  )
}
