import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

interface Props {
  label: ComponentChildren
  class: string
  title?: string
  /** Of a button without words. */
  name?: string
  children: (close: () => void) => ComponentChildren
}

const MARGIN_PX = 8

/** Moves a panel to where all of it is seen. */
function keepOnScreen(panel: HTMLElement): void {
  const { left, right } = panel.getBoundingClientRect()
  const over = right - (document.documentElement.clientWidth - MARGIN_PX)
  if (over > 0) panel.style.marginLeft = `${-Math.min(over, left - MARGIN_PX)}px`
  else if (left < MARGIN_PX) panel.style.marginRight = `${left - MARGIN_PX}px`
}

/** A button that opens a small panel below it. Esc and a click elsewhere close it. */
export function Popover({ label, class: style, title, name, children }: Props) {
  const [open, setOpen] = useState(false)
  const element = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const panel = useRef<HTMLDivElement>(null)
  // Before the panel is painted: the next key or click is meant for it.
  useLayoutEffect(() => {
    if (!open) return
    if (panel.current) keepOnScreen(panel.current)
    const outside = (event: Event) => !element.current?.contains(event.target as Node) && setOpen(false)
    document.addEventListener('pointerdown', outside)
    document.addEventListener('focusin', outside)
    element.current?.querySelector<HTMLElement>('.popover input, .popover button, .popover a')?.focus()
    return () => {
      document.removeEventListener('pointerdown', outside)
      document.removeEventListener('focusin', outside)
    }
  }, [open])
  const close = () => (setOpen(false), button.current?.focus())
  return (
    <div class="popover-place" ref={element} onKeyDown={(event) => open && event.key === 'Escape' && (event.stopPropagation(), event.preventDefault(), close())}>
      <button ref={button} type="button" class={style} title={title} aria-label={name} aria-expanded={open} onClick={() => setOpen(!open)}>
        {label}
      </button>
      {open && (
        <div class="popover" ref={panel}>
          {children(close)}
        </div>
      )}
    </div>
  )
}
