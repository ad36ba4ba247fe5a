// Asks before a link leads away from what is typed and not saved. The browser's own Back asks nobody.
import { useLayoutEffect, useState } from 'preact/hooks'
import { go, leadsAway } from '../../route'
import { Confirm } from '../../ui/confirm'

export function AskBeforeLeaving() {
  const [link, setLink] = useState<string | null>(null)
  useLayoutEffect(() => {
    const ask = (event: MouseEvent) => {
      const href = event.target instanceof Element ? event.target.closest('a[href^="#"]')?.getAttribute('href') : null
      // With one of these keys the browser opens another tab, and this one stays.
      if (!href || event.ctrlKey || event.metaKey || event.shiftKey || !leadsAway(href)) return
      event.preventDefault()
      setLink(href)
    }
    document.addEventListener('click', ask, true)
    return () => document.removeEventListener('click', ask, true)
  }, [])
  if (link === null) return null
  return (
    <Confirm title="Leave without saving?" verb="Leave" danger act={async () => go(link)} close={() => setLink(null)}>
      <p>What you typed in the settings is not saved, and would be lost.</p>
    </Confirm>
  )
}
