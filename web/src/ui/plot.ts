// Draws charts with uPlot; loaded when the first chart is shown.
import uPlot from 'uplot'

export interface Series {
  label: string
  /** A custom property of the style sheet, as in `--green`. */
  color: string
  values: (number | null)[]
}

interface Drawing {
  kind: 'bars' | 'lines'
  /** Seconds since 1970, of each bucket's beginning. */
  times: number[]
  series: Series[]
  format: (value: number) => string
  /** Lines end where nothing is known. */
  gaps: boolean
  /** The index of the bucket below the pointer. */
  onHover: (index: number | null) => void
  /** The span that was marked by dragging. */
  onSelect: (since: number, until: number) => void
}

/** Steps of the vertical axis: counts and milliseconds are whole. */
const STEPS = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat()

const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** Steps of the horizontal axis: its labels have no seconds, so two of one minute would be alike. */
const TIMES = [...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE), ...[1, 2, 3, 6, 12].map((count) => count * HOUR), ...[1, 2, 5, 10, 30].map((count) => count * DAY)]

/** Canvas knows no custom properties. */
function colorOf(name: string, element: HTMLElement): string {
  element.style.color = `var(${name})`
  const found = getComputedStyle(element).color
  element.style.color = ''
  return found
}

/** Bars are drawn over each other, the sum of all first. */
function stacked(series: Series[]): (number | null)[][] {
  const sums: number[] = []
  return series.map(({ values }) => values.map((value, index) => (sums[index] = (sums[index] ?? 0) + (value ?? 0))))
}

export function draw(element: HTMLElement, drawing: Drawing): () => void {
  const color = (name: string) => colorOf(name, element)
  const axis = { stroke: color('--faint'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' }
  const bars = drawing.kind === 'bars'
  const heights = bars ? stacked(drawing.series) : drawing.series.map(({ values }) => values)
  const shown = drawing.series.map((series, index) => ({ ...series, heights: heights[index] ?? [] }))
  if (bars) shown.reverse()
  const { times } = drawing
  // The last bucket has a width too.
  const step = bars && times.length > 1 ? (times[1] ?? 0) - (times[0] ?? 0) : 0
  const paths = bars ? uPlot.paths.bars?.({ size: [0.75, 24], align: 1, radius: 0.15 }) : undefined
  const options: uPlot.Options = {
    width: element.clientWidth,
    height: element.clientHeight,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), 'Etc/UTC'),
    legend: { show: false },
    padding: [8, 16, 0, 0],
    cursor: { y: false, points: { show: !bars }, drag: { x: true, y: false, setScale: false } },
    scales: { x: { range: (_, first, last) => [first, last + Math.max(step, 1)] }, y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 72, incrs: TIMES, values: xLabels },
      { ...axis, size: yWidth, space: 34, incrs: STEPS, values: (_, splits) => splits.map(drawing.format) },
    ],
    series: [
      {},
      ...shown.map((series) => ({
        label: series.label,
        stroke: bars ? '' : color(series.color),
        width: bars ? 0 : 1.5,
        spanGaps: !drawing.gaps,
        points: { show: !bars && series.values.filter((value) => value !== null).length < 30, size: 4 },
        ...(bars ? { fill: color(series.color) } : {}),
        ...(paths ? { paths } : {}),
      })),
    ],
    hooks: {
      setCursor: [(plot) => drawing.onHover(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          if (plot.select.width < 6) return
          drawing.onSelect(plot.posToVal(plot.select.left, 'x'), plot.posToVal(plot.select.left + plot.select.width, 'x'))
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
  const plot = new uPlot(options, [times, ...shown.map((series) => series.heights)] as uPlot.AlignedData, element)
  const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: element.clientHeight }))
  observer.observe(element)
  return () => {
    observer.disconnect()
    plot.destroy()
  }
}

/** Labels with two units, as `1 min 20 s`, need more room than numbers do. */
const yWidth = (_: uPlot, labels: string[] | null) => (labels?.some((label) => label.length > 8) ? 72 : 48)

/** Times of day, and the day where it changes; UTC, as everywhere. */
function xLabels(_: uPlot, splits: number[]): string[] {
  let day = ''
  const days = (splits.at(-1) ?? 0) - (splits[0] ?? 0) > 4 * 86_400
  return splits.map((seconds) => {
    const text = new Date(seconds * 1_000).toISOString()
    const today = text.slice(5, 10)
    const label = days || today !== day ? (days ? today : day === '' ? text.slice(11, 16) : today) : text.slice(11, 16)
    day = today
    return label
  })
}
