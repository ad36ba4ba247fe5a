// Newer and older pages of a list. There is no total: the server gives a cursor for what is older, and no more.
import { here, go, query } from '../route'
import { Icon } from './icons'
import { exact } from './moment'

/** The cursor of the page before, by the link to a page. Without an entry, the page before is the first. */
const newerCursors = new Map<string, string | null>()

/** A page, whatever is open beside it. */
const linkTo = (cursor: string | null) => here({ cursor, open: null, tab: null, attempt: null, new: null })

interface Props {
  next: string | null | undefined
  /** The list was searched only back to this time. */
  examinedTo?: string | null | undefined
  found: number
  /** The cursor of what is shown meanwhile belongs to another page. */
  loading: boolean
}

export function Pager({ next, examinedTo, found, loading }: Props) {
  const cursor = query.value.get('cursor')
  const older = () => {
    if (!next) return
    newerCursors.set(linkTo(next), cursor)
    go(here({ cursor: next }))
    window.scrollTo({ top: 0 })
  }
  const newer = () => go(here({ cursor: newerCursors.get(linkTo(cursor)) ?? null }))
  if (!cursor && !next && found < 10) return null
  return (
    <nav class="pager" aria-label="Pages">
      {next && examinedTo && <span class="pager-note">Searched back to {exact(examinedTo)}, not further yet.</span>}
      <span class="grow" />
      <button type="button" class="button" disabled={!cursor || loading} onClick={newer}>
        <Icon name="left" /> Newer
      </button>
      <button type="button" class="button" disabled={!next || loading} onClick={older}>
        {examinedTo && next ? 'Search further back' : 'Older'} <Icon name="right" />
      </button>
    </nav>
  )
}
