// Where a view begins, and where the reader finds it again.

/** What a reader does who does not wait for it. */
const ACTS = ['wheel', 'touchstart', 'keydown', 'pointerdown'] as const

/** Scrolls as far as the page is long; the rest as its rows come, unless the reader does something first. */
export function scrollTo(y: number): (() => void) | undefined {
  const scroll = () => {
    window.scrollTo({ top: y })
    return window.scrollY >= y - 1
  }
  if (scroll()) return undefined
  const growth = new ResizeObserver(() => scroll() && stop())
  const stop = () => {
    growth.disconnect()
    ACTS.forEach((act) => window.removeEventListener(act, stop))
  }
  ACTS.forEach((act) => window.addEventListener(act, stop, { passive: true }))
  growth.observe(document.body)
  return stop
}
