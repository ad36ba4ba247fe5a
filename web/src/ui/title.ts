import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

/** What the page is about, for the title of the browser's tab. */
export const subject = signal<string | null>(null)

export function useSubject(name: string | null | undefined): void {
  useEffect(() => {
    subject.value = name ?? null
    return () => {
      subject.value = null
    }
  }, [name])
}
