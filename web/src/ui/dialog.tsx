// Dialogs and drawers. The browser's own element keeps the focus inside, closes on Esc and gives the focus back.
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { Icon } from './icons'
import { useWarning } from './leave'

interface Props {
  label: string
  close: () => void
  children: ComponentChildren
  kind?: 'dialog' | 'drawer'
  /** It shows what nobody can have again: only its own buttons close it. */
  locked?: boolean
}

export function Dialog({ label, close, children, kind = 'dialog', locked = false }: Props) {
  const element = useRef<HTMLDialogElement>(null)
  const isGone = useRef(false)
  useWarning(locked)
  // At once, before and after: an effect that ended later would take the focus from what was focused meanwhile.
  useLayoutEffect(() => {
    const before = document.activeElement
    const dialog = element.current
    dialog?.showModal()
    // What a drawer has at first is replaced when its content is loaded.
    if (kind === 'drawer') dialog?.focus()
    // A form begins at its first field, not at the button that closes it.
    if (kind === 'dialog') dialog?.querySelector<HTMLElement>('form :is(input, select, textarea):enabled')?.focus()
    return () => {
      isGone.current = true
      // Where the browser closed it, the focus is back already, and may have moved on since.
      if (!dialog?.open) return
      dialog.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true })
    }
  }, [])
  // At the second Esc the browser asks nobody, and closes the dialog itself.
  const onCancel = (event: Event) => {
    if (!event.cancelable) return
    event.preventDefault()
    if (!locked) close()
  }
  const onClose = () => {
    if (isGone.current || element.current?.open) return
    if (locked) element.current?.showModal()
    else close()
  }
  return (
    <dialog
      ref={element}
      class={kind}
      tabIndex={-1}
      aria-label={label}
      onCancel={onCancel}
      onClose={onClose}
      onMouseDown={(event) => event.target === event.currentTarget && !locked && isOutside(event, event.currentTarget) && close()}
    >
      <div class={`${kind}-body`}>{children}</div>
    </dialog>
  )
}

/** A dialog is also the target of a press on what surrounds it, on its scrollbar and where it is empty. */
function isOutside({ clientX, clientY }: MouseEvent, dialog: HTMLElement): boolean {
  const { left, right, top, bottom } = dialog.getBoundingClientRect()
  return clientX < left || clientX > right || clientY < top || clientY > bottom
}

export function CloseButton({ close }: { close: () => void }) {
  return (
    <button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" onClick={close}>
      <Icon name="close" />
    </button>
  )
}

/** What a drawer shows while it has nothing to show: it can be closed all the same. A page has no tools. */
export function Unfilled({ tools, children }: { tools?: ComponentChildren; children: ComponentChildren }) {
  if (!tools) return <>{children}</>
  return (
    <div class="delivery">
      <header class="sheet-head">
        <span class="grow" />
        {tools}
      </header>
      {children}
    </div>
  )
}
