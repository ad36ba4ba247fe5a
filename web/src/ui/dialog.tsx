// Dialogs and drawers. The browser's own element keeps the focus inside, closes on Esc and gives the focus back.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Icon } from './icons'

interface Props {
  label: string
  close: () => void
  children: ComponentChildren
  kind?: 'dialog' | 'drawer'
}

export function Dialog({ label, close, children, kind = 'dialog' }: Props) {
  const element = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    const dialog = element.current
    dialog?.showModal()
    // A form begins at its first field, not at the button that closes it.
    if (kind === 'dialog') dialog?.querySelector<HTMLElement>('form :is(input, select, textarea):enabled')?.focus()
    return () => {
      dialog?.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true })
    }
  }, [])
  return (
    <dialog
      ref={element}
      class={kind}
      aria-label={label}
      onCancel={(event) => (event.preventDefault(), close())}
      onMouseDown={(event) => event.target === element.current && close()}
    >
      <div class={`${kind}-body`}>{children}</div>
    </dialog>
  )
}

export function CloseButton({ close }: { close: () => void }) {
  return (
    <button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" onClick={close}>
      <Icon name="close" />
    </button>
  )
}
