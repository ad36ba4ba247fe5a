// Newer and older pages of a list. There is no total: the server gives a cursor for what is older, and no more.
import { signal } from '@preact/signals'
import { here, go, query } from '../route'
import { Icon } from './icons'
import { exact } from './moment'

/** The cursors of the pages that were passed, of the list that is shown. */
const passed = signal<(string | null)[]>([])

interface Props {
  next: string | null | undefined
  /** The list was searched only back to this time. */
  examinedTo?: string | null | undefined
  found: number
}

export function Pager({ next, examinedTo, found }: Props) {
  const cursor = query.value.get('cursor')
  const older = () => {
    passed.value = [...(cursor ? passed.value : []), cursor]
    go(here({ cursor: next }))
    window.scrollTo({ top: 0 })
  }
  const newer = () => {
    const before = passed.value.at(-1) ?? null
    passed.value = passed.value.slice(0, -1)
    go(here({ cursor: before }))
  }
  if (!cursor && !next && found < 10) return null
  return (
    <nav class="pager" aria-label="Pages">
      {next && examinedTo && <span class="pager-note">Searched back to {exact(examinedTo)}, not further yet.</span>}
      <span class="grow" />
      <button type="button" class="button" disabled={!cursor} onClick={newer}>
        <Icon name="left" /> Newer
      </button>
      <button type="button" class="button" disabled={!next} onClick={older}>
        {examinedTo && next ? 'Search further back' : 'Older'} <Icon name="right" />
      </button>
    </nav>
  )
}
