// Short notes that go away by themselves. Important messages are shown in the page.
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'

type Kind = 'good' | 'bad'
const shown = signal<{ id: number; text: string; kind: Kind }[]>([])
let count = 0

export function toast(text: string, kind: Kind = 'good'): void {
  const id = (count += 1)
  shown.value = [...shown.value.slice(-2), { id, text, kind }]
  setTimeout(() => (shown.value = shown.value.filter((one) => one.id !== id)), kind === 'bad' ? 8_000 : 3_000)
}

export function Toasts() {
  const container = useRef<HTMLDivElement>(null)
  // An open dialog is above everything but what was shown above it later.
  useEffect(() => {
    const element = container.current
    if (!element?.showPopover) return
    if (element.matches(':popover-open')) element.hidePopover()
    if (shown.value.length) element.showPopover()
  }, [shown.value])
  return (
    <div ref={container} class="toasts" popover="manual" role="status" aria-live="polite">
      {shown.value.map((one) => (
        <div key={one.id} class={`toast ${one.kind}`}>
          {one.text}
        </div>
      ))}
    </div>
  )
}
