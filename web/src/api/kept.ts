// What the server shows once, such as a secret, is kept until its reader closes it: it is still there after a way back and
// forth, and for nobody else who signs in.
import { signal } from '@preact/signals'
import { isPortal, key, me } from './session'

/** The key; of a portal the tenant, because the page around it renews the session with a new token. */
const reader = () => (isPortal.value ? `portal of ${me.value?.tenant_id}` : key.value)

export interface Kept<T> {
  /** Keeps what is made for who asks for it now, although the key or the page may be another one when it comes. */
  keep: (made: Promise<T>) => Promise<T>
  /** What is kept under this name for who looks now. */
  of: (name: string) => T | null
  forget: (name: string) => void
}

/** A place for what is shown once, by its name. */
export function kept<T>(nameOf: (what: T) => string): Kept<T> {
  const all = signal<ReadonlyMap<string, { what: T; by: string | null }>>(new Map())
  return {
    keep: async (made) => {
      const by = reader()
      const what = await made
      all.value = new Map(all.value).set(nameOf(what), { what, by })
      return what
    },
    of: (name) => {
      const found = all.value.get(name)
      return found && found.by === reader() ? found.what : null
    },
    forget: (name) => {
      all.value = new Map([...all.value].filter(([other]) => other !== name))
    },
  }
}
