// Where a view begins, and where the reader finds it again.

/** What a reader does who does not wait for it. */
const ACTS = ['wheel', 'touchstart', 'keydown', 'pointerdown'] as const

/** Rows that come later than this do not move the page: the reader has begun to read what is there. */
const LONGEST_WAIT_MS = 3_000

const lowest = () => document.documentElement.scrollHeight - document.documentElement.clientHeight

/** Scrolls as far as the page is long; the rest as its rows come, unless the reader does something first. */
export function scrollTo(y: number): (() => void) | undefined {
  let own = 0
  const scroll = () => {
    window.scrollTo({ top: y })
    own = window.scrollY
    return own >= y - 1
  }
  if (scroll()) return undefined
  const growth = new ResizeObserver(() => scroll() && stop())
  const timer = setTimeout(() => stop(), LONGEST_WAIT_MS)
  // By the scrollbar, which is none of the acts. Where the page became shorter, the browser scrolled, not the reader.
  const onScroll = () => Math.abs(window.scrollY - own) > 1 && window.scrollY < lowest() - 1 && stop()
  const stop = () => {
    clearTimeout(timer)
    growth.disconnect()
    window.removeEventListener('scroll', onScroll)
    ACTS.forEach((act) => window.removeEventListener(act, stop))
  }
  window.addEventListener('scroll', onScroll, { passive: true })
  ACTS.forEach((act) => window.addEventListener(act, stop, { passive: true }))
  growth.observe(document.body)
  return stop
}
