// What has not arrived of the deliveries that a replay may have sent again.
import { get } from '../../api/client'
import { fill, usePolling, useResource } from '../../api/resource'
import { href } from '../../route'
import { Failure } from '../../ui/states'
import { type Delivery, type Status, statusWord } from '../../words'
import { refreshMs } from '../deliveries/often'
import { deliveriesOf, type Replay } from './selected'

/** As long as they are not cancelled on purpose. */
const OPEN: Status[] = ['pending', 'sending', 'held', 'failed', 'expired', 'skipped']
/** More are not looked for. */
const MOST = 100
/** Many rows are looked at for each answer. */
const SOONEST_MS = 5_000
/** While there are more than were counted, of which some may still be pending. */
const BEYOND_MS = 15_000

export function Outcome({ replay }: { replay: Replay }) {
  const filters = deliveriesOf(replay)
  const isRunning = replay.status === 'running'
  const open = useResource(
    JSON.stringify([replay.id, isRunning]),
    (signal) => fill<Delivery>(MOST, (cursor) => get('/deliveries', { query: { ...filters, status: OPEN, limit: MOST, ...(cursor ? { cursor } : {}) }, signal })),
    true,
  )
  const rows = open.data?.data ?? []
  const everyMs = isRunning ? SOONEST_MS : (refreshMs(rows) ?? (open.data?.next_cursor ? BEYOND_MS : null))
  usePolling(everyMs && Math.max(everyMs, SOONEST_MS), open)
  if (open.problem && !open.data) return <Failure problem={open.problem} retry={open.reload} />
  if (!open.data) return null
  const isCut = Boolean(open.data.next_cursor)
  const counts = OPEN.map((status) => ({ status, count: rows.filter((row) => row.status === status).length })).filter(({ count }) => count > 0)
  // A list of deliveries does not know which of them the replay selected.
  const all = (
    <a href={href('/deliveries', filters)}>
      all deliveries with these filters, of any status
    </a>
  )
  if (!counts.length) {
    if (isRunning) return null
    return (
      <p class="outcome">
        Of {all}: none {isCut && 'of the newest '}waits or has failed.
      </p>
    )
  }
  return (
    <p class="outcome">
      Not delivered, of {all}:{' '}
      <span class="counts">
        {counts.map(({ status, count }) => {
          const { label, tone } = statusWord(status, 0)
          return (
            <a key={status} class={`count-dot ${tone}`} href={href('/deliveries', { ...filters, status })}>
              {count}
              {isCut && '+'} {label.toLowerCase()}
            </a>
          )
        })}
      </span>
    </p>
  )
}
