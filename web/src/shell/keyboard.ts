// Keys that work everywhere. Views add none of their own: rows and search boxes are found by their attributes.
import { signal } from '@preact/signals'

export const helpIsOpen = signal(false)

export const KEYS: [keys: string, what: string][] = [
  ['/', 'Search'],
  ['j', 'Next row'],
  ['k', 'Previous row'],
  ['Enter', 'Open the row'],
  ['Esc', 'Close, or leave the search'],
  ['?', 'Show these keys'],
]

const rows = () => [...document.querySelectorAll<HTMLElement>('dialog[open] a[data-row], dialog[open] button[data-row]')]
const rowsOfPage = () => [...document.querySelectorAll<HTMLElement>('a[data-row], button[data-row]')]

function step(by: number): void {
  const inDialog = rows()
  const all = inDialog.length ? inDialog : rowsOfPage()
  const at = all.indexOf(document.activeElement as HTMLElement)
  const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)]
  next?.focus()
  next?.scrollIntoView({ block: 'nearest' })
}

/** What was searched before is replaced by what is typed next. */
function toSearch(): void {
  const box = document.querySelector<HTMLInputElement>('[data-search]')
  box?.focus()
  box?.select()
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}

export function listenToKeys(): () => void {
  const listen = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
    if (event.key === '/') toSearch()
    else if (event.key === 'j') step(1)
    else if (event.key === 'k') step(-1)
    else if (event.key === '?') helpIsOpen.value = !helpIsOpen.value
    else return
    event.preventDefault()
  }
  document.addEventListener('keydown', listen)
  return () => document.removeEventListener('keydown', listen)
}
