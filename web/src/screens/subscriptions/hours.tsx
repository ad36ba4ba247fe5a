// The last 24 hours as small bars: below what was delivered, above it what failed.
import { number } from '../../ui/moment'
import { HOURS, total, type Traffic } from './traffic'

const HEIGHT = 20
const STEP = 4

/** `hours`: so many were counted. */
export function Hours({ traffic, hours }: { traffic: Traffic | null; hours: number }) {
  if (!traffic) return <NotKnown />
  const [good, bad] = [total(traffic.delivered), total(traffic.failed)]
  const most = Math.max(...Array.from({ length: HOURS }, (_, hour) => (traffic.delivered[hour] ?? 0) + (traffic.failed[hour] ?? 0)), 1)
  const high = (count: number) => (count ? Math.max((count / most) * (HEIGHT - 1), 1.5) : 0)
  const says = good + bad ? `${number(good)} delivered, ${number(bad)} failed in ${hours} hours` : `No attempts in ${hours} hours`
  return (
    <svg class="hours" viewBox={`0 0 ${HOURS * STEP} ${HEIGHT}`} role="img" aria-label={says}>
      <title>{says}</title>
      <path class="hours-line" d={`M0 ${HEIGHT - 0.5}H${HOURS * STEP - 1}`} />
      {Array.from({ length: HOURS }, (_, hour) => {
        const [up, failed] = [high(traffic.delivered[hour] ?? 0), high(traffic.failed[hour] ?? 0)]
        return (
          <>
            {up > 0 && <rect class="hours-good" x={hour * STEP} y={HEIGHT - up} width={STEP - 1} height={up} />}
            {failed > 0 && <rect class="hours-bad" x={hour * STEP} y={HEIGHT - up - failed} width={STEP - 1} height={failed} />}
          </>
        )
      })}
    </svg>
  )
}

export function NotKnown() {
  return (
    <span class="faint" title="The server counts the busiest only, and this is none of them">
      not known
    </span>
  )
}
