// The last 24 hours as small bars: what failed stands on what was delivered.
import { number } from '../../ui/moment'
import { total, type Traffic } from './traffic'

const HEIGHT = 20
const STEP = 4

export function Hours({ traffic, hours }: { traffic: Traffic | undefined; hours: number }) {
  const [good, bad] = [total(traffic?.delivered), total(traffic?.failed)]
  const most = Math.max(...Array.from({ length: hours }, (_, hour) => (traffic?.delivered[hour] ?? 0) + (traffic?.failed[hour] ?? 0)), 1)
  const high = (count: number) => (count ? Math.max((count / most) * (HEIGHT - 1), 1.5) : 0)
  const says = good + bad ? `${number(good)} delivered, ${number(bad)} failed in 24 hours` : 'No attempts in 24 hours'
  return (
    <svg class="hours" viewBox={`0 0 ${hours * STEP} ${HEIGHT}`} role="img" aria-label={says}>
      <title>{says}</title>
      <path class="hours-line" d={`M0 ${HEIGHT - 0.5}H${hours * STEP - 1}`} />
      {Array.from({ length: hours }, (_, hour) => {
        const [up, failed] = [high(traffic?.delivered[hour] ?? 0), high(traffic?.failed[hour] ?? 0)]
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
