// Times: how long ago, with the exact time on hover; ids, which copy on click.
import { signal } from '@preact/signals'
import { toast } from './toast'

/** One clock for all relative times of a page. */
const now = signal(Date.now())
setInterval(() => (now.value = Date.now()), 5_000)

const STEPS: [limit: number, unit: number, name: string][] = [
  [60, 1, 's'],
  [3_600, 60, 'min'],
  [86_400, 3_600, 'h'],
  [Infinity, 86_400, 'd'],
]

export function distance(seconds: number): string {
  const [, unit, name] = STEPS.find(([limit]) => Math.abs(seconds) < limit) as [number, number, string]
  return `${Math.floor(Math.abs(seconds) / unit)} ${name}`
}

function relative(at: string): string {
  // The clock only says when to look again.
  const seconds = (Math.max(now.value, Date.now()) - Date.parse(at)) / 1_000
  if (Math.abs(seconds) < 2) return 'now'
  return seconds > 0 ? `${distance(seconds)} ago` : `in ${distance(seconds)}`
}

export const exact = (at: string) => `${at.replace('T', ' ').replace(/(\.\d{3})\d*Z?$/, '$1').replace(/Z$/, '')} UTC`

export function Moment({ at, none = '–' }: { at: string | null | undefined; none?: string }) {
  if (!at) return <span class="faint">{none}</span>
  return (
    <time class="moment" dateTime={at} title={exact(at)}>
      {relative(at)}
    </time>
  )
}

/** Whether the text was copied; a toast says it too. */
export async function copy(text: string, what = 'Copied'): Promise<boolean> {
  let done = true
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    done = copySelected(text)
  }
  if (done) toast(what)
  else toast('The browser did not let the dashboard copy', 'bad')
  return done
}

/** Without https, and in a frame of another site, only the older way works. */
function copySelected(text: string): boolean {
  const field = document.createElement('textarea')
  field.value = text
  field.className = 'visually-hidden'
  // Nothing outside of the innermost open dialog takes the focus.
  const parent = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body
  const before = document.activeElement
  parent.append(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  if (before instanceof HTMLElement) before.focus()
  return done
}

/** The end of an id tells ids of one moment apart; the whole id is copied. */
export function Id({ id, whole = false }: { id: string; whole?: boolean }) {
  const shown = whole || id.length <= 16 ? id : `${id.slice(0, 4)}…${id.slice(-8)}`
  return (
    <button type="button" class="id" title={`${id} · click to copy`} onClick={(event) => (event.stopPropagation(), void copy(id, 'Id copied'))}>
      {shown}
    </button>
  )
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–'
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(ms < 10_000 ? 2 : 1))} s`
  return twoUnits(ms / 1_000)
}

/** Of a minute or longer, as in `1 min 59 s`. */
function twoUnits(seconds: number): string {
  const at = STEPS.findIndex(([limit]) => seconds < limit)
  const [unit, [, smaller, name]] = [STEPS[at]?.[1] ?? 1, STEPS[at - 1] ?? [0, 1, 's']]
  const rest = Math.floor((seconds % unit) / smaller)
  return `${distance(seconds)}${rest ? ` ${rest} ${name}` : ''}`
}

export function bytes(count: number): string {
  if (count < 1_024) return `${count} B`
  if (count < 1_048_576) return `${Number((count / 1_024).toFixed(1))} KiB`
  return `${Number((count / 1_048_576).toFixed(1))} MiB`
}

const NUMBER = new Intl.NumberFormat('en')
export const number = (value: number) => NUMBER.format(value)
