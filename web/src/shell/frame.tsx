// The frame of every screen: menu, search, tenant, theme.
import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { forget, isOperator, isPortal, key, leave, may, me } from '../api/session'
import { href, isFramed } from '../route'
import { allowed, MENU } from '../screens'
import { CloseButton, Dialog } from '../ui/dialog'
import { Icon, Logo } from '../ui/icons'
import { Moment } from '../ui/moment'
import { helpIsOpen, KEYS, listenToKeys } from './keyboard'
import { SearchBox } from './search'
import { TenantSwitch } from './tenants'
import { theme, toggleTheme } from './theme'

const menuIsOpen = signal(false)

export function Frame({ current, children }: { current: string; children: ComponentChildren }) {
  const menuButton = useRef<HTMLButtonElement>(null)
  // A key pressed as soon as the menu is seen must find who listens: an effect would come after the frame is painted.
  useLayoutEffect(listenToKeys, [])
  useLayoutEffect(() => {
    if (!menuIsOpen.value) return
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      menuIsOpen.value = false
      menuButton.current?.focus()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [menuIsOpen.value])
  useLayoutEffect(() => {
    menuIsOpen.value = false
  }, [current])
  return (
    <div class={`frame${menuIsOpen.value ? ' menu-open' : ''}`}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById('main')?.focus())}>
        To the content
      </a>
      <aside class="side">
        {isPortal.value ? (
          <Customer />
        ) : (
          <a class="brand" href={href('/')}>
            <Logo /> postrider
          </a>
        )}
        {isOperator.value && <TenantSwitch />}
        <nav class="menu" aria-label="Screens">
          {MENU.filter(allowed).map((screen) => {
            const here = screen.path === '/' ? current === '/' : current.startsWith(screen.path)
            return (
              <a key={screen.path} class={screen.operator || screen.needs === 'admin' ? 'admin' : undefined} href={href(screen.path)} aria-current={here ? 'page' : undefined}>
                {screen.icon && <Icon name={screen.icon} />} {screen.title}
              </a>
            )
          })}
        </nav>
        <div class="side-end">
          {!isPortal.value && (
            <a href="./docs" target="_blank" rel="noreferrer">
              <Icon name="book" /> API reference
            </a>
          )}
          <button type="button" onClick={() => (helpIsOpen.value = true)}>
            <Icon name="keyboard" /> Keyboard
          </button>
          {isPortal.value ? <LeavePortal /> : <ForgetKey />}
        </div>
      </aside>
      <header class="top">
        <button ref={menuButton} type="button" class="icon-button menu-button" aria-label="Menu" aria-expanded={menuIsOpen.value} onClick={() => (menuIsOpen.value = !menuIsOpen.value)}>
          <Icon name="menu" />
        </button>
        {may.value.read && <SearchBox />}
        <span class="grow" />
        <button
          type="button"
          class="icon-button"
          aria-label={theme.value === 'dark' ? 'Light theme' : 'Dark theme'}
          title={theme.value === 'dark' ? 'Light theme' : 'Dark theme'}
          onClick={toggleTheme}
        >
          <Icon name={theme.value === 'dark' ? 'sun' : 'moon'} />
        </button>
      </header>
      {menuIsOpen.value && <div class="veil" onClick={() => (menuIsOpen.value = false)} />}
      <main id="main" class="main" tabIndex={-1}>
        {children}
      </main>
      {helpIsOpen.value && <Help />}
    </div>
  )
}

function Help() {
  const close = () => (helpIsOpen.value = false)
  return (
    <Dialog label="Keyboard" close={close}>
      <header class="dialog-head">
        <h2>Keyboard</h2>
        <CloseButton close={close} />
      </header>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}

function ForgetKey() {
  return (
    <>
      {key.value && (
        <button type="button" onClick={() => forget()}>
          <Icon name="leave" /> Forget the key
        </button>
      )}
      {me.value?.tenant_name && <p class="faint who" dir="auto">{me.value.tenant_name}</p>}
    </>
  )
}

/** Whose webhooks a customer sees: its own. */
function Customer() {
  const name = me.value?.tenant_name ?? 'Webhooks'
  return (
    <a class="brand customer" href={href('/')}>
      <span class="tenant-mark" aria-hidden="true">
        {name.slice(0, 1).toUpperCase()}
      </span>
      <span class="customer-name">
        <span class="ellipsis" dir="auto">
          {name}
        </span>
        <span class="faint">Webhooks</span>
      </span>
    </a>
  )
}

/** How long the portal link lasts. In a frame, the page around it is where one leaves. */
function LeavePortal() {
  return (
    <>
      {!isFramed && (
        <button type="button" onClick={leave}>
          <Icon name="leave" /> Leave
        </button>
      )}
      {me.value?.expires_at && (
        <p class="faint who">
          The link ends <Moment at={me.value.expires_at} />
        </p>
      )}
    </>
  )
}
