// A chart with its legend, which shows the values below the pointer; and the small line of a tile.
import { useEffect, useRef, useState } from 'preact/hooks'
import { go, here } from '../route'
import { theme } from '../shell/theme'
import { exact } from './moment'
import type { Series } from './plot'

interface Props {
  title: string
  kind: 'bars' | 'lines'
  times: number[]
  series: Series[]
  format: (value: number) => string
  /** What the legend shows while nothing is pointed at. */
  total: (series: Series) => string
  /** Lines end where nothing is known. */
  gaps?: boolean
}

export function Chart({ title, kind, times, series, format, total, gaps = false }: Props) {
  const container = useRef<HTMLDivElement>(null)
  const [at, setAt] = useState<number | null>(null)
  useEffect(() => {
    let end: (() => void) | null = null
    let left = false
    void import('./plot').then(({ draw }) => {
      if (left || !container.current) return
      const onSelect = (since: number, until: number) => {
        const moment = (seconds: number) => new Date(Math.round(seconds / 60) * 60_000).toISOString().slice(0, 19) + 'Z'
        go(here({ range: null, since: moment(since), until: moment(until), cursor: null }))
      }
      end = draw(container.current, { kind, times, series, format, gaps, onHover: setAt, onSelect })
    })
    return () => {
      left = true
      end?.()
    }
  }, [series, times, theme.value])
  const isEmpty = series.every(({ values }) => values.every((value) => value === null || (kind === 'bars' && value === 0)))
  const time = at === null ? undefined : times[at]
  return (
    <figure class="chart">
      <figcaption>
        <h2>{title}</h2>
        <span class="faint">{time === undefined ? '' : exact(new Date(time * 1_000).toISOString()).replace(/:\d\d\.\d+/, '')}</span>
        <ul class="legend">
          {series.map((one) => {
            const value = at === null ? null : one.values[at]
            return (
              <li key={one.label}>
                <span class="swatch" style={{ background: `var(${one.color})` }} aria-hidden="true" />
                {one.label} <b>{at === null ? total(one) : value === null || value === undefined ? '–' : format(value)}</b>
              </li>
            )
          })}
        </ul>
      </figcaption>
      <div class="plot-frame">
        <div class="plot" ref={container} role="img" aria-label={`${title}: ${series.map((one) => `${one.label} ${total(one)}`).join(', ')}`} />
        {isEmpty && <p class="faint">Nothing in this time</p>}
      </div>
    </figure>
  )
}

/** The shape of a series, without axes. */
export function Sparkline({ values }: { values: (number | null)[] }) {
  const known = values.filter((value): value is number => value !== null)
  if (known.length < 2) return <svg class="spark" viewBox="0 0 100 28" aria-hidden="true" />
  const [low, high] = [Math.min(...known, 0), Math.max(...known)]
  const y = (value: number) => (26 - ((value - low) / Math.max(high - low, 1e-9)) * 24).toFixed(1)
  const points = values.flatMap((value, index) => (value === null ? [] : [`${((index / (values.length - 1)) * 100).toFixed(1)} ${y(value)}`]))
  const first = points[0]?.split(' ')[0]
  const last = points.at(-1)?.split(' ')[0]
  return (
    <svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
      <path class="spark-area" d={`M${first} 28L${points.join('L')}L${last} 28Z`} />
      <path class="spark-line" d={`M${points.join('L')}`} vector-effect="non-scaling-stroke" />
    </svg>
  )
}
