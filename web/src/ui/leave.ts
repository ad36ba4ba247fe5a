import { useLayoutEffect } from 'preact/hooks'

/** The browser asks before it leaves or reloads the page, as long as something would be lost. */
export function useWarning(isLost: boolean): void {
  useLayoutEffect(() => {
    if (!isLost) return
    const ask = (event: Event) => event.preventDefault()
    window.addEventListener('beforeunload', ask)
    return () => window.removeEventListener('beforeunload', ask)
  }, [isLost])
}
