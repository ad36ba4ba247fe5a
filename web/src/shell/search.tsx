// From any id, key or text to its page.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { asProblem, get, type Problem, type Schemas } from '../api/client'
import { chosen, isAll, isOperator, may } from '../api/session'
import { go, href } from '../route'
import { Icon, type IconName } from '../ui/icons'
import { Moment } from '../ui/moment'
import { Pill } from '../ui/status'
import { EVENT_STATUSES, NOT_DELIVERED, REASONS, type Tone } from '../words'
import { tenantName } from './tenants'

type Row = Schemas['SearchRow']

const KINDS: Record<Row['kind'], { icon: IconName; name: string }> = {
  event: { icon: 'events', name: 'Event' },
  delivery: { icon: 'deliveries', name: 'Delivery' },
  attempt: { icon: 'deliveries', name: 'Attempt' },
  subscription: { icon: 'subscriptions', name: 'Subscription' },
  tenant: { icon: 'tenants', name: 'Tenant' },
  refusal: { icon: 'refusals', name: 'Refused request' },
}

const TONES: Record<string, Tone> = { succeeded: 'green', delivered: 'green', active: 'green', failed: 'red', refused: 'red', expired: 'red', held: 'purple', sending: 'blue', pending: 'grey' }

function link(row: Row): string {
  const within = isAll.value && row.tenant_id ? { tenant: row.tenant_id } : {}
  switch (row.kind) {
    case 'event':
      return href(`/events/${row.id}`, within)
    case 'delivery':
      return row.status === 'not_delivered'
        ? href(`/events/${row.webhook_id}`, within)
        : href(`/deliveries/${row.webhook_id}/${row.subscription_id}`, within)
    case 'attempt':
      return href(`/deliveries/${row.webhook_id}/${row.subscription_id}`, { ...within, attempt: row.id })
    case 'subscription':
      return href(`/subscriptions/${row.id}`, within)
    case 'tenant':
      // Others than an admin of all tenants may not open its page.
      return isOperator.value && may.value.admin ? href(`/tenants/${row.id}`) : href('/', isOperator.value ? { tenant: row.id } : {})
    case 'refusal':
      return href('/refusals', { ...within, open: row.id })
  }
}

/** A word of the API in plain English; an error message as it is. */
function words(reason: string): string {
  const known = { ...REASONS, ...NOT_DELIVERED } as Record<string, { label: string }>
  return known[reason]?.label ?? reason
}

const title = (status: string) => status.slice(0, 1).toUpperCase() + status.slice(1).replace(/_/g, ' ')

/** How its own page and list call the status. */
function statusOf({ kind, status }: Row): { label: string; tone: Tone } {
  const ofEvent = kind === 'event' ? (EVENT_STATUSES as Record<string, { label: string; tone: Tone }>)[status] : undefined
  return ofEvent ?? { label: title(status), tone: TONES[status] ?? 'plain' }
}

interface Found {
  /** What was searched for. */
  of: string
  rows: Row[]
  more: boolean
  payloads: boolean
}

export function SearchBox() {
  const [text, setText] = useState('')
  const [open, setOpen] = useState(false)
  const [answer, setAnswer] = useState<Found | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [at, setAt] = useState(0)
  const [round, setRound] = useState(0)
  const container = useRef<HTMLDivElement>(null)
  const wanted = text.trim()
  // The text is newer than the answer to the one before.
  const found = answer?.of === wanted ? answer : null
  /** Enter was pressed before the answer was there: its first row is followed when it comes. */
  const follows = useRef(false)
  /** The same text may find more than before: a server that is back, an event that was just published. */
  const askAgain = () => setRound((round) => round + 1)

  useEffect(() => {
    setAnswer(null)
    setProblem(null)
    setAt(0)
    if (!wanted) return
    const leaving = new AbortController()
    const timer = setTimeout(() => {
      get('/search', { query: { q: wanted }, signal: leaving.signal }).then(
        (answer) => setAnswer({ of: wanted, rows: answer.data, more: Boolean(answer.next_cursor), payloads: answer.searched_payloads }),
        (error: unknown) => {
          if (leaving.signal.aborted) return
          follows.current = false
          setProblem(asProblem(error))
        },
      )
    }, 250)
    return () => (clearTimeout(timer), leaving.abort())
  }, [wanted, chosen.value, round])

  const close = () => {
    follows.current = false
    setOpen(false)
  }
  useLayoutEffect(() => {
    const outside = (event: Event) => !container.current?.contains(event.target as Node) && close()
    document.addEventListener('pointerdown', outside)
    return () => document.removeEventListener('pointerdown', outside)
  }, [])

  const rows = found?.rows ?? []
  const follow = (row: Row | undefined) => {
    if (!row) return
    go(link(row))
    close()
    setText('')
    container.current?.querySelector('input')?.blur()
  }
  useEffect(() => {
    if (!found) return
    if (follows.current) follow(rows[0])
    follows.current = false
  }, [found])
  const enter = () => {
    const row = rows[at]
    if (row) return follow(row)
    follows.current = true
    if (found || problem) askAgain()
  }
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.max(Math.min(at + 1, rows.length - 1), 0))
    else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0))
    else if (event.key === 'Enter') enter()
    else if (event.key === 'Escape') (close(), (event.currentTarget as HTMLElement).blur())
    else return
    event.preventDefault()
  }
  const isOpen = open && wanted !== ''
  return (
    <div class="search" ref={container} role="search">
      <Icon name="search" />
      <input
        data-search
        type="text"
        role="combobox"
        aria-label="Search"
        aria-expanded={isOpen}
        aria-controls="found"
        aria-activedescendant={isOpen && rows[at] ? `found-${at}` : undefined}
        placeholder="Search ids, order numbers, keys…"
        autocomplete="off"
        spellcheck={false}
        maxLength={255}
        value={text}
        onInput={(event) => ((follows.current = false), setText(event.currentTarget.value), setOpen(true))}
        onFocus={() => (setOpen(true), askAgain())}
        onKeyDown={onKey}
      />
      <kbd aria-hidden="true">/</kbd>
      {isOpen && (
        <div class="found">
          {problem && <p class="field-error">{problem.detail ?? problem.title}</p>}
          {!found && !problem && <p class="faint">Searching…</p>}
          {found && rows.length === 0 && (
            <p class="faint">
              Nothing has this id, key{found.payloads ? ' or text' : ''}
              {found.more ? ' in what was searched so far' : ''}.
            </p>
          )}
          <ul id="found" role="listbox" aria-label="Found">
            {rows.map((row, index) => (
              <li
                key={index}
                id={`found-${index}`}
                role="option"
                aria-selected={index === at}
                onPointerMove={() => setAt(index)}
                onClick={() => follow(row)}
              >
                <Icon name={KINDS[row.kind].icon} />
                <span class="found-text">
                  <span class="found-title">{row.title}</span>
                  <span class="faint">
                    {KINDS[row.kind].name}
                    {isAll.value && row.tenant_id && row.kind !== 'tenant' && ` of ${tenantName(row.tenant_id)}`}
                    {row.reason && ` · ${words(row.reason)}`}
                  </span>
                </span>
                <Pill tone={statusOf(row).tone}>{statusOf(row).label}</Pill>
                <Moment at={row.at} none="" />
              </li>
            ))}
          </ul>
        </div>
      )}
    </div>
  )
}
