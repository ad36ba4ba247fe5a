// What came of a replay: what it selected and has not arrived.
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { href } from '../../route'
import { Failure } from '../../ui/states'
import { type Status, statusWord } from '../../words'
import { refreshMs } from '../deliveries/often'
import { deliveriesOf, type Replay } from './selected'

/** As long as they are not cancelled on purpose. */
const OPEN: Status[] = ['pending', 'sending', 'held', 'failed', 'expired', 'skipped']
/** More are not counted. */
const MOST = 100
/** Many rows are looked at for each answer. */
const SOONEST_MS = 5_000

export function Outcome({ replay }: { replay: Replay }) {
  const filters = deliveriesOf(replay)
  const isRunning = replay.status === 'running'
  const open = useResource(
    JSON.stringify([replay.id, isRunning]),
    (signal) => get('/deliveries', { query: { ...filters, status: OPEN, limit: MOST }, signal }),
    true,
  )
  const rows = open.data?.data ?? []
  const everyMs = isRunning ? SOONEST_MS : refreshMs(rows)
  usePolling(everyMs && Math.max(everyMs, SOONEST_MS), open)
  if (open.problem && !open.data) return <Failure problem={open.problem} retry={open.reload} />
  if (!open.data) return null
  const more = open.data.next_cursor ? '+' : ''
  const counts = OPEN.map((status) => ({ status, count: rows.filter((row) => row.status === status).length })).filter(({ count }) => count > 0)
  if (!counts.length) return more || isRunning ? null : <p class="outcome">Nothing of what it selected waits or has failed.</p>
  return (
    <p class="outcome">
      Not delivered:{' '}
      <span class="counts">
        {counts.map(({ status, count }) => {
          const { label, tone } = statusWord(status, 0)
          return (
            <a key={status} class={`count-dot ${tone}`} href={href('/deliveries', { ...filters, status })}>
              {count}
              {more} {label.toLowerCase()}
            </a>
          )
        })}
      </span>
    </p>
  )
}
