// The browser's storage. In a frame of another site a browser may forbid it; then what is kept lasts as long as the page.
type Kind = 'localStorage' | 'sessionStorage'

const memory = new Map<string, string>()

function storage(kind: Kind): Storage | null {
  try {
    return window[kind]
  } catch {
    return null
  }
}

export const stored = (kind: Kind, name: string): string | null => storage(kind)?.getItem(name) ?? memory.get(name) ?? null

export function store(kind: Kind, name: string, value: string | null): void {
  if (value === null) {
    memory.delete(name)
    storage(kind)?.removeItem(name)
    return
  }
  try {
    const kept = storage(kind)
    if (kept) kept.setItem(name, value)
    else memory.set(name, value)
  } catch {
    // It is full, or has no room at all, as in some private windows.
    memory.set(name, value)
  }
}
