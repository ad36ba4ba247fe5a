// Asks before a link, the search or the choice of a tenant leads away from what is typed and not saved. The browser's own
// Back asks nobody.
import { useLayoutEffect, useState } from 'preact/hooks'
import { guardLeaving, leadsAway, leaveTo } from '../../route'
import { Confirm } from '../../ui/confirm'

/** The browser opens another tab, or stores what the link leads to: this page stays as it is. */
const staysHere = (link: HTMLAnchorElement, event: MouseEvent) => link.target === '_blank' || link.hasAttribute('download') || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey

export function AskBeforeLeaving() {
  const [link, setLink] = useState<string | null>(null)
  useLayoutEffect(() => guardLeaving(setLink), [])
  useLayoutEffect(() => {
    const ask = (event: MouseEvent) => {
      const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>('a[href^="#/"]') : null
      const href = link?.getAttribute('href')
      if (!link || !href || staysHere(link, event) || !leadsAway(href)) return
      event.preventDefault()
      setLink(href)
    }
    document.addEventListener('click', ask, true)
    return () => document.removeEventListener('click', ask, true)
  }, [])
  if (link === null) return null
  return (
    <Confirm title="Leave without saving?" verb="Leave" danger act={async () => leaveTo(link)} close={() => setLink(null)}>
      <p>What you typed in the settings is not saved, and would be lost.</p>
    </Confirm>
  )
}
