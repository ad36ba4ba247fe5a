// What stands around every screen: menu, search, tenant, theme.
import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { forget, isOperator, key, me } from '../api/session'
import { href } from '../route'
import { MENU } from '../screens'
import { CloseButton, Dialog } from '../ui/dialog'
import { Icon, Logo } from '../ui/icons'
import { helpIsOpen, KEYS, listenToKeys } from './keyboard'
import { SearchBox } from './search'
import { TenantSwitch } from './tenants'
import { theme, toggleTheme } from './theme'

const menuIsOpen = signal(false)

export function Frame({ current, children }: { current: string; children: ComponentChildren }) {
  useEffect(listenToKeys, [])
  useEffect(() => {
    menuIsOpen.value = false
  }, [current])
  return (
    <div class={`frame${menuIsOpen.value ? ' menu-open' : ''}`}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById('main')?.focus())}>
        To the content
      </a>
      <aside class="side">
        <a class="brand" href={href('/')}>
          <Logo /> postrider
        </a>
        {isOperator.value && <TenantSwitch />}
        <nav class="menu" aria-label="Screens">
          {MENU.filter((screen) => !screen.operator || isOperator.value).map((screen) => {
            const here = screen.path === '/' ? current === '/' : current.startsWith(screen.path)
            return (
              <a key={screen.path} href={href(screen.path)} aria-current={here ? 'page' : undefined}>
                {screen.icon && <Icon name={screen.icon} />} {screen.title}
              </a>
            )
          })}
        </nav>
        <div class="side-end">
          <a href="./docs" target="_blank" rel="noreferrer">
            <Icon name="book" /> API reference
          </a>
          <button type="button" onClick={() => (helpIsOpen.value = true)}>
            <Icon name="keyboard" /> Keyboard
          </button>
          {key.value && (
            <button type="button" onClick={() => forget()}>
              <Icon name="leave" /> Forget the key
            </button>
          )}
          {me.value?.tenant_name && <p class="faint who">{me.value.tenant_name}</p>}
        </div>
      </aside>
      <header class="top">
        <button type="button" class="icon-button menu-button" aria-label="Menu" aria-expanded={menuIsOpen.value} onClick={() => (menuIsOpen.value = !menuIsOpen.value)}>
          <Icon name="menu" />
        </button>
        <SearchBox />
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
