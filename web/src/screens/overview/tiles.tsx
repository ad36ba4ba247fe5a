// The most important numbers, each with its shape over time and the change since the span before.
import { isAll } from '../../api/session'
import { href } from '../../route'
import { distance, milliseconds, number } from '../../ui/moment'
import { Tile } from '../../ui/tile'
import type { Summary, TimeSeries } from './numbers'
import { UNWELL } from './trouble'

/** All and none are said of exactly these: beside `4 failed` nobody believes `100 %`. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return '–'
  if (share === 0 || share === 1) return `${share * 100} %`
  const shown = Math.min(Math.max(share * 100, 0.1), 99.9)
  return `${shown.toFixed(shown >= 1 && shown < 10 ? 0 : 1)} %`
}

/** In per cent of what was before. */
function change(now: number, before: number | undefined): string {
  if (!before) return 'nothing before'
  const by = Math.round((now / before - 1) * 100)
  return by === 0 ? 'as before' : `${by > 0 ? '+' : '−'}${number(Math.abs(by))} % on the time before`
}

const atLeast = (count: number, more: boolean) => `${number(count)}${more ? '+' : ''}`

export function Tiles({ now, before, timeSeries }: { now: Summary; before: Summary | null; timeSeries: TimeSeries | null }) {
  const rows = timeSeries?.rows ?? []
  const latency = now.time_to_delivery_ms
  const late = now.oldest_due_seconds
  const rate = now.success_rate
  const points = rate !== null && rate !== undefined && before?.success_rate != null ? (rate - before.success_rate) * 100 : null
  return (
    <div class="tiles">
      <Tile name="Events accepted" value={number(now.accepted)} note={before && change(now.accepted, before.accepted)} values={rows.map((row) => row.accepted)} link={href('/events')} />
      <Tile
        name="Success rate"
        value={percent(rate)}
        tone={rate !== null && rate !== undefined && rate < 0.95 ? 'bad' : undefined}
        note={points === null ? `of ${number(now.attempts)} attempts` : `${points >= 0 ? '+' : '−'}${Math.abs(points).toFixed(1)} points, of ${number(now.attempts)} attempts`}
        values={rows.map((row) => row.success_rate ?? null)}
      />
      <Tile
        name="Time to delivery, p95"
        value={milliseconds(latency.p95)}
        note={`p50 ${milliseconds(latency.p50)} · p99 ${milliseconds(latency.p99)}`}
        values={rows.map((row) => row.time_to_delivery_ms.p95 ?? null)}
      />
      <Tile name="Pending now" value={atLeast(now.pending, now.pending_more)} note={`${atLeast(now.held, now.held_more)} held`} values={rows.map((row) => row.pending ?? null)} link={href('/deliveries', { status: ['pending', 'sending', 'held'] })} />
      <Tile name="Oldest due" value={late < 1 ? 'none late' : distance(late)} tone={late > 60 ? 'bad' : undefined} note="how late the queue is now" />
      <Tile
        name="Failing subscriptions"
        value={atLeast(now.failing_subscriptions, now.failing_subscriptions_more)}
        tone={now.failing_subscriptions ? 'bad' : undefined}
        note="with a failure since their last success"
        link={isAll.value ? undefined : href('/subscriptions', { state: UNWELL })}
      />
    </div>
  )
}
