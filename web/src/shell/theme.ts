// Light or dark: as the system says, until somebody chooses.
import { signal } from '@preact/signals'
import { store, stored } from '../api/storage'

const STORED = 'postrider.theme'
type Theme = 'light' | 'dark'

const system = window.matchMedia('(prefers-color-scheme: dark)')

/** A page that shows the dashboard in a frame says which it wants: `theme=dark` behind `?`, or in the fragment. */
const themeOfAddress = () => /[?#&]theme=(light|dark)\b/.exec(window.location.search + window.location.hash)?.[1] as Theme | undefined

function first(): Theme {
  const wanted = themeOfAddress()
  if (wanted) store('sessionStorage', STORED, wanted)
  const known = wanted ?? stored('sessionStorage', STORED) ?? stored('localStorage', STORED)
  return known === 'light' || known === 'dark' ? known : system.matches ? 'dark' : 'light'
}

export const theme = signal<Theme>(first())

system.addEventListener('change', () => {
  theme.value = first()
  showTheme()
})

/** After the address was changed from outside. */
export function readTheme(): void {
  theme.value = first()
  showTheme()
}

export function showTheme(): void {
  document.documentElement.dataset.theme = theme.value
}

export function toggleTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark'
  store('localStorage', STORED, theme.value)
  if (stored('sessionStorage', STORED)) store('sessionStorage', STORED, theme.value)
  showTheme()
}
